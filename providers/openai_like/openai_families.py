"""What each family of OpenAI's models takes, whoever serves it. A model that takes less refuses the rest with a 400.

Sources: OpenAI model pages and guides "Reasoning models", "Using GPT-5" (2026-11).
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
    (r"gpt-5\.[2-4]", Family(reasons_unasked=False, efforts=_UP_TO_XHIGH)),
    (r"gpt-5\.5", Family(efforts=_UP_TO_XHIGH)),
    (r"gpt-5(?![\d.])", Family(efforts=("minimal", "low", "medium", "high"))),
    (r"gpt-\d", Family(efforts=_ALL)),
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


def fit_effort(effort: str, family: Family) -> str:
    """The least effort of the family that is no less than ``effort``, else its greatest."""
    if not family.efforts or effort in family.efforts:
        return effort
    above = EFFORTS[EFFORTS.index(effort) :]
    return next((word for word in above if word in family.efforts), family.efforts[-1])
