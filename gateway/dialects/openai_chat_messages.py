"""The messages of an OpenAI chat-completions request, read into core types.

Source: OpenAI API reference, "Create chat completion", ``messages`` (2026-11), with what clients add on replayed
assistant turns: ``reasoning_content`` or ``reasoning`` as text, ``thinking_blocks`` (LiteLLM's shape, with
``text_before``: behind how many characters of the text a block stands) and ``provider_content``, the blocks that no
message of OpenAI's has a place for.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.limits import MAX_MESSAGE_PARTS, MAX_MESSAGES
from gateway.core.types import (
    DialectName,
    Extra,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.dialects.fields import (
    Decode,
    FieldError,
    Fields,
    as_object,
    as_text,
    as_text_or_object,
    each,
    nested,
    require,
    rest,
    shown,
    take,
    take_each,
    take_nested,
    unsupported,
)
from gateway.dialects.openai_parts import Source, by_type, read_audio, read_refusal, read_source, take_content
from gateway.dialects.signatures import unseal

P = TypeVar("P")

_as_messages: Decode[list[Fields]] = msgspec.json.Decoder(
    Annotated[list[Fields], Meta(min_length=1, max_length=MAX_MESSAGES)]
).decode
_as_parts: Decode[list[Fields]] = msgspec.json.Decoder(
    Annotated[list[Fields], Meta(max_length=MAX_MESSAGE_PARTS)]
).decode


# --- messages -----------------------------------------------------------------------------------------------------


def read_name(fields: Fields) -> str:
    return require(fields, "name", as_text)


def check_is_function(fields: Fields) -> None:
    """Of a tool or a call: its ``type`` is ``function``, or left out as some clients do."""
    kind = take(fields, "type", as_text)
    if kind not in (None, "function"):
        raise unsupported(kind, ("function",))


class _LegacyCalls:
    """Ids for the ``function_call`` of 2023, which had none: a ``function`` message answers the last call
    by its name."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._count = 0

    def name(self, function: str) -> str:
        self._count += 1
        self._ids[function] = call_id = f"function_call_{self._count}"
        return call_id

    def find(self, function: str) -> str:
        if function not in self._ids:
            raise FieldError(f"answers no earlier function_call of {shown(function)}", "name")
        return self._ids[function]


def read_messages(fields: Fields) -> list[Message]:
    calls = _LegacyCalls()
    return nested(fields, "messages", _as_messages, lambda items: each(items, partial(_read_message, calls)))


def _read_message(calls: _LegacyCalls, fields: Fields) -> Message:
    plain = _read_plain(fields) if len(fields) == 2 else None
    return plain or _read_any_message(calls, fields)


def _read_plain(fields: Fields) -> Message | None:
    """A message of a role and a string, as most are. None for any other, and for a wrong one."""
    content = fields.get("content", b"")
    if not len(content) or memoryview(content)[0] != _QUOTE:
        return None
    try:
        role = _PLAIN_ROLES.get(as_text(fields.get("role", b"null")))
        text = as_text(content)
    except DECODE_ERRORS:
        return None
    return None if role is None or not text else Message(role, [Text(text)])


_QUOTE = 0x22
_PLAIN_ROLES = {role.value: role for role in Role if role is not Role.TOOL}


def _read_any_message(calls: _LegacyCalls, fields: Fields) -> Message:
    role = require(fields, "role", as_text)
    read = _ROLES.get(role)
    if read is None:
        raise FieldError(f"must be {', '.join(_ROLES)}, not {shown(role)}", "role")
    return read(fields, calls)


def _read_spoken(role: Role, fields: Fields, _calls: _LegacyCalls) -> Message:
    parts = _read_content(fields, _read_part)
    if role is Role.USER and not parts:
        raise FieldError("must not be empty", "content")
    return Message(role, parts, name=take(fields, "name", as_text), extra=rest(fields))


def _read_assistant(fields: Fields, calls: _LegacyCalls) -> Message:
    thoughts = _read_reasoning(fields)
    opaque = _read_provider_content(fields)
    # an empty string beside tool calls says nothing, and some providers refuse empty text
    said = [part for part in _read_content(fields, _read_assistant_part) if part != Text("")]
    parts = _arrange(thoughts, opaque, said)
    refusal = take(fields, "refusal", as_text)
    if refusal:
        parts.append(Refusal(refusal))
    parts += take_each(fields, "tool_calls", _as_parts, _read_tool_call)
    call = take_nested(fields, "function_call", as_object, _read_call)
    if call:
        parts.append(ToolCall(calls.name(call.name), call.name, call.arguments, call.extra))
    return Message(Role.ASSISTANT, parts, name=take(fields, "name", as_text), extra=rest(fields))


def _read_tool_answer(fields: Fields, _calls: _LegacyCalls) -> Message:
    result = ToolResult(require(fields, "tool_call_id", as_text), _read_content(fields, _read_result_part))
    name = take(fields, "name", as_text)
    result.extra = rest(fields)
    return Message(Role.TOOL, [result], name=name)


def _read_function_answer(fields: Fields, calls: _LegacyCalls) -> Message:
    name = read_name(fields)
    result = ToolResult(calls.find(name), _read_content(fields, _read_result_part))
    result.extra = rest(fields)
    return Message(Role.TOOL, [result], name=name)


_ROLES: dict[str, Callable[[Fields, _LegacyCalls], Message]] = {
    "system": partial(_read_spoken, Role.SYSTEM),
    "developer": partial(_read_spoken, Role.DEVELOPER),
    "user": partial(_read_spoken, Role.USER),
    "assistant": _read_assistant,
    "tool": _read_tool_answer,
    "function": _read_function_answer,
}


class _Thought(NamedTuple):
    part: Part
    text_before: int = 0


def _read_reasoning(fields: Fields) -> list[_Thought]:
    """Signed blocks win: they hold the same text as ``reasoning_content`` and can be replayed."""
    blocks = take_each(fields, "thinking_blocks", _as_parts, _read_placed_block)
    text = take(fields, "reasoning_content", as_text)
    if bytes(memoryview(fields.get("reasoning", b""))[:1]) == b'"':
        text = take(fields, "reasoning", as_text) or text
    return blocks or ([_Thought(Reasoning(text))] if text else [])


def _read_placed_block(fields: Fields) -> _Thought:
    try:
        text_before = _as_place(fields.get("text_before", b"0"))
    except DECODE_ERRORS:
        text_before = 0
    return _Thought(_read_thinking_block(fields), text_before)


def _arrange(thoughts: list[_Thought], opaque: list[Part], said: list[Part]) -> list[Part]:
    """Thoughts in their places in the text. Where that is not the one text they were measured in, all stand before it,
    as a message tells them."""
    places = [thought.text_before for thought in thoughts]
    text = said[0] if len(said) == 1 else None
    fits = isinstance(text, Text) and not text.extra and places == sorted(places) and places[-1:] <= [len(text.text)]
    if not any(places) or not fits:
        return [*(thought.part for thought in thoughts), *opaque, *said]
    assert isinstance(text, Text)
    first = places.count(0)
    parts = [*(thought.part for thought in thoughts[:first]), *opaque]
    start = 0
    for part, place in thoughts[first:]:
        parts += [*_cut(text, start, place), part]
        start = place
    return [*parts, *_cut(text, start, len(text.text))]


def _cut(text: Text, start: int, end: int) -> list[Part]:
    return [Text(text.text[start:end])] if start < end else []


class _Block(Struct):
    type: str


_as_place: Decode[int] = msgspec.json.Decoder(Annotated[int, Meta(ge=0)]).decode
_as_blocks: Decode[list[Raw]] = msgspec.json.Decoder(Annotated[list[Raw], Meta(max_length=MAX_MESSAGE_PARTS)]).decode
_as_block: Decode[_Block] = msgspec.json.Decoder(_Block).decode
# what OpenAI calls the items of its own tools; Anthropic's blocks end otherwise
_OPENAI_ITEM = re.compile(r"[a-z_]+_call(_output)?|mcp_list_tools|mcp_approval_request")


def _read_provider_content(fields: Fields) -> list[Part]:
    """What an answer carried beside its words goes back to whoever wrote it, and stands in front of them: searches and
    their results come before what is said of them. What has not the shape of such an answer stays among the members
    that nobody knows."""
    if "provider_content" not in fields:
        return []
    try:
        parts: list[Part] = [_read_block(raw) for raw in _as_blocks(fields["provider_content"])]
    except DECODE_ERRORS:
        return []
    del fields["provider_content"]
    return parts


def _read_block(raw: Raw) -> Opaque:
    kind = _as_block(raw).type
    is_openai = _OPENAI_ITEM.fullmatch(kind) is not None
    return Opaque(kind, raw, DialectName.OPENAI_RESPONSES if is_openai else DialectName.ANTHROPIC_MESSAGES)


class _Call(NamedTuple):
    name: str
    arguments: str
    extra: Extra


def _read_call(fields: Fields) -> _Call:
    return _Call(read_name(fields), take(fields, "arguments", as_text) or "", rest(fields))


def _read_tool_call(fields: Fields) -> ToolCall:
    check_is_function(fields)
    call = nested(fields, "function", as_object, _read_call)
    call_id = require(fields, "id", as_text)
    # replayed from a stream; the order of the list says the same
    fields.pop("index", None)
    return ToolCall(call_id, call.name, call.arguments, call.extra | rest(fields))


# --- content ------------------------------------------------------------------------------------------------------


def _read_content(fields: Fields, read_part: Callable[[Fields], P]) -> list[P | Text]:
    return take_content(fields, "content", read_part) or []


def _read_text(fields: Fields) -> Text:
    return Text(require(fields, "text", as_text), rest(fields))


def _read_image(fields: Fields) -> Image | File:
    image = nested(fields, "image_url", as_text_or_object, _read_picture)
    image.extra |= rest(fields)
    return image


def _read_picture(given: str | Fields) -> Image | File:
    if isinstance(given, str):
        source, detail, extra = read_source(given), None, {}
    else:
        source = nested(given, "url", as_text, read_source)
        detail, extra = take(given, "detail", as_text), rest(given)
    if source.is_document:
        return File(source.url, data=source.data, media_type=source.media_type, extra=extra)
    return Image(source.url, data=source.data, media_type=source.media_type, detail=detail, extra=extra)


def _read_file(fields: Fields) -> File:
    file = nested(fields, "file", as_object, _read_document)
    file.extra |= rest(fields)
    return file


def _read_document(fields: Fields) -> File:
    file_id = take(fields, "file_id", as_text)
    source = take_nested(fields, "file_data", as_text, read_source)
    if (file_id is None) == (source is None):
        raise FieldError("needs either file_id or file_data")
    where = source or Source()
    name = take(fields, "filename", as_text)
    return File(where.url, file_id, where.data, where.media_type, filename=name, extra=rest(fields))


def _read_thinking(fields: Fields) -> Reasoning:
    signature = take(fields, "signature", as_text)
    text = require(fields, "thinking", as_text)
    if not signature:
        return Reasoning(text)
    proof = unseal(signature, DialectName.ANTHROPIC_MESSAGES)
    if proof.is_redacted:
        return Reasoning(text, redacted=proof.text, origin=proof.origin, id=proof.id)
    return Reasoning(text, signature=proof.text or None, origin=proof.origin, id=proof.id)


def _read_redacted(fields: Fields) -> Reasoning:
    proof = unseal(require(fields, "data", as_text), DialectName.ANTHROPIC_MESSAGES)
    return Reasoning(redacted=proof.text, origin=proof.origin, id=proof.id)


_RESULT_PARTS: dict[str, Callable[[Fields], Text | Image | File]] = {
    "text": _read_text,
    "image_url": _read_image,
    "file": _read_file,
}
_PARTS: dict[str, Callable[[Fields], Part]] = {**_RESULT_PARTS, "input_audio": read_audio}
_THINKING: dict[str, Callable[[Fields], Part]] = {"thinking": _read_thinking, "redacted_thinking": _read_redacted}

_read_result_part = by_type(_RESULT_PARTS)
_read_part = by_type(_PARTS)
_read_assistant_part = by_type({**_PARTS, "refusal": read_refusal, **_THINKING})
_read_thinking_block = by_type(_THINKING)
