"""Several workers on one port: a parent that starts processes, passes signals on and replaces what dies.

Each worker binds its own SO_REUSEPORT socket, so the kernel spreads connections and no lock is shared. The parent holds the
port as long as it lives but never accepts.
"""

import asyncio
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from gateway.app import listen, serve
from gateway.config.settings import Settings
from gateway.telemetry.shared import SharedSamples

# A worker that dies sooner than this after its start is not replaced: it would die again.
MIN_LIFE_S = 2.0


def supervise(settings: Settings, held: socket.socket) -> int:
    """Run ``settings.server.workers`` processes until told to stop; the exit code is 1 when a worker failed."""
    with tempfile.TemporaryDirectory(prefix="sluice-") as folder:
        return _Supervisor(settings, held, Path(folder)).run()


class _Supervisor:
    def __init__(self, settings: Settings, held: socket.socket, folder: Path) -> None:
        self._settings = settings
        self._held = held
        self._folder = folder
        self._started: dict[int, tuple[int, float]] = {}  # pid -> (worker number, start time)
        self._is_stopping = False

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._pass_on)
        for worker in range(self._settings.server.workers):
            self._start(worker)
        return self._watch()

    def _start(self, worker: int) -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(_work(self._settings, SharedSamples(self._folder, worker), self._held))
        self._started[pid] = (worker, time.monotonic())

    def _pass_on(self, number: int, _: object) -> None:
        self._is_stopping = True
        for pid in self._started:
            os.kill(pid, number)

    def _watch(self) -> int:
        """Wait for workers to end; replace those that end unasked."""
        exit_code = 0
        while self._started:
            pid, status = os.wait()
            worker, started_at = self._started.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            if self._is_stopping:
                exit_code = exit_code or abs(code)
                continue
            print(f"sluice: worker {worker} (pid {pid}) ended with {code}", file=sys.stderr, flush=True)  # noqa: T201
            if time.monotonic() - started_at >= MIN_LIFE_S:
                self._start(worker)
            else:
                exit_code = 1
                self._pass_on(signal.SIGTERM, None)
        return exit_code


def _work(settings: Settings, shared: SharedSamples, held: socket.socket) -> int:
    """One worker, in its own process."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    try:
        sock = listen(settings, port=held.getsockname()[1])
        held.close()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, sock, shared))
    except OSError as error:
        print(f"sluice: worker failed: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return 1
    return 0
