"""An answer as a client's SDK hands it over: the plain object, or the one that it folds out of a stream.

``fold(dialect, data)`` gives the folded object, in the shape of a plain answer, or None when the stream does not end as
a success. ``hear(dialect, answer)`` reads either.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from gateway.core.types import DialectName

Json = dict[str, Any]

CHAT = DialectName.OPENAI_CHAT
RESPONSES = DialectName.OPENAI_RESPONSES
MESSAGES = DialectName.ANTHROPIC_MESSAGES
CLIENTS = (CHAT, RESPONSES, MESSAGES)


@dataclass
class Heard:
    """``calls`` are (id, name, arguments), ``usage`` is (input, output, read from a cache, written to it, thought)."""

    text: str = ""
    refusal: str = ""
    thought: str = ""
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    finish: str = ""
    usage: tuple[int, int, int, int, int] | None = None


# --- streams --------------------------------------------------------------------------------------------------------


def events(data: bytes) -> list[tuple[str, Any]]:
    """(name, data) of every whole event; ``[DONE]`` stays a text."""
    found = []
    for block in data.split(b"\n\n")[:-1]:
        lines = dict(line.split(b": ", 1) for line in block.split(b"\n"))
        assert lines.keys() <= {b"event", b"data"}, block
        payload = lines[b"data"]
        name = lines.get(b"event", b"").decode()
        found.append((name, payload.decode() if payload == b"[DONE]" else json.loads(payload)))
    assert data == b"" or data.endswith(b"\n\n"), "half an event"
    return found


def is_error(event: Any) -> bool:
    """Does the event tell its client that the stream broke off?"""
    return isinstance(event, dict) and bool(event.get("error") or event.get("type") in ("error", "response.failed"))


def fold(dialect: DialectName, data: bytes) -> Json | None:
    found = [value for _, value in events(data)]
    folded = _FOLDERS[dialect](found)
    assert folded is None or not any(map(is_error, found)), "an error and a success"
    return folded


def _fold_chat(found: list[Any]) -> Json | None:
    """As the official Python client accumulates chunks: texts grow, lists of objects with an index grow by it."""
    if not found or found[-1] != "[DONE]":
        assert "[DONE]" not in found
        return None
    assert found.count("[DONE]") == 1
    whole: Json = {}
    choices: dict[int, Json] = {}
    for chunk in found[:-1]:
        whole |= {name: value for name, value in chunk.items() if value is not None and name != "choices"}
        for choice in chunk["choices"]:
            state = choices.setdefault(choice["index"], {"index": choice["index"], "message": {}})
            assert "finish_reason" not in state, "a choice went on after its end"
            grow(state["message"], choice["delta"])
            if choice["finish_reason"] is not None:
                state["finish_reason"] = choice["finish_reason"]
    assert all("finish_reason" in choice for choice in choices.values())
    for choice in choices.values():
        for call in choice["message"].get("tool_calls", ()):
            del call["index"]
    return {**whole, "object": "chat.completion", "choices": [choices[index] for index in sorted(choices)]}


def grow(message: Json, delta: Json) -> None:
    for name, value in delta.items():
        known = message.get(name)
        if known is None or value is None or name in ("role", "type", "id"):
            message[name] = known if value is None else value
        elif isinstance(value, str):
            message[name] = known + value
        elif isinstance(value, dict):
            grow(known, value)
        elif isinstance(value, list) and all("index" in one for one in value):
            for one in value:
                same = next((old for old in known if old["index"] == one["index"]), None)
                known.append(one) if same is None else grow(same, {k: v for k, v in one.items() if k != "index"})
        else:
            raise AssertionError(f"clients cannot put {name} together")


def _fold_messages(found: list[Any]) -> Json | None:
    """As the official clients do: blocks by their index, input as JSON text."""
    message: Json = {}
    texts: dict[int, str] = {}
    open_block = -1
    for event in found:
        kind = event["type"]
        if kind == "message_start":
            assert not message
            message = event["message"]
        elif kind == "content_block_start":
            assert open_block == -1, "two blocks are open"
            open_block = event["index"]
            assert open_block == len(message["content"])
            message["content"].append(event["content_block"])
        elif kind == "content_block_delta":
            assert event["index"] == open_block
            _add_delta(message["content"][open_block], event["delta"], texts, open_block)
        elif kind == "content_block_stop":
            if open_block in texts:
                message["content"][open_block]["input"] = json.loads(texts[open_block] or "{}")
            open_block = -1
        elif kind == "message_delta":
            message |= event["delta"] | {k: v for k, v in event.items() if k not in ("type", "delta", "usage")}
            message["usage"] |= event["usage"]
    if not found or found[-1]["type"] != "message_stop":
        assert not any(event["type"] == "message_stop" for event in found)
        return None
    assert open_block == -1
    return message


def _add_delta(block: Json, delta: Json, texts: dict[int, str], index: int) -> None:
    kind = delta["type"]
    if kind == "input_json_delta":
        texts[index] = texts.get(index, "") + delta["partial_json"]
    elif kind == "citations_delta":
        block.setdefault("citations", []).append(delta["citation"])
    else:
        name = kind.removesuffix("_delta")
        block[name] = block[name] + delta[name]


def _fold_responses(found: list[Any]) -> Json | None:
    """The response of the last event, which must be what the items before it add up to."""
    ends = [event for event in found if event["type"] in ("response.completed", "response.incomplete")]
    if not ends:
        return None
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert ends == [found[-1]]
    response: Json = ends[0]["response"]
    done = [event for event in found if event["type"] == "response.output_item.done"]
    items = [event["item"] for event in sorted(done, key=lambda event: event["output_index"])]
    assert items == response["output"]
    _check_pieces(found, response["output"])
    return response


def _check_pieces(found: list[Any], items: list[Json]) -> None:
    """What the deltas add up to is what the whole items say."""
    said: dict[tuple[str, int, int], str] = {}
    for event in found:
        if event["type"].endswith(".delta"):
            part = event.get("content_index", event.get("summary_index", 0))
            key = (event["type"], event["output_index"], part)
            said[key] = said.get(key, "") + event["delta"]
    for (kind, index, part), text in said.items():
        item = items[index]
        if item["type"] == "function_call":
            assert text == item["arguments"]
        elif item["type"] == "custom_tool_call":
            assert text == item["input"]
        elif item["type"] == "reasoning":
            assert text == item["summary"][part]["text"]
        else:
            assert text == item["content"][part]["refusal" if "refusal" in kind else "text"]


_FOLDERS = {CHAT: _fold_chat, MESSAGES: _fold_messages, RESPONSES: _fold_responses}


# --- reading --------------------------------------------------------------------------------------------------------


def respelled(arguments: object) -> str:
    """Arguments that came as an object, in one spelling."""
    return json.dumps(arguments, separators=(",", ":"), ensure_ascii=False)


def hear(dialect: DialectName, answer: Json) -> Heard:
    return _READERS[dialect](answer)


def _hear_chat(answer: Json) -> Heard:
    (choice,) = answer["choices"]
    message = choice["message"]
    usage = answer.get("usage")
    prompt, completion = (usage or {}).get("prompt_tokens_details"), (usage or {}).get("completion_tokens_details")
    calls = [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls") or ()]
    assert all(call["type"] == "function" for call in message.get("tool_calls") or ())
    return Heard(
        message["content"] or "",
        message["refusal"] or "",
        message.get("reasoning_content") or "",
        calls,
        [annotation["url_citation"]["url"] for annotation in message.get("annotations") or ()],
        choice["finish_reason"],
        usage
        and (
            usage["prompt_tokens"],
            usage["completion_tokens"],
            prompt["cached_tokens"],
            prompt.get("cache_write_tokens", 0),
            completion["reasoning_tokens"],
        ),
    )


def _hear_messages(answer: Json) -> Heard:
    heard = Heard(finish=answer["stop_reason"])
    for block in answer["content"]:
        if block["type"] == "text":
            heard.text += block["text"]
            heard.links += [citation["url"] for citation in block.get("citations") or ()]
        elif block["type"] == "thinking":
            heard.thought += block["thinking"]
        elif block["type"] == "tool_use":
            heard.calls.append((block["id"], block["name"], respelled(block["input"])))
    usage = answer["usage"]
    cached, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
    thought = (usage.get("output_tokens_details") or {}).get("thinking_tokens", 0)
    heard.usage = (usage["input_tokens"] + cached + written, usage["output_tokens"], cached, written, thought)
    return heard


def _hear_responses(answer: Json) -> Heard:
    heard = Heard(finish=(answer["incomplete_details"] or {}).get("reason") or answer["status"])
    for item in answer["output"]:
        if item["type"] == "message":
            for part in item["content"]:
                heard.text += part.get("text", "")
                heard.refusal += part.get("refusal", "")
                heard.links += [annotation["url"] for annotation in part.get("annotations", ())]
        elif item["type"] == "reasoning":
            heard.thought += "".join(part["text"] for part in item["summary"])
        elif item["type"] == "function_call":
            heard.calls.append((item["call_id"], item["name"], item["arguments"]))
    usage = answer["usage"]
    heard.usage = usage and (
        usage["input_tokens"],
        usage["output_tokens"],
        usage["input_tokens_details"]["cached_tokens"],
        usage["input_tokens_details"]["cache_write_tokens"],
        usage["output_tokens_details"]["reasoning_tokens"],
    )
    return heard


_READERS = {CHAT: _hear_chat, MESSAGES: _hear_messages, RESPONSES: _hear_responses}
