"""``Call.start`` with a length: the client never takes a wrong number of bytes for a whole answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.call import Call
from gateway.config.settings import ServerSettings
from gateway.server import Edge
from tests.kit.client import until
from tests.kit.loops import on_both_loops
from tests.kit.peer import PeerConnection
from tests.kit.receiver import PATIENCE_S

GET = b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n"


@asynccontextmanager
async def client_of(write: Callable[[Call], None]) -> AsyncIterator[PeerConnection]:
    """A client whose calls are answered by ``write``."""

    async def answer(call: Call) -> None:
        write(call)

    edge = Edge(answer, lambda error: error.code.encode(), ServerSettings())
    edge.start()
    server = await asyncio.get_running_loop().create_server(edge, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = PeerConnection(0, *await asyncio.open_connection("127.0.0.1", port))
    try:
        yield client
    finally:
        server.close()
        client.writer.transport.abort()
        edge.stop()
        await until(lambda: not edge.connections)


def exact(call: Call) -> None:
    call.start(200, b"", b"ab", length=6)
    call.write(b"cd")
    call.end(b"ef")


def short(call: Call) -> None:
    call.start(200, b"", length=6)
    call.write(b"ab")
    call.end()


def long(call: Call) -> None:
    call.start(200, b"", length=6)
    call.write(b"abcdefg")
    call.end()


def long_at_the_end(call: Call) -> None:
    call.start(200, b"", b"abcdef", length=6)
    call.end(b"g")


def nothing(call: Call) -> None:
    call.start(204, b"", b"not shown")
    call.write(b"nor this")
    call.end(b"nor that")


@on_both_loops
async def test_as_many_bytes_as_told_leave_the_connection_open() -> None:
    async with client_of(exact) as client:
        for _ in range(2):
            await client.send(GET)
            assert b"Content-Length: 6\r\n" in await client.head()
            assert await client.reader.readexactly(6) == b"abcdef"


@on_both_loops
async def test_what_has_no_body_gets_none() -> None:
    async with client_of(nothing) as client:
        for _ in range(2):
            await client.send(GET)
            assert (await client.head()).startswith(b"HTTP/1.1 204 No Content\r\n")


@pytest.mark.parametrize("write", [short, long, long_at_the_end])
@on_both_loops
async def test_another_number_of_bytes_breaks_the_connection(write: Callable[[Call], None]) -> None:
    async with client_of(write) as client:
        await client.send(GET)
        received, is_whole = b"", True
        try:
            async with asyncio.timeout(PATIENCE_S):
                while piece := await client.reader.read(100):
                    received += piece
        except ConnectionError:
            is_whole = False
        assert not is_whole
        assert b"g" not in received.partition(b"\r\n\r\n")[2]
