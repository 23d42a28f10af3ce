"""What the Messages API says, as it says it: shapes, words and counts.

Source: platform.claude.com/docs, "Messages" (API reference), "Streaming messages", "Handling stop reasons", "Errors"
(2026-11).
"""

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.limits import MAX_TOKEN_COUNT
from gateway.core.types import Fault, FinishReason, Usage
from providers.openai_like import clean_message

FINISH_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "pause_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}

# The status each type of error has as a plain answer; inside a stream only the type is told.
ERROR_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

# --- shapes -----------------------------------------------------------------------------------------------------------

# the default of a raw member; a union with None would let the decoder take nothing but null
NULL = Raw(b"null")
# Counts are kept raw: one that is no sane number must not make the whole answer unreadable.
_MAX_COUNT_DIGITS = len(str(MAX_TOKEN_COUNT))


class _OutputDetails(Struct):
    thinking_tokens: Raw = NULL


class WireUsage(Struct):
    input_tokens: Raw = NULL
    cache_read_input_tokens: Raw = NULL
    cache_creation_input_tokens: Raw = NULL
    output_tokens: Raw = NULL
    output_tokens_details: _OutputDetails | None = None


class WireError(Struct):
    type: str = "api_error"
    message: str = "the provider reported an error"


_read_error = msgspec.json.Decoder(WireError).decode


class Stop(Struct):
    """Why and how the answer ended: members of a plain message, and of the ``delta`` in ``message_delta``."""

    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Raw = NULL
    container: Raw = NULL


class Message(Stop):
    type: str = "message"
    id: str = ""
    model: str = ""
    content: list[Raw] | None = None
    usage: WireUsage | None = None
    context_management: Raw = NULL
    error: WireError | None = None


class TextPiece(Struct, tag="text_delta"):
    text: str = ""


class CitationPiece(Struct, tag="citations_delta"):
    citation: Raw


class ThinkingPiece(Struct, tag="thinking_delta"):
    thinking: str = ""


class SignaturePiece(Struct, tag="signature_delta"):
    signature: str = ""


class InputPiece(Struct, tag="input_json_delta"):
    partial_json: str = ""


Piece = TextPiece | CitationPiece | ThinkingPiece | SignaturePiece | InputPiece


# --- usage and errors -------------------------------------------------------------------------------------------------


def read_usage(reported: WireUsage) -> Usage:
    """Anthropic counts cached parts of the prompt apart from ``input_tokens``; the core counts them in."""
    cache_read = read_count(reported.cache_read_input_tokens) or 0
    cache_write = read_count(reported.cache_creation_input_tokens) or 0
    details = reported.output_tokens_details
    return Usage(
        input_tokens=(read_count(reported.input_tokens) or 0) + cache_read + cache_write,
        output_tokens=read_count(reported.output_tokens) or 0,
        cache_read_tokens=cache_read,
        cache_write_tokens=cache_write,
        reasoning_tokens=(read_count(details.thinking_tokens) or 0) if details else 0,
    )


def read_count(raw: Raw) -> int | None:
    """A count of tokens; None for what is no whole number from 0 to ``MAX_TOKEN_COUNT``."""
    if raw is NULL:
        return None
    text = bytes(raw)
    count = int(text) if len(text) <= _MAX_COUNT_DIGITS and text.isdigit() else None
    return None if count is None or count > MAX_TOKEN_COUNT else count


def update_usage(known: WireUsage, news: WireUsage) -> None:
    """The counts of a stream are cumulative; one that is left out, or is no count, stays what it was."""
    for name in WireUsage.__struct_fields__:
        value = getattr(news, name)
        is_news = read_count(value) is not None if isinstance(value, Raw) else value is not None
        if is_news:
            setattr(known, name, value)


def not_less(before: Usage | None, now: Usage) -> Usage:
    """``now``, except that neither prompt nor output shrinks: what was reported once has been paid for."""
    if before is None:
        return now
    if now.input_tokens < before.input_tokens:
        now.input_tokens = before.input_tokens
        now.cache_read_tokens, now.cache_write_tokens = before.cache_read_tokens, before.cache_write_tokens
    if now.output_tokens < before.output_tokens:
        now.output_tokens, now.reasoning_tokens = before.output_tokens, before.reasoning_tokens
    return now


class MalformedError(ValueError):
    """The provider broke its own protocol. The message is public."""


def read_fault(error: WireError) -> Fault:
    return Fault(clean_message(error.message), ERROR_STATUS.get(error.type, 502), native_type=clean_message(error.type))


def read_error_member(raw: Raw) -> Fault:
    """The ``error`` of an answer or an event; it may be anything."""
    try:
        return read_fault(_read_error(raw))
    except DECODE_ERRORS:
        return read_fault(WireError())


def broken(reason: str) -> Fault:
    return Fault(reason, kind="upstream_broken")
