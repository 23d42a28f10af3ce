"""Lists that are told a page at a time, as OpenAI's are: ``after``, ``limit`` and ``order`` in the query; ``data``,
``first_id``, ``last_id`` and ``has_more`` in the answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
from msgspec import Raw

from gateway.core.errors import BadRequest
from gateway.objects.contract import ObjectKind, ObjectStore, StoredObject

Order = Literal["asc", "desc"]

# Rows read together when only some of them may be wanted.
SCANNED_ROWS = 500


class Page(NamedTuple):
    """What a client asks of a list. ``after`` is empty for the first page."""

    after: str
    limit: int
    order: Order


def read_page(query: Mapping[str, str], *, limit: int, most: int, order: Order = "desc") -> Page:
    """``limit`` and ``order`` are what goes without saying; ``most`` is the longest page. Raises ``BadRequest``."""
    asked = query.get("limit", "")
    if asked:
        limit = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else 0
        if not 1 <= limit <= most:
            raise BadRequest(f"'limit' must be a number from 1 to {most}.", param="limit")
    word = query.get("order", order)
    if word not in ("asc", "desc"):
        raise BadRequest("'order' must be asc or desc.", param="order")
    return Page(query.get("after", ""), limit, "asc" if word == "asc" else "desc")


async def find_page(
    store: ObjectStore, kind: ObjectKind, owner: str, page: Page, is_wanted: Callable[[StoredObject], bool]
) -> list[StoredObject]:
    """The wanted ones of an owner's objects, one page of them and one more, if there is one. Raises ``BadRequest`` when
    there is no object ``page.after``."""
    found: list[StoredObject] = []
    after = page.after
    while len(found) <= page.limit:
        rows = await store.list_objects(kind, owner, after=after, limit=SCANNED_ROWS, order=page.order)
        found += filter(is_wanted, rows)
        if len(rows) < SCANNED_ROWS:
            break
        after = rows[-1].id
    return found[: page.limit + 1]


def list_body(rows: Sequence[tuple[str, Raw]], limit: int) -> bytes:
    """``rows`` are ``(id, object)``; one more than ``limit`` of them means that there are more."""
    return list_object(rows[:limit], len(rows) > limit)


def list_object(shown: Sequence[tuple[str, Raw]], has_more: bool) -> bytes:
    """``shown`` are ``(id, object)``."""
    return msgspec.json.encode(
        {
            "object": "list",
            "data": [row for _, row in shown],
            "first_id": shown[0][0] if shown else None,
            "last_id": shown[-1][0] if shown else None,
            "has_more": has_more,
        }
    )
