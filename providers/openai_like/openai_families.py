"""What each family of OpenAI's models takes, whoever serves it. A model that takes less refuses the rest with a 400.

Sources: OpenAI model pages and guides "Reasoning models", "Using GPT-5" (2026-11). For tools in chat completions it is
the API's own refusal: "Function tools with reasoning_effort are not supported for gpt-5.6 in /v1/chat/completions. To
use function tools, use /v1/responses or set reasoning_effort to 'none'."
"""

import re
from functools import lru_cache

from msgspec import Struct

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_ALL = ("none", "low", "medium", "high", "xhigh", "max")
_UP_TO_XHIGH = ("none", "low", "medium", "high", "xhigh")
_CLASSIC = ("low", "medium", "high")


class Family(Struct, frozen=True, kw_only=True):
    """``efforts`` is empty where they are not known: another maker's model behind the same API, or a deployment under a
    name of its own. A wish for reasoning then goes up as it is."""

    # takes ``reasoning``, and encrypts what it thought
    can_reason: bool = True
    is_known: bool = True
    # reasons when it is not asked to; a reasoning model takes no temperature
    reasons_unasked: bool = True
    # chat completions take function tools while it reasons
    reasons_with_tools_in_chat: bool = True
    efforts: tuple[str, ...] = ()


# The first pattern found in the id decides. Ids come with many prefixes and suffixes (``openai/gpt-5-2025-08-07``).
_FAMILIES: tuple[tuple[str, Family], ...] = (
    (r"gpt-[34]|chatgpt-4|gpt-5[\d.]*-chat|gpt-audio|davinci|babbage", Family(can_reason=False, reasons_unasked=False)),
    (r"gpt-oss", Family(efforts=_CLASSIC)),
    (r"deep-research", Family(efforts=("medium",))),
    (r"(^|/)o\d|codex-mini|computer-use", Family(efforts=_CLASSIC)),
    (r"gpt-5-pro", Family(efforts=("high",))),
    (r"gpt-[\d.]+-pro", Family(efforts=("medium", "high", "xhigh"))),
    (r"gpt-5(\.1)?-codex(?!-max)", Family(efforts=_CLASSIC)),
    (r"codex", Family(efforts=("low", "medium", "high", "xhigh"))),
    (r"gpt-5\.1", Family(reasons_unasked=False, efforts=("none", "low", "medium", "high"))),
    (r"gpt-5\.[23]", Family(reasons_unasked=False, efforts=_UP_TO_XHIGH)),
    (r"gpt-5\.4", Family(reasons_unasked=False, reasons_with_tools_in_chat=False, efforts=_UP_TO_XHIGH)),
    (r"gpt-5\.5", Family(reasons_with_tools_in_chat=False, efforts=_UP_TO_XHIGH)),
    (r"gpt-5(?![\d.])", Family(efforts=("minimal", "low", "medium", "high"))),
    (r"gpt-\d", Family(reasons_with_tools_in_chat=False, efforts=_ALL)),
    (r"", Family(is_known=False, reasons_unasked=False)),
)
_PATTERNS = tuple((re.compile(pattern), family) for pattern, family in _FAMILIES)

# Models that ``POST /chat/completions`` refuses, and models that ``POST /responses`` refuses.
_RESPONSES_ONLY = re.compile(r"(^|/)(o\d+|gpt-[\d.]+)-pro|codex|deep-research|computer-use")
_CHAT_ONLY = re.compile(r"gpt-4o(-mini)?-(audio|search)|gpt-audio|gpt-[\d.]+-search")


@lru_cache(maxsize=256)
def find_family(model: str) -> Family:
    """The family of a model id; every id has one."""
    return next(family for pattern, family in _PATTERNS if pattern.search(model))


def speaks_chat(model: str) -> bool:
    """Does ``POST /chat/completions`` know the model?"""
    return _RESPONSES_ONLY.search(model) is None


def speaks_responses(model: str) -> bool:
    """Does ``POST /responses`` know the model?"""
    return _CHAT_ONLY.search(model) is None


def reasons(family: Family, effort: str | None) -> bool:
    """Does a model reason that is asked for ``effort``? None: for nothing."""
    return family.reasons_unasked if effort is None else effort != "none"


def takes_tools_in_chat(family: Family, effort: str | None) -> bool:
    """Does ``POST /chat/completions`` take function tools with ``effort``? Every family that does not while it reasons
    knows the effort ``none``."""
    return family.reasons_with_tools_in_chat or not reasons(family, effort)


def fit_effort(effort: str, family: Family) -> str:
    """The least effort of the family that is no less than ``effort``, else its greatest."""
    if not family.efforts or effort in family.efforts:
        return effort
    above = EFFORTS[EFFORTS.index(effort) :]
    return next((word for word in above if word in family.efforts), family.efforts[-1])
