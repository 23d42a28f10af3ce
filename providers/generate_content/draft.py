"""A request being written."""

from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct, field

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest
from gateway.core.types import ChatRequest, Extra
from providers.generate_content.models import Gemini

T = TypeVar("T")
JsonObject = dict[str, Any]


class House(Struct, frozen=True):
    """Who serves the API, and what differs there. ``name`` stands in error messages."""

    name: str = "gemini"
    # ``labels`` of a request, for the bill
    has_labels: bool = False
    # ``serviceTier`` as a member of the request
    has_service_tier: bool = True
    # ``toolConfig.includeServerSideToolInvocations``, without which functions and Google's tools exclude each other
    mixes_tools: bool = True
    # where the name of a file (``files/abc``) becomes its URI; empty: there are no such files
    files_url: str = "https://generativelanguage.googleapis.com/v1beta/"


class Turn(Struct):
    """One ``Content``: ``role`` is ``user`` or ``model``."""

    role: str
    parts: list[JsonObject]


class Conversation(Struct):
    """What ``write_turns`` makes. ``dropped`` names what has no place; ``names`` holds the function of each call by the
    call's id, in the order of the calls."""

    house: House
    gemini: Gemini
    system: list[JsonObject] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)


class Draft(Struct):
    """``body`` grows into the API's members, ``config`` into its ``generationConfig``; ``dropped`` names fields of the
    client."""

    request: ChatRequest
    gemini: Gemini
    house: House
    extra: Extra  # without nulls
    chat: Conversation
    body: JsonObject = field(default_factory=dict)
    config: JsonObject = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)


_WANTED = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}


def read(draft: Draft, name: str, kind: type[T]) -> T | None:
    """A field of ``extra`` as what it must be; None when it is absent. Raises ``BadRequest``."""
    raw = draft.extra.get(name)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=kind)
    except DECODE_ERRORS:
        raise BadRequest(f"{name!r} must be {_WANTED[kind]}", param=name) from None


def read_object(draft: Draft, name: str) -> dict[str, Raw]:
    """A field of ``extra`` that must be a JSON object; empty when it is absent. Raises ``BadRequest``."""
    try:
        return msgspec.json.decode(draft.extra.get(name, b"{}"), type=dict[str, Raw])
    except DECODE_ERRORS:
        raise BadRequest(f"{name!r} must be an object", param=name) from None
