"""Request bodies that go through to the provider as the client sends them, on real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.call import Call
from gateway.config.settings import ServerSettings
from gateway.core.deadlines import Timeouts
from gateway.core.errors import BadRequest, RequestTimeout, TooLarge, UpstreamBroken, UpstreamTimeout
from gateway.core.errors import UpstreamUnreachable as Unreachable
from gateway.server import SWEEP_S
from tests.kit.client import until, upstream_to
from tests.kit.loops import on_both_loops
from tests.kit.passage import Passage, passage_to
from tests.kit.peer import OK, Peer, PeerConnection, Script
from tests.kit.receiver import PATIENCE_S

KIB = 1024
MIB = 1024 * KIB
REFUSED = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"


def head(length: int | None, *lines: str) -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return "\r\n".join(["POST /files HTTP/1.1", "Host: gateway", framing, *lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def take_body(connection: PeerConnection) -> bytes:
    """The next request's body, whatever its framing."""
    lines = (await connection.head()).lower().split(b"\r\n")
    lengths = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")]
    if lengths:
        return await connection.reader.readexactly(lengths[0])
    body = b""
    while size := int(await connection.reader.readuntil(b"\r\n"), 16):
        body += (await connection.reader.readexactly(size + 2))[:-2]
    await connection.reader.readexactly(2)
    return body


async def echoes(connection: PeerConnection) -> None:
    """Answers every request with the length of its body."""
    try:
        while True:
            told = b"%d" % len(await take_body(connection))
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass


async def listens(connection: PeerConnection) -> None:
    """Reads whatever comes, to the end of the connection, and says nothing."""
    try:
        while await connection.reader.read(MIB):
            pass
    except ConnectionError:
        pass


@asynccontextmanager
async def passage(script: Script, *, timeouts: Timeouts | None = None, **options: Any) -> AsyncIterator[Passage]:
    async with (
        Peer(script) as peer,
        upstream_to(peer.port, timeouts=timeouts) as upstream,
        passage_to(upstream, **options) as through,
    ):
        yield through


async def answer_of(client: PeerConnection) -> tuple[int, bytes]:
    """Status and body of the next answer, which has a length."""
    lines = (await client.head()).lower().split(b"\r\n")
    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
    async with asyncio.timeout(PATIENCE_S):
        return int(lines[0].split(b" ")[1]), await client.reader.readexactly(length)


async def is_closed(client: PeerConnection) -> bool:
    """Does the connection end, with nothing more to read?"""
    async with asyncio.timeout(PATIENCE_S):
        try:
            return await client.reader.read() == b""
        except ConnectionError:
            return True


# --- bodies -----------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_bodies_with_a_length_leave_the_connection_open() -> None:
    async with passage(echoes) as through:
        client = await through.connect()
        for size in (0, 1, 3 * MIB, 100):
            await client.send(head(size) + b"x" * size)
            assert await answer_of(client) == (200, b"%d" % size)
        # in pieces, and with the next request right behind
        await client.send(head(6) + b"abc")
        await asyncio.sleep(0.01)
        await client.send(b"def" + head(2) + b"gh")
        assert [await answer_of(client), await answer_of(client)] == [(200, b"6"), (200, b"2")]
        assert through.outcomes == [None] * 6
        assert [call.bytes_in for call in through.calls] == [0, 1, 3 * MIB, 100, 6, 2]


@on_both_loops
async def test_a_body_in_chunks_goes_up_in_chunks() -> None:
    async with passage(echoes) as through:
        client = await through.connect()
        await client.send(head(None) + chunk(b"abc") + chunk(b"x" * 100_000))
        await asyncio.sleep(0.01)
        await client.send(b"0\r\n\r\n")
        assert await answer_of(client) == (200, b"100003")
        upload: Any = through.relays[0].exchange
        assert upload.length is None
        assert await is_closed(client)


@pytest.mark.parametrize("is_chunked", [False, True])
@on_both_loops
async def test_64_mib_go_through_with_little_in_memory(is_chunked: bool) -> None:
    async def reads_later(connection: PeerConnection) -> None:
        await connection.head()
        await go_on.wait()
        left = 64 * MIB
        async with asyncio.timeout(PATIENCE_S):
            while left > 0:
                left -= len(await connection.reader.read(MIB))
        await connection.send(OK)
        await listens(connection)

    async def sends() -> None:
        await client.send(head(None if is_chunked else 64 * MIB))
        for _ in range(64):
            await client.send(chunk(bytes(MIB)) if is_chunked else bytes(MIB))
            sent[0] += MIB
        if is_chunked:
            await client.send(b"0\r\n\r\n")

    go_on, sent = asyncio.Event(), [0]
    async with passage(reads_later) as through:
        client = await through.connect()
        sending = asyncio.ensure_future(sends())
        before = -1
        while before != sent[0] or not through.calls:  # until everything between them is full
            before = sent[0]
            await asyncio.sleep(0.05)
        assert sent[0] < 48 * MIB
        [line] = through.edge.connections
        [call] = through.calls
        upload: Any = through.relays[0].exchange
        assert call.payload is not None
        assert call.payload._size < MIB
        assert upload.connection.unsent_bytes() < 2 * MIB
        assert line._reading_paused
        go_on.set()
        await sending
        assert await answer_of(client) == (200, b"ok")
        assert call.bytes_in == 64 * MIB


@on_both_loops
async def test_a_body_that_comes_while_something_else_is_awaited_waits_too() -> None:
    async def hesitates(_call: Call) -> None:
        await asyncio.sleep(0.1 + 2 * SWEEP_S)

    limits = ServerSettings(body_timeout=0.1)
    async with passage(echoes, limits=limits) as through:
        through.before = hesitates
        client = await through.connect()
        await client.send(head(4 * MIB) + bytes(4 * MIB))
        assert await answer_of(client) == (200, b"%d" % (4 * MIB))


# --- Expect -----------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_a_client_that_waits_for_100_gets_it_when_there_is_a_connection() -> None:
    async with passage(echoes) as through:
        client = await through.connect()
        await client.send(head(2, "Expect: 100-continue"))
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"ab")
        assert await answer_of(client) == (200, b"2")


@on_both_loops
async def test_a_client_that_waits_for_100_is_told_at_once_that_nobody_is_there() -> None:
    async with Peer(listens) as peer:
        port = peer.port
    async with upstream_to(port) as upstream, passage_to(upstream) as through:
        client = await through.connect()
        await client.send(head(2, "Expect: 100-continue"))
        assert await answer_of(client) == (502, b"upstream_unreachable")
        [outcome] = through.outcomes
        assert isinstance(outcome, Unreachable)
        # the body was not touched: another attempt could have sent it
        assert through.calls[0].bytes_in == 0
        assert await is_closed(client)


# --- early answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sends_on", [False, True])
@on_both_loops
async def test_an_early_answer_reaches_the_client_at_once(sends_on: bool) -> None:
    async def refuses(connection: PeerConnection) -> None:
        await connection.head()
        await connection.reader.readexactly(1)
        await connection.send(REFUSED)
        await listens(connection)

    async def sends() -> None:
        try:
            while sends_on:
                await client.send(bytes(MIB))
        except ConnectionError:
            pass

    async with passage(refuses) as through:
        client = await through.connect()
        await client.send(head(2**30) + b"x")
        sending = asyncio.ensure_future(sends())
        assert await answer_of(client) == (413, b"big")
        await until(lambda: through.outcomes == [None])
        assert await is_closed(client)
        await sending


@on_both_loops
async def test_an_early_success_does_not_end_the_body() -> None:
    async def answers_as_it_reads(connection: PeerConnection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        for _ in range(2):
            await connection.send(await connection.reader.readexactly(2))
        await listens(connection)

    async with passage(answers_as_it_reads) as through:
        client = await through.connect()
        await client.send(head(4) + b"ab")
        assert b"Connection: close" in await client.head()
        assert await client.reader.readexactly(2) == b"ab"
        await client.send(b"cd")
        assert await client.reader.readexactly(2) == b"cd"
        assert await is_closed(client)
        assert through.outcomes == [None]


# --- clients that go wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["reset", "close"])
@on_both_loops
async def test_a_client_that_leaves_within_its_body_ends_the_exchange(how: str) -> None:
    seen = []

    async def listens_to_the_end(connection: PeerConnection) -> None:
        await listens(connection)
        seen.append("end")

    async with passage(listens_to_the_end) as through:
        client = await through.connect()
        await client.send(head(MIB) + bytes(100))
        await until(lambda: through.calls and through.calls[0].bytes_in == 100)
        if how == "reset":
            client.reset()
        else:
            client.writer.transport.close()
        await until(lambda: seen)
        await until(lambda: through.outcomes == ["left"])


@pytest.mark.parametrize(
    ("start", "rest", "status"),
    [
        (head(2**20 + 1), b"", 413),
        (head(None) + chunk(bytes(MIB)), chunk(b"x"), 413),
        (head(None) + chunk(b"abc"), b"nonsense\r\n", 400),
    ],
)
@on_both_loops
async def test_a_body_that_is_refused_ends_the_exchange(start: bytes, rest: bytes, status: int) -> None:
    async with passage(listens, max_bytes=MIB) as through:
        client = await through.connect()
        await client.send(start)
        await until(lambda: through.calls)
        await client.send(rest)
        assert (await answer_of(client))[0] == status
        assert isinstance(through.outcomes[0], TooLarge if status == 413 else BadRequest)
        assert await is_closed(client)


@on_both_loops
async def test_a_body_as_large_as_the_limit_goes_through() -> None:
    async with passage(echoes, max_bytes=MIB) as through:
        client = await through.connect()
        await client.send(head(MIB) + bytes(MIB))
        assert (await answer_of(client))[0] == 200


@pytest.mark.parametrize("trickles", [False, True])
@on_both_loops
async def test_a_body_that_does_not_come_is_answered_408(trickles: bool) -> None:
    async def sends() -> None:
        while trickles and not client.reader.at_eof() and not through.outcomes:
            await client.send(b"x")
            await asyncio.sleep(0.005)

    async with passage(listens, limits=ServerSettings(body_timeout=0.02)) as through:
        client = await through.connect()
        await client.send(head(MIB) + b"x")
        sending = asyncio.ensure_future(sends())
        assert (await answer_of(client))[0] == 408
        assert isinstance(through.outcomes[0], RequestTimeout)
        await sending


# --- providers that go wrong ------------------------------------------------------------------------------------------


@on_both_loops
async def test_a_provider_that_leaves_within_the_body_is_told() -> None:
    async def leaves(connection: PeerConnection) -> None:
        await connection.head()
        await connection.reader.readexactly(1)
        connection.reset()

    async with passage(leaves) as through:
        client = await through.connect()
        await client.send(head(MIB) + b"x")
        assert await answer_of(client) == (502, b"upstream_broken")
        assert type(through.outcomes[0]) is UpstreamBroken
        assert await is_closed(client)


@on_both_loops
async def test_a_provider_that_does_not_read_is_not_the_clients_delay() -> None:
    async def does_not_read(connection: PeerConnection) -> None:
        await connection.head()
        await over.wait()

    async def sends() -> None:
        try:
            for _ in range(64):
                await client.send(bytes(MIB))
        except ConnectionError:
            pass

    over = asyncio.Event()
    options: dict[str, Any] = {"timeouts": Timeouts(stall=4 * SWEEP_S), "limits": ServerSettings(body_timeout=0.02)}
    async with passage(does_not_read, **options) as through:
        client = await through.connect()
        await client.send(head(64 * MIB))
        sending = asyncio.ensure_future(sends())
        assert await answer_of(client) == (504, b"upstream_timeout")
        [outcome] = through.outcomes
        assert isinstance(outcome, UpstreamTimeout)
        assert outcome.phase == "stall"
        over.set()
        await sending
