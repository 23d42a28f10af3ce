"""A chat message put together from events: what of it can only be told whole, and the whole of a plain answer.

Source: OpenAI API reference, "The chat completion object" (2026-11).
"""

from typing import Any

import msgspec
from msgspec import Raw

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.types import (
    ContentDelta,
    DialectName,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from gateway.dialects.left_out import LeftOut
from gateway.dialects.one_line import on_one_line
from gateway.dialects.signatures import Proof, seal

_read_object = msgspec.json.Decoder(dict[str, Any]).decode
# what comes in pieces of spoken answers that are streamed; their other members are told once
_GROWING = ("data", "transcript")
# of the text, and of a refusal
PROBABILITY_FIELDS = ("logprobs", "refusal_logprobs")

# what a message is made of
Said = TextDelta | RefusalDelta | ReasoningDelta | ToolCallDelta | ContentDelta


class HeldContent:
    """What of a message can only be told whole: signed reasoning blocks, and content of other kinds.

    A stream tells it in one chunk before the last one. Told piece by piece it would be lost in official clients: the
    Python one fails on a second list of objects without ``index``, the JavaScript one keeps the last list only.
    """

    __slots__ = ("_contents", "_places", "_texts", "_thoughts", "size")

    def __init__(self) -> None:
        self._texts: dict[int, list[str]] = {}
        self._places: dict[int, int] = {}
        self._thoughts: list[dict[str, object]] = []
        self._contents: dict[str, list[Raw]] = {}
        self.size = 0

    def add_reasoning(self, event: ReasoningDelta, text_before: int) -> None:
        """``text_before`` counts the characters (code points) of the message's text so far."""
        self.size += len(event.text) + len(event.signature or "") + len(event.redacted or "")
        if event.text:
            self._texts.setdefault(event.block, []).append(event.text)
            self._places.setdefault(event.block, text_before)
        if event.redacted is not None:
            self._place({"type": "redacted_thinking", "data": _seal(event.redacted, event)}, event.block, text_before)
        elif event.signature is not None:
            text = "".join(self._texts.pop(event.block, ()))
            signature = _seal(event.signature, event)
            block: dict[str, object] = {"type": "thinking", "thinking": text, "signature": signature}
            self._place(block, event.block, text_before)

    def _place(self, block: dict[str, object], number: int, text_before: int) -> None:
        """Whoever signs thoughts wants them back in their place, and a message tells all of its text as one."""
        if text_before := self._places.pop(number, text_before):
            block["text_before"] = text_before
        self._thoughts.append(block)

    def add_content(self, event: ContentDelta) -> None:
        value = on_one_line(event.value)
        self.size += len(value)
        self._contents.setdefault(event.field, []).append(value)

    def fields(self) -> dict[str, object]:
        thoughts = {"thinking_blocks": self._thoughts} if self._thoughts else {}
        return {**thoughts, **self._contents}


class TokenProbabilities:
    """``logprobs`` of a choice."""

    __slots__ = ("_lists",)

    def __init__(self) -> None:
        self._lists: tuple[list[Raw], list[Raw]] = ([], [])

    def add(self, event: ContentDelta) -> None:
        self._lists[PROBABILITY_FIELDS.index(event.field)].append(on_one_line(event.value))

    def take(self) -> dict[str, object] | None:
        """Those that came since the last time; None when there were none."""
        (content, refusal), self._lists = self._lists, ([], [])
        return {"content": content or None, "refusal": refusal or None} if content or refusal else None


def read_audio(value: Raw) -> dict[str, Any] | None:
    """A spoken answer, or a piece of one; None for what is neither."""
    try:
        return _read_object(value)
    except DECODE_ERRORS:
        return None


def _seal(proof: str, event: ReasoningDelta) -> str:
    return seal(Proof(proof, event.origin, event.id), DialectName.ANTHROPIC_MESSAGES)


class _Call:
    """One tool call of a plain answer, put together from its pieces."""

    __slots__ = ("_arguments", "_id", "_name")

    def __init__(self) -> None:
        self._id = self._name = ""
        self._arguments: list[str] = []

    def add(self, event: ToolCallDelta) -> None:
        self._id = event.id or self._id
        self._name = event.name or self._name
        self._arguments.append(event.arguments)

    def fields(self) -> dict[str, object]:
        function = {"name": self._name, "arguments": "".join(self._arguments)}
        return {"id": self._id, "type": "function", "function": function}


class ChatMessage:
    """One choice of a plain answer."""

    __slots__ = ("_audio", "_calls", "_dropped", "_held", "_reasoning", "_refusals", "_text_chars", "_texts", "_tokens")

    def __init__(self, dropped: LeftOut) -> None:
        """``dropped`` is told what has no place."""
        self._dropped = dropped
        self._texts: list[str] = []
        self._text_chars = 0
        self._refusals: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._held: HeldContent | None = None
        self._tokens = TokenProbabilities()
        self._audio: dict[str, Any] = {}

    def _hold(self) -> HeldContent:
        if self._held is None:
            self._held = HeldContent()
        return self._held

    def add(self, event: Said) -> None:
        if isinstance(event, TextDelta):
            self._texts.append(event.text)
            self._text_chars += len(event.text)
        elif isinstance(event, RefusalDelta):
            self._refusals.append(event.text)
        elif isinstance(event, ReasoningDelta):
            self._reasoning.append(event.text)
            self._hold().add_reasoning(event, self._text_chars)
        elif isinstance(event, ToolCallDelta):
            self._calls.setdefault(event.position, _Call()).add(event)
        elif event.field in PROBABILITY_FIELDS:
            self._tokens.add(event)
        elif event.field == "audio":
            self._add_audio(event.value)
        else:
            self._hold().add_content(event)

    def _add_audio(self, value: Raw) -> None:
        piece = read_audio(value)
        if piece is None:
            self._dropped.name("audio")
            return
        for name, news in piece.items():
            known = self._audio.get(name)
            is_more = name in _GROWING and isinstance(news, str) and isinstance(known, str)
            self._audio[name] = f"{known}{news}" if is_more else news

    def take_probabilities(self) -> dict[str, object] | None:
        return self._tokens.take()

    def fields(self) -> dict[str, object]:
        """The content is null only where something else stands in its place."""
        is_null = not self._texts and (self._calls or self._refusals or self._audio)
        fields: dict[str, object] = {"role": "assistant", "content": None if is_null else "".join(self._texts)}
        if reasoning := "".join(self._reasoning):
            fields["reasoning_content"] = reasoning
        if self._calls:
            fields["tool_calls"] = [call.fields() for _, call in sorted(self._calls.items())]
        fields["refusal"] = "".join(self._refusals) if self._refusals else None
        if self._audio:
            fields["audio"] = self._audio
        return fields if self._held is None else fields | self._held.fields()


def usage_object(usage: Usage) -> dict[str, object]:
    """Prompt and completion tokens count everything, as in ``Usage``; ``cache_write_tokens`` stands only where some
    were written, since most models have no such thing."""
    prompt = {"cached_tokens": usage.cache_read_tokens, "audio_tokens": usage.input_audio_tokens}
    if usage.cache_write_tokens:
        prompt["cache_write_tokens"] = usage.cache_write_tokens
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.output_audio_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
