"""What a stream passes through on its way to the client: an observer, or a translation. No I/O."""

from typing import Protocol

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
from providers.contract import Transducer

_TOKENS = (TextDelta, ReasoningDelta, ToolCallDelta, RefusalDelta, ContentDelta)


class Flow(Protocol):
    """What a stream passes through on its way to the client: an observer, or a translation. ``is_fault_told`` says that
    the forwarded bytes already tell the ``fault``."""

    usage: Usage | None
    finish_reason: str | None
    has_token: bool
    is_complete: bool  # the success terminator has been forwarded
    fault: Fault | None
    is_fault_told: bool

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class Translation:
    """Provider bytes to client bytes by way of events."""

    __slots__ = ("_encoder", "_transducer", "fault", "finish_reason", "has_token", "is_complete", "usage")

    # the relay tells it: it knows whether a status can still be set
    is_fault_told = False

    def __init__(self, transducer: Transducer, encoder: Encoder) -> None:
        self._transducer = transducer
        self._encoder = encoder
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.has_token = self.is_complete = False
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
            self.is_complete = True
        elif isinstance(last, Fault):
            self.fault = last
            events = events[:-1]
        if not self.has_token:
            self.has_token = any(isinstance(event, _TOKENS) for event in events)
        return self._encoder.stream(events) if events else b""
