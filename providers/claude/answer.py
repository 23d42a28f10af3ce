"""Answers of the Anthropic Messages API as events: the content blocks, and the plain answer.

An answer is a row of content blocks. A plain answer holds them whole; a stream (``providers.claude.stream``) opens
each block, sends pieces of it and closes it. So there is one state, ``Answer``, with one set of block kinds: a plain
block is opened and closed at once.

What an OpenAI-shaped message has no word for goes out as ``ContentDelta``:

- ``annotations``: web citations as OpenAI ``url_citation``, with ``cited_text`` and ``encrypted_index`` beside it;
- ``citations``: citations of the client's own documents, in Anthropic's words, with the place in the answer's text;
- ``provider_content``: blocks of provider-side tools and kinds of block that did not exist when this was written;
- ``stop_details``, ``container``, ``context_management``: members of the message of that name.

Sources: platform.claude.com/docs, "Messages" (API reference), "Citations", "Handling stop reasons", "Errors".
"""

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.limits import MAX_SSE_EVENT_BYTES
from gateway.core.types import (
    ContentDelta,
    Event,
    Finish,
    FinishReason,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    raw_json,
)
from providers.claude.text_answer import read_text_answer
from providers.claude.wire import (
    FINISH_REASONS,
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
    WireUsage,
    broken,
    not_less,
    read_fault,
    read_usage,
    update_usage,
)

# Signatures, citations and inputs of provider-side tools are held until their block closes. Together they are bounded
# like one event, which could have carried them whole.
_MAX_HELD_CHARS = MAX_SSE_EVENT_BYTES


class _Kind(Struct):
    type: str


class _TextContent(Struct, tag="text"):
    text: str = ""
    citations: list[Raw] | None = None


class _ThinkingContent(Struct, tag="thinking"):
    thinking: str = ""
    signature: str | None = None


class _RedactedContent(Struct, tag="redacted_thinking"):
    data: str = ""


class _ToolUseContent(Struct, tag="tool_use"):
    id: str = ""
    name: str = ""
    input: Raw = NULL


_read_kind = msgspec.json.Decoder(_Kind).decode
_read_content = msgspec.json.Decoder(_TextContent | _ThinkingContent | _RedactedContent | _ToolUseContent).decode
_read_message = msgspec.json.Decoder(Message).decode
_read_object = msgspec.json.Decoder(dict[str, Raw]).decode


def _compact(json: bytes) -> bytes:
    """JSON without white space; order of members, spelling of numbers and strings stay."""
    return msgspec.json.format(json, indent=-1)


def _checked(raw: Raw) -> Raw:
    """``raw``, proven to be UTF-8: decoders step over the inside of a raw value without looking."""
    bytes(raw).decode()
    return raw.copy()


def _is_given(raw: Raw) -> bool:
    return bytes(raw) not in (b"null", b"{}", b"[]")


# --- the answer -----------------------------------------------------------------------------------------------------


class Answer:
    """What has been said so far. Events are appended to ``events``; whoever owns the answer takes them from there."""

    __slots__ = (
        "_counts",
        "_held_chars",
        "_stop",
        "block",
        "events",
        "is_started",
        "reasoning_blocks",
        "text_chars",
        "tool_calls",
        "usage",
    )

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.block: Block | None = None
        self.usage: Usage | None = None
        self.text_chars = 0
        self.reasoning_blocks = 0
        self.tool_calls = 0
        self.is_started = False
        self._stop = Stop()
        self._counts = WireUsage()
        self._held_chars = 0

    def start(self, message: Message) -> None:
        """A second start means that the provider retried behind the scenes and begins anew. What was sent cannot be
        taken back: blocks count on, so that the tries do not mix, and the block that was open stays broken off."""
        self.block = None
        if not self.is_started:
            self.is_started = True
            self.events.append(Start(message.id, message.model))

    def open(self, content: Raw) -> None:
        if self.block is not None:
            self.close()
        self.block = self._make_block(content)

    def _make_block(self, content: Raw) -> "Block":
        try:
            known = _read_content(content)
        except msgspec.ValidationError:
            if _read_kind(content).type in _KNOWN:
                raise
            return _Opaque(self, content)
        return _BLOCKS[type(known)](self, known)

    def close(self) -> None:
        block, self.block = self.block, None
        self._held_chars = 0
        if block is not None:
            block.close()

    def hold(self, chars: int) -> None:
        self._held_chars += chars
        if self._held_chars > _MAX_HELD_CHARS:
            raise MalformedError("the provider sent a content block larger than the gateway takes")

    def count(self, news: WireUsage | None) -> None:
        if news is None:
            return
        if self.usage is None:
            self._counts = news
            self.usage = read_usage(news)
        else:
            update_usage(self._counts, news)
            self.usage = not_less(self.usage, read_usage(self._counts))
        self.events.append(UsageReport(self.usage))

    def keep(self, field: str, value: Raw) -> None:
        if value is not NULL and _is_given(value):
            self.events.append(ContentDelta(field, _checked(value)))

    def note_stop(self, stop: Stop) -> None:
        self.keep("stop_details", stop.stop_details)
        self.keep("container", stop.container)
        if stop.stop_reason is not None:
            self._stop = stop

    def finish(self) -> None:
        self.close()
        native = self._stop.stop_reason
        unsaid = FinishReason.TOOL_CALLS if native is None and self.tool_calls else FinishReason.STOP
        reason = FINISH_REASONS.get(native or "", unsaid)
        self.events.append(Finish(reason, native or "", self._stop.stop_sequence))


# --- blocks ---------------------------------------------------------------------------------------------------------


class Block:
    """A content block being received."""

    __slots__ = ("answer",)
    takes: ClassVar[tuple[type[Struct], ...]] = ()

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def add(self, piece: Piece) -> None:
        """A piece of one of the kinds that the block ``takes``."""

    def close(self) -> None:
        """Nothing more will come."""


class _Text(Block):
    __slots__ = ("citations", "start")
    takes = (TextPiece, CitationPiece)

    def __init__(self, answer: Answer, block: _TextContent) -> None:
        super().__init__(answer)
        self.start = answer.text_chars
        self.citations = list(block.citations or ())
        self._say(block.text)

    def add(self, piece: Piece) -> None:
        if isinstance(piece, TextPiece):
            self._say(piece.text)
        elif isinstance(piece, CitationPiece):
            self.answer.hold(len(bytes(piece.citation)))
            self.citations.append(piece.citation)

    def _say(self, text: str) -> None:
        if text:
            self.answer.text_chars += len(text)
            self.answer.events.append(TextDelta(text))

    def close(self) -> None:
        # only now is it known how far the cited text reaches
        for citation in self.citations:
            self.answer.events.append(_read_citation(citation, self.start, self.answer.text_chars))


class _Thinking(Block):
    __slots__ = ("number", "signatures")
    takes = (ThinkingPiece, SignaturePiece)

    def __init__(self, answer: Answer, block: _ThinkingContent) -> None:
        super().__init__(answer)
        self.number = answer.reasoning_blocks
        answer.reasoning_blocks += 1
        self.signatures = [block.signature or ""]
        self._think(block.thinking)

    def add(self, piece: Piece) -> None:
        if isinstance(piece, ThinkingPiece):
            self._think(piece.thinking)
        elif isinstance(piece, SignaturePiece):
            self.answer.hold(len(piece.signature))
            if piece.signature:
                self.signatures.append(piece.signature)

    def _think(self, text: str) -> None:
        if text:
            self.answer.events.append(ReasoningDelta(text, self.number))

    def close(self) -> None:
        # a block without a word (``display: omitted``) still has a signature that must go back with the next turn
        if signature := "".join(self.signatures):
            self.answer.events.append(ReasoningDelta(block=self.number, signature=signature))


class _RedactedThinking(Block):
    __slots__ = ()

    def __init__(self, answer: Answer, block: _RedactedContent) -> None:
        super().__init__(answer)
        answer.events.append(ReasoningDelta(block=answer.reasoning_blocks, redacted=block.data))
        answer.reasoning_blocks += 1


class _ToolUse(Block):
    """In a stream ``input`` opens as ``{}`` and comes in pieces. A plain block has it whole; so may a stream."""

    __slots__ = ("has_arguments", "input", "position")
    takes = (InputPiece,)

    def __init__(self, answer: Answer, block: _ToolUseContent) -> None:
        super().__init__(answer)
        self.position = answer.tool_calls
        answer.tool_calls += 1
        self.input = block.input
        self.has_arguments = False
        answer.events.append(ToolCallDelta(self.position, block.id, block.name))

    def add(self, piece: Piece) -> None:
        if isinstance(piece, InputPiece) and piece.partial_json:
            self.has_arguments = True
            self.answer.events.append(ToolCallDelta(self.position, arguments=piece.partial_json))

    def close(self) -> None:
        if not self.has_arguments:
            arguments = _compact(bytes(self.input)).decode() if _is_given(self.input) else "{}"
            self.answer.events.append(ToolCallDelta(self.position, arguments=arguments))


class _Opaque(Block):
    """A block the gateway does not interpret: server tools, their results, kinds of block yet to come."""

    __slots__ = ("content", "inputs")
    takes = (InputPiece, TextPiece, CitationPiece, ThinkingPiece, SignaturePiece)

    def __init__(self, answer: Answer, content: Raw) -> None:
        super().__init__(answer)
        self.content = _checked(content)
        self.inputs: list[str] = []

    def add(self, piece: Piece) -> None:
        if isinstance(piece, InputPiece):
            self.answer.hold(len(piece.partial_json))
            if piece.partial_json:
                self.inputs.append(piece.partial_json)
        else:
            self.answer.events.append(ContentDelta("provider_content", raw_json(piece)))

    def close(self) -> None:
        content = self.content
        if self.inputs:
            content = raw_json(_read_object(content) | {"input": Raw(_compact("".join(self.inputs).encode()))})
        self.answer.events.append(ContentDelta("provider_content", content))


_BLOCKS: dict[type[Struct], Callable[[Answer, Any], Block]] = {
    _TextContent: _Text,
    _ThinkingContent: _Thinking,
    _RedactedContent: _RedactedThinking,
    _ToolUseContent: _ToolUse,
}
_KNOWN = frozenset(content.__struct_config__.tag for content in _BLOCKS)


def _read_citation(citation: Raw, start: int, end: int) -> ContentDelta:
    """``start`` and ``end`` are the characters of the message's text that the citation supports."""
    members = _read_object(_checked(citation))
    place = {"start_index": start, "end_index": end}
    if bytes(members.get("type", b"")) != b'"web_search_result_location"':
        return ContentDelta("citations", raw_json({**members, **place}))
    del members["type"]
    url, title = members.pop("url", Raw(b'""')), members.pop("title", NULL)
    web = {**place, "title": title if _is_given(title) else "", "url": url}
    return ContentDelta("annotations", raw_json({"type": "url_citation", "url_citation": web, **members}))


# --- a plain answer -------------------------------------------------------------------------------------------------


def read_answer(body: bytes) -> list[Event]:
    """The events of a plain answer."""
    return read_text_answer(body) or read_any_answer(body)


def read_any_answer(body: bytes) -> list[Event]:
    """One block that cannot be read makes the whole answer a ``Fault``: half an answer would look like a whole one."""
    try:
        message = _read_message(body)
        if message.error is not None:
            return [read_fault(message.error)]
        if message.type != "message" or message.content is None:
            return [broken("the provider's answer is not a message")]
        return _tell(message, message.content)
    except DECODE_ERRORS:
        return [broken("the provider's answer could not be read")]


def _tell(message: Message, content: list[Raw]) -> list[Event]:
    answer = Answer()
    answer.start(message)
    for block in content:
        answer.open(block)
    answer.close()
    answer.keep("context_management", message.context_management)
    answer.note_stop(message)
    answer.count(message.usage)
    answer.finish()
    return answer.events
