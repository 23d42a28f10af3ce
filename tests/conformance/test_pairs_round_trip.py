"""Core to wire to core: where the gateway reads a vendor's language itself, what it wrote there says what was asked.

A request is translated for a surface, and the wire body read by the dialect of the same language. What then differs
must be named in ``dropped``. Only what the vendors' own rules join or reorder is brought into one form first.
"""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.types import (
    ChatRequest,
    DialectName,
    File,
    Image,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    raw_json,
)
from tests.kit.pairs import DIALECTS, SCHEMA, SIDES, Side
from tests.kit.rich_requests import PDF, PIXEL

Json = dict[str, Any]
READABLE = [side for side in SIDES if side.dialect in DIALECTS]
every_readable_side = pytest.mark.parametrize("side", READABLE, ids=lambda side: f"{side.provider}-{side.dialect}")


def read_back(side: Side, body: bytes) -> ChatRequest:
    decode = DIALECTS[side.dialect].decode
    assert decode is not None
    request: ChatRequest = decode(body)
    return request


# --- one form for both ----------------------------------------------------------------------------------------------


def told(request: ChatRequest, side: Side, dropped: tuple[str, ...]) -> Json:
    """What the request says, without what ``dropped`` names and in the form in which the language has it."""
    said: Json = msgspec.to_builtins(request, builtin_types=(msgspec.Raw,))
    said = json.loads(msgspec.json.encode(said))
    said["messages"] = _joined([_message(message) for message in said["messages"]])
    for name in ("model", "include_usage", "echo"):
        said.pop(name, None)
    for name in dropped:
        _drop(said, name)
    _fit(said, side)
    return {name: value for name, value in said.items() if value not in (None, [], {}, False)}


def _message(message: Json) -> Json:
    role = "system" if message["role"] == "developer" else message["role"]
    return {**message, "role": role}


def _joined(messages: list[Json]) -> list[Json]:
    """Turns of one role that follow each other, which some vendors take only as one."""
    joined: list[Json] = []
    for message in messages:
        if joined and joined[-1]["role"] == message["role"] != "tool":
            joined[-1] = {**joined[-1], **message, "parts": joined[-1]["parts"] + message["parts"]}
        else:
            joined.append(message)
    return joined


def _drop(said: Json, name: str) -> None:
    said.pop(name, None)
    said.get("extra", {}).pop(name, None)
    if name == "messages.name":
        for message in said["messages"]:
            message.pop("name", None)
    elif name == "reasoning_content":
        for message in said["messages"]:
            message["parts"] = [part for part in message["parts"] if part["type"] != "reasoning"]
    elif name == "image_url.detail":
        for part in _parts(said):
            part.pop("detail", None)
    elif name == "file.filename":
        for part in _parts(said):
            part.pop("filename", None)
    elif name == "tools.strict":
        for tool in said["tools"]:
            tool.pop("strict", None)
    elif name == "reasoning.max_tokens":
        said.pop("reasoning_budget", None)
        # the nearest effort stands for a budget
        said.pop("reasoning_effort", None)


def _parts(said: Json) -> list[Json]:
    outer = [part for message in said["messages"] for part in message["parts"]]
    return outer + [part for whole in outer for part in whole.get("parts", ())]


def _fit(said: Json, side: Side) -> None:
    wanted = said.get("response_format")
    if side.dialect is DialectName.ANTHROPIC_MESSAGES:
        if wanted:
            # a schema without its label, which is always held to
            said["response_format"] = {name: wanted[name] for name in ("kind", "schema")}
        # required there
        said.pop("max_tokens", None)
        # these models do not think unless they are asked to
        if said.get("reasoning_effort") == "none":
            del said["reasoning_effort"]
    elif side.dialect is DialectName.OPENAI_RESPONSES and said.get("extra") == {"reasoning": {"summary": "auto"}}:
        # a summary is always asked for
        del said["extra"]
    for strict in (*(said.get("tools") or ()), wanted or {}):
        # what it is by default
        if strict.get("strict") is False:
            del strict["strict"]
    if said.get("tool_choice") == {"mode": "auto"}:
        del said["tool_choice"]


# --- requests -------------------------------------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=6)
texts = st.builds(Text, words)
pictures = st.builds(Image, url=st.just("https://example.com/a.png"), detail=st.none() | st.just("high")) | st.just(
    Image(data=PIXEL, media_type="image/png")
)
papers = st.just(File(data=PDF, media_type="application/pdf", filename="a.pdf"))
thoughts = st.builds(Reasoning, words, st.just("cHJvb2Y="), origin=st.sampled_from(list(DialectName))) | st.builds(
    Reasoning, words, st.just("cHJvb2Y="), origin=st.just(DialectName.OPENAI_RESPONSES), id=st.just("rs_1")
)
arguments = st.sampled_from(['{"a":[1,2.50,-3e2]}', "{}", '{"b": "é \\n"}'])


def _conversation(draw: st.DrawFn) -> list[Message]:
    """A system prompt, and turns in which every call is answered."""
    chat = [Message(Role.SYSTEM, draw(st.lists(texts, min_size=1, max_size=2)))] if draw(st.booleans()) else []
    for turn in range(draw(st.integers(0, 2))):
        chat.append(_user(draw))
        calls = [
            ToolCall(f"call_{turn}_{number}", draw(st.sampled_from(["look", "find"])), draw(arguments))
            for number in range(draw(st.integers(0, 2)))
        ]
        spoken: list[Part] = [*draw(st.lists(thoughts, max_size=1)), *draw(st.lists(texts, min_size=1, max_size=2))]
        chat.append(Message(Role.ASSISTANT, [*spoken, *calls]))
        chat += [Message(Role.TOOL, [ToolResult(call.id, [draw(texts)])]) for call in calls]
    return [*chat, _user(draw)]


def _user(draw: st.DrawFn) -> Message:
    parts = draw(st.lists(texts | pictures | papers, max_size=3))
    return Message(Role.USER, [*parts, draw(texts)], name=draw(st.none() | st.just("Ada")))


@st.composite
def requests(draw: st.DrawFn) -> ChatRequest:
    def maybe(values: st.SearchStrategy[Any]) -> Any:
        return draw(st.none() | values)

    schema = raw_json(SCHEMA)
    tools = [Tool("look", maybe(words), schema, strict=maybe(st.booleans())), Tool("find", None, schema)]
    choices = st.sampled_from(
        [ToolChoice("auto"), ToolChoice("none"), ToolChoice("required"), ToolChoice("tool", "look")]
    )
    formats = st.builds(
        ResponseFormat, st.just("json_schema"), st.just("label"), st.none(), st.just(schema), st.booleans()
    )
    return ChatRequest(
        model="asked-for",
        messages=_conversation(draw),
        stream=draw(st.booleans()),
        tools=tools,
        tool_choice=maybe(choices),
        parallel_tool_calls=maybe(st.just(False)),
        max_tokens=maybe(st.integers(5000, 9000)),
        temperature=maybe(st.sampled_from([0.0, 0.25])),
        top_p=maybe(st.just(0.96)),
        stop=maybe(st.lists(words, min_size=1, max_size=3)),
        reasoning_effort=maybe(st.sampled_from(["none", "low", "medium", "high"])),
        reasoning_budget=maybe(st.just(2000)),
        response_format=maybe(formats),
        user=maybe(st.just("user-7")),
    )


@every_readable_side
@given(requests())
@settings(max_examples=100)
def test_what_is_written_says_what_was_asked(side: Side, request: ChatRequest) -> None:
    if side.dialect is DialectName.OPENAI_RESPONSES:
        request.stop = None  # refused there
    wire = side.ask(request)
    found = read_back(side, wire.body)
    assert told(found, side, wire.dropped) == told(request, side, wire.dropped)
