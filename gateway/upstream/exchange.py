"""One request on its way, whoever carries it at the moment: the queue, a dialling task or a connection."""

import asyncio
from typing import Any, ClassVar, Final, Protocol

from msgspec import Struct

from gateway.core.deadlines import Deadlines, Phase
from gateway.core.errors import UpstreamError, UpstreamTimeout
from gateway.upstream.contract import RawHeaders, Receiver

_TIMEOUT_MESSAGES: Final = {
    Phase.CONNECT: "The provider could not be connected to in time.",
    Phase.HEADERS: "The provider did not begin to answer in time.",
    Phase.FIRST_TOKEN: "The provider sent no first token in time.",
    Phase.STALL: "The provider stopped sending in the middle of its answer.",
    Phase.TOTAL: "The provider's answer took longer than the request may take in total.",
}


class Carrier(Protocol):
    """The connection an exchange is on, as far as the exchange needs it."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def abort(self) -> None: ...

    def write(self, data: bytes) -> None: ...

    def unsent_bytes(self) -> int: ...


class Keeper(Protocol):
    """The pool, as far as an exchange needs it."""

    def now(self) -> float: ...

    def drop(self, exchange: "HttpExchange") -> None: ...

    def fail(self, exchange: "HttpExchange", error: UpstreamError) -> None: ...


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
    ``is_head``: a HEAD request, whose response has no body whatever its head says.
    """

    # does the body follow piece by piece? (``upload.HttpUpload``)
    is_upload: ClassVar[bool] = False

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
    is_head: bool = False

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

    # --- for the connection and the pool ---

    def begin(self, now: float) -> bytes:
        """The bytes that open an upload on a fresh connection."""
        raise NotImplementedError

    def may_resend(self) -> bool:
        """Can the whole request be sent once more?"""
        return True

    def pause_writing(self) -> None:
        """The provider does not read: that of a whole request the transport keeps the rest."""

    def resume_writing(self) -> None: ...

    def judge_timeout(self, phase: Phase, now: float) -> UpstreamTimeout | None:
        """The error for a deadline that has passed; ``None`` when there was progress that nobody had noted."""
        return UpstreamTimeout(_TIMEOUT_MESSAGES[phase], phase=phase)
