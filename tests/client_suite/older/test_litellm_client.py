"""LiteLLM as a client library: chat, Responses and Anthropic's messages, each sent in its own dialect."""

import asyncio
import gc
import json
from collections.abc import Iterator
from typing import Any

import litellm
import pytest

from tests.client_suite.scene import ASK, HELLO, PARAMETERS, SAID, TOLD, TRIP, WEATHER, Trip, get_weather
from tests.kit.vendors.world import KEY, Route, World

MESSAGES: list[Any] = [{"role": "user", "content": HELLO}]
FUNCTION = {"name": "get_weather", "description": "The weather of a city.", "parameters": PARAMETERS}


@pytest.fixture(autouse=True)
def _garbage_waits() -> Iterator[None]:
    """It leaves streams unfinished. When the collector closes one while httpcore holds its lock, httpcore waits for
    itself."""
    gc.disable()
    yield
    gc.enable()
    gc.collect()


class Desk:
    """``completion`` in one of LiteLLM's languages towards the gateway."""

    def __init__(self, world: World, route: Route, kind: str) -> None:
        # it takes a key of the gateway for OpenAI's or Anthropic's own
        base = {"openai": f"{world.url}/v1", "anthropic": world.url}[kind]
        effort: Any = {"reasoning_effort": "low"}
        budget: Any = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
        self.thinking = effort if kind == "openai" else budget
        self.thinking["allowed_openai_params"] = list(self.thinking)
        self._options = {"model": f"{kind}/{route.model}", "api_base": base, "api_key": KEY, "max_tokens": 4096}

    def ask(self, **fields: Any) -> Any:
        return litellm.completion(**self._options, **fields)


@pytest.fixture(params=["openai", "anthropic"])
def desk(world: World, route: Route, request: pytest.FixtureRequest) -> Desk:
    return Desk(world, route, request.param)


def test_completion(desk: Desk, route: Route) -> None:
    answer = desk.ask(messages=[{"role": "system", "content": "Be kind."}, *MESSAGES])
    assert answer.choices[0].message.content == SAID
    assert answer.usage.completion_tokens > 0
    assert route.vendor.question.text == HELLO


def test_streamed_completion(desk: Desk) -> None:
    chunks = list(desk.ask(messages=MESSAGES, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == SAID
    assert chunks[-1].usage.completion_tokens > 0


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("thinks", [False, True])
def test_tools(desk: Desk, route: Route, is_stream: bool, thinks: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": ASK}]
    thinking = desk.thinking if thinks else {}
    for _ in range(2):
        tools = [{"type": "function", "function": FUNCTION}]
        answer = desk.ask(messages=messages, tools=tools, stream=is_stream, **thinking)
        if is_stream:
            answer = litellm.stream_chunk_builder(list(answer), messages=messages)
        message = answer.choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls or ():
            result = get_weather(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    assert messages[-1]["content"] == TOLD
    assert route.vendor.question.results == (WEATHER,)


def test_structured_output(desk: Desk) -> None:
    answer = desk.ask(messages=MESSAGES, response_format=Trip)
    assert Trip.model_validate_json(answer.choices[0].message.content) == TRIP


def test_responses(world: World, route: Route) -> None:
    options: Any = {"model": f"openai/{route.model}", "api_base": f"{world.url}/v1", "api_key": KEY}
    first = litellm.responses(input=ASK, tools=[{"type": "function", **FUNCTION}], **options)
    (call,) = [item for item in first.output if item.type == "function_call"]
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": WEATHER}
    second = litellm.responses(input=[output], previous_response_id=first.id, **options)
    assert second.output[-1].content[0].text == TOLD


def test_streamed_responses(world: World, route: Route) -> None:
    options: Any = {"model": f"openai/{route.model}", "api_base": f"{world.url}/v1", "api_key": KEY}
    events = list(litellm.responses(input=HELLO, stream=True, **options))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == SAID


def test_messages(world: World, route: Route) -> None:
    options: Any = {"model": f"anthropic/{route.model}", "api_base": world.url, "api_key": KEY, "max_tokens": 100}
    answer: Any = asyncio.run(litellm.anthropic.messages.acreate(messages=MESSAGES, **options))
    assert [block["text"] for block in answer["content"] if block["type"] == "text"] == [SAID]


def test_embeddings(world: World) -> None:
    options: Any = {"api_base": f"{world.url}/v1", "api_key": KEY}
    answer = litellm.embedding(model="openai/openai/text-embedding-3-small", input=["a", "b"], **options)
    assert [one["embedding"] for one in answer.data] == [[0.5, -0.25]] * 2
