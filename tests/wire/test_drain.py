"""How a gateway ends: a process of its own is told to stop while requests are under way."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit import chat_api
from tests.kit.gateway import Client, Process, chat, request
from tests.kit.upstream import Gate, ScriptedUpstream, config_for, reply, stream

SIGNALS = [signal.SIGTERM, signal.SIGINT]

SHUTTING_DOWN = "The gateway is shutting down; send the request again."


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


class Streaming:
    """A gateway whose provider has begun a stream and goes on when the gate opens."""

    def __init__(self, upstream: ScriptedUpstream, folder: Path, **environ: str) -> None:
        config = folder / "sluice.yaml"
        config.write_text(config_for(upstream, openai={"models": ["gpt-test"]}))
        self.gate = Gate()
        upstream.answer(stream(chat_api.role(), chat_api.text("Hello"), self.gate, chat_api.whole_stream(" again")))
        self.process = Process("--config", str(config), **environ)

    def __enter__(self) -> "Streaming":
        self.process.__enter__()
        self.client = self.process.connect().send(chat(model="gpt-test", stream=True))
        self.client.until(b"Hello")
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.process.__exit__()

    def stop(self, number: int) -> None:
        """Send the signal and wait until it is obeyed."""
        self.process.signal(number)
        self.process.wait_for_line(lambda line: line.get("message") == "draining")

    def stopped(self) -> Any:
        """The log's last line of a gateway that has ended well."""
        assert self.process.ended() == (0, "")
        last = self.process.log_lines()[-1]
        assert last["message"] == "stopped"
        return last


def is_refused(process: Process) -> bool:
    try:
        Client(process.address).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("number", SIGNALS)
def test_a_running_stream_finishes(upstream: ScriptedUpstream, tmp_path: Path, number: int) -> None:
    with Streaming(upstream, tmp_path) as running, running.process.connect() as idle:
        assert idle.send(request("GET", "/health/ready")).response().status == 200
        running.stop(number)
        # readiness: nobody is let in any more, and whoever waits for nothing is let go
        assert is_refused(running.process)
        assert idle.rest() == b""
        running.gate.open()
        response = running.client.response()
        assert response.is_complete
        assert response.events[-1] == "[DONE]"
        assert running.client.rest() == b""
        assert running.stopped()["cut_requests"] == 0
        assert [line["status"] for line in running.process.requests() if line["endpoint"] == "chat"] == [200]


def test_a_request_whose_head_has_begun_is_served_and_told_of_the_end(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    data = request("GET", "/health/ready")
    with Streaming(upstream, tmp_path) as running, running.process.connect() as other:
        # one answer shows that the connection is known
        other.send(data + data[:20]).response()
        other.send(data[20:30])
        running.process.get("/health")
        running.stop(signal.SIGTERM)
        other.send(data[30:])
        response = other.response()
        assert (response.status, response.json) == (503, {"status": "draining"})
        assert response.headers["connection"] == "close"
        assert other.rest() == b""
        running.gate.open()
        assert running.stopped()["cut_requests"] == 0


def test_a_plain_answer_under_way_says_that_its_connection_ends(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with Streaming(upstream, tmp_path) as running, running.process.connect() as other:
        simulated = Gate()
        upstream.answer(reply(chat_api.completion())._replace(pieces=(simulated, *reply(chat_api.completion()).pieces)))
        other.send(chat(model="gpt-test"))
        simulated.wait_reached()
        running.stop(signal.SIGTERM)
        simulated.open()
        response = other.response()
        assert response.status == 200
        assert response.headers["connection"] == "close"
        running.gate.open()
        assert running.stopped()["cut_requests"] == 0


def assert_cut(running: Streaming) -> None:
    """The stream ends with an error that says so, and without the mark of a good end; the log counts it."""
    response = running.client.response()
    error = json.loads(response.events[-1])["error"]
    assert (error["code"], error["message"]) == ("shutting_down", SHUTTING_DOWN)
    assert "[DONE]" not in response.events
    assert running.stopped()["cut_requests"] == 1
    [line] = [line for line in running.process.requests() if line["endpoint"] == "chat"]
    assert line["truncated"]
    running.gate.open()


@pytest.mark.parametrize("number", SIGNALS)
def test_beyond_the_grace_it_is_cut(upstream: ScriptedUpstream, tmp_path: Path, number: int) -> None:
    with Streaming(upstream, tmp_path, SLUICE_SERVER__DRAIN_TIMEOUT="10ms") as running:
        running.stop(number)
        assert_cut(running)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_cuts_at_once(upstream: ScriptedUpstream, tmp_path: Path, number: int) -> None:
    with Streaming(upstream, tmp_path, SLUICE_SERVER__DRAIN_TIMEOUT="1h") as running:
        running.stop(number)
        running.process.signal(number)
        assert_cut(running)


def test_a_request_that_was_not_answered_yet_is_refused_when_it_is_cut() -> None:
    with Process(SLUICE_SERVER__DRAIN_TIMEOUT="10ms") as process, process.connect() as client:
        client.send(chat(simulate={"latency": "1h"}))
        process.get("/health")
        process.signal(signal.SIGTERM)
        response = client.response()
        assert response.status == 503
        assert response.error["code"] == "shutting_down"
        assert response.error["message"] == SHUTTING_DOWN
        code, stderr = process.ended()
        assert (code, stderr) == (0, "")
        assert process.log_lines()[-1]["cut_requests"] == 1


def test_a_request_that_never_came_whole_is_cut_and_logged() -> None:
    with Process(SLUICE_SERVER__DRAIN_TIMEOUT="10ms") as process, process.connect() as client:
        client.send(request("POST", "/v1/chat/completions", b"{", Content_Length="5"))
        process.get("/health")
        process.signal(signal.SIGTERM)
        assert client.rest() == b""
        assert process.ended() == (0, "")
        [line] = [line for line in process.requests() if line["endpoint"] == "chat"]
        assert (line["status"], line["disconnected"]) == (499, True)
        assert process.log_lines()[-1]["cut_requests"] == 1


def test_an_idle_gateway_ends_at_once() -> None:
    with Process(SLUICE_SERVER__DRAIN_TIMEOUT="1h") as process:
        process.signal(signal.SIGTERM)
        assert process.ended() == (0, "")
