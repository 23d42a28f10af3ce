"""The answers of ``GET /v1/models`` and ``GET /v1/models/{id}`` (OpenAI API reference, "Models")."""

from collections.abc import Iterable

import msgspec

from gateway.core.types import Model


def _entry(shown_id: str, instance: str, model: Model) -> dict[str, object]:
    return {"id": shown_id, "object": "model", "created": model.created, "owned_by": model.owned_by or instance}


def model_list(rows: Iterable[tuple[str, str, Model]]) -> bytes:
    """``rows`` are ``(id to ask for, instance, model)``."""
    return msgspec.json.encode({"object": "list", "data": [_entry(*row) for row in rows]})


def one_model(shown_id: str, instance: str, model: Model) -> bytes:
    return msgspec.json.encode(_entry(shown_id, instance, model))
