"""Answers of chat completions as events: what a message holds, and the plain answer.

A chunk of a stream is a piece of a message; a plain answer is one piece that holds it whole. So there is one state,
``ChatAnswer``, which takes either.

What has no noun in the core types goes out as ``ContentDelta``, under the name it has here: ``annotations``, ``images``
and ``audio`` of a message, ``executed_tools`` (Groq), ``search_results`` (Perplexity). Perplexity's ``citations``, a
list of URLs, become annotations of the whole text. Parts of a content list that are neither text nor thought (Mistral)
are ``provider_content``. The probabilities of a text's tokens are ``logprobs``, one token each. Those of a refusal and
names of builds and tiers are not told.

Sources: OpenAI API reference, "The chat completion object"; docs of the vendors named; recorded traffic.
"""

from typing import Any

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.limits import MAX_HELD_ANSWER_CHARS, MAX_TOKEN_COUNT
from gateway.core.types import (
    ContentDelta,
    Event,
    Fault,
    Finish,
    FinishReason,
    RefusalDelta,
    Start,
    TextDelta,
    Usage,
    UsageReport,
    raw_json,
)
from providers.openai_like.chat_calls import LEGACY_INDEX, ToolCalls, TooManyCallsError
from providers.openai_like.chat_thoughts import Thoughts
from providers.openai_like.chat_wire import (
    FAILURES,
    FINISH_REASONS,
    BrokenOffError,
    WireAnswer,
    WireChoice,
    WireMessage,
    broken,
    read_wire,
)
from providers.openai_like.errors import read_fault
from providers.openai_like.probabilities import told_probabilities
from providers.openai_like.usage import plain_reason, read_usage

# The most choices one request can ask for (OpenAI API reference, ``n``).
_MAX_CHOICES = 128
_LISTED = ("annotations", "images")


class ChatAnswer:
    """What has been said so far. Events are appended to ``events``; whoever owns the answer clears the list."""

    __slots__ = (
        "_answer_id",
        "_choices",
        "_citations",
        "_is_started",
        "_is_whole",
        "_search_results",
        "events",
        "usage",
    )

    def __init__(self, is_whole: bool = False) -> None:
        self.events: list[Event] = []
        self.usage: Usage | None = None
        self._is_whole = is_whole
        self._is_started = False
        self._answer_id = ""
        self._choices: dict[int, _Choice] = {}
        self._citations: Any = None
        self._search_results: Any = None

    @property
    def is_ended(self) -> bool:
        """Has every choice said why it ended? Not all vendors say more at the end of a stream."""
        return bool(self._choices) and all(choice.reason for choice in self._choices.values())

    def take(self, wire: WireAnswer) -> None:
        """A plain answer or a chunk. Raises ``BrokenOffError``, ``DECODE_ERRORS``."""
        choices = wire.choices
        if wire.usage or wire.x_groq:
            self._count(wire.usage or _member(wire.x_groq, "usage"))
        if wire.error or (wire.object == "error" and not choices):
            raise BrokenOffError(read_fault(wire.error, wire.message, wire.type))
        if not self._is_started:
            self._start(wire)
        if wire.citations or wire.search_results:
            self._citations = wire.citations or self._citations
            self._search_results = wire.search_results or self._search_results
        for choice in choices or ():
            index = choice.index
            state = self._choices.get(index) if type(index) is int else None
            if state is None:
                state = self._open(index)
            if choice.finish_reason or choice.error or choice.usage:
                self._note(state, choice)
            # the whole message beside its piece, as Perplexity sends it, is the same once more
            message = choice.message if self._is_whole else choice.delta
            message = message or choice.message or choice.delta
            if message is not None:
                state.add(message, self._is_whole)
            if choice.logprobs:
                state.add_probabilities(choice.logprobs)

    def _start(self, wire: WireAnswer) -> None:
        """Azure's first chunk has neither id nor choices: it is about the prompt."""
        if not wire.id and not wire.choices:
            return
        self._is_started = True
        self._answer_id = f"{wire.id} {wire.created}"
        created = (
            wire.created if isinstance(wire.created, int | float) and 0 < wire.created <= MAX_TOKEN_COUNT else None
        )
        self.events.append(Start(_text(wire.id), _text(wire.model), None if created is None else int(created)))

    def _open(self, index: object) -> "_Choice":
        number = index if isinstance(index, int) else 0
        if not 0 <= number < _MAX_CHOICES:
            raise BrokenOffError(broken("the provider sent a choice that was not asked for"))
        if number not in self._choices:
            self._choices[number] = _Choice(self.events, number, self._answer_id)
        return self._choices[number]

    def _count(self, reported: object) -> None:
        if reported and isinstance(reported, dict):
            self.usage = read_usage(reported)

    def _note(self, state: "_Choice", choice: WireChoice) -> None:
        if choice.error:
            raise BrokenOffError(read_fault(choice.error))
        self._count(choice.usage)
        if choice.finish_reason and isinstance(choice.finish_reason, str):
            state.reason = choice.finish_reason
            state.stop_sequence = _text(choice.stop_reason) or None

    def finish(self) -> None:
        """The answer is complete. Raises ``BrokenOffError`` for one that failed in a chosen word."""
        for choice in self._choices.values():
            choice.close()
            if choice.reason in FAILURES:
                raise BrokenOffError(Fault(f"the provider broke the answer off: {choice.reason}"))
        self._tell_sources()
        self.tell_usage()
        # one reason for all choices: that of the first
        first = min(self._choices.items(), default=(0, _Choice(self.events, 0, "")))[1]
        native = first.reason
        reason = FINISH_REASONS.get(native.lower(), FinishReason.STOP)
        if reason is FinishReason.STOP and any(choice.calls for choice in self._choices.values()):
            reason = FinishReason.TOOL_CALLS
        self.events.append(Finish(reason, plain_reason(native) or "", first.stop_sequence))

    def tell_usage(self) -> None:
        """Some vendors report in every chunk; it is told once, last."""
        if self.usage is not None:
            self.events.append(UsageReport(self.usage))

    def _tell_sources(self) -> None:
        found = [item for item in _items(self._search_results) if isinstance(item, dict)]
        self.events += [ContentDelta("search_results", raw_json(item)) for item in found]
        first = self._choices.get(0)
        if first is None or first.has_annotations:
            return
        titles = {item["url"]: _text(item.get("title")) for item in found if isinstance(item.get("url"), str)}
        for url in [url for url in _items(self._citations) if isinstance(url, str)] or titles:
            place = {"start_index": 0, "end_index": first.text_chars}
            web = {**place, "title": titles.get(url, ""), "url": url}
            self.events.append(ContentDelta("annotations", raw_json({"type": "url_citation", "url_citation": web})))


class _Choice:
    """One choice of an answer. ``reason`` is the vendor's word for its end, empty until it is told."""

    __slots__ = (
        *("_events", "_executed", "_held_chars", "_index", "calls"),
        *("has_annotations", "reason", "stop_sequence", "text_chars", "thoughts"),
    )

    def __init__(self, events: list[Event], index: int, answer: str) -> None:
        self._events = events
        self._index = index
        self._executed: dict[object, ContentDelta] = {}
        self._held_chars = 0
        self.reason = ""
        self.stop_sequence: str | None = None
        self.text_chars = 0
        self.has_annotations = False
        self.thoughts = Thoughts(events, index)
        self.calls = ToolCalls(events, index, answer)

    def add(self, message: WireMessage, is_whole: bool) -> None:
        content = message.content
        if message.reasoning_content or message.reasoning or message.reasoning_details:
            self._add_thought(message)
        if content:
            if type(content) is str:
                self._say(content)
            else:
                self._add_parts(content)
        if message.tool_calls or message.function_call:
            self._add_calls(message, is_whole)
        if message.refusal or message.annotations or message.images or message.audio or message.executed_tools:
            self._add_rest(message)

    def _say(self, text: str) -> None:
        if self.thoughts.is_open:
            self.thoughts.close()
        self.text_chars += len(text)
        self._events.append(TextDelta(text, self._index))

    def _add_thought(self, message: WireMessage) -> None:
        """The same text may stand in several members."""
        details = [detail for detail in _items(message.reasoning_details) if isinstance(detail, dict) and detail]
        if not any(detail.get("text") or detail.get("summary") for detail in details):
            text = _text(message.reasoning_content) or _text(message.reasoning)
            if text:
                self.thoughts.say(text)
        for detail in details:
            self.thoughts.add_detail(detail)

    def _add_parts(self, content: object) -> None:
        """A content list (Mistral): text, thought, and what else there will be."""
        for part in _items(content) or [content]:
            kind = _member(part, "type")
            if isinstance(part, str):
                self._say(part)
            elif kind == "thinking":
                pieces = _member(part, "thinking")
                for text in [pieces] if isinstance(pieces, str) else [_member(p, "text") for p in _items(pieces)]:
                    if isinstance(text, str) and text:
                        self.thoughts.say(text)
            elif kind == "text":
                if text := _text(_member(part, "text")):
                    self._say(text)
            elif isinstance(part, dict):
                self._tell("provider_content", part)

    def _add_calls(self, message: WireMessage, is_whole: bool) -> None:
        if self.thoughts.is_open:
            self.thoughts.close()
        pieces = [piece for piece in _items(message.tool_calls) if isinstance(piece, dict)]
        if isinstance(message.function_call, dict) and not pieces:
            pieces = [{"index": LEGACY_INDEX, "function": message.function_call}]
        for piece in pieces:
            try:
                self.calls.add(piece, is_whole)
            except TooManyCallsError:
                reason = "the provider sent more tool calls than the gateway takes"
                raise BrokenOffError(broken(reason)) from None

    def _add_rest(self, message: WireMessage) -> None:
        if message.refusal and isinstance(message.refusal, str):
            self._events.append(RefusalDelta(message.refusal, self._index))
        for field in _LISTED:
            for item in _items(getattr(message, field)):
                self.has_annotations = self.has_annotations or field == "annotations"
                self._tell(field, item)
        if isinstance(message.audio, dict):
            self._tell("audio", message.audio)
        for number, tool in enumerate(_items(message.executed_tools)):
            self._hold_executed(_member(tool, "index"), number, tool)

    def add_probabilities(self, logprobs: object) -> None:
        self._events += told_probabilities(_member(logprobs, "content"), self._index)
        self._events += told_probabilities(_member(logprobs, "refusal"), self._index, "refusal_logprobs")

    def _tell(self, field: str, value: object) -> None:
        self._events.append(ContentDelta(field, raw_json(value), self._index))

    def _hold_executed(self, index: object, number: int, tool: object) -> None:
        """A tool that Groq runs is told when it begins and again with its result: the last telling has it all."""
        told = ContentDelta("executed_tools", raw_json(tool), self._index)
        self._held_chars += len(bytes(told.value))
        if self._held_chars > MAX_HELD_ANSWER_CHARS:
            raise BrokenOffError(broken("the provider sent more tool results than the gateway takes"))
        self._executed[index if isinstance(index, int) else f"at {number}"] = told

    def close(self) -> None:
        if self.thoughts.is_open:
            self.thoughts.close()
        self.calls.finish()
        self._events += self._executed.values()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _member(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


# --- a plain answer -------------------------------------------------------------------------------------------------


def read_chat_answer(body: bytes) -> list[Event]:
    """The events of a plain answer. What cannot be read makes the whole answer a ``Fault``: half an answer would look
    like a whole one."""
    answer = ChatAnswer(is_whole=True)
    try:
        wire = read_wire(body)
        answer.take(wire)
        if not wire.choices:
            return [broken("the provider's answer is not a chat completion")]
        answer.finish()
    except BrokenOffError as error:
        answer.events.clear()
        answer.tell_usage()
        return [*answer.events, error.fault]
    except DECODE_ERRORS:
        return [broken("the provider's answer could not be read")]
    return answer.events
