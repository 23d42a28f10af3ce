"""What OpenRouter has beyond OpenAI's chat."""

import json
from typing import Any

from gateway.core.secret import Secret
from gateway.core.types import (
    Capability,
    ChatRequest,
    DialectName,
    File,
    Message,
    Reasoning,
    ReasoningDelta,
    Role,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
    raw_json,
)
from providers import load
from providers.openrouter import PROVIDER

SURFACE = PROVIDER.surfaces[Capability.CHAT][0]
MARK = raw_json({"type": "ephemeral"})


def send(*messages: Message, **members: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    assert SURFACE.translator is not None
    wire = SURFACE.translator.to_wire(ChatRequest(model="m", messages=list(messages), **members), "maker/model")
    return json.loads(wire.body), wire.dropped


def user(text: str) -> Message:
    return Message(Role.USER, [Text(text)])


def test_it_is_found_by_its_name_and_speaks_openais_chat() -> None:
    assert load("openrouter") is PROVIDER
    assert (SURFACE.path, SURFACE.dialect) == ("/chat/completions", DialectName.OPENAI_CHAT)
    assert PROVIDER.auth(Secret("sk-or-1")) == (("Authorization", "Bearer sk-or-1"),)
    assert PROVIDER.needs_key
    assert "http-referer" in SURFACE.forwarded_headers


def test_its_own_fields_go_up() -> None:
    own = {"provider": {"order": ["a"]}, "top_k": 5, "cache_control": {"type": "ephemeral"}, "models": ["b"]}
    sent, dropped = send(user("Hi"), max_tokens=9, extra={name: raw_json(value) for name, value in own.items()})
    assert dropped == ()
    assert {name: sent[name] for name in own} == own
    assert sent["max_tokens"] == 9


def test_texts_keep_their_marks_for_the_cache() -> None:
    part = Text("a long text", {"cache_control": MARK})
    sent, dropped = send(Message(Role.SYSTEM, [part]), user("Hi"))
    assert dropped == ()
    assert sent["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"}


def test_documents_go_by_their_url() -> None:
    sent, _ = send(Message(Role.USER, [File(url="https://example.com/a.pdf", filename="a.pdf")]))
    file = {"file_data": "https://example.com/a.pdf", "filename": "a.pdf"}
    assert sent["messages"][0]["content"] == [{"type": "file", "file": file}]


def test_reasoning_is_an_object() -> None:
    assert send(user("Hi"), reasoning_effort="high")[0]["reasoning"] == {"effort": "high"}
    assert send(user("Hi"), reasoning_budget=2000)[0]["reasoning"] == {"max_tokens": 2000}


def test_a_user_is_bounded() -> None:
    assert send(user("Hi"), user="u" * 128)[0]["user"] == "u" * 128
    assert send(user("Hi"), user="u" * 129)[1] == ("user",)


def test_thought_comes_back_as_it_was_told() -> None:
    details = [
        {"type": "reasoning.text", "text": "2+2", "signature": "EpAD", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "gA", "id": "rs_1", "format": "openai-responses-v1", "index": 1},
    ]
    message = {"content": "4", "reasoning": "2+2", "reasoning_details": details}
    assert SURFACE.translator is not None
    answer = {"id": "gen-1", "choices": [{"message": message, "finish_reason": "stop"}]}
    events = SURFACE.translator.read_answer(json.dumps(answer).encode())
    blocks: dict[int, Reasoning] = {}
    for event in events:
        if isinstance(event, ReasoningDelta):
            block = blocks.setdefault(event.block, Reasoning())
            block.text += event.text
            if event.signature or event.redacted:
                block.signature, block.redacted, block.origin = event.signature, event.redacted, event.origin
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    replayed = Message(Role.ASSISTANT, [*blocks.values(), Text(text), ToolCall("c", "look", "{}")])
    sent, dropped = send(user("Hi"), replayed, Message(Role.TOOL, [ToolResult("c", [Text("ok")])]))
    assert dropped == ()
    assert sent["messages"][1]["reasoning_details"] == details
