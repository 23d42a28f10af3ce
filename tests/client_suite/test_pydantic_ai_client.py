"""Pydantic AI: its models for chat, Responses and Anthropic."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from tests.client_suite.scene import ASK, HELLO, SAID, TOLD, TRIP, WEATHER, Trip, get_weather
from tests.kit.vendors.world import KEY, Route, World


@pytest.fixture(params=["chat", "responses", "anthropic"])
def model(world: World, route: Route, request: pytest.FixtureRequest) -> Any:
    """The route's model in one of the dialects."""
    if request.param == "anthropic":
        # it knows Claude by its bare name, and would not send a schema to a model that it does not know
        profile = ModelProfile(supports_json_schema_output=True)
        provider = AnthropicProvider(base_url=world.url, api_key=KEY)
        return AnthropicModel(route.model, provider=provider, profile=profile)
    openai = OpenAIProvider(base_url=f"{world.url}/v1", api_key=KEY)
    kinds: dict[str, Callable[..., Any]] = {"chat": OpenAIChatModel, "responses": OpenAIResponsesModel}
    return kinds[request.param](route.model, provider=openai)


def test_run(model: Any, route: Route) -> None:
    result = Agent(model, instructions="Be kind.").run_sync(HELLO)
    assert result.output == SAID
    assert result.usage.output_tokens > 0
    assert route.vendor.question.text == HELLO


def test_stream(model: Any) -> None:
    async def run() -> list[str]:
        async with Agent(model).run_stream(HELLO) as result:
            return [text async for text in result.stream_text(delta=True, debounce_by=None)]

    said = asyncio.run(run())
    assert "".join(said) == SAID
    assert len(said) > 1


@pytest.mark.parametrize("settings", [{}, {"thinking": "low"}], ids=["plain", "thinking"])
def test_tools(model: Any, route: Route, settings: Any) -> None:
    agent = Agent(model, model_settings=settings)
    agent.tool_plain(get_weather)
    assert agent.run_sync(ASK).output == TOLD
    assert [question.results for question in route.vendor.questions] == [(), (WEATHER,)]


def test_streamed_tools(model: Any, route: Route) -> None:
    agent = Agent(model)
    agent.tool_plain(get_weather)

    async def run() -> str:
        async with agent.run_stream(ASK) as result:
            return await result.get_output()

    assert asyncio.run(run()) == TOLD
    assert route.vendor.question.results == (WEATHER,)


def test_output_by_tool(model: Any, route: Route) -> None:
    agent = Agent(model, output_type=Trip)
    agent.tool_plain(get_weather)
    assert agent.run_sync(ASK).output == TRIP
    assert [tool.name for tool in route.vendor.question.tools] == ["get_weather", "final_result"]


def test_output_by_schema(model: Any, route: Route) -> None:
    assert Agent(model, output_type=NativeOutput(Trip)).run_sync(HELLO).output == TRIP
    schema = route.vendor.question.schema
    assert schema is not None
    assert set(schema["properties"]) == {"city", "days"}
