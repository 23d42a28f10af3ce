"""Requests for the Responses API.

Decisions, each where a client's wish and the API do not meet:

- Nothing is stored unless the client says ``store``: the API's default is to keep every answer. What a model thought
  then comes encrypted, and goes back that way (``responses_items``).
- ``max_tokens`` below 16 is refused, so it becomes 16, and is named.
- Effort is fitted to what the family of the model takes, a budget becomes an effort; both are named when they change.
  Models that cannot reason are not asked to. A summary of the thoughts is always asked for.
- A model that reasons takes no ``temperature`` and no ``top_p``; they are dropped and named.
- A format is strict only if the API takes its schema so (``strict_schemas``); it is named when it is not.
- Stop sequences, several answers, penalties and biases have no place here, and are refused.
- ``user`` ends at 64 characters; a longer one becomes its SHA-256, which is as good a name and the same every time.

Source: OpenAI API reference, "Create a model response" and "Get input token counts" (2026-11); guides "Reasoning
models", "Structured outputs", "Migrate to the Responses API".
"""

import hashlib
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import ChatRequest, Event, Finish, FinishReason, ResponseFormat, Usage, UsageReport
from providers.contract import ProviderRequest, Rule, Summary, apply_rules
from providers.openai_like.openai_families import EFFORTS, find_family, fit_effort, reasons
from providers.openai_like.responses_draft import Draft, JsonObject, read_as, read_text
from providers.openai_like.responses_items import write_items
from providers.openai_like.responses_tools import write_tools
from providers.openai_like.responses_wire import NULL, WireError, broken, count_of, fault_of, is_given
from providers.openai_like.strict_schemas import judge_strict

# Fields of the same name and meaning.
_SAME_FIELDS = (
    "max_tool_calls",
    "metadata",
    "moderation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "store",
    "truncation",
)
_OWN_FIELDS = frozenset((*_SAME_FIELDS, "logprobs", "service_tier", "top_logprobs", "verbosity", "web_search_options"))
# Members that count toward the prompt, or that the counting endpoint takes beside them.
_COUNTED = (
    "model",
    "input",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "text",
    "truncation",
)

_MIN_TOKENS = 16
_MAX_USER_CHARS = 64
# Thinking tokens up to which an effort is enough.
_BUDGETS = {"none": 0, "low": 4096, "medium": 8192, "high": 16_384, "xhigh": 32_768}
_TIERS = {"standard_only": "default"}

_HOSTED = "what it stands for is kept elsewhere"
_RULES = (
    # state and tools of other APIs, without which the answer would be another one
    Rule("mcp_servers", harmless=(b"null", b"[]"), because="it takes MCP servers as tools"),
    Rule("previous_response_id", because=_HOSTED),
    Rule("conversation", because=_HOSTED),
    Rule("thread", because=_HOSTED),
    Rule("prompt", because=_HOSTED),
    Rule("background", harmless=(b"null", b"false"), because="it answers at once"),
    Rule("inference_geo", harmless=(b"null", b'"global"'), because="it does not let the place be chosen"),
    Rule("n", harmless=(b"null", b"1"), because="it writes one answer a request"),
    Rule("logit_bias", harmless=(b"null", b"{}"), because="its tokens cannot be weighted here"),
    Rule("presence_penalty", harmless=(b"null", b"0", b"0.0"), because="it has no such penalty here"),
    Rule("frequency_penalty", harmless=(b"null", b"0", b"0.0"), because="it has no such penalty here"),
    Rule("modalities", harmless=(b"null", b'["text"]'), because="it answers in text only here"),
    Rule("audio", because="it answers in text only here"),
    # no promise anyway ("best effort"), or only form, speed and bookkeeping
    Rule("seed", drop=True),
    Rule("prediction", drop=True),
    Rule("container", drop=True),
    Rule("context_management", drop=True, harmless=(b"null", b"{}", b"[]")),
    Rule("stream_options", drop=True, harmless=(b"null", b"{}")),
)
RULES: Mapping[str, Rule] = {rule.field: rule for rule in _RULES}


def to_wire(request: ChatRequest, model: str, provider: str = "openai") -> ProviderRequest:
    """``provider`` is the name in error messages. Raises ``BadRequest`` and ``UnsupportedParameter``."""
    draft = _draft(request, model, provider)
    if request.stop:
        raise UnsupportedParameter(f"{provider} does not support stop sequences for this request", param="stop")
    _write_bounds(draft)
    _write_sampling(draft)
    _write_probabilities(draft)
    _write_rest(draft)
    return _encode(draft)


def _draft(request: ChatRequest, model: str, provider: str) -> Draft:
    extra = {name: raw for name, raw in request.extra.items() if bytes(raw) != b"null"}
    foreign = {name: raw for name, raw in extra.items() if name not in _OWN_FIELDS}
    freeform = frozenset(tool.name for tool in request.tools or () if tool.is_freeform)
    draft = Draft(request, find_family(model), provider, extra, {"model": model}, freeform)
    draft.dropped += apply_rules(RULES, foreign, provider)
    write_items(draft)
    draft.body["input"] = draft.items
    draft.body |= {name: extra[name] for name in _SAME_FIELDS if name in extra}
    write_tools(draft)
    _write_reasoning(draft)
    _write_text(draft)
    return draft


def _encode(draft: Draft) -> ProviderRequest:
    try:
        body = msgspec.json.encode(draft.body)
    except DECODE_ERRORS as error:
        raise BadRequest(f"the request cannot be written as JSON: {error}", param="messages") from None
    return ProviderRequest(body, dropped=tuple(dict.fromkeys(draft.dropped)))


# --- reasoning and sampling -------------------------------------------------------------------------------------------


def _write_reasoning(draft: Draft) -> None:
    asked = _asked_effort(draft)
    family = draft.family
    if asked is not None and family.can_reason:
        effort = fit_effort(asked, family)
        draft.body["reasoning"] = {"effort": effort} if effort == "none" else {"effort": effort, "summary": "auto"}
        if effort != asked and draft.request.reasoning_effort is not None:
            draft.dropped.append("reasoning_effort")
    elif asked not in (None, "none"):
        draft.dropped.append("reasoning_effort")
    thinks = draft.body.get("reasoning", {}).get("effort", "none") != "none"
    if thinks or (asked is None and family.can_reason and family.is_known):
        draft.body["include"] = ["reasoning.encrypted_content"]


def _asked_effort(draft: Draft) -> str | None:
    effort, budget = draft.request.reasoning_effort, draft.request.reasoning_budget
    if effort is not None and effort not in EFFORTS:
        raise BadRequest(f"'reasoning_effort' must be {', '.join(EFFORTS)}", param="reasoning_effort")
    if budget is None:
        return effort
    if budget:
        draft.dropped.append("reasoning.max_tokens")
    return effort or next((word for word, tokens in _BUDGETS.items() if tokens >= budget), "max")


def _write_sampling(draft: Draft) -> None:
    effort = draft.body.get("reasoning", {}).get("effort")
    for name in ("temperature", "top_p"):
        value = getattr(draft.request, name)
        if value is None:
            continue
        if not reasons(draft.family, effort):
            draft.body[name] = value
        elif value != 1:
            draft.dropped.append(name)


def _write_probabilities(draft: Draft) -> None:
    is_wanted, count = read_as(draft, "logprobs", bool), read_as(draft, "top_logprobs", int)
    if is_wanted:
        draft.body.setdefault("include", []).append("message.output_text.logprobs")
        if count:
            draft.body["top_logprobs"] = count
    elif count:
        raise BadRequest("'top_logprobs' needs 'logprobs'", param="top_logprobs")


# --- the form of the answer -------------------------------------------------------------------------------------------


def _write_text(draft: Draft) -> None:
    text: JsonObject = {}
    wanted = draft.request.response_format
    if wanted is not None and wanted.kind == "json_schema":
        text["format"] = _write_schema(draft, wanted)
    elif wanted is not None and wanted.kind == "json_object":
        text["format"] = {"type": "json_object"}
    verbosity = read_text(draft, "verbosity")
    if verbosity:
        text["verbosity"] = verbosity
    if text:
        draft.body["text"] = text


def _write_schema(draft: Draft, wanted: ResponseFormat) -> JsonObject:
    if wanted.schema is None:
        raise BadRequest("'response_format' has no schema", param="response_format")
    written: JsonObject = {"type": "json_schema", "name": wanted.name or "answer"}
    if wanted.description is not None:
        written["description"] = wanted.description
    strict = judge_strict(wanted.strict is True, wanted.schema, "response_format.strict", draft.dropped)
    return {**written, "schema": wanted.schema, "strict": strict}


# --- the rest ---------------------------------------------------------------------------------------------------------


def _write_bounds(draft: Draft) -> None:
    tokens = draft.request.max_tokens
    if tokens is None:
        return
    if tokens < _MIN_TOKENS:
        draft.dropped.append("max_tokens")
    draft.body["max_output_tokens"] = max(tokens, _MIN_TOKENS)


def _write_rest(draft: Draft) -> None:
    body, user = draft.body, draft.request.user
    body.setdefault("store", False)
    if user:
        body["user"] = user if len(user) <= _MAX_USER_CHARS else _digest(user)
    tier = read_text(draft, "service_tier")
    if tier:
        body["service_tier"] = _TIERS.get(tier, tier)
    if draft.request.stream:
        body["stream"] = True


def _digest(user: str) -> str:
    return hashlib.sha256(user.encode(errors="replace")).hexdigest()


# --- counting ---------------------------------------------------------------------------------------------------------


class _Count(Struct):
    input_tokens: msgspec.Raw = NULL
    error: msgspec.Raw = NULL


_read_count = msgspec.json.Decoder(_Count).decode


def count_to_wire(request: ChatRequest, model: str, provider: str = "openai") -> ProviderRequest:
    """The request for an answer, without what only shapes it. Raises ``BadRequest`` and ``UnsupportedParameter``."""
    draft = _draft(request, model, provider)
    draft.body = {name: draft.body[name] for name in _COUNTED if name in draft.body}
    return _encode(draft)


def read_count(body: bytes) -> list[Event]:
    """``{"object": "response.input_tokens", "input_tokens": n}`` as a ``UsageReport`` and a ``Finish``."""
    try:
        answer = _read_count(body)
    except DECODE_ERRORS:
        return [broken("the provider's answer could not be read")]
    if is_given(answer.error):
        return [fault_of(WireError(answer.error))]
    count = count_of(answer.input_tokens)
    if count is None:
        return [broken("the provider's answer is not a count of tokens")]
    return [UsageReport(Usage(input_tokens=count)), Finish(FinishReason.STOP)]


def read_count_summary(body: bytes) -> Summary:
    """The same for an answer that goes to its client as it is. ``ValueError`` when the body is no JSON object."""
    try:
        answer = _read_count(body)
    except DECODE_ERRORS as error:
        raise ValueError(f"the answer is no JSON object: {error}") from None
    count = count_of(answer.input_tokens)
    fault = fault_of(WireError(answer.error)) if is_given(answer.error) else None
    return Summary(None if count is None else Usage(input_tokens=count), fault=fault)
