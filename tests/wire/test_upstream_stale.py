"""Connections that were kept and then closed by the provider: one request may meet them, its client must not notice."""

import asyncio

from gateway.core.deadlines import Timeouts
from gateway.core.errors import UpstreamBroken, UpstreamTimeout, UpstreamUnreachable
from gateway.upstream.resolve import Resolver
from gateway.upstream.slots import PoolLimits
from tests.kit.client import age, ask, until, upstream_to
from tests.kit.loops import on_both_loops
from tests.kit.peer import OK, Peer, PeerConnection, Script
from tests.kit.receiver import Recorder


def first_connection(then: Script, otherwise: Script) -> Script:
    async def script(connection: PeerConnection) -> None:
        await (then if connection.number == 0 else otherwise)(connection)

    return script


async def answers(connection: PeerConnection) -> None:
    """Answers until the other side closes."""
    try:
        while True:
            await connection.answer()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass


@on_both_loops
async def test_the_request_is_sent_once_more_when_a_kept_connection_closes_on_it() -> None:
    bodies = []

    async def closes_on_the_second(connection: PeerConnection) -> None:
        await connection.answer()
        bodies.append(await connection.request())

    async def answers_one(connection: PeerConnection) -> None:
        bodies.append(await connection.answer())
        await connection.gone()

    async with (
        Peer(first_connection(closes_on_the_second, answers_one)) as peer,
        upstream_to(peer.port) as upstream,
    ):
        await ask(upstream)[1].ended()
        answer = await ask(upstream, b'{"a": 1}')[1].ended()
        assert answer.body == b"ok"
        assert upstream.statistics().open == 1
    assert bodies[0] == bodies[1]
    assert bodies[1].endswith(b'{"a": 1}')


@on_both_loops
async def test_a_reset_kept_connection_is_stale_too() -> None:
    async def resets(connection: PeerConnection) -> None:
        await connection.answer()
        await connection.head()
        connection.reset()

    async with Peer(first_connection(resets, answers)) as peer, upstream_to(peer.port) as upstream:
        await ask(upstream)[1].ended()
        await ask(upstream)[1].ended()
    assert len(peer.connections) == 2


@on_both_loops
async def test_a_fresh_connection_is_not_tried_again() -> None:
    async def closes(connection: PeerConnection) -> None:
        await connection.request()

    async with Peer(closes) as peer, upstream_to(peer.port) as upstream:
        error = await ask(upstream)[1].failed()
        assert type(error) is UpstreamBroken
        assert not error.nothing_sent
    assert len(peer.connections) == 1


@on_both_loops
async def test_the_second_attempt_is_the_last() -> None:
    async def answers_once(connection: PeerConnection) -> None:
        if connection.number == 0:
            await connection.answer()
        await connection.request()

    async with Peer(answers_once) as peer, upstream_to(peer.port) as upstream:
        await ask(upstream)[1].ended()
        assert type(await ask(upstream)[1].failed()) is UpstreamBroken
    assert len(peer.connections) == 2


@on_both_loops
async def test_a_kept_connection_that_sent_one_byte_is_not_tried_again() -> None:
    async def sends_a_byte(connection: PeerConnection) -> None:
        await connection.answer()
        await connection.answer(b"H")

    async with Peer(first_connection(sends_a_byte, answers)) as peer, upstream_to(peer.port) as upstream:
        await ask(upstream)[1].ended()
        assert type(await ask(upstream)[1].failed()) is UpstreamBroken
    assert len(peer.connections) == 1


@on_both_loops
async def test_a_kept_connection_that_stays_silent_times_out_and_is_not_tried_again() -> None:
    async def is_silent(connection: PeerConnection) -> None:
        await connection.answer()
        await connection.request()
        await connection.gone()

    async with Peer(is_silent) as peer, upstream_to(peer.port) as upstream:
        await ask(upstream)[1].ended()
        exchange, answer = ask(upstream)
        age(exchange)
        assert type(await answer.failed()) is UpstreamTimeout
    assert len(peer.connections) == 1


@on_both_loops
async def test_the_second_attempt_needs_no_second_slot_and_does_not_wait_behind_others() -> None:
    arrived = []
    closing = asyncio.Event()

    async def closes_on_the_second(connection: PeerConnection) -> None:
        await connection.answer()
        await connection.request()
        await closing.wait()

    async def records(connection: PeerConnection) -> None:
        for _ in range(2):
            arrived.append((await connection.answer())[-1:])
        await connection.gone()

    limits = PoolLimits(max_connections=1)
    async with (
        Peer(first_connection(closes_on_the_second, records)) as peer,
        upstream_to(peer.port, limits=limits) as upstream,
    ):
        await ask(upstream)[1].ended()
        _, first = ask(upstream, b"1")
        _, second = ask(upstream, b"2")
        assert upstream.statistics().waiting == 1
        closing.set()
        await first.ended()
        await second.ended()
    assert arrived == [b"1", b"2"]
    assert len(peer.connections) == 2


@on_both_loops
async def test_a_second_attempt_that_cannot_connect_does_not_claim_that_nothing_was_sent() -> None:
    asked = asyncio.Event()

    async def closes_on_the_second(connection: PeerConnection) -> None:
        await connection.answer()
        await connection.request()
        peer._server.close()  # nobody listens any more
        asked.set()

    async with Peer(closes_on_the_second) as peer, upstream_to(peer.port) as upstream:
        await ask(upstream)[1].ended()
        error = await ask(upstream)[1].failed()
        assert type(error) is UpstreamUnreachable
        assert not error.nothing_sent


@on_both_loops
async def test_an_idle_connection_that_the_provider_closes_is_forgotten() -> None:
    async def answers_and_leaves(connection: PeerConnection) -> None:
        await connection.answer()

    async with Peer(first_connection(answers_and_leaves, answers)) as peer, upstream_to(peer.port) as upstream:
        await ask(upstream)[1].ended()
        await until(lambda: not upstream.statistics().open)
        assert upstream.statistics().idle == 0
        await ask(upstream)[1].ended()


@on_both_loops
async def test_a_half_closed_idle_connection_is_closed() -> None:
    async def half_closes(connection: PeerConnection) -> None:
        await connection.answer()
        connection.half_close()
        await connection.gone()

    async with Peer(half_closes) as peer, upstream_to(peer.port) as upstream:
        await ask(upstream)[1].ended()
        await until(lambda: not upstream.statistics().open)


@on_both_loops
async def test_a_half_close_before_the_answer_breaks_the_exchange_at_once() -> None:
    async def half_closes(connection: PeerConnection) -> None:
        await connection.head()
        connection.half_close()

    body = b"x" * 8_000_000  # more than the sockets' buffers hold: a polite close would wait for it
    async with Peer(half_closes) as peer, upstream_to(peer.port) as upstream:
        assert type(await ask(upstream, body)[1].failed()) is UpstreamBroken


@on_both_loops
async def test_unasked_bytes_on_an_idle_connection_close_it() -> None:
    speak = asyncio.Event()

    async def speaks(connection: PeerConnection) -> None:
        await connection.answer()
        await speak.wait()
        await connection.send(OK.replace(b"ok", b"NO"))
        await connection.gone()

    async with Peer(first_connection(speaks, answers)) as peer, upstream_to(peer.port) as upstream:
        await ask(upstream)[1].ended()
        speak.set()
        await until(lambda: not upstream.statistics().open)
        assert (await ask(upstream)[1].ended()).body == b"ok"
    assert len(peer.connections) == 2


@on_both_loops
async def test_an_early_answer_is_delivered_and_its_connection_is_not_kept() -> None:
    async def answers_early(connection: PeerConnection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        async with asyncio.timeout(10):
            while await connection.reader.read(65536):
                await refused.ended()

    refused = Recorder()
    async with Peer(answers_early) as peer, upstream_to(peer.port) as upstream:
        ask(upstream, b"x" * 8_000_000, receiver=refused)
        await refused.ended()
        assert (refused.status, refused.body) == (413, b"big")
        assert upstream.statistics().idle == 0


class NamesOnce:
    """Knows an address once; the next question is never answered."""

    def __init__(self) -> None:
        self.is_asked_again = asyncio.Event()
        self._count = 0

    async def __call__(self, _host: str) -> list[str]:
        self._count += 1
        if self._count > 1:
            self.is_asked_again.set()
            await asyncio.Event().wait()
        return ["127.0.0.1"]


async def closes_on_the_second(connection: PeerConnection) -> None:
    await connection.answer()
    await connection.request()


@on_both_loops
async def test_the_second_attempt_has_the_connect_deadline_again() -> None:
    names = NamesOnce()
    async with Peer(closes_on_the_second) as peer:
        url, resolver = f"http://provider.test:{peer.port}", Resolver(names, ttl_s=0)
        async with upstream_to(url, resolver=resolver, timeouts=Timeouts(total=100_000)) as upstream:
            await ask(upstream)[1].ended()
            exchange, answer = ask(upstream)
            await names.is_asked_again.wait()
            age(exchange)
            error = await answer.failed()
            assert isinstance(error, UpstreamTimeout)
            assert (error.phase, error.nothing_sent) == ("connect", False)


@on_both_loops
async def test_cancelling_during_the_second_attempt_frees_its_slot() -> None:
    names = NamesOnce()
    async with Peer(closes_on_the_second) as peer:
        url, resolver = f"http://provider.test:{peer.port}", Resolver(names, ttl_s=0)
        async with upstream_to(url, resolver=resolver) as upstream:
            await ask(upstream)[1].ended()
            exchange, answer = ask(upstream)
            await names.is_asked_again.wait()
            exchange.cancel()
            await until(lambda: not upstream.statistics().open)
    assert not answer.is_over
