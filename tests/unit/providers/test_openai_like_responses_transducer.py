"""How answers of the Responses API end, and what becomes of those that make no sense."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.limits import MAX_MESSAGE_PARTS, MAX_SSE_EVENT_BYTES
from gateway.core.types import (
    Event,
    Fault,
    Finish,
    FinishReason,
    Start,
    TextDelta,
    Usage,
    UsageReport,
)
from providers.openai_like.responses_answer import read_answer
from providers.openai_like.responses_transducer import ResponsesTransducer
from tests.kit import responses_api as api
from tests.kit.feeds import byte_by_byte, splits, whole
from tests.kit.responses_api import said

PROOF = "gAAAAABqPBGr7nnEI4VIL9-IqFeO9pgvdt1Ka9HR0SFBoMVyCmLOv1ucLR5ImX=="
COUNTED = Usage(input_tokens=20, output_tokens=15, cache_read_tokens=5, reasoning_tokens=7)
CITATION = {"type": "url_citation", "start_index": 0, "end_index": 4, "title": "News", "url": "https://example.com/n"}


def events_of(stream: bytes) -> list[Event]:
    transducer = ResponsesTransducer()
    return [*transducer.feed(stream), *transducer.finish()]


# --- how answers end --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("details", "reason", "native"),
    [
        ({"reason": "max_output_tokens"}, FinishReason.LENGTH, "max_output_tokens"),
        ({"reason": "content_filter"}, FinishReason.CONTENT_FILTER, "content_filter"),
        ({"reason": "brand_new"}, FinishReason.LENGTH, "brand_new"),
        (None, FinishReason.LENGTH, "incomplete"),
        ({"reason": 5}, FinishReason.LENGTH, "incomplete"),
    ],
)
def test_an_incomplete_answer_says_why(details: object, reason: FinishReason, native: str) -> None:
    members = {"incomplete_details": details}
    plain = read_answer(api.answer(api.message("Hel"), status="incomplete", **members))
    streamed = events_of(api.stream(api.message("Hel"), type="response.incomplete", **members))
    for events in (plain, streamed):
        assert said(events) == {"text": "Hel"}
        assert events[-1] == Finish(reason, native)


def test_the_name_of_the_last_event_says_that_an_answer_is_incomplete() -> None:
    stream = api.start() + api.event("response.incomplete", response={"output": []})
    assert events_of(stream)[-1] == Finish(FinishReason.LENGTH, "incomplete")


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (
            {"code": "rate_limit_exceeded", "message": "Slow down."},
            Fault("Slow down.", 429, native_type="rate_limit_exceeded"),
        ),
        ({"code": "server_error", "message": "Oops"}, Fault("Oops", 500, native_type="server_error")),
        ({"code": "invalid_image_url", "message": "No"}, Fault("No", 400, native_type="invalid_image_url")),
        ({"code": "image_too_large", "message": "No"}, Fault("No", 400, native_type="image_too_large")),
        ({"type": "brand_new", "message": "Odd"}, Fault("Odd", 502, native_type="brand_new")),
        (None, Fault("the provider reported an error")),
        ("odd", Fault("odd")),
    ],
)
def test_a_failed_answer_is_a_fault(error: object, fault: Fault) -> None:
    failed = {"status": "failed", "error": error, "usage": api.USAGE}
    assert read_answer(api.answer(**failed)) == [fault]
    stream = api.start() + api.streamed(0, api.message("Hi"), pieces=1)
    events = events_of(stream + api.event("response.failed", response=api.response(**failed)) + api.end())
    assert events[1:] == [TextDelta("Hi"), UsageReport(COUNTED), fault]


@pytest.mark.parametrize(
    "event",
    [
        api.event("error", code="server_error", message="Oops", param=None),
        api.event("error", error={"type": "api_error", "code": "server_error", "message": "Oops"}),
        b'data: {"error":{"code":"server_error","message":"Oops"}}\n\n',
        b'event: error\ndata: {"error":{"code":"server_error","message":"Oops"}}\n\n',
    ],
)
def test_an_error_event_is_a_fault(event: bytes) -> None:
    assert events_of(api.start() + event + api.end())[1:] == [Fault("Oops", 500, native_type="server_error")]


def test_an_error_that_cannot_be_read_is_a_fault() -> None:
    assert events_of(b"event: error\ndata: Oops\n\n") == [Fault("the provider reported an error")]


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled"])
def test_a_plain_answer_that_is_not_there_yet_is_a_fault(status: str) -> None:
    assert isinstance(read_answer(api.answer(status=status))[0], Fault)


@pytest.mark.parametrize(
    "event",
    [
        api.event("response.output_text.delta", output_index=0, content_index=0, delta={"odd": 1}),
        api.event("response.output_item.done", output_index=0),
        api.event("response.output_item.done", output_index=0, item=api.message() | {"content": 5}),
        api.event("response.output_text.annotation.added", output_index=0, content_index=0, annotation=5),
        api.event("response.completed"),
        api.event("response.completed", response={"output": {}}),
        b"data: {\n\n",
        b'data: {"type":"response.output_text.delta","delta":"\xff"}\n\n',
        b'data: {"type":"response.output_text.delta","delta":"\\ud83d"}\n\n',
        b'event: response.output_item.done\ndata: {"output_index":0,"item":{"type":"new","x":"\xff"}}\n\n',
    ],
)
def test_an_event_that_makes_no_sense_ends_the_answer(event: bytes) -> None:
    events = events_of(api.start() + event + api.end(api.message("Hi")))
    assert isinstance(events[-1], Fault)
    assert events[-1].kind == "upstream_broken"


def test_a_call_without_a_name_is_a_fault() -> None:
    stream = api.start() + api.event("response.function_call_arguments.delta", output_index=0, delta="{}") + api.end()
    assert isinstance(events_of(stream)[-1], Fault)


def test_an_answer_of_endless_parts_is_a_fault() -> None:
    item = api.event("response.output_item.added", output_index=0, item={"type": "reasoning"})
    assert isinstance(events_of(api.start() + item * MAX_MESSAGE_PARTS + api.end())[-1], Finish)
    assert isinstance(events_of(api.start() + item * (MAX_MESSAGE_PARTS + 1) + api.end())[-1], Fault)


def test_an_endless_event_is_a_fault() -> None:
    transducer = ResponsesTransducer()
    (fault,) = transducer.feed(b"data: " + b"x" * MAX_SSE_EVENT_BYTES)
    assert isinstance(fault, Fault)
    assert transducer.finish() == []


# --- whatever comes ---------------------------------------------------------------------------------------------------

RICH = api.stream(
    api.thought("Look", "well", proof=PROOF),
    api.search(),
    api.message("Hé llo", annotations=[CITATION]),
    api.call(),
    api.freeform('a"b'),
    api.picture("iVBO"),
)


def test_a_stream_that_is_cut_anywhere_never_finishes() -> None:
    for length in range(len(RICH)):
        events = events_of(RICH[:length])
        assert isinstance(events[-1], Fault)
        assert not any(isinstance(event, Finish) for event in events)


@given(splits(RICH))
@settings(max_examples=60)
def test_cuts_change_nothing(pieces: list[bytes]) -> None:
    transducer = ResponsesTransducer()
    events = [event for piece in pieces for event in transducer.feed(piece)] + transducer.finish()
    assert events == events_of(RICH)
    assert transducer.usage == COUNTED


parts = RICH.split(b"\n\n")[:-1]
rows = st.lists(st.sampled_from(parts) | st.binary(max_size=20), max_size=12).map(lambda e: b"\n\n".join(e) + b"\n\n")


@given(rows)
@settings(max_examples=150)
def test_any_row_of_events_ends_once(stream: bytes) -> None:
    results = []
    for pieces in (whole(stream), byte_by_byte(stream)):
        transducer = ResponsesTransducer()
        results.append([event for piece in pieces for event in transducer.feed(piece)] + transducer.finish())
    events = results[0]
    assert results[1] == events
    assert sum(isinstance(event, Finish | Fault) for event in events) == isinstance(events[-1], Finish | Fault) == 1
    assert not any(isinstance(event, Start) for event in events[1:])
    assert msgspec.json.encode(events)


texts = st.text(max_size=6)
items = st.one_of(
    st.lists(texts, max_size=3).map(lambda t: api.message(*t)),
    texts.map(api.refusal),
    st.builds(lambda s, c, p: api.thought(*s, content=c, proof=p), st.lists(texts, max_size=2), st.lists(texts), texts),
    texts.map(api.call),
    texts.map(api.freeform),
    texts.map(api.search),
    texts.map(api.picture),
)


@given(st.lists(items, max_size=4), st.integers(0, 3))
@settings(max_examples=150)
def test_any_answer_says_the_same_plain_and_streamed(output: list[api.Json], pieces: int) -> None:
    assert said(events_of(api.stream(*output, pieces=pieces))) == said(read_answer(api.answer(*output)))


@given(st.recursive(st.none() | st.booleans() | texts, lambda v: st.lists(v) | st.dictionaries(texts, v), max_leaves=6))
@settings(max_examples=100)
def test_any_output_is_an_answer_or_a_fault(value: object) -> None:
    for body in (value, {"output": value}, {"output": [value]}, {"output": [{"type": "message", "content": value}]}):
        events = read_answer(json.dumps(body).encode())
        assert isinstance(events[-1], Finish | Fault)
