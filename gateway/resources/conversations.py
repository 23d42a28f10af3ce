"""``/v1/conversations``: rows of items that responses are added to.

One lives at the provider that the client names, or at the only provider there is when it keeps conversations; every
other one lives in the gateway, where models of all providers can go on with it.
"""

from collections.abc import Callable, Sequence
from time import time
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest, NotFound
from gateway.core.jsonguard import guarded
from gateway.core.limits import (
    MAX_CONVERSATION_BYTES,
    MAX_ITEMS_AT_ONCE,
    MAX_ITEMS_BYTES,
    MAX_OBJECT_ANSWER_BYTES,
    MAX_UPSTREAM_BODY_BYTES,
)
from gateway.core.metadata import check_metadata
from gateway.core.types import Capability
from gateway.dialects.openai_responses_state import DEFAULT_PAGE_ITEMS, MAX_PAGE_ITEMS, as_listed
from gateway.objects.contract import ObjectStore, StoredItem, StoredObject
from gateway.request import Reply, Request
from gateway.resources.additions import Additions
from gateway.resources.paging import list_object, read_page
from gateway.resources.places import Places
from gateway.targets import ProviderInstance

_CONVERSATIONS = Capability.CONVERSATIONS
_EMPTY = Raw(b"{}")


class _New(Struct):
    items: list[dict[str, Raw]] | None = None
    metadata: dict[str, str] | None = None


class _Items(Struct):
    items: list[dict[str, Raw]]


class _Metadata(Struct):
    metadata: dict[str, str] | None


class _WithId(Struct):
    id: Annotated[str, Meta(min_length=1)]


_write = msgspec.json.Encoder().encode
_read_new = msgspec.json.Decoder(_New).decode
_read_items = msgspec.json.Decoder(_Items).decode
_read_metadata = msgspec.json.Decoder(_Metadata).decode
_read_id = msgspec.json.Decoder(_WithId).decode


class Conversations:
    """``new_id`` gives a random word each time it is called."""

    def __init__(
        self,
        store: ObjectStore,
        places: Places,
        instances: Sequence[ProviderInstance],
        additions: Additions,
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._additions = additions
        self._places = places
        self._instances = instances
        self._new_id = new_id

    async def create(self, request: Request) -> Reply:
        body = await request.small_body(MAX_ITEMS_BYTES)
        instance = self._home(request)
        if instance is not None:
            return await self._ask(request, instance, "POST", body=body)
        new = guarded(body, _read_new) if body else _New()
        metadata = _checked_metadata(new.metadata)
        items = self._named(new.items or [])
        conversation = StoredObject(
            id=f"conv_{self._new_id()}",
            kind="conversation",
            owner=request.principal.name,
            created_at=int(time()),
            body=metadata,
        )
        await self._store.put(conversation)
        if items:
            await self._append(conversation, items)
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
        body = await request.small_body(MAX_ITEMS_BYTES)
        if native := self._native(request):
            return await self._ask(request, native[0], "POST", native[1], "items", body=body)
        items = self._named(guarded(body, _read_items).items)
        await self._append(await self._find(request), items)
        rows = [(item.id, Raw(item.body)) for item in items]
        return Reply(200, list_object(rows, has_more=False))

    async def list_items(self, request: Request) -> Reply:
        if native := self._native(request):
            return await self._ask(request, native[0], "GET", native[1], "items")
        page = read_page(request.query(), limit=DEFAULT_PAGE_ITEMS, most=MAX_PAGE_ITEMS)
        await self._additions.wait(request.argument())
        found = await self._store.list_items(
            request.argument(), request.principal.name, after=page.after, limit=page.limit, order=page.order
        )
        if found is None:
            raise _unknown()
        return Reply(200, list_object([(item.id, Raw(item.body)) for item in found.items], found.has_more))

    async def get_item(self, request: Request) -> Reply:
        item_id = request.argument(1)
        if native := self._native(request):
            return await self._ask(request, native[0], "GET", native[1], "items", item_id)
        await self._additions.wait(request.argument())
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
        is_named = self._places.named(request) is not None
        return chosen if is_named or len(self._instances) == 1 else None

    def _native(self, request: Request) -> tuple[ProviderInstance, str] | None:
        return self._places.opened(request, request.argument(), _CONVERSATIONS)

    async def _ask(
        self, request: Request, instance: ProviderInstance, method: str, *segments: str, body: bytes = b""
    ) -> Reply:
        path = self._places.path(instance, _CONVERSATIONS, *segments)
        body = self._places.open_all(request, instance, body)
        # items have ids of their own, which mean nothing outside of their conversation; what is left when one is taken
        # out is the conversation itself
        has_items = len(segments) > 1 and method != "DELETE"
        max_bytes = MAX_UPSTREAM_BODY_BYTES if has_items else MAX_OBJECT_ANSWER_BYTES
        answer = await self._places.ask(request, instance, method, path + request.providers_query(), body, max_bytes)
        return Reply(200, answer if has_items else self._places.seal(request, instance, answer))

    async def _find(self, request: Request) -> StoredObject:
        await self._additions.wait(request.argument())
        found = await self._store.get(request.argument(), request.principal.name)
        if found is None or found.kind != "conversation":
            raise _unknown()
        return found

    def _named(self, items: list[dict[str, Raw]]) -> list[StoredItem]:
        """Raises ``BadRequest``."""
        if len(items) > MAX_ITEMS_AT_ONCE:
            raise BadRequest(f"At most {MAX_ITEMS_AT_ONCE} items can be added at once.", param="items")
        for place, item in enumerate(items):
            if "type" not in item and "role" not in item:
                raise BadRequest(f"'items[{place}]' has neither a type nor a role.", param=f"items[{place}]")
        listed = as_listed([Raw(_write(item)) for item in items], self._new_id())
        return [StoredItem(_id_of(bytes(item), place), bytes(item)) for place, item in enumerate(listed)]

    async def _append(self, conversation: StoredObject, items: list[StoredItem]) -> None:
        is_there = await self._store.append_items(
            conversation.id, conversation.owner, items, max_bytes=MAX_CONVERSATION_BYTES
        )
        if not is_there:
            raise _unknown()


def _unknown() -> NotFound:
    return NotFound("There is no conversation with this id.")


def _id_of(item: bytes, place: int) -> str:
    """The id of an item that ``as_listed`` has given one unless there was something else in its place."""
    try:
        return _read_id(item).id
    except DECODE_ERRORS:
        param = f"items[{place}]"
        raise BadRequest(f"'{param}' has a type or an id that is no text.", param=param) from None


def _checked_metadata(metadata: dict[str, str] | None) -> bytes:
    check_metadata(metadata or {})
    return _write(metadata or {})


def _shown(conversation: StoredObject) -> bytes:
    return _write(
        {
            "id": conversation.id,
            "object": "conversation",
            "created_at": int(conversation.created_at),
            "metadata": Raw(conversation.body) if conversation.body else _EMPTY,
        }
    )
