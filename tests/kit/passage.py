"""The client's side of the gateway and an upstream with nothing between them but passing bytes: any request goes to one
provider, any answer comes back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.call import Call
from gateway.config.settings import ServerSettings
from gateway.core.errors import GatewayError
from gateway.passing import PassRelay, upload
from gateway.server import Edge
from gateway.upstream.contract import Upstream
from tests.kit.client import until
from tests.kit.peer import PeerConnection

PASSED_HEADERS = ("Content-Type", "X-Sent")


class Passage:
    """Answers calls and remembers how they ended. ``relays`` and ``calls`` are all there were; ``outcomes`` holds for
    each call that is over ``None``, the gateway's error or ``"left"``. ``before`` is awaited before the body is read.
    """

    def __init__(self, upstream: Upstream, limits: ServerSettings, max_bytes: int, options: dict[str, Any]) -> None:
        self._upstream = upstream
        self._max_bytes = max_bytes
        self._options = options
        self.before: Callable[[Call], Any] | None = None
        self.calls: list[Call] = []
        self.relays: list[PassRelay] = []
        self.outcomes: list[GatewayError | str | None] = []
        self.edge = Edge(self._answer, lambda error: error.code.encode(), limits)
        self.port = 0
        self._clients: list[PeerConnection] = []

    async def _answer(self, call: Call) -> None:
        relay = PassRelay(call, asyncio.get_running_loop(), head=lambda: b"X-Request-ID: ours\r\n", **self._options)
        self.calls.append(call)
        self.relays.append(relay)
        try:
            await self._pass(call, relay)
        except GatewayError as error:
            self.outcomes.append(error)
            if call.has_started:
                call.abort()
            else:
                call.reply(error.status, b"", error.code.encode())
        except asyncio.CancelledError:
            self.outcomes.append("left")
            raise
        else:
            self.outcomes.append(relay.error)
            if not relay.is_passed:
                call.reply(relay.status, b"X-Collected: yes\r\n", relay.body)

    async def _pass(self, call: Call, relay: PassRelay) -> None:
        if self.before is not None:
            call.hold_body()
            await self.before(call)
        fields = [(name, call.headers[name]) for name in PASSED_HEADERS if name in call.headers]
        head = self._upstream.request_head(call.method, call.path, fields)
        exchange = relay.exchange = self._upstream.send_stream(head, call.length, relay)
        call.attach(exchange)
        try:
            await upload(call, exchange, self._max_bytes)
            await relay.done
        finally:
            exchange.cancel()
            call.attach(None)

    async def connect(self, *, limit: int = 2**16) -> PeerConnection:
        """A client; it leaves with the passage at the latest."""
        client = PeerConnection(0, *await asyncio.open_connection("127.0.0.1", self.port, limit=limit))
        self._clients.append(client)
        return client

    def disconnect(self) -> None:
        for client in self._clients:
            client.writer.transport.abort()


@asynccontextmanager
async def passage_to(
    upstream: Upstream, *, limits: ServerSettings | None = None, max_bytes: int = 2**30, **options: Any
) -> AsyncIterator[Passage]:
    """A passage that listens on loopback; ``options`` are those of ``PassRelay``."""
    passage = Passage(upstream, limits or ServerSettings(), max_bytes, options)
    passage.edge.start()
    server = await asyncio.get_running_loop().create_server(passage.edge, "127.0.0.1", 0)
    passage.port = server.sockets[0].getsockname()[1]
    try:
        yield passage
    finally:
        server.close()
        passage.disconnect()
        passage.edge.stop()
        await until(lambda: not passage.edge.connections)
