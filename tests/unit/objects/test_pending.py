import asyncio
from collections.abc import Sequence

import pytest

from gateway.core.errors import GatewayError, StorageUnavailable
from gateway.core.limits import MAX_STORED_AT_ONCE
from gateway.objects import pending as module
from gateway.objects.contract import StoredObject
from gateway.objects.pending import PendingWrites


def stored(object_id: str = "a", body: bytes = b"") -> StoredObject:
    return StoredObject(id=object_id, kind="response", owner="o", created_at=0.0, body=body)


class Disk:
    """Writes when it is let, and fails as often as it is told."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.bodies: dict[str, bytes] = {}
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.stops_after_each = False
        self.failures: list[Exception] = []
        self.lost: list[tuple[int, str]] = []
        self.pending = PendingWrites(self.write, self.lose)

    async def write(self, batch: Sequence[StoredObject]) -> None:
        await self.may_write.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append([one.id for one in batch])
        self.bodies |= {one.id: one.body for one in batch}
        if self.stops_after_each:
            self.may_write.clear()

    def lose(self, count: int, error: GatewayError) -> None:
        self.lost.append((count, error.code))


@pytest.fixture
async def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    monkeypatch.setattr(module, "RETRY_S", 0)
    return Disk()


async def test_what_comes_together_is_written_together(disk: Disk) -> None:
    for name in "abc":
        disk.pending.add(stored(name))
    await disk.pending.flush()
    assert disk.batches == [["a", "b", "c"]]
    assert disk.pending.get("a") is None


async def test_what_comes_meanwhile_is_written_next(disk: Disk) -> None:
    disk.may_write.clear()
    disk.pending.add(stored("a"))
    await asyncio.sleep(0)
    disk.pending.add(stored("b"))
    disk.pending.add(stored("c"))
    assert all(disk.pending.get(name) is not None for name in "abc")
    disk.may_write.set()
    await disk.pending.flush()
    assert disk.batches == [["a"], ["b", "c"]]


async def test_the_last_word_wins(disk: Disk) -> None:
    disk.may_write.clear()
    disk.pending.add(stored("a", b"1"))
    await asyncio.sleep(0)
    disk.pending.add(stored("a", b"2"))
    disk.pending.add(stored("a", b"3"))
    assert disk.pending.get("a") == stored("a", b"3")
    disk.may_write.set()
    await disk.pending.flush()
    assert disk.bodies == {"a": b"3"}
    assert disk.pending._bytes == 0


async def test_batches_are_bounded_and_waited_for(disk: Disk) -> None:
    for n in range(2 * MAX_STORED_AT_ONCE + 1):
        disk.pending.add(stored(str(n)))
    await disk.pending.flush()
    assert [len(batch) for batch in disk.batches] == [MAX_STORED_AT_ONCE, MAX_STORED_AT_ONCE, 1]


async def test_waiting_does_not_wait_for_what_comes_later(disk: Disk) -> None:
    disk.may_write.clear()
    disk.stops_after_each = True
    disk.pending.add(stored("a"))
    waiting = asyncio.create_task(disk.pending.flush())
    await asyncio.sleep(0)
    disk.pending.add(stored("b"))
    disk.may_write.set()
    await waiting
    assert disk.batches == [["a"]]
    assert disk.pending.get("b") is not None
    disk.may_write.set()
    await disk.pending.flush()
    assert disk.batches == [["a"], ["b"]]


async def test_too_much_at_once_is_refused(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PENDING_STORE_BYTES", 3000)
    disk.may_write.clear()
    disk.pending.add(stored("a", b"x" * 2000))
    with pytest.raises(StorageUnavailable):
        disk.pending.add(stored("b", b"x" * 2000))
    assert disk.pending.get("b") is None
    disk.may_write.set()
    await disk.pending.flush()
    disk.pending.add(stored("b", b"x" * 2000))
    await disk.pending.flush()
    assert disk.batches == [["a"], ["b"]]


async def test_a_passing_trouble_is_waited_out(disk: Disk) -> None:
    disk.failures = [StorageUnavailable("no"), StorageUnavailable("no")]
    disk.pending.add(stored("a"))
    await disk.pending.flush()
    assert (disk.batches, disk.lost) == ([["a"]], [])


@pytest.mark.parametrize(
    ("failures", "code"),
    [([StorageUnavailable("no")] * 3, "storage_unavailable"), ([KeyError("defect")], "internal_error")],
)
async def test_a_lasting_trouble_is_told_and_does_not_stop_the_rest(
    disk: Disk, failures: list[Exception], code: str
) -> None:
    disk.failures = list(failures)
    disk.pending.add(stored("a"))
    disk.pending.add(stored("b"))
    await disk.pending.flush()
    assert disk.lost == [(2, code)]
    assert disk.pending.get("a") is None
    disk.pending.add(stored("c"))
    await disk.pending.flush()
    assert disk.batches == [["c"]]


async def test_nothing_to_write_needs_no_waiting(disk: Disk) -> None:
    await disk.pending.flush()
    assert disk.batches == []
