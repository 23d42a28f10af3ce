"""How TLS is spoken to providers and proxies: always verified, never older than TLS 1.2."""

import asyncio
import ssl
from functools import cache


@cache
def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """The client context for ``ca_file``, or for the system's authorities.

    Contexts are shared because reading the system's authorities takes some 20 ms and megabytes. OpenSSL honours
    ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``. ``OSError`` when the file cannot be read, ``ValueError`` when it holds no
    certificate.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise ValueError(f"the CA file holds no usable certificate in PEM form: {error.reason}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def server_name(host: str) -> str:
    """The name to verify: a name written as fully qualified (``host.``) is certified without the dot."""
    return host.rstrip(".")


def is_end_authentic(transport: asyncio.BaseTransport) -> bool:
    """Whether the end of the stream was said by the peer and not by somebody who cut the line.

    In TLS a peer says farewell (``close_notify``, RFC 8446, section 6.1). The loops report both ends alike, but reading
    on tells them apart: after a farewell there is nothing, without it OpenSSL waits for more.
    """
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return True
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False
