"""The tools of an Anthropic Messages request, read into core types.

A tool with an ``input_schema`` is a function of the client's. One with a dated type (``web_search_20250305``) is
defined by Anthropic, whether it runs there (``web_search``) or at the client (``bash``, ``text_editor``, ``computer``,
``memory``): its ``kind`` is the type without the date, and its definition stays as it is.

Source: platform.claude.com/docs, "Tool use", "Server tools", "Define tools" (2026-11).
"""

import re
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from gateway.core.limits import MAX_TOOLS
from gateway.core.types import DialectName, HostedTool, Tool, ToolChoice, raw_json
from gateway.dialects.fields import (
    Decode,
    FieldError,
    Fields,
    as_flag,
    as_object,
    as_text,
    check_object,
    require,
    rest,
    take,
    take_each,
    take_nested,
    unsupported,
)

_as_tools: Decode[list[Fields]] = msgspec.json.Decoder(Annotated[list[Fields], Meta(max_length=MAX_TOOLS)]).decode

_CUSTOM = "custom"
_DATE = re.compile(r"_[0-9]{8}\Z")
_CHOICE_MODES = {"auto": "auto", "any": "required", "tool": "tool", "none": "none"}


def as_schema(raw: bytes | Raw) -> Raw:
    """A JSON Schema, untouched, once it is known to be an object."""
    check_object(raw)
    return raw if isinstance(raw, Raw) else Raw(raw)


def read_tools(fields: Fields) -> tuple[list[Tool] | None, list[HostedTool] | None]:
    """The client's own tools, and those that Anthropic defines."""
    found = take_each(fields, "tools", _as_tools, _read_tool)
    tools = [tool for tool in found if isinstance(tool, Tool)]
    hosted = [tool for tool in found if isinstance(tool, HostedTool)]
    return tools or None, hosted or None


def _read_tool(fields: Fields) -> Tool | HostedTool:
    definition = dict(fields)
    kind = take(fields, "type", as_text) or _CUSTOM
    if kind != _CUSTOM:
        return HostedTool(_DATE.sub("", kind), raw_json(definition), DialectName.ANTHROPIC_MESSAGES)
    return Tool(
        require(fields, "name", as_text),
        description=take(fields, "description", as_text),
        parameters=require(fields, "input_schema", as_schema),
        strict=take(fields, "strict", as_flag),
        extra=rest(fields),
    )


def read_tool_choice(fields: Fields) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether calls may be made side by side: ``None`` unless that is forbidden."""
    return take_nested(fields, "tool_choice", as_object, _read_choice) or (None, None)


def _read_choice(given: Fields) -> tuple[ToolChoice, bool | None]:
    kind = require(given, "type", as_text)
    mode = _CHOICE_MODES.get(kind)
    if mode is None:
        raise unsupported(kind, _CHOICE_MODES)
    name = require(given, "name", as_text) if mode == "tool" else None
    is_serial = take(given, "disable_parallel_tool_use", as_flag)
    for unknown in rest(given):
        # it shapes the answer, and there is no ``extra`` to keep it in
        raise FieldError("cannot be translated", unknown[:64], is_unsupported=True)
    return ToolChoice(mode, name=name), False if is_serial else None
