"""Uploads to a provider that lives inside the gateway: collected, then answered."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.core.deadlines import Timeouts
from gateway.core.errors import ShuttingDown, UpstreamBroken
from gateway.core.limits import MAX_SIMULATED_UPLOAD_BYTES
from gateway.core.types import Capability
from gateway.upstream.contract import PoolStatistics
from gateway.upstream.internal import InternalUpload, InternalUpstream
from providers.contract import Script
from providers.simulator import PROVIDER
from tests.kit.loops import on_both_loops
from tests.kit.receiver import Recorder


def echo(_capability: Capability, body: bytes) -> Script:
    return Script(status=200, content_type="text/plain", chunks=[(0.0, body)])


def begin(upstream: InternalUpstream, length: int | None, method: str = "POST") -> tuple[InternalUpload, Recorder]:
    answer = Recorder()
    return upstream.send_stream(upstream.request_head(method, "/chat/completions", []), length, answer), answer


def upstream() -> InternalUpstream:
    return InternalUpstream(echo, PROVIDER.surfaces, Timeouts())


@pytest.mark.parametrize("length", [4, None])
@on_both_loops
async def test_the_answer_is_played_when_the_body_is_whole(length: int | None) -> None:
    playing = upstream()
    upload, answer = begin(playing, length)
    upload.pause_reading()
    upload.token_seen()
    for piece in (b"ab", b"", b"cd"):
        upload.write(piece)
        await upload.drain()
    assert playing.statistics() == PoolStatistics(open=1)
    await asyncio.sleep(0)
    upload.end()
    upload.end()
    await answer.started()
    assert not answer.pieces
    assert not upload.closed.done()
    upload.resume_reading()
    upload.token_seen()
    assert (await answer.ended()).body == b"abcd"
    assert upload.closed.done()
    assert playing.statistics() == PoolStatistics()


@on_both_loops
async def test_a_body_that_is_too_large_is_refused_early() -> None:
    playing = upstream()
    upload, answer = begin(playing, None)
    for _ in range(MAX_SIMULATED_UPLOAD_BYTES // 2**20):
        upload.write(bytes(2**20))
    assert not upload.closed.done()
    upload.write(b"x")
    assert upload.closed.done()
    upload.write(b"y")
    upload.end()
    await answer.ended()
    assert answer.status == 413


def writes_more(upload: InternalUpload) -> None:
    upload.write(b"12345")


def ends_early(upload: InternalUpload) -> None:
    upload.write(b"123")
    upload.end()


def writes_on(upload: InternalUpload) -> None:
    upload.write(b"1234")
    upload.end()
    upload.write(b"5")


@pytest.mark.parametrize("breaks", [writes_more, ends_early, writes_on])
@on_both_loops
async def test_another_length_than_announced_fails(breaks: Callable[[InternalUpload], None]) -> None:
    playing = upstream()
    upload, answer = begin(playing, 4)
    breaks(upload)
    error = await answer.failed()
    assert type(error) is UpstreamBroken
    assert not error.retryable
    assert playing.statistics() == PoolStatistics()


@pytest.mark.parametrize("is_whole", [False, True])
@on_both_loops
async def test_nothing_is_told_after_a_cancel(is_whole: bool) -> None:
    playing = upstream()
    upload, answer = begin(playing, None)
    if is_whole:
        upload.end()
    upload.cancel()
    upload.cancel()
    upload.write(b"x")
    upload.end()
    await asyncio.sleep(0.01)
    assert upload.closed.done()
    assert not answer.is_over
    assert playing.statistics() == PoolStatistics()


@pytest.mark.parametrize("is_whole", [False, True])
@on_both_loops
async def test_closing_the_upstream_ends_an_upload(is_whole: bool) -> None:
    playing = upstream()
    upload, answer = begin(playing, None)
    if is_whole:
        upload.end()
    await playing.close()
    assert isinstance(await answer.failed(), ShuttingDown)
    assert upload.closed.done()


@on_both_loops
async def test_an_answer_to_head_has_no_body() -> None:
    upload, answer = begin(upstream(), 0, "HEAD")
    upload.end()
    assert (await answer.ended()).body == b""
    assert answer.status == 200
