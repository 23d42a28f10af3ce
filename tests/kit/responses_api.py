"""Streams and answers of the OpenAI Responses API, written down shortly."""

import itertools
import json
from collections.abc import Iterable
from typing import Any

from gateway.core.types import ContentDelta, Event, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta

Json = dict[str, Any]

USAGE: Json = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 5},
    "output_tokens": 15,
    "output_tokens_details": {"reasoning_tokens": 7},
    "total_tokens": 35,
}


def event(type: str, **members: Any) -> bytes:
    """One event as the API frames it."""
    data = json.dumps({"type": type, **members}, ensure_ascii=False, separators=(",", ":"))
    return f"event: {type}\ndata: {data}\n\n".encode()


def response(*output: Json, status: str = "completed", **members: Any) -> Json:
    """A response object; the one of a stream's beginning has ``status="in_progress"`` and no output."""
    frame = {"id": "resp_1", "object": "response", "created_at": 1751569118, "status": status, "error": None}
    usage = USAGE if status in ("completed", "incomplete") else None
    return {**frame, "incomplete_details": None, "model": "gpt-5", "output": [*output], "usage": usage, **members}


def answer(*output: Json, **members: Any) -> bytes:
    return json.dumps(response(*output, **members), ensure_ascii=False).encode()


def start() -> bytes:
    return event("response.created", response=response(status="in_progress")) + event(
        "response.in_progress", response=response(status="in_progress")
    )


def end(*output: Json, type: str = "response.completed", **members: Any) -> bytes:
    return event(type, response=response(*output, status=type.removeprefix("response."), **members))


# --- items ------------------------------------------------------------------------------------------------------------


def message(*texts: str, annotations: Iterable[Json] = (), id: str = "msg_1") -> Json:
    content = [{"type": "output_text", "annotations": [*annotations], "logprobs": [], "text": text} for text in texts]
    return {"id": id, "type": "message", "status": "completed", "content": content, "role": "assistant"}


def refusal(text: str) -> Json:
    return {**message(), "content": [{"type": "refusal", "refusal": text}]}


def thought(*summary: str, proof: str | None = None, content: Iterable[str] = (), id: str = "rs_1") -> Json:
    item: Json = {"id": id, "type": "reasoning", "summary": [{"type": "summary_text", "text": t} for t in summary]}
    if content:
        item["content"] = [{"type": "reasoning_text", "text": text} for text in content]
    return item if proof is None else {**item, "encrypted_content": proof}


def call(arguments: str = '{"a":[1]}', name: str = "look", call_id: str = "call_1") -> Json:
    frame = {"id": f"fc_{call_id}", "type": "function_call", "status": "completed"}
    return {**frame, "arguments": arguments, "call_id": call_id, "name": name}


def freeform(text: str, name: str = "apply_patch", call_id: str = "call_1") -> Json:
    frame = {"id": f"ctc_{call_id}", "type": "custom_tool_call", "status": "completed"}
    return {**frame, "call_id": call_id, "name": name, "input": text}


def search(query: str = "news") -> Json:
    action = {"type": "search", "query": query}
    return {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": action}


def picture(data: str, **members: Any) -> Json:
    return {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": data, **members}


# --- items in a stream ------------------------------------------------------------------------------------------------

_EMPTIED = {
    "message": {"content": []},
    "reasoning": {"summary": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
    "image_generation_call": {"result": None},
}


def streamed(place: int, item: Json, *, pieces: int = 2) -> bytes:
    """All the events of one item; its texts come in so many pieces, with 0 only whole."""
    opened = {**item, "status": "in_progress", **_EMPTIED.get(item["type"], {})}
    if item["type"] == "reasoning":
        opened = {name: value for name, value in opened.items() if name not in ("content", "encrypted_content")}
    added = event("response.output_item.added", output_index=place, item=opened)
    inner = b"".join(_texts(place, item, pieces))
    return added + inner + event("response.output_item.done", output_index=place, item=item)


def _texts(place: int, item: Json, pieces: int) -> Iterable[bytes]:
    if item["type"] == "function_call":
        yield _text("function_call_arguments", "arguments", item["arguments"], pieces, output_index=place)
    elif item["type"] == "custom_tool_call":
        yield _text("custom_tool_call_input", "input", item["input"], pieces, output_index=place)
    is_spoken = item["type"] in ("message", "reasoning")
    for number, part in enumerate(item.get("content", ()) if is_spoken else ()):
        where = {"output_index": place, "content_index": number}
        if part["type"] == "refusal":
            yield _text("refusal", "refusal", part["refusal"], pieces, **where)
        else:
            yield _text(part["type"], "text", part["text"], pieces, **where)
        for index, annotation in enumerate(part.get("annotations", ())):
            told = {"annotation_index": index, "annotation": annotation, **where}
            yield event("response.output_text.annotation.added", **told)
    for number, part in enumerate(item.get("summary", ())):
        where = {"output_index": place, "summary_index": number}
        yield _text("reasoning_summary_text", "text", part["text"], pieces, **where)


def _text(kind: str, member: str, text: str, pieces: int, **where: int) -> bytes:
    cuts = [len(text) * n // pieces for n in range(pieces + 1)] if pieces else []
    deltas = [event(f"response.{kind}.delta", **where, delta=text[a:b]) for a, b in itertools.pairwise(cuts)]
    return b"".join(deltas) + event(f"response.{kind}.done", **where, **{member: text})


def stream(*items: Json, pieces: int = 2, type: str = "response.completed", **members: Any) -> bytes:
    """A whole stream; the last event has the items once more."""
    body = b"".join(streamed(place, item, pieces=pieces) for place, item in enumerate(items))
    return start() + body + end(*items, type=type, **members)


# --- what comes of it -------------------------------------------------------------------------------------------------


def said(events: list[Event]) -> dict[str, Any]:
    """What the events say, with their pieces put together."""
    calls: dict[int, list[str]] = {}
    thoughts: dict[int, str] = {}
    for event in events:
        if isinstance(event, ReasoningDelta):
            thoughts[event.block] = thoughts.get(event.block, "") + event.text
        elif isinstance(event, ToolCallDelta):
            call = calls.setdefault(event.position, [event.id or "", event.name or "", ""])
            call[2] += event.arguments
    proofs = [e for e in events if isinstance(e, ReasoningDelta) and e.signature is not None]
    contents = [(e.field, json.loads(bytes(e.value))) for e in events if isinstance(e, ContentDelta)]
    members = {
        "text": "".join(e.text for e in events if isinstance(e, TextDelta)),
        "refusal": "".join(e.text for e in events if isinstance(e, RefusalDelta)),
        "thoughts": list(thoughts.values()),
        "proofs": [(e.block, e.signature, e.id, e.origin) for e in proofs],
        "calls": list(calls.values()),
        "content": contents,
    }
    return {name: value for name, value in members.items() if value}
