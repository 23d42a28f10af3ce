"""Conversations that began with another maker's model, and requests of clients of the Responses API."""

import json
from typing import Any

import pytest
from msgspec import Raw

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import (
    ChatRequest,
    DialectName,
    HostedTool,
    Message,
    Opaque,
    Part,
    Reasoning,
    ResponseFormat,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    raw_json,
)
from providers.claude.request import to_wire
from providers.contract import ProviderRequest

Json = dict[str, Any]
SONNET_45 = "claude-sonnet-4-5"  # thinks by budget
OPUS_5 = "claude-opus-5"  # unasked
OPENAI = DialectName.OPENAI_RESPONSES
ANTHROPIC = DialectName.ANTHROPIC_MESSAGES
GEMINI = DialectName.GEMINI_GENERATE_CONTENT


def user(*parts: Part | str) -> Message:
    return Message(Role.USER, [Text(p) if isinstance(p, str) else p for p in parts])


def assistant(*parts: Part | str) -> Message:
    return Message(Role.ASSISTANT, [Text(p) if isinstance(p, str) else p for p in parts])


def result(call_id: str) -> Message:
    return Message(Role.TOOL, [ToolResult(call_id, [Text("ok")])])


def translate(*chat: Message, model: str = SONNET_45, extra: Json | None = None, **members: Any) -> ProviderRequest:
    raws = {name: raw_json(value) for name, value in (extra or {}).items()}
    return to_wire(ChatRequest(model="any", messages=list(chat) or [user("Hi")], extra=raws, **members), model)


def content(request: ProviderRequest, turn: int = 1) -> list[Json]:
    found: list[Json] = json.loads(request.body)["messages"][turn]["content"]
    return found


CALL = ToolCall("toolu_1", "f", "{}")

# --- proofs of thought ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "thought",
    [
        Reasoning("hm", signature="gAAA", origin=OPENAI, id="rs_1"),
        Reasoning(redacted="gAAA", origin=OPENAI, id="rs_1"),
        Reasoning("", signature="AbC=", origin=GEMINI),
    ],
)
def test_a_proof_of_another_maker_stays_behind(thought: Reasoning) -> None:
    own = Reasoning("mine", signature="Es4D")
    request = translate(user("1"), assistant(own, thought, thought, "2"), user("3"))
    assert content(request) == [
        {"type": "thinking", "thinking": "mine", "signature": "Es4D"},
        {"type": "text", "text": "2"},
    ]
    assert request.dropped == ("reasoning_content",)
    assert b"gAAA" not in request.body


def test_a_tool_loop_whose_thoughts_are_another_maker_s_is_unthought() -> None:
    foreign, own = Reasoning("", signature="AbC=", origin=GEMINI), Reasoning("", signature="Es4D")
    for thought, thinks in ((foreign, False), (own, True)):
        request = translate(user("1"), assistant(thought, CALL), result("toolu_1"), reasoning_effort="low")
        assert ("thinking" in json.loads(request.body)) is thinks
        assert ("reasoning_effort" in request.dropped) is not thinks


# --- content the gateway does not interpret -------------------------------------------------------------------------

USE = b'{"id":"srvtoolu_1","type":"server_tool_use","name":"web_search","input":{"query":"\\u00e9", "n":1.0}}'
FOUND = b'{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"encrypted_content":"E"}]}'


def test_anthropic_s_own_blocks_go_back_in_their_place() -> None:
    blocks = (Opaque("server_tool_use", Raw(USE), ANTHROPIC), Opaque("web_search_tool_result", Raw(FOUND), ANTHROPIC))
    thought = Reasoning("hm", signature="Es4D")
    request = translate(user("1"), assistant(thought, "Let me look.", *blocks, "It rains.", CALL), result("toolu_1"))
    assert [block["type"] for block in content(request)] == [
        "thinking",
        "text",
        "server_tool_use",
        "web_search_tool_result",
        "text",
        "tool_use",
    ]
    assert USE + b"," + FOUND in request.body
    assert request.dropped == ()


def test_blocks_of_other_makers_and_pieces_of_blocks_are_named() -> None:
    others = (
        Opaque("web_search_call", raw_json({"type": "web_search_call", "id": "ws_1"}), OPENAI),
        Opaque("compaction_delta", raw_json({"type": "compaction_delta", "content": "x"}), ANTHROPIC),
    )
    request = translate(user("1"), assistant(*others), assistant("2", *others), user("3"))
    assert content(request) == [{"type": "text", "text": "2"}]
    assert request.dropped == ("content.web_search_call", "content.compaction_delta")


def test_marks_stay_on_a_block_that_is_not_interpreted() -> None:
    turn = assistant(Opaque("compaction", raw_json({"type": "compaction", "content": "Summary."}), ANTHROPIC))
    turn.extra = {"cache_control": raw_json({"type": "ephemeral"})}
    assert content(translate(user("1"), turn, user("2"))) == [
        {"type": "compaction", "content": "Summary.", "cache_control": {"type": "ephemeral"}}
    ]


def test_a_block_of_the_user_stands_behind_results() -> None:
    upload = Opaque("container_upload", raw_json({"type": "container_upload", "file_id": "file_1"}), ANTHROPIC)
    request = translate(user("1"), assistant(CALL), user(upload), result("toolu_1"))
    assert [block["type"] for block in content(request, 2)] == ["tool_result", "container_upload"]


@pytest.mark.parametrize("value", [b"3", b"[]", b"{", b'"text"'])
def test_a_block_that_is_no_object_is_refused(value: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        translate(user("1"), assistant(Opaque("x", Raw(value), ANTHROPIC)), user("2"))
    assert caught.value.param == "messages[1].content"


# --- what clients of the Responses API say --------------------------------------------------------------------------


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh"])
@pytest.mark.parametrize("model", [SONNET_45, "claude-opus-4-7", OPUS_5, "claude-opus-5-5", "claude-3-5-haiku-latest"])
def test_every_effort_is_taken(effort: str, model: str) -> None:
    assert translate(reasoning_effort=effort, model=model).body


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("include", []),
        ("include", ["reasoning.encrypted_content"]),
        ("truncation", "disabled"),
        ("client_metadata", {}),
        ("reasoning", {"summary": "auto"}),
        ("verbosity", "medium"),
        ("store", False),
        ("background", False),
        ("top_logprobs", 0),
        ("metadata", {}),
        ("service_tier", "auto"),
    ],
)
def test_what_says_nothing_new_is_silent(name: str, value: object) -> None:
    assert translate(extra={name: value}).dropped == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("include", ["web_search_call.action.sources"]),
        ("truncation", "auto"),
        ("client_metadata", {"session": "s"}),
        ("reasoning", {"summary": "detailed"}),
        ("reasoning", {"context": "all_turns"}),
        ("verbosity", "low"),
        ("text", {"novelty": 1}),
        ("max_tool_calls", 3),
        ("prompt_cache_key", "k"),
        ("prompt_cache_retention", "24h"),
        ("service_tier", "flex"),
        ("service_tier", "priority"),
        ("metadata", {"topic": "a"}),
        ("context_management", [{"type": "compaction", "compact_threshold": 1000}]),
        ("novelty", 1),
    ],
)
def test_what_has_no_place_and_changes_no_answer_is_named(name: str, value: object) -> None:
    """Options within an object by their path."""
    [member, *_] = value if isinstance(value, dict) and name in ("reasoning", "text") else [None]
    request = translate(extra={name: value})
    assert request.dropped == (name if member is None else f"{name}.{member}",)
    assert name not in json.loads(request.body)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("background", True),
        ("previous_response_id", "resp_1"),
        ("conversation", {"id": "conv_1"}),
        ("prompt", {"id": "pmpt_1"}),
        ("top_logprobs", 2),
    ],
)
def test_what_would_change_the_answer_is_refused(name: str, value: object) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        translate(extra={name: value})
    assert caught.value.param == name


def test_a_summary_is_had_from_a_model_that_thinks_unasked() -> None:
    wanted = {"extra": {"reasoning": {"summary": "auto"}}}
    shown = {"type": "adaptive", "display": "summarized"}
    assert json.loads(translate(model=OPUS_5, **wanted).body)["thinking"] == shown
    assert "thinking" not in json.loads(translate(model=OPUS_5, extra={"reasoning": {"exclude": True}}).body)
    assert "thinking" not in json.loads(translate(model=SONNET_45, **wanted).body)
    with pytest.raises(BadRequest):
        translate(model=OPUS_5, extra={"reasoning": "much"})


def test_a_request_as_a_coding_agent_sends_it_is_taken() -> None:
    schema = raw_json({"type": "object", "properties": {"done": {"type": "boolean"}}, "required": ["done"]})
    request = translate(
        Message(Role.DEVELOPER, [Text("You are a coding agent.")]),
        user("<environment_context>/repo</environment_context>"),
        user("Fix it."),
        assistant(
            Reasoning("", signature="gAAA", origin=OPENAI, id="rs_1"),
            ToolCall("call_1", "exec_command", '{"cmd":"ls"}'),
        ),
        result("call_1"),
        Message(Role.DEVELOPER, [Text("Be brief.")]),
        model=OPUS_5,
        stream=True,
        tools=[
            Tool("exec_command", strict=False),
            Tool("multi_agent_v1__close_agent", namespace="multi_agent_v1"),
            Tool("apply_patch", is_freeform=True, extra={"format": raw_json({"type": "grammar"})}),
        ],
        hosted_tools=[
            HostedTool("web_search", raw_json({"type": "web_search", "external_web_access": False}), OPENAI),
            HostedTool("tool_search", raw_json({"type": "tool_search", "execution": "client"}), OPENAI),
        ],
        tool_choice=ToolChoice("auto"),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_schema", name="codex_output_schema", schema=schema, strict=True),
        extra={
            "reasoning": {"summary": "auto"},
            "include": ["reasoning.encrypted_content"],
            "prompt_cache_key": "k",
            "client_metadata": {"originator": "agent"},
            "verbosity": "low",
            "safety_identifier": "s-1",
        },
    )
    body = json.loads(request.body)
    assert body["system"] == [{"type": "text", "text": "You are a coding agent."}]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user", "system"]
    assert body["metadata"] == {"user_id": "s-1"}
    assert [tool["name"] for tool in body["tools"]] == ["exec_command", "multi_agent_v1__close_agent", "apply_patch"]
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert body["output_config"]["format"]["type"] == "json_schema"
    assert set(request.dropped) == {
        "reasoning_content",
        "tools.web_search",
        "tools.tool_search",
        "tools.format",
        "prompt_cache_key",
        "client_metadata",
        "verbosity",
    }
