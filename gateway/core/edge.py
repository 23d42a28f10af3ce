"""May this request head come in?

The HTTP parser reads heads well, yet it accepts some that a proxy in front of us may read differently, and every such
difference is a way to smuggle a request (RFC 9112 section 11.2). What the parser lets through, this judge refuses:

    judge_opening   the raw first bytes, for the little that leaves no trace in a parsed head
    judge_head      the parsed head, before anything acts on it
    may_reuse       whether another request may follow on the connection

A refusal is answered and the connection closed: once framing is in doubt, no later byte can be trusted.
``tests/unit/core/test_edge.py`` tells which layer refuses which attack.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from gateway.core.limits import (
    MAX_CONTENT_LENGTH_DIGITS,
    MAX_HOST_CHARS,
    MAX_JUDGED_HOSTS,
    MAX_JUDGED_TARGETS,
)
from gateway.core.names import is_host


class HeaderMap(Protocol):
    """Headers by case-insensitive name, all values of one name in order: what multidicts offer."""

    def getall(self, key: str, default: tuple[str, ...], /) -> Sequence[str]: ...

    def __contains__(self, key: object, /) -> bool: ...

    def items(self) -> Iterable[tuple[str, str]]: ...


class HeadRefusal(NamedTuple):
    """``status`` to answer with and a public ``reason``, a fixed sentence that repeats nothing of the request."""

    status: int
    reason: str


BAD_REQUEST_LINE = HeadRefusal(400, "The request line is malformed.")
BAD_VERSION = HeadRefusal(505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
BAD_METHOD = HeadRefusal(501, "The request method is not implemented.")
BAD_TARGET = HeadRefusal(400, "The request target must be an absolute path of printable ASCII without a fragment.")
BAD_HOST = HeadRefusal(400, "The Host header must name one host.")
BAD_TRANSFER_ENCODING = HeadRefusal(400, "The only transfer coding is chunked, in HTTP/1.1 and without Content-Length.")
BAD_CONTENT_LENGTH = HeadRefusal(400, "The Content-Length header must be one decimal number.")
NO_UPGRADE = HeadRefusal(400, "Protocol upgrades (WebSocket) are not offered; answers are streamed over plain HTTP.")
BAD_EXPECTATION = HeadRefusal(417, "The only expectation met is 100-continue.")

_HTTP_1_0 = (1, 0)
_HTTP_1_1 = (1, 1)
_VERSIONS = (_HTTP_1_1, _HTTP_1_0)
# CONNECT and TRACE are absent: the gateway is no tunnel and no echo.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Printable ASCII but "#" and "\", which some servers read as "/"; no second slash, which URL libraries read as a host.
_TARGET = re.compile(r'/(?!/)[!"$-\[\]-~]*')


def judge_head(version: tuple[int, int], method: str, target: str, headers: HeaderMap) -> HeadRefusal | None:
    """``None`` for a request that may come in. Header values are taken as parsed: without surrounding whitespace."""
    if version not in _VERSIONS:
        return BAD_VERSION
    if method not in _METHODS:
        return BAD_METHOD
    # RFC 9112 section 3.2: absolute-form is for proxies, authority-form for CONNECT, "*" for OPTIONS
    if not _is_target(target):
        return BAD_TARGET
    # RFC 9112 section 3.2: 400 for a missing, repeated or invalid Host; only HTTP/1.0 may go without
    hosts = headers.getall("Host", ())
    if len(hosts) == 1:
        if len(hosts[0]) > MAX_HOST_CHARS or not _is_known_host(hosts[0]):
            return BAD_HOST
    elif hosts or version == _HTTP_1_1:
        return BAD_HOST
    if "Transfer-Encoding" in headers:
        return _judge_coding(version, headers) or _judge_intent(headers)
    lengths = headers.getall("Content-Length", ())
    if lengths and not (len(lengths) == 1 and _is_length(lengths[0])):
        return BAD_CONTENT_LENGTH
    return _judge_intent(headers) if "Upgrade" in headers or "Expect" in headers else None


@lru_cache(maxsize=MAX_JUDGED_TARGETS)
def _is_target(target: str) -> bool:
    return _TARGET.fullmatch(target) is not None


_is_known_host = lru_cache(maxsize=MAX_JUDGED_HOSTS)(is_host)


def _judge_coding(version: tuple[int, int], headers: HeaderMap) -> HeadRefusal | None:
    """RFC 9112 section 6: where the body ends must not be a matter of opinion."""
    codings = headers.getall("Transfer-Encoding", ())
    is_plain = len(codings) == 1 and codings[0].lower() == "chunked"
    return None if is_plain and "Content-Length" not in headers and version == _HTTP_1_1 else BAD_TRANSFER_ENCODING


def _is_length(text: str) -> bool:
    return len(text) <= MAX_CONTENT_LENGTH_DIGITS and text.isascii() and text.isdigit()


def _judge_intent(headers: HeaderMap) -> HeadRefusal | None:
    if "Upgrade" in headers:
        return NO_UPGRADE
    if "Expect" in headers and [e.lower() for e in headers.getall("Expect", ())] != ["100-continue"]:
        return BAD_EXPECTATION
    return None


def judge_opening(data: bytes) -> HeadRefusal | None:
    """Judge the first bytes of a request, as they came in one read and before the parser has them: a request line with
    other than two single spaces, or more than one empty line before it (RFC 9112 section 2.2 lets clients send one).

    A request line in several reads escapes, which is a matter of tidiness and not of safety: the parser and
    ``judge_head`` still find the same method, target and framing in it.
    """
    if data.startswith(b"\r\n"):
        data = data[2:]
    if data.startswith((b"\r", b"\n")) and data != b"\r":
        return BAD_REQUEST_LINE
    end = data.find(b"\r\n")
    spaces = data.count(b" ", 0, end) if end >= 0 else data.count(b" ")
    if spaces > 2 or (end >= 0 and spaces < 2):
        return BAD_REQUEST_LINE
    return None


def may_reuse(headers: HeaderMap) -> bool:
    """May another request follow on the connection? Not after a chunked one: aiohttp's C parser (3.14) keeps the last
    trailer field of a chunked body and hands it to the next request as its first header, so that whoever sends the
    body could put a credential on a request that a proxy in front sends for somebody else."""
    return "Transfer-Encoding" not in headers
