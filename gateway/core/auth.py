"""Who is asking: a key in a header, compared by digest.

Only digests are compared and in constant time, so neither the length nor a common prefix of a guess can be felt from
outside. Without a master key everybody is let in; configuration allows that on loopback only.
"""

import hashlib
import hmac
from collections.abc import Mapping

from msgspec import Struct

from gateway.core.errors import Unauthorized
from gateway.core.secret import Secret

# Where clients put a bare key. The first is common to several vendors; the others are those of native SDKs that are
# pointed at the gateway's passthrough.
KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")
# What must not be passed on to anybody: it was meant for this gateway.
CREDENTIAL_HEADERS = ("authorization", "proxy-authorization", *KEY_HEADERS)


class Principal(Struct, frozen=True):
    """Whose request this is. ``name`` is safe to log."""

    name: str


MASTER = Principal("master")
ANYONE = Principal("anyone")


def digest(key: str) -> bytes:
    """SHA-256 of a key. Keys are long and random, so no salt and no slow hash are needed; ``surrogatepass`` takes
    header bytes that are no text, and no two keys become one."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


class KeyRing:
    """The keys that open the gateway."""

    def __init__(self, master_key: Secret | None) -> None:
        self._master: bytes | None = None
        self._bearer: bytes | None = None
        if master_key is not None:
            if not master_key.reveal():
                raise ValueError("an empty master key would be found in every request that has none")
            self._master = digest(master_key.reveal())
            # the header as nearly every client sends it, so that it need not be taken apart
            self._bearer = digest(f"Bearer {master_key.reveal()}")

    def identify(self, headers: Mapping[str, str]) -> Principal:
        """``Authorization: Bearer`` or ``x-api-key`` (both are used on both dialects). Raises ``Unauthorized``."""
        if self._master is None or self._bearer is None:
            return ANYONE
        authorization = headers.get("Authorization")
        if authorization is not None and hmac.compare_digest(digest(authorization), self._bearer):
            return MASTER
        key = read_key(headers)
        if not key:
            raise Unauthorized("No API key was given. Send it as 'Authorization: Bearer <key>' or in 'x-api-key'.")
        if not hmac.compare_digest(digest(key), self._master):
            raise Unauthorized("The API key is not valid here.")
        return MASTER


def read_key(headers: Mapping[str, str]) -> str:
    """The key of a request, empty when there is none. The scheme's case does not matter (RFC 9110, 11.1); another
    scheme is meant for somebody else, a proxy in front of us perhaps."""
    scheme, _, key = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip(" \t")
    return next((headers[name] for name in KEY_HEADERS if name in headers), "")
