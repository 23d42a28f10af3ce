"""OpenAI's chat completions, with the rules that clients and gateways trip over.

Source: platform.openai.com/docs/api-reference/chat (2026-11).
"""

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.kit.vendors.mind import Question, Said, Tool, heard, pieces
from tests.kit.vendors.server import Json, Reply, require, require_known
from tests.kit.vendors.words import data, names

_FIELDS = names(
    "model messages stream stream_options max_tokens max_completion_tokens temperature top_p n stop seed logprobs "
    "top_logprobs logit_bias presence_penalty frequency_penalty tools tool_choice parallel_tool_calls functions "
    "function_call response_format reasoning_effort verbosity user metadata store service_tier modalities audio "
    "prediction web_search_options safety_identifier prompt_cache_key prompt_cache_retention prompt_cache_options "
    "moderation reasoning"
)
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# Models that take no function tools while they reason, and those of them that reason unless they are told not to.
_NO_TOOLS = re.compile(r"gpt-(5\.[4-9]|[6-9])")
_NO_TOOLS_UNASKED = re.compile(r"gpt-(5\.[6-9]|[6-9])")
_NOT_STRICT = names("default minLength maxLength oneOf allOf not if then else patternProperties uniqueItems examples")
_ROLES = ("system", "developer", "user", "assistant", "tool")
_USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 15,
    "total_tokens": 35,
    "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 7, "audio_tokens": 0},
}


def complete(body: Json, numbers: "itertools.count[int]", hear: Callable[[Question], Said]) -> Reply:
    _check(body)
    said = hear(_question(body))
    frame = {"id": f"chatcmpl-{next(numbers):04d}", "created": 1_790_000_000, "model": body["model"]}
    calls = [_call(call.tool, call.text, next(numbers)) for call in said.calls]
    if body.get("stream"):
        wants_usage = (body.get("stream_options") or {}).get("include_usage", False)
        return Reply(list(_stream(said, calls, frame, wants_usage=wants_usage)))
    message: Json = {"role": "assistant", "content": said.text or None, "refusal": None, "annotations": []}
    if calls:
        message["tool_calls"] = calls
    reason = "tool_calls" if calls else "stop"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    return Reply({**frame, "object": "chat.completion", "choices": [choice], "usage": _USAGE})


def _call(tool: Tool, text: str, number: int) -> Json:
    frame = {"id": f"call_{number:04d}"}
    if tool.schema is None:
        return {**frame, "type": "custom", "custom": {"name": tool.name, "input": text}}
    return {**frame, "type": "function", "function": {"name": tool.name, "arguments": text}}


def _stream(said: Said, calls: list[Json], frame: Json, *, wants_usage: bool) -> Iterator[bytes]:
    def chunk(delta: Json, reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        usage = {"usage": None} if wants_usage else {}
        return data({**frame, "object": "chat.completion.chunk", "choices": [choice], **usage})

    yield chunk({"role": "assistant", "content": None if calls else "", "refusal": None})
    yield from (chunk({"content": piece}) for piece in pieces(said.text))
    for index, call in enumerate(calls):
        kind = call["type"]
        member = "arguments" if kind == "function" else "input"
        text = call[kind][member]
        yield chunk({"tool_calls": [{"index": index, **call, kind: {**call[kind], member: ""}}]})
        for piece in pieces(text):
            yield chunk({"tool_calls": [{"index": index, kind: {member: piece}}]})
    yield chunk({}, "tool_calls" if calls else "stop")
    if wants_usage:
        yield data({**frame, "object": "chat.completion.chunk", "choices": [], "usage": _USAGE})
    yield b"data: [DONE]\n\n"


# --- what is asked ----------------------------------------------------------------------------------------------------


def _text(content: Any) -> str:
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


def _question(body: Json) -> Question:
    text, results = "", []
    for message in body["messages"]:
        if message["role"] == "user" and heard(_text(message["content"])):
            text, results = heard(_text(message["content"])), []
        elif message["role"] == "tool":
            results.append(_text(message["content"]))
    asked = body.get("response_format") or {}
    schema = asked["json_schema"].get("schema", {}) if asked.get("type") == "json_schema" else None
    return Question(
        text=text,
        results=tuple(results),
        tools=tuple(_tools(body)),
        choice=_choice(body.get("tool_choice") or "auto"),
        is_parallel=body.get("parallel_tool_calls") is not False,
        schema={"type": "object"} if asked.get("type") == "json_object" else schema,
    )


def _tools(body: Json) -> Iterator[Tool]:
    for tool in body.get("tools") or ():
        own = tool[tool["type"]]
        is_function = tool["type"] == "function"
        yield Tool(own["name"], own.get("parameters", {"type": "object"}) if is_function else None)


def _choice(choice: Any) -> str:
    if isinstance(choice, str):
        return "any" if choice == "required" else choice
    kind = choice["type"]
    if kind == "allowed_tools":
        return "any" if choice[kind]["mode"] == "required" else "auto"
    return f"={choice[kind]['name']}"


# --- rules ------------------------------------------------------------------------------------------------------------


def _check(body: Json) -> None:
    require_known(body, _FIELDS)
    require("stream_options" not in body or body.get("stream"), "stream_options is only allowed with stream")
    _check_effort(body)
    for tool in body.get("tools") or ():
        own = tool[tool["type"]]
        require(_TOOL_NAME.fullmatch(own["name"]), f"tools: bad name {own['name']!r}")
        check_strict(own.get("parameters"), f"function {own['name']}", is_strict=own.get("strict"))
    asked = body.get("response_format") or {}
    if asked.get("type") == "json_schema":
        named = asked["json_schema"]
        check_strict(named.get("schema"), "response_format", is_strict=named.get("strict"))
    open_calls: list[str] = []
    for number, message in enumerate(body["messages"]):
        require(message["role"] in _ROLES, f"messages[{number}]: bad role")
        if message["role"] == "tool":
            require(message["tool_call_id"] in open_calls, f"messages[{number}]: no such tool call before it")
            open_calls.remove(message["tool_call_id"])
            continue
        require(not open_calls, f"messages[{number}]: tool calls without answer: {open_calls}")
        open_calls = [call["id"] for call in message.get("tool_calls") or ()]
        require(all(len(id) <= 40 for id in open_calls), f"messages[{number}]: a call id is too long")
        is_said = message.get("content") is not None or message.get("tool_calls")
        require(is_said, f"messages[{number}]: content is missing")
    require(not open_calls, f"tool calls without answer: {open_calls}")


def _check_effort(body: Json) -> None:
    model, effort = body["model"], body.get("reasoning_effort")
    refusing = _NO_TOOLS_UNASKED if effort is None else _NO_TOOLS
    is_offered = any(tool["type"] == "function" for tool in body.get("tools") or ())
    require(
        not is_offered or effort == "none" or not refusing.search(model),
        f"Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. To use function "
        "tools, use /v1/responses or set reasoning_effort to 'none'.",
    )


def check_strict(schema: Any, place: str, *, is_strict: bool | None) -> None:
    """A strict schema is closed, requires everything and has no keyword that is not enforced."""
    if not is_strict or not isinstance(schema, dict):
        return
    for keyword in sorted(_NOT_STRICT.intersection(schema)):
        require(False, f"Invalid schema for {place}: {keyword!r} is not permitted")
    require("$ref" not in schema or len(schema) == 1, f"Invalid schema for {place}: $ref cannot have keywords")
    if schema.get("type") == "object":
        require(schema.get("additionalProperties") is False, f"Invalid schema for {place}: it must be closed")
        is_whole = set(schema.get("required", ())) == set(schema.get("properties", {}))
        require(is_whole, f"Invalid schema for {place}: all properties must be required")
    members = (*schema.get("properties", {}).values(), *schema.get("$defs", {}).values())
    for value in (*members, *schema.get("anyOf", ()), schema.get("items")):
        check_strict(value, place, is_strict=True)
