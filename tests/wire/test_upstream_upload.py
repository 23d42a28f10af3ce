"""Request bodies that are sent piece by piece, on real sockets: framing, pace, early answers, deadlines and ends."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.core.deadlines import Timeouts
from gateway.core.errors import ShuttingDown, UpstreamBroken, UpstreamTimeout, UpstreamUnreachable
from gateway.upstream.pool import SWEEP_S, HttpUpstream
from gateway.upstream.resolve import Resolver
from gateway.upstream.slots import PoolLimits
from gateway.upstream.upload import HttpUpload
from tests.kit.authority import authority
from tests.kit.client import age, ask, until, upstream_to
from tests.kit.loops import on_both_loops
from tests.kit.peer import OK, Peer, PeerConnection, serve
from tests.kit.receiver import PATIENCE_S, Recorder

MIB = 1024 * 1024
SHORT = 0.05
REFUSED = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"


def begin(
    upstream: HttpUpstream, length: int | None, *, method: str = "POST", receiver: Recorder | None = None
) -> tuple[HttpUpload, Recorder]:
    receiver = receiver or Recorder()
    return upstream.send_stream(upstream.request_head(method, "/files", []), length, receiver), receiver


async def put(upload: HttpUpload, *pieces: bytes) -> None:
    await upload.drain()
    for piece in pieces:
        upload.write(piece)
        await upload.drain()


async def take_chunks(connection: PeerConnection) -> list[bytes]:
    """The chunks of a request's body."""
    chunks = []
    async with asyncio.timeout(PATIENCE_S):
        while size := int(await connection.reader.readuntil(b"\r\n"), 16):
            chunks.append(await connection.reader.readexactly(size))
            assert await connection.reader.readexactly(2) == b"\r\n"
        assert await connection.reader.readexactly(2) == b"\r\n"
    return chunks


# --- framing ----------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_a_known_length_is_told_and_the_pieces_follow() -> None:
    seen = []

    async def takes(connection: PeerConnection) -> None:
        for _ in range(2):
            seen.append(await connection.answer())
        await connection.gone()

    async with Peer(takes) as peer, upstream_to(peer.port) as upstream:
        for _ in range(2):
            upload, answer = begin(upstream, 10)
            upload.write(b"early ")  # before there is a connection
            await put(upload, b"late", b"")
            upload.end()
            upload.end()
            assert (await answer.ended()).body == b"ok"
            assert upload.closed.done()
        assert len(peer.connections) == 1
        assert upstream.statistics().idle == 1
    for request in seen:
        head, _, body = request.partition(b"\r\n\r\n")
        assert head.endswith(b"\r\nContent-Length: 10")
        assert b"ransfer" not in head
        assert body == b"early late"


@on_both_loops
async def test_an_unknown_length_is_sent_in_chunks() -> None:
    async def takes(connection: PeerConnection) -> None:
        for expected in ([b"ab", b"c" * 70_000], []):
            head = await connection.head()
            assert head.endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
            assert b"ontent-" not in head
            assert await take_chunks(connection) == expected
            await connection.send(OK)
        await connection.gone()

    async with Peer(takes) as peer, upstream_to(peer.port) as upstream:
        upload, answer = begin(upstream, None)
        await put(upload, b"ab", b"", b"c" * 70_000)
        upload.end()
        await answer.ended()
        upload, answer = begin(upstream, None)
        upload.end()
        await answer.ended()
        assert len(peer.connections) == 1


@pytest.mark.parametrize(
    ("method", "is_told"),
    [("POST", True), ("PUT", True), ("PATCH", True), ("GET", False), ("DELETE", False), ("OPTIONS", False)],
)
@on_both_loops
async def test_an_empty_body_is_told_where_one_is_expected(method: str, is_told: bool) -> None:
    async def takes(connection: PeerConnection) -> None:
        request = await connection.answer()
        assert request.startswith(method.encode() + b" /v1/files HTTP/1.1\r\n")
        assert (b"Content-Length: 0\r\n" in request) is is_told
        assert b"chunked" not in request
        await connection.gone()

    async with Peer(takes) as peer, upstream_to(peer.port) as upstream:
        upload, answer = begin(upstream, 0, method=method)
        upload.end()
        await answer.ended()


def writes_more(upload: HttpUpload) -> None:
    upload.write(b"12345")


def ends_early(upload: HttpUpload) -> None:
    upload.write(b"123")
    upload.end()


def writes_on(upload: HttpUpload) -> None:
    upload.write(b"1234")
    upload.end()
    upload.write(b"5")


@pytest.mark.parametrize("breaks", [writes_more, ends_early, writes_on])
@pytest.mark.parametrize("is_connected", [False, True])
@on_both_loops
async def test_another_length_than_announced_fails(breaks: Callable[[HttpUpload], None], is_connected: bool) -> None:
    async def takes(connection: PeerConnection) -> None:
        async with asyncio.timeout(PATIENCE_S):
            received = await connection.reader.read()
        assert not received.endswith(b"12345")

    async with Peer(takes) as peer, upstream_to(peer.port) as upstream:
        upload, answer = begin(upstream, 4)
        if is_connected:
            await upload.drain()
        breaks(upload)
        error = await answer.failed()
        assert type(error) is UpstreamBroken
        assert not error.retryable
        assert upload.closed.done()
        upload.write(b"more")
        upload.end()
        await until(lambda: upstream.statistics().open == 0)


# --- early answers ----------------------------------------------------------------------------------------------------


@on_both_loops
async def test_an_early_refusal_is_delivered_and_ends_the_upload() -> None:
    async def refuses(connection: PeerConnection) -> None:
        await connection.head()
        await connection.send(REFUSED[:-1])
        await go_on.wait()
        await connection.send(REFUSED[-1:])
        async with asyncio.timeout(PATIENCE_S):
            try:
                while await connection.reader.read(65536):
                    pass
            except ConnectionError:
                pass

    go_on = asyncio.Event()
    async with Peer(refuses) as peer, upstream_to(peer.port) as upstream:
        upload, answer = begin(upstream, 64 * MIB)
        piece, written = b"x" * MIB, 0
        while not upload.closed.done():
            upload.write(piece)
            written += len(piece)
            await asyncio.wait_for(upload.drain(), PATIENCE_S)
        assert written < 64 * MIB  # the peer reads nothing: what the sockets hold, and then the answer
        assert answer.status == 413
        upload.write(piece)
        upload.end()
        await upload.drain()
        go_on.set()
        assert (await answer.ended()).body == b"big"
        await until(lambda: upstream.statistics().open == 0)


@on_both_loops
async def test_an_early_success_lets_the_body_go_on() -> None:
    async def echoes(connection: PeerConnection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for _ in range(3):
            await connection.send(await connection.reader.readexactly(2))
        await connection.gone()

    async with Peer(echoes) as peer, upstream_to(peer.port) as upstream:
        upload, answer = begin(upstream, 6)
        for number, piece in enumerate((b"ab", b"cd", b"ef"), 1):
            await put(upload, piece)
            if number < 3:
                await answer.has(2 * number)
                assert not upload.closed.done()
        upload.end()
        assert (await answer.ended()).body == b"abcdef"
        assert upstream.statistics().idle == 1


@pytest.mark.parametrize("response", [OK, REFUSED])
@on_both_loops
async def test_a_whole_answer_before_the_end_of_the_body_costs_the_connection(response: bytes) -> None:
    async def answers_early(connection: PeerConnection) -> None:
        await connection.head()
        await connection.send(response)
        async with asyncio.timeout(PATIENCE_S):
            assert await connection.reader.read() == b"1"

    async with Peer(answers_early) as peer, upstream_to(peer.port) as upstream:
        upload, answer = begin(upstream, 2)
        upload.write(b"1")
        await answer.ended()
        assert upload.closed.done()
        upload.write(b"2")
        await until(lambda: upstream.statistics().open == 0)


# --- pace -------------------------------------------------------------------------------------------------------------


async def takes_64_mib(connection: PeerConnection) -> None:
    await connection.head()
    left = 64 * MIB
    async with asyncio.timeout(PATIENCE_S):
        while left:
            left -= len(await connection.reader.read(MIB))
    await connection.send(OK)
    await connection.gone()


@pytest.mark.parametrize("is_tls", [False, True])
@on_both_loops
async def test_a_large_body_goes_through_with_little_in_memory(is_tls: bool, tmp_path: Path) -> None:
    async def loopback(_host: str) -> list[str]:
        return ["127.0.0.1"]

    piece, most = b"x" * (256 * 1024), 0
    async with Peer(takes_64_mib, tls=authority().server("provider.test") if is_tls else None) as peer:
        url = f"https://provider.test:{peer.port}" if is_tls else f"http://127.0.0.1:{peer.port}"
        settings = {"ca_file": authority().write(tmp_path), "resolver": Resolver(loopback)} if is_tls else {}
        async with upstream_to(url, **settings) as upstream:
            upload, answer = begin(upstream, 64 * MIB)
            await upload.drain()
            assert upload.connection is not None
            for _ in range(256):
                upload.write(piece)
                most = max(most, upload.connection.unsent_bytes())
                await upload.drain()
            upload.end()
            await answer.ended()
            assert most <= len(piece) + 512 * 1024  # the high-water mark of asyncio's TLS
            assert upstream.statistics().idle == 1


@on_both_loops
async def test_whoever_drains_waits_for_the_connection_and_for_the_provider() -> None:
    async def reads_later(connection: PeerConnection) -> None:
        await connection.head()
        await go_on.wait()
        async with asyncio.timeout(PATIENCE_S):
            await connection.reader.readexactly(32 * MIB)
        await connection.send(OK)
        await connection.gone()

    go_on = asyncio.Event()
    async with Peer(reads_later) as peer, upstream_to(peer.port) as upstream:
        upload, answer = begin(upstream, 32 * MIB)
        assert upload.connection is None
        await upload.drain()
        assert upload.connection is not None
        upload.write(b"x" * 32 * MIB)
        draining = asyncio.ensure_future(upload.drain())
        await asyncio.sleep(0.02)
        assert not draining.done()
        go_on.set()
        await draining
        upload.end()
        await answer.ended()


@on_both_loops
async def test_an_upload_waits_its_turn_in_the_queue() -> None:
    limits = PoolLimits(max_connections=1)
    async with Peer(serve(OK, OK)) as peer, upstream_to(peer.port, limits=limits) as upstream:
        _, first = ask(upstream)
        upload, second = begin(upstream, 2)
        assert upstream.statistics().waiting == 1
        await put(upload, b"{}")
        assert first.is_over
        upload.end()
        await second.ended()
        assert len(peer.connections) == 1


# --- kept connections -------------------------------------------------------------------------------------------------


def let_idle(upstream: HttpUpstream, seconds: float) -> None:
    for connection in upstream._slots.connections():
        connection.idle_since -= seconds


@on_both_loops
async def test_an_upload_does_not_trust_a_connection_that_was_idle_for_long() -> None:
    async with Peer(serve(OK)) as peer, upstream_to(peer.port) as upstream:
        await ask(upstream)[1].ended()
        let_idle(upstream, 10)
        upload, answer = begin(upstream, 2)
        await put(upload, b"{}")
        upload.end()
        await answer.ended()
        assert len(peer.connections) == 2
        assert upstream.statistics().idle == 2


@on_both_loops
async def test_in_a_full_pool_it_takes_what_there_is() -> None:
    limits = PoolLimits(max_connections=1)
    async with Peer(serve(OK, OK)) as peer, upstream_to(peer.port, limits=limits) as upstream:
        await ask(upstream)[1].ended()
        let_idle(upstream, 10)
        upload, answer = begin(upstream, 2)
        await put(upload, b"{}")
        upload.end()
        await answer.ended()
        assert len(peer.connections) == 1


async def closes_on_the_second(connection: PeerConnection) -> None:
    if connection.number == 0:
        await connection.answer()
        await connection.head()
        return
    await connection.answer()
    await connection.gone()


@on_both_loops
async def test_a_stale_connection_is_noticed_before_the_body() -> None:
    async with Peer(closes_on_the_second) as peer, upstream_to(peer.port) as upstream:
        await ask(upstream)[1].ended()
        upload, answer = begin(upstream, 2)
        await until(lambda: len(peer.connections) == 2)
        await put(upload, b"{}")
        upload.end()
        await answer.ended()


@on_both_loops
async def test_a_body_that_has_begun_is_not_sent_again() -> None:
    async with Peer(closes_on_the_second) as peer, upstream_to(peer.port) as upstream:
        await ask(upstream)[1].ended()
        upload, answer = begin(upstream, 3)
        upload.write(b"1")
        error = await answer.failed()
        assert type(error) is UpstreamBroken
        assert not error.nothing_sent
        assert upload.closed.done()
        assert len(peer.connections) == 1


# --- deadlines --------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_a_provider_that_does_not_read_stalls() -> None:
    async def does_not_read(connection: PeerConnection) -> None:
        await connection.head()
        await over.wait()

    over = asyncio.Event()
    async with Peer(does_not_read) as peer, upstream_to(peer.port, timeouts=Timeouts(stall=SHORT)) as upstream:
        upload, answer = begin(upstream, 64 * MIB)
        await upload.drain()
        upload.write(b"x" * 32 * MIB)
        await upload.drain()
        error = await answer.failed()
        assert isinstance(error, UpstreamTimeout)
        assert (error.phase, error.nothing_sent) == ("stall", False)
        assert "reading" in error.message
        assert upload.closed.done()
        over.set()


@on_both_loops
async def test_a_client_that_sends_slowly_is_not_the_providers_delay() -> None:
    timeouts = Timeouts(connect=30, headers=SHORT, stall=SHORT, total=4 * SHORT)
    async with Peer(serve(OK)) as peer, upstream_to(peer.port, timeouts=timeouts) as upstream:
        upload, answer = begin(upstream, 2)
        await put(upload, b"{")
        await asyncio.sleep(8 * SHORT)
        assert not answer.is_over
        await put(upload, b"}")
        upload.end()
        await answer.ended()


@on_both_loops
async def test_the_time_for_the_head_begins_with_the_end_of_the_body() -> None:
    async def is_silent(connection: PeerConnection) -> None:
        await connection.request()
        await connection.gone()

    async with Peer(is_silent) as peer, upstream_to(peer.port, timeouts=Timeouts(headers=SHORT)) as upstream:
        upload, answer = begin(upstream, 2)
        await put(upload, b"{}")
        await asyncio.sleep(2 * SHORT + 2 * SWEEP_S)
        assert not answer.is_over
        upload.end()
        error = await answer.failed()
        assert isinstance(error, UpstreamTimeout)
        assert error.phase == "headers"


@on_both_loops
async def test_the_rest_of_an_early_answer_may_not_stall() -> None:
    async def answers_half(connection: PeerConnection) -> None:
        await connection.head()
        await connection.send(REFUSED[:-1])
        await connection.gone()

    timeouts = Timeouts(total=100_000)
    async with Peer(answers_half) as peer, upstream_to(peer.port, timeouts=timeouts) as upstream:
        upload, answer = begin(upstream, 2)
        await answer.has(2)
        age(upload)
        error = await answer.failed()
        assert isinstance(error, UpstreamTimeout)
        assert error.phase == "stall"


# --- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_connected", [False, True])
@on_both_loops
async def test_cancelling_closes_the_socket_and_wakes_whoever_drains(is_connected: bool) -> None:
    async def sees_the_end(connection: PeerConnection) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await connection.reader.read()

    async with Peer(sees_the_end) as peer, upstream_to(peer.port) as upstream:
        upload, answer = begin(upstream, 64 * MIB)
        if is_connected:
            await upload.drain()
            upload.write(b"x" * 32 * MIB)
        draining = asyncio.ensure_future(upload.drain())
        await asyncio.sleep(0)
        upload.cancel()
        upload.cancel()
        await asyncio.wait_for(draining, PATIENCE_S)
        assert upload.closed.done()
        await until(lambda: upstream.statistics().open == 0)
        assert not answer.is_over


@pytest.mark.parametrize("how", ["reset", "half_close"])
@on_both_loops
async def test_a_provider_that_leaves_within_the_body_breaks_the_upload(how: str) -> None:
    async def leaves(connection: PeerConnection) -> None:
        await connection.head()
        await connection.reader.readexactly(1)
        getattr(connection, how)()

    async with Peer(leaves) as peer, upstream_to(peer.port) as upstream:
        upload, answer = begin(upstream, None)
        while not upload.closed.done():
            upload.write(b"x" * MIB)
            await asyncio.wait_for(upload.drain(), PATIENCE_S)
            await asyncio.sleep(0)
        error = await answer.failed()
        assert type(error) is UpstreamBroken
        assert not error.nothing_sent


@on_both_loops
async def test_nothing_was_sent_when_there_is_no_connection() -> None:
    async with Peer(serve()) as peer:
        port = peer.port
    async with upstream_to(port) as upstream:
        upload, answer = begin(upstream, 2)
        await upload.drain()
        assert upload.closed.done()
        error = await answer.failed()
        assert type(error) is UpstreamUnreachable
        assert error.nothing_sent


@on_both_loops
async def test_closing_the_upstream_ends_an_upload() -> None:
    async def sees_the_end(connection: PeerConnection) -> None:
        await connection.head()
        await connection.gone()

    async with Peer(sees_the_end) as peer, upstream_to(peer.port) as upstream:
        upload, answer = begin(upstream, 2)
        await upload.drain()
        await upstream.close()
        assert isinstance(await answer.failed(), ShuttingDown)
        assert upload.closed.done()
        late, answer = begin(upstream, 2)
        await late.drain()
        assert type(await answer.failed()) is UpstreamUnreachable


@on_both_loops
async def test_upload_and_reader_do_not_keep_each_other_alive() -> None:
    async with Peer(serve(OK)) as peer, upstream_to(peer.port) as upstream:
        upload, answer = begin(upstream, 0)
        upload.end()
        await answer.ended()
        gone = weakref.ref(answer)
        gc.disable()
        try:
            del answer
            assert gone() is None
        finally:
            gc.enable()
        assert upload.is_over


# --- HEAD -------------------------------------------------------------------------------------------------------------

HEADS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody that should not be there",
]


@pytest.mark.parametrize("response", HEADS)
@pytest.mark.parametrize("is_streamed", [False, True])
@on_both_loops
async def test_an_answer_to_head_ends_with_its_head(response: bytes, is_streamed: bool) -> None:
    async def answers(connection: PeerConnection) -> None:
        request = await connection.answer(response)
        assert request.startswith(b"HEAD /v1/files HTTP/1.1\r\n")
        await connection.gone()

    async with Peer(answers) as peer, upstream_to(peer.port) as upstream:
        if is_streamed:
            upload, answer = begin(upstream, 0, method="HEAD")
            upload.end()
        else:
            answer = Recorder()
            upstream.send(upstream.request_head("HEAD", "/files", []), b"", answer, streamed=False)
        assert (await answer.ended()).body == b""
        assert answer.status in (200, 204, 304, 404)
        await until(lambda: upstream.statistics().open == 0)


@on_both_loops
async def test_an_answer_to_head_may_be_cancelled_when_it_begins() -> None:
    class Leaving(Recorder):
        def response_started(self, status: int, headers: object) -> None:
            upload.cancel()
            cancelled.set()

    cancelled = asyncio.Event()
    async with Peer(serve(HEADS[0])) as peer, upstream_to(peer.port) as upstream:
        upload, answer = begin(upstream, 0, method="HEAD", receiver=Leaving())
        upload.end()
        await cancelled.wait()
        await peer.finished()
        assert not answer.is_over
