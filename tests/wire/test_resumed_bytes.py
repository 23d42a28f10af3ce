"""What a few bytes from a client may call for: what the gateway keeps is bounded before it is read."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway.objects.sqlite import SqliteStore
from gateway.resources.byte_budget import ByteBudget
from tests.kit import messages_api
from tests.kit.gateway import Gateway
from tests.kit.kept import CLAUDE, SIM, ask, claude_says, config, get, ok, respond, running
from tests.kit.upstream import Gate, ScriptedUpstream, raw, reply, stream

TOTAL = 5000


@pytest.fixture(scope="module")
def gateway(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(config(scripted=upstream), tmp_path_factory.mktemp("kept")) as gateway:
        yield gateway


@pytest.fixture
def budget(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[ByteBudget]:
    """Room for one conversation of 3,000 bytes and not for two. It must be whole in the end."""
    budget = ByteBudget(TOTAL)
    monkeypatch.setattr("gateway.resources.byte_budget.WAIT_S", 0.05)
    monkeypatch.setattr(gateway.call(lambda: gateway.app._keeping.responses), "_budget", budget)
    yield budget
    gateway.wait_until(lambda: budget._left == TOTAL)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was called that brings bodies into memory."""
    calls: list[str] = []
    for name in ("get", "chain", "list_items"):
        original = getattr(SqliteStore, name)

        def noted(*arguments: Any, _name: str = name, _original: Any = original, **options: Any) -> Any:
            calls.append(_name)
            return _original(*arguments, **options)

        monkeypatch.setattr(SqliteStore, name, noted)
    return calls


def places(gateway: Gateway, size: int = 3000) -> list[dict[str, Any]]:
    """What a request says that goes on from so many bytes: from a response, in a conversation, from an item."""
    first = respond(gateway, SIM, "x" * size)
    name = ok(ask(gateway, "POST", "/v1/conversations"))["id"]
    said = {"items": [{"role": "user", "content": "x" * size}]}
    ok(ask(gateway, "POST", f"/v1/conversations/{name}/items", said))
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    return [
        {"input": "?", "previous_response_id": first["id"]},
        {"input": "?", "conversation": name},
        {"input": [reference, {"role": "user", "content": "?"}]},
    ]


def go_on(gateway: Gateway, members: dict[str, Any], model: str = CLAUDE, **more: Any) -> Any:
    return ask(gateway, "POST", "/v1/responses", {"model": model, "store": False, **members, **more})


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_too_large_is_not_even_read(
    gateway: Gateway, budget: ByteBudget, reads: list[str], monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    members = places(gateway)[place]
    monkeypatch.setattr("gateway.resources.responses.MAX_RESUMED_BYTES", 1000)
    reads.clear()
    answer = go_on(gateway, members, SIM)
    assert (answer.status, "1000 bytes" in answer.error["message"]) == (400, True)
    assert reads == []


@pytest.mark.parametrize("place", [0, 1, 2])
def test_who_comes_when_there_is_no_room_is_told_to_come_again(
    gateway: Gateway, upstream: ScriptedUpstream, budget: ByteBudget, reads: list[str], place: int
) -> None:
    members = places(gateway)[place]
    gate = Gate()
    upstream.answer(raw(gate, *claude_says("first").pieces), claude_says("second"))
    with ThreadPoolExecutor() as pool:
        first = pool.submit(go_on, gateway, members)
        gate.wait_reached()
        reads.clear()
        refused = go_on(gateway, members)
        assert (refused.status, refused.error["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"]
        assert reads == []
        assert go_on(gateway, {"input": "what builds on nothing needs no room"}).status == 200
        gate.open()
        assert first.result().status == 200
    assert go_on(gateway, members).status == 200


def test_who_waits_a_moment_is_served(
    gateway: Gateway, upstream: ScriptedUpstream, budget: ByteBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.resources.byte_budget.WAIT_S", 20.0)
    members = places(gateway)[0]
    upstream.answer(claude_says("an answer"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: go_on(gateway, members).status, range(8)))
    assert answers == [200] * 8


def test_a_stream_keeps_no_room_once_it_runs(gateway: Gateway, upstream: ScriptedUpstream, budget: ByteBudget) -> None:
    members = places(gateway)[0]
    gate = Gate()
    events = messages_api.start() + messages_api.text(0, "an answer")
    upstream.answer(stream(events, gate, messages_api.end()), claude_says("second"))
    with ThreadPoolExecutor() as pool:
        first = pool.submit(go_on, gateway, members, stream=True)
        gate.wait_reached()
        gateway.wait_until(lambda: budget._left == TOTAL)
        assert go_on(gateway, members).status == 200
        gate.open()
        assert first.result().status == 200


@pytest.mark.parametrize("fault", [{"tools": 1}, {"model": "nobody"}, {"max_output_tokens": "x"}, {"background": True}])
def test_a_request_that_is_refused_gives_its_room_back(gateway: Gateway, budget: ByteBudget, fault: Any) -> None:
    for members in places(gateway):
        assert go_on(gateway, {**members, **fault}).status in (400, 404)


def test_counting_tokens_gives_its_room_back(gateway: Gateway, upstream: ScriptedUpstream, budget: ByteBudget) -> None:
    upstream.answer(reply({"input_tokens": 7}))
    for members in places(gateway)[:2]:
        for _ in range(3):
            answer = ask(gateway, "POST", "/v1/responses/input_tokens", {"model": CLAUDE, **members})
            assert ok(answer)["input_tokens"] == 7
    assert len(upstream.requests) == 6


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_put_together_is_no_more_than_one_request_may_be(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    many = [{"role": "user", "content": "x"} for _ in range(20)]
    first = respond(gateway, SIM, many)
    name = ok(ask(gateway, "POST", "/v1/conversations", {"items": many}))["id"]
    listed = ok(get(gateway, f"/v1/responses/{first['id']}/input_items?limit=100"))["data"]
    references = [{"type": "item_reference", "id": item["id"]} for item in listed]
    members = [
        {"input": many, "previous_response_id": first["id"]},
        {"input": many, "conversation": name},
        {"input": [*references, *many]},
    ][place]
    assert go_on(gateway, members, SIM).status == 200
    monkeypatch.setattr("gateway.core.jsonguard._COUNTED_FROM_BYTES", 0)
    monkeypatch.setattr("gateway.core.jsonguard.MAX_JSON_CONTAINERS", 43)
    assert go_on(gateway, {"input": many}, SIM).status == 200
    answer = go_on(gateway, members, SIM)
    assert (answer.status, "43 lists and objects" in answer.error["message"]) == (400, True)
    param = ("previous_response_id", "conversation", "input")[place]
    assert answer.error["param"] == param


@pytest.mark.parametrize("place", [0, 1])
def test_only_so_many_items_are_put_in_front(
    gateway: Gateway, budget: ByteBudget, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    many = [{"role": "user", "content": "x"} for _ in range(20)]
    first = respond(gateway, SIM, many)
    name = ok(ask(gateway, "POST", "/v1/conversations", {"items": many}))["id"]
    members = [{"previous_response_id": first["id"]}, {"conversation": name}][place]
    monkeypatch.setattr("gateway.resources.responses.MAX_MESSAGES", 19)
    answer = go_on(gateway, {"input": "?", **members}, SIM)
    assert (answer.status, "19 items" in answer.error["message"]) == (400, True)
