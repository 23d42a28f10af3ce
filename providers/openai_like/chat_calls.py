"""Tool calls in answers of chat completions, whole or in pieces.

OpenAI gives each call an ``index``, and id and name in its first piece only. Others leave out the index or give all
calls the same one, repeat id and name, send the name in pieces or the arguments as an object, or give no id. What is
known of a call is held until its arguments begin, so that it can be told as the core types want it.

Source: OpenAI API reference, "The chat completion chunk object"; variants from recorded traffic of other vendors.
"""

import hashlib
from typing import Any

import msgspec

from gateway.core.limits import MAX_MESSAGE_PARTS
from gateway.core.types import Event, ToolCallDelta

JsonObject = dict[str, Any]

# OpenAI takes 64 characters. A name in pieces must not grow for ever.
_MAX_NAME_CHARS = 4096
# The call of 2023, ``function_call``, has no index.
LEGACY_INDEX = -1

_encode = msgspec.json.Encoder().encode


class TooManyCallsError(ValueError):
    """More calls, or longer names, than any model makes."""


class _Call:
    __slots__ = ("has_arguments", "id", "is_told", "name", "position")

    def __init__(self, position: int) -> None:
        self.position = position
        self.id = ""
        self.name = ""
        self.is_told = False
        self.has_arguments = False


class ToolCalls:
    """The calls of one choice. ``answer`` tells this answer from all others, for calls that come without an id."""

    __slots__ = ("_answer", "_by_id", "_by_index", "_calls", "_choice", "_events", "_told")

    def __init__(self, events: list[Event], choice: int, answer: str) -> None:
        self._events = events
        self._choice = choice
        self._answer = answer
        self._calls: list[_Call] = []
        self._told = 0
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, piece: JsonObject, is_whole: bool) -> None:
        """A piece of a call, or a call that is whole. Raises ``TooManyCallsError``."""
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        index, call_id, name = piece.get("index"), _text(piece.get("id")), _text(function.get("name"))
        call = None if is_whole else self._find(index, call_id, name)
        if call is None:
            call = self._begin(index, call_id)
        if not call.is_told:
            call.id = call.id or call_id
            if name != call.name:
                call.name += name
            if len(call.name) > _MAX_NAME_CHARS:
                raise TooManyCallsError
        arguments = _arguments(function.get("arguments"))
        if arguments:
            call.has_arguments = True
            self._tell(call, arguments)

    def _find(self, index: object, call_id: str, name: str) -> _Call | None:
        """The call that a piece belongs to. A new id together with a name begins a new call, whatever the index."""
        if isinstance(index, int):
            known = self._by_index.get(index)
        elif call_id:
            known = self._by_id.get(call_id)
        else:
            known = self._calls[-1] if self._calls and not name else None
        if known is not None and call_id and name and known.id and known.id != call_id:
            return None
        return known

    def _begin(self, index: object, call_id: str) -> _Call:
        if len(self._calls) >= MAX_MESSAGE_PARTS:
            raise TooManyCallsError
        call = _Call(len(self._calls))
        self._calls.append(call)
        if isinstance(index, int):
            self._by_index[index] = call
        if call_id:
            self._by_id[call_id] = call
        return call

    def _tell(self, call: _Call, arguments: str) -> None:
        """Calls are told in order: those before this one first."""
        if call.is_told:
            self._events.append(ToolCallDelta(call.position, arguments=arguments, choice=self._choice))
            return
        for earlier in self._calls[self._told : call.position]:
            self._announce(earlier, "")
        self._announce(call, arguments)

    def _announce(self, call: _Call, arguments: str) -> None:
        call.is_told = True
        self._told = call.position + 1
        call_id = call.id or self._make_id(call)
        self._events.append(ToolCallDelta(call.position, call_id, call.name, arguments, self._choice))

    def _make_id(self, call: _Call) -> str:
        words = f"{self._answer}\n{self._choice}\n{call.position}\n{call.name}"
        return f"call_{hashlib.blake2b(words.encode(errors='replace'), digest_size=12).hexdigest()}"

    def finish(self) -> None:
        """Nothing more will come. A call without arguments has none, which in JSON is an empty object."""
        for call in self._calls:
            if not call.has_arguments:
                self._tell(call, "{}")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _arguments(value: object) -> str:
    if isinstance(value, str) or value is None:
        return value or ""
    return _encode(value).decode()
