"""When an upstream exchange has taken too long: five clocks and the phase each belongs to.

                 connect          headers             first_token              stall
    begin ───────────────> sent ───────────> answered ───────────> token ─────────────────> end
      └───────────────────────────────── total ────────────────────────────────────────────┘

``stall`` starts anew with every byte. Bytes before the first token (comments, pings, role-only chunks) do not move
``first_token``: a provider that only keeps the line warm has not answered.

A request body that comes from the client piece by piece is sent before ``headers`` begins. Meanwhile ``stall`` runs
while the provider does not read, and no clock at all while it waits for the client: that time is not the provider's.

Nobody sets a timer for one exchange. Whoever carries it stores the time of the last bytes in ``progressed_at`` (one
assignment a chunk) and a coarse sweep over all exchanges asks ``passed`` where ``at`` has come.
"""

import enum
import math
from typing import Annotated, Final

from msgspec import Meta, Struct

from gateway.core.units import PositiveSeconds


class Timeouts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Deadlines of one upstream exchange.

    ``headers`` unset means 60 s for a streamed request and ``total`` for a plain one, whose headers come only when
    the whole answer is ready.
    """

    connect: Annotated[PositiveSeconds, Meta(description="To reach the provider: name, TCP, TLS, proxy.")] = 5.0
    headers: Annotated[
        PositiveSeconds | None,
        Meta(description="From the request sent to the response head; unset: 60s for a stream, else `total`."),
    ] = None
    first_token: Annotated[PositiveSeconds, Meta(description="From the head of a stream to its first token.")] = 60.0
    stall: Annotated[PositiveSeconds, Meta(description="Longest silence within an answer.")] = 60.0
    total: Annotated[PositiveSeconds, Meta(description="The whole exchange, however well it goes.")] = 600.0


STREAM_HEADERS_S = 60.0


class Phase(enum.StrEnum):
    CONNECT = "connect"
    HEADERS = "headers"
    FIRST_TOKEN = "first_token"  # noqa: S105 - no password
    STALL = "stall"
    TOTAL = "total"


# global names are cheaper to read than an enum's members, and these are read several times a request
_CONNECT: Final = Phase.CONNECT
_HEADERS: Final = Phase.HEADERS
_FIRST_TOKEN: Final = Phase.FIRST_TOKEN
_STALL: Final = Phase.STALL
_UNKNOWN: Final = 0.0


class Deadlines(Struct):
    """The clocks of one exchange; all times are monotonic seconds. It begins with ``since`` equal to ``began_at``.

    ``phase`` is where the exchange stands, ``since`` when that began, ``progressed_at`` the time of the last bytes.
    Nothing is due before ``at``. A change only makes that unknown (0), since most exchanges end before anybody asks;
    ``passed`` finds it again.
    """

    timeouts: Timeouts
    streamed: bool
    began_at: float
    since: float
    progressed_at: float = _UNKNOWN
    phase: Phase = _CONNECT
    at: float = _UNKNOWN
    is_paused: bool = False
    # since when the request's body waits for the client
    idle_since: float | None = None

    def connecting(self, now: float) -> None:
        """Wait for a connection once more: the first one turned out to be stale."""
        self.expects(now)
        self.phase = _CONNECT
        self.since = now
        self.at = _UNKNOWN

    def sent(self, now: float) -> None:
        """The request is on its way: wait for the response head."""
        self.phase = _HEADERS
        self.since = now
        self.at = _UNKNOWN

    def sending(self, now: float) -> None:
        """The request's body comes piece by piece, and the first one is awaited."""
        self.phase = _STALL
        self.since = self.progressed_at = now
        self.idles(now)

    def idles(self, now: float) -> None:
        """Nothing is asked of the provider until more of the body is there: no clock runs, ``total`` neither."""
        if self.idle_since is None:
            self.idle_since = now
        self.at = _UNKNOWN

    def expects(self, now: float) -> None:
        """It is the provider's turn again: to read what was sent, or to answer."""
        if self.idle_since is not None:
            self.began_at += now - self.idle_since
            self.idle_since = None
            self.progressed_at = now
        self.at = _UNKNOWN

    def moved(self, now: float) -> None:
        """The provider has read on: the clock of the present phase starts anew."""
        self.since = self.progressed_at = now
        self.at = _UNKNOWN

    def answered(self, now: float) -> None:
        """The response head is here: wait for the first token of a stream, for progress of a plain body."""
        self.phase = _FIRST_TOKEN if self.streamed else _STALL
        self.since = self.progressed_at = now
        self.at = _UNKNOWN

    def token(self, now: float) -> None:
        """The first token was seen; from here on silence is a stall."""
        self.phase = _STALL
        self.progressed_at = now
        self.at = _UNKNOWN

    def paused(self) -> None:
        """The client is not reading, so the upstream may not send: only ``total`` runs on. A connection is made
        whether anybody reads or not, so ``connect`` runs on too."""
        self.is_paused = True
        self.at = _UNKNOWN

    def resumed(self, now: float) -> None:
        """The client reads again: the clock of the present phase starts anew."""
        self.is_paused = False
        if self.phase is not _CONNECT:
            self.since = self.progressed_at = now
        self.at = _UNKNOWN

    def passed(self, now: float) -> Phase | None:
        """The deadline that has passed, or ``None``; then ``at`` says when to ask again."""
        if now < self._nearest():
            return None
        return Phase.TOTAL if now >= self.began_at + self.timeouts.total else self.phase

    def _nearest(self) -> float:
        if self.idle_since is not None:
            self.at = math.inf
            return math.inf
        phase = self.phase
        at = self.began_at + self.timeouts.total
        if not self.is_paused or phase is _CONNECT:
            began = self.progressed_at if phase is _STALL else self.since
            at = min(at, began + self._limit(phase))
        self.at = at
        return at

    def _limit(self, phase: Phase) -> float:
        timeouts = self.timeouts
        if phase is _CONNECT:
            return timeouts.connect
        if phase is _FIRST_TOKEN:
            return timeouts.first_token
        if phase is _STALL:
            return timeouts.stall
        if timeouts.headers is not None:
            return timeouts.headers
        return STREAM_HEADERS_S if self.streamed else timeouts.total
