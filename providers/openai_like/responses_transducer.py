"""Streams of the Responses API as events.

    response.created   (response.output_item.added  pieces*  response.output_item.done)*   response.completed

with ``response.incomplete`` or ``response.failed`` for the last, and ``error`` in the place of everything that would
have come. What the items and their pieces mean stands in ``responses_output``.

The kind of an event is its ``type``; where a relay lost it, its name. Kinds of event that only tell of progress, and
those yet to come, are stepped over: whatever they begin comes whole with its item. A known event that makes no sense
ends the answer with a ``Fault``: stepping over it would lose a part of the answer.

Source: OpenAI API reference, "Streaming events" of the Responses API (2026-11).
"""

from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.sse import SseDecoder
from gateway.core.types import Event, Fault, Usage
from providers.openai_like.responses_answer import Answer
from providers.openai_like.responses_output import CallItem, FreeformCallItem, MessageItem, ReasoningItem
from providers.openai_like.responses_wire import (
    NULL,
    MalformedError,
    WireError,
    broken,
    fault_in,
    fault_of,
    is_given,
    read_response,
    read_wire_error,
)


class _Event(Struct, gc=False):
    """The members of all the events that are interpreted."""

    type: str = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: str | None = None
    item: Raw = NULL
    annotation: Raw = NULL
    response: Raw = NULL
    error: Raw = NULL


class _AnyEvent(Struct):
    type: str = ""
    error: Raw = NULL


_read_event = msgspec.json.Decoder(_Event).decode
_read_any_event = msgspec.json.Decoder(_AnyEvent).decode


class ResponsesTransducer:
    """See ``providers.contract.Transducer``."""

    __slots__ = ("_answer", "_decoder", "_is_ended", "usage")

    def __init__(self) -> None:
        self._decoder = SseDecoder()
        self._answer = Answer()
        self._is_ended = False
        self.usage: Usage | None = None

    def feed(self, data: bytes) -> list[Event]:
        if self._is_ended:
            return []
        is_ended = any(self._take(event.event, event.data) for event in self._decoder.feed(data))
        if self._decoder.overflowed and not is_ended:
            self._end(broken("the provider sent an event larger than the gateway takes"))
        return self._taken()

    def finish(self) -> list[Event]:
        if not self._is_ended:
            self._end(broken("the provider ended the stream before the answer was complete"))
        return self._taken()

    def _taken(self) -> list[Event]:
        events, self._answer.events = self._answer.events, []
        self.usage = self._answer.usage
        return events

    def _end(self, fault: Fault) -> None:
        self._answer.events.append(fault)
        self._is_ended = True

    def _take(self, name: str, data: bytes) -> bool:
        """Is the answer at its end with this event?"""
        try:
            event = _read_known(name, data)
            if event is not None:
                self._react(event, name, data)
        except MalformedError as error:
            self._end(broken(str(error)))
        except DECODE_ERRORS:
            if name == "error":
                self._end(fault_of(WireError()))
            elif data != b"[DONE]":  # relays exist that end every stream as chat completions end
                self._end(broken("the provider sent an event that could not be read"))
        return self._is_ended

    def _react(self, event: _Event, name: str, data: bytes) -> None:
        kind = event.type or name
        react = _PIECES.get(kind)
        if react is not None:
            react(self._answer, event)
        elif kind in _FRAMES:
            self._frame(kind, event.response)
        elif kind == "error" or name == "error" or (not event.type and is_given(event.error)):
            self._end(fault_of(read_wire_error(data)))

    def _frame(self, kind: str, raw: Raw) -> None:
        """An event that holds the response itself."""
        response = read_response(raw)
        self._answer.start(response)
        fault = fault_in(response)
        if fault is not None or kind == "response.failed":
            self._answer.count(response)
            self._end(fault or fault_of(WireError(response.error)))
        elif kind in _ENDS:
            self._answer.complete(response, is_cut=kind == "response.incomplete")
            self._is_ended = True


def _read_known(name: str, data: bytes) -> _Event | None:
    """None for an event that is of no known kind and none of the known shapes."""
    try:
        return _read_event(data)
    except msgspec.ValidationError:
        event = _read_any_event(data)
    kind = event.type or name
    if kind in _PIECES or kind in _FRAMES:
        raise MalformedError(f"the provider sent a malformed {kind} event")
    return _Event(kind, error=event.error)


# --- pieces -----------------------------------------------------------------------------------------------------------


def _open(answer: Answer, event: _Event) -> None:
    answer.open(event.output_index, event.item)


def _close(answer: Answer, event: _Event) -> None:
    answer.close(event.output_index, event.item)


def _say(answer: Answer, event: _Event) -> None:
    answer.item(event.output_index, MessageItem).say(event.content_index, event.delta or "")


def _say_whole(answer: Answer, event: _Event) -> None:
    answer.item(event.output_index, MessageItem).say_whole(event.content_index, event.text or "")


def _refuse(answer: Answer, event: _Event) -> None:
    answer.item(event.output_index, MessageItem).refuse(event.content_index, event.delta or "")


def _refuse_whole(answer: Answer, event: _Event) -> None:
    answer.item(event.output_index, MessageItem).refuse_whole(event.content_index, event.refusal or "")


def _cite(answer: Answer, event: _Event) -> None:
    answer.item(event.output_index, MessageItem).cite(event.content_index, event.annotation)


def _think(answer: Answer, event: _Event) -> None:
    answer.item(event.output_index, ReasoningItem).think("content", event.content_index, event.delta or "")


def _think_whole(answer: Answer, event: _Event) -> None:
    answer.item(event.output_index, ReasoningItem).think_whole("content", event.content_index, event.text or "")


def _sum_up(answer: Answer, event: _Event) -> None:
    answer.item(event.output_index, ReasoningItem).think("summary", event.summary_index, event.delta or "")


def _sum_up_whole(answer: Answer, event: _Event) -> None:
    answer.item(event.output_index, ReasoningItem).think_whole("summary", event.summary_index, event.text or "")


def _add_arguments(answer: Answer, event: _Event) -> None:
    answer.item(event.output_index, CallItem).add(event.delta or "")


def _add_all_arguments(answer: Answer, event: _Event) -> None:
    answer.item(event.output_index, CallItem).add_whole(event.arguments or "")


def _add_input(answer: Answer, event: _Event) -> None:
    answer.item(event.output_index, FreeformCallItem).add(event.delta or "")


def _add_all_input(answer: Answer, event: _Event) -> None:
    answer.item(event.output_index, FreeformCallItem).add_whole(event.input or "")


_PIECES: dict[str, Callable[[Answer, _Event], None]] = {
    "response.output_text.delta": _say,
    "response.output_text.done": _say_whole,
    "response.output_text.annotation.added": _cite,
    "response.refusal.delta": _refuse,
    "response.refusal.done": _refuse_whole,
    "response.reasoning_text.delta": _think,
    "response.reasoning_text.done": _think_whole,
    "response.reasoning_summary_text.delta": _sum_up,
    "response.reasoning_summary_text.done": _sum_up_whole,
    "response.function_call_arguments.delta": _add_arguments,
    "response.function_call_arguments.done": _add_all_arguments,
    "response.custom_tool_call_input.delta": _add_input,
    "response.custom_tool_call_input.done": _add_all_input,
    "response.output_item.added": _open,
    "response.output_item.done": _close,
}
_ENDS = ("response.completed", "response.incomplete")
_FRAMES = frozenset((*_ENDS, "response.created", "response.queued", "response.in_progress", "response.failed"))
