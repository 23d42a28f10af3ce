"""The bytes of an answer: a ``chat.completion`` object, or ``chat.completion.chunk`` events and ``data: [DONE]``.

Shapes, order of members and the sequence of chunks are those of OpenAI's API: a chunk with the role, a chunk for each
token, a chunk with the finish reason for each choice, and a chunk without choices for the usage when it was asked for.
"""

import hashlib
import zlib
from itertools import zip_longest

import msgspec
from msgspec import UNSET, Struct, UnsetType

from providers.simulation import tokens
from providers.simulation.chat_answer import Answer, Call
from providers.simulation.scripts import Stream

FINGERPRINT = "fp_simulator"

# --- the plain answer ---------------------------------------------------------------------------------------------


class CallFunction(Struct):
    name: str
    arguments: str


class ToolCall(Struct):
    id: str
    type: str
    function: CallFunction


class AnswerMessage(Struct):
    role: str
    content: str | None
    tool_calls: list[ToolCall] | UnsetType = UNSET
    refusal: str | None = None
    annotations: list[str] = []


class TopLogprob(Struct):
    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(Struct):
    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class Logprobs(Struct):
    content: list[TokenLogprob]
    refusal: None = None


class Choice(Struct):
    index: int
    message: AnswerMessage
    logprobs: Logprobs | None
    finish_reason: str


class PromptDetails(Struct):
    cached_tokens: int = 0
    audio_tokens: int = 0


class CompletionDetails(Struct):
    reasoning_tokens: int = 0
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class UsageBody(Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class Completion(Struct):
    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: UsageBody
    service_tier: str
    system_fingerprint: str


_ENCODER = msgspec.json.Encoder()


class Reply(Struct):
    """Everything both shapes are made of. ``top_logprobs`` is ``None`` when no logprobs were asked for."""

    id: str
    created: int
    model: str
    answers: list[Answer]
    prompt_tokens: int
    top_logprobs: int | None

    @property
    def reasoning_tokens(self) -> int:
        return sum(answer.reasoning_tokens for answer in self.answers)

    @property
    def completion_tokens(self) -> int:
        return self.reasoning_tokens + sum(answer.written_tokens for answer in self.answers)

    @property
    def usage(self) -> UsageBody:
        written = self.completion_tokens
        return UsageBody(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=written,
            total_tokens=self.prompt_tokens + written,
            prompt_tokens_details=PromptDetails(),
            completion_tokens_details=CompletionDetails(reasoning_tokens=self.reasoning_tokens),
        )

    def call_id(self, choice: int, position: int) -> str:
        name = f"{self.id} {choice} {position}".encode()
        return f"call_{hashlib.blake2b(name, digest_size=12).hexdigest()}"


def plain_body(reply: Reply) -> bytes:
    choices = [_choice(reply, index, answer) for index, answer in enumerate(reply.answers)]
    return _ENCODER.encode(
        Completion(
            id=reply.id,
            object="chat.completion",
            created=reply.created,
            model=reply.model,
            choices=choices,
            usage=reply.usage,
            service_tier="default",
            system_fingerprint=FINGERPRINT,
        )
    )


def _choice(reply: Reply, index: int, answer: Answer) -> Choice:
    if answer.calls:
        calls = [
            ToolCall(reply.call_id(index, position), "function", CallFunction(call.name, "".join(call.arguments)))
            for position, call in enumerate(answer.calls)
        ]
        return Choice(index, AnswerMessage("assistant", None, calls), None, answer.finish_reason)
    logprobs = None if reply.top_logprobs is None else _logprobs(answer.text, reply.top_logprobs)
    return Choice(index, AnswerMessage("assistant", "".join(answer.text)), logprobs, answer.finish_reason)


# --- the streamed answer ------------------------------------------------------------------------------------------


class _Frame:
    """The members that every chunk of one answer shares, encoded once."""

    def __init__(self, reply: Reply, include_usage: bool) -> None:
        self._head = (
            b'data: {"id":"%b","object":"chat.completion.chunk","created":%d,"model":"%b","service_tier":"default",'
            b'"system_fingerprint":"%b","choices":['
            % (reply.id.encode(), reply.created, reply.model.encode(), FINGERPRINT.encode())
        )
        self._tail = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"

    def chunk(self, index: int, delta: bytes, logprobs: bytes = b"null", finish_reason: bytes = b"null") -> bytes:
        return b'%b{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":%b}%b' % (
            self._head,
            index,
            delta,
            logprobs,
            finish_reason,
            self._tail,
        )

    def usage(self, usage: UsageBody) -> bytes:
        return b'%b],"usage":%b}\n\n' % (self._head, _ENCODER.encode(usage))


_DONE = b"data: [DONE]\n\n"


def event_stream(reply: Reply, include_usage: bool) -> Stream:
    """The choices side by side, as a provider generates them: first tokens first."""
    frame = _Frame(reply, include_usage)
    choices = [_choice_events(frame, reply, index, answer) for index, answer in enumerate(reply.answers)]
    closing = [
        frame.chunk(index, b"{}", finish_reason=_ENCODER.encode(answer.finish_reason))
        for index, answer in enumerate(reply.answers)
    ]
    if include_usage:
        closing.append(frame.usage(reply.usage))
    return Stream(
        opening=[opening for opening, _ in choices],
        events=_side_by_side([events for _, events in choices]),
        closing=[*closing, _DONE],
        silent_tokens=reply.reasoning_tokens,
    )


def _side_by_side(choices: list[list[bytes]]) -> list[bytes]:
    if len(choices) == 1:
        return choices[0]
    return [event for row in zip_longest(*choices) for event in row if event is not None]


def _choice_events(frame: _Frame, reply: Reply, index: int, answer: Answer) -> tuple[bytes, list[bytes]]:
    """The chunk with the role, and the chunks with tokens."""
    if not answer.calls:
        opening = frame.chunk(index, b'{"role":"assistant","content":"","refusal":null}')
        return opening, _text_events(frame, reply, index, answer.text)
    if len(answer.calls) == 1:
        # a single call is announced together with the role
        call = _announced(reply, index, 0, answer.calls[0])
        opening = frame.chunk(index, b'{"role":"assistant","content":null,"tool_calls":[%b],"refusal":null}' % call)
        return opening, _argument_events(frame, index, 0, answer.calls[0])
    events = []
    for position, next_call in enumerate(answer.calls):
        events.append(frame.chunk(index, b'{"tool_calls":[%b]}' % _announced(reply, index, position, next_call)))
        events += _argument_events(frame, index, position, next_call)
    return frame.chunk(index, b'{"role":"assistant","content":null}'), events


def _announced(reply: Reply, index: int, position: int, call: Call) -> bytes:
    return b'{"index":%d,"id":"%b","type":"function","function":{"name":%b,"arguments":""}}' % (
        position,
        reply.call_id(index, position).encode(),
        _ENCODER.encode(call.name),
    )


def _argument_events(frame: _Frame, index: int, position: int, call: Call) -> list[bytes]:
    delta = b'{"tool_calls":[{"index":%d,"function":{"arguments":%b}}]}'
    return [frame.chunk(index, delta % (position, _ENCODER.encode(token))) for token in call.arguments]


def _text_events(frame: _Frame, reply: Reply, index: int, text: list[str]) -> list[bytes]:
    top = reply.top_logprobs
    if top is None:
        return [frame.chunk(index, b'{"content":%b}' % _ENCODER.encode(token)) for token in text]
    return [
        frame.chunk(index, b'{"content":%b}' % _ENCODER.encode(token), _ENCODER.encode(_logprobs([token], top)))
        for token in text
    ]


# --- logprobs -----------------------------------------------------------------------------------------------------

# what the model might have said instead: common words, so that the list reads like a real one
_ALTERNATIVES = tokens.cut(" the a and to of in is it that you for on with as this we not but or at")


def _logprobs(text: list[str], top: int) -> Logprobs:
    return Logprobs([_token_logprob(token, top) for token in text])


def _token_logprob(token: str, top: int) -> TokenLogprob:
    """The logarithm of a probability between 0.37 and 1, from the token alone; alternatives are less likely."""
    data = token.encode()
    logprob = -(zlib.crc32(data) % 1000) / 1000
    others = [other for other in _ALTERNATIVES if other != token]
    tops = [TopLogprob(token, logprob, list(data))] if top else []
    tops += [
        TopLogprob(other, round(logprob - 1.5 - 0.5 * rank, 3), list(other.encode()))
        for rank, other in enumerate(others[: max(top - 1, 0)])
    ]
    return TokenLogprob(token, logprob, list(data), tops)
