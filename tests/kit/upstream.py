"""A provider on loopback that answers from a script and remembers every request, byte by byte.

It runs in threads, so that a test may use any client, blocking or not, against a gateway in another process:

    with ScriptedUpstream() as upstream:
        upstream.answer(reply(503), stream(b"data: 1\n\n", RESET))
        ...
        assert [request.body for request in upstream.requests] == [...]

Answers are given in the order they were written down; the last one is given again and again. Requests for the model
list have a script of their own, because the gateway asks for it by itself.
"""

import contextlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

PATIENCE_S = 10.0

# --- what is recorded -----------------------------------------------------------------------------------------------


class Request(NamedTuple):
    """One request as it came; header names as written. ``connection`` numbers the sockets from 0."""

    connection: int
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header that comes at most once."""
        values = [value for key, value in self.headers if key.lower() == name]
        assert len(values) <= 1, values
        return values[0] if values else None

    def json(self) -> Any:
        return json.loads(self.body)


# --- what is answered -----------------------------------------------------------------------------------------------


class Gate:
    """Holds an answer back until the test opens it. ``reached`` is set when the answer stands there."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._opened = threading.Event()

    def wait_reached(self) -> None:
        assert self.reached.wait(PATIENCE_S), "the answer never came to this gate"

    def open(self) -> None:
        self._opened.set()

    def hold(self) -> None:
        self.reached.set()
        assert self._opened.wait(PATIENCE_S), "nobody opened the gate"


class Step:
    """Something done to the connection between two pieces; the answer ends with it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


RESET = Step("RESET")  # as a crashed host does
HALF_CLOSE = Step("HALF_CLOSE")  # no more bytes, but the socket stays open
CLOSE = Step("CLOSE")
SILENCE = Step("SILENCE")  # nothing more until the other side has closed

Piece = bytes | Gate | Step


class Answer(NamedTuple):
    """Raw bytes to send, with what happens between them. The connection is kept unless a ``Step`` ends it."""

    pieces: tuple[Piece, ...]


Headers = Sequence[tuple[str, str]]


def raw(*pieces: Piece) -> Answer:
    """Exactly these bytes, head included."""
    return Answer(pieces)


def reply(
    body: bytes | dict[str, Any] = b"",
    status: int = 200,
    headers: Headers = (),
    content_type: str = "application/json",
    reason: str = "Status",
) -> Answer:
    """A whole answer with its length; a dictionary is written as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = [("Content-Type", content_type), *headers, ("Content-Length", str(len(data)))]
    return Answer((_head(status, fields, reason) + data,))


def stream(
    *pieces: Piece,
    headers: Headers = (),
    content_type: str = "text/event-stream; charset=utf-8",
    status: int = 200,
) -> Answer:
    """A chunked answer: each piece is a chunk of its own, the first comes together with the head, and the last chunk
    follows unless a ``Step`` ends it."""
    fields = [("Content-Type", content_type), *headers, ("Transfer-Encoding", "chunked")]
    framed = [_chunk(piece) if isinstance(piece, bytes) else piece for piece in pieces if piece != b""]
    is_whole = not any(isinstance(piece, Step) for piece in pieces)
    head = _head(status, fields, "Status")
    if framed and isinstance(framed[0], bytes):
        head += framed.pop(0)
    return Answer((head, *framed, *([b"0\r\n\r\n"] if is_whole else [])))


def _head(status: int, fields: Iterable[tuple[str, str]], reason: str) -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in fields)]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


# --- the provider ---------------------------------------------------------------------------------------------------

KEY = "sk-upstream-0123456789"


class ScriptedUpstream:
    """Listens on ``port`` of 127.0.0.1; ``base_url`` is what a gateway is given as the provider's address."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: list[Answer] = []
        self._list_answers: list[Answer] = []
        self._sockets: set[socket.socket] = set()
        self._failures: list[BaseException] = []
        self._is_closing = False
        self.requests: list[Request] = []
        self.history: list[Request] = []  # all of them, never forgotten
        self.list_requests: list[Request] = []
        self.connections = 0
        self.closed = threading.Event()

    def __enter__(self) -> "ScriptedUpstream":
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._is_closing = True
        with self._lock:
            sockets = [self._listener, *self._sockets]
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE_S)
        if self._failures and kind is None:
            raise self._failures[0]

    def answer(self, *answers: Answer) -> None:
        """Forget what was recorded and answer like this from now on."""
        with self._lock:
            self._answers = list(answers)
            self.requests = []
            self.closed = threading.Event()

    def answer_lists(self, *answers: Answer) -> None:
        """The same for ``GET /models``."""
        with self._lock:
            self._list_answers = list(answers)
            self.list_requests = []

    def list_models(self, *ids: str) -> None:
        """Answer ``GET /models`` with these, in the shape that OpenAI and others use."""
        entries = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "maker"} for name in ids]
        self.answer_lists(reply({"object": "list", "data": entries}))

    @property
    def request(self) -> Request:
        """The only request there was."""
        (only,) = self.requests
        return only

    def wait_closed(self) -> None:
        """Until the other side has closed a connection on which an answer was under way."""
        assert self.closed.wait(PATIENCE_S), "the other side did not close its socket"

    # --- threads ---

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets.add(sock)
                number = self.connections
                self.connections += 1
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            with sock, sock.makefile("rb") as file:
                while (request := _read_request(file, number)) is not None:
                    if not self._send(sock, self._next_answer(request)):
                        return
        except OSError:
            self.closed.set()
        except BaseException as error:
            if not self._is_closing:
                self._failures.append(error)
        finally:
            with self._lock:
                self._sockets.discard(sock)

    def _next_answer(self, request: Request) -> Answer:
        is_list = request.method == "GET" and request.path.partition("?")[0].endswith("/models")
        with self._lock:
            (self.list_requests if is_list else self.requests).append(request)
            self.history.append(request)
            answers = self._list_answers if is_list else self._answers
            if not answers:
                return reply(b'{"error":{"message":"nothing is scripted"}}', 404)
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def _send(self, sock: socket.socket, answer: Answer) -> bool:
        """May the connection be used again?"""
        for piece in answer.pieces:
            if isinstance(piece, bytes):
                sock.sendall(piece)
            elif isinstance(piece, Gate):
                piece.hold()
            else:
                _STEPS[piece.name](self, sock)
                return False
        return True

    def _reset(self, sock: socket.socket) -> None:
        """The close that follows now sends RST."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _half_close(self, sock: socket.socket) -> None:
        sock.shutdown(socket.SHUT_WR)
        self._await_close(sock)

    def _close(self, sock: socket.socket) -> None:
        sock.shutdown(socket.SHUT_RDWR)

    def _await_close(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE_S)
        while sock.recv(4096):
            pass
        self.closed.set()


_STEPS: dict[str, Callable[[ScriptedUpstream, socket.socket], None]] = {
    "RESET": ScriptedUpstream._reset,
    "HALF_CLOSE": ScriptedUpstream._half_close,
    "CLOSE": ScriptedUpstream._close,
    "SILENCE": ScriptedUpstream._await_close,
}

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)\r\n", re.IGNORECASE)


def _read_request(file: Any, connection: int) -> Request | None:
    """The next request of a connection, None at its end. Only framing by length is read: the gateway sends no other."""
    lines = [file.readline()]
    if not lines[0]:
        return None
    while lines[-1] not in (b"\r\n", b""):
        lines.append(file.readline())
    head = b"".join(lines)
    length = _LENGTH.search(head)
    body = file.read(int(length[1])) if length else b""
    method, path, _ = lines[0].decode().split(" ")
    fields = [line.decode("latin-1").rstrip("\r\n").partition(":") for line in lines[1:-1]]
    return Request(connection, method, path, tuple((name, value.strip()) for name, _, value in fields), body)


def config_for(upstream: ScriptedUpstream, **instances: dict[str, Any]) -> str:
    """A configuration whose providers are all played by ``upstream``. An underscore in a name stands for a dash;
    nothing is retried unless an instance says so."""
    common = {"api_key": KEY, "base_url": upstream.base_url, "retry": {"attempts": 1}}
    return json.dumps({"providers": {name.replace("_", "-"): {**common, **own} for name, own in instances.items()}})
