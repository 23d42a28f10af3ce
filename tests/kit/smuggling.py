"""Requests that two HTTP parsers may read differently, and neighbours of theirs that are fine.

One list for two tests: ``tests/unit/core/test_edge.py`` feeds it to the parser and the judge, a wire test sends it
through a socket. ``reject`` means: the last request in ``data`` is never acted on and the connection is closed.
"""

from typing import NamedTuple


class Vector(NamedTuple):
    """``served`` is how many of the requests in ``data`` may be answered with success."""

    name: str
    data: bytes
    expected: str
    served: int


# Sent behind any vector: its path is never answered after a rejection.
FOLLOWER = b"GET /health?smuggled HTTP/1.1\r\nHost: gateway\r\n\r\n"

_HOST = b"Host: gateway\r\n"
_POST = b"POST /v1/chat/completions HTTP/1.1\r\n" + _HOST
_GET = b"GET /health HTTP/1.1\r\n" + _HOST
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
_NO_CHUNKS = b"0\r\n\r\n"


def _bad(name: str, data: bytes, served: int = 0) -> Vector:
    return Vector(name, data, "reject", served)


def _good(name: str, data: bytes, served: int = 1) -> Vector:
    return Vector(name, data, "accept", served)


def _line(line: bytes) -> bytes:
    return line + b"\r\n" + _HOST + b"\r\n"


def _host(host: bytes) -> bytes:
    return b"GET /health HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"


def _length(value: bytes) -> bytes:
    return _POST + b"Content-Length:" + value + b"\r\n\r\nx"


def _coding(value: bytes) -> bytes:
    return _POST + b"Transfer-Encoding:" + value + b"\r\n\r\n" + _NO_CHUNKS


def _field(field: bytes) -> bytes:
    return _GET + field + b"\r\n\r\n"


VECTORS = [
    # --- where the body ends: Content-Length ---
    _bad("two lengths that differ", _POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy"),
    _bad("two lengths that agree", _POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
    _bad("length list", _length(b" 1, 1")),
    _bad("length with plus", _length(b" +1")),
    _bad("length with minus", _length(b" -1")),
    _bad("length with underscore", _length(b" 1_0")),
    _bad("length in hex", _length(b" 0x1")),
    _bad("length with inner space", _length(b" 1 1")),
    _bad("length with decimal point", _length(b" 1.0")),
    _bad("length empty", _length(b"")),
    _bad("length of 23 digits", _length(b" 11111111111111111111111")),
    _bad("length of 23 digits, mostly zeros", _length(b" 00000000000000000000001")),
    _bad("length of 2^64 - 1", _length(b" 18446744073709551615")),
    _bad("length of 2^63 - 1", _length(b" 9223372036854775807")),
    _bad("length in other digits", _length(" ١".encode())),
    _bad("length folded", _length(b"\r\n 1")),
    # --- where the body ends: Transfer-Encoding ---
    _bad("length, then coding", _POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + _NO_CHUNKS),
    _bad("coding, then length", _POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + _NO_CHUNKS),
    _bad("empty coding, then length", _POST + b"Transfer-Encoding:\r\nContent-Length: 1\r\n\r\nx"),
    _bad("coding gzip, chunked", _coding(b" gzip, chunked")),
    _bad("coding gzip", _coding(b" gzip")),
    _bad("coding identity", _coding(b" identity")),
    _bad("coding chunked, identity", _coding(b" chunked, identity")),
    _bad("coding chunked, chunked", _coding(b" chunked, chunked")),
    _bad("coding xchunked", _coding(b" xchunked")),
    _bad("coding with leading comma", _coding(b" ,chunked")),
    _bad("coding with trailing comma", _coding(b" chunked,")),
    _bad("coding with parameter", _coding(b" chunked;q=1")),
    _bad("coding in quotes", _coding(b' "chunked"')),
    _bad("coding after vertical tab", _coding(b" \x0bchunked")),
    _bad("coding before vertical tab", _coding(b" chunked\x0b")),
    _bad("coding folded", _coding(b"\r\n chunked")),
    _bad("coding empty", _coding(b"")),
    _bad("two codings", _POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + _NO_CHUNKS),
    _bad(
        "two codings, gzip first", _POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + _NO_CHUNKS
    ),
    _bad(
        "two codings, identity last",
        _POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + _NO_CHUNKS,
    ),
    _bad(
        "coding in HTTP/1.0", b"POST /v1/chat/completions HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + _NO_CHUNKS
    ),
    _bad(
        "coding in HTTP/1.0, kept alive",
        b"POST /v1/chat/completions HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
        + _NO_CHUNKS,
    ),
    _bad("coding with space before colon", _POST + b"Transfer-Encoding : chunked\r\n\r\n" + _NO_CHUNKS),
    # --- chunks and trailers ---
    _bad("chunk size of 17 significant digits", _CHUNKED + b"fffffffffffffffff\r\nx\r\n" + _NO_CHUNKS),
    _bad("chunk size of 20 significant digits", _CHUNKED + b"10000000000000000001\r\nx\r\n" + _NO_CHUNKS),
    _bad("chunk size with 0x", _CHUNKED + b"0x1\r\nx\r\n" + _NO_CHUNKS),
    _bad("chunk size negative", _CHUNKED + b"-1\r\nx\r\n" + _NO_CHUNKS),
    _bad("chunk size with plus", _CHUNKED + b"+1\r\nx\r\n" + _NO_CHUNKS),
    _bad("chunk size with trailing space", _CHUNKED + b"1 \r\nx\r\n" + _NO_CHUNKS),
    _bad("chunk size with underscore", _CHUNKED + b"1_0\r\nx\r\n" + _NO_CHUNKS),
    _bad("chunk size missing", _CHUNKED + b"\r\nx\r\n" + _NO_CHUNKS),
    _bad("chunk size ended by LF", _CHUNKED + b"1\nx\r\n" + _NO_CHUNKS),
    _bad("chunk ended by LF", _CHUNKED + b"1\r\nx\n" + _NO_CHUNKS),
    _bad("chunk extension with LF", _CHUNKED + b"1;a\nb\r\nx\r\n" + _NO_CHUNKS),
    _bad("chunk extension with CR", _CHUNKED + b"1;a\rb\r\nx\r\n" + _NO_CHUNKS),
    _bad("chunk longer than its size", _CHUNKED + b"1\r\nxyz\r\n" + _NO_CHUNKS),
    _bad("chunk end missing", _CHUNKED + b"1\r\nx" + _NO_CHUNKS),
    _bad("trailer Content-Length", _CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n"),
    _bad("trailer Transfer-Encoding", _CHUNKED + b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    _bad("trailer ended by LF", _CHUNKED + b"0\r\nX-A: 1\n\r\n"),
    _bad(
        # aiohttp hands the last trailer to the next request as a header
        "trailer that becomes a header of the next request",
        _GET + b"Transfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: Bearer x\r\n\r\n" + FOLLOWER,
        served=1,
    ),
    # --- line ends, names and values ---
    _bad("line folded by space", _field(b"X-A: 1\r\n 2")),
    _bad("line folded by tab", _field(b"X-A: 1\r\n\t2")),
    _bad("first line folded", b"GET /health HTTP/1.1\r\n Host: gateway\r\n\r\n"),
    _bad("lines ended by LF", b"GET /health HTTP/1.1\nHost: gateway\n\n"),
    _bad("one line ended by LF", _field(b"X-A: 1\nX-B: 2")),
    _bad("head ended by LF", _GET + b"\n"),
    _bad("request line ended by CR CR LF", b"GET /health HTTP/1.1\r\r\nHost: gateway\r\n\r\n"),
    _bad("name with space before colon", _field(b"X-A : 1")),
    _bad("name with space", _field(b"X A: 1")),
    _bad("name missing", _field(b": 1")),
    _bad("name of 8-bit", _field(b"X-\xff: 1")),
    _bad("colon missing", _field(b"X-A")),
    _bad("value with CR", _field(b"X-A: 1\r2")),
    _bad("value with NUL", _field(b"X-A: 1\x002")),
    _bad("value with control", _field(b"X-A: 1\x012")),
    # --- the request line ---
    _bad("HTTP/0.9 without version", b"GET /health\r\n\r\n"),
    _bad("HTTP/0.9 without version, with headers", b"GET /health\r\n" + _HOST + b"\r\n"),
    _bad("HTTP/0.9 with version", _line(b"GET /health HTTP/0.9")),
    _bad("HTTP/1.2", _line(b"GET /health HTTP/1.2")),
    _bad("HTTP/1.10", _line(b"GET /health HTTP/1.10")),
    _bad("HTTP/2.0", _line(b"GET /health HTTP/2.0")),
    _bad("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    _bad("version in lower case", _line(b"GET /health http/1.1")),
    _bad("RTSP", _line(b"DESCRIBE /health RTSP/1.0")),
    _bad("ICE", _line(b"SOURCE /health ICE/1.0")),
    _bad("method in lower case", _line(b"get /health HTTP/1.1")),
    _bad("method in mixed case", _line(b"Get /health HTTP/1.1")),
    _bad("method unknown", _line(b"GPOST /health HTTP/1.1")),
    _bad("method TRACE", _line(b"TRACE /health HTTP/1.1")),
    _bad("two spaces before the target", _line(b"GET  /health HTTP/1.1")),
    _bad("two spaces after the target", _line(b"GET /health  HTTP/1.1")),
    _bad("space after the version", _line(b"GET /health HTTP/1.1 ")),
    _bad("tab for a space", _line(b"GET\t/health HTTP/1.1")),
    _bad("space before the method", _line(b" GET /health HTTP/1.1")),
    _bad("two empty lines first", b"\r\n\r\n" + _line(b"GET /health HTTP/1.1")),
    _bad("bare LF first", b"\n" + _line(b"GET /health HTTP/1.1")),
    _bad("TLS on the plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    # --- the target ---
    _bad("target in absolute-form", _line(b"GET http://evil/ HTTP/1.1")),
    _bad("target in absolute-form, own host", _line(b"GET http://gateway/health HTTP/1.1")),
    _bad("target in absolute-form, https", _line(b"GET https://evil/ HTTP/1.1")),
    _bad("target in authority-form", _line(b"GET evil:80 HTTP/1.1")),
    _bad("target in asterisk-form", _line(b"OPTIONS * HTTP/1.1")),
    _bad("target asterisk with GET", _line(b"GET * HTTP/1.1")),
    _bad("target without slash", _line(b"GET health HTTP/1.1")),
    _bad("target with two slashes", _line(b"GET //evil/health HTTP/1.1")),
    _bad("target with backslash", _line(b"GET /\\evil/health HTTP/1.1")),
    _bad("target with fragment", _line(b"GET /health#x HTTP/1.1")),
    _bad("target with fragment in the query", _line(b"GET /health?a#x HTTP/1.1")),
    _bad("target with space", _line(b"GET /health x HTTP/1.1")),
    _bad("target with control", _line(b"GET /health\x01 HTTP/1.1")),
    _bad("target with tab", _line(b"GET /health\tx HTTP/1.1")),
    _bad("target with DEL", _line(b"GET /health\x7f HTTP/1.1")),
    _bad("target of 8-bit", _line(b"GET /health\xff HTTP/1.1")),
    _bad("target in UTF-8", _line("GET /h\u00e9alth HTTP/1.1".encode())),
    # --- the host ---
    _bad("host missing", b"GET /health HTTP/1.1\r\nX-A: 1\r\n\r\n"),
    _bad("host missing, no headers", b"GET /health HTTP/1.1\r\n\r\n"),
    _bad("two hosts", _GET + b"Host: gateway\r\n\r\n"),
    _bad("two hosts in HTTP/1.0", b"GET /health HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    _bad("host list", _host(b"a, b")),
    _bad("host empty", _host(b"")),
    _bad("host with path", _host(b"a/../b")),
    _bad("host with query", _host(b"a?b")),
    _bad("host with fragment", _host(b"a#b")),
    _bad("host with userinfo", _host(b"user@a")),
    _bad("host with space", _host(b"a b")),
    _bad("host with scheme", _host(b"http://a")),
    _bad("host with backslash", _host(b"a\\b")),
    _bad("host with percent", _host(b"a%2fb")),
    _bad("host with empty label", _host(b"a..b")),
    _bad("host with bad port", _host(b"a:b")),
    _bad("host with high port", _host(b"a:65536")),
    _bad("host with two ports", _host(b"a:1:2")),
    _bad("host of 8-bit", _host(b"\xff")),
    _bad("host in UTF-8", _host("b\u00fccher".encode())),
    _bad("host in bare IPv6", _host(b"::1")),
    _bad("host in broken IPv6", _host(b"[::1")),
    _bad("host in false IPv6", _host(b"[1:2:3]")),
    _bad("host of 300 characters", _host(b"a." * 150)),
    _bad("host bad in HTTP/1.0", b"GET /health HTTP/1.0\r\nHost: a/b\r\n\r\n"),
    # --- other protocols and promises ---
    _bad("upgrade to WebSocket", _field(b"Connection: Upgrade\r\nUpgrade: websocket")),
    _bad(
        "upgrade with a body",
        _POST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc",
    ),
    _bad("upgrade to h2c", _field(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA")),
    _bad("upgrade not named by Connection", _field(b"Upgrade: h2c")),
    _bad("upgrade in HTTP/1.0", b"GET /health HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
    _bad("CONNECT", b"CONNECT evil:80 HTTP/1.1\r\nHost: evil:80\r\n\r\n"),
    _bad("CONNECT with a path", _line(b"CONNECT /health HTTP/1.1")),
    _bad("expectation unknown", _field(b"Expect: 200-ok")),
    _bad("expectation list", _field(b"Expect: 100-continue, 200-ok")),
    _bad("two expectations", _field(b"Expect: 100-continue\r\nExpect: 100-continue")),
    _bad("expectation empty", _field(b"Expect:")),
    # --- and what must go on working ---
    _good("plain", _GET + b"\r\n"),
    _good("one empty line first", b"\r\n" + _GET + b"\r\n"),
    _good("with a query", _line(b"GET /health?a=1&b=%20/? HTTP/1.1")),
    _good("names in any case", b"GET /health HTTP/1.1\r\nhOsT: gateway\r\n\r\n"),
    _good("HTTP/1.0", b"GET /health HTTP/1.0\r\n\r\n"),
    _good("HTTP/1.0 with host", b"GET /health HTTP/1.0\r\nHost: gateway\r\n\r\n"),
    _good("host with port", _host(b"localhost:8080")),
    _good("host by IPv4", _host(b"127.0.0.1:8080")),
    _good("host by IPv6", _host(b"[::1]:8080")),
    _good("host in capitals with dot", _host(b"Gateway.Example.COM.")),
    _good("host with underscore", _host(b"ai_gateway")),
    _good("host in tabs and spaces", _host(b"\t gateway \t")),
    _good("value in UTF-8", _field("X-A: \u00e9".encode())),
    _good("value empty", _field(b"X-A:")),
    _good("length", _GET + b"Content-Length: 1\r\n\r\nx"),
    _good("length zero", _GET + b"Content-Length: 0\r\n\r\n"),
    _good("length in tabs", _GET + b"Content-Length:\t1\t\r\n\r\nx"),
    _good("length, kept alive", (_GET + b"Content-Length: 1\r\n\r\nx") * 2, served=2),
    _good("chunked", _GET + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n" + _NO_CHUNKS),
    _good("chunked in capitals", _GET + b"Transfer-Encoding: CHUNKED\r\n\r\n" + _NO_CHUNKS),
    _good("chunked with extension", _GET + b"Transfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n" + _NO_CHUNKS),
    _good("chunked with trailer", _GET + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: 1\r\n\r\n"),
    _good("expectation", _GET + b"Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx"),
    _good("pipelined", (_GET + b"\r\n") * 3, served=3),
]
