"""A whole gateway on a real loopback port, in this process or as a child, and a client that sends exact bytes.

    with Gateway(SLUICE_MASTER_KEY=KEY) as gateway:
        assert gateway.get("/health").status == 200

Everything here blocks, so that a test reads from top to bottom; the gateway runs its own loop in its own thread.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import uvloop

import providers
from gateway.app import App, listen
from gateway.config.load import interpret

T = TypeVar("T")

# Nothing takes this long; it only turns a test that would hang into one that fails.
PATIENCE_S = 30.0
ROOT = Path(__file__).resolve().parents[2]
CHAT = {"model": "sim-small", "messages": [{"role": "user", "content": "hi"}]}


# --- the client -------------------------------------------------------------------------------------------------------


class Response(NamedTuple):
    """``headers`` have lower-case names. ``is_complete`` is false when the connection ended within the body."""

    status: int
    headers: dict[str, str]
    body: bytes
    version: str = "HTTP/1.1"
    is_complete: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        """The error object of the OpenAI envelope, which must be whole."""
        assert self.status >= 400
        assert self.headers["content-type"] == "application/json"
        assert list(self.json) == ["error"]
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        return error

    @property
    def events(self) -> list[str]:
        """The data of every server-sent event."""
        events = self.body.decode().split("\n\n")
        assert events.pop() == "", "the last event is not whole"
        return [event.removeprefix("data: ") for event in events if not event.startswith(":")]


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """A request as a sober client writes it; header names have underscores for dashes."""
    lines = {"Host": "gateway", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body or method == "POST":
        lines.setdefault("Content-Type", "application/json")
        lines.setdefault("Content-Length", str(len(body)))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogateescape") + body


def chat(path: str = "/v1/chat/completions", headers: dict[str, str] | None = None, **fields: Any) -> bytes:
    """A chat request with ``fields`` beside the simplest ones."""
    return request("POST", path, json.dumps({**CHAT, **fields}).encode(), **headers or {})


def take_response(data: bytes, *, is_ended: bool = False, to_head: bool = False) -> tuple[Response, bytes] | None:
    """The first response in ``data`` and what follows it; ``None`` while more bytes are needed."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    if not blank:
        assert not is_ended, f"the connection ended within a response head: {data!r}"
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, _ = first.split(" ", 2)
    headers: dict[str, str] = {}
    for name, value in (line.split(": ", 1) for line in lines):
        assert name.lower() not in headers, f"{name} is there twice"
        headers[name.lower()] = value
    response = Response(int(status), headers, b"", version)
    if to_head or response.status < 200 or response.status == 204:
        return response, rest
    if "content-length" in headers:
        assert "transfer-encoding" not in headers
        length = int(headers["content-length"])
        if len(rest) < length and not is_ended:
            return None
        return response._replace(body=rest[:length], is_complete=len(rest) >= length), rest[length:]
    if headers.get("transfer-encoding") == "chunked":
        return _take_chunks(response, rest, is_ended)
    return (response._replace(body=rest), b"") if is_ended else None


def _take_chunks(response: Response, rest: bytes, is_ended: bool) -> tuple[Response, bytes] | None:
    body = b""
    while True:
        size, line_end, after = rest.partition(b"\r\n")
        length = int(size, 16) if line_end else 0
        if not line_end or len(after) < length + 2:
            return (response._replace(body=body, is_complete=False), b"") if is_ended else None
        assert after[length : length + 2] == b"\r\n", "a chunk is not as long as it says"
        body, rest = body + after[:length], after[length + 2 :]
        if length == 0:
            return response._replace(body=body), rest


class Client:
    """One connection. ``tick`` lets the gateway take what was sent, so that the next piece is a read of its own."""

    def __init__(self, address: tuple[str, int], tick: Callable[[], None] = lambda: None, *, receive_buffer: int = 0):
        self._tick = tick
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(PATIENCE_S)
        try:
            self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self.is_ended = self.is_cut = False

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def send(self, *pieces: bytes) -> "Client":
        """Piece by piece. What the gateway no longer takes is no failure, but noted in ``is_cut``."""
        for number, piece in enumerate(pieces):
            if number:
                self._tick()
            try:
                self.sock.sendall(piece)
            except ConnectionError:
                self.is_cut = True
                break
        return self

    def receive(self) -> bytes:
        """What there is, at least one byte; nothing at the end. A reset is an end."""
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        self._received += data
        self.is_ended = self.is_ended or not data
        return data

    def response(self, *, to_head: bool = False) -> Response:
        """The next response; one that the end of the connection cut short is marked so."""
        while True:
            taken = take_response(self._received, is_ended=self.is_ended, to_head=to_head)
            if taken is not None:
                response, self._received = taken
                return response
            self.receive()

    def until(self, mark: bytes) -> bytes:
        """What has come, as soon as ``mark`` is in it. It stays there for ``response``."""
        while mark not in self._received:
            assert self.receive(), f"ended without {mark!r}: {self._received!r}"
        return self._received

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        while not self.is_ended:
            self.receive()
        data, self._received = self._received, b""
        return data

    def responses(self) -> list[Response]:
        """Every response up to the end of the connection, and nothing else may have come."""
        data, found = self.rest(), []
        while data:
            taken = take_response(data, is_ended=True)
            assert taken is not None
            response, data = taken
            found.append(response)
        return found


class _Reachable:
    """What both kinds of gateway share: an address and a log."""

    address: tuple[str, int]

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line_came = threading.Condition()
        self._is_log_over = False

    # --- asking ---

    def tick(self) -> None:
        """Give the gateway a turn."""

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    def connect(self, *, receive_buffer: int = 0) -> Client:
        return Client(self.address, self.tick, receive_buffer=receive_buffer)

    def send(self, *pieces: bytes) -> list[Response]:
        """All responses of a connection of its own, up to its end."""
        with self.connect() as client:
            return client.send(*pieces).responses()

    def ask(self, data: bytes) -> Response:
        """The first response to ``data``."""
        with self.connect() as client:
            return client.send(data).response()

    def get(self, path: str, **headers: str) -> Response:
        return self.ask(request("GET", path, **headers))

    def post(self, path: str, body: bytes, **headers: str) -> Response:
        return self.ask(request("POST", path, body, **headers))

    def chat(self, headers: dict[str, str] | None = None, **fields: Any) -> Response:
        return self.ask(chat(headers=headers, **fields))

    # --- the log ---

    def _collect_log(self, fd: int) -> None:
        with os.fdopen(fd, encoding="utf-8") as file:
            for line in file:
                with self._line_came:
                    self._lines.append(line)
                    self._line_came.notify_all()
        with self._line_came:
            self._is_log_over = True
            self._line_came.notify_all()

    def log_text(self) -> str:
        with self._line_came:
            return "".join(self._lines)

    def log_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.log_text().splitlines()]

    def requests(self) -> list[Any]:
        """The log's lines about requests."""
        return [line for line in self.log_lines() if line["event"] == "request"]

    def wait_for_line(self, is_wanted: Callable[[Any], bool]) -> Any:
        """The first line of the log that is wanted."""
        with self._line_came:
            found: list[Any] = []

            def look() -> bool:
                found[:] = filter(is_wanted, map(json.loads, self._lines))
                return bool(found) or self._is_log_over

            self._line_came.wait_for(look, PATIENCE_S)
            assert found, f"not in the log:\n{''.join(self._lines)}"
            return found[0]


# --- in this process --------------------------------------------------------------------------------------------------


class Gateway(_Reachable):
    """A gateway set up by the text of a configuration file and by environment variables. What reaches the loop's
    exception handler fails the test."""

    def __init__(self, config: str = "", **environ: str) -> None:
        super().__init__()
        self._config = config
        self._environ = {"PORT": "0", "SLUICE_SERVER__DRAIN_TIMEOUT": "0s", "SLUICE_LOG__LEVEL": "debug", **environ}
        self._marks = 0
        self.unhandled: list[dict[str, Any]] = []

    def __enter__(self) -> "Gateway":
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.loop = self._runner.get_loop()
        self.loop.set_exception_handler(lambda _loop, context: self.unhandled.append(context))
        self._thread = threading.Thread(target=self.loop.run_forever, name="gateway")
        self._thread.start()
        try:
            self.run(self._start())
        except BaseException:
            self._end_loop()
            raise
        return self

    async def _start(self) -> None:
        self.settings = interpret("sluice.yaml", self._config, self._environ, {}, providers).settings
        read_end, write_end = os.pipe()
        self._log_thread = threading.Thread(target=self._collect_log, args=(read_end,), name="log reader")
        self._log_thread.start()
        self._log_file = os.fdopen(write_end, "w")
        with contextlib.redirect_stdout(self._log_file):
            self.app = App(self.settings)
        sock = listen(self.settings)
        self.address = sock.getsockname()[:2]
        await self.app.start(sock)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self.run(self._stop())
        finally:
            self._end_loop()
            self._log_file.close()
            self._log_thread.join(PATIENCE_S)
        if kind is None:
            assert not self.unhandled, self.unhandled

    async def _stop(self) -> None:
        await self.app.drain()
        await self.app.close()

    def _end_loop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self._runner.close()

    # --- reaching into it ---

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work`` on the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)

    def call(self, function: Callable[[], T]) -> T:
        """The result of ``function`` on the gateway's thread."""

        async def work() -> T:
            return function()

        return self.run(work())

    def tick(self) -> None:
        for _ in range(2):
            self.run(asyncio.sleep(0))

    def wait_until(self, is_true: Callable[[], bool]) -> None:
        """Until ``is_true`` on the gateway's thread."""

        async def work() -> None:
            async with asyncio.timeout(PATIENCE_S):
                while not is_true():  # noqa: ASYNC110 - the gateway does not know what the test waits for
                    await asyncio.sleep(0.005)

        self.run(work())

    def requests(self) -> list[Any]:
        """The log's lines about requests, all that have been answered so far."""
        self._marks += 1
        mark = f"mark {self._marks}"
        self.call(lambda: (self.app.settlement.settle(), self.app.log.say(mark), self.app.log.flush()))
        self.wait_for_line(lambda line: line.get("message") == mark)
        return super().requests()


# --- as a process of its own ------------------------------------------------------------------------------------------


class Process(_Reachable):
    """``python -m gateway serve`` on a free port, with these arguments and environment variables."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        super().__init__()
        self._arguments = arguments
        self._environ = {"PORT": "0", "SLUICE_LOG__LEVEL": "debug", **environ}

    def __enter__(self) -> "Process":
        self._child = spawn(*self._arguments, **self._environ)
        assert self._child.stdout is not None
        fd = os.dup(self._child.stdout.fileno())
        self._child.stdout.close()
        self._child.stdout = None
        self._thread = threading.Thread(target=self._collect_log, args=(fd,), name="log reader")
        self._thread.start()
        try:
            line = self.wait_for_line(lambda line: "serves on" in line.get("message", ""))
        except BaseException:
            self.__exit__()
            raise
        host, port = line["message"].rpartition("//")[2].rsplit(":", 1)
        self.address = (host, int(port))
        return self

    def __exit__(self, *_: object) -> None:
        # a worker may have outlived its parent
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        self._thread.join(PATIENCE_S)
        assert self._child.stderr is not None
        self._child.stderr.close()

    @property
    def pid(self) -> int:
        return self._child.pid

    def signal(self, number: int) -> None:
        os.kill(self._child.pid, number)

    def ended(self) -> tuple[int, str]:
        """Wait for the end: the exit code and what was written to standard error."""
        _, stderr = self._child.communicate(timeout=PATIENCE_S)
        self._thread.join(PATIENCE_S)
        return self._child.returncode, stderr.decode()


def spawn(*arguments: str, **environ: str) -> "subprocess.Popen[bytes]":
    """A child with only these variables, the leader of its own process group."""
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", ""), **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def free_port() -> Iterator[int]:
    """A port that was free a moment ago."""
    while True:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port: int = sock.getsockname()[1]
        yield port
