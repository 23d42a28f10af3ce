from typing import Any

import pytest

from tests.kit.simulated import QUESTION, chat, error, tool

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ASKED_FOR_CALL = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "4"}


@pytest.mark.parametrize(
    "fields",
    [
        {"stop": None, "temperature": None, "tools": None, "stream": None, "simulate": None, "response_format": None},
        {"stop": "a", "temperature": 0, "top_p": 1, "presence_penalty": -2, "frequency_penalty": 2.0, "seed": -5},
        {"messages": [{"role": "developer", "content": [{"type": "text", "text": "x", "cache_control": {}}]}]},
        {"messages": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}]},
        {"messages": [{"role": "assistant", "content": "", "tool_calls": []}]},
        {"messages": [QUESTION, ASKED_FOR_CALL, RESULT]},
        {"tools": [], "functions": None, "function_call": None, "modalities": ["text"]},
        {"tools": [tool("f", None, strict=None, description=None)], "tool_choice": "auto"},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": None}}]},
        {"response_format": {"type": "text"}, "verbosity": "low", "top_k": 3, "metadata": {"a": "b"}},
        {"stream": True, "stream_options": {"include_usage": None, "include_obfuscation": False}},
        {"reasoning_effort": "minimal", "service_tier": "auto", "store": False, "user": "u", "logit_bias": {"1": 2}},
    ],
)
def test_what_clients_send_is_accepted(fields: dict[str, Any]) -> None:
    assert chat(**fields).status == 200


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": "hello"}, "messages", "invalid_type"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "invalid_type"),
        ({"messages": [QUESTION, {"role": "assistant", "content": None}]}, "messages[1].content", "invalid_type"),
        ({"messages": [{"role": "human", "content": "x"}]}, "messages[0].role", "invalid_value"),
        (
            {"messages": [{"role": "user", "content": [{"type": "smell"}]}]},
            "messages[0].content[0].type",
            "invalid_value",
        ),
        ({"messages": [QUESTION, RESULT]}, "messages[1].tool_call_id", None),
        ({"messages": [QUESTION, ASKED_FOR_CALL, QUESTION]}, "messages[1].role", None),
        ({"messages": [QUESTION, ASKED_FOR_CALL]}, "messages[1].role", None),
        ({"messages": [QUESTION] * 2049}, "messages", "invalid_value"),
        ({"temperature": 2.5}, "temperature", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens", None),
        ({"n": 0}, "n", "invalid_value"),
        ({"n": 129}, "n", "invalid_value"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "invalid_value"),
        ({"top_logprobs": 3}, "top_logprobs", None),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_value"),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"tool_choice": "auto"}, "tool_choice", None),
        ({"tools": [tool("f")], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice", None),
        ({"tools": [tool("f")], "tool_choice": "maybe"}, "tool_choice", "invalid_value"),
        ({"tools": [tool("get weather")]}, "tools[0].function.name", "invalid_value"),
        ({"tools": [tool("f")] * 129}, "tools", "invalid_value"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type", "invalid_value"),
        ({"tools": [tool("f", {"type": "thing"})]}, "tools[0].function.parameters", "invalid_function_parameters"),
        ({"tools": [tool("f", {"type": "array"})]}, "tools[0].function.parameters", "invalid_function_parameters"),
        ({"tools": [tool("f"), tool("g", {"minLength": "1"})]}, "tools[1].function.parameters", None),
        ({"response_format": {"type": "json_object"}}, "messages", None),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": False}}},
            "response_format",
            None,
        ),
        ({"functions": [{"name": "f"}]}, "functions", "unsupported_parameter"),
        ({"modalities": ["text", "audio"]}, "modalities", "unsupported_value"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort", "invalid_value"),
    ],
)
def test_a_wrong_request_is_refused_and_told_where(fields: dict[str, Any], param: str, code: str | None) -> None:
    script = chat(**fields)
    assert script.status == 400
    refused = error(script)
    assert refused["type"] == "invalid_request_error"
    assert refused["param"] == param
    assert code is None or refused["code"] == code
