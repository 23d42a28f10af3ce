"""Judges of names that cross a border: yes or no, on the whole text, before it meets a URL, a header or a log line.

Each judge is an allow-list, because what a stranger's parser makes of an odd byte cannot be known here. None of the
patterns can backtrack far: every repetition ends at a character the next part cannot start with.
"""

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import quote, unquote

from gateway.core.limits import (
    MAX_HOST_CHARS,
    MAX_INSTANCE_NAME_CHARS,
    MAX_MODEL_ID_CHARS,
    MAX_NAMED_FIELDS,
    MAX_PATH_SEGMENT_CHARS,
    MAX_REQUEST_ID_CHARS,
)

# Brackets occur in ids such as ``mimo[1m]``. No percent sign: an id that is decoded once too often must not change.
_MODEL_SEGMENT = r"(?!\.\.?(?:/|\Z))[A-Za-z0-9._:@+~\[\]-]+"
_MODEL_ID = re.compile(rf"{_MODEL_SEGMENT}(?:/{_MODEL_SEGMENT})*")
_PATH_SEGMENT = re.compile(rf"(?!\.\.?\Z)[A-Za-z0-9._~:@+=,-]{{1,{MAX_PATH_SEGMENT_CHARS}}}")
_REQUEST_ID = re.compile(rf"[A-Za-z0-9._~:/+=@|;-]{{1,{MAX_REQUEST_ID_CHARS}}}")
_FIELD_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,128}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")
_BROKEN_QUOTE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Matrix parameters hide behind semicolons: to some servers ``..;x`` is ``..``.
_HIDDEN = re.compile(r"[/\\%\x00-\x1f\x7f]|\A\.\.?;")
_INSTANCE_NAME = re.compile(rf"[a-z](?:[a-z0-9_-]{{0,{MAX_INSTANCE_NAME_CHARS - 2}}}[a-z0-9])?")
_HOST = re.compile(
    r"(?:((?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?)|\[([0-9A-Fa-f:.]{2,45})\])(?::([0-9]{1,5}))?"
)


def is_model_id(text: str) -> bool:
    """May ``text`` be a model's id, with or without its provider in front? Letters, digits and ``._:@+~[]-`` in
    segments divided by single slashes, none of them ``.`` or ``..``: enough for every id that providers are known to
    list, and no id can leave its place in a URL (RFC 3986 section 5.2.4)."""
    return len(text) <= MAX_MODEL_ID_CHARS and _MODEL_ID.fullmatch(text) is not None


def is_path_segment(text: str) -> bool:
    """May ``text`` stand between two slashes of a URL path as it is? A subset of RFC 3986 ``pchar`` that no server
    decodes, cuts or resolves: no percent sign, no semicolon, not ``.`` or ``..``."""
    return _PATH_SEGMENT.fullmatch(text) is not None


def is_request_id(text: str) -> bool:
    """May a client's ``X-Request-ID`` be kept? UUIDs, base64, W3C trace ids and ``|a.b;c=d`` forms pass."""
    return _REQUEST_ID.fullmatch(text) is not None


def is_header_name(text: str) -> bool:
    """A ``token`` of RFC 9110 section 5.6.2."""
    return _HEADER_NAME.fullmatch(text) is not None


def is_header_value(text: str) -> bool:
    """A ``field-value`` of RFC 9110 section 5.5 without its obsolete 8-bit part: printable ASCII, spaces and tabs
    inside only, or nothing at all."""
    return _HEADER_VALUE.fullmatch(text) is not None


def shown_fields(names: Sequence[str]) -> tuple[str, ...]:
    """Names of fields, which anybody may have made up, as a header and a log line can tell them: what is no plain name
    becomes ``?``, and a long list ends in a number (``5 more``)."""
    shown = [name if _FIELD_NAME.fullmatch(name) else "?" for name in names[:MAX_NAMED_FIELDS]]
    if (untold := len(names) - len(shown)) > 0:
        shown.append(f"{untold} more")
    return tuple(shown)


def is_instance_name(text: str) -> bool:
    """May a configured provider be called so? Lower-case letters, digits, ``-`` and ``_``, starting with a letter: the
    name is a prefix of model ids, a path segment, a metric label and half of an environment variable's name."""
    return _INSTANCE_NAME.fullmatch(text) is not None


def is_host(text: str) -> bool:
    """A ``Host`` value of RFC 9110 section 7.2 as real clients send it: a host name, an IPv4 address or a bracketed
    IPv6 address, and perhaps a port. Underscores are allowed, compose files are full of them."""
    match = _HOST.fullmatch(text) if len(text) <= MAX_HOST_CHARS else None
    if match is None or (match[3] and int(match[3]) > 65535):
        return False
    return match[2] is None or _is_ipv6(match[2])


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def is_plain_path(text: str) -> bool:
    """May the rest of a request path, percent signs and all, be put behind a provider's base URL? Not when any server
    on the way might see another path in it: an empty segment (but for a slash at the end), ``.`` or ``..``, a slash or
    backslash that is quoted, a control character, or a percent sign left after decoding once, behind which any of these
    could hide (RFC 3986 sections 5.2.4 and 7.3)."""
    *inner, last = text.split("/")
    return all(map(_is_plain_segment, inner)) and (last == "" or _is_plain_segment(last)) and bool(inner or last)


def _is_plain_segment(segment: str) -> bool:
    if not segment or _BROKEN_QUOTE.search(segment):
        return False
    plain = unquote(segment, errors="replace")
    return plain not in ("", ".", "..") and _HIDDEN.search(plain) is None


def quote_segment(text: str) -> str:
    """``text`` as one path segment: all but RFC 3986's unreserved characters percent-encoded. ``ValueError`` for what
    no quoting makes safe: nothing at all, ``.`` and ``..`` (``%2E`` means the same dot), a lone surrogate."""
    if text in ("", ".", ".."):
        raise ValueError(f"{text!r} cannot be a path segment")
    return quote(text, safe="")
