"""What it takes to go on from an earlier response, to find items by their ids, and to list the input of a response:
pure functions over stored items.

Source: OpenAI API reference, "Create a model response" (``previous_response_id``, ``conversation``) and "List input
items" (2026-11). A request that goes on from an earlier answer means the input of that answer, its output, and then its
own input; the instructions of the earlier request are not carried over.
"""

import re
from collections.abc import Set
from typing import Final

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest
from gateway.core.types import raw_json
from gateway.dialects.fields import (
    FieldError,
    Fields,
    as_object,
    as_text,
    parse,
    parse_body,
    read_body,
    shown,
    take,
    take_nested,
)

DEFAULT_PAGE_ITEMS: Final = 20
MAX_PAGE_ITEMS: Final = 100


class _Reference(Struct):
    type: str
    id: str


_encode = msgspec.json.Encoder().encode
_as_items = msgspec.json.Decoder(str | list[Raw]).decode
_as_reference = msgspec.json.Decoder(_Reference).decode
_as_output = msgspec.json.Decoder(list[Raw]).decode
_REFERENCE = b'"item_reference"'
# <kind>_<what is behind "resp_" in the response's id>_<place>; places in the input have "in" before them.
_OWN_ITEM = re.compile(r"[a-z]+_([a-z0-9]{24})_(?:in)?[0-9]{1,6}")
_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}


# --- going on -----------------------------------------------------------------------------------------------------


def input_items(body: bytes) -> list[Raw]:
    """The request's own input as a list of items; a string is a message of the user, no input an empty list. Raises
    ``BadRequest``."""
    return read_body(body, _take_input)


def _take_input(fields: Fields) -> list[Raw]:
    return take_nested(fields, "input", _as_items, _listed) or []


def _listed(given: str | list[Raw]) -> list[Raw]:
    if not isinstance(given, str):
        return given
    content = [{"type": "input_text", "text": given}]
    return [raw_json({"type": "message", "role": "user", "content": content})]


def output_items(response: bytes) -> list[Raw]:
    """The items that a response object answered with. Raises ``ValueError`` when it is no such object."""
    try:
        return _as_output(as_object(response)["output"])
    except (*DECODE_ERRORS, KeyError) as error:
        raise ValueError(f"not a response object: {error}") from None


def with_prior_items(body: bytes, items: list[Raw]) -> bytes:
    """The request as one that needs no state: ``items`` stand before its own input, and ``previous_response_id`` and
    ``conversation`` are gone. All other members stay as they are. Raises ``BadRequest``."""
    try:
        fields = parse(body, as_object)
        own = _take_input(dict(fields))
    except FieldError as invalid:
        raise invalid.as_bad_request() from None
    fields["input"] = raw_json([*items, *own])
    for name in ("previous_response_id", "conversation"):
        fields.pop(name, None)
    return _encode(fields)


# --- items by their ids -------------------------------------------------------------------------------------------


def has_references(body: bytes) -> bool:
    """May the request name items that were sent or answered before, in place of the items? Cheap, and never wrong when
    it says no, unless a reference comes without its type."""
    return _REFERENCE in body


def references(items: list[Raw]) -> dict[int, str]:
    """The ids of the items that are references, by their places."""
    found = {}
    for place, item in enumerate(items):
        if _REFERENCE in bytes(item):
            try:
                reference = _as_reference(item)
            except DECODE_ERRORS:
                continue  # whoever decodes the request says what is wrong with it
            if reference.type == "item_reference" and reference.id:
                found[place] = reference.id
    return found


def response_of(item_id: str) -> str | None:
    """The id of the gateway's response that an item was answered by, or asked in; None for items of others."""
    match = _OWN_ITEM.fullmatch(item_id)
    return None if match is None else f"resp_{match[1]}"


def find_items(wanted: Set[str], asked: list[Raw], response: bytes, response_id: str) -> dict[str, Raw]:
    """Those of the items that a stored response was asked and answered with whose ids are ``wanted``. The ids are those
    of the client, and those that ``as_listed`` gives."""
    stem = response_id.removeprefix("resp_")
    endings = {item_id.partition("_")[2] for item_id in wanted}
    found = {}
    for place, item in enumerate(asked):
        name, item_id = f"{stem}_in{place}", _id_of(item)
        if not item_id and name in endings:
            item = _as_listed(item, name)
            item_id = _id_of(item)
        found[item_id] = item
    found |= {_id_of(item): item for item in output_items(response)}
    return {item_id: item for item_id, item in found.items() if item_id in wanted}


def with_input(body: bytes, items: list[Raw]) -> bytes:
    """The request with another input. Raises ``BadRequest``."""
    fields = parse_body(body, as_object)
    fields["input"] = raw_json(items)
    return _encode(fields)


# --- listing ------------------------------------------------------------------------------------------------------


def as_listed(items: list[Raw], response_id: str) -> list[Raw]:
    """Input items as they are listed: each with a type and an id, messages with a list of content and a status. An id
    that is missing is made from ``response_id`` and the item's place, so that it is the same every time."""
    stem = response_id.removeprefix("resp_")
    return [_as_listed(item, f"{stem}_in{place}") for place, item in enumerate(items)]


def _as_listed(item: Raw, name: str) -> Raw:
    try:
        fields = {key: value for key, value in as_object(item).items() if bytes(value) != b"null"}
        kind = msgspec.json.decode(fields.get("type", b'"message"'), type=str)
    except DECODE_ERRORS:
        return item
    own_id = fields.pop("id", None)
    first = {"id": raw_json(f"{_PREFIXES.get(kind, 'item')}_{name}") if own_id is None else own_id}
    if kind == "message":
        first |= {"type": raw_json(kind), "status": raw_json("completed")}
        _list_content(fields)
    return raw_json(first | fields)


def _list_content(message: Fields) -> None:
    """Content that is a string becomes a list of one part."""
    content = bytes(message.get("content", b""))
    if content.lstrip().startswith(b'"'):
        is_output = bytes(message.get("role", b"")) == b'"assistant"'
        part = {"type": "output_text", "annotations": []} if is_output else {"type": "input_text"}
        message["content"] = raw_json([{**part, "text": Raw(content)}])


def item_page(
    items: list[Raw], *, after: str | None = None, limit: int = DEFAULT_PAGE_ITEMS, order: str = "desc"
) -> bytes:
    """One page of ``as_listed`` items as a list object. ``items`` are in the order of the input, which is ``asc``;
    ``after`` is the id of the last item of the page before. Raises ``BadRequest``."""
    if order not in ("asc", "desc"):
        raise BadRequest(f"'order' must be asc or desc, not {shown(order)}.", param="order")
    if not 1 <= limit <= MAX_PAGE_ITEMS:
        raise BadRequest(f"'limit' must be a number from 1 to {MAX_PAGE_ITEMS}.", param="limit")
    rows = [(_id_of(item), item) for item in (items if order == "asc" else reversed(items))]
    start = 0
    if after is not None:
        names = [name for name, _ in rows]
        if after not in names:
            raise BadRequest(f"'after' names no item of this list: {shown(after)}.", param="after")
        start = names.index(after) + 1
    page = rows[start : start + limit]
    return _encode(
        {
            "object": "list",
            "data": [item for _, item in page],
            "first_id": page[0][0] if page else None,
            "last_id": page[-1][0] if page else None,
            "has_more": start + limit < len(rows),
        }
    )


def _id_of(item: Raw) -> str:
    try:
        return take(as_object(item), "id", as_text) or ""
    except (FieldError, *DECODE_ERRORS):
        return ""
