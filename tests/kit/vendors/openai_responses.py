"""OpenAI's Responses, with the rules that clients and gateways trip over.

Source: platform.openai.com/docs/api-reference/responses (2026-11).
"""

import hashlib
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.kit.vendors.mind import Question, Said, Tool, heard, pieces
from tests.kit.vendors.openai_chat import check_strict
from tests.kit.vendors.server import Json, Refusal, Reply, require, require_known
from tests.kit.vendors.words import compact, names

_FIELDS = names(
    "model input instructions stream stream_options max_output_tokens max_tool_calls temperature top_p top_logprobs "
    "tools tool_choice parallel_tool_calls text reasoning include previous_response_id conversation store "
    "background metadata user service_tier truncation safety_identifier prompt_cache_key prompt_cache_retention "
    "prompt_cache_options prompt moderation context_management client_metadata"
)
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens": 15,
    "output_tokens_details": {"reasoning_tokens": 7},
    "total_tokens": 35,
}
_DEFAULTS: Json = {
    "background": False,
    "completed_at": None,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": "medium", "summary": None},
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "truncation": "disabled",
    "user": None,
    "safety_identifier": None,
    "prompt_cache_key": None,
}


def seal(thought: str) -> str:
    """What ``encrypted_content`` holds for a thought."""
    return "gAAAAAB" + hashlib.sha256(thought.encode()).hexdigest() + "_-=="


class Responses:
    """The endpoint, and the answers that it keeps."""

    def __init__(self, numbers: "itertools.count[int]", hear: Callable[[Question], Said]) -> None:
        self._hear = hear
        self._numbers = numbers
        self._kept: dict[str, tuple[Json, list[Json]]] = {}

    def create(self, body: Json) -> Reply:
        require_known(body, _FIELDS)
        given = _items(body.get("input", []))
        items = [*self._before(body.get("previous_response_id")), *given]
        _check(body, items)
        question = _question(body, items)
        said = self._hear(question)
        echoed = {name: body[name] for name in _DEFAULTS if body.get(name) is not None}
        echoed["tools"] = [_echo(tool) for tool in body.get("tools") or ()]
        response: Json = {
            **_DEFAULTS,
            **echoed,
            "id": f"resp_{next(self._numbers):04d}",
            "object": "response",
            "created_at": 1_790_000_000,
            "completed_at": 1_790_000_001,
            "model": body["model"],
            "status": "completed",
            "output": list(self._output(said, question, body)),
            "usage": _USAGE,
        }
        if body.get("store") is not False:
            self._kept[response["id"]] = (response, [{"id": f"msg_{n}", **item} for n, item in enumerate(items)])
        return Reply(list(_stream(response)) if body.get("stream") else response)

    def kept(self, method: str, id: str, rest: str) -> Reply:
        response, items = self._find(id)
        if method == "DELETE":
            del self._kept[id]
            return Reply({"id": id, "object": "response", "deleted": True})
        if rest == "input_items":
            ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"], "has_more": False}
            return Reply({"object": "list", "data": items[::-1], **ends})
        return Reply(response)

    def _find(self, id: str) -> tuple[Json, list[Json]]:
        if id not in self._kept:
            raise Refusal(f"Response with id '{id}' not found.", 404)
        return self._kept[id]

    def _before(self, id: str | None) -> list[Json]:
        if id is None:
            return []
        response, items = self._find(id)
        return [*items, *response["output"]]

    def _output(self, said: Said, question: Question, body: Json) -> Iterator[Json]:
        def made(kind: str) -> str:
            return f"{kind}_{next(self._numbers):04d}"

        if said.thought:
            item: Json = {"id": made("rs"), "type": "reasoning", "summary": [], "content": []}
            if (body.get("reasoning") or {}).get("summary"):
                item["summary"] = [{"type": "summary_text", "text": said.thought}]
            if "reasoning.encrypted_content" in (body.get("include") or ()):
                item["encrypted_content"] = seal(said.thought)
            yield item
        if said.text:
            text = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
            frame = {"id": made("msg"), "type": "message", "status": "completed", "role": "assistant"}
            yield {**frame, "phase": "final_answer", "content": [text]}
        for call in said.calls:
            frame = {"status": "completed", "call_id": made("call"), "name": call.tool.name}
            if call.tool.namespace:
                frame["namespace"] = call.tool.namespace
            if call.tool.schema is None:
                yield {"id": made("ctc"), "type": "custom_tool_call", **frame, "input": call.text}
            else:
                yield {"id": made("fc"), "type": "function_call", **frame, "arguments": call.text}


def _echo(tool: Json) -> Json:
    return {"description": None, "strict": True, **tool} if tool["type"] == "function" else tool


# --- streams ----------------------------------------------------------------------------------------------------------

_EMPTIED: dict[str, Json] = {
    "message": {"content": []},
    "reasoning": {"summary": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
}


def _stream(response: Json) -> Iterator[bytes]:
    opened = {**response, "status": "in_progress", "completed_at": None, "output": [], "usage": None}
    events: list[Json] = [{"type": f"response.{word}", "response": opened} for word in ("created", "in_progress")]
    for index, item in enumerate(response["output"]):
        begun = {**item, **_EMPTIED[item["type"]]}
        if "status" in begun:
            begun["status"] = "in_progress"
        events.append({"type": "response.output_item.added", "output_index": index, "item": begun})
        events += [{**event, "output_index": index, "item_id": item["id"]} for event in _inner(item)]
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": "response.completed", "response": response})
    for number, event in enumerate(events):
        yield f"event: {event['type']}\ndata: {compact({**event, 'sequence_number': number})}\n\n".encode()


def _inner(item: Json) -> Iterator[Json]:
    if item["type"] == "message":
        (part,) = item["content"]
        yield {"type": "response.content_part.added", "content_index": 0, "part": {**part, "text": ""}}
        yield from _told("output_text", "text", part["text"], content_index=0, logprobs=[])
        yield {"type": "response.content_part.done", "content_index": 0, "part": part}
    elif item["type"] == "reasoning":
        for index, part in enumerate(item["summary"]):
            frame = {"summary_index": index}
            yield {"type": "response.reasoning_summary_part.added", **frame, "part": {**part, "text": ""}}
            yield from _told("reasoning_summary_text", "text", part["text"], **frame)
            yield {"type": "response.reasoning_summary_part.done", **frame, "part": part}
    elif item["type"] == "function_call":
        yield from _told("function_call_arguments", "arguments", item["arguments"])
    else:
        yield from _told("custom_tool_call_input", "input", item["input"])


def _told(kind: str, member: str, text: str, **frame: Any) -> Iterator[Json]:
    yield from ({"type": f"response.{kind}.delta", **frame, "delta": piece} for piece in pieces(text))
    yield {"type": f"response.{kind}.done", **frame, member: text}


# --- what is asked ----------------------------------------------------------------------------------------------------


def _items(given: Any) -> list[Json]:
    return [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else given


def _text(content: Any) -> str:
    parts = [{"text": content}] if isinstance(content, str) else content or []
    return "\n".join(part["text"] for part in parts if "text" in part)


def _question(body: Json, items: list[Json]) -> Question:
    text, results = "", []
    for item in items:
        kind = item.get("type", "message")
        if kind == "message" and item["role"] == "user" and heard(_text(item["content"])):
            text, results = heard(_text(item["content"])), []
        elif kind in ("function_call_output", "custom_tool_call_output"):
            results.append(_text(item["output"]))
    asked = (body.get("text") or {}).get("format") or {}
    reasoning = body.get("reasoning") or {}
    offered = [tool for item in items if item.get("type") == "additional_tools" for tool in item["tools"]]
    return Question(
        text=text,
        results=tuple(results),
        tools=tuple(_tools([*(body.get("tools") or ()), *offered])),
        choice=_choice(body.get("tool_choice") or "auto"),
        is_parallel=body.get("parallel_tool_calls") is not False,
        schema=asked.get("schema"),
        thinks=bool(reasoning.get("summary") or reasoning.get("effort", "none") not in ("none", None)),
        proofs=tuple(item["encrypted_content"] for item in items if item.get("encrypted_content")),
    )


def _tools(tools: list[Json], namespace: str | None = None) -> Iterator[Tool]:
    for tool in tools:
        if tool["type"] == "namespace":
            yield from _tools(tool["tools"], tool["name"])
        elif tool["type"] == "function":
            yield Tool(tool["name"], tool.get("parameters") or {"type": "object"}, namespace)
        elif tool["type"] == "custom":
            yield Tool(tool["name"], None, namespace)


def _choice(choice: Any) -> str:
    if isinstance(choice, str):
        return "any" if choice == "required" else choice
    if choice["type"] == "allowed_tools":
        return "any" if choice["mode"] == "required" else "auto"
    return f"={choice['name']}"


# --- rules ------------------------------------------------------------------------------------------------------------

_ANSWERS = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}


def _check(body: Json, items: list[Json]) -> None:
    for tool in body.get("tools") or ():
        require("function" not in tool, "tools: Missing required parameter 'name'")
        if tool["type"] in ("function", "custom"):
            require(_TOOL_NAME.fullmatch(tool["name"]), f"tools: bad name {tool['name']!r}")
        if tool["type"] == "function":
            check_strict(tool.get("parameters"), f"function {tool['name']}", is_strict=tool.get("strict"))
    asked = (body.get("text") or {}).get("format") or {}
    check_strict(asked.get("schema"), "text.format", is_strict=asked.get("strict"))
    calls = {(item["type"], item["call_id"]) for item in items if item.get("type") in _ANSWERS.values()}
    answered = {(_ANSWERS[item["type"]], item["call_id"]) for item in items if item.get("type") in _ANSWERS}
    require(not answered - calls, f"input: No tool call found for {answered - calls}")
    require(not calls - answered, f"input: No tool output found for {calls - answered}")
    for number, item in enumerate(items):
        _check_item(item, f"input[{number}]", is_kept=body.get("store") is not False)


def _check_item(item: Json, place: str, *, is_kept: bool) -> None:
    kind = item.get("type", "message")
    if kind == "message":
        require(item["role"] in ("user", "assistant", "system", "developer"), f"{place}: bad role")
        parts = item["content"] if isinstance(item["content"], list) else []
        wanted = (
            ("output_text", "refusal") if item["role"] == "assistant" else ("input_text", "input_image", "input_file")
        )
        require(all(part["type"] in wanted for part in parts), f"{place}: bad content for {item['role']}")
    elif kind == "reasoning":
        require("summary" in item, f"{place}: Missing required parameter 'summary'")
        sealed = item.get("encrypted_content")
        require(sealed is None or sealed.startswith("gAAAAAB"), f"{place}: encrypted content could not be verified")
        require(sealed is not None or is_kept, f"{place}: Item with id '{item.get('id')}' not found (store is false)")
