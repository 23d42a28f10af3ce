"""Each of the five deadlines on a real socket, with limits so short that tests need no patience."""

import asyncio

import pytest

from gateway.core.deadlines import Timeouts
from gateway.core.errors import UpstreamError, UpstreamTimeout
from gateway.upstream.pool import SWEEP_S
from gateway.upstream.resolve import Resolver
from gateway.upstream.slots import PoolLimits
from tests.kit.client import age, ask, until, upstream_to
from tests.kit.loops import collect_unhandled, on_both_loops
from tests.kit.peer import OK, Peer, PeerConnection
from tests.kit.receiver import Recorder

SHORT = 0.05
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
COMMENT = b"4\r\n:hi\n\r\n"
END = b"0\r\n\r\n"


async def asked_and_silent(connection: PeerConnection) -> None:
    await connection.request()
    await connection.gone()


async def answers_without_end(connection: PeerConnection) -> None:
    await connection.answer(STREAM)
    await connection.gone()


async def chatters(connection: PeerConnection) -> None:
    """A stream that sends something all the time and never ends."""
    await connection.answer(STREAM)
    try:
        while not connection.reader.at_eof():
            await connection.send(COMMENT)
            await asyncio.sleep(0.005)
    except ConnectionError:
        pass


async def answers_once(connection: PeerConnection) -> None:
    await connection.answer(OK)
    await connection.request()
    await connection.gone()


@pytest.mark.parametrize("streamed", [False, True])
@on_both_loops
async def test_no_head_in_time(streamed: bool) -> None:
    async with Peer(asked_and_silent) as peer, upstream_to(peer.port, timeouts=Timeouts(headers=SHORT)) as upstream:
        error = await ask(upstream, streamed=streamed)[1].failed()
        assert isinstance(error, UpstreamTimeout)
        assert (error.phase, error.retryable, error.nothing_sent) == ("headers", True, False)
        assert upstream.statistics().idle == 0


@on_both_loops
async def test_informational_responses_do_not_count_as_the_head() -> None:
    async def continues(connection: PeerConnection) -> None:
        await connection.answer(b"HTTP/1.1 100 Continue\r\n\r\n")
        await connection.gone()

    async with Peer(continues) as peer, upstream_to(peer.port, timeouts=Timeouts(headers=SHORT)) as upstream:
        error = await ask(upstream)[1].failed()
        assert isinstance(error, UpstreamTimeout)
        assert error.phase == "headers"


@on_both_loops
async def test_a_plain_request_waits_for_its_head_as_long_as_in_total() -> None:
    timeouts = Timeouts(first_token=SHORT, stall=SHORT, total=4 * SHORT)
    async with Peer(asked_and_silent) as peer, upstream_to(peer.port, timeouts=timeouts) as upstream:
        error = await ask(upstream)[1].failed()
        assert isinstance(error, UpstreamTimeout)
        assert (error.phase, error.retryable) == ("total", False)


@on_both_loops
async def test_bytes_that_are_no_token_do_not_put_off_the_first_token() -> None:
    timeouts = Timeouts(first_token=SHORT)
    async with Peer(chatters) as peer, upstream_to(peer.port, timeouts=timeouts) as upstream:
        error = await ask(upstream, streamed=True)[1].failed()
        assert isinstance(error, UpstreamTimeout)
        assert error.phase == "first_token"


@on_both_loops
async def test_silence_after_the_first_token_is_a_stall() -> None:
    timeouts = Timeouts(first_token=30, stall=SHORT)
    async with Peer(answers_without_end) as peer, upstream_to(peer.port, timeouts=timeouts) as upstream:
        exchange, answer = ask(upstream, streamed=True)
        await answer.started()
        exchange.token_seen()
        error = await answer.failed()
        assert isinstance(error, UpstreamTimeout)
        assert error.phase == "stall"


@on_both_loops
async def test_silence_in_a_plain_body_is_a_stall() -> None:
    timeouts = Timeouts(stall=SHORT, first_token=30)
    async with Peer(answers_without_end) as peer, upstream_to(peer.port, timeouts=timeouts) as upstream:
        error = await ask(upstream)[1].failed()
        assert isinstance(error, UpstreamTimeout)
        assert error.phase == "stall"


@on_both_loops
async def test_bytes_never_put_off_the_total() -> None:
    async with Peer(chatters) as peer, upstream_to(peer.port, timeouts=Timeouts(total=4 * SHORT)) as upstream:
        exchange, answer = ask(upstream, streamed=True)
        exchange.token_seen()
        error = await answer.failed()
        assert isinstance(error, UpstreamTimeout)
        assert error.phase == "total"


@on_both_loops
async def test_a_paused_stream_cannot_stall() -> None:
    async def answers_in_two(connection: PeerConnection) -> None:
        await connection.answer(STREAM + COMMENT)
        await go_on.wait()
        await connection.send(COMMENT + END)
        await connection.gone()

    go_on = asyncio.Event()
    timeouts = Timeouts(total=100_000)
    async with Peer(answers_in_two) as peer, upstream_to(peer.port, timeouts=timeouts) as upstream:
        exchange, answer = ask(upstream, streamed=True)
        await answer.has(4)
        exchange.token_seen()
        exchange.pause_reading()
        age(exchange)
        await asyncio.sleep(3 * SWEEP_S)
        assert not answer.is_over
        exchange.resume_reading()
        await asyncio.sleep(3 * SWEEP_S)
        assert not answer.is_over
        go_on.set()
        assert (await answer.ended()).body == b":hi\n:hi\n"


@on_both_loops
async def test_a_stream_that_is_read_again_can_stall_again() -> None:
    timeouts = Timeouts(total=100_000)
    async with Peer(answers_without_end) as peer, upstream_to(peer.port, timeouts=timeouts) as upstream:
        exchange, answer = ask(upstream, streamed=True)
        await answer.started()
        exchange.token_seen()
        exchange.pause_reading()
        exchange.resume_reading()
        age(exchange)
        error = await answer.failed()
        assert isinstance(error, UpstreamTimeout)
        assert error.phase == "stall"


@on_both_loops
async def test_a_paused_stream_still_ends_in_total() -> None:
    async with Peer(answers_without_end) as peer, upstream_to(peer.port) as upstream:
        exchange, answer = ask(upstream, streamed=True)
        await answer.started()
        exchange.pause_reading()
        age(exchange)
        error = await answer.failed()
        assert isinstance(error, UpstreamTimeout)
        assert error.phase == "total"


@on_both_loops
async def test_no_connection_in_time() -> None:
    async def never(_host: str) -> list[str]:
        await asyncio.Event().wait()
        return []

    settings = {"timeouts": Timeouts(connect=SHORT), "resolver": Resolver(never)}
    async with upstream_to("http://provider.test/v1", **settings) as upstream:
        error = await ask(upstream)[1].failed()
        assert isinstance(error, UpstreamTimeout)
        assert (error.phase, error.nothing_sent) == ("connect", True)
        await asyncio.sleep(0)
        assert upstream.statistics().open == 0


@on_both_loops
async def test_waiting_in_the_queue_counts_as_connecting() -> None:
    settings = {"timeouts": Timeouts(total=100_000), "limits": PoolLimits(max_connections=1)}
    async with Peer(answers_without_end) as peer, upstream_to(peer.port, **settings) as upstream:
        first, running = ask(upstream)
        await running.started()
        second, waiting = ask(upstream)
        age(second)
        error = await waiting.failed()
        assert isinstance(error, UpstreamTimeout)
        assert (error.phase, error.nothing_sent) == ("connect", True)
        assert upstream.statistics().waiting == 0
        assert not running.is_over
        first.cancel()


@on_both_loops
async def test_the_sweep_rests_without_requests_and_wakes_with_the_next() -> None:
    async with Peer(answers_once) as peer, upstream_to(peer.port) as upstream:
        await ask(upstream)[1].ended()
        await until(lambda: upstream._sweep_timer is None)
        exchange, answer = ask(upstream)
        age(exchange)
        assert isinstance(await answer.failed(), UpstreamTimeout)


@on_both_loops
async def test_a_receiver_that_raises_does_not_end_the_sweep() -> None:
    class Faulty(Recorder):
        def response_failed(self, error: UpstreamError) -> None:
            super().response_failed(error)
            raise ZeroDivisionError

    unhandled = collect_unhandled()
    timeouts = Timeouts(headers=SHORT)
    async with Peer(asked_and_silent) as peer, upstream_to(peer.port, timeouts=timeouts) as upstream:
        answers = [ask(upstream, receiver=Faulty())[1] for _ in range(3)]
        for answer in answers:
            assert isinstance(await answer.failed(), UpstreamTimeout)
    assert [type(context["exception"]) for context in unhandled] == [ZeroDivisionError] * 3
