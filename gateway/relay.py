"""One attempt, from the provider's bytes to the client's.

The upstream calls a relay as bytes arrive, and the relay writes to the client in the same breath: no queue, no task, no
wake-up per chunk. The pipeline awaits ``done``, which fails only while nothing has reached the client; what goes wrong
later is told in the stream and kept in ``fault``.
"""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from gateway.call import Call
from gateway.core.errors import GatewayError, Internal, UpstreamBroken, UpstreamError, place_of
from gateway.core.limits import MAX_ERROR_BODY_BYTES, MAX_UPSTREAM_BODY_BYTES
from gateway.core.types import (
    ContentDelta,
    Event,
    Fault,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from gateway.dialects.contract import Encoder
from gateway.telemetry.record import Record
from gateway.upstream.contract import Exchange, RawHeaders
from providers.contract import Transducer

_TOKENS = (TextDelta, ReasoningDelta, ToolCallDelta, RefusalDelta, ContentDelta)
_MAX_SHOWN_ID_CHARS = 128


class PlainRelay:
    """Collects a whole answer. ``body`` is complete once ``done``."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.done: asyncio.Future[None] = loop.create_future()
        self.status = 0
        self.headers: RawHeaders = ()
        self.content_type = b""
        self.request_id = ""  # the provider's own id of this request, for its support
        self._pieces: list[bytes] = []
        self._room_bytes = MAX_UPSTREAM_BODY_BYTES
        self.exchange: Exchange | None = None

    @property
    def body(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def tell(self, record: Record) -> None:
        """What this attempt adds to the record, however it ended."""
        record.upstream_request_id = self.request_id

    def lower_headers(self) -> dict[str, str]:
        return {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in self.headers}

    # --- called by the upstream ---

    def response_started(self, status: int, headers: RawHeaders) -> None:
        self.status = status
        self.headers = headers
        for name, value in headers:
            # lengths first: nearly every header is out after one comparison
            length = len(name)
            if length == 12:
                lower = name.lower()
                if lower == b"content-type":
                    self.content_type = value
                elif lower == b"x-request-id":
                    self.request_id = value[:_MAX_SHOWN_ID_CHARS].decode("latin-1")
            elif length == 10 and name.lower() == b"request-id":
                self.request_id = value[:_MAX_SHOWN_ID_CHARS].decode("latin-1")
        if status >= 300:
            self._room_bytes = MAX_ERROR_BODY_BYTES

    def data_received(self, data: bytes) -> None:
        self._room_bytes -= len(data)
        if self._room_bytes < 0:
            self._give_up(UpstreamBroken("The provider's answer is larger than the gateway takes."))
        else:
            self._pieces.append(data)

    def response_ended(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def response_failed(self, error: UpstreamError) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def _give_up(self, error: UpstreamError) -> None:
        if self.exchange is not None:
            self.exchange.cancel()
        self.response_failed(error)


class Flow(Protocol):
    """What a stream passes through on its way to the client: an observer, or a translation. ``is_fault_told`` says that the
    forwarded bytes already tell the ``fault``."""

    usage: Usage | None
    finish_reason: str | None
    has_token: bool
    fault: Fault | None
    is_fault_told: bool

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class Translation:
    """Provider bytes to client bytes by way of events."""

    __slots__ = ("_encoder", "_transducer", "fault", "finish_reason", "has_token", "usage")

    # the relay tells it: it knows whether a status can still be set
    is_fault_told = False

    def __init__(self, transducer: Transducer, encoder: Encoder) -> None:
        self._transducer = transducer
        self._encoder = encoder
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.has_token = False
        self.fault: Fault | None = None

    def feed(self, data: bytes) -> bytes:
        return self._encode(self._transducer.feed(data))

    def finish(self) -> bytes:
        return self._encode(self._transducer.finish())

    def _encode(self, events: list[Event]) -> bytes:
        if not events or self.fault is not None:
            return b""
        self.usage = self._transducer.usage
        last = events[-1]
        if isinstance(last, Finish):
            self.finish_reason = last.reason.value
        elif isinstance(last, Fault):
            self.fault = last
            events = events[:-1]
        if not self.has_token:
            self.has_token = any(isinstance(event, _TOKENS) for event in events)
        return self._encoder.stream(events) if events else b""


class StreamRelay(PlainRelay):
    """Streams a successful event stream; collects anything else, as an error's status can still be told.

    The response head waits for the first event: a provider that opens a stream only to report an error in it gets a real
    status. ``error`` is what went wrong after that.
    """

    def __init__(
        self,
        call: Call,
        flow: Flow,
        head: Callable[[PlainRelay], bytes],
        error_event: Callable[[GatewayError], bytes],
        scrub: Callable[[bytes], bytes],
    ) -> None:
        super().__init__(asyncio.get_running_loop())
        self._call = call
        self._flow = flow
        self._head = head
        self._error_event = error_event
        self._scrub = scrub
        self.is_stream = False
        self.first_token_at = 0.0
        self.error: GatewayError | None = None

    def tell(self, record: Record) -> None:
        super().tell(record)
        flow = self._flow
        record.usage, record.finish_reason = flow.usage, flow.finish_reason
        record.first_token_at = self.first_token_at
        if self.error is not None:
            record.is_truncated = True
            record.error_code, record.detail = self.error.code, self.error.detail or self.error.message

    def response_started(self, status: int, headers: RawHeaders) -> None:
        super().response_started(status, headers)
        self.is_stream = status < 300 and self.content_type.startswith(b"text/event-stream")

    def data_received(self, data: bytes) -> None:
        if not self.is_stream:
            super().data_received(data)
            return
        flow = self._flow
        try:
            out = flow.feed(data)
        except Exception as error:
            self._end_broken(_defect(error))
            return
        if flow.fault is not None:
            self._take_fault(flow.fault, out)
        elif out:
            self._send(out)
        if not self.first_token_at and flow.has_token:
            self.first_token_at = monotonic()
            if self.exchange is not None:
                self.exchange.token_seen()

    def response_ended(self) -> None:
        if not self.is_stream:
            super().response_ended()
            return
        try:
            rest = self._flow.finish()
        except Exception as error:
            self._end_broken(_defect(error))
            return
        if self._flow.fault is not None:
            self._take_fault(self._flow.fault, rest)
        elif rest or not self._call.has_started:
            self._send(rest)
        if not self.done.done():
            self._call.end()
            self.done.set_result(None)

    def response_failed(self, error: UpstreamError) -> None:
        self._end_broken(error)

    def _send(self, data: bytes) -> None:
        if self._call.has_started:
            self._call.write(data)
        else:
            self._call.start(200, self._head(self), data)

    def _take_fault(self, fault: Fault, out: bytes) -> None:
        error = UpstreamBroken(fault.message)
        error.status = fault.status
        if self._call.has_started and self._flow.is_fault_told:
            # the provider's own words; whatever it still sends after them is its own too
            self.error = self.error or error
            self._send(self._scrub(out))
            return
        if out and not self._flow.is_fault_told:
            self._send(out)
        self._end_broken(error)

    def _end_broken(self, error: GatewayError) -> None:
        """The end of a stream that did not go well: a real status while nothing was sent, else an error event and no
        success terminator."""
        if self.exchange is not None:
            self.exchange.cancel()
        if self.done.done():
            return
        if not self._call.has_started:
            self.done.set_exception(error)
            return
        self.error = error
        self._call.end(self._error_event(error))
        self.done.set_result(None)


def _defect(error: Exception) -> Internal:
    """A translator raised, which it never should: one request is harmed and the log says where."""
    return Internal("The gateway failed to read the provider's answer.", detail=place_of(error))
