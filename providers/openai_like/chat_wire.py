"""What chat completions say, as they say it: shapes and words.

Members whose kind differs between vendors are read as whatever they are, and judged where they are used: a member of an
odd kind must not make an answer unreadable.

Source: OpenAI API reference, "The chat completion object" and "The chat completion chunk object"; variants from
recorded traffic of other vendors.
"""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.types import Fault, FinishReason

FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.CONTENT_FILTER,
}
# The answer broke off: Mistral and OpenRouter, Z.ai, DeepSeek.
FAILURES = frozenset(("error", "network_error", "insufficient_system_resource"))


class WireMessage(Struct):
    """A message, or a piece of one."""

    content: Any = None
    tool_calls: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    refusal: Any = None
    function_call: Any = None
    annotations: Any = None
    images: Any = None
    audio: Any = None
    executed_tools: Any = None


class WireChoice(Struct):
    index: Any = 0
    delta: WireMessage | None = None
    message: WireMessage | None = None
    finish_reason: Any = None
    logprobs: Any = None
    # vLLM: the stop sequence that was met, or the number of a token
    stop_reason: Any = None
    error: Any = None
    # Moonshot
    usage: Any = None


class WireAnswer(Struct):
    """A completion or a chunk. ``message`` and ``type`` are told beside an error by some."""

    choices: list[WireChoice] | None = None
    usage: Any = None
    error: Any = None
    id: Any = None
    model: Any = None
    created: Any = None
    object: Any = None
    message: Any = None
    type: Any = None
    x_groq: Any = None
    citations: Any = None
    search_results: Any = None


_read = msgspec.json.Decoder(WireAnswer).decode
_read_members = msgspec.json.Decoder(dict[str, Any]).decode


def read_wire(data: bytes) -> WireAnswer:
    """Raises what ``DECODE_ERRORS`` names. An error is found in spite of choices that cannot be read."""
    try:
        return _read(data)
    except msgspec.ValidationError:
        members = _read_members(data)
        if not members.get("error"):
            raise
        return WireAnswer(error=members["error"], message=members.get("message"))


class BrokenOffError(Exception):
    """The answer cannot go on: an error was told, or the vendor broke its own protocol."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def broken(reason: str) -> Fault:
    return Fault(reason, kind="upstream_broken")
