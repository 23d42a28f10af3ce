"""Scripts played on a real event loop whose clock jumps: an hour of silence takes no time."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.core.deadlines import Timeouts
from gateway.core.errors import ShuttingDown, UpstreamBroken, UpstreamError, UpstreamTimeout
from gateway.core.types import Capability
from gateway.upstream.contract import PoolStatistics, RawHeaders
from gateway.upstream.internal import InternalUpstream, Playback
from providers.contract import Script
from providers.simulator import PROVIDER, simulate

# --- a loop whose clock jumps to the next timer -------------------------------------------------------------------


class JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting, time passes."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            # no timer and nothing to read: the test waits for something that never comes
            assert timeout is not None
            self.now += max(timeout, 0)
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = JumpingSelector()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


def run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(main)


class Recorder:
    """Writes down what it is told and when; ``on_data`` may act on the exchange."""

    def __init__(self, on_data: Callable[[bytes], None] = lambda data: None) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_data = on_data
        self.told: list[tuple[float, str, Any]] = []
        self.over = self._loop.create_future()

    def _note(self, what: str, value: Any) -> None:
        self.told.append((round(self._loop.time(), 6), what, value))

    def response_started(self, status: int, headers: RawHeaders) -> None:
        self._note("head", status)
        self.headers = headers

    def data_received(self, data: bytes) -> None:
        self._note("data", data)
        self._on_data(data)

    def response_ended(self) -> None:
        self._note("end", None)
        self.over.set_result(None)

    def response_failed(self, error: UpstreamError) -> None:
        self._note("failed", type(error))
        self.error = error
        self.over.set_result(None)


TIMEOUTS = Timeouts(headers=10, first_token=20, stall=30, total=100)


def upstream(script: Script) -> InternalUpstream:
    return InternalUpstream(lambda capability, body: script, PROVIDER.surfaces, TIMEOUTS)


def send(playing: InternalUpstream, recorder: Recorder, *, streamed: bool = True, body: bytes = b"{}") -> Playback:
    return playing.send(playing.request_head("POST", "/chat/completions", ()), body, recorder, streamed=streamed)


def script(*chunks: tuple[float, bytes], **fields: Any) -> Script:
    return Script(status=200, content_type="text/plain", chunks=list(chunks), **fields)


def plays(playing: Script, *, streamed: bool = True) -> list[tuple[float, str, Any]]:
    """Everything a receiver is told of a script, to its end."""
    told: list[tuple[float, str, Any]] = []

    async def main() -> None:
        recorder = Recorder()
        send(upstream(playing), recorder, streamed=streamed)
        await recorder.over
        await asyncio.sleep(10_000)  # nothing may follow
        told.extend(recorder.told)

    run(main())
    return told


# --- playing ------------------------------------------------------------------------------------------------------


def test_a_script_without_delays_is_played_at_once_but_not_inside_send() -> None:
    async def main() -> None:
        recorder = Recorder()
        send(upstream(script((0, b"a"), (0, b"b"))), recorder)
        assert recorder.told == []
        await recorder.over
        assert recorder.told == [(0, "head", 200), (0, "data", b"a"), (0, "data", b"b"), (0, "end", None)]

    run(main())


def test_the_head_carries_the_content_type_and_the_headers_of_the_script() -> None:
    async def main() -> None:
        recorder = Recorder()
        send(upstream(script((0, b"a"), headers=((b"Retry-After", b"3"),))), recorder)
        await recorder.over
        assert list(recorder.headers) == [(b"Content-Type", b"text/plain"), (b"Retry-After", b"3")]

    run(main())


def test_delays_add_up_from_the_beginning() -> None:
    assert plays(script((0, b"a"), (0.5, b"b"), (0.25, b"c"), delay_s=2)) == [
        (2, "head", 200),
        (2, "data", b"a"),
        (2.5, "data", b"b"),
        (2.75, "data", b"c"),
        (2.75, "end", None),
    ]


def test_a_delayed_first_chunk_comes_after_the_head() -> None:
    assert plays(script((1, b"a"))) == [(0, "head", 200), (1, "data", b"a"), (1, "end", None)]


def test_an_answer_without_a_body() -> None:
    assert plays(script()) == [(0, "head", 200), (0, "end", None)]
    assert plays(script((0, b""))) == [(0, "head", 200), (0, "end", None)]


def test_a_cut_answer_breaks_and_does_not_end() -> None:
    assert plays(script((0, b"a"), is_cut=True)) == [(0, "head", 200), (0, "data", b"a"), (0, "failed", UpstreamBroken)]


def test_the_path_tells_the_capability() -> None:
    asked: list[Capability] = []

    def note(capability: Capability, body: bytes) -> Script:
        asked.append(capability)
        return script()

    async def main() -> None:
        playing = InternalUpstream(note, PROVIDER.surfaces, TIMEOUTS)
        for path in ("/chat/completions", "/embeddings", "/embeddings?a=b", "/elsewhere"):
            recorder = Recorder()
            head = playing.request_head("POST", path, [("X-Any", "thing")]) + b"X-More: later\r\n"
            playing.send(head, b"", recorder, streamed=False)
            await recorder.over
        assert asked == [Capability.CHAT, Capability.EMBEDDINGS, Capability.EMBEDDINGS]
        assert recorder.told[0] == (0, "head", 404)

    run(main())


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/a b", []),
        ("POST", "/a\r\nX: y", []),
        ("GET /", "/a", []),
        ("POST", "/a", [("X", "a\nb")]),
        ("POST", "/a", [("X:", "a")]),
    ],
)
def test_a_head_that_would_break_the_framing_is_refused(method: str, path: str, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError, match=r"character|method"):
        upstream(script()).request_head(method, path, headers)


# --- deadlines ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("playing", "streamed", "at", "phase"),
    [
        (script((0, b"a"), delay_s=11), True, 10, "headers"),
        (script((0, b"a"), delay_s=11, is_cut=True), True, 10, "headers"),
        (script((0, b": warm"), (15, b": warm"), (15, b"a")), True, 20, "first_token"),
        (script((0, b"a"), (31, b"b")), False, 30, "stall"),
        (script(*[(25, b"a")] * 5), False, 100, "total"),
    ],
)
def test_a_deadline_ends_the_answer(playing: Script, streamed: bool, at: float, phase: str) -> None:
    async def main() -> None:
        recorder = Recorder()
        send(upstream(playing), recorder, streamed=streamed)
        await recorder.over
        assert recorder.told[-1] == (at, "failed", UpstreamTimeout)
        assert isinstance(recorder.error, UpstreamTimeout)
        assert recorder.error.phase == phase

    run(main())


def test_after_the_first_token_only_silence_is_a_stall() -> None:
    async def main() -> None:
        recorder = Recorder(on_data=lambda data: exchange.token_seen() if data == b"token" else None)
        exchange = send(upstream(script((15, b"token"), (25, b"a"), (25, b"b"), (31, b"c"))), recorder)
        await recorder.over
        assert [told[:2] for told in recorder.told[1:]] == [(15, "data"), (40, "data"), (65, "data"), (95, "failed")]

    run(main())


def test_a_token_told_late_moves_the_deadline() -> None:
    async def main() -> None:
        recorder = Recorder()
        exchange = send(upstream(script((0, b"token"), (25, b"a"))), recorder)
        await asyncio.sleep(1)
        exchange.token_seen()
        await recorder.over
        assert recorder.told[-1][:2] == (25, "end")

    run(main())


# --- the exchange -------------------------------------------------------------------------------------------------


def test_a_paused_exchange_holds_what_comes_and_catches_up() -> None:
    async def main() -> None:
        recorder = Recorder()
        exchange = send(upstream(script((0, b"a"), (1, b"b"), (1, b"c"), (8, b"d"))), recorder, streamed=False)
        await asyncio.sleep(0.5)
        exchange.pause_reading()
        exchange.pause_reading()
        await asyncio.sleep(5)
        assert [what for _, what, _ in recorder.told] == ["head", "data"]
        exchange.resume_reading()
        exchange.resume_reading()
        await recorder.over
        assert [told[:2] for told in recorder.told[2:]] == [(5.5, "data"), (5.5, "data"), (10, "data"), (10, "end")]

    run(main())


def test_a_receiver_may_pause_in_the_middle_of_a_burst() -> None:
    async def main() -> None:
        recorder = Recorder(on_data=lambda data: exchange.pause_reading() if data == b"b" else None)
        exchange = send(upstream(script((0, b"a"), (0, b"b"), (0, b"c"))), recorder)
        await asyncio.sleep(1)
        assert [value for _, _, value in recorder.told] == [200, b"a", b"b"]
        exchange.resume_reading()
        await recorder.over
        assert recorder.told[-2:] == [(1, "data", b"c"), (1, "end", None)]

    run(main())


def test_an_exchange_paused_before_the_head_still_tells_the_head() -> None:
    async def main() -> None:
        recorder = Recorder()
        exchange = send(upstream(script((0, b"a"), delay_s=1)), recorder)
        exchange.pause_reading()
        await asyncio.sleep(5)
        assert recorder.told == [(1, "head", 200)]
        exchange.resume_reading()
        await recorder.over

    run(main())


def test_a_client_that_never_reads_on_ends_with_the_total() -> None:
    async def main() -> None:
        recorder = Recorder(on_data=lambda data: exchange.pause_reading())
        exchange = send(upstream(script((0, b"a"), (0, b"b"))), recorder)
        await recorder.over
        assert recorder.told[-1] == (100, "failed", UpstreamTimeout)

    run(main())


@pytest.mark.parametrize("moment", [0, 0.5, 1.5])
def test_nothing_is_told_after_a_cancel(moment: float) -> None:
    async def main() -> None:
        recorder = Recorder()
        playing = upstream(script((0, b"a"), (1, b"b"), delay_s=1))
        exchange = send(playing, recorder)
        if moment:
            await asyncio.sleep(moment)
        before = list(recorder.told)
        exchange.cancel()
        exchange.cancel()
        exchange.pause_reading()
        exchange.resume_reading()
        exchange.token_seen()
        await asyncio.sleep(1000)
        assert recorder.told == before
        assert playing.statistics() == PoolStatistics()

    run(main())


def test_a_receiver_may_cancel_while_it_is_told() -> None:
    async def main() -> None:
        recorder = Recorder(on_data=lambda data: exchange.cancel())
        exchange = send(upstream(script((0, b"a"))), recorder)
        await asyncio.sleep(1)
        assert [what for _, what, _ in recorder.told] == ["head", "data"]

    run(main())


def test_statistics_count_what_is_playing_and_close_ends_it() -> None:
    async def main() -> None:
        playing = upstream(script((5, b"a")))
        recorders = [Recorder(), Recorder()]
        for recorder in recorders:
            send(playing, recorder)
        assert playing.statistics() == PoolStatistics(open=2)
        await playing.close()
        assert [recorder.told[-1][1:] for recorder in recorders] == [("failed", ShuttingDown)] * 2
        assert playing.statistics() == PoolStatistics()

    run(main())


# --- defects ------------------------------------------------------------------------------------------------------


def test_a_simulation_that_raises_is_a_failed_answer() -> None:
    def broken(capability: Capability, body: bytes) -> Script:
        raise ZeroDivisionError("secret")

    async def main() -> None:
        recorder = Recorder()
        exchange = send(InternalUpstream(broken, PROVIDER.surfaces, TIMEOUTS), recorder)
        exchange.pause_reading()
        exchange.resume_reading()
        await recorder.over
        assert [what for _, what, _ in recorder.told] == ["failed"]
        assert "secret" not in recorder.error.message
        assert not recorder.error.retryable

    run(main())


def test_a_receiver_that_raises_gets_an_end_and_the_loop_hears_of_it() -> None:
    heard: list[Any] = []

    def explode(data: bytes) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context["exception"]))
        recorder = Recorder(on_data=explode)
        send(upstream(script((0, b"a"), (1, b"b"))), recorder)
        await recorder.over
        assert recorder.told[-1][1:] == ("failed", UpstreamBroken)

    run(main())
    assert [type(error) for error in heard] == [ZeroDivisionError]


# --- the real provider --------------------------------------------------------------------------------------------


def test_the_simulator_streams_at_the_speed_asked_for() -> None:
    body = (
        b'{"model": "sim-small", "messages": [{"role": "user", "content": "Hi"}], "stream": true,'
        b'"simulate": {"content": "one two three", "tokens_per_second": 2, "latency": "3s"}}'
    )

    async def main() -> None:
        recorder = Recorder()
        send(InternalUpstream(simulate, PROVIDER.surfaces, TIMEOUTS), recorder, body=body)
        await recorder.over
        assert [at for at, what, _ in recorder.told if what == "data"] == [3, 3.5, 4, 4.5, 4.5]
        assert recorder.told[-1] == (4.5, "end", None)

    run(main())
