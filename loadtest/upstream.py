"""The fixed local provider that every target of the benchmark talks to.

    python -m loadtest.upstream PORT

It answers from bytes rendered beforehand, so that what is measured is the relay in front of it:

    POST .../chat/completions    a 600-byte chat completion, or server-sent events when the body has "stream":true
    POST .../messages            the same text as an answer of the Anthropic Messages API, plain or streamed
    GET  .../models              one model, ``bench-model``
    GET  /health                 200
    GET  /bench/served           {"chats": N}, the chat requests that really arrived: a gateway that answers from
                                 a cache, or twice for one request, is found out

The shape of a stream is asked for in the text of a message, the one part of a request that every gateway passes on
untouched: ``chunks=50 interval_ms=2``. The first chunk goes out at once with the head, each further one an interval
after the one before. So a late chunk delays the rest and chunks of one stream never leave bunched together. The usage
chunk (when asked for by ``include_usage``) and ``[DONE]`` follow one interval after the last chunk.

A stream of messages has the same text in as many writes, paced alike. The first holds the beginning of the message and
of its block, and the first word with them, so that a translation has something to tell at once, as the role of a chat
completion is; the last three are the end of the block, the usage and the end of the message.
"""

import asyncio
import functools
import json
import re
import sys
from typing import Any

import httptools
import uvloop

MODEL = "bench-model"
DEFAULT_CHUNKS = 50
DEFAULT_INTERVAL_MS = 2
ANSWER = (
    "A relay is a runner who carries what was handed to them and adds nothing of their own. The best praise for one is "
    "that nobody noticed the change of hands, and that the message arrived exactly as it left."
)

_STREAMED = re.compile(rb'"stream"\s*:\s*true')
_USAGE_ASKED = re.compile(rb'"include_usage"\s*:\s*true')
_SHAPE = re.compile(rb"chunks=(\d{1,6}) interval_ms=(\d{1,6})")
_INPUT_TOKENS, _OUTPUT_TOKENS = 25, 50
_USAGE = {
    "prompt_tokens": _INPUT_TOKENS,
    "completion_tokens": _OUTPUT_TOKENS,
    "total_tokens": _INPUT_TOKENS + _OUTPUT_TOKENS,
    "prompt_tokens_details": {"cached_tokens": 0},
}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def render_answer(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status.encode(),
        len(body),
        body,
    )


# --- chat completions ---------------------------------------------------------------------------------------------


def render_completion() -> bytes:
    """The body of the plain answer, in the shape of the OpenAI chat completions reference."""
    message: dict[str, object] = {"role": "assistant", "content": ANSWER, "refusal": None, "annotations": []}
    return _json(
        {
            "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
            "object": "chat.completion",
            "created": 1741569952,
            "model": MODEL,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": _USAGE,
            "service_tier": "default",
            "system_fingerprint": "fp_06737a9306",
        }
    )


def render_event(choices: list[object], **usage: object) -> bytes:
    chunk = {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion.chunk",
        "created": 1741569952,
        "model": MODEL,
        "system_fingerprint": "fp_06737a9306",
        "choices": choices,
        **usage,
    }
    return b"data: %b\n\n" % _json(chunk)


def _choice(delta: dict[str, str], finish: str | None = None) -> list[object]:
    return [{"index": 0, "delta": delta, "finish_reason": finish}]


@functools.lru_cache(maxsize=32)
def render_stream(chunks: int, with_usage: bool) -> list[bytes]:
    """The writes of one stream, framed for chunked transfer coding: head and role, content, finish, usage and end.

    As at OpenAI, every chunk says ``"usage":null`` when usage was asked for, and none mentions it otherwise.
    """
    contents = [_choice({"content": word}) for word in _words(chunks)]
    choices = [_choice({"role": "assistant", "content": ""}), *contents, _choice({}, "stop")]
    no_usage_yet = {"usage": None} if with_usage else {}
    events = [render_event(choice, **no_usage_yet) for choice in choices]
    end = (render_event([], usage=_USAGE) if with_usage else b"") + b"data: [DONE]\n\n"
    return _framed([*events, end])


def _words(chunks: int) -> list[str]:
    """What a stream says between its first chunk and its last."""
    return [f" word{i}" for i in range(chunks - 2)]


def _framed(pieces: list[bytes]) -> list[bytes]:
    """The writes of a stream: a chunk of the transfer coding each, the head before the first, the end behind the
    last."""
    writes = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [head + writes[0], *writes[1:-1], writes[-1] + b"0\r\n\r\n"]


# --- messages -----------------------------------------------------------------------------------------------------


def _message_usage(output_tokens: int) -> dict[str, int]:
    return {
        "input_tokens": _INPUT_TOKENS,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
    }


def _message(content: list[object], stop_reason: str | None, output_tokens: int) -> dict[str, object]:
    """In the shape of the Anthropic Messages reference, with the members that answers have today."""
    lives = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}
    return {
        "model": MODEL,
        "id": "msg_01TgVUzQ9JzvVwLqFkVbeGfR",
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {**_message_usage(output_tokens), "cache_creation": lives, "service_tier": "standard"},
    }


def render_message() -> bytes:
    """The body of the plain answer to a request for a message."""
    return _json(_message([{"type": "text", "text": ANSWER}], "end_turn", _OUTPUT_TOKENS))


def render_message_event(kind: str, **members: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _json({"type": kind, **members}))


@functools.lru_cache(maxsize=32)
def render_message_stream(chunks: int) -> list[bytes]:
    """The writes of one stream of messages: as many as ``render_stream`` has, and the same words in them."""
    begin = [
        render_message_event("message_start", message=_message([], None, 1)),
        render_message_event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        render_message_event("ping"),
    ]
    words = [
        render_message_event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
        for word in _words(chunks)
    ]
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    end = [
        render_message_event("content_block_stop", index=0),
        render_message_event("message_delta", delta=stop, usage=_message_usage(_OUTPUT_TOKENS)),
        render_message_event("message_stop"),
    ]
    return _framed([b"".join([*begin, *words[:1]]), *words[1:], *end])


# --- serving ------------------------------------------------------------------------------------------------------

COMPLETION = render_answer("200 OK", render_completion())
MESSAGE = render_answer("200 OK", render_message())
MODELS = render_answer(
    "200 OK",
    _json(
        {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 1741569952, "owned_by": "loadtest"}]}
    ),
)
HEALTHY = render_answer("200 OK", b'{"status":"ok"}')
NOT_FOUND = render_answer("404 Not Found", b'{"error":{"message":"not here","type":"invalid_request_error"}}')


class Served:
    """How many chat requests arrived since the start."""

    def __init__(self) -> None:
        self.chats = 0


class Connection(asyncio.Protocol):
    def __init__(self, served: Served) -> None:
        self.served = served
        self.loop = asyncio.get_running_loop()
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.body = b""

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_body(self, piece: bytes) -> None:
        self.body += piece

    def on_message_complete(self) -> None:
        if self.url.endswith((b"/chat/completions", b"/messages")):
            self.served.chats += 1
            self.answer_chat(is_message=self.url.endswith(b"/messages"))
        elif self.url.endswith(b"/models"):
            self.transport.write(MODELS)
        elif self.url == b"/health":
            self.transport.write(HEALTHY)
        elif self.url == b"/bench/served":
            self.transport.write(render_answer("200 OK", _json({"chats": self.served.chats})))
        else:
            self.transport.write(NOT_FOUND)

    def answer_chat(self, *, is_message: bool) -> None:
        if _STREAMED.search(self.body) is None:
            self.transport.write(MESSAGE if is_message else COMPLETION)
            return
        shape = _SHAPE.search(self.body)
        asked, interval_ms = map(int, shape.groups()) if shape else (DEFAULT_CHUNKS, DEFAULT_INTERVAL_MS)
        self.interval_s = interval_ms / 1000
        chunks = max(asked, 2)
        if is_message:
            self.writes = render_message_stream(chunks)
        else:
            self.writes = render_stream(chunks, _USAGE_ASKED.search(self.body) is not None)
        self.written = 0
        self.write_next()

    def write_next(self) -> None:
        self.transport.write(self.writes[self.written])
        self.written += 1
        if self.written < len(self.writes):
            self.timer = self.loop.call_later(self.interval_s, self.write_next)

    def connection_lost(self, error: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()


async def serve(port: int) -> None:
    served = Served()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(served), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
