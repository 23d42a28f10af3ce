"""Our own closed-loop client: as many connections as asked for, each with one request on its way at any time.

    python -m loadtest.client PORT --connections 100 --seconds 3 --stream

Plain chats when wrk is missing, streams always, and with ``--hold`` many slow streams that are open all at once. It
checks what it gets: status 200, a body, and for a stream exactly the events the upstream sends with ``[DONE]`` as the
last. Anything else is an error with its reason. The result is one line of JSON on standard output (``report.Load``).
With ``--hold`` a line ``open N`` comes before it, at the moment every stream has had its first event.

It talks to 127.0.0.1 and to nothing else. The key comes from BENCH_KEY.
"""

import argparse
import asyncio
import json
import os
import time
from collections import Counter
from typing import Any

import httptools
import msgspec
import uvloop

from loadtest.report import Load, percentile
from loadtest.upstream import DEFAULT_CHUNKS, DEFAULT_INTERVAL_MS, MODEL

MAX_ERRORS = 1000  # after this many the run is broken and going on would only spin
OPENING_AT_ONCE = 100  # below every listen backlog, so that opening thousands of streams never drops a handshake
ANSWER_LIMIT_S = 30.0  # beyond the time a stream was asked to take


def chat_body(*, stream: bool, with_usage: bool = True, chunks: int = 0, interval_ms: int = 0) -> bytes:
    """A short chat, and for a stream the words that tell the upstream how to send it."""
    question = "Hello, how are you doing today?"
    request: dict[str, object] = {"model": MODEL, "temperature": 0.7}
    if stream:
        question = f"Tell me a story. chunks={chunks} interval_ms={interval_ms}"
        request["stream"] = True
        if with_usage:
            request["stream_options"] = {"include_usage": True}
    request["messages"] = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": question},
    ]
    return json.dumps(request, separators=(",", ":")).encode()


def render_request(body: bytes, key: str) -> bytes:
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %b\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (key.encode(), len(body), body)
    )


class WrongAnswerError(Exception):
    """One answer that is not what the upstream sent; its text is the reason that gets counted."""


class Answer:
    """What is known of the answer on its way: sizes and counts only, so that the client stays cheaper than a relay."""

    __slots__ = ("events", "first_at", "size", "tail")

    def __init__(self) -> None:
        self.size = 0
        self.events = 0
        self.first_at = 0.0
        self.tail = b""

    def feed(self, piece: bytes) -> None:
        """Counts the blank lines that end events, also one that is cut in two."""
        self.events += piece.count(b"\n\n") + (self.tail[-1:] == b"\n" and piece[:1] == b"\n")
        if not self.first_at and self.events:
            self.first_at = time.perf_counter()
        self.size += len(piece)
        self.tail = piece if len(piece) >= 16 else (self.tail + piece)[-16:]

    def check_stream(self, events_expected: int) -> None:
        if not self.tail.endswith(b"data: [DONE]\n\n"):
            raise WrongAnswerError("stream without [DONE]")
        if self.events != events_expected:
            raise WrongAnswerError(f"stream of {self.events} events instead of {events_expected}")


class Connection(asyncio.Protocol):
    """One kept-alive connection. ``exchange`` sends a request and gives its whole answer or a WrongAnswerError."""

    def __init__(self) -> None:
        self.is_open = False
        self.answer = Answer()
        self.done: asyncio.Future[Answer] | None = None
        self.started: asyncio.Event | None = None

    def connection_made(self, transport: Any) -> None:
        self.is_open = True
        self.transport = transport
        self.parser = httptools.HttpResponseParser(self)

    async def exchange(self, request: bytes, limit_s: float) -> Answer:
        self.answer = Answer()
        self.done = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        try:
            async with asyncio.timeout(limit_s):
                return await self.done
        except TimeoutError:
            self.transport.abort()
            raise WrongAnswerError("no whole answer in time") from None

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(f"bad HTTP: {error}")

    def on_body(self, piece: bytes) -> None:
        self.answer.feed(piece)
        if self.started is not None and self.answer.events:
            self.started.set()

    def on_message_complete(self) -> None:
        status = self.parser.get_status_code()
        if not self.parser.should_keep_alive():
            self.is_open = False
            self.transport.close()
        if status != 200:
            self.fail(f"status {status}")
        elif not self.answer.size:
            self.fail("empty answer")
        elif self.done is not None and not self.done.done():
            self.done.set_result(self.answer)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        self.fail("connection lost before the answer ended")

    def fail(self, reason: str) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_exception(WrongAnswerError(reason))


class Run:
    """One load run: what is sent, what was counted."""

    def __init__(self, options: argparse.Namespace, key: str) -> None:
        self.options = options
        self.request = render_request(
            chat_body(
                stream=options.stream,
                with_usage=not options.hide_usage,
                chunks=options.chunks,
                interval_ms=options.interval_ms,
            ),
            key,
        )
        self.events_per_stream = options.chunks + (not options.hide_usage) + 1  # usage, [DONE]
        self.stream_s = options.stream * options.chunks * options.interval_ms / 1000  # 0 for plain chats
        self.limit_s = ANSWER_LIMIT_S + self.stream_s
        self.errors: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.first_waits: list[float] = []
        self.ended_first_at = 0.0
        self.all_open_s = 0.0

    async def connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(Connection, "127.0.0.1", self.options.port)
        except OSError as error:
            raise WrongAnswerError(f"no connection: {error.strerror}") from None
        return connection

    async def ask(self, connection: Connection) -> None:
        begun = time.perf_counter()
        answer = await connection.exchange(self.request, self.limit_s)
        ended = time.perf_counter()
        if self.options.stream:
            answer.check_stream(self.events_per_stream)
            self.first_waits.append(answer.first_at - begun)
        self.latencies.append(ended - begun)

    async def keep_asking(self, deadline: float, wait_s: float) -> None:
        """One connection's closed loop. What is on its way at the deadline is waited for and counted."""
        await asyncio.sleep(wait_s)
        connection: Connection | None = None
        while time.perf_counter() < deadline and self.errors.total() < MAX_ERRORS:
            try:
                if connection is None or not connection.is_open:
                    connection = await self.connect()
                await self.ask(connection)
            except WrongAnswerError as broken:
                self.errors[str(broken)] += 1
                connection = None

    async def closed_loop(self) -> None:
        """Streams begin spread over the time that one takes, as unrelated clients would, and not in one burst."""
        deadline = time.perf_counter() + self.options.seconds
        count = self.options.connections
        waits = (i / count * self.stream_s for i in range(count))
        await asyncio.gather(*(self.keep_asking(deadline, wait_s) for wait_s in waits))

    async def hold_one(self, gate: asyncio.Semaphore, started: asyncio.Event) -> None:
        try:
            async with gate:
                connection = await self.connect()
                connection.started = started
                asked = asyncio.ensure_future(self.ask(connection))
                await asyncio.wait([asked, asyncio.ensure_future(started.wait())], return_when="FIRST_COMPLETED")
            await asked
        except WrongAnswerError as broken:
            self.errors[str(broken)] += 1
        started.set()
        self.ended_first_at = self.ended_first_at or time.perf_counter()

    async def hold(self) -> None:
        """All streams at once, one each; says when the last has started."""
        gate = asyncio.Semaphore(OPENING_AT_ONCE)
        started = [asyncio.Event() for _ in range(self.options.connections)]
        streams = [asyncio.ensure_future(self.hold_one(gate, event)) for event in started]
        for event in started:
            await event.wait()
        all_open_at = time.perf_counter()
        print(f"open {len(started)}", flush=True)
        await asyncio.gather(*streams)
        self.all_open_s = max(self.ended_first_at - all_open_at, 0.0)

    async def run(self) -> Load:
        begun = time.perf_counter()
        await (self.hold() if self.options.hold else self.closed_loop())
        streams = len(self.first_waits)
        return Load(
            requests=len(self.latencies),
            seconds=time.perf_counter() - begun,
            errors=dict(self.errors),
            p50_ms=percentile(self.latencies, 50) * 1000,
            p99_ms=percentile(self.latencies, 99) * 1000,
            chunks=streams * (self.events_per_stream - 1),
            first_p50_ms=percentile(self.first_waits, 50) * 1000,
            first_p99_ms=percentile(self.first_waits, 99) * 1000,
            all_open_s=self.all_open_s,
        )


def parse_options() -> argparse.Namespace:
    options = argparse.ArgumentParser(description="Closed-loop chat client for 127.0.0.1.")
    options.add_argument("port", type=int)
    options.add_argument("--connections", type=int, default=32)
    options.add_argument("--seconds", type=float, default=3.0)
    options.add_argument("--stream", action="store_true", help="ask for server-sent events")
    options.add_argument("--hold", action="store_true", help="one stream a connection, all open at once")
    options.add_argument("--chunks", type=int, default=DEFAULT_CHUNKS)
    options.add_argument("--interval-ms", type=int, default=DEFAULT_INTERVAL_MS)
    options.add_argument("--hide-usage", action="store_true", help="do not ask for the usage chunk")
    parsed = options.parse_args()
    parsed.stream = parsed.stream or parsed.hold
    return parsed


if __name__ == "__main__":
    result = uvloop.run(Run(parse_options(), os.environ.get("BENCH_KEY", "none")).run())
    print(msgspec.json.encode(result).decode())
