import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiosqlite
import pytest

from gateway.core.errors import BadRequest, GatewayError, Internal, StorageUnavailable
from gateway.objects import sqlite as module
from gateway.objects.contract import ObjectStore, StoredItem, StoredObject
from gateway.objects.sqlite import GRAVE_S, SqliteStore


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


Open = Callable[..., SqliteStore]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def open_store(tmp_path: Path, clock: Clock) -> AsyncIterator[Open]:
    """Opens stores on one file; closes them in the end."""
    stores = []

    def make(path: Path = tmp_path / "data" / "sluice.db", **options: object) -> SqliteStore:
        lost: list[tuple[int, GatewayError]] = []
        store = SqliteStore(path, lambda count, error: lost.append((count, error)), now=clock, **options)
        store.lost = lost
        stores.append(store)
        return store

    yield make
    for store in stores:
        await store.close()


@pytest.fixture
def store(open_store: Open) -> SqliteStore:
    return open_store()


def response(object_id: str = "resp_1", **changes: object) -> StoredObject:
    fields = {"kind": "response", "owner": "a", "created_at": 1000.0, "body": b'{"id":1}', **changes}
    return StoredObject(id=object_id, **fields)


async def ids(store: ObjectStore, **options: object) -> list[str]:
    return [found.id for found in await store.list_objects("response", "a", **options)]


# --- one object ---------------------------------------------------------------------------------------------------


async def test_what_was_put_is_found_by_its_owner_only(store: SqliteStore) -> None:
    full = response(instance="east", parent="resp_0", state="done", expires_at=2000.5, body=b"\x00\xff")
    await store.put(full)
    found = await store.get("resp_1", "a")
    assert found == StoredObject(**{**_fields(full), "version": 1})
    assert await store.get("resp_1", "b") is None
    assert await store.get("resp_2", "a") is None


async def test_what_is_somebody_elses_is_known_to_be_so(store: SqliteStore) -> None:
    store.put_soon(response())
    assert await store.is_others("resp_1", "b")
    await store.put(response())
    assert await store.is_others("resp_1", "b")
    assert not await store.is_others("resp_1", "a")
    assert not await store.is_others("resp_2", "b")
    assert not await store.is_others("../x", "b")


def _without_version(stored: StoredObject) -> dict[str, object]:
    """It may have been written in the meantime."""
    return {**_fields(stored), "version": None}


def _fields(stored: StoredObject) -> dict[str, object]:
    return {name: getattr(stored, name) for name in stored.__struct_fields__}


async def test_putting_again_replaces(store: SqliteStore) -> None:
    await store.put(response())
    await store.put(response(body=b"new"))
    found = await store.get("resp_1", "a")
    assert (found.body, found.version) == (b"new", 2)
    assert await ids(store) == ["resp_1"]


async def test_nobody_writes_over_a_strangers_object(store: SqliteStore) -> None:
    await store.put(response())
    with pytest.raises(Internal):
        await store.put(response(owner="b", body=b"stolen"))
    assert (await store.get("resp_1", "a")).body == b'{"id":1}'
    assert await store.get("resp_1", "b") is None


TAKEN = [{"instance": "evil"}, {"owner": "b", "instance": "evil"}, {"kind": "file"}, {"owner": "b"}]


@pytest.mark.parametrize("changes", TAKEN)
async def test_what_an_id_means_it_means_for_good(store: SqliteStore, changes: dict[str, object]) -> None:
    await store.put(response())
    with pytest.raises(Internal):
        await store.put(response(body=b"", **changes))
    store.put_soon(response(body=b"", **changes))
    assert (await store.get("resp_1", "a")).body == b'{"id":1}', "not even while the other one waits"
    store.put_soon(response("resp_2"))
    await store._pending.flush()
    assert (await store.get("resp_1", "a")) == response(version=1)
    assert await store.get("resp_2", "a") is not None, "the rest of the same transaction is written"
    assert [(count, error.code) for count, error in store.lost] == [(1, "internal_error")]


@pytest.mark.parametrize("changes", TAKEN)
async def test_not_even_an_id_that_waits_is_taken_over(store: SqliteStore, changes: dict[str, object]) -> None:
    store.put_soon(response())
    with pytest.raises(Internal):
        store.put_soon(response(body=b"", **changes))
    assert _without_version(await store.get("resp_1", "a")) == _without_version(response())
    await store._pending.flush()
    assert (await store.get("resp_1", "a")).body == b'{"id":1}'


@pytest.mark.parametrize("object_id", ["", "\ud800", "a/b", "x" * 1000, "' OR 1=1 --"])
async def test_ids_that_clients_make_up_are_not_found(store: SqliteStore, object_id: str) -> None:
    await store.put(response())
    assert await store.get(object_id, "a") is None
    assert await store.chain(object_id, "a") == []
    assert await store.list_items(object_id, "a") is None
    assert await store.get_item("resp_1", "a", object_id) is None
    assert not await store.delete_item("resp_1", "a", object_id)
    assert not await store.append_items(object_id, "a", [])
    assert not await store.delete(object_id, "a")


async def test_an_expired_object_is_gone(store: SqliteStore, clock: Clock) -> None:
    await store.put(response(expires_at=1010.0))
    clock.now = 1009.9
    assert await store.get("resp_1", "a") is not None
    clock.now = 1010.0
    assert await store.get("resp_1", "a") is None
    assert await ids(store) == []
    assert not await store.delete("resp_1", "a")


async def test_a_deleted_object_is_gone_with_its_items(store: SqliteStore) -> None:
    await store.put(response())
    await store.append_items("resp_1", "a", [StoredItem("i", b"1")])
    assert not await store.delete("resp_1", "b")
    assert await store.delete("resp_1", "a")
    assert not await store.delete("resp_1", "a")
    assert await store.get("resp_1", "a") is None
    assert await store.list_items("resp_1", "a") is None
    await store.put(response())
    assert await store.list_items("resp_1", "a") == ([], False)


# --- pages --------------------------------------------------------------------------------------------------------


async def test_pages_follow_each_other_in_both_orders(store: SqliteStore) -> None:
    for name in ("r1", "r2", "r3", "r4"):
        await store.put(response(name))
    await store.put(response("other", owner="b"))
    await store.put(response("file-1", kind="file"))
    assert await ids(store, limit=3) == ["r4", "r3", "r2"]
    assert await ids(store, limit=3, after="r2") == ["r1"]
    assert await ids(store, order="asc", limit=2) == ["r1", "r2"]
    assert await ids(store, order="asc", after="r2") == ["r3", "r4"]
    assert await ids(store, order="asc", after="r4") == []
    assert await ids(store, limit=-1) == []


async def test_a_client_may_delete_what_it_lists_page_by_page(store: SqliteStore) -> None:
    for name in ("r1", "r2", "r3"):
        await store.put(response(name))
    await store.delete("r2", "a")
    assert await ids(store, after="r2") == ["r1"]


@pytest.mark.parametrize("after", ["gone", "other", "\ud800"])
async def test_a_page_behind_what_never_was_is_refused(store: SqliteStore, after: str) -> None:
    await store.put(response("other", owner="b"))
    with pytest.raises(BadRequest) as raised:
        await ids(store, after=after)
    assert raised.value.param == "after"


# --- chains -------------------------------------------------------------------------------------------------------


async def test_a_chain_is_followed_to_its_beginning(store: SqliteStore) -> None:
    await store.put(response("r1"))
    await store.put(response("r2", parent="r1"))
    await store.put(response("r2b", parent="r1"))
    store.put_soon(response("r3", parent="r2"))
    assert [found.id for found in await store.chain("r3", "a")] == ["r1", "r2", "r3"]
    assert [found.id for found in await store.chain("r3", "a", 2)] == ["r2", "r3"]
    assert await store.chain("r3", "b") == []


async def test_a_chain_breaks_where_something_is_gone(store: SqliteStore) -> None:
    await store.put(response("r1"))
    await store.put(response("r2", parent="r1"))
    await store.put(response("r3", parent="r2"))
    await store.delete("r1", "a")
    chain = await store.chain("r3", "a")
    assert [found.id for found in chain] == ["r2", "r3"]
    assert chain[0].parent == "r1"


async def test_the_size_of_a_chain_is_known_before_it_is_read(store: SqliteStore) -> None:
    await store.put(response("r1", body=b"1" * 100))
    await store.put(response("r2", parent="r1", body="é".encode() * 10))
    store.put_soon(response("r3", parent="r2", body=b"333"))
    assert await store.chain_bytes("r3", "a") == 123
    assert await store.chain_bytes("r3", "a", 1) == 3
    assert await store.chain_bytes("r3", "b") == await store.chain_bytes("gone", "a") == 0
    assert await store.chain_bytes("\ud800", "a") == 0


async def test_a_chain_does_not_lead_to_strangers_or_in_circles(store: SqliteStore) -> None:
    await store.put(response("r0", owner="b"))
    await store.put(response("r1", parent="r0"))
    assert [found.id for found in await store.chain("r1", "a")] == ["r1"]
    await store.put(response("r2", parent="r3"))
    await store.put(response("r3", parent="r2"))
    assert len(await store.chain("r3", "a", 7)) == 7


# --- items --------------------------------------------------------------------------------------------------------


async def items(store: ObjectStore, **options: object) -> list[str]:
    return [item.id for item in (await store.list_items("c", "a", **options)).items]


@pytest.fixture
async def conversation(store: SqliteStore) -> StoredObject:
    stored = response("c", kind="conversation")
    await store.put(stored)
    assert await store.append_items("c", "a", [StoredItem(name, name.encode()) for name in ("i1", "i2", "ü 3")])
    return stored


@pytest.mark.usefixtures("conversation")
async def test_items_keep_their_order_and_are_paged(store: SqliteStore) -> None:
    await store.append_items("c", "a", [StoredItem("i4", b"4")])
    assert await items(store) == await store.item_ids("c", "a") == ["i1", "i2", "ü 3", "i4"]
    assert await items(store, order="desc", limit=2) == ["i4", "ü 3"]
    assert await items(store, order="desc", after="i2") == ["i1"]
    assert await items(store, after="i1", limit=1) == ["i2"]
    with pytest.raises(BadRequest):
        await items(store, after="\ud800")


@pytest.mark.usefixtures("conversation")
async def test_single_items_are_found_replaced_and_deleted(store: SqliteStore) -> None:
    await store.append_items("c", "a", [StoredItem("i1", b"new")])
    assert await store.get_item("c", "a", "i1") == StoredItem("i1", b"new")
    assert not await store.delete_item("c", "b", "i2")
    assert await store.delete_item("c", "a", "i2")
    assert not await store.delete_item("c", "a", "i2")
    assert await store.get_item("c", "a", "i2") is None
    assert await items(store) == ["i1", "ü 3"]
    assert await items(store, after="i2") == ["ü 3"]


@pytest.mark.usefixtures("conversation")
async def test_items_are_their_owners_and_need_an_object(store: SqliteStore) -> None:
    assert await store.list_items("c", "b") is None
    assert await store.item_ids("c", "b") == []
    assert await store.get_item("c", "b", "i1") is None
    assert not await store.append_items("c", "b", [StoredItem("x", b"")])
    assert not await store.append_items("nothing", "a", [StoredItem("x", b"")])


@pytest.mark.usefixtures("conversation")
async def test_too_many_items_are_refused_as_a_whole(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STORED_ITEMS", 4)
    with pytest.raises(BadRequest):
        await store.append_items("c", "a", [StoredItem("i4", b""), StoredItem("i5", b"")])
    assert await items(store) == ["i1", "i2", "ü 3"]
    assert await store.append_items("c", "a", [StoredItem("i4", b"")])


@pytest.mark.usefixtures("conversation")
async def test_too_many_bytes_are_refused_as_a_whole(store: SqliteStore) -> None:
    assert await store.item_bytes("c", "a") == 8
    with pytest.raises(BadRequest):
        await store.append_items("c", "a", [StoredItem("i4", b"xx"), StoredItem("i5", b"yy")], max_bytes=11)
    assert await items(store) == ["i1", "i2", "ü 3"]
    assert await store.append_items("c", "a", [StoredItem("i4", b"xxx")], max_bytes=11)
    assert await store.append_items("c", "a", [StoredItem("i4", b"y")], max_bytes=9), "it was replaced"
    assert await store.delete_item("c", "a", "i1")
    assert await store.item_bytes("c", "a") == 7
    assert await store.append_items("c", "a", [StoredItem("i1", b"12")], max_bytes=9), "it came back"
    assert (await store.item_bytes("c", "a"), await store.item_bytes("c", "b")) == (9, 0)
    assert await store.delete("c", "a")
    await store.put(response("c", kind="conversation"))
    assert await store.append_items("c", "a", [StoredItem("i1", b"123456789")], max_bytes=9)


@pytest.mark.usefixtures("conversation")
async def test_deleted_items_make_room_and_are_removed_in_the_end(
    store: SqliteStore, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "MAX_STORED_ITEMS", 3)
    monkeypatch.setattr(module, "MAX_STORED_AT_ONCE", 2)
    for number in range(5):
        assert await store.delete_item("c", "a", f"i{number}" if number > 2 else ["i1", "i2", "ü 3"][number])
        assert await store.append_items("c", "a", [StoredItem(f"i{number + 3}", b"x")])
    assert await items(store) == ["i5", "i6", "i7"]
    assert await items(store, after="i2") == ["i5", "i6", "i7"]
    clock.now += GRAVE_S
    await store.delete_item("c", "a", "i5")
    assert await store.expire() == []
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "sluice.db")) as db:
        assert [row[0] for row in db.execute("SELECT id FROM items ORDER BY seq")] == ["i5", "i6", "i7"]
    assert await items(store, after="i5") == ["i6", "i7"], "what was deleted just now can be gone on from"


@pytest.mark.usefixtures("conversation")
@pytest.mark.parametrize(
    ("options", "expected", "has_more"),
    [
        ({"max_bytes": 4}, ["i1", "i2"], True),
        ({"max_bytes": 7}, ["i1", "i2"], True),
        ({"max_bytes": 8}, ["i1", "i2", "ü 3"], False),
        ({"max_bytes": 0}, ["i1"], True),
        ({"max_bytes": 3, "order": "desc"}, ["ü 3"], True),
        ({"max_bytes": 6, "order": "desc"}, ["ü 3", "i2"], True),
        ({"max_bytes": 1, "order": "desc", "after": "i2"}, ["i1"], False),
        ({"limit": 2}, ["i1", "i2"], True),
        ({"limit": 3}, ["i1", "i2", "ü 3"], False),
        ({"after": "ü 3"}, [], False),
        ({"limit": 0}, [], False),
    ],
)
async def test_a_page_of_items_ends_before_it_is_too_large(
    store: SqliteStore, options: dict[str, object], expected: list[str], has_more: bool
) -> None:
    page = await store.list_items("c", "a", **options)
    assert ([item.id for item in page.items], page.has_more) == (expected, has_more)
    assert all(item.body == item.id.encode() for item in page.items)


# --- work on batches ----------------------------------------------------------------------------------------------


def batch(object_id: str = "b", state: str = "in_progress", **changes: object) -> StoredObject:
    return response(object_id, kind="batch", state=state, **changes)


async def test_a_change_that_was_not_seen_is_not_overwritten(open_store: Open) -> None:
    one, other = open_store(), open_store()
    await one.put(batch())
    seen = await one.get("b", "a")
    changed = await one.update(StoredObject(**{**_fields(seen), "state": "cancelling"}))
    assert (changed.state, changed.version) == ("cancelling", seen.version + 1)
    assert await other.update(StoredObject(**{**_fields(seen), "state": "completed"})) is None
    assert (await other.get("b", "a")).state == "cancelling"
    assert await one.update(StoredObject(**{**_fields(changed), "owner": "b"})) is None


async def test_only_one_worker_holds_a_batch(open_store: Open, clock: Clock) -> None:
    stores = [open_store() for _ in range(3)]
    await stores[0].put(batch())
    claims = await asyncio.gather(*(s.claim("b", f"w{n}", 1060.0) for n, s in enumerate(stores)))
    (winner,) = [n for n, claimed in enumerate(claims) if claimed is not None]
    assert await stores[winner].claim("b", f"w{winner}", 1090.0) == claims[winner], "holding longer changes nothing"
    clock.now = 1089.0
    assert await stores[0].claim("b", "late", 1200.0) is None
    clock.now = 1090.0
    taken = await stores[0].claim("b", "late", 1200.0)
    assert taken.version > claims[winner].version
    assert await stores[winner].update(claims[winner]) is None, "the one who slept too long"


async def test_a_worker_whose_time_ran_out_adds_nothing(store: SqliteStore, clock: Clock) -> None:
    await store.put(batch())
    assert await store.claim("b", "w1", 1060.0) is not None
    line = [StoredItem("i", b"1")]
    assert not await store.append_items("b", "a", line, holder="w2")
    clock.now = 1061.0
    assert await store.append_items("b", "a", line, holder="w1"), "nobody else has it"
    assert await store.claim("b", "w2", 1200.0) is not None
    assert not await store.append_items("b", "a", [StoredItem("i", b"2")], holder="w1")
    assert (await store.get_item("b", "a", "i")).body == b"1"


async def test_a_batch_given_back_is_free(store: SqliteStore) -> None:
    await store.put(batch())
    await store.claim("b", "w", 1060.0)
    await store.release("b", "other")
    assert await store.unclaimed("batch", ["in_progress"]) == []
    await store.release("b", "w")
    assert [found.id for found in await store.unclaimed("batch", ["in_progress"])] == ["b"]
    assert await store.claim("gone", "w", 1060.0) is None


async def test_unclaimed_work_is_found_by_its_state(store: SqliteStore, clock: Clock) -> None:
    await store.put(batch("b1"))
    await store.put(batch("b2", "completed"))
    await store.put(batch("b3", "validating", owner="b"))
    await store.put(batch("b4", expires_at=1010.0))
    clock.now = 1010.0
    found = await store.unclaimed("batch", ["validating", "in_progress"])
    assert [one.id for one in found] == ["b1", "b3"]
    assert [one.id for one in await store.unclaimed("batch", ["validating", "in_progress"], 1)] == ["b1"]


# --- expiry -------------------------------------------------------------------------------------------------------


async def test_what_is_gone_for_an_hour_is_removed_for_good(store: SqliteStore, clock: Clock, tmp_path: Path) -> None:
    await store.put(response("kept"))
    await store.put(response("later", expires_at=5000.0))
    await store.put(response("file-1", kind="file", expires_at=1010.0))
    await store.put(response("deleted"))
    await store.append_items("file-1", "a", [StoredItem("i", b"")])
    await store.delete("deleted", "a")
    assert await store.expire() == []
    clock.now = 1010.0 + GRAVE_S
    assert sorted(await store.expire()) == [("file", "file-1"), ("response", "deleted")]
    assert await store.expire() == []
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "sluice.db")) as db:
        assert [row[0] for row in db.execute("SELECT id FROM objects ORDER BY seq")] == ["kept", "later"]
        assert db.execute("SELECT * FROM items").fetchall() == []


async def test_the_words_of_a_deleted_object_are_gone_at_once(store: SqliteStore, tmp_path: Path) -> None:
    await store.put(response(body=b"secret"))
    await store.delete("resp_1", "a")
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "sluice.db")) as db:
        assert db.execute("SELECT body FROM objects").fetchall() == [(b"",)]


# --- writing soon -------------------------------------------------------------------------------------------------


async def test_what_is_written_soon_is_read_at_once_by_its_owner(store: SqliteStore) -> None:
    store.put_soon(response())
    assert await store.get("resp_1", "b") is None
    assert _without_version(await store.get("resp_1", "a")) == _without_version(response())
    assert await ids(store) == ["resp_1"]


async def test_what_is_written_soon_can_be_changed_at_once(store: SqliteStore) -> None:
    store.put_soon(response("c", kind="conversation"))
    assert await store.append_items("c", "a", [StoredItem("i", b"")])
    store.put_soon(response("r"))
    assert await store.delete("r", "a")
    assert await store.get("r", "a") is None
    store.put_soon(batch())
    assert await store.claim("b", "w", 1060.0) is not None


async def test_closing_writes_what_waits(open_store: Open) -> None:
    first = open_store()
    for n in range(700):
        first.put_soon(response(f"r{n}"))
    await first.close()
    assert len(await ids(open_store())) == 700
    assert first.lost == []


async def test_another_process_is_given_a_moment(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader, alone = open_store(), open_store(is_shared=True), open_store()

    async def write_instead_of_sleeping(delay_s: float) -> None:
        await writer.put(response())

    monkeypatch.setattr(module.asyncio, "sleep", write_instead_of_sleeping)
    assert await alone.get("resp_1", "a") is None
    assert await reader.get("resp_1", "a") is not None


# --- the file -----------------------------------------------------------------------------------------------------


async def test_nothing_is_made_before_it_is_needed(open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    assert await store.expire() == []
    await store.close()
    assert os.listdir(tmp_path) == []


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, gateway.objects.sqlite, gateway.objects.files\n"
        "gateway.objects.sqlite.SqliteStore('x', print)\n"
        "print([m for m in ('sqlite3', 'aiosqlite') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_nobody_else_on_the_machine_reads_it(store: SqliteStore, tmp_path: Path) -> None:
    await store.put(response())
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "data").iterdir()} == {0o600}


async def test_objects_outlive_the_process(open_store: Open) -> None:
    first = open_store()
    await first.put(response())
    await first.close()
    assert await open_store().get("resp_1", "a") is not None


async def test_a_process_that_dies_while_writing_leaves_the_rest_whole(open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    await store.put(response("whole"))
    path = tmp_path / "data" / "sluice.db"
    code = (
        "import os, sqlite3, sys\n"
        f"db = sqlite3.connect({str(path)!r}, isolation_level=None)\n"
        "db.execute('BEGIN IMMEDIATE')\n"
        "db.execute('UPDATE objects SET body = zeroblob(5000000)')\n"
        "os._exit(9)"
    )
    died = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await died.wait() == 9
    assert (await open_store().get("whole", "a")).body == b'{"id":1}'
    await store.put(response("next"))


async def test_an_abandoned_write_does_not_spoil_the_next(store: SqliteStore) -> None:
    await store.put(response("c", kind="conversation"))
    for _ in range(20):
        task = asyncio.create_task(store.append_items("c", "a", [StoredItem("i", b"")]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.put(response("after"))
    assert len(await ids(store)) == 1


@pytest.mark.parametrize("count", [8])
async def test_many_write_at_the_same_time(open_store: Open, count: int) -> None:
    stores = [open_store() for _ in range(3)]
    writes = [stores[n % 3].put(response(f"r{n}")) for n in range(count)]
    await asyncio.gather(*writes)
    assert sorted(await ids(stores[0])) == sorted(f"r{n}" for n in range(count))


async def test_many_open_a_new_file_at_the_same_time(open_store: Open, tmp_path: Path) -> None:
    for number in range(5):
        stores = [open_store(tmp_path / f"new-{number}.db") for _ in range(8)]
        await asyncio.gather(*(store.put(response(f"r{n}")) for n, store in enumerate(stores)))
        assert sorted(await ids(stores[0])) == sorted(f"r{n}" for n in range(8))


async def test_a_file_that_another_process_is_opening_is_tried_again(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, refusals = aiosqlite.Connection.execute_fetchall, 3

    async def refuse_at_first(connection: aiosqlite.Connection, statement: str, *values: object) -> object:
        nonlocal refusals
        if "journal_mode" in statement and refusals:
            refusals -= 1
            busy = sqlite3.OperationalError("database is locked")
            busy.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise busy
        return await run(connection, statement, *values)

    monkeypatch.setattr(aiosqlite.Connection, "execute_fetchall", refuse_at_first)
    await store.put(response())
    assert refusals == 0


async def test_a_new_file_that_stays_locked_is_waited_for_only_so_long(open_store: Open, tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageUnavailable) as refused:
            await open_store(path, busy_timeout_s=0.05).put(response())
        assert "database is locked" in (refused.value.detail or "")
        db.execute("ROLLBACK")
    await open_store(path).put(response())


async def test_an_old_file_is_brought_up_to_date(
    open_store: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = open_store()
    await first.put(response())
    await first.close()
    newer = (*module.sql.MIGRATIONS, ("ALTER TABLE objects ADD COLUMN note TEXT NOT NULL DEFAULT 'x'",))
    monkeypatch.setattr(module.sql, "MIGRATIONS", newer)
    second = open_store()
    assert await second.get("resp_1", "a") is not None
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "sluice.db")) as db:
        assert db.execute("SELECT note FROM objects").fetchall() == [("x",)]
        assert db.execute("PRAGMA user_version").fetchone() == (len(newer),)


async def test_the_items_of_an_old_file_are_counted(
    open_store: Open, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "old.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        for statement in module.sql.MIGRATIONS[0]:
            db.execute(statement)
        db.execute("INSERT INTO objects VALUES (1,'c','conversation','a',1,NULL,'','','',x'',1,'',0)")
        db.executemany("INSERT INTO items (object_id, id, body) VALUES ('c', ?, ?)", [("i1", b"123"), ("gone", None)])
        db.execute("PRAGMA user_version = 1")
        db.commit()
    store = open_store(path)
    assert await store.item_bytes("c", "a") == 3
    monkeypatch.setattr(module, "MAX_STORED_ITEMS", 2)
    assert await store.append_items("c", "a", [StoredItem("i2", b"4")], max_bytes=4)
    clock.now = GRAVE_S
    await store.expire()
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert [row[0] for row in db.execute("SELECT id FROM items ORDER BY seq")] == ["i1", "i2"]


async def test_half_a_migration_leaves_the_file_as_it_was(
    open_store: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = open_store()
    await first.put(response())
    await first.close()
    broken = (*module.sql.MIGRATIONS, ("ALTER TABLE objects ADD COLUMN note TEXT", "SELECT nonsense"))
    with monkeypatch.context() as patch:
        patch.setattr(module.sql, "MIGRATIONS", broken)
        with pytest.raises(StorageUnavailable):
            await open_store().get("resp_1", "a")
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "sluice.db")) as db:
        assert "note" not in [column[1] for column in db.execute("PRAGMA table_info(objects)")]
    assert await open_store().get("resp_1", "a") is not None


async def test_a_file_of_a_newer_version_is_left_alone(open_store: Open, tmp_path: Path) -> None:
    first = open_store()
    await first.put(response())
    await first.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "sluice.db")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageUnavailable) as raised:
        await open_store().put(response())
    assert "newer version" in raised.value.detail


# --- trouble ------------------------------------------------------------------------------------------------------


async def test_a_locked_file_is_told_and_recovered_from(open_store: Open, tmp_path: Path) -> None:
    store = open_store(busy_timeout_s=0.0)
    await store.put(response("r1"))
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "sluice.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable) as raised:
            await store.put(response("r2"))
        assert await store.get("r1", "a") is not None, "reading waits for no writer"
    assert "locked" in raised.value.detail
    assert "locked" not in raised.value.message
    await store.put(response("r2"))


async def test_what_cannot_be_written_in_the_end_is_counted(
    open_store: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("gateway.objects.pending.RETRY_S", 0)
    store = open_store(busy_timeout_s=0.0)
    await store.put(response("r1"))
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "sluice.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.put_soon(response("r2"))
        store.put_soon(response("r3"))
        assert await ids(store) == ["r1"]
    assert [(count, error.code) for count, error in store.lost] == [(2, "storage_unavailable")]
    store.put_soon(response("r4"))
    assert await ids(store) == ["r4", "r1"]


async def test_a_full_disk_is_told(store: SqliteStore) -> None:
    await store.put(response("r1"))
    await store._database.write("PRAGMA max_page_count = 1")
    with pytest.raises(StorageUnavailable) as raised:
        await store.put(response("r2", body=b"x" * 100_000))
    assert "full" in raised.value.detail
    assert await ids(store) == ["r1"]


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\x00" + b"\xff" * 500])
async def test_a_damaged_file_is_told_and_left_alone(open_store: Open, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.db"
    path.write_bytes(content)
    store = open_store(path)
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            await store.get("resp_1", "a")
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["a-file/x.db", "a-folder", "nul\0byte"])
async def test_a_place_where_nothing_can_be_kept_is_told(open_store: Open, tmp_path: Path, name: str) -> None:
    (tmp_path / "a-file").write_text("")
    (tmp_path / "a-folder").mkdir()
    with pytest.raises(StorageUnavailable):
        await open_store(tmp_path / name).put(response())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_folder_that_may_not_be_written_is_told(open_store: Open, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(StorageUnavailable):
        await open_store(tmp_path / "closed" / "x.db").put(response())


async def test_a_closed_store_refuses(open_store: Open) -> None:
    store = open_store()
    await store.put(response())
    await store.close()
    with pytest.raises(StorageUnavailable):
        await store.get("resp_1", "a")
    with pytest.raises(StorageUnavailable):
        await store.put(response())
