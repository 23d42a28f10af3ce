"""What each family of Claude models takes. A model that takes less refuses the rest with a 400, so a request is fitted.

Sources: the ``capabilities`` and ``max_tokens`` of ``GET /v1/models``; platform.claude.com/docs, "Thinking", "Effort",
"Structured outputs", "Mid-conversation system messages", "Migration guide" (2026-11).
"""

import re
from functools import lru_cache

from msgspec import Struct

EFFORTS = ("low", "medium", "high", "xhigh", "max")
_EFFORTS_46 = ("low", "medium", "high", "max")


class Claude(Struct, frozen=True, kw_only=True):
    """One family. The defaults are those of the newest, which models to come resemble most."""

    # the most it may write; sent when the client sets no bound, because the API insists on one
    max_tokens: int = 128_000
    # ``thinking`` of type enabled, with a budget
    thinks_by_budget: bool = False
    # ``thinking`` of type adaptive
    thinks_adaptively: bool = True
    # thinks when ``thinking`` is left out ...
    thinks_unasked: bool = True
    # ... and cannot be told not to
    always_thinks: bool = False
    # values of ``output_config.effort``
    efforts: tuple[str, ...] = EFFORTS
    # how many of ``temperature`` and ``top_p`` one request may set
    samplers: int = 0
    # ``output_config.format`` and strict tools
    has_structured_output: bool = True
    # ``system`` turns between the others
    has_system_turns: bool = True
    # ``tool_choice`` of type any or tool
    has_forced_tools: bool = True


def _old(*, max_tokens: int, thinks: bool = True, samplers: int = 2, structured: bool = False) -> Claude:
    return Claude(
        max_tokens=max_tokens,
        thinks_by_budget=thinks,
        thinks_adaptively=False,
        thinks_unasked=False,
        efforts=(),
        samplers=samplers,
        has_structured_output=structured,
        has_system_turns=False,
    )


# The first pattern found in the id decides. Ids come with many prefixes and suffixes (``claude-sonnet-4-5@20250929``,
# ``us.anthropic.claude-opus-4-6-v1``, ``claude-opus-4.8``); dots are read as dashes, and a date is no version.
_FAMILIES: tuple[tuple[str, Claude], ...] = (
    (r"(fable|mythos)-5-1(?!\d)|(opus|sonnet)-5-5(?!\d)", Claude(always_thinks=True, has_forced_tools=False)),
    (r"mythos-preview", Claude(always_thinks=True, has_system_turns=False)),
    (r"fable|mythos", Claude(always_thinks=True)),
    (r"(opus|sonnet|haiku)-[5-9](?!\d)", Claude()),
    (r"opus-4-8(?!\d)", Claude(thinks_unasked=False)),
    (r"opus-4-7(?!\d)", Claude(thinks_unasked=False, has_system_turns=False)),
    (
        r"(opus|sonnet)-4-6(?!\d)",
        Claude(thinks_by_budget=True, thinks_unasked=False, efforts=_EFFORTS_46, samplers=1, has_system_turns=False),
    ),
    (r"(opus|sonnet|haiku)-4-5(?!\d)", _old(max_tokens=64_000, samplers=1, structured=True)),
    (r"opus-4-1(?!\d)", _old(max_tokens=32_000, samplers=1, structured=True)),
    (r"opus-4|4-opus", _old(max_tokens=32_000)),
    (r"sonnet-4|4-sonnet|3-7-sonnet", _old(max_tokens=64_000)),
    (r"claude-3-5", _old(max_tokens=8_192, thinks=False)),
    (r"claude-(3|2|instant)", _old(max_tokens=4_096, thinks=False)),
    # a Claude yet to come: as the newest, but no longer than any model in service today
    (r"claude", Claude(max_tokens=32_000)),
    # another maker's model behind the same API
    (r"", _old(max_tokens=32_000, structured=True)),
)
_PATTERNS = tuple((re.compile(pattern), claude) for pattern, claude in _FAMILIES)


@lru_cache(maxsize=256)
def find_claude(model: str) -> Claude:
    """The family of a model id; every id has one."""
    name = model.replace(".", "-")
    return next(claude for pattern, claude in _PATTERNS if pattern.search(name))
