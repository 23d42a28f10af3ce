"""Who gets which connection: decides and never acts.

The pool asks here and then does what it was told: start on a connection, dial, let wait or refuse. A slot is a
connection that is open or being dialled; there are never more than ``max_connections``.
"""

import enum
from collections import OrderedDict
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from gateway.upstream.contract import PoolStatistics


class PoolLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of one upstream's pool.

    A model's answer takes seconds, so 512 connections carry some hundred requests a second; waiting twice that long a
    queue is worse than an early refusal. Providers and their load balancers close idle connections after 60 s or more:
    55 s is just before. ``max_age_s`` makes busy connections follow changes of the provider's DNS.
    """

    max_connections: int = 512
    max_waiting: int = 1024
    idle_s: float = 55.0
    max_age_s: float = 300.0


class Poolable(Protocol):
    idle_since: float

    def is_usable(self) -> bool: ...


C = TypeVar("C", bound=Poolable)
E = TypeVar("E")


class Admission(enum.Enum):
    """What becomes of a request for which no idle connection was found."""

    DIAL = enum.auto()
    WAIT = enum.auto()
    REFUSE = enum.auto()


class Slots(Generic[C, E]):
    """Idle connections (last used, first taken), the queue (first come, first served) and the count of slots.

    A slot is taken by ``admit`` or ``hand_over``, belongs to a dial until ``opened`` or ``free_dial``, and to a
    connection until ``closed``.
    """

    __slots__ = ("_connections", "_dialling", "_idle", "_limits", "_waiting")

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._idle: list[C] = []
        self._connections: set[C] = set()
        self._dialling = 0
        self._waiting: OrderedDict[E, None] = OrderedDict()

    def take_idle(self) -> C | None:
        """A usable idle connection. Unusable ones are dropped on the way; ``closed`` will be told of them."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.is_usable():
                return connection
        return None

    def take_recent(self, idle_after: float) -> C | None:
        """A usable connection that was still in use at ``idle_after``; of the older ones any when none can be added."""
        if self.count() >= self._limits.max_connections:
            return self.take_idle()
        idle = self._idle
        while idle and idle[-1].idle_since >= idle_after:
            connection = idle.pop()
            if connection.is_usable():
                return connection
        return None

    def admit(self, exchange: E) -> Admission:
        """Dial for ``exchange`` (a slot is taken), let it wait (it is queued) or refuse it."""
        if self.count() < self._limits.max_connections:
            self._dialling += 1
            return Admission.DIAL
        if len(self._waiting) < self._limits.max_waiting:
            self._waiting[exchange] = None
            return Admission.WAIT
        return Admission.REFUSE

    def give_back(self, connection: C, now: float) -> E | None:
        """The exchange that ``connection`` carries next; with none waiting it is idle from ``now``."""
        if self._waiting:
            return self._waiting.popitem(last=False)[0]
        connection.idle_since = now
        self._idle.append(connection)
        return None

    def opened(self, connection: C) -> None:
        """A dial succeeded: its slot belongs to ``connection``."""
        self._dialling -= 1
        self._connections.add(connection)

    def free_dial(self) -> E | None:
        """A dial came to nothing. The exchange to dial for next, with the slot already taken for it."""
        self._dialling -= 1
        return self._next_to_dial()

    def closed(self, connection: C) -> E | None:
        """``connection`` is gone; harmless for one that was never ``opened``. The exchange to dial for next, if any."""
        if connection not in self._connections:
            return None
        self._forget(connection)
        return self._next_to_dial()

    def hand_over(self, connection: C) -> None:
        """``connection`` is gone and its slot goes to a dial for the same exchange."""
        self._forget(connection)
        self._dialling += 1

    def leave_queue(self, exchange: E) -> None:
        self._waiting.pop(exchange, None)

    def expired(self, now: float) -> list[C]:
        """The idle connections whose time is over, taken out of the list."""
        idle = self._idle
        latest = now - self._limits.idle_s
        # the list is ordered by ``idle_since``: what is given back is appended and only the end is popped
        count = next((i for i, connection in enumerate(idle) if connection.idle_since > latest), len(idle))
        over = idle[:count]
        del idle[:count]
        return over

    def oldest_idle_since(self) -> float | None:
        return self._idle[0].idle_since if self._idle else None

    def connections(self) -> list[C]:
        return list(self._connections)

    def count(self) -> int:
        return self._dialling + len(self._connections)

    def statistics(self) -> PoolStatistics:
        return PoolStatistics(open=self.count(), idle=len(self._idle), waiting=len(self._waiting))

    def _forget(self, connection: C) -> None:
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _next_to_dial(self) -> E | None:
        if not self._waiting or self.count() >= self._limits.max_connections:
            return None
        self._dialling += 1
        return self._waiting.popitem(last=False)[0]
