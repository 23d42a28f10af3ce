"""The ``anthropic`` SDK: messages, streams, tools, parsed answers, counting, models, and its tool runner's threads."""

from typing import Any

import anthropic
import pytest
from anthropic import beta_tool

from tests.client_suite.scene import ASK, HELLO, PARAMETERS, SAID, TOLD, TRIP, WEATHER, Trip, get_weather
from tests.kit.vendors.world import Route, World

MESSAGES: list[Any] = [{"role": "user", "content": HELLO}]
TOOL: Any = {"name": "get_weather", "description": "The weather of a city.", "input_schema": PARAMETERS}
THINKING: Any = {"type": "enabled", "budget_tokens": 2048}
# Who proves what it thought, and so gets its proof back on the next turn.
PROVES = ("openai", "anthropic", "gemini")


@pytest.fixture
def client(anthropic_options: dict[str, Any]) -> anthropic.Anthropic:
    return anthropic.Anthropic(**anthropic_options, max_retries=0)


def test_message(client: anthropic.Anthropic, route: Route) -> None:
    answer = client.messages.create(model=route.model, max_tokens=100, system="Be kind.", messages=MESSAGES)
    assert [block.text for block in answer.content if block.type == "text"] == [SAID]
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens > 0
    assert answer.usage.cache_read_input_tokens == 5
    assert route.vendor.question.text == HELLO


def test_the_stream_helper(client: anthropic.Anthropic, route: Route) -> None:
    with client.messages.stream(model=route.model, max_tokens=100, messages=MESSAGES) as stream:
        assert "".join(stream.text_stream) == SAID
        final = stream.get_final_message()
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens > 0


def test_a_raw_stream(client: anthropic.Anthropic, route: Route) -> None:
    kinds = [e.type for e in client.messages.create(model=route.model, max_tokens=9, messages=MESSAGES, stream=True)]
    assert [kinds[0], *kinds[-2:]] == ["message_start", "message_delta", "message_stop"]


def test_a_message_is_parsed(client: anthropic.Anthropic, route: Route) -> None:
    answer = client.messages.parse(model=route.model, max_tokens=100, messages=MESSAGES, output_format=Trip)
    assert answer.parsed_output == TRIP
    assert set(route.vendor.question.schema["properties"]) == {"city", "days"}


@pytest.mark.parametrize("is_stream", [False, True])
def test_tools_with_thought(client: anthropic.Anthropic, route: Route, is_stream: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": ASK}]
    fields: Any = {"model": route.model, "max_tokens": 4096, "tools": [TOOL], "thinking": THINKING}
    for _ in range(2):
        if is_stream:
            with client.messages.stream(**fields, messages=messages) as stream:
                answer: Any = stream.get_final_message()
        else:
            answer = client.messages.create(**fields, messages=messages)
        messages.append({"role": "assistant", "content": answer.content})
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": get_weather(**block.input)}
            for block in answer.content
            if block.type == "tool_use"
        ]
        if results:
            assert answer.stop_reason == "tool_use"
            messages.append({"role": "user", "content": results})
    assert [block.text for block in answer.content if block.type == "text"] == [TOLD]
    assert route.vendor.question.results == (WEATHER,)
    assert len(route.vendor.question.proofs) == (1 if route.name in PROVES else 0)


@pytest.mark.parametrize(
    "choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}, {"type": "none"}], ids=str
)
def test_a_tool_may_be_forced(client: anthropic.Anthropic, route: Route, choice: Any) -> None:
    answer = client.messages.create(
        model=route.model, max_tokens=100, messages=MESSAGES, tools=[TOOL], tool_choice=choice
    )
    kinds = [block.type for block in answer.content if block.type != "thinking"]
    assert kinds == (["text"] if choice["type"] == "none" else ["tool_use"])


@beta_tool
def weather_tool(city: str) -> str:
    """The weather of a city.

    Args:
        city: Its name
    """
    return get_weather(city)


@pytest.mark.parametrize("is_stream", [False, True])
def test_the_tool_runner(client: anthropic.Anthropic, route: Route, is_stream: bool) -> None:
    """It continues a thread with new messages alone. Where there is none it is told so, and sends all again."""
    ask = [{"role": "user", "content": "Please weather_tool for Paris."}]
    runner: Any = client.beta.messages.tool_runner(
        model=route.model, max_tokens=1024, messages=ask, tools=[weather_tool], stream=is_stream
    )
    answers = [stream.get_final_message() for stream in runner] if is_stream else list(runner)
    assert [block.text for block in answers[-1].content if block.type == "text"] == [TOLD]
    assert [question.results for question in route.vendor.questions] == [(), (WEATHER,)]
    assert ["thread" in body for body in route.vendor.posted] == [route.name == "anthropic"] * 2


def test_a_thread_is_refused_in_the_sdks_words(client: anthropic.Anthropic, route: Route) -> None:
    if route.name == "anthropic":
        pytest.skip("its own vendor has threads")
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.beta.messages.create(
            model=route.model,
            max_tokens=100,
            messages=MESSAGES,
            betas=["message-threads-2026-08-12"],
            extra_body={"thread": {"type": "create"}},
        )
    body: Any = caught.value.body
    assert body["error"]["details"]["error_code"] == "thread_unsupported_request"
    assert route.vendor.posted == []


def test_tokens_are_counted(client: anthropic.Anthropic, route: Route) -> None:
    counted = client.messages.count_tokens(model=route.model, messages=MESSAGES, system="Be kind.", tools=[TOOL])
    assert counted.input_tokens > 0
    if route.name != "openrouter":
        assert counted.input_tokens == 42


def test_models(client: anthropic.Anthropic, route: Route) -> None:
    listed = {model.id: model for model in client.models.list(limit=1000)}
    assert listed[route.model].type == "model"
    assert client.models.retrieve(route.model).id == route.model


def test_a_key_in_either_header(world: World, anthropic_options: dict[str, Any]) -> None:
    model = world.routes["anthropic"].model
    key = anthropic_options["api_key"]
    for options in ({"api_key": key}, {"auth_token": key, "api_key": None}):
        client = anthropic.Anthropic(base_url=world.url, **options)
        assert client.messages.create(model=model, max_tokens=9, messages=MESSAGES).stop_reason == "end_turn"


def test_errors_are_the_sdks_own(client: anthropic.Anthropic, world: World) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.create(model="no-such-model", max_tokens=9, messages=MESSAGES)
    body: Any = caught.value.body
    assert body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.AuthenticationError):
        client.with_options(api_key="sk-wrong").models.list()
