"""The answers of ``GET /v1/models`` and ``GET /v1/models/{id}`` for Anthropic's clients.

Source: platform.claude.com/docs, "List Models" and "Get a Model" (API reference, 2026-11).
"""

from collections.abc import Container, Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from gateway.core.errors import BadRequest
from gateway.core.types import Model

# rows are (id to ask for, instance, model)
Row = tuple[str, str, Model]

DEFAULT_PAGE = 20
_MAX_PAGE = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# the last second of the year 9999: RFC 3339 ends there
_MAX_UNIX_TIME = 253_402_300_799


def is_asked_for(headers: Container[str]) -> bool:
    """Is this how the client reads models? OpenAI's clients ask at the same path, and send no version. ``headers``
    knows names in lower case."""
    return "anthropic-version" in headers


def model_list(
    rows: Iterable[Row], limit: int = DEFAULT_PAGE, before_id: str | None = None, after_id: str | None = None
) -> bytes:
    """One page of at most ``limit`` models: the first of all, those right behind ``after_id``, or those right before
    ``before_id``. Raises ``BadRequest`` for a limit outside 1 to 1000, an id that is not in the list, or both ids."""
    if not 1 <= limit <= _MAX_PAGE:
        raise BadRequest(f"'limit' must be a number from 1 to {_MAX_PAGE}.", param="limit")
    if before_id is not None and after_id is not None:
        raise BadRequest("'before_id' cannot stand beside 'after_id'.", param="before_id")
    listed = list(rows)
    if before_id is not None:
        end = _place(listed, before_id, "before_id")
        start = max(0, end - limit)
        has_more = start > 0
    else:
        start = 0 if after_id is None else _place(listed, after_id, "after_id") + 1
        end = start + limit
        has_more = end < len(listed)
    page = [_entry(shown_id, model) for shown_id, _, model in listed[start:end]]
    first_id, last_id = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    return msgspec.json.encode({"data": page, "has_more": has_more, "first_id": first_id, "last_id": last_id})


def one_model(shown_id: str, instance: str, model: Model) -> bytes:
    return msgspec.json.encode(_entry(shown_id, model))


def _place(rows: list[Row], shown_id: str, param: str) -> int:
    for place, row in enumerate(rows):
        if row[0] == shown_id:
            return place
    raise BadRequest(f"'{param}' is the id of no listed model.", param=param)


def _entry(shown_id: str, model: Model) -> dict[str, str]:
    """``created_at`` is the epoch where the date is unknown, as Anthropic documents it. A listed model is one that its
    provider serves, so its ``lifecycle`` is active."""
    created = model.created if 0 <= model.created <= _MAX_UNIX_TIME else 0
    created_at = (_EPOCH + timedelta(seconds=created)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "model",
        "id": shown_id,
        "display_name": model.display_name or shown_id,
        "created_at": created_at,
        "lifecycle": "active",
    }
