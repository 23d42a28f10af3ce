"""Requests for generateContent.

Decisions, each where a client's wish and the API do not meet:

- Reasoning has a file of its own (``thinking``), as have tools, messages (``turns``) and JSON Schemas (``schema``).
- ``response_format`` is a JSON answer, with a schema if there is one. Older models give none while functions are
  offered: a schema is then refused, and ``json_object`` becomes a sentence in the system instruction.
- More than five stop sequences are refused; empty ones are left out and named.
- ``logprobs`` and ``n`` have counterparts. Penalties of 0 are left out: some models refuse to be asked at all. A seed
  beyond 32 bits is dropped and named.
- There is no place for ``user`` and its like.

Google's own fields go up untouched under both of their spellings (``safety_settings``, ``safetySettings``), also out of
``extra_body.google``.

Source: ai.google.dev/api/generate-content; ai.google.dev/gemini-api/docs, "Structured outputs", "Flex inference",
"Priority inference" (2026-11).
"""

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import ChatRequest, Extra, ResponseFormat, raw_json
from providers.contract import ProviderRequest, Rule, apply_rules
from providers.generate_content.draft import Draft, House, JsonObject, read
from providers.generate_content.models import find_gemini
from providers.generate_content.schema import fit_schema
from providers.generate_content.thinking import write_thinking
from providers.generate_content.tools import write_tools
from providers.generate_content.turns import write_turns

GEMINI = House()
_BODY_FIELDS = {"safety_settings": "safetySettings", "cached_content": "cachedContent", "labels": "labels"}
_CONFIG_FIELDS = {
    "thinking_config": "thinkingConfig",
    "media_resolution": "mediaResolution",
    "response_modalities": "responseModalities",
    "image_config": "imageConfig",
    "speech_config": "speechConfig",
}
_NATIVE = {spelling for name, camel in (_BODY_FIELDS | _CONFIG_FIELDS).items() for spelling in (name, camel)}
# Read below and in ``thinking`` and ``tools``.
_READ = frozenset(
    (
        *("n", "seed", "top_k", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"),
        *("modalities", "service_tier", "reasoning", "web_search_options"),
    )
)
_OWN_FIELDS = _NATIVE | _READ
_MAX_STOPS = 5
_MAX_SEED = 2**31
_TIERS = {
    "auto": "",
    "default": "standard",
    "standard_only": "standard",
    **{tier: tier for tier in ("standard", "flex", "priority")},
}
_MODALITIES = {"text": "TEXT", "image": "IMAGE"}
_JSON = "application/json"
_JSON_ONLY = "Answer with one valid JSON object and nothing else: no text around it and no code fence."

_HOSTED = "what it stands for is kept elsewhere"
_RULES = (
    # state and tools of other APIs, without which the answer would be another one
    Rule("mcp_servers", harmless=(b"null", b"[]"), because="it does not call MCP servers itself"),
    Rule("previous_response_id", because=_HOSTED),
    Rule("conversation", because=_HOSTED),
    Rule("thread", because=_HOSTED),
    Rule("prompt", because=_HOSTED),
    Rule("background", harmless=(b"null", b"false"), because="it answers at once"),
    Rule("inference_geo", harmless=(b"null", b'"global"'), because="it does not let the place be chosen"),
    Rule("logit_bias", harmless=(b"null", b"{}"), because="its tokens cannot be weighted"),
    Rule("audio", because="it answers here with text and pictures"),
    Rule("moderation", because="it has no moderation to configure, and leaving it out would let through what it stops"),
    # only speed, cost, storage and bookkeeping
    Rule("container", drop=True),
    Rule("context_management", drop=True, harmless=(b"null", b"{}", b"[]")),
    Rule("prediction", drop=True),
    Rule("store", drop=True, harmless=(b"null", b"false")),
    Rule("prompt_cache_key", drop=True),
    Rule("prompt_cache_retention", drop=True),
    Rule("prompt_cache_options", drop=True),
    Rule("stream_options", drop=True, harmless=(b"null", b"{}")),
    # a wish for shorter or longer answers, which the model takes from the prompt
    Rule("verbosity", drop=True, harmless=(b"null", b'"medium"')),
)
RULES: Mapping[str, Rule] = {rule.field: rule for rule in _RULES}


class _ExtraBody(Struct, forbid_unknown_fields=True):
    google: dict[str, Raw]


_read_extra_body = msgspec.json.Decoder(_ExtraBody).decode


def to_wire(request: ChatRequest, model: str, house: House = GEMINI) -> ProviderRequest:
    """Raises ``BadRequest`` and ``UnsupportedParameter``. The model and whether to stream are said by the path."""
    draft = draft_request(request, model, house)
    return encode(draft.body, draft.dropped)


def encode(body: JsonObject, dropped: list[str]) -> ProviderRequest:
    """Raises ``BadRequest`` for a text that no JSON can hold."""
    try:
        return ProviderRequest(msgspec.json.encode(body), (), tuple(dict.fromkeys(dropped)))
    except DECODE_ERRORS as error:
        raise BadRequest(f"the request cannot be written as JSON: {error}", param="messages") from None


def draft_request(request: ChatRequest, model: str, house: House) -> Draft:
    """The request before it is encoded."""
    gemini = find_gemini(model)
    extra = {name: raw for name, raw in _opened(request.extra).items() if bytes(raw) != b"null"}
    foreign = {name: raw for name, raw in extra.items() if name not in _OWN_FIELDS}
    dropped = apply_rules(RULES, foreign, house.name)
    chat = write_turns(request.messages, house, gemini)
    draft = Draft(request, gemini, house, extra, chat, dropped=dropped + chat.dropped)
    _write_native(draft)
    write_tools(draft)
    write_thinking(draft)
    _write_format(draft)
    _write_sampling(draft)
    _write_modalities(draft)
    _write_rest(draft)
    _write_conversation(draft)
    return draft


def _opened(extra: Extra) -> Extra:
    """Google's OpenAI-compatible endpoint takes Google's own fields in ``extra_body.google``."""
    try:
        google = _read_extra_body(extra.get("extra_body", b"")).google
    except DECODE_ERRORS:
        return extra
    return {**{name: raw for name, raw in extra.items() if name != "extra_body"}, **google}


def _write_native(draft: Draft) -> None:
    for fields, place in ((_BODY_FIELDS, draft.body), (_CONFIG_FIELDS, draft.config)):
        for name, camel in fields.items():
            raw = draft.extra.get(name, draft.extra.get(camel))
            if raw is not None and (name != "labels" or draft.house.has_labels):
                place[camel] = raw
            elif raw is not None:
                draft.dropped.append(name)


def _write_conversation(draft: Draft) -> None:
    if draft.chat.system:
        draft.body["systemInstruction"] = {"parts": draft.chat.system}
    draft.body["contents"] = draft.chat.turns
    if draft.config:
        draft.body["generationConfig"] = draft.config


# --- sampling -------------------------------------------------------------------------------------------------------


def _write_sampling(draft: Draft) -> None:
    request, config = draft.request, draft.config
    values: JsonObject = {
        "maxOutputTokens": request.max_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": _whole(read(draft, "top_k", float)),
        "candidateCount": _read_count(draft),
        "presencePenalty": read(draft, "presence_penalty", float) or None,
        "frequencyPenalty": read(draft, "frequency_penalty", float) or None,
    }
    config |= {name: value for name, value in values.items() if value is not None}
    _write_seed(draft)
    _write_stops(draft)
    _write_logprobs(draft)


def _whole(number: float | None) -> float | None:
    """40 and not 40.0: the API counts in whole numbers."""
    return int(number) if number is not None and number.is_integer() else number


def _read_count(draft: Draft) -> int | None:
    count = read(draft, "n", int)
    if count is not None and count < 1:
        raise BadRequest("'n' must be at least 1", param="n")
    return count if count != 1 else None


def _write_seed(draft: Draft) -> None:
    seed = read(draft, "seed", int)
    if seed is not None and -_MAX_SEED <= seed < _MAX_SEED:
        draft.config["seed"] = seed
    elif seed is not None:
        draft.dropped.append("seed")


def _write_stops(draft: Draft) -> None:
    stops = [stop for stop in draft.request.stop or () if stop]
    if len(stops) > _MAX_STOPS:
        raise UnsupportedParameter(f"{draft.house.name} takes at most {_MAX_STOPS} stop sequences", param="stop")
    if stops:
        draft.config["stopSequences"] = stops
    if len(stops) < len(draft.request.stop or ()):
        draft.dropped.append("stop")


def _write_logprobs(draft: Draft) -> None:
    is_wanted, count = read(draft, "logprobs", bool), read(draft, "top_logprobs", int)
    if is_wanted:
        draft.config["responseLogprobs"] = True
        if count:
            draft.config["logprobs"] = count
    elif count:
        raise BadRequest("'top_logprobs' needs 'logprobs'", param="top_logprobs")


# --- the form of the answer -----------------------------------------------------------------------------------------


def _write_format(draft: Draft) -> None:
    wanted = draft.request.response_format
    if wanted is None or wanted.kind == "text":
        return
    has_functions = any("functionDeclarations" in tool for tool in draft.body.get("tools", ()))
    is_possible = draft.gemini.mixes_tools or not has_functions
    if wanted.schema is None and not is_possible:
        _ask_for_json(draft)
        return
    if not is_possible:
        reason = f"{draft.house.name} has no structured output beside functions for this model"
        raise UnsupportedParameter(reason, param="response_format")
    draft.config["responseMimeType"] = _JSON
    if wanted.schema is not None:
        draft.config["responseJsonSchema"] = _write_schema(draft, wanted, wanted.schema)


def _ask_for_json(draft: Draft) -> None:
    place = draft.chat.system if draft.gemini.has_system else draft.chat.turns[0].parts
    place.append({"text": _JSON_ONLY})


def _write_schema(draft: Draft, wanted: ResponseFormat, schema: Raw) -> Raw:
    try:
        fitted, lost = fit_schema(schema)
        members = msgspec.json.decode(fitted, type=dict[str, Raw])
    except DECODE_ERRORS:
        raise BadRequest("the schema is not an object", param="response_format") from None
    draft.dropped += [f"response_format.{keyword}" for keyword in lost]
    if not wanted.description or "description" in members or "$ref" in members:
        return fitted
    return raw_json({"description": wanted.description, **members})


def _write_modalities(draft: Draft) -> None:
    if "modalities" not in draft.extra:
        return
    try:
        wanted = msgspec.json.decode(draft.extra["modalities"], type=list[str])
    except DECODE_ERRORS:
        raise BadRequest("'modalities' must be a list of names", param="modalities") from None
    unknown = [word for word in wanted if word not in _MODALITIES]
    if unknown:
        raise UnsupportedParameter(f"{draft.house.name} does not answer in {unknown[0][:40]!r}", param="modalities")
    # text alone is what the API answers in anyway
    if wanted not in ([], ["text"]):
        draft.config.setdefault("responseModalities", [_MODALITIES[word] for word in wanted])


# --- the rest -------------------------------------------------------------------------------------------------------


def _write_rest(draft: Draft) -> None:
    tier = read(draft, "service_tier", str)
    written = _TIERS.get(tier) if tier and draft.house.has_service_tier else ""
    if written:
        draft.body["serviceTier"] = written
    elif tier and tier != "auto":
        draft.dropped.append("service_tier")
    if draft.request.user:
        draft.dropped.append("user")
