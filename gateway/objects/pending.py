"""Writing a little later: objects wait in memory while the batch before them is being written.

There is no timer. While one transaction runs, whatever arrives is gathered for the next; so a quiet gateway writes at
once, and a busy one pays for one commit where it would have paid for many.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from gateway.core.errors import GatewayError, Internal, StorageUnavailable, place_of
from gateway.core.limits import MAX_PENDING_STORE_BYTES, MAX_STORED_AT_ONCE
from gateway.objects.contract import StoredObject

# The row around a body: ids, times, an index entry.
_OVERHEAD_BYTES = 512
# A locked store has been waited for already; a full disk may be emptied in the meantime.
WRITE_ATTEMPTS = 3
RETRY_S = 1.0

Write = Callable[[Sequence[StoredObject]], Awaitable[None]]
Lost = Callable[[int, GatewayError], None]


class PendingWrites:
    """Objects on their way to a store. ``write`` puts some of them into it, all or none; ``lost`` is told how many
    could not be written in the end, and why."""

    def __init__(self, write: Write, lost: Lost) -> None:
        self._write = write
        self._lost = lost
        self._waiting: dict[str, StoredObject] = {}  # bounded by MAX_PENDING_STORE_BYTES
        self._writing: dict[str, StoredObject] = {}
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._rounds_begun = 0
        self._rounds_ended = 0
        self._round_ended = asyncio.Condition()

    def add(self, stored: StoredObject) -> None:
        """Must be called on the event loop. A later state of an object takes the place of one that waits. Raises
        ``StorageUnavailable`` beyond ``MAX_PENDING_STORE_BYTES``, and ``Internal`` when another object of this id
        waits: the first keeps it."""
        size = _size(stored)
        replaced = self._waiting.get(stored.id)
        first = self.get(stored.id)
        if first is not None and _identity(first) != _identity(stored):
            raise Internal("The object could not be stored.", detail=f"the id {stored.id} is another object's")
        if self._bytes + size > MAX_PENDING_STORE_BYTES:
            raise StorageUnavailable(
                "The gateway's storage is too slow at the moment.", detail=f"{self._bytes} bytes wait to be written"
            )
        self._bytes += size - (_size(replaced) if replaced is not None else 0)
        self._waiting[stored.id] = stored
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def get(self, object_id: str) -> StoredObject | None:
        """The object if it is not in the store yet."""
        return self._waiting.get(object_id) or self._writing.get(object_id)

    async def flush(self) -> None:
        """Until everything that waits now is written or lost."""
        if self._task is None:
            return
        # what waits now takes as many rounds as it fills, behind the one that may be running
        last = self._rounds_begun + -(-len(self._waiting) // MAX_STORED_AT_ONCE)
        async with self._round_ended:
            await self._round_ended.wait_for(lambda: self._rounds_ended >= last)

    async def _run(self) -> None:
        while self._waiting:
            self._rounds_begun += 1
            names = list(self._waiting)[:MAX_STORED_AT_ONCE]
            self._writing = {name: self._waiting.pop(name) for name in names}
            batch = list(self._writing.values())
            await self._write_or_lose(batch)
            self._bytes -= sum(map(_size, batch))
            self._writing = {}
            self._rounds_ended += 1
            async with self._round_ended:
                self._round_ended.notify_all()
        self._task = None

    async def _write_or_lose(self, batch: list[StoredObject]) -> None:
        for attempt in range(1, WRITE_ATTEMPTS + 1):
            try:
                return await self._write(batch)
            except StorageUnavailable as error:
                if attempt == WRITE_ATTEMPTS:
                    return self._lost(len(batch), error)
            except Exception as error:
                # a defect of ours must not end the writing of all that comes later
                return self._lost(len(batch), Internal("Writing failed.", detail=place_of(error)))
            await asyncio.sleep(RETRY_S)
        return None


def _identity(stored: StoredObject) -> tuple[str, str, str]:
    return stored.owner, stored.kind, stored.instance


def _size(stored: StoredObject) -> int:
    return len(stored.body) + _OVERHEAD_BYTES
