"""One provider instance as seen from the network: its connections, the queue before them and the sweep of deadlines."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

from gateway.core.deadlines import Deadlines, Timeouts
from gateway.core.errors import UpstreamError, UpstreamUnreachable
from gateway.core.http1 import build_request_head
from gateway.core.origin import Origin
from gateway.core.proxy import Proxy
from gateway.core.types import Header
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.contract import PoolStatistics, Receiver, shutting_down
from gateway.upstream.dial import Dialer
from gateway.upstream.exchange import NOBODY, HttpExchange
from gateway.upstream.resolve import Resolver
from gateway.upstream.slots import Admission, PoolLimits, Slots
from gateway.upstream.upload import HttpUpload

# How late a passed deadline may be noticed. A sweep over a thousand exchanges costs about 50 microseconds.
SWEEP_S: Final = 0.05
# Sockets are reported closed in the next turns of the loop; this is for transports that never report.
_CLOSE_GRACE_S: Final = 1.0
# A connection that was idle for no longer is not stale: the shortest keep-alive of common servers is 5 s (uvicorn,
# Node). An upload cannot be sent again, so it dials rather than trust an older one.
_SURELY_OPEN_S: Final = 2.0


class HttpUpstream:
    """``contract.Upstream`` over HTTP/1.1. Built and used on one running event loop.

    ``origin`` is where requests go, ``proxy`` what they go through (``core.proxy.proxy_for`` reads the environment).
    ``ca_file`` names a PEM file of authorities trusted instead of the system's: ``OSError`` or ``ValueError`` when it
    cannot be used. ``resolver`` may be shared between upstreams.
    """

    def __init__(
        self,
        origin: Origin,
        *,
        timeouts: Timeouts | None = None,
        limits: PoolLimits | None = None,
        proxy: Proxy | None = None,
        ca_file: str | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._timeouts = timeouts or Timeouts()
        self._limits = limits or PoolLimits()
        self._dialer = Dialer(origin, proxy=proxy, ca_file=ca_file, resolver=resolver or Resolver())
        self._target_prefix, self._own_headers = _request_form(origin, proxy)
        self._slots: Slots[UpstreamConnection, HttpExchange] = Slots(self._limits)
        self._active: set[HttpExchange] = set()
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._emptied = asyncio.Event()

    # --- contract.Upstream --------------------------------------------------------------------------------------------

    def request_head(self, method: str, path: str, headers: Sequence[Header]) -> bytes:
        if not path.startswith("/"):
            raise ValueError("a request path begins with a slash")
        return build_request_head(method, self._target_prefix + path, (*self._own_headers, *headers))

    def send(self, head: bytes, body: bytes, receiver: Receiver, *, streamed: bool) -> HttpExchange:
        now = self.now()
        exchange = HttpExchange(self, head, body, receiver, Deadlines(self._timeouts, streamed, now, now))
        self._active.add(exchange)
        if self._sweep_timer is None:
            self._sweep_timer = self._loop.call_later(SWEEP_S, self._sweep)
        connection = self._slots.take_idle()
        if connection is not None:
            connection.start(exchange, now)
        else:
            self._admit(exchange)
        return exchange

    def send_stream(self, head: bytes, length: int | None, receiver: Receiver, *, streamed: bool = False) -> HttpUpload:
        now = self.now()
        deadlines = Deadlines(self._timeouts, streamed, now, now)
        closed: asyncio.Future[None] = self._loop.create_future()
        upload = HttpUpload(self, head, b"", NOBODY, deadlines, reader=receiver, length=length, closed=closed)
        upload.receiver = upload
        self._active.add(upload)
        if self._sweep_timer is None:
            self._sweep_timer = self._loop.call_later(SWEEP_S, self._sweep)
        connection = self._slots.take_recent(now - _SURELY_OPEN_S)
        if connection is not None:
            connection.start(upload, now)
        else:
            self._admit(upload)
        return upload

    def statistics(self) -> PoolStatistics:
        return self._slots.statistics()

    async def close(self) -> None:
        """Fail what is under way, close every socket and wait until they are closed. Later requests are refused."""
        self._is_closed = True
        for exchange in self._active:
            self._loop.call_soon(self.fail, exchange, shutting_down())
        await asyncio.sleep(0)
        for connection in self._slots.connections():
            connection.abort()
        for timer in (self._sweep_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self._check_emptied()
        try:
            async with asyncio.timeout(_CLOSE_GRACE_S):
                await self._emptied.wait()
        except TimeoutError:
            pass

    # --- connections and dials ----------------------------------------------------------------------------------------

    def _admit(self, exchange: HttpExchange) -> None:
        admission = Admission.REFUSE if self._is_closed else self._slots.admit(exchange)
        if admission is Admission.DIAL:
            self._dial(exchange)
        elif admission is Admission.REFUSE:
            # told in the next turn: the caller does not hold the exchange yet
            message = (
                "The gateway is shutting down." if self._is_closed else "Too many requests wait for this provider."
            )
            self._loop.call_soon(self.fail, exchange, UpstreamUnreachable(message))

    def _dial(self, exchange: HttpExchange | None) -> None:
        """Open a connection for ``exchange``, which has a slot; with nobody to dial for, do nothing."""
        if exchange is not None:
            exchange.dial = self._loop.create_task(self._dialer.open(partial(UpstreamConnection, self, self.now)))
            exchange.dial.add_done_callback(partial(self._dialled, exchange))

    def _dialled(self, exchange: HttpExchange, dial: "asyncio.Task[UpstreamConnection]") -> None:
        exchange.dial = None
        error = _failure(dial)
        if error is not None:
            self._dial(self._slots.free_dial())
            self._check_emptied()
            self.fail(exchange, error)
            return
        connection = dial.result()
        self._slots.opened(connection)
        if exchange.is_over:
            connection.abort()
        else:
            connection.start(exchange, self.now())

    def release(self, connection: UpstreamConnection, now: float) -> None:
        if now - connection.born_at >= self._limits.max_age_s:
            connection.abort()
            return
        exchange = self._slots.give_back(connection, now)
        if exchange is not None:
            connection.start(exchange, now)
        elif self._idle_timer is None:
            self._idle_timer = self._loop.call_later(self._limits.idle_s, self._expire_idle)

    def resend(self, exchange: HttpExchange, stale: UpstreamConnection) -> None:
        self._slots.hand_over(stale)
        exchange.was_resent = True
        exchange.connection = None
        exchange.deadlines.connecting(self.now())
        self._dial(exchange)

    def closed(self, connection: UpstreamConnection) -> None:
        self._dial(self._slots.closed(connection))
        self._check_emptied()

    def _check_emptied(self) -> None:
        if self._is_closed and not self._slots.count():
            self._emptied.set()

    # --- ends ---------------------------------------------------------------------------------------------------------

    def settle(self, exchange: HttpExchange) -> None:
        self._active.discard(exchange)
        exchange.is_over = True
        exchange.receiver = NOBODY

    def drop(self, exchange: HttpExchange) -> None:
        """Settle ``exchange`` and take it from whoever carries it."""
        connection, dial = exchange.connection, exchange.dial
        self.settle(exchange)
        if connection is not None:
            connection.abort()
        elif dial is not None:
            dial.cancel()
        else:
            self._slots.leave_queue(exchange)

    def fail(self, exchange: HttpExchange, error: UpstreamError) -> None:
        if exchange.is_over:
            return
        if exchange.was_resent:
            error.nothing_sent = False
        receiver = exchange.receiver
        self.drop(exchange)
        receiver.response_failed(error)

    # --- timers -------------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        # first the next sweep, so that a receiver that raises does not end them all
        self._sweep_timer = self._loop.call_later(SWEEP_S, self._sweep) if self._active else None
        now = self.now()
        for exchange in [each for each in self._active if each.deadlines.at <= now]:
            phase = exchange.deadlines.passed(now)
            error = None if phase is None else exchange.judge_timeout(phase, now)
            if error is not None:
                self.fail(exchange, error)

    def _expire_idle(self) -> None:
        for connection in self._slots.expired(self.now()):
            connection.abort()
        oldest = self._slots.oldest_idle_since()
        self._idle_timer = (
            None if oldest is None else self._loop.call_at(oldest + self._limits.idle_s, self._expire_idle)
        )


def _request_form(origin: Origin, proxy: Proxy | None) -> tuple[str, tuple[Header, ...]]:
    """What every request target begins with and the headers every request has. A proxy is asked for http targets in
    absolute form (RFC 9112, section 3.2.2); https targets travel through its tunnel as if there were none."""
    host = ("Host", origin.host_header)
    if proxy is None or origin.is_tls:
        return origin.base_path, (host,)
    prefix = origin.root + origin.base_path
    if proxy.authorization is None:
        return prefix, (host,)
    return prefix, (host, ("Proxy-Authorization", proxy.authorization.reveal()))


def _failure(dial: "asyncio.Task[UpstreamConnection]") -> UpstreamError | None:
    """Why a finished dial gave no connection that can be used."""
    if dial.cancelled():
        return UpstreamUnreachable("The attempt to connect to the provider was given up.")
    error = dial.exception()
    if isinstance(error, UpstreamError):
        return error
    if error is not None:
        return UpstreamUnreachable("The provider could not be connected to.", detail=repr(error))
    if not dial.result().is_usable():
        return UpstreamUnreachable("The provider closed the connection at once.")
    return None
