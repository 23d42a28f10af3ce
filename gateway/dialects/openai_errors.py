"""Errors as every OpenAI-shaped endpoint tells them: ``{"error": {"message", "type", "param", "code"}}``.

The types are OpenAI's own (guide "Error codes", and its answers as recorded): everything that is the request's fault,
a wrong key included, is an ``invalid_request_error``. Clients choose their exception by the HTTP status and then read
``code``.
"""

import msgspec

from gateway.core.errors import GatewayError, UpstreamRefused
from gateway.core.types import Fault
from gateway.dialects.error_text import error_text
from gateway.dialects.refusal_words import told_code, told_type

_encode = msgspec.json.Encoder().encode


def error_body(error: GatewayError) -> bytes:
    """The JSON body of an error answer. A provider's own type and code are kept where they are OpenAI's words."""
    kind, code = None, error.code
    if isinstance(error, UpstreamRefused):
        kind, code = told_type(error), told_code(error)
    return _envelope(error_text(error), kind or _type_of(error.status), error.param, code)


def error_event(error: GatewayError) -> bytes:
    """The same, for a stream that has begun. No ``[DONE]`` follows: official clients raise on ``error``."""
    return b"data: " + error_body(error) + b"\n\n"


def fault_event(fault: Fault) -> bytes:
    return b"data: " + _envelope(fault.message, _type_of(fault.status), None, fault.kind) + b"\n\n"


def _envelope(message: str, kind: str, param: str | None, code: str) -> bytes:
    return _encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def _type_of(status: int) -> str:
    if status >= 500:
        return "server_error"
    return "rate_limit_error" if status == 429 else "invalid_request_error"
