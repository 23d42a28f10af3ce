"""Events as the vendors frame them, and lists of words."""

import json
from typing import Any


def names(text: str) -> frozenset[str]:
    """The words of a text, for long lists of fields."""
    return frozenset(text.split())


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def event(type: str, **members: Any) -> bytes:
    """An event with its name, as Anthropic and OpenAI's Responses write it."""
    return f"event: {type}\ndata: {compact({'type': type, **members})}\n\n".encode()


def data(value: Any, line_end: str = "\n") -> bytes:
    """An event without a name."""
    return f"data: {compact(value)}{line_end * 2}".encode()
