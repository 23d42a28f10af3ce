"""The messages of a chat as the Messages API takes them.

- Leading system and developer messages become ``system``. A later one stays in its place on models with system turns;
  the API takes one only behind a user turn and before an assistant turn, so it moves on to the next such place. On
  other models it is added to ``system``. Where there is nothing but system messages, they are the user's turn.
- Consecutive turns of one role become one. Tool results are user content, and stand before everything else in it.
- Text without a visible character is left out, as are messages with nothing left: the API refuses both. An assistant
  turn at the end is continued (prefill); white space at its end is refused and cut.
- Reasoning blocks go back byte for byte, in their place. A block without a signature cannot go back, nor can one that
  another maker's API signed.
- Blocks the gateway does not interpret go back to the API whose they are, and no other. A part that only tells such a
  block in plain words (``anthropic_block``) becomes that block again.
- Calls whose id has characters the API refuses (other makers' ids do) get another one, in call and result alike.

Source: platform.claude.com/docs, "Messages" (API reference), "Vision", "PDF support", "Files", "Mid-conversation system
messages", "Prompt caching" (2026-11).
"""

import base64
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from gateway.core.decoding import DECODE_ERRORS
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

JsonObject = dict[str, Any]

# Members of Anthropic's own blocks that clients add to a content part, a call or a result.
_BLOCK_MEMBERS = frozenset(("cache_control", "citations", "context", "title", "transformations"))
_EMPTY = frozenset((b"null", b"[]", b"{}", b'""', b"false"))
# Member of a part's ``extra``: the block of this API that the part tells in plain words.
_ORIGINAL_BLOCK = "anthropic_block"
_CALL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NOT_IN_CALL_ID = re.compile(r"[^a-zA-Z0-9_-]")
# Documents that are text, whatever their media type says.
_TEXT_TYPES = re.compile(r"text/.+|application/(.+\+)?(json|xml|yaml|x-yaml|javascript|toml|sql)")
_TEXT_NAMES = (".txt", ".md", ".csv", ".json", ".xml", ".yaml", ".yml", ".html")
_PDF = "application/pdf"
_PDF_MAGIC = base64.b64encode(b"%PDF--")[:6].decode()

_TURN_ROLES = {
    Role.SYSTEM: "system",
    Role.DEVELOPER: "system",
    Role.USER: "user",
    Role.TOOL: "user",
    Role.ASSISTANT: "assistant",
}

_read_arguments = msgspec.json.Decoder(JsonObject).decode
_read_members = msgspec.json.Decoder(dict[str, Raw]).decode
_read_kind = msgspec.json.Decoder(str).decode


class Turn(Struct):
    role: str
    content: list[JsonObject]


class Conversation(Struct):
    """What ``write_turns`` found. ``dropped`` names what has no place; ``has_files`` asks for the files beta."""

    provider: str
    has_system_turns: bool
    system: list[JsonObject] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    has_files: bool = False


def write_turns(messages: list[Message], provider: str, *, has_system_turns: bool) -> Conversation:
    """Raises ``BadRequest``, or ``UnsupportedParameter`` for content the API has no block for."""
    chat = Conversation(provider, has_system_turns)
    turns = chat.turns
    waiting: list[JsonObject] = []
    for number, message in enumerate(messages):
        blocks = _write_plain(message) or _write_message(chat, message, f"messages[{number}]")
        role = _TURN_ROLES[message.role]
        if role == "system":
            (waiting if has_system_turns and turns else chat.system).extend(blocks)
        elif blocks:
            if waiting and role == "assistant":
                waiting = _place_system(chat, waiting)
            if turns and turns[-1].role == role:
                turns[-1].content += blocks
            else:
                turns.append(Turn(role, blocks))
    if waiting:
        chat.system += _place_system(chat, waiting)
    if not turns:
        _turn_system_into_question(chat)
    _arrange(chat.turns)
    return chat


def _turn_system_into_question(chat: Conversation) -> None:
    """A chat of system messages alone is one OpenAI answers and the Messages API refuses."""
    if not chat.system:
        raise BadRequest(f"{chat.provider} needs a message with content", param="messages")
    chat.turns, chat.system = [Turn("user", chat.system)], []


def _place_system(chat: Conversation, waiting: list[JsonObject]) -> list[JsonObject]:
    """System blocks that wait for their place, which is behind a user turn; what must wait on."""
    if chat.turns[-1].role != "user":
        return waiting
    chat.turns.append(Turn("system", waiting))
    return []


def _arrange(turns: list[Turn]) -> None:
    for turn in turns:
        if turn.role == "user" and len(turn.content) > 1:
            turn.content.sort(key=lambda block: block["type"] != "tool_result")
    last = turns[-1].content[-1]
    # of a block that goes up as it came the text is not known
    if turns[-1].role == "assistant" and last["type"] == "text" and isinstance(last.get("text"), str):
        last["text"] = last["text"].rstrip()


# --- one message ----------------------------------------------------------------------------------------------------


def _write_plain(message: Message) -> list[JsonObject] | None:
    """A message of one text and nothing else, as most are. None for any other."""
    if len(message.parts) != 1 or message.name is not None or message.extra:
        return None
    (part,) = message.parts
    if not isinstance(part, Text) or part.extra or not part.text or part.text.isspace():
        return None
    return [{"type": "text", "text": part.text}]


def _write_message(chat: Conversation, message: Message, place: str) -> list[JsonObject]:
    if message.role in (Role.SYSTEM, Role.DEVELOPER) and not all(isinstance(p, Text | Opaque) for p in message.parts):
        raise BadRequest(f"{chat.provider} takes only text in a {message.role} message", param=f"{place}.content")
    blocks = _write_parts(chat, message.parts, place)
    if message.name is not None and message.role is not Role.TOOL:
        chat.dropped.append("messages.name")
    members = _keep_members(chat, message.extra, "messages")
    if blocks and "thinking" not in blocks[-1]["type"]:
        blocks[-1] |= members
    return blocks


def _write_parts(chat: Conversation, parts: Iterable[Any], place: str) -> list[JsonObject]:
    blocks, calls = [], 0
    for part in parts:
        is_call = isinstance(part, ToolCall)
        field_name = f"{place}.tool_calls[{calls}].function.arguments" if is_call else f"{place}.content"
        calls += is_call
        block = _restore(part) or _WRITERS[type(part)](chat, part, field_name)
        if block is not None:
            blocks.append(block)
    return blocks


def _restore(part: Any) -> JsonObject | None:
    """The block that a part was made of; None for a part that stands for itself."""
    if not isinstance(part, Text | File) or _ORIGINAL_BLOCK not in part.extra:
        return None
    try:
        block = {**_read_members(part.extra[_ORIGINAL_BLOCK])}
        return {**block, "type": _read_kind(block["type"])}
    except (KeyError, *DECODE_ERRORS):
        return None


def _keep_members(chat: Conversation, extra: Mapping[str, Raw], where: str) -> JsonObject:
    """Members of ``extra`` that Anthropic knows. The others are named, unless they are empty: clients replay
    ``"annotations": []`` and the like."""
    members = {}
    for name, raw in extra.items():
        if name in _BLOCK_MEMBERS:
            members[name] = raw
        elif bytes(raw) not in _EMPTY:
            chat.dropped.append(f"{where}.{name}")
    return members


def _write_text(chat: Conversation, part: Text, param: str) -> JsonObject | None:
    members = _keep_members(chat, part.extra, "content")
    return {"type": "text", "text": part.text, **members} if part.text.strip() else None


def _write_refusal(chat: Conversation, part: Refusal, param: str) -> JsonObject | None:
    return {"type": "text", "text": part.text} if part.text.strip() else None


def _write_audio(chat: Conversation, part: Audio, param: str) -> JsonObject | None:
    raise UnsupportedParameter(f"{chat.provider} does not take audio", param=param)


def _write_reasoning(chat: Conversation, part: Reasoning, param: str) -> JsonObject | None:
    is_own = part.origin is DialectName.ANTHROPIC_MESSAGES
    if is_own and part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted}
    if is_own and part.signature:
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}
    chat.dropped.append("reasoning_content")
    return None


def _write_opaque(chat: Conversation, part: Opaque, param: str) -> JsonObject | None:
    # a piece of a block is what a stream told of one it could not put together, and is no block
    if part.origin is not DialectName.ANTHROPIC_MESSAGES or part.kind.endswith("_delta"):
        chat.dropped.append(f"content.{part.kind}")
        return None
    try:
        return {**_read_members(part.value), "type": part.kind}
    except DECODE_ERRORS:
        raise BadRequest(f"the {part.kind[:64]!r} block is not an object", param=param) from None


def _write_tool_call(chat: Conversation, part: ToolCall, param: str) -> JsonObject | None:
    return {
        "type": "tool_use",
        "id": _write_call_id(part.id),
        "name": part.name,
        "input": _write_arguments(part, param),
        **_keep_members(chat, part.extra, "tool_calls"),
    }


def _write_arguments(call: ToolCall, param: str) -> Raw:
    text = call.arguments.strip() or "{}"
    try:
        _read_arguments(text)
        return Raw(text.encode())
    except DECODE_ERRORS:
        raise BadRequest(f"the arguments of tool call {call.id[:64]!r} are not a JSON object", param=param) from None


def _write_call_id(call_id: str) -> str:
    if _CALL_ID.fullmatch(call_id):
        return call_id
    # the checksum keeps apart what differs only in the characters replaced
    return f"{_NOT_IN_CALL_ID.sub('_', call_id)}_{zlib.crc32(call_id.encode(errors='replace')):08x}"


def _write_tool_result(chat: Conversation, part: ToolResult, param: str) -> JsonObject | None:
    block: JsonObject = {"type": "tool_result", "tool_use_id": _write_call_id(part.call_id)}
    content = _write_parts(chat, part.parts, param.removesuffix(".content"))
    if content:
        block["content"] = content
    if part.is_error:
        block["is_error"] = True
    return {**block, **_keep_members(chat, part.extra, "messages")}


# --- pictures and documents -----------------------------------------------------------------------------------------


def _write_image(chat: Conversation, part: Image, param: str) -> JsonObject | None:
    if part.detail not in (None, "auto"):
        chat.dropped.append("image_url.detail")
    source = _write_source(chat, part) or _write_data(part.media_type, part.data, param)
    return {"type": "image", "source": source, **_keep_members(chat, part.extra, "content")}


def _write_file(chat: Conversation, part: File, param: str) -> JsonObject | None:
    if (part.media_type or "").startswith("image/"):
        return _write_image(chat, Image(data=part.data, media_type=part.media_type, extra=part.extra), param)
    source = _write_source(chat, part) or _write_document(chat, part, param)
    block: JsonObject = {"type": "document", "source": source}
    if part.filename:
        block["title"] = part.filename
    return block | _keep_members(chat, part.extra, "content")


def _write_source(chat: Conversation, part: Image | File) -> JsonObject | None:
    if part.url is not None:
        return {"type": "url", "url": part.url}
    if part.file_id is not None:
        chat.has_files = True
        return {"type": "file", "file_id": part.file_id}
    return None


def _write_data(media_type: str | None, data: str | None, param: str) -> JsonObject:
    if not media_type or not data:
        raise BadRequest("the data has no media type", param=param)
    return {"type": "base64", "media_type": media_type, "data": data}


def _write_document(chat: Conversation, part: File, param: str) -> JsonObject:
    media_type, name = part.media_type or "", (part.filename or "").lower()
    data = part.data or ""
    if media_type == _PDF or data.startswith(_PDF_MAGIC):
        return _write_data(_PDF, data, param)
    if _TEXT_TYPES.fullmatch(media_type) or name.endswith(_TEXT_NAMES):
        return {"type": "text", "media_type": "text/plain", "data": _decode_text(data, param)}
    kind = media_type or name or "this type"
    raise UnsupportedParameter(f"{chat.provider} takes PDF and text documents, not {kind[:80]}", param=param)


def _decode_text(data: str, param: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:
        raise BadRequest("the text document is not base64 of UTF-8", param=param) from None


_WRITERS: dict[type[Struct], Callable[[Conversation, Any, str], JsonObject | None]] = {
    Text: _write_text,
    Refusal: _write_refusal,
    Image: _write_image,
    File: _write_file,
    Audio: _write_audio,
    Opaque: _write_opaque,
    Reasoning: _write_reasoning,
    ToolCall: _write_tool_call,
    ToolResult: _write_tool_result,
}


# --- what a conversation looks like ---------------------------------------------------------------------------------


def is_unthought(turns: list[Turn]) -> bool:
    """Would thinking with a budget be refused here? The API wants the turns since the last real user turn to begin with
    thought, which a framework that rebuilt them has lost, and it continues no prefill with thought."""
    if turns[-1].role == "assistant":
        return True
    begun = [turn for turn in _tool_loop(turns) if turn.role == "assistant"]
    return bool(begun) and not any("thinking" in turn.content[0]["type"] for turn in begun)


def _tool_loop(turns: list[Turn]) -> list[Turn]:
    """The turns of the tool use that is under way: none when the last user turn brings no result."""
    start = len(turns)
    for at in range(len(turns) - 1, -1, -1):
        if turns[at].role == "user" and turns[at].content[0]["type"] != "tool_result":
            break
        start = at
    return turns[start:]
