"""One connection to a provider: bytes in, calls to the receiver out, nothing between them.

    IDLE ──start──> SENT ──first byte──> HEAD ──head──> BODY ──end──> COMPLETE ──> IDLE or CLOSED
                      │                   ^ └─1xx head─> INFORMATIONAL ─┐
                      │                   └─────────────────────────────┘
                      └──closed, if the connection was used before──> the pool sends the request anew

The parser's callbacks call the receiver directly. The end is the exception: it is told after the parser has seen the
whole read, because bytes behind the end make the response invalid, and because the receiver may use the connection
again at once.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

from httptools import HttpParserCallbackError, HttpParserError, HttpResponseParser

from gateway.core.errors import UpstreamBroken, UpstreamError
from gateway.core.limits import (
    MAX_INFORMATIONAL_RESPONSES,
    MAX_JOINED_REQUEST_BYTES,
    MAX_UPSTREAM_HEADER_BYTES,
    MAX_UPSTREAM_HEADERS,
)
from gateway.upstream.exchange import HttpExchange
from gateway.upstream.framing import FramingError, ends_with_connection, judge_size
from gateway.upstream.tls import is_end_authentic
from gateway.upstream.upload import BODYLESS_METHODS

IDLE: Final = 0
SENT: Final = 1
HEAD: Final = 2
INFORMATIONAL: Final = 3
BODY: Final = 4
COMPLETE: Final = 5
CLOSED: Final = 6

_PLACES: Final = {SENT: "before the response", BODY: "in the response body"}


class _NoBody(Exception):
    """Stops the parser behind the head of a response to HEAD: it would wait for the body that the head describes."""


class Owner(Protocol):
    """The pool, as far as a connection needs it."""

    def settle(self, exchange: HttpExchange) -> None:
        """The exchange is over; its receiver is about to be told."""

    def release(self, connection: "UpstreamConnection", now: float) -> None:
        """The connection may carry another exchange."""

    def fail(self, exchange: HttpExchange, error: UpstreamError) -> None:
        """The exchange is over: settle it and tell its receiver."""

    def resend(self, exchange: HttpExchange, stale: "UpstreamConnection") -> None:
        """The connection was closed before it carried anything back: send the request on a fresh one."""

    def closed(self, connection: "UpstreamConnection") -> None:
        """The socket is gone."""


class UpstreamConnection(asyncio.Protocol):
    """A keep-alive connection that carries one exchange at a time.

    ``born_at`` and ``idle_since`` are loop times; ``is_reused`` says that it has carried an exchange to its end.
    """

    __slots__ = (
        "_exchange",
        "_headers",
        "_informational_count",
        "_is_http11",
        "_keep_alive",
        "_overhead_bytes",
        "_owner",
        "_parser",
        "_state",
        "_time",
        "_transport",
        "_until_eof",
        "born_at",
        "idle_since",
        "is_reused",
    )

    _transport: asyncio.Transport

    def __init__(self, owner: Owner, time: Callable[[], float]) -> None:
        self._owner = owner
        self._time = time
        self._parser = HttpResponseParser(self)
        self._exchange: HttpExchange | None = None
        self._state = CLOSED
        self._headers: list[tuple[bytes, bytes]] = []
        # bytes since the last piece of body: heads, chunk framing, trailers
        self._overhead_bytes = 0
        self._is_http11 = False
        self._informational_count = 0
        self._keep_alive = self._until_eof = False
        self.is_reused = False
        self.born_at = self.idle_since = time()

    # --- for the pool and the exchange --------------------------------------------------------------------------------

    def is_usable(self) -> bool:
        """Whether a request may be written: nobody uses the connection and its socket is not known to be closed."""
        return self._state == IDLE and not self._transport.is_closing()

    def start(self, exchange: HttpExchange, now: float) -> None:
        """Send the exchange's request; the connection must be usable."""
        self._exchange = exchange
        self._state = SENT
        exchange.connection = self
        if exchange.is_upload:
            self._transport.write(exchange.begin(now))
            if exchange.is_paused:
                self.pause_reading()
            return
        exchange.deadlines.sent(now)
        head, body = exchange.head, exchange.body
        if not body and head.startswith(BODYLESS_METHODS):
            exchange.is_head = head.startswith(b"HEAD ")
            self._transport.write(head + b"\r\n")
        elif len(body) <= MAX_JOINED_REQUEST_BYTES:
            self._transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
        else:
            self._transport.write(b"%bContent-Length: %d\r\n\r\n" % (head, len(body)))
            self._transport.write(body)
        if exchange.is_paused:
            self.pause_reading()

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """More of an upload's body."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def unsent_bytes(self) -> int:
        """What was written and the kernel has not taken yet."""
        return self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """Close the socket now; whatever it carried is told nothing more from here."""
        self._exchange = None
        if self._state != CLOSED:
            self._state = CLOSED
            self._transport.abort()

    # --- asyncio.Protocol ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._state = IDLE

    def pause_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.pause_writing()

    def resume_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.resume_writing()

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            self.abort()  # nobody asked: a late second answer must never meet the next request
            return
        exchange.deadlines.progressed_at = self._time()
        if self._state == SENT:
            self._state = HEAD
            self._overhead_bytes = 0
            # it will not be sent again: a long prompt need not stay in memory while its answer streams
            exchange.head = exchange.body = b""
            self._is_http11 = data.startswith(b"HTTP/1.1 ")
            if not (self._is_http11 or data.startswith(b"H")):  # the parser would take RTSP, ICE and empty lines too
                self._break("the response does not begin with HTTP")
                return
        self._overhead_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._stopped(error)
            return
        if self._state == COMPLETE:
            self._finish()
        elif self._overhead_bytes > MAX_UPSTREAM_HEADER_BYTES:
            self._break("the response head, chunk framing or trailers are too long")

    def eof_received(self) -> None:
        if self._state == BODY and self._until_eof and is_end_authentic(self._transport):
            self._keep_alive = False
            self._finish()
        else:
            self._transport.abort()  # a plain close would first wait for the request to be written

    def connection_lost(self, exc: Exception | None) -> None:
        exchange, state = self._exchange, self._state
        self._exchange = None
        self._state = CLOSED
        del self._parser  # it holds our bound methods: without it no reference cycle is left
        if exchange is not None and state == SENT and self.is_reused and exchange.may_resend():
            self._owner.resend(exchange, self)
            return
        self._owner.closed(self)
        if exchange is not None:
            self._owner.fail(exchange, _cut_off(state, exc))

    # --- callbacks of the parser --------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._state == COMPLETE:
            raise FramingError("bytes follow the end of the response")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        parser = self._parser
        headers, self._headers = self._headers, []  # what is added from here on are trailers, which are dropped
        status = parser.get_status_code()
        version = "1.1" if self._is_http11 else parser.get_http_version()
        self._until_eof = ends_with_connection(status, headers, version)
        if len(headers) > MAX_UPSTREAM_HEADERS or self._overhead_bytes > MAX_UPSTREAM_HEADER_BYTES:
            judge_size(headers)
        if status < 200:
            self._state = INFORMATIONAL
            self._is_http11 = False  # the next head may differ
            return
        self._state = BODY
        self._overhead_bytes = 0
        # the parser knows this only now: at the end of the message it has forgotten the fields
        self._keep_alive = parser.should_keep_alive()
        deadlines = exchange.deadlines
        deadlines.answered(deadlines.progressed_at)
        exchange.receiver.response_started(status, headers)
        if exchange.is_head and self._exchange is not None:
            raise _NoBody

    def on_body(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is not None:
            self._overhead_bytes = 0
            exchange.receiver.data_received(data)

    def on_message_complete(self) -> None:
        if self._state == BODY:
            self._state = COMPLETE
        elif self._state == INFORMATIONAL:
            self._state = HEAD
            self._informational_count += 1
            if self._informational_count > MAX_INFORMATIONAL_RESPONSES:
                raise FramingError("the provider sends informational responses without end")

    # --- ends ---------------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        exchange = self._exchange
        assert exchange is not None
        self._exchange = None
        if exchange.is_paused:
            self.resume_reading()  # an idle connection must see its end
        receiver = exchange.receiver
        self._owner.settle(exchange)
        try:
            receiver.response_ended()
        except BaseException:
            self.abort()
            raise
        transport = self._transport
        if (
            self._keep_alive
            and self._state == COMPLETE
            and not transport.is_closing()
            and not transport.get_write_buffer_size()  # answered early: the rest of the request may never be read
        ):
            self._state = IDLE
            self.is_reused = True
            self._informational_count = 0
            if self._headers:
                self._headers = []
            self._owner.release(self, exchange.deadlines.progressed_at)
        else:
            self.abort()

    def _stopped(self, error: Exception) -> None:
        """The parser gave up: over the bytes, over our judgement of them, or because the receiver raised."""
        cause = error.__context__ if isinstance(error, HttpParserCallbackError) else None
        if isinstance(cause, _NoBody):
            # where the head ended within the read is not known any more, so nothing else may come on this connection
            self._keep_alive = False
            self._finish()
            return
        if self._state == CLOSED and (cause is None or isinstance(cause, FramingError)):
            return  # cancelled by its receiver in the middle of a read: the rest is of no interest
        if cause is None or isinstance(cause, FramingError):
            self._break(str(cause or error))
            return
        self._fail(_defect(cause))
        raise cause

    def _break(self, reason: str) -> None:
        self._fail(UpstreamBroken("The provider's answer is not valid HTTP/1.1.", detail=reason))

    def _fail(self, error: UpstreamError) -> None:
        exchange = self._exchange
        self.abort()
        if exchange is not None:
            self._owner.fail(exchange, error)


def _cut_off(state: int, cause: Exception | None) -> UpstreamBroken:
    place = _PLACES.get(state, "in the response head")
    how = "the peer closed the connection" if cause is None else repr(cause)
    return UpstreamBroken("The provider's connection closed before its answer was complete.", detail=f"{how} {place}")


def _defect(cause: BaseException) -> UpstreamBroken:
    """The receiver raised: that is ours, and asking again would end the same way."""
    error = UpstreamBroken("The gateway could not process the provider's response.", detail=repr(cause))
    error.retryable = False
    return error
