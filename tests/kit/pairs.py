"""Every client dialect with every surface of a provider that is reached by translation."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest

from gateway.core.types import Capability, ChatRequest, DialectName, Event, Message, Reasoning, Role, Text
from gateway.dialects import anthropic_messages, openai_chat, openai_responses
from gateway.dialects.contract import Dialect
from providers import load, provider_types
from providers.contract import ProviderRequest, Surface, Translator

Json = dict[str, Any]

DIALECTS: dict[DialectName, Dialect] = {
    dialect.name: dialect for dialect in (openai_chat.DIALECT, openai_responses.DIALECT, anthropic_messages.DIALECT)
}
CREATED = 1751981927

# A model of each vendor that can do most of what its API offers.
_MODELS = {
    DialectName.OPENAI_CHAT: "gpt-5.1",
    DialectName.OPENAI_RESPONSES: "gpt-5.1",
    DialectName.ANTHROPIC_MESSAGES: "claude-sonnet-4-6",
    DialectName.GEMINI_GENERATE_CONTENT: "gemini-3-pro",
}


class Side(NamedTuple):
    """The provider's side of a pair."""

    provider: str
    surface: Surface

    @property
    def dialect(self) -> DialectName:
        return self.surface.dialect

    @property
    def translator(self) -> Translator[ChatRequest]:
        assert self.surface.translator is not None
        return self.surface.translator

    @property
    def model(self) -> str:
        return _MODELS[self.dialect]

    @property
    def takes_proofs(self) -> bool:
        """Does the vendor take thought back with its proofs? Of those who speak OpenAI's chat few do."""
        if self.dialect is not DialectName.OPENAI_CHAT:
            return True
        proof = '{"type":"reasoning.encrypted","data":"cHJvb2Y="}'
        thought = Reasoning(redacted=proof, origin=DialectName.OPENAI_CHAT)
        chat = [Message(Role.USER, [Text("Hi")]), Message(Role.ASSISTANT, [thought, Text("Hello")])]
        return b"cHJvb2Y=" in self.ask(ChatRequest(model="asked-for", messages=chat)).body

    def ask(self, request: ChatRequest, model: str = "") -> ProviderRequest:
        return self.translator.to_wire(request, model or self.model)


SIDES = [
    Side(name, surface)
    for name in provider_types()
    for surface in load(name).surfaces.get(Capability.CHAT, ())
    if surface.translator is not None
]

every_client = pytest.mark.parametrize("client", DIALECTS, ids=str)
every_side = pytest.mark.parametrize("side", SIDES, ids=lambda side: f"{side.provider}-{side.dialect}")


def decode(client: DialectName, body: Json) -> ChatRequest:
    read = DIALECTS[client].decode
    assert read is not None
    request: ChatRequest = read(json.dumps(body).encode())
    return request


# --- an answer on its way to the client -----------------------------------------------------------------------------


def plain_bytes(client: DialectName, side: Side, body: bytes, request: ChatRequest) -> bytes:
    encoder = DIALECTS[client].encoder
    assert encoder is not None
    return encoder(request, CREATED).body(side.translator.read_answer(body))


def plain(client: DialectName, side: Side, body: bytes, request: ChatRequest) -> Json:
    told: Json = json.loads(plain_bytes(client, side, body, request))
    return told


def streamed(client: DialectName, side: Side, pieces: Iterable[bytes], request: ChatRequest) -> bytes:
    """The client's bytes for a stream that comes in these pieces."""
    encoder, transducer = DIALECTS[client].encoder, side.translator.transducer
    assert encoder is not None
    assert transducer is not None
    write, read = encoder(request, CREATED), transducer()
    out = [write.stream(read.feed(piece)) for piece in pieces]
    return b"".join([*out, write.stream(read.finish())])


def events_of(side: Side, pieces: Iterable[bytes]) -> list[Event]:
    transducer = side.translator.transducer
    assert transducer is not None
    read = transducer()
    return [*(event for piece in pieces for event in read.feed(piece)), *read.finish()]


# --- turns of a conversation ----------------------------------------------------------------------------------------

SCHEMA: Json = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"type": "integer"}}},
    "required": ["a"],
    "additionalProperties": False,
}
QUESTION = "What is there?"
RESULT = "Nothing."


def first_turn(client: DialectName, **members: Any) -> Json:
    """A question with tools, asked of a model that shall think."""
    if client is DialectName.OPENAI_CHAT:
        function = {"name": "look", "description": "Looks.", "parameters": SCHEMA}
        asked = {"messages": [{"role": "user", "content": QUESTION}], "reasoning_effort": "high"}
        body: Json = {**asked, "tools": [{"type": "function", "function": function}]}
    elif client is DialectName.OPENAI_RESPONSES:
        tool = {"type": "function", "name": "look", "description": "Looks.", "parameters": SCHEMA}
        asked = {"input": [{"role": "user", "content": QUESTION}], "reasoning": {"effort": "high"}}
        body = {**asked, "tools": [tool], "store": False, "include": ["reasoning.encrypted_content"]}
    else:
        tool = {"name": "look", "description": "Looks.", "input_schema": SCHEMA}
        asked = {"messages": [{"role": "user", "content": QUESTION}], "thinking": {"type": "adaptive"}}
        body = {**asked, "tools": [tool], "max_tokens": 9000}
    return {"model": "asked-for", **body, **members}


def next_turn(client: DialectName, answer: Json, *, is_rebuilt: bool = False) -> Json:
    """The first turn, its answer as the client got it, and what the tools said; a further question without calls.

    ``is_rebuilt``: a framework kept only role, text and calls of the answer.
    """
    body = first_turn(client)
    place = "input" if client is DialectName.OPENAI_RESPONSES else "messages"
    body[place] += _TURNS[client](answer, is_rebuilt)
    return body


def _chat_turns(answer: Json, is_rebuilt: bool) -> list[Json]:
    message = answer["choices"][0]["message"]
    if is_rebuilt:
        kept = ("role", "content", "tool_calls")
        said = message["content"] or message["refusal"] or ""
        message = {name: message[name] for name in kept if message.get(name)} | {"content": said}
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": RESULT} for call in message.get("tool_calls") or ()
    ]
    return [message, *(results or [{"role": "user", "content": "Go on."}])]


def _messages_turns(answer: Json, is_rebuilt: bool) -> list[Json]:
    content = answer["content"]
    if is_rebuilt:
        content = [block for block in content if block["type"] in ("text", "tool_use")]
        content = [{name: value for name, value in block.items() if name != "citations"} for block in content]
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": RESULT}
        for block in content
        if block["type"] == "tool_use"
    ]
    turn = {"role": "assistant", "content": content or ""}
    return [turn, {"role": "user", "content": results or "Go on."}]


def _responses_turns(answer: Json, is_rebuilt: bool) -> list[Json]:
    items = answer["output"]
    if is_rebuilt:
        items = [_rebuilt_item(item) for item in items if item["type"] != "reasoning"]
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": RESULT}
        for item in items
        if item.get("type") == "function_call"
    ]
    return [*items, *(results or [{"role": "user", "content": "Go on."}])]


def _rebuilt_item(item: Json) -> Json:
    if item["type"] == "function_call":
        return {name: item[name] for name in ("type", "call_id", "name", "arguments")}
    text = "".join(part.get("text", part.get("refusal", "")) for part in item["content"])
    return {"role": "assistant", "content": text}


_TURNS = {
    DialectName.OPENAI_CHAT: _chat_turns,
    DialectName.ANTHROPIC_MESSAGES: _messages_turns,
    DialectName.OPENAI_RESPONSES: _responses_turns,
}
