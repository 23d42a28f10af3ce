"""One request on its way, whoever carries it at the moment: the queue, a dialling task or a connection."""

import asyncio
from typing import Any, Protocol

from msgspec import Struct

from gateway.core.deadlines import Deadlines
from gateway.core.errors import UpstreamError
from gateway.upstream.contract import RawHeaders, Receiver


class Carrier(Protocol):
    """The connection an exchange is on, as far as the exchange needs it."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def abort(self) -> None: ...


class Keeper(Protocol):
    """The pool, as far as an exchange needs it."""

    def now(self) -> float: ...

    def drop(self, exchange: "HttpExchange") -> None: ...


class _Nobody:
    """Stands in for the receiver when all is told, so that receiver and exchange do not keep each other alive."""

    def response_started(self, status: int, headers: RawHeaders) -> None: ...

    def data_received(self, data: bytes) -> None: ...

    def response_ended(self) -> None: ...

    def response_failed(self, error: UpstreamError) -> None: ...


NOBODY = _Nobody()


class HttpExchange(Struct, eq=False):
    """See ``contract.Exchange``. ``connection`` and ``dial`` say who carries it; with neither it waits in the queue.

    ``head`` and ``body`` are kept until the first byte comes back: a stale connection means sending them once more.
    """

    keeper: Keeper
    head: bytes
    body: bytes
    receiver: Receiver
    deadlines: Deadlines
    connection: Carrier | None = None
    dial: "asyncio.Task[Any] | None" = None
    is_over: bool = False
    is_paused: bool = False
    was_resent: bool = False

    def pause_reading(self) -> None:
        if self.is_over or self.is_paused:
            return
        self.is_paused = True
        self.deadlines.paused()
        if self.connection is not None:
            self.connection.pause_reading()

    def resume_reading(self) -> None:
        if self.is_over or not self.is_paused:
            return
        self.is_paused = False
        self.deadlines.resumed(self.keeper.now())
        if self.connection is not None:
            self.connection.resume_reading()

    def token_seen(self) -> None:
        self.deadlines.token(self.keeper.now())

    def cancel(self) -> None:
        if not self.is_over:
            self.keeper.drop(self)
