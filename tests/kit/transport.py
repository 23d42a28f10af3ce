"""A transport without a socket, for protocols that are driven by hand."""

import asyncio
from typing import Any


class FakeTransport(asyncio.Transport):
    """Remembers what was written and holds the law that nothing is written to a closed transport.

    As with real transports ``connection_lost`` comes later: the test calls ``lose``.
    """

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.written: list[bytes] = []
        self.unsent_bytes = 0
        self.is_aborted = False
        self.is_reading_now = True
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        assert not self.is_aborted, "written after the end"
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True

    def close(self) -> None:
        raise AssertionError("an upstream connection is aborted: close would wait for the peer")

    def pause_reading(self) -> None:
        assert not self.is_aborted
        self.is_reading_now = False

    def resume_reading(self) -> None:
        assert not self.is_aborted
        self.is_reading_now = True

    def lose(self, error: Exception | None = None) -> None:
        """The end of the socket reaches the protocol."""
        self.is_aborted = True
        self.protocol.connection_lost(error)
        del self.protocol  # as real transports do, so that the two do not keep each other alive
