from collections import deque

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gateway.upstream.contract import PoolStatistics
from gateway.upstream.slots import Admission, PoolLimits, Slots

LIMITS = PoolLimits(max_connections=2, max_waiting=2, idle_s=10)


class Connection:
    def __init__(self) -> None:
        self.idle_since = 0.0
        self.usable = True

    def is_usable(self) -> bool:
        return self.usable


def opened(slots: Slots[Connection, str], exchange: str = "x") -> Connection:
    assert slots.admit(exchange) is Admission.DIAL
    connection = Connection()
    slots.opened(connection)
    return connection


def test_dial_then_wait_then_refuse() -> None:
    slots: Slots[Connection, str] = Slots(LIMITS)
    verdicts = [slots.admit(exchange) for exchange in "abcde"]
    assert [verdict.name for verdict in verdicts] == ["DIAL", "DIAL", "WAIT", "WAIT", "REFUSE"]
    assert slots.statistics() == PoolStatistics(open=2, idle=0, waiting=2)


def test_the_last_used_idle_connection_is_taken_first() -> None:
    slots: Slots[Connection, str] = Slots(LIMITS)
    first, second = opened(slots), opened(slots)
    assert slots.give_back(first, 1) is None
    assert slots.give_back(second, 2) is None
    assert [slots.take_idle(), slots.take_idle(), slots.take_idle()] == [second, first, None]


def test_a_connection_that_was_just_in_use_can_be_asked_for() -> None:
    slots: Slots[Connection, str] = Slots(PoolLimits(max_connections=3))
    old, broken, recent = opened(slots), opened(slots), opened(slots)
    slots.closed(recent)
    for connection, now in ((old, 1), (broken, 7), (recent, 8)):
        slots.give_back(connection, now)
    broken.usable = False
    assert slots.take_recent(5) is recent
    assert slots.take_recent(5) is None
    assert slots.take_recent(1) is old


def test_in_a_full_pool_any_idle_connection_is_recent_enough() -> None:
    slots: Slots[Connection, str] = Slots(LIMITS)
    first, second = opened(slots), opened(slots)
    slots.give_back(first, 1)
    slots.give_back(second, 2)
    assert [slots.take_recent(5), slots.take_recent(5), slots.take_recent(5)] == [second, first, None]


def test_what_is_given_back_goes_to_whoever_waits_longest() -> None:
    slots: Slots[Connection, str] = Slots(PoolLimits(max_connections=1))
    connection = opened(slots)
    for exchange in "abc":
        slots.admit(exchange)
    slots.leave_queue("a")
    slots.leave_queue("nobody")
    assert slots.give_back(connection, 1) == "b"
    assert slots.closed(connection) == "c"
    assert slots.statistics() == PoolStatistics(open=1)


def test_idle_connections_expire_oldest_first() -> None:
    slots: Slots[Connection, str] = Slots(LIMITS)
    first, second = opened(slots), opened(slots)
    slots.give_back(first, 100)
    slots.give_back(second, 105)
    assert slots.expired(109.9) == []
    assert slots.oldest_idle_since() == 100
    assert slots.expired(110) == [first]
    assert slots.expired(200) == [second]
    assert slots.oldest_idle_since() is None


def test_an_unusable_idle_connection_is_passed_over() -> None:
    slots: Slots[Connection, str] = Slots(LIMITS)
    first, second = opened(slots), opened(slots)
    slots.give_back(first, 1)
    slots.give_back(second, 2)
    second.usable = False
    assert slots.take_idle() is first
    assert slots.count() == 2
    assert slots.closed(second) is None
    assert slots.count() == 1


def test_closing_what_was_never_opened_changes_nothing() -> None:
    slots: Slots[Connection, str] = Slots(LIMITS)
    opened(slots)
    assert slots.closed(Connection()) is None
    assert slots.count() == 1


def test_a_slot_is_handed_over_from_a_stale_connection_to_its_successor() -> None:
    slots: Slots[Connection, str] = Slots(PoolLimits(max_connections=1))
    connection = opened(slots)
    slots.admit("waits")
    slots.hand_over(connection)
    assert slots.statistics() == PoolStatistics(open=1, waiting=1)
    assert slots.closed(connection) is None
    assert slots.free_dial() == "waits"


class SlotsMachine(RuleBasedStateMachine):
    """Any order of events against a plain model: the bound holds, nobody is lost, nobody is served twice."""

    busy = Bundle("busy")

    def __init__(self) -> None:
        super().__init__()
        self.slots: Slots[Connection, int] = Slots(LIMITS)
        self.now = 0.0
        self.exchanges = 0
        self.dialling = 0
        self.waiting: deque[int] = deque()
        self.idle: list[Connection] = []
        self.busy_count = 0

    def _dial_for(self, exchange: int | None) -> None:
        if exchange is not None:
            assert exchange == self.waiting.popleft()
            self.dialling += 1

    def _start(self, connection: Connection) -> Connection:
        self.busy_count += 1
        return connection

    @rule(target=busy)
    def ask(self) -> object:
        self.exchanges += 1
        connection = self.slots.take_idle()
        if connection is not None:
            assert connection is self.idle.pop()
            return self._start(connection)
        assert self.idle == []
        open_count = self.dialling + self.busy_count
        verdict = self.slots.admit(self.exchanges)
        if verdict is Admission.DIAL:
            assert open_count < LIMITS.max_connections
            self.dialling += 1
        elif verdict is Admission.WAIT:
            assert open_count == LIMITS.max_connections
            self.waiting.append(self.exchanges)
        else:
            assert len(self.waiting) == LIMITS.max_waiting
        return None

    @rule(target=busy)
    def dial_succeeds(self) -> object:
        if not self.dialling:
            return None
        self.dialling -= 1
        connection = Connection()
        self.slots.opened(connection)
        return self._start(connection)

    @rule()
    def dial_fails(self) -> None:
        if self.dialling:
            self.dialling -= 1
            self._dial_for(self.slots.free_dial())

    @rule(target=busy, connection=consumes(busy))
    def ends(self, connection: Connection | None) -> object:
        if connection is None:
            return None
        self.busy_count -= 1
        self.now += 1
        exchange = self.slots.give_back(connection, self.now)
        if exchange is None:
            assert not self.waiting
            self.idle.append(connection)
            return None
        assert exchange == self.waiting.popleft()
        return self._start(connection)

    @rule(connection=consumes(busy), is_stale=st.booleans())
    def closes(self, connection: Connection | None, is_stale: bool) -> None:
        if connection is None:
            return
        self.busy_count -= 1
        if is_stale:
            self.slots.hand_over(connection)
            self.dialling += 1
        else:
            self._dial_for(self.slots.closed(connection))

    @rule(place=st.integers(0, 5))
    def idle_closes(self, place: int) -> None:
        if place < len(self.idle):
            connection = self.idle.pop(place)
            self._dial_for(self.slots.closed(connection))

    @rule(place=st.integers(0, 5))
    def leaves(self, place: int) -> None:
        if place < len(self.waiting):
            exchange = self.waiting[place]
            self.waiting.remove(exchange)
            self.slots.leave_queue(exchange)

    @rule(seconds=st.integers(0, 12))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        for connection in self.slots.expired(self.now):
            assert connection is self.idle.pop(0)
            assert connection.idle_since <= self.now - LIMITS.idle_s
            self._dial_for(self.slots.closed(connection))

    @invariant()
    def counts_agree(self) -> None:
        count = self.dialling + self.busy_count + len(self.idle)
        assert count <= LIMITS.max_connections
        assert self.slots.statistics() == PoolStatistics(open=count, idle=len(self.idle), waiting=len(self.waiting))
        assert not (self.waiting and count < LIMITS.max_connections)


TestSlotsMachine = SlotsMachine.TestCase
