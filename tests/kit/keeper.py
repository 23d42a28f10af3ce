"""A provider on loopback that keeps what OpenAI keeps: responses, conversations, files and batches.

Every request is recorded with its exact bytes. Unlike a scripted upstream it has a memory, and it reads bodies of any
length and framing:

    with Keeper() as keeper:
        ...
        assert keeper.paths == ["POST /v1/files"]
"""

import contextlib
import hashlib
import itertools
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

Json = dict[str, Any]

# Bodies beyond this are only counted and hashed, so that a test can send much.
_KEPT_BYTES = 1 << 20
_CREATED = 1_790_000_000


class Asked(NamedTuple):
    """One request as it came. ``headers`` have lower-case names; of a long body ``body`` is only the beginning."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    size: int
    digest: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Answer(NamedTuple):
    body: bytes | Json
    status: int = 200
    content_type: str = "application/json"


class Keeper:
    """``refusals`` are answered, one for each request that comes, before anything is done."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.refusals: list[Answer] = []
        self.objects: dict[str, Json] = {}
        self.contents: dict[str, bytes] = {}
        self.items: dict[str, list[Json]] = {}
        self._numbers = itertools.count(1)

    def __enter__(self) -> "Keeper":
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.keeper = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def paths(self) -> list[str]:
        """``METHOD /path`` of every request but those for models."""
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    @property
    def last(self) -> Asked:
        return self.asked[-1]

    def forget(self) -> None:
        self.asked = []

    # --- answering ---

    def answer(self, asked: Asked) -> Answer:
        if self.refusals:
            return self.refusals.pop(0)
        kind, _, rest = asked.path.removeprefix("/v1/").partition("/")
        object_id, _, more = rest.partition("/")
        known = {"responses": self._responses, "conversations": self._conversations}
        known |= {"files": self._files, "batches": self._batches}
        if kind not in known:
            return _missing(asked.path)
        if object_id and object_id not in self.objects:
            return _missing(object_id)
        return known[kind](asked, object_id, more)

    def _add(self, prefix: str, kind: str, **members: Any) -> Json:
        name = f"{prefix}{next(self._numbers):04d}"
        self.objects[name] = {"id": name, "object": kind, "created_at": _CREATED, **members}
        return self.objects[name]

    def _drop(self, object_id: str, kind: str) -> Answer:
        del self.objects[object_id]
        return Answer({"id": object_id, "object": kind, "deleted": True})

    def _responses(self, asked: Asked, object_id: str, more: str) -> Answer:
        if asked.method == "DELETE":
            return self._drop(object_id, "response")
        if more == "input_items":
            listed = self.items[object_id]
            return Answer({"object": "list", "data": listed, "first_id": None, "last_id": None, "has_more": False})
        if object_id:
            found = self.objects[object_id]
            if more == "cancel":
                found["status"] = "cancelled"
            if "stream=true" in asked.query:
                return Answer(_stream(found), content_type="text/event-stream")
            return Answer(found)
        body = asked.json
        given = body.get("input", [])
        said = f"native answer {next(self._numbers)}"
        content = [{"type": "output_text", "text": said, "annotations": []}]
        item = {"id": f"msg_n{next(self._numbers)}", "type": "message", "role": "assistant", "content": content}
        made = self._add(
            "resp_n",
            "response",
            status="queued" if body.get("background") else "completed",
            model=body["model"],
            output=[{**item, "status": "completed"}],
            previous_response_id=body.get("previous_response_id"),
            usage={"input_tokens": 20, "output_tokens": 15, "total_tokens": 35},
        )
        self.items[made["id"]] = given if isinstance(given, list) else [{"role": "user", "content": given}]
        if body.get("store") is False:
            del self.objects[made["id"]]
        return Answer(_stream(made), content_type="text/event-stream") if body.get("stream") else Answer(made)

    def _conversations(self, asked: Asked, object_id: str, more: str) -> Answer:
        body = asked.json if asked.body else {}
        if not object_id:
            made = self._add("conv_n", "conversation", metadata=body.get("metadata") or {})
            self.items[made["id"]] = body.get("items") or []
            return Answer(made)
        if more.startswith("items/") and asked.method == "GET":
            return Answer({"id": more.removeprefix("items/"), "type": "message"})
        if more == "items":
            if asked.method == "POST":
                self.items[object_id] += body["items"]
            listed = self.items[object_id]
            return Answer({"object": "list", "data": listed, "first_id": None, "last_id": None, "has_more": False})
        if asked.method == "DELETE" and not more:
            return self._drop(object_id, "conversation.deleted")
        self.objects[object_id] |= body
        return Answer(self.objects[object_id])

    def _files(self, asked: Asked, object_id: str, more: str) -> Answer:
        if not object_id:
            found = re.search(rb'name="purpose"\r\n\r\n(.*?)\r\n', asked.body, re.DOTALL)
            purpose = found[1].decode() if found else "user_data"
            return Answer(self._add("file-n", "file", bytes=asked.size, filename="data.jsonl", purpose=purpose))
        if asked.method == "DELETE":
            return self._drop(object_id, "file")
        if more == "content":
            content = self.contents.get(object_id, b"the content")
            return Answer(content, content_type="application/octet-stream")
        return Answer(self.objects[object_id])

    def _batches(self, asked: Asked, object_id: str, more: str) -> Answer:
        if not object_id:
            order = asked.json
            if order["input_file_id"] not in self.objects:
                return _missing(order["input_file_id"])
            fields = {"output_file_id": None, "error_file_id": None, "status": "validating"}
            return Answer(self._add("batch_n", "batch", **order, **fields))
        if more == "cancel":
            self.objects[object_id]["status"] = "cancelling"
        return Answer(self.objects[object_id])


def _missing(name: str) -> Answer:
    return Answer({"error": {"message": f"No such object: {name}", "type": "invalid_request_error", "code": None}}, 404)


def _stream(response: Json) -> bytes:
    created = {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}}
    text = response["output"][0]["content"][0]["text"]
    delta = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text}
    done = {"type": "response.completed", "response": response}
    events = (created, delta, done)
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    keeper: Keeper


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        if path.endswith("/models"):
            self._send(Answer({"object": "list", "data": []}))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        digest, kept, size = hashlib.sha256(), bytearray(), 0
        for piece in self._pieces():
            if not piece:
                self.close_connection = True  # the request has broken off
                return
            digest.update(piece)
            size += len(piece)
            kept += piece[: _KEPT_BYTES - len(kept)]
        asked = Asked(self.command, path, query, headers, bytes(kept), size, digest.hexdigest())
        keeper = self.server.keeper
        keeper.asked.append(asked)
        self._send(keeper.answer(asked))

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = do_HEAD = do_OPTIONS = _serve  # noqa: N815 - the library's names

    def _pieces(self) -> Iterator[bytes]:
        """The body; an empty piece when it breaks off."""
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            left = int(self.headers.get("content-length", 0))
            while left:
                piece = self.rfile.read(min(left, 1 << 16))
                left -= len(piece)
                yield piece
            return
        while length := int(self.rfile.readline().strip() or b"-1", 16):
            yield self.rfile.read(length) if length > 0 else b""
            self.rfile.readline()
        self.rfile.readline()

    def _send(self, answer: Answer) -> None:
        data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        with contextlib.suppress(ConnectionError):
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("X-Request-ID", "req_native")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...
