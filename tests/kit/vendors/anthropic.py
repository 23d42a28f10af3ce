"""Anthropic's Messages API, with the rules that its clients and gateways trip over.

Source: platform.claude.com/docs, API reference and "Extended thinking" (2026-11).
"""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.kit.vendors.mind import Question, Said, Tool, heard, pieces
from tests.kit.vendors.server import Asked, Json, Refusal, Reply, Vendor, require, require_known
from tests.kit.vendors.words import event, names

_FIELDS = names(
    "model messages max_tokens system tools tool_choice stream thinking temperature top_p top_k stop_sequences "
    "metadata output_config context_management service_tier cache_control container mcp_servers inference_geo speed "
    "output_format"
)
_COUNTED = names("model messages system tools tool_choice thinking output_config context_management")
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_USAGE = {
    "input_tokens": 20,
    "cache_creation_input_tokens": 2,
    "cache_read_input_tokens": 5,
    "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 0},
    "output_tokens": 15,
    "output_tokens_details": {"thinking_tokens": 7},
    "service_tier": "standard",
    "inference_geo": "global",
    "server_tool_use": None,
}
MODELS = ("claude-sonnet-4-5", "claude-opus-5")


def sign(thought: str) -> str:
    """The signature that belongs to a thought. Base64 with its special characters, as the real ones have."""
    return "EqQBCkYIBxgC+/" + hashlib.sha256(thought.encode()).hexdigest() + "=="


class AnthropicVendor(Vendor):
    """``omits_thoughts`` plays a model that signs its thoughts and keeps their text to itself."""

    omits_thoughts = False
    # what a thread keeps of a request, by the id of its answer
    _threads: dict[str, Json]

    def __enter__(self) -> "AnthropicVendor":
        super().__enter__()
        self._numbers = itertools.count(1)
        self._threads = {}
        return self

    def answer(self, asked: Asked) -> Reply:
        require("anthropic-version" in asked.headers, "anthropic-version: header is required")
        require("x-api-key" in asked.headers or "authorization" in asked.headers, "no credentials")
        if asked.method == "GET":
            return Reply(_models())
        if asked.path.endswith("/count_tokens"):
            require_known(asked.body, _COUNTED)
            _check_turns(asked.body["messages"])
            return Reply({"input_tokens": 42})
        if "thread" in asked.body:
            require("message-threads" in asked.headers.get("anthropic-beta", ""), "thread: needs its beta header")
            return self._continue(asked.body)
        return self._message(asked.body)

    def refuse(self, refusal: Refusal) -> Reply:
        error = {"type": "invalid_request_error", "message": str(refusal)}
        return Reply({"type": "error", "error": error, "request_id": "req_v"}, refusal.status)

    def _continue(self, body: Json) -> Reply:
        """A thread: later turns bring only what is new."""
        thread = body["thread"]
        before = {} if thread["type"] == "create" else self._threads[thread["previous_message_id"]]
        messages = [*before.get("messages", ()), *body["messages"]]
        whole = {**before, **{name: value for name, value in body.items() if name != "thread"}, "messages": messages}
        answer = self._made(whole)
        said = {"role": "assistant", "content": answer["content"]}
        self._threads[answer["id"]] = {**whole, "messages": [*messages, said]}
        return Reply(list(_stream(answer)) if body.get("stream") else answer)

    def _message(self, body: Json) -> Reply:
        answer = self._made(body)
        return Reply(list(_stream(answer)) if body.get("stream") else answer)

    def _made(self, body: Json) -> Json:
        _check(body)
        said = self.hear(_question(body))
        return {
            "id": f"msg_{next(self._numbers):04d}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [*self._content(said)],
            "stop_reason": "tool_use" if said.calls else "end_turn",
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
            "usage": _USAGE,
        }

    def _content(self, said: Said) -> Iterator[Json]:
        if said.thought:
            shown = "" if self.omits_thoughts else said.thought
            yield {"type": "thinking", "thinking": shown, "signature": sign(shown)}
        if said.text:
            yield {"type": "text", "text": said.text, "citations": None}
        for call in said.calls:
            id = f"toolu_{next(self._numbers):04d}"
            caller = {"type": "direct"}
            yield {"type": "tool_use", "id": id, "name": call.tool.name, "input": call.arguments, "caller": caller}


def _models() -> Json:
    listed = [
        {"type": "model", "id": name, "display_name": name.title(), "created_at": "2026-01-01T00:00:00Z"}
        for name in MODELS
    ]
    return {"data": listed, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}


# --- streams ----------------------------------------------------------------------------------------------------------

_EMPTIED: dict[str, Json] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
}


def _stream(message: Json) -> Iterator[bytes]:
    usage = {**_USAGE, "output_tokens": 1}
    yield event("message_start", message={**message, "content": [], "stop_reason": None, "usage": usage})
    yield event("ping")
    for index, block in enumerate(message["content"]):
        yield event("content_block_start", index=index, content_block={**block, **_EMPTIED[block["type"]]})
        for delta in _deltas(block):
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    delta = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details", "container")}
    yield event("message_delta", delta=delta, usage={"output_tokens": _USAGE["output_tokens"]})
    yield event("message_stop")


def _deltas(block: Json) -> Iterator[Json]:
    if block["type"] == "text":
        yield from ({"type": "text_delta", "text": piece} for piece in pieces(block["text"]))
    elif block["type"] == "thinking":
        yield from ({"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"]))
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        yield {"type": "input_json_delta", "partial_json": ""}
        text = json.dumps(block["input"], ensure_ascii=False)
        yield from ({"type": "input_json_delta", "partial_json": piece} for piece in pieces(text))


# --- what is asked ----------------------------------------------------------------------------------------------------


def _blocks(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text(content: Any) -> str:
    return "\n".join(block["text"] for block in _blocks(content) if block["type"] == "text")


def _question(body: Json) -> Question:
    text, results = "", []
    for message in body["messages"]:
        blocks = _blocks(message["content"])
        told = [_text(block.get("content", "")) for block in blocks if block["type"] == "tool_result"]
        if told:
            results += told
        elif message["role"] == "user" and heard(_text(blocks)):
            text, results = heard(_text(blocks)), []
    choice = body.get("tool_choice", {"type": "auto"})
    kind = f"={choice['name']}" if choice["type"] == "tool" else choice["type"]
    return Question(
        text=text,
        results=tuple(results),
        tools=tuple(Tool(t["name"], t["input_schema"]) for t in body.get("tools", ()) if "input_schema" in t),
        choice=kind,
        is_parallel=not choice.get("disable_parallel_tool_use", False),
        schema=(body.get("output_config", {}).get("format") or body.get("output_format") or {}).get("schema"),
        thinks=_thinks(body),
        proofs=tuple(b["signature"] for m in body["messages"] for b in _blocks(m["content"]) if "signature" in b),
    )


def _thinks(body: Json) -> bool:
    return body.get("thinking", {}).get("type", "disabled") != "disabled"


# --- rules ------------------------------------------------------------------------------------------------------------


def _check(body: Json) -> None:
    require_known(body, _FIELDS)
    for name in ("model", "messages", "max_tokens"):
        require(name in body, f"{name}: Field required")
    for tool in body.get("tools", ()):
        require(_TOOL_NAME.fullmatch(tool["name"]), f"tools: bad name {tool['name']!r}")
        require("input_schema" not in tool or tool["input_schema"].get("type") == "object", "input_schema.type: object")
    thinking = body.get("thinking", {})
    if thinking.get("type") == "enabled":
        require(1024 <= thinking["budget_tokens"] < body["max_tokens"], "thinking.budget_tokens must be < max_tokens")
    if _thinks(body):
        is_forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
        require(not is_forced, "Thinking may not be enabled when tool_choice forces tool use.")
        require(body.get("temperature", 1) == 1, "temperature may only be 1 with thinking")
    _check_turns(body["messages"])
    if thinking.get("type") == "enabled":
        _check_thought(body["messages"])


def _check_turns(messages: list[Json]) -> None:
    """Each call is answered in the very next message, results first; signatures come back as they were given."""
    open_calls: set[str] = set()
    for number, message in enumerate(messages):
        blocks = _blocks(message["content"])
        require(blocks, f"messages.{number}: content is empty")
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if open_calls:
            require(set(results) == open_calls, f"messages.{number}: tool_use ids without tool_result: {open_calls}")
            first = [block["type"] == "tool_result" for block in blocks[: len(results)]]
            require(all(first), f"messages.{number}: tool_result blocks must come first")
        else:
            require(not results, f"messages.{number}: unexpected tool_use_id {results}")
        open_calls = {block["id"] for block in blocks if block["type"] == "tool_use"}
        require(all(map(_ID.fullmatch, open_calls)), f"messages.{number}: bad id in {open_calls}")
        for block in blocks:
            require(block["type"] != "text" or block["text"].strip(), f"messages.{number}: text must be non-empty")
            if block["type"] == "thinking":
                is_own = block["signature"] == sign(block["thinking"])
                require(is_own, f"messages.{number}: Invalid `signature` in `thinking` block")
    require(not open_calls, f"tool_use ids without tool_result: {open_calls}")


def _check_thought(messages: list[Json]) -> None:
    """With thinking by budget, an assistant turn whose tools are being answered begins with its thought."""
    answers = [n for n, message in enumerate(messages) if message["role"] == "assistant"]
    last_question = max(
        n
        for n, message in enumerate(messages)
        if message["role"] == "user" and not any(b["type"] == "tool_result" for b in _blocks(message["content"]))
    )
    for number in answers:
        if number > last_question:
            first = _blocks(messages[number]["content"])[0]["type"]
            is_thought = first in ("thinking", "redacted_thinking")
            require(is_thought, f"messages.{number}: Expected `thinking`, but found `{first}`")
