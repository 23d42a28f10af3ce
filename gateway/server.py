"""All client connections of one worker: who serves them, the sweep over their deadlines, and their end.

Deadlines are kept by one sweep over all connections instead of timers per request.
"""

import asyncio
from collections.abc import Iterator
from email.utils import formatdate

from aiohttp.web_protocol import RequestHandler

from gateway.connection import IDLE, Connection, Shared
from gateway.core.limits import MAX_HEADER_LINE_BYTES, MAX_HEADERS

# How often deadlines are looked at; they fire at most this much late.
SWEEP_S = 0.25


class Edge(Shared):
    """All connections of one worker. It makes one for each socket that is accepted."""

    def __call__(self) -> RequestHandler:
        return Connection(
            self,
            loop=self.loop,
            access_log=None,
            keepalive_timeout=0,  # our sweep does it
            auto_decompress=False,
            max_line_size=MAX_HEADER_LINE_BYTES,
            max_field_size=MAX_HEADER_LINE_BYTES,
            max_headers=MAX_HEADERS,
        )

    def start(self) -> None:
        """Begin to look at deadlines; before the first socket is accepted."""
        self._sweep()

    def _sweep(self) -> None:
        now = self.loop.time()
        self.date_line = f"Date: {formatdate(usegmt=True)}\r\n".encode()
        for connection in self._each():
            connection.check(now, self.limits)
        self._timer = self.loop.call_later(SWEEP_S, self._sweep)

    def drain(self) -> None:
        """Take no further requests: idle connections close now, others after the request whose head has begun."""
        self.is_draining = True
        for connection in self._each():
            if connection.call is not None:
                connection.call.keep_alive = False
            if connection.state is IDLE:
                connection.close()

    def busy(self) -> int:
        """How many requests are being answered, or answered and not sent."""
        return sum(connection.is_busy() for connection in self._each())

    async def wait_idle(self) -> None:
        """Until no request is being answered."""
        while self.busy():  # noqa: ASYNC110 - nobody is in a hurry, and an event would have to be kept by every request
            await asyncio.sleep(SWEEP_S)

    def stop(self) -> None:
        """Close what is left, and reset what is still busy."""
        self._timer.cancel()
        for connection in self._each():
            if connection.is_busy():
                connection.abort()
            else:
                connection.force_close()

    def _each(self) -> Iterator[Connection]:
        for connection in self.connections:
            assert isinstance(connection, Connection)
            yield connection
