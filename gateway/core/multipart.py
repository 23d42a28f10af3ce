"""Forms with files: ``multipart/form-data`` as RFC 7578 has it, bytes in, events out.

A form is read more strictly than mail is. It begins with its first boundary, lines end with CRLF, names are UTF-8, a
part says its name once and is not encoded (section 4.7 has given that up). So there is one way to read a form, and a
provider that is sent the same bytes cannot find another field in them.
"""

import re
from collections.abc import Callable, Collection
from typing import Final
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from gateway.core.errors import BadRequest, TooLarge
from gateway.core.limits import MAX_BOUNDARY_CHARS, MAX_FORM_HEAD_BYTES, MAX_FORM_PARTS, MAX_FORM_VALUE_BYTES

FORM_TYPE: Final = "multipart/form-data"


class FieldStart(Struct, frozen=True, tag=True):
    """A field begins. ``filename`` is None when it is no file; ``content_type`` is empty when it names none;
    ``offset`` is where its content begins, in bytes from the start of the form."""

    name: str
    filename: str | None
    content_type: str
    offset: int


class Data(Struct, frozen=True, tag=True):
    """Some bytes of the field's content, never none. How many come at once depends on how the form was cut."""

    data: bytes


class FieldEnd(Struct, frozen=True, tag=True):
    """The field is complete; ``offset`` is where its content ends."""

    offset: int


class End(Struct, frozen=True, tag=True):
    """The form is complete; what follows is ignored (RFC 2046, section 5.1.1)."""


PartEvent = FieldStart | Data | FieldEnd | End

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED_STRING = r'"(?:[^"\\]|\\.)*+"'
_PARAMETER = re.compile(rf"[ \t]*;[ \t]*({_WORD})[ \t]*=[ \t]*({_QUOTED_STRING}|{_WORD})[ \t]*", re.DOTALL)
_BOUNDARY = re.compile(rf"[0-9A-Za-z'()+_,./:=? -]{{0,{MAX_BOUNDARY_CHARS - 1}}}[0-9A-Za-z'()+_,./:=?-]")
# Only these two are escapes: Windows paths come with single backslashes (WHATWG HTML, 4.10.21.8, writes none at all).
_ESCAPED = re.compile(r'\\(["\\])')
_FIELD_NAME = re.compile(_WORD)
_EXTENDED = re.compile(r"(?i:utf-8)'[A-Za-z0-9-]*'((?:[!#$&+.^_`|~0-9A-Za-z-]|%[0-9A-Fa-f]{2})*+)")
_PADDING = b" \t"


def boundary_of(content_type: str) -> bytes:
    """The boundary that a ``Content-Type`` names. Raises ``BadRequest`` when it is not ``multipart/form-data``, or has
    no boundary, more than one, or one that RFC 2046 does not allow."""
    kind, _, _ = content_type.partition(";")
    if kind.strip(" \t").lower() != FORM_TYPE:
        raise BadRequest(f"The Content-Type must be '{FORM_TYPE}'.")
    boundary = _parameters(content_type[len(kind) :], "The Content-Type").get("boundary")
    if boundary is None:
        raise BadRequest("The Content-Type names no boundary.")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise BadRequest(f"The boundary must have 1 to {MAX_BOUNDARY_CHARS} of the characters RFC 2046 allows.")
    return boundary.encode()


def _parameters(text: str, where: str) -> dict[str, str]:
    """``; name=value`` pairs, names in lower case."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None:
            if text[at:].strip(" \t;"):
                raise BadRequest(f"{where} has a parameter that cannot be read.")
            break
        name, value = match[1].lower(), match[2]
        if name in found:
            raise BadRequest(f"{where} has more than one '{name}'.")
        found[name] = _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value
        at = match.end()
    return found


class FormParser:
    """Reads one form. ``feed`` raises ``BadRequest`` for what is no form and ``TooLarge`` beyond a limit; after that
    the parser is of no more use. Any cut of the same bytes gives the same fields and bytes, or the same error."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        # the line end before the first boundary may be missing
        self._pending = bytearray(b"\r\n")
        self._offset = -2  # of the first pending byte
        self._step: Callable[[list[PartEvent]], bool] = self._start
        self._parts = 0
        self._value_room: int | None = None  # None in a file, whose size others bound
        self.is_complete = False

    def feed(self, data: bytes) -> list[PartEvent]:
        """The events that ``data`` adds."""
        events: list[PartEvent] = []
        self._pending += data
        while not self.is_complete and self._step(events):
            pass
        if self.is_complete:
            self._pending.clear()
        return events

    def finish(self) -> None:
        """The body has ended. Raises ``BadRequest`` when the form has not."""
        if not self.is_complete:
            raise BadRequest("The form breaks off: its closing boundary is missing.")

    def _take(self, count: int) -> bytes:
        taken = bytes(self._pending[:count])
        del self._pending[:count]
        self._offset += count
        return taken

    # Each step says whether it got on; if not, it needs more bytes.

    def _start(self, _: list[PartEvent]) -> bool:
        if self._pending == b"\r\n\r":
            return False
        # a body may begin with the line end itself
        skipped = 2 if self._pending.startswith(b"\r\n\r\n") else 0
        head = self._pending[skipped : skipped + len(self._delimiter)]
        if not self._delimiter.startswith(head):
            raise BadRequest("The form does not begin with its boundary.")
        if len(head) < len(self._delimiter):
            return False
        self._take(skipped + len(head))
        self._step = self._after_delimiter
        return True

    def _after_delimiter(self, events: list[PartEvent]) -> bool:
        if len(self._pending) < 2:
            return False
        if self._pending.startswith(b"--"):
            self.is_complete = True
            events.append(End())
            return True
        line_end = self._pending.find(b"\r\n", 0, MAX_FORM_HEAD_BYTES)
        padding = self._pending[:line_end] if line_end >= 0 else self._pending.rstrip(b"\r")
        if padding.strip(_PADDING) or (line_end < 0 and len(self._pending) >= MAX_FORM_HEAD_BYTES):
            raise BadRequest("A boundary of the form is followed by something else on its line.")
        if line_end < 0:
            return False
        self._parts += 1
        if self._parts > MAX_FORM_PARTS:
            raise TooLarge(f"The form has more than {MAX_FORM_PARTS} fields.")
        # the line end stays: a head without any header is nothing but it and another
        self._take(line_end)
        self._step = self._head
        return True

    def _head(self, events: list[PartEvent]) -> bool:
        end = self._pending.find(b"\r\n\r\n", 0, MAX_FORM_HEAD_BYTES)
        if end < 0:
            if len(self._pending) >= MAX_FORM_HEAD_BYTES:
                raise TooLarge(f"A field of the form has more than {MAX_FORM_HEAD_BYTES} bytes of headers.")
            return False
        start = _read_head(self._take(end + 4)[2:-2], self._offset)
        self._value_room = MAX_FORM_VALUE_BYTES if start.filename is None else None
        events.append(start)
        self._step = self._content_start
        return True

    def _content_start(self, _: list[PartEvent]) -> bool:
        """Some would end a part here that has a boundary right behind its head; others would take it for content."""
        boundary = self._delimiter[2:]
        head = self._pending[: len(boundary)]
        if head == boundary:
            raise BadRequest("A field of the form has no content, not even an empty line.")
        if boundary.startswith(head):
            return False
        self._step = self._content
        return True

    def _content(self, events: list[PartEvent]) -> bool:
        line = self._pending.find(self._delimiter[1:])
        # without one, the last bytes may still be its beginning
        count = line - 1 if line >= 0 else len(self._pending) - len(self._delimiter) + 1
        if count > 0:
            self._count(count)
            events.append(Data(self._take(count)))
        if line < 0:
            return False
        # a boundary after a bare line feed is one to lenient readers only
        if not self._pending.startswith(self._delimiter):
            raise BadRequest("A boundary of the form is not preceded by CRLF.")
        events.append(FieldEnd(self._offset))
        self._take(len(self._delimiter))
        self._step = self._after_delimiter
        return True

    def _count(self, count: int) -> None:
        if self._value_room is not None:
            self._value_room -= count
            if self._value_room < 0:
                raise TooLarge(f"A field of the form that is no file has more than {MAX_FORM_VALUE_BYTES} bytes.")


# --- the head of a part -------------------------------------------------------------------------------------------


def _read_head(head: bytes, offset: int) -> FieldStart:
    headers = _read_headers(head)
    disposition = headers.get("content-disposition", "")
    kind, _, _ = disposition.partition(";")
    if kind.strip(" \t").lower() != "form-data":
        raise BadRequest("A part of the form is not a form field: its Content-Disposition must be 'form-data'.")
    if headers.get("content-transfer-encoding", "binary").lower() not in ("binary", "8bit", "7bit"):
        raise BadRequest("A field of the form has a Content-Transfer-Encoding; send its bytes as they are.")
    parameters = _parameters(disposition[len(kind) :], "A field of the form")
    # "name*" is not allowed, and whoever reads it all the same reads another name
    if not (name := parameters.get("name", "")) or "name*" in parameters:
        raise BadRequest("A field of the form has no name, or one in a form that is not allowed.")
    return FieldStart(name, _filename(parameters), headers.get("content-type", ""), offset)


def _read_headers(head: bytes) -> dict[str, str]:
    """Header lines, each ended by CRLF. Names in lower case."""
    try:
        lines = head.decode().split("\r\n")[:-1]
    except UnicodeDecodeError:
        raise BadRequest("A field of the form has headers that are not UTF-8.") from None
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or _FIELD_NAME.fullmatch(name) is None or any(char in line for char in "\r\n\0"):
            raise BadRequest("A field of the form has a header that cannot be read.")
        if name.lower() in headers:
            raise BadRequest(f"A field of the form has more than one '{name}'.")
        headers[name.lower()] = value.strip(" \t")
    return headers


def _filename(parameters: dict[str, str]) -> str | None:
    """RFC 7578 forbids ``filename*`` (RFC 5987); some clients send it all the same, with or without the plain one."""
    extended = parameters.get("filename*")
    if extended is None:
        return parameters.get("filename")
    match = _EXTENDED.fullmatch(extended)
    try:
        if match is not None:
            return unquote_to_bytes(match[1]).decode()
    except UnicodeDecodeError:
        pass
    raise BadRequest("A field of the form has a 'filename*' that is not UTF-8.")


# --- forms that are held as a whole ---------------------------------------------------------------------------------


class _Field(Struct):
    start: FieldStart
    end: int


def _fields(body: bytes, content_type: str) -> list[_Field]:
    parser = FormParser(boundary_of(content_type))
    fields: list[_Field] = []
    for event in parser.feed(body):
        if isinstance(event, FieldStart):
            fields.append(_Field(event, event.offset))
        elif isinstance(event, FieldEnd):
            fields[-1].end = event.offset
    parser.finish()
    return fields


def _find(fields: list[_Field], name: str) -> _Field | None:
    """The one field ``name`` that is no file. Raises ``BadRequest`` when there are two, or it is a file."""
    named = [field for field in fields if field.start.name == name]
    if len(named) > 1:
        raise BadRequest(f"The form has more than one '{name}'.", param=name)
    if named and named[0].start.filename is not None:
        raise BadRequest(f"The form's '{name}' must not be a file.", param=name)
    return named[0] if named else None


def read_fields(body: bytes, content_type: str, names: Collection[str]) -> dict[str, str]:
    """The values of the fields ``names`` that a whole form has. Raises ``BadRequest`` when it is no form, or has one of
    them twice, as a file, or not in UTF-8."""
    fields = _fields(body, content_type)
    values: dict[str, str] = {}
    for name in names:
        field = _find(fields, name)
        if field is None:
            continue
        try:
            values[name] = body[field.start.offset : field.end].decode()
        except UnicodeDecodeError:
            raise BadRequest(f"The form's '{name}' is not UTF-8.", param=name) from None
    return values


def replace_field(body: bytes, content_type: str, name: str, value: str) -> bytes:
    """A whole form with the value of its field ``name`` replaced; every other byte stays. Raises ``BadRequest`` as
    ``read_fields`` does, when there is no such field, and when the form's boundary occurs in ``value``."""
    field = _find(_fields(body, content_type), name)
    if field is None:
        raise BadRequest(f"The form has no field '{name}'.", param=name)
    encoded = value.encode()
    if boundary_of(content_type) in encoded:
        raise BadRequest(f"The form's boundary must not be part of '{name}'.", param=name)
    return body[: field.start.offset] + encoded + body[field.end :]
