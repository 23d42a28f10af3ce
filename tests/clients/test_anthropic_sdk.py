"""The ``anthropic`` SDK against a running gateway, on a model of another dialect: the simulator's."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.kit.anthropic_types import check_message_request
from tests.kit.gateway import Gateway
from tests.kit.sdk import AsyncSdk, BlockingSdk, Sdk

MASTER = "master-key-0123456789"
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway(SLUICE_MASTER_KEY=MASTER) as gateway:
        yield gateway


def make_sdk(gateway: Gateway, kind: str, **options: Any) -> Sdk:
    options = {"base_url": gateway.url, "api_key": MASTER, "max_retries": 0, **options}
    if kind == "blocking":
        return BlockingSdk(anthropic.Anthropic, **options)
    return AsyncSdk(anthropic.AsyncAnthropic, **options)


@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_a_message_is_answered(gateway: Gateway, kind: str) -> None:
    message = make_sdk(gateway, kind).call(
        lambda client: client.messages.create(model="sim-small", max_tokens=500, messages=HELLO)
    )
    assert (message.type, message.role, message.model, message.stop_reason) == (
        "message",
        "assistant",
        "sim-small",
        "end_turn",
    )
    assert "Hello" in message.content[0].text
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_the_stream_helper_puts_the_same_message_together(gateway: Gateway, kind: str) -> None:
    fields: dict[str, Any] = {"model": "sim-small", "max_tokens": 500, "messages": HELLO}
    whole = make_sdk(gateway, kind).call(lambda client: client.messages.create(**fields))
    events, streamed = make_sdk(gateway, kind).helper(
        lambda client: client.messages.stream(**fields), "get_final_message"
    )
    assert [block.text for block in streamed.content] == [block.text for block in whole.content]
    assert (streamed.stop_reason, streamed.usage.output_tokens) == (whole.stop_reason, whole.usage.output_tokens)
    assert [event.type for event in events][-1] == "message_stop"


@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_tokens_are_counted_before_anything_is_asked(gateway: Gateway, kind: str) -> None:
    def count(text: str) -> int:
        messages = [{"role": "user", "content": text}]
        counted = make_sdk(gateway, kind).call(
            lambda client: client.messages.count_tokens(model="sim-small", messages=messages)
        )
        return int(counted.input_tokens)

    assert 0 < count("Hello") < count("Hello, how are you today?")


@pytest.mark.parametrize("kind", ["blocking", "async"])
@pytest.mark.parametrize("is_stream", [False, True])
def test_an_unknown_model_is_not_found(gateway: Gateway, kind: str, is_stream: bool) -> None:
    fields: dict[str, Any] = {"model": "nope", "max_tokens": 10, "messages": HELLO, "stream": is_stream}
    with pytest.raises(anthropic.NotFoundError) as caught:
        make_sdk(gateway, kind).call(lambda client: client.messages.create(**fields))
    assert caught.value.body["error"]["type"] == "not_found_error"
    assert "nope" in caught.value.message
    assert caught.value.response.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_models_are_listed_in_the_shape_of_the_sdk(gateway: Gateway, kind: str) -> None:
    page = make_sdk(gateway, kind).call(lambda client: client.models.list(limit=3))
    assert page.data[0].id == "sim-small"
    assert page.data[0].type == "model"
    assert len(page.data) == 3
    assert page.has_more


@pytest.mark.parametrize("kind", ["blocking", "async"])
def test_a_wrong_key_is_an_authentication_error(gateway: Gateway, kind: str) -> None:
    """The SDK shows its key in ``x-api-key``, which the gateway takes as well."""
    with pytest.raises(anthropic.AuthenticationError):
        make_sdk(gateway, kind, api_key="sk-wrong").call(lambda client: client.models.retrieve("sim-small"))
    model = make_sdk(gateway, kind).call(lambda client: client.models.retrieve("sim-small"))
    assert model.id == "sim-small"


# --- the judge of what we send ----------------------------------------------------------------------------------------

REQUEST: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1}}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "x"}]}],
        },
    ],
    "tools": [{"name": "look", "input_schema": {"type": "object"}}],
}


@pytest.mark.parametrize("change", [{}, {"stream": True}, {"temperature": 0.5, "top_k": 5}], ids=str)
def test_the_judge_takes_what_the_sdk_could_send(change: dict[str, Any]) -> None:
    check_message_request({**REQUEST, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"max_tokens": "100"},
        {"max_tokens": None},
        {"stream": "yes"},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello", "detail": "high"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url"}}]}]},
        {"tools": [{"name": "look", "parameters": {}}]},
        {"tool_choice": "auto"},
        {"thinking": {"type": "enabled"}},
        {"temperature": "hot"},
    ],
    ids=str,
)
def test_the_judge_refuses_what_the_sdk_could_not_send(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"validation error|fits only an answer"):
        check_message_request({**REQUEST, **change})
