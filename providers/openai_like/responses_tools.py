"""Tools and tool choice for the Responses API.

- A function's ``strict`` defaults to true here and to false where the client comes from, so it is always told. It is
  false, and named, for a schema that the API does not take as strict (``strict_schemas``).
- A freeform tool is a ``custom`` tool.
- Of tools that a provider runs, the API's own go up as they are, and anybody's web search becomes ``web_search``. Those
  of other vendors have no counterpart and are named.

Source: OpenAI API reference, "Create a model response", ``tools`` and ``tool_choice`` (2026-11); guide "Web search".
"""

import msgspec
from msgspec import Raw

from gateway.core.errors import BadRequest
from gateway.core.types import HostedTool, Tool, ToolChoice
from providers.openai_like.responses_draft import Draft, JsonObject, is_own, read_object
from providers.openai_like.strict_schemas import judge_strict

_NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')
_STRICTLY_NONE = Raw(b'{"type":"object","properties":{},"required":[],"additionalProperties":false}')


def write_tools(draft: Draft) -> None:
    """Raises ``BadRequest`` and ``UnsupportedParameter``."""
    request = draft.request
    tools: list[JsonObject | Raw] = [_write_tool(draft, tool) for tool in request.tools or ()]
    for hosted in request.hosted_tools or ():
        if is_own(hosted):
            tools.append(hosted.value)
        elif hosted.kind == "web_search":
            tools.append(_write_web_search(draft, hosted))
        else:
            draft.dropped.append(f"tools.{hosted.kind}")
    if "web_search_options" in draft.extra:
        tools.append(_write_search_options(draft))
    if tools:
        draft.body["tools"] = tools
        if request.tool_choice is not None:
            draft.body["tool_choice"] = _write_choice(draft, request.tool_choice)
        if request.parallel_tool_calls is not None:
            draft.body["parallel_tool_calls"] = request.parallel_tool_calls
    elif request.tool_choice is not None and request.tool_choice.mode in ("required", "tool"):
        raise BadRequest("'tool_choice' asks for a tool and none is offered", param="tool_choice")


def _write_tool(draft: Draft, tool: Tool) -> JsonObject:
    written: JsonObject = {"type": "custom" if tool.is_freeform else "function", "name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    members = dict(tool.extra)
    if tool.is_freeform:
        grammar = members.pop("format", None)
        if grammar is not None:
            written["format"] = grammar
    else:
        none = _STRICTLY_NONE if tool.strict else _NO_PARAMETERS
        written["parameters"] = none if tool.parameters is None else tool.parameters
        written["strict"] = judge_strict(tool.strict is True, tool.parameters, "tools.strict", draft.dropped)
    draft.drop_members(members, "tools")
    return written


# --- the tool choice --------------------------------------------------------------------------------------------------


def _write_choice(draft: Draft, choice: ToolChoice) -> str | JsonObject:
    if choice.allowed is not None:
        tools = [_reference(draft, name) for name in choice.allowed]
        return {"type": "allowed_tools", "mode": choice.mode, "tools": tools}
    if choice.mode != "tool":
        return choice.mode
    if choice.name is None:
        raise BadRequest("'tool_choice' does not say which tool", param="tool_choice")
    return _reference(draft, choice.name)


def _reference(draft: Draft, name: str) -> JsonObject:
    if name in draft.freeform:
        return {"type": "custom", "name": name}
    functions = {tool.name for tool in draft.request.tools or ()}
    if name not in functions and any(hosted.kind == name for hosted in draft.request.hosted_tools or ()):
        return {"type": name}
    return {"type": "function", "name": name}


# --- web search -------------------------------------------------------------------------------------------------------


def _write_web_search(draft: Draft, hosted: HostedTool) -> JsonObject:
    """Anthropic's ``web_search_20250305`` and its successors. The API has no list of blocked domains, and a bound on
    the number of searches only for all its tools together."""
    options = read_object(hosted.value, "tools")
    tool: JsonObject = {"type": "web_search"}
    if options.get("allowed_domains"):
        tool["filters"] = {"allowed_domains": options["allowed_domains"]}
    if isinstance(options.get("user_location"), dict):
        tool["user_location"] = {"type": "approximate", **options["user_location"]}
    is_alone = len(draft.request.hosted_tools or ()) == 1
    known = {"type", "name", "allowed_domains", "user_location"}
    if is_alone and isinstance(options.get("max_uses"), int) and "max_tool_calls" not in draft.body:
        draft.body["max_tool_calls"] = options["max_uses"]
        known.add("max_uses")
    left = {name: Raw(msgspec.json.encode(value)) for name, value in options.items() if name not in known}
    draft.drop_members(left, "tools")
    return tool


def _write_search_options(draft: Draft) -> JsonObject:
    """``web_search_options`` of chat completions."""
    options = read_object(draft.extra["web_search_options"], "web_search_options")
    tool: JsonObject = {"type": "web_search"}
    if "search_context_size" in options:
        tool["search_context_size"] = options["search_context_size"]
    location = options.get("user_location")
    if isinstance(location, dict) and isinstance(location.get("approximate"), dict):
        tool["user_location"] = {"type": "approximate", **location["approximate"]}
    return tool
