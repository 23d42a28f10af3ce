"""A call that no client made: the gateway asks itself, so that a line of a batch is a request like any other."""

import asyncio
import re
from time import monotonic

from gateway.call import NO_HEADERS, Call
from gateway.core.errors import TooLarge
from gateway.core.limits import MAX_UPSTREAM_BODY_BYTES
from gateway.upstream.contract import Exchange

_RETRY_AFTER = re.compile(rb"(?im)^retry-after: *([0-9]{1,6})\r$")


class _NoLine:
    """A connection to nobody. Whatever is told of a body is of no interest: it is there as a whole."""

    exchange: Exchange | None = None
    transport: asyncio.Transport | None = None
    date_line = b""
    writing_paused = False

    def send(self, data: bytes) -> None: ...

    def abort(self) -> None: ...

    def await_body(self, payload: object, waited_s: float = 0.0) -> None: ...

    def hold_body(self, payload: object) -> None: ...

    def note_body(self, received_bytes: int) -> None: ...

    def end_body(self) -> None: ...


class LocalCall(Call, kw_only=True):
    """``body`` is asked and ``answer`` becomes the whole answer; ``is_broken`` when it never came to its end.
    ``retry_after_s`` is what whoever refused asked for, in seconds, 0 when they said nothing."""

    body: bytes
    answer: bytearray
    retry_after_s: int = 0

    def take_body(self, max_bytes: int) -> bytes | None:
        self.bytes_in = len(self.body)
        if self.bytes_in > max_bytes:
            raise TooLarge(f"The request is larger than the {max_bytes} bytes this gateway accepts (server.max_body).")
        return self.body

    def has_unread_body(self) -> bool:
        return False

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        self._begin(status, headers)
        self.write(body)

    def start(self, status: int, headers: bytes, first: bytes = b"", length: int | None = None) -> None:
        self._begin(status, headers)
        self.write(first)

    def _begin(self, status: int, headers: bytes) -> None:
        self.status = status
        self.has_started = True
        found = _RETRY_AFTER.search(headers)
        self.retry_after_s = int(found[1]) if found else 0

    def write(self, data: bytes) -> None:
        if len(self.answer) + len(data) > MAX_UPSTREAM_BODY_BYTES:
            self.is_broken = True
        else:
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
    return LocalCall(
        line=_NoLine(),
        payload=None,
        method="POST",
        path=path,
        headers=NO_HEADERS,
        started_at=monotonic(),
        keep_alive=False,
        body=body,
        answer=bytearray(),
    )
