"""Which proxy a request takes: the environment's usual variables, read as curl and Go read them.

``HTTP_PROXY`` serves http targets, ``HTTPS_PROXY`` https targets, ``ALL_PROXY`` both where the first is unset;
lower-case names win over upper-case ones. ``NO_PROXY`` lists what is asked directly, separated by commas or spaces:

    example.com  .example.com  *.example.com     the domain and everything below it
    10.1.2.3  fd00::1  10.0.0.0/8  fd00::/8      that address, or a whole network (for hosts written as addresses)
    example.com:8080  [fd00::1]:8080             only that port
    *                                            everything

``localhost`` and loopback addresses never take a proxy from the environment: a proxy's loopback is another machine.
"""

import base64
import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import unquote

from msgspec import Struct

from gateway.core.origin import parse_authority, parse_origin
from gateway.core.secret import Secret

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PORT = re.compile(r"[0-9]{1,5}")


class Proxy(Struct, frozen=True):
    """A forward proxy. ``is_tls``: the proxy itself is spoken to over TLS. ``authorization`` is the whole value of
    ``Proxy-Authorization``."""

    host: str
    port: int
    is_tls: bool = False
    authorization: Secret | None = None


def parse_proxy(url: str) -> Proxy:
    """The proxy ``url`` names: ``[http[s]://][user:password@]host[:port]``. ``ValueError`` without the URL, which may
    hold a password."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "http", url
    scheme = scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise ValueError("a proxy URL begins with http:// or https://; SOCKS is not supported")
    credentials, _, authority = rest.rstrip("/").rpartition("@")
    host, port = parse_authority(authority, default_port=_DEFAULT_PORTS[scheme])
    return Proxy(host, port, scheme == "https", _basic(credentials) if credentials else None)


def _basic(credentials: str) -> Secret:
    """``Basic`` authentication (RFC 7617) of percent-encoded ``user:password``."""
    user, _, password = credentials.partition(":")
    pair = f"{unquote(user)}:{unquote(password)}".encode()
    return Secret("Basic " + base64.b64encode(pair).decode("ascii"))


def proxy_for(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that ``environ`` asks for requests to the base URL ``url``, or ``None`` for a direct connection.
    ``ValueError`` when either is no valid URL."""
    origin = parse_origin(url)
    proxy_url = _variable(environ, f"{origin.scheme}_proxy") or _variable(environ, "all_proxy")
    if not proxy_url or _is_loopback(origin.host):
        return None
    if is_excluded(origin.host, origin.port, _variable(environ, "no_proxy")):
        return None
    return parse_proxy(proxy_url)


def _variable(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return address.is_loopback if address is not None else host == "localhost"


def is_excluded(host: str, port: int, no_proxy: str) -> bool:
    """Whether ``no_proxy`` says that ``host`` is asked directly. Entries that make no sense exclude nothing."""
    address = _address(host)
    return any(_matches(entry, host, port, address) for entry in no_proxy.replace(",", " ").split())


def _matches(entry: str, host: str, port: int, address: _Address | None) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return address is not None and _is_within(address, entry)
    name, only_port = _split_port(entry)
    if only_port is not None and only_port != port:
        return False
    if address is not None:
        return _address(name) == address
    domain = name.lower().removeprefix("*").removeprefix(".")
    return bool(domain) and (host == domain or host.endswith("." + domain))


def _split_port(entry: str) -> tuple[str, int | None]:
    """An entry without its port; an IPv6 address without brackets has none."""
    name, separator, digits = entry.rpartition(":")
    if separator and _PORT.fullmatch(digits) and (":" not in name or name.endswith("]")):
        return name.strip("[]"), int(digits)
    return entry.strip("[]"), None


def _is_within(address: _Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
