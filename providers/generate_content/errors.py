"""Error answers of Google: ``{"error": {code, message, status, details[]}}``, at times inside a list.

Source: ai.google.dev/gemini-api/docs, "Troubleshooting"; google.rpc.Status, RetryInfo, ErrorInfo, BadRequest
(github.com/googleapis/googleapis, google/rpc/error_details.proto).
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import UpstreamRefused
from providers import openai_like

_DELAY = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,9})?)s")


class _Violation(Struct):
    field: Any = None


class _Detail(Struct, rename="camel"):
    """A detail of any kind; each kind sets one of these."""

    retry_delay: Any = None
    reason: Any = None
    field_violations: list[_Violation] | None = None


class _Error(Struct):
    status: Any = None
    details: list[msgspec.Raw] | None = None


class _Envelope(Struct):
    error: _Error


_read_envelope = msgspec.json.Decoder(_Envelope | list[_Envelope]).decode
_read_detail = msgspec.json.Decoder(_Detail).decode


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamRefused:
    """``native_type`` is Google's status word, ``native_code`` the reason if one is told. A delay that Google asks for
    in the body becomes the client's ``Retry-After`` unless a header says one already."""
    refused = openai_like.read_error(status, headers, body)
    error = _decode(body)
    refused.native_type = _text(error.status) or refused.native_type
    for detail in _details(error):
        refused.native_code = _text(detail.reason) or refused.native_code
        refused.param = _field_of(detail) or refused.param
        delay_s = _seconds(detail.retry_delay)
        if delay_s is not None and refused.retry_after_s is None:
            refused.retry_after_s = delay_s
            if "retry-after" not in headers:
                refused.headers = (*refused.headers, ("retry-after", str(math.ceil(delay_s))))
    return refused


def _decode(body: bytes) -> _Error:
    try:
        envelope = _read_envelope(body)
    except DECODE_ERRORS:
        return _Error()
    first: _Envelope | None = (envelope[0] if envelope else None) if isinstance(envelope, list) else envelope
    return first.error if first is not None else _Error()


def _details(error: _Error) -> list[_Detail]:
    details = []
    for raw in error.details or ():
        try:
            details.append(_read_detail(raw))
        except DECODE_ERRORS:
            continue
    return details


def _text(value: object) -> str:
    return openai_like.clean_message(value) if isinstance(value, str) else ""


def _field_of(detail: _Detail) -> str:
    return _text(detail.field_violations[0].field) if detail.field_violations else ""


def _seconds(delay: object) -> float | None:
    """A duration as JSON writes it: ``41s``, ``0.5s``."""
    match = _DELAY.fullmatch(delay) if isinstance(delay, str) else None
    return float(match[1]) if match else None
