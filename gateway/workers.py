"""Several workers on one port: a parent that starts processes, passes signals on and replaces what dies.

Each worker binds its own SO_REUSEPORT socket, so the kernel spreads connections and no lock is shared. The parent holds
the port as long as it lives but never accepts. Workers drain and end when the parent is gone, however it went.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

import uvloop

from gateway.app import CUT_SIGNAL, STOP_SIGNALS, listen, serve
from gateway.config.settings import Settings
from gateway.core.errors import place_of
from gateway.telemetry.shared import SharedSamples

# A worker that dies sooner than this after its start has died young.
MIN_LIFE_S = 2.0
# So often in a row it is replaced all the same, after a pause that doubles each time.
MAX_YOUNG_DEATHS = 5
FIRST_PAUSE_S = 0.05
# A worker that is told to stop before it is up ends by the signal itself.
_GOOD_ENDS = (0, *(-number for number in (*STOP_SIGNALS, CUT_SIGNAL)))


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
        self._young_deaths: dict[int, int] = {}  # worker number -> how often in a row
        self._is_stopping = False
        # nothing is ever written: its end tells the workers that the parent is gone
        self._lifeline, self._held_end = os.pipe()

    def run(self) -> int:
        for number in STOP_SIGNALS:
            signal.signal(number, lambda *_: self._stop())
        for worker in range(self._settings.server.workers):
            self._start(worker)
        return self._watch()

    def _start(self, worker: int) -> None:
        # a signal between the fork and the note of it would miss this worker
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        if not self._is_stopping:
            pid = os.fork()
            if pid == 0:
                self._become(worker)
            self._started[pid] = (worker, time.monotonic())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def _become(self, worker: int) -> NoReturn:
        """The new process; nothing of the parent's life may go on in it."""
        code = 1
        try:
            os.close(self._held_end)
            _work(self._settings, SharedSamples(self._folder, worker), self._held, self._lifeline)
            code = 0
        except OSError as error:
            _complain(f"worker failed: {error}")
        except Exception as error:
            _complain(f"worker failed: {place_of(error)}")
        finally:
            os._exit(code)

    def _stop(self) -> None:
        """Tell the workers to drain; the second time, to cut."""
        number = CUT_SIGNAL if self._is_stopping else signal.SIGTERM
        self._is_stopping = True
        for pid in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _watch(self) -> int:
        """Wait for workers to end; replace those that end unasked."""
        exit_code = 0
        while self._started:
            pid, status = os.wait()
            started = self._started.pop(pid, None)
            if started is None:
                continue  # as the first process of a container we inherit other people's orphans
            worker, started_at = started
            code = os.waitstatus_to_exitcode(status)
            if self._is_stopping:
                exit_code = exit_code if code in _GOOD_ENDS else 1
                continue
            _complain(f"worker {worker} (pid {pid}) ended with {code}")
            if self._may_start_again(worker, started_at):
                self._start(worker)
            else:
                exit_code = 1
                self._stop()
        return exit_code

    def _may_start_again(self, worker: int, started_at: float) -> bool:
        """One that dies young may have met an accident; one that always does will go on so. Waits longer each time."""
        lived_s = time.monotonic() - started_at
        deaths = 0 if lived_s >= MIN_LIFE_S else self._young_deaths.get(worker, 0) + 1
        self._young_deaths[worker] = deaths
        if deaths:
            pause_s = FIRST_PAUSE_S * 2**deaths
            time.sleep(pause_s)
        return deaths <= MAX_YOUNG_DEATHS


def _work(settings: Settings, shared: SharedSamples, held: socket.socket, lifeline: int) -> None:
    """One worker, in its own process. Raises ``OSError``."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    sock = listen(settings, port=held.getsockname()[1])
    held.close()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve_beside_parent(settings, sock, shared, lifeline))


async def _serve_beside_parent(settings: Settings, sock: socket.socket, shared: SharedSamples, lifeline: int) -> None:
    loop = asyncio.get_running_loop()

    def end_alone() -> None:
        loop.remove_reader(lifeline)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(lifeline, end_alone)
    await serve(settings, sock, shared, is_worker=True)


def _complain(text: str) -> None:
    print(f"sluice: {text}", file=sys.stderr, flush=True)  # noqa: T201
