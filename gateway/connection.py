"""One client connection: aiohttp parses, our judge refuses what smuggling needs, and each request becomes one ``Call``.

aiohttp's low-level server gives us a fast parser, keep-alive and body framing. Its request and response objects, its
task per request and its access log cost twice as much as the relay itself, so ``Connection`` replaces its request loop:
one task per connection, prepared bytes out.

Where a connection stands, and how long it may stand there:

    IDLE     waiting for a first byte   keepalive_timeout: closed silently
    CLOSING  the last answer was given  LINGER_S for the client to have read it, then closed
    HEAD     a head is incomplete       header_timeout: 408
    BODY     a body is incomplete       body_timeout, longer for one that comes at MIN_BODY_BYTES_PER_S: 408
    HELD     nobody reads the body on   no deadline of its own; the client waits
    BUSY     the answer is being made   no deadline of its own

An answer that the client does not read has write_timeout, longer at the same pace; then the connection is reset.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from gateway.call import Call, new_call, status_line
from gateway.config.settings import ServerSettings
from gateway.core.edge import HeadRefusal, judge_head, judge_opening
from gateway.core.errors import BadRequest, GatewayError, HeadersTooLarge, HeadRefused, Overloaded, RequestTimeout
from gateway.core.limits import (
    CLIENT_HIGH_WATER_BYTES,
    MAX_HEAD_BYTES,
    MAX_SURPLUS_CONNECTIONS,
    MIN_BODY_BYTES_PER_S,
    NOTSENT_LOWAT_BYTES,
)
from gateway.upstream.contract import Exchange

_TOO_MANY = "The gateway has too many connections."
# How long a client whose last answer was given may go on sending before the socket is closed under it.
LINGER_S = 1.0
# When a client that met a full gateway may try again: a guess, connections end when they end.
RETRY_AFTER_S = 1.0
# Linux's number; Python names it only where the C library does.
_TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)
_NO_LINGER = struct.pack("ii", 1, 0)
# ": " and the line end
_FIELD_FRAMING_BYTES = 4


# See the table above. Plain numbers: they are compared several times a request.
IDLE: Final = 0
CLOSING: Final = 1
HEAD: Final = 2
BODY: Final = 3
HELD: Final = 4
BUSY: Final = 5


class Shared(web.Server):
    """What the connections of one worker have in common.

    ``answer`` serves a call and never raises beside cancellation; ``error_body`` renders the refusal of a request that
    never became one. The paths ``always_open`` are served on surplus connections too, so that a full gateway is not
    taken for a dead one.
    """

    def __init__(
        self,
        answer: Callable[[Call], Awaitable[None]],
        error_body: Callable[[GatewayError], bytes],
        limits: ServerSettings,
        always_open: Collection[str] = (),
    ) -> None:
        self.loop = asyncio.get_running_loop()
        super().__init__(_not_used, handler_cancellation=True, loop=self.loop)
        self.answer = answer
        self.error_body = error_body
        self.limits = limits
        self.always_open = frozenset(always_open)
        self.is_draining = False
        self.date_line = b""
        self.slow_readers_cut = 0
        self.refusals: dict[int, int] = {}  # by status
        self.last_refusal = ""

    def count_refusal(self, status: int, reason: str) -> None:
        """A connection was refused before it brought a request that is counted and logged elsewhere."""
        self.refusals[status] = self.refusals.get(status, 0) + 1
        self.last_refusal = reason


async def _not_used(_: web.BaseRequest) -> web.StreamResponse:
    """aiohttp wants a request handler; ``Connection.start`` never calls it."""
    raise NotImplementedError


class Connection(RequestHandler):
    """One client connection: requests in order, one at a time. A surplus one is told that there are too many."""

    __slots__ = (
        *("call", "edge", "exchange", "has_opened", "is_deaf", "is_surplus"),
        *("payload", "received", "since", "state", "stuck_since", "unsent"),
    )

    def __init__(self, edge: Shared, **options: Any) -> None:
        super().__init__(edge, **options)
        self.edge = edge
        # aiohttp's deque takes 600 bytes for the one request that it holds at most times
        self._messages = []  # type: ignore[assignment]
        self.call: Call | None = None
        self.exchange: Exchange | None = None
        self.payload: StreamReader | None = None  # the body that is being waited for
        self.state = IDLE
        self.since = edge.loop.time()
        self.received = 0  # bytes since then; of a body only its own
        self.stuck_since = 0.0
        self.unsent = 0  # the most bytes that the client has left unread since then
        self.has_opened = self.is_deaf = self.is_surplus = False

    # --- transport events ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        surplus = len(self.edge._connections) - self.edge.limits.max_connections
        if surplus >= MAX_SURPLUS_CONNECTIONS:
            self.edge.count_refusal(Overloaded.status, _TOO_MANY)
            transport.abort()  # type: ignore[attr-defined]  # a socket's transport has it
            return
        self.is_surplus = surplus >= 0
        super().connection_made(transport)
        if self.transport is not None:
            self.transport.set_write_buffer_limits(high=CLIENT_HIGH_WATER_BYTES)
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family != getattr(socket, "AF_UNIX", None):
            with contextlib.suppress(OSError):  # a saving, not a need: not every kernel has it
                raw.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, NOTSENT_LOWAT_BYTES)

    def data_received(self, data: bytes) -> None:
        if self.is_deaf:
            return
        if self.state is IDLE:
            # only of the first bytes is it known that a request begins with them: later ones may go on with a head
            if not self.has_opened and (refusal := judge_opening(data)) is not None:
                self._refuse(refusal)
                return
            # an empty line begins no request yet (RFC 9112, 2.2)
            if data and data != b"\r\n":
                self.has_opened = True
                self.enter(HEAD)
        super().data_received(data)
        if self.payload is not None:
            self._end_broken_body()
        else:
            self.received += len(data)
            if self.received > MAX_HEAD_BYTES:
                self._bound_heads()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp asks for this after every body; when nothing was paused it would only parse nothing once more
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def pause_reading(self) -> None:
        if self.state is BUSY:
            self._stop_listening()  # the body of a pipelined request
        else:
            super().pause_reading()

    def _pause_reading_for_buffer(self) -> None:
        self._stop_listening()

    def _stop_listening(self) -> None:
        """More is pipelined than may wait. Reading goes on, or a client that leaves would not be noticed; what comes is
        thrown away, and the connection ends with the present answer (RFC 9112, 9.3.2: the client asks again)."""
        self.is_deaf = True
        if self.call is not None:
            self.call.keep_alive = False

    def _end_broken_body(self) -> None:
        """The parser reports a broken body like a broken next request; whoever reads this one would wait for ever."""
        payload = self.payload
        if self._messages and payload is not None and not payload.is_eof():
            payload.set_exception(BadRequest("The request body is not well-formed HTTP."))

    def _bound_heads(self) -> None:
        """Many bytes have come outside of a body."""
        if self.state is BUSY:
            self._stop_listening()
        elif self.state is HEAD and (not self._messages or _head_bytes(self._messages[0][0]) > MAX_HEAD_BYTES):
            self._refuse(HeadersTooLarge("The request head is too large."))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_write_clock()
        if self.exchange is not None:
            self.exchange.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stuck_since = 0.0
        if self.exchange is not None:
            self.exchange.resume_reading()

    # --- the request loop ---

    async def start(self) -> None:
        """Replaces aiohttp's loop: no request object, no task per request, no access log."""
        edge = self.edge
        messages = self._messages
        try:
            while not (self._force_close or self._close):
                if not messages:
                    if self._buffer_paused:
                        self._resume_reading_if_drained()
                        continue
                    # the first bytes may have come before this task has begun
                    if self.state >= HELD:
                        self.enter(IDLE)
                    if self.state is IDLE and edge.is_draining:
                        break
                    self._waiter = edge.loop.create_future()
                    await self._waiter
                    self._waiter = None
                    continue
                message, payload = messages.pop(0)  # type: ignore[call-arg]
                self._release_parser()
                self.state = BUSY
                self.received = 0
                if isinstance(message, _ErrInfo):
                    self._refuse(_parse_error(message))
                    break
                refusal: GatewayError | HeadRefusal | None
                refusal = judge_head(message.version, message.method, message.path, message.headers)
                if refusal is None and self.is_surplus and message.path not in edge.always_open:
                    refusal = Overloaded(_TOO_MANY, retry_after_s=RETRY_AFTER_S)
                if refusal is not None:
                    self._refuse(refusal)
                    break
                call = self.call = new_call(self, message, payload)
                del message, payload  # a stream may be open for long, and they are large
                if self.is_surplus or self.is_deaf or edge.is_draining:
                    call.keep_alive = False
                await edge.answer(call)
                self.call = self.payload = None
                if call.is_broken:
                    self.abort()
                    break
                if self.is_deaf or not call.keep_alive:
                    self._end(lingers=call.has_unread_body())
                    break
                if self._paused:
                    await self._drain_helper()
        except ConnectionError:
            pass  # the client left between two requests
        finally:
            self._waiter = None
            self.exchange = self.call = None
            if self.state is not CLOSING:
                self._end()

    def _release_parser(self) -> None:
        """A queue slot is free: let the parser go on with pipelined requests (see aiohttp's own loop)."""
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()

    def _refuse(self, refusal: GatewayError | HeadRefusal) -> None:
        """Answer what never became a call, and close: no later byte on this connection can be trusted."""
        error = refusal if isinstance(refusal, GatewayError) else HeadRefused(refusal.reason, status=refusal.status)
        self.edge.count_refusal(error.status, error.message)
        body = self.edge.error_body(error)
        self.send(
            b"%b%bConnection: close\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b"
            % (
                status_line(error.status),
                self.date_line,
                b"" if error.retry_after_s is None else b"Retry-After: %d\r\n" % error.retry_after_s,
                len(body),
                body,
            )
        )
        self._end(lingers=True)

    def _end(self, *, lingers: bool = False) -> None:
        """No further request comes in. Lingering reads on for a moment and throws away what comes: closing a socket
        with unread bytes resets it, and the reset can overtake the answer that says why."""
        self.close()
        self.enter(CLOSING)
        if self.transport is None:
            return
        if lingers and self.transport.can_write_eof():
            self.transport.write_eof()
            self._resume_transport_reading()
        else:
            self.transport.close()

    # --- what a call does ---

    @property
    def date_line(self) -> bytes:
        return self.edge.date_line

    def await_body(self, payload: StreamReader, waited_s: float = 0.0) -> None:
        self.payload = payload
        self.enter(BODY)
        self.since -= waited_s

    def hold_body(self, payload: StreamReader) -> None:
        self.payload = payload
        self.enter(HELD)

    def note_body(self, received_bytes: int) -> None:
        self.received = received_bytes

    def end_body(self) -> None:
        self.payload = None
        self.enter(BUSY)

    def send(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def abort(self) -> None:
        """Reset the connection: nothing already sent can be taken for a whole answer, and nothing waits in the kernel
        for a client that does not read."""
        if self.transport is None:
            return
        with contextlib.suppress(OSError):
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.transport.abort()

    def enter(self, state: int) -> None:
        self.state = state
        self.since = self.edge.loop.time()
        self.received = 0

    # --- deadlines ---

    def check(self, now: float, limits: ServerSettings) -> None:
        """One look of the sweep."""
        age = now - self.since
        if self.stuck_since and self._is_stuck(now, limits.write_timeout):
            self.edge.slow_readers_cut += 1
            self.abort()
        elif self.state is IDLE and age > limits.keepalive_timeout:
            self._end()
        elif self.state is CLOSING and age > LINGER_S:
            self._drop()
        elif self.state is HEAD and age > limits.header_timeout:
            self._refuse(RequestTimeout("The request head did not arrive in time."))
        elif self.state is BODY and age > limits.body_timeout + self.received / MIN_BODY_BYTES_PER_S:
            self._time_out_body()

    def is_busy(self) -> bool:
        """Is a request on its way in or its answer on its way out?"""
        return self.state >= HEAD or self.unsent_bytes() > 0

    def unsent_bytes(self) -> int:
        """What was written and the kernel has not taken yet."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def _start_write_clock(self) -> None:
        self.stuck_since = self.edge.loop.time()
        self.unsent = 0

    def _is_stuck(self, now: float, write_timeout_s: float) -> bool:
        unsent = self.unsent_bytes()
        self.unsent = max(self.unsent, unsent)
        return now - self.stuck_since > write_timeout_s + (self.unsent - unsent) / MIN_BODY_BYTES_PER_S

    def _drop(self) -> None:
        """Close under the client; what was written has its own deadline."""
        if self.unsent_bytes() and not self.stuck_since:
            self._start_write_clock()
        elif self.transport is not None and not self.unsent_bytes():
            self.transport.abort()

    def _time_out_body(self) -> None:
        if self.payload is not None:
            self.payload.set_exception(RequestTimeout("The request body did not arrive in time."))


def _head_bytes(message: RawRequestMessage | _ErrInfo) -> int:
    if isinstance(message, _ErrInfo):
        return 0
    return len(message.path) + sum(len(name) + len(value) + _FIELD_FRAMING_BYTES for name, value in message.raw_headers)


def _parse_error(message: _ErrInfo) -> GatewayError:
    if isinstance(message.exc, LineTooLong):
        return HeadersTooLarge("The request line or a header is too long.")
    return BadRequest("The request is not well-formed HTTP/1.1.")
