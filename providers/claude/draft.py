"""A request being written."""

from typing import Any

import msgspec
from msgspec import Struct, field

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest
from gateway.core.types import ChatRequest, Extra
from providers.claude.models import Claude
from providers.claude.turns import Conversation

JsonObject = dict[str, Any]


class Draft(Struct):
    """``body`` grows into the API's members; ``dropped`` names fields of the client."""

    request: ChatRequest
    claude: Claude
    provider: str
    extra: Extra  # without nulls
    chat: Conversation
    body: JsonObject
    output: JsonObject = field(default_factory=dict)  # becomes ``output_config``
    betas: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


def read_object(draft: Draft, name: str) -> dict[str, Any]:
    """A field of ``extra`` that must be a JSON object. Raises ``BadRequest``."""
    try:
        return msgspec.json.decode(draft.extra[name], type=dict[str, Any])
    except DECODE_ERRORS:
        raise BadRequest(f"{name!r} must be an object", param=name) from None


def read_text(draft: Draft, name: str) -> str:
    """A field of ``extra`` that must be a string; empty when it is absent. Raises ``BadRequest``."""
    if name not in draft.extra:
        return ""
    try:
        return msgspec.json.decode(draft.extra[name], type=str)
    except DECODE_ERRORS:
        raise BadRequest(f"{name!r} must be a string", param=name) from None
