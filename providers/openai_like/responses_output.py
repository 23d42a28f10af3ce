"""Output items of the Responses API as events, one class for each kind that is interpreted.

A plain answer holds its items whole. A stream opens an item, sends pieces of it, then the whole item, and at its end
all the items once more. Each time only what was not said yet is told, so a stream without pieces gives the same answer
as one with all of them, and each text once.

What an OpenAI-shaped message has no word for goes out as ``ContentDelta``:

- ``annotations``: web citations as OpenAI ``url_citation``, with the place in the text of the whole answer; citations
  of other kinds (files, containers) as they are;
- ``logprobs``: the probabilities of a text's tokens, one each, when the text is whole;
- ``images``: pictures that the model made, as ``image_url`` with a data URI;
- ``provider_content``: items of provider-side tools, and kinds of item that did not exist when this was written.

Texts of one thought (summaries, or open reasoning) stand apart by an empty line. A thought's ``encrypted_content``
comes last. The id of its item stands beside it, and beside the first text: whoever tells the item on must name it by
then. A freeform call is told as a function call with one argument, ``input``.

Source: OpenAI API reference, "The response object" (2026-11); guide "Reasoning models".
"""

from collections.abc import Collection, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec import Raw, Struct

from gateway.core.limits import MAX_HELD_ANSWER_CHARS, MAX_MESSAGE_PARTS
from gateway.core.types import (
    ContentDelta,
    DialectName,
    Event,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    raw_json,
)
from providers.openai_like.probabilities import told_probabilities
from providers.openai_like.responses_wire import NULL, MalformedError, count_of, text_of

_PARAGRAPH = "\n\n"
# Of a freeform call, as JSON text around what the model wrote.
_INPUT_HEAD, _INPUT_TAIL = '{"input":"', '"}'
_PICTURE_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "jpg": "image/jpeg", "webp": "image/webp"}


class _Part(Struct):
    text: str | None = None
    refusal: str | None = None
    annotations: list[Raw] | None = None
    logprobs: Any = None


class _MessageItem(Struct):
    content: list[_Part] | None = None


class _ReasoningItem(Struct):
    id: str | None = None
    summary: list[_Part] | None = None
    content: list[_Part] | None = None
    encrypted_content: str | None = None


class _CallItem(Struct):
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None


class _PictureItem(Struct):
    result: str | None = None
    output_format: str | None = None


_read_message = msgspec.json.Decoder(_MessageItem).decode
_read_reasoning = msgspec.json.Decoder(_ReasoningItem).decode
_read_call = msgspec.json.Decoder(_CallItem).decode
_read_picture = msgspec.json.Decoder(_PictureItem).decode
_read_object = msgspec.json.Decoder(dict[str, Raw]).decode
_encode_text = msgspec.json.Encoder().encode


def _checked(raw: Raw) -> Raw:
    """``raw``, proven to be UTF-8: decoders step over the inside of a raw value without looking."""
    bytes(raw).decode()
    return raw.copy()


class Told:
    """What an answer has said so far. Items append to ``events``; whoever owns the answer takes them from there."""

    __slots__ = ("_held_chars", "_pieces", "events", "reasoning_blocks", "text_chars", "tool_calls")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.text_chars = 0
        self.reasoning_blocks = 0
        self.tool_calls = 0
        self._pieces = 0
        self._held_chars = 0

    def hold(self, chars: int) -> None:
        self._held_chars += chars
        if self._held_chars > MAX_HELD_ANSWER_CHARS:
            raise MalformedError("the provider sent a tool call larger than the gateway takes")

    def begin_piece(self) -> None:
        """Every item, and every part of one, costs memory until the answer ends."""
        self._pieces += 1
        if self._pieces > MAX_MESSAGE_PARTS:
            raise MalformedError("the provider sent an answer of more parts than the gateway takes")


# --- items ------------------------------------------------------------------------------------------------------------


class Item:
    """An output item being received. ``kind`` is its type on the wire."""

    __slots__ = ("answer", "kind")
    type: ClassVar[str] = ""

    def __init__(self, answer: Told, kind: str) -> None:
        self.answer = answer
        self.kind = kind

    def open(self, raw: Raw) -> None:
        """The item as it begins."""

    def tell(self, raw: Raw) -> None:
        """What the whole item says and was not told yet."""

    def settle(self) -> None:
        """The answer is complete."""


class MessageItem(Item):
    __slots__ = ("_cited", "_measured", "_refused", "_starts")
    type = "message"

    def __init__(self, answer: Told, kind: str) -> None:
        super().__init__(answer, kind)
        self._starts: dict[int, int] = {}  # where in the answer's text each part begins
        self._cited: dict[int, int] = {}
        self._refused: set[int] = set()
        self._measured: set[int] = set()

    def say(self, part: int, text: str) -> None:
        if not text:
            return
        answer = self.answer
        if part not in self._starts:
            answer.begin_piece()
            self._starts[part] = answer.text_chars
        answer.text_chars += len(text)
        answer.events.append(TextDelta(text))

    def say_whole(self, part: int, text: str) -> None:
        if part not in self._starts:
            self.say(part, text)

    def refuse(self, part: int, text: str) -> None:
        if text:
            if part not in self._refused:
                self.answer.begin_piece()
                self._refused.add(part)
            self.answer.events.append(RefusalDelta(text))

    def refuse_whole(self, part: int, text: str) -> None:
        if part not in self._refused:
            self.refuse(part, text)

    def cite(self, part: int, annotation: Raw) -> None:
        self._cited[part] = self._cited.get(part, 0) + 1
        start = self._starts.get(part, self.answer.text_chars)
        self.answer.events.append(ContentDelta("annotations", _read_annotation(annotation, start)))

    def tell(self, raw: Raw) -> None:
        content = _read_message(raw).content or ()
        heard = self._starts.keys() | self._refused | self._cited.keys()
        for number, part in zip(_numbers(heard, len(content)), content, strict=True):
            self.say_whole(number, part.text or "")
            self.refuse_whole(number, part.refusal or "")
            for annotation in (part.annotations or ())[self._cited.get(number, 0) :]:
                self.cite(number, annotation)
            if part.logprobs and number not in self._measured:
                self._measured.add(number)
                self.answer.events += told_probabilities(part.logprobs)


class ReasoningItem(Item):
    __slots__ = ("_block", "_id", "_is_proven", "_said")
    type = "reasoning"

    def __init__(self, answer: Told, kind: str) -> None:
        super().__init__(answer, kind)
        self._id: str | None = None
        self._block: int | None = None
        self._said: set[tuple[str, int]] = set()
        self._is_proven = False

    def open(self, raw: Raw) -> None:
        self._id = _read_reasoning(raw).id or None

    def think(self, row: str, part: int, text: str) -> None:
        """A piece of part number ``part`` of the ``summary`` or of the ``content``."""
        if not text:
            return
        is_first = not self._said
        if (row, part) not in self._said:
            self.answer.begin_piece()
            text = text if is_first else _PARAGRAPH + text
            self._said.add((row, part))
        self.answer.events.append(self._delta(text) if is_first else ReasoningDelta(text, self._number()))

    def think_whole(self, row: str, part: int, text: str) -> None:
        if (row, part) not in self._said:
            self.think(row, part, text)

    def tell(self, raw: Raw) -> None:
        item = _read_reasoning(raw)
        self._id = self._id or item.id or None
        for row, parts in (("content", item.content), ("summary", item.summary)):
            heard = {number for said_row, number in self._said if said_row == row}
            for number, part in zip(_numbers(heard, len(parts or ())), parts or (), strict=True):
                self.think_whole(row, number, part.text or "")
        if item.encrypted_content and not self._is_proven:
            self._is_proven = True
            self.answer.events.append(self._delta("", item.encrypted_content))

    def _delta(self, text: str, proof: str | None = None) -> ReasoningDelta:
        """A piece with which the thought can be known again."""
        return ReasoningDelta(text, self._number(), proof, origin=DialectName.OPENAI_RESPONSES, id=self._id)

    def _number(self) -> int:
        """An item without a word and without proof has none."""
        if self._block is None:
            self._block = self.answer.reasoning_blocks
            self.answer.reasoning_blocks += 1
        return self._block


class CallItem(Item):
    __slots__ = ("_held", "_position", "has_arguments")
    type = "function_call"

    def __init__(self, answer: Told, kind: str) -> None:
        super().__init__(answer, kind)
        self._position: int | None = None
        self._held: list[str] = []  # pieces that came before the call's name
        self.has_arguments = False

    def open(self, raw: Raw) -> None:
        self._announce(_read_call(raw))

    def add(self, piece: str) -> None:
        if not piece:
            return
        self.has_arguments = True
        if self._position is None:
            self.answer.hold(len(piece))
            self._held.append(piece)
        else:
            self.answer.events.append(ToolCallDelta(self._position, arguments=piece))

    def add_whole(self, arguments: str) -> None:
        if not self.has_arguments:
            self.add(arguments)

    def tell(self, raw: Raw) -> None:
        item = _read_call(raw)
        self._announce(item)
        self.add_whole(item.arguments or "")

    def settle(self) -> None:
        if self._position is None:
            raise MalformedError("the provider sent a tool call without its name")

    def _announce(self, item: _CallItem) -> None:
        if self._position is not None or not item.name:
            return
        name = f"{item.namespace}__{item.name}" if item.namespace else item.name
        self._position = self.answer.tool_calls
        self.answer.tool_calls += 1
        arguments = self._head() + "".join(self._held)
        self.answer.events.append(ToolCallDelta(self._position, item.call_id or item.id or "", name, arguments))
        self._held.clear()

    def _head(self) -> str:
        return ""


class FreeformCallItem(CallItem):
    __slots__ = ("_is_closed",)
    type = "custom_tool_call"

    def __init__(self, answer: Told, kind: str) -> None:
        super().__init__(answer, kind)
        self._is_closed = False

    def add(self, piece: str) -> None:
        super().add(_encode_text(piece)[1:-1].decode())

    def tell(self, raw: Raw) -> None:
        item = _read_call(raw)
        self._announce(item)
        self.add_whole(item.input or "")
        self._close()

    def settle(self) -> None:
        super().settle()
        self._close()

    def _head(self) -> str:
        return _INPUT_HEAD

    def _close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            super().add(_INPUT_TAIL)


class Hosted(Item):
    """An item the gateway does not interpret: calls of provider-side tools, kinds of item yet to come."""

    __slots__ = ("_is_told",)

    def __init__(self, answer: Told, kind: str) -> None:
        super().__init__(answer, kind)
        self._is_told = False

    def tell(self, raw: Raw) -> None:
        if not self._is_told:
            self._is_told = True
            self.answer.events.append(ContentDelta("provider_content", _checked(raw)))


class PictureItem(Hosted):
    __slots__ = ()
    type = "image_generation_call"

    def tell(self, raw: Raw) -> None:
        picture = _read_picture(raw)
        if not picture.result:
            super().tell(raw)
        elif not self._is_told:
            self._is_told = True
            media_type = _PICTURE_TYPES.get(picture.output_format or "png", "image/png")
            url = f"data:{media_type};base64,{picture.result}"
            content = raw_json({"type": "image_url", "image_url": {"url": url}})
            self.answer.events.append(ContentDelta("images", content))


ITEMS: dict[str, type[Item]] = {
    item.type: item for item in (MessageItem, ReasoningItem, CallItem, FreeformCallItem, PictureItem)
}


def _numbers(heard: Collection[int], count: int) -> Sequence[int]:
    """The numbers that a stream gave the ``count`` parts of an item: their places, except where a number points beyond
    them (vLLM counts the thought before a message as its first part). Then only their order says which is which."""
    if all(number < count for number in heard):
        return range(count)
    numbers = sorted(heard)
    return (*numbers, *range(numbers[-1] + 1, numbers[-1] + 1 + count))[:count]


def _read_annotation(annotation: Raw, start: int) -> Raw:
    """A web citation counts from the beginning of its part; a message has one text."""
    members = _read_object(_checked(annotation))
    if text_of(members.pop("type", NULL)) != "url_citation":
        return annotation.copy()
    for name in ("start_index", "end_index"):
        at = count_of(members.get(name, NULL))
        members[name] = raw_json((at or 0) + start)
    return raw_json({"type": "url_citation", "url_citation": members})
