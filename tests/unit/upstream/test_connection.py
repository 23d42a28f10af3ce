"""``UpstreamConnection`` driven by hand: no socket, no loop, any bytes in any split."""

import gc
import weakref
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.core.deadlines import Deadlines, Phase, Timeouts
from gateway.core.errors import UpstreamBroken, UpstreamError
from gateway.core.limits import MAX_INFORMATIONAL_RESPONSES
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.contract import RawHeaders
from gateway.upstream.exchange import HttpExchange
from tests.kit.feeds import byte_by_byte, splits, whole
from tests.kit.receiver import Recorder
from tests.kit.transport import FakeTransport

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Owner:
    """A pool that only remembers."""

    def __init__(self) -> None:
        self.time = 100.0
        self.released: list[UpstreamConnection] = []
        self.resent: list[HttpExchange] = []
        self.closed_connections: list[UpstreamConnection] = []

    def now(self) -> float:
        self.time += 1
        return self.time

    def settle(self, exchange: HttpExchange) -> None:
        exchange.is_over = True

    def release(self, connection: UpstreamConnection, now: float) -> None:
        self.released.append(connection)

    def fail(self, exchange: HttpExchange, error: UpstreamError) -> None:
        if not exchange.is_over:
            exchange.is_over = True
            exchange.receiver.response_failed(error)

    def resend(self, exchange: HttpExchange, stale: UpstreamConnection) -> None:
        self.resent.append(exchange)

    def closed(self, connection: UpstreamConnection) -> None:
        self.closed_connections.append(connection)

    def drop(self, exchange: HttpExchange) -> None:
        exchange.is_over = True
        assert exchange.connection is not None
        exchange.connection.abort()


class Line:
    """One connection with everything around it."""

    def __init__(self) -> None:
        self.owner = Owner()
        self.connection = UpstreamConnection(self.owner, self.owner.now)
        self.transport = FakeTransport(self.connection)

    def ask(self, body: bytes = b"{}", receiver: Recorder | None = None) -> Recorder:
        receiver = receiver or Recorder()
        deadlines = Deadlines(Timeouts(), False, self.owner.time, self.owner.time)
        self.exchange = HttpExchange(self.owner, HEAD, body, receiver, deadlines)
        assert self.connection.is_usable()
        self.connection.start(self.exchange, self.owner.now())
        return receiver

    def feed(self, pieces: list[bytes]) -> None:
        """As a transport would: never empty, never after the end."""
        for piece in pieces:
            if piece and not self.transport.is_aborted:
                self.connection.data_received(piece)

    def end(self) -> None:
        """The peer closes."""
        if not self.transport.is_aborted:
            self.connection.eof_received()
        self.transport.lose()


def told_of(pieces: list[bytes]) -> tuple[tuple[Any, ...], bool]:
    """What a receiver is told of ``pieces`` followed by the end of the connection; whether the connection was kept."""
    line = Line()
    answer = line.ask()
    line.feed(pieces)
    line.end()
    assert answer.is_over
    assert line.owner.closed_connections == [line.connection]
    return answer.told(), bool(line.owner.released)


# --- responses ----------------------------------------------------------------------------------------------------

names = st.from_regex(rb"\AX-[A-Za-z0-9!#$%&'*+.^_`|~-]{0,20}\Z")
values = st.from_regex(rb"\A[!-~\x80-\xff]([ \t!-~\x80-\xff]{0,20}[!-~\x80-\xff])?\Z") | st.just(b"")
fields = st.lists(st.tuples(names, values), max_size=4)


def lines(pairs: RawHeaders) -> bytes:
    return b"".join(name + b": " + value + b"\r\n" for name, value in pairs)


@st.composite
def chunks(draw: st.DrawFn, body: bytes) -> bytes:
    pieces = [piece for piece in draw(splits(body)) if piece]
    extension = draw(st.sampled_from([b"", b";a", b";a=b", b';a="b c"']))
    coded = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
    return coded + b"0\r\n" + lines(draw(fields)) + b"\r\n"


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, tuple[Any, ...], bool]:
    """The bytes of a valid response, what a receiver is to be told, and whether the connection is then kept."""
    heads = draw(st.lists(st.sampled_from([100, 102, 103, 199]), max_size=2))
    before = b"".join(b"HTTP/1.1 %d Wait\r\n%b\r\n" % (status, lines(draw(fields))) for status in heads)
    status = draw(st.sampled_from([200, 201, 307, 400, 429, 500, 529, 999]))
    body = draw(st.binary(max_size=60))
    framing = draw(st.sampled_from(["length", "chunked", "end", "none"]))
    is_close = draw(st.booleans())
    told = draw(fields)
    if is_close:
        told.append((b"Connection", b"close"))
    if framing == "length":
        told.append((draw(st.sampled_from([b"Content-Length", b"content-length"])), b"%d" % len(body)))
        coded = body
    elif framing == "chunked":
        told.append((draw(st.sampled_from([b"Transfer-Encoding", b"TRANSFER-ENCODING"])), b"chunked"))
        coded = draw(chunks(body))
    elif framing == "end":
        coded = body
    else:
        status, coded, body = draw(st.sampled_from([204, 304])), b"", b""
    told = draw(st.permutations(told))
    data = before + b"HTTP/1.1 %d Some Reason: x\r\n%b\r\n%b" % (status, lines(told), coded)
    return data, (status, told, body, True, type(None)), not is_close and framing != "end"


cut_responses = responses().flatmap(lambda row: st.tuples(st.just(row), splits(row[0])))


@settings(deadline=None)
@given(cut_responses)
def test_any_split_of_a_valid_response_tells_the_same(cut: Any) -> None:
    (data, told, is_kept), pieces = cut
    for split in (pieces, whole(data), byte_by_byte(data)):
        assert told_of(split) == (told, is_kept)


@settings(deadline=None)
@given(st.lists(cut_responses, min_size=1, max_size=4))
def test_one_connection_carries_answer_after_answer_without_mixing_them(cuts: list[Any]) -> None:
    line = Line()
    for (_, told, is_kept), pieces in cuts:
        answer = line.ask()
        line.feed(pieces)
        if not is_kept:
            line.end()
        assert answer.told() == told
        assert line.transport.is_aborted != is_kept
        if not is_kept:
            return
    assert line.owner.released == [line.connection] * len(cuts)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid response with some bytes changed, cut out or put in."""
    data = bytearray(draw(responses())[0])
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["cut", "put", "double", "end"]))
        if kind == "cut":
            del data[at : at + draw(st.integers(1, 8))]
        elif kind == "put":
            data[at:at] = draw(st.sampled_from([b"\r\n", b"\n", b":", b"\x00", b"0", b" ", b"\xff", b"chunked", b"1"]))
        elif kind == "double":
            data[at:at] = data[at : at + 30]
        else:
            del data[at:]
    return bytes(data)


@settings(deadline=None)
@given((st.binary(max_size=200) | damaged()).flatmap(splits))
@example([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"H"])
@example([b"\r\n", b"\r\n" * 50])
def test_any_bytes_end_in_exactly_one_end(pieces: list[bytes]) -> None:
    (status, headers, _body, is_over, error), is_kept = told_of(pieces)
    assert is_over
    assert error in (type(None), UpstreamBroken)
    if error is type(None):
        assert 200 <= status <= 999
        names_told = [name.lower() for name, _ in headers]
        assert names_told.count(b"content-length") + names_told.count(b"transfer-encoding") <= 1
    else:
        assert not is_kept


@settings(deadline=None)
@given(damaged().flatmap(lambda data: st.tuples(st.just(data), splits(data))))
def test_no_split_turns_a_broken_response_into_a_good_one(cut: tuple[bytes, list[bytes]]) -> None:
    """A split may only show sooner or later that bytes follow the end; what was complete before them is the same."""
    data, pieces = cut
    (status, headers, body, _, error), _ = told_of(whole(data))
    (split_status, split_headers, split_body, _, split_error), _ = told_of(pieces)
    if error is type(None):
        assert (split_status, split_headers, split_body, split_error) == (status, headers, body, error)
    elif split_error is type(None):
        assert (split_status, split_headers, split_body) == (status, headers, body)


# --- single steps -------------------------------------------------------------------------------------------------


def test_a_small_request_is_one_write() -> None:
    line = Line()
    line.ask(b"body")
    assert line.transport.written == [HEAD + b"Content-Length: 4\r\n\r\nbody"]


def test_a_large_body_is_written_without_being_copied_together() -> None:
    line = Line()
    body = b"x" * 100_000
    line.ask(body)
    assert line.transport.written == [HEAD + b"Content-Length: 100000\r\n\r\n", body]


@pytest.mark.parametrize(("method", "length"), [(b"GET", b""), (b"DELETE", b""), (b"POST", b"Content-Length: 0\r\n")])
def test_a_request_without_a_body(method: bytes, length: bytes) -> None:
    line = Line()
    deadlines = Deadlines(Timeouts(), False, 0.0, 0.0)
    head = method + b" / HTTP/1.1\r\nHost: a\r\n"
    line.connection.start(HttpExchange(line.owner, head, b"", Recorder(), deadlines), 0.0)
    assert line.transport.written == [head + length + b"\r\n"]


def test_the_deadlines_follow_the_exchange() -> None:
    line = Line()
    line.ask()
    assert line.exchange.deadlines.phase is Phase.HEADERS
    line.feed([b"HTTP/1.1 100 Continue\r\n\r\n"])
    assert line.exchange.deadlines.phase is Phase.HEADERS
    line.feed([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"])
    assert line.exchange.deadlines.phase is Phase.STALL
    before = line.exchange.deadlines.progressed_at
    line.feed([b"x"])
    assert line.exchange.deadlines.progressed_at == before + 1


def test_unsent_bytes_of_the_request_cost_the_connection() -> None:
    line = Line()
    answer = line.ask()
    line.transport.unsent_bytes = 1
    line.feed([OK])
    assert answer.body == b"ok"
    assert answer.error is None
    assert line.transport.is_aborted
    assert line.owner.released == []


def test_a_connection_used_before_is_stale_when_it_closes_without_a_byte() -> None:
    line = Line()
    line.ask()
    line.feed([OK])
    answer = line.ask(b"again")
    line.end()
    assert line.owner.resent == [line.exchange]
    assert line.exchange.body == b"again"
    assert not answer.is_over
    assert line.owner.closed_connections == []  # its slot goes to the second attempt


def test_a_fresh_connection_is_never_stale() -> None:
    line = Line()
    answer = line.ask()
    line.transport.lose(ConnectionResetError("reset"))
    assert line.owner.resent == []
    assert isinstance(answer.error, UpstreamBroken)
    assert "reset" in answer.error.detail


def test_bytes_nobody_asked_for_close_an_idle_connection() -> None:
    line = Line()
    line.ask()
    line.feed([OK])
    line.feed([b"\r"])
    assert line.transport.is_aborted
    assert not line.connection.is_usable()


def test_trailers_of_one_answer_are_not_fields_of_the_next() -> None:
    line = Line()
    line.ask()
    line.feed([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: 1\r\n\r\n"])
    answer = line.ask()
    line.feed([OK])
    assert answer.headers == [(b"Content-Length", b"2")]


def test_reading_is_resumed_before_a_connection_idles() -> None:
    line = Line()

    class Pausing(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            line.exchange.pause_reading()

    line.ask(receiver=Pausing())
    line.feed([OK])
    assert line.owner.released == [line.connection]
    assert line.transport.is_reading_now


def test_after_cancelling_in_a_callback_nothing_more_is_told() -> None:
    line = Line()

    class Leaving(Recorder):
        def response_started(self, status: int, headers: RawHeaders) -> None:
            super().response_started(status, headers)
            line.exchange.cancel()

    answer = line.ask(receiver=Leaving())
    line.connection.data_received(OK + b"garbage")
    line.transport.lose()
    assert answer.pieces == []
    assert not answer.is_over
    assert line.owner.released == []


def test_informational_responses_are_counted_for_each_answer() -> None:
    line = Line()
    for _ in range(MAX_INFORMATIONAL_RESPONSES + 1):
        answer = line.ask()
        line.feed([b"HTTP/1.1 100 Continue\r\n\r\n" + OK])
        assert answer.error is None


def test_a_receiver_that_raises_at_the_end_costs_the_connection() -> None:
    line = Line()

    class Faulty(Recorder):
        def response_ended(self) -> None:
            raise ZeroDivisionError

    line.ask(receiver=Faulty())
    with pytest.raises(ZeroDivisionError):
        line.feed([OK])
    assert line.transport.is_aborted
    assert line.owner.released == []


def test_a_closed_connection_is_freed_at_once() -> None:
    """The parser holds the connection's methods: a cycle that would wait for the collector."""
    gc.disable()
    try:
        line = Line()
        line.ask()
        line.feed([OK])
        line.end()
        gone = weakref.ref(line.transport)
        line.owner.released.clear()
        line.owner.closed_connections.clear()
        del line
        assert gone() is None
    finally:
        gc.enable()
