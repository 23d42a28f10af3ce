"""LangChain: ``ChatOpenAI`` on chat and on Responses, and ``ChatAnthropic``."""

from collections.abc import Callable
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from tests.client_suite.scene import ASK, HELLO, SAID, TOLD, TRIP, WEATHER, Trip
from tests.client_suite.scene import get_weather as weather
from tests.kit.vendors.world import KEY, Route, World

Make = Callable[..., Any]


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return weather(city)


@pytest.fixture(params=["chat", "responses", "anthropic"])
def make(world: World, route: Route, request: pytest.FixtureRequest) -> Make:
    """The route's model in one of the dialects."""

    def make(**options: Any) -> Any:
        if request.param == "anthropic":
            return ChatAnthropic(model=route.model, base_url=world.url, api_key=KEY, max_retries=0, **options)
        return ChatOpenAI(
            model=route.model,
            base_url=f"{world.url}/v1",
            api_key=KEY,
            max_retries=0,
            stream_usage=True,
            use_responses_api=request.param == "responses",
            **options,
        )

    return make


def test_invoke(make: Make, route: Route) -> None:
    answer = make().invoke([("system", "Be kind."), ("user", HELLO)])
    assert answer.text == SAID
    assert answer.usage_metadata["output_tokens"] > 0
    assert route.vendor.question.text == HELLO


def test_stream(make: Make) -> None:
    chunks = list(make().stream(HELLO))
    assert "".join(chunk.text for chunk in chunks) == SAID
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.usage_metadata["output_tokens"] > 0


@pytest.mark.parametrize("is_stream", [False, True])
def test_tools(make: Make, route: Route, is_stream: bool) -> None:
    model = make().bind_tools([get_weather])
    messages: list[Any] = [HumanMessage(ASK)]
    for _ in range(2):
        if is_stream:
            answer, *rest = list(model.stream(messages))
            for chunk in rest:
                answer += chunk
        else:
            answer = model.invoke(messages)
        messages.append(answer)
        for call in answer.tool_calls:
            messages.append(ToolMessage(weather(**call["args"]), tool_call_id=call["id"]))
    assert messages[-1].text == TOLD
    assert route.vendor.question.results == (WEATHER,)


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(make: Make, route: Route, method: str) -> None:
    assert make().with_structured_output(Trip, method=method).invoke(HELLO) == TRIP
    question = route.vendor.question
    schema = question.schema if method == "json_schema" else question.tools[0].schema
    assert schema is not None
    assert set(schema["properties"]) == {"city", "days"}


def test_thought_comes_back(world: World) -> None:
    route = world.routes["anthropic"]
    model = ChatAnthropic(
        model=route.model,
        base_url=world.url,
        api_key=KEY,
        max_tokens=4096,
        thinking={"type": "enabled", "budget_tokens": 2048},
    ).bind_tools([get_weather])
    messages: list[Any] = [HumanMessage(ASK)]
    messages.append(model.invoke(messages))
    (call,) = messages[-1].tool_calls
    messages.append(ToolMessage(WEATHER, tool_call_id=call["id"]))
    assert model.invoke(messages).text == TOLD
    assert len(route.vendor.question.proofs) == 1


def test_embeddings(world: World) -> None:
    """Texts are sent as lists of tokens, unless told otherwise."""
    options: Any = {"base_url": f"{world.url}/v1", "api_key": KEY, "check_embedding_ctx_length": False}
    vectors = OpenAIEmbeddings(model="openai/text-embedding-3-small", **options).embed_documents(["a", "b"])
    assert vectors == [[0.5, -0.25]] * 2
