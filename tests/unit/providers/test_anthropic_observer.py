"""Answers of the Messages API on their way to a client that speaks it."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core import sse
from gateway.core.types import Fault, Usage
from providers.claude.observer import MessagesStreamObserver, read_messages_summary
from providers.claude.stream import MessagesTransducer
from providers.contract import Summary
from tests.kit import messages_api as api
from tests.kit.feeds import byte_by_byte, splits, whole

TEXT = (
    api.start({"input_tokens": 20, "cache_read_input_tokens": 7, "output_tokens": 1})
    + api.text(0, "", "Hello", " there.")
    + api.ping()
    + api.end(usage={"output_tokens": 15})
)
TOOLS = (
    api.start()
    + api.block(0, {"type": "thinking", "thinking": ""}, {"type": "signature_delta", "signature": "Es4D"})
    + api.tool(1, "toolu_1", "f", "", '{"a":', "1}")
    + api.end("tool_use", {"input_tokens": 30, "output_tokens": 60, "output_tokens_details": {"thinking_tokens": 47}})
)
CRLF = TEXT.replace(b"\n", b"\r\n")
BARE = b"".join(line + b"\n" for line in TEXT.splitlines() if not line.startswith(b"event: "))
STREAMS = [TEXT, TOOLS, CRLF, TEXT.replace(b"\n", b"\r"), BARE, b"\xef\xbb\xbf" + TEXT]


def observe(pieces: list[bytes]) -> tuple[MessagesStreamObserver, bytes]:
    observer = MessagesStreamObserver(False)
    out = b"".join(observer.feed(piece) for piece in pieces)
    return observer, out + observer.finish()


def seen(observer: MessagesStreamObserver) -> dict[str, Any]:
    names = ("usage", "finish_reason", "has_token", "is_complete", "fault", "is_fault_told", "answer_id")
    return {name: getattr(observer, name) for name in names}


BROKEN = Fault("the provider ended the stream before the answer was complete", kind="upstream_broken")

# --- what it learns -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [TEXT, CRLF, BARE, b"\xef\xbb\xbf" + TEXT])
def test_a_stream_is_forwarded_as_it_is_and_understood(stream: bytes) -> None:
    observer, out = observe(whole(stream))
    assert out == stream
    assert seen(observer) == {
        "usage": Usage(input_tokens=27, output_tokens=15, cache_read_tokens=7),
        "finish_reason": "stop",
        "has_token": True,
        "is_complete": True,
        "fault": None,
        "is_fault_told": False,
        "answer_id": "msg_1",
    }


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("end_turn", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
        (None, None),
    ],
)
def test_the_reason_is_told_in_the_words_of_the_core(native: str | None, reason: str | None) -> None:
    assert observe([api.start() + api.end(native)])[0].finish_reason == reason
    assert read_messages_summary(api.answer(stop_reason=native)).finish_reason == reason


def test_usage_is_known_as_soon_as_it_is_told_and_never_shrinks() -> None:
    observer = MessagesStreamObserver(False)
    observer.feed(api.start({"input_tokens": 100, "output_tokens": 3}))
    assert observer.usage == Usage(input_tokens=100, output_tokens=3)
    observer.feed(api.event("message_delta", delta={}, usage={"input_tokens": 5, "output_tokens": 9}))
    assert observer.usage == Usage(input_tokens=100, output_tokens=9)


@pytest.mark.parametrize(
    ("event", "has_token"),
    [
        (api.event("content_block_start", index=0, content_block={"type": "text", "text": ""}), False),
        (api.event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}), False),
        (api.event("content_block_start", index=0, content_block={"type": "text", "text": "Hi"}), True),
        (api.event("content_block_start", index=0, content_block={"type": "tool_use", "name": "f"}), True),
        (api.event("content_block_start", index=0, content_block={"type": "redacted_thinking", "data": "E"}), True),
        (api.event("content_block_start", index=0, content_block="text"), False),
        (api.event("content_block_delta", index=0, delta={"type": "text_delta", "text": "a"}), True),
        (b'data: {"index":0, "type" : "content_block_delta"}\n\n', True),
        (b": comment\n\n", False),
        (api.ping(), False),
        (b"data: [DONE]\n\n", False),
        (b"data: {half\n\n", False),
    ],
)
def test_a_token_is_what_says_something(event: bytes, has_token: bool) -> None:
    observer = MessagesStreamObserver(False)
    assert observer.feed(api.start()) == api.start()
    assert not observer.has_token
    assert observer.feed(event) == event
    assert observer.has_token is has_token


ERROR = api.event("error", error={"type": "overloaded_error", "message": "Overloaded, sk-ant-api03-abcdefgh"})


@pytest.mark.parametrize("before", [b"", api.start(), api.start() + api.text(0, "Hi", "there")])
def test_an_error_event_is_a_fault_that_the_client_reads_itself(before: bytes) -> None:
    observer, out = observe([before, ERROR])
    assert out == before + ERROR
    assert observer.fault == Fault("Overloaded, [key removed]", 529, native_type="overloaded_error")
    assert observer.is_fault_told
    assert not observer.is_complete


@pytest.mark.parametrize(
    "event",
    [
        b"event: error\ndata: upstream connect error\n\n",
        b'event: content_block_delta\ndata: {"type":"content_block_delta",\nevent: error\n\n',
        b'event: error\ndata: {"type":"content_block_delta","index":0}\n\n',
        b'data: {"error":"text","type":"error"}\n\n',
    ],
)
def test_an_error_in_any_frame_is_an_error(event: bytes) -> None:
    for stream in (event, TEXT[: TEXT.index(b"event: content_block_stop")] + event):
        for pieces in (whole(stream), byte_by_byte(stream)):
            observer, out = observe(pieces)
            assert out == stream
            assert observer.fault == Fault("the provider reported an error", 500, native_type="api_error")
            assert observer.is_fault_told


@pytest.mark.parametrize("stream", [TEXT, TOOLS])
def test_a_stream_cut_at_any_byte_is_broken_and_shows_no_half_event(stream: bytes) -> None:
    for end in range(len(stream) - 1):
        observer, out = observe([stream[:end]])
        assert observer.fault == BROKEN
        assert not observer.is_fault_told
        assert stream.startswith(out)
        assert out == b"" or out.endswith(b"\n\n")
        assert end - len(out) < 800


def test_what_follows_a_complete_answer_goes_through() -> None:
    assert observe([TEXT, b": bye"])[1] == TEXT + b": bye"
    assert observe([TEXT, b": bye"])[0].fault is None


def test_half_an_event_behind_an_error_stays_behind() -> None:
    observer, out = observe([api.start() + ERROR + b"\nevent: mess"])
    assert out == api.start() + ERROR + b"\n"
    assert observer.is_fault_told


def test_a_held_event_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_SSE_EVENT_BYTES", 500)
    observer, out = observe([api.start(), b"data: " + b"x" * 500, b"\n\n", api.end()])
    assert out == api.start()
    assert observer.fault == Fault("the provider sent an event larger than the gateway takes", kind="upstream_broken")
    assert not observer.is_fault_told


@pytest.mark.parametrize("member", ["message", "usage", "delta", "content_block", "error"])
@pytest.mark.parametrize("value", [None, 3, "text", [], {"usage": 3}, {"usage": {"input_tokens": -1}}, {"type": 3}])
def test_a_member_of_an_odd_type_only_tells_less(member: str, value: object) -> None:
    for type in ("message_start", "content_block_start", "message_delta"):
        stream = TEXT[: TEXT.index(b"event: message_delta")] + api.event(type, **{member: value}) + api.end()
        observer, out = observe([stream])
        assert out == stream
        assert (observer.fault, observer.is_complete) == (None, True)
        assert observer.usage == Usage(input_tokens=27, output_tokens=15, cache_read_tokens=7)


# --- laws -----------------------------------------------------------------------------------------------------------


def check(stream: bytes, pieces: list[bytes]) -> None:
    expected, out = observe(whole(stream))
    assert stream.startswith(out)
    observer, same = observe(pieces)
    assert same == out
    assert seen(observer) == seen(expected)


@pytest.mark.parametrize("stream", STREAMS)
def test_any_cut_is_the_same(stream: bytes) -> None:
    check(stream, byte_by_byte(stream))


# what the cheap look at a dull event might be mistaken about
_NEARLY = [
    b"event: content_block_delta\n",
    b'data: {"type":"content_block_delta",',
    b'"index":0,"delta":{"type":"text_delta","text":"a"}}',
    b'"type":"message_stop"}',
    b"event: error\n",
    b"event: message_stop\n",
    b"data: ",
    b"\n",
    b"\r",
    b"\n\n",
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ERROR,
]


@given(st.lists(st.sampled_from(_NEARLY), max_size=12).map(b"".join), st.data())
@example(b"".join(_NEARLY[:3]) + b"\nevent: error\n\n", None)
@example(b"".join(_NEARLY[:3]) + b"\revent: error\n\n", None)
def test_no_frame_hides_anything(noise: bytes, data: st.DataObject | None) -> None:
    stream = TEXT[: TEXT.index(b"event: content_block_stop")] + noise
    check(stream, byte_by_byte(stream) if data is None else data.draw(splits(stream)))


@given(st.binary(max_size=200), st.data())
def test_any_bytes_are_borne(noise: bytes, data: st.DataObject) -> None:
    stream = api.start() + noise
    check(stream, data.draw(splits(stream)))


@pytest.mark.parametrize("stream", [TEXT, TOOLS, CRLF])
def test_it_learns_what_a_translation_would_learn(stream: bytes) -> None:
    transducer = MessagesTransducer()
    events = transducer.feed(stream)
    observer, _ = observe(whole(stream))
    assert observer.usage == transducer.usage
    assert observer.finish_reason == events[-1].reason.value


# --- plain answers --------------------------------------------------------------------------------------------------


def test_a_plain_answer_is_summed_up() -> None:
    assert read_messages_summary(api.answer({"type": "text", "text": "Hi"}, stop_reason="max_tokens")) == Summary(
        Usage(input_tokens=20, output_tokens=15), "length", None, "msg_1"
    )


def test_an_error_in_the_place_of_an_answer_is_a_fault() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    assert read_messages_summary(body) == Summary(fault=Fault("Overloaded", 529, native_type="overloaded_error"))
    assert read_messages_summary(b'{"error":"text"}').fault is not None
    assert read_messages_summary(b'{"content":[],"error":{"message":"x"}}').fault is None


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"3", b"<html>", b'{"usage":', b"[" * 100_000, b'{"id":' + b"[" * 100_000]
)
def test_what_is_no_object_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="no JSON object"):
        read_messages_summary(body)


@given(st.dictionaries(st.sampled_from(["id", "usage", "stop_reason", "error", "content"]), st.none() | st.integers()))
def test_any_object_is_somebody_s_answer(members: dict[str, Any]) -> None:
    summary = read_messages_summary(json.dumps(members).encode())
    assert (summary.usage, summary.finish_reason, summary.answer_id) == (None, None, None)
