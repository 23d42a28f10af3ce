"""A request whose body comes piece by piece, at the speed at which its client sends and its provider reads.

    CONNECT ──begin──> the body: idle <──> blocked ──end──> HEADERS ──> the answer
                             └── an answer before the end: an error status closes the upload

Once a byte of the body is written, the request cannot be sent a second time. Idle connections may be stale without our
knowing, so an upload takes one only if it was in use a moment ago, and dials else (``HttpUpstream.send_stream``).
"""

import asyncio
from typing import ClassVar, Final

from gateway.core.deadlines import Phase
from gateway.core.errors import UpstreamBroken, UpstreamError, UpstreamTimeout
from gateway.upstream.contract import RawHeaders, Receiver
from gateway.upstream.exchange import NOBODY, HttpExchange

# Requests of these methods say nothing about a body they do not have (RFC 9110, section 8.6).
BODYLESS_METHODS: Final = (b"GET ", b"HEAD ", b"DELETE ", b"OPTIONS ")
_LAST_CHUNK: Final = b"0\r\n\r\n"


class HttpUpload(HttpExchange, eq=False, kw_only=True):
    """See ``contract.UploadExchange``. It is its own receiver and passes on to ``reader`` what it is told, because an
    early answer and every end concern the body too.

    ``held`` is what was written before there was a connection. ``wire_bytes`` of the body, framing included, were given
    to the transport, and the provider's system had taken ``taken_bytes`` of them when a deadline was last judged.
    """

    is_upload: ClassVar[bool] = True

    reader: Receiver
    length: int | None
    closed: "asyncio.Future[None]"
    waiter: "asyncio.Future[None] | None" = None
    held: list[bytes] = []
    given_bytes: int = 0
    wire_bytes: int = 0
    taken_bytes: int = 0
    is_blocked: bool = False
    is_complete: bool = False
    has_answer: bool = False

    # --- the body ---

    def write(self, data: bytes) -> None:
        if self.closed.done() or not data:
            return
        self.given_bytes += len(data)
        if self.is_complete or (self.length is not None and self.given_bytes > self.length):
            self._fail_length()
            return
        self._put(data if self.length is not None else b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        if self.closed.done() or self.is_complete:
            return
        if self.length is not None and self.given_bytes < self.length:
            self._fail_length()
            return
        self.is_complete = True
        if self.length is None:
            self._put(_LAST_CHUNK)
        if self.connection is not None and not self.closed.done():
            self._has_moved()
            self._await_answer(self.keeper.now())

    async def drain(self) -> None:
        while not self.closed.done() and (self.connection is None or self.is_blocked):
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter

    def cancel(self) -> None:
        super().cancel()
        self._leave()

    def _put(self, data: bytes) -> None:
        if self.connection is None:
            self.held.append(data)
            return
        self.wire_bytes += len(data)
        self.connection.write(data)

    def _await_answer(self, now: float) -> None:
        """The whole body is given: from here on only the answer is waited for."""
        self.deadlines.expects(now)
        if not self.has_answer:
            self.deadlines.sent(now)

    def _fail_length(self) -> None:
        error = UpstreamBroken("The request body was not as long as announced.")
        error.retryable = False
        self.keeper.fail(self, error)

    # --- for the connection and the pool ---

    def begin(self, now: float) -> bytes:
        if self.is_complete:
            self._await_answer(now)
        else:
            self.deadlines.sending(now)
        self.is_head = self.head.startswith(b"HEAD ")
        self.is_blocked = False
        framing = b"\r\n"
        if self.length is None:
            framing = b"Transfer-Encoding: chunked\r\n\r\n"
        elif self.length or not self.head.startswith(BODYLESS_METHODS):
            framing = b"Content-Length: %d\r\n\r\n" % self.length
        body = b"".join(self.held)
        self.held.clear()
        self.wire_bytes += len(body)
        self._wake()
        return self.head + framing + body

    def may_resend(self) -> bool:
        return not self.wire_bytes

    def pause_writing(self) -> None:
        self.is_blocked = True
        self._has_moved()
        self.deadlines.expects(self.keeper.now())

    def resume_writing(self) -> None:
        self.is_blocked = False
        if not self.is_complete and not self.closed.done():
            self.deadlines.idles(self.keeper.now())
        self._wake()

    def judge_timeout(self, phase: Phase, now: float) -> UpstreamTimeout | None:
        if self.connection is None or self.has_answer or phase in (Phase.CONNECT, Phase.TOTAL):
            return super().judge_timeout(phase, now)
        # the transport tells only when it is nearly empty; a provider that reads slowly is not one that does not read
        if self._has_moved():
            self.deadlines.moved(now)
            return None
        if phase is Phase.STALL:
            return UpstreamTimeout("The provider stopped reading the request.", phase=phase)
        return super().judge_timeout(phase, now)

    def _has_moved(self) -> bool:
        """Has the provider's system taken anything since the last look?"""
        assert self.connection is not None
        before, self.taken_bytes = self.taken_bytes, self.wire_bytes - self.connection.unsent_bytes()
        return self.taken_bytes > before

    # --- contract.Receiver ---

    def response_started(self, status: int, headers: RawHeaders) -> None:
        self.has_answer = True
        if status >= 300 and not self.is_complete:
            self._close()
            self.deadlines.expects(self.keeper.now())
        self.reader.response_started(status, headers)

    def data_received(self, data: bytes) -> None:
        self.reader.data_received(data)

    def response_ended(self) -> None:
        if not self.is_complete and self.connection is not None:
            self.connection.abort()  # it may still want the rest of the body, which will not come
        self._leave().response_ended()

    def response_failed(self, error: UpstreamError) -> None:
        self._leave().response_failed(error)

    def _leave(self) -> Receiver:
        """The exchange is over; who is still to be told."""
        reader, self.reader = self.reader, NOBODY
        self._close()
        return reader

    def _close(self) -> None:
        self.held.clear()
        if not self.closed.done():
            self.closed.set_result(None)
        self._wake()

    def _wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)
