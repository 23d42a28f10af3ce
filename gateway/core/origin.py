"""Where a base URL points: scheme, host, port and the path that every request path is appended to."""

import re
from ipaddress import AddressValueError, IPv6Address

from msgspec import Struct

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_HOST_CHARS = 253  # RFC 1035, section 2.3.4
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#\\\s]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>\#.*)?",
    re.DOTALL,
)
_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?")


class Origin(Struct, frozen=True):
    """``host`` is lower case and without brackets, ``base_path`` empty or ``/...`` without a slash at its end."""

    scheme: str
    host: str
    port: int
    base_path: str = ""

    @property
    def is_tls(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """``host:port``, the form ``CONNECT`` asks for (RFC 9110, section 9.3.6)."""
        return f"{bracketed(self.host)}:{self.port}"

    @property
    def host_header(self) -> str:
        """The ``Host`` value: the port only where it is not the scheme's own (RFC 9110, section 7.2)."""
        return bracketed(self.host) if self.port == _DEFAULT_PORTS[self.scheme] else self.authority

    @property
    def root(self) -> str:
        """``scheme://host[:port]``, what absolute-form request targets begin with."""
        return f"{self.scheme}://{self.host_header}"


def bracketed(host: str) -> str:
    """``host`` as it stands in a URL: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def parse_origin(base_url: str) -> Origin:
    """The origin ``base_url`` names.

    ``ValueError``, in words for the operator and without the URL itself, when it is not plain ``http`` or ``https``
    with a host: credentials, query and fragment have no meaning in a base URL and would be lost in silence.
    """
    match = _URL.fullmatch(base_url)
    if match is None or match["scheme"].lower() not in _DEFAULT_PORTS:
        raise ValueError("a base URL begins with http:// or https://")
    if "@" in match["authority"]:
        raise ValueError("a base URL carries no user name or password")
    if match["query"] is not None or match["fragment"] is not None:
        raise ValueError("a base URL has no query and no fragment")
    if _PATH.fullmatch(match["path"]) is None:
        raise ValueError("the path of a base URL has a character that must be percent-encoded")
    scheme = match["scheme"].lower()
    host, port = parse_authority(match["authority"], default_port=_DEFAULT_PORTS[scheme])
    return Origin(scheme, host, port, match["path"].rstrip("/"))


def complete_base_url(given: str, default: str) -> str:
    """``given``, with the path of ``default`` where it has none: the vendors' own SDKs take ``https://host`` and know
    their path themselves. ``default`` may be empty. ``ValueError`` as ``parse_origin``."""
    if not default or parse_origin(given).base_path:
        return given
    return given.rstrip("/") + parse_origin(default).base_path


def parse_authority(text: str, *, default_port: int) -> tuple[str, int]:
    """Host (lower case, no brackets) and port of ``host[:port]`` or ``[ipv6][:port]``; ``ValueError`` otherwise."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise ValueError("the URL has no valid host; write names in ASCII and IPv6 addresses in brackets")
    port = int(match["port"] or default_port)
    if not 0 < port <= 65535:
        raise ValueError("a port is a number from 1 to 65535")
    host = match["name"] or _ipv6(match["ipv6"])
    if len(host) > _MAX_HOST_CHARS:
        raise ValueError(f"a host name has at most {_MAX_HOST_CHARS} characters")
    return host.lower(), port


def _ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except AddressValueError:
        raise ValueError("the host in brackets is not an IPv6 address") from None
