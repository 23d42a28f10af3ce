"""OpenAI's Agents SDK, on chat and on Responses."""

import asyncio
from typing import Any

import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
)
from openai import AsyncOpenAI

from tests.client_suite.scene import ASK, HELLO, SAID, TOLD, TRIP, WEATHER, Trip
from tests.client_suite.scene import get_weather as weather
from tests.kit.vendors.world import Route

QUIET = RunConfig(tracing_disabled=True)


@function_tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return weather(city)


class Desk:
    """Runs an agent on the route's model, whole or as a stream."""

    def __init__(self, options: dict[str, Any], route: Route, kind: str) -> None:
        self.kind = kind
        self._options, self._route = options, route

    def run(self, ask: str, *, is_stream: bool = False, **agent: Any) -> Any:
        async def work() -> Any:
            async with AsyncOpenAI(**self._options, max_retries=0) as client:
                make = OpenAIChatCompletionsModel if self.kind == "chat" else OpenAIResponsesModel
                model = make(model=self._route.model, openai_client=client)
                one = Agent(name="Clerk", instructions="Be kind.", model=model, **agent)
                if not is_stream:
                    return await Runner.run(one, ask, run_config=QUIET)
                result = Runner.run_streamed(one, ask, run_config=QUIET)
                async for _ in result.stream_events():
                    pass
                return result

        return asyncio.run(work())


@pytest.fixture(params=["chat", "responses"])
def desk(openai_options: dict[str, Any], route: Route, request: pytest.FixtureRequest) -> Desk:
    return Desk(openai_options, route, request.param)


@pytest.mark.parametrize("is_stream", [False, True])
def test_run(desk: Desk, route: Route, is_stream: bool) -> None:
    assert desk.run(HELLO, is_stream=is_stream).final_output == SAID
    assert route.vendor.question.text == HELLO


@pytest.mark.parametrize("is_stream", [False, True])
def test_tools(desk: Desk, route: Route, is_stream: bool) -> None:
    assert desk.run(ASK, is_stream=is_stream, tools=[get_weather]).final_output == TOLD
    assert [question.results for question in route.vendor.questions] == [(), (WEATHER,)]


def test_tools_with_thought(desk: Desk, route: Route) -> None:
    # OpenAI takes no tools in a chat while its model thinks
    effort: Any = "none" if (desk.kind, route.name) == ("chat", "openai") else "low"
    settings = ModelSettings(reasoning={"effort": effort}, response_include=["reasoning.encrypted_content"])
    assert desk.run(ASK, tools=[get_weather], model_settings=settings).final_output == TOLD
    assert route.vendor.question.results == (WEATHER,)


def test_typed_output(desk: Desk, route: Route) -> None:
    assert desk.run(HELLO, output_type=Trip).final_output == TRIP
    schema = route.vendor.question.schema
    assert schema is not None
    assert set(schema["properties"]) == {"city", "days"}
