"""Asking a proxy for a tunnel: ``CONNECT`` and the answer's head (RFC 9110, section 9.3.6)."""

import asyncio
import re
from typing import cast

from gateway.core.limits import MAX_TUNNEL_HEAD_BYTES

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\r\n")


class TunnelError(Exception):
    """The proxy gave no tunnel. ``status`` is its answer, 0 when that was none."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


def read_tunnel_answer(received: bytes) -> bool:
    """Whether the tunnel is open; ``False`` means that more bytes are needed. ``TunnelError`` when it will not be.

    Nothing may follow the head: in TLS the client speaks first, so such bytes come from somebody else.
    """
    head, end, rest = received.partition(b"\r\n\r\n")
    if not end:
        if len(received) > MAX_TUNNEL_HEAD_BYTES:
            raise TunnelError("the proxy's answer is too long")
        return False
    match = _STATUS_LINE.match(head + end)
    if match is None:
        raise TunnelError("the proxy's answer is not HTTP/1.1")
    status = int(match[1])
    if status // 100 != 2:
        raise TunnelError(f"the proxy answered CONNECT with status {status}", status)
    if rest:
        raise TunnelError("the proxy sent bytes of its own into the tunnel")
    return True


class Tunnel(asyncio.Protocol):
    """A fresh connection before it becomes the provider's: bare TCP, or a talk with a proxy.

    It reads only while it waits for the proxy's answer, so that no byte meant for its successor is lost.
    """

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._received = b""
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.pause_reading()

    async def ask(self, connect_head: bytes) -> None:
        """Send ``connect_head`` and wait for the tunnel. ``TunnelError`` or ``OSError`` when there will be none."""
        self.transport.write(connect_head)
        self.transport.resume_reading()
        await self._opened

    def abort(self) -> None:
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._opened.done():
            return
        self._received += data
        try:
            if read_tunnel_answer(self._received):
                self.transport.pause_reading()
                self._opened.set_result(None)
        except TunnelError as error:
            self._opened.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._opened.done():
            self._opened.set_exception(exc or TunnelError("the proxy closed the connection"))
            self._opened.exception()  # seen: a bare connection has nobody who waits for the tunnel
