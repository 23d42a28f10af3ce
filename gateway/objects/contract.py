"""What is kept, and what a store of it can do."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from gateway.core.limits import MAX_CONVERSATION_BYTES, MAX_ITEM_PAGE_BYTES, MAX_LISTED_OBJECTS, MAX_RESPONSE_CHAIN

ObjectKind = Literal["response", "conversation", "file", "batch"]
Order = Literal["asc", "desc"]


class StoredObject(Struct, frozen=True, kw_only=True):
    """One object of one owner. Times are Unix seconds.

    ``instance`` is the provider instance that has the object, empty for the gateway's own. ``parent`` is the response
    that this one follows, empty for none. ``body`` is JSON that only the caller reads, and so is the word in ``state``.
    ``version`` belongs to the store: it grows with every change.
    """

    id: str
    kind: ObjectKind
    owner: str
    created_at: float
    expires_at: float | None = None
    instance: str = ""
    parent: str = ""
    state: str = ""
    body: bytes = b""
    version: int = 0


class StoredItem(Struct, frozen=True):
    """One of many that belong to an object, in the order they came: an item of a conversation, a result of a batch.
    ``id`` is unique within the object only; it may be any text."""

    id: str
    body: bytes


class ItemPage(NamedTuple):
    """Some items, and whether there are more behind them."""

    items: list[StoredItem]
    has_more: bool


class ObjectStore(Protocol):
    """Keeps objects. What is another owner's, deleted or expired is the same as what never was: ``None`` or false.

    Every method but ``put_soon`` raises ``StorageUnavailable`` when the store cannot be read or written, and sees
    whatever this process was told to put soon.
    """

    async def put(self, stored: StoredObject) -> None:
        """Write, or replace as a whole; it is on the disk when this returns. Raises ``Internal`` for an id that is
        another owner's, or that of an object of another kind or instance: the first keeps it."""

    def put_soon(self, stored: StoredObject) -> None:
        """Write a little later, together with others. Until then it can be read in this process only, and is lost if
        this process dies. Raises ``StorageUnavailable`` when too much is waiting to be written, and ``Internal`` for
        an id that is taken, as ``put`` does, when that can be seen at once."""

    async def get(self, object_id: str, owner: str) -> StoredObject | None: ...

    async def is_others(self, object_id: str, owner: str) -> bool:
        """Is there such an object, of somebody else? Only for what must not be handed on; nobody is told."""

    async def delete(self, object_id: str, owner: str) -> bool:
        """Was there such an object? Its items are gone with it."""

    async def list_objects(
        self,
        kind: ObjectKind,
        owner: str,
        *,
        after: str = "",
        limit: int = MAX_LISTED_OBJECTS,
        order: Order = "desc",
    ) -> list[StoredObject]:
        """One page in the order of their first writing, behind the object ``after``, which may have been deleted
        within the last hour. Raises ``BadRequest`` when there is no such object."""

    async def chain(self, object_id: str, owner: str, limit: int = MAX_RESPONSE_CHAIN) -> list[StoredObject]:
        """A response and those it follows, the oldest first, ``limit`` at most. Whole when the first has no parent;
        empty when there is no such response."""

    async def chain_bytes(self, object_id: str, owner: str, limit: int = MAX_RESPONSE_CHAIN) -> int:
        """How many bytes the bodies of that chain have together; none of them is read for it."""

    async def append_items(
        self,
        object_id: str,
        owner: str,
        items: Sequence[StoredItem],
        *,
        max_bytes: int = MAX_CONVERSATION_BYTES,
        holder: str = "",
    ) -> bool:
        """All of them or none; false when there is no such object, or none that the worker ``holder`` has claimed last,
        if one is named. One whose id is there already is replaced where it stands. Raises ``BadRequest`` when the
        object would have more than ``MAX_STORED_ITEMS``, or more than ``max_bytes`` of them."""

    async def item_bytes(self, object_id: str, owner: str) -> int:
        """How many bytes an object's items have together."""

    async def list_items(
        self,
        object_id: str,
        owner: str,
        *,
        after: str = "",
        limit: int = MAX_LISTED_OBJECTS,
        order: Order = "asc",
        max_bytes: int = MAX_ITEM_PAGE_BYTES,
    ) -> ItemPage | None:
        """One page, as in ``list_objects``; ``None`` when there is no such object. A page has one item, or several of
        ``max_bytes`` together at most."""

    async def item_ids(self, object_id: str, owner: str) -> list[str]:
        """The ids of all items, in order."""

    async def get_item(self, object_id: str, owner: str, item_id: str) -> StoredItem | None: ...

    async def delete_item(self, object_id: str, owner: str, item_id: str) -> bool: ...

    async def update(self, stored: StoredObject) -> StoredObject | None:
        """Write ``state``, ``body`` and ``expires_at`` if nobody has changed the object since it was read as
        ``stored.version``. The object as it is now, with its new version; ``None`` when somebody has, or it is gone."""

    async def unclaimed(
        self, kind: ObjectKind, states: Sequence[str], limit: int = MAX_LISTED_OBJECTS
    ) -> list[StoredObject]:
        """Objects of all owners in one of ``states`` that no worker holds, the oldest first."""

    async def claim(self, object_id: str, worker: str, until: float) -> StoredObject | None:
        """Hold an object until then, or hold it longer; ``None`` when another worker holds it, or it is gone. Taking it
        over from a worker whose time ran out changes its version, so that this one can no longer ``update``."""

    async def release(self, object_id: str, worker: str) -> None:
        """Give back what ``claim`` took."""

    async def expire(self) -> list[tuple[ObjectKind, str]]:
        """Remove for good what expired or was deleted more than an hour ago, some hundred at a time; kind and id of
        each. So are deleted items, all of them. Contents of files stand elsewhere and are the caller's to remove."""

    async def close(self) -> None:
        """Write what is waiting and let go of the store. Nothing may be asked of it afterwards."""
