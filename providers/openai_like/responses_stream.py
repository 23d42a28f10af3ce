"""Watching answers of the Responses API that go to a client which speaks it.

Nothing is translated: whole events go through byte for byte, and what they say is noted by the way. All there is to
learn stands in the events that hold the response itself (``response.created`` and the last one) and in errors. Inside
the strings of other events a quote is escaped, so one look for the member's name tells them apart.

Source: OpenAI API reference, "Streaming events" of the Responses API (2026-11).
"""

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.sse import SseDecoder, SseEvent, WholeEvents
from gateway.core.types import Fault, Usage
from providers.contract import Summary
from providers.openai_like.responses_wire import (
    NULL,
    WireError,
    WireResponse,
    broken,
    end_of,
    fault_in,
    fault_of,
    has_calls,
    is_given,
    read_response,
    text_of,
    usage_of,
)

_RESPONSE = b'"response"'
_ERROR = b"error"
# Every event with a part of the answer is a delta, or says a part or an item whole.
_CONTENT = (b'.delta"', b'.done"')
_ENDS = ("response.completed", "response.incomplete")


class _Told(Struct):
    type: Raw = NULL
    response: Raw = NULL
    error: Raw = NULL
    message: Raw = NULL
    code: Raw = NULL


_read_told = msgspec.json.Decoder(_Told).decode


class ResponsesStreamObserver:
    """See ``providers.contract.StreamObserver``. The API tells its usage unasked, so there is nothing to strip."""

    __slots__ = (
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
        self.answer_id: str | None = None
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.has_token = False
        self.is_complete = False
        self.fault: Fault | None = None
        self.is_fault_told = False

    def feed(self, data: bytes) -> bytes:
        data = self._events.feed(data)
        if self.has_token and _RESPONSE not in data and _ERROR not in data:
            return data
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
            if not self.has_token:
                self.has_token = any(mark in event.data for mark in _CONTENT)
            if _RESPONSE in event.data or _ERROR in event.data or event.event == "error":
                self._note(event)

    def _note(self, event: SseEvent) -> None:
        try:
            told = _read_told(event.data)
        except DECODE_ERRORS:
            told = _Told()
        kind = text_of(told.type)
        if kind == "error" or event.event == "error" or (not kind and is_given(told.error)):
            self._fail(fault_of(WireError(told.error, told.message, told.code)))
        elif is_given(told.response) and kind.startswith("response."):
            self._learn(kind, told.response)

    def _learn(self, kind: str, raw: Raw) -> None:
        try:
            response = read_response(raw)
        except DECODE_ERRORS:
            response = WireResponse()
        self.answer_id = self.answer_id or text_of(response.id) or None
        self.usage = usage_of(response) or self.usage
        fault = fault_in(response)
        if fault is not None or kind == "response.failed":
            self._fail(fault or fault_of(WireError(response.error)))
        elif kind in _ENDS:
            reason, _ = end_of(response, calls=has_calls(response.output), is_cut=kind == "response.incomplete")
            self.finish_reason = reason.value
            self.is_complete = True

    def _fail(self, fault: Fault) -> None:
        self.fault = self.fault or fault
        self.is_fault_told = True


def read_responses_summary(body: bytes) -> Summary:
    """What a plain answer says about itself. ``ValueError`` when the body is no JSON object. A response that failed is
    a fault, whatever its HTTP status; one that runs in the background has no finish reason yet."""
    try:
        response = read_response(body)
    except DECODE_ERRORS as error:
        raise ValueError(f"the answer is no JSON object: {error}") from None
    status = text_of(response.status)
    reason = None
    if status in ("completed", "incomplete"):
        ended, _ = end_of(response, calls=has_calls(response.output))
        reason = ended.value
    return Summary(usage_of(response), reason, fault_in(response), text_of(response.id) or None)
