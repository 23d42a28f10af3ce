"""What an Anthropic client sends to ``/v1/messages`` and ``/v1/messages/count_tokens``, read into core types; the
messages and the tools have files of their own.

- ``thinking`` of type ``enabled`` is a budget, ``disabled`` the effort ``none``, ``adaptive`` an effort: that of
  ``output_config``, else ``high``, which is what Anthropic documents as the same as leaving it out. Other types, and
  members such as ``display``, stay in ``extra`` under ``thinking``.
- ``output_config.effort`` is the reasoning effort, unless thinking is disabled: it then only says how many words to
  make, and stays in ``extra``. ``output_config.format`` and the older ``output_format`` are the response format.
- ``metadata.user_id`` is the user, ``service_tier`` is told in OpenAI's words.
- An answer in this dialect always tells its usage, so a stream asks for it.
- ``thread`` is a conversation that Anthropic keeps. It is refused in the way that lets official clients send the turn
  again in full.

Everything else goes into ``extra`` by its own name.

Source: platform.claude.com/docs, "Messages" and "Count tokens" (API reference), "Effort", "Adaptive thinking",
"Structured outputs" (2026-11).
"""

from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.core.limits import MAX_MESSAGES, MAX_MODEL_ID_CHARS, MAX_STOP_SEQUENCES
from gateway.core.types import ChatRequest, ResponseFormat, raw_json
from gateway.dialects.anthropic_messages_content import read_messages, read_system
from gateway.dialects.anthropic_messages_tools import as_schema, read_tool_choice, read_tools
from gateway.dialects.contract import Envelope
from gateway.dialects.fields import (
    AnyObject,
    Decode,
    FieldError,
    Fields,
    as_count,
    as_flag,
    as_number,
    as_object,
    as_text,
    parse_body,
    put_back,
    read_body,
    require,
    rest,
    take,
    take_nested,
    unsupported,
)

_Model = Annotated[str, Meta(min_length=1, max_length=MAX_MODEL_ID_CHARS)]

_as_model: Decode[str] = msgspec.json.Decoder(_Model).decode
# zero is a budget: no reasoning
_as_budget: Decode[int] = msgspec.json.Decoder(Annotated[int, Meta(ge=0)]).decode
_as_stop: Decode[list[str]] = msgspec.json.Decoder(Annotated[list[str], Meta(max_length=MAX_STOP_SEQUENCES)]).decode

_NULL = Raw(b"null")
_ADAPTIVE_EFFORT = "high"
# Anthropic's words for service tiers that OpenAI has others for
_TIERS = {"standard_only": "default"}


# --- what routing needs -------------------------------------------------------------------------------------------


class _MessagesEnvelope(Envelope, kw_only=True):
    model: _Model
    messages: Annotated[list[AnyObject], Meta(min_length=1, max_length=MAX_MESSAGES)]
    thread: Raw = _NULL

    @property
    def is_bound(self) -> bool:
        """So is every turn of a thread, the first one included."""
        return bytes(self.thread) != b"null"


_as_envelope: Decode[_MessagesEnvelope] = msgspec.json.Decoder(_MessagesEnvelope).decode


def read_envelope(body: bytes) -> Envelope:
    """Model and stream flag. The other members are only checked to be JSON. Raises ``BadRequest``."""
    return parse_body(body, _as_envelope)


def read_counting_envelope(body: bytes) -> Envelope:
    """The same for token counting, which never streams. Raises ``BadRequest``."""
    envelope = read_envelope(body)
    envelope.stream = None
    return envelope


# --- the request --------------------------------------------------------------------------------------------------


def decode(body: bytes) -> ChatRequest:
    """The whole request. Raises ``BadRequest``."""
    return _decode(body, is_counting=False)


def decode_counting(body: bytes) -> ChatRequest:
    """The request whose tokens are to be counted: the same without a bound for the answer. Raises ``BadRequest``."""
    return _decode(body, is_counting=True)


def _decode(body: bytes, *, is_counting: bool) -> ChatRequest:
    return read_body(body, partial(_read_request, is_counting=is_counting))


def _read_request(fields: Fields, *, is_counting: bool) -> ChatRequest:
    _refuse(fields)
    thinking = take_nested(fields, "thinking", as_object, partial(_read_thinking, fields)) or _Thinking()
    output = take_nested(fields, "output_config", as_object, partial(_read_output, fields, thinking)) or _Output()
    tools, hosted_tools = read_tools(fields)
    tool_choice, parallel_tool_calls = read_tool_choice(fields)
    is_stream = (take(fields, "stream", as_flag) or False) and not is_counting
    return ChatRequest(
        model=require(fields, "model", _as_model),
        max_tokens=(take if is_counting else require)(fields, "max_tokens", as_count),
        messages=[*read_system(fields), *read_messages(fields)],
        stream=is_stream,
        include_usage=is_stream,
        tools=tools,
        hosted_tools=hosted_tools,
        tool_choice=tool_choice,
        parallel_tool_calls=parallel_tool_calls,
        temperature=take(fields, "temperature", as_number),
        top_p=take(fields, "top_p", as_number),
        stop=take(fields, "stop_sequences", _as_stop) or None,
        reasoning_effort=thinking.effort_beside(output.effort),
        reasoning_budget=thinking.budget,
        response_format=_read_response_format(fields, output),
        user=take_nested(fields, "metadata", as_object, partial(_read_metadata, fields)),
        extra=_read_extra(fields),
    )


def _refuse(fields: Fields) -> None:
    """What nobody else has, and what answers of this dialect have no place for."""
    given = rest(fields)
    if "thread" in given:
        raise FieldError("is kept by Anthropic alone; send the whole conversation", "thread", is_unsupported=True)
    for name, nothing in (("logprobs", b"false"), ("top_logprobs", b"0")):
        if name in given and bytes(given[name]) != nothing:
            raise FieldError("is no field of this API; a message tells no probabilities", name, is_unsupported=True)


def _read_metadata(fields: Fields, metadata: Fields) -> str | None:
    user = take(metadata, "user_id", as_text)
    put_back(fields, "metadata", metadata)
    return user


def _read_extra(fields: Fields) -> dict[str, Raw]:
    tier = take(fields, "service_tier", as_text)
    if tier is not None:
        fields["service_tier"] = raw_json(_TIERS.get(tier, tier))
    return rest(fields)


# --- thinking and output ------------------------------------------------------------------------------------------


class _Thinking(Struct):
    """``kind`` is the type of ``thinking``, empty without one."""

    kind: str = ""
    budget: int | None = None

    def effort_beside(self, effort: str | None) -> str | None:
        """The reasoning effort, where ``output_config`` asks for ``effort``."""
        if self.kind == "disabled":
            return "none"
        return effort or (_ADAPTIVE_EFFORT if self.kind == "adaptive" else None)


class _Output(Struct):
    effort: str | None = None
    format: ResponseFormat | None = None


def _read_thinking(fields: Fields, thinking: Fields) -> _Thinking:
    kind = require(thinking, "type", as_text)
    if kind not in ("enabled", "disabled", "adaptive"):
        thinking["type"] = raw_json(kind)
    budget = require(thinking, "budget_tokens", _as_budget) if kind == "enabled" else None
    put_back(fields, "thinking", thinking)
    return _Thinking(kind, budget)


def _read_output(fields: Fields, thinking: _Thinking, output: Fields) -> _Output:
    effort = take(output, "effort", as_text) if thinking.kind != "disabled" else None
    found = _Output(effort, take_nested(output, "format", as_object, _read_format))
    put_back(fields, "output_config", output)
    return found


def _read_response_format(fields: Fields, output: _Output) -> ResponseFormat | None:
    legacy = take_nested(fields, "output_format", as_object, _read_format)
    if legacy and output.format:
        raise FieldError("cannot stand beside 'output_config.format'", "output_format")
    return output.format or legacy


def _read_format(fields: Fields) -> ResponseFormat:
    kind = require(fields, "type", as_text)
    if kind != "json_schema":
        raise unsupported(kind, ("json_schema",))
    schema = require(fields, "schema", as_schema)
    for name in rest(fields):
        # it shapes the answer, and there is no ``extra`` to keep it in
        raise FieldError("cannot be translated", name[:64], is_unsupported=True)
    # the API knows no other way than to hold the model to the schema
    return ResponseFormat("json_schema", schema=schema, strict=True)
