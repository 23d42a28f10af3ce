"""What a stream passes through on its way to the client: an observer, or a translation. No I/O."""

import contextlib
from collections.abc import Callable
from typing import Protocol

from gateway.core.limits import MAX_OBSERVED_BODY_BYTES
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
from providers.contract import Summary, Transducer

_TOKENS = (TextDelta, ReasoningDelta, ToolCallDelta, RefusalDelta, ContentDelta)


class Flow(Protocol):
    """What a stream passes through on its way to the client: an observer, or a translation. ``is_fault_told`` says that
    the forwarded bytes already tell the ``fault``."""

    finish_reason: str | None
    has_token: bool
    is_complete: bool  # the success terminator has been forwarded
    fault: Fault | None
    is_fault_told: bool

    @property
    def usage(self) -> Usage | None:
        """The best known so far. It is asked for once, when all is over."""

    @property
    def answer_id(self) -> str | None:
        """The provider's id of the answer, where clients may refer to it later."""

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class Translation:
    """Provider bytes to client bytes by way of events."""

    __slots__ = ("_encoder", "_transducer", "fault", "finish_reason", "has_token", "is_complete")

    # the relay tells it: it knows whether a status can still be set
    is_fault_told = False
    # a translated answer has an id of ours
    answer_id = None

    def __init__(self, transducer: Transducer, encoder: Encoder) -> None:
        self._transducer = transducer
        self._encoder = encoder
        self.finish_reason: str | None = None
        self.has_token = self.is_complete = False
        self.fault: Fault | None = None

    @property
    def usage(self) -> Usage | None:
        return self._transducer.usage

    def feed(self, data: bytes) -> bytes:
        return self._encode(self._transducer.feed(data))

    def finish(self) -> bytes:
        return self._encode(self._transducer.finish())

    def _encode(self, events: list[Event]) -> bytes:
        if not events or self.fault is not None:
            return b""
        last = events[-1]
        if type(last) is Finish:
            self.finish_reason = last.reason.value
            self.is_complete = True
        elif type(last) is Fault:
            self.fault = last
            events = events[:-1]
        if not self.has_token:
            self.has_token = any(isinstance(event, _TOKENS) for event in events)
        return self._encoder.stream(events) if events else b""


class PassFlow:
    """Bytes that mean nothing to the gateway: sound, pictures, scores. ``read_summary`` may find usage in an answer
    that is small enough to be looked at."""

    __slots__ = ("_read_summary", "_seen", "fault", "finish_reason", "has_token", "usage")

    answer_id = None
    is_complete = is_fault_told = False

    def __init__(self, read_summary: Callable[[bytes], Summary] | None) -> None:
        self._read_summary = read_summary
        self._seen = bytearray()
        self.fault: Fault | None = None
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.has_token = False

    def feed(self, data: bytes) -> bytes:
        self.has_token = True
        if self._read_summary is not None:
            if len(self._seen) + len(data) > MAX_OBSERVED_BODY_BYTES:
                self._read_summary = None
                self._seen.clear()
            else:
                self._seen += data
        return data

    def finish(self) -> bytes:
        if self._read_summary is not None:
            with contextlib.suppress(ValueError):
                self.usage = self._read_summary(bytes(self._seen)).usage
        return b""
