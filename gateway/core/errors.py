"""The error family: everything that can end a request badly.

    GatewayError
    ├─ source client      BadRequest ─ UnsupportedParameter, PreviousResponseNotFound,
    │                     Unauthorized, NotFound ─ ModelNotFound, EndpointNotSupported,
    │                     MethodNotAllowed, HeadRefused, RequestTimeout, TooLarge, HeadersTooLarge, UnsupportedMedia
    ├─ source gateway     Overloaded, StorageUnavailable, Internal
    └─ source upstream    UpstreamError
                          ├─ UpstreamRefused        the provider answered with an error status
                          ├─ UpstreamBroken         the answer broke off or made no sense
                          ├─ UpstreamUnreachable    nothing was sent (connect, TLS, DNS, proxy)
                          ├─ ShuttingDown           cut by the gateway itself (its source is the gateway)
                          └─ UpstreamTimeout        a deadline passed

``message`` is public: fixed words and judged values only. What only the operator may see goes to ``detail``, which is
logged and never sent. Client dialects render errors in their own shape; library exceptions are mapped to this family at
the I/O edge and nowhere else.
"""

import math
from typing import ClassVar


class GatewayError(Exception):
    """``code`` is the stable machine word, ``param`` the request field at fault if there is one."""

    code: ClassVar[str] = "internal_error"
    status: int = 500
    source: ClassVar[str] = "gateway"
    retryable: bool = False

    def __init__(
        self, message: str, *, param: str | None = None, detail: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.detail = detail
        self.retry_after_s = retry_after_s

    def for_log(self) -> str:
        """What the log says beside ``code``."""
        return self.detail or self.message

    def response_headers(self) -> tuple[tuple[str, str], ...]:
        """Headers that belong to an answer with this error."""
        return () if self.retry_after_s is None else (("Retry-After", str(math.ceil(self.retry_after_s))),)


class Internal(GatewayError):
    """A defect of ours. The public text says nothing about it; the log has the request id."""

    code = "internal_error"


class Overloaded(GatewayError):
    """The gateway has no room for the request at the moment."""

    code = "overloaded"
    status = 503


class StorageUnavailable(GatewayError):
    """What the gateway keeps for its clients cannot be read or written at the moment."""

    code = "storage_unavailable"
    status = 503


class ClientError(GatewayError):
    source = "client"


class BadRequest(ClientError):
    """The request is not well-formed, or a field of it is not."""

    code = "invalid_request"
    status = 400


class UnsupportedParameter(BadRequest):
    """The target cannot honour a field whose loss would change the answer."""

    code = "unsupported_parameter"


class PreviousResponseNotFound(BadRequest):
    """The response that a request continues is not known here."""

    code = "previous_response_not_found"


class Unauthorized(ClientError):
    """No key, or one that is not valid here."""

    code = "invalid_api_key"
    status = 401

    def response_headers(self) -> tuple[tuple[str, str], ...]:
        return (("WWW-Authenticate", "Bearer"),)  # RFC 9110, section 11.6.1


class NotFound(ClientError):
    """There is no such endpoint or object."""

    code = "not_found"
    status = 404


class ModelNotFound(NotFound):
    """No configured provider has the model."""

    code = "model_not_found"


class EndpointNotSupported(NotFound):
    """The model's provider does not offer this endpoint for it."""

    code = "endpoint_not_supported"


class MethodNotAllowed(ClientError):
    """The endpoint exists and has other methods.

    ``allowed`` are these methods, for the header ``Allow`` (RFC 9110, 15.5.6).
    """

    code = "method_not_allowed"
    status = 405
    allowed: tuple[str, ...] = ()

    def response_headers(self) -> tuple[tuple[str, str], ...]:
        return (("Allow", ", ".join(self.allowed)),)


class HeadRefused(ClientError):
    """The request head is not acceptable, and the connection is closed (417, 501 and 505 say in which way)."""

    code = "bad_request_head"
    status = 400

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class RequestTimeout(ClientError):
    """The request did not arrive in time."""

    code = "request_timeout"
    status = 408


class TooLarge(ClientError):
    """The request body is larger than `server.max_body`."""

    code = "request_too_large"
    status = 413


class UnsupportedMedia(ClientError):
    """The request body is compressed or otherwise encoded."""

    code = "unsupported_media_type"
    status = 415


class HeadersTooLarge(ClientError):
    """The request line or a header is too long."""

    code = "headers_too_large"
    status = 431


class UpstreamError(GatewayError):
    """``provider`` is the configured instance, ``upstream_status`` what it answered (0: it did not)."""

    code = "upstream_error"
    status = 502
    source = "upstream"
    retryable = True
    provider: str = ""
    upstream_status: int = 0
    # the provider cannot have seen any of the request, so that it may be sent again without a second thought
    nothing_sent: bool = False


class UpstreamRefused(UpstreamError):
    """The provider answered with an error status, which is kept.

    ``body`` is its answer, kept for a client of the same dialect (secrets already removed); ``native_type`` and
    ``native_code`` are the provider's own words for the error.
    """

    code = "upstream_refused"

    def __init__(
        self,
        message: str,
        *,
        upstream_status: int,
        retryable: bool,
        body: bytes = b"",
        content_type: str = "",
        native_type: str = "",
        native_code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message, param=param, retry_after_s=retry_after_s)
        self.status = self.upstream_status = upstream_status
        self.retryable = retryable
        self.body = body
        self.content_type = content_type
        self.native_type = native_type
        self.native_code = native_code
        self.headers = headers

    def for_log(self) -> str:
        # not the message: some providers quote the prompt in it
        return " ".join(filter(None, (str(self.upstream_status), self.native_type, self.native_code)))

    def response_headers(self) -> tuple[tuple[str, str], ...]:
        return self.headers  # the provider's own Retry-After is among them


class UpstreamBroken(UpstreamError):
    """The provider's answer broke off or made no sense."""

    code = "upstream_broken"


class UpstreamUnreachable(UpstreamError):
    """The provider could not be connected to; nothing was sent."""

    code = "upstream_unreachable"
    nothing_sent = True


class ShuttingDown(UpstreamError):
    """The gateway is being stopped, and the answer was not complete in time."""

    code = "shutting_down"
    status = 503
    source = "gateway"
    retryable = False


class UpstreamTimeout(UpstreamError):
    """The provider took too long.

    ``phase`` is the deadline that passed: connect, headers, first_token, stall or total.
    """

    code = "upstream_timeout"
    status = 504

    def __init__(self, message: str, *, phase: str) -> None:
        super().__init__(message)
        self.phase = phase
        self.nothing_sent = phase == "connect"
        # a second try cannot fit into a total that is already spent
        self.retryable = phase != "total"


def place_of(error: BaseException) -> str:
    """Type and place of a defect, for the log. Its text is left out: it may hold anything a client has sent."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown place"
    return f"{type(error).__name__} at {place}"
