"""From a name to a connection: addresses, families, refusals."""

import socket

import pytest

from gateway.core.errors import UpstreamUnreachable
from gateway.upstream.resolve import Resolver
from tests.kit.client import ask, upstream_to
from tests.kit.loops import on_both_loops
from tests.kit.peer import OK, Peer, PeerConnection, serve


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


def resolving_to(*addresses: str) -> Resolver:
    async def lookup(_host: str) -> list[str]:
        return list(addresses)

    return Resolver(lookup)


@on_both_loops
async def test_a_name_of_the_system() -> None:
    async with Peer(serve(OK)) as peer, upstream_to(f"http://localhost:{peer.port}") as upstream:
        await ask(upstream)[1].ended()


@needs_ipv6
@on_both_loops
async def test_an_ipv6_address() -> None:
    seen = []

    async def answers(connection: PeerConnection) -> None:
        seen.append(await connection.answer())
        await connection.gone()

    async with Peer(answers, host="::1") as peer, upstream_to(f"http://[::1]:{peer.port}/v1") as upstream:
        await ask(upstream)[1].ended()
    assert b"\r\nHost: [::1]:%d\r\n" % peer.port in seen[0]


@pytest.mark.parametrize("refusing", ["127.0.0.2", pytest.param("::1", marks=needs_ipv6)])
@on_both_loops
async def test_the_next_address_of_any_family_is_tried_when_one_refuses(refusing: str) -> None:
    async with Peer(serve(OK)) as peer:
        url = f"http://provider.test:{peer.port}"
        async with upstream_to(url, resolver=resolving_to(refusing, "127.0.0.1")) as upstream:
            await ask(upstream)[1].ended()


@on_both_loops
async def test_a_port_where_nobody_listens_is_unreachable_and_nothing_was_sent() -> None:
    async with Peer(serve()) as peer:
        port = peer.port
    async with upstream_to(port) as upstream:
        error = await ask(upstream)[1].failed()
        assert type(error) is UpstreamUnreachable
        assert error.message == "The provider refused the connection."
        assert error.nothing_sent
        assert upstream.statistics().open == 0


@on_both_loops
async def test_no_such_name() -> None:
    async def lookup(_host: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with upstream_to("http://provider.test", resolver=Resolver(lookup)) as upstream:
        error = await ask(upstream)[1].failed()
        assert type(error) is UpstreamUnreachable
        assert error.message == "The provider's host name could not be resolved."
        assert "Name or service not known" in error.detail


@on_both_loops
async def test_a_name_no_resolver_can_be_asked_for() -> None:
    async with upstream_to(f"http://{'a' * 64}.test") as upstream:
        error = await ask(upstream)[1].failed()
        assert error.message == "The provider's host name could not be resolved."


@on_both_loops
async def test_a_defect_while_dialling_fails_the_exchange_and_frees_the_slot() -> None:
    async def lookup(_host: str) -> list[str]:
        raise ZeroDivisionError

    async with upstream_to("http://provider.test", resolver=Resolver(lookup)) as upstream:
        error = await ask(upstream)[1].failed()
        assert type(error) is UpstreamUnreachable
        assert error.detail == "ZeroDivisionError()"
        assert upstream.statistics().open == 0


@on_both_loops
async def test_small_writes_are_not_held_back() -> None:
    async with Peer(serve(OK)) as peer, upstream_to(peer.port) as upstream:
        await ask(upstream)[1].ended()
        (connection,) = upstream._slots.connections()
        sock = connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
