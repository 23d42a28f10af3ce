"""Streams and answers of the Anthropic Messages API, written down shortly."""

import json
from typing import Any

Json = dict[str, Any]


def event(type: str, **members: Any) -> bytes:
    """One event as the API frames it; it pads its JSON with blanks before the closing brace."""
    data = json.dumps({"type": type, **members}, ensure_ascii=False, separators=(",", ":"))
    return f"event: {type}\ndata: {data[:-1]}  }}\n\n".encode()


def start(usage: Json | None = None, id: str = "msg_1", model: str = "claude-sonnet-4-5-20250929") -> bytes:
    usage = {"input_tokens": 20, "output_tokens": 1} if usage is None else usage
    message = {"id": id, "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": None}
    return event("message_start", message={**message, "usage": usage})


def block(index: int, content: Json, *deltas: Json) -> bytes:
    opened = event("content_block_start", index=index, content_block=content)
    pieces = [event("content_block_delta", index=index, delta=delta) for delta in deltas]
    return opened + b"".join(pieces) + event("content_block_stop", index=index)


def text(index: int, *pieces: str) -> bytes:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces))


def tool(index: int, id: str, name: str, *pieces: str) -> bytes:
    content = {"type": "tool_use", "id": id, "name": name, "input": {}}
    return block(index, content, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


def end(reason: str | None = "end_turn", usage: Json | None = None, **delta: Any) -> bytes:
    usage = {"output_tokens": 15} if usage is None else usage
    stop = {"stop_reason": reason, "stop_sequence": None, **delta}
    return event("message_delta", delta=stop, usage=usage) + event("message_stop")


def ping() -> bytes:
    return event("ping")


def answer(*content: Json, stop_reason: str | None = "end_turn", **members: Any) -> bytes:
    """A plain answer."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929"}
    usage = {"input_tokens": 20, "output_tokens": 15}
    ending = {"stop_reason": stop_reason, "stop_sequence": None, "usage": usage}
    return json.dumps({**message, "content": content, **ending, **members}, ensure_ascii=False).encode()
