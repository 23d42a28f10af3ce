"""How one vendor's chat completions differ from OpenAI's. The defaults are OpenAI's own ways.

Sources: OpenAI API reference, "Create chat completion"; openrouter.ai/docs, "API parameters" and "Reasoning tokens"
(2026-11); the bounds on lengths are from OpenAI's and OpenRouter's own error messages.
"""

import enum

from msgspec import Struct


class Replay(enum.StrEnum):
    """How thought of earlier turns goes back with its assistant message."""

    # OpenAI's chat keeps no thought between turns
    NOTHING = "nothing"
    # its text as ``reasoning_content``: DeepSeek, vLLM, llama.cpp, SGLang
    TEXT = "text"
    # with its proofs, as ``reasoning_details``: OpenRouter
    DETAILS = "details"


class ChatOptions(Struct, frozen=True, kw_only=True):
    """``title`` names the vendor in error messages. A bound of None means that the vendor has none that we know.

    ``part_members`` are members of a text part that the vendor takes beside the text. With ``takes_unknown`` fields
    that neither OpenAI nor another vendor we know has given a meaning go up as they are (``min_p``, ``provider``).
    """

    title: str = "the provider"
    max_tokens_field: str = "max_completion_tokens"
    max_stops: int | None = 4
    max_user_chars: int | None = 64
    max_call_id_chars: int | None = 40
    has_developer_role: bool = True
    # system messages after the first message that is none
    has_late_system: bool = True
    # ``tool_choice`` of the type ``allowed_tools``
    has_allowed_tools: bool = True
    # ``reasoning: {effort, max_tokens}`` in the place of ``reasoning_effort``
    has_reasoning_object: bool = False
    # its models are those of ``openai_families``, and refuse efforts and sampling that they do not have
    has_openai_models: bool = True
    takes_file_urls: bool = False
    takes_unknown: bool = False
    part_members: frozenset[str] = frozenset(("prompt_cache_breakpoint",))
    replay: Replay = Replay.NOTHING


# A server that speaks OpenAI's chat and is nobody in particular: vLLM, SGLang, llama.cpp, LM Studio. What it accepts is
# decided by its chat templates, many of which refuse a system message that is not the first.
COMPATIBLE = ChatOptions(
    max_tokens_field="max_tokens",
    max_stops=None,
    max_user_chars=128,
    max_call_id_chars=None,
    has_developer_role=False,
    has_late_system=False,
    has_allowed_tools=False,
    has_openai_models=False,
    takes_unknown=True,
    part_members=frozenset(),
    replay=Replay.TEXT,
)
