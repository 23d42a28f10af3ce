"""Streams of the Anthropic Messages API as events.

    message_start   (content_block_start  content_block_delta*  content_block_stop)*   message_delta   message_stop

with ``ping`` anywhere, and ``error`` in the place of everything that would have come. What the blocks and their pieces
mean stands in ``providers.claude.answer``.

The kind of an event is read from ``type`` in its data, not from the ``event:`` line, so that relays which lose the
latter do no harm. Events of an unknown kind are stepped over, as the API asks of its readers; unknown pieces of content
are kept as ``provider_content``. A known event that makes no sense ends the answer with a ``Fault``: stepping over it
would lose a part of the answer.

Source: platform.claude.com/docs, "Streaming messages".
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.sse import SseDecoder
from gateway.core.types import Event, Fault, Usage
from providers.claude.answer import Answer
from providers.claude.wire import (
    NULL,
    CitationPiece,
    InputPiece,
    MalformedError,
    Message,
    Piece,
    SignaturePiece,
    Stop,
    TextPiece,
    ThinkingPiece,
    WireError,
    WireUsage,
    broken,
    read_fault,
)


class _MessageStart(Struct, tag="message_start"):
    message: Message


class _BlockStart(Struct, tag="content_block_start"):
    content_block: Raw


class _BlockDelta(Struct, tag="content_block_delta"):
    delta: Piece


class _BlockStop(Struct, tag="content_block_stop"):
    pass


class _MessageDelta(Struct, tag="message_delta"):
    delta: Stop = field(default_factory=Stop)
    usage: WireUsage | None = None
    context_management: Raw = NULL


class _MessageStop(Struct, tag="message_stop"):
    pass


class _Ping(Struct, tag="ping"):
    pass


class _Error(Struct, tag="error"):
    error: WireError = field(default_factory=WireError)


class _AnyEvent(Struct):
    type: str
    delta: Raw = NULL


class _AnyPiece(Struct):
    type: str = ""


_read_event = msgspec.json.Decoder(
    _BlockDelta | _BlockStart | _BlockStop | _Ping | _MessageStart | _MessageDelta | _MessageStop | _Error
).decode
_read_any_event = msgspec.json.Decoder(_AnyEvent).decode
_read_any_piece = msgspec.json.Decoder(_AnyPiece).decode

_PIECES = frozenset(
    kind.__struct_config__.tag for kind in (TextPiece, CitationPiece, ThinkingPiece, SignaturePiece, InputPiece)
)


class MessagesTransducer:
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
            event = _read_known(data)
            if event is None:
                self._take_unknown(data)
            elif not self._answer.is_started and type(event) not in _BEFORE_START:
                raise MalformedError("the provider's answer has no beginning")
            else:
                _REACTIONS[type(event)](self, event)
        except MalformedError as error:
            self._end(broken(str(error)))
        except DECODE_ERRORS:
            if name == "error":
                self._end(read_fault(WireError()))
            elif data != b"[DONE]":  # relays exist that end every stream as OpenAI does
                self._end(broken("the provider sent an event that could not be read"))
        return self._is_ended

    def _take_unknown(self, data: bytes) -> None:
        event = _read_any_event(data)
        if event.type not in _REACTIONS_BY_TYPE:
            return
        if event.type != "content_block_delta" or _read_any_piece(event.delta).type in _PIECES:
            raise MalformedError(f"the provider sent a malformed {event.type} event")
        self._answer.keep("provider_content", event.delta)

    def _start(self, event: _MessageStart) -> None:
        self._answer.start(event.message)
        self._answer.count(event.message.usage)

    def _open_block(self, event: _BlockStart) -> None:
        self._answer.open(event.content_block)

    def _add_piece(self, event: _BlockDelta) -> None:
        block, piece = self._answer.block, event.delta
        if block is None or type(piece) not in block.takes:
            raise MalformedError("the provider sent a piece of content outside its block")
        block.add(piece)

    def _close_block(self, event: _BlockStop) -> None:
        self._answer.close()

    def _note_stop(self, event: _MessageDelta) -> None:
        self._answer.keep("context_management", event.context_management)
        self._answer.note_stop(event.delta)
        self._answer.count(event.usage)

    def _complete(self, event: _MessageStop) -> None:
        self._answer.finish()
        self._is_ended = True

    def _rest(self, event: _Ping) -> None:
        """A ping keeps the connection awake and says nothing."""

    def _fail(self, event: _Error) -> None:
        self._end(read_fault(event.error))


def _read_known(data: bytes) -> Struct | None:
    """None for an event that fits none of the known shapes."""
    try:
        event: Struct = _read_event(data)
        return event
    except msgspec.ValidationError:
        return None


_REACTIONS: dict[type[Struct], Callable[[MessagesTransducer, Any], None]] = {
    _MessageStart: MessagesTransducer._start,
    _BlockStart: MessagesTransducer._open_block,
    _BlockDelta: MessagesTransducer._add_piece,
    _BlockStop: MessagesTransducer._close_block,
    _MessageDelta: MessagesTransducer._note_stop,
    _MessageStop: MessagesTransducer._complete,
    _Ping: MessagesTransducer._rest,
    _Error: MessagesTransducer._fail,
}
_BEFORE_START = (_MessageStart, _Ping, _Error)
_REACTIONS_BY_TYPE = frozenset(kind.__struct_config__.tag for kind in _REACTIONS)
