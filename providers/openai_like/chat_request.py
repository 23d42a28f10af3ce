"""Requests for chat completions, for OpenAI and whoever speaks its language.

Decisions, each where a client's wish and the API do not meet:

- Messages have a file of their own (``chat_turns``), as has what vendors do differently (``chat_options``).
- Reasoning. A budget becomes the lowest effort that reaches it; an effort that a model of OpenAI is known not to have
  becomes the next one up, and is left out for models that do not reason. All of that is named.
- The newer models of OpenAI do not reason here beside function tools. Who comes nevertheless wants what the Responses
  API has not (``stop``, ``n``), which shapes the answer more than reasoning does: that is switched off, and named.
- ``temperature`` and ``top_p`` are dropped and named for OpenAI's models while they reason: they refuse both then.
- ``tool_choice`` with ``allowed`` offers only these tools where a vendor has no such choice. Without tools there is no
  choice to make and nothing to be called in parallel: the API refuses both fields.
- A tool of free text becomes a function; the grammar of its text is told in the description, and named.
- ``strict`` is false, and named, for a schema that OpenAI does not take as strict (``strict_schemas``); some that speak
  its language hand the request on to it, and others have the same rules.
- Tools that another vendor runs itself are dropped and named.
- ``user`` is for the vendor's statistics: one that is longer than the vendor takes is dropped and named.
- ``metadata`` belongs to stored answers and is dropped, and named, where the answer is not stored.

Source: OpenAI API reference, "Create chat completion" (2026-11).
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import ChatRequest, Extra, ResponseFormat, Tool
from providers.contract import ProviderRequest, Rule, apply_rules
from providers.openai_like.chat_options import ChatOptions
from providers.openai_like.chat_turns import JsonObject, write_messages
from providers.openai_like.openai_families import EFFORTS, find_family, fit_effort, reasons, takes_tools_in_chat
from providers.openai_like.strict_schemas import judge_strict

# OpenAI's own, which go up as they are.
NATIVE_FIELDS = frozenset(
    (
        *("audio", "frequency_penalty", "logit_bias", "logprobs", "modalities", "moderation", "n"),
        *("prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options"),
        *("prompt_cache_retention", "safety_identifier", "seed", "store", "top_logprobs", "verbosity"),
        "web_search_options",
    )
)
# Read below, beside the members of ``ChatRequest``.
_READ_FIELDS = frozenset(("metadata", "reasoning", "service_tier"))

_HOSTED = "what it stands for is kept at another vendor"
_RULES = (
    # state and tools of other APIs, without which the answer would be another one
    Rule("mcp_servers", harmless=(b"null", b"[]"), because="it does not call MCP servers itself"),
    Rule("previous_response_id", because=_HOSTED),
    Rule("conversation", because=_HOSTED),
    Rule("thread", because=_HOSTED),
    Rule("prompt", because=_HOSTED),
    Rule("background", harmless=(b"null", b"false"), because="it answers at once"),
    Rule("inference_geo", harmless=(b"null", b'"global"'), because="it does not let the place be chosen"),
    # only form, speed, storage and bookkeeping
    Rule("betas", drop=True),
    Rule("cache_control", drop=True),
    Rule("client_metadata", drop=True),
    Rule("container", drop=True),
    Rule("context_management", drop=True, harmless=(b"null", b"{}", b"[]")),
    Rule("include", drop=True, harmless=(b"null", b"[]")),
    Rule("max_tool_calls", drop=True),
    Rule("output_config", drop=True, harmless=(b"null", b"{}")),
    Rule("speed", drop=True, harmless=(b"null", b'"standard"')),
    Rule("stream_options", drop=True, harmless=(b"null", b"{}")),
    Rule("text", drop=True, harmless=(b"null", b"{}")),
    Rule("thinking", drop=True),
    Rule("truncation", drop=True, harmless=(b"null", b'"disabled"')),
)
RULES: Mapping[str, Rule] = {rule.field: rule for rule in _RULES}

# The thinking tokens up to which an effort goes, as in ``providers.claude.thinking``.
_BUDGETS = (("low", 4096), ("medium", 8192))
_FREE_TEXT = Raw(b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}')
# Anthropic's word for what OpenAI calls the default.
_TIERS = {"standard_only": "default"}

ToWire = Callable[[ChatRequest, str], ProviderRequest]


class _Draft(Struct):
    """``body`` grows into the API's members; ``dropped`` names fields of the client."""

    request: ChatRequest
    model: str
    options: ChatOptions
    extra: Extra  # without nulls
    body: JsonObject
    dropped: list[str]


def chat_writer(options: ChatOptions) -> ToWire:
    """``to_wire`` of a vendor with these options. It raises ``BadRequest`` and ``UnsupportedParameter``."""

    def to_wire(request: ChatRequest, model: str) -> ProviderRequest:
        draft = _draft(request, model, options)
        try:
            body = msgspec.json.encode(draft.body)
        except DECODE_ERRORS as error:
            raise BadRequest(f"the request cannot be written as JSON: {error}", param="messages") from None
        return ProviderRequest(body, (), tuple(dict.fromkeys(draft.dropped)))

    return to_wire


def _draft(request: ChatRequest, model: str, options: ChatOptions) -> _Draft:
    extra = {name: raw for name, raw in request.extra.items() if bytes(raw) != b"null"}
    known = NATIVE_FIELDS | (options.part_members & RULES.keys())
    foreign = {name: raw for name, raw in extra.items() if name not in known and name not in _READ_FIELDS}
    unknown = {name: raw for name, raw in foreign.items() if options.takes_unknown and name not in RULES}
    dropped = apply_rules(RULES, {n: raw for n, raw in foreign.items() if n not in unknown}, options.title)
    chat = write_messages(request.messages, options)
    body: JsonObject = {"model": model, "messages": chat.turns}
    draft = _Draft(request, model, options, extra, body, dropped + chat.dropped)
    for write in (_write_tools, _write_limits, _write_reasoning, _write_sampling, _write_format, _write_rest):
        write(draft)
    for name, raw in extra.items():
        # what the client calls differently has been written above
        if name in unknown or (name in known and (name, bytes(raw)) != ("store", b"false")):
            body.setdefault(name, raw)
    return draft


# --- tools ----------------------------------------------------------------------------------------------------------


def _write_tools(draft: _Draft) -> None:
    request, choice = draft.request, draft.request.tool_choice
    draft.dropped += [f"tools.{tool.kind}" for tool in request.hosted_tools or ()]
    allowed = choice.allowed if choice and not draft.options.has_allowed_tools else None
    tools = [_write_tool(draft, t) for t in request.tools or () if allowed is None or t.name in allowed]
    if tools:
        draft.body["tools"] = tools
        _write_tool_choice(draft)
        if request.parallel_tool_calls is False:
            draft.body["parallel_tool_calls"] = False
    elif choice and choice.mode in ("required", "tool"):
        raise BadRequest("'tool_choice' asks for a tool and none is offered", param="tool_choice")


def _write_tool(draft: _Draft, tool: Tool) -> JsonObject:
    function: JsonObject = {"name": tool.name}
    description = _describe(tool)
    if description is not None:
        function["description"] = description
    parameters = _FREE_TEXT if tool.parameters is None and tool.is_freeform else tool.parameters
    if parameters is not None:
        function["parameters"] = parameters
    if tool.strict is not None:
        function["strict"] = judge_strict(tool.strict, parameters, "tools.strict", draft.dropped)
    draft.dropped += [f"tools.{name}" for name in tool.extra]
    return {"type": "function", "function": function}


class _Grammar(Struct):
    definition: str
    syntax: str = ""


_read_grammar = msgspec.json.Decoder(_Grammar).decode


def _describe(tool: Tool) -> str | None:
    """With the grammar of free text: the model cannot be held to it here, but it can know it."""
    if not tool.is_freeform or "format" not in tool.extra:
        return tool.description
    try:
        grammar = _read_grammar(tool.extra["format"])
    except DECODE_ERRORS:
        return tool.description
    told = f"The input must follow this {grammar.syntax} grammar:\n{grammar.definition}"
    return f"{tool.description}\n\n{told}" if tool.description else told


def _write_tool_choice(draft: _Draft) -> None:
    choice = draft.request.tool_choice
    if choice is None:
        return
    written: object = choice.mode
    if choice.name is not None:
        written = _function(choice.name)
    elif choice.allowed is not None and draft.options.has_allowed_tools:
        tools = [_function(name) for name in choice.allowed]
        written = {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}
    draft.body["tool_choice"] = written


def _function(name: str) -> JsonObject:
    return {"type": "function", "function": {"name": name}}


# --- how much, and how ----------------------------------------------------------------------------------------------


def _write_limits(draft: _Draft) -> None:
    request, options = draft.request, draft.options
    if request.max_tokens is not None:
        draft.body[options.max_tokens_field] = request.max_tokens
    if request.stop:
        if options.max_stops is not None and len(request.stop) > options.max_stops:
            reason = f"{options.title} takes at most {options.max_stops} stop sequences"
            raise UnsupportedParameter(reason, param="stop")
        draft.body["stop"] = request.stop


def _write_reasoning(draft: _Draft) -> None:
    effort, budget = draft.request.reasoning_effort, draft.request.reasoning_budget
    if draft.options.has_reasoning_object:
        _write_reasoning_object(draft, effort, budget)
        return
    if "reasoning" in draft.extra:
        draft.dropped += apply_rules(RULES, {"reasoning": draft.extra["reasoning"]}, draft.options.title)
    if budget is not None:
        if budget:
            draft.dropped.append("reasoning.max_tokens")
        effort = effort or _effort_of(budget)
    fitted = None if effort is None else _fit_effort(draft, effort)
    is_openai, family = draft.options.has_openai_models, find_family(draft.model)
    if is_openai and "tools" in draft.body and not takes_tools_in_chat(family, fitted):
        fitted = "none"
        draft.dropped.append("reasoning_effort")
    if fitted is not None:
        draft.body["reasoning_effort"] = fitted


def _effort_of(budget: int) -> str:
    return next((effort for effort, reach in _BUDGETS if budget <= reach), "high") if budget else "none"


def _fit_effort(draft: _Draft, effort: str) -> str | None:
    """The effort that the model has; None for a model that does not reason."""
    if not draft.options.has_openai_models or effort not in EFFORTS:
        return effort
    family = find_family(draft.model)
    fitted = fit_effort(effort, family) if family.can_reason else None
    if fitted != effort and (family.can_reason or effort != "none"):
        draft.dropped.append("reasoning_effort")
    return fitted


def _write_reasoning_object(draft: _Draft, effort: str | None, budget: int | None) -> None:
    """OpenRouter takes either an effort or a budget, and makes of it what the model wants."""
    written: JsonObject = _read_object(draft, "reasoning")
    if budget is not None and effort is not None:
        draft.dropped.append("reasoning_effort")
    if budget == 0:
        written["enabled"] = False
    elif budget is not None:
        written["max_tokens"] = budget
    elif effort is not None:
        written["effort"] = effort
    if written:
        draft.body["reasoning"] = written


def _write_sampling(draft: _Draft) -> None:
    for name, value in (("temperature", draft.request.temperature), ("top_p", draft.request.top_p)):
        if value is None:
            continue
        if not _reasons(draft):
            draft.body[name] = value
        elif value != 1:
            draft.dropped.append(name)


def _reasons(draft: _Draft) -> bool:
    """Is it certain that the model will reason?"""
    family, effort = find_family(draft.model), draft.body.get("reasoning_effort")
    if not draft.options.has_openai_models or not family.is_known:
        return False
    return reasons(family, effort)


# --- the rest -------------------------------------------------------------------------------------------------------


def _write_format(draft: _Draft) -> None:
    wanted = draft.request.response_format
    if wanted is None or wanted.kind == "text":
        return
    written: JsonObject = {"type": wanted.kind}
    if wanted.kind == "json_schema":
        written["json_schema"] = _write_schema(draft, wanted)
    draft.body["response_format"] = written


def _write_schema(draft: _Draft, wanted: ResponseFormat) -> JsonObject:
    # the name is required here and unknown in other APIs
    written: JsonObject = {"name": wanted.name or "response"}
    if wanted.schema is not None:
        written["schema"] = wanted.schema
    if wanted.description is not None:
        written["description"] = wanted.description
    if wanted.strict is not None:
        written["strict"] = judge_strict(wanted.strict, wanted.schema, "response_format.strict", draft.dropped)
    return written


def _write_rest(draft: _Draft) -> None:
    request, body, bound = draft.request, draft.body, draft.options.max_user_chars
    if request.user is not None:
        if bound is None or len(request.user) <= bound:
            body["user"] = request.user
        else:
            draft.dropped.append("user")
    if "metadata" in draft.extra:
        if draft.options.takes_unknown or bytes(draft.extra.get("store", b"")) == b"true":
            body["metadata"] = draft.extra["metadata"]
        else:
            draft.dropped.append("metadata")
    tier = draft.extra.get("service_tier")
    if tier is not None:
        body["service_tier"] = _write_tier(tier)
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}


def _write_tier(raw: Raw) -> object:
    try:
        tier = msgspec.json.decode(raw, type=str)
    except DECODE_ERRORS:
        raise BadRequest("'service_tier' must be a string", param="service_tier") from None
    return _TIERS.get(tier, raw)


def _read_object(draft: _Draft, name: str) -> dict[str, Any]:
    """A field of ``extra`` that must be a JSON object; empty when it is absent."""
    try:
        return msgspec.json.decode(draft.extra.get(name, b"{}"), type=dict[str, Any])
    except DECODE_ERRORS:
        raise BadRequest(f"{name!r} must be an object", param=name) from None
