"""The ``openai`` SDK against a running gateway with Anthropic behind it: a client that speaks OpenAI's language gets
all that Claude can say, and what goes up for it is what Anthropic's own SDK could have sent."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.kit import messages_api
from tests.kit.anthropic_types import check_message_request
from tests.kit.gateway import Gateway
from tests.kit.sdk import AsyncSdk, BlockingSdk, Sdk
from tests.kit.upstream import CLOSE, RESET, ScriptedUpstream, config_for, reply, stream

MODEL = "claude-sonnet-4-5"
HELLO = [{"role": "user", "content": "Hello"}]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
PDF = "JVBERi0xLjQKJSBhIHRpbnkgb25lCg=="
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Tells the {name}.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    for name in ("weather", "time")
]


@pytest.fixture(scope="module")
def gateway(upstream: ScriptedUpstream) -> Iterator[Gateway]:
    with Gateway(config_for(upstream, anthropic={"models": [MODEL, "claude-opus-4-6"]})) as gateway:
        yield gateway


@pytest.fixture(params=["blocking", "async"])
def sdk(gateway: Gateway, upstream: ScriptedUpstream, request: pytest.FixtureRequest) -> Iterator[Sdk]:
    """Whatever was sent for it must be what Anthropic takes."""
    before = len(upstream.history)
    options = {"base_url": f"{gateway.url}/v1", "api_key": "any", "max_retries": 0}
    if request.param == "blocking":
        yield BlockingSdk(openai.OpenAI, **options)
    else:
        yield AsyncSdk(openai.AsyncOpenAI, **options)
    for sent in upstream.history[before:]:
        check_message_request(sent.json())


def create(sdk: Sdk, **fields: Any) -> Any:
    fields = {"model": MODEL, "messages": HELLO, **fields}
    return sdk.call(lambda client: client.chat.completions.create(**fields))


def chunks(sdk: Sdk, seen: list[Any] | None = None, **fields: Any) -> list[Any]:
    fields = {"model": MODEL, "messages": HELLO, "stream": True, **fields}
    seen = [] if seen is None else seen
    sdk.each(lambda client: client.chat.completions.create(**fields), seen)
    return seen


def final(sdk: Sdk, **fields: Any) -> Any:
    fields = {"model": MODEL, "messages": HELLO, **fields}
    return sdk.helper(lambda client: client.chat.completions.stream(**fields), "get_final_completion")[1]


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def ask_either_way(
    sdk: Sdk, upstream: ScriptedUpstream, *content: dict[str, Any], is_stream: bool, **fields: Any
) -> Any:
    """The message that comes of an answer with these blocks, put together by the SDK when it is streamed."""
    reason = "tool_use" if any(block["type"] == "tool_use" for block in content) else "end_turn"
    if is_stream:
        blocks = b"".join(_streamed(index, block) for index, block in enumerate(content))
        upstream.answer(stream(messages_api.start() + blocks + messages_api.end(reason)))
        return final(sdk, **fields).choices[0].message
    upstream.answer(reply(messages_api.answer(*content, stop_reason=reason)))
    return create(sdk, **fields).choices[0].message


def _streamed(index: int, block: dict[str, Any]) -> bytes:
    """A block in pieces of some characters, as the API sends it."""
    if block["type"] == "text":
        return messages_api.text(index, *_pieces(block["text"]))
    if block["type"] == "tool_use":
        return messages_api.tool(index, block["id"], block["name"], *_pieces(json.dumps(block["input"])))
    if block["type"] == "thinking":
        thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])]
        signed = {"type": "signature_delta", "signature": block["signature"]}
        return messages_api.block(index, {"type": "thinking", "thinking": "", "signature": ""}, *thoughts, signed)
    return messages_api.block(index, block)


def _pieces(words: str) -> list[str]:
    return [words[at : at + 5] for at in range(0, len(words), 5)]


# --- text -------------------------------------------------------------------------------------------------------------


def test_a_chat_is_answered(sdk: Sdk, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(messages_api.answer(text("Bonjour"))))
    answer = create(sdk)
    assert answer.object == "chat.completion"
    assert answer.model == MODEL
    assert answer.choices[0].message.content == "Bonjour"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (20, 15, 35)
    assert upstream.request.path == "/v1/messages"


def test_a_streamed_chat_is_answered(sdk: Sdk, upstream: ScriptedUpstream) -> None:
    said = messages_api.start() + messages_api.ping() + messages_api.text(0, "Bon", "jour") + messages_api.end()
    upstream.answer(stream(said))
    streamed = chunks(sdk, stream_options={"include_usage": True})
    assert "".join(c.choices[0].delta.content or "" for c in streamed if c.choices) == "Bonjour"
    assert streamed[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in streamed if c.choices][-1] == "stop"
    assert streamed[-1].choices == []
    assert streamed[-1].usage.total_tokens == 35
    assert len({(c.id, c.created, c.model, c.object) for c in streamed}) == 1
    assert upstream.request.json()["stream"] is True


def test_instructions_go_where_anthropic_wants_them(sdk: Sdk, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(messages_api.answer(text("Oui"))))
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Answer in French."},
        {"role": "user", "content": "Yes?"},
        {"role": "assistant", "content": "Oui."},
        {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
    ]
    create(sdk, messages=messages)
    sent = upstream.request.json()
    assert sent["system"] == [text("Be brief."), text("Answer in French.")]
    assert [(turn["role"], turn["content"]) for turn in sent["messages"]] == [
        ("user", [text("Yes?")]),
        ("assistant", [text("Oui.")]),
        ("user", [text("And now?")]),
    ]


@pytest.mark.parametrize(
    ("native", "reason"),
    [("max_tokens", "length"), ("stop_sequence", "stop"), ("model_context_window_exceeded", "length")],
)
def test_why_an_answer_ended_is_told(sdk: Sdk, upstream: ScriptedUpstream, native: str, reason: str) -> None:
    upstream.answer(reply(messages_api.answer(text("Bon"), stop_reason=native)))
    answer = create(sdk, stop=["jour"], max_completion_tokens=77)
    assert answer.choices[0].finish_reason == reason
    assert upstream.request.json()["stop_sequences"] == ["jour"]
    assert upstream.request.json()["max_tokens"] == 77


def test_cached_tokens_are_counted_as_openai_counts_them(sdk: Sdk, upstream: ScriptedUpstream) -> None:
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 500,
        "output_tokens": 20,
    }
    marked = {"type": "text", "text": "A long text.", "cache_control": {"type": "ephemeral"}}
    upstream.answer(reply(messages_api.answer(text("Hi"), usage=usage)))
    answer = create(sdk, messages=[{"role": "user", "content": [marked]}])
    assert answer.usage.prompt_tokens == 1510
    assert answer.usage.prompt_tokens_details.cached_tokens == 1000
    assert answer.usage.prompt_tokens_details.cache_write_tokens == 500
    assert answer.usage.total_tokens == 1530
    assert upstream.request.json()["messages"][0]["content"] == [marked]


# --- tools ------------------------------------------------------------------------------------------------------------

CALLS = [
    {"type": "tool_use", "id": "toolu_01A", "name": "weather", "input": {"city": "Paris"}},
    {"type": "tool_use", "id": "toolu_01B", "name": "time", "input": {"city": "Z\u00fcrich"}},
]


@pytest.mark.parametrize("is_stream", [False, True])
def test_parallel_calls_and_their_results_go_around(sdk: Sdk, upstream: ScriptedUpstream, is_stream: bool) -> None:
    question = [{"role": "user", "content": "Weather and time?"}]
    message = ask_either_way(
        sdk, upstream, text("Let me look."), *CALLS, is_stream=is_stream, messages=question, tools=TOOLS
    )
    assert message.content == "Let me look."
    called = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls]
    assert called == [(call["id"], call["name"], call["input"]) for call in CALLS]
    results = [{"role": "tool", "tool_call_id": call.id, "content": f"{call.id} done"} for call in message.tool_calls]

    upstream.answer(reply(messages_api.answer(text("Sunny at noon."))))
    create(sdk, messages=[*question, message.to_dict(), *results], tools=TOOLS, parallel_tool_calls=False)
    sent = upstream.request.json()
    assert sent["messages"][1:] == [
        {"role": "assistant", "content": [text("Let me look."), *CALLS]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": call["id"], "content": [text(f"{call['id']} done")]}
                for call in CALLS
            ],
        },
    ]
    assert [tool["name"] for tool in sent["tools"]] == ["weather", "time"]
    assert sent["tools"][0]["input_schema"] == TOOLS[0]["function"]["parameters"]
    assert sent["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_call_without_arguments_has_an_empty_object(sdk: Sdk, upstream: ScriptedUpstream, is_stream: bool) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "time", "input": {}}
    message = ask_either_way(sdk, upstream, call, is_stream=is_stream, tools=TOOLS)
    assert message.tool_calls[0].function.arguments == "{}"
    assert message.content is None


@pytest.mark.parametrize(
    ("choice", "native"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "time"}}, {"type": "tool", "name": "time"}),
    ],
)
def test_the_choice_of_tools_is_translated(sdk: Sdk, upstream: ScriptedUpstream, choice: Any, native: Any) -> None:
    upstream.answer(reply(messages_api.answer(text("Hi"))))
    create(sdk, tools=TOOLS, tool_choice=choice)
    assert upstream.request.json()["tool_choice"] == native


# --- thought ----------------------------------------------------------------------------------------------------------

THINKING = {"type": "thinking", "thinking": "Two and two \u2026\n\nis four.", "signature": "EqoBCkgIARAB+/=" * 20}
REDACTED = {"type": "redacted_thinking", "data": "EmwKAhgBEgxub3QgZm9yIHlvdXIgZXllcy8rLw=="}


@pytest.mark.parametrize("is_stream", [False, True])
def test_thought_comes_back_and_goes_up_again_unchanged(sdk: Sdk, upstream: ScriptedUpstream, is_stream: bool) -> None:
    """The signature proves the thought to Anthropic only when every byte is the same."""
    question = [{"role": "user", "content": "Weather in Paris? Think."}]
    fields: dict[str, Any] = {"messages": question, "tools": TOOLS, "reasoning_effort": "high"}
    message = ask_either_way(sdk, upstream, THINKING, REDACTED, CALLS[0], is_stream=is_stream, **fields)
    assert upstream.request.json()["thinking"]["type"] == "enabled"
    assert message.reasoning_content == THINKING["thinking"]
    assert message.thinking_blocks == [THINKING, REDACTED]

    upstream.answer(reply(messages_api.answer(text("Sunny."))))
    result = {"role": "tool", "tool_call_id": CALLS[0]["id"], "content": "sunny"}
    create(sdk, **{**fields, "messages": [*question, message.to_dict(), result]})
    sent = upstream.request.json()
    assert sent["messages"][1] == {"role": "assistant", "content": [THINKING, REDACTED, CALLS[0]]}
    assert THINKING["signature"].encode() in upstream.request.body
    assert sent["thinking"]["type"] == "enabled"


def test_thought_is_streamed_as_it_comes(sdk: Sdk, upstream: ScriptedUpstream) -> None:
    upstream.answer(
        stream(messages_api.start() + _streamed(0, THINKING) + messages_api.text(1, "4") + messages_api.end())
    )
    deltas = [chunk.choices[0].delta for chunk in chunks(sdk, reasoning_effort="low") if chunk.choices]
    thoughts = [delta.reasoning_content for delta in deltas if getattr(delta, "reasoning_content", None)]
    assert thoughts == _pieces(THINKING["thinking"])
    assert [delta.thinking_blocks for delta in deltas if hasattr(delta, "thinking_blocks")] == [[THINKING]]


# --- structure and refusals -------------------------------------------------------------------------------------------


class Trip(BaseModel):
    city: str
    days: int


@pytest.mark.parametrize("is_stream", [False, True])
def test_an_answer_is_parsed_into_a_model(sdk: Sdk, upstream: ScriptedUpstream, is_stream: bool) -> None:
    content = text('{"city":"Paris","days":3}')
    if is_stream:
        upstream.answer(stream(messages_api.start() + _streamed(0, content) + messages_api.end()))
        answer = final(sdk, response_format=Trip)
    else:
        upstream.answer(reply(messages_api.answer(content)))
        answer = sdk.call(
            lambda client: client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Trip)
        )
    assert answer.choices[0].message.parsed == Trip(city="Paris", days=3)
    asked = upstream.request.json()["output_config"]["format"]
    assert asked["type"] == "json_schema"
    assert asked["schema"]["additionalProperties"] is False
    assert set(asked["schema"]["properties"]) == {"city", "days"}


def test_a_strict_tool_is_parsed(sdk: Sdk, upstream: ScriptedUpstream) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "Trip", "input": {"city": "Paris", "days": 3}}
    upstream.answer(reply(messages_api.answer(call, stop_reason="tool_use")))
    answer = sdk.call(
        lambda client: client.chat.completions.parse(
            model=MODEL, messages=HELLO, tools=[openai.pydantic_function_tool(Trip)]
        )
    )
    assert answer.choices[0].message.tool_calls[0].function.parsed_arguments == Trip(city="Paris", days=3)
    assert upstream.request.json()["tools"][0]["strict"] is True


def test_a_refusal_is_a_filtered_answer(sdk: Sdk, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(messages_api.answer(stop_reason="refusal")))
    answer = create(sdk)
    assert answer.choices[0].finish_reason == "content_filter"
    assert answer.choices[0].message.content == ""
    with pytest.raises(openai.ContentFilterFinishReasonError):
        sdk.call(lambda client: client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Trip))


# --- pictures and documents -------------------------------------------------------------------------------------------


def test_pictures_go_up_by_url_and_as_data(sdk: Sdk, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(messages_api.answer(text("A dot."))))
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
    ]
    create(sdk, messages=[{"role": "user", "content": content}])
    assert upstream.request.json()["messages"][0]["content"] == [
        text("What is this?"),
        {"type": "image", "source": {"type": "url", "url": "https://example.com/cat.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
    ]


def test_a_document_goes_up_with_its_name(sdk: Sdk, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(messages_api.answer(text("A page."))))
    file = {"filename": "page.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}
    create(sdk, messages=[{"role": "user", "content": [{"type": "file", "file": file}, text("Sum it up.")]}])
    assert upstream.request.json()["messages"][0]["content"] == [
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
            "title": "page.pdf",
        },
        text("Sum it up."),
    ]


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "invalid_request_error", openai.BadRequestError),
        (401, "authentication_error", openai.AuthenticationError),
        (403, "permission_error", openai.PermissionDeniedError),
        (404, "not_found_error", openai.NotFoundError),
        (429, "rate_limit_error", openai.RateLimitError),
        (500, "api_error", openai.InternalServerError),
        (529, "overloaded_error", openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_each_error_is_the_sdks_own(
    sdk: Sdk, upstream: ScriptedUpstream, status: int, kind: str, error: type[openai.APIStatusError], is_stream: bool
) -> None:
    body = {"type": "error", "error": {"type": kind, "message": "No luck today"}, "request_id": "req_1"}
    upstream.answer(reply(body, status, headers=[("retry-after", "7"), ("request-id", "req_1")]))
    with pytest.raises(error) as caught:
        (chunks if is_stream else create)(sdk)
    assert caught.value.status_code == status
    # not Anthropic's words for it, but OpenAI's
    types = {429: "rate_limit_error", 500: "server_error", 529: "server_error"}
    assert caught.value.type == types.get(status, "invalid_request_error")
    assert "anthropic: No luck today" in caught.value.message
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.request_id != "req_1"


BEGINNING = messages_api.start() + messages_api.event(
    "content_block_start", index=0, content_block={"type": "text", "text": ""}
)
PIECE = messages_api.event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Bon"})
OVERLOADED = messages_api.event("error", error={"type": "overloaded_error", "message": "Overloaded"})
ENDED = messages_api.event("content_block_stop", index=0)


@pytest.mark.parametrize(
    "pieces",
    [(OVERLOADED,), (RESET,), (CLOSE,), (), (ENDED,), (ENDED, messages_api.end()[:40], RESET)],
    ids=["error event", "reset", "close", "clean end of the connection", "end of a block", "half an end"],
)
def test_a_stream_that_breaks_off_is_an_error_after_what_was_said(
    sdk: Sdk, upstream: ScriptedUpstream, pieces: tuple[Any, ...]
) -> None:
    upstream.answer(stream(BEGINNING + PIECE, *pieces))
    seen: list[Any] = []
    with pytest.raises(openai.APIError):
        chunks(sdk, seen)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in seen) == "Bon"
    assert not any(chunk.choices[0].finish_reason for chunk in seen)


def test_an_error_that_opens_a_stream_is_a_status(sdk: Sdk, upstream: ScriptedUpstream) -> None:
    upstream.answer(stream(messages_api.start() + messages_api.ping() + OVERLOADED))
    with pytest.raises(openai.InternalServerError) as caught:
        chunks(sdk)
    assert caught.value.status_code == 529


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"modalities": ["text", "audio"]}, "modalities"),
    ],
)
def test_what_claude_cannot_do_is_refused_by_name(
    sdk: Sdk, upstream: ScriptedUpstream, fields: dict[str, Any], param: str
) -> None:
    upstream.answer(reply(messages_api.answer(text("never"))))
    with pytest.raises(openai.BadRequestError) as caught:
        create(sdk, **fields)
    assert caught.value.code == "unsupported_parameter"
    assert caught.value.param == param
    assert "anthropic" in caught.value.message
    assert upstream.requests == []
