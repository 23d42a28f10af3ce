import json
from typing import Any

import pytest

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.limits import MAX_TOOLS
from gateway.core.types import DialectName, Tool, ToolChoice
from gateway.dialects.openai_responses_request import ResponsesRequest, decode

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "name": "weather", "description": "d", "parameters": SCHEMA, "strict": True}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}


def request(**members: Any) -> ResponsesRequest:
    return decode(json.dumps({"model": "m", "input": "Hi", **members}).encode())


def tools(*given: Any) -> list[Tool]:
    return request(tools=list(given)).tools


def refused(**members: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        request(**members)
    return caught.value


def plain(raw: Any) -> Any:
    return json.loads(bytes(raw))


# --- definitions --------------------------------------------------------------------------------------------------


def test_a_function_stands_flat():
    [tool] = tools({**WEATHER, "defer_loading": True, "output_schema": None})
    assert (tool.name, tool.description, tool.strict) == ("weather", "d", True)
    assert (tool.is_freeform, tool.namespace) == (False, None)
    assert plain(tool.parameters) == SCHEMA
    assert {name: plain(raw) for name, raw in tool.extra.items()} == {"defer_loading": True}


def test_a_function_needs_no_more_than_a_name():
    assert tools({"name": "f"}, {"type": "function", "name": "g", "parameters": None, "strict": None}) == [
        Tool("f"),
        Tool("g"),
    ]


def test_no_tools_are_none():
    for given in ({}, {"tools": None}, {"tools": []}):
        found = request(**given)
        assert (found.tools, found.hosted_tools) == (None, None)


def test_a_tool_that_takes_free_text_is_a_function_of_one_string():
    [tool] = tools({"type": "custom", "name": "patch", "description": "d", "format": GRAMMAR})
    assert (tool.name, tool.description, tool.is_freeform) == ("patch", "d", True)
    assert plain(tool.extra["format"]) == GRAMMAR
    schema = plain(tool.parameters)
    assert (schema["required"], schema["additionalProperties"]) == (["input"], False)
    assert schema["properties"]["input"]["type"] == "string"
    assert "start: WORD" in schema["properties"]["input"]["description"]


@pytest.mark.parametrize("given_format", [{}, {"format": None}, {"format": {"type": "text"}}])
def test_free_text_may_have_no_grammar(given_format):
    [tool] = tools({"type": "custom", "name": "note", **given_format})
    assert "grammar" not in plain(tool.parameters)["properties"]["input"]["description"]


def test_tools_of_a_namespace_have_it_in_front_of_their_names():
    custom = {"type": "custom", "name": "patch"}
    namespace = {"type": "namespace", "name": "ns", "description": "All of it.", "tools": [WEATHER, custom]}
    weather, patch, other = tools(namespace, {**WEATHER, "name": "other"})
    assert [(tool.name, tool.namespace, tool.is_freeform) for tool in (weather, patch, other)] == [
        ("ns__weather", "ns", False),
        ("ns__patch", "ns", True),
        ("other", None, False),
    ]
    assert plain(weather.extra["namespace_description"]) == "All of it."
    assert other.extra == {}


def test_two_tools_cannot_get_the_same_name():
    namespace = {"type": "namespace", "name": "ns", "tools": [WEATHER]}
    error = refused(tools=[{**WEATHER, "name": "ns__weather"}, namespace])
    assert error.param == "tools[1].tools[0].name"
    assert "'ns__weather'" in error.message


def test_the_last_definition_of_a_tool_counts():
    first, second = tools(WEATHER, {"name": "g"}, {**WEATHER, "description": "new"})
    assert (first.description, second.name) == ("new", "g")


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("web_search", "web_search"),
        ("web_search_preview", "web_search"),
        ("web_search_preview_2025_03_11", "web_search"),
        ("web_search_2025_08_26", "web_search"),
        ("file_search", "file_search"),
        ("code_interpreter", "code_execution"),
        ("mcp", "mcp"),
        ("image_generation", "image_generation"),
        ("tool_search", "tool_search"),
        ("tool_of_next_year", "tool_of_next_year"),
    ],
)
def test_a_tool_of_the_provider_stays_as_the_client_wrote_it(kind, found):
    definition = {"container": {"type": "auto"}, "type": kind, "x": None}
    request_found = request(tools=[WEATHER, definition, definition])
    [tool] = request_found.hosted_tools
    assert (tool.kind, tool.origin) == (found, DialectName.OPENAI_RESPONSES)
    assert plain(tool.value) == definition
    assert [tool.name for tool in request_found.tools] == ["weather"]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("x", "tools"),
        (["x"], "tools[0]"),
        ([{"type": 5}], "tools[0].type"),
        ([{"type": "function"}], "tools[0].name"),
        ([{"type": "function", "name": "f", "parameters": []}], "tools[0].parameters"),
        ([{"type": "function", "name": "f", "strict": 1}], "tools[0].strict"),
        ([{"type": "custom", "name": "f", "format": "x"}], "tools[0].format"),
        ([{"type": "custom", "name": "f", "format": {"definition": 5}}], "tools[0].format.definition"),
        ([{"type": "namespace", "name": "n"}], "tools[0].tools"),
        ([{"type": "namespace", "tools": []}], "tools[0].name"),
        ([{"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}], "tools[0].tools[0].type"),
    ],
)
def test_a_wrong_definition_is_named(given, place):
    assert refused(tools=given).param == place


def test_the_number_of_tools_is_bounded():
    assert len(tools(*[{"name": str(number)} for number in range(MAX_TOOLS)])) == MAX_TOOLS
    assert refused(tools=[{"name": "f"}] * (MAX_TOOLS + 1)).param == "tools"


# --- the choice ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, None),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "f"}, ToolChoice("tool", name="f")),
        ({"type": "function", "name": "f", "namespace": "ns"}, ToolChoice("tool", name="ns__f")),
        ({"type": "custom", "name": "p"}, ToolChoice("tool", name="p")),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "p"}],
            },
            ToolChoice("required", allowed=("f", "p")),
        ),
    ],
)
def test_each_spelling_of_a_choice_is_understood(given, found):
    assert request(tool_choice=given).tool_choice == found


@pytest.mark.parametrize(
    ("given", "place", "is_unsupported"),
    [
        ("any", "tool_choice", False),
        ({}, "tool_choice.type", False),
        ({"type": "function"}, "tool_choice.name", False),
        ({"type": "web_search"}, "tool_choice.type", True),
        ({"type": "mcp", "server_label": "s"}, "tool_choice.type", True),
        ({"type": "allowed_tools", "mode": "none", "tools": []}, "tool_choice.mode", False),
        ({"type": "allowed_tools", "mode": "auto"}, "tool_choice.tools", False),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]}, "tool_choice.tools[0].type", True),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(given, place, is_unsupported):
    error = refused(tool_choice=given)
    assert (error.param, isinstance(error, UnsupportedParameter)) == (place, is_unsupported)
