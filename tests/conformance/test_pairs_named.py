"""What of an option is lost on the way to another vendor is named by its path, and what was honoured is not."""

from typing import Any

import pytest

from gateway.core.types import DialectName
from tests.kit.pairs import SIDES, Side, decode, every_side, first_turn
from tests.kit.said import CHAT, GEMINI, MESSAGES, RESPONSES

Json = dict[str, Any]

FOREIGN_TO_OPENAI = [side for side in SIDES if side.dialect is not RESPONSES]
OTHER_MODELS = [side for side in SIDES if side.dialect is not MESSAGES]


def named(client: DialectName, side: Side, **members: Any) -> tuple[str, ...]:
    return side.ask(decode(client, first_turn(client, **members))).dropped


def takes_reasoning_objects(side: Side) -> bool:
    """OpenRouter does, and may know their members."""
    return b"all_turns" in side.ask(decode(RESPONSES, first_turn(RESPONSES, reasoning={"context": "all_turns"}))).body


@every_side
def test_an_effort_that_is_honoured_is_not_named(side: Side) -> None:
    names = named(RESPONSES, side, reasoning={"effort": "low", "summary": "auto", "context": "all_turns"})
    assert not {"reasoning", "reasoning_effort", "reasoning.effort"} & set(names)
    assert ("reasoning.context" in names) != takes_reasoning_objects(side)


def test_a_summary_that_claude_gives_is_not_named() -> None:
    [side] = [side for side in SIDES if side.dialect is MESSAGES and side.provider == "anthropic"]
    reasoning = {"effort": "low", "summary": "auto", "context": "all_turns"}
    assert named(RESPONSES, side, reasoning=reasoning) == ("reasoning.context",)


@pytest.mark.parametrize("side", OTHER_MODELS, ids=lambda side: f"{side.provider}-{side.dialect}")
def test_thinking_that_is_honoured_is_not_named(side: Side) -> None:
    names = named(
        MESSAGES,
        side,
        thinking={"type": "adaptive", "display": "omitted"},
        output_config={"effort": "low", "task_budget": {"type": "tokens", "total": 5}},
    )
    assert not {"thinking", "thinking.type", "output_config", "output_config.effort"} & set(names)
    assert {"thinking.display", "output_config.task_budget"} <= set(names)


@pytest.mark.parametrize("side", FOREIGN_TO_OPENAI, ids=lambda side: f"{side.provider}-{side.dialect}")
def test_what_else_is_said_of_the_text_is_named(side: Side) -> None:
    names = named(RESPONSES, side, text={"format": {"type": "text"}, "novelty": 1})
    assert "text.novelty" in names
    assert "text" not in names


@pytest.mark.parametrize("side", FOREIGN_TO_OPENAI, ids=lambda side: f"{side.provider}-{side.dialect}")
def test_the_phase_of_a_message_is_named(side: Side) -> None:
    said = {"type": "message", "role": "assistant", "phase": "commentary", "content": "Let me look."}
    turns = [*first_turn(RESPONSES)["input"], said, {"role": "user", "content": "Well?"}]
    assert "messages.phase" in named(RESPONSES, side, input=turns)
    said.pop("phase")
    assert "messages.phase" not in named(RESPONSES, side, input=turns)


@every_side
def test_likely_tokens_that_are_not_included_ask_for_nothing(side: Side) -> None:
    """OpenAI answers such a request with an empty list."""
    request = first_turn(RESPONSES, top_logprobs=3)
    wire, plain = side.ask(decode(RESPONSES, request)), side.ask(decode(RESPONSES, first_turn(RESPONSES)))
    assert (wire.body, wire.dropped) == (plain.body, plain.dropped)


def test_all_vendors_are_tried() -> None:
    assert {side.dialect for side in FOREIGN_TO_OPENAI} == {CHAT, MESSAGES, GEMINI}
    assert {side.dialect for side in OTHER_MODELS} == {CHAT, RESPONSES, GEMINI}
