"""A request for the Responses API being written."""

from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest
from gateway.core.types import ChatRequest, DialectName, Extra, HostedTool
from providers.openai_like.openai_families import Family

T = TypeVar("T", bool, int, str)

JsonObject = dict[str, Any]

_KINDS: dict[type, str] = {bool: "true or false", int: "an integer", str: "a string"}
_EMPTY = frozenset((b"null", b"[]", b"{}", b'""', b"false"))


class Draft(Struct):
    """``body`` grows into the API's members; ``dropped`` names fields of the client."""

    request: ChatRequest
    family: Family
    provider: str
    extra: Extra  # without nulls
    body: JsonObject
    # names of the tools that take free text, and ids of their calls
    freeform: frozenset[str]
    freeform_calls: set[str] = field(default_factory=set)
    items: list[JsonObject | Raw] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def drop_members(self, extra: Extra, where: str) -> None:
        """Names what has no place, unless it is empty: clients replay ``"annotations": []`` and the like."""
        self.dropped += [f"{where}.{name}" for name, raw in extra.items() if bytes(raw) not in _EMPTY]


def is_own(hosted: HostedTool) -> bool:
    return hosted.origin is DialectName.OPENAI_RESPONSES


def read_object(raw: Raw, name: str) -> JsonObject:
    """``raw`` must be a JSON object; ``name`` is the client's for it. Raises ``BadRequest``."""
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except DECODE_ERRORS:
        raise BadRequest(f"{name!r} must be an object", param=name) from None


def read_as(draft: Draft, name: str, kind: type[T]) -> T | None:
    """A field of ``extra`` that must be of this kind; None when it is absent. Raises ``BadRequest``."""
    if name not in draft.extra:
        return None
    try:
        return msgspec.json.decode(draft.extra[name], type=kind)
    except DECODE_ERRORS:
        raise BadRequest(f"{name!r} must be {_KINDS[kind]}", param=name) from None


def read_text(draft: Draft, name: str) -> str:
    """The same for a string; empty when it is absent. Raises ``BadRequest``."""
    return read_as(draft, name, str) or ""
