"""The ``openai`` SDK: chat, Responses, embeddings, models, files and batches."""

import io
import json
import time
from typing import Any

import openai
import pytest

from tests.client_suite.scene import ASK, HELLO, PARAMETERS, SAID, TOLD, TRIP, WEATHER, Trip, get_weather
from tests.kit.vendors.world import Route, World

MESSAGES: list[Any] = [{"role": "user", "content": HELLO}]
FUNCTION = {"name": "get_weather", "description": "The weather of a city.", "parameters": PARAMETERS}
CHAT_TOOL: Any = {"type": "function", "function": {**FUNCTION, "strict": True}}
FLAT_TOOL: Any = {"type": "function", **FUNCTION, "strict": True}
GATEWAY_KEEPS = {"X-Sluice-Provider": "sluice"}


@pytest.fixture
def client(openai_options: dict[str, Any]) -> openai.OpenAI:
    return openai.OpenAI(**openai_options, max_retries=0)


# --- chat -------------------------------------------------------------------------------------------------------------


def test_chat(client: openai.OpenAI, route: Route) -> None:
    answer = client.chat.completions.create(model=route.model, messages=MESSAGES)
    assert answer.choices[0].message.content == SAID
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert route.vendor.question.text == HELLO


def test_streamed_chat(client: openai.OpenAI, route: Route) -> None:
    chunks = list(
        client.chat.completions.create(
            model=route.model, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == SAID
    assert chunks[-1].usage is not None
    assert len({chunk.id for chunk in chunks}) == 1


def test_chat_is_parsed(client: openai.OpenAI, route: Route) -> None:
    answer = client.chat.completions.parse(model=route.model, messages=MESSAGES, response_format=Trip)
    assert answer.choices[0].message.parsed == TRIP
    assert set(route.vendor.question.schema["properties"]) == {"city", "days"}


def test_the_chat_helper(client: openai.OpenAI, route: Route) -> None:
    with client.chat.completions.stream(model=route.model, messages=MESSAGES, response_format=Trip) as stream:
        kinds = {event.type for event in stream}
        assert stream.get_final_completion().choices[0].message.parsed == TRIP
    assert {"content.delta", "content.done"} <= kinds


@pytest.mark.parametrize("is_stream", [False, True])
def test_chat_tools(client: openai.OpenAI, route: Route, is_stream: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": ASK}]
    for _ in range(2):
        fields: Any = {"model": route.model, "messages": messages, "tools": [CHAT_TOOL]}
        if is_stream:
            with client.chat.completions.stream(**fields) as stream:
                message: Any = stream.get_final_completion().choices[0].message
        else:
            message = client.chat.completions.create(**fields).choices[0].message
        messages.append(message.to_dict())
        for call in message.tool_calls or ():
            result = get_weather(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    assert messages[-1]["content"] == TOLD
    assert route.vendor.question.results == (WEATHER,)


def test_a_chat_agent_that_rebuilds_its_turns(client: openai.OpenAI, route: Route) -> None:
    """Frameworks keep role, content and calls of a message and nothing else; the vendor has thought before."""
    fields: Any = {"model": route.model, "tools": [CHAT_TOOL]}
    if route.name != "openai":  # which takes no tools in a chat while its model thinks
        fields["reasoning_effort"] = "low"
    messages: list[Any] = [{"role": "user", "content": ASK}]
    first = client.chat.completions.create(**fields, messages=messages).choices[0].message
    (call,) = first.tool_calls or ()
    assert call.type == "function"
    function = {"name": call.function.name, "arguments": call.function.arguments}
    messages.append({"role": "assistant", "tool_calls": [{"id": call.id, "type": "function", "function": function}]})
    messages.append({"role": "tool", "tool_call_id": call.id, "content": WEATHER})
    second = client.chat.completions.create(**fields, messages=messages)
    assert second.choices[0].message.content == TOLD


def test_a_chat_agent_that_replays_thoughts(client: openai.OpenAI, world: World) -> None:
    route = world.routes["anthropic"]
    fields: Any = {"model": route.model, "tools": [CHAT_TOOL], "reasoning_effort": "low"}
    messages: list[Any] = [{"role": "user", "content": ASK}]
    with client.chat.completions.stream(**fields, messages=messages) as stream:
        message = stream.get_final_completion().choices[0].message
    messages.append(message.to_dict())
    messages.append({"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": WEATHER})
    client.chat.completions.create(**fields, messages=messages)
    assert len(route.vendor.question.proofs) == 1


# --- responses --------------------------------------------------------------------------------------------------------


def test_response(client: openai.OpenAI, route: Route) -> None:
    response = client.responses.create(model=route.model, input=HELLO, instructions="Be kind.")
    assert response.output_text == SAID
    assert response.status == "completed"
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert route.vendor.question.text == HELLO


def test_streamed_response(client: openai.OpenAI, route: Route) -> None:
    with client.responses.stream(model=route.model, input=HELLO) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert final.output_text == SAID
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == SAID
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [events[0].type, events[-1].type] == ["response.created", "response.completed"]


def test_response_is_parsed(client: openai.OpenAI, route: Route) -> None:
    assert client.responses.parse(model=route.model, input=HELLO, text_format=Trip).output_parsed == TRIP
    with client.responses.stream(model=route.model, input=HELLO, text_format=Trip) as stream:
        assert stream.get_final_response().output_parsed == TRIP
    assert set(route.vendor.question.schema["properties"]) == {"city", "days"}


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_kept_response_is_continued(client: openai.OpenAI, route: Route, is_stream: bool) -> None:
    """The second turn sends the tool's result alone."""

    def ask(**fields: Any) -> Any:
        fields = {"model": route.model, "tools": [FLAT_TOOL], "reasoning": {"effort": "low"}, **fields}
        if not is_stream:
            return client.responses.create(**fields)
        with client.responses.stream(**fields) as stream:
            return stream.get_final_response()

    first = ask(input=ASK)
    (call,) = [item for item in first.output if item.type == "function_call"]
    result = get_weather(**json.loads(call.arguments))
    output = {"type": "function_call_output", "call_id": call.call_id, "output": result}
    second = ask(input=[output], previous_response_id=first.id)
    assert second.output_text == TOLD
    assert second.previous_response_id == first.id
    if route.name == "anthropic":
        assert len(route.vendor.question.proofs) == 1


def test_a_kept_response_is_looked_up_and_forgotten(client: openai.OpenAI, route: Route) -> None:
    made = client.responses.create(model=route.model, input=HELLO)
    found = client.responses.retrieve(made.id)
    assert (found.id, found.output_text) == (made.id, SAID)
    (item,) = client.responses.input_items.list(made.id).data
    assert item.type == "message"
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    for one in route.vendor.refusals:
        assert "not found" in one
    route.vendor.refusals.clear()


@pytest.mark.parametrize("is_stream", [False, True])
def test_thoughts_travel_with_the_client(client: openai.OpenAI, route: Route, is_stream: bool) -> None:
    """Nothing is stored, and everything is sent again: the way of Codex."""

    def ask(items: list[Any]) -> Any:
        fields: Any = {
            "model": route.model,
            "input": items,
            "tools": [FLAT_TOOL],
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "reasoning": {"effort": "low", "summary": "auto"},
        }
        if not is_stream:
            return client.responses.create(**fields)
        with client.responses.stream(**fields) as stream:
            return stream.get_final_response()

    items: list[Any] = [{"role": "user", "content": ASK}]
    first = ask(items)
    items += [item.to_dict() for item in first.output]
    (call,) = [item for item in first.output if item.type == "function_call"]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": WEATHER})
    assert ask(items).output_text == TOLD
    assert len(route.vendor.question.proofs) == (0 if route.name == "openrouter" else 1)


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_embeddings(client: openai.OpenAI) -> None:
    for model in ("openai/text-embedding-3-small", "gemini/gemini-embedding-001"):
        answer = client.embeddings.create(model=model, input=["a", "b"])
        assert [one.embedding for one in answer.data] == [[0.5, -0.25]] * 2


def test_models(client: openai.OpenAI, route: Route) -> None:
    assert route.model in {model.id for model in client.models.list()}
    assert client.models.retrieve(route.model).id == route.model


def test_moderations_are_forwarded(client: openai.OpenAI) -> None:
    assert client.moderations.create(model="openai/omni-moderation-latest", input=HELLO).results[0].flagged is False


def test_files_in_the_gateways_own_store(client: openai.OpenAI) -> None:
    own = client.with_options(default_headers=GATEWAY_KEEPS)
    made = own.files.create(file=("notes.txt", HELLO.encode()), purpose="user_data")
    assert own.files.retrieve(made.id).filename == "notes.txt"
    assert own.files.content(made.id).read() == HELLO.encode()
    assert made.id in {file.id for file in own.files.list()}
    assert own.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        own.files.retrieve(made.id)


def test_a_batch_run_by_the_gateway(client: openai.OpenAI, world: World) -> None:
    own = client.with_options(default_headers=GATEWAY_KEEPS)
    lines = [
        {
            "custom_id": name,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": r.model, "messages": MESSAGES},
        }
        for name, r in world.routes.items()
    ]
    text = "\n".join(json.dumps(line) for line in lines)
    file = own.files.create(file=io.BytesIO(text.encode()), purpose="batch")
    batch = own.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    deadline = time.monotonic() + 20
    while batch.status not in ("completed", "failed") and time.monotonic() < deadline:
        time.sleep(0.05)
        batch = own.batches.retrieve(batch.id)
    assert batch.status == "completed"
    assert batch.output_file_id is not None
    answers = [json.loads(line) for line in own.files.content(batch.output_file_id).text.splitlines()]
    said = {a["custom_id"]: a["response"]["body"]["choices"][0]["message"]["content"] for a in answers}
    assert said == dict.fromkeys(world.routes, SAID)


@pytest.mark.parametrize("is_responses", [False, True])
def test_errors_are_the_sdks_own(client: openai.OpenAI, world: World, is_responses: bool) -> None:
    def ask(client: openai.OpenAI, model: str) -> object:
        if is_responses:
            return client.responses.create(model=model, input=HELLO)
        return client.chat.completions.create(model=model, messages=MESSAGES)

    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, "no-such-model")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        ask(client.with_options(api_key="sk-wrong"), "openai/gpt-4o")


async def _streamed(client: openai.AsyncOpenAI, model: str) -> str:
    async with client.chat.completions.stream(model=model, messages=MESSAGES) as stream:
        return (await stream.get_final_completion()).choices[0].message.content or ""


def test_the_async_client(openai_options: dict[str, Any], route: Route) -> None:
    import asyncio

    async def run() -> str:
        async with openai.AsyncOpenAI(**openai_options) as client:
            return await _streamed(client, route.model)

    assert asyncio.run(run()) == SAID
