"""The messages of a chat as ``contents`` and ``systemInstruction``.

- System and developer messages become ``systemInstruction``, wherever they stand: there are no such turns. Models
  without one read them at the beginning of the first turn. Where there is nothing else, they are the user's turn.
- Consecutive turns of one role become one. Results stand before everything else in it, in the order of their calls, as
  the API wants them. A result bears the name of its function, which is found by the id of the call.
- Empty texts are left out, as are messages with nothing left: the API refuses both.
- The text of a result is wrapped, because a result must be an object: ``{"result": ...}`` or ``{"error": ...}``.
  Pictures and documents go inside it where the model takes them there, else they stand behind the results.
- A thought signature goes on the part that follows its thought, or where none follows on the part before. Several in a
  row (dialects that keep all thought in front) are given out in order. A call of the current turn that has lost its
  signature takes one from a text before it, which such a dialect has put there, else the value by which Google lets
  calls of other makers pass.
- Thoughts of other makers are left out.

Source: ai.google.dev/gemini-api/docs, "Text generation", "Function calling", "Thought signatures" (2026-11).
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest
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
from providers.generate_content.draft import Conversation, House, JsonObject, Turn
from providers.generate_content.media import write_audio, write_file, write_image
from providers.generate_content.models import Gemini

ORIGIN = DialectName.GEMINI_GENERATE_CONTENT
# "Thought signatures", FAQ: for calls that come from another model, or have lost theirs
UNSIGNED = "skip_thought_signature_validator"
_EMPTY = frozenset((b"null", b"[]", b"{}", b'""', b"false"))
# what ``functionResponse.parts`` takes
_RESULT_TYPES = frozenset(("image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"))


class _Google(Struct):
    thought_signature: str | None = None


class _ExtraContent(Struct):
    google: _Google | None = None


_read_arguments = msgspec.json.Decoder(dict[str, Raw]).decode
_read_part = msgspec.json.Decoder(dict[str, Raw]).decode
_read_extra_content = msgspec.json.Decoder(_ExtraContent).decode


def write_turns(messages: list[Message], house: House, gemini: Gemini) -> Conversation:
    """Raises ``BadRequest``, or ``UnsupportedParameter`` for content the API has no part for."""
    chat = Conversation(house, gemini)
    for number, message in enumerate(messages):
        parts = _write_message(chat, message, f"messages[{number}]")
        if message.role in (Role.SYSTEM, Role.DEVELOPER):
            chat.system += parts
        elif parts:
            _add(chat.turns, "model" if message.role is Role.ASSISTANT else "user", parts)
    if chat.system and (not chat.turns or not gemini.has_system):
        chat.turns.insert(0, Turn("user", chat.system))
        if len(chat.turns) > 1 and chat.turns[1].role == "user":
            chat.turns[0].parts += chat.turns.pop(1).parts
        chat.system = []
    if not chat.turns:
        raise BadRequest(f"{house.name} needs a message with content", param="messages")
    _arrange_results(chat)
    _sign_calls(chat)
    return chat


def _add(turns: list[Turn], role: str, parts: list[JsonObject]) -> None:
    if turns and turns[-1].role == role:
        turns[-1].parts += parts
    else:
        turns.append(Turn(role, parts))


def _arrange_results(chat: Conversation) -> None:
    order = {call_id: place for place, call_id in enumerate(chat.names)}
    behind = len(order)
    for turn in chat.turns:
        if turn.role == "user" and len(turn.parts) > 1:
            turn.parts.sort(key=lambda part: _place_of(part, order, behind))


def _place_of(part: JsonObject, order: Mapping[str, int], behind: int) -> int:
    result = part.get("functionResponse")
    return order.get(result["id"], behind) if isinstance(result, dict) else behind + 1


# --- signatures -----------------------------------------------------------------------------------------------------


def _sign_calls(chat: Conversation) -> None:
    """The API checks the first call of every step since the user last spoke."""
    current = 0
    for place, turn in enumerate(chat.turns):
        if turn.role == "user" and not any("functionResponse" in part for part in turn.parts):
            current = place
    for place, turn in enumerate(chat.turns):
        if turn.role != "model":
            continue
        first = next((part for part in turn.parts if "functionCall" in part), None)
        if first is None or "thoughtSignature" in first:
            continue
        before = turn.parts[: turn.parts.index(first)]
        signed = next((part for part in before if "text" in part and "thoughtSignature" in part), None)
        if signed is not None:
            first["thoughtSignature"] = signed.pop("thoughtSignature")
        elif chat.gemini.checks_signatures and place > current:
            first["thoughtSignature"] = UNSIGNED


def _write_assistant(chat: Conversation, message: Message, place: str) -> list[JsonObject]:
    parts: list[JsonObject] = []
    waiting: list[str] = []
    calls = 0
    for part in message.parts:
        is_call = isinstance(part, ToolCall)
        param = f"{place}.tool_calls[{calls}].function.arguments" if is_call else f"{place}.content"
        calls += is_call
        if isinstance(part, Reasoning):
            parts += _write_reasoning(chat, part, waiting)
            continue
        for written in _WRITERS[type(part)](chat, part, param):
            if waiting and "thoughtSignature" not in written:
                written["thoughtSignature"] = waiting.pop(0)
            parts.append(written)
    for signature in waiting:
        _sign_last(parts, signature)
    return parts


def _write_reasoning(chat: Conversation, part: Reasoning, waiting: list[str]) -> list[JsonObject]:
    if part.origin is not ORIGIN or not part.signature:
        chat.dropped.append("reasoning_content")
        return []
    waiting.append(part.signature)
    return [{"text": part.text, "thought": True}] if part.text else []


def _sign_last(parts: list[JsonObject], signature: str) -> None:
    """On the part before, or on an empty text, as the API itself sends it at the end of a stream."""
    if parts and "thoughtSignature" not in parts[-1] and not parts[-1].get("thought"):
        parts[-1]["thoughtSignature"] = signature
    else:
        parts.append({"text": "", "thoughtSignature": signature})


# --- one message ----------------------------------------------------------------------------------------------------


def _write_message(chat: Conversation, message: Message, place: str) -> list[JsonObject]:
    is_system = message.role in (Role.SYSTEM, Role.DEVELOPER)
    if is_system and not all(isinstance(part, Text | Opaque) for part in message.parts):
        raise BadRequest(f"{chat.house.name} takes only text in a {message.role} message", param=f"{place}.content")
    if message.name is not None and message.role is not Role.TOOL:
        chat.dropped.append("messages.name")
    _name_members(chat, message.extra, "messages")
    if message.role is Role.ASSISTANT:
        return _write_assistant(chat, message, place)
    parts: list[JsonObject] = []
    for part in message.parts:
        if isinstance(part, ToolResult):
            parts += _write_tool_result(chat, part, message.name, place)
        elif isinstance(part, Reasoning):
            chat.dropped.append("reasoning_content")
        else:
            parts += _WRITERS[type(part)](chat, part, f"{place}.content")
    return parts


def _name_members(chat: Conversation, extra: Mapping[str, Raw], where: str) -> None:
    """The API's parts have no such members. Empty ones are left out without a word: clients replay
    ``"annotations": []`` and the like."""
    chat.dropped += [f"{where}.{name}" for name, raw in extra.items() if bytes(raw) not in _EMPTY]


def _write_text(chat: Conversation, part: Text, param: str) -> list[JsonObject]:
    _name_members(chat, part.extra, "content")
    return [{"text": part.text}] if part.text else []


def _write_refusal(chat: Conversation, part: Refusal, param: str) -> list[JsonObject]:
    return [{"text": part.text}] if part.text else []


def _write_media(chat: Conversation, part: Image | File | Audio, param: str) -> list[JsonObject]:
    _name_members(chat, part.extra, "content")
    if isinstance(part, Image):
        return [write_image(chat, part, param)]
    return [write_file(chat, part, param) if isinstance(part, File) else write_audio(chat, part, param)]


def _write_opaque(chat: Conversation, part: Opaque, param: str) -> list[JsonObject]:
    """A part of the API's own goes back as it came."""
    try:
        if part.origin is ORIGIN:
            return [dict(_read_part(part.value))]
    except DECODE_ERRORS:
        raise BadRequest(f"the {part.kind[:64]!r} part is not an object", param=param) from None
    chat.dropped.append(f"content.{part.kind}")
    return []


# --- calls and results ----------------------------------------------------------------------------------------------


def _write_tool_call(chat: Conversation, part: ToolCall, param: str) -> list[JsonObject]:
    chat.names[part.id] = part.name
    written: JsonObject = {"functionCall": {"id": part.id, "name": part.name, "args": _write_arguments(part, param)}}
    extra = dict(part.extra)
    signature = _read_signature(extra.get("extra_content"))
    if signature:
        written["thoughtSignature"] = signature
        del extra["extra_content"]
    _name_members(chat, extra, "tool_calls")
    return [written]


def _write_arguments(call: ToolCall, param: str) -> Raw:
    text = call.arguments.strip() or "{}"
    try:
        _read_arguments(text)
        return Raw(text.encode())
    except DECODE_ERRORS:
        raise BadRequest(f"the arguments of tool call {call.id[:64]!r} are not a JSON object", param=param) from None


def _read_signature(raw: Raw | None) -> str | None:
    """Where clients of Google's OpenAI-compatible endpoint keep it ("OpenAI compatibility", thought signatures)."""
    try:
        google = _read_extra_content(raw).google if raw is not None else None
    except DECODE_ERRORS:
        return None
    return google.thought_signature if google is not None else None


def _write_tool_result(chat: Conversation, part: ToolResult, name: str | None, place: str) -> list[JsonObject]:
    function = chat.names.get(part.call_id) or name
    if not function:
        raise BadRequest(
            f"there is no tool call {part.call_id[:64]!r} before its result", param=f"{place}.tool_call_id"
        )
    chat.names.setdefault(part.call_id, function)
    _name_members(chat, part.extra, "messages")
    texts: list[str] = []
    inside: list[JsonObject] = []
    beside: list[JsonObject] = []
    for item in part.parts:
        if isinstance(item, Text):
            _name_members(chat, item.extra, "content")
            texts.append(item.text)
        else:
            written = _write_media(chat, item, f"{place}.content")
            fits = chat.gemini.has_media_results and _fits_result(written[0])
            (inside if fits else beside).extend(written)
    said: str | list[str] = texts[0] if len(texts) == 1 else texts or ""
    response: JsonObject = {
        "id": part.call_id,
        "name": function,
        "response": {"error" if part.is_error else "result": said},
    }
    if inside:
        response["parts"] = inside
    return [{"functionResponse": response}, *beside]


def _fits_result(written: JsonObject) -> bool:
    return "inlineData" in written and written["inlineData"]["mimeType"] in _RESULT_TYPES


_WRITERS: dict[type[Struct], Callable[[Conversation, Any, str], list[JsonObject]]] = {
    Text: _write_text,
    Refusal: _write_refusal,
    Image: _write_media,
    File: _write_media,
    Audio: _write_media,
    Opaque: _write_opaque,
    ToolCall: _write_tool_call,
}
