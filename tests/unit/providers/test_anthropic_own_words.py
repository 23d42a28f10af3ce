"""Requests of Anthropic's own clients that were read into core types on their way back to Anthropic."""

import json
from typing import Any

import pytest

from gateway.core.errors import BadRequest
from gateway.core.types import ChatRequest, DialectName, File, Message, Opaque, Part, Role, Text, ToolResult, raw_json
from gateway.dialects.anthropic_messages_request import decode
from providers.claude.request import to_wire
from providers.contract import ProviderRequest

Json = dict[str, Any]
SONNET_45 = "claude-sonnet-4-5"  # thinks by budget
OPUS_46 = "claude-opus-4-6"  # by budget or adaptively, with efforts
OPUS_47 = "claude-opus-4-7"  # adaptively
OPUS_5 = "claude-opus-5"  # unasked
FABLE_5 = "claude-fable-5"  # always
OMITTED = {"display": "omitted"}


def sent(body: Json, model: str = SONNET_45) -> ProviderRequest:
    """What goes up for the body of a Messages client."""
    whole = {"model": "any", "max_tokens": 9000, "messages": [{"role": "user", "content": "Hi"}], **body}
    return to_wire(decode(json.dumps(whole).encode()), model)


def written(request: ProviderRequest, name: str) -> Any:
    return json.loads(request.body).get(name)


# --- thinking -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "thinking", "goes_up"),
    [
        (SONNET_45, {"type": "enabled", "budget_tokens": 2000}, {"type": "enabled", "budget_tokens": 2000}),
        (OPUS_46, {"type": "enabled", "budget_tokens": 2000}, {"type": "enabled", "budget_tokens": 2000}),
        (OPUS_47, {"type": "enabled", "budget_tokens": 2000}, {"type": "adaptive"}),
        (OPUS_46, {"type": "adaptive"}, {"type": "adaptive"}),
        (OPUS_5, {"type": "adaptive"}, {"type": "adaptive"}),
        (FABLE_5, {"type": "adaptive"}, {"type": "adaptive"}),
    ],
)
def test_how_thought_is_shown_goes_up_with_the_thinking(model: str, thinking: Json, goes_up: Json) -> None:
    request = sent({"thinking": {**thinking, **OMITTED}}, model)
    assert written(request, "thinking") == {**goes_up, **OMITTED}
    assert not any(name.startswith("thinking") for name in request.dropped)


@pytest.mark.parametrize(
    ("body", "model"),
    [
        ({"thinking": {"type": "disabled", **OMITTED}}, SONNET_45),
        ({"thinking": {"type": "disabled", **OMITTED}}, OPUS_5),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000, **OMITTED}}, "claude-3-5-haiku"),
        (
            {
                "thinking": {"type": "adaptive", **OMITTED},
                "tools": [{"name": "f", "input_schema": {"type": "object"}}],
                "tool_choice": {"type": "any"},
            },
            OPUS_5,
        ),
    ],
)
def test_how_thought_is_shown_is_named_where_none_is_asked_for(body: Json, model: str) -> None:
    request = sent(body, model)
    assert written(request, "thinking") in (None, {"type": "disabled"})
    assert "thinking.display" in request.dropped


def test_a_kind_of_thinking_yet_to_come_goes_up_as_it_is() -> None:
    own = {"type": "between_tools", "display": "updates"}
    assert written(sent({"thinking": own}, OPUS_5), "thinking") == own


def test_thinking_that_is_no_object_is_refused_by_name() -> None:
    request = ChatRequest(model="m", messages=[Message(Role.USER, [Text("Hi")])], extra={"thinking": raw_json("on")})
    with pytest.raises(BadRequest) as refused:
        to_wire(request, OPUS_5)
    assert refused.value.param == "thinking"


@pytest.mark.parametrize(
    ("model", "effort", "dropped"),
    [
        (OPUS_46, "low", ()),
        # an effort that the model has not is the next one below
        (OPUS_46, "high", ("reasoning_effort",)),
        (SONNET_45, None, ("reasoning_effort",)),
    ],
)
def test_an_effort_beside_a_budget_goes_up_beside_it(model: str, effort: str | None, dropped: tuple[str, ...]) -> None:
    asked = "xhigh" if effort == "high" else "low"
    body = {"thinking": {"type": "enabled", "budget_tokens": 2000}, "output_config": {"effort": asked}}
    request = sent(body, model)
    assert written(request, "thinking") == {"type": "enabled", "budget_tokens": 2000}
    assert written(request, "output_config") == (effort and {"effort": effort})
    assert request.dropped == dropped


@pytest.mark.parametrize(
    ("effort", "budget", "dropped"),
    [
        ("none", 2000, ("reasoning.max_tokens",)),
        ("high", 0, ("reasoning_effort",)),
        ("none", 0, ()),
    ],
)
def test_of_two_wishes_that_contradict_each_other_one_is_named(
    effort: str, budget: int, dropped: tuple[str, ...]
) -> None:
    chat = [Message(Role.USER, [Text("Hi")])]
    request = ChatRequest(model="m", messages=chat, reasoning_effort=effort, reasoning_budget=budget)
    assert to_wire(request, SONNET_45).dropped == dropped


def test_all_that_is_given_up_with_thinking_is_named() -> None:
    thinking = {"type": "enabled", "budget_tokens": 2000}
    request = sent({"thinking": thinking, "output_config": {"effort": "low"}}, "claude-3-5-haiku")
    assert written(request, "thinking") is None
    assert request.dropped == ("reasoning_effort", "reasoning.max_tokens")


# --- blocks that were told in plain words ---------------------------------------------------------------------------

SEARCH_RESULT = {
    "type": "search_result",
    "source": "https://example.com/a",
    "title": "A",
    "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
    "citations": {"enabled": True},
    "cache_control": {"type": "ephemeral"},
}
PIECES = {
    "type": "document",
    "title": "Two pieces",
    "source": {"type": "content", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
    "citations": {"enabled": True},
}
REFERENCE = {"type": "tool_reference", "tool_name": "look"}


def test_blocks_that_others_read_as_text_are_restored() -> None:
    turn = {"role": "user", "content": [SEARCH_RESULT, {"type": "text", "text": "And?"}, PIECES]}
    request = sent({"messages": [turn]})
    assert written(request, "messages") == [turn]
    assert request.dropped == ()


def test_blocks_in_a_tool_result_are_restored() -> None:
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [REFERENCE, SEARCH_RESULT, PIECES]}
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]},
        {"role": "user", "content": [result]},
    ]
    request = sent({"messages": turns})
    assert written(request, "messages") == turns
    assert request.dropped == ()


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, {"type": 1}, {"kind": "x"}])
@pytest.mark.parametrize("part", [Text("told"), File(data="aGk=", media_type="text/plain")], ids=["text", "file"])
def test_what_is_no_block_leaves_the_part_as_it_is(part: Any, value: object) -> None:
    part.extra = {"anthropic_block": raw_json(value)}
    result = Message(Role.USER, [Text("Hi"), part])
    (_, block) = written(to_wire(ChatRequest(model="m", messages=[result]), SONNET_45), "messages")[0]["content"]
    assert block["type"] == ("text" if isinstance(part, Text) else "document")


@pytest.mark.parametrize(
    "part",
    [
        Text("told", {"anthropic_block": raw_json({"type": "text", "text": "told "})}),
        Opaque("text", raw_json({"type": "text", "text": "told "}), DialectName.ANTHROPIC_MESSAGES),
        Opaque("text", raw_json({"type": "text"}), DialectName.ANTHROPIC_MESSAGES),
    ],
)
def test_a_block_at_the_end_of_an_answer_may_be_anything(part: Part) -> None:
    chat = [Message(Role.USER, [Text("Hi")]), Message(Role.ASSISTANT, [part])]
    (block,) = written(to_wire(ChatRequest(model="m", messages=chat), SONNET_45), "messages")[1]["content"]
    assert block["type"] == "text"


# --- system messages ------------------------------------------------------------------------------------------------


def test_blocks_of_a_system_message_go_up_if_they_are_anthropics_own() -> None:
    own = {"type": "notice", "level": 3}
    request = sent({"system": [{"type": "text", "text": "Be brief."}, own]})
    assert written(request, "system") == [{"type": "text", "text": "Be brief."}, own]
    foreign = Opaque("notice", raw_json(own), DialectName.OPENAI_RESPONSES)
    chat = [Message(Role.SYSTEM, [Text("Be brief."), foreign]), Message(Role.USER, [Text("Hi")])]
    request = to_wire(ChatRequest(model="m", messages=chat), SONNET_45)
    assert written(request, "system") == [{"type": "text", "text": "Be brief."}]
    assert request.dropped == ("content.notice",)


def test_only_text_and_files_can_stand_for_a_block() -> None:
    result = ToolResult("toolu_1", [Text("x")], extra={"anthropic_block": raw_json(REFERENCE)})
    request = to_wire(ChatRequest(model="m", messages=[Message(Role.TOOL, [result])]), SONNET_45)
    assert request.dropped == ("messages.anthropic_block",)
