"""The benchmark's provider: its rendered answers have the size and shape that it says."""

import json

import pytest

from loadtest import upstream


def events_of(writes: list[bytes]) -> list[bytes]:
    framed = b"".join(writes).partition(b"\r\n\r\n")[2]
    sizes, pieces = framed.split(b"\r\n")[0::2], framed.split(b"\r\n")[1::2]
    assert [int(size, 16) for size in sizes if size][: len(pieces)] == [len(p) for p in pieces]
    return [e.removeprefix(b"data: ") for e in b"".join(pieces).split(b"\n\n") if e]


def test_the_completion_is_about_600_bytes() -> None:
    body = upstream.render_completion()
    assert 550 <= len(body) <= 650
    assert json.loads(body)["choices"][0]["message"]["content"] == upstream.ANSWER


def test_the_completion_is_framed_with_its_length() -> None:
    head, _, body = upstream.COMPLETION.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: %d" % len(body) in head


def test_a_stream_is_one_write_a_chunk_and_one_for_the_end() -> None:
    assert len(upstream.render_stream(50, True)) == 51


@pytest.mark.parametrize("with_usage", [True, False])
def test_a_stream_begins_with_the_role_and_ends_with_the_reason_and_done(with_usage: bool) -> None:
    *events, done = events_of(upstream.render_stream(5, with_usage))
    chunks = [json.loads(e) for e in events]
    assert done == b"[DONE]"
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [c["choices"][0]["finish_reason"] for c in chunks[:5]] == [None] * 4 + ["stop"]
    assert len(chunks) == 5 + with_usage


def test_usage_is_in_a_chunk_without_choices_and_null_before() -> None:
    *before, last = [json.loads(e) for e in events_of(upstream.render_stream(5, True))[:-1]]
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 75
    assert all(c["usage"] is None for c in before)


def test_usage_that_was_not_asked_for_is_not_mentioned() -> None:
    assert b"usage" not in b"".join(upstream.render_stream(5, False))
