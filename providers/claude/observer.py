"""Watching answers of the Messages API that go to a client which speaks it.

Nothing is translated: whole events go through byte for byte, and what they say is noted by the way. Almost every event
is a ``content_block_delta``, and after the first there is nothing to learn from another. In the frame that the API
gives it, it is told by its beginning and never decoded.

Source: platform.claude.com/docs, "Messages" (API reference), "Streaming messages" (2026-11).
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.limits import MAX_ANSWER_ID_CHARS
from gateway.core.sse import SseDecoder, SseEvent, WholeEvents
from gateway.core.types import Fault, FinishReason, Usage
from providers.claude.wire import (
    FINISH_REASONS,
    NULL,
    WireUsage,
    broken,
    not_less,
    read_error_member,
    read_usage,
    update_usage,
)
from providers.contract import Summary

T = TypeVar("T")

_DELTA = b'{"type":"content_block_delta",'
_DELTA_EVENT = b"event: content_block_delta\ndata: " + _DELTA
_BEFORE_DELTA_END = len(_DELTA_EVENT)


class _Message(Struct):
    id: Raw = NULL
    usage: Raw = NULL


class _Block(Struct):
    """Blocks that open without a word of theirs are text and thinking; all others say something at once."""

    type: str = ""
    text: str = ""
    thinking: str = ""


class _Delta(Struct):
    stop_reason: str | None = None


class _Event(Struct):
    type: str = ""
    message: Raw = NULL
    content_block: Raw = NULL
    delta: Raw = NULL
    usage: Raw = NULL
    error: Raw = NULL


class _Answer(_Message):
    content: Raw = NULL
    stop_reason: Raw = NULL
    error: Raw = NULL


_read_event = msgspec.json.Decoder(_Event).decode
_read_message = msgspec.json.Decoder(_Message).decode
_read_block = msgspec.json.Decoder(_Block).decode
_read_delta = msgspec.json.Decoder(_Delta).decode
_read_usage = msgspec.json.Decoder(WireUsage | None).decode
_read_text = msgspec.json.Decoder(str | None).decode
_read_answer = msgspec.json.Decoder(_Answer).decode


def _read(decode: Callable[[Raw | bytes], T], raw: Raw | bytes) -> T | None:
    """None for what is not as it should be: an observer bears it and only learns less."""
    try:
        return decode(raw)
    except DECODE_ERRORS:
        return None


def _read_id(raw: Raw) -> str | None:
    """A client may go on from a message by its id ("message threads")."""
    answer_id = _read(_read_text, raw)
    return answer_id if answer_id and len(answer_id) <= MAX_ANSWER_ID_CHARS else None


def _reason(native: str | None) -> str | None:
    return FINISH_REASONS.get(native, FinishReason.STOP).value if native else None


class MessagesStreamObserver:
    """See ``providers.contract.StreamObserver``. The API tells its usage unasked, so there is nothing to strip."""

    __slots__ = (
        "_counts",
        "_decoder",
        "_events",
        "answer_id",
        "fault",
        "finish_reason",
        "has_token",
        "is_complete",
        "is_fault_told",
        "usage",
    )

    def __init__(self, strip_usage: bool) -> None:
        self._events = WholeEvents()
        self._decoder = SseDecoder()
        self._counts = WireUsage()
        self.answer_id: str | None = None
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.has_token = False
        self.is_complete = False
        self.fault: Fault | None = None
        self.is_fault_told = False

    def feed(self, data: bytes) -> bytes:
        data = self._events.feed(data)
        # one event of two lines, both of which are known: neither another line nor another event is in it
        is_dull = (
            self.has_token
            and data.startswith(_DELTA_EVENT)
            and data.find(b"\n", _BEFORE_DELTA_END) == len(data) - 2
            and b"\r" not in data
        )
        if not is_dull:
            self._look(data)
            if self._events.overflowed and self.fault is None:
                self.fault = broken("the provider sent an event larger than the gateway takes")
        return data

    def finish(self) -> bytes:
        """An event that broke off is forwarded only behind a complete answer, where nothing follows it."""
        whole, rest = self._events.finish()
        self._look(whole)
        if self.fault is None and not self.is_complete:
            self.fault = broken("the provider ended the stream before the answer was complete")
        return whole if self.fault else whole + rest

    def _look(self, data: bytes) -> None:
        for event in self._decoder.feed(data):
            if event.data.startswith(_DELTA) and event.event != "error":
                self.has_token = True
            else:
                self._note(event)

    def _note(self, event: SseEvent) -> None:
        told = _read(_read_event, event.data) or _Event()
        if told.type == "error" or event.event == "error":
            self.fault = self.fault or read_error_member(told.error)
            self.is_fault_told = True
        elif told.type == "message_start":
            message = _read(_read_message, told.message) or _Message()
            self.answer_id = _read_id(message.id) or self.answer_id
            self._count(message.usage)
        elif told.type == "content_block_start":
            self.has_token = self.has_token or _says_something(told.content_block)
        elif told.type == "content_block_delta":
            self.has_token = True
        elif told.type == "message_delta":
            self._count(told.usage)
            delta = _read(_read_delta, told.delta)
            self.finish_reason = _reason(delta.stop_reason if delta else None) or self.finish_reason
        elif told.type == "message_stop":
            self.is_complete = True

    def _count(self, raw: Raw) -> None:
        news = _read(_read_usage, raw)
        if news is not None:
            update_usage(self._counts, news)
            self.usage = not_less(self.usage, read_usage(self._counts))


def _says_something(raw: Raw) -> bool:
    block = _read(_read_block, raw)
    if block is None:
        return False
    return bool(block.text or block.thinking) or block.type not in ("text", "thinking")


def read_messages_summary(body: bytes) -> Summary:
    """What a plain answer says about itself. ``ValueError`` when the body is no JSON object. An object with an
    ``error`` and no ``content`` is a fault, whatever its status."""
    try:
        answer = _read_answer(body)
    except DECODE_ERRORS as error:
        raise ValueError(f"the answer is no JSON object: {error}") from None
    reported = _read(_read_usage, answer.usage)
    summary = Summary(
        usage=None if reported is None else read_usage(reported),
        finish_reason=_reason(_read(_read_text, answer.stop_reason)),
        answer_id=_read_id(answer.id),
    )
    if bytes(answer.error) != b"null" and bytes(answer.content) == b"null":
        summary.fault = read_error_member(answer.error)
    return summary
