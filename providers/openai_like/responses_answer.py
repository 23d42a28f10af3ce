"""Answers of the Responses API as events: what was said so far, and the plain answer.

Source: OpenAI API reference, "The response object" (2026-11).
"""

from typing import TypeVar

from msgspec import Raw

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.types import Event, Finish, Start, Usage, UsageReport
from providers.openai_like.responses_output import ITEMS, Hosted, Item, Told
from providers.openai_like.responses_wire import (
    MalformedError,
    WireResponse,
    broken,
    count_of,
    end_of,
    fault_in,
    is_given,
    read_item_kind,
    read_list,
    read_response,
    text_of,
    usage_of,
)

T = TypeVar("T", bound=Item)


class Answer(Told):
    """An answer being received. Methods raise ``MalformedError`` or what decoding raises."""

    __slots__ = ("_at", "_items", "is_started", "usage")

    def __init__(self) -> None:
        super().__init__()
        self.usage: Usage | None = None
        self.is_started = False
        self._items: list[Item] = []
        # the item under way at each place of the output; vendors exist that use one place for several items
        self._at: dict[int, Item] = {}

    def start(self, response: WireResponse) -> None:
        if not self.is_started and not self._items:
            self.is_started = True
            self.events.append(Start(text_of(response.id), text_of(response.model), count_of(response.created_at)))

    def open(self, place: int, raw: Raw) -> None:
        """A new item begins."""
        kind = read_item_kind(raw).type
        self._add(place, ITEMS.get(kind, Hosted), kind).open(raw)

    def item(self, place: int, kind: type[T]) -> T:
        """The item that a piece belongs to."""
        item = self._at.get(place)
        return item if isinstance(item, kind) else self._add(place, kind, kind.type)

    def close(self, place: int, raw: Raw) -> None:
        """An item as a whole."""
        kind = read_item_kind(raw).type
        item = self._at.get(place)
        if item is None or item.kind != kind:
            item = self._add(place, ITEMS.get(kind, Hosted), kind)
        item.tell(raw)

    def complete(self, response: WireResponse, *, is_cut: bool = False) -> None:
        """All items once more, usage and the end. Ids and places may differ from those in the stream, so the first item
        of a kind is taken for the first of that kind, and so on."""
        said: dict[str, list[Item]] = {}
        for item in reversed(self._items):
            said.setdefault(item.kind, []).append(item)
        for raw in read_list(response.output) if is_given(response.output) else ():
            kind = read_item_kind(raw).type
            known = said.get(kind)
            (known.pop() if known else self._add(-1, ITEMS.get(kind, Hosted), kind)).tell(raw)
        for item in self._items:
            item.settle()
        self.count(response)
        self.events.append(Finish(*end_of(response, calls=self.tool_calls > 0, is_cut=is_cut)))

    def count(self, response: WireResponse) -> None:
        usage = usage_of(response)
        if usage is not None:
            self.usage = usage
            self.events.append(UsageReport(usage))

    def _add(self, place: int, kind: type[T], name: str) -> T:
        self.begin_piece()
        item = kind(self, name)
        self._items.append(item)
        self._at[place] = item
        return item


# --- a plain answer ---------------------------------------------------------------------------------------------------


def read_answer(body: bytes) -> list[Event]:
    """The events of a plain answer. One item that cannot be read makes the whole answer a ``Fault``: half an answer
    would look like a whole one."""
    try:
        response = read_response(body)
        fault = fault_in(response)
        if fault is not None:
            return [fault]
        if text_of(response.status) not in ("completed", "incomplete", "") or not is_given(response.output):
            return [broken("the provider's answer is not a complete response")]
        answer = Answer()
        answer.start(response)
        answer.complete(response)
        return answer.events
    except MalformedError as error:
        return [broken(str(error))]
    except DECODE_ERRORS:
        return [broken("the provider's answer could not be read")]
