"""A vendor's API on loopback, played by a small deterministic model: it answers what it is asked, as they would.

It needs nothing but Python, because client software runs in environments without the gateway's packages.

    with AnthropicVendor() as vendor:
        ...
        assert vendor.last["messages"] == [...]

What the vendor's own API would refuse, it refuses with a 400 in the vendor's shape; the messages begin with
``REFUSED``.
"""

import json
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from tests.kit.vendors.mind import Question, Said, say

Json = dict[str, Any]

REFUSED = "The vendor refuses: "


class Asked(NamedTuple):
    """One request as it came. ``headers`` have lower-case names; ``body`` is the decoded JSON, else the bytes."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any


class Reply(NamedTuple):
    """``body`` is sent as JSON; a list of byte strings is sent as a stream of events, each as a chunk of its own."""

    body: Json | list[bytes] | bytes
    status: int = 200


class Refusal(Exception):
    """The request breaks a rule of the vendor's API."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(REFUSED + message)
        self.status = status


def require(is_right: object, message: str) -> None:
    if not is_right:
        raise Refusal(message)


def require_known(given: Iterable[str], known: Iterable[str], place: str = "the request") -> None:
    """As strict vendors do: a field that they do not know is an error."""
    unknown = sorted(set(given) - set(known))
    require(not unknown, f"{place} has unknown fields: {', '.join(unknown)}")


class Vendor:
    """A vendor listens while it is entered. Subclasses say in ``answer`` what comes back."""

    def __enter__(self) -> "Vendor":
        self.asked: list[Asked] = []
        self.questions: list[Question] = []
        self.refusals: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.vendor = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def forget(self) -> None:
        """Begin a new record."""
        self.asked, self.questions, self.refusals = [], [], []

    def hear(self, question: Question) -> Said:
        """What the model says to it."""
        self.questions.append(question)
        return say(question)

    @property
    def question(self) -> Question:
        """The last one."""
        return self.questions[-1]

    @property
    def posted(self) -> list[Any]:
        """The bodies of all POST requests, the oldest first."""
        return [asked.body for asked in self.asked if asked.method == "POST"]

    @property
    def last(self) -> Any:
        return self.posted[-1]

    def answer(self, asked: Asked) -> Reply:
        raise NotImplementedError

    def refuse(self, refusal: Refusal) -> Reply:
        """The vendor's envelope for an error."""
        raise NotImplementedError


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    vendor: Vendor


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        vendor = self.server.vendor
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        path, _, query = self.path.partition("?")
        is_json = self.headers.get("content-type", "").startswith("application/json")
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, path, query, headers, json.loads(data) if is_json and data else data)
        vendor.asked.append(asked)
        try:
            reply = vendor.answer(asked)
        except Refusal as refusal:
            vendor.refusals.append(f"{asked.method} {asked.path}: {refusal}")
            reply = vendor.refuse(refusal)
        self._send(reply)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - named by the library

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        if isinstance(reply.body, list):
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in reply.body:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what was asked is in ``Vendor.asked``."""
