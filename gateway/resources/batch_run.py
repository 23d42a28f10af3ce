"""One batch, from its input file to its output files, in whatever state it was found.

What is done is kept line by line. So a run may end anywhere, and the next one goes on where it was.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from time import time
from typing import Literal

import msgspec

from gateway.core.batch_lines import CANCELLED, EXPIRED, BatchReader, BatchRequest, error_line, read_result
from gateway.core.batching import (
    Batch,
    BatchError,
    count,
    decode_batch,
    encode_batch,
    end,
    fail,
    finalize,
    start,
)
from gateway.core.errors import BadRequest, NotFound, TooLarge
from gateway.core.limits import MAX_BATCH_OUTPUT_BYTES
from gateway.objects.contract import ObjectStore, StoredItem, StoredObject
from gateway.resources.files import Files

# How often a batch object tells its progress, and is looked at for somebody's wish to cancel it.
TELL_S = 1.0
_GONE = BatchError("file_not_found", "The input file is gone.", "input_file_id")
_TOO_MUCH = BatchError("output_too_large", "The answers are more than the gateway keeps for one batch.")
_BROKEN = BatchError("server_error", "The gateway failed on this batch; its log says where.")

FinalStatus = Literal["completed", "cancelled", "expired"]
Ask = Callable[[BatchRequest, str], Awaitable[bytes]]


class _Stopped(Exception):
    """The batch was cancelled, or somebody else has it now."""


class BatchRun:
    """``found`` is a batch that ``worker`` has claimed. ``ask`` gives the result line of one request of an owner;
    ``new_id`` a random word each time it is called."""

    def __init__(
        self,
        found: StoredObject,
        store: ObjectStore,
        files: Files,
        ask: Ask,
        *,
        worker: str,
        concurrency: int,
        new_id: Callable[[], str],
    ) -> None:
        self._found = found
        self._store = store
        self._files = files
        self._ask = ask
        self._worker = worker
        self._concurrency = concurrency
        self._new_id = new_id
        self._batch = decode_batch(found.body)
        self._done: set[str] = set()  # bounded by the reader's limit on requests
        self._completed = self._failed = 0
        self._told_at = 0.0

    async def run(self) -> None:
        """To the batch's end, or until somebody else has it. Raises ``StorageUnavailable``."""
        with contextlib.suppress(_Stopped):
            try:
                await self._proceed()
            except NotFound:
                await self._save(fail(self._batch, (_GONE,), int(time())))
            except (BadRequest, TooLarge):
                await self._save(fail(self._batch, (_TOO_MUCH,), int(time())))
        if self._batch.status == "cancelling":
            with contextlib.suppress(_Stopped):
                await self._end("cancelled", CANCELLED)

    async def give_up(self) -> None:
        """A defect of ours would meet it again and again."""
        if not self._batch.is_final and self._batch.status != "cancelling":
            with contextlib.suppress(_Stopped):
                await self._save(fail(self._batch, (_BROKEN,), int(time())))

    async def _proceed(self) -> None:
        if self._batch.status == "validating" and not self._batch.is_overdue(int(time())):
            await self._validate()
        if self._batch.is_overdue(int(time())):
            await self._end("expired", EXPIRED)
        if self._batch.status == "in_progress":
            await self._count_done()
            await self._work()
            if self._batch.is_overdue(int(time())):
                await self._end("expired", EXPIRED)
            else:
                await self._save(finalize(self._batch, int(time())))
        if self._batch.status == "finalizing":
            await self._end("completed", None)

    async def _validate(self) -> None:
        reader = BatchReader(self._batch.endpoint)
        async for _ in self._requests(reader):
            pass
        now = int(time())
        if reader.errors:
            await self._save(fail(self._batch, tuple(reader.errors), now))
        else:
            await self._save(start(self._batch, reader.total, now))

    async def _requests(self, reader: BatchReader) -> AsyncGenerator[BatchRequest, None]:
        async with aclosing(self._files.read(self._batch.input_file_id)) as chunks:
            async for chunk in chunks:
                for request in reader.feed(chunk):
                    yield request
        for request in reader.finish():
            yield request

    async def _count_done(self) -> None:
        async for item in self._results():
            self._note(item.body)

    async def _results(self) -> AsyncIterator[StoredItem]:
        after = ""
        while True:
            page = await self._store.list_items(self._found.id, self._found.owner, after=after)
            if page is None or not page.items:
                return
            for item in page.items:
                yield item
            after = page.items[-1].id

    def _note(self, line: bytes) -> None:
        result = read_result(line)
        if result is not None and result.custom_id not in self._done:
            self._done.add(result.custom_id)
            self._completed += result.is_completed
            self._failed += not result.is_completed

    # --- the work ---

    async def _work(self) -> None:
        """Every request that has no result yet, so many at once."""
        under_way: set[asyncio.Task[None]] = set()
        try:
            async with aclosing(self._requests(BatchReader(self._batch.endpoint))) as requests:
                async for request in requests:
                    if request.custom_id in self._done:
                        continue
                    if self._batch.is_overdue(int(time())):
                        break
                    under_way.add(asyncio.create_task(self._do(request)))
                    await self._until_fewer(under_way, self._concurrency)
            await self._until_fewer(under_way, 1)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        await self._tell()

    async def _until_fewer(self, under_way: set[asyncio.Task[None]], limit: int) -> None:
        """Until fewer than ``limit`` are under way, or it is too late for all of them."""
        while len(under_way) >= limit and not self._batch.is_overdue(int(time())):
            done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED, timeout=TELL_S)
            under_way -= done
            failures = [failure for task in done if (failure := task.exception()) is not None]
            if failures:
                raise failures[0]
            if time() - self._told_at > TELL_S:
                await self._tell()

    async def _do(self, request: BatchRequest) -> None:
        line = await self._ask(request, self._found.owner)
        item = StoredItem(request.custom_id, line)
        is_ours = await self._store.append_items(
            self._found.id, self._found.owner, [item], max_bytes=MAX_BATCH_OUTPUT_BYTES, holder=self._worker
        )
        if not is_ours:
            raise _Stopped
        self._note(line)

    # --- the batch object ---

    async def _tell(self) -> None:
        """Progress for whoever asks; and whether somebody wants no more."""
        self._told_at = time()
        await self._save(count(self._batch, self._completed, self._failed))

    async def _save(self, batch: Batch) -> None:
        """Write the batch as it is now; a client that cancels meanwhile wins."""
        changed = await self._store.update(
            msgspec.structs.replace(self._found, state=batch.status, body=encode_batch(batch))
        )
        if changed is not None:
            self._found, self._batch = changed, batch
            return
        found = await self._store.get(self._found.id, self._found.owner)
        if found is not None:
            self._found, self._batch = found, decode_batch(found.body)
        raise _Stopped

    async def _end(self, status: FinalStatus, unasked: tuple[str, str] | None) -> None:
        """Write the files, and the last word of the batch. ``unasked`` tells why requests have no result.

        The files' ids follow from the batch's: who comes after a worker that died here, or was told meanwhile that the
        batch is cancelled, writes the same files and no others.
        """
        await self._save(self._batch)  # it is still ours
        await self._count_done()
        batch = self._batch
        output = await self._write("output", self._lines(True, None))
        errors = await self._write("error", self._lines(False, unasked))
        if batch.request_counts.total:
            batch = count(batch, self._completed, self._failed)
        await self._save(end(batch, status, int(time()), output, errors))

    async def _write(self, what: str, lines: AsyncGenerator[bytes, None]) -> str | None:
        batch = self._batch
        return await self._files.write(
            self._found.owner,
            f"file-{batch.id.removeprefix('batch_')}-{what}",
            f"{batch.id}_{what}.jsonl",
            lines,
            batch.output_ttl_s,
        )

    async def _lines(self, is_completed: bool, unasked: tuple[str, str] | None) -> AsyncGenerator[bytes, None]:
        async for item in self._results():
            result = read_result(item.body)
            if result is not None and result.is_completed is is_completed:
                yield item.body
        if unasked is None:
            return
        with contextlib.suppress(NotFound):
            async for request in self._requests(BatchReader(self._batch.endpoint)):  # read to its end
                if request.custom_id not in self._done:
                    yield error_line(f"batch_req_{self._new_id()}", request.custom_id, *unasked)
