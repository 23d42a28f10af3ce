"""Answers of generateContent as events: the parts, and the plain answer.

An answer is a row of parts for each candidate. An event of a stream has the shape of a plain answer and holds the parts
that are new, so there is one state, ``Answer``, that takes either.

A thought signature is told right before the part that bears it: as the end of the thought that came before, else as a
thought without words. The calls of older models have no id and get one.

What an OpenAI-shaped message has no word for goes out as ``ContentDelta``:

- ``images``: pictures as OpenRouter tells them, an ``image_url`` with a data URI;
- ``annotations``, ``citations``: see ``citations``;
- ``logprobs``: one token each, as the elements of OpenAI's ``logprobs.content``;
- ``provider_content``: parts of Google's own tools and kinds of part that did not exist when this was written, and the
  metadata of what these tools have read.

Source: ai.google.dev/api/generate-content; ai.google.dev/gemini-api/docs, "Function calling", "Thought signatures".
"""

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.limits import MAX_HELD_ANSWER_CHARS
from gateway.core.types import (
    ContentDelta,
    DialectName,
    Event,
    Fault,
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
from providers.generate_content.citations import tell_citations
from providers.generate_content.wire import (
    FAILURES,
    FINISH_REASONS,
    NULL,
    UNSPECIFIED,
    MalformedError,
    WireAnswer,
    WireBlob,
    WireCall,
    WireCandidate,
    WirePart,
    WireUsage,
    broken,
    is_null,
    newest_counts,
    read_fault,
    read_usage,
)
from providers.openai_like import clean_message

_ORIGIN = DialectName.GEMINI_GENERATE_CONTENT
# The API writes at most 8 candidates.
_MAX_CANDIDATES = 128
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9_-]")
_ID_CHARS = 24
_NOTHING = frozenset((b"null", b"{}", b"[]"))
# A part with no other members says nothing.
_COMMON = frozenset(("text", "thought", "thoughtSignature"))


class _Token(Struct, rename="camel"):
    token: str = ""
    log_probability: float | None = None


class _TopTokens(Struct):
    candidates: list[_Token] | None = None


class _Logprobs(Struct, rename="camel"):
    chosen_candidates: list[_Token] | None = None
    top_candidates: list[_TopTokens] | None = None


_read_answer = msgspec.json.Decoder(WireAnswer).decode
_read_part = msgspec.json.Decoder(WirePart).decode
_read_members = msgspec.json.Decoder(dict[str, Raw]).decode
_read_logprobs = msgspec.json.Decoder(_Logprobs).decode


def _checked(raw: Raw) -> Raw:
    """``raw``, proven to be UTF-8: decoders step over the inside of a raw value without looking."""
    bytes(raw).decode()
    return raw.copy()


# --- one candidate --------------------------------------------------------------------------------------------------


class Choice:
    """One candidate: what it has said, as far as it matters later."""

    __slots__ = (
        "_answer",
        "_block",
        "_held_chars",
        "_is_thinking",
        "_texts",
        "calls",
        "cited",
        "grounding",
        "has_content",
        "message",
        "number",
        "reason",
    )

    def __init__(self, answer: "Answer", number: int) -> None:
        self._answer = answer
        self._block = 0
        self._is_thinking = False
        self._texts: list[str] = []
        self._held_chars = 0
        self.number = number
        self.calls = 0
        self.has_content = False
        self.reason = ""
        self.message = ""
        self.grounding: list[Raw] = []
        self.cited: list[Raw] = []

    def take(self, candidate: WireCandidate) -> None:
        for raw in (candidate.content.parts if candidate.content else None) or ():
            self._take_part(raw)
        if not is_null(candidate.logprobs_result):
            self._tell_logprobs(_read_logprobs(candidate.logprobs_result))
        if candidate.grounding_metadata is not NULL:
            self._hold(self.grounding, candidate.grounding_metadata)
        if candidate.citation_metadata is not NULL:
            self._hold(self.cited, candidate.citation_metadata)
        if candidate.url_context_metadata is not NULL and bytes(candidate.url_context_metadata) not in _NOTHING:
            self._keep(raw_json({"urlContextMetadata": _checked(candidate.url_context_metadata)}))
        if candidate.finish_reason is not None and candidate.finish_reason not in UNSPECIFIED:
            # a filter may have the last word after the model's own
            self.reason, self.message = candidate.finish_reason, candidate.finish_message or ""

    def _hold(self, place: list[Raw], metadata: Raw) -> None:
        if bytes(metadata) not in _NOTHING:
            self._count(len(bytes(metadata)))
            place.append(_checked(metadata))

    def _count(self, chars: int) -> None:
        self._held_chars += chars
        if self._held_chars > MAX_HELD_ANSWER_CHARS:
            raise MalformedError("the provider sent a larger answer than the gateway takes")

    # --- parts ------------------------------------------------------------------------------------------------------

    def _take_part(self, raw: Raw) -> None:
        part = _read_part(raw)
        if part.thought and part.inline_data is None and part.function_call is None:
            self._think(part.text or "", part.thought_signature)
        elif part.function_call is not None:
            self._sign(part.thought_signature)
            self._call(part.function_call)
        elif part.inline_data is not None and part.inline_data.mime_type.startswith("image/") and not part.thought:
            self._sign(part.thought_signature)
            self._show(part.inline_data)
        elif part.text is not None:
            self._sign(part.thought_signature)
            self._say(part.text)
        elif _read_members(raw).keys() - _COMMON:
            # whoever sends this part back sends its signature with it
            self._keep(_checked(raw))
        else:
            self._sign(part.thought_signature)

    def _tell(self, event: Event) -> None:
        self.has_content = True
        self._answer.events.append(event)

    def _think(self, text: str, signature: str | None) -> None:
        if text:
            self._is_thinking = True
            thought = ReasoningDelta(text, self._block, origin=_ORIGIN, choice=self.number)
            self._answer.events.append(thought)
        self._sign(signature)

    def _sign(self, signature: str | None) -> None:
        """The signature ends the thought it follows; without such it is a thought of its own."""
        if signature:
            signed = ReasoningDelta("", self._block, signature, origin=_ORIGIN, choice=self.number)
            self._answer.events.append(signed)
            self._is_thinking = False
            self._block += 1

    def _end_thought(self) -> None:
        if self._is_thinking:
            self._is_thinking = False
            self._block += 1

    def _say(self, text: str) -> None:
        if text:
            self._end_thought()
            self._count(len(text))
            self._texts.append(text)
            self._tell(TextDelta(text, self.number))

    def _call(self, call: WireCall) -> None:
        self._end_thought()
        position, self.calls = self.calls, self.calls + 1
        arguments = "{}" if bytes(call.args) == b"null" else msgspec.json.format(bytes(call.args), indent=-1).decode()
        call_id = call.id or self._answer.name_call(self.number, position)
        self._tell(ToolCallDelta(position, call_id, call.name, arguments, self.number))

    def _show(self, picture: WireBlob) -> None:
        self._end_thought()
        url = f"data:{picture.mime_type};base64,{picture.data}"
        self._tell(ContentDelta("images", raw_json({"type": "image_url", "image_url": {"url": url}}), self.number))

    def _keep(self, value: Raw) -> None:
        self._end_thought()
        self._tell(ContentDelta("provider_content", value, self.number))

    def _tell_logprobs(self, result: _Logprobs) -> None:
        tops = result.top_candidates or []
        for place, chosen in enumerate(result.chosen_candidates or ()):
            top = tops[place].candidates if place < len(tops) else None
            told = {**_logprob(chosen), "top_logprobs": [_logprob(token) for token in top or ()]}
            self._answer.events.append(ContentDelta("logprobs", raw_json(told), self.number))

    def finish(self) -> None:
        """Citations are told at the end, when all of the text is known."""
        if self.grounding or self.cited:
            self._answer.events += tell_citations("".join(self._texts), self.grounding, self.cited, self.number)


def _logprob(token: _Token) -> dict[str, Any]:
    spelled = list(token.token.encode(errors="replace"))
    return {"token": token.token, "logprob": token.log_probability, "bytes": spelled}


# --- the answer -----------------------------------------------------------------------------------------------------


class Answer:
    """What has been said so far. Events are appended to ``events``; whoever owns the answer takes them from there."""

    __slots__ = ("_block_reason", "_choices", "_counts", "_has_news", "_id", "_is_started", "_told", "_usage", "events")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._usage: Usage | None = None
        self._told: Usage | None = None
        self._choices: dict[int, Choice] = {}
        self._counts = WireUsage()
        self._has_news = False  # counts that are not read yet
        self._block_reason = ""
        self._id = ""
        self._is_started = False

    def take(self, data: bytes) -> bool:
        """Is the answer broken off? ``data`` is a plain answer or one event. Never raises."""
        try:
            news = _read_answer(data)
            if news.error is not None:
                self.events.append(read_fault(news.error))
                return True
            self._take(news)
        except MalformedError as error:
            self.events.append(broken(str(error)))
            return True
        except DECODE_ERRORS:
            self.events.append(broken("the provider sent an answer that could not be read"))
            return True
        return False

    def _take(self, news: WireAnswer) -> None:
        if not self._is_started:
            self._is_started = True
            self._id = news.response_id or ""
            self.events.append(Start(self._id, news.model_version or ""))
        for candidate in news.candidates or ():
            self._choice(candidate.index or 0).take(candidate)
        feedback = news.prompt_feedback
        if feedback is not None and (feedback.block_reason or "") not in UNSPECIFIED:
            self._block_reason = feedback.block_reason or ""
        if news.usage_metadata is not None:
            self._counts = newest_counts(self._counts, news.usage_metadata)
            self._has_news = True
            # every event of a stream has counts: the first and the last are told
            if self._told is None:
                self._report()

    def _choice(self, number: int) -> Choice:
        choice = self._choices.get(number)
        if choice is None:
            if not 0 <= number < _MAX_CANDIDATES:
                raise MalformedError("the provider sent a candidate with an impossible number")
            choice = self._choices[number] = Choice(self, number)
        return choice

    @property
    def usage(self) -> Usage | None:
        """The best known so far, read when it is asked for."""
        if self._has_news:
            self._has_news = False
            self._usage = read_usage(self._counts) or self._usage
        return self._usage

    def _report(self) -> None:
        usage = self.usage
        if usage is not None and usage != self._told:
            self._told = usage
            self.events.append(UsageReport(usage))

    def name_call(self, choice: int, position: int) -> str:
        """An id for a call that has none: of its own in this answer, and as far as answers have ids in all others."""
        piece = _NOT_IN_ID.sub("", self._id)[-_ID_CHARS:]
        return "_".join(["call", *([piece] if piece else ()), *([str(choice)] if choice else ()), str(position)])

    def finish(self) -> None:
        """Nothing more will come: the last event, a ``Finish`` or a ``Fault``. Never raises."""
        self._report()
        try:
            for choice in self._choices.values():
                choice.finish()
        except DECODE_ERRORS:
            self.events.append(broken("the provider sent citations that could not be read"))
            return
        self.events.append(self._end())

    def _end(self) -> Finish | Fault:
        choices = [choice for _, choice in sorted(self._choices.items())]
        if self._block_reason and not any(choice.has_content for choice in choices):
            return Finish(FinishReason.CONTENT_FILTER, self._block_reason)
        if not choices or not all(choice.reason for choice in choices):
            return broken("the provider ended its answer before it was complete")
        first = choices[0]
        if first.reason in FAILURES and not any(choice.has_content for choice in choices):
            told = clean_message(first.message) or f"the model could not answer ({clean_message(first.reason)})"
            return Fault(told, native_type=clean_message(first.reason))
        reason = FINISH_REASONS.get(first.reason, FinishReason.STOP)
        if reason is FinishReason.STOP and first.calls:
            reason = FinishReason.TOOL_CALLS
        return Finish(reason, first.reason)


def read_answer(body: bytes) -> list[Event]:
    """The events of a plain answer."""
    answer = Answer()
    if not answer.take(body):
        answer.finish()
    return answer.events
