"""Stored responses: what makes ``previous_response_id`` and ``conversation`` work with every provider.

A provider that keeps responses keeps its own; the gateway remembers only whose they are. All others are kept here,
each with the items it was asked, so that a later request can be given the whole conversation.
"""

from collections.abc import Callable
from functools import partial
from time import time

import msgspec
from msgspec import Raw, Struct

from gateway.continuity import Thread
from gateway.core.errors import (
    BadRequest,
    GatewayError,
    NotFound,
    PreviousResponseNotFound,
    UpstreamBroken,
    UpstreamRefused,
)
from gateway.core.jsonguard import check_counts
from gateway.core.limits import (
    MAX_MESSAGES,
    MAX_RESPONSE_CHAIN,
    MAX_RESUMED_BYTES,
    MAX_RESUMING_BYTES,
    MAX_SMALL_BODY_BYTES,
)
from gateway.core.names import is_path_segment
from gateway.core.types import Capability
from gateway.dialects.contract import Envelope
from gateway.dialects.openai_responses_state import (
    DEFAULT_PAGE_ITEMS,
    MAX_PAGE_ITEMS,
    as_listed,
    find_items,
    has_references,
    input_items,
    item_page,
    output_items,
    references,
    response_of,
    with_input,
    with_prior_items,
)
from gateway.inquiry import ask
from gateway.objects.contract import ObjectStore, StoredItem, StoredObject
from gateway.request import Reply, Request
from gateway.resources.additions import Additions
from gateway.resources.byte_budget import ByteBudget, Share
from gateway.resources.paging import read_page
from gateway.resources.passthrough import pass_through
from gateway.resources.places import Places
from gateway.targets import ProviderInstance, Target, Targets

_RESPONSES = Capability.STORED_RESPONSES
# Items of a conversation that are read together.
_READ_ITEMS = 1000


class _Kept(Struct):
    """The body of a stored response: the response as the client had it, and the items that it was asked."""

    response: Raw
    input: list[Raw]


class _Asked(Struct):
    store: bool | None = None
    background: bool | None = None


class _WithId(Struct):
    id: str


_write = msgspec.json.Encoder().encode
_read_kept = msgspec.json.Decoder(_Kept).decode
_read_asked = msgspec.json.Decoder(_Asked).decode
_read_id = msgspec.json.Decoder(_WithId).decode


class StoredResponses:
    """``gateway.continuity.Continuity``, and the endpoints under ``/v1/responses/{id}``."""

    def __init__(
        self,
        store: ObjectStore,
        places: Places,
        targets: Targets,
        additions: Additions,
        keep_s: float,
        lost: Callable[[int, GatewayError], None],
    ) -> None:
        """``lost`` is told of responses that could not be stored."""
        self._store = store
        self._places = places
        self._targets = targets
        self._additions = additions
        self._keep_s = keep_s
        self._lost = lost
        self._budget = ByteBudget(MAX_RESUMING_BYTES)

    # --- what a request builds on ---

    async def resume(self, owner: str, envelope: Envelope, body: bytes, target: Target) -> tuple[bytes, Thread]:
        """See ``Continuity``."""
        earlier, conversation = envelope.continues, envelope.conversation_id
        if earlier is not None and conversation is not None:
            raise BadRequest("'previous_response_id' cannot stand beside 'conversation'.", param="previous_response_id")
        share = self._budget.share()
        try:
            if has_references(body):
                body = await self._with_referenced(body, owner, share)
            thread = Thread(owner, body, is_stored=envelope.is_stored, release=share.give_back)
            if earlier is not None:
                items = await self._items_before(earlier, owner, target, share)
                thread.parent = earlier if items is not None else ""
            elif conversation is not None:
                items = await self._items_of(conversation, owner, target, share)
                if items is not None:
                    thread.conversation = conversation
                    if target.native is not None:
                        _check_will_be_kept(body)
            else:
                items = None
            if items is not None:
                body = with_prior_items(body, items)
                _check_parts(body, "previous_response_id" if conversation is None else "conversation")
            return body, thread
        except BaseException:
            share.give_back()
            raise

    async def _with_referenced(self, body: bytes, owner: str, share: Share) -> bytes:
        """References to items of the gateway's own responses give way to these. Others stay: their provider knows them,
        or whoever decodes the request refuses them."""
        items = input_items(body)
        ids = references(items)
        found = await self._referenced(list(ids.values()), owner, share)
        if not found:
            return body
        _check_size(sum(len(bytes(found[item_id])) for item_id in ids.values() if item_id in found), "input")
        body = with_input(body, [found.get(ids.get(place, ""), item) for place, item in enumerate(items)])
        _check_parts(body, "input")
        return body

    async def _referenced(self, ids: list[str], owner: str, share: Share) -> dict[str, Raw]:
        """The last is looked for first: clients repeat a conversation with every turn, so that the latest response was
        asked most of what the earlier ones said."""
        wanted, found = set(ids), dict[str, Raw]()
        asked_for: set[str] = set()
        loaded_bytes = 0
        for item_id in reversed(ids):
            answer_id = response_of(item_id)
            if answer_id is None or item_id in found or answer_id in asked_for:
                continue
            if len(asked_for) == MAX_RESPONSE_CHAIN:
                raise BadRequest(
                    f"'input' refers to items of more than {MAX_RESPONSE_CHAIN} responses; send some items themselves.",
                    param="input",
                )
            asked_for.add(answer_id)
            size = await self._store.chain_bytes(answer_id, owner, 1)
            _check_size(loaded_bytes + size, "input")
            await share.grow(size)
            stored = await self._store.get(answer_id, owner)
            if stored is None:
                break  # the request is refused for it, whatever else it names
            if stored.kind == "response" and not stored.instance:
                loaded_bytes += len(stored.body)
                _check_size(loaded_bytes, "input")
                kept = _read_kept(stored.body)
                found = find_items(wanted, kept.input, bytes(kept.response), stored.id) | found
        return found

    async def _items_before(self, earlier: str, owner: str, target: Target, share: Share) -> list[Raw] | None:
        """The items of a response and of those before it; None when the target's provider keeps them."""
        is_native = target.native is not None
        size = await self._room_for_chain(earlier, owner, share)
        found = await self._store.get(earlier, owner)
        if found is None or found.kind != "response":
            if is_native and not await self._store.is_others(earlier, owner):
                return None  # made outside of this gateway, perhaps: the provider knows
            raise PreviousResponseNotFound(
                "The response in 'previous_response_id' is not known here; it was not stored, or has expired.",
                param="previous_response_id",
            )
        if found.instance:
            if is_native and found.instance == target.instance.name:
                return None
            raise BadRequest(
                f"The response in 'previous_response_id' is kept at provider {found.instance!r}; ask a model of that "
                "provider, or send the conversation in 'input'.",
                param="previous_response_id",
            )
        del found  # it is in the chain once more
        if not size:  # another process wrote it just now
            await self._room_for_chain(earlier, owner, share)
        chain = await self._store.chain(earlier, owner)
        if chain and chain[0].parent and len(chain) >= MAX_RESPONSE_CHAIN:
            raise BadRequest(
                f"The conversation has more than {MAX_RESPONSE_CHAIN} responses; begin a new one.",
                param="previous_response_id",
            )
        if not chain or chain[0].parent or any(link.instance for link in chain):
            raise PreviousResponseNotFound(
                "An earlier response of this conversation is not known here any more.", param="previous_response_id"
            )
        items: list[Raw] = []
        for link in chain:
            kept = _read_kept(link.body)
            items += [*kept.input, *output_items(bytes(kept.response))]
            _check_number(items, "previous_response_id")
        return items

    async def _room_for_chain(self, earlier: str, owner: str, share: Share) -> int:
        """Take room for a chain before any of it is in memory; its size in bytes."""
        size = await self._store.chain_bytes(earlier, owner)
        _check_size(size, "previous_response_id")
        await share.grow(size)
        return size

    async def _items_of(self, conversation: str, owner: str, target: Target, share: Share) -> list[Raw] | None:
        """The items of a conversation that the gateway keeps; None when the target's provider keeps it."""
        await self._additions.wait(conversation)
        size = await self._store.item_bytes(conversation, owner)
        _check_size(size, "conversation")
        await share.grow(size)
        items: list[Raw] = []
        loaded_bytes = 0
        after = ""
        while True:
            page = await self._store.list_items(conversation, owner, after=after, limit=_READ_ITEMS)
            if page is None:
                if target.native is not None and not await self._store.is_others(conversation, owner):
                    return None
                raise NotFound("There is no such conversation for this model's provider.", param="conversation")
            items += (Raw(item.body) for item in page.items)
            loaded_bytes += sum(len(item.body) for item in page.items)
            _check_size(loaded_bytes, "conversation")
            _check_number(items, "conversation")
            if not page.has_more:
                return items
            after = page.items[-1].id

    # --- answers that are complete ---

    def keep(self, thread: Thread, answer: bytes | None) -> None:
        """See ``Continuity``."""
        if answer is None:
            return
        asked = input_items(thread.request)
        if thread.is_stored:
            self._put(thread, _id_of(answer), "", _write(_Kept(Raw(answer), asked)))
        if thread.conversation:
            self._additions.add(
                thread.conversation, partial(self._add, thread, [*asked, *output_items(answer)], _id_of(answer))
            )

    def keep_native(self, thread: Thread, instance: str, answer_id: str | None) -> None:
        """See ``Continuity``."""
        if answer_id is None or not is_path_segment(answer_id):
            return  # nobody could ask for it
        if thread.is_stored:
            self._put(thread, answer_id, instance, b"")
        if thread.conversation:
            self._additions.add(
                thread.conversation, partial(self._add_native, thread, self._targets.instances[instance], answer_id)
            )

    def _put(self, thread: Thread, answer_id: str, instance: str, body: bytes) -> None:
        now = time()
        stored = StoredObject(
            id=answer_id,
            kind="response",
            owner=thread.owner,
            created_at=now,
            expires_at=now + self._keep_s,
            instance=instance,
            parent=thread.parent,
            body=body,
        )
        try:
            self._store.put_soon(stored)
        except GatewayError as error:
            self._lost(1, error)

    async def _add_native(self, thread: Thread, instance: ProviderInstance, answer_id: str) -> None:
        """The provider's answer has gone through unread, and is asked for once more."""
        path = self._places.path(instance, _RESPONSES, answer_id)
        relay = await ask(instance, "GET", path, max_bytes=MAX_RESUMED_BYTES)
        if relay.status != 200:
            raise UpstreamBroken(f"the provider answered {relay.status} for its response {answer_id}")
        check_counts(relay.body)
        await self._add(thread, [*input_items(thread.request), *output_items(relay.body)], answer_id)

    async def _add(self, thread: Thread, items: list[Raw], answer_id: str) -> None:
        named = [StoredItem(_id_of(bytes(item)), bytes(item)) for item in as_listed(items, answer_id)]
        await self._store.append_items(thread.conversation, thread.owner, named)

    # --- endpoints ---

    async def get(self, request: Request) -> Reply | None:
        """The response. Raises ``NotFound``."""
        found = await self._find(request)
        if found.instance:
            await self._pass(request, found)
            return None
        if request.query().get("stream") == "true":
            raise BadRequest("Only responses that run in the background can be streamed once more.", param="stream")
        return Reply(200, bytes(_read_kept(found.body).response))

    async def list_input(self, request: Request) -> Reply | None:
        """The items that the response was asked, newest first unless told otherwise."""
        found = await self._find(request)
        if found.instance:
            await self._pass(request, found, "input_items")
            return None
        items = as_listed(_read_kept(found.body).input, found.id)
        page = read_page(request.query(), limit=DEFAULT_PAGE_ITEMS, most=MAX_PAGE_ITEMS)
        return Reply(200, item_page(items, after=page.after or None, limit=page.limit, order=page.order))

    async def delete(self, request: Request) -> Reply:
        found = await self._find(request)
        if not found.instance:
            await self._store.delete(found.id, found.owner)
            return Reply(200, _write({"id": found.id, "object": "response", "deleted": True}))
        instance, path = self._native_place(found)
        try:
            answer = await self._places.ask(request, instance, "DELETE", path)
        except UpstreamRefused as error:
            if error.upstream_status == NotFound.status:
                await self._store.delete(found.id, found.owner)
            raise
        await self._store.delete(found.id, found.owner)
        return Reply(200, answer)

    async def cancel(self, request: Request) -> Reply | None:
        found = await self._find(request)
        if not found.instance:
            raise BadRequest("Only responses that run in the background can be cancelled; this one is complete.")
        await self._pass(request, found, "cancel")
        return None

    async def _find(self, request: Request) -> StoredObject:
        found = await self._store.get(request.argument(), request.principal.name)
        if found is None or found.kind != "response":
            raise NotFound("There is no response with this id; it was not stored, or has expired.")
        return found

    async def _pass(self, request: Request, found: StoredObject, *more: str) -> None:
        """Let the provider answer that keeps the response."""
        instance, path = self._native_place(found, *more)
        await pass_through(request, instance, path, request.providers_query(), MAX_SMALL_BODY_BYTES)

    def _native_place(self, found: StoredObject, *more: str) -> tuple[ProviderInstance, str]:
        instance = self._targets.instances.get(found.instance)
        if instance is None or _RESPONSES not in instance.provider.surfaces:
            raise NotFound(f"The response is kept at provider {found.instance!r}, which is not configured any more.")
        return instance, self._places.path(instance, _RESPONSES, found.id, *more)


def _check_size(size_bytes: int, param: str) -> None:
    if size_bytes > MAX_RESUMED_BYTES:
        raise BadRequest(f"The conversation has more than {MAX_RESUMED_BYTES} bytes; begin a new one.", param=param)


def _check_number(items: list[Raw], param: str) -> None:
    if len(items) > MAX_MESSAGES:
        raise BadRequest(f"The conversation has more than {MAX_MESSAGES} items; begin a new one.", param=param)


def _check_parts(body: bytes, param: str) -> None:
    """What was put together must be what one request may be."""
    try:
        check_counts(body)
    except BadRequest as error:
        raise BadRequest(f"The conversation is too large. {error.message}", param=param) from None


def _check_will_be_kept(body: bytes) -> None:
    """What a provider answers goes into a conversation of the gateway's by asking for the answer once more. Raises
    ``BadRequest`` for a request whose answer will not be there then."""
    asked = _read_asked(body)
    losses = (("store", "false", asked.store is False), ("background", "true", asked.background is True))
    for name, value, is_lost in losses:
        if is_lost:
            raise BadRequest(
                f"{name!r} cannot be {value} here: the conversation is kept by the gateway, and the provider's answer "
                "could not be added to it.",
                param=name,
            )


def _id_of(response: bytes) -> str:
    return _read_id(response).id
