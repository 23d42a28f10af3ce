"""A call that no client made: the gateway asks itself, so that a line of a batch is a request like any other."""

import asyncio
from time import monotonic

from aiohttp.streams import StreamReader
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.call import Call
from gateway.core.errors import TooLarge
from gateway.upstream.contract import Exchange


class _NoLine:
    """A connection to nobody."""

    exchange: Exchange | None = None
    transport: asyncio.Transport | None = None
    date_line = b""
    writing_paused = False

    def send(self, data: bytes) -> None: ...

    def abort(self) -> None: ...

    def await_body(self, payload: StreamReader, waited_s: float = 0.0) -> None: ...

    def hold_body(self, payload: StreamReader) -> None: ...

    def note_body(self, received_bytes: int) -> None: ...

    def end_body(self) -> None: ...


class LocalCall(Call, kw_only=True):
    """``body`` is asked and ``answer`` becomes the whole answer; ``is_broken`` when it never came to its end."""

    body: bytes
    answer: bytes = b""
    is_broken: bool = False

    def take_body(self, max_bytes: int) -> bytes | None:
        self.bytes_in = len(self.body)
        if self.bytes_in > max_bytes:
            raise TooLarge(f"The request is larger than the {max_bytes} bytes this gateway accepts (server.max_body).")
        return self.body

    def has_unread_body(self) -> bool:
        return False

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        self.status = status
        self.has_started = True
        self.answer = body
        self.bytes_out = len(body)

    def start(self, status: int, headers: bytes, first: bytes = b"", length: int | None = None) -> None:
        self.status = status
        self.has_started = True
        self.write(first)

    def write(self, data: bytes) -> None:
        self.answer += data
        self.bytes_out += len(data)

    def end(self, last: bytes = b"") -> None:
        self.write(last)

    def abort(self) -> None:
        self.is_broken = True

    def attach(self, exchange: Exchange | None) -> None:
        """Whoever keeps the whole answer is never too slow to read it."""


def local_call(path: str, body: bytes) -> LocalCall:
    """A POST of JSON."""
    headers = CIMultiDictProxy(CIMultiDict({"Content-Type": "application/json"}))
    return LocalCall(
        line=_NoLine(),
        payload=None,
        method="POST",
        path=path,
        headers=headers,
        started_at=monotonic(),
        keep_alive=False,
        body=body,
    )
