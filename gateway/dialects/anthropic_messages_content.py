"""The messages of an Anthropic Messages request, read into core types.

- Tool results of a user message become ``tool`` turns, one each, in front of what else it holds.
- Kinds of block that only Anthropic understands (the work of its own tools, and kinds yet to come) are ``Opaque``.
- Blocks that others can read, but have no kind for, are told in plain parts: a ``search_result`` as text, a document of
  several pieces as one text file, a ``tool_reference`` and the like in a tool result as its JSON. The part then has the
  block itself in ``extra``, under ``anthropic_block``, so that a provider of Anthropic's language can restore it and
  others say that it was lost. A document with pictures becomes its texts and pictures in their order.
- Signatures that are the proofs of other vendors go back to their origin (``signatures``).
- Citations of the web without ``encrypted_index`` are ours, made of another vendor's; Anthropic would refuse them, and
  to others they say nothing. They are left out, as is the ``caller`` of a call that the model made itself, the default.

Source: platform.claude.com/docs, "Messages" (API reference), "Vision", "PDF support", "Search results", "Tool use",
"Extended thinking", "Mid-conversation system messages" (2026-11).
"""

import base64
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Raw

from gateway.core.limits import MAX_MESSAGE_PARTS, MAX_MESSAGES
from gateway.core.types import (
    DialectName,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
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
    as_flag,
    as_object,
    as_text,
    check_object,
    each,
    nested,
    require,
    rest,
    shown,
    take,
    take_nested,
    unsupported,
)
from gateway.dialects.signatures import unseal

# The member of ``extra`` that holds the block which a part tells in plain words.
ORIGINAL_BLOCK = "anthropic_block"

_ORIGIN = DialectName.ANTHROPIC_MESSAGES
_TEXT_MEDIA_TYPE = "text/plain"
_NULL = Raw(b"null")
_DIRECT_CALLER = b'{"type":"direct"}'

_Blocks = Annotated[list[Fields], Meta(max_length=MAX_MESSAGE_PARTS)]
_as_messages: Decode[list[Fields]] = msgspec.json.Decoder(
    Annotated[list[Fields], Meta(min_length=1, max_length=MAX_MESSAGES)]
).decode
_as_content: Decode[str | list[Fields]] = msgspec.json.Decoder(str | _Blocks).decode
_as_blocks: Decode[list[Fields]] = msgspec.json.Decoder(_Blocks).decode


Reader = Callable[[Fields], list[Part]]


def read_kind(fields: Fields) -> str:
    """``type``, which stays where it is."""
    return require({"type": fields.get("type", _NULL)}, "type", as_text)


# --- messages -----------------------------------------------------------------------------------------------------


def read_system(fields: Fields) -> list[Message]:
    """The top-level ``system`` prompt as a message, unless it is empty."""
    parts = take_nested(fields, "system", _as_content, partial(_read_blocks, _read_system_block)) or []
    spoken = [part for part in parts if part != Text("")]
    return [Message(Role.SYSTEM, spoken)] if spoken else []


def read_messages(fields: Fields) -> list[Message]:
    turns = nested(fields, "messages", _as_messages, lambda items: each(items, _read_turn))
    return [message for turn in turns for message in turn]


def _read_turn(fields: Fields) -> list[Message]:
    role = require(fields, "role", as_text)
    read = _ROLES.get(role)
    if read is None:
        raise FieldError(f"must be {', '.join(_ROLES)}, not {shown(role)}", "role")
    messages = read(fields)
    messages[-1].extra = rest(fields)
    return messages


def _read_user(fields: Fields) -> list[Message]:
    parts = _read_content(fields, _read_user_block)
    messages = [Message(Role.TOOL, [part]) for part in parts if isinstance(part, ToolResult)]
    spoken: list[Part] = [part for part in parts if not isinstance(part, ToolResult)]
    return [*messages, Message(Role.USER, spoken)] if spoken else messages


def _read_assistant(fields: Fields) -> list[Message]:
    """It may be empty: an answer can be."""
    parts = take_nested(fields, "content", _as_content, partial(_read_blocks, _read_assistant_block)) or []
    # an empty text beside other blocks says nothing, and some providers refuse it
    return [Message(Role.ASSISTANT, [part for part in parts if part != Text("")])]


def _read_system_turn(fields: Fields) -> list[Message]:
    return [Message(Role.SYSTEM, _read_content(fields, _read_system_block))]


_ROLES: dict[str, Callable[[Fields], list[Message]]] = {
    "user": _read_user,
    "assistant": _read_assistant,
    "system": _read_system_turn,
}


def _read_content(fields: Fields, read_block: Reader) -> list[Part]:
    parts = nested(fields, "content", _as_content, partial(_read_blocks, read_block))
    if not parts:
        raise FieldError("must not be empty", "content")
    return parts


def _read_blocks(read_block: Reader, given: str | list[Fields]) -> list[Part]:
    if isinstance(given, str):
        return [Text(given)]
    return [part for parts in each(given, read_block) for part in parts]


# --- text, pictures and documents ---------------------------------------------------------------------------------


def _read_text(fields: Fields) -> list[Part]:
    text = require(fields, "text", as_text)
    if "citations" in fields:
        _keep_own_citations(fields)
    return [Text(text, rest(fields))]


def _keep_own_citations(fields: Fields) -> None:
    citations = take(fields, "citations", _as_blocks) or []
    kept = [citation for citation in citations if not _is_foreign(citation)]
    if kept:
        fields["citations"] = raw_json(kept)


def _is_foreign(citation: Fields) -> bool:
    is_web = bytes(citation.get("type", _NULL)) == b'"web_search_result_location"'
    return is_web and bytes(citation.get("encrypted_index", _NULL)) in (b"null", b'""')


def _read_image(fields: Fields) -> list[Part]:
    image = nested(fields, "source", as_object, _read_picture)
    image.extra |= rest(fields)
    return [image]


def _read_picture(source: Fields) -> Image:
    kind = require(source, "type", as_text)
    if kind == "url":
        return Image(url=require(source, "url", as_text), extra=rest(source))
    if kind == "file":
        return Image(file_id=require(source, "file_id", as_text), extra=rest(source))
    if kind != "base64":
        raise unsupported(kind, ("base64", "url", "file"))
    media_type = require(source, "media_type", as_text)
    return Image(data=require(source, "data", as_text), media_type=media_type, extra=rest(source))


class _Content(NamedTuple):
    """What a document holds. ``is_joined``: it had several pieces that became one."""

    parts: list[File | Image]
    is_joined: bool = False


def _read_document(fields: Fields) -> list[Part]:
    """``title`` is the name of the file, as it is on the way to Anthropic."""
    block = {"type": "document", **fields}
    title = take(fields, "title", as_text) or None
    parts, is_joined = nested(fields, "source", as_object, _read_source)
    files = [part for part in parts if isinstance(part, File)]
    for file in files:
        file.filename = title
    # what is said of the whole stands at its end, where a mark of the prompt cache belongs
    (files or parts)[-1].extra |= {ORIGINAL_BLOCK: raw_json(block)} if is_joined else rest(fields)
    return [*parts]


def _read_source(source: Fields) -> _Content:
    kind = require(source, "type", as_text)
    if kind == "content":
        return nested(source, "content", _as_content, _read_pieces)
    return _Content([_read_file(kind, source)])


def _read_file(kind: str, source: Fields) -> File:
    if kind == "url":
        return File(url=require(source, "url", as_text), extra=rest(source))
    if kind == "file":
        return File(file_id=require(source, "file_id", as_text), extra=rest(source))
    if kind not in ("base64", "text"):
        raise unsupported(kind, ("base64", "text", "url", "file", "content"))
    media_type = require(source, "media_type", as_text)
    data = require(source, "data", as_text)
    return File(data=_base64(data) if kind == "text" else data, media_type=media_type, extra=rest(source))


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _read_pieces(given: str | list[Fields]) -> _Content:
    """The pieces of a document: texts that follow each other are one file."""
    pieces = _read_blocks(_read_piece, given)
    if not pieces:
        raise FieldError("must not be empty")
    parts: list[File | Image] = []
    texts: list[str] = []
    for piece in pieces:
        if isinstance(piece, Text):
            texts.append(piece.text)
        elif isinstance(piece, Image):
            parts += _join_texts(texts)
            texts = []
            parts.append(piece)
    parts += _join_texts(texts)
    return _Content(parts, is_joined=len(parts) == 1 < len(pieces))


def _join_texts(texts: list[str]) -> list[File]:
    return [File(data=_base64("\n".join(texts)), media_type=_TEXT_MEDIA_TYPE)] if texts else []


def _read_search_result(fields: Fields) -> list[Part]:
    extra = {ORIGINAL_BLOCK: raw_json({"type": "search_result", **fields})}
    lines = [require(fields, "title", as_text), require(fields, "source", as_text), ""]
    pieces = nested(fields, "content", _as_blocks, partial(_read_blocks, _read_text_piece))
    lines += [piece.text for piece in pieces if isinstance(piece, Text)]
    return [Text("\n".join(lines), extra)]


# --- thought, calls and their results -----------------------------------------------------------------------------


def _read_thinking(fields: Fields) -> list[Part]:
    text = require(fields, "thinking", as_text)
    proof = unseal(take(fields, "signature", as_text) or "", _ORIGIN)
    if proof.is_redacted:
        return [Reasoning(redacted=proof.text, origin=proof.origin, id=proof.id)]
    if not text and not proof.text:
        return []
    return [Reasoning(text, signature=proof.text or None, origin=proof.origin, id=proof.id)]


def _read_redacted(fields: Fields) -> list[Part]:
    proof = unseal(require(fields, "data", as_text), _ORIGIN)
    return [Reasoning(redacted=proof.text, origin=proof.origin, id=proof.id)]


def _as_arguments(raw: bytes | Raw) -> str:
    """A JSON object as the text it came in."""
    check_object(raw)
    return bytes(raw).decode()


def _read_tool_use(fields: Fields) -> list[Part]:
    call_id, name = require(fields, "id", as_text), require(fields, "name", as_text)
    arguments = require(fields, "input", _as_arguments)
    if bytes(fields.get("caller", _NULL)).replace(b" ", b"") == _DIRECT_CALLER:
        del fields["caller"]
    return [ToolCall(call_id, name, arguments, rest(fields))]


def _read_tool_result(fields: Fields) -> list[Part]:
    call_id = require(fields, "tool_use_id", as_text)
    content = take_nested(fields, "content", _as_content, partial(_read_blocks, _read_result_block)) or []
    parts = [part for part in content if isinstance(part, Text | Image | File)]
    is_error = take(fields, "is_error", as_flag) or False
    return [ToolResult(call_id, parts, is_error, rest(fields))]


# --- blocks by their type -----------------------------------------------------------------------------------------


def _keep_opaque(kind: str, fields: Fields) -> Part:
    return Opaque(kind, raw_json(fields), _ORIGIN)


def _tell_as_json(_kind: str, fields: Fields) -> Part:
    """In a tool result, which must be readable: a ``tool_reference`` (a tool that was found), a ``browser_state``."""
    block = raw_json(fields)
    try:
        return Text(bytes(block).decode(), {ORIGINAL_BLOCK: block})
    except UnicodeDecodeError:
        raise FieldError("is not valid JSON: invalid UTF-8") from None


def _refuse(known: Mapping[str, Reader], kind: str, _fields: Fields) -> Part:
    raise unsupported(kind, known)


def _by_type(
    readers: Mapping[str, Reader], tell_other: Callable[[str, Fields], Part] | None, misplaced: str = ""
) -> Reader:
    """``tell_other`` takes the kinds without a reader, and refuses them when it is None. ``misplaced`` names the role
    that must say what others would only take for another kind."""
    tell = tell_other or partial(_refuse, readers)

    def read(fields: Fields) -> list[Part]:
        kind = read_kind(fields)
        reader = readers.get(kind)
        if reader is not None:
            del fields["type"]
            return reader(fields)
        if misplaced and kind in _KINDS_WITH_A_ROLE:
            raise FieldError(f"must not be {kind}: that belongs in a message of the {misplaced}", "type")
        return [tell(kind, fields)]

    return read


_SAID: dict[str, Reader] = {
    "text": _read_text,
    "image": _read_image,
    "document": _read_document,
    "search_result": _read_search_result,
}
_DONE: dict[str, Reader] = {
    "thinking": _read_thinking,
    "redacted_thinking": _read_redacted,
    "tool_use": _read_tool_use,
}
_ANSWERED: dict[str, Reader] = {"tool_result": _read_tool_result}
_KINDS_WITH_A_ROLE = frozenset((*_DONE, *_ANSWERED))

_read_user_block = _by_type(_SAID | _ANSWERED, _keep_opaque, misplaced="assistant")
_read_assistant_block = _by_type(_SAID | _DONE, _keep_opaque, misplaced="user")
_read_system_block = _by_type({"text": _read_text}, _keep_opaque)
_read_result_block = _by_type(_SAID, _tell_as_json)
_read_text_piece = _by_type({"text": _read_text}, None)
_read_piece = _by_type({"text": _read_text, "image": _read_image}, None)
