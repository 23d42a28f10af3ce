"""Starting, measuring and stopping the processes of a benchmark. Knows nothing of what they are."""

import contextlib
import http.client
import os
import re
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"
STOP_GRACE_S = 5.0


class BenchError(Exception):
    """Something that had to work did not; the run has no honest figures and exits 1."""


# --- where things run -----------------------------------------------------------------------------------------------


def split_cpus() -> tuple[set[int], set[int]] | None:
    """(for the gateway, for everything else), or None where processes cannot be pinned or there is one CPU only."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    return ({allowed[-1]}, set(allowed[:-1])) if len(allowed) > 1 else None


def raise_open_file_limit() -> int:
    """Takes what the hard limit allows and gives it; children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:  # macOS says so and then accepts no more than this
        hard = 10_240
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


# --- measuring another process --------------------------------------------------------------------------------------


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads, ended ones too.

    Linux keeps a CPU clock per process, readable by its number (clock_getcpuclockid(3)), in nanoseconds where
    /proc/PID/stat counts hundredths of a second. Elsewhere ``ps`` has to do.
    """
    with contextlib.suppress(OSError):
        return time.clock_gettime(~pid << 3 | 2)
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return parse_ps_time(_ps(pid, "time="))


def parse_ps_time(text: str) -> float:
    """Seconds of ``[[dd-]hh:]mm:ss[.cc]``."""
    days, _, clock = text.strip().rpartition("-")
    seconds = 0.0
    for part in clock.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds + 86_400 * int(days or 0)


def resident_bytes(pid: int) -> int:
    """Resident memory, shared pages included. ``smaps_rollup`` is exact; the kernel's running count lags by pages."""
    with contextlib.suppress(OSError):
        found = re.search(r"^Rss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        if found is not None:
            return int(found[1]) * 1024
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return int(_ps(pid, "rss=")) * 1024


def has_children(pid: int) -> bool:
    """Whether figures of this one process would miss work done in another. False where it cannot be told."""
    with contextlib.suppress(OSError):
        return any(path.read_text().strip() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return False


def _ps(pid: int, what: str) -> str:
    return subprocess.run(["ps", "-o", what, "-p", str(pid)], capture_output=True, text=True, check=True).stdout


# --- one server -----------------------------------------------------------------------------------------------------


class Server:
    """A process that listens on a loopback port, in a session of its own so that Ctrl-C reaches the runner alone.

    Use it in a ``with``: whatever happens, it is stopped at the end.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        env: Mapping[str, str],
        directory: Path,
        cpus: set[int] | None,
    ) -> None:
        self.port = port
        self.log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._command = list(command)
        self._env = dict(env)
        self._cpus = cpus

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> "Server":
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self.started_at = time.perf_counter()
            self._process = subprocess.Popen(
                self._command,
                env=self._env,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=self._pin if self._cpus else None,
            )
        return self

    def _pin(self) -> None:
        assert self._cpus is not None
        os.sched_setaffinity(0, self._cpus)

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        try:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_GRACE_S)
        finally:  # also when a second Ctrl-C cuts the grace short; the group holds what it may have started itself
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def ask(self, method: str, path: str, body: bytes | None = None, key: str = "none") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=10)
        try:
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def wait_until_healthy(self, limit_s: float) -> float:
        """Seconds from exec to the first 200 of GET /health."""
        while (waited := time.perf_counter() - self.started_at) < limit_s:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("GET", "/health")[0] == 200:
                    return time.perf_counter() - self.started_at
            assert self._process is not None
            if self._process.poll() is not None:
                raise BenchError(f"{self._command[:4]} ended with {self._process.returncode}:\n{self.log_tail()}")
            time.sleep(0.001)
        raise BenchError(f"{self._command[:4]} does not answer GET /health after {waited:.0f} s:\n{self.log_tail()}")

    def log_tail(self) -> str:
        return self.log.read_bytes()[-2000:].decode(errors="replace")
