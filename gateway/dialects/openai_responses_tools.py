"""The tools of an OpenAI Responses request, and the choice among them.

Source: OpenAI API reference, "Create a model response", ``tools`` and ``tool_choice`` (2026-11). A function stands flat
in its tool; a ``custom`` tool takes free text; a ``namespace`` holds functions and custom tools of its own. Every other
tool is run by the provider.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from gateway.core.limits import MAX_TOOLS
from gateway.core.types import DialectName, Extra, HostedTool, Tool, ToolChoice, raw_json
from gateway.dialects.fields import (
    Decode,
    FieldError,
    Fields,
    as_flag,
    as_object,
    as_text,
    as_text_or_object,
    each,
    nested,
    require,
    rest,
    shown,
    take,
    take_nested,
    unsupported,
)
from gateway.dialects.openai_schemas import take_schema

# the one parameter of a tool that takes free text, once it is a function
FREEFORM_PARAMETER: Final = "input"

_as_tools: Decode[list[Fields]] = msgspec.json.Decoder(Annotated[list[Fields], Meta(max_length=MAX_TOOLS)]).decode
# kinds that mean the same at several vendors; OpenAI dates some (``web_search_preview_2025_03_11``)
_WEB_SEARCH = re.compile(r"web_search(_preview)?(_20\d\d_\d\d_\d\d)?")
_MODES = ("auto", "none", "required")
_NEUTRAL_KINDS = {"code_interpreter": "code_execution"}


def flat_name(namespace: str | None, name: str) -> str:
    """A tool's name where there are no namespaces."""
    return f"{namespace}__{name}" if namespace else name


def peek_type(fields: Fields) -> str | None:
    """The object's ``type``, which stays in place so that the object can be kept as the client wrote it."""
    return take({"type": fields["type"]}, "type", as_text) if "type" in fields else None


# --- definitions --------------------------------------------------------------------------------------------------


class Toolbox:
    """The tools of a request, from ``tools`` and from items of the input. Agents repeat a definition with every turn:
    the last one of a name counts."""

    def __init__(self) -> None:
        self._tools: dict[str, Tool] = {}
        self._hosted: dict[bytes, HostedTool] = {}

    def take_tools(self, fields: Fields) -> None:
        """Adds what ``tools`` defines, removed from ``fields``."""
        take_nested(fields, "tools", _as_tools, lambda tools: each(tools, self._add))

    @property
    def tools(self) -> list[Tool] | None:
        return list(self._tools.values()) or None

    @property
    def hosted_tools(self) -> list[HostedTool] | None:
        return list(self._hosted.values()) or None

    def _add(self, fields: Fields) -> None:
        kind = peek_type(fields) or "function"
        if kind == "namespace":
            self._add_namespace(fields)
        elif kind in _READERS:
            self._add_tool(None, {}, fields)
        else:
            self._add_hosted(kind, fields)

    def _add_namespace(self, fields: Fields) -> None:
        namespace = require(fields, "name", as_text)
        description = take(fields, "description", as_text)
        shared: Extra = {"namespace_description": raw_json(description)} if description else {}
        nested(fields, "tools", _as_tools, lambda tools: each(tools, partial(self._add_tool, namespace, shared)))

    def _add_tool(self, namespace: str | None, shared: Extra, fields: Fields) -> None:
        kind = take(fields, "type", as_text) or "function"
        if kind not in _READERS:
            raise unsupported(kind, _READERS)
        tool = _READERS[kind](fields)
        tool.name, tool.namespace, tool.extra = flat_name(namespace, tool.name), namespace, shared | tool.extra
        earlier = self._tools.get(tool.name)
        if earlier is not None and earlier.namespace != namespace:
            raise FieldError(f"would be called {shown(tool.name)}, as another tool is", "name")
        self._tools[tool.name] = tool

    def _add_hosted(self, kind: str, fields: Fields) -> None:
        value = raw_json(fields)
        neutral = "web_search" if _WEB_SEARCH.fullmatch(kind) else _NEUTRAL_KINDS.get(kind, kind)
        self._hosted[bytes(value)] = HostedTool(neutral, value, DialectName.OPENAI_RESPONSES)


def _read_function(fields: Fields) -> Tool:
    return Tool(
        require(fields, "name", as_text),
        description=take(fields, "description", as_text),
        parameters=take_schema(fields, "parameters"),
        strict=take(fields, "strict", as_flag),
        extra=rest(fields),
    )


def _read_custom(fields: Fields) -> Tool:
    grammar = take_nested(dict(fields), "format", as_object, _read_grammar) or "The whole input of the tool, as text."
    schema = {
        "type": "object",
        "properties": {FREEFORM_PARAMETER: {"type": "string", "description": grammar}},
        "required": [FREEFORM_PARAMETER],
        "additionalProperties": False,
    }
    return Tool(
        require(fields, "name", as_text),
        description=take(fields, "description", as_text),
        parameters=raw_json(schema),
        is_freeform=True,
        extra=rest(fields),
    )


def _read_grammar(fields: Fields) -> str | None:
    """What a model is told that cannot be held to a grammar by its provider."""
    definition = take(fields, "definition", as_text)
    syntax = take(fields, "syntax", as_text) or "this"
    return (
        f"The whole input of the tool, as text that follows this grammar ({syntax}):\n{definition}"
        if definition
        else None
    )


_READERS: dict[str, Callable[[Fields], Tool]] = {"function": _read_function, "custom": _read_custom}


# --- the choice ---------------------------------------------------------------------------------------------------


def read_tool_choice(fields: Fields) -> ToolChoice | None:
    """``tool_choice``, removed from ``fields``. A provider-side tool cannot be forced: only its own provider knows what
    that would mean."""
    return take_nested(fields, "tool_choice", as_text_or_object, _read_choice)


def _read_choice(given: str | Fields) -> ToolChoice:
    if isinstance(given, str):
        if given not in _MODES:
            raise FieldError(f"must be none, auto, required or an object, not {shown(given)}")
        return ToolChoice(given)
    kind = require(given, "type", as_text)
    if kind == "allowed_tools":
        return _read_allowed(given)
    if kind not in _READERS:
        raise unsupported(kind, (*_READERS, "allowed_tools"))
    return ToolChoice("tool", name=take_flat_name(given))


def take_flat_name(fields: Fields) -> str:
    return flat_name(take(fields, "namespace", as_text), require(fields, "name", as_text))


def _read_allowed(fields: Fields) -> ToolChoice:
    mode = require(fields, "mode", as_text)
    if mode not in ("auto", "required"):
        raise FieldError(f"must be auto or required, not {shown(mode)}", "mode")
    names = nested(fields, "tools", _as_tools, lambda tools: each(tools, _read_allowed_name))
    return ToolChoice(mode, allowed=tuple(names))


def _read_allowed_name(fields: Fields) -> str:
    kind = take(fields, "type", as_text) or "function"
    if kind not in _READERS:
        raise unsupported(kind, _READERS)
    return take_flat_name(fields)
