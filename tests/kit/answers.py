"""The same answer in every dialect that a provider may speak: a thought with a proof, "Hello", one call, 3 tokens in
and 4 out. Each plain, and as the events of a stream."""

import json
from typing import Any

from gateway.core.types import DialectName
from tests.kit import messages_api, responses_api

Json = dict[str, Any]

CHAT_USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a":[1]}'}}
CHAT_ANSWER: Json = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1715367049,
    "model": "m-1",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello", "tool_calls": [CALL]},
            "finish_reason": "tool_calls",
        }
    ],
    "usage": CHAT_USAGE,
}


def _chat_chunk(delta: Json, finish_reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    chunk = {"id": "chatcmpl-1", "created": 1715367049, "model": "m-1", "choices": [choice], **more}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _chat_call(**function: str) -> Json:
    return {"tool_calls": [{"index": 0, "function": function}]}


CHAT_EVENTS = [
    _chat_chunk({"role": "assistant", "content": ""}),
    _chat_chunk({"content": "Hel"}),
    _chat_chunk({"content": "lo"}),
    _chat_chunk({"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "look", "arguments": ""}}]}),
    _chat_chunk(_chat_call(arguments='{"a":')),
    _chat_chunk(_chat_call(arguments="[1]}")),
    _chat_chunk({}, "tool_calls", usage=CHAT_USAGE),
    b"data: [DONE]\n\n",
]

ANTHROPIC_ANSWER: Json = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m-1",
    "content": [
        {"type": "thinking", "thinking": "Let me see", "signature": "c2ln"},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": [1]}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 4},
}
ANTHROPIC_EVENTS = [
    messages_api.start({"input_tokens": 3, "output_tokens": 1}),
    messages_api.ping(),
    messages_api.text(0, "Hel", "lo"),
    messages_api.tool(1, "toolu_1", "look", "", '{"a":', "[1]}"),
    messages_api.end("tool_use", {"output_tokens": 4}),
]

_ITEMS = (responses_api.thought("Hm", proof="cA=="), responses_api.message("Hello"), responses_api.call())
_RESPONSES_USAGE = {"input_tokens": 3, "output_tokens": 4}
RESPONSES_EVENTS = [
    responses_api.start(),
    *(responses_api.streamed(number, item) for number, item in enumerate(_ITEMS)),
    responses_api.end(*_ITEMS, usage=_RESPONSES_USAGE),
]


def _candidate(*parts: Json, **more: Any) -> Json:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **more}
    return {"candidates": [candidate], "modelVersion": "m-1", "responseId": "r1"}


def _gemini_event(value: Json) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\r\n\r\n"


_GEMINI_CALL = {"functionCall": {"name": "look", "args": {"a": [1]}}, "thoughtSignature": "c2ln"}
_GEMINI_USAGE = {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 3, "thoughtsTokenCount": 1}}
_GEMINI_THOUGHT = {"text": "Hm", "thought": True}
GEMINI_EVENTS = [
    _gemini_event(_candidate(_GEMINI_THOUGHT)),
    _gemini_event(_candidate({"text": "Hel"})),
    _gemini_event(_candidate({"text": "lo"})),
    _gemini_event(_candidate(_GEMINI_CALL)),
    _gemini_event(_candidate({"text": ""}, finishReason="STOP") | _GEMINI_USAGE),
]

ANSWERS: dict[DialectName, tuple[Json, list[bytes]]] = {
    DialectName.OPENAI_CHAT: (CHAT_ANSWER, CHAT_EVENTS),
    DialectName.ANTHROPIC_MESSAGES: (ANTHROPIC_ANSWER, ANTHROPIC_EVENTS),
    DialectName.OPENAI_RESPONSES: (responses_api.response(*_ITEMS, usage=_RESPONSES_USAGE), RESPONSES_EVENTS),
    DialectName.GEMINI_GENERATE_CONTENT: (
        _candidate(_GEMINI_THOUGHT, {"text": "Hello"}, _GEMINI_CALL, finishReason="STOP") | _GEMINI_USAGE,
        GEMINI_EVENTS,
    ),
}
