"""Everything that the gateway keeps for its clients, put together: the store, the endpoints on it, the batch runner.

Each part is imported and built when it is first needed: most gateways keep nothing, and none keeps everything.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from gateway.config.settings import BatchSettings, StorageSettings
from gateway.core.errors import GatewayError
from gateway.core.limits import MIB
from gateway.core.object_ids import IdSealer
from gateway.endpoints import Action
from gateway.request import Reply, Request, new_id
from gateway.targets import Targets
from gateway.telemetry.logs import Log

if TYPE_CHECKING:
    from gateway.objects.files import FileContents
    from gateway.objects.sqlite import SqliteStore
    from gateway.resources.additions import Additions
    from gateway.resources.batch_runner import Answer, BatchRunner
    from gateway.resources.batches import Batches
    from gateway.resources.conversations import Conversations
    from gateway.resources.files import Files
    from gateway.resources.places import Places
    from gateway.resources.responses import StoredResponses

# What stands around a file in the form that it is uploaded in.
_FORM_BYTES = MIB
# How often what has expired is removed, and how old a part of a broken upload must be.
_TIDY_S = 3600.0


class Keeping:
    """Nothing is opened for storing before something is stored, or was in an earlier life of the gateway."""

    def __init__(
        self,
        storage: StorageSettings,
        batches: BatchSettings,
        *,
        targets: Targets,
        sealer: IdSealer,
        log: Log,
        is_shared: bool,
    ) -> None:
        self._storage = storage
        self._settings = batches
        self._path = Path(storage.path)
        self._targets = targets
        self._sealer = sealer
        self._log = log
        self._is_shared = is_shared
        self.lost_objects = 0
        self._answer: Answer | None = None
        self._tidying: asyncio.Task[None] | None = None

    # --- the parts ---

    @cached_property
    def _store(self) -> "SqliteStore":
        from gateway.objects.sqlite import SqliteStore

        return SqliteStore(self._path, self._note_lost, is_shared=self._is_shared)

    @cached_property
    def _contents(self) -> "FileContents":
        from gateway.objects.files import FileContents

        return FileContents(self._path.parent / "files", max_bytes=self._storage.max_file)

    @cached_property
    def _places(self) -> "Places":
        from gateway.resources.places import Places

        return Places(self._targets, self._sealer)

    @cached_property
    def _additions(self) -> "Additions":
        from gateway.resources.additions import Additions

        return Additions(self._log, is_shared=self._is_shared)

    @cached_property
    def responses(self) -> "StoredResponses":
        """Remembers answers for forwarding."""
        from gateway.resources.responses import StoredResponses

        return StoredResponses(
            self._store, self._places, self._targets, self._additions, self._storage.ttl, self._note_lost
        )

    @cached_property
    def _conversations(self) -> "Conversations":
        from gateway.resources.conversations import Conversations

        instances = tuple(self._targets.instances.values())
        return Conversations(self._store, self._places, instances, self._additions, new_id)

    @cached_property
    def _files(self) -> "Files":
        from gateway.resources.files import Files

        max_bytes = self._storage.max_file + _FORM_BYTES
        return Files(self._store, self._contents, self._places, max_bytes, new_id, self._note_lost)

    @cached_property
    def _batches(self) -> "Batches":
        from gateway.resources.batches import Batches

        return Batches(self._store, self._files, self._places, self._runner.wake, new_id, self._note_lost)

    @cached_property
    def _runner(self) -> "BatchRunner":
        from gateway.resources.batch_runner import BatchRunner

        assert self._answer is not None  # started before the first request
        return BatchRunner(
            self._store,
            self._files,
            self._answer,
            self._log,
            concurrency=self._settings.concurrency,
            new_id=new_id,
        )

    # --- endpoints ---

    def actions(self) -> Mapping[Action, Callable[[Request], Awaitable[Reply | None]]]:
        """What the endpoints of kept objects do."""
        return {
            Action.GET_RESPONSE: lambda request: self.responses.get(request),
            Action.DELETE_RESPONSE: lambda request: self.responses.delete(request),
            Action.CANCEL_RESPONSE: lambda request: self.responses.cancel(request),
            Action.LIST_INPUT_ITEMS: lambda request: self.responses.list_input(request),
            Action.CREATE_CONVERSATION: lambda request: self._conversations.create(request),
            Action.GET_CONVERSATION: lambda request: self._conversations.get(request),
            Action.UPDATE_CONVERSATION: lambda request: self._conversations.update(request),
            Action.DELETE_CONVERSATION: lambda request: self._conversations.delete(request),
            Action.ADD_ITEMS: lambda request: self._conversations.add_items(request),
            Action.LIST_ITEMS: lambda request: self._conversations.list_items(request),
            Action.GET_ITEM: lambda request: self._conversations.get_item(request),
            Action.DELETE_ITEM: lambda request: self._conversations.delete_item(request),
            Action.UPLOAD_FILE: lambda request: self._files.create(request),
            Action.LIST_FILES: lambda request: self._files.list(request),
            Action.GET_FILE: lambda request: self._files.get(request),
            Action.DELETE_FILE: lambda request: self._files.delete(request),
            Action.GET_FILE_CONTENT: lambda request: self._files.content(request),
            Action.CREATE_BATCH: lambda request: self._batches.create(request),
            Action.LIST_BATCHES: lambda request: self._batches.list(request),
            Action.GET_BATCH: lambda request: self._batches.get(request),
            Action.CANCEL_BATCH: lambda request: self._batches.cancel(request),
        }

    # --- life ---

    def start(self, answer: "Answer") -> None:
        """``answer`` serves the requests of batches."""
        self._answer = answer
        if self._has_begun():
            self._runner.wake()
        self._tidying = asyncio.create_task(self._tidy())

    def _has_begun(self) -> bool:
        """Has anything ever been kept here? What cannot be looked at has not."""
        return os.path.exists(self._path)

    async def stop(self) -> None:
        """Let go of batches; requests under way may still keep what they must."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)
        if "_runner" in vars(self):
            await self._runner.stop()

    async def close(self) -> None:
        """Write what waits. Nothing may be asked to be kept afterwards."""
        built = vars(self)
        if "_additions" in built:
            await self._additions.settle()
        if "_store" in built:
            with contextlib.suppress(GatewayError):
                await self._store.close()

    async def _tidy(self) -> None:
        """Remove what has expired, with the contents of files."""
        while True:
            if self._has_begun():
                await self._tidy_once()
            await asyncio.sleep(_TIDY_S)

    async def _tidy_once(self) -> None:
        try:
            while expired := await self._store.expire():
                for kind, object_id in expired:
                    if kind == "file" and object_id.startswith("file-") and "." not in object_id:
                        await self._contents.delete(object_id)
            await self._contents.sweep(time() - _TIDY_S)
        except GatewayError as error:
            self._log.say("storage not tidied", error=error.for_log())

    def _note_lost(self, count: int, error: GatewayError) -> None:
        self.lost_objects += count
        self._log.say("not stored", count=count, error=error.for_log())
