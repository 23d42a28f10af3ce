"""Answers of every kind that go through to the client as the provider sends them, on real sockets."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from gateway.core.errors import Internal, UpstreamBroken
from gateway.core.limits import MAX_ERROR_BODY_BYTES, MAX_OBSERVED_BODY_BYTES
from gateway.core.types import Fault, Usage
from providers.contract import Summary
from tests.kit.client import until, upstream_to
from tests.kit.loops import on_both_loops
from tests.kit.passage import Passage, passage_to
from tests.kit.peer import Peer, PeerConnection, Script
from tests.kit.receiver import PATIENCE_S

MIB = 1024 * 1024
GET = b"GET /files HTTP/1.1\r\nHost: gateway\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")
LAST = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


class Answer(NamedTuple):
    """``fields`` have lower-case names; ``is_whole``: the connection was closed and not broken."""

    status: int
    fields: dict[str, str]
    body: bytes
    is_whole: bool


def provides(*pieces: bytes, then: str = "close") -> Script:
    """Answers one request with ``pieces``, each a write of its own."""

    async def script(connection: PeerConnection) -> None:
        await connection.request()
        for piece in pieces:
            await connection.send(piece)
            await asyncio.sleep(0.005)
        if then == "reset":
            connection.reset()
        elif then == "wait":
            await connection.gone()

    return script


def response(*lines: str, body: bytes = b"", status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1") + body


@asynccontextmanager
async def passage(script: Script, **options: Any) -> AsyncIterator[Passage]:
    async with Peer(script) as peer, upstream_to(peer.port) as upstream, passage_to(upstream, **options) as passage:
        yield passage


async def fetch(passage: Passage, request: bytes = LAST) -> Answer:
    """The answer to the only request of a connection, read to the end of the connection."""
    client = await passage.connect()
    await client.send(request)
    data, is_whole = b"", True
    try:
        async with asyncio.timeout(PATIENCE_S):
            while piece := await client.reader.read(65536):
                data += piece
    except ConnectionError:
        is_whole = False
    client.writer.close()
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    assert len(fields) == len(lines), lines
    return Answer(int(first.split(" ")[1]) if first else 0, {n.lower(): v for n, v in fields.items()}, body, is_whole)


def unchunked(body: bytes) -> bytes:
    """The content of a whole chunked body."""
    data = b""
    while True:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        data, body = data + rest[:length], rest[length + 2 :]
        if not length:
            assert body == b""
            return data


# --- framing ----------------------------------------------------------------------------------------------------------


@on_both_loops
async def test_a_known_length_is_kept_and_the_connection_too() -> None:
    async with passage(provides(response("Content-Length: 6", body=b"abc"), b"def", then="wait")) as through:
        client = await through.connect()
        await client.send(GET)
        head = await client.head()
        assert b"\r\nContent-Length: 6\r\n" in head
        assert b"ransfer-" not in head
        assert b"Connection" not in head
        assert await client.reader.readexactly(6) == b"abcdef"
        await until(lambda: through.outcomes == [None])
        assert through.calls[0].bytes_out == 6


@on_both_loops
async def test_an_unknown_length_goes_on_in_chunks() -> None:
    chunked = response("Transfer-Encoding: chunked", body=b"3\r\nabc\r\n")
    async with passage(provides(chunked, b"2\r\nde\r\n", b"0\r\nX-Sum: 1\r\n\r\n")) as through:
        answer = await fetch(through)
        assert answer.fields["transfer-encoding"] == "chunked"
        assert unchunked(answer.body) == b"abcde"


@on_both_loops
async def test_an_answer_that_ends_with_its_connection_goes_on_in_chunks() -> None:
    async with passage(provides(response(), b"abc")) as through:
        assert unchunked((await fetch(through)).body) == b"abc"


@on_both_loops
async def test_an_old_client_gets_an_answer_that_ends_with_the_connection() -> None:
    chunked = response("Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n")
    async with passage(provides(chunked)) as through:
        answer = await fetch(through, b"GET /files HTTP/1.0\r\n\r\n")
        assert (answer.body, answer.fields["connection"]) == (b"abc", "close")
        assert "transfer-encoding" not in answer.fields


@pytest.mark.parametrize(
    ("request_bytes", "provided", "length"),
    [
        (HEAD, response("Content-Length: 5000"), "5000"),
        (HEAD, response("Transfer-Encoding: chunked"), None),
        (HEAD, response(), None),
        (GET, response(status="204 No Content"), None),
        (GET, response("Content-Length: 0", status="204 No Content"), None),
        (GET, response("Content-Length: 7", 'ETag: "x"', status="304 Not Modified"), "7"),
        (GET, response("Content-Length: 0"), "0"),
    ],
)
@on_both_loops
async def test_an_answer_without_a_body_leaves_the_connection_open(
    request_bytes: bytes, provided: bytes, length: str | None
) -> None:
    async with passage(provides(provided)) as through:
        client = await through.connect()
        await client.send(request_bytes)
        head = await client.head()
        found = re.search(rb"Content-Length: (\d+)", head)
        assert (found and found[1].decode()) == length
        assert b"ransfer-" not in head
        assert b"Connection" not in head
        await until(lambda: through.outcomes == [None])
        assert not client.writer.transport.is_closing()


@pytest.mark.parametrize(
    ("lines", "body"), [(("Content-Length: 9",), b"abc"), (("Transfer-Encoding: chunked",), b"3\r\nabc\r\n")]
)
@pytest.mark.parametrize("then", ["close", "reset"])
@on_both_loops
async def test_an_answer_that_breaks_off_breaks_the_client_too(lines: tuple[str], body: bytes, then: str) -> None:
    async with passage(provides(response(*lines, body=body), then=then)) as through:
        answer = await fetch(through)
        assert answer.status in (200, 0)
        assert not answer.is_whole
        [outcome] = through.outcomes
        assert type(outcome) is UpstreamBroken
        assert through.relays[0].is_passed


@on_both_loops
async def test_a_provider_that_gives_no_answer_can_still_be_told() -> None:
    async with passage(provides(then="reset")) as through:
        answer = await fetch(through)
        assert (answer.status, answer.body) == (502, b"upstream_broken")
        assert not through.relays[0].is_passed


# --- status and headers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["201 Created", "307 Go", "404 Not Found", "429 Slow", "529 Overloaded"])
@on_both_loops
async def test_every_status_is_kept(status: str) -> None:
    async with passage(provides(response("Content-Length: 2", body=b"no", status=status))) as through:
        answer = await fetch(through)
        assert (answer.status, answer.body) == (int(status[:3]), b"no")
        assert through.outcomes == [None]


@on_both_loops
async def test_a_status_that_http_does_not_have_is_a_broken_answer() -> None:
    async with passage(provides(response("Content-Length: 0", status="999 Odd"))) as through:
        assert (await fetch(through)).status == 502


@pytest.mark.parametrize("body", [b"slow down", b"x" * (MAX_ERROR_BODY_BYTES + 5)])
@on_both_loops
async def test_an_error_is_collected_when_it_is_not_to_be_passed(body: bytes) -> None:
    error = response(f"Content-Length: {len(body)}", "X-Request-Id: theirs", status="429 Slow", body=body)
    async with passage(provides(error, then="wait"), passes_errors=False) as through:
        answer = await fetch(through)
        assert (answer.status, answer.fields["x-collected"]) == (429, "yes")
        assert answer.body == body[:MAX_ERROR_BODY_BYTES]
        relay = through.relays[0]
        assert (relay.is_passed, relay.request_id) == (False, b"theirs")
        assert relay.lower_headers()["x-request-id"] == "theirs"


@on_both_loops
async def test_the_status_of_a_collected_error_survives_a_cut() -> None:
    error = response("Content-Length: 50", status="503 No", body=b"half")
    async with passage(provides(error), passes_errors=False) as through:
        answer = await fetch(through)
        assert (answer.status, answer.body) == (503, b"half")


@on_both_loops
async def test_which_headers_go_through() -> None:
    provided = response(
        *("Content-Type: audio/mpeg", "Content-Encoding: gzip", "OpenAI-Processing-Ms: 12", "ETag: W/sk-secret-1"),
        *("Connection: close, X-Hop", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic", "Trailer: X-Sum"),
        *("Upgrade: h2c", "TE: trailers", "X-Hop: 1", "Set-Cookie: a=b", "Set-Cookie: c=d", "Alt-Svc: h3"),
        *("Strict-Transport-Security: max-age=1", "Access-Control-Allow-Origin: *", "X-Sluice-Provider: me"),
        *("X-Request-ID: theirs", "Date: yesterday", "X-Eight: caf\xe9", "X-Empty:", "Content-Length: 2"),
        body=b"ok",
    )
    async with passage(provides(provided), scrub=lambda value: value.replace(b"sk-secret-1", b"***")) as through:
        answer = await fetch(through)
        assert answer.fields.pop("date") != "yesterday"
        assert answer.fields == {
            "connection": "close",
            "content-type": "audio/mpeg",
            "content-encoding": "gzip",
            "openai-processing-ms": "12",
            "etag": "W/***",
            "x-request-id": "ours",
            "x-empty": "",
            "content-length": "2",
        }
        assert through.relays[0].request_id == b"theirs"


# --- watching ---------------------------------------------------------------------------------------------------------


class Capitals:
    """Shows the body in capitals and counts it."""

    def __init__(self, fault: Fault | None = None, *, is_told: bool = False) -> None:
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.fault: Fault | None = None
        self.is_fault_told = is_told
        self._at_end = fault
        self._count = 0

    def feed(self, data: bytes) -> bytes:
        if b"!" in data:
            raise ZeroDivisionError
        self._count += len(data)
        self.usage = Usage(input_tokens=self._count)
        return data.upper()

    def finish(self) -> bytes:
        self.fault = self._at_end
        return b"."


@on_both_loops
async def test_an_observer_watches_and_may_change_the_body() -> None:
    async with passage(provides(response("Content-Length: 6", body=b"abc"), b"def"), observer=Capitals()) as through:
        answer = await fetch(through)
        assert "content-length" not in answer.fields
        assert unchunked(answer.body) == b"ABCDEF."
        assert through.relays[0].usage == Usage(input_tokens=6)


@pytest.mark.parametrize("is_told", [False, True])
@on_both_loops
async def test_an_observer_that_misses_the_end_breaks_the_answer(is_told: bool) -> None:
    observer = Capitals(Fault("no end"), is_told=is_told)
    async with passage(provides(response("Content-Length: 3", body=b"abc")), observer=observer) as through:
        assert (await fetch(through)).is_whole is is_told
        assert [type(outcome) for outcome in through.outcomes] == [type(None) if is_told else UpstreamBroken]


@on_both_loops
async def test_a_defect_of_an_observer_harms_its_answer_only() -> None:
    async with passage(provides(response("Content-Length: 3", body=b"a!c")), observer=Capitals()) as through:
        assert not (await fetch(through)).is_whole
        assert [type(outcome) for outcome in through.outcomes] == [Internal]


@pytest.mark.parametrize("line", ["Content-Encoding: gzip", "X: y"])
@on_both_loops
async def test_what_cannot_be_read_is_not_watched(line: str) -> None:
    status = "400 No" if line == "X: y" else "200 OK"
    provided = response("Content-Length: 3", line, "Content-Type: application/json", status=status, body=b"abc")
    options = {"observer": Capitals(), "read_summary": lambda _body: Summary(usage=Usage(input_tokens=1))}
    async with passage(provides(provided), **options) as through:
        assert (await fetch(through)).body == b"abc"
        assert through.relays[0].usage is None


@pytest.mark.parametrize(
    ("content_type", "size", "is_read"),
    [
        ("application/json; charset=utf-8", 3, True),
        ("application/vnd.x+json", MAX_OBSERVED_BODY_BYTES, True),
        ("application/json", MAX_OBSERVED_BODY_BYTES + 1, False),
        ("text/plain", 3, False),
    ],
)
@on_both_loops
async def test_a_json_answer_is_read_for_its_usage(content_type: str, size: int, is_read: bool) -> None:
    body = b"x" * size
    provided = response(f"Content-Length: {size}", f"Content-Type: {content_type}", body=body)
    read = []

    def read_summary(whole: bytes) -> Summary:
        read.append(whole == body)
        return Summary(usage=Usage(input_tokens=7), finish_reason="stop")

    async with passage(provides(provided), read_summary=read_summary) as through:
        assert (await fetch(through)).body == body
        relay = through.relays[0]
        assert read == ([True] if is_read else [])
        assert (relay.usage, relay.finish_reason) == ((Usage(input_tokens=7), "stop") if is_read else (None, None))


@on_both_loops
async def test_a_defect_in_reading_the_usage_does_not_harm_the_answer() -> None:
    def read_summary(_body: bytes) -> Summary:
        raise ZeroDivisionError

    provided = response("Content-Length: 2", "Content-Type: application/json", body=b"{}")
    async with passage(provides(provided), read_summary=read_summary) as through:
        answer = await fetch(through)
        assert (answer.body, answer.is_whole) == (b"{}", True)
        assert [type(outcome) for outcome in through.outcomes] == [Internal]


# --- pace and ends ----------------------------------------------------------------------------------------------------


def sends_64_mib() -> tuple[Script, list[int]]:
    sent = [0]

    async def script(connection: PeerConnection) -> None:
        await connection.request()
        await connection.send(response(f"Content-Length: {64 * MIB}"))
        piece = bytes(256 * 1024)
        while sent[0] < 64 * MIB:
            await connection.send(piece)
            sent[0] += len(piece)

    return script, sent


@on_both_loops
async def test_a_slow_reader_slows_the_provider_down() -> None:
    script, sent = sends_64_mib()
    async with passage(script) as through:
        client = await through.connect(limit=1024)
        await client.send(GET)
        await client.head()
        before = -1
        while before != sent[0]:  # until everything between them is full
            before = sent[0]
            await asyncio.sleep(0.05)
        assert sent[0] < 48 * MIB
        [line] = through.edge.connections
        assert line.transport is not None
        assert line.transport.get_write_buffer_size() < 2 * MIB
        left = 64 * MIB
        async with asyncio.timeout(PATIENCE_S):
            while left:
                left -= len(await client.reader.read(MIB))
        await until(lambda: through.outcomes == [None])


@on_both_loops
async def test_a_client_that_leaves_ends_the_exchange() -> None:
    gone = asyncio.Event()

    async def streams(connection: PeerConnection) -> None:
        await connection.request()
        await connection.send(response("Content-Length: 9", body=b"abc"))
        await connection.gone()
        gone.set()

    async with passage(streams) as through:
        client = await through.connect()
        await client.send(GET)
        await client.head()
        client.reset()
        async with asyncio.timeout(PATIENCE_S):
            await gone.wait()
        await until(lambda: through.outcomes == ["left"])
