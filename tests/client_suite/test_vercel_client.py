"""Vercel's AI SDK: its providers for OpenAI (chat and Responses), Anthropic and anything compatible with OpenAI."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.client_suite.scene import ASK, HELLO, SAID, TOLD, TRIP, WEATHER
from tests.kit.vendors.world import KEY, Route, World

HERE = Path(__file__).parent / "vercel"
PATIENCE_S = 60
NODE = shutil.which("node")
Run = Callable[..., Any]

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed; Vercel's AI SDK is not tested")


def _run(world: World, **order: Any) -> Any:
    assert NODE is not None
    order = {"url": world.url, "key": KEY, "prompt": HELLO, **order}
    done = subprocess.run(
        [NODE, HERE / "client.mjs", json.dumps(order)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(params=["chat", "responses", "anthropic", "compatible"])
def run(world: World, route: Route, request: pytest.FixtureRequest) -> Run:
    return lambda **order: _run(world, **{"kind": request.param, "model": route.model, **order})


def test_generate(run: Run, route: Route) -> None:
    result = run(task="generate")
    assert result["text"] == SAID
    assert result["reason"] == "stop"
    assert result["usage"]["outputTokens"] > 0
    assert route.vendor.question.text == HELLO


def test_stream(run: Run) -> None:
    result = run(task="stream")
    assert (result["text"], result["reason"]) == (SAID, "stop")
    assert result["deltas"] > 1
    assert result["usage"]["outputTokens"] > 0


@pytest.mark.parametrize("task", ["tools", "streamedTools"])
def test_tools(run: Run, route: Route, task: str) -> None:
    result = run(task=task, prompt=ASK)
    assert (result["text"], result["steps"]) == (TOLD, 2)
    assert [question.results for question in route.vendor.questions] == [(), (WEATHER,)]


def test_object(run: Run) -> None:
    assert run(task="object") == TRIP.model_dump()


@pytest.mark.parametrize("task", ["tools", "streamedTools"])
def test_thought_in_messages(world: World, route: Route, task: str) -> None:
    options = {"providerOptions": {"anthropic": {"thinking": {"type": "enabled", "budgetTokens": 2048}}}}
    order: Any = {"kind": "anthropic", "model": route.model, "prompt": ASK, "task": task, "options": options}
    assert _run(world, **order)["text"] == TOLD
    assert len(route.vendor.question.proofs) == (0 if route.name == "openrouter" else 1)


@pytest.mark.parametrize("store", [True, False])
def test_thought_in_responses(world: World, route: Route, store: bool) -> None:
    """What it has stored before, it names by id."""
    own: Any = {"reasoningEffort": "low", "reasoningSummary": "auto", "store": store, "forceReasoning": True}
    if not store:
        own["include"] = ["reasoning.encrypted_content"]
    options = {"providerOptions": {"openai": own}}
    order: Any = {"kind": "responses", "model": route.model, "prompt": ASK, "task": "tools", "options": options}
    assert _run(world, **order)["text"] == TOLD
    assert route.vendor.question.results == (WEATHER,)
    if route.name in ("anthropic", "gemini"):
        assert len(route.vendor.question.proofs) == 1
    named = [
        item for body in route.vendor.posted for item in body.get("input", ()) if item.get("type") == "item_reference"
    ]
    assert bool(named) is (store and route.name == "openai")


def test_embeddings(world: World) -> None:
    order = {"kind": "chat", "model": "openai/text-embedding-3-small", "task": "embed"}
    assert _run(world, **order) == [[0.5, -0.25]] * 2


def test_an_error_has_its_status_and_words(world: World) -> None:
    for kind in ("chat", "responses", "anthropic", "compatible"):
        error = _run(world, kind=kind, model="no-such-model", task="error")
        assert error["status"] == 404
        assert "no-such-model" in error["message"]
