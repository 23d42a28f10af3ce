import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.limits import MAX_TUNNEL_HEAD_BYTES
from gateway.upstream.tunnel import Tunnel, TunnelError, read_tunnel_answer
from tests.kit.transport import FakeTransport


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200\r\nVia: 1.1 p\r\nProxy-Agent: x\r\n\r\n",
        b"HTTP/1.1 299 \r\nContent-Length: 5\r\n\r\n",
    ],
)
def test_an_open_tunnel(answer: bytes) -> None:
    assert read_tunnel_answer(answer)
    assert not any(read_tunnel_answer(answer[:i]) for i in range(len(answer)))


@pytest.mark.parametrize(
    ("answer", "reason", "status"),
    [
        (b"HTTP/1.1 407 No\r\n\r\n", "status 407", 407),
        (b"HTTP/1.1 302 Found\r\nLocation: x\r\n\r\n", "status 302", 302),
        (b"HTTP/1.1 101 S\r\n\r\n", "status 101", 101),
        (b"HTTP/2 200\r\n\r\n", "not HTTP", 0),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "not HTTP", 0),
        (b"HTTP/1.1 200OK\r\n\r\n", "not HTTP", 0),
        (b"\r\n\r\n", "not HTTP", 0),
        (b"220 smtp ready\r\n\r\n", "not HTTP", 0),
        (b"HTTP/1.1 200 OK\r\n\r\nx", "bytes of its own", 0),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * MAX_TUNNEL_HEAD_BYTES, "too long", 0),
    ],
)
def test_any_other_answer_is_refused_with_its_reason(answer: bytes, reason: str, status: int) -> None:
    with pytest.raises(TunnelError, match=reason) as caught:
        read_tunnel_answer(answer)
    assert caught.value.status == status


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_an_answer_or_the_one_error(data: bytes) -> None:
    for received in (data, b"HTTP/1.1 200 OK\r\n" + data, data + b"\r\n\r\n"):
        try:
            is_open = read_tunnel_answer(received)
        except TunnelError:
            continue
        assert is_open == received.endswith(b"\r\n\r\n")


async def test_a_tunnel_reads_only_while_it_waits_for_its_answer() -> None:
    """What comes at any other time is for its successor."""
    tunnel = Tunnel()
    transport = FakeTransport(tunnel)
    assert not transport.is_reading_now
    asking = asyncio.create_task(tunnel.ask(b"CONNECT a:443 HTTP/1.1\r\n\r\n"))
    await asyncio.sleep(0)
    assert transport.is_reading_now
    tunnel.data_received(b"HTTP/1.1 200 OK\r\n")
    tunnel.data_received(b"\r\n")
    await asking
    assert not transport.is_reading_now


@pytest.mark.parametrize("error", [None, ConnectionResetError("reset")])
async def test_a_tunnel_that_closes_fails_whoever_waits_for_it(error: Exception | None) -> None:
    tunnel = Tunnel()
    transport = FakeTransport(tunnel)
    asking = asyncio.create_task(tunnel.ask(b""))
    await asyncio.sleep(0)
    transport.lose(error)
    with pytest.raises((TunnelError, ConnectionResetError), match=r"closed|reset"):
        await asking


async def test_what_a_proxy_says_after_its_refusal_is_not_heard() -> None:
    tunnel = Tunnel()
    transport = FakeTransport(tunnel)
    asking = asyncio.create_task(tunnel.ask(b""))
    await asyncio.sleep(0)
    tunnel.data_received(b"HTTP/1.1 502 Bad\r\n\r\n")
    tunnel.data_received(b"<html>")
    transport.lose()
    with pytest.raises(TunnelError, match="502"):
        await asking
