"""Streams of chat completions as events.

What a chunk means stands in ``providers.openai_like.chat_answer``. A stream is complete with ``[DONE]``, or when it
ends after every choice has said why it ended: some vendors send no ``[DONE]``, and all send the usage behind the last
reason. An event that broke off makes the answer incomplete even then. This is the judgement of ``ChatStreamObserver``
on the same bytes, with one difference: a chunk that cannot be read is a ``Fault`` here, since a part of the answer
would be missing. Data that is no JSON object at all is stepped over.

Source: OpenAI API reference, "Streaming"; variants from recorded traffic of other vendors.
"""

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.sse import SseDecoder, SseEvent
from gateway.core.types import Event, Fault, Usage
from providers.openai_like.chat_answer import ChatAnswer
from providers.openai_like.chat_wire import BrokenOffError, WireAnswer, broken, read_wire
from providers.openai_like.errors import read_fault

_DONE = b"[DONE]"
_TOO_EARLY = "the provider ended the stream before the answer was complete"
_UNREADABLE = "the provider sent an event that could not be read"


class ChatTransducer:
    """See ``providers.contract.Transducer``."""

    __slots__ = ("_answer", "_decoder", "_is_ended", "usage")

    def __init__(self) -> None:
        self._decoder = SseDecoder()
        self._answer = ChatAnswer()
        self._is_ended = False
        self.usage: Usage | None = None

    def feed(self, data: bytes) -> list[Event]:
        if self._is_ended:
            return []
        is_ended = any(self._take(event) for event in self._decoder.feed(data))
        if self._decoder.overflowed and not is_ended:
            self._fail(broken("the provider sent an event larger than the gateway takes"))
        return self._taken()

    def finish(self) -> list[Event]:
        if not self._is_ended:
            self._end()
        return self._taken()

    def _end(self) -> None:
        """The last event may lack its empty line and still be whole."""
        self._decoder.finish()
        rest = self._decoder.feed(b"\n\n") if self._decoder.is_partial else []
        is_cut = self._decoder.is_partial and not (rest and _is_whole(rest[0].data))
        if not is_cut and rest and self._take(rest[0]):
            return
        if self._answer.is_ended and not is_cut:
            self._complete()
        else:
            self._fail(broken(_TOO_EARLY))

    def _taken(self) -> list[Event]:
        events = self._answer.events[:]
        self._answer.events.clear()
        self.usage = self._answer.usage
        return events

    def _take(self, event: SseEvent) -> bool:
        """Is the answer at its end with this event?"""
        data = event.data
        try:
            if data.startswith(_DONE):
                self._complete()
            elif event.event == "error":
                self._fail(_read_error(data))
            elif data.lstrip()[:1] == b"{":
                self._answer.take(read_wire(data))
        except BrokenOffError as error:
            self._fail(error.fault)
        except DECODE_ERRORS:
            self._fail(broken(_UNREADABLE))
        return self._is_ended

    def _complete(self) -> None:
        try:
            self._answer.finish()
        except BrokenOffError as error:
            self._fail(error.fault)
        self._is_ended = True

    def _fail(self, fault: Fault) -> None:
        self._answer.tell_usage()
        self._answer.events.append(fault)
        self._is_ended = True


def _is_whole(data: bytes) -> bool:
    if data.startswith(_DONE):
        return True
    try:
        read_wire(data)
    except DECODE_ERRORS:
        return False
    return True


def _read_error(data: bytes) -> Fault:
    try:
        wire = read_wire(data)
    except DECODE_ERRORS:
        wire = WireAnswer()
    return read_fault(wire.error, wire.message, wire.type)
