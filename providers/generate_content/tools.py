"""Functions, Google's own tools, and the choice between them.

- ``auto`` among some functions offers only these. ``required`` among some, and one function by name, are ``ANY`` with
  ``allowedFunctionNames``.
- ``web_search``, ``web_fetch`` and ``code_execution`` have a counterpart of Google's; their settings and all other
  hosted tools are named as dropped. So is a search that must not leave its maker's index (``external_web_access``
  false): Google's is live. Older models take either functions or Google's tools: functions stay.
- A free-text tool is a function with one parameter ``input``.

Source: ai.google.dev/gemini-api/docs, "Function calling", "Grounding with Google Search", "URL context", "Code
execution", "Combine built-in tools and function calling" (2026-11).
"""

import msgspec
from msgspec import Raw

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest
from gateway.core.types import HostedTool, Tool, ToolChoice, raw_json
from providers.generate_content.draft import Draft, JsonObject, read_object
from providers.generate_content.schema import fit_schema
from providers.generate_content.turns import ORIGIN

_HOSTED = {"web_search": "googleSearch", "web_fetch": "urlContext", "code_execution": "codeExecution"}
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "tool": "ANY"}
# May a search of OpenAI's leave its index?
_LIVE = "external_web_access"
# Members of a hosted tool's definition that only say what it is.
_NAMES = frozenset(("type", "name", "cache_control"))
_FREEFORM = raw_json({"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]})


def write_tools(draft: Draft) -> None:
    choice = draft.request.tool_choice
    offered = choice.allowed if choice and choice.mode == "auto" else None
    functions = [_write_function(draft, t) for t in draft.request.tools or () if offered is None or t.name in offered]
    mixes = draft.gemini.mixes_tools and draft.house.mixes_tools
    hosted = _write_hosted(draft, is_possible=mixes or not functions)
    if functions:
        hosted.append({"functionDeclarations": functions})
    elif choice and choice.mode in ("required", "tool"):
        raise BadRequest("'tool_choice' asks for a tool and none is offered", param="tool_choice")
    if hosted:
        draft.body["tools"] = hosted
    config: JsonObject = {}
    if functions and choice:
        config["functionCallingConfig"] = _write_choice(choice)
    if functions and len(hosted) > 1:
        config["includeServerSideToolInvocations"] = True
    if config:
        draft.body["toolConfig"] = config
    if functions and draft.request.parallel_tool_calls is False:
        draft.dropped.append("parallel_tool_calls")


def _write_choice(choice: ToolChoice) -> JsonObject:
    written: JsonObject = {"mode": _MODES.get(choice.mode, "AUTO")}
    names = (choice.name,) if choice.name is not None else choice.allowed
    if names and written["mode"] == "ANY":
        written["allowedFunctionNames"] = list(names)
    return written


# --- functions ------------------------------------------------------------------------------------------------------


def _write_function(draft: Draft, tool: Tool) -> JsonObject:
    written: JsonObject = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    parameters = _FREEFORM if tool.is_freeform and tool.parameters is None else tool.parameters
    if parameters is not None:
        written["parametersJsonSchema"] = _write_parameters(draft, tool, parameters)
    if tool.strict:
        draft.dropped.append("tools.strict")
    draft.dropped += [f"tools.{name}" for name in tool.extra]
    return written


def _write_parameters(draft: Draft, tool: Tool, parameters: Raw) -> Raw:
    try:
        fitted, lost = fit_schema(parameters)
        members = msgspec.json.decode(fitted, type=dict[str, Raw])
    except DECODE_ERRORS:
        raise BadRequest(f"the parameters of tool {tool.name[:64]!r} are not an object", param="tools") from None
    draft.dropped += [f"tools.parameters.{keyword}" for keyword in lost]
    return fitted if "type" in members else raw_json({"type": "object", **members})


# --- Google's own tools ---------------------------------------------------------------------------------------------


def _write_hosted(draft: Draft, *, is_possible: bool) -> list[JsonObject]:
    written = [_write_hosted_tool(draft, tool) for tool in draft.request.hosted_tools or () if is_possible]
    if not is_possible:
        draft.dropped += [f"tools.{tool.kind}" for tool in draft.request.hosted_tools or ()]
    if "web_search_options" in draft.extra:
        options = read_object(draft, "web_search_options")
        draft.dropped += [f"web_search_options.{name}" for name in options] if is_possible else ["web_search_options"]
        written += [{"googleSearch": {}}] if is_possible else []
    kept: list[JsonObject] = []
    for one in written:
        if one and one not in kept:
            kept.append(one)
    return kept


def _write_hosted_tool(draft: Draft, tool: HostedTool) -> JsonObject:
    try:
        members = msgspec.json.decode(tool.value, type=dict[str, Raw])
    except DECODE_ERRORS:
        raise BadRequest(f"the definition of tool {tool.kind[:64]!r} is not an object", param="tools") from None
    if tool.origin is ORIGIN:
        return dict(members)
    name = _HOSTED.get(tool.kind)
    is_live = bytes(members.pop(_LIVE, b"true")) != b"false"
    if name is None or not is_live:
        draft.dropped.append(f"tools.{tool.kind}")
        return {}
    draft.dropped += [f"tools.{tool.kind}.{member}" for member in members if member not in _NAMES]
    return {name: {}}
