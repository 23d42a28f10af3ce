"""Usage as OpenAI-shaped vendors report it, and what a plain answer says about itself.

Sources: OpenAI API reference, "The chat completion object"; variants from recorded traffic of other vendors.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.limits import MAX_TOKEN_COUNT
from gateway.core.types import Usage
from providers.contract import Summary
from providers.openai_like.errors import read_fault

JsonObject = dict[str, Any]

_Count = Annotated[int, Meta(ge=0, le=MAX_TOKEN_COUNT)] | None


class _Details(Struct):
    cached_tokens: _Count = None
    cache_write_tokens: _Count = None
    reasoning_tokens: _Count = None
    audio_tokens: _Count = None


class _Reported(Struct):
    """A usage object in any of its vendors' spellings."""

    prompt_tokens: _Count = None
    completion_tokens: _Count = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    input_tokens: _Count = None
    output_tokens: _Count = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: _Count = None
    cached_tokens: _Count = None
    cache_creation_input_tokens: _Count = None
    reasoning_tokens: _Count = None
    total_tokens: _Count = None


_NO_DETAILS = _Details()


def _to_usage(reported: _Reported) -> Usage:
    prompt = reported.prompt_tokens_details or reported.input_tokens_details or _NO_DETAILS
    completion = reported.completion_tokens_details or reported.output_tokens_details or _NO_DETAILS
    input_tokens = reported.prompt_tokens or reported.input_tokens or 0
    output_tokens = reported.completion_tokens or reported.output_tokens or 0
    reasoning_tokens = completion.reasoning_tokens or reported.reasoning_tokens or 0
    # xAI counts reasoning beside the completion; only the total tells
    if reasoning_tokens and reported.total_tokens == input_tokens + output_tokens + reasoning_tokens:
        output_tokens += reasoning_tokens
    return Usage(
        input_tokens,
        output_tokens,
        prompt.cached_tokens or reported.prompt_cache_hit_tokens or reported.cached_tokens or 0,
        prompt.cache_write_tokens or reported.cache_creation_input_tokens or 0,
        reasoning_tokens,
        prompt.audio_tokens or 0,
        completion.audio_tokens or 0,
    )


def read_usage(reported: Mapping[str, object]) -> Usage:
    """The usage object of a chat completion or an embedding. A count that is missing or no sane number is 0."""
    try:
        return _to_usage(msgspec.convert(reported, _Reported))
    except DECODE_ERRORS:
        return _to_usage(msgspec.convert(_sane(reported), _Reported))


def _sane(value: Mapping[str, object]) -> dict[str, object]:
    """Only what ``_Reported`` can hold: whole numbers that may be counts, and objects of such."""
    details = {name: counts_of(member) for name, member in value.items() if isinstance(member, dict)}
    return {**counts_of(value), **{name: counts for name, counts in details.items() if name.endswith("_details")}}


def counts_of(members: Mapping[str, object]) -> dict[str, int]:
    return {
        name: int(number)
        for name, number in members.items()
        if isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number <= MAX_TOKEN_COUNT
        if not name.endswith("_details")
    }


# --- a plain answer -------------------------------------------------------------------------------------------------


_REASON = re.compile(r"[a-zA-Z_]{1,64}")


def plain_reason(said: str | None) -> str | None:
    """A finish reason as the record keeps it: the provider's word if it is one, else ``other``."""
    if not said:
        return None
    return said if _REASON.fullmatch(said) else "other"


class _PlainChoice(Struct):
    finish_reason: str | None = None


class _PlainAnswer(Struct):
    choices: list[_PlainChoice] | None = None
    usage: _Reported | None = None
    error: Any = None


_read_plain = msgspec.json.Decoder(_PlainAnswer).decode
read_members = msgspec.json.Decoder(JsonObject).decode


def read_summary(body: bytes) -> Summary:
    """Usage and finish reason of a plain answer. ``ValueError`` when the body is no JSON object; an object with members
    of odd types is still somebody's answer and only tells less. An object with an ``error`` and no ``choices`` or
    ``data`` is a fault, whatever its status."""
    try:
        answer = _read_plain(body)
    except msgspec.ValidationError:
        return _read_loosely(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"the answer is no JSON object: {error}") from None
    if answer.error:
        return _read_loosely(body)
    usage = _to_usage(answer.usage) if answer.usage else None
    return Summary(usage, plain_reason(answer.choices[0].finish_reason) if answer.choices else None)


def _read_loosely(body: bytes) -> Summary:
    try:
        members = read_members(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"the answer is no JSON object: {error}") from None
    usage, told, choices = members.get("usage"), members.get("error"), members.get("choices")
    first = choices[0] if choices and isinstance(choices, list) else None
    reason = first.get("finish_reason") if isinstance(first, dict) else None
    return Summary(
        read_usage(usage) if usage and isinstance(usage, dict) else None,
        plain_reason(reason) if isinstance(reason, str) else None,
        read_fault(told) if told and not choices and not members.get("data") else None,
    )
