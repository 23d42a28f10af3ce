"""Reading a client's JSON field by field, and saying which field is wrong.

An object is decoded as ``dict[str, Raw]``. Each known field is taken out by name and decoded as what it must be; what
remains has no word of ours and goes into an ``extra`` map. Null is the same as absent everywhere.

A fault is raised where it is found and knows only its own name; every level it passes on the way out puts its name in
front. So a good request pays nothing for paths, and a bad one is told ``messages[2].content[0].image_url.url``.
"""

import re
from collections.abc import Callable, Iterable
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import Extra, raw_json

T = TypeVar("T")
V = TypeVar("V")

Fields = dict[str, Raw]

# msgspec's words for what JSON has, in ours.
_WANTED = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}
_FOUND = {**_WANTED, "bool": "a boolean"}
_EXPECTED = re.compile(r"Expected `([^`]+)`(.*?)(?:, got `([^`]+)`)?", re.DOTALL)
_MISSING = "Object missing required field `"
_MAX_SHOWN_CHARS = 40

Decode = Callable[[bytes | Raw], T]

as_text: Decode[str] = msgspec.json.Decoder(str).decode
as_flag: Decode[bool] = msgspec.json.Decoder(bool).decode
as_number: Decode[float] = msgspec.json.Decoder(float).decode
as_count: Decode[int] = msgspec.json.Decoder(Annotated[int, Meta(ge=1)]).decode
as_object: Decode[Fields] = msgspec.json.Decoder(Fields).decode
as_text_or_object: Decode[str | Fields] = msgspec.json.Decoder(str | Fields).decode


class AnyObject(Struct, gc=False):
    """Any JSON object; its members are skipped."""


check_object: Decode[AnyObject] = msgspec.json.Decoder(AnyObject).decode


class FieldError(Exception):
    """A field cannot be read. ``reason`` follows the field's name in a sentence; ``path`` grows from the inside out.
    It never leaves a dialect: ``as_bad_request`` makes the error that does."""

    def __init__(self, reason: str, path: str = "", *, is_unsupported: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path
        self.is_unsupported = is_unsupported

    def within(self, place: str) -> "FieldError":
        """The same fault, seen from one level further out."""
        joint = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{place}{joint}{self.path}"
        return self

    def as_bad_request(self) -> BadRequest:
        kind = UnsupportedParameter if self.is_unsupported else BadRequest
        subject = f"'{self.path}'" if self.path else "The request body"
        return kind(f"{subject} {self.reason}.", param=self.path or None)


def parse(data: bytes | Raw, decode: Decode[T]) -> T:
    """``decode(data)``; whatever msgspec raises becomes ``FieldError``."""
    try:
        return decode(data)
    except DECODE_ERRORS as error:
        raise _explain(error) from None


def parse_body(body: bytes, decode: Decode[T]) -> T:
    """A whole request. Raises ``BadRequest``."""
    try:
        return parse(body, decode)
    except FieldError as invalid:
        raise invalid.as_bad_request() from None


def read_body(body: bytes, read: Callable[[Fields], T]) -> T:
    """``read`` of a whole request, field by field. Raises ``BadRequest``."""
    try:
        return read(parse(body, as_object))
    except FieldError as invalid:
        raise invalid.as_bad_request() from None


def take(fields: Fields, name: str, decode: Decode[T]) -> T | None:
    """The decoded field, removed from ``fields``; ``None`` when it is absent or null."""
    raw = fields.pop(name, None)
    if raw is None or _is_null(raw):
        return None
    try:
        return decode(raw)
    except DECODE_ERRORS as error:
        raise _explain(error).within(name) from None


def require(fields: Fields, name: str, decode: Decode[T]) -> T:
    value = take(fields, name, decode)
    if value is None:
        raise FieldError("is required", name)
    return value


def take_nested(fields: Fields, name: str, decode: Decode[V], read: Callable[[V], T]) -> T | None:
    """``read`` of the decoded field, removed from ``fields``; a fault inside is told with the field's name in front."""
    if name not in fields:
        return None
    value = take(fields, name, decode)
    if value is None:
        return None
    try:
        return read(value)
    except FieldError as invalid:
        raise invalid.within(name) from None


def nested(fields: Fields, name: str, decode: Decode[V], read: Callable[[V], T]) -> T:
    value = take_nested(fields, name, decode, read)
    if value is None:
        raise FieldError("is required", name)
    return value


def each(items: list[V], read: Callable[[V], T]) -> list[T]:
    """``read`` of every item; a fault inside is told with the item's number in front."""
    done: list[T] = []
    for item in items:
        try:
            done.append(read(item))
        except FieldError as invalid:
            raise invalid.within(f"[{len(done)}]") from None
    return done


def take_each(fields: Fields, name: str, decode: Decode[list[V]], read: Callable[[V], T]) -> list[T]:
    """``read`` of every item of an optional list; empty when it is absent or null."""
    if name not in fields:
        return []
    return take_nested(fields, name, decode, lambda items: each(items, read)) or []


def put_back(fields: Fields, name: str, inner: Fields) -> None:
    """What nobody took of a nested object becomes a field of its own again, so that it reaches an ``extra`` map."""
    left = rest(inner)
    if left:
        fields[name] = raw_json(left)


def rest(fields: Fields) -> Extra:
    """What nobody took, without nulls."""
    return {name: raw for name, raw in fields.items() if not _is_null(raw)}


def shown(text: str) -> str:
    """A client's word as it may stand in an error message."""
    return repr(text if len(text) <= _MAX_SHOWN_CHARS else f"{text[:_MAX_SHOWN_CHARS]}…")


def unsupported(word: str, known: Iterable[str], name: str = "type") -> FieldError:
    """``word`` is none of those we have a noun for; leaving its object out would change the answer."""
    return FieldError(f"must be {' or '.join(known)}; {shown(word)} cannot be translated", name, is_unsupported=True)


def _is_null(raw: Raw) -> bool:
    return len(raw) == 4 and bytes(raw) == b"null"


def _explain(error: Exception) -> FieldError:
    """msgspec's error text as a reason and a path. It says ``Expected `A | B`<bound>, got `C` - at `$.path```."""
    if isinstance(error, RecursionError):
        return FieldError("is nested too deeply")
    if not isinstance(error, msgspec.ValidationError):
        return FieldError(f"is not valid JSON: {error}")
    text, _, place = str(error).partition(" - at `$")
    path = place.rstrip("`").lstrip(".")
    if text.startswith(_MISSING):
        missing = FieldError("is required", text[len(_MISSING) :].rstrip("`"))
        return missing.within(path) if path else missing
    expected = _EXPECTED.fullmatch(text)
    return FieldError(_wanted(*expected.groups()) if expected else f"is invalid: {text}", path)


def _wanted(kinds: str, bound: str, found: str | None) -> str:
    if found == "null":
        return "is required"
    if bound == " of length >= 1":
        return "must not be empty"
    words = " or ".join(_WANTED.get(kind, kind) for kind in kinds.split(" | ") if kind != "null")
    return f"must be {words}{bound}" + (f", not {_FOUND.get(found, found)}" if found else "")
