"""Error answers of OpenAI-shaped vendors: the envelope of OpenAI and what others make of it."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import UpstreamRefused
from gateway.core.names import is_header_value
from gateway.core.types import Fault

# What vendors' keys look like; some of them repeat the caller's key in a 401. In JSON the letter or digit before a key
# may be the end of an escape such as \n or \u0027.
_KEY_SHAPES = re.compile(
    r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4}))"
    r"(?:sk-[A-Za-z0-9_*.\-]{6,}|(?:gsk_|xai-|nvapi-|hf_|r8_|pplx-|csk-|fw_|tgp_)[A-Za-z0-9_*\-]{16,}|AIza[\w*\-]{20,})"
)
_KEY_SHAPES_IN_BYTES = re.compile(_KEY_SHAPES.pattern.encode())
_MAX_MESSAGE_CHARS = 2000
# Codes that mean: the same request may succeed a moment later.
RETRYABLE_STATUS = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529))
_CLIENT_HEADERS = ("retry-after", "retry-after-ms", "x-should-retry")
# The three forms of an HTTP date (RFC 9110, 5.6.7) begin with the day of the week and have a time in them.
_HTTP_DATE = re.compile(r" *(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? .*[0-9]{2}:[0-9]{2}:[0-9]{2}.*")


class _ErrorBody(Struct):
    error: Any = None
    message: Any = None
    detail: Any = None
    type: Any = None
    code: Any = None
    param: Any = None


_read_error_body = msgspec.json.Decoder(_ErrorBody | list[_ErrorBody]).decode


def clean_message(text: str) -> str:
    """Provider text that may be shown: without anything that looks like a key, without control characters, bounded."""
    text = "".join(c if c.isprintable() or c == "\n" else " " for c in text[:_MAX_MESSAGE_CHARS])
    return _KEY_SHAPES.sub("[key removed]", text).strip()


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamRefused:
    """An error answer in the OpenAI envelope ``{"error": {message, type, param, code}}`` or a vendor's variant."""
    try:
        decoded = _read_error_body(body)
    except DECODE_ERRORS:
        decoded = _ErrorBody()
    envelope = (decoded[0] if decoded else _ErrorBody()) if isinstance(decoded, list) else decoded
    error = envelope.error if isinstance(envelope.error, dict) else {}
    message = first_text(error.get("message"), envelope.error, envelope.message, envelope.detail)
    if not message and headers.get("content-type", "").startswith("text/plain"):
        message = body.decode("utf-8", "replace")
    native_code = error.get("code", envelope.code)
    refused = UpstreamRefused(
        clean_message(message) or f"the provider answered {status} without saying why",
        upstream_status=status,
        retryable=may_retry(headers, status in RETRYABLE_STATUS),
        native_type=_text(error.get("type") or envelope.type),
        native_code=None if native_code is None else _text(native_code),
        param=_text(error.get("param") or envelope.param) or None,
        retry_after_s=read_retry_after(headers),
        headers=tuple((name, headers[name]) for name in _CLIENT_HEADERS if is_header_value(headers.get(name, "\n"))),
    )
    if isinstance(decoded, _ErrorBody) and isinstance(error.get("message"), str):
        refused.body = _KEY_SHAPES_IN_BYTES.sub(b"[key removed]", body)
        refused.content_type = "application/json"
    return refused


def _text(value: object) -> str:
    return clean_message(str(value)) if isinstance(value, str | int | float) else ""


def first_text(*values: object) -> str:
    """The first value that says something; lists and objects (errors told field by field) as JSON."""
    said = next((value for value in values if value and isinstance(value, str | list | dict)), "")
    try:
        return said if isinstance(said, str) else msgspec.json.encode(said).decode()
    except RecursionError:
        return ""


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as the provider says: ``retry-after-ms`` or ``Retry-After`` in seconds (RFC 9110, 10.2.3; its
    date form is left to the client, see ``may_retry``). None when it does not say."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if 0 <= seconds < 1e6:
            return seconds
    return None


def may_retry(headers: Mapping[str, str], otherwise: bool) -> bool:
    """May the gateway try again? ``x-should-retry: true`` or ``false`` decides, else ``otherwise``. A ``Retry-After``
    date always says no: without a clock the wait is unknown, and trying sooner is what the provider asked not to do."""
    if read_retry_after(headers) is None and _HTTP_DATE.fullmatch(headers.get("retry-after", "")):
        return False
    advice = headers.get("x-should-retry", "")
    return advice == "true" or (advice != "false" and otherwise)


def read_fault(error: object, message: object = None, native_type: object = None) -> Fault:
    """The ``error`` member of an answer that began as a success; ``message`` and ``native_type`` are what stands beside
    it. The status is 502 when the error names none."""
    members = error if isinstance(error, dict) else {}
    statuses = (_error_status(members.get(name)) for name in ("status_code", "code", "status"))
    text = clean_message(first_text(members.get("message"), error, message))
    return Fault(
        text or "the provider reported an error",
        next(filter(None, statuses), 502),
        native_type=clean_message(first_text(members.get("type"), native_type)),
    )


def _error_status(value: object) -> int:
    """An HTTP status, written as a number or as text; 0 when it is none."""
    text = str(value) if isinstance(value, int | str) else ""
    return int(text) if re.fullmatch(r"[45][0-9]{2}", text) else 0
