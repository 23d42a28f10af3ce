"""A receiver that remembers what it was told and refuses to be told it in a wrong order."""

import asyncio
from typing import Any

from gateway.core.errors import UpstreamError
from gateway.upstream.contract import RawHeaders

PATIENCE_S = 10.0


class Recorder:
    """Holds the law of ``contract.Receiver``: started at most once, then data, then exactly one end."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: RawHeaders = []
        self.pieces: list[bytes] = []
        self.error: UpstreamError | None = None
        self.is_over = False
        self._changed: asyncio.Event = asyncio.Event()

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def told(self) -> tuple[Any, ...]:
        """Everything that may not depend on how the bytes were split."""
        return self.status, list(self.headers), self.body, self.is_over, type(self.error)

    def response_started(self, status: int, headers: RawHeaders) -> None:
        assert not self.status, "started twice"
        assert not self.is_over, "started after the end"
        self.status, self.headers = status, headers
        self._changed.set()

    def data_received(self, data: bytes) -> None:
        assert self.status, "data before the head"
        assert not self.is_over, "data after the end"
        assert data, "empty data"
        self.pieces.append(data)
        self._changed.set()

    def response_ended(self) -> None:
        assert self.status, "ended before the head"
        self._end()

    def response_failed(self, error: UpstreamError) -> None:
        self.error = error
        self._end()

    def _end(self) -> None:
        assert not self.is_over, "ended twice"
        self.is_over = True
        self._changed.set()

    async def _wait(self, is_reached: Any) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not is_reached():
                self._changed.clear()
                await self._changed.wait()

    async def started(self) -> None:
        await self._wait(lambda: self.status)

    async def has(self, size: int) -> None:
        """Wait for at least ``size`` bytes of body."""
        await self._wait(lambda: len(self.body) >= size)

    async def ended(self) -> "Recorder":
        """Wait for a good end."""
        await self._wait(lambda: self.is_over)
        assert self.error is None, (self.error.message, self.error.detail)
        return self

    async def failed(self) -> UpstreamError:
        """Wait for a bad end; the error."""
        await self._wait(lambda: self.is_over)
        assert self.error is not None, self.told()
        return self.error
