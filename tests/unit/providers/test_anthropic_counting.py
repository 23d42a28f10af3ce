"""Counting tokens."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import UnsupportedParameter
from gateway.core.types import (
    ChatRequest,
    Fault,
    Finish,
    FinishReason,
    Message,
    Role,
    Text,
    Tool,
    ToolChoice,
    Usage,
    UsageReport,
    raw_json,
)
from providers.claude.counting import count_to_wire, read_counting, read_counting_summary
from providers.claude.request import to_wire
from providers.contract import Summary


def chat(**members: Any) -> ChatRequest:
    return ChatRequest(model="any", messages=[Message(Role.USER, [Text("Hello")])], **members)


def test_a_count_is_asked_for_without_what_only_shapes_the_answer() -> None:
    request = chat(
        stream=True,
        max_tokens=100,
        temperature=0.5,
        stop=["x"],
        user="u-1",
        extra={"service_tier": raw_json("auto"), "container": raw_json("container_1"), "top_k": raw_json(3)},
    )
    wire = count_to_wire(request, "claude-sonnet-4-5")
    assert json.loads(wire.body) == {
        "model": "claude-sonnet-4-5",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    }
    assert wire.dropped == ()


def test_all_that_has_tokens_is_counted() -> None:
    request = chat(
        tools=[Tool("f")],
        tool_choice=ToolChoice("auto"),
        reasoning_effort="low",
        extra={"cache_control": raw_json({"type": "ephemeral"}), "betas": raw_json(["token-counting-2024-11-01"])},
    )
    request.messages.insert(0, Message(Role.SYSTEM, [Text("Be brief.")]))
    counted, full = count_to_wire(request, "claude-sonnet-4-5"), to_wire(request, "claude-sonnet-4-5")
    whole = json.loads(full.body)
    assert whole.pop("max_tokens")
    assert json.loads(counted.body) == whole
    assert set(whole) == {"model", "system", "messages", "tools", "tool_choice", "thinking", "cache_control"}
    assert counted.headers == full.headers == (("anthropic-beta", "token-counting-2024-11-01"),)


def test_what_cannot_be_asked_cannot_be_counted() -> None:
    with pytest.raises(UnsupportedParameter, match="vertex"):
        count_to_wire(chat(extra={"n": raw_json(2)}), "claude-sonnet-4-5", "vertex")


def test_a_count_is_read() -> None:
    assert read_counting(b'{"input_tokens": 2095}') == [
        UsageReport(Usage(input_tokens=2095)),
        Finish(FinishReason.STOP),
    ]
    assert read_counting_summary(b'{"input_tokens": 2095}') == Summary(Usage(input_tokens=2095))


def test_an_error_in_its_place_is_a_fault() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    fault = Fault("Overloaded", 529, native_type="overloaded_error")
    assert read_counting(body) == [fault]
    assert read_counting_summary(body) == Summary(fault=fault)


@pytest.mark.parametrize("body", [b"{}", b'{"input_tokens":-1}', b'{"input_tokens":"3"}', b'{"input_tokens":1e3}'])
def test_what_is_no_count_is_a_fault(body: bytes) -> None:
    assert read_counting(body) == [Fault("the provider's answer is not a count of tokens", kind="upstream_broken")]
    assert read_counting_summary(body) == Summary()


@pytest.mark.parametrize("body", [b"", b"[]", b"3", b"<html>", b'{"input_tokens":', b"[" * 100_000])
def test_what_is_no_object_is_a_fault_or_a_value_error(body: bytes) -> None:
    assert read_counting(body) == [Fault("the provider's answer could not be read", kind="upstream_broken")]
    with pytest.raises(ValueError, match="no JSON object"):
        read_counting_summary(body)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_count_or_a_fault(body: bytes) -> None:
    assert isinstance(read_counting(body)[-1], Fault | Finish)
