"""Objects in one SQLite file, for one process or several on one machine."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from gateway.core.errors import BadRequest, GatewayError, Internal
from gateway.core.limits import (
    MAX_CONVERSATION_BYTES,
    MAX_ITEM_PAGE_BYTES,
    MAX_LISTED_OBJECTS,
    MAX_RESPONSE_CHAIN,
    MAX_STORED_AT_ONCE,
    MAX_STORED_ITEMS,
)
from gateway.core.names import is_path_segment
from gateway.objects import statements as sql
from gateway.objects.contract import ItemPage, ObjectKind, Order, StoredItem, StoredObject
from gateway.objects.database import BUSY_TIMEOUT_S, Database, Row, Transaction
from gateway.objects.pending import PendingWrites

# The row of an object that is gone stays for this long, without its body, so that a client that deletes page by page
# can ask for what comes after the last one it has deleted.
GRAVE_S = 3600.0
# In another process a response may just be on its way to the disk when a client already builds on it: what is not there
# is looked for again after these pauses. That takes milliseconds, but not on a machine that is busy with other things.
LOOK_AGAIN_S = (0.02, 0.05, 0.1, 0.25, 0.5)

_ENDS = {"asc": -1, "desc": 2**63 - 1}


class SqliteStore:
    """An ``ObjectStore``. ``lost`` is told how many objects that were to be written soon never will be, and why. With
    ``is_shared`` other processes write the same file."""

    def __init__(
        self,
        path: Path,
        lost: Callable[[int, GatewayError], None],
        *,
        is_shared: bool = False,
        now: Callable[[], float] = time.time,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> None:
        self._database = Database(path, sql.MIGRATIONS, busy_timeout_s=busy_timeout_s)
        self._pending = PendingWrites(self._put_all, lost)
        self._lost = lost
        self._is_shared = is_shared
        self._now = now

    # --- objects ----------------------------------------------------------------------------------------------------

    async def put(self, stored: StoredObject) -> None:
        await self._pending.flush()
        if not await self._database.write(sql.PUT_ONE, **_values(stored)):
            raise _is_taken(stored.id)

    def put_soon(self, stored: StoredObject) -> None:
        self._pending.add(stored)

    async def _put_all(self, batch: Sequence[StoredObject]) -> None:
        async with self._database.transaction() as transaction:
            written = await transaction.run_many(sql.PUT, map(_values, batch))
        if written < len(batch):
            self._lost(len(batch) - written, _is_taken("that a provider gave"))

    async def get(self, object_id: str, owner: str) -> StoredObject | None:
        pending = self._pending.get(object_id)
        # whatever has the id on the disk keeps it
        found = await self._find(object_id, owner)
        if found is None and pending is not None:
            return pending if pending.owner == owner else None
        if self._is_shared and is_path_segment(object_id):
            for pause_s in LOOK_AGAIN_S:
                if found is not None:
                    break
                await asyncio.sleep(pause_s)
                found = await self._find(object_id, owner)
        return found

    async def is_others(self, object_id: str, owner: str) -> bool:
        pending = self._pending.get(object_id)
        if pending is not None and pending.owner != owner:
            return True
        return bool(await self._read(sql.GET_OTHERS, object_id, owner=owner))

    async def _find(self, object_id: str, owner: str) -> StoredObject | None:
        return _first(await self._read(sql.GET, object_id, owner=owner))

    async def delete(self, object_id: str, owner: str) -> bool:
        await self._pending.flush()
        if not is_path_segment(object_id):
            return False
        async with self._database.transaction() as transaction:
            if not await transaction.run(sql.DELETE, id=object_id, owner=owner, now=self._now()):
                return False
            await transaction.run(sql.DELETE_ITEMS, id=object_id)
            return True

    async def list_objects(
        self,
        kind: ObjectKind,
        owner: str,
        *,
        after: str = "",
        limit: int = MAX_LISTED_OBJECTS,
        order: Order = "desc",
    ) -> list[StoredObject]:
        await self._pending.flush()
        place = _ENDS[order]
        if after:
            place = _place(await self._read(sql.PLACE, after, owner=owner, kind=kind))
        rows = await self._database.read(
            sql.LIST[order], kind=kind, owner=owner, after=place, limit=_page(limit), now=self._now()
        )
        return [_stored(row) for row in rows]

    async def chain(self, object_id: str, owner: str, limit: int = MAX_RESPONSE_CHAIN) -> list[StoredObject]:
        await self._pending.flush()
        rows = await self._read(sql.CHAIN, object_id, owner=owner, limit=min(limit, MAX_RESPONSE_CHAIN))
        return [_stored(row) for row in rows]

    async def chain_bytes(self, object_id: str, owner: str, limit: int = MAX_RESPONSE_CHAIN) -> int:
        await self._pending.flush()
        rows = await self._read(sql.CHAIN_BYTES, object_id, owner=owner, limit=min(limit, MAX_RESPONSE_CHAIN))
        return rows[0][0] if rows else 0

    # --- items ------------------------------------------------------------------------------------------------------

    async def append_items(
        self,
        object_id: str,
        owner: str,
        items: Sequence[StoredItem],
        *,
        max_bytes: int = MAX_CONVERSATION_BYTES,
        holder: str = "",
    ) -> bool:
        await self._pending.flush()
        if not is_path_segment(object_id):
            return False
        rows = [{"object_id": object_id, "id": item.id, "body": item.body} for item in items]
        async with self._database.transaction() as transaction:
            is_there = sql.HAS_HELD_OBJECT if holder else sql.HAS_OBJECT
            if not await transaction.run(is_there, id=object_id, owner=owner, now=self._now(), holder=holder):
                return False
            await transaction.run_many(sql.APPEND_ITEM, rows)
            await _check_totals(transaction, object_id, max_bytes)
            return True

    async def item_bytes(self, object_id: str, owner: str) -> int:
        await self._pending.flush()
        if not await self._read(sql.HAS_OBJECT, object_id, owner=owner):
            return 0
        rows = await self._read(sql.ITEM_TOTALS, object_id)
        return rows[0][1] if rows else 0

    async def list_items(
        self,
        object_id: str,
        owner: str,
        *,
        after: str = "",
        limit: int = MAX_LISTED_OBJECTS,
        order: Order = "asc",
        max_bytes: int = MAX_ITEM_PAGE_BYTES,
    ) -> ItemPage | None:
        await self._pending.flush()
        if not await self._read(sql.HAS_OBJECT, object_id, owner=owner):
            return None
        place = _ENDS[order]
        if after:
            rows = await self._read(sql.ITEM_PLACE, object_id, item=after) if _is_text(after) else []
            place = _place(rows)
        rows = await self._read(sql.LIST_ITEMS[order], object_id, after=place, limit=_page(limit), max_bytes=max_bytes)
        return ItemPage([StoredItem(*row[:2]) for row in rows], bool(rows) and rows[0][2] > len(rows))

    async def item_ids(self, object_id: str, owner: str) -> list[str]:
        await self._pending.flush()
        return [item_id for (item_id,) in await self._read(sql.ITEM_IDS, object_id, owner=owner)]

    async def get_item(self, object_id: str, owner: str, item_id: str) -> StoredItem | None:
        await self._pending.flush()
        rows = await self._read(sql.GET_ITEM, object_id, owner=owner, item=item_id) if _is_text(item_id) else []
        return StoredItem(*rows[0]) if rows else None

    async def delete_item(self, object_id: str, owner: str, item_id: str) -> bool:
        await self._pending.flush()
        if not is_path_segment(object_id) or not _is_text(item_id):
            return False
        return bool(
            await self._database.write(sql.DELETE_ITEM, id=object_id, owner=owner, item=item_id, now=self._now())
        )

    # --- work on objects --------------------------------------------------------------------------------------------

    async def update(self, stored: StoredObject) -> StoredObject | None:
        await self._pending.flush()
        return _first(await self._database.write(sql.UPDATE, now=self._now(), **_values(stored)))

    async def unclaimed(
        self, kind: ObjectKind, states: Sequence[str], limit: int = MAX_LISTED_OBJECTS
    ) -> list[StoredObject]:
        await self._pending.flush()
        states_json = msgspec.json.encode(list(states)).decode()
        rows = await self._database.read(
            sql.UNCLAIMED, kind=kind, states=states_json, limit=_page(limit), now=self._now()
        )
        return [_stored(row) for row in rows]

    async def claim(self, object_id: str, worker: str, until: float) -> StoredObject | None:
        await self._pending.flush()
        rows = await self._database.write(sql.CLAIM, id=object_id, worker=worker, until=until, now=self._now())
        return _first(rows)

    async def release(self, object_id: str, worker: str) -> None:
        await self._database.write(sql.RELEASE, id=object_id, worker=worker)

    async def expire(self) -> list[tuple[ObjectKind, str]]:
        if not self._database.exists():
            return []  # what was never needed is not made for the sake of cleaning it
        old = {"before": self._now() - GRAVE_S, "limit": MAX_STORED_AT_ONCE}
        while await self._database.write(sql.SWEEP_ITEMS, **old):
            pass  # some at a time, so that nobody waits for long
        return [(kind, object_id) for kind, object_id in await self._database.write(sql.EXPIRE, **old)]

    async def close(self) -> None:
        await self._pending.flush()
        await self._database.close()

    async def _read(self, statement: str, object_id: str, **values: object) -> list[Row]:
        """The rows about one object; none when its id, which a client may have made up, cannot be one."""
        if not is_path_segment(object_id):
            return []
        return await self._database.read(statement, id=object_id, now=self._now(), **values)


def _is_text(text: str) -> bool:
    """Half of a surrogate pair is none, and SQLite would not take it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _values(stored: StoredObject) -> dict[str, object]:
    return msgspec.structs.asdict(stored)


def _stored(row: Row) -> StoredObject:
    names = ("id", "kind", "owner", "created_at", "expires_at", "instance", "parent", "state", "body", "version")
    return StoredObject(**dict(zip(names, row, strict=True)))


def _first(rows: Sequence[Row]) -> StoredObject | None:
    return _stored(rows[0]) if rows else None


def _place(rows: Sequence[Row]) -> int:
    if not rows:
        raise BadRequest("There is no object with the id in 'after'.", param="after")
    place: int = rows[0][0]
    return place


def _page(limit: int) -> int:
    return max(0, min(limit, MAX_LISTED_OBJECTS))


async def _check_totals(transaction: Transaction, object_id: str, max_bytes: int) -> None:
    rows = await transaction.run(sql.ITEM_TOTALS, id=object_id)
    items, size = rows[0] if rows else (0, 0)
    if items > MAX_STORED_ITEMS:
        raise BadRequest(f"More than {MAX_STORED_ITEMS} items cannot be kept in one object.")
    if size > max_bytes:
        raise BadRequest(f"More than {max_bytes} bytes of items cannot be kept in one object.")


def _is_taken(object_id: str) -> Internal:
    return Internal("The object could not be stored.", detail=f"the id {object_id} is another object's")
