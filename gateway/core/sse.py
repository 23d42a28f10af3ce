"""Server-sent events: bytes in, events out.

The rules are those of the WHATWG HTML standard, section 9.2.6 ("Interpreting an event stream"). A line ends with LF, CR
or CRLF; an empty line ends an event. Two observations keep this short and fast:

- The three line ends mean the same and never occur inside a line, so all of them become LF first.
- What stands between two empty lines is one event, so ``split`` finds the events and nothing is scanned twice.

``id`` and ``retry`` only matter to a client that reconnects. The gateway never does, so they are read over, as are
comments and unknown fields.
"""

from functools import lru_cache

from msgspec import Struct

from gateway.core.limits import MAX_SSE_EVENT_BYTES

_BOM = b"\xef\xbb\xbf"
_DEFAULT_NAME = "message"


class SseEvent(Struct, frozen=True, gc=False):
    """One event. ``event`` is its type, ``message`` when the stream names none; ``data`` is its data lines as sent,
    joined by LF and not checked to be UTF-8."""

    event: str
    data: bytes


class SseDecoder:
    """Decodes one stream. Any cut of the same bytes gives the same events, and no bytes make it raise.

    ``overflowed`` turns true when one event (everything between two empty lines) exceeds ``MAX_SSE_EVENT_BYTES``;
    that event and all that follows is ignored. ``is_partial`` turns true at ``finish`` when the stream broke off inside
    an event.
    """

    __slots__ = ("_head", "_is_after_cr", "_pending", "is_partial", "overflowed")

    def __init__(self) -> None:
        self._head: bytes | None = b""  # the first bytes, as long as they may be a byte order mark
        self._is_after_cr = False
        self._pending = bytearray()  # the beginning of an event; holds no empty line
        self.is_partial = False
        self.overflowed = False

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that ``data`` completes."""
        if self._head is not None:
            data = self._skip_bom(data)
        if self._is_after_cr or b"\r" in data:
            data = self._unify_line_ends(data)
        if self._pending:
            data = self._join_pending(data)
        if self.overflowed or not data:
            return []
        blocks = data.split(b"\n\n")
        rest = blocks.pop()
        events: list[SseEvent] = []
        for block in blocks:
            if len(block) > MAX_SSE_EVENT_BYTES:
                self.overflowed = True
                return events
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(SseEvent(_DEFAULT_NAME, block[6:]))
            elif (event := _read_block(block)) is not None:
                events.append(event)
        if rest:
            self._hold(rest)
        return events

    def finish(self) -> list[SseEvent]:
        """The stream ended. The standard discards an event without its empty line, so the list is always empty;
        ``is_partial`` tells whether something was lost."""
        rest = self._head or self._pending
        self.is_partial = any(line and not line.startswith(b":") for line in rest.split(b"\n"))
        return []

    def _skip_bom(self, data: bytes) -> bytes:
        head = (self._head or b"") + data
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._head = head
            return b""
        self._head = None
        return head.removeprefix(_BOM)

    def _unify_line_ends(self, data: bytes) -> bytes:
        if not data:
            return data
        is_split_crlf = self._is_after_cr and data.startswith(b"\n")
        self._is_after_cr = data.endswith(b"\r")
        if is_split_crlf:
            data = data[1:]
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _join_pending(self, data: bytes) -> bytes:
        """The held bytes and ``data`` once an event ends in them; until then they are only held, so that a long event
        in many small pieces costs linear time."""
        is_end_at_seam = data.startswith(b"\n") and self._pending.endswith(b"\n")
        if not is_end_at_seam and b"\n\n" not in data:
            self._hold(data)
            return b""
        joined = bytes(self._pending) + data
        self._pending = bytearray()
        return joined

    def _hold(self, data: bytes) -> None:
        self._pending += data
        # a last LF may be half of the empty line and does not count, or the bound would depend on where reads are cut
        if len(self._pending) - self._pending.endswith(b"\n") > MAX_SSE_EVENT_BYTES:
            self.overflowed = True
            self._pending = bytearray()


def _read_block(block: bytes) -> SseEvent | None:
    """The event of these lines; ``None`` without a data line, as the standard says. A line without a colon is a field
    with an empty value, a line that starts with one is a comment, one space after it is not part of the value."""
    name = b""
    data = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    if not data:
        return None
    return SseEvent(name.decode("utf-8", "replace") or _DEFAULT_NAME, b"\n".join(data))


class WholeEvents:
    """Cuts a stream behind whole events and changes no byte, so that what is forwarded never ends in half an event.

    ``held`` is the beginning of an event. ``overflowed`` turns true when it exceeds ``MAX_SSE_EVENT_BYTES``; it and all
    that follows is left out.
    """

    __slots__ = ("held", "overflowed")

    def __init__(self) -> None:
        self.held = bytearray()
        self.overflowed = False

    def feed(self, data: bytes) -> bytes:
        """What was held and ``data``, up to the end of the last event. What was held before is not searched again, so
        that a long event in many small pieces costs linear time."""
        if not self.held and data.endswith(b"\n\n") and not self.overflowed:
            return data
        if self.overflowed:
            return b""
        held = self.held
        seam = bytes(held[-2:])  # an empty line and the line end before it have at most three bytes
        end = _last_event_end(seam + data)
        whole = b""
        if end:
            whole = bytes(held) + data[: end - len(seam)]
            data = data[end - len(seam) :]
            held.clear()
        held += data
        if len(held) > MAX_SSE_EVENT_BYTES:
            held.clear()
            self.overflowed = True
        return whole

    def finish(self) -> tuple[bytes, bytes]:
        """The stream ended: what is still whole, and the event that broke off. The empty lines before an event always
        count as whole: where reads are cut must not decide whose they are."""
        rest, self.held = bytes(self.held), bytearray()
        # only a last CR was not known to be a line end
        is_whole = rest.endswith((b"\r\r", b"\n\r"))
        end = len(rest) if is_whole else len(rest) - len(rest.lstrip(b"\r\n"))
        return rest[:end], rest[end:]


def _last_event_end(data: bytes) -> int:
    """Where the last whole event of ``data`` ends, 0 when there is none. A CR at the very end may be half of a CRLF and
    ends nothing yet."""
    end = max((data.rfind(blank) + len(blank) for blank in (b"\n\n", b"\n\r\n") if blank in data), default=0)
    at = max(data.rfind(b"\r\r", 0, -1), data.rfind(b"\n\r", 0, -1)) if b"\r" in data else -1
    return end if at < 0 else max(end, at + 2 + data.startswith(b"\n", at + 2))


def encode_event(data: bytes, event: str | None = None) -> bytes:
    """``data`` as one event. Line breaks in it become data lines (a CR cannot be carried and arrives as LF).
    ``ValueError`` when ``event`` contains a line break."""
    if b"\n" in data or b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\ndata: ")
    if event is None:
        return b"data: %b\n\n" % data
    return b"%bdata: %b\n\n" % (_event_line(event), data)


@lru_cache(maxsize=64)  # a dialect has about ten event names
def _event_line(event: str) -> bytes:
    if "\n" in event or "\r" in event:
        raise ValueError(f"{event!r} cannot be an event name")
    return b"event: %b\n" % event.encode()
