"""Errors as Anthropic tells them: ``{"type": "error", "error": {"type", "message", "details"?}}``.

Clients choose their exception by the HTTP status, then read ``error.type``; a few branch on
``error.details.error_code``. Source: platform.claude.com/docs, "Errors" (2026-11).
"""

import msgspec

from gateway.core.errors import GatewayError, UnsupportedParameter, UpstreamRefused
from gateway.core.types import Fault
from gateway.dialects.error_text import error_text
from gateway.dialects.refusal_words import own_code

_encode = msgspec.json.Encoder().encode

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# OpenAI has one word, ``invalid_request_error``, for many statuses; so of these only the status tells the type.
_KEPT_TYPES = frozenset(_TYPES.values()) - {"invalid_request_error"}

_Details = dict[str, object]
_THREAD_DETAILS: _Details = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}


def error_body(error: GatewayError) -> bytes:
    """The JSON body of an error answer. A provider's own type is kept where it is one of Anthropic's words."""
    native_type = error.native_type if isinstance(error, UpstreamRefused) else ""
    return _envelope(error_text(error), _type_of(error.status, native_type), _details(error))


def error_event(error: GatewayError) -> bytes:
    """The same, for a stream that has begun."""
    return b"event: error\ndata: " + error_body(error) + b"\n\n"


def fault_event(fault: Fault) -> bytes:
    """How a stream tells that its answer broke off. Nothing may follow it."""
    body = _envelope(fault.message, _type_of(fault.status, fault.native_type), None)
    return b"event: error\ndata: " + body + b"\n\n"


def _envelope(message: str, kind: str, details: _Details | None) -> bytes:
    error: dict[str, object] = {"type": kind, "message": message}
    if details is not None:
        error["details"] = details
    return _encode({"type": "error", "error": error})


def _details(error: GatewayError) -> _Details | None:
    """Official clients repeat a request that was refused for its ``thread`` in full, without it, when they read so
    here (the tool runner of Anthropic's SDKs)."""
    if isinstance(error, UnsupportedParameter) and error.param == "thread":
        return _THREAD_DETAILS
    code = own_code(error) if isinstance(error, UpstreamRefused) else None
    return None if code is None else {"error_code": code}


def _type_of(status: int, native_type: str) -> str:
    if native_type in _KEPT_TYPES:
        return native_type
    return _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
