"""Runs the gateway's own batches: each line becomes a request that goes the way of all requests.

What is done is kept line by line, so a batch goes on where it was after a restart, or in another worker when its own is
gone. One worker at a time holds a batch, for a while that it keeps renewing.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from time import time
from typing import Literal

import msgspec

from gateway.core.auth import Principal
from gateway.core.batch_lines import (
    CANCELLED,
    EXPIRED,
    BatchReader,
    BatchRequest,
    error_line,
    read_result,
    result_line,
)
from gateway.core.batching import (
    UNFINISHED,
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
from gateway.core.errors import GatewayError, NotFound, place_of
from gateway.local_call import LocalCall, local_call
from gateway.objects.contract import ObjectStore, StoredItem, StoredObject
from gateway.resources.files import Files
from gateway.telemetry.logs import Log

# How long a batch stays with a worker that has died, and how often a living one says that it has not.
LEASE_S = 60.0
RENEW_S = 15.0
# How often it is looked for batches that another worker has left behind.
LOOK_S = 30.0
# How often a batch object tells its progress.
TELL_S = 1.0
# A provider that is overloaded is asked again after this, doubling each time.
FIRST_WAIT_S = 1.0
MAX_TRIES = 6
_TRY_AGAIN = frozenset((408, 429, 500, 502, 503, 504, 529))

FinalStatus = Literal["completed", "cancelled", "expired"]
Answer = Callable[[LocalCall, Principal], Awaitable[None]]


class BatchRunner:
    """``answer`` is the pipeline; ``new_id`` gives a random word each time it is called."""

    def __init__(
        self,
        store: ObjectStore,
        files: Files,
        answer: Answer,
        log: Log,
        *,
        concurrency: int,
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._files = files
        self._answer = answer
        self._log = log
        self._slots = asyncio.Semaphore(concurrency)
        self._concurrency = concurrency
        self._new_id = new_id
        self._worker = f"{os.getpid()}-{new_id()}"
        self._task: asyncio.Task[None] | None = None
        self._wakened = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """There is, or may be, a batch to run or to cancel."""
        self._wakened.set()
        if self._task is None:
            self._task = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """Let go of everything; what is done is kept, and whoever comes next goes on."""
        tasks = [task for task in (self._task, *self._running.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            self._wakened.clear()
            try:
                for found in await self._store.unclaimed("batch", UNFINISHED):
                    if found.instance or found.id in self._running:
                        continue
                    claimed = await self._store.claim(found.id, self._worker, time() + LEASE_S)
                    if claimed is not None:
                        self._running[found.id] = asyncio.create_task(self._hold(claimed))
            except GatewayError as error:
                self._log.say("batches not looked for", error=error.for_log())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wakened.wait()

    async def _hold(self, found: StoredObject) -> None:
        """Run a batch that this worker has claimed, and keep the claim meanwhile."""
        renewing = asyncio.create_task(self._renew(found.id))
        try:
            await _Run(found, self).run()
        except GatewayError as error:
            self._log.say("batch interrupted", id=found.id, error=error.for_log())
        except Exception as error:
            self._log.say("batch interrupted", id=found.id, error=place_of(error))
        finally:
            renewing.cancel()
            self._running.pop(found.id, None)
            with contextlib.suppress(GatewayError):
                await self._store.release(found.id, self._worker)

    async def _renew(self, batch_id: str) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            with contextlib.suppress(GatewayError):
                await self._store.claim(batch_id, self._worker, time() + LEASE_S)

    # --- for a run ---

    @property
    def store(self) -> ObjectStore:
        return self._store

    @property
    def files(self) -> Files:
        return self._files

    async def ask(self, request: BatchRequest, owner: str) -> bytes:
        """The line with the answer to one request. An answer that another try may better is not taken at once."""
        for number in range(1, MAX_TRIES + 1):
            async with self._slots:
                call = local_call(request.url, request.body)
                await self._answer(call, Principal(owner))
            is_final = call.status not in _TRY_AGAIN and not call.is_broken
            if is_final or number == MAX_TRIES:
                break
            await asyncio.sleep(FIRST_WAIT_S * 2 ** (number - 1))
        line_id = f"batch_req_{self._new_id()}"
        if call.is_broken:
            return error_line(line_id, request.custom_id, "server_error", "The answer broke off.")
        return result_line(line_id, request.custom_id, call.status, line_id, call.answer)

    def line_id(self) -> str:
        return f"batch_req_{self._new_id()}"

    @property
    def concurrency(self) -> int:
        return self._concurrency


class _Stopped(Exception):
    """The batch was cancelled, or somebody else has it now."""


class _Run:
    """One batch in this worker."""

    def __init__(self, found: StoredObject, runner: BatchRunner) -> None:
        self._found = found
        self._runner = runner
        self._batch = decode_batch(found.body)
        self._done: set[str] = set()
        self._completed = self._failed = 0
        self._told_at = 0.0

    async def run(self) -> None:
        with contextlib.suppress(_Stopped):
            await self._proceed()
        if self._batch.status == "cancelling":
            await self._end("cancelled", CANCELLED)

    async def _proceed(self) -> None:
        if self._batch.status == "validating":
            await self._validate()
        if self._batch.status in ("in_progress", "cancelling", "finalizing"):
            await self._count_done()
        if self._batch.status == "in_progress":
            await self._work()
            if self._batch.is_overdue(int(time())):
                return await self._end("expired", EXPIRED)
            await self._save(finalize(self._batch, int(time())))
        if self._batch.status == "finalizing":
            await self._end("completed", None)
        return None

    async def _validate(self) -> None:
        reader = BatchReader(self._batch.endpoint)
        try:
            async for _ in self._requests(reader):
                pass
        except NotFound:
            reader.errors.append(BatchError("file_not_found", "The input file is gone.", "input_file_id"))
        now = int(time())
        if reader.errors:
            await self._save(fail(self._batch, tuple(reader.errors), now))
        else:
            await self._save(start(self._batch, reader.total, now))

    async def _requests(self, reader: BatchReader) -> AsyncIterator[BatchRequest]:
        async for chunk in self._runner.files.read(self._batch.input_file_id):
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
            page = await self._runner.store.list_items(self._found.id, self._found.owner, after=after, limit=1000)
            for item in page or ():
                yield item
            if not page:
                return
            after = page[-1].id

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
            async for request in self._requests(BatchReader(self._batch.endpoint)):
                if request.custom_id in self._done:
                    continue
                if self._batch.is_overdue(int(time())):
                    break
                under_way.add(asyncio.create_task(self._do(request)))
                if len(under_way) >= self._runner.concurrency:
                    under_way = await self._some_done(under_way)
            while under_way:
                under_way = await self._some_done(under_way)
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
        await self._tell()

    async def _some_done(self, under_way: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        done, waiting = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED, timeout=TELL_S)
        for task in done:
            task.result()
        if time() - self._told_at > TELL_S:
            await self._tell()
        return waiting

    async def _do(self, request: BatchRequest) -> None:
        line = await self._runner.ask(request, self._found.owner)
        item = StoredItem(request.custom_id, line)
        if not await self._runner.store.append_items(self._found.id, self._found.owner, [item]):
            raise _Stopped
        self._note(line)

    # --- the batch object ---

    async def _tell(self) -> None:
        """Progress for whoever asks; and whether somebody wants no more."""
        self._told_at = time()
        await self._save(count(self._batch, self._completed, self._failed))
        if self._batch.status == "cancelling":
            raise _Stopped

    async def _save(self, batch: Batch) -> None:
        """Write the batch as it is now; a client that cancels meanwhile wins."""
        changed = await self._runner.store.update(
            msgspec.structs.replace(self._found, state=batch.status, body=encode_batch(batch))
        )
        if changed is not None:
            self._found, self._batch = changed, batch
            return
        found = await self._runner.store.get(self._found.id, self._found.owner)
        if found is None:
            raise _Stopped
        self._found, self._batch = found, decode_batch(found.body)
        raise _Stopped

    async def _end(self, status: FinalStatus, unasked: tuple[str, str] | None) -> None:
        """Write the files, and the last word of the batch. ``unasked`` tells why requests have no result."""
        name = self._batch.id
        owner = self._found.owner
        output = await self._runner.files.write(owner, f"{name}_output.jsonl", self._lines(True, None))
        errors = await self._runner.files.write(owner, f"{name}_error.jsonl", self._lines(False, unasked))
        if self._batch.request_counts.total:
            self._batch = count(self._batch, self._completed, self._failed)
        await self._save(end(self._batch, status, int(time()), output, errors))

    async def _lines(self, is_completed: bool, unasked: tuple[str, str] | None) -> AsyncIterator[bytes]:
        async for item in self._results():
            result = read_result(item.body)
            if result is not None and result.is_completed is is_completed:
                yield item.body
        if unasked is None:
            return
        with contextlib.suppress(NotFound):
            async for request in self._requests(BatchReader(self._batch.endpoint)):
                if request.custom_id not in self._done:
                    yield error_line(self._runner.line_id(), request.custom_id, *unasked)
