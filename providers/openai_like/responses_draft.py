"""A request for the Responses API being written."""

from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest
from gateway.core.types import ChatRequest, DialectName, Extra, HostedTool
from providers.openai_like.openai_families import Family

JsonObject = dict[str, Any]

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


def read_text(draft: Draft, name: str) -> str:
    """A field of ``extra`` that must be a string; empty when it is absent. Raises ``BadRequest``."""
    try:
        return msgspec.json.decode(draft.extra.get(name, b'""'), type=str)
    except DECODE_ERRORS:
        raise BadRequest(f"{name!r} must be a string", param=name) from None
