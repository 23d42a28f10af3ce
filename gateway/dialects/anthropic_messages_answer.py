"""Events written as an Anthropic message, streamed or plain.

    message_start   (content_block_start  content_block_delta*  content_block_stop)*   message_delta   message_stop

A message is a row of blocks, and a stream has one of them open at a time. So what arrives while a tool call is
incomplete (pieces of parallel calls, mostly) waits until the call's JSON is; then it follows in order, the pieces of
each call together. No block is opened before there is something in it. Arguments are told verbatim, valid or not.

A refusal is text, with the stop reason ``refusal``. Only choice 0 is told: a message has one. What content without a
neutral noun becomes is in ``anthropic_messages_words``. What cannot be told is named in ``dropped``.

Source: platform.claude.com/docs, "Streaming messages" (2026-11).
"""

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
from msgspec import Raw

from gateway.core.limits import MAX_HELD_ANSWER_CHARS
from gateway.core.types import (
    ContentDelta,
    Event,
    Fault,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    Vector,
)
from gateway.dialects.anthropic_errors import fault_event
from gateway.dialects.anthropic_messages_body import MessageBody
from gateway.dialects.anthropic_messages_waiting import ArgumentScan, ContentPiece, Waiting
from gateway.dialects.anthropic_messages_words import (
    CALLER,
    MESSAGE_FIELDS,
    NO_STOP,
    STOP_FIELDS,
    message_head,
    message_id,
    on_one_line,
    read_block,
    read_citation,
    sealed,
    stop_members,
    usage_counts,
    usage_object,
)
from gateway.dialects.left_out import LeftOut

_encode = msgspec.json.Encoder().encode

_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_DELTA_END = b"}}\n\n"
# the kinds of block that stay open, each with what stands in front of the value of its delta
_TEXT, _THINKING, _TOOL_USE = (
    b'"text_delta","text":',
    b'"thinking_delta","thinking":',
    b'"input_json_delta","partial_json":',
)
_CLOSED = b""


class MessagesEncoder:
    """Writes one answer, either with ``stream`` call by call or with ``body`` once. Nothing is sent before there is
    something to tell: until then another provider may still be tried."""

    kept: ClassVar[None] = None  # nobody can ask for a message again
    __slots__ = (
        "_delta_head",
        "_has_begun",
        "_id",
        "_index",
        "_is_over",
        "_is_refusal",
        "_kind",
        "_members",
        "_model",
        "_number",
        "_scan",
        "_told_calls",
        "_usage",
        "_waiting",
        "dropped",
    )

    def __init__(self, model: str, created: int) -> None:
        self._model = model
        # before a provider names its answer, the time stands in for its id
        self._id = message_id(f"{created:x}")
        self._usage: Usage | None = None
        self._members: dict[str, Raw] = {}
        self._has_begun = False
        self._is_over = False
        self._is_refusal = False
        # the block that is open: its kind, its place in the message, and its number among those of its kind
        self._kind = _CLOSED
        self._index = -1
        self._number = -1
        self._delta_head = b""
        self._scan = ArgumentScan()
        self._told_calls: set[int] = set()
        self._waiting = Waiting()
        self.dropped = LeftOut()

    # --- a stream -------------------------------------------------------------------------------------------------

    def stream(self, events: list[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if self._is_over:
                break
            _WRITERS[type(event)](self, event, out)
        return b"".join(out)

    def _write_start(self, event: Start, _out: list[bytes]) -> None:
        if event.id:
            self._id = message_id(event.id)

    def _write_usage(self, event: UsageReport, _out: list[bytes]) -> None:
        self._usage = event.usage

    def _skip(self, _event: Vector, _out: list[bytes]) -> None:
        """A vector is no part of a chat."""

    def _write_text(self, event: TextDelta, out: list[bytes]) -> None:
        if event.choice:
            self.dropped.name_choice(event.choice)
            return
        if not event.text:
            return
        if self._kind is not _TEXT:
            if self._must_wait(event, out):
                return
            # as Anthropic begins it: citations come as deltas, and clients add them to a list of their own
            self._open(_TEXT, b'{"type":"text","text":""}', out)
        out += (self._delta_head, _encode(event.text), _DELTA_END)

    def _write_refusal(self, event: RefusalDelta, out: list[bytes]) -> None:
        self._is_refusal = self._is_refusal or not event.choice
        self._write_text(TextDelta(event.text, event.choice), out)

    def _write_reasoning(self, event: ReasoningDelta, out: list[bytes]) -> None:
        if event.choice:
            self.dropped.name_choice(event.choice)
            return
        if not (event.text or event.signature or event.redacted) or self._must_wait(event, out):
            return
        if event.text or event.signature:
            if self._kind is not _THINKING or self._number != event.block:
                self._open(_THINKING, b'{"type":"thinking","thinking":"","signature":""}', out, event.block)
            if event.text:
                out += (self._delta_head, _encode(event.text), _DELTA_END)
        if event.signature:
            self._add(b'{"type":"signature_delta","signature":%b}' % _encode(sealed(event, event.signature)), out)
            self._close(out)
        if event.redacted:
            self._tell_block({"type": "redacted_thinking", "data": sealed(event, event.redacted)}, out)

    def _write_content(self, event: ContentDelta, out: list[bytes]) -> None:
        if event.choice:
            self.dropped.name_choice(event.choice)
        elif event.field in STOP_FIELDS or event.field in MESSAGE_FIELDS:
            self._members[event.field] = event.value
        elif (citation := read_citation(event)) is not None:
            self._write_citation(event, citation, out)
        elif (block := read_block(event)) is not None:
            if not self._must_wait(event, out):
                self._tell_block(block, out)
        else:
            self.dropped.name(event.field)

    def _write_citation(self, event: ContentDelta, citation: Raw, out: list[bytes]) -> None:
        if self._must_wait(event, out):
            return
        if self._kind is _TEXT:
            self._add(b'{"type":"citations_delta","citation":%b}' % bytes(citation), out)
        else:
            self.dropped.name(event.field)

    def _write_finish(self, event: Finish, out: list[bytes]) -> None:
        while not self._is_over and (pieces := self._waiting.take()) is not None:
            self._close(out)
            self._tell_waiting(pieces, out)
        if self._is_over:
            return
        self._close(out)
        self._begin(out)
        stop = stop_members(event, has_calls=bool(self._told_calls), is_refusal=self._is_refusal)
        last: dict[str, object] = {"type": "message_delta"}
        last["delta"] = stop | {name: self._members[name] for name in STOP_FIELDS if name in self._members}
        last["usage"] = usage_counts(self._usage)
        last |= {name: self._members[name] for name in MESSAGE_FIELDS if name in self._members}
        out += (b"event: message_delta\ndata: ", on_one_line(_encode(last)), b"\n\n", _STOP)
        self._is_over = True

    def _write_fault(self, event: Fault, out: list[bytes]) -> None:
        out.append(fault_event(event))
        self._is_over = True

    # --- blocks ---------------------------------------------------------------------------------------------------

    def _begin(self, out: list[bytes]) -> None:
        if self._has_begun:
            return
        self._has_begun = True
        message = message_head(self._id, self._model)
        message |= {"content": [], **NO_STOP, "usage": usage_object(self._usage)}
        out += (b"event: message_start\ndata: ", _encode({"type": "message_start", "message": message}), b"\n\n")

    def _open(self, kind: bytes, block: bytes, out: list[bytes], number: int = -1) -> None:
        self._close(out)
        self._begin(out)
        self._kind, self._number = kind, number
        self._index += 1
        start = b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
        out.append(start % (self._index, block))
        head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":%b'
        self._delta_head = head % (self._index, kind)

    def _add(self, delta: bytes, out: list[bytes]) -> None:
        """A delta of another kind than the many that the open block is made of."""
        event = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b}\n\n'
        out.append(event % (self._index, delta))

    def _close(self, out: list[bytes]) -> None:
        if self._kind is not _CLOSED:
            self._kind = _CLOSED
            stop = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
            out.append(stop % self._index)

    def _tell_block(self, block: dict[str, Any], out: list[bytes]) -> None:
        """A block that is there as a whole. The input of a call opens empty and is one delta, since many clients read
        it nowhere else."""
        has_input = "input" in block
        opening = block | {"input": {}} if has_input else block
        self._open(_TOOL_USE, on_one_line(_encode(opening)), out)
        if has_input:
            arguments = bytes(block["input"]).decode(errors="replace")
            out += (self._delta_head, _encode(arguments), _DELTA_END)
        self._close(out)

    # --- tool calls -----------------------------------------------------------------------------------------------

    def _write_tool_call(self, event: ToolCallDelta, out: list[bytes]) -> None:
        if event.choice:
            self.dropped.name_choice(event.choice)
            return
        self._tell_tool_call(event, out)
        while self._scan.is_complete and not self._is_over and (pieces := self._waiting.take()) is not None:
            self._tell_waiting(pieces, out)

    def _tell_tool_call(self, event: ToolCallDelta, out: list[bytes]) -> None:
        if self._kind is not _TOOL_USE or self._number != event.position:
            if event.position in self._told_calls:
                self._refuse_late(event, out)
                return
            if self._must_wait(event, out):
                return
            names = {"id": event.id or "", "name": event.name or ""}
            block = {"type": "tool_use", **names, "input": {}, "caller": CALLER}
            self._open(_TOOL_USE, _encode(block), out, event.position)
            self._told_calls.add(event.position)
            self._scan = ArgumentScan()
        if event.arguments:
            self._scan.feed(event.arguments)
            out += (self._delta_head, _encode(event.arguments), _DELTA_END)

    def _refuse_late(self, event: ToolCallDelta, out: list[bytes]) -> None:
        if event.arguments.strip():
            self._write_fault(Fault("The answer went on with a tool call that was complete."), out)

    def _must_wait(self, event: ContentPiece, out: list[bytes]) -> bool:
        """Is a tool call open and incomplete? The event is then kept for later."""
        if self._kind is not _TOOL_USE or self._scan.is_complete:
            return False
        self._waiting.add(event)
        if self._waiting.size > MAX_HELD_ANSWER_CHARS:
            self._write_fault(Fault("The answer's parallel tool calls are too large to be streamed."), out)
        return True

    def _tell_waiting(self, pieces: list[ContentPiece], out: list[bytes]) -> None:
        for piece in pieces:
            if self._is_over:
                break
            if isinstance(piece, ToolCallDelta):
                self._tell_tool_call(piece, out)
            else:
                _WRITERS[type(piece)](self, piece, out)

    # --- a plain answer -------------------------------------------------------------------------------------------

    def body(self, events: list[Event]) -> bytes:
        message, finish = MessageBody(self.dropped), None
        for event in events:
            if isinstance(event, Start):
                self._write_start(event, [])
            elif isinstance(event, UsageReport):
                self._usage = event.usage
            elif isinstance(event, Finish):
                finish = event
            elif not isinstance(event, Fault | Vector):
                message.add(event)
        answer = message_head(self._id, self._model)
        answer["content"] = message.blocks()
        if finish is not None:
            answer |= stop_members(finish, has_calls=message.has_calls, is_refusal=message.is_refusal)
        return _encode({**answer, "usage": usage_object(self._usage), **message.members})


_WRITERS: dict[type[Event], Callable[[MessagesEncoder, Any, list[bytes]], None]] = {
    Start: MessagesEncoder._write_start,
    TextDelta: MessagesEncoder._write_text,
    RefusalDelta: MessagesEncoder._write_refusal,
    ReasoningDelta: MessagesEncoder._write_reasoning,
    ToolCallDelta: MessagesEncoder._write_tool_call,
    ContentDelta: MessagesEncoder._write_content,
    Vector: MessagesEncoder._skip,
    UsageReport: MessagesEncoder._write_usage,
    Finish: MessagesEncoder._write_finish,
    Fault: MessagesEncoder._write_fault,
}


class CountingEncoder:
    """Writes the answer of token counting, which is never streamed."""

    kept: ClassVar[None] = None
    dropped: ClassVar[tuple[str, ...]] = ()
    __slots__ = ()

    def stream(self, events: list[Event]) -> bytes:
        return b""

    def body(self, events: list[Event]) -> bytes:
        """The tokens of the last report; 0 without one."""
        counts = [event.usage.input_tokens for event in events if isinstance(event, UsageReport)]
        return _encode({"input_tokens": counts[-1] if counts else 0})
