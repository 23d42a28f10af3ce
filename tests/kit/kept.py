"""What tests of kept objects share: a gateway in front of one provider that keeps things and two that do not, and short
ways to ask it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kit import messages_api
from tests.kit.gateway import Gateway, Process, Response, request
from tests.kit.keeper import Keeper
from tests.kit.upstream import KEY, Answer, ScriptedUpstream, reply, stream

MASTER = "master-key-0123456789"
NATIVE, CLAUDE, SIM = "gpt-native", "claude-test", "sim-small"
BOUNDARY = "form-boundary-01"


def config(keeper: Keeper | None = None, scripted: ScriptedUpstream | None = None, **settings: Any) -> str:
    """``keeper`` is the instance ``native``, ``scripted`` is ``claude``; the simulator is there too, as ``sim``."""
    providers: dict[str, Any] = {}
    once = {"api_key": KEY, "retry": {"attempts": 1}}
    if keeper is not None:
        providers["native"] = {**once, "type": "openai", "base_url": keeper.base_url, "models": [NATIVE]}
    if scripted is not None:
        providers["claude"] = {**once, "type": "anthropic", "base_url": scripted.base_url, "models": [CLAUDE]}
    providers["sim"] = {"type": "simulator"}
    return json.dumps({"providers": providers, **settings})


@contextmanager
def running(text: str, folder: Path, **environ: str) -> Iterator[Gateway]:
    """A gateway that keeps its objects in ``folder``."""
    storage = {"SLUICE_STORAGE__PATH": str(folder / "kept" / "sluice.db"), "SLUICE_MASTER_KEY": MASTER}
    with Gateway(text, **{**storage, **environ}) as gateway:
        yield gateway


@contextmanager
def running_apart(text: str, folder: Path, *arguments: str, **environ: str) -> Iterator[Process]:
    """The same as a process of its own."""
    (folder / "sluice.yaml").write_text(text)
    storage = {"SLUICE_STORAGE__PATH": str(folder / "kept" / "sluice.db"), "SLUICE_MASTER_KEY": MASTER}
    with Process("--config", str(folder / "sluice.yaml"), *arguments, **{**storage, **environ}) as process:
        yield process


def ask(gateway: Gateway | Process, method: str, path: str, body: Any = None, **headers: str) -> Response:
    """``body`` is sent as JSON, or as it is when it is bytes. Underscores in header names are dashes."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return gateway.ask(request(method, path, data, **{"Authorization": f"Bearer {MASTER}", **headers}))


def get(gateway: Gateway | Process, path: str, **headers: str) -> Response:
    return ask(gateway, "GET", path, **headers)


def ok(response: Response) -> Any:
    assert response.status == 200, response.body
    return response.json


def respond(gateway: Gateway | Process, model: str, text: Any, **members: Any) -> Any:
    """A response object; of a streamed one the last event's."""
    answer = ask(gateway, "POST", "/v1/responses", {"model": model, "input": text, **members})
    if members.get("stream") and answer.status == 200:
        assert answer.is_complete
        last = [line for line in answer.body.decode().splitlines() if line.startswith("data: ")][-1]
        event = json.loads(last.removeprefix("data: "))
        assert event["type"] == "response.completed", event
        return event["response"]
    return ok(answer)


def claude_says(text: str, *, is_stream: bool = False) -> Answer:
    if is_stream:
        return stream(messages_api.start() + messages_api.text(0, text) + messages_api.end())
    return reply(messages_api.answer({"type": "text", "text": text}))


def text_of(response: Any) -> str:
    """The text of a response object's answer."""
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part["text"] for part in parts)


def form(*fields: tuple[str, str | bytes], file: bytes | None = b"{}\n", filename: str = "data.jsonl") -> bytes:
    """A form with these fields and, last, a file."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        + (value if isinstance(value, bytes) else value.encode())
        + b"\r\n"
        for name, value in fields
    ]
    if file is not None:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        parts.append(head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + file + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def upload(gateway: Gateway | Process, content: bytes, purpose: str = "batch", query: str = "") -> Response:
    return post_form(gateway, f"/v1/files{query}", form(("purpose", purpose), file=content))


def post_form(gateway: Gateway | Process, path: str, body: bytes, **headers: str) -> Response:
    return ask(gateway, "POST", path, body, Content_Type=f"multipart/form-data; boundary={BOUNDARY}", **headers)
