"""Instructor: typed answers through chat, Responses and Anthropic's messages, in its several modes."""

from typing import Any

import anthropic
import instructor
import openai
import pytest
from instructor import Mode

from tests.client_suite.scene import CITY, HELLO, TRIP, Trip
from tests.kit.vendors.world import Route

MESSAGES: list[Any] = [{"role": "user", "content": HELLO}]
CHAT_MODES = (Mode.TOOLS, Mode.JSON_SCHEMA)


@pytest.fixture(params=CHAT_MODES, ids=str)
def chat(openai_options: dict[str, Any], request: pytest.FixtureRequest) -> Any:
    return instructor.from_openai(openai.OpenAI(**openai_options, max_retries=0), mode=request.param)


def test_chat(chat: Any, route: Route) -> None:
    answer = chat.chat.completions.create(model=route.model, messages=MESSAGES, response_model=Trip)
    assert answer.model_dump() == TRIP.model_dump()
    question = route.vendor.question
    schema = question.schema or question.tools[0].schema
    assert schema is not None
    assert {"city", "days"} <= set(schema["properties"])


def test_a_streamed_answer_grows(chat: Any, route: Route) -> None:
    seen = list(chat.chat.completions.create_partial(model=route.model, messages=MESSAGES, response_model=Trip))
    # Gemini does not stream the arguments of a call
    assert len(seen) > 1 or route.name == "gemini"
    assert (seen[-1].city, seen[-1].days) == (CITY, 3)


def test_responses(openai_options: dict[str, Any], route: Route) -> None:
    client: Any = instructor.from_openai(openai.OpenAI(**openai_options, max_retries=0), mode=Mode.RESPONSES_TOOLS)
    answer = client.responses.create(model=route.model, input=HELLO, response_model=Trip)
    assert answer.model_dump() == TRIP.model_dump()


def test_messages(anthropic_options: dict[str, Any], route: Route) -> None:
    client: Any = instructor.from_anthropic(anthropic.Anthropic(**anthropic_options, max_retries=0))
    answer = client.messages.create(model=route.model, max_tokens=100, messages=MESSAGES, response_model=Trip)
    assert answer.model_dump() == TRIP.model_dump()
    assert [tool.name for tool in route.vendor.question.tools] == ["Trip"]
