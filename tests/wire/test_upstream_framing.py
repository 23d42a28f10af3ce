"""What an upstream may send: each row is bytes on a real socket and what becomes of them."""

import pytest

from gateway.core.errors import UpstreamBroken
from gateway.core.limits import MAX_INFORMATIONAL_RESPONSES, MAX_UPSTREAM_HEADER_BYTES, MAX_UPSTREAM_HEADERS
from tests.kit.client import ask, upstream_to
from tests.kit.loops import on_both_loops
from tests.kit.peer import OK, Peer, PeerConnection, Script, serve
from tests.kit.receiver import Recorder

KEPT, CLOSED = True, False


def response(*lines: str, body: bytes = b"", status: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([status, *lines, "", ""]).encode("latin-1") + body


def chunked(body: bytes, *lines: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return response("Transfer-Encoding: chunked", *lines, body=body, status=status)


def once(data: bytes, *, then_close: bool) -> Script:
    async def script(connection: PeerConnection) -> None:
        await connection.answer(data)
        if not then_close:
            await connection.gone()

    return script


# name, bytes, body, whether the connection may be used again
VALID = [
    ("content length", response("Content-Length: 5", body=b"hello"), b"hello", KEPT),
    ("empty body", response("Content-Length: 0"), b"", KEPT),
    ("length in odd case and spaces", response("cOnTeNt-LeNgTh: \t 2 ", body=b"hi"), b"hi", KEPT),
    ("chunked", chunked(b"2\r\nhi\r\n3\r\n ho\r\n0\r\n\r\n"), b"hi ho", KEPT),
    ("chunked in capitals", response("Transfer-Encoding: CHUNKED ", body=b"0\r\n\r\n"), b"", KEPT),
    ("chunk extensions", chunked(b'2;a=b;c="d"\r\nhi\r\n0\r\n\r\n'), b"hi", KEPT),
    ("upper-case chunk size", chunked(b"A\r\n0123456789\r\n0\r\n\r\n"), b"0123456789", KEPT),
    ("trailers are dropped", chunked(b"2\r\nhi\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n"), b"hi", KEPT),
    ("no content", response(status="HTTP/1.1 204 No Content"), b"", KEPT),
    ("no content with length 0", response("Content-Length: 0", status="HTTP/1.1 204 No Content"), b"", KEPT),
    ("not modified with a length", response("Content-Length: 9", status="HTTP/1.1 304 Not Modified"), b"", KEPT),
    ("no reason phrase", response("Content-Length: 2", body=b"hi", status="HTTP/1.1 200"), b"hi", KEPT),
    ("connection close", response("Connection: close", "Content-Length: 2", body=b"hi"), b"hi", CLOSED),
    ("close among others", response("Connection: x, Close", "Content-Length: 2", body=b"hi"), b"hi", CLOSED),
    ("HTTP/1.0", response("Content-Length: 2", body=b"hi", status="HTTP/1.0 200 OK"), b"hi", CLOSED),
    (
        "HTTP/1.0 kept alive",
        response("Connection: keep-alive", "Content-Length: 2", body=b"hi", status="HTTP/1.0 200 OK"),
        b"hi",
        KEPT,
    ),
    (
        "an upgrade offered",
        response("Upgrade: h2c", "Connection: upgrade", "Content-Length: 2", body=b"hi"),
        b"hi",
        KEPT,
    ),
    ("continue first", response(status="HTTP/1.1 100 Continue") + OK, b"ok", KEPT),
    ("early hints first", response("Link: </a>", status="HTTP/1.1 103 Early Hints") + OK, b"ok", KEPT),
    ("an unknown 1xx first", response("A: b", status="HTTP/1.1 199 ?") + OK, b"ok", KEPT),
    ("as many 1xx as may be", response(status="HTTP/1.1 100 C") * MAX_INFORMATIONAL_RESPONSES + OK, b"ok", KEPT),
    ("a redirect", response("Location: http://other/", "Content-Length: 0", status="HTTP/1.1 307 Go"), b"", KEPT),
    ("an error status", response("Content-Length: 2", body=b"no", status="HTTP/1.1 529 Overloaded"), b"no", KEPT),
]

# name, bytes, whether the peer then closes (else it waits for us to close)
BROKEN = [
    ("both lengths", response("Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), False),
    ("both lengths, other order", chunked(b"0\r\n\r\n", "Content-Length: 5"), False),
    ("two lengths", response("Content-Length: 2", "Content-Length: 3", body=b"hi!"), False),
    ("two equal lengths", response("Content-Length: 2", "Content-Length: 2", body=b"hi"), False),
    ("a list of lengths", response("Content-Length: 2, 2", body=b"hi"), False),
    ("a signed length", response("Content-Length: +2", body=b"hi"), False),
    ("a negative length", response("Content-Length: -2", body=b"hi"), False),
    ("a length in hex", response("Content-Length: 0x2", body=b"hi"), False),
    ("no length in the field", response("Content-Length:", body=b"hi"), False),
    ("a length of 20 digits", response("Content-Length: 99999999999999999999", body=b"hi"), False),
    ("gzip, chunked", response("Transfer-Encoding: gzip, chunked", body=b"2\r\nhi\r\n0\r\n\r\n"), False),
    ("chunked, gzip", response("Transfer-Encoding: chunked, gzip", body=b"2\r\nhi\r\n0\r\n\r\n"), False),
    ("identity", response("Transfer-Encoding: identity", body=b"hi"), False),
    ("xchunked", response("Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), False),
    ("quoted chunked", response('Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"), False),
    ("chunked twice", chunked(b"0\r\n\r\n", "Transfer-Encoding: chunked"), False),
    ("a coding in two fields", chunked(b"0\r\n\r\n", "Transfer-Encoding: gzip"), False),
    ("no coding in the field", response("Transfer-Encoding:", body=b"hi"), False),
    ("vertical tab before chunked", response("Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"), False),
    ("chunked on HTTP/1.0", chunked(b"2\r\nhi\r\n0\r\n\r\n", status="HTTP/1.0 200 OK"), False),
    ("chunked without a body", chunked(b"0\r\n\r\n", status="HTTP/1.1 204 No Content"), False),
    ("bytes after the end", response("Content-Length: 2", body=b"hi!"), False),
    ("a second response", OK + OK, False),
    ("the beginning of a second response", OK + b"HTTP/1.", False),
    ("bytes after 204", response(status="HTTP/1.1 204 No Content") + b"x", False),
    ("bytes after close", response("Connection: close", "Content-Length: 2", body=b"hi!"), False),
    ("switching protocols", response("Upgrade: h2c", "Connection: upgrade", status="HTTP/1.1 101 S"), False),
    ("switching without a word", response(status="HTTP/1.1 101 S"), False),
    ("a 1xx with a length", response("Content-Length: 1", status="HTTP/1.1 103 E", body=b"x") + OK, False),
    ("a 1xx with chunks", chunked(b"0\r\n\r\n", status="HTTP/1.1 150 E") + OK, False),
    ("too many 1xx", response(status="HTTP/1.1 100 C") * (MAX_INFORMATIONAL_RESPONSES + 1) + OK, False),
    ("HTTP/2.0", response("Content-Length: 2", body=b"hi", status="HTTP/2.0 200 OK"), False),
    ("HTTP/1.2", response("Content-Length: 2", body=b"hi", status="HTTP/1.2 200 OK"), False),
    ("HTTP/0.9", response("Content-Length: 2", body=b"hi", status="HTTP/0.9 200 OK"), False),
    ("a later head of HTTP/2.0", response(status="HTTP/1.1 100 C") + OK.replace(b"1.1", b"2.0"), False),
    ("another protocol", response("Content-Length: 2", body=b"hi", status="RTSP/1.0 200 OK"), False),
    ("an empty line first", b"\r\n" + OK, False),
    ("no head at all", b"hello", False),
    ("status 99", response("Content-Length: 2", body=b"hi", status="HTTP/1.1 099 ?"), False),
    ("a status of two digits", response("Content-Length: 2", body=b"hi", status="HTTP/1.1 20 OK"), False),
    ("a folded line", response("A: b", " c", "Content-Length: 2", body=b"hi"), False),
    ("bare line feeds", OK.replace(b"\r\n", b"\n"), False),
    ("a space before the colon", response("Content-Length : 2", body=b"hi"), False),
    ("NUL in a value", response("A: b\x00c", "Content-Length: 2", body=b"hi"), False),
    ("CR in a value", response("A: b\rc", "Content-Length: 2", body=b"hi"), False),
    ("no colon", response("nonsense", "Content-Length: 2", body=b"hi"), False),
    ("too many fields", response(*(f"A{i}: b" for i in range(MAX_UPSTREAM_HEADERS)), "Content-Length: 0"), False),
    ("one endless field", b"HTTP/1.1 200 OK\r\nA: " + b"b" * (2 * MAX_UPSTREAM_HEADER_BYTES), False),
    ("a field too long", response("A: " + "b" * MAX_UPSTREAM_HEADER_BYTES, "Content-Length: 0"), False),
    ("an endless reason", b"HTTP/1.1 200 " + b"b" * (2 * MAX_UPSTREAM_HEADER_BYTES), False),
    ("a chunk size of nonsense", chunked(b"zz\r\nhi\r\n0\r\n\r\n"), False),
    ("a chunk size too large", chunked(b"FFFFFFFFFFFFFFFFF\r\nhi"), False),
    ("a chunk longer than it says", chunked(b"2\r\nhi!\r\n0\r\n\r\n"), False),
    ("a length among the trailers", chunked(b"0\r\nContent-Length: 2\r\n\r\n"), False),
    ("an endless trailer", chunked(b"2\r\nhi\r\n0\r\nA: " + b"b" * (16 * MAX_UPSTREAM_HEADER_BYTES)), False),
    ("cut in the status line", b"HTTP/1.1 2", True),
    ("cut in the head", b"HTTP/1.1 200 OK\r\nContent-Le", True),
    ("cut in the body", response("Content-Length: 5", body=b"hell"), True),
    ("cut before the first chunk", chunked(b""), True),
    ("cut in a chunk", chunked(b"5\r\nhell"), True),
    ("cut between chunks", chunked(b"2\r\nhi\r\n"), True),
    ("cut before the last line", chunked(b"2\r\nhi\r\n0\r\n"), True),
    ("cut after a 1xx", response(status="HTTP/1.1 100 Continue"), True),
    ("closed without a word", b"", True),
]


@pytest.mark.parametrize(("data", "body", "is_kept"), [row[1:] for row in VALID], ids=[row[0] for row in VALID])
async def test_a_valid_response_is_delivered(data: bytes, body: bytes, is_kept: bool) -> None:
    async with Peer(serve(data)) as peer, upstream_to(peer.port) as upstream:
        _, answer = ask(upstream)
        await answer.ended()
        assert answer.body == body
        assert upstream.statistics().idle == is_kept


@pytest.mark.parametrize(("data", "closes"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
async def test_a_response_that_cannot_be_trusted_breaks_and_its_connection_closes(data: bytes, closes: bool) -> None:
    async with Peer(once(data, then_close=closes)) as peer, upstream_to(peer.port) as upstream:
        _, answer = ask(upstream)
        error = await answer.failed()
        assert type(error) is UpstreamBroken
        assert not error.nothing_sent
        assert error.retryable
        assert error.detail
        assert upstream.statistics().idle == 0
    assert len(peer.connections) == 1


async def test_fields_arrive_as_on_the_wire() -> None:
    data = response("X-One: a", "x-one:  b \t", "Empty:", "Odd: caf\xe9", "Content-Length: 2", body=b"hi")
    async with Peer(serve(data)) as peer, upstream_to(peer.port) as upstream:
        answer = await ask(upstream)[1].ended()
    assert [(name, value.strip()) for name, value in answer.headers] == [
        (b"X-One", b"a"),
        (b"x-one", b"b"),
        (b"Empty", b""),
        (b"Odd", b"caf\xe9"),
        (b"Content-Length", b"2"),
    ]
    assert answer.status == 200


@on_both_loops
async def test_a_body_without_length_ends_with_the_connection() -> None:
    data = response("Content-Type: text/event-stream", body=b"data: 1\n\n")

    async def script(connection: PeerConnection) -> None:
        await connection.answer(data)
        await connection.send(b"data: 2\n\n")

    async with Peer(script) as peer, upstream_to(peer.port) as upstream:
        answer = await ask(upstream)[1].ended()
        assert answer.body == b"data: 1\n\ndata: 2\n\n"
        assert upstream.statistics().idle == 0


@on_both_loops
async def test_a_reset_does_not_end_a_body_without_length() -> None:
    received = Recorder()

    async def script(connection: PeerConnection) -> None:
        await connection.answer(response(body=b"some"))
        await received.has(4)
        connection.reset()

    async with Peer(script) as peer, upstream_to(peer.port) as upstream:
        error = await ask(upstream, receiver=received)[1].failed()
        assert type(error) is UpstreamBroken
        assert received.body == b"some"


@on_both_loops
async def test_a_reset_in_a_body_breaks_it() -> None:
    received = Recorder()

    async def script(connection: PeerConnection) -> None:
        await connection.answer(response("Content-Length: 9", body=b"some"))
        await received.has(4)
        connection.reset()

    async with Peer(script) as peer, upstream_to(peer.port) as upstream:
        assert type(await ask(upstream, receiver=received)[1].failed()) is UpstreamBroken


@on_both_loops
async def test_a_response_byte_by_byte_is_the_same_response() -> None:
    data = response("Link: x", status="HTTP/1.1 103 E") + chunked(b"2\r\nhi\r\n1\r\n!\r\n0\r\nT: u\r\n\r\n", "A: b")

    async def script(connection: PeerConnection) -> None:
        await connection.request()
        for i in range(len(data)):
            await connection.send(data[i : i + 1])
        await connection.answer()
        await connection.gone()

    async with Peer(script) as peer, upstream_to(peer.port) as upstream:
        answer = await ask(upstream)[1].ended()
        assert (answer.status, answer.body) == (200, b"hi!")
        assert answer.headers == [(b"Transfer-Encoding", b"chunked"), (b"A", b"b")]
        assert (await ask(upstream)[1].ended()).body == b"ok"


@on_both_loops
async def test_the_request_is_one_head_with_its_length_and_the_body() -> None:
    seen = []

    async def script(connection: PeerConnection) -> None:
        seen.append(await connection.answer())
        seen.append(await connection.answer())
        await connection.gone()

    async with Peer(script) as peer, upstream_to(peer.port) as upstream:
        await ask(upstream, b'{"a":1}')[1].ended()
        get = Recorder()
        upstream.send(upstream.request_head("GET", "/models?x=1", [("Accept", "*/*")]), b"", get, streamed=False)
        await get.ended()
    host = b"Host: 127.0.0.1:%d\r\n" % peer.port
    assert seen == [
        b"POST /v1/chat HTTP/1.1\r\n" + host + b'Authorization: Bearer sk-test\r\nContent-Length: 7\r\n\r\n{"a":1}',
        b"GET /v1/models?x=1 HTTP/1.1\r\n" + host + b"Accept: */*\r\n\r\n",
    ]
    assert len(peer.connections) == 1


@on_both_loops
async def test_a_large_body_arrives_whole() -> None:
    body = bytes(range(256)) * 20_000
    seen = []

    async def script(connection: PeerConnection) -> None:
        seen.append(await connection.answer())
        await connection.gone()

    async with Peer(script) as peer, upstream_to(peer.port) as upstream:
        await ask(upstream, body)[1].ended()
    assert seen[0].endswith(b"Content-Length: 5120000\r\n\r\n" + body)
