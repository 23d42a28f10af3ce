"""Short ways to ask an ``HttpUpstream`` in tests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.core.origin import parse_origin
from gateway.upstream.exchange import HttpExchange
from gateway.upstream.pool import HttpUpstream
from tests.kit.receiver import PATIENCE_S, Recorder


@asynccontextmanager
async def upstream_to(address: int | str, **settings: Any) -> AsyncIterator[HttpUpstream]:
    """An upstream for the loopback port or base URL ``address``; closed at the end."""
    url = f"http://127.0.0.1:{address}/v1" if isinstance(address, int) else address
    upstream = HttpUpstream(parse_origin(url), **settings)
    try:
        yield upstream
    finally:
        await upstream.close()


def ask(
    upstream: HttpUpstream, body: bytes = b"{}", *, streamed: bool = False, receiver: Recorder | None = None
) -> tuple[HttpExchange, Recorder]:
    receiver = receiver or Recorder()
    head = upstream.request_head("POST", "/chat", [("Authorization", "Bearer sk-test")])
    return upstream.send(head, body, receiver, streamed=streamed), receiver


def age(exchange: HttpExchange, seconds: float = 10_000.0) -> None:
    """Let ``exchange`` seem to stand where it stands for ``seconds`` longer."""
    deadlines = exchange.deadlines
    deadlines.began_at -= seconds
    deadlines.since -= seconds
    deadlines.progressed_at -= seconds
    deadlines.at = 0.0


async def until(is_true: Callable[[], object]) -> None:
    """Wait for something that tells nobody when it happens."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_true():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def holds_while_paused(exchange: HttpExchange, answer: Recorder, then_bytes: int) -> None:
    """Pause an endless answer, see that nothing more comes, resume it and see ``then_bytes`` more."""
    exchange.pause_reading()
    await asyncio.sleep(0.02)
    held = len(answer.body)
    await asyncio.sleep(0.05)
    assert len(answer.body) == held
    exchange.resume_reading()
    await answer.has(held + then_bytes)
    exchange.cancel()
