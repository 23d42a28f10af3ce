"""Answers as OpenAI response objects: what the encoder writes, read as the official Python client reads it."""

import json
from typing import Any

from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from gateway.core.types import Event, Finish, FinishReason, Start
from gateway.dialects.openai_responses_answer import ResponsesEncoder
from gateway.dialects.openai_responses_request import ResponsesRequest, decode

START = Start("msg_01", "claude-x")
STOP = Finish(FinishReason.STOP)
CALLS = Finish(FinishReason.TOOL_CALLS)
CREATED = 1751981927
STEM = f"{CREATED:x}_01"
STREAM_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TOOLS = [
    {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False},
    {"type": "custom", "name": "patch"},
    {
        "type": "namespace",
        "name": "ns",
        "description": "d",
        "tools": [{"type": "function", "name": "g"}, {"type": "custom", "name": "note"}],
    },
]


def request(**members: Any) -> ResponsesRequest:
    return decode(json.dumps({"model": "my-model", "input": "Hi", **members}).encode())


def encoder(**members: Any) -> ResponsesEncoder:
    return ResponsesEncoder(request(**members), CREATED)


def sent(data: bytes) -> list[dict[str, Any]]:
    """The data of every server-sent event, each valid by the official client's types."""
    blocks = data.split(b"\n\n")
    assert blocks.pop() == b""
    found = []
    for block in blocks:
        name, line = block.split(b"\n")
        assert b"\r" not in line
        event = json.loads(line.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        STREAM_EVENT.validate_python(event)
        found.append(event)
    return found


def told(*events: Event, **members: Any) -> list[dict[str, Any]]:
    """The events of a complete stream, which the official client can put together."""
    found = sent(encoder(**members).stream([START, *events]))
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    state: Any = ResponseStreamState(input_tools=[], text_format=omit)
    for event in found:
        state.handle_event(STREAM_EVENT.validate_python(event))
    return found


def brief(found: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """What comes between the beginning and the end: kind and news of each event."""
    news = ("item", "part", "delta", "text", "refusal", "arguments", "input", "annotation")
    return [
        (event["type"].removeprefix("response."), next(event[name] for name in news if name in event))
        for event in found[2:-1]
    ]


def answer(*events: Event, **members: Any) -> dict[str, Any]:
    found = json.loads(encoder(**members).body([START, *events]))
    Response.model_validate(found)
    return found


def output(*events: Event, **members: Any) -> list[dict[str, Any]]:
    """The output of the answer, which plain and streamed is the same."""
    found = answer(*events, **members)
    assert told(*events, **members)[-1]["response"] == found
    return found["output"]
