"""TLS on real sockets: what is verified, what is sent, and how a failure reads."""

import ssl
from pathlib import Path

import pytest

from gateway.core.errors import UpstreamBroken, UpstreamUnreachable
from gateway.core.origin import parse_origin
from gateway.upstream.pool import HttpUpstream
from gateway.upstream.resolve import Resolver
from tests.kit.authority import authority
from tests.kit.client import ask, holds_while_paused, until, upstream_to
from tests.kit.loops import on_both_loops
from tests.kit.peer import OK, Peer, PeerConnection, serve

HOST = "provider.test"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"


async def loopback(_host: str) -> list[str]:
    return ["127.0.0.1"]


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    return authority().write(tmp_path)


@on_both_loops
async def test_a_request_over_tls_with_its_name_and_protocol_told(ca_file: str) -> None:
    names = []
    context = authority().server(HOST)
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    seen = []

    async def answers(connection: PeerConnection) -> None:
        tls = connection.writer.get_extra_info("ssl_object")
        seen.append((tls.selected_alpn_protocol(), tls.version() >= "TLSv1.2"))
        for _ in range(2):
            request = await connection.answer()
            seen.append(request.split(b"\r\n")[1])
        await connection.gone()

    async with Peer(answers, tls=context) as peer:
        url = f"https://{HOST}:{peer.port}"
        async with upstream_to(url, ca_file=ca_file, resolver=Resolver(loopback)) as upstream:
            await ask(upstream)[1].ended()
            await ask(upstream)[1].ended()
    host = b"Host: provider.test:%d" % peer.port
    assert seen == [("http/1.1", True), host, host]
    assert names == [HOST]
    assert len(peer.connections) == 1


@on_both_loops
async def test_a_fully_qualified_name_is_verified_without_its_dot(ca_file: str) -> None:
    async with Peer(serve(OK), tls=authority().server(HOST)) as peer:
        url = f"https://{HOST}.:{peer.port}"
        async with upstream_to(url, ca_file=ca_file, resolver=Resolver(loopback)) as upstream:
            await ask(upstream)[1].ended()


@on_both_loops
async def test_a_large_body_over_tls(ca_file: str) -> None:
    body = bytes(range(256)) * 8_000
    seen = []

    async def answers(connection: PeerConnection) -> None:
        seen.append(await connection.request())
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await connection.gone()

    async with (
        Peer(answers, tls=authority().server("127.0.0.1")) as peer,
        upstream_to(f"https://127.0.0.1:{peer.port}", ca_file=ca_file) as upstream,
    ):
        answer = await ask(upstream, body)[1].ended()
    assert answer.body == body
    assert seen[0].endswith(body)


@pytest.mark.parametrize(
    ("names", "is_expired", "is_trusted"),
    [(("other.test",), False, True), ((HOST,), True, True), ((HOST,), False, False)],
    ids=["another name", "expired", "unknown authority"],
)
@on_both_loops
async def test_a_certificate_that_proves_nothing_is_refused(
    names: tuple[str, ...], is_expired: bool, is_trusted: bool, ca_file: str
) -> None:
    async def never_asked(connection: PeerConnection) -> None:
        raise AssertionError("the handshake should have failed")

    async with Peer(never_asked, tls=authority().server(*names, is_expired=is_expired)) as peer:
        url = f"https://{HOST}:{peer.port}"
        trust = {"ca_file": ca_file} if is_trusted else {}
        async with upstream_to(url, resolver=Resolver(loopback), **trust) as upstream:
            error = await ask(upstream)[1].failed()
            assert type(error) is UpstreamUnreachable
            assert "certificate was not accepted" in error.message
            assert "ca_file" in error.message
            assert "127.0.0.1" not in error.message
            assert error.detail.startswith("SSLCertVerificationError: ")
            assert upstream.statistics().open == 0
    assert peer.connections == []


@on_both_loops
async def test_a_peer_that_speaks_no_tls(ca_file: str) -> None:
    async def speaks_plainly(connection: PeerConnection) -> None:
        await connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with (
        Peer(speaks_plainly) as peer,
        upstream_to(f"https://127.0.0.1:{peer.port}", ca_file=ca_file) as upstream,
    ):
        error = await ask(upstream)[1].failed()
        assert type(error) is UpstreamUnreachable
        assert error.message == "No TLS connection to the provider could be made."


@on_both_loops
async def test_a_peer_that_leaves_during_the_handshake(ca_file: str) -> None:
    async def leaves(connection: PeerConnection) -> None:
        await connection.reader.read(1)

    async with (
        Peer(leaves) as peer,
        upstream_to(f"https://127.0.0.1:{peer.port}", ca_file=ca_file) as upstream,
    ):
        assert type(await ask(upstream)[1].failed()) is UpstreamUnreachable


@on_both_loops
async def test_cancelling_during_the_handshake_closes_the_socket(ca_file: str) -> None:
    async def says_nothing(connection: PeerConnection) -> None:
        assert await connection.reader.read(1)
        exchange.cancel()
        while await connection.reader.read(65536):
            pass

    async with (
        Peer(says_nothing) as peer,
        upstream_to(f"https://127.0.0.1:{peer.port}", ca_file=ca_file) as upstream,
    ):
        exchange, answer = ask(upstream)
        await until(lambda: peer.connections)
        await peer.finished()
        assert upstream.statistics().open == 0
    assert not answer.is_over


@on_both_loops
async def test_cancelling_a_stream_closes_the_socket(ca_file: str) -> None:
    async def streams(connection: PeerConnection) -> None:
        await connection.answer(STREAM)
        await connection.gone()

    async with (
        Peer(streams, tls=authority().server("127.0.0.1")) as peer,
        upstream_to(f"https://127.0.0.1:{peer.port}", ca_file=ca_file) as upstream,
    ):
        exchange, answer = ask(upstream, streamed=True)
        await answer.started()
        exchange.cancel()
        await peer.finished()
    assert not answer.is_over


@on_both_loops
async def test_a_body_without_length_ends_with_the_farewell_of_tls(ca_file: str) -> None:
    async def streams(connection: PeerConnection) -> None:
        await connection.answer(STREAM)

    async with (
        Peer(streams, tls=authority().server("127.0.0.1")) as peer,
        upstream_to(f"https://127.0.0.1:{peer.port}", ca_file=ca_file) as upstream,
    ):
        assert (await ask(upstream)[1].ended()).body == b"data: 1\n\n"


@on_both_loops
async def test_a_body_without_length_is_cut_when_the_farewell_is_missing(ca_file: str) -> None:
    async def is_cut_off(connection: PeerConnection) -> None:
        await connection.answer(STREAM)
        await answer.has(9)
        connection.writer.transport.abort()

    async with (
        Peer(is_cut_off, tls=authority().server("127.0.0.1")) as peer,
        upstream_to(f"https://127.0.0.1:{peer.port}", ca_file=ca_file) as upstream,
    ):
        _, answer = ask(upstream)
        assert type(await answer.failed()) is UpstreamBroken


@on_both_loops
async def test_backpressure_reaches_through_tls(ca_file: str) -> None:
    async def floods(connection: PeerConnection) -> None:
        await connection.answer(STREAM)
        try:
            while not connection.reader.at_eof():
                await connection.send(b"x" * 65536)
        except (ConnectionError, ssl.SSLError):
            pass

    async with (
        Peer(floods, tls=authority().server("127.0.0.1")) as peer,
        upstream_to(f"https://127.0.0.1:{peer.port}", ca_file=ca_file) as upstream,
    ):
        exchange, answer = ask(upstream, streamed=True)
        await answer.has(100_000)
        await holds_while_paused(exchange, answer, 1_000_000)


async def test_an_unusable_authority_file_is_told_at_once(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")
    with pytest.raises(ValueError, match="PEM"):
        HttpUpstream(parse_origin("https://provider.test"), ca_file=str(empty))
    with pytest.raises(FileNotFoundError):
        HttpUpstream(parse_origin("https://provider.test"), ca_file=str(tmp_path / "none.pem"))


@on_both_loops
async def test_a_stale_connection_over_tls_is_replaced(ca_file: str) -> None:
    async def answers_once(connection: PeerConnection) -> None:
        await connection.answer(OK)
        if connection.number == 0:
            await connection.request()

    async with (
        Peer(answers_once, tls=authority().server("127.0.0.1")) as peer,
        upstream_to(f"https://127.0.0.1:{peer.port}", ca_file=ca_file) as upstream,
    ):
        await ask(upstream)[1].ended()
        await ask(upstream)[1].ended()
    assert len(peer.connections) == 2
