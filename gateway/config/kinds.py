"""The kinds of values a setting may hold: how each is read from text, and how it is written back.

Files and the environment both hold text, so there is one way to read each kind, and YAML's guesses (``no`` is false,
``1:30`` is ninety, ``2024-01-01`` is a date) never come into play.
"""

import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from gateway.core.names import is_header_value, is_host, is_model_id
from gateway.core.origin import bracketed, parse_origin
from gateway.core.proxy import parse_proxy
from gateway.core.secret import Secret
from gateway.core.units import format_duration, format_size, parse_duration, parse_size

# A deadline beyond a year is a mistake, and timers overflow.
LONGEST_S = 365 * 86400.0
LARGEST_BYTES = 1024**4
# A secret of this length has enough left over when its end is shown.
SHOWN_SECRET_CHARS = 20


class Kind(Struct, frozen=True):
    """``phrase`` and ``example`` say what to write when ``read`` raises ``ValueError``. Values of a private kind are
    never shown, not even wrong ones."""

    name: str
    phrase: str
    example: str
    read: Callable[[str], object]
    write: Callable[[Any], str] = str
    is_private: bool = False
    lowest: float | None = None
    highest: float | None = None


# --- reading ------------------------------------------------------------------------------------------------------

_WHOLE = re.compile(r"-?[0-9]{1,15}")
_FLAGS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)
_VISIBLE = re.compile(r"[!-~]+")
_LOGIN = re.compile(r"\A([A-Za-z]+://|).*@")


def _read_whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError
    return int(text)


def _read_flag(text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise ValueError
    return _FLAGS[text.lower()]


def _read_host(text: str) -> str:
    if not is_host(bracketed(text)):
        raise ValueError
    return text


def _read_model(text: str) -> str:
    if not is_model_id(text):
        raise ValueError
    return text


def _read_secret(text: str) -> Secret:
    if not _VISIBLE.fullmatch(text):
        raise ValueError
    return Secret(text)


def _read_header_value(text: str) -> Secret:
    if not is_header_value(text):
        raise ValueError
    return Secret(text)


def _read_address(text: str) -> str:
    parse_origin(text)
    return text


def _read_proxy(text: str) -> Secret:
    parse_proxy(text)
    return Secret(text)


# --- writing ------------------------------------------------------------------------------------------------------


def mask(secret: Secret) -> str:
    """``***`` and, of a long secret, its last four characters."""
    text = secret.reveal()
    return "***" + text[-4:] if len(text) >= SHOWN_SECRET_CHARS else "***"


def _mask_login(address: Secret) -> str:
    return _LOGIN.sub(r"\1***@", address.reveal())


# --- the table ----------------------------------------------------------------------------------------------------

TEXT = Kind("text", "a text", "", str)
WHOLE = Kind("whole number", "a whole number", "8080", _read_whole)
DURATION = Kind("duration", "a duration", "30s", parse_duration, format_duration, lowest=0, highest=LONGEST_S)
SIZE = Kind("size", "a size", "32MiB", parse_size, format_size, lowest=0, highest=LARGEST_BYTES)
FLAG = Kind("flag", "true or false", "", _read_flag, lambda flag: "true" if flag else "false")
MODEL = Kind("model id", "a model id", "", _read_model)
HOST = Kind("address", "an IP address or a host name", "127.0.0.1", _read_host)
SECRET = Kind(
    "secret", "a key of visible ASCII characters, no blanks", '"${SOME_API_KEY}"', _read_secret, mask, is_private=True
)
HEADER_VALUE = Kind("header value", "a text of ASCII characters", "blue", _read_header_value, mask, is_private=True)
# an address with a login in it is refused and must not be shown
ADDRESS = Kind(
    "URL",
    "an http or https URL without login, query or fragment",
    "https://api.example.com/v1",
    _read_address,
    is_private=True,
)
PROXY = Kind("URL", "an http URL", "http://proxy.example.com:3128", _read_proxy, _mask_login, is_private=True)

KINDS: dict[tuple[type, str], Kind] = {
    (str, ""): TEXT,
    (int, ""): WHOLE,
    (bool, ""): FLAG,
    (Secret, ""): SECRET,
    (float, "duration"): DURATION,
    (int, "size"): SIZE,
    (str, "host"): HOST,
    (str, "model"): MODEL,
    (str, "address"): ADDRESS,
    (Secret, "address"): PROXY,
    (Secret, "header"): HEADER_VALUE,
}


def choice(words: tuple[str, ...]) -> Kind:
    """One word of a closed list."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError
        return text

    return Kind(" / ".join(words), "one of " + ", ".join(words), "", read)
