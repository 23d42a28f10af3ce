import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.estimate import estimate_input, estimate_text
from gateway.core.types import (
    Audio,
    ChatRequest,
    DialectName,
    File,
    HostedTool,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    raw_json,
)

OWN = DialectName.ANTHROPIC_MESSAGES


def request(*parts: Part, **members: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=[Message(Role.USER, [*parts])], **members)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# --- figures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("日本語", 3), ("日本語 abc", 4), ("\ud800", 1)],
)
def test_four_plain_characters_are_a_token_and_others_one_each(text: str, tokens: int) -> None:
    assert estimate_text(text) == tokens


def test_an_empty_request_has_a_token_all_the_same() -> None:
    assert estimate_input(ChatRequest(model="m", messages=[])) == 1


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        (Text("a" * 400), 100),
        (Refusal("a" * 400), 100),
        (Reasoning("a" * 400, signature="c2lnbmVk"), 100),
        (Reasoning(redacted="c2VjcmV0"), 0),
        (ToolCall("c", "look", "a" * 400), 12 + 1 + 100),
        (ToolResult("c", [Text("a" * 400), Image(url="https://x/y.png")]), 12 + 100 + 1200),
        (Image(data="iVBORw0KGgo=", media_type="image/png"), 1200),
        (File(url="https://x/y.pdf"), 20_000),
        (File(file_id="file_1"), 20_000),
        (File(data="A" * 40_000, media_type="application/pdf"), 1200),
        (File(data=encoded("日本語"), media_type="text/plain"), 3),
        (File(data="abcde", media_type="text/plain"), 1),
        (File(data="é" * 8, media_type="text/plain"), 2),
        (Audio("A" * 10_000, "mp3"), 60),
        (Opaque("mystery", raw_json("a" * 398), OWN), 100),
    ],
)
def test_every_part_counts(part: Part, tokens: int) -> None:
    assert estimate_input(request(part)) - estimate_input(request()) == tokens


def test_tools_count_with_their_schemas() -> None:
    schema = raw_json({"type": "object", "properties": {"place": {"type": "string", "description": "a" * 400}}})
    plain, large = Tool("look"), Tool("look", description="a" * 40, parameters=schema)
    hosted = HostedTool("web_search", raw_json({"type": "web_search", "allowed_domains": ["a" * 40]}), OWN)
    bare = estimate_input(request())
    assert estimate_input(request(tools=[plain])) == bare + 13
    assert estimate_input(request(tools=[large])) > bare + 13 + 10 + 100
    assert estimate_input(request(hosted_tools=[hosted])) > bare + 12 + 10


# --- properties -------------------------------------------------------------------------------------------------------

_texts = st.text(max_size=40)
_parts: st.SearchStrategy[Part] = st.one_of(
    _texts.map(Text),
    _texts.map(Reasoning),
    st.builds(ToolCall, _texts, _texts, _texts),
    st.builds(ToolResult, _texts, st.lists(_texts.map(Text), max_size=2)),
    st.builds(Image, url=_texts),
    st.builds(File, data=_texts, media_type=st.sampled_from(["text/plain", "application/pdf", None])),
    st.builds(Audio, _texts, _texts),
    st.builds(Opaque, _texts, _texts.map(raw_json), st.just(OWN)),
)
_messages = st.lists(st.builds(Message, st.sampled_from(Role), st.lists(_parts, max_size=3)), max_size=3)
_tools = st.lists(st.builds(Tool, _texts, description=st.none() | _texts), max_size=2)


@given(_messages, _messages, _tools, _tools)
def test_more_of_anything_never_has_fewer_tokens(
    messages: list[Message], more: list[Message], tools: list[Tool], more_tools: list[Tool]
) -> None:
    small = ChatRequest(model="m", messages=messages, tools=tools)
    large = replace(small, messages=[*messages, *more], tools=[*tools, *more_tools])
    assert 1 <= estimate_input(small) <= estimate_input(large)


@given(_texts, _texts)
def test_a_longer_text_never_has_fewer_tokens(text: str, more: str) -> None:
    whole = estimate_text(text + more)
    assert estimate_text(text) <= whole <= estimate_text(text) + estimate_text(more)
    assert whole <= len(text + more)
