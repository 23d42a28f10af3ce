"""``item_reference``: items of the gateway's own responses, named by their ids in place of being sent again."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.objects.contract import StoredObject
from gateway.resources import responses
from tests.kit import messages_api
from tests.kit.gateway import Gateway
from tests.kit.keeper import Keeper
from tests.kit.kept import CLAUDE, NATIVE, SIM, ask, claude_says, config, get, ok, respond, running, text_of
from tests.kit.upstream import ScriptedUpstream, config_for, reply

Json = dict[str, Any]
THOUGHT: Json = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
SAID: Json = {"type": "text", "text": "Let me look."}
CALL: Json = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "it"}}
TOOL: Json = {"type": "function", "name": "look", "parameters": {"type": "object"}}
FOUND: Json = {"type": "function_call_output", "call_id": "toolu_1", "output": "sun"}


@pytest.fixture(scope="module")
def keeper() -> Iterator[Keeper]:
    with Keeper() as keeper:
        yield keeper


@pytest.fixture(autouse=True)
def fresh(keeper: Keeper, upstream: ScriptedUpstream) -> None:
    keeper.forget()
    upstream.answer()


@pytest.fixture(scope="module")
def gateway(keeper: Keeper, upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(config(keeper, upstream), tmp_path_factory.mktemp("kept")) as gateway:
        yield gateway


def called(gateway: Gateway, upstream: ScriptedUpstream, **members: Any) -> Any:
    """A response that the gateway keeps, of a thought, words and a call."""
    upstream.answer(reply(messages_api.answer(THOUGHT, SAID, CALL, stop_reason="tool_use")))
    found = respond(gateway, CLAUDE, "Look.", tools=[TOOL], **members)
    assert [item["type"] for item in found["output"]] == ["reasoning", "message", "function_call"]
    return found


def reference(item: Any) -> Json:
    return {"type": "item_reference", "id": item["id"] if isinstance(item, dict) else item}


def refused(gateway: Gateway, model: str, *items: Json) -> Any:
    answer = ask(gateway, "POST", "/v1/responses", {"model": model, "input": [*items]})
    assert answer.status == 400
    return answer.error


@pytest.mark.parametrize("store", [None, False])
@pytest.mark.parametrize("places", [(0, 1, 2), (0, 1), (0,), (2,)])
def test_what_is_named_goes_to_the_provider(
    gateway: Gateway, upstream: ScriptedUpstream, places: tuple[int, ...], store: bool | None
) -> None:
    output = called(gateway, upstream)["output"]
    upstream.answer(claude_says("It is sunny."))
    items = [reference(item) if place in places else item for place, item in enumerate(output)]
    second = respond(gateway, CLAUDE, [{"role": "user", "content": "Look."}, *items, FOUND], tools=[TOOL], store=store)
    assert text_of(second) == "It is sunny."
    user, model, result = upstream.request.json()["messages"]
    assert user["role"] == result["role"] == "user"
    assert model["content"] == [THOUGHT, SAID, CALL]
    # an item that the client had no need to send is kept with the answer, so that this can be gone on from
    if store is None:
        upstream.answer(claude_says("Bye."))
        respond(gateway, CLAUDE, "Bye.", previous_response_id=second["id"])
        assert upstream.request.json()["messages"][1]["content"] == [THOUGHT, SAID, CALL]


def test_an_item_of_an_earlier_input_is_named_as_it_is_listed(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    first = called(gateway, upstream)
    [asked] = ok(get(gateway, f"/v1/responses/{first['id']}/input_items"))["data"]
    upstream.answer(claude_says("again"))
    respond(gateway, CLAUDE, [reference(asked), *map(reference, first["output"][:2]), {"role": "user", "content": "?"}])
    messages = upstream.request.json()["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert "Look." in json.dumps(messages[0])


def test_a_conversation_of_references_needs_its_latest_response_alone(
    gateway: Gateway, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []
    whole = responses._read_kept
    monkeypatch.setattr(responses, "_read_kept", lambda body: read.append(body) or whole(body))
    items: list[Json] = []
    for turn in range(4):
        upstream.answer(claude_says(f"answer {turn}"))
        items.append({"role": "user", "content": f"question {turn}"})
        items += map(reference, respond(gateway, CLAUDE, items)["output"])
        assert len(upstream.request.json()["messages"]) == 2 * turn + 1
        assert len(read) == turn


def test_a_reference_may_stand_beside_an_earlier_response(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    first = called(gateway, upstream)
    upstream.answer(claude_says("other"))
    other = respond(gateway, CLAUDE, "Something else.")
    upstream.answer(claude_says("ok"))
    items = [reference(first["output"][1]), {"role": "user", "content": "?"}]
    respond(gateway, CLAUDE, items, previous_response_id=other["id"])
    contents = [json.dumps(message["content"]) for message in upstream.request.json()["messages"]]
    assert [SAID["text"] in content for content in contents] == [False, True, False]
    assert "other" in contents[1]


def test_tokens_are_counted_with_what_is_named(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    output = called(gateway, upstream)["output"]
    upstream.answer(reply(b'{"input_tokens":7}'))
    asked = {"model": CLAUDE, "input": [reference(output[1]), {"role": "user", "content": "?"}]}
    assert ok(ask(gateway, "POST", "/v1/responses/input_tokens", asked))["input_tokens"] == 7
    assert SAID["text"] in upstream.request.body.decode()


@pytest.mark.parametrize("model", [CLAUDE, SIM])
@pytest.mark.parametrize(
    "name", ["rs_0123", "msg_" + "a" * 24 + "_0", "msg_" + "a" * 24 + "_in0", "", "x" * 5000, "\u00e9"]
)
def test_an_unknown_item_is_refused_by_its_place(
    gateway: Gateway, upstream: ScriptedUpstream, name: str, model: str
) -> None:
    error = refused(gateway, model, {"role": "user", "content": "?"}, reference(name))
    assert error["param"] == "input[1].id"
    assert "not stored here" in error["message"]
    assert upstream.requests == []


def test_what_was_deleted_or_not_stored_is_unknown(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    deleted, unstored = called(gateway, upstream), called(gateway, upstream, store=False)
    ok(ask(gateway, "DELETE", f"/v1/responses/{deleted['id']}"))
    for found in (deleted, unstored):
        assert refused(gateway, CLAUDE, reference(found["output"][1]))["param"] == "input[0].id"


def test_a_strangers_item_is_unknown(gateway: Gateway) -> None:
    for owner, status, word in (("stranger", 400, "b" * 24), ("master", 200, "c" * 24)):
        item = {"type": "message", "id": f"msg_{word}_0", "role": "assistant", "content": "secret"}
        body = json.dumps({"response": {"id": f"resp_{word}", "output": [item]}, "input": [item]}).encode()
        stored = StoredObject(id=f"resp_{word}", kind="response", owner=owner, created_at=time.time(), body=body)
        gateway.call(lambda stored=stored: gateway.app._keeping._store.put_soon(stored))
        asked = {"model": SIM, "input": [reference(item), {"role": "user", "content": "?"}]}
        assert ask(gateway, "POST", "/v1/responses", asked).status == status


def test_what_is_named_is_bounded(
    gateway: Gateway, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = called(gateway, upstream), called(gateway, upstream)
    upstream.answer(claude_says("ok"))
    question = {"role": "user", "content": "?"}
    monkeypatch.setattr(responses, "MAX_RESPONSE_CHAIN", 1)
    assert refused(gateway, CLAUDE, *(reference(found["output"][1]) for found in (first, second)))["param"] == "input"
    respond(gateway, CLAUDE, [*map(reference, first["output"][:2]), question])
    monkeypatch.setattr(responses, "MAX_RESUMED_BYTES", 2000)
    assert refused(gateway, CLAUDE, *[reference(first["output"][1])] * 20, question)["param"] == "input"


# --- a provider that keeps its own ------------------------------------------------------------------------------------


def test_a_provider_is_sent_the_gateways_items_and_the_names_of_its_own(
    gateway: Gateway, keeper: Keeper, upstream: ScriptedUpstream
) -> None:
    message = called(gateway, upstream)["output"][1]
    own = reference("msg_of_the_provider")
    respond(gateway, NATIVE, [reference(message), own, {"role": "user", "content": "?"}], store=False, future=[1.0])
    sent = keeper.last.json
    assert sent["input"] == [message, own, {"role": "user", "content": "?"}]
    assert (sent["store"], sent["future"]) == (False, [1.0])


def test_names_of_a_providers_own_items_change_no_byte(gateway: Gateway, keeper: Keeper) -> None:
    body = f'{{ "input":[ {{"id":"rs_1","type" :"item_reference"}}],\n"model":"{NATIVE}"}}'.encode()
    ok(ask(gateway, "POST", "/v1/responses", body))
    assert keeper.last.body == body


def test_names_are_asked_of_the_account_that_knows_them(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    keys = {"api_key": "sk-key-1", "api_keys": ["sk-key-2", "sk-key-3"]}
    with running(config_for(upstream, openai={"models": [NATIVE], **keys}), tmp_path) as gateway:
        upstream.answer(reply(b'{"id":"resp_1","object":"response","status":"completed","output":[]}'))
        for _ in range(3):
            respond(gateway, NATIVE, [reference("rs_1")], store=False)
    assert {request.header("authorization") for request in upstream.requests} == {"Bearer sk-key-1"}
