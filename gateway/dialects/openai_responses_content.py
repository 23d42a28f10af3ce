"""The content of an OpenAI Responses message or tool output, read into core types.

Source: OpenAI API reference, "Create a model response", ``input`` (2026-11): parts of type ``input_text``,
``input_image``, ``input_file``, ``input_audio``, and ``output_text`` and ``refusal`` of turns that are replayed. Parts
of other types are refused: what they say is unknown, and leaving them out would change the answer.
"""

from collections.abc import Callable
from typing import TypeVar

from gateway.core.types import File, Image, Part, Text
from gateway.dialects.fields import (
    FieldError,
    Fields,
    as_text,
    require,
    rest,
    take,
    take_nested,
)
from gateway.dialects.openai_parts import Source, by_type, read_audio, read_refusal, read_source

P = TypeVar("P")

ResultPart = Text | Image | File

# measurements and citations of a replayed text; most clients send them empty
_OUTPUT_MEMBERS = ("annotations", "logprobs")


# --- text ---------------------------------------------------------------------------------------------------------


def _read_text(fields: Fields) -> Text:
    for name in _OUTPUT_MEMBERS:
        if bytes(fields.get(name, b"")) == b"[]":
            del fields[name]
    return Text(require(fields, "text", as_text), rest(fields))


# --- media --------------------------------------------------------------------------------------------------------


def _read_image(fields: Fields) -> Image | File:
    file_id = take(fields, "file_id", as_text)
    source = take_nested(fields, "image_url", as_text, read_source)
    if (file_id is None) == (source is None):
        raise FieldError("needs either image_url or file_id")
    where, detail = source or Source(), take(fields, "detail", as_text)
    if where.is_document:
        return File(data=where.data, media_type=where.media_type, extra=rest(fields))
    return Image(where.url, file_id, where.data, where.media_type, detail, rest(fields))


def _read_file(fields: Fields) -> File:
    file_id = take(fields, "file_id", as_text)
    here = take_nested(fields, "file_data", as_text, read_source)
    there = take_nested(fields, "file_url", as_text, read_source)
    if sum(place is not None for place in (file_id, here, there)) != 1:
        raise FieldError("needs exactly one of file_id, file_data and file_url")
    where, name = here or there or Source(), take(fields, "filename", as_text)
    return File(where.url, file_id, where.data, where.media_type, name, rest(fields))


# --- parts --------------------------------------------------------------------------------------------------------


_RESULT_PARTS: dict[str, Callable[[Fields], ResultPart]] = {
    "input_text": _read_text,
    "output_text": _read_text,
    "input_image": _read_image,
    "input_file": _read_file,
}
_PARTS: dict[str, Callable[[Fields], Part]] = {
    **_RESULT_PARTS,
    "input_audio": read_audio,
    "refusal": read_refusal,
}

read_result_part = by_type(_RESULT_PARTS)
read_part = by_type(_PARTS)
