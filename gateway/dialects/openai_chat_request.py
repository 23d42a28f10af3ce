"""What an OpenAI chat-completions client sends, read into core types; messages have a file of their own.

Source: OpenAI API reference, "Create chat completion" (2026-11), with what clients add to it: ``reasoning`` as an
object (OpenRouter) and the ``functions`` of 2023 that became tools. Members that have no noun in the core types go into
``extra`` maps; kinds of tools that have none are refused with ``UnsupportedParameter``, because leaving them out would
change the answer.
"""

from functools import partial
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.limits import MAX_MESSAGES, MAX_MODEL_ID_CHARS, MAX_STOP_SEQUENCES, MAX_TOOLS
from gateway.core.types import ChatRequest, Message, ResponseFormat, Role, Text, Tool, ToolChoice
from gateway.dialects.fields import (
    Decode,
    FieldError,
    Fields,
    as_count,
    as_flag,
    as_number,
    as_object,
    as_text,
    as_text_or_object,
    each,
    nested,
    put_back,
    read_body,
    require,
    rest,
    shown,
    take,
    take_each,
    take_nested,
    unsupported,
)
from gateway.dialects.openai_chat_messages import check_is_function, read_messages, read_name
from gateway.dialects.openai_schemas import read_json_schema, refuse_rest, take_schema

_Model = Annotated[str, Meta(min_length=1, max_length=MAX_MODEL_ID_CHARS)]

_as_model: Decode[str] = msgspec.json.Decoder(_Model).decode
_as_tools: Decode[list[Fields]] = msgspec.json.Decoder(Annotated[list[Fields], Meta(max_length=MAX_TOOLS)]).decode
# zero is a budget: no reasoning
_as_budget: Decode[int] = msgspec.json.Decoder(Annotated[int, Meta(ge=0)]).decode
_as_stop: Decode[str | list[str]] = msgspec.json.Decoder(
    str | Annotated[list[str], Meta(max_length=MAX_STOP_SEQUENCES)]
).decode


# --- the request --------------------------------------------------------------------------------------------------


def decode(body: bytes) -> ChatRequest:
    """The whole request. Raises ``BadRequest``."""
    return read_plain(body) or read_body(body, read_fields)


class _PlainMessage(Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, Meta(min_length=1)]


class _PlainStreamOptions(Struct, forbid_unknown_fields=True, gc=False):
    include_usage: bool | None = None


_PlainCount = Annotated[int, Meta(ge=1)] | None


class _PlainRequest(Struct, forbid_unknown_fields=True):
    model: _Model
    messages: Annotated[list[_PlainMessage], Meta(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool | None = None
    stream_options: _PlainStreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: _PlainCount = None
    max_completion_tokens: _PlainCount = None
    user: str | None = None


_as_plain: Decode[_PlainRequest] = msgspec.json.Decoder(_PlainRequest).decode
_ROLES = {role.value: role for role in Role}


def read_plain(body: bytes) -> ChatRequest | None:
    """A request of texts and a few options, as most are, decoded in one step; a third of what it costs field by field.
    None for any other, and for a wrong one, so that there is one place that names faults."""
    try:
        plain = _as_plain(body)
    except DECODE_ERRORS:
        return None
    options = plain.stream_options
    return ChatRequest(
        model=plain.model,
        messages=[Message(_ROLES[said.role], [Text(said.content)]) for said in plain.messages],
        stream=plain.stream is True,
        include_usage=options is not None and options.include_usage is True,
        max_tokens=plain.max_completion_tokens or plain.max_tokens,
        temperature=plain.temperature,
        top_p=plain.top_p,
        user=plain.user,
    )


def read_fields(fields: Fields) -> ChatRequest:
    """Any request. Raises ``FieldError``."""
    request = ChatRequest(
        model=require(fields, "model", _as_model),
        messages=read_messages(fields),
        stream=take(fields, "stream", as_flag) or False,
        max_tokens=take(fields, "max_tokens", as_count),
        temperature=take(fields, "temperature", as_number),
    )
    # most requests say no more
    if fields:
        _read_options(request, fields)
    return request


def _read_options(request: ChatRequest, fields: Fields) -> None:
    include_usage = take_nested(fields, "stream_options", as_object, partial(_read_stream_options, fields))
    reasoning = take_nested(fields, "reasoning", as_object, partial(_read_reasoning_options, fields))
    effort, request.reasoning_budget = reasoning or (None, None)
    request.include_usage = include_usage or False
    request.tools = _read_tools(fields)
    request.tool_choice = _read_tool_choice(fields)
    request.parallel_tool_calls = take(fields, "parallel_tool_calls", as_flag)
    request.max_tokens = take(fields, "max_completion_tokens", as_count) or request.max_tokens
    request.top_p = take(fields, "top_p", as_number)
    request.stop = _read_stop(fields)
    request.reasoning_effort = take(fields, "reasoning_effort", as_text) or effort
    request.response_format = take_nested(fields, "response_format", as_object, _read_response_format)
    request.user = take(fields, "user", as_text)
    request.extra = rest(fields)


def _read_stream_options(fields: Fields, options: Fields) -> bool:
    include_usage = take(options, "include_usage", as_flag)
    # padding against traffic analysis: our chunks never have any, which is what both values allow
    take(options, "include_obfuscation", as_flag)
    put_back(fields, "stream_options", options)
    return include_usage or False


def _read_reasoning_options(fields: Fields, options: Fields) -> tuple[str | None, int | None]:
    """OpenRouter's ``reasoning``: ``enabled`` alone means medium effort ("Reasoning tokens", openrouter.ai/docs)."""
    effort = take(options, "effort", as_text)
    budget = take(options, "max_tokens", _as_budget)
    enabled = take(options, "enabled", as_flag)
    if take(options, "exclude", as_flag):
        options["exclude"] = Raw(b"true")
    put_back(fields, "reasoning", options)
    if enabled is False:
        return "none", None
    if enabled and effort is None and budget is None:
        return "medium", None
    return effort, budget


def _read_stop(fields: Fields) -> list[str] | None:
    stop = take(fields, "stop", _as_stop)
    return [stop] if isinstance(stop, str) else stop or None


def _read_response_format(fields: Fields) -> ResponseFormat:
    kind = require(fields, "type", as_text)
    if kind == "json_schema":
        found = nested(fields, "json_schema", as_object, _read_json_schema)
    elif kind in ("text", "json_object"):
        found = ResponseFormat(kind)
    else:
        raise unsupported(kind, ("text", "json_object", "json_schema"))
    refuse_rest(fields)
    return found


def _read_json_schema(fields: Fields) -> ResponseFormat:
    found = read_json_schema(fields)
    refuse_rest(fields)
    return found


# --- tools --------------------------------------------------------------------------------------------------------


def _read_tools(fields: Fields) -> list[Tool] | None:
    tools = take_each(fields, "tools", _as_tools, _read_tool)
    functions = take_each(fields, "functions", _as_tools, _read_function)
    if tools and functions:
        raise FieldError("cannot stand beside 'tools'", "functions")
    return tools or functions or None


def _read_tool(fields: Fields) -> Tool:
    check_is_function(fields)
    tool = nested(fields, "function", as_object, _read_function)
    tool.extra |= rest(fields)
    return tool


def _read_function(fields: Fields) -> Tool:
    return Tool(
        require(fields, "name", as_text),
        description=take(fields, "description", as_text),
        parameters=take_schema(fields, "parameters"),
        strict=take(fields, "strict", as_flag),
        extra=rest(fields),
    )


# ``any`` is the word of Mistral and Anthropic; their clients write it here too.
_CHOICE_MODES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


def _read_tool_choice(fields: Fields) -> ToolChoice | None:
    choice = take_nested(fields, "tool_choice", as_text_or_object, _read_choice)
    legacy = take_nested(fields, "function_call", as_text_or_object, _read_legacy_choice)
    if choice and legacy:
        raise FieldError("cannot stand beside 'tool_choice'", "function_call")
    return choice or legacy


def _read_choice(given: str | Fields) -> ToolChoice:
    if isinstance(given, str):
        return _read_mode(given)
    kind = take(given, "type", as_text) or "function"
    if kind == "function":
        return ToolChoice("tool", name=nested(given, "function", as_object, read_name))
    if kind == "allowed_tools":
        return nested(given, "allowed_tools", as_object, _read_allowed)
    raise unsupported(kind, ("function", "allowed_tools"))


def _read_mode(word: str) -> ToolChoice:
    mode = _CHOICE_MODES.get(word)
    if mode is None:
        raise FieldError(f"must be none, auto, required or an object, not {shown(word)}")
    return ToolChoice(mode)


def _read_allowed(fields: Fields) -> ToolChoice:
    mode = require(fields, "mode", as_text)
    if mode not in ("auto", "required"):
        raise FieldError(f"must be auto or required, not {shown(mode)}", "mode")
    names = nested(fields, "tools", _as_tools, lambda tools: each(tools, _read_allowed_name))
    return ToolChoice(mode, allowed=tuple(names))


def _read_allowed_name(fields: Fields) -> str:
    check_is_function(fields)
    return nested(fields, "function", as_object, read_name)


def _read_legacy_choice(given: str | Fields) -> ToolChoice:
    return _read_mode(given) if isinstance(given, str) else ToolChoice("tool", name=read_name(given))
