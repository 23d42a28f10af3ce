"""What an OpenAI response repeats of its request.

Source: OpenAI API reference, "The response object" of the Responses API (2026-11): every member is there, with OpenAI's
default where the request left it open.
"""

from typing import Any

import msgspec
from msgspec import Raw

from gateway.dialects.fields import Fields, rest
from gateway.dialects.one_line import on_one_line

Json = dict[str, Any]

# A function in the order of OpenAI's members, with its defaults.
_FUNCTION: Json = {"type": "function", "description": None, "name": None, "parameters": None, "strict": True}

_read_members = msgspec.json.Decoder(dict[str, Raw]).decode
_read_list = msgspec.json.Decoder(list[Raw]).decode


def read_echo(given: Fields) -> Json:
    """The members of a response that ``given``, which ``decode`` has found right, says or leaves open."""
    echo: Json = {
        "frequency_penalty": 0.0,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "parallel_tool_calls": True,
        "presence_penalty": 0.0,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
        "metadata": {},
    }
    echo |= {name: on_one_line(value) for name, value in given.items()}
    echo["reasoning"] = {"effort": None, "summary": None} | _members_of(given, "reasoning")
    echo["text"] = {"format": {"type": "text"}} | _members_of(given, "text")
    if "tools" in given:
        echo["tools"] = [_tool(raw) for raw in _read_list(on_one_line(given["tools"]))]
    return echo


def _members_of(given: Fields, name: str) -> Fields:
    return rest(_read_members(on_one_line(given[name]))) if name in given else {}


def _tool(raw: Raw) -> Raw | Json:
    """A function has all its members; other tools stay as the client wrote them."""
    members = rest(_read_members(raw))
    is_function = bytes(members.get("type", b'"function"')) == b'"function"'
    return {**_FUNCTION, **members} if is_function else raw
