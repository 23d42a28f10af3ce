"""Where a response ends, judged before anybody is told that it began.

The parser (llhttp) finds the end of a message and refuses much by itself: a ``Content-Length`` that is malformed,
repeated or beside a ``Transfer-Encoding``, line ends other than CR LF, folded lines. What it lets pass is judged here:
a response that ends in different places for different readers is how one client's answer reaches another (RFC 9112,
section 6).
"""

from typing import Final

from gateway.core.limits import MAX_UPSTREAM_HEADER_BYTES, MAX_UPSTREAM_HEADERS
from gateway.upstream.contract import RawHeaders

_VERSIONS: Final = frozenset(("1.1", "1.0"))
_BODYLESS: Final = frozenset((204, 304))


class FramingError(ValueError):
    """A response that may not be read any further. The text is fixed."""


def ends_with_connection(status: int, headers: RawHeaders, version: str) -> bool:
    """Whether only the end of the connection ends the response; else its length is told or it has no body.

    ``version`` is ``major.minor``. ``FramingError`` for HTTP versions other than 1.0 and 1.1, statuses below 100, 101,
    informational responses with a length, and transfer codings other than one ``chunked`` on HTTP/1.1.
    """
    if version not in _VERSIONS or status < 100 or status == 101:
        raise FramingError("the status line is not one that answers an HTTP/1.1 request")
    is_chunked = False
    for name, value in headers:
        # lengths first: lower-casing every name would cost more than all else here
        size = len(name)
        if size == 14 and name.lower() == b"content-length":
            if status < 200:
                raise FramingError("an informational response has no length")
            return False  # the parser takes neither a second one nor a Transfer-Encoding
        if size == 17 and name.lower() == b"transfer-encoding":
            if is_chunked or value.strip(b" \t").lower() != b"chunked":
                raise FramingError("the response has a transfer coding other than chunked")
            is_chunked = True
    if is_chunked:
        _judge_chunked(status, version)
        return False
    return status >= 200 and status not in _BODYLESS


def _judge_chunked(status: int, version: str) -> None:
    if version != "1.1":
        raise FramingError("only an HTTP/1.1 response can be chunked")
    if status < 200 or status in _BODYLESS:
        raise FramingError("a response without a body cannot be chunked")


def judge_size(headers: RawHeaders) -> None:
    """``FramingError`` when ``headers`` are too many or, with their separators, too long."""
    if len(headers) > MAX_UPSTREAM_HEADERS:
        raise FramingError("the response has too many header fields")
    if sum(len(name) + len(value) + 4 for name, value in headers) > MAX_UPSTREAM_HEADER_BYTES:
        raise FramingError("the response head is too long")
