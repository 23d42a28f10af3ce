"""Streams of ``streamGenerateContent?alt=sse`` as events.

Every event has the shape of a plain answer and holds what is new (``providers.generate_content.answer``). Nothing marks
the end: a stream is complete when it ends after the reason why the model stopped. Counts, citations and even another
reason may come behind the first reason, so the answer is finished with the stream and not before. An ``error`` in the
place of an answer breaks it off.

Source: ai.google.dev/api/generate-content, "models.streamGenerateContent" (2026-11).
"""

from gateway.core.sse import SseDecoder
from gateway.core.types import Event, Usage
from providers.generate_content.answer import Answer
from providers.generate_content.wire import broken


class GenerateContentTransducer:
    """See ``providers.contract.Transducer``."""

    __slots__ = ("_answer", "_decoder", "_is_ended")

    def __init__(self) -> None:
        self._decoder = SseDecoder()
        self._answer = Answer()
        self._is_ended = False

    @property
    def usage(self) -> Usage | None:
        return self._answer.usage

    def feed(self, data: bytes) -> list[Event]:
        if self._is_ended:
            return []
        for event in self._decoder.feed(data):
            # relays exist that end every stream as OpenAI does
            if event.data != b"[DONE]" and self._answer.take(event.data):
                self._is_ended = True
                break
        if self._decoder.overflowed and not self._is_ended:
            self._answer.events.append(broken("the provider sent an event larger than the gateway takes"))
            self._is_ended = True
        return self._taken()

    def finish(self) -> list[Event]:
        if not self._is_ended:
            self._is_ended = True
            self._decoder.finish()
            if self._decoder.is_partial:
                self._answer.events.append(broken("the provider ended the stream inside an event"))
            else:
                self._answer.finish()
        return self._taken()

    def _taken(self) -> list[Event]:
        events, self._answer.events = self._answer.events, []
        return events
