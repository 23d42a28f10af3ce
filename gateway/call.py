"""One request and the way to answer it: what the rest of the gateway sees of a client."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus
from time import monotonic
from typing import Protocol

from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from msgspec import Struct
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.core.edge import may_reuse
from gateway.core.errors import BadRequest, ClientError, TooLarge, UnsupportedMedia
from gateway.upstream.contract import Exchange

# Larger bodies are written apart from their head instead of being copied behind it.
_COPY_BELOW_BYTES = 64 * 1024

# Statuses whose answers have no body (RFC 9110, sections 15.3.5 and 15.4.5).
_BODYLESS = frozenset((204, 304))

NO_HEADERS: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())
_STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}


class Line(Protocol):
    """The client's connection, as far as a call needs it."""

    exchange: Exchange | None
    transport: asyncio.Transport | None

    @property
    def date_line(self) -> bytes: ...

    @property
    def writing_paused(self) -> bool: ...

    def send(self, data: bytes) -> None: ...

    def abort(self) -> None: ...

    def await_body(self, payload: StreamReader, waited_s: float = 0.0) -> None:
        """A body is being waited for: the deadline for it runs, and ``waited_s`` of its time are gone."""

    def hold_body(self, payload: StreamReader) -> None:
        """Nobody reads on: what comes of the body waits, in the end at the client, and no deadline runs."""

    def note_body(self, received_bytes: int) -> None: ...

    def end_body(self) -> None: ...


class Call(Struct):
    """``reply`` answers at once; or ``start`` with the head, ``write`` any number of times and ``end``.

    A body that is not read at once is lost when something is awaited before: ``hold_body`` makes it wait.

    ``headers`` given to these are complete header lines. Writing to a client that has left does nothing: the task that
    serves it is being cancelled.
    """

    line: Line
    payload: StreamReader | None  # None once the body was taken
    method: str
    path: str
    headers: CIMultiDictProxy[str]
    started_at: float
    keep_alive: bool
    # HTTP/1.0 knows no chunks: a streamed answer ends with the connection
    is_chunked: bool = True
    # bytes that the answer still owes its ``Content-Length``; None: it has none
    owed_bytes: int | None = None
    is_bodyless: bool = False
    # the answer has broken off: the connection is reset as soon as the call has been served
    is_broken: bool = False
    bytes_in: int = 0
    bytes_out: int = 0
    status: int = 0
    has_started: bool = False
    query: str = ""

    # --- request ---

    def take_body(self, max_bytes: int) -> bytes | None:
        """The whole body if it has arrived with the head, as most do; else None. Raises ``TooLarge`` or
        ``UnsupportedMedia``."""
        headers = self.headers
        if "Content-Encoding" in headers and headers["Content-Encoding"].lower() != "identity":
            raise UnsupportedMedia("Compressed request bodies are not accepted; send it without Content-Encoding.")
        payload = self.payload
        if payload is None or not payload.is_eof():
            return None
        # what ``read_nowait`` gives, without the bookkeeping of a reader that nobody reads again; the reader that
        # stands for no body has no buffer
        body = b"".join(getattr(payload, "_buffer", ()))
        self.payload = None
        self.bytes_in = len(body)
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        return body

    async def read_body(self, max_bytes: int) -> bytes:
        """The whole body. Raises ``TooLarge``, ``RequestTimeout``, ``UnsupportedMedia`` or ``BadRequest``."""
        body = self.take_body(max_bytes)
        if body is None:
            # the judge of heads has made sure that this is a plain number
            if int(self.headers.get("Content-Length", 0)) > max_bytes:
                raise _too_large(max_bytes)
            body = await self._collect(max_bytes)
            self.bytes_in = len(body)
        return body

    @property
    def length(self) -> int | None:
        """The announced length of the request body, 0 when it has none; None: it comes in chunks."""
        if "Transfer-Encoding" in self.headers:
            return None
        # the judge of heads has made sure that this is a plain number
        return int(self.headers.get("Content-Length", 0))

    def hold_body(self) -> None:
        """The body will be read later, and something else is awaited before."""
        if self.payload is not None:
            self.line.hold_body(self.payload)

    async def body_chunks(self, max_bytes: int) -> AsyncIterator[bytes]:
        """The body as it comes; whoever takes it slowly makes the client wait, and that time is not counted against
        the client's deadline. The bytes are as sent: ``Content-Encoding`` is for the reader to judge.

        Raises ``TooLarge``, ``RequestTimeout`` or ``BadRequest``. May be given up and begun anew as long as it has
        given nothing (``bytes_in`` is 0).
        """
        if (self.length or 0) > max_bytes:
            raise _too_large(max_bytes)
        line, payload = self.line, self.payload
        waited_s = 0.0
        if payload is not None and not payload.is_eof():
            self._say_continue()
        while payload is not None:
            since = monotonic()
            line.await_body(payload, waited_s)
            line.note_body(self.bytes_in)
            try:
                piece = await payload.readany()
            except ClientError:
                raise
            except Exception as error:
                raise _malformed(error) from None
            finally:
                line.hold_body(payload)
            waited_s += monotonic() - since
            if not piece and payload.is_eof():
                self.payload = payload = None
                line.end_body()
            elif self.bytes_in + len(piece) > max_bytes:
                raise _too_large(max_bytes)
            elif piece:
                self.bytes_in += len(piece)
                yield piece

    def _say_continue(self) -> None:
        # an HTTP/1.0 client does not know interim answers (RFC 9110, 10.1.1)
        if "Expect" in self.headers and self.is_chunked:
            self.line.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _collect(self, max_bytes: int) -> bytes:
        line, payload = self.line, self.payload
        assert payload is not None  # a body is read once
        self._say_continue()
        pieces: list[bytes] = []
        received = 0
        line.await_body(payload)
        try:
            while received <= max_bytes:
                piece = await payload.readany()
                if not piece and payload.is_eof():
                    self.payload = None
                    return b"".join(pieces)
                pieces.append(piece)
                received += len(piece)
                line.note_body(received)
        except ClientError:
            raise
        except Exception as error:
            raise _malformed(error) from None
        finally:
            line.end_body()
        raise _too_large(max_bytes)

    def has_unread_body(self) -> bool:
        return self.payload is not None and not self.payload.is_eof()

    # --- answer ---

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        """Answer with a whole body."""
        if self.has_unread_body():
            self.keep_alive = False
        self.status = status
        self.has_started = True
        self.bytes_out = len(body)
        line = self.line
        head = b"%b%b%b%bContent-Length: %d\r\n\r\n" % (
            status_line(status),
            line.date_line,
            b"" if self.keep_alive else b"Connection: close\r\n",
            headers,
            len(body),
        )
        if self.method == "HEAD":
            line.send(head)
        elif len(body) < _COPY_BELOW_BYTES:
            line.send(head + body)
        else:
            line.send(head)
            line.send(body)

    def start(self, status: int, headers: bytes, first: bytes = b"", length: int | None = None) -> None:
        """Begin a streamed answer; ``first`` goes out in the same write as the head. A known ``length`` is told, and
        writing more or fewer bytes breaks the connection. Answers to HEAD, 204 and 304 have no body: what is written
        to them is left out."""
        self.status = status
        self.has_started = True
        framing = self._choose_framing(status, length)
        self.headers = NO_HEADERS  # they have been read, and thousands of streams may be open
        self.line.send(
            b"%b%b%b%b%b\r\n%b"
            % (
                status_line(status),
                self.line.date_line,
                b"" if self.keep_alive else b"Connection: close\r\n",
                headers,
                framing,
                self._frame(first),
            )
        )

    def _choose_framing(self, status: int, length: int | None) -> bytes:
        """The header line that says where a streamed answer ends (RFC 9112, section 6.3)."""
        if self.has_unread_body():
            self.keep_alive = False
        self.is_bodyless = self.method == "HEAD" or status in _BODYLESS
        if self.is_bodyless or length is not None:
            self.is_chunked = False
            self.owed_bytes = 0 if self.is_bodyless else length
            # a 204 has no length (RFC 9110, section 8.6)
            return b"" if length is None or status == 204 else b"Content-Length: %d\r\n" % length
        if self.is_chunked:
            return b"Transfer-Encoding: chunked\r\n"
        self.keep_alive = False
        return b""

    def write(self, data: bytes) -> None:
        """More of a streamed answer; ``data`` is not empty, an empty chunk would end it."""
        self.bytes_out += len(data)
        transport = self.line.transport
        if transport is not None:
            transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self.is_chunked else self._measure(data))

    def end(self, last: bytes = b"") -> None:
        """The streamed answer is over; ``last`` is what belongs to it still."""
        self.line.send(self._frame(last) + (b"0\r\n\r\n" if self.is_chunked else b""))
        if self.owed_bytes:
            self.abort()

    def abort(self) -> None:
        """Break the connection, so that nothing can take what was sent for a whole answer."""
        self.line.abort()

    def _frame(self, data: bytes) -> bytes:
        self.bytes_out += len(data)
        if not self.is_chunked:
            return self._measure(data)
        return b"%x\r\n%b\r\n" % (len(data), data) if data else data

    def _measure(self, data: bytes) -> bytes:
        """``data``, if the answer may still have it."""
        if self.owed_bytes is None:
            return data
        if self.is_bodyless or len(data) > self.owed_bytes:
            if not self.is_bodyless:
                self.abort()
            self.bytes_out -= len(data)
            return b""
        self.owed_bytes -= len(data)
        return data

    # --- flow ---

    def attach(self, exchange: Exchange | None) -> None:
        """Let the client's reading speed govern ``exchange``."""
        self.line.exchange = exchange
        if exchange is not None and self.line.writing_paused:
            exchange.pause_reading()


def new_call(line: Line, message: RawRequestMessage, payload: StreamReader) -> Call:
    """The call of a request head that has passed its judge."""
    is_chunked = message.version[1] == 1
    path, _, query = message.path.partition("?") if "?" in message.path else (message.path, "", "")
    return Call(
        line,
        payload,
        message.method,
        path,
        message.headers,
        monotonic(),
        is_chunked and not message.should_close and may_reuse(message.headers),
        is_chunked,
        query=query,
    )


def status_line(status: int) -> bytes:
    """``HTTP/1.1 200 OK`` and its line end; codes without a registered phrase, such as 529, get a plain one."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d Error\r\n" % status


def _malformed(error: Exception) -> BadRequest:
    """Nothing but the parser's own exceptions (a bad chunk, an early end) comes out of a payload."""
    return BadRequest("The request body is not well-formed HTTP.", detail=type(error).__name__)


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The request body is larger than the {max_bytes} bytes this gateway accepts (server.max_body).")
