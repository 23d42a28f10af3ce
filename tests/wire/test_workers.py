"""Several workers on one port, as a process tree of its own; and starts that are refused."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.config.settings import Settings
from gateway.workers import MAX_YOUNG_DEATHS, _Supervisor
from tests.kit.gateway import PATIENCE_S, Process, chat, free_port, request, spawn


class Workers(Process):
    """Two workers, both up. ``pids`` are theirs."""

    def __init__(self, **environ: str) -> None:
        super().__init__("--workers", "2", **environ)

    def __enter__(self) -> "Workers":
        super().__enter__()
        self.wait_for_line(lambda _: len(self.pids) == 2)
        return self

    @property
    def pids(self) -> list[int]:
        return [line["pid"] for line in self.log_lines() if "serves on" in line.get("message", "")]

    def served_by(self) -> dict[str, int]:
        """How many requests each worker has answered: made request ids begin alike in one process."""
        prefixes = [line["request_id"][:16] for line in self.requests()]
        return {prefix: prefixes.count(prefix) for prefix in prefixes}

    def wait_until(self, is_true: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not is_true():
            assert time.monotonic() < end, self.log_text()
            time.sleep(0.02)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers() as workers:
        yield workers


def test_both_workers_answer(workers: Workers) -> None:
    for _ in range(200):
        assert workers.chat().status == 200
        if len(workers.served_by()) == 2:
            break
    workers.wait_until(lambda: len(workers.served_by()) == 2)


def test_a_scrape_adds_up_what_all_workers_have_counted(workers: Workers) -> None:
    for _ in range(20):
        workers.get("/v1/models")

    def is_added_up() -> bool:
        lines = workers.get("/metrics").body.decode().splitlines()
        [line] = [line for line in lines if line.startswith('sluice_requests_total{endpoint="models"')]
        return line.endswith(" 20.0")

    # the other workers' figures are half a second old at most
    workers.wait_until(is_added_up)


def test_a_worker_that_dies_is_replaced_and_a_stop_ends_all() -> None:
    with Workers() as workers:
        first, second = workers.pids
        os.kill(first, signal.SIGKILL)
        workers.wait_until(lambda: len(workers.pids) == 3)
        third = workers.pids[2]
        for _ in range(20):
            assert workers.chat().status == 200
        workers.signal(signal.SIGTERM)
        code, stderr = workers.ended()
        assert code == 0
        # which of the two numbers the first pid has is not known from outside
        assert stderr in {f"sluice: worker {number} (pid {first}) ended with -9\n" for number in (0, 1)}
        assert not any(is_alive(pid) for pid in (first, second, third))


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_drains_all_workers(number: int) -> None:
    with Workers() as workers:
        clients = [workers.connect().send(chat(stream=True, simulate={"tokens_per_second": 50})) for _ in range(8)]
        for client in clients:
            client.until(b"data: ")
        # as a terminal does it: every process of the group is told, and the parent tells its workers once more
        os.killpg(workers.pid, number)
        for client in clients:
            assert client.response().events[-1] == "[DONE]"
            client.close()
        assert workers.ended() == (0, "")
        stopped = [line for line in workers.log_lines() if line.get("message") == "stopped"]
        assert [line["cut_requests"] for line in stopped] == [0, 0]


def test_workers_end_when_their_parent_is_gone() -> None:
    with Workers() as workers:
        workers.signal(signal.SIGKILL)
        workers.wait_until(lambda: not any(is_alive(pid) for pid in workers.pids))
        messages = [line.get("message") for line in workers.log_lines()]
        assert messages.count("stopped") == 2


def test_a_worker_that_always_dies_young_ends_the_gateway() -> None:
    with Workers() as workers:
        for death in range(MAX_YOUNG_DEATHS + 1):
            workers.wait_until(lambda started=2 + death: len(workers.pids) == started)
            os.kill(workers.pids[-1] if death else workers.pids[0], signal.SIGKILL)
        code, stderr = workers.ended()
        assert code == 1
        assert stderr.count("ended with -9\n") == MAX_YOUNG_DEATHS + 1
        assert not any(is_alive(pid) for pid in workers.pids)


def test_a_stop_while_workers_start_is_obeyed() -> None:
    with Process("--workers", "8") as process:
        # one of them serves; the others are on their way
        process.signal(signal.SIGTERM)
        assert process.ended() == (0, "")


# --- starts that are refused ------------------------------------------------------------------------------------------


def failure_of(*arguments: str, **environ: str) -> str:
    """What a gateway says that does not start."""
    child = spawn(*arguments, **environ)
    stdout, stderr = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 1
    assert stdout == b""
    assert b"Traceback" not in stderr
    return stderr.decode()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use_is_told_readably(workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = failure_of("--workers", workers, "--port", str(port))
    assert text == (
        f"sluice: cannot listen on 127.0.0.1:{port}: Address already in use. "
        "PORT=9000 or --port 9000 takes another one.\n"
    )


@pytest.mark.parametrize("workers", ["1", "2"])
def test_two_gateways_do_not_share_a_port(workers: str) -> None:
    with Workers() as first:
        assert "Address already in use" in failure_of("--workers", workers, PORT=str(first.address[1]))
        assert first.chat().status == 200


def test_a_port_is_free_again_as_soon_as_its_gateway_has_ended() -> None:
    port = str(next(free_port()))
    for workers in ("1", "2", "1"):
        with Process("--workers", workers, PORT=port) as process:
            with process.connect() as client:
                assert client.send(request("GET", "/health")).response().status == 200
            process.signal(signal.SIGTERM)
            assert process.ended() == (0, "")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_a_public_address_without_a_key_is_refused(host: str) -> None:
    text = failure_of("--host", host, PORT="0")
    assert "no master key" in text
    assert "server.host" in text


def test_a_weak_key_does_not_open_a_public_address() -> None:
    text = failure_of("--host", "0.0.0.0", SLUICE_MASTER_KEY="short-word")
    assert "auth.master_key" in text
    assert "short-word" not in text


def test_an_address_that_is_not_ours_is_told_readably() -> None:
    text = failure_of("--host", "192.0.2.1", PORT="0", SLUICE_MASTER_KEY="a-key-of-many-characters")
    assert text.startswith("sluice: cannot listen on 192.0.2.1:0: ")


def test_an_orphan_that_is_no_worker_ends_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the first process of a container the supervisor is told of every orphan's end."""
    ends = [(4711, 0), (1, 0)]
    monkeypatch.setattr(os, "wait", lambda: ends.pop(0))
    with socket.socket() as held:
        supervisor = _Supervisor(Settings(), held, tmp_path)
        supervisor._started[1] = (0, 0.0)
        supervisor._is_stopping = True
        assert supervisor._watch() == 0
    assert ends == []
