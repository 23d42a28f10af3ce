"""Tools and the choice between them.

- ``tool_choice`` with ``allowed`` offers only these tools. A forced choice is refused for models that refuse it.
- What of a tool the API has no member for is named, such as the grammar of one that takes free text (``tools.format``).
- Tools that the provider runs have a file of their own (``hosted``).

Source: platform.claude.com/docs, "Tool use", "Strict tool use" (2026-11).
"""

import re

import msgspec
from msgspec import Raw

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import DialectName, Tool, raw_json
from providers.claude.draft import Draft, JsonObject
from providers.claude.hosted import write_hosted_tools
from providers.claude.schema import constrained

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_TOOL_MEMBERS = frozenset(
    ("cache_control", "defer_loading", "allowed_callers", "input_examples", "eager_input_streaming")
)


_read_schema = msgspec.json.Decoder(dict[str, Raw]).decode


def write_tools(draft: Draft) -> None:
    """Raises ``BadRequest`` and ``UnsupportedParameter``."""
    request = draft.request
    choice = request.tool_choice
    allowed = choice.allowed if choice else None
    tools: list[JsonObject | Raw] = []
    names = set()
    for tool in request.tools or ():
        if allowed is None or tool.name in allowed:
            names.add(tool.name)
            tools.append(_write_tool(draft, tool))
    if request.hosted_tools or "web_search_options" in draft.extra:
        tools += write_hosted_tools(draft, names, allowed)
    if tools:
        draft.body["tools"] = tools
        _write_tool_choice(draft)
    elif choice and choice.mode in ("required", "tool"):
        raise BadRequest("'tool_choice' asks for a tool and none is offered", param="tool_choice")


def _write_tool(draft: Draft, tool: Tool) -> JsonObject:
    if not _NAME.fullmatch(tool.name):
        reason = f"the name of tool {tool.name[:140]!r} must be 1 to 128 letters, digits, underscores and dashes"
        raise BadRequest(reason, param="tools")
    written: JsonObject = {"name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    schema = _typed(tool)
    if tool.strict:
        schema = _write_strict(draft, written, schema)
    written["input_schema"] = schema
    for name, raw in tool.extra.items():
        if name in _TOOL_MEMBERS and not (name == "defer_loading" and _lost_its_search(draft)):
            written[name] = raw
        else:
            draft.dropped.append(f"tools.{name}")
    return written


def _lost_its_search(draft: Draft) -> bool:
    """Would a deferred tool never be found, because the search that loads it is another maker's?"""
    hosted = draft.request.hosted_tools or ()
    return any(t.kind == "tool_search" and t.origin is not DialectName.ANTHROPIC_MESSAGES for t in hosted)


def _typed(tool: Tool) -> Raw:
    """The API insists on ``"type": "object"``, which OpenAI lets out."""
    if tool.parameters is None:
        return Raw(b'{"type":"object"}')
    try:
        members = _read_schema(tool.parameters)
    except DECODE_ERRORS:
        raise BadRequest(f"the parameters of tool {tool.name[:64]!r} are not an object", param="tools") from None
    return tool.parameters if "type" in members else raw_json({"type": "object", **members})


def _write_strict(draft: Draft, written: JsonObject, schema: Raw) -> Raw:
    try:
        fitted = constrained(schema) if draft.claude.has_structured_output else None
    except DECODE_ERRORS:
        fitted = None
    if fitted is None:
        draft.dropped.append("tools.strict")
        return schema
    written["strict"] = True
    return fitted


def _write_tool_choice(draft: Draft) -> None:
    choice, body = draft.request.tool_choice, draft.body
    mode = choice.mode if choice else "auto"
    if mode in ("required", "tool") and not draft.claude.has_forced_tools:
        reason = f"{draft.provider} does not let this model be forced to use a tool"
        raise UnsupportedParameter(reason, param="tool_choice")
    written: JsonObject = {"type": {"required": "any"}.get(mode, mode)}
    if choice and choice.name is not None:
        written["name"] = choice.name
    if draft.request.parallel_tool_calls is False and mode != "none":
        written["disable_parallel_tool_use"] = True
    if choice or len(written) > 1:
        body["tool_choice"] = written
