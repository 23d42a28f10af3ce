"""Events written as OpenAI chat completions, plain or as chunks.

Source: OpenAI API reference, "The chat completion object" and "The chat completion chunk object" (2026-11); the order
of members is OpenAI's. Beside those a message carries ``reasoning_content``, the text of all thought, and
``thinking_blocks``, the signed blocks that a client must send back for the next turn. Where text stands before a block,
its member ``text_before`` says how many characters.

Probabilities of tokens stand beside the message, as OpenAI's. In a stream they come in chunks of their own, each behind
the text that it measures.

Proofs of thought that another maker's API wants back are told in the same blocks, sealed (``signatures``).

A chunk differs from the one before in one value, so everything around that value is made once an answer, as bytes.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from gateway.core.limits import MAX_ANSWER_ID_CHARS, MAX_HELD_ANSWER_CHARS
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
)
from gateway.dialects.left_out import LeftOut
from gateway.dialects.openai_chat_message import (
    PROBABILITY_FIELDS,
    ChatMessage,
    HeldContent,
    TokenProbabilities,
    read_audio,
    usage_object,
)
from gateway.dialects.openai_errors import fault_event

_encode = msgspec.json.Encoder().encode

_DONE = b"data: [DONE]\n\n"
_UNFINISHED = b',"logprobs":null,"finish_reason":null}]'


class ChatEncoder:
    """Writes one answer, either with ``stream`` call by call or with ``body`` once."""

    kept: ClassVar[None] = None  # nobody refers to a chat completion
    __slots__ = (
        "_choices",
        "_chunk_head",
        "_chunk_tail",
        "_created",
        "_has_untold",
        "_id",
        "_include_usage",
        "_is_over",
        "_model",
        "_usage",
        "dropped",
    )

    def __init__(self, model: str, include_usage: bool, created: int) -> None:
        self._model = model
        self._include_usage = include_usage
        # OpenAI's chunks carry ``"usage":null`` until the last when usage was asked for
        self._chunk_tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._is_over = False
        self._has_untold = False  # probabilities
        self.dropped = LeftOut()
        self._begin(f"{created:x}", created)

    def _begin(self, answer_id: str, created: int) -> None:
        """Before a provider names its answer, the time stands in for its id."""
        self._id = answer_id if answer_id.startswith("chatcmpl-") else f"chatcmpl-{answer_id}"
        self._created = created
        self._chunk_head = b""

    def _head(self) -> bytes:
        """How every chunk begins; a plain answer needs none."""
        if not self._chunk_head:
            self._chunk_head = self._make_head()
        return self._chunk_head

    def _make_head(self) -> bytes:
        head = {"id": self._id, "object": "chat.completion.chunk", "created": self._created, "model": self._model}
        return b"data: " + _encode(head)[:-1] + b","

    # --- a stream -------------------------------------------------------------------------------------------------

    def stream(self, events: list[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if self._is_over:
                break
            _WRITERS[type(event)](self, event, out)
        if self._has_untold and not self._is_over:
            self._tell_probabilities(out)
        return b"".join(out)

    def _write_start(self, event: Start, _out: list[bytes]) -> None:
        """Nothing is sent before there is something to tell: until then another provider may still be tried."""
        self._begin(event.id[:MAX_ANSWER_ID_CHARS] or f"{self._created:x}", event.created or self._created)

    def _write_text(self, event: TextDelta, out: list[bytes]) -> None:
        choice = self._choices.get(event.choice)
        if choice is None or not choice.has_text:
            choice = self._open(event.choice, b'""', out)
            choice.has_text = True
        choice.text_chars += len(event.text)
        out += (choice.text_head, _encode(event.text), choice.text_tail)

    def _write_refusal(self, event: RefusalDelta, out: list[bytes]) -> None:
        choice = self._open(event.choice, b"null", out)
        choice.has_other = True
        out.append(choice.delta(b'{"refusal":%b}' % _encode(event.text)))

    def _write_reasoning(self, event: ReasoningDelta, out: list[bytes]) -> None:
        choice = self._open(event.choice, b"null", out)
        if event.text:
            out.append(choice.delta(b'{"reasoning_content":%b}' % _encode(event.text)))
        choice.held.add_reasoning(event, choice.text_chars)
        self._check_size(choice, out)

    def _write_tool_call(self, event: ToolCallDelta, out: list[bytes]) -> None:
        choice = self._open(event.choice, b"null", out)
        choice.has_other = True
        call: dict[str, object] = {"index": event.position}
        if event.id is not None:
            call |= {"id": event.id, "type": "function"}
            call["function"] = {"name": event.name, "arguments": event.arguments}
        elif event.arguments:
            call["function"] = {"arguments": event.arguments}
        else:
            return
        out.append(choice.delta(b'{"tool_calls":[%b]}' % _encode(call)))

    def _write_content(self, event: ContentDelta, out: list[bytes]) -> None:
        choice = self._open(event.choice, b"null", out)
        if event.field in PROBABILITY_FIELDS:
            choice.untold.add(event)
            self._has_untold = True
        elif event.field == "audio":
            self._write_audio(choice, event, out)
        else:
            choice.held.add_content(event)
            self._check_size(choice, out)

    def _write_audio(self, choice: "_Choice", event: ContentDelta, out: list[bytes]) -> None:
        """Of all content that is no text only speech is streamed in pieces ("Audio and speech")."""
        piece = read_audio(event.value)
        if piece is None:
            self.dropped.name("audio")
        elif piece:
            choice.has_other = True
            out.append(choice.delta(b'{"audio":%b}' % _encode(piece)))

    def _tell_probabilities(self, out: list[bytes]) -> None:
        self._has_untold = False
        for _, choice in sorted(self._choices.items()):
            if (told := choice.untold.take()) is not None:
                out.append(choice.probabilities(told))

    def _check_size(self, choice: "_Choice", out: list[bytes]) -> None:
        if choice.held.size > MAX_HELD_ANSWER_CHARS:
            self._write_fault(Fault("The answer's reasoning or citations are too large to be streamed."), out)

    def _write_usage(self, event: UsageReport, _out: list[bytes]) -> None:
        self._usage = event.usage

    def _write_finish(self, event: Finish, out: list[bytes]) -> None:
        if not self._choices:
            self._open(0, b"null", out)
        self._tell_probabilities(out)
        for _, choice in sorted(self._choices.items()):
            fields = choice.held.fields()
            if fields:
                out.append(choice.delta(_encode(fields)))
            out.append(choice.last(event.reason))
        if self._include_usage and self._usage is not None:
            out.append(self._head() + b'"choices":[],"usage":' + _encode(usage_object(self._usage)) + b"}\n\n")
        out.append(_DONE)
        self._is_over = True

    def _write_fault(self, event: Fault, out: list[bytes]) -> None:
        out.append(fault_event(event))
        self._is_over = True

    def _open(self, index: int, content: bytes, out: list[bytes]) -> "_Choice":
        """The choice; before its first delta the chunk that names the role. Choice 0 comes first: the official Python
        client fails on a stream that begins with another."""
        choice = self._choices.get(index)
        if choice is None:
            if index and not self._choices:
                self._open(0, b"null", out)
            choice = self._choices[index] = _Choice(index, self._head(), self._chunk_tail)
            out.append(choice.delta(b'{"role":"assistant","content":%b,"refusal":null}' % content))
        return choice

    # --- a plain answer -------------------------------------------------------------------------------------------

    def body(self, events: list[Event]) -> bytes:
        texts: list[str] = []
        is_text = True  # and nothing else, as most answers are
        reason = None
        for event in events:
            # a third of what isinstance costs
            if type(event) is TextDelta and not event.choice:
                texts.append(event.text)
            elif type(event) is UsageReport:
                self._usage = event.usage
            elif type(event) is Start:
                self._write_start(event, [])
            elif type(event) is Finish:
                reason = event.reason
            else:
                is_text = False
        answer: dict[str, object] = {
            "id": self._id,
            "object": "chat.completion",
            "created": self._created,
            "model": self._model,
            "choices": [_text_choice(texts, reason)] if is_text else self._tell_choices(events, reason),
        }
        if self._usage is not None:
            answer["usage"] = usage_object(self._usage)
        return _encode(answer)

    def _tell_choices(self, events: list[Event], reason: str | None) -> list[dict[str, object]]:
        messages = {0: ChatMessage(self.dropped)}
        for event in events:
            if isinstance(event, _CONTENT):
                message = messages.get(event.choice)
                if message is None:
                    message = messages[event.choice] = ChatMessage(self.dropped)
                message.add(event)
        return [
            {
                "index": index,
                "message": message.fields(),
                "logprobs": message.take_probabilities(),
                "finish_reason": reason,
            }
            for index, message in sorted(messages.items())
        ]


def _text_choice(texts: list[str], reason: str | None) -> dict[str, object]:
    """What ``_tell_choices`` comes to for an answer that is a text."""
    message = {"role": "assistant", "content": "".join(texts), "refusal": None}
    return {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}


_CONTENT = (TextDelta, RefusalDelta, ReasoningDelta, ToolCallDelta, ContentDelta)
_WRITERS: dict[type[Event], Callable[[ChatEncoder, Any, list[bytes]], None]] = {
    Start: ChatEncoder._write_start,
    TextDelta: ChatEncoder._write_text,
    RefusalDelta: ChatEncoder._write_refusal,
    ReasoningDelta: ChatEncoder._write_reasoning,
    ToolCallDelta: ChatEncoder._write_tool_call,
    ContentDelta: ChatEncoder._write_content,
    UsageReport: ChatEncoder._write_usage,
    Finish: ChatEncoder._write_finish,
    Fault: ChatEncoder._write_fault,
}


class _Choice:
    """One choice of a stream: the bytes around its deltas, and what was said so far as far as it matters later."""

    __slots__ = ("_head", "_tail", "has_other", "has_text", "held", "text_chars", "text_head", "text_tail", "untold")

    def __init__(self, index: int, chunk_head: bytes, chunk_tail: bytes) -> None:
        self._head = chunk_head + b'"choices":[{"index":%d,"delta":' % index
        self._tail = chunk_tail
        self.text_head = self._head + b'{"content":'
        self.text_tail = b"}" + _UNFINISHED + chunk_tail
        self.has_text = False
        self.text_chars = 0
        self.has_other = False
        self.held = HeldContent()
        self.untold = TokenProbabilities()

    def delta(self, delta: bytes) -> bytes:
        return self._head + delta + _UNFINISHED + self._tail

    def probabilities(self, told: dict[str, object]) -> bytes:
        """The chunk of those that came since the last one."""
        return self._head + b'{},"logprobs":%b,"finish_reason":null}]' % _encode(told) + self._tail

    def last(self, reason: str) -> bytes:
        """Where there was neither text nor anything in its place, the content is empty and not null, as in a plain
        answer."""
        delta = b"{}" if self.has_text or self.has_other else b'{"content":""}'
        return self._head + delta + b',"logprobs":null,"finish_reason":"%b"}]' % reason.encode() + self._tail
