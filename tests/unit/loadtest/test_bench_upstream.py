"""The benchmark's provider: its rendered answers have the size and shape that it says."""

import asyncio
import json
import re
from typing import Any

import pytest

from loadtest import upstream


def body_of(writes: list[bytes]) -> bytes:
    framed = b"".join(writes).partition(b"\r\n\r\n")[2]
    sizes, pieces = framed.split(b"\r\n")[0::2], framed.split(b"\r\n")[1::2]
    assert [int(size, 16) for size in sizes if size][: len(pieces)] == [len(p) for p in pieces]
    return b"".join(pieces)


def events_of(writes: list[bytes]) -> list[bytes]:
    return [e.removeprefix(b"data: ") for e in body_of(writes).split(b"\n\n") if e]


def message_events_of(writes: list[bytes]) -> list[dict[str, Any]]:
    """The data of every event, whose name must be the type in it."""
    events = []
    for block in body_of(writes).removesuffix(b"\n\n").split(b"\n\n"):
        name, _, data = block.partition(b"\n")
        events.append(json.loads(data.removeprefix(b"data: ")))
        assert name == b"event: " + events[-1]["type"].encode()
    return events


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


# --- messages -----------------------------------------------------------------------------------------------------


def test_the_message_has_the_text_of_the_completion() -> None:
    message = json.loads(upstream.render_message())
    assert message["content"] == [{"type": "text", "text": upstream.ANSWER}]
    assert (message["stop_reason"], message["usage"]["output_tokens"]) == ("end_turn", 50)
    assert 550 <= len(upstream.render_message()) <= 650


@pytest.mark.parametrize("chunks", [3, 5, 50])
def test_a_stream_of_messages_has_as_many_writes_and_the_same_words(chunks: int) -> None:
    chat, messages = upstream.render_stream(chunks, True), upstream.render_message_stream(chunks)
    assert len(messages) == len(chat) == chunks + 1
    words = re.compile(rb"word\d+")
    assert words.findall(b"".join(messages)) == words.findall(b"".join(chat))
    assert all(len(words.findall(write)) <= 1 for write in messages)


def test_a_stream_of_messages_has_the_frame_of_the_api() -> None:
    events = message_events_of(upstream.render_message_stream(5))
    assert [event["type"] for event in events] == [
        *("message_start", "content_block_start", "ping"),
        *["content_block_delta"] * 3,
        *("content_block_stop", "message_delta", "message_stop"),
    ]
    assert events[0]["message"]["content"] == []
    assert events[-2]["delta"]["stop_reason"] == "end_turn"
    assert events[-2]["usage"]["output_tokens"] == 50


def test_the_first_write_of_a_stream_of_messages_has_a_word() -> None:
    assert b" word0" in upstream.render_message_stream(5)[0]


# --- serving ------------------------------------------------------------------------------------------------------


class Wire:
    """A transport that keeps what is written to it and knows when the answer is over."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_over = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        if b"chunked" not in self.writes[0] or data.endswith(b"0\r\n\r\n"):
            self.is_over.set()


async def ask(path: str, body: bytes, served: upstream.Served) -> list[bytes]:
    wire, connection = Wire(), upstream.Connection(served)
    connection.connection_made(wire)
    connection.data_received(
        b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)
    )
    await wire.is_over.wait()
    return wire.writes


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/v1/chat/completions", b"{}", [upstream.COMPLETION]),
        ("/v1/messages", b"{}", [upstream.MESSAGE]),
        ("/v1/chat/completions", b'{"stream":true,"x":"chunks=4 interval_ms=1"}', upstream.render_stream(4, False)),
        ("/v1/messages", b'{"stream":true,"x":"chunks=4 interval_ms=1"}', upstream.render_message_stream(4)),
    ],
)
def test_each_path_is_answered_in_its_language_and_counted(path: str, body: bytes, expected: list[bytes]) -> None:
    served = upstream.Served()
    assert asyncio.run(ask(path, body, served)) == expected
    assert served.chats == 1


def test_another_path_is_not_here_and_not_counted() -> None:
    served = upstream.Served()
    assert asyncio.run(ask("/v1/messages/count_tokens", b"{}", served)) == [upstream.NOT_FOUND]
    assert served.chats == 0
