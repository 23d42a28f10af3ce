"""The messages of a chat as input items of the Responses API.

- A message becomes a message item in its place, system and developer messages too. Calls, results and thoughts are
  items of their own: they part the message they stand in.
- Thoughts go back only with the API's own proof. Open thoughts have no place in the input.
- A call of a freeform tool is a ``custom_tool_call`` with the text that was its one argument.
- The API takes ids of calls up to 64 characters. Longer ones get another, in call and result alike.
- A result has no error flag, so its text begins with the word.

Source: OpenAI API reference, "Create a model response", ``input`` (2026-11); guides "Images and vision", "File inputs",
"Function calling", "Reasoning models".
"""

import zlib
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct

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
from providers.openai_like.responses_draft import Draft, JsonObject

_MAX_CALL_ID_CHARS = 64
# The API wants a name for data; its ending says what it is.
_FILE_ENDINGS = {
    "application/pdf": "pdf",
    "application/json": "json",
    "text/plain": "txt",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
}


class _Freeform(Struct, forbid_unknown_fields=True):
    input: str


_read_freeform = msgspec.json.Decoder(_Freeform).decode


def write_items(draft: Draft) -> None:
    """Raises ``BadRequest``, or ``UnsupportedParameter`` for content the API has no item for."""
    for number, message in enumerate(draft.request.messages):
        _write_message(draft, message, f"messages[{number}]")


def _write_message(draft: Draft, message: Message, place: str) -> None:
    content: list[JsonObject | Raw] = []
    is_answer = message.role is Role.ASSISTANT
    for part in message.parts:
        if isinstance(part, Opaque):
            _write_opaque(draft, part, message, content)
        elif (write_item := _ITEMS.get(type(part))) is not None:
            _end_message(draft, message, content)
            write_item(draft, part, place)
        else:
            write = (_ANSWER_PARTS if is_answer else _PARTS).get(type(part))
            if write is None:
                raise UnsupportedParameter(
                    f"{draft.provider} does not take this content of an assistant", param=f"{place}.content"
                )
            content.append(write(draft, part, f"{place}.content"))
    _end_message(draft, message, content)
    if message.name is not None and message.role is not Role.TOOL:
        draft.dropped.append("messages.name")
    members = {n: raw for n, raw in message.extra.items() if not (is_answer and n == "phase")}
    draft.drop_members(members, "messages")


def _end_message(draft: Draft, message: Message, content: list[JsonObject | Raw]) -> None:
    """The message so far becomes an item."""
    if not content:
        return
    role = Role.USER if message.role is Role.TOOL else message.role
    item: JsonObject = {"role": role.value, "content": _simplified(content)}
    if message.role is Role.ASSISTANT and "phase" in message.extra:
        item["phase"] = message.extra["phase"]
    draft.items.append(item)
    content.clear()


def _simplified(content: list[JsonObject | Raw]) -> object:
    """One text alone is a string: every vendor of this API takes that."""
    first = content[0]
    is_text = isinstance(first, dict) and first.keys() == {"type", "text"}
    return first["text"] if is_text and len(content) == 1 and isinstance(first, dict) else list(content)


def _write_opaque(draft: Draft, part: Opaque, message: Message, content: list[JsonObject | Raw]) -> None:
    if part.origin is not DialectName.OPENAI_RESPONSES:
        draft.dropped.append(f"content.{part.kind}")
    elif part.kind.startswith(("input_", "output_")):
        content.append(part.value)
    else:
        _end_message(draft, message, content)
        draft.items.append(part.value)


# --- items that are no messages ---------------------------------------------------------------------------------------


def _write_reasoning(draft: Draft, part: Reasoning, place: str) -> None:
    proof = part.signature or part.redacted
    if part.origin is not DialectName.OPENAI_RESPONSES or not proof or not draft.family.can_reason:
        draft.dropped.append("reasoning_content")
        return
    item: JsonObject = {"type": "reasoning"}
    if part.id:
        item["id"] = part.id
    item["summary"] = [{"type": "summary_text", "text": part.text}] if part.text else []
    item["encrypted_content"] = proof
    draft.items.append(item)


def _write_call(draft: Draft, part: ToolCall, place: str) -> None:
    draft.drop_members(part.extra, "tool_calls")
    call_id = _write_call_id(part.id)
    if part.name not in draft.freeform:
        item = {"type": "function_call", "call_id": call_id, "name": part.name, "arguments": part.arguments}
        draft.items.append(item)
        return
    draft.freeform_calls.add(part.id)
    try:
        text = _read_freeform(part.arguments).input
    except DECODE_ERRORS:
        text = part.arguments
    draft.items.append({"type": "custom_tool_call", "call_id": call_id, "name": part.name, "input": text})


def _write_call_id(call_id: str) -> str:
    if 0 < len(call_id) <= _MAX_CALL_ID_CHARS:
        return call_id
    # the checksum keeps apart what differs only in the characters cut off
    return f"{call_id[: _MAX_CALL_ID_CHARS - 9]}_{zlib.crc32(call_id.encode(errors='replace')):08x}"


def _write_result(draft: Draft, part: ToolResult, place: str) -> None:
    draft.drop_members(part.extra, "messages")
    content = [_PARTS[type(p)](draft, p, f"{place}.content") for p in part.parts]
    if part.is_error:
        _tell_error(content)
    output = _simplified([*content]) if content else ""
    kind = "custom_tool_call_output" if part.call_id in draft.freeform_calls else "function_call_output"
    draft.items.append({"type": kind, "call_id": _write_call_id(part.call_id), "output": output})


def _tell_error(content: list[JsonObject]) -> None:
    texts = [item for item in content if item["type"] == "input_text"]
    if not texts:
        content.insert(0, {"type": "input_text", "text": "Error"})
    elif not texts[0]["text"].lstrip().lower().startswith("error"):
        texts[0]["text"] = f"Error: {texts[0]['text']}"


_ITEMS: dict[type[Struct], Callable[[Draft, Any, str], None]] = {
    Reasoning: _write_reasoning,
    ToolCall: _write_call,
    ToolResult: _write_result,
}


# --- content ----------------------------------------------------------------------------------------------------------


def _write_text(draft: Draft, part: Text, param: str) -> JsonObject:
    draft.drop_members(part.extra, "content")
    return {"type": "input_text", "text": part.text}


def _write_said(draft: Draft, part: Text, param: str) -> JsonObject:
    draft.drop_members(part.extra, "content")
    return {"type": "output_text", "text": part.text}


def _write_refusal(draft: Draft, part: Refusal, param: str) -> JsonObject:
    return {"type": "refusal", "refusal": part.text}


def _write_refused(draft: Draft, part: Refusal, param: str) -> JsonObject:
    return {"type": "input_text", "text": part.text}


def _write_audio(draft: Draft, part: Audio, param: str) -> JsonObject:
    draft.drop_members(part.extra, "content")
    return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}


def _write_image(draft: Draft, part: Image, param: str) -> JsonObject:
    draft.drop_members(part.extra, "content")
    item: JsonObject = {"type": "input_image"}
    if part.file_id is not None:
        item["file_id"] = part.file_id
    else:
        item["image_url"] = part.url if part.url is not None else _write_data(part.media_type, part.data, param)
    if part.detail is not None:
        item["detail"] = part.detail
    return item


def _write_file(draft: Draft, part: File, param: str) -> JsonObject:
    if (part.media_type or "").startswith("image/"):
        picture = Image(part.url, part.file_id, part.data, part.media_type, extra=part.extra)
        return _write_image(draft, picture, param)
    draft.drop_members(part.extra, "content")
    if part.data is None:
        if part.filename:
            draft.dropped.append("file.filename")
        if part.url is None and part.file_id is None:
            raise BadRequest("the file has neither data nor a place", param=param)
        where = {"file_id": part.file_id} if part.file_id is not None else {"file_url": part.url}
        return {"type": "input_file", **where}
    data = _write_data(part.media_type, part.data, param)
    name = part.filename or f"document.{_FILE_ENDINGS.get(part.media_type or '', 'bin')}"
    return {"type": "input_file", "filename": name, "file_data": data}


def _write_data(media_type: str | None, data: str | None, param: str) -> str:
    if not media_type or not data:
        raise BadRequest("the data has no media type", param=param)
    return f"data:{media_type};base64,{data}"


_PARTS: dict[type[Struct], Callable[[Draft, Any, str], JsonObject]] = {
    Text: _write_text,
    Refusal: _write_refused,
    Image: _write_image,
    File: _write_file,
    Audio: _write_audio,
}
_ANSWER_PARTS: dict[type[Struct], Callable[[Draft, Any, str], JsonObject]] = {
    Text: _write_said,
    Refusal: _write_refusal,
}
