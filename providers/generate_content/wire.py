"""What generateContent says, as it says it: shapes, words and counts.

Source: ai.google.dev/api/generate-content, "GenerateContentResponse", "Candidate", "UsageMetadata" (2026-11).
"""

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.limits import MAX_TOKEN_COUNT
from gateway.core.types import Fault, FinishReason, Usage
from providers.openai_like import clean_message

FINISH_REASONS = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "LANGUAGE": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
}
# The model has failed. Where it said nothing before, an empty answer would pass for one.
FAILURES = frozenset(
    (
        *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
        *("MALFORMED_RESPONSE", "NO_IMAGE", "IMAGE_OTHER", "OTHER"),
    )
)
UNSPECIFIED = frozenset(("", "FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED"))
# The HTTP status of each status word (google.rpc.Code).
ERROR_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}

# --- shapes -----------------------------------------------------------------------------------------------------------

# the default of a raw member; a union with None would let the decoder take nothing but null
NULL = Raw(b"null")
# Counts are kept raw: one that is no sane number must not make the whole answer unreadable.
_COUNT = re.compile(rb"[0-9]{1,16}")


class WireUsage(Struct, rename="camel"):
    prompt_token_count: Raw = NULL
    tool_use_prompt_token_count: Raw = NULL
    cached_content_token_count: Raw = NULL
    candidates_token_count: Raw = NULL
    thoughts_token_count: Raw = NULL
    prompt_tokens_details: Raw = NULL
    candidates_tokens_details: Raw = NULL


class WireCall(Struct):
    name: str = ""
    id: str | None = None
    args: Raw = NULL


class WireBlob(Struct, rename="camel"):
    mime_type: str = ""
    data: str = ""


class WirePart(Struct, rename="camel"):
    """The parts that are interpreted; others have none of these members."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: WireCall | None = None
    inline_data: WireBlob | None = None


class WireContent(Struct):
    parts: list[Raw] | None = None


class WireCandidate(Struct, rename="camel"):
    index: int | None = None
    content: WireContent | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    citation_metadata: Raw = NULL
    grounding_metadata: Raw = NULL
    url_context_metadata: Raw = NULL
    logprobs_result: Raw = NULL


class PromptFeedback(Struct, rename="camel"):
    block_reason: str | None = None


class WireAnswer(Struct, rename="camel"):
    """A plain answer, or one event of a stream."""

    candidates: list[WireCandidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: WireUsage | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None


# --- usage and errors -------------------------------------------------------------------------------------------------


class _Modality(Struct, rename="camel"):
    modality: Any = None
    token_count: Raw = NULL


_read_details = msgspec.json.Decoder(list[_Modality] | None).decode


def read_usage(reported: WireUsage) -> Usage | None:
    """Google counts thoughts beside the candidates, and what its own tools have read beside the prompt; the core counts
    them in. None when there is no count at all."""
    prompt, tools = read_count(reported.prompt_token_count), read_count(reported.tool_use_prompt_token_count)
    said, thought = read_count(reported.candidates_token_count), read_count(reported.thoughts_token_count)
    if (prompt, tools, said, thought) == (None, None, None, None):
        return None
    return Usage(
        input_tokens=(prompt or 0) + (tools or 0),
        output_tokens=(said or 0) + (thought or 0),
        cache_read_tokens=read_count(reported.cached_content_token_count) or 0,
        reasoning_tokens=thought or 0,
        input_audio_tokens=_read_audio(reported.prompt_tokens_details),
        output_audio_tokens=_read_audio(reported.candidates_tokens_details),
    )


def read_count(raw: Raw) -> int | None:
    """None for what is no whole number from 0 to ``MAX_TOKEN_COUNT``."""
    text = bytes(raw)
    count = int(text) if _COUNT.fullmatch(text) else None
    return None if count is None or count > MAX_TOKEN_COUNT else count


def _read_audio(details: Raw) -> int:
    try:
        counted = _read_details(details) or []
    except DECODE_ERRORS:
        return 0
    return sum(read_count(one.token_count) or 0 for one in counted if one.modality == "AUDIO")


def is_null(raw: Raw) -> bool:
    """Also of a member that was left out."""
    return raw is NULL or bytes(raw) == b"null"


def newest_counts(known: WireUsage, news: WireUsage) -> WireUsage:
    """Later counts replace earlier ones; one that is left out stays what it was."""
    for name in WireUsage.__struct_fields__:
        count = getattr(known, name)
        if count is not NULL and is_null(getattr(news, name)):
            # a copy: what it was cut from need not be kept for it
            setattr(news, name, count.copy())
    return news


class MalformedError(ValueError):
    """The provider broke its own protocol. The message is public."""


def read_fault(error: Any) -> Fault:
    """The ``error`` of an answer that began as a success: ``{code, message, status}``."""
    members = error if isinstance(error, dict) else {}
    code, word, message = members.get("code"), members.get("status"), members.get("message")
    word = word if isinstance(word, str) else ""
    status = code if isinstance(code, int) and 400 <= code <= 599 else ERROR_STATUS.get(word, 502)
    return Fault(
        clean_message(message if isinstance(message, str) else "") or "the provider reported an error",
        status,
        native_type=clean_message(word) or "error",
    )


def broken(reason: str) -> Fault:
    return Fault(reason, kind="upstream_broken")
