"""Events written as an OpenAI response, plain or as server-sent events.

Source: OpenAI API reference, "The response object" and "Streaming events" of the Responses API (2026-11); the order of
members is OpenAI's. A response object repeats what its request asked for, with OpenAI's defaults for what it left open.

Content without a noun of its own is told where this API has a place for it: citations at the text, probabilities of its
tokens once it is whole, pictures and the work of OpenAI's own tools as items. The rest (work of other vendors' tools,
sound), and all choices but the first, are left out and named in ``dropped``.
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from gateway.core.limits import MAX_HELD_ANSWER_CHARS
from gateway.core.types import (
    ChatRequest,
    ContentDelta,
    DialectName,
    Event,
    Fault,
    Finish,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    Vector,
)
from gateway.dialects.left_out import LeftOut
from gateway.dialects.openai_responses_echo import read_echo
from gateway.dialects.openai_responses_output import (
    CallItem,
    EventLog,
    FreeformCallItem,
    Json,
    MessageItem,
    OutputItem,
    ReasoningItem,
    SilentLog,
    open_call,
)
from gateway.dialects.openai_responses_request import ResponsesRequest
from gateway.dialects.openai_responses_whole import HostedItem, PictureItem, read_hosted, read_picture

Item = TypeVar("Item", bound=OutputItem)

_encode = msgspec.json.Encoder().encode

_PREFIX = "resp_"
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_KIND_OF_ID = re.compile(r"(chatcmpl-|msg_|resp_)+")
# With the time, an item's prefix and its number it stays under the 64 characters that OpenAI allows in an item's id.
_MAX_NATIVE_ID_CHARS = 36
_INCOMPLETE = {FinishReason.LENGTH: "max_output_tokens", FinishReason.CONTENT_FILTER: "content_filter"}
# What clients tell apart beside ``server_error`` and ``rate_limit_exceeded``: to try again would not help.
_TOLD_CODES = frozenset({"context_length_exceeded", "insufficient_quota", "invalid_prompt"})


class ResponsesEncoder:
    """Writes one answer, either with ``stream`` call by call or with ``body`` once.

    ``kept`` is the response object as JSON once the answer is complete, so that it can be stored.
    """

    __slots__ = (
        "_answer",
        "_calls",
        "_created",
        "_echo",
        "_has_id",
        "_held",
        "_id",
        "_is_announced",
        "_is_over",
        "_is_plain",
        "_is_proven",
        "_is_within",
        "_items",
        "_log",
        "_model",
        "_open",
        "_tools",
        "_usage",
        "dropped",
        "kept",
    )

    def __init__(self, request: ChatRequest, created: int) -> None:
        self._model = request.model
        self._tools = {tool.name: tool for tool in request.tools or ()}
        self._created = created
        given = request if isinstance(request, ResponsesRequest) else None
        self._echo = read_echo(given.echo if given is not None else {})
        self._has_id = given is not None and bool(given.response_id)
        self._id = given.response_id if given is not None and given.response_id else _make_id("", created)
        self._log = EventLog()
        self._items: list[OutputItem] = []
        self._calls: dict[int, CallItem | FreeformCallItem] = {}
        self._open: MessageItem | ReasoningItem | None = None
        # of the open message: is there a proof before it, what proof came within it, and did its text go on then?
        self._is_proven = self._is_within = False
        self._held: ReasoningDelta | None = None
        self._usage: Usage | None = None
        self._is_announced = self._is_over = self._is_plain = False
        self._answer = b""
        self.kept: bytes | None = None
        self.dropped = LeftOut()

    # --- the two ways to answer -----------------------------------------------------------------------------------

    def stream(self, events: list[Event]) -> bytes:
        for event in events:
            if self._is_over:
                break
            _WRITERS[type(event)](self, event)
        return self._log.take()

    def body(self, events: list[Event]) -> bytes:
        self._is_plain = True
        self._log = SilentLog()
        self.stream(events)
        return self._answer

    # --- what comes -----------------------------------------------------------------------------------------------

    def _write_start(self, event: Start) -> None:
        """Nothing is sent before there is something to tell: until then another provider may still be tried."""
        if not self._is_announced:
            self._created = event.created or self._created
            if not self._has_id:
                self._id = _make_id(event.id, self._created)

    def _write_text(self, event: TextDelta) -> None:
        if event.choice:
            self.dropped.name_choice(event.choice)
        elif event.text:
            self._message().add_text(event.text)
            self._check_size()

    def _write_refusal(self, event: RefusalDelta) -> None:
        if event.choice:
            self.dropped.name_choice(event.choice)
        elif event.text:
            self._message().add_refusal(event.text)
            self._check_size()

    def _write_content(self, event: ContentDelta) -> None:
        if event.choice:
            self.dropped.name_choice(event.choice)
            return
        write = _CONTENT_WRITERS.get(event.field)
        if write is None or not write(self, event.value):
            self.dropped.name(event.field)
        self._check_size()

    def _write_annotation(self, value: Raw) -> bool:
        return self._message().add_annotation(value)

    def _write_probability(self, value: Raw) -> bool:
        return isinstance(self._open, MessageItem) and self._open.add_probability(value)

    def _write_picture(self, value: Raw) -> bool:
        picture = read_picture(value)
        if picture is None:
            return False
        self._close_open(is_part=True)
        self._add(PictureItem(*self._next_place(), picture))
        return True

    def _write_hosted(self, value: Raw) -> bool:
        found = read_hosted(value)
        if found is None:
            return False
        own_id, members = found
        self._close_open()
        self._add(HostedItem(*self._next_place(), members, own_id if self._is_new(own_id) else None))
        return True

    def _write_reasoning(self, event: ReasoningDelta) -> None:
        if event.choice:
            self.dropped.name_choice(event.choice)
            return
        has_proof = bool(event.signature or event.redacted)
        if not (event.text or has_proof):
            return
        if self._can_wait(event):
            self._held = event
            return
        item = self._open
        if not isinstance(item, ReasoningItem) or item.block != event.block:
            self._close_open()
            item = self._open = self._add(ReasoningItem(*self._next_place(), event.block, self._own_id(event)))
        item.add(event)
        if has_proof:
            # it comes in the last piece of its block
            self._close_open()
        self._check_size()

    def _can_wait(self, event: ReasoningDelta) -> bool:
        """Gemini proves a text anywhere in it, and the message must not be cut in two for that. A text has one proof:
        with the second one it ends."""
        is_bare = not event.text and event.origin is DialectName.GEMINI_GENERATE_CONTENT
        return is_bare and self._held is None and not self._is_proven and isinstance(self._open, MessageItem)

    def _own_id(self, event: ReasoningDelta) -> str | None:
        is_own = event.origin is DialectName.OPENAI_RESPONSES
        return event.id if is_own and self._is_new(event.id) else None

    def _is_new(self, item_id: str | None) -> bool:
        return all(item.id != item_id for item in self._items)

    def _write_tool_call(self, event: ToolCallDelta) -> None:
        if event.choice:
            self.dropped.name_choice(event.choice)
            return
        call = self._calls.get(event.position)
        if call is None:
            self._close_open(is_part=True)
            call = self._calls[event.position] = self._add(open_call(*self._next_place(), event, self._tools))
        if event.arguments:
            call.add(event.arguments)
            self._check_size()

    def _write_usage(self, event: UsageReport) -> None:
        self._usage = event.usage

    def _write_vector(self, _event: Vector) -> None:
        """An embedding is no part of a chat."""

    def _check_size(self) -> None:
        # a plain answer is held already, and has a bound of its own
        if self._log.size > MAX_HELD_ANSWER_CHARS and not self._is_plain:
            self._write_fault(Fault("The answer is too large to be told as one response."))

    # --- items ----------------------------------------------------------------------------------------------------

    def _message(self) -> MessageItem:
        item = self._open
        if type(item) is not MessageItem:
            self._close_open()
            last = self._items[-1] if self._items else None
            self._is_proven = isinstance(last, ReasoningItem) and last.is_proven
            item = self._open = self._add(MessageItem(*self._next_place()))
        elif self._held is not None:
            self._is_within = True
        return item

    def _next_place(self) -> tuple[EventLog, int, str]:
        """What an item is made with. The first one begins the answer."""
        self._announce()
        return self._log, len(self._items), self._id.removeprefix(_PREFIX)

    def _add(self, item: Item) -> Item:
        self._items.append(item)
        return item

    def _close_open(self, *, is_part: bool = False) -> None:
        """``is_part``: a part of the answer follows to which a proof right before it belongs."""
        item, self._open = self._open, None
        if item is not None:
            item.close("completed")
        self._tell_held(is_late=self._is_within or not is_part)

    def _tell_held(self, *, is_late: bool) -> None:
        proof, self._held, self._is_within = self._held, None, False
        if proof is not None:
            item = self._add(ReasoningItem(*self._next_place(), proof.block, None))
            item.add(proof, is_late=is_late)
            item.close("completed")

    # --- the response ---------------------------------------------------------------------------------------------

    def _announce(self) -> None:
        if not self._is_announced:
            self._is_announced = True
            if self._is_plain:
                return
            begun = Raw(_encode(self._response("in_progress")))
            self._log.tell("response.created", {"response": begun})
            self._log.tell("response.in_progress", {"response": begun})

    def _write_finish(self, event: Finish) -> None:
        if all(isinstance(item, ReasoningItem) for item in self._items):
            # clients look for a message, be it an empty one
            self._message()
        cut_by = _INCOMPLETE.get(event.reason)
        self._open = None
        for item in self._items:
            if item.done is None:
                item.close("incomplete" if cut_by and item is self._items[-1] else "completed")
        self._tell_held(is_late=True)
        if cut_by:
            self._end("incomplete", incomplete_details={"reason": cut_by})
        else:
            self._end("completed")
        self.kept = self._answer

    def _write_fault(self, event: Fault) -> None:
        """Items that broke off are not told as done: a client would act on half a tool call. Before the answer has
        begun nothing is told, since an HTTP status tells it."""
        error = {"code": _error_code(event), "message": event.message}
        self._end("failed", error=error)

    def _end(self, status: str, **details: Json) -> None:
        self._is_over = True
        self._answer = _encode(self._response(status, **details))
        if self._is_announced:
            self._log.tell(f"response.{status}", {"response": Raw(self._answer)})

    def _response(self, status: str, **details: Json) -> Json:
        head = {"id": self._id, "object": "response", "created_at": self._created, "status": status}
        return {
            **head,
            "background": False,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "model": self._model,
            "output": [item.done for item in self._items if item.done is not None],
            **self._echo,
            **details,
            "usage": None if self._usage is None else _usage_object(self._usage),
        }


_WRITERS: dict[type[Event], Callable[[ResponsesEncoder, Any], None]] = {
    Start: ResponsesEncoder._write_start,
    TextDelta: ResponsesEncoder._write_text,
    RefusalDelta: ResponsesEncoder._write_refusal,
    ReasoningDelta: ResponsesEncoder._write_reasoning,
    ToolCallDelta: ResponsesEncoder._write_tool_call,
    ContentDelta: ResponsesEncoder._write_content,
    Vector: ResponsesEncoder._write_vector,
    UsageReport: ResponsesEncoder._write_usage,
    Finish: ResponsesEncoder._write_finish,
    Fault: ResponsesEncoder._write_fault,
}

_CONTENT_WRITERS: dict[str, Callable[[ResponsesEncoder, Raw], bool]] = {
    "annotations": ResponsesEncoder._write_annotation,
    "logprobs": ResponsesEncoder._write_probability,
    "images": ResponsesEncoder._write_picture,
    "provider_content": ResponsesEncoder._write_hosted,
}


def _make_id(native: str, created: int) -> str:
    """An id of our own: the time, and what a provider's id has that is safe anywhere. Its end is what differs."""
    safe = _UNSAFE.sub("", _KIND_OF_ID.sub("", native, count=1))[-_MAX_NATIVE_ID_CHARS:]
    return f"{_PREFIX}{created:x}_{safe}" if safe else f"{_PREFIX}{created:x}"


def _error_code(fault: Fault) -> str:
    """One of OpenAI's codes: clients decide by it whether to try again."""
    if fault.native_type in _TOLD_CODES:
        return fault.native_type
    if fault.status == 429:
        return "rate_limit_exceeded"
    return "server_error" if fault.status >= 500 else "invalid_prompt"


def _usage_object(usage: Usage) -> Json:
    """Input and output tokens count everything, as in ``Usage``."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
