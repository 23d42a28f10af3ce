"""Pieces of a streamed answer that must wait until the tool call before them is complete."""

import re

from gateway.core.types import ContentDelta, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta

ContentPiece = TextDelta | RefusalDelta | ReasoningDelta | ToolCallDelta | ContentDelta

# What an event costs beside its text.
_EVENT_CHARS = 100
_TOKEN = re.compile(r'\\(?:.|\Z)|["{}\[\]]', re.DOTALL)


class ArgumentScan:
    """Follows a JSON object that comes in pieces. ``is_complete`` turns true with its last bracket; of a text that is
    no object it may stay false for ever."""

    __slots__ = ("_depth", "_is_escaped", "_is_in_string", "is_complete")

    def __init__(self) -> None:
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False
        self.is_complete = False

    def feed(self, piece: str) -> None:
        """``piece`` is not empty."""
        start, self._is_escaped = int(self._is_escaped), False
        for match in _TOKEN.finditer(piece, start):
            found = match[0]
            if found == "\\":
                self._is_escaped = True
            elif found == '"':
                self._is_in_string = not self._is_in_string
            elif not self._is_in_string and len(found) == 1:
                self._depth += 1 if found in "{[" else -1
                self.is_complete = self.is_complete or self._depth <= 0


class Waiting:
    """The pieces in the order in which their blocks begin: all of one tool call together, and others as they came.
    ``size`` counts the characters of all that ever waited."""

    __slots__ = ("_calls", "_first", "_open", "_rows", "size")

    def __init__(self) -> None:
        self._rows: list[list[ContentPiece]] = []
        self._first = 0
        self._calls: dict[int, list[ContentPiece]] = {}
        self._open: list[ContentPiece] | None = None
        self.size = 0

    def add(self, piece: ContentPiece) -> None:
        self.size += _EVENT_CHARS + _count_chars(piece)
        if isinstance(piece, ToolCallDelta):
            row = self._calls.get(piece.position)
            if row is None:
                row = self._calls[piece.position] = self._begin_row()
                self._open = None
        else:
            row = self._open = self._open if self._open is not None else self._begin_row()
        row.append(piece)

    def _begin_row(self) -> list[ContentPiece]:
        row: list[ContentPiece] = []
        self._rows.append(row)
        return row

    def take(self) -> list[ContentPiece] | None:
        """The pieces whose turn it is; None when nothing waits."""
        if self._first == len(self._rows):
            return None
        row = self._rows[self._first]
        self._rows[self._first] = []
        self._first += 1
        if row is self._open:
            self._open = None
        return row


def _count_chars(piece: ContentPiece) -> int:
    if isinstance(piece, ToolCallDelta):
        return len(piece.arguments)
    if isinstance(piece, ReasoningDelta):
        return len(piece.text) + len(piece.signature or "") + len(piece.redacted or "")
    return len(piece.value) if isinstance(piece, ContentDelta) else len(piece.text)
