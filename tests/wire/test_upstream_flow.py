"""Backpressure and cancellation on real sockets."""

import asyncio
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.errors import UpstreamBroken, UpstreamError, UpstreamUnreachable
from gateway.upstream.contract import RawHeaders
from gateway.upstream.pool import HttpUpstream
from gateway.upstream.resolve import Resolver
from gateway.upstream.slots import PoolLimits
from tests.kit.client import ask, holds_while_paused, until, upstream_to
from tests.kit.loops import collect_unhandled, on_both_loops
from tests.kit.peer import OK, Peer, PeerConnection, serve
from tests.kit.receiver import Recorder

STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
SIZE = 32 * 1024 * 1024


async def floods(connection: PeerConnection) -> None:
    """Sends as much as the other side takes, without end."""
    await connection.answer(STREAM)
    try:
        while not connection.reader.at_eof():
            await connection.send(CHUNK)
    except ConnectionError:
        pass


def when_opened(upstream: HttpUpstream, act: Callable[[Any], object]) -> None:
    """Let ``act`` on a connection come between its opening and its first use."""
    open_connection = upstream._dialer.open

    async def open_and_act(make_connection: Any) -> Any:
        connection = await open_connection(make_connection)
        act(connection)
        return connection

    upstream._dialer.open = open_and_act  # type: ignore[method-assign]


async def streams_and_waits(connection: PeerConnection) -> None:
    await connection.answer(STREAM + b"2\r\nhi\r\n")
    await connection.gone()


@on_both_loops
async def test_a_paused_exchange_takes_no_more_bytes_until_it_is_resumed() -> None:
    async with Peer(floods) as peer, upstream_to(peer.port) as upstream:
        exchange, answer = ask(upstream, streamed=True)
        await answer.has(1)
        await holds_while_paused(exchange, answer, SIZE // 16)


@on_both_loops
async def test_pausing_in_the_middle_of_a_read_loses_nothing() -> None:
    class Pausing(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            exchange.pause_reading()
            asyncio.get_running_loop().call_later(0.001, exchange.resume_reading)

    body = b"".join(b"1\r\n%c\r\n" % i for i in range(97, 123))
    async with Peer(serve(STREAM + body + b"0\r\n\r\n")) as peer, upstream_to(peer.port) as upstream:
        exchange, answer = ask(upstream, receiver=Pausing())
        assert (await answer.ended()).body == bytes(range(97, 123))


@on_both_loops
async def test_a_connection_paused_at_its_end_is_kept_and_works() -> None:
    class Pausing(Recorder):
        def response_started(self, status: int, headers: RawHeaders) -> None:
            super().response_started(status, headers)
            exchange.pause_reading()

    async with Peer(serve(OK, OK)) as peer, upstream_to(peer.port) as upstream:
        exchange, answer = ask(upstream, receiver=Pausing())
        await answer.ended()
        exchange.resume_reading()
        await ask(upstream)[1].ended()
    assert len(peer.connections) == 1


@on_both_loops
async def test_an_exchange_paused_before_it_is_connected_reads_only_when_resumed() -> None:
    async with Peer(serve(OK)) as peer, upstream_to(peer.port) as upstream:
        exchange, answer = ask(upstream)
        exchange.pause_reading()
        await until(lambda: peer.connections)
        await asyncio.sleep(0.02)
        assert not answer.status
        exchange.resume_reading()
        await answer.ended()


@on_both_loops
async def test_cancelling_closes_the_socket_and_tells_nothing_more() -> None:
    async with Peer(streams_and_waits) as peer, upstream_to(peer.port) as upstream:
        exchange, answer = ask(upstream, streamed=True)
        await answer.has(2)
        exchange.cancel()
        await peer.finished()
        assert not answer.is_over
        assert upstream.statistics().open == 0


@on_both_loops
async def test_cancelling_a_paused_flood_closes_the_socket() -> None:
    async with Peer(floods) as peer, upstream_to(peer.port) as upstream:
        exchange, answer = ask(upstream, streamed=True)
        await answer.has(1)
        exchange.pause_reading()
        await asyncio.sleep(0.01)
        exchange.cancel()
    assert not answer.is_over


@on_both_loops
async def test_cancelling_before_the_answer_closes_the_socket() -> None:
    async def waits(connection: PeerConnection) -> None:
        await connection.request()
        exchange.cancel()
        await connection.gone()

    async with Peer(waits) as peer, upstream_to(peer.port) as upstream:
        exchange, answer = ask(upstream)
        await until(lambda: peer.connections and not upstream.statistics().open)
    assert not answer.is_over


@on_both_loops
async def test_cancelling_inside_a_callback_stops_the_rest_of_the_read() -> None:
    class Leaving(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            exchange.cancel()

    async with Peer(serve(STREAM + b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")) as peer, upstream_to(peer.port) as upstream:
        exchange, answer = ask(upstream, receiver=Leaving())
        await answer.has(1)
        await peer.finished()
        assert answer.body == b"a"
        assert not answer.is_over


@on_both_loops
async def test_cancelling_while_the_name_is_looked_up() -> None:
    looking = asyncio.Event()

    async def lookup(_host: str) -> list[str]:
        looking.set()
        await asyncio.Event().wait()
        return []

    async with upstream_to("http://provider.test/v1", resolver=Resolver(lookup)) as upstream:
        exchange, answer = ask(upstream)
        await looking.wait()
        exchange.cancel()
        await until(lambda: not upstream.statistics().open)
    assert not answer.is_over


@on_both_loops
async def test_cancelling_as_soon_as_the_socket_is_there() -> None:
    accepted = asyncio.Event()

    async def accepts(connection: PeerConnection) -> None:
        exchange.cancel()
        accepted.set()
        await connection.gone()

    async with Peer(accepts) as peer, upstream_to(peer.port) as upstream:
        exchange, answer = ask(upstream)
        await accepted.wait()
        await until(lambda: not upstream.statistics().open)
    assert not answer.is_over


@on_both_loops
async def test_cancelling_between_the_connection_and_its_first_use_closes_it() -> None:
    async with Peer(serve()) as peer, upstream_to(peer.port) as upstream:
        # the cancellation comes before the pool is told
        when_opened(upstream, lambda _: asyncio.get_running_loop().call_soon(exchange.cancel))
        exchange, answer = ask(upstream)
        await until(lambda: peer.connections)
        await peer.finished()
        assert upstream.statistics().open == 0
    assert not answer.is_over


@on_both_loops
async def test_a_connection_that_closes_before_its_first_use_was_never_there() -> None:
    async with Peer(serve()) as peer, upstream_to(peer.port) as upstream:
        when_opened(upstream, lambda connection: connection.abort())
        error = await ask(upstream)[1].failed()
        assert type(error) is UpstreamUnreachable
        assert error.nothing_sent
        assert upstream.statistics().open == 0


@on_both_loops
async def test_cancelling_in_the_queue_leaves_the_place_to_the_next() -> None:
    limits = PoolLimits(max_connections=1)
    async with Peer(serve(OK, OK)) as peer, upstream_to(peer.port, limits=limits) as upstream:
        _, first = ask(upstream)
        waiting, nobody = ask(upstream)
        _, last = ask(upstream)
        waiting.cancel()
        await first.ended()
        await last.ended()
        assert not nobody.is_over


@on_both_loops
async def test_cancelling_after_the_end_harms_nobody() -> None:
    async with Peer(serve(OK, OK)) as peer, upstream_to(peer.port) as upstream:
        over, first = ask(upstream)
        await first.ended()
        _, second = ask(upstream)
        over.cancel()
        over.pause_reading()
        over.resume_reading()
        over.token_seen()
        upstream.fail(over, UpstreamBroken("told too late"))
        await second.ended()
        assert upstream.statistics().idle == 1


class Faulty(Recorder):
    """Raises in the callback of the given name."""

    def __init__(self, callback: str) -> None:
        super().__init__()
        self.callback = callback

    def _maybe_raise(self, callback: str) -> None:
        if callback == self.callback:
            raise ZeroDivisionError(callback)

    def response_started(self, status: int, headers: RawHeaders) -> None:
        super().response_started(status, headers)
        self._maybe_raise("response_started")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._maybe_raise("data_received")

    def response_ended(self) -> None:
        super().response_ended()
        self._maybe_raise("response_ended")


@pytest.mark.parametrize("callback", ["response_started", "data_received"])
@on_both_loops
async def test_a_receiver_that_raises_is_told_the_end_and_the_fault_is_not_hidden(callback: str) -> None:
    unhandled = collect_unhandled()
    async with Peer(serve(OK)) as peer, upstream_to(peer.port) as upstream:
        _, answer = ask(upstream, receiver=Faulty(callback))
        error = await answer.failed()
        assert type(error) is UpstreamBroken
        assert not error.retryable
        await peer.finished()
    assert [type(context["exception"]) for context in unhandled] == [ZeroDivisionError]


@on_both_loops
async def test_a_receiver_that_raises_at_the_end_costs_its_connection_only() -> None:
    unhandled = collect_unhandled()
    async with Peer(serve(OK)) as peer, upstream_to(peer.port) as upstream:
        await ask(upstream, receiver=Faulty("response_ended"))[1].ended()
        await peer.finished()
        assert upstream.statistics().idle == 0
        await ask(upstream)[1].ended()
    assert [type(context["exception"]) for context in unhandled] == [ZeroDivisionError]


@on_both_loops
async def test_a_receiver_may_ask_again_in_its_last_callback() -> None:
    class Asking(Recorder):
        def response_ended(self) -> None:
            super().response_ended()
            ask(upstream, receiver=second)

        def response_failed(self, error: UpstreamError) -> None:
            raise AssertionError(error)

    second = Recorder()
    async with Peer(serve(OK)) as peer, upstream_to(peer.port) as upstream:
        ask(upstream, receiver=Asking())
        await second.ended()


@on_both_loops
async def test_receiver_and_exchange_do_not_keep_each_other_alive() -> None:
    async with Peer(serve(OK)) as peer, upstream_to(peer.port) as upstream:
        exchange, answer = ask(upstream)
        await answer.ended()
        gone = weakref.ref(answer)
        del answer
        assert gone() is None
        assert exchange.is_over


@on_both_loops
async def test_the_request_is_not_kept_in_memory_while_the_answer_streams() -> None:
    async with Peer(streams_and_waits) as peer, upstream_to(peer.port) as upstream:
        exchange, answer = ask(upstream, b"x" * 1000, streamed=True)
        assert len(exchange.body) == 1000
        await answer.started()
        assert (exchange.head, exchange.body) == (b"", b"")
        exchange.cancel()
