"""Events written as OpenAI chat completions, plain or as chunks.

Source: OpenAI API reference, "The chat completion object" and "The chat completion chunk object" (2026-11); the order
of members is OpenAI's. Beside those a message carries ``reasoning_content``, the text of all thought, and
``thinking_blocks``, the signed blocks that a client must send back for the next turn.

Proofs of thought that another maker's API wants back are told in the same blocks, sealed (``signatures``).

A chunk differs from the one before in one value, so everything around that value is made once an answer, as bytes.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
from msgspec import Raw

from gateway.core.limits import MAX_ANSWER_ID_CHARS, MAX_HELD_ANSWER_CHARS
from gateway.core.types import (
    ContentDelta,
    DialectName,
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
from gateway.dialects.openai_errors import fault_event
from gateway.dialects.signatures import Proof, seal

_encode = msgspec.json.Encoder().encode

_DONE = b"data: [DONE]\n\n"
_UNFINISHED = b',"logprobs":null,"finish_reason":null}]'
_NO_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")


class ChatEncoder:
    """Writes one answer, either with ``stream`` call by call or with ``body`` once."""

    kept: ClassVar[None] = None  # nobody refers to a chat completion
    __slots__ = (
        "_choices",
        "_chunk_head",
        "_chunk_tail",
        "_created",
        "_id",
        "_include_usage",
        "_is_over",
        "_model",
        "_usage",
    )

    def __init__(self, model: str, include_usage: bool, created: int) -> None:
        self._model = model
        self._include_usage = include_usage
        # OpenAI's chunks carry ``"usage":null`` until the last when usage was asked for
        self._chunk_tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._is_over = False
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
        return b"".join(out)

    def _write_start(self, event: Start, _out: list[bytes]) -> None:
        """Nothing is sent before there is something to tell: until then another provider may still be tried."""
        self._begin(event.id[:MAX_ANSWER_ID_CHARS] or f"{self._created:x}", event.created or self._created)

    def _write_text(self, event: TextDelta, out: list[bytes]) -> None:
        choice = self._choices.get(event.choice)
        if choice is None or not choice.has_text:
            choice = self._open(event.choice, b'""', out)
            choice.has_text = True
        out += (choice.text_head, _encode(event.text), choice.text_tail)

    def _write_refusal(self, event: RefusalDelta, out: list[bytes]) -> None:
        choice = self._open(event.choice, b"null", out)
        choice.has_other = True
        out.append(choice.delta(b'{"refusal":%b}' % _encode(event.text)))

    def _write_reasoning(self, event: ReasoningDelta, out: list[bytes]) -> None:
        choice = self._open(event.choice, b"null", out)
        if event.text:
            out.append(choice.delta(b'{"reasoning_content":%b}' % _encode(event.text)))
        choice.held.add_reasoning(event)
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
        choice.held.add_content(event)
        self._check_size(choice, out)

    def _check_size(self, choice: "_Choice", out: list[bytes]) -> None:
        if choice.held.size > MAX_HELD_ANSWER_CHARS:
            self._write_fault(Fault("The answer's reasoning or citations are too large to be streamed."), out)

    def _write_usage(self, event: UsageReport, _out: list[bytes]) -> None:
        self._usage = event.usage

    def _write_finish(self, event: Finish, out: list[bytes]) -> None:
        if not self._choices:
            self._open(0, b"null", out)
        for _, choice in sorted(self._choices.items()):
            fields = choice.held.fields()
            if fields:
                out.append(choice.delta(_encode(fields)))
            out.append(choice.last(event.reason))
        if self._include_usage and self._usage is not None:
            out.append(self._head() + b'"choices":[],"usage":' + _encode(_usage_object(self._usage)) + b"}\n\n")
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
        messages = {0: _Message()}
        reason = None
        for event in events:
            if isinstance(event, _CONTENT):
                message = messages.get(event.choice)
                if message is None:
                    message = messages[event.choice] = _Message()
                message.add(event)
            elif isinstance(event, UsageReport):
                self._usage = event.usage
            elif isinstance(event, Start):
                self._write_start(event, [])
            elif isinstance(event, Finish):
                reason = event.reason
        answer: dict[str, object] = {
            "id": self._id,
            "object": "chat.completion",
            "created": self._created,
            "model": self._model,
            "choices": [
                {"index": index, "message": message.fields(), "logprobs": None, "finish_reason": reason}
                for index, message in sorted(messages.items())
            ],
        }
        if self._usage is not None:
            answer["usage"] = _usage_object(self._usage)
        return _encode(answer)


_Content = TextDelta | RefusalDelta | ReasoningDelta | ToolCallDelta | ContentDelta
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

    __slots__ = ("_head", "_tail", "has_other", "has_text", "held", "text_head", "text_tail")

    def __init__(self, index: int, chunk_head: bytes, chunk_tail: bytes) -> None:
        self._head = chunk_head + b'"choices":[{"index":%d,"delta":' % index
        self._tail = chunk_tail
        self.text_head = self._head + b'{"content":'
        self.text_tail = b"}" + _UNFINISHED + chunk_tail
        self.has_text = False
        self.has_other = False
        self.held = _Held()

    def delta(self, delta: bytes) -> bytes:
        return self._head + delta + _UNFINISHED + self._tail

    def last(self, reason: str) -> bytes:
        """Where there was neither text nor anything in its place, the content is empty and not null, as in a plain
        answer."""
        delta = b"{}" if self.has_text or self.has_other else b'{"content":""}'
        return self._head + delta + b',"logprobs":null,"finish_reason":"%b"}]' % reason.encode() + self._tail


class _Held:
    """What of a message can only be told whole: signed reasoning blocks, and content of other kinds.

    A stream tells it in one chunk before the last one. Told piece by piece it would be lost in official clients: the
    Python one fails on a second list of objects without ``index``, the JavaScript one keeps the last list only.
    """

    __slots__ = ("_contents", "_texts", "_thoughts", "size")

    def __init__(self) -> None:
        self._texts: dict[int, list[str]] = {}
        self._thoughts: list[dict[str, str]] = []
        self._contents: dict[str, list[Raw]] = {}
        self.size = 0

    def add_reasoning(self, event: ReasoningDelta) -> None:
        self.size += len(event.text) + len(event.signature or "") + len(event.redacted or "")
        if event.text:
            self._texts.setdefault(event.block, []).append(event.text)
        if event.redacted is not None:
            self._thoughts.append({"type": "redacted_thinking", "data": _seal(event.redacted, event)})
        elif event.signature is not None:
            text = "".join(self._texts.pop(event.block, ()))
            signature = _seal(event.signature, event)
            self._thoughts.append({"type": "thinking", "thinking": text, "signature": signature})

    def add_content(self, event: ContentDelta) -> None:
        # white space may stand between the tokens of raw JSON, but a line end would cut a server-sent event
        value = bytes(event.value).translate(_NO_LINE_ENDS)
        self.size += len(value)
        self._contents.setdefault(event.field, []).append(Raw(value))

    def fields(self) -> dict[str, object]:
        thoughts = {"thinking_blocks": self._thoughts} if self._thoughts else {}
        return {**thoughts, **self._contents}


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


class _Message:
    """One choice of a plain answer."""

    __slots__ = ("_calls", "_held", "_reasoning", "_refusals", "_texts")

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._held: _Held | None = None

    def _hold(self) -> _Held:
        if self._held is None:
            self._held = _Held()
        return self._held

    def add(self, event: _Content) -> None:
        if isinstance(event, TextDelta):
            self._texts.append(event.text)
        elif isinstance(event, RefusalDelta):
            self._refusals.append(event.text)
        elif isinstance(event, ReasoningDelta):
            self._reasoning.append(event.text)
            self._hold().add_reasoning(event)
        elif isinstance(event, ToolCallDelta):
            self._calls.setdefault(event.position, _Call()).add(event)
        else:
            self._hold().add_content(event)

    def fields(self) -> dict[str, object]:
        """The content is null only where something else stands in its place."""
        is_null = not self._texts and (self._calls or self._refusals)
        fields: dict[str, object] = {"role": "assistant", "content": None if is_null else "".join(self._texts)}
        if reasoning := "".join(self._reasoning):
            fields["reasoning_content"] = reasoning
        if self._calls:
            fields["tool_calls"] = [call.fields() for _, call in sorted(self._calls.items())]
        fields["refusal"] = "".join(self._refusals) if self._refusals else None
        return fields if self._held is None else fields | self._held.fields()


def _usage_object(usage: Usage) -> dict[str, object]:
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
