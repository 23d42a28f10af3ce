"""The messages of a chat as chat completions take them.

- Text alone stays a string, more becomes a list of parts. Pictures and documents that are here travel as data URIs; a
  text document becomes text. There is no place for a picture by file id, nor at most vendors for a document by URL.
- A tool message holds text. What else a tool gave is told in the user turn behind the tool messages, under the id of
  its call. There is no mark for a failed call either: its text begins with ``Error``.
- Thought goes back as the vendor wants it (``Replay``), work of another vendor's own tools cannot.
- System messages stay in their place, or where a vendor cannot have that become one at the beginning.

Source: OpenAI API reference, "Create chat completion", ``messages``; openrouter.ai/docs, "PDF inputs", "Reasoning
tokens", "Prompt caching" (2026-11).
"""

import base64
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Raw, Struct, field

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import (
    Audio,
    DialectName,
    File,
    Image,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from providers.openai_like.chat_options import ChatOptions, Replay
from providers.openai_like.chat_thoughts import restore_detail

JsonObject = dict[str, Any]

# Clients replay ``"annotations": []`` and the like: nothing is lost with them.
_EMPTY = (b"null", b"[]", b"{}", b'""', b"false")
# an earlier audio answer, by its id
_ASSISTANT_MEMBERS = frozenset(("audio",))
_PDF = "application/pdf"
_TEXT_TYPES = re.compile(r"text/.+|application/(json|xml|yaml|x-yaml|toml|javascript)")
_CHECKSUM_CHARS = 9


class Conversation(Struct):
    """``turns`` is what goes up as ``messages``; ``dropped`` names fields of the client. ``attached`` waits for the end
    of the tool messages, ``system`` for the end of all."""

    options: ChatOptions
    turns: list[JsonObject] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    attached: list[JsonObject] = field(default_factory=list)
    system: list[JsonObject] = field(default_factory=list)


def write_messages(messages: list[Message], options: ChatOptions) -> Conversation:
    """Raises ``BadRequest`` and ``UnsupportedParameter``."""
    chat = Conversation(options)
    for at, message in enumerate(messages):
        place = f"messages[{at}]"
        if message.role is Role.ASSISTANT:
            _write_assistant(chat, message, place)
        elif message.role in (Role.SYSTEM, Role.DEVELOPER):
            _write_system(chat, message, place)
        else:
            _write_user(chat, message, place)
    _place_attached(chat)
    if chat.system:
        chat.turns.insert(0, {"role": "system", "content": _content(chat.system)})
    if not chat.turns:
        raise BadRequest(f"{options.title} needs a message with content", param="messages")
    return chat


def _place_attached(chat: Conversation) -> None:
    if chat.attached:
        chat.turns.append({"role": "user", "content": chat.attached})
        chat.attached = []


def _turn(chat: Conversation, message: Message, role: str, content: str | list[JsonObject] | None) -> JsonObject:
    turn: JsonObject = {"role": role, "content": content}
    if message.name is not None:
        turn["name"] = message.name
    return turn


def _content(parts: list[JsonObject]) -> str | list[JsonObject]:
    """One text and nothing beside it is a string."""
    return parts[0]["text"] if len(parts) == 1 and parts[0].keys() == {"type", "text"} else parts


def _keep(chat: Conversation, extra: Mapping[str, Raw], where: str, known: frozenset[str] = frozenset()) -> JsonObject:
    """The members of ``extra`` that are ``known``; the others are named, unless they are empty."""
    chat.dropped += [f"{where}.{name}" for name, raw in extra.items() if name not in known and bytes(raw) not in _EMPTY]
    return {name: raw for name, raw in extra.items() if name in known}


def _mark(parts: list[JsonObject], members: JsonObject) -> None:
    """A mark on a whole message stands on its last text."""
    last = next((part for part in reversed(parts) if part["type"] == "text"), None)
    if last is not None:
        last |= members


# --- turns ----------------------------------------------------------------------------------------------------------


def _write_system(chat: Conversation, message: Message, place: str) -> None:
    if not all(isinstance(part, Text | Opaque) for part in message.parts):
        reason = f"{chat.options.title} takes only text in a {message.role} message"
        raise BadRequest(reason, param=f"{place}.content")
    parts = _write_parts(chat, message, place)
    if not parts:
        return
    if not chat.options.has_late_system:
        chat.system += parts
        chat.dropped += [] if message.name is None else ["messages.name"]
        return
    _place_attached(chat)
    role = "developer" if message.role is Role.DEVELOPER and chat.options.has_developer_role else "system"
    chat.turns.append(_turn(chat, message, role, _content(parts)))


def _write_user(chat: Conversation, message: Message, place: str) -> None:
    """A user's turn, or tool messages; a turn that is both, as no API of today has it, becomes both."""
    for part in message.parts:
        if isinstance(part, ToolResult):
            _write_result(chat, part, place)
    parts = _write_parts(chat, message, place)
    if parts:
        parts, chat.attached = chat.attached + parts, []
        chat.turns.append(_turn(chat, message, "user", _content(parts)))


def _write_assistant(chat: Conversation, message: Message, place: str) -> None:
    _place_attached(chat)
    parts = _write_parts(chat, message, place)
    calls = [_write_call(chat, part) for part in message.parts if isinstance(part, ToolCall)]
    refusal = "".join(part.text for part in message.parts if isinstance(part, Refusal))
    known = {name: message.extra[name] for name in _ASSISTANT_MEMBERS if name in message.extra}
    if not (parts or calls or refusal or known):
        # only thought, or work of another vendor's tools, which has been named
        if any(isinstance(part, Reasoning) for part in message.parts):
            chat.dropped.append("reasoning_content")
        return
    turn = _turn(chat, message, "assistant", _content(parts) if parts else None)
    if refusal:
        turn["refusal"] = refusal
    if calls:
        turn["tool_calls"] = calls
    chat.turns.append(turn | known | _write_thought(chat, message))


def _write_parts(chat: Conversation, message: Message, place: str) -> list[JsonObject]:
    parts: list[JsonObject] = []
    for part in message.parts:
        write = _WRITERS.get(type(part))
        if write is not None:
            _check_place(chat, message.role, part, place)
            parts.append(write(chat, part, f"{place}.content"))
        elif isinstance(part, Opaque):
            chat.dropped.append(f"content.{part.kind}")
        elif isinstance(part, ToolCall) and message.role is not Role.ASSISTANT:
            raise BadRequest("only an assistant message can call a tool", param=place)
    members = _keep(chat, message.extra, "messages", chat.options.part_members | _ASSISTANT_MEMBERS)
    _mark(parts, {name: raw for name, raw in members.items() if name in chat.options.part_members})
    return parts


def _check_place(chat: Conversation, role: Role, part: object, place: str) -> None:
    if role is Role.ASSISTANT and not isinstance(part, Text):
        reason = f"{chat.options.title} takes only text in an assistant message"
        raise UnsupportedParameter(reason, param=f"{place}.content")


# --- tools ----------------------------------------------------------------------------------------------------------


def _write_call(chat: Conversation, call: ToolCall) -> JsonObject:
    _keep(chat, call.extra, "tool_calls")
    # servers exist that parse the text, and an empty one is no JSON
    function = {"name": call.name, "arguments": call.arguments if call.arguments.strip() else "{}"}
    return {"id": _write_call_id(chat, call.id), "type": "function", "function": function}


def _write_call_id(chat: Conversation, call_id: str) -> str:
    bound = chat.options.max_call_id_chars
    if bound is None or len(call_id) <= bound:
        return call_id
    # the checksum keeps apart what differs only behind the cut
    return f"{call_id[: bound - _CHECKSUM_CHARS]}_{zlib.crc32(call_id.encode(errors='replace')):08x}"


def _write_result(chat: Conversation, result: ToolResult, place: str) -> None:
    call_id = _write_call_id(chat, result.call_id)
    parts = [_WRITERS[type(part)](chat, part, f"{place}.content") for part in result.parts]
    texts = [part for part in parts if part["type"] == "text"]
    others = [part for part in parts if part["type"] != "text"]
    if others:
        chat.attached += [{"type": "text", "text": f"Attachments from tool call {call_id}:"}, *others]
        texts = texts or [{"type": "text", "text": "The result is attached to the next message."}]
    if result.is_error:
        _tell_error(texts)
    _mark(texts, _keep(chat, result.extra, "messages", chat.options.part_members))
    chat.turns.append({"role": "tool", "tool_call_id": call_id, "content": _content(texts) if texts else ""})


def _tell_error(texts: list[JsonObject]) -> None:
    if not texts:
        texts.append({"type": "text", "text": "Error"})
    elif texts[0]["text"].lstrip()[:5].lower() != "error":
        texts[0]["text"] = f"Error: {texts[0]['text']}"


# --- thought --------------------------------------------------------------------------------------------------------


def _write_thought(chat: Conversation, message: Message) -> JsonObject:
    thoughts = [part for part in message.parts if isinstance(part, Reasoning)]
    if chat.options.replay is Replay.DETAILS:
        details = [_write_detail(thought) for thought in thoughts]
        kept = [detail for detail in details if detail is not None]
        members: JsonObject = {"reasoning_details": kept} if kept else {}
        is_whole = len(kept) == len(thoughts)
    else:
        texts = [t.text for t in thoughts if t.text] if chat.options.replay is Replay.TEXT else []
        members = {"reasoning_content": "".join(texts)} if texts else {}
        is_whole = len(texts) == len(thoughts) and not any(t.signature or t.redacted for t in thoughts)
    if not is_whole:
        chat.dropped.append("reasoning_content")
    return members


def _write_detail(thought: Reasoning) -> JsonObject | None:
    """None for what is another API's, or no detail after all."""
    proof = thought.redacted or thought.signature
    if proof:
        return restore_detail(proof, thought.text) if thought.origin is DialectName.OPENAI_CHAT else None
    return {"type": "reasoning.text", "text": thought.text, "format": "unknown"} if thought.text else None


# --- content --------------------------------------------------------------------------------------------------------


def _write_text(chat: Conversation, part: Text, param: str) -> JsonObject:
    return {"type": "text", "text": part.text, **_keep(chat, part.extra, "content", chat.options.part_members)}


def _write_image(chat: Conversation, part: Image, param: str) -> JsonObject:
    _keep(chat, part.extra, "content")
    if part.file_id is not None:
        raise UnsupportedParameter(f"{chat.options.title} takes no image by its file id", param=param)
    image: JsonObject = {"url": part.url or _data_uri(part.media_type, part.data, param)}
    if part.detail is not None:
        image["detail"] = part.detail
    return {"type": "image_url", "image_url": image}


def _data_uri(media_type: str | None, data: str | None, param: str) -> str:
    if not media_type or not data:
        raise BadRequest("the data has no media type", param=param)
    return f"data:{media_type};base64,{data}"


def _write_file(chat: Conversation, part: File, param: str) -> JsonObject:
    media_type = part.media_type or ""
    if media_type.startswith("image/"):
        return _write_image(chat, Image(part.url, data=part.data, media_type=media_type, extra=part.extra), param)
    _keep(chat, part.extra, "content")
    if part.data is not None and _TEXT_TYPES.fullmatch(media_type):
        return {"type": "text", "text": _decode_text(part, param)}
    file: JsonObject = {}
    if part.file_id is not None:
        file["file_id"] = part.file_id
    elif part.url is None:
        # OpenAI insists on a name
        file["filename"] = "document.pdf" if media_type == _PDF else "document"
        file["file_data"] = _data_uri(part.media_type, part.data, param)
    elif chat.options.takes_file_urls:
        file["file_data"] = part.url
    else:
        raise UnsupportedParameter(f"{chat.options.title} takes no document by its URL", param=param)
    if part.filename:
        file["filename"] = part.filename
    return {"type": "file", "file": file}


def _decode_text(part: File, param: str) -> str:
    try:
        text = base64.b64decode(part.data or "", validate=True).decode()
    except ValueError:
        raise BadRequest("the text document is not base64 of UTF-8", param=param) from None
    return f"{part.filename}:\n{text}" if part.filename else text


def _write_audio(chat: Conversation, part: Audio, param: str) -> JsonObject:
    _keep(chat, part.extra, "content")
    return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}


_WRITERS: dict[type[Struct], Callable[[Conversation, Any, str], JsonObject]] = {
    Text: _write_text,
    Image: _write_image,
    File: _write_file,
    Audio: _write_audio,
}
