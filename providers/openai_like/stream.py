"""Watching the stream of an OpenAI-shaped vendor.

The observer is the hottest code beside the upstream client: it sees every chunk of every stream that is forwarded as it
is. It forwards whole events only, decodes an event only when a substring says that it matters, and takes out the one
event that the gateway itself asked for (usage, when the client did not).

Sources: OpenAI API reference, "The chat completion chunk object"; variants from recorded traffic of other vendors.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.sse import WholeEvents
from gateway.core.types import Fault, Usage
from providers.openai_like.errors import read_fault
from providers.openai_like.usage import plain_reason, read_members, read_usage

# For reads that the glance cannot decode, mostly several events at once: only with one of these is each event decoded.
# They are the spellings of JSON that vendors use; with other white space, such a read is forwarded without a look.
# ``error`` may be the name of a member or of the event.
_MARKERS = (b'"finish_reason":"', b'"usage":{', b"[DONE]", b"error", b'"finish_reason": "', b'"usage": {')
# A choice beside the first (or a tool call beside the first, which does no harm).
_LATER_INDEX = re.compile(rb'"index": ?[1-9]')
# The most choices one request can ask for (OpenAI API reference, ``n``); an index beyond is not followed.
_MAX_CHOICES = 128
# A blank line in any mixture of line ends (WHATWG HTML, 9.2.6 "Interpreting an event stream").
_EVENT_END = re.compile(rb"\n\r?\n|\n\r|\r\r\n?")
_DATA_LINE = re.compile(rb"(?:^[\r\n]*(?:\xef\xbb\xbf)?|[\r\n])data(?:: ?([^\r\n]*))?(?=[\r\n]|\Z)")
_ERROR_NAME = re.compile(rb"(?:^|[\r\n])event: ?error(?=[\r\n]|\Z)")


class _Choice(Struct):
    index: Any = 0
    delta: dict[str, Raw] | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Groq(Struct):
    usage: Any = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    x_groq: _Groq | None = None
    message: Any = None
    object: Any = None
    type: Any = None


class _GlancedChoice(Struct, gc=False):
    index: int = 0
    finish_reason: str | None = None


class _Glance(Struct, gc=False):
    """A chunk seen from afar: whether there is anything to learn from it."""

    choices: list[_GlancedChoice] = []
    usage: dict[str, Any] | None = None
    error: Any = None
    x_groq: Any = None


# In the middle of an answer: one more piece of the first choice.
_DULL = _Glance([_GlancedChoice()])

_read_chunk = msgspec.json.Decoder(_Chunk).decode
_glance = msgspec.json.Decoder(_Glance).decode
_EMPTY_VALUES = frozenset((b"null", b'""', b"[]", b"{}"))
# Members of a delta that carry no part of the answer.
_SILENT_MEMBERS = frozenset(("role", "name", "obfuscation", "reasoning_details", "provider_specific_fields"))


class ChatStreamObserver:
    """Watches an OpenAI chat (or completion) stream. See ``providers.contract.StreamObserver``."""

    __slots__ = (
        "_ended",
        "_events",
        "_seen",
        "_strip_usage",
        "fault",
        "finish_reason",
        "has_token",
        "is_complete",
        "is_fault_told",
        "usage",
    )

    answer_id: ClassVar[None] = None  # nobody refers to a chat completion

    def __init__(self, strip_usage: bool) -> None:
        self._strip_usage = strip_usage
        self._events = WholeEvents()
        # indices of choices, and which of them had a finish reason
        self._seen: set[int] = set()
        self._ended: set[int] = set()
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.has_token = False
        self.is_complete = False
        self.fault: Fault | None = None
        self.is_fault_told = False

    def feed(self, data: bytes) -> bytes:
        if self._events.held or not data.endswith(b"\n\n"):
            data = self._whole_events(data)
            if not data:
                return b""
        if self.has_token:
            # most reads hold one dull chunk; a decoder that skips the text sees that three times faster than a search
            # for all the markers. Several events in one read are no JSON together and are not decided so.
            try:
                is_dull = _glance(data[6:-2]) == _DULL if data.startswith(b"data: {") else not _has_marker(data)
            except DECODE_ERRORS:
                is_dull = not _has_marker(data)
            if is_dull:
                return data
        return self._inspect(data)

    def finish(self) -> bytes:
        whole, broken = self._events.finish()
        rest = whole + broken
        was_told = self.is_fault_told
        forwarded = self._inspect(rest)
        is_open = self.finish_reason is None or self._seen > self._ended
        if self.fault is None and not self.is_complete and (is_open or _is_cut(rest)):
            self.fault = Fault("the provider ended the stream before the answer was complete", kind="upstream_broken")
        if self.fault is None or was_told or not broken:
            # a last event without its blank line is not dispatched by clients, but these bytes are the provider's
            return forwarded
        # an error in an event that is not dispatched is told to nobody
        self.is_fault_told = False
        return whole

    def _whole_events(self, data: bytes) -> bytes:
        whole = self._events.feed(data)
        if self._events.overflowed and self.fault is None:
            self.fault = Fault("the provider sent an event larger than the gateway takes", kind="upstream_broken")
        return whole

    def _inspect(self, data: bytes) -> bytes:
        if not self._strip_usage:
            for event in _split_events(data):
                self._note(event)
            return data
        return b"".join([_line_ends_before(event) if self._note(event) else event for event in _split_events(data)])

    def _note(self, event: bytes) -> bool:
        """Learn from one event. Is it the usage event that only the gateway asked for?"""
        payload = _payload(event)
        if payload is None:
            return False
        if payload.startswith(b"[DONE]"):
            self.is_complete = True
            return False
        chunk = _decode_chunk(payload)
        self._learn(chunk, event)
        return self._strip_usage and chunk.choices == [] and chunk.usage is not None and not chunk.error

    def _learn(self, chunk: _Chunk, event: bytes) -> None:
        reported = chunk.usage or (chunk.x_groq.usage if chunk.x_groq else None)
        if reported and isinstance(reported, dict):
            self.usage = read_usage(reported)
        for choice in chunk.choices or ():
            self.finish_reason = plain_reason(choice.finish_reason) or self.finish_reason
            self._follow(choice)
            self.has_token = self.has_token or bool(choice.text) or _has_content(choice.delta)
        is_error = chunk.object == "error" and not chunk.choices
        if chunk.error or is_error or _ERROR_NAME.search(event):
            self.fault = self.fault or read_fault(chunk.error, chunk.message, chunk.type)
            self.is_fault_told = True

    def _follow(self, choice: _Choice) -> None:
        index = choice.index if isinstance(choice.index, int) else 0
        if 0 <= index < _MAX_CHOICES:
            self._seen.add(index)
            if choice.finish_reason:
                self._ended.add(index)


def _has_marker(data: bytes) -> bool:
    return any(map(data.__contains__, _MARKERS)) or _LATER_INDEX.search(data) is not None


def _decode_chunk(payload: bytes) -> _Chunk:
    """The chunk of an event; an empty one when it is no JSON object. One member of an odd type hides no error and no
    usage."""
    try:
        return _read_chunk(payload)
    except DECODE_ERRORS:
        pass
    try:
        members = read_members(payload)
    except DECODE_ERRORS:
        return _Chunk()
    return _Chunk(usage=members.get("usage"), error=members.get("error"), message=members.get("message"))


def _line_ends_before(event: bytes) -> bytes:
    """The empty lines before an event. They always stay: where reads are cut must not decide whose they are."""
    return event[: len(event) - len(event.lstrip(b"\r\n"))]


def _is_cut(rest: bytes) -> bool:
    """Did the stream break off within the event that begins with ``rest``?"""
    if all(line[:1] in (b"", b":") for line in rest.splitlines()):
        return False
    payload = _payload(rest)
    if payload is None:
        return True
    try:
        read_members(payload)
    except DECODE_ERRORS:
        return True
    return False


def _split_events(data: bytes) -> Iterator[bytes]:
    """The events of ``data``, each with the blank line that ends it."""
    start = 0
    for end in _EVENT_END.finditer(data):
        yield data[start : end.end()]
        start = end.end()
    if start < len(data):
        yield data[start:]


def _payload(event: bytes) -> bytes | None:
    """The joined data lines of an event; None when it has none (a comment)."""
    if event.startswith(b"data: ") and event.find(b"\n", 0, -2) < 0 and b"\r" not in event:
        return event[6:].rstrip(b"\n")
    lines = _DATA_LINE.findall(event)
    return b"\n".join(lines) if lines else None


def _has_content(delta: Mapping[str, Raw] | None) -> bool:
    return any(
        name not in _SILENT_MEMBERS and bytes(value) not in _EMPTY_VALUES for name, value in (delta or {}).items()
    )
