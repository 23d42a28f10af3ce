"""Tools that the provider runs, and tools as clients of other dialects define them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.core.errors import BadRequest
from gateway.core.types import (
    ChatRequest,
    DialectName,
    HostedTool,
    Message,
    Role,
    Text,
    Tool,
    ToolChoice,
    raw_json,
)
from providers.claude.request import to_wire
from providers.contract import ProviderRequest

Json = dict[str, Any]
OPENAI = DialectName.OPENAI_RESPONSES


def translate(*hosted: HostedTool, extra: Json | None = None, **members: Any) -> ProviderRequest:
    request = ChatRequest(
        model="any",
        messages=[Message(Role.USER, [Text("Hello")])],
        hosted_tools=list(hosted),
        extra={name: raw_json(value) for name, value in (extra or {}).items()},
        **members,
    )
    return to_wire(request, "claude-sonnet-4-5")


def tools(request: ProviderRequest) -> list[Json]:
    found: list[Json] = json.loads(request.body).get("tools", [])
    return found


def hosted(kind: str, origin: DialectName = OPENAI, **members: Any) -> HostedTool:
    return HostedTool(kind, raw_json({"type": kind, **members}), origin)


SEARCH = {"type": "web_search_20250305", "name": "web_search"}


# --- tools the provider runs ----------------------------------------------------------------------------------------


def test_anthropic_s_own_tools_go_up_byte_for_byte() -> None:
    own = b'{"type": "web_search_20260209", "name":"web_search", "max_uses": 5, "novelty":[1.0]}'
    advisor = b'{"type":"advisor_20260301","name":"advisor","model":"claude-opus-4-8"}'
    kinds = (("web_search", own), ("advisor", advisor))
    request = translate(*(HostedTool(kind, Raw(v), DialectName.ANTHROPIC_MESSAGES) for kind, v in kinds))
    assert own + b"," + advisor in request.body
    assert (request.dropped, request.headers) == ((), ())


@pytest.mark.parametrize(
    ("members", "expected", "dropped"),
    [
        ({}, {}, ()),
        ({"search_context_size": "medium", "external_web_access": True, "filters": None}, {}, ()),
        ({"search_context_size": "high"}, {}, ("tools.search_context_size",)),
        ({"filters": {"allowed_domains": ["example.com"]}}, {"allowed_domains": ["example.com"]}, ()),
        ({"filters": {"allowed_domains": []}}, {}, ()),
        ({"filters": {"blocked_domains": ["example.com"]}}, {"blocked_domains": ["example.com"]}, ()),
        (
            {"filters": {"blocked_domains": ["a.com"], "allowed_domains": ["b.com"]}},
            {"allowed_domains": ["b.com"]},
            ("tools.filters.blocked_domains",),
        ),
        (
            {"user_location": {"type": "approximate", "city": "Oslo", "country": "NO", "region": None}},
            {"user_location": {"type": "approximate", "city": "Oslo", "country": "NO"}},
            (),
        ),
        ({"user_location": {"type": "approximate", "postcode": "0150"}}, {}, ("tools.user_location.postcode",)),
        ({"search_content_types": ["image"], "return_token_budget": None}, {}, ("tools.search_content_types",)),
    ],
)
def test_a_web_search_keeps_its_domains_and_the_user_s_place(
    members: Json, expected: Json, dropped: tuple[str, ...]
) -> None:
    request = translate(hosted("web_search", **members))
    assert tools(request) == [{**SEARCH, **expected}]
    assert request.dropped == dropped


def test_a_search_that_must_not_leave_the_maker_s_index_is_left_out() -> None:
    request = translate(hosted("web_search", external_web_access=False), tool_choice=ToolChoice("auto"))
    assert "tools" not in json.loads(request.body)
    assert "tool_choice" not in json.loads(request.body)
    assert request.dropped == ("tools.web_search",)


def test_fetching_and_code_are_anthropic_s_own_behind_their_betas() -> None:
    request = translate(
        hosted("web_fetch"), hosted("code_execution", container={"type": "auto"}), extra={"betas": ["mine-1"]}
    )
    assert tools(request) == [
        {"type": "web_fetch_20250910", "name": "web_fetch"},
        {"type": "code_execution_20250825", "name": "code_execution"},
    ]
    assert request.headers == (("anthropic-beta", "web-fetch-2025-09-10,code-execution-2025-08-25,mine-1"),)
    assert request.dropped == ()


@pytest.mark.parametrize(
    "container", ["cntr_1", {"type": "auto", "file_ids": ["file-1"]}, {"type": "auto", "memory_limit": "4g"}, {}, 3]
)
def test_another_maker_s_container_is_named(container: object) -> None:
    request = translate(hosted("code_execution", container=container))
    assert len(tools(request)) == 1
    assert request.dropped == ("tools.container",)


@pytest.mark.parametrize("kind", ["file_search", "mcp", "image_generation", "tool_search", "local_shell", "novelty"])
def test_tools_without_a_counterpart_are_named(kind: str) -> None:
    request = translate(hosted(kind, server_label="x"), tools=[Tool("f")])
    assert [tool["name"] for tool in tools(request)] == ["f"]
    assert request.dropped == (f"tools.{kind}",)


def test_names_stay_unique() -> None:
    assert translate(hosted("web_search"), tools=[Tool("web_search")]).dropped == ("tools.web_search",)
    request = translate(hosted("web_search"), hosted("web_search", filters={}), extra={"web_search_options": {}})
    assert tools(request) == [SEARCH]
    assert request.dropped == ("tools.web_search", "web_search_options")


def test_an_allowed_subset_holds_for_all_kinds_of_tools() -> None:
    choice = ToolChoice("auto", allowed=("f", "web_search"))
    request = translate(hosted("web_search"), hosted("web_fetch"), tools=[Tool("f"), Tool("g")], tool_choice=choice)
    assert [tool["name"] for tool in tools(request)] == ["f", "web_search"]
    assert request.dropped == ()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("web_search", b"3"),
        ("web_search", b'{"filters":3}'),
        ("web_search", b'{"user_location":"Oslo"}'),
        ("web_search", b'{"external_web_access":"no"}'),
        ("web_fetch", b"[]"),
        ("code_execution", b"{"),
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(kind: str, value: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        translate(HostedTool(kind, Raw(value), OPENAI))
    assert caught.value.param == "tools"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(["type", "city", "allowed_domains"]), v),
    max_leaves=6,
)
MEMBERS = ["filters", "user_location", "search_context_size", "external_web_access", "container", "odd"]


@given(
    st.sampled_from(["web_search", "web_fetch", "code_execution", "other"]),
    st.dictionaries(st.sampled_from(MEMBERS), values, max_size=3),
)
def test_any_definition_is_translated_named_or_refused(kind: str, members: Json) -> None:
    try:
        request = translate(hosted(kind, **members))
    except BadRequest:
        return
    assert len(tools(request)) + (f"tools.{kind}" in request.dropped) == 1


# --- functions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["f", "multi_agent_v1__close_agent", "A-1", "x" * 128])
def test_names_that_the_api_takes(name: str) -> None:
    assert tools(translate(tools=[Tool(name)]))[0]["name"] == name


@pytest.mark.parametrize("name", ["", "a.b", "a b", "é", "a\n", "x" * 129, "\ud800"])
def test_names_that_the_api_refuses_are_refused_clearly(name: str) -> None:
    with pytest.raises(BadRequest, match="128 letters") as caught:
        translate(tools=[Tool("f"), Tool(name)])
    assert caught.value.param == "tools"


def test_a_tool_for_free_text_is_a_function_and_its_grammar_is_named() -> None:
    schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    extra = {"format": raw_json({"type": "grammar", "syntax": "lark", "definition": "start: x"})}
    tool = Tool("apply_patch", "Edit.", raw_json(schema), is_freeform=True, extra=extra)
    request = translate(tools=[tool])
    assert tools(request) == [{"name": "apply_patch", "description": "Edit.", "input_schema": schema}]
    assert request.dropped == ("tools.format",)


def test_a_deferred_tool_is_offered_at_once_when_its_search_is_another_maker_s() -> None:
    tool = Tool("f", extra={"defer_loading": raw_json(True)})
    assert tools(translate(tools=[tool]))[0]["defer_loading"] is True
    request = translate(hosted("tool_search"), tools=[tool])
    assert "defer_loading" not in tools(request)[0]
    assert request.dropped == ("tools.defer_loading", "tools.tool_search")
