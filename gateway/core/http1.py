"""Request heads for HTTP/1.1, judged: no text from anywhere can end a line, begin another or change a length.

The request line and the fields follow RFC 9112, sections 3 and 5. Whoever sends the head adds ``Content-Length`` and
the blank line, so fields that say where a message ends, or that speak about the connection, are refused here.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_TARGET = re.compile(r"(?:/|https?://)[!-~]*")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # all but the tab
_CONNECTION_FIELDS = frozenset(
    (
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
# CONNECT has no response at all in this sense, and TRACE would show the credentials to whoever asked for it.
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def build_request_head(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Request line and header lines, without ``Content-Length`` and the blank line.

    ``target`` is a path or an absolute URL. ``headers`` must hold exactly one ``Host``. ``ValueError``, naming the
    field but never its value, when the method is none we send, the target has a character outside visible ASCII or
    begins otherwise, a name is no token or belongs to the connection, or a value has a control character.
    """
    if method not in _METHODS:
        raise ValueError("the request method is not one this client sends")
    if _TARGET.fullmatch(target) is None or "#" in target:
        raise ValueError("the request target has a character that may not stand in one")
    lines = [f"{method} {target} HTTP/1.1"]
    hosts = 0
    for name, value in headers:
        hosts += _is_host(name)
        if not value.isprintable() and _CONTROL.search(value) is not None:
            raise ValueError(f"the value of header {name} has a control character")
        lines.append(f"{name}: {value}")
    if hosts != 1:
        raise ValueError("a request has exactly one Host header")
    lines.append("")
    # obs-text bytes that came in as surrogates go out as the bytes they were
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


@lru_cache(maxsize=512)
def _is_host(name: str) -> bool:
    """Whether the judged ``name`` is ``Host``; remembered, because the same few names come with every request."""
    if _TOKEN.fullmatch(name) is None:
        raise ValueError("a header name has a character that may not stand in one")
    if name.lower() in _CONNECTION_FIELDS:
        raise ValueError(f"header {name} belongs to the connection and cannot be set for a request")
    return name.lower() == "host"


def build_connect_head(authority: str, authorization: str | None) -> bytes:
    """The whole head that asks a proxy for a tunnel (RFC 9110, section 9.3.6). ``authority`` is ``host:port`` and
    ``authorization`` the value of ``Proxy-Authorization``; both judged as in ``build_request_head``."""
    if re.fullmatch(r"[!-~]+", authority) is None or (authorization and _CONTROL.search(authorization)):
        raise ValueError("the tunnel's address or credentials have a character that may not stand in a header")
    credentials = f"Proxy-Authorization: {authorization}\r\n" if authorization else ""
    return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{credentials}\r\n".encode("ascii")
