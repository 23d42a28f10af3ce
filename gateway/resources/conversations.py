"""``/v1/conversations``: rows of items that responses are added to.

One lives at the provider that the client names, or at the only provider there is when it keeps conversations; every
other one lives in the gateway, where models of all providers can go on with it.
"""

from collections.abc import Callable, Sequence
from time import time

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest, NotFound
from gateway.core.jsonguard import guarded
from gateway.core.limits import MAX_ITEMS_AT_ONCE, MAX_METADATA_BYTES
from gateway.core.types import Capability
from gateway.dialects.openai_responses_state import DEFAULT_PAGE_ITEMS, MAX_PAGE_ITEMS, as_listed
from gateway.objects.contract import ObjectStore, StoredItem, StoredObject
from gateway.request import Reply, Request
from gateway.resources.paging import list_body, read_page
from gateway.resources.places import Places
from gateway.targets import ProviderInstance

_CONVERSATIONS = Capability.CONVERSATIONS
_EMPTY = Raw(b"{}")


class _New(Struct):
    items: list[dict[str, Raw]] = []
    metadata: dict[str, str] | None = None


class _Items(Struct):
    items: list[dict[str, Raw]]


class _Metadata(Struct):
    metadata: dict[str, str] | None


class _WithId(Struct):
    id: str = ""


_write = msgspec.json.Encoder().encode
_read_new = msgspec.json.Decoder(_New).decode
_read_items = msgspec.json.Decoder(_Items).decode
_read_metadata = msgspec.json.Decoder(_Metadata).decode
_read_id = msgspec.json.Decoder(_WithId).decode


class Conversations:
    """``new_id`` gives a random word each time it is called."""

    def __init__(
        self, store: ObjectStore, places: Places, instances: Sequence[ProviderInstance], new_id: Callable[[], str]
    ) -> None:
        self._store = store
        self._places = places
        self._instances = instances
        self._new_id = new_id

    async def create(self, request: Request) -> Reply:
        body = await request.small_body()
        instance = self._home(request)
        if instance is not None:
            return await self._ask(request, instance, "POST", body=body)
        new = guarded(body, _read_new) if body else _New()
        conversation = StoredObject(
            id=f"conv_{self._new_id()}",
            kind="conversation",
            owner=request.principal.name,
            created_at=int(time()),
            body=_checked_metadata(new.metadata),
        )
        await self._store.put(conversation)
        if new.items:
            await self._append(conversation.id, request.principal.name, new.items)
        return Reply(200, _shown(conversation))

    async def get(self, request: Request) -> Reply:
        if native := self._native(request):
            return await self._ask(request, native[0], "GET", native[1])
        return Reply(200, _shown(await self._find(request)))

    async def update(self, request: Request) -> Reply:
        body = await request.small_body()
        if native := self._native(request):
            return await self._ask(request, native[0], "POST", native[1], body=body)
        metadata = _checked_metadata(guarded(body, _read_metadata).metadata)
        while True:
            found = await self._find(request)
            changed = await self._store.update(msgspec.structs.replace(found, body=metadata))
            if changed is not None:
                return Reply(200, _shown(changed))

    async def delete(self, request: Request) -> Reply:
        if native := self._native(request):
            return await self._ask(request, native[0], "DELETE", native[1])
        found = await self._find(request)
        await self._store.delete(found.id, found.owner)
        return Reply(200, _write({"id": found.id, "object": "conversation.deleted", "deleted": True}))

    # --- items ---

    async def add_items(self, request: Request) -> Reply:
        body = await request.small_body()
        if native := self._native(request):
            return await self._ask(request, native[0], "POST", native[1], "items", body=body)
        found = await self._find(request)
        items = guarded(body, _read_items).items
        added = await self._append(found.id, found.owner, items)
        rows = [(item.id, Raw(item.body)) for item in added]
        return Reply(200, list_body(rows, len(rows)))

    async def list_items(self, request: Request) -> Reply:
        if native := self._native(request):
            return await self._ask(request, native[0], "GET", native[1], "items")
        page = read_page(request.query(), limit=DEFAULT_PAGE_ITEMS, most=MAX_PAGE_ITEMS)
        items = await self._store.list_items(
            request.argument(), request.principal.name, after=page.after, limit=page.limit + 1, order=page.order
        )
        if items is None:
            raise _unknown()
        return Reply(200, list_body([(item.id, Raw(item.body)) for item in items], page.limit))

    async def get_item(self, request: Request) -> Reply:
        item_id = request.argument(1)
        if native := self._native(request):
            return await self._ask(request, native[0], "GET", native[1], "items", item_id)
        item = await self._store.get_item(request.argument(), request.principal.name, item_id)
        if item is None:
            raise NotFound("There is no such item in this conversation.")
        return Reply(200, item.body)

    async def delete_item(self, request: Request) -> Reply:
        item_id = request.argument(1)
        if native := self._native(request):
            return await self._ask(request, native[0], "DELETE", native[1], "items", item_id)
        found = await self._find(request)
        if not await self._store.delete_item(found.id, found.owner, item_id):
            raise NotFound("There is no such item in this conversation.")
        return Reply(200, _shown(found))

    # --- small steps ---

    def _home(self, request: Request) -> ProviderInstance | None:
        """The provider that will keep a new conversation, or None."""
        chosen = self._places.chosen(request, _CONVERSATIONS)
        is_named = self._places.is_named(request)
        return chosen if is_named or len(self._instances) == 1 else None

    def _native(self, request: Request) -> tuple[ProviderInstance, str] | None:
        return self._places.opened(request, request.argument(), _CONVERSATIONS)

    async def _ask(
        self, request: Request, instance: ProviderInstance, method: str, *segments: str, body: bytes = b""
    ) -> Reply:
        path = self._places.path(instance, _CONVERSATIONS, *segments)
        query = f"?{request.call.query}" if request.call.query and method == "GET" else ""
        answer = await self._places.ask(request, instance, method, path + query, body)
        # items have ids of their own, which mean nothing outside of their conversation
        is_item = len(segments) > 1
        return Reply(200, answer if is_item else self._places.seal(request, instance, answer))

    async def _find(self, request: Request) -> StoredObject:
        found = await self._store.get(request.argument(), request.principal.name)
        if found is None or found.kind != "conversation":
            raise _unknown()
        return found

    async def _append(self, conversation: str, owner: str, items: list[dict[str, Raw]]) -> list[StoredItem]:
        if len(items) > MAX_ITEMS_AT_ONCE:
            raise BadRequest(f"At most {MAX_ITEMS_AT_ONCE} items can be added at once.", param="items")
        listed = as_listed([Raw(_write(item)) for item in items], self._new_id())
        named = [StoredItem(_id_of(bytes(item)), bytes(item)) for item in listed]
        if not await self._store.append_items(conversation, owner, named):
            raise _unknown()
        return named


def _unknown() -> NotFound:
    return NotFound("There is no conversation with this id.")


def _id_of(item: bytes) -> str:
    try:
        return _read_id(item).id
    except DECODE_ERRORS:
        raise BadRequest("An item's 'id' must be a string.", param="items") from None


def _checked_metadata(metadata: dict[str, str] | None) -> bytes:
    body = _write(metadata or {})
    if len(body) > MAX_METADATA_BYTES:
        raise BadRequest(f"'metadata' is larger than {MAX_METADATA_BYTES} bytes.", param="metadata")
    return body


def _shown(conversation: StoredObject) -> bytes:
    return _write(
        {
            "id": conversation.id,
            "object": "conversation",
            "created_at": int(conversation.created_at),
            "metadata": Raw(conversation.body) if conversation.body else _EMPTY,
        }
    )
