"""Everything that the gateway keeps for its clients, put together: the store, the endpoints on it, the batch runner."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from time import time

from gateway.config.settings import BatchSettings, StorageSettings
from gateway.core.errors import GatewayError
from gateway.core.limits import MIB
from gateway.core.object_ids import IdSealer
from gateway.endpoints import Action
from gateway.objects.files import FileContents
from gateway.objects.sqlite import SqliteStore
from gateway.request import Reply, Request, new_id
from gateway.resources.additions import Additions
from gateway.resources.batch_runner import Answer, BatchRunner
from gateway.resources.batches import Batches
from gateway.resources.conversations import Conversations
from gateway.resources.files import Files
from gateway.resources.places import Places
from gateway.resources.responses import StoredResponses
from gateway.targets import Targets
from gateway.telemetry.logs import Log

# What stands around a file in the form that it is uploaded in.
_FORM_BYTES = MIB
# How often what has expired is removed, and how old a part of a broken upload must be.
_TIDY_S = 3600.0


class Keeping:
    """``responses`` remembers answers for forwarding; ``actions`` are the endpoints. Nothing is opened or imported for
    storing before something is stored, or was in an earlier life of the gateway."""

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
        self._path = Path(storage.path)
        self._log = log
        self.lost_objects = 0
        self._store = SqliteStore(self._path, self._note_lost, is_shared=is_shared)
        self._contents = FileContents(self._path.parent / "files", max_bytes=storage.max_file)
        self._batches = batches
        places = Places(targets, sealer)
        self._additions = Additions(log, is_shared=is_shared)
        self.responses = StoredResponses(self._store, places, targets, self._additions, storage.ttl, self._note_lost)
        self._conversations = Conversations(
            self._store, places, tuple(targets.instances.values()), self._additions, new_id
        )
        self._files = Files(
            self._store, self._contents, places, storage.max_file + _FORM_BYTES, new_id, self._note_lost
        )
        self._places = places
        self._runner: BatchRunner | None = None
        self._tidying: asyncio.Task[None] | None = None

    def actions(self) -> Mapping[Action, Callable[[Request], Awaitable[Reply | None]]]:
        """What the endpoints of kept objects do."""
        conversations, files = self._conversations, self._files
        batches = Batches(self._store, files, self._places, self._wake, new_id, self._note_lost)
        return {
            Action.GET_RESPONSE: self.responses.get,
            Action.DELETE_RESPONSE: self.responses.delete,
            Action.CANCEL_RESPONSE: self.responses.cancel,
            Action.LIST_INPUT_ITEMS: self.responses.list_input,
            Action.CREATE_CONVERSATION: conversations.create,
            Action.GET_CONVERSATION: conversations.get,
            Action.UPDATE_CONVERSATION: conversations.update,
            Action.DELETE_CONVERSATION: conversations.delete,
            Action.ADD_ITEMS: conversations.add_items,
            Action.LIST_ITEMS: conversations.list_items,
            Action.GET_ITEM: conversations.get_item,
            Action.DELETE_ITEM: conversations.delete_item,
            Action.UPLOAD_FILE: files.create,
            Action.LIST_FILES: files.list,
            Action.GET_FILE: files.get,
            Action.DELETE_FILE: files.delete,
            Action.GET_FILE_CONTENT: files.content,
            Action.CREATE_BATCH: batches.create,
            Action.LIST_BATCHES: batches.list,
            Action.GET_BATCH: batches.get,
            Action.CANCEL_BATCH: batches.cancel,
        }

    def start(self, answer: Answer) -> None:
        """``answer`` serves the requests of batches."""
        self._runner = BatchRunner(
            self._store, self._files, answer, self._log, concurrency=self._batches.concurrency, new_id=new_id
        )
        if self._has_begun():
            self._runner.wake()
        self._tidying = asyncio.create_task(self._tidy())

    def _has_begun(self) -> bool:
        """Has anything ever been kept here? What cannot be looked at has not."""
        return os.path.exists(self._path)

    async def stop(self) -> None:
        """Let go of batches, and write what waits."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)
        if self._runner is not None:
            await self._runner.stop()
        await self._additions.settle()
        with contextlib.suppress(GatewayError):
            await self._store.close()

    def _wake(self) -> None:
        assert self._runner is not None  # started before the first request
        self._runner.wake()

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
