"""How much a model shall think.

An effort becomes a ``thinkingLevel`` on Gemini 3, a ``thinkingBudget`` on Gemini 2.5, with the numbers that Google's
own OpenAI-compatible endpoint uses. A budget becomes a level on models with levels. What a model does not have becomes
its nearest, and is named. Thoughts are asked for (``includeThoughts``) whenever the client asks for thinking. A
client's own ``thinking_config`` goes up as it is.

Source: ai.google.dev/gemini-api/docs, "Thinking", "OpenAI compatibility" (2026-11).
"""

from gateway.core.errors import BadRequest
from providers.generate_content.draft import Draft, JsonObject, read_object
from providers.generate_content.models import LEVELS, Budget

_EFFORT = "reasoning_effort"
_BUDGET = "reasoning.max_tokens"
# Efforts as thinking tokens.
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 32_768, "max": 32_768}


def write_thinking(draft: Draft) -> None:
    """Raises ``BadRequest`` for an effort that is none."""
    request = draft.request
    effort, budget = request.reasoning_effort, request.reasoning_budget
    if effort is not None and effort not in _BUDGETS and effort != "none":
        raise BadRequest(f"'reasoning_effort' must be none, {', '.join(_BUDGETS)}", param=_EFFORT)
    options = read_object(draft, "reasoning")
    is_hidden = bytes(options.pop("exclude", b"false")) == b"true"
    draft.dropped += [f"reasoning.{name}" for name in options]
    if "thinkingConfig" in draft.config:
        draft.dropped += [name for name, value in ((_EFFORT, effort), (_BUDGET, budget)) if value is not None]
        return
    thinking = _think(draft, effort, budget)
    if not thinking:
        return
    if effort != "none" and budget != 0 and not is_hidden:
        thinking["includeThoughts"] = True
    draft.config["thinkingConfig"] = thinking


def _think(draft: Draft, effort: str | None, budget: int | None) -> JsonObject:
    gemini = draft.gemini
    if effort is None and budget is None:
        return {}
    if gemini.levels:
        return _think_by_level(draft, effort, budget)
    if gemini.budget is not None:
        return _think_by_budget(draft, gemini.budget, effort, budget)
    if effort not in (None, "none") or budget:
        draft.dropped.append(_EFFORT if effort is not None else _BUDGET)
    return {}


def _think_by_level(draft: Draft, effort: str | None, budget: int | None) -> JsonObject:
    levels = draft.gemini.levels
    if budget is not None:
        draft.dropped.append(_BUDGET)
    if effort is None:
        # no level stops thinking altogether; the lowest comes nearest to a budget of 0
        reaching = (level for level in LEVELS[1:] if _BUDGETS[level] >= (budget or 0))
        effort = next(reaching, LEVELS[-1]) if budget else LEVELS[0]
    if effort in levels:
        return {"thinkingLevel": effort}
    if draft.request.reasoning_effort is not None:
        draft.dropped.append(_EFFORT)
    if effort not in LEVELS:
        return {"thinkingLevel": levels[0] if effort == "none" else levels[-1]}
    above = LEVELS[LEVELS.index(effort) :]
    return {"thinkingLevel": next((level for level in above if level in levels), levels[-1])}


def _think_by_budget(draft: Draft, taken: Budget, effort: str | None, budget: int | None) -> JsonObject:
    if budget is not None and effort is not None:
        draft.dropped.append(_EFFORT)
    name = _EFFORT if budget is None else _BUDGET
    wished = budget if budget is not None else 0 if effort == "none" else _BUDGETS[effort or "medium"]
    fitted = 0 if wished == 0 and taken.can_stop else min(max(wished, taken.least), taken.most)
    # the efforts above ``high`` are those of other makers
    if fitted != wished or effort in ("xhigh", "max"):
        draft.dropped.append(name)
    return {"thinkingBudget": fitted}
