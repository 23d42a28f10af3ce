"""The error family: everything that can end a request badly.

    GatewayError
    ├─ source client      BadRequest ─ UnsupportedParameter, Unauthorized, Forbidden, NotFound ─ ModelNotFound,
    │                     MethodNotAllowed, RequestTimeout, TooLarge, HeadersTooLarge, UnsupportedMedia, RateLimited
    ├─ source gateway     Overloaded, ShuttingDown, Internal
    └─ source upstream    UpstreamError
                          ├─ UpstreamRefused        the provider answered with an error status
                          ├─ UpstreamBroken         the answer broke off or made no sense
                          ├─ UpstreamUnreachable    nothing was sent (connect, TLS, DNS, proxy)
                          └─ UpstreamTimeout        a deadline passed

``message`` is public: fixed words and judged values only. What only the operator may see goes to ``detail``, which is
logged and never sent. Client dialects render errors in their own shape; library exceptions are mapped to this family at
the I/O edge and nowhere else.
"""

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


class Internal(GatewayError):
    """A defect of ours. The public text says nothing about it; the log has the request id."""


class Overloaded(GatewayError):
    code = "overloaded"
    status = 503


class ShuttingDown(GatewayError):
    code = "shutting_down"
    status = 503


class ClientError(GatewayError):
    source = "client"


class BadRequest(ClientError):
    code = "invalid_request"
    status = 400


class UnsupportedParameter(BadRequest):
    """The target cannot honour a field whose loss would change the answer."""

    code = "unsupported_parameter"


class Unauthorized(ClientError):
    code = "invalid_api_key"
    status = 401


class Forbidden(ClientError):
    code = "forbidden"
    status = 403


class NotFound(ClientError):
    code = "not_found"
    status = 404


class ModelNotFound(NotFound):
    code = "model_not_found"


class MethodNotAllowed(ClientError):
    code = "method_not_allowed"
    status = 405


class HeadRefused(ClientError):
    """The request head is not acceptable; ``status`` says in which way."""

    code = "bad_request_head"

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class RequestTimeout(ClientError):
    code = "request_timeout"
    status = 408


class TooLarge(ClientError):
    code = "request_too_large"
    status = 413


class UnsupportedMedia(ClientError):
    code = "unsupported_media_type"
    status = 415


class RateLimited(ClientError):
    code = "rate_limit_exceeded"
    status = 429


class HeadersTooLarge(ClientError):
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
    """The provider answered with an error status.

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


class UpstreamBroken(UpstreamError):
    code = "upstream_broken"


class UpstreamUnreachable(UpstreamError):
    code = "upstream_unreachable"
    nothing_sent = True


class UpstreamTimeout(UpstreamError):
    """``phase`` is the deadline that passed: connect, headers, first_token, stall or total."""

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
