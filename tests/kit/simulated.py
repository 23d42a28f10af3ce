"""Asking the simulator without a gateway, and reading what it answers."""

import json
from typing import Any

from gateway.core.types import Capability
from providers.contract import Script
from providers.simulator import simulate

Json = dict[str, Any]

QUESTION: Json = {"role": "user", "content": "What is the capital of France?"}


def chat(**fields: Any) -> Script:
    """The script for a chat with one question, unless ``fields`` say otherwise."""
    body = {"model": "sim-small", "messages": [QUESTION], **fields}
    return simulate(Capability.CHAT, json.dumps(body).encode())


def embeddings(**fields: Any) -> Script:
    body = {"model": "sim-embed", "input": "hello world", **fields}
    return simulate(Capability.EMBEDDINGS, json.dumps(body).encode())


def sent(script: Script) -> bytes:
    return b"".join(data for _, data in script.chunks)


def answer(script: Script) -> Json:
    """The plain answer, which must be a success."""
    assert script.status == 200, sent(script)
    value: Json = json.loads(sent(script))
    return value


def error(script: Script) -> Json:
    """The error object of a refusal."""
    assert script.status >= 400
    value: Json = json.loads(sent(script))
    assert list(value) == ["error"]
    error: Json = value["error"]
    return error


def payloads(script: Script) -> list[str]:
    """The data of every server-sent event."""
    events = sent(script).decode().split("\n\n")
    assert events.pop() == ""
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    return [event.removeprefix("data: ") for event in events]


def chunks(script: Script) -> list[Json]:
    """The chunks of a stream that ends well."""
    assert script.status == 200, sent(script)
    *data, done = payloads(script)
    assert done == "[DONE]"
    return [json.loads(one) for one in data]


def streamed_text(script: Script, choice: int = 0) -> str:
    parts = [c["delta"].get("content") for chunk in chunks(script) for c in chunk["choices"] if c["index"] == choice]
    return "".join(part for part in parts if part)


def text(script: Script, choice: int = 0) -> str:
    content = answer(script)["choices"][choice]["message"]["content"]
    assert isinstance(content, str)
    return content


def tool(name: str, parameters: Json | None = None, **fields: Any) -> Json:
    function = {"name": name, **fields}
    if parameters is not None:
        function["parameters"] = parameters
    return {"type": "function", "function": function}


def calls(script: Script, choice: int = 0) -> list[tuple[str, Any]]:
    """Names and decoded arguments of the tool calls of a plain answer."""
    message = answer(script)["choices"][choice]["message"]
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in message["tool_calls"]]
