"""Model lists of OpenAI-shaped vendors."""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.types import Model
from providers.openai_like.usage import counts_of

# Enough for any name; every client that lists models gets the texts of every model.
_MAX_NAME_CHARS = 128


class _ListedModel(Struct):
    id: str
    created: Any = None
    owned_by: Any = None
    name: Any = None


class _ModelList(Struct):
    data: list[_ListedModel] | None


_read_model_list = msgspec.json.Decoder(_ModelList | list[_ListedModel]).decode


def read_models(body: bytes) -> list[Model]:
    """The answer of ``GET /models``: an OpenAI list, or a bare array (Together). ``ValueError`` when it is neither."""
    try:
        listed = _read_model_list(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a model list: {error}") from None
    models = (listed.data or []) if isinstance(listed, _ModelList) else listed
    return [_to_model(model) for model in models]


def _to_model(listed: _ListedModel) -> Model:
    owned_by = listed.owned_by[:_MAX_NAME_CHARS] if isinstance(listed.owned_by, str) else ""
    display_name = listed.name[:_MAX_NAME_CHARS] if isinstance(listed.name, str) else ""
    return Model(listed.id, counts_of({"created": listed.created}).get("created", 0), owned_by, display_name)
