"""The Responses API as surfaces: for clients that speak it, and for others whose request is better served there.

Chat completions lose what a model thought between two turns, take no document by URL and no picture in a tool's result,
do not let the newer models reason beside function tools, and do not know some models at all. Responses, in turn, know
neither stop sequences nor several answers: who wants these goes there without reasoning (``chat_request``).
"""

import re
from collections.abc import Callable
from functools import partial

from gateway.core.types import (
    ChatRequest,
    DialectName,
    Event,
    File,
    HostedTool,
    Image,
    Part,
    Reasoning,
    ToolResult,
)
from providers.contract import ProviderRequest, StreamObserver, Summary, Surface, Transducer, Translator
from providers.openai_like.openai_families import find_family, speaks_chat, speaks_responses, takes_tools_in_chat

# What official clients tell of themselves and of their session.
CHAT_HEADERS = ("openai-beta", "x-client-request-id")
RESPONSES_HEADERS = (*CHAT_HEADERS, "originator", "session-id", "thread-id")
RESPONSES_PREFIXES = ("x-codex-",)

_EMPTY_LIST = re.compile(rb"\[\s*\]")


def prefers_responses(request: ChatRequest, model: str) -> bool:
    """For OpenAI's own models: is the request better served as a response than as a chat completion?"""
    if not speaks_chat(model):
        return True
    if _needs_chat(request):
        return False
    return _asks_for_more(request) or _loses_its_tools(request, model) or any(map(_is_richer, _parts(request)))


def responses_surface(
    provider: str,
    *,
    suits: Callable[[ChatRequest, str], bool] | None = prefers_responses,
    serves: Callable[[str], bool] | None = speaks_responses,
) -> Surface:
    """``provider`` is the name in error messages."""
    return Surface(
        path="/responses",
        dialect=DialectName.OPENAI_RESPONSES,
        observer=_observer,
        read_summary=_read_summary,
        translator=Translator(partial(_to_wire, provider), _read_answer, _transducer),
        suits=suits,
        is_strict=True,
        serves=serves,
        forwarded_headers=RESPONSES_HEADERS,
        forwarded_prefixes=RESPONSES_PREFIXES,
    )


def counting_surface(provider: str) -> Surface:
    """How many tokens a request would have; ``provider`` is the name in error messages."""
    return Surface(
        path="/responses/input_tokens",
        dialect=DialectName.OPENAI_COUNTING,
        is_strict=True,
        read_summary=_read_count_summary,
        translator=Translator(partial(_count_to_wire, provider), _read_count),
        forwarded_headers=RESPONSES_HEADERS,
        forwarded_prefixes=RESPONSES_PREFIXES,
    )


# --- imported when first used: a gateway whose clients speak chat completions needs nothing of it -------------------


def _observer(strip_usage: bool) -> StreamObserver:
    from providers.openai_like.responses_stream import ResponsesStreamObserver

    return ResponsesStreamObserver(strip_usage)


def _read_summary(body: bytes) -> Summary:
    from providers.openai_like.responses_stream import read_responses_summary

    return read_responses_summary(body)


def _to_wire(provider: str, request: ChatRequest, model: str) -> ProviderRequest:
    from providers.openai_like.responses_request import to_wire

    return to_wire(request, model, provider=provider)


def _read_answer(body: bytes) -> list[Event]:
    from providers.openai_like.responses_answer import read_answer

    return read_answer(body)


def _transducer() -> Transducer:
    from providers.openai_like.responses_transducer import ResponsesTransducer

    return ResponsesTransducer()


def _count_to_wire(provider: str, request: ChatRequest, model: str) -> ProviderRequest:
    from providers.openai_like.responses_request import count_to_wire

    return count_to_wire(request, model, provider=provider)


def _read_count(body: bytes) -> list[Event]:
    from providers.openai_like.responses_request import read_count

    return read_count(body)


def _read_count_summary(body: bytes) -> Summary:
    from providers.openai_like.responses_request import read_count_summary

    return read_count_summary(body)


# --- what a request needs ---------------------------------------------------------------------------------------------


def _needs_chat(request: ChatRequest) -> bool:
    """Has it a wish that the Responses API would refuse?"""
    from providers.openai_like.responses_request import RULES

    if request.stop:
        return True
    rules = ((RULES.get(name), raw) for name, raw in request.extra.items())
    return any(rule and not rule.drop and bytes(raw).strip() not in rule.harmless for rule, raw in rules)


def _asks_for_more(request: ChatRequest) -> bool:
    return (
        request.reasoning_effort not in (None, "none")
        or bool(request.reasoning_budget)
        or any(tool.is_freeform for tool in request.tools or ())
        or any(map(_is_hosted_here, request.hosted_tools or ()))
    )


def _loses_its_tools(request: ChatRequest, model: str) -> bool:
    """Would chat completions refuse the tools of a request that does not ask for reasoning?"""
    effort = request.reasoning_effort if request.reasoning_budget is None else "none"
    return bool(request.tools) and not takes_tools_in_chat(find_family(model), effort)


def _is_hosted_here(tool: HostedTool) -> bool:
    return tool.kind == "web_search" or tool.origin is DialectName.OPENAI_RESPONSES


def _parts(request: ChatRequest) -> list[Part]:
    return [part for message in request.messages for part in message.parts]


def _is_richer(part: Part) -> bool:
    """Has chat completions no place for this content?"""
    if isinstance(part, Reasoning):
        return part.origin is DialectName.OPENAI_RESPONSES and bool(part.signature or part.redacted)
    if isinstance(part, ToolResult):
        return any(isinstance(inner, Image | File) for inner in part.parts)
    return isinstance(part, File) and part.url is not None
