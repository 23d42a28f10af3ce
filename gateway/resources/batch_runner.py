"""Runs the gateway's own batches: each line becomes a request that goes the way of all requests.

A batch goes on where it was after a restart, or in another worker when its own is gone. One worker at a time holds it,
for a while that it keeps renewing.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from time import time

from gateway.core.auth import Principal
from gateway.core.batch_lines import BatchRequest, error_line, result_line
from gateway.core.batching import UNFINISHED
from gateway.core.errors import GatewayError, place_of
from gateway.local_call import LocalCall, local_call
from gateway.objects.contract import ObjectStore, StoredObject
from gateway.resources.batch_run import BatchRun
from gateway.resources.files import Files
from gateway.telemetry.logs import Log

# How long a batch stays with a worker that has died, and how often a living one says that it has not.
LEASE_S = 60.0
RENEW_S = 15.0
# How often it is looked for batches that another worker has left behind.
LOOK_S = 30.0
# A provider that is overloaded is asked again after this, doubling each time, or when it says.
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
MAX_TRIES = 6
_TRY_AGAIN = frozenset((408, 429, 500, 502, 503, 504, 529))

Answer = Callable[[LocalCall, Principal], Awaitable[None]]


class BatchRunner:
    """``answer`` is the pipeline; ``new_id`` gives a random word each time it is called. ``concurrency`` bounds the
    requests under way, and the batches too."""

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
                await self._claim_some()
            except GatewayError as error:
                self._log.say("batches not looked for", error=error.for_log())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wakened.wait()

    async def _claim_some(self) -> None:
        for found in await self._store.unclaimed("batch", UNFINISHED):
            if len(self._running) >= self._concurrency:
                return
            if found.instance or found.id in self._running:
                continue
            claimed = await self._store.claim(found.id, self._worker, time() + LEASE_S)
            if claimed is not None:
                self._running[found.id] = asyncio.create_task(self._hold(claimed))

    async def _hold(self, found: StoredObject) -> None:
        """Run a batch that this worker has claimed, and keep the claim meanwhile."""
        renewing = asyncio.create_task(self._renew(found.id))
        try:
            await self._run(found)
            # there is room for another
            self._wakened.set()
        except GatewayError as error:
            self._log.say("batch interrupted", id=found.id, error=error.for_log())
        finally:
            renewing.cancel()
            with contextlib.suppress(GatewayError):
                await self._store.release(found.id, self._worker)
            self._running.pop(found.id, None)

    async def _run(self, found: StoredObject) -> None:
        run = BatchRun(
            found,
            self._store,
            self._files,
            self._ask,
            worker=self._worker,
            concurrency=self._concurrency,
            new_id=self._new_id,
        )
        try:
            await run.run()
        except GatewayError:
            raise
        except Exception as error:
            self._log.say("batch given up", id=found.id, error=place_of(error))
            await run.give_up()

    async def _renew(self, batch_id: str) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            with contextlib.suppress(GatewayError):
                if await self._store.claim(batch_id, self._worker, time() + LEASE_S) is None:
                    self._log.say("batch lost to another worker", id=batch_id)
                    self._running[batch_id].cancel()

    async def _ask(self, request: BatchRequest, owner: str) -> bytes:
        """The line with the answer to one request. An answer that another try may better is not taken at once."""
        wait_s = FIRST_WAIT_S
        for number in range(1, MAX_TRIES + 1):
            async with self._slots:
                call = local_call(request.url, request.body)
                await self._answer(call, Principal(owner))
            is_final = call.status not in _TRY_AGAIN and not call.is_broken
            if is_final or number == MAX_TRIES:
                break
            asked_s = min(max(wait_s, call.retry_after_s), LONGEST_WAIT_S)
            await asyncio.sleep(asked_s)
            wait_s *= 2
        line_id = f"batch_req_{self._new_id()}"
        if call.is_broken:
            return error_line(line_id, request.custom_id, "server_error", "The answer broke off.")
        return result_line(line_id, request.custom_id, call.status, line_id, bytes(call.answer))
