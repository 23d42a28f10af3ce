"""The client's judgement of an answer, on the very bytes the upstream sends."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.client import Answer, WrongAnswerError, chat_body
from loadtest.upstream import render_stream
from tests.kit.feeds import splits

EVENTS = b"".join(b'data: {"n":%d}\n\n' % n for n in range(4)) + b"data: [DONE]\n\n"


def answer_of(pieces: list[bytes]) -> Answer:
    answer = Answer()
    for piece in pieces:
        answer.feed(piece)
    return answer


@given(splits(EVENTS))
def test_events_are_counted_alike_however_they_are_cut(pieces: list[bytes]) -> None:
    answer = answer_of(pieces)
    assert (answer.events, answer.size) == (5, len(EVENTS))
    answer.check_stream(5)


@given(st.integers(0, len(EVENTS) - 1).flatmap(lambda end: splits(EVENTS[:end])))
def test_a_stream_cut_short_anywhere_is_found_out(pieces: list[bytes]) -> None:
    with pytest.raises(WrongAnswerError, match="without"):
        answer_of(pieces).check_stream(5)


def test_a_stream_that_lost_an_event_is_found_out() -> None:
    with pytest.raises(WrongAnswerError, match="5 events instead of 6"):
        answer_of([EVENTS]).check_stream(6)


def test_the_first_event_is_timed_when_it_is_whole() -> None:
    answer = answer_of([b"data: {}\n"])
    assert answer.first_at == 0.0
    answer.feed(b"\n")
    first_at = answer.first_at
    assert first_at > 0.0
    answer.feed(EVENTS)
    assert answer.first_at == first_at


@pytest.mark.parametrize("with_usage", [True, False])
def test_the_upstream_sends_the_events_the_client_expects(with_usage: bool) -> None:
    framed = b"".join(render_stream(50, with_usage)).partition(b"\r\n\r\n")[2]
    body = b"".join(framed.split(b"\r\n")[1::2])
    answer_of([body]).check_stream(50 + with_usage + 1)


def test_a_streamed_request_tells_the_upstream_its_shape() -> None:
    body = json.loads(chat_body(stream=True, chunks=5, interval_ms=1500))
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}
    assert "chunks=5 interval_ms=1500" in body["messages"][-1]["content"]


def test_a_request_may_leave_usage_and_streaming_unasked() -> None:
    assert "stream_options" not in json.loads(chat_body(stream=True, with_usage=False, chunks=5, interval_ms=2))
    assert "stream" not in json.loads(chat_body(stream=False))
