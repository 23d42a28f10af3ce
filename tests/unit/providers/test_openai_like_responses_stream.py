"""Watching answers of the Responses API that go to a client as they are."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.limits import MAX_SSE_EVENT_BYTES
from gateway.core.types import Fault, Usage
from providers.contract import Summary
from providers.openai_like.responses_stream import ResponsesStreamObserver, read_responses_summary
from tests.kit import responses_api as api
from tests.kit.feeds import byte_by_byte, splits, whole

COUNTED = Usage(input_tokens=20, output_tokens=15, cache_read_tokens=5, reasoning_tokens=7)
STREAM = api.stream(api.thought("Hm", proof="cHJvb2Y="), api.message("Hello"))
ERROR = api.event("error", code="server_error", message="Oops", param=None)


def watched(pieces: list[bytes]) -> tuple[bytes, ResponsesStreamObserver]:
    observer = ResponsesStreamObserver(False)
    out = b"".join([*(observer.feed(piece) for piece in pieces), observer.finish()])
    return out, observer


def state(observer: ResponsesStreamObserver) -> tuple[object, ...]:
    return (
        observer.answer_id,
        observer.usage,
        observer.finish_reason,
        observer.has_token,
        observer.is_complete,
        observer.fault,
        observer.is_fault_told,
    )


def test_a_whole_stream_is_forwarded_as_it_is_and_understood() -> None:
    for pieces in (whole(STREAM), byte_by_byte(STREAM)):
        out, observer = watched(pieces)
        assert out == STREAM
        assert state(observer) == ("resp_1", COUNTED, "stop", True, True, None, False)


def test_the_answers_id_is_known_at_once_and_a_token_only_when_there_is_one() -> None:
    observer = ResponsesStreamObserver(True)
    observer.feed(api.start() + api.event("response.output_item.added", output_index=0, item=api.message()))
    assert (observer.answer_id, observer.has_token) == ("resp_1", False)
    observer.feed(api.event("response.output_text.delta", output_index=0, content_index=0, delta="H"))
    assert observer.has_token
    assert not observer.is_complete


@pytest.mark.parametrize("pieces", [0, 1])
def test_any_part_of_the_answer_is_a_token(pieces: int) -> None:
    for item in (api.thought("Hm"), api.refusal("No"), api.call(), api.freeform("x")):
        observer = ResponsesStreamObserver(False)
        observer.feed(api.start() + api.streamed(0, item, pieces=pieces))
        assert observer.has_token


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (api.stream(api.message("a"), api.call()), "tool_calls"),
        (api.stream(api.freeform("a")), "tool_calls"),
        (api.stream(api.search(), api.message("a")), "stop"),
        (
            api.stream(type="response.incomplete", incomplete_details={"reason": "max_output_tokens"}),
            "length",
        ),
        (
            api.stream(type="response.incomplete", incomplete_details={"reason": "content_filter"}),
            "content_filter",
        ),
    ],
)
def test_the_reason_of_the_end_is_in_the_fields_words(stream: bytes, reason: str) -> None:
    _, observer = watched([stream])
    assert (observer.finish_reason, observer.is_complete, observer.fault) == (reason, True, None)


FAILED = api.event(
    "response.failed",
    response=api.response(status="failed", error={"code": "rate_limit_exceeded", "message": "Slow down."}),
)


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        (FAILED, Fault("Slow down.", 429, native_type="rate_limit_exceeded")),
        (ERROR, Fault("Oops", 500, native_type="server_error")),
        (b'event: error\ndata: {"message":"Oops"}\n\n', Fault("Oops")),
        (b'data: {"error":{"message":"Oops","code":503}}\n\n', Fault("Oops", 503)),
        (b"event: error\ndata: Oops\n\n", Fault("the provider reported an error")),
    ],
)
def test_an_error_in_the_stream_is_a_fault_that_is_told(event: bytes, fault: Fault) -> None:
    stream = api.start() + api.streamed(0, api.message("Hello")) + event
    for pieces in (whole(stream), byte_by_byte(stream)):
        out, observer = watched(pieces)
        assert out == stream
        assert (observer.fault, observer.is_fault_told, observer.is_complete) == (fault, True, False)


def test_what_the_model_says_of_errors_and_responses_is_none() -> None:
    text = 'The "response" is {"type":"error","error":{"message":"no"}} or event: error\n\ndata: [DONE]'
    out, observer = watched([api.stream(api.message(text), api.call(json.dumps({"response": {"status": "failed"}})))])
    assert state(observer)[2:] == ("tool_calls", True, True, None, False)
    assert out


def test_spaces_in_the_json_make_no_difference() -> None:
    spaced = STREAM.replace(b'":', b'" : ').replace(b'type" : "response', b'type" :  "response')
    assert state(watched([spaced])[1]) == state(watched([STREAM])[1])


@pytest.mark.parametrize("ending", [b"\r\n", b"\r"])
def test_other_line_ends_make_no_difference(ending: bytes) -> None:
    stream = STREAM.replace(b"\n", ending)
    for pieces in (whole(stream), byte_by_byte(stream)):
        out, observer = watched(pieces)
        assert out == stream
        assert state(observer) == state(watched([STREAM])[1])


def test_a_stream_that_breaks_off_is_never_complete() -> None:
    last = STREAM.index(b"event: response.completed")
    for length in range(len(STREAM)):
        out, observer = watched([STREAM[:length]])
        assert not observer.is_complete
        assert not observer.is_fault_told
        assert observer.fault is not None
        assert STREAM[:last].startswith(out)
        assert out == b"" or out.endswith(b"\n\n")


def test_a_done_marker_completes_nothing() -> None:
    _, observer = watched([api.start(), b"data: [DONE]\n\n"])
    assert observer.fault is not None


def test_an_event_that_is_too_large_is_a_fault() -> None:
    observer = ResponsesStreamObserver(False)
    observer.feed(b"data: " + b"x" * MAX_SSE_EVENT_BYTES)
    assert observer.fault is not None
    assert observer.feed(b"\n\n") == b""


def test_members_of_odd_types_hide_nothing_else() -> None:
    odd = api.response(status="completed", id=5, output="odd", error=None, incomplete_details=[1])
    _, observer = watched([api.start(), api.event("response.completed", response=odd)])
    assert state(observer) == ("resp_1", COUNTED, "stop", False, True, None, False)


parts = [event + b"\n\n" for event in STREAM.split(b"\n\n") if event]
noise = st.sampled_from([b"\n", b"\r\n", b"\r", b"data: {}\n\n", b"event: error\n", b'{"response"', b": hi\n\n", ERROR])
rows = st.lists(st.sampled_from(parts) | noise | st.binary(max_size=5), max_size=12).map(b"".join)


@given(rows.flatmap(lambda stream: st.tuples(st.just(stream), splits(stream))))
@settings(max_examples=150)
def test_cuts_change_nothing(case: tuple[bytes, list[bytes]]) -> None:
    stream, pieces = case
    out, observer = watched([stream])
    assert stream.startswith(out)
    for cut in (pieces, byte_by_byte(stream)):
        again, other = watched(cut)
        assert (again, state(other)) == (out, state(observer))
    assert observer.is_complete or observer.fault is not None


# --- a plain answer ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "summary"),
    [
        (api.answer(api.message("Hi")), Summary(COUNTED, "stop", None, "resp_1")),
        (api.answer(api.call()), Summary(COUNTED, "tool_calls", None, "resp_1")),
        (
            api.answer(status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
            Summary(COUNTED, "length", None, "resp_1"),
        ),
        (api.answer(status="queued"), Summary(None, None, None, "resp_1")),
        (api.answer(status="cancelled"), Summary(None, None, None, "resp_1")),
        (
            api.answer(status="failed", error={"code": "server_error", "message": "Oops"}),
            Summary(None, None, Fault("Oops", 500, native_type="server_error"), "resp_1"),
        ),
        (b'{"error":{"message":"Oops","code":429}}', Summary(None, None, Fault("Oops", 429), None)),
        (b"{}", Summary()),
        (b'{"id":5,"usage":"odd","status":[],"output":{}}', Summary()),
    ],
)
def test_a_plain_answer_is_summed_up(body: bytes, summary: Summary) -> None:
    assert read_responses_summary(body) == summary


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"<html>", b"[" * 100_000])
def test_what_is_no_answer_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="no JSON object"):
        read_responses_summary(body)
