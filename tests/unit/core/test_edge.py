"""Which layer refuses which attack.

The bytes of every vector go the way they go in the server: ``judge_opening``, aiohttp's parser, ``judge_head``, and
``may_reuse`` between two requests. The table says who stops each one, so that a version of the parser that becomes
stricter or laxer shows up here by name.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import h11
import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from aiohttp.streams import StreamReader
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.core import edge
from gateway.core.edge import HeadRefusal, judge_head, judge_opening, may_reuse
from tests.kit.feeds import byte_by_byte, cut_at, whole
from tests.kit.smuggling import FOLLOWER, VECTORS, Vector

REFUSED_BY = {
    # Only the raw bytes tell: the parser tidies the first four and would wait for more of a bare HTTP/0.9 line.
    "judge_opening": [
        "two spaces before the target",
        "two spaces after the target",
        "two empty lines first",
        "bare LF first",
        "HTTP/0.9 without version",
        "HTTP/0.9 without version, with headers",
        "lines ended by LF",
        "space after the version",
        "tab for a space",
        "space before the method",
        "target with space",
        "TLS on the plain port",
    ],
    "parser": [
        "two lengths that differ",
        "two lengths that agree",
        "length list",
        "length with plus",
        "length with minus",
        "length with underscore",
        "length in hex",
        "length with inner space",
        "length with decimal point",
        "length empty",
        "length of 23 digits",
        "length in other digits",
        "length folded",
        "length, then coding",
        "coding, then length",
        "coding gzip",
        "coding identity",
        "coding chunked, identity",
        "coding chunked, chunked",
        "coding xchunked",
        "coding with trailing comma",
        "coding with parameter",
        "coding in quotes",
        "coding after vertical tab",
        "coding before vertical tab",
        "coding folded",
        "coding empty",
        "two codings",
        "two codings, gzip first",
        "two codings, identity last",
        "coding with space before colon",
        "chunk size of 17 significant digits",
        "chunk size of 20 significant digits",
        "chunk size with 0x",
        "chunk size negative",
        "chunk size with plus",
        "chunk size with trailing space",
        "chunk size with underscore",
        "chunk size missing",
        "chunk size ended by LF",
        "chunk ended by LF",
        "chunk extension with LF",
        "chunk extension with CR",
        "chunk longer than its size",
        "chunk end missing",
        "trailer Content-Length",
        "trailer Transfer-Encoding",
        "trailer ended by LF",
        "line folded by space",
        "line folded by tab",
        "first line folded",
        "one line ended by LF",
        "head ended by LF",
        "request line ended by CR CR LF",
        "name with space before colon",
        "name with space",
        "name missing",
        "name of 8-bit",
        "colon missing",
        "value with CR",
        "value with NUL",
        "value with control",
        "HTTP/1.2",
        "HTTP/1.10",
        "HTTP/2 preface",
        "version in lower case",
        "method in lower case",
        "method in mixed case",
        "method unknown",
        "target in authority-form",
        "target asterisk with GET",
        "target without slash",
        "target with control",
        "target with tab",
        "target with DEL",
        "target of 8-bit",
        "target in UTF-8",
        "host missing",
        "host missing, no headers",
        "two hosts",
        "two hosts in HTTP/1.0",
    ],
    "judge_head": [
        "length of 23 digits, mostly zeros",
        "length of 2^64 - 1",
        "length of 2^63 - 1",
        "empty coding, then length",
        "coding gzip, chunked",
        "coding with leading comma",
        "coding in HTTP/1.0",
        "coding in HTTP/1.0, kept alive",
        "HTTP/0.9 with version",
        "HTTP/2.0",
        "RTSP",
        "ICE",
        "method TRACE",
        "target in absolute-form",
        "target in absolute-form, own host",
        "target in absolute-form, https",
        "target in asterisk-form",
        "target with two slashes",
        "target with backslash",
        "target with fragment",
        "target with fragment in the query",
        "host list",
        "host empty",
        "host with path",
        "host with query",
        "host with fragment",
        "host with userinfo",
        "host with space",
        "host with scheme",
        "host with backslash",
        "host with percent",
        "host with empty label",
        "host with bad port",
        "host with high port",
        "host with two ports",
        "host of 8-bit",
        "host in UTF-8",
        "host in bare IPv6",
        "host in broken IPv6",
        "host in false IPv6",
        "host of 300 characters",
        "host bad in HTTP/1.0",
        "upgrade to WebSocket",
        "upgrade with a body",
        "upgrade to h2c",
        "upgrade not named by Connection",
        "upgrade in HTTP/1.0",
        "CONNECT",
        "CONNECT with a path",
        "expectation unknown",
        "expectation list",
        "two expectations",
        "expectation empty",
    ],
    "may_reuse": ["trailer that becomes a header of the next request"],
}

# What the parser tidies away when ``judge_opening`` does not see the whole line: the request is then this one.
TIDIED = {
    "two spaces before the target",
    "two spaces after the target",
    "two empty lines first",
    "bare LF first",
}


class Served(NamedTuple):
    """A request that came in whole. ``fields`` are its header lines in lower case."""

    method: str
    target: str
    fields: list[tuple[bytes, bytes]]
    body: bytes


class Outcome(NamedTuple):
    """``refused_by`` names a layer or is ``None``; ``served`` are the requests that came in whole before that."""

    refused_by: str | None
    served: list[Served]


class Edge:
    """The layers in the order of the server, without its sockets."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16, max_line_size=2**14, max_field_size=2**14)
        self._admitted: list[tuple[RawRequestMessage, StreamReader]] = []

    def run(self, pieces: Sequence[bytes], *, judges_opening: bool) -> Outcome:
        if judges_opening and judge_opening(pieces[0]) is not None:
            return Outcome("judge_opening", [])
        refusals = (self._feed(piece) for piece in pieces)
        refused_by = next((layer for layer in refusals if layer is not None), None)
        whole_requests = [(head, body) for head, body in self._admitted if body.is_eof() and body.exception() is None]
        return Outcome(refused_by, [self._served(head, body) for head, body in whole_requests])

    @staticmethod
    def _served(head: RawRequestMessage, body: StreamReader) -> Served:
        fields = [(name.lower(), value.lower()) for name, value in head.raw_headers]
        return Served(head.method, head.path, fields, body.read_nowait())

    def _feed(self, piece: bytes) -> str | None:
        try:
            messages, _, _ = self._parser.feed_data(piece)
        except HttpProcessingError:
            return "parser"
        for head, body in messages:
            if self._admitted and not may_reuse(self._admitted[-1][0].headers):
                return "may_reuse"
            if judge_head(head.version, head.method, head.path, head.headers) is not None:
                return "judge_head"
            self._admitted.append((head, body))
        return None


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def vectors(expected: str) -> list:
    return [pytest.param(v, id=v.name) for v in VECTORS if v.expected == expected]


def test_the_table_names_every_rejected_vector_once() -> None:
    listed = [name for names in REFUSED_BY.values() for name in names]
    assert sorted(listed) == sorted(v.name for v in VECTORS if v.expected == "reject")


@pytest.mark.parametrize("vector", vectors("reject"))
def test_an_attack_is_refused_by_the_layer_the_table_names(loop: asyncio.AbstractEventLoop, vector: Vector) -> None:
    refused_by, served = Edge(loop).run([vector.data], judges_opening=True)
    assert refused_by is not None
    assert vector.name in REFUSED_BY[refused_by]
    assert len(served) == vector.served


@pytest.mark.parametrize("vector", vectors("accept"))
def test_a_harmless_neighbour_comes_in(loop: asyncio.AbstractEventLoop, vector: Vector) -> None:
    for pieces in (whole(vector.data), byte_by_byte(vector.data)):
        refused_by, served = Edge(loop).run(pieces, judges_opening=True)
        assert refused_by is None
        assert len(served) == vector.served


def cuts_of(vector: Vector) -> list[list[bytes]]:
    """Whole, byte by byte, and in two reads at every place, with a second request behind."""
    data = vector.data + FOLLOWER
    return [whole(data), byte_by_byte(data), *(cut_at(data, [place]) for place in range(1, len(vector.data)))]


@pytest.mark.parametrize("vector", [p for p in vectors("reject") if p.id not in TIDIED])
def test_an_attack_is_refused_however_it_is_cut(loop: asyncio.AbstractEventLoop, vector: Vector) -> None:
    for pieces in cuts_of(vector):
        refused_by, served = Edge(loop).run(pieces, judges_opening=False)
        assert refused_by is not None, pieces
        assert len(served) <= vector.served, "what follows an attack on the same connection is never served"


@pytest.mark.parametrize("vector", [p for p in vectors("reject") if p.id in TIDIED])
def test_an_untidy_request_line_in_pieces_is_read_as_the_tidy_one(
    loop: asyncio.AbstractEventLoop, vector: Vector
) -> None:
    for pieces in cuts_of(vector):
        outcome = Edge(loop).run(pieces, judges_opening=False)
        fields = [(b"host", b"gateway")]
        tidy = [Served("GET", "/health", fields, b""), Served("GET", "/health?smuggled", fields, b"")]
        assert outcome == Outcome(None, tidy)


# --- another parser must agree ------------------------------------------------------------------------------------


def read_with_h11(data: bytes) -> list[Served]:
    """The requests that h11, an independent parser, finds whole in ``data`` before it objects to something."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    found = []
    try:
        while isinstance(request := connection.next_event(), h11.Request):
            body = b""
            while isinstance(event := connection.next_event(), h11.Data):
                body += event.data
            if not isinstance(event, h11.EndOfMessage):
                break
            target = request.target.decode("latin-1")
            fields = [(name, value.lower()) for name, value in request.headers]
            found.append(Served(request.method.decode(), target, fields, body))
            connection.send(h11.Response(status_code=204, headers=[]))
            connection.send(h11.EndOfMessage())
            connection.start_next_cycle()
    except h11.ProtocolError:
        pass
    return found


_MEANINGFUL = [
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b":",
        b",",
        b";",
        b"\0",
        b"\x0b",
        b"0",
        b"1",
        b"f",
        b"\xff",
        b"/",
    ),
    *(b"Content-Length: 1\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n"),
    *(
        b"\r\nContent-Length: 5",
        b"\r\nTransfer-Encoding: chunked",
        b"1\r\nx\r\n",
        b"0\r\n\r\n",
        b"Connection: close\r\n",
    ),
]
mutations = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 2), st.sampled_from(_MEANINGFUL)), max_size=3)


# With ``may_reuse`` answering yes to everything, this one shows that the property below can fail.
LEAKING_TRAILER = next(v for v in VECTORS if v.name == REFUSED_BY["may_reuse"][0])


def mutate(data: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for place, removed, inserted in changes:
        place %= len(data) + 1
        data = data[:place] + inserted + data[place + removed :]
    return data


@given(st.sampled_from([v for v in VECTORS if v.expected == "accept"]), mutations, st.booleans())
@example(LEAKING_TRAILER, [(0, 0, b"")], False)
def test_what_comes_in_is_read_alike_by_another_parser(
    loop: asyncio.AbstractEventLoop, vector: Vector, changes: list[tuple[int, int, bytes]], is_cut: bool
) -> None:
    data = mutate(vector.data, changes) + FOLLOWER
    _, ours = Edge(loop).run(byte_by_byte(data) if is_cut else [data], judges_opening=True)
    theirs = read_with_h11(data)
    both = min(len(ours), len(theirs))
    assert ours[:both] == theirs[:both]


# --- the judge by itself ------------------------------------------------------------------------------------------


def judge(
    method: str = "GET", target: str = "/", version: tuple[int, int] = (1, 1), headers: Sequence[tuple[str, str]] = ()
) -> HeadRefusal | None:
    return judge_head(version, method, target, CIMultiDict([("Host", "a"), *headers]))


@pytest.mark.parametrize(
    ("refusal", "head"),
    [
        (edge.BAD_VERSION, {"version": (0, 9)}),
        (edge.BAD_VERSION, {"version": (1, 2)}),
        (edge.BAD_VERSION, {"version": (2, 0)}),
        (edge.BAD_METHOD, {"method": "get"}),
        (edge.BAD_METHOD, {"method": "CONNECT"}),
        (edge.BAD_METHOD, {"method": ""}),
        (edge.BAD_TARGET, {"target": ""}),
        (edge.BAD_TARGET, {"target": "*", "method": "OPTIONS"}),
        (edge.BAD_TARGET, {"target": "/a\n"}),
        (edge.BAD_TARGET, {"target": "/a b"}),
        (edge.BAD_TARGET, {"target": "/\udcff"}),
        (edge.BAD_HOST, {"headers": [("host", "a")]}),
        (edge.BAD_TRANSFER_ENCODING, {"headers": [("Transfer-Encoding", "")]}),
        (edge.BAD_TRANSFER_ENCODING, {"headers": [("Transfer-Encoding", "chunked")] * 2}),
        (edge.BAD_TRANSFER_ENCODING, {"headers": [("Transfer-Encoding", "\u212achunked")]}),
        (edge.BAD_TRANSFER_ENCODING, {"headers": [("Transfer-Encoding", "chunked"), ("Content-Length", "1")]}),
        (edge.BAD_TRANSFER_ENCODING, {"headers": [("Transfer-Encoding", "chunked")], "version": (1, 0)}),
        (edge.BAD_CONTENT_LENGTH, {"headers": [("Content-Length", "1")] * 2}),
        (edge.BAD_CONTENT_LENGTH, {"headers": [("Content-Length", "\u0661")]}),
        (edge.BAD_CONTENT_LENGTH, {"headers": [("Content-Length", "\u00b2")]}),
        (edge.BAD_CONTENT_LENGTH, {"headers": [("Content-Length", "")]}),
        (edge.BAD_CONTENT_LENGTH, {"headers": [("Content-Length", "1" * 16)]}),
        (edge.NO_UPGRADE, {"headers": [("UPGRADE", "")]}),
        (edge.BAD_EXPECTATION, {"headers": [("Expect", "100-continue, x")]}),
        (None, {"headers": [("Content-Length", "1" * 15)]}),
        (None, {"headers": [("Transfer-Encoding", "Chunked")]}),
        (None, {"headers": [("Expect", "100-CONTINUE")]}),
        (None, {"method": "DELETE", "target": "/v1/files/file-1?a=[b]&c={d}|e"}),
    ],
)
def test_rules_one_by_one(refusal: HeadRefusal | None, head: dict) -> None:
    assert judge(**head) == refusal


def test_a_missing_host_is_forgiven_in_http_1_0_only() -> None:
    assert judge_head((1, 0), "GET", "/", CIMultiDict()) is None
    assert judge_head((1, 1), "GET", "/", CIMultiDict()) == edge.BAD_HOST


def test_refusals_are_client_or_server_errors_with_a_sentence() -> None:
    refusals = [value for value in vars(edge).values() if isinstance(value, HeadRefusal)]
    assert {r.status for r in refusals} == {400, 417, 501, 505}
    assert all(r.reason.endswith(".") for r in refusals)


@given(st.text(max_size=20).map("/".__add__) | st.text(max_size=20))
@example("//a")
@example("/a#")
def test_a_target_is_one_slash_and_printable_ascii(target: str) -> None:
    is_fine = target.startswith("/") and not target.startswith("//")
    is_fine = is_fine and all("!" <= c <= "~" and c not in "#\\" for c in target)
    assert (judge(target=target) is None) is is_fine


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_host_and_any_header_get_a_verdict(host: str, value: str) -> None:
    names = ("Content-Length", "Transfer-Encoding", "Expect", "Upgrade")
    headers = CIMultiDict([("Host", host), *((name, value) for name in names)])
    assert isinstance(judge_head((1, 1), "GET", "/", headers), HeadRefusal)


@pytest.mark.parametrize(
    ("opening", "is_refused"),
    [
        (b"", False),
        (b"\r\n", False),
        (b"\r", False),
        (b"\r\n\r", False),
        (b"GET / HT", False),
        (b"GET / HTTP/1.1\r\nX: many spaces in here\r\n", False),
        (b"\r\nGET / HTTP/1.1\r\n", False),
        (b"\n", True),
        (b"\r\n\r\n", True),
        (b"\rGET / HTTP/1.1\r\n", True),
        (b"GET  / HT", True),
        (b"GET /\r\n", True),
        (b"GET\r\n", True),
        (b"GET / HTTP/1.1 \r\n", True),
        (b"\r\nGET  / HTTP/1.1\r\n", True),
    ],
)
def test_judges_the_opening(opening: bytes, is_refused: bool) -> None:
    assert judge_opening(opening) == (edge.BAD_REQUEST_LINE if is_refused else None)


def test_the_parser_hands_a_trailer_to_the_next_request(loop: asyncio.AbstractEventLoop) -> None:
    """Why ``may_reuse`` exists. When this fails the parser was mended and the rule may go."""
    parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16)
    parser.feed_data(b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Leak: 1\r\n\r\n")
    [(second, _)], _, _ = parser.feed_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert second.headers.get("X-Leak") == "1"
    assert may_reuse(second.headers)
    assert not may_reuse(CIMultiDict([("transfer-encoding", "chunked")]))
