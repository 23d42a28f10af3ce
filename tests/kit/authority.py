"""A certificate authority for one test run: contexts for peers, and the file a client trusts."""

import ssl
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import trustme


class Authority:
    def __init__(self) -> None:
        self._authority = trustme.CA()

    def write(self, folder: Path) -> str:
        """The authority's certificate as a PEM file; its path."""
        path = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(path))
        return str(path)

    def server(self, *names: str, is_expired: bool = False) -> ssl.SSLContext:
        """The context of a server whose certificate bears ``names``."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["h2", "http/1.1"])
        self._issue(*names, is_expired=is_expired).configure_cert(context)
        return context

    def _issue(self, *names: str, is_expired: bool) -> trustme.LeafCert:
        if is_expired:
            return self._authority.issue_cert(*names, not_after=datetime(2001, 1, 1, tzinfo=UTC))
        return self._authority.issue_cert(*names)


@cache
def authority() -> Authority:
    return Authority()
