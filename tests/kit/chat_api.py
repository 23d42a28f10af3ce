"""Answers of OpenAI's chat completions, written down shortly."""

import json
from typing import Any

Json = dict[str, Any]

USAGE: Json = {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29}
DONE = b"data: [DONE]\n\n"


def completion(content: str | None = "Hello!", *, model: str = "gpt-test-2026-01-01", **message: Any) -> bytes:
    """A plain answer, spaced as no encoder of ours would."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, "refusal": None, **message},
        "logprobs": None,
        "finish_reason": "tool_calls" if "tool_calls" in message else "stop",
    }
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": model}
    return json.dumps({**answer, "choices": [choice], "usage": USAGE}, indent=2, ensure_ascii=False).encode()


def event(members: Json) -> bytes:
    return b"data: " + json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def _chunk(choices: list[Json], **members: Any) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-test-2026"}
    return event({**head, "choices": choices, **members})


def delta(finish_reason: str | None = None, index: int = 0, **fields: Any) -> bytes:
    """A chunk with one choice whose delta has ``fields``."""
    return _chunk([{"index": index, "delta": fields, "logprobs": None, "finish_reason": finish_reason}])


def role() -> bytes:
    return delta(role="assistant", content="", refusal=None)


def text(*pieces: str) -> bytes:
    return b"".join(delta(content=piece) for piece in pieces)


def usage() -> bytes:
    """The chunk a provider adds when usage was asked for."""
    return _chunk([], usage=USAGE)


def whole_stream(*pieces: str) -> bytes:
    """A stream of text from beginning to end, without usage."""
    return role() + text(*pieces) + delta("stop") + DONE


def error(message: str = "The server had an error.", type: str = "server_error", **members: Any) -> bytes:
    """An error body, indented as OpenAI indents it."""
    return json.dumps(
        {"error": {"message": message, "type": type, "param": None, "code": None, **members}}, indent=4
    ).encode()
