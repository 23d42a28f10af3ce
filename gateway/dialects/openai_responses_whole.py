"""Output items that come whole: pictures, and the work of tools that OpenAI runs itself.

Source: OpenAI API reference, "The response object", ``output``, and "Streaming events" of the Responses API (2026-11).
"""

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.dialects.data_uri import is_data_uri, parse_data_uri
from gateway.dialects.fields import Fields
from gateway.dialects.one_line import on_one_line
from gateway.dialects.openai_responses_output import EventLog, OutputItem

_FORMATS = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/svg+xml": "svg",
}
# What a client runs itself comes as a call and never as content.
_HOSTED_KIND = re.compile(
    rb'"(?:(?!function_|custom_tool_)[a-z_]+_call(?:_output)?|tool_search_output|mcp_list_tools|mcp_approval_request'
    rb'|compaction|program(?:_output)?)"'
)
# Items whose completion has an event of its own.
_ANNOUNCED = {f'"{kind}"'.encode(): kind for kind in ("web_search_call", "file_search_call", "code_interpreter_call")}
_NULL = Raw(b"null")


class _Place(Struct):
    url: str


class _Image(Struct):
    image_url: _Place


_read_image = msgspec.json.Decoder(_Image).decode
_read_members = msgspec.json.Decoder(dict[str, Raw]).decode
_read_text = msgspec.json.Decoder(str).decode


class Picture(Struct, frozen=True):
    """``data`` is base64, ``format`` OpenAI's word for its kind."""

    data: str
    format: str


def read_picture(value: Raw) -> Picture | None:
    """An ``image_url`` part of a chat message. None for a picture that is not in the answer itself, or of a kind that
    these items do not have."""
    try:
        url = _read_image(value).image_url.url
        media_type, data = parse_data_uri(url) if is_data_uri(url) else ("", "")
    except DECODE_ERRORS:
        return None
    kind = _FORMATS.get(media_type)
    return None if kind is None else Picture(data, kind)


def read_hosted(value: Raw) -> tuple[str, Fields] | None:
    """Id and members of an item of one of OpenAI's own tools; None for content of other vendors, which has other kinds
    or no ids."""
    try:
        members = _read_members(on_one_line(value))
        is_own = _HOSTED_KIND.fullmatch(bytes(members.get("type", _NULL))) is not None
        return (_read_text(members["id"]), members) if is_own and "id" in members else None
    except DECODE_ERRORS:
        return None


class PictureItem(OutputItem):
    """A picture that the model made."""

    __slots__ = ()
    prefix = "ig"

    def __init__(self, log: EventLog, index: int, stem: str, picture: Picture) -> None:
        super().__init__(log, index, stem)
        head = {"id": self.id, "type": "image_generation_call"}
        self._tell_added({**head, "status": "in_progress", "result": None})
        log.tell("response.image_generation_call.completed", self.place)
        self._tell_done({**head, "status": "completed", "output_format": picture.format, "result": picture.data})
        log.size += len(picture.data)


class HostedItem(OutputItem):
    """An item as the provider wrote it."""

    __slots__ = ()
    prefix = "item"

    def __init__(self, log: EventLog, index: int, stem: str, members: Fields, own_id: str | None) -> None:
        """``own_id``: unless another item of the answer has it."""
        super().__init__(log, index, stem)
        self.id = own_id or self.id
        item: dict[str, Any] = {**members, "id": self.id}
        announced = _ANNOUNCED.get(bytes(members["type"]))
        if announced is not None and bytes(members.get("status", _NULL)) == b'"completed"':
            self._tell_added({**item, "status": "in_progress"})
            log.tell(f"response.{announced}.completed", self.place)
        else:
            self._tell_added(item)
        self._tell_done(item)
        log.size += sum(len(raw) for raw in members.values())
