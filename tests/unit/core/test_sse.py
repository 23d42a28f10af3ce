import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core import sse
from gateway.core.limits import MAX_SSE_EVENT_BYTES
from gateway.core.sse import SseDecoder, SseEvent, WholeEvents, encode_event
from tests.kit.feeds import byte_by_byte, cut_at, feed_all, splits, whole


def decode(data: bytes) -> list[tuple[str, bytes]]:
    decoder = SseDecoder()
    events = [*decoder.feed(data), *decoder.finish()]
    return [(e.event, e.data) for e in events]


def reference(data: bytes) -> list[tuple[str, bytes]]:
    """WHATWG HTML 9.2.6, step by step and slowly: one byte at a time, one variable for each buffer of the standard."""
    lines, line, position = [], bytearray(), 0
    data = data[3:] if data[:3] == b"\xef\xbb\xbf" else data
    while position < len(data):
        byte = data[position]
        if byte in b"\r\n":
            lines.append(bytes(line))
            line.clear()
            if byte == 0x0D and data[position + 1 : position + 2] == b"\n":
                position += 1
        else:
            line.append(byte)
        position += 1
    events, data_buffer, type_buffer = [], b"", b""
    for text in lines:
        if text == b"":
            if data_buffer != b"":
                events.append((type_buffer.decode("utf-8", "replace") or "message", data_buffer[:-1]))
            data_buffer, type_buffer = b"", b""
            continue
        if text[0] == ord(":"):
            continue
        colon = text.find(b":")
        field, value = (text, b"") if colon < 0 else (text[:colon], text[colon + 1 :])
        if value[:1] == b" ":
            value = value[1:]
        if field == b"event":
            type_buffer = value
        elif field == b"data":
            data_buffer += value + b"\n"
    return events


# Bytes that parsers of this format stumble over, often enough to meet each other.
_FRAGMENTS = [
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"data", b"data:", b"data: ", b"event:", b"event: ", b"id: 1", b"id: a\0b"),
    *(b"retry: 10", b":", b": ping", b" ", b"x", b'{"a":1}', b"\xef\xbb\xbf", b"\0", b"\xff", b"\xc3\xa9"),
    *(b"data: [DONE]\n\n", b'event: ping\ndata: {"type":"ping"}\n\n', b"Data: x\n", b"data : y\n"),
]
fragments = st.sampled_from(_FRAGMENTS)
streams = st.lists(fragments | st.binary(max_size=6), max_size=30).map(b"".join)


@given(streams)
@example(b"\xef\xbb")
@example(b"\xef\xbb\xbf\xef\xbb\xbfdata: 1\n\n")
@example(b"data: a\n\n\ndata: b\n\n")
@example(b"\r\n\r\rdata: a\r\r\n")
def test_decodes_as_the_standard_says(data: bytes) -> None:
    assert decode(data) == reference(data)


@given(streams.flatmap(lambda data: st.tuples(st.just(data), splits(data))))
def test_cuts_do_not_matter(case: tuple[bytes, list[bytes]]) -> None:
    data, pieces = case
    answers = []
    for cut in (whole(data), byte_by_byte(data), pieces):
        decoder = SseDecoder()
        events = list(feed_all(decoder.feed, cut))
        events += decoder.finish()
        answers.append((events, decoder.is_partial, decoder.overflowed))
    assert answers[0] == answers[1] == answers[2]


@given(st.lists(st.tuples(st.text(), st.binary()), max_size=8), st.data())
def test_encoded_events_decode_to_themselves(events: list[tuple[str, bytes]], choose: st.DataObject) -> None:
    sent = [(name.replace("\r", "").replace("\n", ""), data.replace(b"\r", b"")) for name, data in events]
    stream = b"".join(encode_event(data, name.encode("utf-8", "replace").decode()) for name, data in sent)
    decoder = SseDecoder()
    got = list(feed_all(decoder.feed, choose.draw(splits(stream))))
    expected = [(name.encode("utf-8", "replace").decode() or "message", data) for name, data in sent]
    assert [(e.event, e.data) for e in got] == expected


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"", []),
        (b"data: x\n\n", [("message", b"x")]),
        (b"data:x\n\n", [("message", b"x")]),
        (b"data:  x\n\n", [("message", b" x")]),
        (b"data\n\n", [("message", b"")]),
        (b"data:\ndata\n\n", [("message", b"\n")]),
        (b"data: a\ndata: b\n\n", [("message", b"a\nb")]),
        (b"event: ping\ndata: {}\n\n", [("ping", b"{}")]),
        (b"data: {}\nevent: late\n\n", [("late", b"{}")]),
        (b"event: one\nevent: two\ndata: x\n\n", [("two", b"x")]),
        (b"event:\ndata: x\n\n", [("message", b"x")]),
        (b"event: lost\n\ndata: x\n\n", [("message", b"x")]),
        (b"event: \xff\ndata: \xff\n\n", [("\ufffd", b"\xff")]),
        (b": comment\n\n", []),
        (b": PROCESSING\n\ndata: x\n\n", [("message", b"x")]),
        (b": inside\ndata: x\n\n", [("message", b"x")]),
        (b"id: 7\nretry: 100\ndata: x\n\n", [("message", b"x")]),
        (b"id: a\0b\ndata: x\n\n", [("message", b"x")]),
        (b"retry: soon\ndata: x\n\n", [("message", b"x")]),
        (b"id: 7\n\n", []),
        (b"DATA: x\n\n", []),
        (b"data : x\n\n", []),
        (b" data: x\n\n", []),
        (b"data: a\0b\n\n", [("message", b"a\0b")]),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [("message", b"a"), ("message", b"b"), ("message", b"c")]),
        (b"data: a\r\n\ndata: b\n\r", [("message", b"a"), ("message", b"b")]),
        (b"\xef\xbb\xbfdata: x\n\n", [("message", b"x")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\n", []),
        (b"data: x\n\n\xef\xbb\xbfdata: y\n\n", [("message", b"x")]),
        (b"\n\n\ndata: x\n\n\n\n", [("message", b"x")]),
        (b"data: x: y\n\n", [("message", b"x: y")]),
    ],
)
def test_rules_one_by_one(stream: bytes, expected: list[tuple[str, bytes]]) -> None:
    assert decode(stream) == expected
    assert reference(stream) == expected


def test_events_come_with_the_bytes_that_complete_them() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\n") == []
    assert decoder.feed(b"\ndata: b\n\nda") == [SseEvent("message", b"a"), SseEvent("message", b"b")]
    assert decoder.feed(b"ta: c\r") == []
    assert decoder.feed(b"\r") == [SseEvent("message", b"c")], "a lone CR ends a line without waiting for an LF"
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"") == []
    assert decoder.feed(b"data: d\n\n") == [SseEvent("message", b"d")]


@pytest.mark.parametrize(
    ("tail", "is_partial"),
    [
        (b"", False),
        (b"\n", False),
        (b": ping\n", False),
        (b": pi", False),
        (b"data: x\n", True),
        (b"data: x", True),
        (b"event: x\n", True),
        (b": ping\ndata: x\r\n", True),
        (b"d", True),
    ],
)
def test_an_unfinished_event_is_discarded_and_told(tail: bytes, is_partial: bool) -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: whole\n\n" + tail) == [SseEvent("message", b"whole")]
    assert not decoder.is_partial
    assert decoder.finish() == []
    assert decoder.is_partial is is_partial


def test_half_a_byte_order_mark_is_an_unfinished_line() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"\xef\xbb") == []
    assert decoder.finish() == []
    assert decoder.is_partial


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> int:
    """The real bound is megabytes; its arithmetic does not care."""
    monkeypatch.setattr(sse, "MAX_SSE_EVENT_BYTES", 20)
    return 20


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_the_bound_is_exact_and_does_not_depend_on_cuts(small_limit: int, excess: int, end: bytes) -> None:
    payload = b"x" * (small_limit - len(b"data: ") + excess)
    stream = b"data: a" + end * 2 + b"data: " + payload + end * 2 + b"data: b" + end * 2
    for cuts in ([], range(len(stream)), *([i] for i in range(len(stream)))):
        decoder = SseDecoder()
        events = [e.data for e in feed_all(decoder.feed, cut_at(stream, cuts))]
        assert events == ([b"a"] if excess else [b"a", payload, b"b"])
        assert decoder.overflowed is bool(excess)


def test_endless_comments_without_an_empty_line_overflow(small_limit: int) -> None:
    decoder = SseDecoder()
    for _ in range(small_limit):
        assert decoder.feed(b":\n") == []
    assert decoder.overflowed
    assert decoder.feed(b"\n\ndata: x\n\n") == []
    assert decoder.finish() == []
    assert not decoder.is_partial


def test_what_is_held_stays_below_the_bound() -> None:
    decoder = SseDecoder()
    piece = b"data: " + b"x" * (MAX_SSE_EVENT_BYTES // 4)
    for _ in range(8):
        decoder.feed(piece)
    assert decoder.overflowed
    assert len(decoder._pending) == 0


@pytest.mark.parametrize(
    ("data", "event", "expected"),
    [
        (b"[DONE]", None, b"data: [DONE]\n\n"),
        (b'{"a":1}', "error", b'event: error\ndata: {"a":1}\n\n'),
        (b"", None, b"data: \n\n"),
        (b"a\nb", None, b"data: a\ndata: b\n\n"),
        (b"a\r\nb\rc", "x", b"event: x\ndata: a\ndata: b\ndata: c\n\n"),
    ],
)
def test_an_event_is_encoded_with_its_name_and_each_line_of_its_data(
    data: bytes, event: str | None, expected: bytes
) -> None:
    assert encode_event(data, event) == expected


@pytest.mark.parametrize("event", ["a\nb", "a\rdata: x", "\n"])
def test_an_event_name_cannot_break_the_line(event: str) -> None:
    with pytest.raises(ValueError, match="event name"):
        encode_event(b"x", event)


# --- whole events ---------------------------------------------------------------------------------------------------


def cut_whole(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    """What is passed on, piece by piece, and what broke off."""
    events = WholeEvents()
    passed = [events.feed(piece) for piece in pieces]
    last, rest = events.finish()
    return [*passed, last], rest


@given(streams.flatmap(lambda data: st.tuples(st.just(data), splits(data))))
@example((b"data: a\n\n\n", [b"data: a\n\n", b"\n"]))
@example((b"data: a\r\r", [b"data: a\r\r"]))
def test_no_byte_changes_and_nothing_ends_inside_an_event(case: tuple[bytes, list[bytes]]) -> None:
    data, pieces = case
    expected = cut_whole([data])
    for cut in (pieces, byte_by_byte(data)):
        passed, rest = cut_whole(cut)
        assert b"".join(passed) == b"".join(expected[0])
        assert rest == expected[1]
        assert b"".join(passed) + rest == data
        decoder = SseDecoder()
        for piece in passed:
            decoder.feed(piece)
            # lines of half an event would be pending
            assert not bytes(decoder._pending).strip(b"\n")
    assert decode(b"".join(expected[0])) == decode(data)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\n\r\n", b"\r\r\n", b"\r\n\n"])
def test_an_event_is_passed_on_with_the_bytes_that_end_it(end: bytes) -> None:
    events = WholeEvents()
    assert events.feed(b"data: a" + end) == b"data: a" + end
    assert [events.feed(piece) for piece in (b"da", b"ta: b", end[:-1], end[-1:] + b"data: c")][-1].startswith(b"data")
    assert events.finish() == (b"", b"data: c")


def test_a_last_return_may_be_half_a_line_end_and_waits() -> None:
    events = WholeEvents()
    assert events.feed(b"data: a\r\r") == b""
    assert events.feed(b"data: b\r\r") == b"data: a\r\r"
    assert events.finish() == (b"data: b\r\r", b"")


@pytest.mark.parametrize("excess", [0, 1])
def test_a_held_event_is_bounded(small_limit: int, excess: int) -> None:
    events = WholeEvents()
    half = b"x" * (small_limit + excess)
    assert events.feed(b"data: a\n\n" + half) == b"data: a\n\n"
    assert events.overflowed is bool(excess)
    assert events.feed(b"\n\n") == (b"" if excess else half + b"\n\n")
    assert events.feed(b"data: b\n\n") == (b"" if excess else b"data: b\n\n")
    assert events.finish() == (b"", b"")
