"""The content of an OpenAI Responses message or tool output, read into core types.

Source: OpenAI API reference, "Create a model response", ``input`` (2026-11): parts of type ``input_text``,
``input_image``, ``input_file``, ``input_audio``, and ``output_text`` and ``refusal`` of turns that are replayed. Parts
of other types are refused: what they say is unknown, and leaving them out would change the answer.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from gateway.core.limits import MAX_MESSAGE_PARTS
from gateway.core.types import Audio, File, Image, Part, Refusal, Text
from gateway.dialects.data_uri import is_data_uri, parse_data_uri
from gateway.dialects.fields import (
    Decode,
    FieldError,
    Fields,
    as_object,
    as_text,
    each,
    nested,
    require,
    rest,
    take,
    take_nested,
    unsupported,
)

P = TypeVar("P")

ResultPart = Text | Image | File

_as_content: Decode[str | list[Fields]] = msgspec.json.Decoder(
    str | Annotated[list[Fields], Meta(max_length=MAX_MESSAGE_PARTS)]
).decode
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# measurements and citations of a replayed text; most clients send them empty
_OUTPUT_MEMBERS = ("annotations", "logprobs")


def take_content(fields: Fields, name: str, read_part: Callable[[Fields], P]) -> list[P | Text] | None:
    """The parts of a string or a list, removed from ``fields``; ``None`` when the field is absent or null."""
    return take_nested(fields, name, _as_content, lambda given: _read_parts(given, read_part))


def _read_parts(given: str | list[Fields], read_part: Callable[[Fields], P]) -> list[P | Text]:
    return [Text(given)] if isinstance(given, str) else [*each(given, read_part)]


# --- text ---------------------------------------------------------------------------------------------------------


def _read_text(fields: Fields) -> Text:
    for name in _OUTPUT_MEMBERS:
        if bytes(fields.get(name, b"")) == b"[]":
            del fields[name]
    return Text(require(fields, "text", as_text), rest(fields))


def _read_refusal(fields: Fields) -> Refusal:
    return Refusal(require(fields, "refusal", as_text))


# --- media --------------------------------------------------------------------------------------------------------


class _Source(NamedTuple):
    """Where a picture or document is: at a URL, or here."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None


def _read_source(text: str) -> _Source:
    if not is_data_uri(text):
        if not _URL.match(text):
            raise FieldError("must be a URL or a data URI such as data:image/png;base64,...")
        return _Source(url=text)
    try:
        media_type, data = parse_data_uri(text)
    except ValueError as error:
        raise FieldError(str(error)) from None
    return _Source(data=data, media_type=media_type)


def _read_image(fields: Fields) -> Image | File:
    file_id = take(fields, "file_id", as_text)
    source = take_nested(fields, "image_url", as_text, _read_source)
    if (file_id is None) == (source is None):
        raise FieldError("needs either image_url or file_id")
    where, detail = source or _Source(), take(fields, "detail", as_text)
    if where.media_type and not where.media_type.startswith("image/"):
        # a PDF sent as an image is common, and meant as a document
        return File(data=where.data, media_type=where.media_type, extra=rest(fields))
    return Image(where.url, file_id, where.data, where.media_type, detail, rest(fields))


def _read_file(fields: Fields) -> File:
    file_id = take(fields, "file_id", as_text)
    here = take_nested(fields, "file_data", as_text, _read_source)
    there = take_nested(fields, "file_url", as_text, _read_source)
    if sum(place is not None for place in (file_id, here, there)) != 1:
        raise FieldError("needs exactly one of file_id, file_data and file_url")
    where, name = here or there or _Source(), take(fields, "filename", as_text)
    return File(where.url, file_id, where.data, where.media_type, name, rest(fields))


def _read_audio(fields: Fields) -> Audio:
    audio = nested(fields, "input_audio", as_object, _read_sound)
    audio.extra |= rest(fields)
    return audio


def _read_sound(fields: Fields) -> Audio:
    return Audio(require(fields, "data", as_text), require(fields, "format", as_text), rest(fields))


# --- parts --------------------------------------------------------------------------------------------------------


def _by_type(readers: Mapping[str, Callable[[Fields], P]]) -> Callable[[Fields], P]:
    def read(fields: Fields) -> P:
        kind = require(fields, "type", as_text)
        reader = readers.get(kind)
        if reader is None:
            raise unsupported(kind, readers)
        return reader(fields)

    return read


_RESULT_PARTS: dict[str, Callable[[Fields], ResultPart]] = {
    "input_text": _read_text,
    "output_text": _read_text,
    "input_image": _read_image,
    "input_file": _read_file,
}
_PARTS: dict[str, Callable[[Fields], Part]] = {
    **_RESULT_PARTS,
    "input_audio": _read_audio,
    "refusal": _read_refusal,
}

read_result_part = _by_type(_RESULT_PARTS)
read_part = _by_type(_PARTS)
