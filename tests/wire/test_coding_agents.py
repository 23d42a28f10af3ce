"""Requests as Claude Code and Codex send them, through a whole gateway to a vendor of each language: they are taken,
tools are called, and the turn after it works, with thoughts and names as the agent had them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import coding_agents
from tests.kit.coding_agents import CLAUDE_CODE_HEADERS, CODEX_HEADERS, claude_code, codex
from tests.kit.gateway import Gateway, request
from tests.kit.vendors.anthropic import AnthropicVendor, sign
from tests.kit.vendors.gemini import GeminiVendor
from tests.kit.vendors.mind import PATCH
from tests.kit.vendors.openai import OpenAIVendor
from tests.kit.vendors.server import Vendor

Json = dict[str, Any]

MASTER = "master-key-0123456789"
MODELS = {"openai": "gpt-5.5", "anthropic": "claude-opus-5", "gemini": "gemini-3-pro", "openrouter": "gpt-4o"}
WROTE = "Voilà: 1 line"


class House:
    """A gateway in front of all vendors, one of which is asked."""

    def __init__(self, gateway: Gateway, vendors: dict[str, Vendor], name: str) -> None:
        self._gateway = gateway
        self.name = name
        self.vendor = vendors[name]
        self.model = f"{name}/{MODELS[name]}"

    def ask(self, path: str, body: Json, headers: dict[str, str]) -> list[Json]:
        """The events of the answer, which must be a whole stream."""
        lines = {**headers, "Authorization": f"Bearer {MASTER}"}
        response = self._gateway.ask(request("POST", path, json.dumps(body).encode(), **lines))
        assert response.status == 200, response.body
        assert response.is_complete
        lines_of_data = [line for line in response.body.decode().split("\n") if line.startswith("data: ")]
        return [json.loads(line.removeprefix("data: ")) for line in lines_of_data]

    def count(self, body: Json) -> int:
        lines = {**CLAUDE_CODE_HEADERS, "Authorization": f"Bearer {MASTER}"}
        data = json.dumps(body).encode()
        response = self._gateway.ask(request("POST", "/v1/messages/count_tokens?beta=true", data, **lines))
        assert response.status == 200, response.body
        tokens: int = response.json["input_tokens"]
        return tokens


@pytest.fixture(scope="module")
def vendors() -> Iterator[dict[str, Vendor]]:
    with OpenAIVendor() as openai, AnthropicVendor() as anthropic, GeminiVendor() as gemini, OpenAIVendor() as resold:
        anthropic.omits_thoughts = True
        yield {"openai": openai, "anthropic": anthropic, "gemini": gemini, "openrouter": resold}


@pytest.fixture(scope="module")
def gateway(vendors: dict[str, Vendor], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    providers = {
        name: {"api_key": "sk-0123456789abcdef", "base_url": vendor.url + ("" if name == "gemini" else "/v1")}
        for name, vendor in vendors.items()
    }
    storage = {"path": str(tmp_path_factory.mktemp("store") / "sluice.db")}
    with Gateway(json.dumps({"providers": providers, "storage": storage}), SLUICE_MASTER_KEY=MASTER) as gateway:
        yield gateway


@pytest.fixture(params=list(MODELS))
def house(gateway: Gateway, vendors: dict[str, Vendor], request: pytest.FixtureRequest) -> Iterator[House]:
    house = House(gateway, vendors, request.param)
    house.vendor.forget()
    yield house
    assert house.vendor.refusals == []


# --- Claude Code ------------------------------------------------------------------------------------------------------


def test_claude_code_reads_a_file(house: House) -> None:
    body = claude_code(house.model)
    content, ending = coding_agents.read_message(house.ask("/v1/messages?beta=true", body, CLAUDE_CODE_HEADERS))
    (call,) = [block for block in content if block["type"] == "tool_use"]
    assert (call["name"], call["input"]) == ("Read", {"file_path": "a file_path"})
    assert ending["delta"]["stop_reason"] == "tool_use"
    assert {tool.name for tool in house.vendor.question.tools} >= {"Agent", "Bash", "Edit", "Read", "Write"}

    body["messages"] += coding_agents.claude_code_results(content, WROTE)
    content, ending = coding_agents.read_message(house.ask("/v1/messages?beta=true", body, CLAUDE_CODE_HEADERS))
    assert [block["text"] for block in content if block["type"] == "text"] == [f"The tools said: {WROTE}"]
    assert ending["delta"]["stop_reason"] == "end_turn"
    assert ending["usage"]["output_tokens"] > 0
    assert house.vendor.question.results == (WROTE,)
    assert len(house.vendor.question.proofs) == (0 if house.name == "openrouter" else 1)


def test_claude_code_reaches_its_own_vendor_unchanged(house: House) -> None:
    if house.name != "anthropic":
        pytest.skip("only where the dialect is the vendor's")
    body = claude_code(house.model)
    content, _ = coding_agents.read_message(house.ask("/v1/messages?beta=true", body, CLAUDE_CODE_HEADERS))
    assert content[0] == {"type": "thinking", "thinking": "", "signature": sign("")}
    assert house.vendor.last == {**body, "model": MODELS["anthropic"]}
    (asked,) = house.vendor.asked
    for name in ("anthropic-version", "anthropic-beta"):
        assert asked.headers[name] == CLAUDE_CODE_HEADERS[name]


def test_claude_code_counts_its_context(house: House) -> None:
    body = claude_code(house.model)
    asked = {name: body[name] for name in ("model", "messages", "system", "tools")}
    assert house.count(asked) >= 42
    assert house.count({"model": house.model, "messages": [{"role": "user", "content": "foo"}]}) > 0


# --- Codex ------------------------------------------------------------------------------------------------------------


def _output(events: list[Json]) -> list[Json]:
    """The items of the last event, which are those that were streamed."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    final = events[-1]
    assert final["type"] == "response.completed"
    assert final["response"]["usage"]["total_tokens"] > 0
    output: list[Json] = final["response"]["output"]
    assert [event["item"] for event in events if event["type"] == "response.output_item.done"] == output
    return output


def test_codex_runs_tools_of_each_kind(house: House) -> None:
    body = codex(house.model, prompt="Please exec_command, apply_patch and close_agent.")
    events = house.ask("/v1/responses", body, CODEX_HEADERS)
    output = _output(events)
    calls = {item["name"]: item for item in output if item["type"].endswith("_call")}
    assert set(calls) == {"exec_command", "apply_patch", "close_agent"}
    assert json.loads(calls["exec_command"]["arguments"]) == {"cmd": "a cmd"}
    assert calls["close_agent"]["namespace"] == coding_agents.NAMESPACE
    assert (calls["apply_patch"]["type"], calls["apply_patch"]["input"]) == ("custom_tool_call", PATCH)
    typed = [event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta"]
    assert "".join(typed) == PATCH

    body["input"] += coding_agents.codex_results(output, WROTE)
    (message,) = [i for i in _output(house.ask("/v1/responses", body, CODEX_HEADERS)) if i["type"] == "message"]
    assert message["content"][0]["text"] == f"The tools said: {WROTE}; {WROTE}; {WROTE}"
    assert house.vendor.question.results == (WROTE, WROTE, WROTE)
    assert len(house.vendor.question.proofs) == (0 if house.name == "openrouter" else 1)


def test_codex_brings_its_tools_inside_the_input(house: House) -> None:
    body = codex(house.model, prompt="Please exec_command and close_agent.", has_tools_inside=True)
    output = _output(house.ask("/v1/responses", body, CODEX_HEADERS))
    calls = {item["name"]: item for item in output if item["type"] == "function_call"}
    assert {name: call["namespace"] for name, call in calls.items()} == {
        "exec_command": "functions",
        "close_agent": coding_agents.NAMESPACE,
    }
    body["input"] += coding_agents.codex_results(output, WROTE)
    _output(house.ask("/v1/responses", body, CODEX_HEADERS))
    assert house.vendor.question.results == (WROTE, WROTE)


def test_no_search_of_codex_becomes_a_live_one(house: House) -> None:
    house.ask("/v1/responses", codex(house.model, prompt="Hi"), CODEX_HEADERS)
    sent = json.dumps(house.vendor.last)
    assert "googleSearch" not in sent
    assert sent.count("web_search") == (1 if house.name == "openai" else 0)


def test_codex_answers_by_a_schema(house: House) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    body = codex(house.model, prompt="Where?")
    body["text"] = {"format": {"type": "json_schema", "name": "codex_output_schema", "strict": True, "schema": schema}}
    (message,) = [i for i in _output(house.ask("/v1/responses", body, CODEX_HEADERS)) if i["type"] == "message"]
    assert json.loads(message["content"][0]["text"]) == {"city": "a city"}


def test_codex_reaches_its_own_vendor_unchanged(house: House) -> None:
    if house.name != "openai":
        pytest.skip("only where the dialect is the vendor's")
    body = codex(house.model, prompt="Please exec_command.")
    house.ask("/v1/responses", body, CODEX_HEADERS)
    assert house.vendor.last == {**body, "model": MODELS["openai"]}
