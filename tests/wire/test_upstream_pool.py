"""The pool on real sockets: reuse, bounds, the queue, expiry and the end."""

import asyncio

from gateway.core.errors import ShuttingDown, UpstreamUnreachable
from gateway.upstream.contract import PoolStatistics
from gateway.upstream.slots import PoolLimits
from tests.kit.client import ask, until, upstream_to
from tests.kit.loops import on_both_loops
from tests.kit.peer import OK, Peer, PeerConnection

SLOW_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


async def answers(connection: PeerConnection) -> None:
    """Answers until the other side closes."""
    try:
        while True:
            await connection.answer()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass


class Gate:
    """A provider that answers only when it is opened."""

    def __init__(self) -> None:
        self.is_open = asyncio.Event()
        self.served: list[bytes] = []

    async def __call__(self, connection: PeerConnection) -> None:
        try:
            while True:
                request = await connection.request()
                await self.is_open.wait()
                self.served.append(request[-1:])
                await connection.send(OK)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass


@on_both_loops
async def test_one_connection_serves_one_request_after_another() -> None:
    async with Peer(answers) as peer, upstream_to(peer.port) as upstream:
        for _ in range(20):
            await ask(upstream)[1].ended()
        assert upstream.statistics() == PoolStatistics(open=1, idle=1, waiting=0)
    assert len(peer.connections) == 1


@on_both_loops
async def test_requests_at_the_same_time_have_their_own_connections() -> None:
    gate = Gate()
    async with Peer(gate) as peer, upstream_to(peer.port) as upstream:
        running = [ask(upstream)[1] for _ in range(5)]
        gate.is_open.set()
        for answer in running:
            await answer.ended()
        assert upstream.statistics() == PoolStatistics(open=5, idle=5, waiting=0)


@on_both_loops
async def test_the_queue_is_served_in_order_and_never_over_the_bound() -> None:
    gate = Gate()
    limits = PoolLimits(max_connections=2)
    async with Peer(gate) as peer, upstream_to(peer.port, limits=limits) as upstream:
        running = [ask(upstream, b"%d" % i)[1] for i in range(8)]
        assert upstream.statistics() == PoolStatistics(open=2, idle=0, waiting=6)
        gate.is_open.set()
        for answer in running:
            await answer.ended()
    assert len(peer.connections) == 2
    assert gate.served[2:] == [b"2", b"3", b"4", b"5", b"6", b"7"]


@on_both_loops
async def test_a_full_queue_refuses_and_says_that_nothing_was_sent() -> None:
    gate = Gate()
    limits = PoolLimits(max_connections=1, max_waiting=1)
    async with Peer(gate) as peer, upstream_to(peer.port, limits=limits) as upstream:
        _, first = ask(upstream)
        _, second = ask(upstream)
        exchange, refused = ask(upstream)
        assert not refused.is_over, "told before the caller has the exchange"
        error = await refused.failed()
        assert type(error) is UpstreamUnreachable
        assert error.nothing_sent
        exchange.cancel()
        gate.is_open.set()
        await first.ended()
        await second.ended()


@on_both_loops
async def test_a_refused_exchange_may_be_cancelled_before_it_is_told() -> None:
    limits = PoolLimits(max_connections=1, max_waiting=0)
    async with Peer(answers) as peer, upstream_to(peer.port, limits=limits) as upstream:
        _, first = ask(upstream)
        exchange, refused = ask(upstream)
        exchange.cancel()
        await first.ended()
        assert not refused.is_over


@on_both_loops
async def test_a_connection_that_closes_makes_room_for_the_queue() -> None:
    async def answers_and_closes(connection: PeerConnection) -> None:
        await connection.answer(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    limits = PoolLimits(max_connections=1)
    async with Peer(answers_and_closes) as peer, upstream_to(peer.port, limits=limits) as upstream:
        for answer in [ask(upstream)[1] for _ in range(4)]:
            await answer.ended()
    assert len(peer.connections) == 4


@on_both_loops
async def test_a_dial_that_fails_makes_room_for_the_queue() -> None:
    async with Peer(answers) as peer:
        port = peer.port
    async with upstream_to(port, limits=PoolLimits(max_connections=1)) as upstream:
        for answer in [ask(upstream)[1] for _ in range(4)]:
            assert type(await answer.failed()) is UpstreamUnreachable
        assert upstream.statistics() == PoolStatistics()


@on_both_loops
async def test_idle_connections_are_closed_when_their_time_is_over() -> None:
    limits = PoolLimits(idle_s=0.03)
    async with Peer(answers) as peer, upstream_to(peer.port, limits=limits) as upstream:
        for answer in [ask(upstream)[1] for _ in range(3)]:
            await answer.ended()
        await peer.finished()
        assert upstream.statistics().idle == 0
        await ask(upstream)[1].ended()


@on_both_loops
async def test_an_old_connection_is_not_kept() -> None:
    async with Peer(answers) as peer, upstream_to(peer.port, limits=PoolLimits(max_age_s=0.0)) as upstream:
        for _ in range(3):
            await ask(upstream)[1].ended()
    assert len(peer.connections) == 3


@on_both_loops
async def test_closing_fails_what_is_under_way_and_refuses_the_rest() -> None:
    gate = Gate()
    async with Peer(gate) as peer, upstream_to(peer.port, limits=PoolLimits(max_connections=1)) as upstream:
        _, running = ask(upstream)
        _, waiting = ask(upstream)
        await until(lambda: peer.connections)
        await upstream.close()
        assert type(await running.failed()) is ShuttingDown
        assert type(await waiting.failed()) is ShuttingDown
        assert type(await ask(upstream)[1].failed()) is UpstreamUnreachable
        assert upstream.statistics() == PoolStatistics()
        await upstream.close()
        gate.is_open.set()


@on_both_loops
async def test_closing_while_dialling() -> None:
    async with Peer(answers) as peer, upstream_to(peer.port) as upstream:
        _, answer = ask(upstream)
        await upstream.close()
        assert type(await answer.failed()) is ShuttingDown
        assert upstream.statistics() == PoolStatistics()


@on_both_loops
async def test_an_answer_that_is_being_read_when_all_closes_fails() -> None:
    async def begins(connection: PeerConnection) -> None:
        await connection.answer(SLOW_HEAD)
        await connection.gone()

    async with Peer(begins) as peer, upstream_to(peer.port) as upstream:
        _, answer = ask(upstream)
        await answer.started()
        await upstream.close()
        assert type(await answer.failed()) is ShuttingDown
