"""What each family of Gemini models takes. A model that takes less refuses the rest with a 400, so a request is fitted.

Sources: ai.google.dev/gemini-api/docs, "Thinking", "Gemini 3", "Thought signatures", "Combine built-in tools and
function calling", "Structured outputs", "OpenAI compatibility" (2026-11).
"""

import re
from functools import lru_cache

from msgspec import Struct

LEVELS = ("minimal", "low", "medium", "high")


class Budget(Struct, frozen=True):
    """The thinking tokens a model takes as ``thinkingBudget``. ``can_stop``: 0 is one of them."""

    least: int
    most: int
    can_stop: bool = True


class Gemini(Struct, frozen=True, kw_only=True):
    """One family. The defaults are those of the newest, which models to come resemble most."""

    # values of ``thinkingConfig.thinkingLevel``, rising
    levels: tuple[str, ...] = LEVELS
    # ``thinkingConfig.thinkingBudget`` instead
    budget: Budget | None = None
    # refuses a function call of the current turn that comes back without its thought signature
    checks_signatures: bool = True
    # functions may stand beside Google's own tools and beside JSON answers
    mixes_tools: bool = True
    # ``functionResponse.parts``: pictures and documents inside a result
    has_media_results: bool = True
    # ``systemInstruction``
    has_system: bool = True


def _old(*, budget: Budget | None = None, has_system: bool = True) -> Gemini:
    return Gemini(
        levels=(),
        budget=budget,
        checks_signatures=False,
        mixes_tools=False,
        has_media_results=False,
        has_system=has_system,
    )


# The first pattern found in the id decides.
_FAMILIES: tuple[tuple[str, Gemini], ...] = (
    (r"gemma-3", _old(has_system=False)),
    (r"gemini-(1|2\.0)|gemini-2\.5-.*(image|tts|audio)|gemini-exp|learnlm", _old()),
    (r"gemini-2\.5-pro", _old(budget=Budget(128, 32_768, can_stop=False))),
    (r"gemini-2\.5-flash-lite", _old(budget=Budget(512, 24_576))),
    (r"gemini-(2\.5|robotics-er-1)", _old(budget=Budget(1, 24_576))),
    (r"gemini-3\.\d+-flash.*image", Gemini(levels=("minimal", "high"), mixes_tools=False)),
    (r"gemini-.*(image|tts|audio)", Gemini(levels=(), mixes_tools=False)),
    (r"gemini-.*pro", Gemini(levels=("low", "medium", "high"))),
    (r"gemini", Gemini()),
    # another model behind the same API
    (r"", _old()),
)
_PATTERNS = tuple((re.compile(pattern), gemini) for pattern, gemini in _FAMILIES)


@lru_cache(maxsize=256)
def find_gemini(model: str) -> Gemini:
    """The family of a model id; every id has one."""
    return next(gemini for pattern, gemini in _PATTERNS if pattern.search(model))
