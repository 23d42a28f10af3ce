"""How much a model shall think.

An effort becomes adaptive thinking with that effort, on older models a budget; a budget becomes an effort on models
without budgets. A client's own ``thinking`` goes up as it is; one that is enabled without the budget that the API
requires is a wish for medium effort. Thinking cannot be had together with a forced tool, nor by budget behind a prefill
or in a tool loop whose thinking blocks were lost: it is then off, and named. ``none`` on a model that always thinks
becomes its lowest effort, and is named. Who asks for a summary of the thoughts gets it from a model that would think
unasked and keep them to itself. An effort beside a budget goes up beside it, where the model has efforts.

Members of ``thinking`` without its ``type`` (``display``) are what a client says beside an effort or a budget. They
become members of the object that is written, or are named where none is.

Source: platform.claude.com/docs, "Thinking", "Extended thinking", "Adaptive thinking", "Effort" (2026-11).
"""

from gateway.core.errors import BadRequest
from providers.claude.draft import Draft, JsonObject, read_object
from providers.claude.models import EFFORTS
from providers.claude.turns import is_unthought

# Thinking tokens for an effort where the model wants a number. The API's minimum is 1,024.
_MIN_BUDGET = 1024
_UNSAID_EFFORT = "medium"
_BUDGETS = {"minimal": 1024, "low": 4096, "medium": 8192, "high": 16_384, "xhigh": 32_768, "max": 49_152}
# What stays for the answer when a budget fills the rest.
_ANSWER_TOKENS = 4096


def write_thinking(draft: Draft) -> bool:
    """Will the model think?"""
    effort, budget = draft.request.reasoning_effort, draft.request.reasoning_budget
    if effort is not None and effort not in _BUDGETS and effort != "none":
        raise BadRequest(f"'reasoning_effort' must be none, {', '.join(_BUDGETS)}", param="reasoning_effort")
    if "thinking" not in draft.body:
        return _think_as_asked(draft, effort, budget)
    thinking = read_object(draft, "thinking")
    if thinking.get("type") == "enabled" and thinking.get("budget_tokens") is None:
        return _think_without_budget(draft, thinking)
    if "type" in thinking:
        return _take_thinking(draft, thinking)
    del draft.body["thinking"]
    thinks = _think_as_asked(draft, effort, budget)
    _complete_thinking(draft, thinking)
    return thinks


def _think_without_budget(draft: Draft, thinking: JsonObject) -> bool:
    """``{"type": "enabled"}`` as z.ai and DeepSeek have it, who need no ``budget_tokens``."""
    del draft.body["thinking"]
    effort, budget = draft.request.reasoning_effort, draft.request.reasoning_budget
    if effort == "none":
        effort = None
        draft.dropped.append("reasoning_effort")
    if budget == 0:
        budget = None
        draft.dropped.append("reasoning.max_tokens")
    thinks = _think_as_asked(draft, effort or (_UNSAID_EFFORT if budget is None else None), budget)
    draft.dropped += [] if thinks else ["thinking"]
    own = {"type", "budget_tokens", "display"}
    draft.dropped += [f"thinking.{name}" for name in thinking if name not in own]
    _complete_thinking(draft, {"display": thinking["display"]} if "display" in thinking else {})
    return thinks


def _complete_thinking(draft: Draft, members: JsonObject) -> None:
    written = draft.body.get("thinking", {"type": "disabled"})
    if written["type"] == "disabled":
        draft.dropped += [f"thinking.{name}" for name in members]
    else:
        written |= members


def _think_as_asked(draft: Draft, effort: str | None, budget: int | None) -> bool:
    claude = draft.claude
    is_forced = draft.body.get("tool_choice", {}).get("type") in ("any", "tool")
    if effort == "none" or budget == 0:
        if effort not in (None, "none"):
            draft.dropped.append("reasoning_effort")
        elif budget:
            draft.dropped.append("reasoning.max_tokens")
        return _stop_thinking(draft, is_asked=True)
    if effort is None and budget is None:
        return _stop_thinking(draft) if is_forced else _think_as_usual(draft)
    if is_forced and not claude.always_thinks:
        return _give_up_thinking(draft)
    if claude.thinks_by_budget and (budget is not None or not claude.thinks_adaptively):
        return _think_by_budget(draft, effort, budget)
    return _think_adaptively(draft, effort, budget) if claude.thinks_adaptively else _give_up_thinking(draft)


def _think_as_usual(draft: Draft) -> bool:
    if draft.claude.thinks_unasked and "reasoning" in draft.extra and "summary" in read_object(draft, "reasoning"):
        draft.body["thinking"] = {"type": "adaptive", "display": "summarized"}
    return draft.claude.thinks_unasked


def _stop_thinking(draft: Draft, *, is_asked: bool = False) -> bool:
    claude = draft.claude
    if claude.always_thinks:
        if is_asked:
            draft.output.setdefault("effort", "low")
            draft.dropped.append("reasoning_effort")
        return True
    if claude.thinks_unasked:
        draft.body["thinking"] = {"type": "disabled"}
    return False


def _give_up_thinking(draft: Draft) -> bool:
    effort, budget = draft.request.reasoning_effort, draft.request.reasoning_budget
    draft.dropped += ["reasoning_effort"] if effort is not None else []
    draft.dropped += ["reasoning.max_tokens"] if budget is not None else []
    return _stop_thinking(draft)


def _think_adaptively(draft: Draft, effort: str | None, budget: int | None) -> bool:
    if effort is None:
        effort = next((e for e in EFFORTS if _BUDGETS[e] >= (budget or 0)), EFFORTS[-1])
    if budget is not None:
        draft.dropped.append("reasoning.max_tokens")
    _set_effort(draft, effort)
    draft.body["thinking"] = {"type": "adaptive"}
    if not draft.claude.thinks_by_budget:
        # these models leave the text of their thoughts out unless asked for it
        draft.body["thinking"]["display"] = "summarized"
    return True


def _set_effort(draft: Draft, effort: str) -> None:
    """``effort``, or the nearest below it that the model has (``minimal`` is the lowest)."""
    wished = "low" if effort == "minimal" else effort
    nearest = next((e for e in reversed(EFFORTS[: EFFORTS.index(wished) + 1]) if e in draft.claude.efforts), None)
    written = draft.output.setdefault("effort", nearest) if nearest is not None else None
    if written != wished:
        draft.dropped.append("reasoning_effort")


def _think_by_budget(draft: Draft, effort: str | None, budget: int | None) -> bool:
    if is_unthought(draft.chat.turns):
        return _give_up_thinking(draft)
    fitted = _fit_budget(draft, effort, budget)
    if fitted < _MIN_BUDGET:
        return _give_up_thinking(draft)
    draft.body["thinking"] = {"type": "enabled", "budget_tokens": fitted}
    if budget is not None and effort is not None:
        _set_effort(draft, effort)
    return True


def _fit_budget(draft: Draft, effort: str | None, budget: int | None) -> int:
    """A budget below ``max_tokens``. The client's own budget keeps as much as fits; one of ours leaves half of a bound
    that the client has set for the answer. Without a bound there is room for both."""
    bound = draft.request.max_tokens
    if budget is not None:
        budget = max(budget, _MIN_BUDGET)
        if bound is None:
            draft.body["max_tokens"] = max(draft.claude.max_tokens, budget + _ANSWER_TOKENS)
            return budget
        return min(budget, bound - 1)
    wished = _BUDGETS[effort or _UNSAID_EFFORT]
    if bound is None:
        return min(wished, draft.claude.max_tokens - _ANSWER_TOKENS)
    return min(wished, max(_MIN_BUDGET, bound // 2), bound - 1)


def _take_thinking(draft: Draft, thinking: JsonObject) -> bool:
    """The client's own ``thinking`` object."""
    budget = thinking.get("budget_tokens")
    if draft.request.max_tokens is None and isinstance(budget, int):
        draft.body["max_tokens"] = max(draft.claude.max_tokens, budget + _ANSWER_TOKENS)
    effort = draft.request.reasoning_effort
    if effort == "none":
        draft.dropped.append("reasoning_effort")
    elif effort is not None:
        _set_effort(draft, effort)
    if draft.request.reasoning_budget is not None:
        draft.dropped.append("reasoning.max_tokens")
    return thinking.get("type") != "disabled"
