"""Plain answers of text and nothing else, as most are, read in one step.

``providers.claude.answer`` reads every answer. What it takes apart block by block is here decoded at once, for a fifth
of the cost. An answer with anything beside text and sane counts, or with a fault in it, is left to it.

Source: platform.claude.com/docs, "Messages" (API reference).
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.limits import MAX_TOKEN_COUNT
from gateway.core.types import Event, Finish, FinishReason, Start, TextDelta, Usage, UsageReport
from providers.claude.wire import FINISH_REASONS

_Count = Annotated[int, Meta(ge=0, le=MAX_TOKEN_COUNT)] | None


class _Text(Struct, gc=False):
    type: Literal["text"]
    text: str = ""
    citations: None = None


class _OutputDetails(Struct, gc=False):
    thinking_tokens: _Count = None


class _Usage(Struct, gc=False):
    input_tokens: _Count = None
    output_tokens: _Count = None
    cache_read_input_tokens: _Count = None
    cache_creation_input_tokens: _Count = None
    output_tokens_details: _OutputDetails | None = None


class _TextAnswer(Struct):
    """Members of type None are those that would have to be told, were they given."""

    content: list[_Text]
    stop_reason: str
    id: str = ""
    type: Literal["message"] = "message"
    model: str = ""
    stop_sequence: str | None = None
    usage: _Usage | None = None
    error: None = None
    stop_details: None = None
    container: None = None
    context_management: None = None


_read = msgspec.json.Decoder(_TextAnswer).decode


def read_text_answer(body: bytes) -> list[Event] | None:
    """The events of a plain answer. None for one that is not text alone."""
    try:
        answer = _read(body)
    except DECODE_ERRORS:
        return None
    events: list[Event] = [Start(answer.id, answer.model)]
    events += [TextDelta(block.text) for block in answer.content if block.text]
    if answer.usage is not None:
        events.append(UsageReport(_to_usage(answer.usage)))
    reason = FINISH_REASONS.get(answer.stop_reason, FinishReason.STOP)
    events.append(Finish(reason, answer.stop_reason, answer.stop_sequence))
    return events


def _to_usage(counts: _Usage) -> Usage:
    """See ``wire.read_usage``."""
    cache_read = counts.cache_read_input_tokens or 0
    cache_write = counts.cache_creation_input_tokens or 0
    details = counts.output_tokens_details
    return Usage(
        (counts.input_tokens or 0) + cache_read + cache_write,
        counts.output_tokens or 0,
        cache_read,
        cache_write,
        (details.thinking_tokens or 0) if details is not None else 0,
    )
