"""A provider on a real loopback socket that does exactly what its script says, byte by byte."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from tests.kit.receiver import PATIENCE_S

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class PeerConnection:
    """One accepted connection. ``number`` counts them from 0."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """The next request, head and body."""
        async with asyncio.timeout(PATIENCE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            return head + await self.reader.readexactly(int(length[0].split(b":")[1]) if length else 0)

    async def head(self) -> bytes:
        """The next request's head alone."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def send(self, data: bytes) -> None:
        if self.writer.transport.is_closing():
            raise ConnectionResetError("the other side has closed")
        self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0)  # ``drain`` need not wait, and a script that never waits would stop the other side

    async def answer(self, response: bytes = OK) -> bytes:
        """Take one request and answer it; the request."""
        request = await self.request()
        await self.send(response)
        return request

    async def gone(self) -> None:
        """Wait until the other side has closed; nothing more may have been sent."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                rest = await self.reader.read()
            except ConnectionError:
                return
            assert rest == b"", rest

    def half_close(self) -> None:
        self.writer.write_eof()

    def reset(self) -> None:
        """Close with RST, as a crashed host does."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[PeerConnection], Awaitable[Any]]


class Peer:
    """Runs ``script`` for every connection; each closes when its script returns. What a script raises fails the test.

    async with Peer(script) as peer: ... peer.port
    """

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self._script = script
        self._tls = tls
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections: list[PeerConnection] = []

    async def __aenter__(self) -> "Peer":
        self._server = await asyncio.start_server(self._accept, self._host, 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        self._server.close()
        if kind is not None:
            for task in self._tasks:
                task.cancel()
        async with asyncio.timeout(PATIENCE_S):
            results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self.connections:
            connection.writer.transport.abort()
        await asyncio.sleep(0)
        failures = [result for result in results if isinstance(result, Exception)]
        if failures and kind is None:
            raise failures[0]

    async def finished(self) -> None:
        """Wait until every script so far is at its end: what it waited to see has happened."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*self._tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = PeerConnection(len(self.connections), reader, writer)
        self.connections.append(connection)
        self._tasks.add(asyncio.get_running_loop().create_task(self._run(connection)))

    async def _run(self, connection: PeerConnection) -> None:
        await self._script(connection)
        connection.writer.transport.close()


def serve(*responses: bytes) -> Script:
    """Answers the requests of every connection with ``responses``, then waits for the other side to close."""

    async def script(connection: PeerConnection) -> None:
        for response in responses:
            await connection.answer(response)
        await connection.gone()

    return script
