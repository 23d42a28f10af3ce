"""The yardstick: the least a Python relay can do on uvloop and httptools and still be an HTTP/1.1 relay.

    python -m loadtest.bare_relay PORT UPSTREAM_PORT

It parses both sides, keeps connections alive, and writes its own framing, because framing belongs to a connection and
not to a message. A plain answer is collected and written at once; a chunked answer is passed on piece by piece as it
comes. Nothing else: no routes, keys, limits, deadlines, backpressure, logs or error answers. When something breaks
on one side it closes the other. What a gateway costs above this is the price of what it does.
"""

import asyncio
import sys
from typing import Any

import httptools
import uvloop


class UpstreamConnection(asyncio.Protocol):
    """One kept-alive connection to the upstream: serves one client at a time and rests in ``idle`` between."""

    def __init__(self, idle: list["UpstreamConnection"]) -> None:
        self.idle = idle
        self.client: Any = None  # a ClientConnection while one is served

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.parser = httptools.HttpResponseParser(self)

    def send(self, request: bytes, client: "ClientConnection") -> None:
        self.client = client
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.content_type = b""
        self.is_chunked = False
        self.body: list[bytes] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-type":
            self.content_type = value
        elif name == b"transfer-encoding":
            self.is_chunked = True

    def on_headers_complete(self) -> None:
        if self.is_chunked:
            self.client.transport.write(
                b"HTTP/1.1 %d OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
                % (self.parser.get_status_code(), self.content_type)
            )

    def on_body(self, piece: bytes) -> None:
        if self.is_chunked:
            self.client.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            self.body.append(piece)

    def on_message_complete(self) -> None:
        if self.is_chunked:
            answer = b"0\r\n\r\n"
        else:
            body = b"".join(self.body)
            answer = b"HTTP/1.1 %d OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
                self.parser.get_status_code(),
                self.content_type,
                len(body),
                body,
            )
        client, self.client = self.client, None
        client.upstream = None
        self.idle.append(self)
        client.transport.write(answer)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self.idle:
            self.idle.remove(self)
        if self.client is not None:
            self.client.transport.abort()


class ClientConnection(asyncio.Protocol):
    """One client: every complete request goes to an idle upstream connection, or to a new one."""

    def __init__(self, idle: list[UpstreamConnection], upstream_port: int) -> None:
        self.idle = idle
        self.upstream_port = upstream_port
        self.upstream: UpstreamConnection | None = None
        self.opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_body(self, piece: bytes) -> None:
        self.body.append(piece)

    def on_message_complete(self) -> None:
        body = b"".join(self.body)
        request = (
            b"%b %b HTTP/1.1\r\nHost: upstream\r\nAuthorization: Bearer x\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (self.parser.get_method(), self.url, len(body), body)
        )
        if self.idle:
            self.upstream = self.idle.pop()
            self.upstream.send(request, self)
        else:
            self.opening = asyncio.ensure_future(self.open_upstream(request))

    async def open_upstream(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, upstream = await loop.create_connection(
                lambda: UpstreamConnection(self.idle), "127.0.0.1", self.upstream_port
            )
        except OSError:
            self.transport.abort()
            return
        finally:
            self.opening = None
        self.upstream = upstream
        upstream.send(request, self)

    def connection_lost(self, error: Exception | None) -> None:
        if self.opening is not None:
            self.opening.cancel()
        if self.upstream is not None:
            self.upstream.transport.abort()


async def serve(port: int, upstream_port: int) -> None:
    idle: list[UpstreamConnection] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ClientConnection(idle, upstream_port), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
