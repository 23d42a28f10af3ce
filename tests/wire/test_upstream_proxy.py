"""Proxies on real sockets: a tunnel for https, absolute form for http."""

import asyncio
from pathlib import Path

import pytest

from gateway.core.errors import UpstreamUnreachable
from gateway.core.limits import MAX_TUNNEL_HEAD_BYTES
from gateway.core.proxy import Proxy, parse_proxy
from tests.kit.authority import authority
from tests.kit.client import ask, until, upstream_to
from tests.kit.loops import on_both_loops
from tests.kit.peer import Peer, PeerConnection, serve

HOST = "provider.test"  # no resolver knows it: only a proxy can reach it
CREDENTIALS = b"Proxy-Authorization: Basic dXNlcjpwOnc=\r\n"


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    return authority().write(tmp_path)


class TunnelProxy:
    """Opens a tunnel to ``port`` whatever is asked for, and remembers what was."""

    def __init__(self, port: int, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self._port = port
        self._answer = answer
        self.asked: list[bytes] = []

    async def __call__(self, connection: PeerConnection) -> None:
        self.asked.append(await connection.head())
        await connection.send(self._answer)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(pump(connection.reader, writer), pump(reader, connection.writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    writer.transport.abort()


def proxy_at(port: int, credentials: str = "", scheme: str = "http") -> Proxy:
    return parse_proxy(f"{scheme}://{credentials}127.0.0.1:{port}")


@on_both_loops
async def test_https_goes_through_a_tunnel_and_the_connection_is_kept(ca_file: str) -> None:
    seen = []

    async def answers(connection: PeerConnection) -> None:
        for _ in range(2):
            seen.append(await connection.answer())
        await connection.gone()

    async with Peer(answers, tls=authority().server(HOST)) as provider:
        tunnel = TunnelProxy(provider.port)
        async with Peer(tunnel) as peer:
            settings = {"proxy": proxy_at(peer.port, "user:p%3Aw@"), "ca_file": ca_file}
            async with upstream_to(f"https://{HOST}", **settings) as upstream:
                await ask(upstream)[1].ended()
                await ask(upstream)[1].ended()
    assert tunnel.asked == [
        b"CONNECT provider.test:443 HTTP/1.1\r\nHost: provider.test:443\r\n" + CREDENTIALS + b"\r\n"
    ]
    assert all(request.startswith(b"POST /chat HTTP/1.1\r\nHost: provider.test\r\n") for request in seen)
    assert not any(b"proxy" in request.lower() for request in seen)


@on_both_loops
async def test_the_certificate_is_verified_behind_the_tunnel_too(ca_file: str) -> None:
    async def never_asked(connection: PeerConnection) -> None:
        raise AssertionError("the handshake should have failed")

    async with (
        Peer(never_asked, tls=authority().server("other.test")) as provider,
        Peer(TunnelProxy(provider.port)) as peer,
    ):
        settings = {"proxy": proxy_at(peer.port), "ca_file": ca_file}
        async with upstream_to(f"https://{HOST}", **settings) as upstream:
            error = await ask(upstream)[1].failed()
            assert "certificate was not accepted" in error.message


@on_both_loops
async def test_http_is_asked_of_the_proxy_in_absolute_form() -> None:
    seen = []

    async def answers(connection: PeerConnection) -> None:
        for _ in range(2):
            seen.append(await connection.answer())
        await connection.gone()

    async with Peer(answers) as peer:
        settings = {"proxy": proxy_at(peer.port, "user:p%3Aw@")}
        async with upstream_to(f"http://{HOST}:8000/v1", **settings) as upstream:
            await ask(upstream)[1].ended()
            await ask(upstream)[1].ended()
    head = b"POST http://provider.test:8000/v1/chat HTTP/1.1\r\nHost: provider.test:8000\r\n" + CREDENTIALS
    assert [request.startswith(head) for request in seen] == [True, True]
    assert len(peer.connections) == 1


@on_both_loops
async def test_a_proxy_that_is_itself_spoken_to_over_tls(ca_file: str) -> None:
    async with (
        Peer(serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), tls=authority().server(HOST)) as provider,
        Peer(TunnelProxy(provider.port), tls=authority().server("127.0.0.1")) as peer,
    ):
        settings = {"proxy": proxy_at(peer.port, scheme="https"), "ca_file": ca_file}
        async with upstream_to(f"https://{HOST}", **settings) as upstream:
            assert (await ask(upstream)[1].ended()).body == b"ok"


@on_both_loops
async def test_http_through_a_proxy_that_is_spoken_to_over_tls(ca_file: str) -> None:
    async with Peer(
        serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), tls=authority().server("127.0.0.1")
    ) as peer:
        settings = {"proxy": proxy_at(peer.port, scheme="https"), "ca_file": ca_file}
        async with upstream_to(f"http://{HOST}", **settings) as upstream:
            assert (await ask(upstream)[1].ended()).body == b"ok"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "The proxy did not accept the configured credentials."),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad", "The proxy gave no connection to the provider."),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "The proxy gave no connection to the provider."),
        (b"HTTP/1.1 200 OK\r\n\r\nsomething", "The proxy gave no connection to the provider."),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * MAX_TUNNEL_HEAD_BYTES, "The proxy gave no connection to the provider."),
        (b"HTTP/1.1 200", "The proxy gave no connection to the provider."),
    ],
    ids=["407", "502", "no HTTP", "bytes after the head", "endless head", "cut"],
)
@on_both_loops
async def test_a_proxy_that_gives_no_tunnel(answer: bytes, message: str, ca_file: str) -> None:
    async def refuses(connection: PeerConnection) -> None:
        await connection.head()
        await connection.send(answer)

    async with Peer(refuses) as peer:
        settings = {"proxy": proxy_at(peer.port, "user:p%3Aw@"), "ca_file": ca_file}
        async with upstream_to(f"https://{HOST}", **settings) as upstream:
            error = await ask(upstream)[1].failed()
            assert type(error) is UpstreamUnreachable
            assert error.message == message
            assert error.nothing_sent
            assert "dXNlcjpwOnc=" not in f"{error.message}{error.detail}{error!r}"
            assert upstream.statistics().open == 0


@on_both_loops
async def test_cancelling_while_the_proxy_thinks_closes_the_socket() -> None:
    async def thinks(connection: PeerConnection) -> None:
        await connection.head()
        exchange.cancel()
        await connection.gone()

    async with Peer(thinks) as peer, upstream_to(f"https://{HOST}", proxy=proxy_at(peer.port)) as upstream:
        exchange, answer = ask(upstream)
        await until(lambda: peer.connections)
        await peer.finished()
        assert upstream.statistics().open == 0
    assert not answer.is_over
