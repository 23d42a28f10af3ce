"""One attempt, from the provider's bytes to the client's.

The upstream calls a relay as bytes arrive, and the relay writes to the client in the same breath: no queue, no task, no
wake-up per chunk. The pipeline awaits ``done``, which fails only while nothing has reached the client; what goes wrong
later is told in the stream and kept in the record.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

from gateway.call import Call
from gateway.core.errors import GatewayError, Internal, UpstreamBroken, UpstreamError, place_of
from gateway.core.limits import MAX_ERROR_BODY_BYTES, MAX_UPSTREAM_BODY_BYTES
from gateway.core.types import Fault
from gateway.dialects.contract import Dialect
from gateway.plan import Plan, fault_error
from gateway.telemetry.record import Record, milliseconds
from gateway.upstream.contract import Exchange, RawHeaders

# How long a provider may take to end its body after it has said that the answer is complete, or has failed.
END_GRACE_S = 1.0
# A stream that is silent for so long gets a ping, where its dialect has one: load balancers cut idle connections after
# 60 s, some after 30.
PING_S = 15.0


class PlainRelay:
    """Collects a whole answer. ``body`` is complete once ``done``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, room_bytes: int = MAX_UPSTREAM_BODY_BYTES) -> None:
        self.done: asyncio.Future[None] = loop.create_future()
        self.status = 0
        self.headers: RawHeaders = ()
        self.content_type = b""
        self.request_id = b""  # the provider's own id of this request, for its support
        self._received = bytearray()  # one buffer: an answer in tiny chunks would cost 30 times its size in pieces
        self._room_bytes = room_bytes
        self.exchange: Exchange | None = None

    @property
    def body(self) -> bytes:
        return bytes(self._received)

    def abandon(self) -> None:
        """The client has left: note what is known so far."""

    def close(self) -> None:
        """The attempt is over, however it ended."""

    def lower_headers(self) -> dict[str, str]:
        return {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in self.headers}

    # --- called by the upstream ---

    def response_started(self, status: int, headers: RawHeaders) -> None:
        self.status = status
        self.headers = headers
        is_encoded = False
        for name, value in headers:
            # lengths first: nearly every header is out after one comparison
            length = len(name)
            if length == 12:
                lower = name.lower()
                if lower == b"content-type":
                    self.content_type = value
                elif lower == b"x-request-id":
                    self.request_id = value
            elif length == 10 and name.lower() == b"request-id":
                self.request_id = value
            elif length == 16 and name.lower() == b"content-encoding":
                is_encoded = value.lower() not in (b"", b"identity")
        if status >= 300:
            self._room_bytes = MAX_ERROR_BODY_BYTES
        elif is_encoded:
            self._give_up(UpstreamBroken("The provider compressed its answer although it was asked not to."))

    def data_received(self, data: bytes) -> None:
        self._room_bytes -= len(data)
        if self._room_bytes < 0 and self.status >= 300 and self.exchange is not None:
            # an error is read for its message only; its status must not be lost with the rest
            self.exchange.cancel()
            self.response_ended()
        elif self._room_bytes < 0:
            self._give_up(UpstreamBroken("The provider's answer is larger than the gateway takes."))
        else:
            self._received += data

    def response_ended(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def response_failed(self, error: UpstreamError) -> None:
        if self.status >= 400:
            # an error is read for its message only: its status must not be lost with the rest of it
            self.response_ended()
        elif not self.done.done():
            self.done.set_exception(error)

    def _give_up(self, error: UpstreamError) -> None:
        if self.exchange is not None:
            self.exchange.cancel()
        self.response_failed(error)


class StreamRelay(PlainRelay):
    """Streams a successful event stream; collects anything else, as an error's status can still be told.

    The response head waits for the first event: a provider that opens a stream only to report an error in it gets a
    real status. What goes wrong after that is noted in ``record``.
    """

    def __init__(
        self,
        call: Call,
        dialect: Dialect,
        plan: Plan,
        record: Record,
        head: Callable[[Plan, Record, bytes], bytes],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """``head(plan, record, content_type)`` gives the header lines of the client's answer."""
        super().__init__(loop)
        self._call = call
        self._dialect = dialect
        self._plan = plan
        self._record = record
        self._head = head
        self._flow = plan.flow()
        self._has_token = False
        self._end_timer: asyncio.TimerHandle | None = None
        self._ping_timer: asyncio.TimerHandle | None = None
        self._has_written = False
        self._write: Callable[[bytes], None] = self._begin
        self.is_stream = False
        # can an error be told within the answer?
        self._has_words = True

    def response_started(self, status: int, headers: RawHeaders) -> None:
        super().response_started(status, headers)
        is_events = self.content_type.lower().startswith(b"text/event-stream")
        self.is_stream = status < 300 and (is_events or self._plan.is_passed)
        self._has_words = is_events

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
            self._write(out)
        if self._end_timer is None and (flow.is_complete or (flow.fault is not None and not self.done.done())):
            # the end of the body follows at once, or the provider has forgotten it
            self._end_timer = self.done.get_loop().call_later(END_GRACE_S, self._end_whole)
        if not self._has_token and flow.has_token:
            self._has_token = True
            self._record.first_token_ms = milliseconds(monotonic() - self._call.started_at)
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
            self._write(rest)
        self._end_call()

    def response_failed(self, error: UpstreamError) -> None:
        if not self.is_stream and self.status >= 400:
            super().response_failed(error)
        elif self._call.has_started and (self._flow.is_complete or self._record.is_truncated):
            self._end_whole()  # what goes wrong behind the terminator, or behind an error told, changes nothing
        else:
            self._end_broken(error)

    def _end_whole(self) -> None:
        """All that matters was said; the provider is not waited for."""
        if self.exchange is not None:
            self.exchange.cancel()
        self._end_call()

    def _end_call(self) -> None:
        """The client has the whole answer, unless it was told of a broken one before."""
        if not self.done.done():
            self._note_usage()
            self._call.end()
            self.done.set_result(None)

    def close(self) -> None:
        """The attempt is over, however it ended."""
        for timer in (self._end_timer, self._ping_timer):
            if timer is not None:
                timer.cancel()

    def abandon(self) -> None:
        self._note_usage()

    @property
    def answer_id(self) -> str | None:
        """The provider's id of the answer, where clients may refer to it later."""
        return self._flow.answer_id

    def _begin(self, data: bytes) -> None:
        """The first bytes for the client: the head goes out with them."""
        self._write = self._call.write
        # in a stream that is forwarded as it is, the provider sends its own
        if self._dialect.ping and self._plan.encoder is not None:
            self._write = self._write_between_pings
            self._ping_timer = self.done.get_loop().call_later(PING_S, self._ping)
        self._call.start(200, self._head(self._plan, self._record, self.content_type), data)
        # from here on nothing is sent again: a long prompt need not stay in memory while its answer streams
        self._plan.forget_request()
        self.headers = ()

    def _write_between_pings(self, data: bytes) -> None:
        self._has_written = True
        self._call.write(data)

    def _ping(self) -> None:
        if not self._has_written and not self._call.line.writing_paused:
            self._call.write(self._dialect.ping)
        self._has_written = False
        self._ping_timer = self.done.get_loop().call_later(PING_S, self._ping)

    def _take_fault(self, fault: Fault, out: bytes) -> None:
        instance = self._plan.target.instance
        error = fault_error(fault, instance)
        # only a fault before any token becomes a status: what was answered is shown, however it was cut into reads
        if not self._call.has_started and not self._flow.has_token:
            self._end_broken(error)
            return
        if out:
            self._write(instance.scrub_event(out) if self._flow.is_fault_told else out)
        if self._flow.is_fault_told:
            # in the provider's own words; whatever it still sends after them is its own too
            self._note_error(error)
        else:
            self._end_broken(error)

    def _end_broken(self, error: GatewayError) -> None:
        """The end of a stream that did not go well: a real status while nothing was sent, else an error event and no
        success terminator."""
        if self.exchange is not None:
            self.exchange.cancel()
        if self.done.done():
            return
        self._note_usage()
        if not self._call.has_started:
            self.done.set_exception(error)
            return
        if isinstance(error, UpstreamError) and error.source == "upstream":
            error.provider = self._plan.target.instance.name
        self._note_error(error)
        if self._has_words:
            self._call.end(self._failure(error) or self._dialect.error_event(error))
        else:
            # not at once: with the connection ends the task that is to settle the call
            self._call.is_broken = True
        self.done.set_result(None)

    def _failure(self, error: GatewayError) -> bytes:
        """How the encoder ends a stream that broke off, if it knows better than its dialect in general."""
        encoder = self._plan.encoder
        if encoder is None or not self._dialect.tells_failure:
            return b""
        return encoder.stream([Fault(error.message, error.status, error.code)])

    def _note_usage(self) -> None:
        self._record.usage, self._record.finish_reason = self._flow.usage, self._flow.finish_reason

    def _note_error(self, error: GatewayError) -> None:
        record = self._record
        if not record.is_truncated:
            record.is_truncated = True
            record.error_code, record.detail = error.code, error.for_log()


def _defect(error: Exception) -> Internal:
    """A translator raised, which it never should: one request is harmed and the log says where."""
    return Internal("The gateway failed to read the provider's answer.", detail=place_of(error))
