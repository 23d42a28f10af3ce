"""Tools of a request for the Responses API."""

import json
from typing import Any

import pytest

from gateway.core.errors import BadRequest
from gateway.core.types import (
    ChatRequest,
    DialectName,
    HostedTool,
    Message,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    raw_json,
)
from providers.openai_like.responses_request import to_wire

OWN = DialectName.OPENAI_RESPONSES
OTHER = DialectName.ANTHROPIC_MESSAGES
SCHEMA = raw_json({"type": "object", "properties": {"place": {"type": "string"}}})
LOOK = Tool("look", "Looks.", SCHEMA)
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}
PATCH = Tool("apply_patch", "Patches.", is_freeform=True, extra={"format": raw_json(GRAMMAR)})


def written(*messages: Message, **members: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    request = ChatRequest(model="m", messages=list(messages) or [Message(Role.USER, [Text("Hi")])], **members)
    wire = to_wire(request, "gpt-5")
    return json.loads(wire.body), wire.dropped


def hosted(kind: str, origin: DialectName = OTHER, **members: Any) -> HostedTool:
    return HostedTool(kind, raw_json(members), origin)


def test_functions_always_say_whether_they_are_strict() -> None:
    tools = [LOOK, Tool("a", strict=True), Tool("b", parameters=SCHEMA, strict=False)]
    schema = {"type": "object", "properties": {"place": {"type": "string"}}}
    empty = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    body, dropped = written(tools=tools, parallel_tool_calls=False)
    assert body["tools"] == [
        {"type": "function", "name": "look", "description": "Looks.", "parameters": schema, "strict": False},
        {"type": "function", "name": "a", "parameters": empty, "strict": True},
        {"type": "function", "name": "b", "parameters": schema, "strict": False},
    ]
    assert body["parallel_tool_calls"] is False
    assert dropped == ()


def test_a_tool_is_strict_only_where_its_schema_can_be() -> None:
    closed = raw_json({"type": "object", "properties": {}, "additionalProperties": False})
    body, dropped = written(
        tools=[Tool("a", parameters=closed, strict=True), Tool("b", parameters=SCHEMA, strict=True)]
    )
    assert [tool["strict"] for tool in body["tools"]] == [True, False]
    assert dropped == ("tools.strict",)


def test_a_tool_that_takes_free_text_is_a_custom_tool_with_its_calls_and_results() -> None:
    calls = [ToolCall("c1", "apply_patch", '{"input":"+a\\n"}'), ToolCall("c2", "apply_patch", "+b")]
    body, _ = written(
        Message(Role.ASSISTANT, [*calls, ToolCall("c3", "look", "{}")]),
        *(Message(Role.TOOL, [ToolResult(call_id, [Text("ok")])]) for call_id in ("c1", "c2", "c3")),
        tools=[PATCH, LOOK],
    )
    assert body["tools"][0] == {
        "type": "custom",
        "name": "apply_patch",
        "description": "Patches.",
        "format": GRAMMAR,
    }
    assert body["input"] == [
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "+a\n"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "+b"},
        {"type": "function_call", "call_id": "c3", "name": "look", "arguments": "{}"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "ok"},
        {"type": "function_call_output", "call_id": "c3", "output": "ok"},
    ]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("none"), "none"),
        (ToolChoice("required"), "required"),
        (ToolChoice("tool", "look"), {"type": "function", "name": "look"}),
        (ToolChoice("tool", "apply_patch"), {"type": "custom", "name": "apply_patch"}),
        (ToolChoice("tool", "web_search"), {"type": "web_search"}),
        (ToolChoice("tool", "nobody"), {"type": "function", "name": "nobody"}),
        (
            ToolChoice("required", allowed=("look", "apply_patch")),
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "look"}, {"type": "custom", "name": "apply_patch"}],
            },
        ),
    ],
)
def test_the_choice_of_a_tool(choice: ToolChoice, sent: object) -> None:
    body, _ = written(tools=[LOOK, PATCH], hosted_tools=[hosted("web_search")], tool_choice=choice)
    assert body["tool_choice"] == sent


@pytest.mark.parametrize(
    "members",
    [
        {"tool_choice": ToolChoice("required")},
        {"tool_choice": ToolChoice("tool", "look"), "hosted_tools": [hosted("bash")]},
        {"tool_choice": ToolChoice("tool"), "tools": [LOOK]},
    ],
)
def test_a_choice_of_nothing_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as refused:
        written(**members)
    assert refused.value.param == "tool_choice"


def test_without_tools_there_is_nothing_to_choose() -> None:
    body, _ = written(tool_choice=ToolChoice("auto"), parallel_tool_calls=True)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & body.keys()


def test_the_apis_own_tools_go_up_as_they_are() -> None:
    own = {"type": "code_interpreter", "container": {"type": "auto"}}
    tools = [HostedTool("code_execution", raw_json(own), OWN), hosted("web_fetch"), hosted("code_execution")]
    body, dropped = written(hosted_tools=tools)
    assert body["tools"] == [own]
    assert dropped == ("tools.web_fetch", "tools.code_execution")


def test_another_vendors_web_search_is_the_apis_web_search() -> None:
    tool = hosted(
        "web_search",
        type="web_search_20250305",
        name="web_search",
        max_uses=3,
        allowed_domains=["example.com"],
        blocked_domains=["example.org"],
        user_location={"type": "approximate", "city": "Rome"},
        cache_control=None,
    )
    search = {
        "type": "web_search",
        "filters": {"allowed_domains": ["example.com"]},
        "user_location": {"type": "approximate", "city": "Rome"},
    }
    body, dropped = written(hosted_tools=[tool])
    assert (body["tools"], body["max_tool_calls"]) == ([search], 3)
    assert dropped == ("tools.blocked_domains",)
    body, dropped = written(hosted_tools=[tool, HostedTool("x", raw_json({"type": "x"}), OWN)])
    assert body["tools"] == [search, {"type": "x"}]
    assert "max_tool_calls" not in body
    assert dropped == ("tools.max_uses", "tools.blocked_domains")


def test_web_search_options_of_chat_are_a_tool() -> None:
    options = {
        "search_context_size": "low",
        "user_location": {"type": "approximate", "approximate": {"country": "IT"}},
    }
    body, dropped = written(extra={"web_search_options": raw_json(options)})
    assert body["tools"] == [
        {
            "type": "web_search",
            "search_context_size": "low",
            "user_location": {"type": "approximate", "country": "IT"},
        }
    ]
    assert dropped == ()
    assert written(extra={"web_search_options": raw_json({})})[0]["tools"] == [{"type": "web_search"}]


def test_members_without_a_place_are_named() -> None:
    _, dropped = written(tools=[Tool("a", extra={"cache_control": raw_json({"type": "ephemeral"})})])
    assert dropped == ("tools.cache_control",)
