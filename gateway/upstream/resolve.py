"""Names to addresses: a short memory before the system's resolver, and the last good answer when that fails."""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Final

from msgspec import Struct

from gateway.core.limits import MAX_ADDRESSES, MAX_CACHED_HOSTS

# Addresses as text, in the order of preference the system gives (RFC 6724).
Lookup = Callable[[str], Awaitable[Sequence[str]]]

TTL_S: Final = 30.0
# A resolver that is down for longer than this is no reason to trust an address any more.
KEEP_S: Final = 600.0


async def system_lookup(host: str) -> Sequence[str]:
    """``getaddrinfo`` off the event loop. ``OSError`` or ``UnicodeError`` when the name has no address."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for _family, _type, _proto, _name, address in found]


class _Known(Struct):
    addresses: list[str]
    looked_up_at: float
    fresh_until: float


class Resolver:
    """Addresses of hosts, each asked for at most once in ``ttl_s``; equal questions at the same time are one."""

    def __init__(self, lookup: Lookup = system_lookup, *, ttl_s: float = TTL_S, keep_s: float = KEEP_S) -> None:
        self._lookup = lookup
        self._ttl_s = ttl_s
        self._keep_s = keep_s
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Task[list[str] | Exception]] = {}

    async def resolve(self, host: str) -> list[str]:
        """Addresses to try in order, families alternating. ``OSError`` or ``UnicodeError`` when there is none."""
        if _is_address(host):
            return [host]
        known = self._known.get(host)
        if known is not None and asyncio.get_running_loop().time() < known.fresh_until:
            return known.addresses
        asking = self._asking.get(host)
        if asking is None:
            asking = self._asking[host] = asyncio.get_running_loop().create_task(self._ask(host))
            asking.add_done_callback(lambda _task: self._asking.pop(host))
        # whoever gives up waiting must not take the answer from the others
        found = await asyncio.shield(asking)
        if isinstance(found, Exception):
            raise found
        return found

    async def _ask(self, host: str) -> list[str] | Exception:
        """What is now known of ``host``, or why nothing is: returned, since there may be nobody left to raise it to."""
        now = asyncio.get_running_loop().time
        try:
            addresses = interleave(await self._lookup(host))[:MAX_ADDRESSES]
            if not addresses:
                raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
        except (OSError, UnicodeError) as error:
            return self._last_good(host, now()) or error
        if len(self._known) >= MAX_CACHED_HOSTS and host not in self._known:
            del self._known[next(iter(self._known))]
        self._known[host] = _Known(addresses, now(), now() + self._ttl_s)
        return addresses

    def _last_good(self, host: str, now: float) -> list[str] | None:
        """What was known before, for another ``ttl_s``."""
        known = self._known.get(host)
        if known is None or now - known.looked_up_at > self._keep_s:
            return None
        known.fresh_until = now + self._ttl_s
        return known.addresses


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def interleave(addresses: Iterable[str]) -> list[str]:
    """Distinct ``addresses`` with the families in turns, the first one's family first (RFC 8305, section 4): one broken
    family then costs one attempt and not all."""
    unique = list(dict.fromkeys(addresses))
    is_v6 = bool(unique) and ":" in unique[0]
    first = [address for address in unique if (":" in address) is is_v6]
    other = [address for address in unique if (":" in address) is not is_v6]
    return [address for pair in zip_longest(first, other) for address in pair if address is not None]
