"""What an OpenAI Responses client sends, read into core types; input, content and tools have files of their own.

Source: OpenAI API reference, "Create a model response" (2026-11).

What the gateway does itself is not asked of a provider: to keep an answer (``store``), to go on from an earlier one
(``previous_response_id``, ``conversation``), to return encrypted reasoning (``include``). Whoever resolves the second
puts the earlier items into ``input`` before the request is decoded; what is still there then cannot be honoured.
"""

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.core.limits import MAX_MESSAGES, MAX_MODEL_ID_CHARS
from gateway.core.types import ChatRequest, ResponseFormat, Role, raw_json
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
    shown,
    take,
    take_nested,
    unsupported,
)
from gateway.dialects.openai_responses_items import Transcript
from gateway.dialects.openai_responses_state import has_references
from gateway.dialects.openai_responses_tools import Toolbox, read_tool_choice
from gateway.dialects.openai_schemas import read_json_schema, refuse_rest

_Model = Annotated[str, Meta(min_length=1, max_length=MAX_MODEL_ID_CHARS)]

_as_model: Decode[str] = msgspec.json.Decoder(_Model).decode
_as_words: Decode[list[str]] = msgspec.json.Decoder(list[str]).decode
_as_natural: Decode[int] = msgspec.json.Decoder(Annotated[int, Meta(ge=0)]).decode


# --- what routing needs -------------------------------------------------------------------------------------------


class _Conversation(Struct):
    id: str


class ResponsesEnvelope(Envelope, kw_only=True):
    """``input`` may be absent where a provider keeps it, in a template (``prompt``) or an earlier answer."""

    model: _Model
    input: str | Annotated[list[AnyObject], Meta(max_length=MAX_MESSAGES)] | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: str | _Conversation | None = None

    @property
    def include_usage(self) -> bool:
        """A response always tells its usage."""
        return True

    @property
    def continues(self) -> str | None:
        """The id of the answer that this request goes on from."""
        return self.previous_response_id

    @property
    def conversation_id(self) -> str | None:
        return self.conversation.id if isinstance(self.conversation, _Conversation) else self.conversation

    @property
    def state_echo(self) -> dict[str, Raw]:
        """What the response object says of the state that the request goes on from, for ``ResponsesRequest.echo``."""
        named: dict[str, object] = {"previous_response_id": self.continues}
        if self.conversation_id is not None:
            named["conversation"] = {"id": self.conversation_id}
        return {name: raw_json(value) for name, value in named.items() if value is not None}

    def stands_alone(self, body: bytes) -> bool:
        is_stateful = self.is_stored or self.continues is not None or self.conversation_id is not None
        return not is_stateful and not has_references(body)

    @property
    def is_stored(self) -> bool:
        """May the answer be asked for later? So it is unless the client says no."""
        return self.store is not False

    @property
    def is_background(self) -> bool:
        """Shall the answer be made while nobody waits for it?"""
        return self.background is True


_as_envelope: Decode[ResponsesEnvelope] = msgspec.json.Decoder(ResponsesEnvelope).decode


class CountingEnvelope(ResponsesEnvelope):
    """Of a request whose tokens are to be counted: there is no answer to be kept."""

    @property
    def is_stored(self) -> bool:
        return False


_as_counting_envelope: Decode[CountingEnvelope] = msgspec.json.Decoder(CountingEnvelope).decode


def read_counting_envelope(body: bytes) -> CountingEnvelope:
    """As ``read_envelope``."""
    return parse_body(body, _as_counting_envelope)


def read_envelope(body: bytes) -> ResponsesEnvelope:
    """What routing and storing need. The other members are only checked to be JSON. Raises ``BadRequest``."""
    return parse_body(body, _as_envelope)


# --- the request --------------------------------------------------------------------------------------------------


class ResponsesRequest(ChatRequest, kw_only=True, omit_defaults=True):
    """A chat that is answered with a response object.

    ``echo`` holds members that the object repeats as the client sent them. Who resolves ``previous_response_id`` or
    ``conversation`` puts them in. ``response_id`` is the object's id when the gateway has chosen one; otherwise it is
    made from the provider's.
    """

    echo: dict[str, Raw] = {}
    response_id: str = ""


# what a response object repeats of its request; the model, the answer's format and the storing have rules of their own
_ECHOED = (
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
)
# members without a noun in the core types, and what they must be
_CHECKED: Mapping[str, Decode[Any]] = {
    "client_metadata": as_object,
    "max_tool_calls": as_count,
    "metadata": as_object,
    "prompt_cache_key": as_text,
    "safety_identifier": as_text,
    "service_tier": as_text,
}
_STATEFUL = ("previous_response_id", "conversation")
# values of ``include`` that are seen to for every provider
_LIKELY = "message.output_text.logprobs"
_ENCRYPTED = "reasoning.encrypted_content"
_NO_STATE = "names an earlier answer or conversation that could not be looked up; send the whole input instead"


def decode(body: bytes) -> ResponsesRequest:
    """The whole request. Raises ``BadRequest``."""
    return read_body(body, _read_request)


def _read_request(fields: Fields) -> ResponsesRequest:
    _refuse(fields)
    fields = rest(fields)
    echo = {name: fields[name] for name in _ECHOED if name in fields}
    _take_own(fields)
    toolbox = Toolbox()
    toolbox.take_tools(fields)
    transcript = Transcript(toolbox)
    transcript.take_items(fields, "instructions", Role.SYSTEM)
    transcript.take_items(fields, "input", Role.USER)
    if not transcript.messages:
        raise FieldError("must not be empty", "input")
    response_format = take_nested(fields, "text", as_object, partial(_read_text_options, fields))
    reasoning_effort = take_nested(fields, "reasoning", as_object, partial(_read_reasoning_options, fields))
    return ResponsesRequest(
        model=require(fields, "model", _as_model),
        messages=transcript.messages,
        stream=take(fields, "stream", as_flag) or False,
        include_usage=True,
        tools=toolbox.tools,
        hosted_tools=toolbox.hosted_tools,
        tool_choice=read_tool_choice(fields),
        parallel_tool_calls=take(fields, "parallel_tool_calls", as_flag),
        max_tokens=take(fields, "max_output_tokens", as_count),
        temperature=take(fields, "temperature", as_number),
        top_p=take(fields, "top_p", as_number),
        reasoning_effort=reasoning_effort,
        response_format=response_format,
        user=take(fields, "user", as_text),
        extra=_read_extra(fields),
        echo=echo,
    )


def _refuse(fields: Fields) -> None:
    """What neither the gateway nor a provider of another API can do."""
    if take(fields, "background", as_flag):
        raise FieldError(
            "cannot be true: answers are not made in the background here", "background", is_unsupported=True
        )
    for name in rest(fields):
        if name == "prompt":
            raise FieldError("refers to a template that only its provider has", name, is_unsupported=True)
        if name in _STATEFUL:
            raise FieldError(_NO_STATE, name, is_unsupported=True)


def _take_own(fields: Fields) -> None:
    """What the gateway sees to, whoever answers."""
    take(fields, "store", as_flag)
    # padding against traffic analysis is all that it asks for; no event of ours has any, which both values allow
    take(fields, "stream_options", as_object)
    likely = take(fields, "top_logprobs", _as_natural)
    included = take(fields, "include", _as_words) or []
    # without being included they are not told, whatever their number: ``top_logprobs`` alone asks for nothing
    if _LIKELY in included:
        fields["logprobs"] = raw_json(True)
        if likely is not None:
            fields["top_logprobs"] = raw_json(likely)
    if others := [word for word in included if word not in (_LIKELY, _ENCRYPTED)]:
        fields["include"] = raw_json(others)
    truncation = take(fields, "truncation", as_text)
    if truncation not in (None, "auto", "disabled"):
        raise FieldError(f"must be auto or disabled, not {shown(truncation)}", "truncation")
    if truncation == "auto":
        fields["truncation"] = raw_json(truncation)


def _read_extra(fields: Fields) -> Fields:
    for name, decode_member in _CHECKED.items():
        if name in fields:
            take({name: fields[name]}, name, decode_member)
    return rest(fields)


def _read_reasoning_options(fields: Fields, options: Fields) -> str | None:
    effort = take(options, "effort", as_text)
    put_back(fields, "reasoning", options)
    return effort


# --- the form of the answer ---------------------------------------------------------------------------------------


def _read_text_options(fields: Fields, options: Fields) -> ResponseFormat | None:
    found = take_nested(options, "format", as_object, _read_format)
    verbosity = take(options, "verbosity", as_text)
    if verbosity is not None:
        fields["verbosity"] = raw_json(verbosity)
    put_back(fields, "text", options)
    return found


def _read_format(fields: Fields) -> ResponseFormat:
    kind = require(fields, "type", as_text)
    if kind == "json_schema":
        found = read_json_schema(fields)
    elif kind in ("text", "json_object"):
        found = ResponseFormat(kind)
    else:
        raise unsupported(kind, ("text", "json_object", "json_schema"))
    refuse_rest(fields)
    return found
