"""Efforts and budgets, fitted to the families of Gemini."""

import json
from typing import Any

import pytest

from gateway.core.errors import BadRequest
from gateway.core.types import ChatRequest, Message, Role, Text, raw_json
from providers.generate_content.request import to_wire


def asked(model: str, **members: Any) -> tuple[Any, tuple[str, ...]]:
    """The thinking configuration, and what was dropped."""
    request = ChatRequest(model="asked-for", messages=[Message(Role.USER, [Text("hi")])], **members)
    wire = to_wire(request, model)
    return json.loads(wire.body).get("generationConfig", {}).get("thinkingConfig"), wire.dropped


def level(name: str) -> dict[str, Any]:
    return {"thinkingLevel": name, "includeThoughts": True}


def budget(tokens: int) -> dict[str, Any]:
    return {"thinkingBudget": tokens, "includeThoughts": True}


NAMED = ("reasoning_effort",)


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "dropped"),
    [
        ("gemini-3-flash-preview", "minimal", level("minimal"), ()),
        ("gemini-3.5-flash", "low", level("low"), ()),
        ("gemini-flash-latest", "medium", level("medium"), ()),
        ("gemini-4-flash", "high", level("high"), ()),
        ("gemini-3.5-flash", "xhigh", level("high"), NAMED),
        ("gemini-3.5-flash", "none", {"thinkingLevel": "minimal"}, NAMED),
        ("gemini-3.1-pro-preview", "minimal", level("low"), NAMED),
        ("gemini-3.1-pro-preview", "medium", level("medium"), ()),
        ("gemini-3.1-pro-preview", "none", {"thinkingLevel": "low"}, NAMED),
        ("gemini-3.1-flash-image", "low", level("high"), NAMED),
        ("gemini-2.5-flash", "minimal", budget(1024), ()),
        ("gemini-2.5-flash", "low", budget(1024), ()),
        ("gemini-2.5-flash", "medium", budget(8192), ()),
        ("gemini-2.5-flash", "high", budget(24_576), ()),
        ("gemini-2.5-flash", "max", budget(24_576), NAMED),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}, ()),
        ("gemini-2.5-flash-lite", "none", {"thinkingBudget": 0}, ()),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128}, NAMED),
        ("gemini-2.0-flash", "none", None, ()),
        ("gemini-2.0-flash", "high", None, NAMED),
        ("gemma-3-27b-it", "high", None, NAMED),
    ],
)
def test_an_effort_is_what_the_model_has(model: str, effort: str, thinking: Any, dropped: tuple[str, ...]) -> None:
    assert asked(model, reasoning_effort=effort) == (thinking, dropped)


BUDGET_NAMED = ("reasoning.max_tokens",)


@pytest.mark.parametrize(
    ("model", "tokens", "thinking", "dropped"),
    [
        ("gemini-2.5-pro", 5000, budget(5000), ()),
        ("gemini-2.5-pro", 0, {"thinkingBudget": 128}, BUDGET_NAMED),
        ("gemini-2.5-pro", 10**6, budget(32_768), BUDGET_NAMED),
        ("gemini-2.5-flash", 0, {"thinkingBudget": 0}, ()),
        ("gemini-2.5-flash-lite", 100, budget(512), BUDGET_NAMED),
        ("gemini-3.5-flash", 1024, level("low"), BUDGET_NAMED),
        ("gemini-3.5-flash", 8000, level("medium"), BUDGET_NAMED),
        ("gemini-3.1-pro-preview", 31_999, level("high"), BUDGET_NAMED),
        ("gemini-3.5-flash", 0, {"thinkingLevel": "minimal"}, BUDGET_NAMED),
        ("gemini-2.0-flash", 4096, None, BUDGET_NAMED),
        ("gemini-2.0-flash", 0, None, ()),
    ],
)
def test_a_budget_is_what_the_model_has(model: str, tokens: int, thinking: Any, dropped: tuple[str, ...]) -> None:
    assert asked(model, reasoning_budget=tokens) == (thinking, dropped)


def test_unasked_the_model_decides() -> None:
    assert asked("gemini-3.5-flash") == (None, ())
    assert asked("gemini-2.5-pro") == (None, ())


def test_thoughts_that_shall_not_be_shown_are_not_asked_for() -> None:
    hidden = {"reasoning": raw_json({"exclude": True})}
    assert asked("gemini-3.5-flash", reasoning_effort="low", extra=hidden) == ({"thinkingLevel": "low"}, ())
    odd = {"reasoning": raw_json({"odd": 1})}
    assert asked("gemini-3.5-flash", reasoning_effort="low", extra=odd) == (level("low"), ("reasoning.odd",))


def test_a_budget_goes_before_an_effort_where_there_are_budgets() -> None:
    thinking = asked("gemini-2.5-pro", reasoning_effort="high", reasoning_budget=5000)
    assert thinking == (budget(5000), ("reasoning_effort",))


@pytest.mark.parametrize("name", ["thinking_config", "thinkingConfig"])
def test_googles_own_words_go_up_as_they_are(name: str) -> None:
    extra = {name: raw_json({"thinkingBudget": -1})}
    assert asked("gemini-2.5-pro", extra=extra) == ({"thinkingBudget": -1}, ())
    assert asked("gemini-2.5-pro", reasoning_effort="low", extra=extra) == ({"thinkingBudget": -1}, NAMED)


def test_an_effort_that_is_none_is_refused() -> None:
    with pytest.raises(BadRequest, match="must be none, minimal, low") as refused:
        asked("gemini-3.5-flash", reasoning_effort="odd")
    assert refused.value.param == "reasoning_effort"
