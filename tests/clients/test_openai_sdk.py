"""The ``openai`` SDK against a running gateway whose simulator answers: what the README promises."""

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.kit.gateway import Gateway
from tests.kit.sdk import AsyncSdk, BlockingSdk, Sdk

MASTER = "master-key-0123456789"
HELLO = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
            "required": ["city", "days"],
        },
    },
}
TIME = {
    "type": "function",
    "function": {
        "name": "get_time",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
    },
}
BOTH_TOOLS = [{"role": "user", "content": "Please get_weather and get_time for Paris over the next 3 days."}]


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway(SLUICE_MASTER_KEY=MASTER) as gateway:
        yield gateway


@pytest.fixture(params=["blocking", "async"])
def sdk(gateway: Gateway, request: pytest.FixtureRequest) -> Sdk:
    return make_sdk(gateway, request.param)


def make_sdk(gateway: Gateway, kind: str, **options: Any) -> Sdk:
    options = {"base_url": f"{gateway.url}/v1", "api_key": MASTER, "max_retries": 0, **options}
    return BlockingSdk(openai.OpenAI, **options) if kind == "blocking" else AsyncSdk(openai.AsyncOpenAI, **options)


def create(sdk: Sdk, **fields: Any) -> Any:
    return sdk.call(
        lambda client: client.chat.completions.create(**{"model": "sim-small", "messages": HELLO, **fields})
    )


def chunks(sdk: Sdk, seen: list[Any] | None = None, **fields: Any) -> list[Any]:
    """The chunks of a stream; ``seen`` holds those that came before an error."""
    fields = {"model": "sim-small", "messages": HELLO, "stream": True, **fields}
    seen = [] if seen is None else seen
    sdk.each(lambda client: client.chat.completions.create(**fields), seen)
    return seen


def final(sdk: Sdk, **fields: Any) -> Any:
    """What the stream helper puts together."""
    fields = {"model": "sim-small", "messages": HELLO, **fields}
    return sdk.helper(lambda client: client.chat.completions.stream(**fields), "get_final_completion")[1]


def text_of(chunks: list[Any], choice: int = 0) -> str:
    deltas = [c.delta.content for chunk in chunks for c in chunk.choices if c.index == choice]
    return "".join(delta for delta in deltas if delta)


# --- text -------------------------------------------------------------------------------------------------------------


def test_a_chat_is_answered(sdk: Sdk) -> None:
    answer = create(sdk)
    (choice,) = answer.choices
    assert answer.object == "chat.completion"
    assert "capital of France" in choice.message.content
    assert choice.message.role == "assistant"
    assert choice.finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_a_streamed_chat_says_the_same(sdk: Sdk) -> None:
    plain = create(sdk)
    streamed = chunks(sdk, stream_options={"include_usage": True})
    assert text_of(streamed) == plain.choices[0].message.content
    assert len(streamed) > 10
    assert streamed[0].choices[0].delta.role == "assistant"
    assert streamed[-2].choices[0].finish_reason == "stop"
    assert streamed[-1].choices == []
    assert streamed[-1].usage == plain.usage


def test_a_stream_has_usage_only_when_it_was_asked_for(sdk: Sdk) -> None:
    streamed = chunks(sdk)
    assert all(chunk.usage is None for chunk in streamed)
    assert all(chunk.choices for chunk in streamed)


def test_the_stream_helper_puts_the_answer_together(sdk: Sdk) -> None:
    events, final = sdk.helper(
        lambda client: client.chat.completions.stream(model="sim-small", messages=HELLO), "get_final_completion"
    )
    assert final.choices[0].message.content == create(sdk).choices[0].message.content
    assert [event.type for event in events if event.type != "chunk"][-1] == "content.done"


def test_headers_of_the_answer_can_be_read(sdk: Sdk) -> None:
    response = sdk.call(
        lambda client: client.chat.completions.with_raw_response.create(
            model="simulator/sim-small", messages=HELLO, extra_headers={"X-Request-ID": "my-id"}
        )
    )
    assert response.headers["x-request-id"] == "my-id"
    assert response.headers["x-sluice-provider"] == "simulator"
    assert response.parse()._request_id == "my-id"


def test_several_choices_come_side_by_side(sdk: Sdk) -> None:
    plain = create(sdk, n=2)
    streamed = chunks(sdk, n=2)
    assert [choice.index for choice in plain.choices] == [0, 1]
    assert [text_of(streamed, choice) for choice in (0, 1)] == [choice.message.content for choice in plain.choices]


def test_probabilities_are_told(sdk: Sdk) -> None:
    answer = create(sdk, logprobs=True, top_logprobs=2)
    tokens = answer.choices[0].logprobs.content
    assert "".join(token.token for token in tokens) == answer.choices[0].message.content
    assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in tokens)


def test_a_stop_sequence_ends_the_answer(sdk: Sdk) -> None:
    whole = create(sdk).choices[0].message.content
    cut = create(sdk, stop=["France"]).choices[0]
    assert cut.message.content == whole[: whole.index("France")]
    assert cut.finish_reason == "stop"


def test_a_limit_ends_the_answer(sdk: Sdk) -> None:
    answer = create(sdk, max_completion_tokens=3)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3


def test_the_deprecated_path_without_v1_works(gateway: Gateway) -> None:
    sdk = make_sdk(gateway, "blocking", base_url=gateway.url)
    assert create(sdk).choices[0].message.content


# --- structure --------------------------------------------------------------------------------------------------------


class Trip(BaseModel):
    city: str
    days: int
    sights: list[str]


def test_an_answer_is_parsed_into_a_model(sdk: Sdk) -> None:
    answer = sdk.call(
        lambda client: client.chat.completions.parse(model="sim-small", messages=HELLO, response_format=Trip)
    )
    assert isinstance(answer.choices[0].message.parsed, Trip)


def test_a_streamed_answer_is_parsed_into_a_model(sdk: Sdk) -> None:
    events, final = sdk.helper(
        lambda client: client.chat.completions.stream(model="sim-small", messages=HELLO, response_format=Trip),
        "get_final_completion",
    )
    assert isinstance(final.choices[0].message.parsed, Trip)
    assert any(event.type == "content.delta" for event in events)


def test_an_answer_can_be_any_json(sdk: Sdk) -> None:
    answer = create(sdk, response_format={"type": "json_object"}, messages=[{"role": "user", "content": "JSON please"}])
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


# --- tools ------------------------------------------------------------------------------------------------------------


def test_a_tool_is_called(sdk: Sdk) -> None:
    answer = create(sdk, tools=[WEATHER], messages=BOTH_TOOLS)
    (call,) = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.content is None
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert set(json.loads(call.function.arguments)) == {"city", "days"}


def test_calls_that_are_streamed_are_the_same(sdk: Sdk) -> None:
    plain = create(sdk, tools=[WEATHER, TIME], messages=BOTH_TOOLS).choices[0].message.tool_calls
    events, final = sdk.helper(
        lambda client: client.chat.completions.stream(model="sim-small", messages=BOTH_TOOLS, tools=[WEATHER, TIME]),
        "get_final_completion",
    )
    streamed = final.choices[0].message.tool_calls
    shown = [(call.function.name, json.loads(call.function.arguments)) for call in plain]
    assert [(call.function.name, json.loads(call.function.arguments)) for call in streamed] == shown
    assert [name for name, _ in shown] == ["get_weather", "get_time"]
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [event.name for event in done] == ["get_weather", "get_time"]


def test_calls_can_be_kept_to_one(sdk: Sdk) -> None:
    answer = create(sdk, tools=[WEATHER, TIME], messages=BOTH_TOOLS, parallel_tool_calls=False)
    assert len(answer.choices[0].message.tool_calls) == 1


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_loop_of_calls_and_results_comes_to_an_end(sdk: Sdk, is_stream: bool) -> None:
    tools = {"get_weather": lambda city, days: f"sunny for {days} days", "get_time": lambda zone: "noon"}
    messages: list[Any] = list(BOTH_TOOLS)
    for _ in range(3):
        ask = final if is_stream else create
        message = ask(sdk, messages=messages, tools=[WEATHER, TIME]).choices[0].message
        messages.append(message.to_dict())
        if not message.tool_calls:
            break
        for call in message.tool_calls:
            result = tools[call.function.name](**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert 'get_time returned "noon"' in messages[-1]["content"]


def test_a_tool_made_from_a_model_is_parsed(sdk: Sdk) -> None:
    tool = openai.pydantic_function_tool(Trip, name="plan_trip")
    answer = sdk.call(lambda client: client.chat.completions.parse(model="sim-small", messages=HELLO, tools=[tool]))
    (call,) = answer.choices[0].message.tool_calls
    assert isinstance(call.function.parsed_arguments, Trip)


# --- embeddings and models --------------------------------------------------------------------------------------------


def test_embeddings_are_the_same_in_both_encodings(sdk: Sdk) -> None:
    """The SDK asks for base64 by itself and decodes it."""
    texts = ["hello", "world"]
    by_itself = sdk.call(lambda client: client.embeddings.create(model="sim-embed", input=texts, dimensions=8))
    as_floats = sdk.call(
        lambda client: client.embeddings.create(model="sim-embed", input=texts, dimensions=8, encoding_format="float")
    )
    as_base64 = sdk.call(
        lambda client: client.embeddings.create(model="sim-embed", input=texts, dimensions=8, encoding_format="base64")
    )
    for position in range(2):
        vector = as_floats.data[position].embedding
        assert len(vector) == 8
        assert by_itself.data[position].embedding == pytest.approx(vector, abs=1e-6)
        packed = base64.b64decode(as_base64.data[position].embedding)
        assert struct.unpack("<8f", packed) == pytest.approx(vector, abs=1e-6)
    assert by_itself.usage.prompt_tokens == 2


def test_models_are_listed_and_found(sdk: Sdk) -> None:
    models = sdk.call(lambda client: client.models.list())
    ids = [model.id for model in models.data]
    assert {"sim-small", "sim-embed", "simulator/sim-small"} <= set(ids)
    for name in ("sim-small", "simulator/sim-small"):
        assert sdk.call(lambda client, name=name: client.models.retrieve(name)).id == name


# --- errors -----------------------------------------------------------------------------------------------------------


def test_an_unknown_model_is_not_found(sdk: Sdk) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        create(sdk, model="nothing")
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    with pytest.raises(openai.NotFoundError):
        sdk.call(lambda client: client.models.retrieve("nothing"))


@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_a_wrong_key_is_an_authentication_error(gateway: Gateway, kind: str) -> None:
    sdk = make_sdk(gateway, kind, api_key="sk-wrong")
    with pytest.raises(openai.AuthenticationError) as caught:
        create(sdk)
    assert caught.value.code == "invalid_api_key"
    assert "sk-wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "nobody", "content": "hi"}]}, "messages[0].role"),
        ({"temperature": 5}, "temperature"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"stream": "yes"}, "stream"),
        ({"model": 7}, "model"),
    ],
)
def test_a_bad_request_names_the_field(sdk: Sdk, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        create(sdk, **fields)
    assert caught.value.param == param
    assert caught.value.request_id


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, openai.PermissionDeniedError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_each_status_is_its_own_error(
    sdk: Sdk, status: int, error: type[openai.APIStatusError], is_stream: bool
) -> None:
    with pytest.raises(error) as caught:
        (chunks if is_stream else create)(sdk, extra_body={"simulate": {"status": status, "retry_after": 60}})
    assert caught.value.status_code == status
    assert caught.value.response.headers["retry-after"] == "60"


def test_the_sdk_tries_again_by_itself(gateway: Gateway) -> None:
    """Each of its requests is one to the gateway, however often that asks the provider."""
    sdk = make_sdk(gateway, "blocking", max_retries=1)
    before = len(gateway.requests())
    with pytest.raises(openai.RateLimitError):
        create(sdk, extra_body={"simulate": {"status": 429, "retry_after": 0}})
    assert len(gateway.requests()) == before + 2


@pytest.mark.parametrize("directive", ["truncate_after", "fault_after"])
def test_a_stream_that_breaks_off_is_an_error_after_what_was_said(sdk: Sdk, directive: str) -> None:
    seen: list[Any] = []
    with pytest.raises(openai.APIError):
        chunks(sdk, seen, extra_body={"simulate": {directive: 5, "tokens_per_second": 1000}})
    whole = create(sdk).choices[0].message.content
    assert text_of(seen)
    assert whole.startswith(text_of(seen))
    assert not any(choice.finish_reason for chunk in seen for choice in chunk.choices)


def test_a_client_that_stops_reading_leaves_quietly(gateway: Gateway) -> None:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=MASTER, max_retries=0) as client:
        stream = client.chat.completions.create(
            model="sim-small",
            messages=HELLO,  # type: ignore[arg-type]
            stream=True,
            extra_body={"simulate": {"stall_after": 3}},
            extra_headers={"X-Request-ID": "sdk-leaver"},
        )
        next(iter(stream))
        stream.close()
    line = gateway.wait_for_line(lambda line: line.get("request_id") == "sdk-leaver")
    assert line["disconnected"]
