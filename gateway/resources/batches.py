"""``/v1/batches``: run by the provider that runs batches, or line by line by the gateway itself."""

import asyncio
from collections.abc import Callable
from time import time

import msgspec
from msgspec import Raw, Struct

from gateway.core.batching import cancel, create, decode_batch, encode_batch, read_order
from gateway.core.errors import BadRequest, GatewayError, NotFound
from gateway.core.jsonguard import guarded
from gateway.core.names import shown_fields
from gateway.core.types import Capability
from gateway.objects.contract import ObjectStore, StoredObject
from gateway.request import Reply, Request
from gateway.resources.files import Files
from gateway.resources.paging import find_page, list_body, read_page
from gateway.resources.places import GATEWAY, Places, read_told
from gateway.resources.upload_form import BATCH_PURPOSE
from gateway.targets import ProviderInstance

_BATCHES = Capability.BATCHES
_DEFAULT_PAGE, _LONGEST_PAGE = 20, 100


class _Input(Struct):
    input_file_id: str


_read_input = msgspec.json.Decoder(_Input).decode


class Batches:
    """``wake`` tells the runner that there is work; ``new_id`` gives a random word each time it is called.
    ``lost`` is told of objects that could not be stored."""

    def __init__(
        self,
        store: ObjectStore,
        files: Files,
        places: Places,
        wake: Callable[[], None],
        new_id: Callable[[], str],
        lost: Callable[[int, GatewayError], None],
    ) -> None:
        self._store = store
        self._files = files
        self._places = places
        self._wake = wake
        self._new_id = new_id
        self._lost = lost

    async def create(self, request: Request) -> Reply:
        body = await request.small_body()
        input_file = guarded(body, _read_input).input_file_id
        native = self._places.opened(request, input_file, Capability.FILES)
        if native is not None:
            return await self._create_native(request, native[0], body)
        self._check_place(request)
        order = read_order(body)
        file = await self._files.find(input_file, request.principal.name)
        if file.state != BATCH_PURPOSE:
            raise BadRequest(
                f"The input file was not uploaded for the purpose {BATCH_PURPOSE!r}.", param="input_file_id"
            )
        batch = create(order, f"batch_{self._new_id()}", int(time()))
        await self._store.put(
            StoredObject(
                id=batch.id,
                kind="batch",
                owner=request.principal.name,
                created_at=batch.created_at,
                state=batch.status,
                body=encode_batch(batch),
            )
        )
        self._wake()
        dropped = request.record.dropped = shown_fields(order.unknown)
        told = f"X-Sluice-Dropped: {', '.join(dropped)}\r\n" if dropped else ""
        return Reply(200, encode_batch(batch), headers=told.encode())

    def _check_place(self, request: Request) -> None:
        """Whoever names a provider must have its file. Raises ``BadRequest``."""
        name = self._places.named(request)
        if name not in (None, GATEWAY):
            raise BadRequest(
                f"The input file is not at provider {name!r}; upload it with ?provider={name}.", param="input_file_id"
            )

    async def _create_native(self, request: Request, instance: ProviderInstance, body: bytes) -> Reply:
        if _BATCHES not in instance.provider.surfaces:
            raise BadRequest(
                f"Provider {instance.name!r}, which has the input file, runs no batches; upload the file with "
                "?provider=sluice, and the gateway runs them.",
                param="input_file_id",
            )
        body = self._places.open_all(request, instance, body)
        answer = await self._places.ask(request, instance, "POST", self._places.path(instance, _BATCHES), body)
        answer = self._places.seal(request, instance, answer)
        row = StoredObject(
            id=read_told(answer).id,
            kind="batch",
            owner=request.principal.name,
            created_at=time(),
            instance=instance.name,
            body=answer,
        )
        try:
            await self._store.put(row)
        except GatewayError as error:
            # the provider runs it, and its id tells where it is: only a list will lack it
            self._lost(1, error)
        return Reply(200, answer)

    async def get(self, request: Request) -> Reply:
        if native := self._places.opened(request, request.argument(), _BATCHES):
            return Reply(200, await self._ask(request, *native, "GET"))
        return Reply(200, (await self._find(request)).body)

    async def cancel(self, request: Request) -> Reply:
        if native := self._places.opened(request, request.argument(), _BATCHES):
            return Reply(200, await self._ask(request, *native, "POST", "cancel"))
        while True:
            found = await self._find(request)
            before = decode_batch(found.body)
            batch = cancel(before, int(time()))
            if batch == before:
                return Reply(200, found.body)
            changed = await self._store.update(
                msgspec.structs.replace(found, state=batch.status, body=encode_batch(batch))
            )
            if changed is not None:
                self._wake()
                return Reply(200, encode_batch(batch))

    async def list(self, request: Request) -> Reply:
        """The caller's batches, newest first, each as its provider sees it now."""
        page = read_page(request.query(), limit=_DEFAULT_PAGE, most=_LONGEST_PAGE)
        rows = await find_page(self._store, "batch", request.principal.name, page, self._places.is_wanted(request))
        bodies = await asyncio.gather(*(self._refreshed(request, row) for row in rows[: page.limit]))
        shown = [(row.id, Raw(body)) for row, body in zip(rows, bodies, strict=False)]
        return Reply(200, list_body([*shown, *((row.id, Raw(row.body)) for row in rows[page.limit :])], page.limit))

    # --- small steps ---

    async def _refreshed(self, request: Request, row: StoredObject) -> bytes:
        """What a provider says of its batch; what it said first when it says nothing now."""
        native = self._places.opened(request, row.id, _BATCHES) if row.instance else None
        if native is None:
            return row.body
        try:
            return await self._ask(request, *native, "GET")
        except GatewayError:
            return row.body

    async def _ask(
        self, request: Request, instance: ProviderInstance, native_id: str, method: str, *more: str
    ) -> bytes:
        path = self._places.path(instance, _BATCHES, native_id, *more)
        return self._places.seal(request, instance, await self._places.ask(request, instance, method, path))

    async def _find(self, request: Request) -> StoredObject:
        found = await self._store.get(request.argument(), request.principal.name)
        if found is None or found.kind != "batch" or found.instance:
            raise NotFound("There is no batch with this id.")
        return found
