"""``HttpUpload`` driven by hand: what it writes, whatever the pieces, and which clock runs when."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.deadlines import Deadlines, Phase, Timeouts
from gateway.core.errors import UpstreamError
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.exchange import NOBODY, HttpExchange
from gateway.upstream.upload import HttpUpload
from tests.kit.feeds import splits
from tests.kit.receiver import Recorder
from tests.kit.transport import FakeTransport

TIMEOUTS = Timeouts(connect=5, headers=10, stall=30, total=100)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Owner:
    """A pool with a clock that the test sets."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.released: list[UpstreamConnection] = []
        self.resent: list[HttpExchange] = []

    def now(self) -> float:
        return self.time

    def settle(self, exchange: HttpExchange) -> None:
        exchange.is_over = True
        exchange.receiver = NOBODY

    def release(self, connection: UpstreamConnection, now: float) -> None:
        self.released.append(connection)

    def drop(self, exchange: HttpExchange) -> None:
        self.settle(exchange)
        if exchange.connection is not None:
            exchange.connection.abort()

    def fail(self, exchange: HttpExchange, error: UpstreamError) -> None:
        if not exchange.is_over:
            receiver = exchange.receiver
            self.drop(exchange)
            receiver.response_failed(error)

    def resend(self, exchange: HttpExchange, stale: UpstreamConnection) -> None:
        self.resent.append(exchange)
        exchange.connection = None

    def closed(self, connection: UpstreamConnection) -> None: ...


class Line:
    """An upload and the connection it is to be sent on."""

    def __init__(self, length: int | None, head: bytes = b"POST / HTTP/1.1\r\nHost: a\r\n") -> None:
        self.owner = Owner()
        self.answer = Recorder()
        self.connection = UpstreamConnection(self.owner, self.owner.now)
        self.transport = FakeTransport(self.connection)
        closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.upload = HttpUpload(
            *(self.owner, head, b"", NOBODY, Deadlines(TIMEOUTS, False, 1000.0, 1000.0)),
            reader=self.answer,
            length=length,
            closed=closed,
        )
        self.upload.receiver = self.upload

    def start(self) -> None:
        self.connection.start(self.upload, self.owner.time)

    def due(self) -> tuple[float, Phase | None]:
        """When the next deadline passes, and its phase."""
        deadlines = self.upload.deadlines
        assert deadlines.passed(0) is None
        return deadlines.at, deadlines.passed(deadlines.at) if deadlines.at < 1e9 else None


def on_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The upload needs a loop for its future only, and nothing here waits."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Read:
    """A request as a server's parser reads it."""

    def __init__(self, data: bytes) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.ends = 0
        httptools.HttpRequestParser(self).feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name] = value

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.ends += 1


@given(
    cut=st.binary(max_size=200).flatmap(lambda body: st.tuples(st.just(body), splits(body))),
    is_known=st.booleans(),
    early=st.integers(0, 14),
)
def test_any_pieces_make_the_same_request(cut: tuple[bytes, list[bytes]], is_known: bool, early: int) -> None:
    async def work() -> None:
        body, pieces = cut
        line = Line(len(body) if is_known else None)
        for number, piece in enumerate(pieces):
            if number == early:
                line.start()
            line.upload.write(piece)
        line.upload.end()
        if early >= len(pieces):
            line.start()
        request = Read(b"".join(line.transport.written))
        assert request.body == body
        assert request.ends == 1
        assert (b"Content-Length" in request.headers, b"Transfer-Encoding" in request.headers) == (
            is_known,
            not is_known,
        )
        line.connection.data_received(OK)
        assert line.answer.body == b"ok"
        assert line.owner.released == [line.connection]

    asyncio.run(work())


@on_loop
async def test_which_clock_runs() -> None:
    line = Line(6)
    assert line.due() == (1005, Phase.CONNECT)
    line.owner.time = 1004
    line.start()
    assert line.due() == (float("inf"), None)
    line.owner.time = 1050  # the client let it wait
    line.upload.write(b"123")
    line.connection.pause_writing()
    assert line.due() == (1080, Phase.STALL)
    line.owner.time = 1060
    line.connection.resume_writing()
    assert line.due() == (float("inf"), None)
    line.owner.time = 1100
    line.upload.write(b"456")
    line.upload.end()
    assert line.due() == (1110, Phase.HEADERS)
    # 46 and 40 seconds of waiting for the client are not the provider's
    assert line.upload.deadlines.began_at == 1086


@on_loop
async def test_a_body_that_was_whole_before_the_connection_waits_for_its_answer_at_once() -> None:
    line = Line(2)
    line.upload.write(b"ab")
    line.upload.end()
    line.start()
    assert line.due() == (1010, Phase.HEADERS)


@on_loop
async def test_a_provider_that_reads_slowly_does_not_stall() -> None:
    line = Line(1000)
    line.start()
    line.upload.write(b"x" * 1000)
    line.transport.unsent_bytes = 900
    line.connection.pause_writing()
    line.owner.time = 1030
    line.transport.unsent_bytes = 899
    assert line.upload.judge_timeout(Phase.STALL, 1030) is None
    assert line.due() == (1060, Phase.STALL)
    error = line.upload.judge_timeout(Phase.STALL, 1060)
    assert error is not None
    assert error.phase == "stall"
    # the end of the body waits in the transport as well
    line.upload.end()
    assert line.due() == (1040, Phase.HEADERS)
    line.transport.unsent_bytes = 0
    assert line.upload.judge_timeout(Phase.HEADERS, 1040) is None
    assert line.due() == (1050, Phase.HEADERS)
    assert line.upload.judge_timeout(Phase.HEADERS, 1050) is not None
    assert line.upload.judge_timeout(Phase.TOTAL, 1050) is not None


@pytest.mark.parametrize("is_begun", [False, True])
@on_loop
async def test_only_a_body_that_has_not_begun_is_sent_again(is_begun: bool) -> None:
    line = Line(2)
    line.connection.is_reused = True
    line.start()
    if is_begun:
        line.upload.write(b"1")
    line.transport.lose()
    assert (line.owner.resent == [line.upload]) is not is_begun
    assert line.answer.is_over is is_begun


@on_loop
async def test_unsent_bytes_do_not_count_when_nothing_is_left_to_tell() -> None:
    line = Line(None)
    line.start()
    line.upload.cancel()
    line.connection.pause_writing()
    line.connection.resume_writing()
    line.upload.write(b"x")
    line.upload.end()
    assert line.transport.written == [b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"]
    assert not line.answer.is_over


@on_loop
async def test_head_and_get_without_a_body_do_not_speak_of_one() -> None:
    for method in (b"HEAD", b"GET"):
        head = method + b" / HTTP/1.1\r\nHost: a\r\n"
        line = Line(0, head)
        line.upload.end()
        line.start()
        assert line.transport.written == [head + b"\r\n"]
        assert line.upload.is_head is (method == b"HEAD")
