"""What the Responses API says of an answer, as it says it: its frame, its counts, its end and its errors.

A response is one object: ``id``, ``status``, ``output`` and so on. A plain answer is that object; a stream sends it in
its first event and, complete, in its last. Members are kept raw and read one by one, so that one of an odd type hides
no other.

Source: OpenAI API reference, "The response object", "Streaming events" and "Get input token counts" (2026-11); variants
from recorded traffic of other vendors.
"""

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.types import Fault, FinishReason, Usage
from providers.openai_like.errors import clean_message, read_fault
from providers.openai_like.usage import counts_of, read_members, read_usage

# the default of a raw member; a union with None would let the decoder take nothing but null
NULL = Raw(b"null")
# Calls that the client answers; all others are the work of the provider.
CALL_TYPES = frozenset(("function_call", "custom_tool_call"))

# The status that fits an error; inside an answer only its code is told.
_STATUS = {
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "server_error": 500,
    "slow_down": 503,
    "server_is_overloaded": 503,
    "vector_store_timeout": 504,
    "context_length_exceeded": 400,
    "failed_to_download_image": 400,
    "bio_policy": 400,
    "misalignment_policy_violation": 400,
}


class WireResponse(Struct):
    id: Raw = NULL
    model: Raw = NULL
    created_at: Raw = NULL
    status: Raw = NULL
    output: Raw = NULL
    usage: Raw = NULL
    error: Raw = NULL
    incomplete_details: Raw = NULL


class WireError(Struct):
    """An ``error`` event: its members stand in the event itself, or in an ``error`` object."""

    error: Raw = NULL
    message: Raw = NULL
    code: Raw = NULL


class ItemKind(Struct):
    type: str = ""


class _Incomplete(Struct):
    reason: str | None = None


class MalformedError(ValueError):
    """The provider broke its own protocol. The message is public."""


read_response = msgspec.json.Decoder(WireResponse).decode
read_wire_error = msgspec.json.Decoder(WireError).decode
read_item_kind = msgspec.json.Decoder(ItemKind).decode
read_list = msgspec.json.Decoder(list[Raw]).decode
_read_text = msgspec.json.Decoder(str).decode
_read_number = msgspec.json.Decoder(float).decode
_read_any = msgspec.json.Decoder().decode
_read_incomplete = msgspec.json.Decoder(_Incomplete).decode


def is_given(raw: Raw) -> bool:
    return bytes(raw) not in (b"null", b"")


def text_of(raw: Raw) -> str:
    """Empty for what is no text."""
    try:
        return _read_text(raw)
    except DECODE_ERRORS:
        return ""


def count_of(raw: Raw) -> int | None:
    """A number of tokens or seconds; None for what is none."""
    try:
        return counts_of({"n": _read_number(raw)}).get("n")
    except DECODE_ERRORS:
        return None


def usage_of(response: WireResponse) -> Usage | None:
    """None as long as the provider has not counted."""
    try:
        return read_usage(read_members(response.usage)) if is_given(response.usage) else None
    except DECODE_ERRORS:
        return None


def has_calls(output: Raw) -> bool:
    """Does the output hold a call that the client must answer?"""
    try:
        return any(read_item_kind(item).type in CALL_TYPES for item in read_list(output))
    except DECODE_ERRORS:
        return False


def end_of(response: WireResponse, *, calls: bool, is_cut: bool = False) -> tuple[FinishReason, str]:
    """Why a response that came to its end ended, in the field's word and in the provider's. ``is_cut``: it is known to
    be incomplete. Whatever left it so cut it short, and an unknown reason reads as ``length``."""
    if not is_cut and text_of(response.status) != "incomplete":
        return FinishReason.TOOL_CALLS if calls else FinishReason.STOP, "completed"
    try:
        native = _read_incomplete(response.incomplete_details).reason or ""
    except DECODE_ERRORS:
        native = ""
    reason = FinishReason.CONTENT_FILTER if native == "content_filter" else FinishReason.LENGTH
    return reason, clean_message(native) or "incomplete"


# --- errors -----------------------------------------------------------------------------------------------------------


def broken(reason: str) -> Fault:
    return Fault(reason, kind="upstream_broken")


def fault_in(response: WireResponse) -> Fault | None:
    """The error that a response ended with."""
    status = text_of(response.status)
    if status == "failed" or (is_given(response.error) and status not in ("completed", "incomplete")):
        return fault_of(WireError(response.error))
    return None


def fault_of(told: WireError) -> Fault:
    """``code`` is the API's own word for an error; ``type`` stands in where there is none."""
    error = _decoded(told.error)
    members = error if isinstance(error, dict) else {}
    codes = (members.get("code"), text_of(told.code), members.get("type"))
    code = next((word for word in codes if isinstance(word, str) and word), "")
    fault = read_fault(error, text_of(told.message))
    fault.native_type = clean_message(code)
    if fault.status == 502:
        fault.status = _STATUS.get(code, 400 if code.startswith("invalid_") or "image" in code else 502)
    return fault


def _decoded(raw: Raw) -> object:
    try:
        return _read_any(raw)
    except DECODE_ERRORS:
        return None
