"""Opening a connection: name, address, TCP, proxy, TLS; and every library's way to fail mapped to ours."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final

from gateway.core.errors import UpstreamUnreachable
from gateway.core.http1 import build_connect_head
from gateway.core.origin import Origin
from gateway.core.proxy import Proxy
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.race import first_success
from gateway.upstream.resolve import Resolver
from gateway.upstream.tls import server_name, tls_context
from gateway.upstream.tunnel import Tunnel, TunnelError

MakeConnection = Callable[[], UpstreamConnection]


class Dialer:
    """Opens connections to one origin. Sets no deadline of its own: who waits cancels."""

    def __init__(self, origin: Origin, *, proxy: Proxy | None, ca_file: str | None, resolver: Resolver) -> None:
        self._origin = origin
        self._proxy = proxy
        self._ca_file = ca_file
        self._resolver = resolver
        self._hop = origin if proxy is None else proxy
        if ca_file is not None:
            tls_context(ca_file)  # an unusable file is the operator's mistake and told at the start

    async def open(self, make_connection: MakeConnection) -> UpstreamConnection:
        """A usable connection. ``UpstreamUnreachable`` for every failure."""
        try:
            return await self._open(make_connection)
        except (OSError, UnicodeError, TunnelError) as error:
            raise unreachable(error) from error

    async def _open(self, make_connection: MakeConnection) -> UpstreamConnection:
        addresses = await self._resolver.resolve(self._hop.host)
        tunnel = await first_success([partial(self._connect, address) for address in addresses], Tunnel.abort)
        try:
            return await self._hand_over(tunnel, make_connection())
        except BaseException:
            tunnel.abort()
            raise

    async def _connect(self, address: str) -> Tunnel:
        transport, tunnel = await asyncio.get_running_loop().create_connection(Tunnel, address, self._hop.port)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return tunnel

    async def _hand_over(self, tunnel: Tunnel, connection: UpstreamConnection) -> UpstreamConnection:
        """Make the bare ``tunnel`` the provider's ``connection``."""
        origin, proxy = self._origin, self._proxy
        if proxy is not None and proxy.is_tls:
            tunnel.transport = await self._start_tls(tunnel.transport, tunnel, proxy.host)
        if proxy is not None and origin.is_tls:
            authorization = None if proxy.authorization is None else proxy.authorization.reveal()
            await tunnel.ask(build_connect_head(origin.authority, authorization))
        if origin.is_tls:
            transport = await self._start_tls(tunnel.transport, connection, origin.host)
        else:
            transport = tunnel.transport
            transport.set_protocol(connection)
        connection.connection_made(transport)
        transport.resume_reading()
        return connection

    async def _start_tls(
        self, transport: asyncio.Transport, protocol: asyncio.Protocol, host: str
    ) -> asyncio.Transport:
        context = tls_context(self._ca_file)
        secured = await asyncio.get_running_loop().start_tls(
            transport, protocol, context, server_hostname=server_name(host)
        )
        if secured is None:
            raise ConnectionAbortedError("the connection was closed during the TLS handshake")
        return secured


# The first row that fits decides; everything else a dial can raise is an ``OSError`` too.
_MESSAGES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (
        ssl.SSLCertVerificationError,
        "The provider's TLS certificate was not accepted. Check that it is in date and names the configured host; "
        "if a private authority signed it, set ca_file to that authority's certificate.",
    ),
    (ssl.SSLError, "No TLS connection to the provider could be made."),
    (socket.gaierror, "The provider's host name could not be resolved."),
    (UnicodeError, "The provider's host name could not be resolved."),
    (TunnelError, "The proxy gave no connection to the provider."),
    (ConnectionRefusedError, "The provider refused the connection."),
    (OSError, "The provider could not be connected to."),
)


def unreachable(error: Exception) -> UpstreamUnreachable:
    """``error`` as ours: what to do in the public message, what happened (addresses too) in the detail."""
    if isinstance(error, TunnelError) and error.status == 407:
        message = "The proxy did not accept the configured credentials."
    else:
        message = next(text for kind, text in _MESSAGES if isinstance(error, kind))
    return UpstreamUnreachable(message, detail=f"{type(error).__name__}: {error}")
