"""The form that a file is uploaded in, while it comes in: its file goes on as it comes, its small fields are kept.

Source: OpenAI API reference, "Upload file" (2026-11).
"""

from collections.abc import AsyncIterator
from typing import Final

from gateway.core.errors import BadRequest, UnsupportedMedia
from gateway.core.limits import MAX_FILENAME_CHARS
from gateway.core.multipart import Data, FieldEnd, FieldStart, FormParser

# What OpenAI's clients may say a file is for.
PURPOSES: Final = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
BATCH_PURPOSE: Final = "batch"
# How long a file may be asked to be kept, in seconds.
MIN_TTL_S: Final = 3600
MAX_TTL_S: Final = 30 * 86400

_FILE = "file"
_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"
_FIELDS = ("purpose", _ANCHOR, _SECONDS)
_UNNAMED = "upload"


class UploadForm:
    """Read with ``content`` to its end; then ``filename``, ``purpose`` and ``ttl_s`` are known. ``ttl_s`` is None when
    the client names no time."""

    def __init__(self, boundary: bytes) -> None:
        self._parser = FormParser(boundary)
        self._fields: dict[str, bytearray] = {}  # bounded by the parser's limit on values
        self._name = ""
        self._filename: str | None = None

    async def content(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The bytes of the form's file. Raises ``BadRequest`` for a form that has none or several, and as soon as it is
        known for one whose purpose is wrong."""
        async for chunk in chunks:
            for event in self._parser.feed(chunk):
                if isinstance(event, FieldStart):
                    self._begin(event)
                elif isinstance(event, Data) and self._name == _FILE:
                    yield event.data
                elif isinstance(event, Data) and self._name in self._fields:
                    self._fields[self._name] += event.data
                elif isinstance(event, FieldEnd) and self._name in self._fields:
                    self._check(self._name)
        self._parser.finish()
        if self._filename is None:
            raise BadRequest("The form must have a field 'file' with a file in it.", param=_FILE)
        self._check("purpose")

    def _begin(self, field: FieldStart) -> None:
        name = self._name = field.name
        if name == _FILE:
            if self._filename is not None:
                raise BadRequest("The form has more than one 'file'.", param=_FILE)
            self._filename = (field.filename or _UNNAMED)[:MAX_FILENAME_CHARS]
        elif name in _FIELDS:
            if name in self._fields:
                raise BadRequest(f"The form has more than one '{name}'.", param=name)
            if field.filename is not None:
                raise BadRequest(f"The form's '{name}' must not be a file.", param=name)
            self._fields[name] = bytearray()

    def _check(self, name: str) -> None:
        value = self._text(name)
        if name == "purpose" and value not in PURPOSES:
            raise BadRequest(f"'purpose' must be one of {', '.join(PURPOSES)}.", param=name)
        if name == _ANCHOR and value != "created_at":
            raise BadRequest(f"'{name}' must be created_at.", param=name)
        if name == _SECONDS and not _is_between(value, MIN_TTL_S, MAX_TTL_S):
            raise BadRequest(f"'{name}' must be a number from {MIN_TTL_S} to {MAX_TTL_S}.", param=name)

    def _text(self, name: str) -> str:
        return bytes(self._fields.get(name, b"")).decode("utf-8", "replace")

    @property
    def filename(self) -> str:
        return self._filename or _UNNAMED

    @property
    def purpose(self) -> str:
        return self._text("purpose")

    @property
    def ttl_s(self) -> int | None:
        return int(self._text(_SECONDS)) if _SECONDS in self._fields else None


def _is_between(text: str, least: int, most: int) -> bool:
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    return is_number and least <= int(text) <= most


def check_plain(content_encoding: str) -> None:
    """A form is read as it comes, here or at the provider. Raises ``UnsupportedMedia`` for one that is compressed."""
    if content_encoding.lower() not in ("", "identity"):
        raise UnsupportedMedia("Compressed uploads are not accepted; send the form without Content-Encoding.")
