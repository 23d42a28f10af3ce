"""What the benchmark does to each target: start it afresh, load it, hold streams open on it, look at its process."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from loadtest import report
from loadtest.client import chat_body
from loadtest.process import LOOPBACK, BenchError, Server, cpu_seconds, free_port, has_children, resident_bytes
from loadtest.report import SUBJECT, TRANSLATED, YARDSTICK, Load
from loadtest.upstream import ANSWER, MODEL

ROOT = Path(__file__).resolve().parent.parent
DIRECT = "direct"
TARGETS = (DIRECT, YARDSTICK, SUBJECT, TRANSLATED)
# How the variables of each gateway's provider begin: one speaks the clients' dialect, and one does not.
GATEWAYS = {SUBJECT: "OPENAI", TRANSLATED: "ANTHROPIC"}
SCENARIOS = ("plain", "stream", "start", "open")

START_LIMIT_S = 20.0
SETTLE_S = 0.5  # after the first answers, before idle memory is read
WARM_UP_S = 0.7
STREAMS = 100
HELD_CHUNKS, HELD_INTERVAL_MS = 5, 1500  # a held stream lasts 7.5 s: seconds to open all, seconds to look at them
HELD_LOOK_S = 1.5
SATURATED, UNDERUSED = 0.9, 0.8  # shares of one core
SPARE_FILES = 200  # descriptors a process needs for other things than streams


class Options(NamedTuple):
    seconds: int
    rounds: int
    targets: tuple[str, ...]
    scenarios: frozenset[str]
    connections: int
    open_streams: int
    hide_usage: bool
    json_path: Path
    python: str


class Running(NamedTuple):
    """A target that answers. ``measures_process`` is False for direct: the upstream is nobody's yardstick."""

    name: str
    server: Server
    key: str
    first_health_s: float
    first_chat_s: float

    @property
    def measures_process(self) -> bool:
        return self.name != DIRECT


class Bench:
    """One whole run: where its processes live, what it found, what went wrong."""

    def __init__(
        self, options: Options, *, directory: Path, upstream: Server, gateway_cpus: set[int] | None, streams: int
    ) -> None:
        self.options = options
        self.directory = directory
        self.upstream = upstream
        self.gateway_cpus = gateway_cpus
        self.streams = streams
        self.key = f"bench-{secrets.token_hex(16)}"
        self.failures: list[str] = []
        self.notes: list[str] = []

    # --- targets ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def start(self, name: str) -> Iterator[Running]:
        """A fresh process of the target, past its first health answer and its first right chat answer."""
        key = self.key if name in GATEWAYS else "none"
        if name == DIRECT:
            yield Running(name, self.upstream, key, 0.0, 0.0)
            return
        port = free_port()
        command, extra = self.sluice(port, GATEWAYS[name]) if name in GATEWAYS else self.relay(port)
        server = Server(
            [self.options.python, "-m", *command],
            port=port,
            env={**child_environment(), **extra},
            directory=self.directory / name,
            cpus=self.gateway_cpus,
        )
        with server:
            first_health_s = server.wait_until_healthy(START_LIMIT_S)
            status, body = server.ask("POST", "/v1/chat/completions", chat_body(stream=False), key)
            first_chat_s = time.perf_counter() - server.started_at
            if status != 200 or ANSWER.encode() not in body:
                time.sleep(SETTLE_S)  # for the log to say why
                raise BenchError(f"{name}: the first chat answered {status}: {body[:500]!r}\n{server.log_tail()}")
            yield Running(name, server, key, first_health_s, first_chat_s)
            if has_children(server.pid):
                self.note(f"{name} runs more than one process; its figures are those of the first only")

    def relay(self, port: int) -> tuple[list[str], dict[str, str]]:
        return ["loadtest.bare_relay", str(port), str(self.upstream.port)], {}

    def sluice(self, port: int, provider: str) -> tuple[list[str], dict[str, str]]:
        """The gateway with one provider: the upstream, in the language of the type whose variables begin so."""
        command = ["gateway", "serve", "--host", LOOPBACK, "--port", str(port), "--workers", "1"]
        return command, {
            f"{provider}_API_KEY": "x",
            f"{provider}_BASE_URL": f"http://{LOOPBACK}:{self.upstream.port}/v1",
            f"{provider}_MODELS": MODEL,
            "SLUICE_MASTER_KEY": self.key,
        }

    # --- load -------------------------------------------------------------------------------------------------------

    def run_client(self, target: Running, *arguments: str) -> Load:
        with self.client(target, *arguments) as process:
            return read_result(process)

    @contextlib.contextmanager
    def client(self, target: Running, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        command = [self.options.python, "-m", "loadtest.client", str(target.server.port), *arguments]
        if self.options.hide_usage:
            command.append("--hide-usage")
        with self.generator(command, target) as process:
            yield process

    @contextlib.contextmanager
    def generator(self, command: list[str], target: Running, **extra: str) -> Iterator[subprocess.Popen[str]]:
        """A load generator beside the runner, on the runner's CPUs; never left behind."""
        env = {**child_environment(), "BENCH_KEY": target.key, **extra}
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def run_wrk(self, target: Running) -> Load:
        command = ["wrk", "-t1", f"-c{self.options.connections}", f"-d{self.options.seconds}s"]
        command += ["-s", str(ROOT / "loadtest" / "wrk.lua"), f"http://{LOOPBACK}:{target.server.port}"]
        with self.generator(command, target, BENCH_BODY=chat_body(stream=False).decode()) as process:
            output, _ = process.communicate()
        return report.parse_wrk(output)

    def checked(self, target: Running, what: str, load: Callable[[], Load]) -> tuple[Load, float, float]:
        """(the load, CPU seconds of the target meanwhile, wall seconds). Notes every error as a failure.

        The upstream's own count shows whether every answer was really fetched: one from a cache would cost less.
        """
        served = self.served()
        cpu, begun = cpu_seconds(target.server.pid), time.perf_counter()
        result = load()
        cpu, wall = cpu_seconds(target.server.pid) - cpu, time.perf_counter() - begun
        for reason, count in result.errors.items():
            self.failures.append(f"{target.name}, {what}: {count} x {reason}")
        if not result.requests:
            self.failures.append(f"{target.name}, {what}: no request succeeded\n{target.server.log_tail()}")
        if self.served() - served < result.requests:
            self.failures.append(f"{target.name}, {what}: {result.requests} answers, but fewer asked of the upstream")
        return result, cpu, wall

    def served(self) -> int:
        chats: int = json.loads(self.upstream.ask("GET", "/bench/served")[1])["chats"]
        return chats

    # --- scenarios --------------------------------------------------------------------------------------------------

    def measure_plain(self, target: Running) -> dict[str, float]:
        connections = str(self.options.connections)
        self.run_client(target, "--connections", connections, "--seconds", str(WARM_UP_S))

        def load() -> Load:
            if shutil.which("wrk"):
                return self.run_wrk(target)
            return self.run_client(target, "--connections", connections, "--seconds", str(self.options.seconds))

        result, cpu, wall = self.checked(target, "plain", load)
        row = {
            "plain_rps": result.requests / result.seconds,
            "plain_p50_ms": result.p50_ms,
            "plain_p99_ms": result.p99_ms,
        }
        if target.measures_process:
            row["plain_cpu_us"] = cpu / max(result.requests, 1) * 1e6
            row["plain_busy"] = cpu / wall
            if shutil.which("wrk") and row["plain_busy"] < UNDERUSED:
                self.note(
                    f"wrk could not keep {target.name} busy in every round: other work had the CPUs, and a relay that "
                    "waits pays more a request; repeat on a quiet machine"
                )
        return row

    def measure_stream(self, target: Running) -> dict[str, float]:
        arguments = ("--stream", "--connections", str(STREAMS), "--seconds")
        self.run_client(target, *arguments, str(WARM_UP_S))
        result, cpu, _ = self.checked(
            target, "stream", lambda: self.run_client(target, *arguments, str(self.options.seconds))
        )
        row = {
            "stream_chunks_per_s": result.chunks / result.seconds,
            "stream_first_p50_ms": result.first_p50_ms,
            "stream_first_p99_ms": result.first_p99_ms,
            "stream_p50_ms": result.p50_ms,
        }
        if target.measures_process:
            row["stream_cpu_us"] = cpu / max(result.chunks, 1) * 1e6
            row["stream_busy"] = cpu / result.seconds
            if row["stream_busy"] > SATURATED:
                self.note(
                    f"{target.name} was saturated by streams: it read chunks in bunches, which flatters its figure"
                )
        return row

    def measure_round(self, name: str) -> dict[str, float]:
        """One target's turn in a round, in a fresh process."""
        row: dict[str, float] = {}
        with self.start(name) as target:
            if target.measures_process and "start" in self.options.scenarios:
                time.sleep(SETTLE_S)
                row |= {"first_health_s": target.first_health_s, "first_chat_s": target.first_chat_s}
                row["rss_idle_mb"] = resident_bytes(target.server.pid) / 1e6
            for scenario, measure in (("plain", self.measure_plain), ("stream", self.measure_stream)):
                if scenario not in self.options.scenarios:
                    continue
                row |= measure(target)
                if target.measures_process:
                    row["rss_load_mb"] = max(row.get("rss_load_mb", 0.0), resident_bytes(target.server.pid) / 1e6)
            if name in GATEWAYS and "plain" in self.options.scenarios:
                self.check_log(target, row)
        return row

    def check_log(self, target: Running, row: dict[str, float]) -> None:
        """Says so when the gateway logged less than a line a request: then its figures were got without logging."""
        lines = target.server.log.read_bytes().count(b"\n")
        if lines < row["plain_rps"] * self.options.seconds * 0.9:
            self.note(f"{target.name} wrote {lines} log lines only: fewer than one a request")

    def measure_open(self, name: str) -> dict[str, float]:
        """User memory of thousands of streams open at once, above what the same warm process had before."""
        with self.start(name) as target:
            self.run_client(target, "--stream", "--connections", str(STREAMS), "--seconds", str(WARM_UP_S))
            before = resident_bytes(target.server.pid)
            during = 0

            def load() -> Load:
                nonlocal during
                shape = ("--chunks", str(HELD_CHUNKS), "--interval-ms", str(HELD_INTERVAL_MS))
                with self.client(target, "--hold", "--connections", str(self.streams), *shape) as process:
                    assert process.stdout is not None
                    process.stdout.readline()  # "open N"
                    look_until = time.perf_counter() + HELD_LOOK_S
                    while time.perf_counter() < look_until:
                        during = max(during, resident_bytes(target.server.pid))
                        time.sleep(0.1)
                    return read_result(process)

            result, _, _ = self.checked(target, "open streams", load)
        if result.all_open_s < HELD_LOOK_S:
            self.failures.append(f"{name}, open streams: all were open for {result.all_open_s:.1f} s only")
        return {"open_streams": result.requests, "open_stream_kb": max(during - before, 0) / self.streams / 1e3}

    # --- the whole --------------------------------------------------------------------------------------------------

    def run(self) -> list[dict[str, dict[str, float]]]:
        """One row a target and round; the targets take turns so that a slow minute slows them all."""
        rounds: list[dict[str, dict[str, float]]] = []
        for number in range(1, self.options.rounds + 1):
            rounds.append({})
            for name in self.options.targets:
                progress(f"round {number} of {self.options.rounds}: {name}")
                rounds[-1][name] = self.measure_round(name)
        if "open" in self.options.scenarios:
            for name in self.options.targets:
                if name != DIRECT:
                    progress(f"{self.streams} open streams: {name}")
                    rounds[-1][name] |= self.measure_open(name)
        return rounds

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def read_result(process: subprocess.Popen[str]) -> Load:
    output, _ = process.communicate()
    if process.returncode:
        raise BenchError(f"the load client ended with {process.returncode}")
    return msgspec.json.decode(output.strip().rpartition("\n")[2], type=Load)


def child_environment() -> dict[str, str]:
    """No key, proxy or setting of whoever runs this reaches a process of the benchmark."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT)}


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
