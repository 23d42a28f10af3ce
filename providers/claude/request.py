"""Requests for the Messages API.

Decisions, each where a client's wish and the API do not meet:

- ``max_tokens`` is required: without the client's word it is all that the model may write.
- Reasoning effort and budget have a file of their own (``thinking``), as have messages (``turns``), tools and JSON
  Schemas.
- Sampling. ``temperature`` ends at 1 and counts as unset there. What a model, or thinking, does not take is dropped and
  named; of two that exclude each other ``temperature`` stays.
- ``response_format`` ``json_schema`` is a structured output, and refused for models without; ``json_object`` has no
  counterpart and becomes a sentence in ``system``.
- ``user``, ``safety_identifier`` and ``metadata.user_id`` are ``metadata.user_id``, unless they are a mail address,
  which the API refuses.
- What only an API that keeps its answers can do (go on from an earlier one, answer later) is refused.

Fields in ``NATIVE_FIELDS`` are Anthropic's own and go up untouched; ``betas`` becomes the ``anthropic-beta`` header.

Source: platform.claude.com/docs, "Messages" (API reference), "Structured outputs" (2026-11).
"""

import re
from collections.abc import Mapping
from operator import attrgetter

import msgspec
from msgspec import Raw

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import ChatRequest, Extra, Header, ResponseFormat, raw_json
from providers.claude.draft import Draft, JsonObject, read_object, read_text
from providers.claude.models import find_claude
from providers.claude.schema import OpenObjectError, constrained
from providers.claude.thinking import write_thinking
from providers.claude.tools import write_tools
from providers.claude.turns import write_turns
from providers.contract import ProviderRequest, Rule, apply_rules

NATIVE_FIELDS = frozenset(
    (
        "cache_control",
        "container",
        "context_management",
        "inference_geo",
        "mcp_servers",
        "output_config",
        "speed",
        "thinking",
        "top_k",
    )
)
# Read below, beside the members of ``ChatRequest``.
_READ_FIELDS = frozenset(("betas", "metadata", "safety_identifier", "service_tier", "web_search_options"))
_OWN_FIELDS = NATIVE_FIELDS | _READ_FIELDS

_FILES_BETA = "files-api-2025-04-14"
_BETA = re.compile(r"[A-Za-z0-9._-]{1,100}")
_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_MAIL_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_JSON_ONLY = "Answer with one valid JSON object and nothing else: no text around it and no code fence."

_RULES = (
    Rule("n", harmless=(b"null", b"1"), because="it writes one answer a request"),
    Rule("logprobs", harmless=(b"null", b"false"), because="it does not report probabilities"),
    Rule("top_logprobs", harmless=(b"null", b"0"), because="it does not report probabilities"),
    Rule("logit_bias", harmless=(b"null", b"{}"), because="its tokens cannot be weighted"),
    Rule("presence_penalty", harmless=(b"null", b"0", b"0.0"), because="it has no such penalty"),
    Rule("frequency_penalty", harmless=(b"null", b"0", b"0.0"), because="it has no such penalty"),
    Rule("modalities", harmless=(b"null", b'["text"]'), because="it answers in text only"),
    Rule("audio", because="it answers in text only"),
    Rule("moderation", because="it has no moderation to configure, and leaving it out would let through what it stops"),
    Rule("background", harmless=(b"null", b"false"), because="it answers at once or not at all"),
    Rule("previous_response_id", because="it keeps no answers to go on from"),
    Rule("conversation", because="it keeps no conversations"),
    Rule("prompt", because="it keeps no prompts"),
    # no promise anyway ("best effort"), or only speed, cost, storage and bookkeeping
    Rule("seed", drop=True),
    Rule("prediction", drop=True),
    Rule("store", drop=True, harmless=(b"null", b"false")),
    Rule("prompt_cache_key", drop=True),
    Rule("prompt_cache_retention", drop=True),
    Rule("prompt_cache_options", drop=True),
    Rule("stream_options", drop=True, harmless=(b"null", b"{}")),
    Rule("client_metadata", drop=True, harmless=(b"null", b"{}")),
    # a summary of the thoughts is all that is ever told of them (see ``thinking``)
    Rule("reasoning", drop=True, harmless=(b"null", b"{}")),
    Rule("reasoning.summary", drop=True, harmless=(b"null", b'"auto"')),
    # it always sends what the first asks for, and never cuts a prompt
    Rule("include", drop=True, harmless=(b"null", b"[]", b'["reasoning.encrypted_content"]')),
    Rule("truncation", drop=True, harmless=(b"null", b'"disabled"')),
    Rule("max_tool_calls", drop=True),
    # a wish for shorter or longer answers, which the model takes from the prompt
    Rule("verbosity", drop=True, harmless=(b"null", b'"medium"')),
)
_encode = msgspec.json.Encoder().encode
RULES: Mapping[str, Rule] = {rule.field: rule for rule in _RULES}
# Every member of a request but those that a conversation alone is made of.
_CONVERSATION = ("model", "messages", "stream", "include_usage", "max_tokens", "temperature")
_options_of = attrgetter(*(name for name in ChatRequest.__struct_fields__ if name not in _CONVERSATION))
_NO_OPTIONS = _options_of(ChatRequest(model="", messages=[]))


def to_wire(request: ChatRequest, model: str, provider: str = "anthropic") -> ProviderRequest:
    """``provider`` is the name in error messages. Raises ``BadRequest`` and ``UnsupportedParameter``."""
    if _options_of(request) == _NO_OPTIONS:
        return _write_conversation_only(request, model, provider)
    return encode_draft(draft_request(request, model, provider))


def _write_conversation_only(request: ChatRequest, model: str, provider: str) -> ProviderRequest:
    """What ``draft_request`` comes to where no option is set, as in most requests, for half of what it costs."""
    claude = find_claude(model)
    chat = write_turns(request.messages, provider, has_system_turns=claude.has_system_turns)
    body: JsonObject = {"model": model, "max_tokens": request.max_tokens or claude.max_tokens}
    temperature = request.temperature
    if temperature is not None and temperature != 1:
        if temperature < 1 and claude.samplers and not claude.thinks_unasked:
            body["temperature"] = temperature
        else:
            chat.dropped.append("temperature")
    if chat.system:
        body["system"] = chat.system
    body["messages"] = chat.turns
    if request.stream:
        body["stream"] = True
    return _encode_request(body, [_FILES_BETA] if chat.has_files else [], chat.dropped)


def encode_draft(draft: Draft) -> ProviderRequest:
    """Raises ``BadRequest`` for raw members that are no JSON."""
    return _encode_request(draft.body, draft.betas, draft.dropped)


def _encode_request(body: JsonObject, betas: list[str], dropped: list[str]) -> ProviderRequest:
    headers: tuple[Header, ...] = (("anthropic-beta", ",".join(betas)),) if betas else ()
    try:
        encoded = _encode(body)
    except DECODE_ERRORS as error:
        raise BadRequest(f"the request cannot be written as JSON: {error}") from None
    return ProviderRequest(encoded, headers, tuple(dict.fromkeys(dropped)) if dropped else ())


def draft_request(request: ChatRequest, model: str, provider: str) -> Draft:
    """The request before it is encoded, for providers whose frame differs from Anthropic's."""
    claude = find_claude(model)
    extra = {name: raw for name, raw in request.extra.items() if bytes(raw) != b"null"} if request.extra else {}
    dropped = _apply_rules(extra, provider) if extra else []
    chat = write_turns(request.messages, provider, has_system_turns=claude.has_system_turns)
    body: JsonObject = {"model": model, "max_tokens": request.max_tokens or claude.max_tokens}
    draft = Draft(request, claude, provider, extra, chat, body, dropped=dropped + chat.dropped)
    if extra:
        _write_native(draft)
    write_tools(draft)
    thinks = write_thinking(draft)
    _write_sampling(draft, thinks)
    _write_format(draft)
    _write_conversation(draft)
    _write_rest(draft)
    return draft


def _apply_rules(extra: Extra, provider: str) -> list[str]:
    return apply_rules(RULES, {name: raw for name, raw in extra.items() if name not in _OWN_FIELDS}, provider)


def _write_native(draft: Draft) -> None:
    draft.body |= {name: raw for name, raw in draft.extra.items() if name in NATIVE_FIELDS}
    # OpenAI has a list of that name
    if bytes(draft.body.get("context_management", b"{"))[:1] == b"[":
        del draft.body["context_management"]
        draft.dropped.append("context_management")
    if "output_config" in draft.body:
        draft.output = read_object(draft, "output_config")


def _write_conversation(draft: Draft) -> None:
    body, chat = draft.body, draft.chat
    if chat.system:
        body["system"] = chat.system
    body["messages"] = chat.turns
    if chat.has_files:
        draft.betas.append(_FILES_BETA)


# --- sampling -------------------------------------------------------------------------------------------------------


def _write_sampling(draft: Draft, thinks: bool) -> None:
    temperature = _fit_temperature(draft)
    top_p = draft.request.top_p if draft.request.top_p != 1 else None
    samplers = draft.claude.samplers
    if temperature is not None and (thinks or not samplers):
        draft.dropped.append("temperature")
        temperature = None
    is_excluded = temperature is not None and samplers < 2
    # beside thinking the API takes a top_p between 0.95 and 1
    if top_p is not None and (is_excluded or not samplers or (thinks and top_p < 0.95)):
        draft.dropped.append("top_p")
        top_p = None
    if "top_k" in draft.body and (thinks or not samplers):
        del draft.body["top_k"]
        draft.dropped.append("top_k")
    if temperature is not None:
        draft.body["temperature"] = temperature
    if top_p is not None:
        draft.body["top_p"] = top_p


def _fit_temperature(draft: Draft) -> float | None:
    temperature = draft.request.temperature
    if temperature is not None and temperature > 1:
        draft.dropped.append("temperature")
    return temperature if temperature is not None and temperature < 1 else None


# --- the form of the answer -----------------------------------------------------------------------------------------


def _write_format(draft: Draft) -> None:
    wanted = draft.request.response_format
    if wanted is not None and wanted.kind == "json_schema" and wanted.schema is not None:
        schema = _fit_schema(draft, wanted, wanted.schema)
        if "format" in draft.output:
            draft.dropped.append("response_format")
        else:
            draft.output["format"] = {"type": "json_schema", "schema": schema}
    elif wanted is not None and wanted.kind == "json_object":
        draft.chat.system.append({"type": "text", "text": _JSON_ONLY})
    if draft.output:
        draft.body["output_config"] = draft.output


def _fit_schema(draft: Draft, wanted: ResponseFormat, schema: Raw) -> Raw:
    if not draft.claude.has_structured_output:
        reason = f"{draft.provider} has no structured output for this model"
        raise UnsupportedParameter(reason, param="response_format")
    try:
        fitted = constrained(schema)
        if not wanted.description:
            return fitted
        members = msgspec.json.decode(fitted, type=dict[str, Raw])
        return raw_json({"description": wanted.description, **members})
    except OpenObjectError:
        reason = f"{draft.provider} needs every object of the schema to name its properties"
        raise UnsupportedParameter(reason, param="response_format") from None
    except DECODE_ERRORS:
        raise BadRequest("the schema is not an object", param="response_format") from None


# --- the rest -------------------------------------------------------------------------------------------------------


def _write_rest(draft: Draft) -> None:
    request, body = draft.request, draft.body
    if request.stop:
        visible = [word for word in request.stop if word.strip()]
        if visible:
            body["stop_sequences"] = visible
        if len(visible) < len(request.stop):
            draft.dropped.append("stop")
    if request.user or draft.extra:
        _write_user(draft)
        _write_tier(draft)
        _write_betas(draft)
    if request.stream:
        body["stream"] = True


def _write_user(draft: Draft) -> None:
    metadata = read_object(draft, "metadata") if "metadata" in draft.extra else {}
    user_id = metadata.pop("user_id", None)
    if metadata:
        draft.dropped.append("metadata")
    candidates = {
        "metadata.user_id": user_id,
        "safety_identifier": read_text(draft, "safety_identifier"),
        "user": draft.request.user,
    }
    for name, value in candidates.items():
        if not value:
            continue
        # the first one counts
        is_taken = isinstance(value, str) and _MAIL_ADDRESS.search(value) is None
        if not is_taken or draft.body.setdefault("metadata", {"user_id": value})["user_id"] != value:
            draft.dropped.append(name)


def _write_tier(draft: Draft) -> None:
    tier = read_text(draft, "service_tier")
    if tier in _TIERS:
        draft.body["service_tier"] = _TIERS[tier]
    elif tier:
        draft.dropped.append("service_tier")


def _write_betas(draft: Draft) -> None:
    if "betas" not in draft.extra:
        return
    try:
        betas = msgspec.json.decode(draft.extra["betas"], type=list[str])
    except DECODE_ERRORS:
        betas = [""]
    if not all(_BETA.fullmatch(beta) for beta in betas):
        raise BadRequest("'betas' must be a list of names", param="betas")
    draft.betas = list(dict.fromkeys(draft.betas + betas))
