"""How many tokens a request would have, asked of the API that would answer it.

The request is the one for a message, without what only shapes the answer. Source: platform.claude.com/docs, "Count
tokens in a Message" (API reference), "Token counting" (2026-11).
"""

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.types import ChatRequest, Event, Finish, FinishReason, Usage, UsageReport
from providers.claude.request import draft_request, encode_draft
from providers.claude.wire import NULL, broken, read_count, read_error_member
from providers.contract import ProviderRequest, Summary

# Members that the endpoint takes; all others are refused there and change no count.
_COUNTED = (
    "model",
    "system",
    "messages",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
    "context_management",
    "mcp_servers",
    "speed",
)


class _Answer(Struct):
    input_tokens: Raw = NULL
    error: Raw = NULL


_read_answer = msgspec.json.Decoder(_Answer).decode


def count_to_wire(request: ChatRequest, model: str, provider: str = "anthropic") -> ProviderRequest:
    """``provider`` is the name in error messages. Raises ``BadRequest`` and ``UnsupportedParameter``."""
    draft = draft_request(request, model, provider)
    draft.body = {name: draft.body[name] for name in _COUNTED if name in draft.body}
    return encode_draft(draft)


def read_counting(body: bytes) -> list[Event]:
    """``{"input_tokens": n}`` as a ``UsageReport`` and a ``Finish``."""
    try:
        summary = read_counting_summary(body)
    except ValueError:
        return [broken("the provider's answer could not be read")]
    if summary.fault is not None:
        return [summary.fault]
    if summary.usage is None:
        return [broken("the provider's answer is not a count of tokens")]
    return [UsageReport(summary.usage), Finish(FinishReason.STOP)]


def read_counting_summary(body: bytes) -> Summary:
    """The same for an answer that goes to its client as it is. ``ValueError`` when the body is no JSON object."""
    try:
        answer = _read_answer(body)
    except DECODE_ERRORS as error:
        raise ValueError(f"the answer is no JSON object: {error}") from None
    count = read_count(answer.input_tokens)
    if count is None and bytes(answer.error) != b"null":
        return Summary(fault=read_error_member(answer.error))
    return Summary(None if count is None else Usage(input_tokens=count))
