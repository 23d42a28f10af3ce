"""The content parts that chat completions and responses have in common, read into core types.

Source: OpenAI API reference, "Create chat completion" and "Create a model response" (2026-11).
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from gateway.core.limits import MAX_MESSAGE_PARTS
from gateway.core.types import Audio, Refusal, Text
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
    take_nested,
    unsupported,
)

P = TypeVar("P")

_as_content: Decode[str | list[Fields]] = msgspec.json.Decoder(
    str | Annotated[list[Fields], Meta(max_length=MAX_MESSAGE_PARTS)]
).decode
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def take_content(fields: Fields, name: str, read_part: Callable[[Fields], P]) -> list[P | Text] | None:
    """The parts of a string or a list, removed from ``fields``; ``None`` when the field is absent or null."""
    return take_nested(fields, name, _as_content, lambda given: _read_parts(given, read_part))


def _read_parts(given: str | list[Fields], read_part: Callable[[Fields], P]) -> list[P | Text]:
    return [Text(given)] if isinstance(given, str) else [*each(given, read_part)]


def by_type(readers: Mapping[str, Callable[[Fields], P]]) -> Callable[[Fields], P]:
    """The reader of a part whose ``type`` chooses one of ``readers``. Other types are refused: what they say is
    unknown, and leaving them out would change the answer."""

    def read(fields: Fields) -> P:
        kind = require(fields, "type", as_text)
        reader = readers.get(kind)
        if reader is None:
            raise unsupported(kind, readers)
        return reader(fields)

    return read


class Source(NamedTuple):
    """Where a picture or document is: at a URL, or here as base64."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None

    @property
    def is_document(self) -> bool:
        """Was it sent as something else than a picture? A PDF in the place of a picture is common."""
        return self.media_type is not None and not self.media_type.startswith("image/")


def read_source(text: str) -> Source:
    """A URL or a data URI. Raises ``FieldError``."""
    if not is_data_uri(text):
        if not _URL.match(text):
            raise FieldError("must be a URL or a data URI such as data:image/png;base64,...")
        return Source(url=text)
    try:
        media_type, data = parse_data_uri(text)
    except ValueError as error:
        raise FieldError(str(error)) from None
    return Source(data=data, media_type=media_type)


def read_refusal(fields: Fields) -> Refusal:
    return Refusal(require(fields, "refusal", as_text))


def read_audio(fields: Fields) -> Audio:
    """A part of type ``input_audio``."""
    audio = nested(fields, "input_audio", as_object, _read_sound)
    audio.extra |= rest(fields)
    return audio


def _read_sound(fields: Fields) -> Audio:
    return Audio(require(fields, "data", as_text), require(fields, "format", as_text), rest(fields))
