"""The HTTP edge: aiohttp parses, our judge refuses what smuggling needs, and each request becomes one ``Call``.

aiohttp's low-level server gives us a fast parser, keep-alive and body framing. Its request and response objects, its task
per request and its access log cost twice as much as the relay itself, so ``Connection`` replaces its request loop:
one task per connection, prepared bytes out.

Deadlines are kept by one sweep over all connections instead of timers per request. What it watches:

    IDLE   waiting for a first byte   keepalive_timeout      closed silently
    HEAD   a head is incomplete       header_timeout         408
    BODY   a body is incomplete       body_timeout, then at least MIN_BODY_RATE on average: 408
    BUSY   the answer is being made   write_timeout while the client does not read: cut
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from gateway.call import Call, new_call, status_line
from gateway.config.settings import ServerSettings
from gateway.core.edge import HeadRefusal, judge_head, judge_opening
from gateway.core.errors import BadRequest, ClientError, HeadersTooLarge, HeadRefused, RequestTimeout
from gateway.core.limits import (
    CLIENT_HIGH_WATER_BYTES,
    MAX_DRAINED_BODY_BYTES,
    MAX_HEADER_LINE_BYTES,
    MAX_HEADERS,
    MIN_BODY_BYTES_PER_S,
    NOTSENT_LOWAT_BYTES,
)
from gateway.upstream.contract import Exchange

# How often deadlines are looked at; they fire at most this much late.
SWEEP_S = 0.25
# How long a refused client may go on sending before the socket is closed under it.
LINGER_S = 1.0
# Linux's number; Python names it only where the C library does.
_TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)


# Where a connection stands; see the table above. Plain numbers: they are compared several times a request.
IDLE: Final = 0
HEAD: Final = 1
BODY: Final = 2
BUSY: Final = 3


class Connection(RequestHandler):
    """One client connection: requests in order, one at a time."""

    __slots__ = ("edge", "exchange", "payload", "received", "since", "state", "stuck_since")

    def __init__(self, edge: "Edge", **options: Any) -> None:
        super().__init__(edge, **options)
        self.edge = edge
        self.exchange: Exchange | None = None
        self.payload: StreamReader | None = None  # the body that is being waited for
        self.state = IDLE
        self.since = edge.loop.time()
        self.received = 0
        self.stuck_since = 0.0

    # --- transport events ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.transport is not None:
            self.transport.set_write_buffer_limits(high=CLIENT_HIGH_WATER_BYTES)
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family != getattr(socket, "AF_UNIX", None):
            with contextlib.suppress(OSError):  # a saving, not a need: not every kernel has it
                raw.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, NOTSENT_LOWAT_BYTES)

    def data_received(self, data: bytes) -> None:
        if self.state is IDLE:
            refusal = judge_opening(data)
            if refusal is not None:
                self._refuse(refusal)
                return
            # one empty line before a request is tolerated (RFC 9112, 2.2)
            if data.startswith(b"\r\n"):
                data = data[2:]
                if not data:
                    return
            self.enter(HEAD)
        super().data_received(data)

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp asks for this after every body; when nothing was paused it would only parse nothing once more
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stuck_since = self.edge.loop.time()
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
                    self.enter(IDLE)
                    if edge.is_draining:
                        break
                    self._waiter = edge.loop.create_future()
                    await self._waiter
                    self._waiter = None
                message, payload = messages.popleft()
                self._release_parser()
                self.state = BUSY
                if isinstance(message, _ErrInfo):
                    self._refuse(_parse_error(message))
                    break
                refusal = judge_head(message.version, message.method, message.path, message.headers)
                if refusal is not None:
                    self._refuse(refusal)
                    break
                call = new_call(self, message, payload)
                del message, payload  # a stream may be open for long, and they are large
                await edge.answer(call)
                if not call.keep_alive or edge.is_draining:
                    if call.payload is not None:
                        await self._linger(call.payload)
                    break
                if self._paused:
                    await self._drain_helper()
        except ConnectionError:
            pass  # the client left between two requests
        finally:
            self._waiter = None
            self.exchange = None
            if self.transport is not None:
                self.transport.close()

    def _release_parser(self) -> None:
        """A queue slot is free: let the parser go on with pipelined requests (see aiohttp's own loop)."""
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()

    def _refuse(self, refusal: ClientError | HeadRefusal) -> None:
        """Answer what never became a call, and close: no later byte on this connection can be trusted."""
        error = refusal if isinstance(refusal, ClientError) else HeadRefused(refusal.reason, status=refusal.status)
        body = self.edge.error_body(error)
        self.send(
            b"%bConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status_line(error.status), len(body), body)
        )
        self.close()
        if self.transport is not None:
            self.transport.close()

    async def _linger(self, payload: StreamReader) -> None:
        """Read on for a moment before closing: closing a socket with unread bytes resets it, and the reset can overtake
        the answer that says why."""
        if payload.is_eof() or self.transport is None:
            return
        drained = 0
        with contextlib.suppress(Exception):
            async with asyncio.timeout(LINGER_S):
                while drained <= MAX_DRAINED_BODY_BYTES and not payload.is_eof():
                    drained += len(await payload.readany())

    # --- what a call does ---

    @property
    def date_line(self) -> bytes:
        return self.edge.date_line

    def await_body(self, payload: StreamReader) -> None:
        self.payload = payload
        self.enter(BODY)

    def note_body(self, received_bytes: int) -> None:
        self.received = received_bytes

    def end_body(self) -> None:
        self.payload = None
        self.enter(BUSY)

    def send(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def enter(self, state: int) -> None:
        self.state = state
        self.since = self.edge.loop.time()
        self.received = 0

    def check(self, now: float, limits: ServerSettings) -> None:
        """One look of the sweep."""
        age = now - self.since
        if self.stuck_since and now - self.stuck_since > limits.write_timeout:
            self.edge.slow_readers_cut += 1
            self.abort()
        elif self.state is IDLE and age > limits.keepalive_timeout:
            self.force_close()
        elif self.state is HEAD and age > limits.header_timeout:
            self._refuse(RequestTimeout("The request head did not arrive in time."))
        elif self.state is BODY and age > limits.body_timeout + self.received / MIN_BODY_BYTES_PER_S:
            self._time_out_body()

    def _time_out_body(self) -> None:
        if self.payload is not None:
            self.payload.set_exception(RequestTimeout("The request body did not arrive in time."))


def _parse_error(message: _ErrInfo) -> ClientError:
    if isinstance(message.exc, LineTooLong):
        return HeadersTooLarge("The request line or a header is too long.")
    return BadRequest("The request is not well-formed HTTP/1.1.")


class Edge(web.Server):
    """All connections of one worker.

    ``answer`` serves a call and never raises beside cancellation; ``error_body`` renders the refusal of a request that
    never became one.
    """

    def __init__(
        self,
        answer: Callable[[Call], Awaitable[None]],
        error_body: Callable[[ClientError], bytes],
        limits: ServerSettings,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        super().__init__(_not_used, handler_cancellation=True, loop=self.loop)
        self.answer = answer
        self.error_body = error_body
        self.limits = limits
        self.is_draining = False
        self.slow_readers_cut = 0
        self.date_line = b""
        self._sweep()

    def __call__(self) -> RequestHandler:
        return Connection(
            self,
            loop=self.loop,
            access_log=None,
            keepalive_timeout=0,  # our sweep does it
            auto_decompress=False,
            max_line_size=MAX_HEADER_LINE_BYTES,
            max_field_size=MAX_HEADER_LINE_BYTES,
            max_headers=MAX_HEADERS,
        )

    def _sweep(self) -> None:
        now = self.loop.time()
        self.date_line = f"Date: {formatdate(usegmt=True)}\r\n".encode()
        for connection in self.connections:
            assert isinstance(connection, Connection)
            connection.check(now, self.limits)
        self._timer = self.loop.call_later(SWEEP_S, self._sweep)

    def drain(self) -> None:
        """Take no further requests: idle connections close now, busy ones after their answer."""
        self.is_draining = True
        for connection in self.connections:
            if isinstance(connection, Connection) and connection.state in (IDLE, HEAD):
                connection.force_close()

    def busy(self) -> int:
        """How many requests are being answered."""
        return sum(isinstance(c, Connection) and c.state >= BODY for c in self._connections)

    async def wait_idle(self) -> None:
        """Until no request is being answered."""
        while self.busy():
            await asyncio.sleep(SWEEP_S)

    def stop(self) -> int:
        """Cut what is left; tells how many requests that were."""
        self._timer.cancel()
        cut = self.busy()
        for connection in self.connections:
            connection.force_close()
        return cut


async def _not_used(_: web.BaseRequest) -> web.StreamResponse:
    """aiohttp wants a request handler; ``Connection.start`` never calls it."""
    raise NotImplementedError
