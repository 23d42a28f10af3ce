"""What the relay and an upstream promise each other.

    exchange = upstream.send(head, body, receiver, streamed=True)
    upload = upstream.send_stream(head, length, receiver)

``send`` never blocks and never raises: whatever happens is told to the receiver, in this order and no other:

    response_started (at most once)  data_received (any number)  response_ended | response_failed (exactly one, last)

After ``exchange.cancel()`` nothing more is told. A response counts as ended only when its framing proves it complete.

An upload's body follows piece by piece, at the provider's speed:

    await upload.drain()  ( upload.write(piece)  await upload.drain() )*  upload.end()

A provider may answer before the body is complete. An error status then ends the upload: the answer is told as any
other, and what is still written is thrown away. After a success status the body goes on until the answer is complete.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from gateway.core.errors import ShuttingDown, UpstreamError

# Names and values as on the wire, in order; names are not lower-cased.
RawHeaders = Sequence[tuple[bytes, bytes]]


class Receiver(Protocol):
    """Takes one response, piece by piece, on the event loop's thread."""

    def response_started(self, status: int, headers: RawHeaders) -> None: ...

    def data_received(self, data: bytes) -> None: ...

    def response_ended(self) -> None: ...

    def response_failed(self, error: UpstreamError) -> None: ...


class Exchange(Protocol):
    """One request on its way and the response to it."""

    def pause_reading(self) -> None:
        """Stop taking bytes from the provider (the client is slow)."""

    def resume_reading(self) -> None: ...

    def token_seen(self) -> None:
        """The receiver found the first token: from here on silence counts as a stall."""

    def cancel(self) -> None:
        """Give up: the socket is closed at once and nothing more is told. Harmless after the end."""


class UploadExchange(Exchange, Protocol):
    """An exchange whose request body is still coming. Its calls never raise; errors are told to the receiver."""

    @property
    def closed(self) -> "asyncio.Future[None]":
        """Done as soon as no more of the body is wanted: the provider has answered with an error status, or the
        exchange is over in whatever way. Not done by ``end``."""

    def write(self, data: bytes) -> None:
        """The next piece. More bytes than announced, or any after ``end``, fail the exchange. A piece that the provider
        cannot take yet is kept in memory: whoever does not ``drain`` keeps all of them."""

    def end(self) -> None:
        """The body is complete, and the deadline for the response head begins. Fewer bytes than announced fail the
        exchange."""

    async def drain(self) -> None:
        """Wait while there is no connection yet or the provider does not read; at most until ``closed``."""


class PoolStatistics(Struct, frozen=True):
    """Connections of one upstream at this moment."""

    open: int = 0
    idle: int = 0
    waiting: int = 0


class Upstream(Protocol):
    """One provider instance as seen from the network."""

    def request_head(self, method: str, path: str, headers: Sequence[tuple[str, str]]) -> bytes:
        """Request line and headers, without ``Content-Length`` and the blank line. ``path`` starts with a slash and is
        appended to the base URL. ``ValueError`` when anything in it could break the framing."""

    def send(self, head: bytes, body: bytes, receiver: Receiver, *, streamed: bool) -> Exchange:
        """Send a whole request. The body of a HEAD request is empty."""

    def send_stream(
        self, head: bytes, length: int | None, receiver: Receiver, *, streamed: bool = False
    ) -> UploadExchange:
        """Send a request whose body follows: ``length`` bytes, or with ``None`` as many as come (chunked). Until its
        first piece is written the request has no effect and may be asked anew elsewhere."""

    def statistics(self) -> PoolStatistics: ...

    async def close(self) -> None: ...


def shutting_down() -> ShuttingDown:
    """What exchanges are told that are under way when their upstream is closed: nobody is left to try again."""
    return ShuttingDown("The gateway is shutting down; send the request again.")
