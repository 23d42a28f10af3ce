"""The input of an OpenAI Responses request, read into messages.

Source: OpenAI API reference, "Create a model response", ``input`` and ``instructions`` (2026-11), with what agents add:
tools inside the input (``additional_tools``) and calls of namespaced tools.

What a model said is a row of items there and one message here: items of the assistant that follow each other, its
reasoning, words and tool calls, become the parts of one message. Items that only OpenAI's API understands stay whole,
as ``Opaque`` parts. Ids and ``status`` of items are the API's own book-keeping and are left out.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.core.limits import MAX_MESSAGE_PARTS, MAX_MESSAGES
from gateway.core.types import (
    DialectName,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    raw_json,
)
from gateway.dialects.fields import (
    Decode,
    FieldError,
    Fields,
    as_text,
    each,
    require,
    rest,
    shown,
    take,
    take_each,
    take_nested,
)
from gateway.dialects.openai_parts import take_content
from gateway.dialects.openai_responses_content import read_part, read_result_part
from gateway.dialects.openai_responses_tools import FREEFORM_PARAMETER, Toolbox, peek_type, take_flat_name
from gateway.dialects.signatures import Proof, unseal

_OWN = DialectName.OPENAI_RESPONSES
# what divides the parts of a summary once they are one text
_PARAGRAPH = "\n\n"
_BOOKKEEPING = ("type", "status")

as_items: Decode[str | list[Fields]] = msgspec.json.Decoder(
    str | Annotated[list[Fields], Meta(max_length=MAX_MESSAGES)]
).decode
_as_parts: Decode[list[Fields]] = msgspec.json.Decoder(
    Annotated[list[Fields], Meta(max_length=MAX_MESSAGE_PARTS)]
).decode


class Transcript:
    """The messages of a request in the making, and the tools that come with them."""

    def __init__(self, toolbox: Toolbox) -> None:
        self.toolbox = toolbox
        self.messages: list[Message] = []

    def take_items(self, fields: Fields, name: str, role: Role) -> None:
        """Adds the items of ``name``, removed from ``fields``; a string is what ``role`` says."""
        take_nested(fields, name, as_items, partial(self._add_items, role))

    def answer(self, part: Part) -> None:
        """Adds what the model said or did."""
        self._assistant().parts.append(part)

    def prove(self, thought: Reasoning) -> None:
        """Adds a thought whose proof is that of the words said last: it stands before them."""
        parts = self._assistant().parts
        has_words = bool(parts) and isinstance(parts[-1], Text | Refusal)
        parts.insert(len(parts) - has_words, thought)

    def speak(self, message: Message) -> None:
        if message.role is not Role.ASSISTANT:
            self.messages.append(message)
        elif message.parts:
            said = self._assistant()
            said.parts += message.parts
            said.extra |= message.extra

    def _assistant(self) -> Message:
        if not self.messages or self.messages[-1].role is not Role.ASSISTANT:
            self.messages.append(Message(Role.ASSISTANT, []))
        return self.messages[-1]

    def _add_items(self, role: Role, given: str | list[Fields]) -> None:
        if isinstance(given, str):
            # clients send empty instructions for none
            if given or role is Role.USER:
                self.messages.append(Message(role, [Text(given)]))
        else:
            each(given, self._add_item)

    def _add_item(self, fields: Fields) -> None:
        kind = peek_type(fields) or _guess_type(fields)
        read = _READERS.get(kind)
        if read is None:
            self.answer(Opaque(kind, raw_json(fields), _OWN))
            return
        for name in _BOOKKEEPING:
            fields.pop(name, None)
        read(fields, take(fields, "id", as_text), self)


def _guess_type(fields: Fields) -> str:
    """Messages and references may come without a type."""
    if "role" in fields:
        return "message"
    if "id" in fields:
        return "item_reference"
    raise FieldError("is required", "type")


# --- messages -----------------------------------------------------------------------------------------------------

_ROLES = {role.value: role for role in Role if role is not Role.TOOL}


def _read_message(fields: Fields, _id: str | None, transcript: Transcript) -> None:
    word = require(fields, "role", as_text)
    role = _ROLES.get(word)
    if role is None:
        raise FieldError(f"must be {', '.join(_ROLES)}, not {shown(word)}", "role")
    parts = take_content(fields, "content", read_part) or []
    if role is Role.USER and not parts:
        raise FieldError("must not be empty", "content")
    if role is Role.ASSISTANT:
        # an empty answer says nothing, and some providers refuse empty text
        parts = [part for part in parts if part != Text("")]
    transcript.speak(Message(role, parts, name=take(fields, "name", as_text), extra=rest(fields)))


def _refuse_reference(_fields: Fields, _id: str | None, _transcript: Transcript) -> None:
    raise FieldError("refers to an item that is not stored here; send the item itself", "id")


def _read_additional_tools(fields: Fields, _id: str | None, transcript: Transcript) -> None:
    transcript.toolbox.take_tools(fields)


# --- reasoning ----------------------------------------------------------------------------------------------------


def _read_reasoning(fields: Fields, item_id: str | None, transcript: Transcript) -> None:
    """``content`` is the thought itself, where a model shows it; most show a ``summary``."""
    texts = take_each(fields, "summary", _as_parts, _read_thought)
    content = take_each(fields, "content", _as_parts, _read_thought)
    text = _PARAGRAPH.join(texts or content)
    sealed = take(fields, "encrypted_content", as_text)
    proof = unseal(sealed, _OWN) if sealed else None
    thought = Reasoning(text) if proof is None else _proven(text, proof, item_id)
    if thought.text or thought.signature or thought.redacted:
        (transcript.prove if proof is not None and proof.is_late else transcript.answer)(thought)


def _read_thought(fields: Fields) -> str:
    return require(fields, "text", as_text)


def _proven(text: str, proof: Proof, item_id: str | None) -> Reasoning:
    if proof.is_redacted:
        return Reasoning(text, redacted=proof.text or None, origin=proof.origin, id=proof.id)
    thought_id = item_id if proof.origin is _OWN else proof.id
    return Reasoning(text, signature=proof.text or None, origin=proof.origin, id=thought_id)


# --- tool calls ---------------------------------------------------------------------------------------------------


def _take_call_id(fields: Fields, item_id: str | None) -> str:
    call_id = take(fields, "call_id", as_text) or item_id
    if call_id is None:
        raise FieldError("is required", "call_id")
    return call_id


def _read_call(fields: Fields, item_id: str | None, transcript: Transcript) -> None:
    call_id, name = _take_call_id(fields, item_id), take_flat_name(fields)
    arguments = take(fields, "arguments", as_text) or ""
    transcript.answer(ToolCall(call_id, name, arguments, rest(fields)))


def _read_custom_call(fields: Fields, item_id: str | None, transcript: Transcript) -> None:
    call_id, name = _take_call_id(fields, item_id), take_flat_name(fields)
    arguments = raw_json({FREEFORM_PARAMETER: require(fields, "input", as_text)})
    transcript.answer(ToolCall(call_id, name, bytes(arguments).decode(), rest(fields)))


def _read_output(fields: Fields, _id: str | None, transcript: Transcript) -> None:
    call_id = require(fields, "call_id", as_text)
    parts = take_content(fields, "output", read_result_part)
    if parts is None:
        raise FieldError("is required", "output")
    # which tool it was, the call says too
    for name in ("name", "namespace"):
        take(fields, name, as_text)
    transcript.speak(Message(Role.TOOL, [ToolResult(call_id, parts, extra=rest(fields))]))


_READERS: dict[str, Callable[[Fields, str | None, Transcript], None]] = {
    "message": _read_message,
    "reasoning": _read_reasoning,
    "function_call": _read_call,
    "function_call_output": _read_output,
    "custom_tool_call": _read_custom_call,
    "custom_tool_call_output": _read_output,
    "item_reference": _refuse_reference,
    "additional_tools": _read_additional_tools,
}
