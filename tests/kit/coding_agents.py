"""Requests in the shape and size that coding agents send: Claude Code in Anthropic's dialect, Codex in Responses.

Sources: what Claude Code 2.1 and Codex CLI 0.169 send.
"""

import json
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

_PROSE = "Use it when the task asks for it, keep to the paths that you were given, and say plainly what you did. "


def _schema(*required: str, **properties: Json) -> Json:
    draft = "http://json-schema.org/draft-07/schema#"
    shape = {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}
    return {"$schema": draft, **shape}


_TEXT: Json = {"type": "string", "description": "A text"}
_COUNT: Json = {"type": "integer", "exclusiveMinimum": 0, "maximum": 9007199254740991}

# --- Claude Code ------------------------------------------------------------------------------------------------------

EPHEMERAL = {"type": "ephemeral"}
REMINDER = "<system-reminder>\nThis is only for you. Today is a fine day.\n</system-reminder>"
BETAS = (
    "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,"
    "thinking-token-count-2026-05-13,advanced-tool-use-2025-11-20,effort-2025-11-24"
)
CLAUDE_CODE_HEADERS = {
    "User-Agent": "claude-cli/2.1.328 (external, sdk-cli)",
    "Accept": "application/json",
    "Accept-Language": "*",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Sec-Fetch-Mode": "cors",
    "X-App": "cli",
    "X-Stainless-Lang": "js",
    "X-Stainless-Retry-Count": "0",
    "X-Stainless-Timeout": "600",
    "X-Claude-Code-Session-Id": "5b0f9a52-7a0e-4b8e-9f3c-0d8d3c2a1b11",
    "anthropic-dangerous-direct-browser-access": "true",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": BETAS,
}
_CLAUDE_CODE_TOOLS = {
    "Agent": _schema("description", "prompt", description=_TEXT, prompt=_TEXT, model={"enum": ["a", "b"]}),
    "AskUserQuestion": _schema("questions", questions={"type": "array", "items": _schema("q", q=_TEXT), "maxItems": 4}),
    "Bash": _schema("command", command=_TEXT, timeout={"type": "number"}, run_in_background={"type": "boolean"}),
    "Edit": _schema("file_path", "old_string", "new_string", file_path=_TEXT, old_string=_TEXT, new_string=_TEXT),
    "Glob": _schema("pattern", pattern=_TEXT, path=_TEXT),
    "Grep": _schema("pattern", pattern=_TEXT, **{"-n": {"type": "boolean"}, "-A": {"type": "number"}}),
    "Read": _schema("file_path", file_path=_TEXT, offset=_COUNT, limit=_COUNT),
    "Skill": _schema("skill", skill=_TEXT, args=_TEXT),
    "TodoWrite": _schema("todos", todos={"type": "array", "items": _schema("content", content=_TEXT)}),
    "ToolSearch": _schema("query", query=_TEXT, max_results={"type": "number", "default": 5}),
    "Write": _schema("file_path", "content", file_path=_TEXT, content=_TEXT),
}


def claude_code(model: str, *, prompt: str = "Please Read the notes.") -> Json:
    """Its first request: about 60 kB."""
    tools: list[Json] = [
        {"name": name, "description": f"{name}: {_PROSE * 20}", "input_schema": schema}
        for name, schema in _CLAUDE_CODE_TOOLS.items()
    ]
    deferred = {"name": "DeferredToolPlaceholder", "description": "Stands for more.", "input_schema": _schema()}
    user = {"device_id": "d" * 64, "account_uuid": "", "session_id": "5b0f9a52-7a0e-4b8e-9f3c-0d8d3c2a1b11"}
    return {
        "model": model,
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": REMINDER},
                    {"type": "text", "text": prompt, "cache_control": EPHEMERAL},
                ],
            },
            {"role": "system", "content": [{"type": "text", "text": "Skills may be loaded as you go."}]},
        ],
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.328.a1b; cc_entrypoint=sdk-cli;"},
            {"type": "text", "text": "You are an agent for the command line.", "cache_control": EPHEMERAL},
            {"type": "text", "text": _PROSE * 250, "cache_control": EPHEMERAL},
        ],
        "tools": [*tools, {**deferred, "defer_loading": True}],
        "metadata": {"user_id": json.dumps(user, separators=(",", ":"))},
        "max_tokens": 32000,
        "thinking": {"type": "adaptive", "display": "omitted"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "stream": True,
    }


def claude_code_results(content: list[Json], said: str) -> list[Json]:
    """What it appends to the conversation after an answer: the answer as it came, and the results of its calls."""
    results: list[Json] = [
        {"tool_use_id": block["id"], "type": "tool_result", "content": said, "is_error": False}
        for block in content
        if block["type"] == "tool_use"
    ]
    results[-1]["cache_control"] = EPHEMERAL
    reminder = {"type": "text", "text": REMINDER}
    return [{"role": "assistant", "content": content}, {"role": "user", "content": [*results, reminder]}]


def read_message(events: Iterable[Json]) -> tuple[list[Json], Json]:
    """Content blocks and the last ``message_delta`` of a stream, put together as the client does."""
    blocks: list[Json] = []
    ending: Json = {}
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            _grow(blocks[event["index"]], event["delta"])
        elif event["type"] == "message_delta":
            ending = event
    for block in blocks:
        if "partial" in block:
            block["input"] = json.loads(block.pop("partial") or "{}")
    return blocks, ending


def _grow(block: Json, delta: Json) -> None:
    kind = delta["type"]
    if kind == "input_json_delta":
        block["partial"] = block.get("partial", "") + delta["partial_json"]
    elif kind == "signature_delta":
        block["signature"] = delta["signature"]
    else:
        name = kind.removesuffix("_delta")
        block[name] = block[name] + delta[name]


# --- Codex ------------------------------------------------------------------------------------------------------------

_THREAD = "019a9f0e-55aa-7c31-9c8e-2f4be2f4c001"
CODEX_HEADERS = {
    "User-Agent": "codex_exec/0.169.0 (Debian 13.0.0; x86_64) dumb (codex_exec; 0.169.0)",
    "Accept": "text/event-stream",
    "originator": "codex_exec",
    "session-id": _THREAD,
    "thread-id": _THREAD,
    "x-client-request-id": _THREAD,
    "x-codex-window-id": f"{_THREAD}:0",
    "x-codex-turn-metadata": json.dumps({"turn_id": _THREAD, "sandbox": "seccomp", "workspaces": {"/w": {"git": {}}}}),
    "x-codex-beta-features": "multi_agent",
}
_GRAMMAR = (
    'start: begin_patch hunk+ end_patch\nbegin_patch: "*** Begin Patch" LF\nend_patch: "*** End Patch" LF?\n' * 12
)
NAMESPACE = "multi_agent_v1"


def _function(name: str, schema: Json) -> Json:
    schema = {key: value for key, value in schema.items() if key != "$schema"}
    return {
        "type": "function",
        "name": name,
        "description": f"{name}: {_PROSE * 8}",
        "strict": False,
        "parameters": schema,
    }


def _agents() -> Json:
    tools = [
        _function("spawn_agent", _schema("message", message=_TEXT, agent_type=_TEXT)),
        _function("close_agent", _schema("target", target=_TEXT)),
    ]
    return {"type": "namespace", "name": NAMESPACE, "description": "Several agents.", "tools": tools}


def _said(role: str, *texts: str) -> Json:
    content = [{"type": "input_text", "text": text} for text in texts]
    return {"type": "message", "id": f"msg_{_THREAD}", "role": role, "content": content}


def codex(model: str, *, prompt: str, has_tools_inside: bool = False) -> Json:
    """Its first request: about 40 kB. ``has_tools_inside`` as for its newest models: no ``tools``, but an item."""
    functions = [
        _function("exec_command", _schema("cmd", cmd=_TEXT, workdir=_TEXT, yield_time_ms={"type": "number"})),
        _function("write_stdin", _schema("session_id", session_id={"type": "number"}, chars=_TEXT)),
        _function("view_image", _schema("path", path=_TEXT)),
    ]
    freeform = {
        "type": "custom",
        "name": "apply_patch",
        "description": "Edits files; it takes no JSON.",
        "format": {"type": "grammar", "syntax": "lark", "definition": _GRAMMAR},
    }
    searching = {"type": "tool_search", "execution": "client", "description": "More tools.", "parameters": _schema()}
    web = {"type": "web_search", "external_web_access": False, "search_context_size": "medium"}
    items = [_said("developer", _PROSE * 200, "Approvals are off."), _said("user", "<environment_context/>")]
    if has_tools_inside:
        everything = {"type": "namespace", "name": "functions", "description": "All.", "tools": functions}
        items.insert(0, {"type": "additional_tools", "role": "developer", "tools": [everything, _agents()]})
    return {
        "model": model,
        "instructions": "",
        "input": [*items, _said("user", prompt)],
        "tools": [] if has_tools_inside else [*functions, freeform, searching, _agents(), web],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": _THREAD,
        "text": {"verbosity": "low"},
        "client_metadata": {"x-codex-installation-id": _THREAD},
    }


def codex_results(output: list[Json], said: str) -> list[Json]:
    """What it appends to the input after an answer."""
    replayed = [{**item, "content": None} if item["type"] == "reasoning" else item for item in output]
    calls = [item for item in output if item["type"] in ("function_call", "custom_tool_call")]
    results = [
        {"type": f"{call['type']}_output", "id": f"fco_{_THREAD}", "call_id": call["call_id"], "output": said}
        for call in calls
    ]
    return [*replayed, *results]
