"""Requests with something in every field of a client's dialect, as its SDK would send them."""

import base64
import json
from collections.abc import Iterator
from typing import Any

from gateway.core.types import DialectName
from tests.kit.pairs import SCHEMA

Json = dict[str, Any]
Path = tuple[str | int, ...]

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = base64.b64encode(b"%PDF-1.4 tiny").decode()
ARGUMENTS = '{"a":[1,2.50,-3e2],"c":"é \\n 漢字"}'

CHAT: Json = {
    "model": "asked-for",
    "messages": [
        {"role": "system", "content": "system-word"},
        {"role": "developer", "content": [{"type": "text", "text": "developer-word"}], "name": "dev-name"},
        {
            "role": "user",
            "name": "user-name",
            "content": [
                {"type": "text", "text": "user-word"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"}},
            ],
        },
        {
            "role": "assistant",
            "content": "said-word",
            "reasoning_content": "thought-word",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": ARGUMENTS}},
                {"id": "call_2", "type": "function", "function": {"name": "find", "arguments": '{"q":"x"}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "result-word"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "second-word"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "more-word"}, {"type": "refusal", "refusal": "no"}]},
        {"role": "user", "content": "last-word"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {"name": "look", "description": "look-word", "parameters": SCHEMA, "strict": True},
        },
        {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "title": "title-word"}}},
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "look"}}]},
    },
    "parallel_tool_calls": False,
    "max_completion_tokens": 9001,
    "temperature": 0.25,
    "top_p": 0.75,
    "stop": ["stop-word"],
    "stream": True,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "schema-name", "description": "schema-word", "schema": SCHEMA, "strict": True},
    },
    "user": "user-id",
    "reasoning": {"exclude": True},
    "reasoning_effort": "low",
    "seed": 7001,
    "top_k": 41,
    "metadata": {"key": "metadata-word"},
    "service_tier": "flex",
    "verbosity": "low",
    "store": True,
    "prompt_cache_key": "cache-word",
    "prompt_cache_retention": "24h",
    "safety_identifier": "safety-word",
    "prediction": {"type": "content", "content": "prediction-word"},
    "web_search_options": {
        "search_context_size": "low",
        "user_location": {"type": "approximate", "approximate": {"city": "city-word", "country": "NO"}},
    },
    "some_day": {"new": "new-word"},
}

RESPONSES: Json = {
    "model": "asked-for",
    "instructions": "system-word",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "developer-word"}]},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "user-word"},
                {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "high"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
                {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "thought-word"}],
            "encrypted_content": "cHJvb2Y=",
        },
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "said-word", "annotations": []}],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": ARGUMENTS},
        {"type": "function_call", "call_id": "call_2", "name": "find", "namespace": "ns", "arguments": '{"q":1}'},
        {"type": "custom_tool_call", "call_id": "call_3", "name": "patch", "input": "patch-word"},
        {"type": "function_call_output", "call_id": "call_1", "output": "result-word"},
        {
            "type": "function_call_output",
            "call_id": "call_2",
            "output": [
                {"type": "input_text", "text": "second-word"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
            ],
        },
        {"type": "custom_tool_call_output", "call_id": "call_3", "output": "third-word"},
        {"role": "user", "content": "last-word"},
    ],
    "tools": [
        {"type": "function", "name": "look", "description": "look-word", "parameters": SCHEMA, "strict": True},
        {
            "type": "namespace",
            "name": "ns",
            "description": "ns-word",
            "tools": [{"type": "function", "name": "find", "description": "find-word", "parameters": SCHEMA}],
        },
        {
            "type": "custom",
            "name": "patch",
            "description": "patch-tool-word",
            "format": {"type": "grammar", "syntax": "lark", "definition": "grammar-word"},
        },
        {
            "type": "web_search",
            "filters": {"allowed_domains": ["domain-word.example"]},
            "search_context_size": "low",
            "user_location": {"type": "approximate", "city": "city-word"},
        },
        {"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-word"]}},
        {"type": "file_search", "vector_store_ids": ["store-word"]},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "max_output_tokens": 9001,
    "max_tool_calls": 17,
    "temperature": 0.25,
    "top_p": 0.75,
    "stream": True,
    "stream_options": {"include_obfuscation": False},
    "text": {
        "format": {"type": "json_schema", "name": "schema-name", "description": "d", "schema": SCHEMA, "strict": True},
        "verbosity": "low",
    },
    "reasoning": {"effort": "low", "summary": "detailed", "context": "all_turns"},
    "user": "user-id",
    "metadata": {"key": "metadata-word"},
    "client_metadata": {"key": "client-word"},
    "service_tier": "flex",
    "store": False,
    "include": ["reasoning.encrypted_content", "web_search_call.action.sources"],
    "truncation": "auto",
    "prompt_cache_key": "cache-word",
    "prompt_cache_retention": "24h",
    "safety_identifier": "safety-word",
    "context_management": [{"type": "compaction", "compact_threshold": 100000}],
    "some_day": {"new": "new-word"},
}

MESSAGES: Json = {
    "model": "asked-for",
    "max_tokens": 9001,
    "system": [{"type": "text", "text": "system-word", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "user-word", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                {
                    "type": "document",
                    "title": "a.pdf",
                    "context": "context-word",
                    "citations": {"enabled": True},
                    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                },
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "plain-word"},
                },
                {
                    "type": "search_result",
                    "source": "https://example.com/s",
                    "title": "found-title",
                    "content": [{"type": "text", "text": "found-word"}],
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "thought-word", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "cmVk"},
                {"type": "text", "text": "said-word"},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q-word"}},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": [1, 2.5]}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "is_error": True,
                    "content": [
                        {"type": "text", "text": "result-word"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                    ],
                },
                {"type": "text", "text": "reminder-word"},
            ],
        },
        {"role": "system", "content": "late-word"},
        {"role": "assistant", "content": "more-word"},
        {"role": "user", "content": "last-word"},
    ],
    "tools": [
        {
            "name": "look",
            "description": "look-word",
            "input_schema": SCHEMA,
            "strict": True,
            "cache_control": {"type": "ephemeral"},
            "input_examples": [{"a": [5]}],
        },
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3, "blocked_domains": ["blocked.example"]},
    ],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "temperature": 0.25,
    "top_p": 0.75,
    "top_k": 41,
    "stop_sequences": ["stop-word"],
    "stream": True,
    "metadata": {"user_id": "user-id", "more": "metadata-word"},
    "service_tier": "standard_only",
    "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
    "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
    "container": "container-word",
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "betas": ["beta-word"],
    "cache_control": {"type": "ephemeral"},
    "speed": "fast",
    "some_day": {"new": "new-word"},
}

RICH: dict[DialectName, Json] = {
    DialectName.OPENAI_CHAT: CHAT,
    DialectName.OPENAI_RESPONSES: RESPONSES,
    DialectName.ANTHROPIC_MESSAGES: MESSAGES,
}


# --- requests that differ in one place ------------------------------------------------------------------------------


def paths(value: Any, here: Path = ()) -> Iterator[Path]:
    """The place of every value inside, and of the whole."""
    yield here
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from paths(child, (*here, key))


def at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def replaced(value: Any, path: Path, new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def without(value: Any, path: Path) -> Any:
    """``value`` without what is at ``path``."""
    copy = json.loads(json.dumps(value))
    del at(copy, path[:-1])[path[-1]]
    return copy


def text(path: Path) -> str:
    return ".".join(map(str, path))
