"""The content of a plain Anthropic message, put together from events."""

from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.types import ContentDelta, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from gateway.dialects.anthropic_messages_waiting import ContentPiece
from gateway.dialects.anthropic_messages_words import (
    CALLER,
    MESSAGE_FIELDS,
    STOP_FIELDS,
    read_block,
    read_citation,
    sealed,
)
from gateway.dialects.left_out import LeftOut

_read_object = msgspec.json.Decoder(dict[str, Raw]).decode


class _Block(Struct):
    """A block being made. Text, thinking and calls grow by ``pieces``; others have all they need in ``fields``."""

    fields: dict[str, Any]
    number: int = -1
    is_closed: bool = False
    pieces: list[str] = field(default_factory=list)
    citations: list[Raw] = field(default_factory=list)

    @property
    def kind(self) -> object:
        return self.fields["type"]

    def told(self) -> dict[str, Any]:
        text = "".join(self.pieces)
        if self.kind == "text":
            return {"type": "text", "text": text, "citations": self.citations or None}
        if self.kind == "thinking":
            return {"type": "thinking", "thinking": text, "signature": "", **self.fields}
        return {**self.fields, "input": _input(text), "caller": CALLER} if self.kind == "tool_use" else self.fields


def _input(arguments: str) -> dict[str, str] | Raw:
    """An object in the model's own bytes. What is none cannot stand here as it is; run without arguments a tool might
    do what nobody asked for, so it is wrapped in the way Anthropic proposes ("Fine-grained tool streaming")."""
    arguments = arguments.strip()
    if arguments in ("", "null"):
        return {}
    try:
        _read_object(arguments)
        return Raw(arguments.encode())
    except DECODE_ERRORS:
        return {"INVALID_JSON": arguments}


class MessageBody:
    """Blocks in the order of a stream: each where it begins, calls with all of their pieces."""

    __slots__ = ("_blocks", "_calls", "_dropped", "is_refusal", "members")

    def __init__(self, dropped: LeftOut) -> None:
        """``dropped`` is told what has no place."""
        self._dropped = dropped
        self._blocks: list[_Block] = []
        self._calls: dict[int, _Block] = {}
        self.is_refusal = False
        # members of the message itself
        self.members: dict[str, Raw] = {}

    @property
    def has_calls(self) -> bool:
        return bool(self._calls)

    def blocks(self) -> list[dict[str, Any]]:
        return [block.told() for block in self._blocks]

    def add(self, event: ContentPiece) -> None:
        if event.choice:
            self._dropped.name_choice(event.choice)
        elif isinstance(event, TextDelta | RefusalDelta):
            self.is_refusal = self.is_refusal or isinstance(event, RefusalDelta)
            self._add_text(event.text)
        elif isinstance(event, ReasoningDelta):
            self._add_reasoning(event)
        elif isinstance(event, ToolCallDelta):
            self._add_tool_call(event)
        else:
            self._add_content(event)

    def _current(self, kind: str, number: int = -1) -> _Block:
        """The last block, if more of the same belongs into it, else a new one."""
        last = self._blocks[-1] if self._blocks else None
        if last is None or last.is_closed or last.kind != kind or last.number != number:
            last = _Block({"type": kind}, number)
            self._blocks.append(last)
        return last

    def _add_text(self, text: str) -> None:
        if text:
            self._current("text").pieces.append(text)

    def _add_reasoning(self, event: ReasoningDelta) -> None:
        if event.text or event.signature:
            block = self._current("thinking", event.block)
            block.pieces.append(event.text)
            if event.signature:
                block.fields["signature"] = sealed(event, event.signature)
                block.is_closed = True
        if event.redacted:
            self._add_whole({"type": "redacted_thinking", "data": sealed(event, event.redacted)})

    def _add_tool_call(self, event: ToolCallDelta) -> None:
        block = self._calls.get(event.position)
        if block is None:
            fields = {"type": "tool_use", "id": event.id or "", "name": event.name or ""}
            block = self._calls[event.position] = _Block(fields)
            self._blocks.append(block)
        block.pieces.append(event.arguments)

    def _add_content(self, event: ContentDelta) -> None:
        last = self._blocks[-1] if self._blocks else None
        if event.field in STOP_FIELDS or event.field in MESSAGE_FIELDS:
            self.members[event.field] = event.value
        elif (citation := read_citation(event)) is not None and last is not None and last.kind == "text":
            last.citations.append(citation)
        elif (block := read_block(event)) is not None:
            self._add_whole({**block})
        else:
            self._dropped.name(event.field)

    def _add_whole(self, fields: dict[str, Any]) -> None:
        self._blocks.append(_Block(fields, is_closed=True))
