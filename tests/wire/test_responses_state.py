"""``previous_response_id``, and the endpoints of stored responses: the gateway's own, and those at a provider."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.objects import pending
from tests.kit import responses_api
from tests.kit.gateway import Gateway
from tests.kit.keeper import Answer, Keeper
from tests.kit.kept import (
    CLAUDE,
    MASTER,
    NATIVE,
    SIM,
    ask,
    claude_says,
    config,
    get,
    ok,
    respond,
    running,
    running_apart,
    text_of,
)
from tests.kit.upstream import ScriptedUpstream, config_for, reply


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


def own(gateway: Gateway, upstream: ScriptedUpstream, question: Any = "first question", **members: Any) -> Any:
    """A response that the gateway keeps."""
    upstream.answer(claude_says("first answer", is_stream=bool(members.get("stream"))))
    return respond(gateway, CLAUDE, question, **members)


def told(body: Any) -> list[tuple[str, str]]:
    """Role and text of each message that a Messages API was asked."""

    def text(content: Any) -> str:
        return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)

    return [(message["role"], text(message["content"])) for message in body["messages"]]


# --- going on ---------------------------------------------------------------------------------------------------------

BEFORE = [("user", "first question"), ("assistant", "first answer")]


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("goes_on_streaming", [False, True])
def test_a_translated_response_goes_on_at_its_provider(
    gateway: Gateway, upstream: ScriptedUpstream, is_stream: bool, goes_on_streaming: bool
) -> None:
    first = own(gateway, upstream, stream=is_stream)
    upstream.answer(claude_says("second answer", is_stream=goes_on_streaming))
    second = respond(gateway, CLAUDE, "and now?", previous_response_id=first["id"], stream=goes_on_streaming)
    assert told(upstream.request.json()) == [*BEFORE, ("user", "and now?")]
    assert second["previous_response_id"] == first["id"] != second["id"]
    upstream.answer(claude_says("third answer"))
    respond(gateway, CLAUDE, "once more", previous_response_id=second["id"])
    assert told(upstream.request.json()) == [
        *BEFORE,
        ("user", "and now?"),
        ("assistant", "second answer"),
        ("user", "once more"),
    ]


def test_the_instructions_of_an_earlier_response_are_not_carried_over(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    first = own(gateway, upstream, instructions="Be a pirate.")
    upstream.answer(claude_says("second answer"))
    respond(gateway, CLAUDE, "and now?", previous_response_id=first["id"])
    assert "pirate" not in upstream.request.body.decode()


def test_a_translated_response_goes_on_at_another_provider(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    first = own(gateway, upstream, "My name is Ada.")
    second = respond(gateway, SIM, "Who am I?", previous_response_id=first["id"])
    upstream.answer(claude_says("bye"))
    respond(gateway, CLAUDE, "Bye.", previous_response_id=second["id"])
    assert [role for role, _ in told(upstream.request.json())] == ["user", "assistant", "user", "assistant", "user"]
    assert told(upstream.request.json())[:3] == [
        ("user", "My name is Ada."),
        ("assistant", "first answer"),
        ("user", "Who am I?"),
    ]


def test_a_translated_response_goes_on_at_a_provider_that_keeps_its_own(
    gateway: Gateway, upstream: ScriptedUpstream, keeper: Keeper
) -> None:
    first = own(gateway, upstream)
    second = respond(gateway, NATIVE, "and now?", previous_response_id=first["id"], temperature=0.5)
    sent = keeper.last.json
    assert "previous_response_id" not in sent
    assert (sent["model"], sent["temperature"]) == (NATIVE, 0.5)
    assert [item.get("role") for item in sent["input"]] == ["user", "assistant", "user"]
    assert sent["input"][1]["content"][0]["text"] == "first answer"
    # from here on the provider has everything
    respond(gateway, NATIVE, "third", previous_response_id=second["id"])
    assert keeper.last.json["previous_response_id"] == second["id"]
    assert keeper.last.json["input"] == "third"


def test_a_native_response_goes_on_byte_for_byte(gateway: Gateway, keeper: Keeper) -> None:
    first = respond(gateway, NATIVE, "hello")
    state = f'"previous_response_id" :"{first["id"]}", "model":"{NATIVE}"'
    body = f'{{ "input":"caf\\u00e9",\n{state},"future":[1.0]}}'.encode()
    answer = ask(gateway, "POST", "/v1/responses", body)
    assert answer.json["previous_response_id"] == first["id"]
    assert keeper.last.body == body


def test_a_streamed_native_response_goes_on_too(gateway: Gateway, keeper: Keeper) -> None:
    first = respond(gateway, NATIVE, "hello", stream=True)
    assert ok(get(gateway, f"/v1/responses/{first['id']}"))["id"] == first["id"]
    respond(gateway, NATIVE, "more", previous_response_id=first["id"], stream=True)
    assert keeper.last.json["previous_response_id"] == first["id"]


def test_a_native_id_that_was_not_made_here_is_the_providers_to_judge(gateway: Gateway, keeper: Keeper) -> None:
    respond(gateway, NATIVE, "more", previous_response_id="resp_elsewhere")
    assert keeper.last.json["previous_response_id"] == "resp_elsewhere"


@pytest.mark.parametrize("name", ["resp_unknown", "", "../x", "resp 1", "\u00e9", "x" * 5000])
def test_an_unknown_response_cannot_be_continued_elsewhere(
    gateway: Gateway, upstream: ScriptedUpstream, name: str
) -> None:
    answer = ask(gateway, "POST", "/v1/responses", {"model": CLAUDE, "input": "x", "previous_response_id": name})
    assert answer.status == 400
    assert answer.error["param"] == "previous_response_id"
    assert answer.error["code"] == "previous_response_not_found"
    assert upstream.requests == []


def test_a_native_response_cannot_go_on_elsewhere(gateway: Gateway, keeper: Keeper, upstream: ScriptedUpstream) -> None:
    first = respond(gateway, NATIVE, "hello")
    asked = {"model": CLAUDE, "input": "x", "previous_response_id": first["id"]}
    assert "'native'" in ask(gateway, "POST", "/v1/responses", asked).error["message"]
    assert upstream.requests == []


def test_two_states_at_once_are_refused(gateway: Gateway, keeper: Keeper) -> None:
    asked = {"model": NATIVE, "input": "x", "previous_response_id": "resp_1", "conversation": "conv_1"}
    assert ask(gateway, "POST", "/v1/responses", asked).error["param"] == "previous_response_id"
    assert keeper.asked == []


def test_what_shall_not_be_stored_is_not(gateway: Gateway, upstream: ScriptedUpstream, keeper: Keeper) -> None:
    first = own(gateway, upstream, store=False)
    native = respond(gateway, NATIVE, "x", store=False)
    for name in (first["id"], native["id"]):
        assert get(gateway, f"/v1/responses/{name}").status == 404
    asked = {"model": CLAUDE, "input": "x", "previous_response_id": first["id"]}
    assert ask(gateway, "POST", "/v1/responses", asked).status == 400


def test_a_failed_answer_is_not_stored(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(b'{"type":"error","error":{"type":"api_error","message":"no"}}', 500))
    assert ask(gateway, "POST", "/v1/responses", {"model": CLAUDE, "input": "x"}).status == 500
    assert gateway.call(lambda: len(gateway.app._keeping._store._pending._waiting)) == 0


def test_a_response_whose_beginning_was_deleted_cannot_be_continued(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    first = own(gateway, upstream)
    upstream.answer(claude_says("second answer"))
    second = respond(gateway, CLAUDE, "and now?", previous_response_id=first["id"])
    assert ok(ask(gateway, "DELETE", f"/v1/responses/{first['id']}"))["deleted"] is True
    asked = {"model": CLAUDE, "input": "x", "previous_response_id": second["id"]}
    assert ask(gateway, "POST", "/v1/responses", asked).error["code"] == "previous_response_not_found"


def test_a_chain_that_is_too_long_or_too_large_is_told(
    gateway: Gateway, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = own(gateway, upstream)
    for number in range(3):
        upstream.answer(claude_says(f"answer {number}"))
        made = respond(gateway, CLAUDE, "go on", previous_response_id=made["id"])
    upstream.answer(claude_says("last"))
    asked = {"model": CLAUDE, "input": "x", "previous_response_id": made["id"]}
    with monkeypatch.context() as patch:
        patch.setattr("gateway.objects.sqlite.MAX_RESPONSE_CHAIN", 3)
        patch.setattr("gateway.resources.responses.MAX_RESPONSE_CHAIN", 3)
        assert "3 responses" in ask(gateway, "POST", "/v1/responses", asked).error["message"]
        patch.setattr("gateway.objects.sqlite.MAX_RESPONSE_CHAIN", 4)
        patch.setattr("gateway.resources.responses.MAX_RESPONSE_CHAIN", 4)
        patch.setattr("gateway.resources.responses.MAX_RESUMED_BYTES", 1000)
        assert "1000 bytes" in ask(gateway, "POST", "/v1/responses", asked).error["message"]
    ok(ask(gateway, "POST", "/v1/responses", asked))
    assert len(upstream.request.json()["messages"]) == 9


def test_an_expired_response_is_unknown(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with running(config(scripted=upstream), tmp_path, SLUICE_STORAGE__TTL="50ms") as gateway:
        first = own(gateway, upstream)
        gateway.wait_until(lambda: True)
        while get(gateway, f"/v1/responses/{first['id']}").status == 200:
            pass
        asked = {"model": CLAUDE, "input": "x", "previous_response_id": first["id"]}
        assert ask(gateway, "POST", "/v1/responses", asked).error["code"] == "previous_response_not_found"


# --- the endpoints ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_stream", [False, True])
def test_an_own_response_is_there_to_be_asked_for(
    gateway: Gateway, upstream: ScriptedUpstream, is_stream: bool
) -> None:
    first = own(gateway, upstream, stream=is_stream, metadata={"a": "b"})
    found = ok(get(gateway, f"/v1/responses/{first['id']}"))
    assert found == first
    assert text_of(found) == "first answer"
    assert ok(ask(gateway, "DELETE", f"/v1/responses/{first['id']}")) == {
        "id": first["id"],
        "object": "response",
        "deleted": True,
    }
    for method, more in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
        assert ask(gateway, method, f"/v1/responses/{first['id']}{more}").error["code"] == "not_found"


def test_an_own_response_is_complete(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    first = own(gateway, upstream)
    assert "complete" in ask(gateway, "POST", f"/v1/responses/{first['id']}/cancel").error["message"]
    assert get(gateway, f"/v1/responses/{first['id']}?stream=true").error["param"] == "stream"


def test_the_input_of_an_own_response_is_listed_page_by_page(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    asked = [{"role": "user", "content": f"question {number}"} for number in range(5)]
    path = f"/v1/responses/{own(gateway, upstream, asked)['id']}/input_items"

    def texts(query: str) -> tuple[list[str], bool, str]:
        page = ok(get(gateway, path + query))
        return [i["content"][0]["text"][-1] for i in page["data"]], page["has_more"], page["last_id"] or ""

    assert texts("")[:2] == (["4", "3", "2", "1", "0"], False)
    found, has_more, last = texts("?order=asc&limit=2")
    assert (found, has_more) == (["0", "1"], True)
    found, has_more, last = texts(f"?order=asc&limit=2&after={last}")
    assert (found, has_more) == (["2", "3"], True)
    assert texts(f"?order=asc&limit=2&after={last}")[:2] == (["4"], False)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "limit=9999999999999", "order=up", "after=nobody"]
)
def test_a_wrong_page_is_told(gateway: Gateway, upstream: ScriptedUpstream, query: str) -> None:
    path = f"/v1/responses/{own(gateway, upstream)['id']}/input_items?{query}"
    assert get(gateway, path).error["param"] == query.partition("=")[0]


def test_a_native_response_is_asked_for_at_its_provider(gateway: Gateway, keeper: Keeper) -> None:
    path = f"/v1/responses/{respond(gateway, NATIVE, 'hello')['id']}"
    keeper.forget()
    found = get(gateway, f"{path}?include=a&provider=x", X_Odd="1")
    assert ok(found)["status"] == "completed"
    assert found.headers["x-sluice-provider"] == "native"
    assert (keeper.last.path, keeper.last.query) == (path, "include=a")
    assert keeper.last.headers["authorization"] != f"Bearer {MASTER}"
    assert ok(get(gateway, f"{path}/input_items?limit=3"))["data"] == [{"role": "user", "content": "hello"}]
    assert keeper.last.query == "limit=3"
    assert ok(ask(gateway, "POST", f"{path}/cancel"))["status"] == "cancelled"
    assert ok(ask(gateway, "DELETE", path))["deleted"] is True
    keeper.forget()
    assert get(gateway, path).status == 404
    assert keeper.asked == []


def test_a_response_in_the_background_is_followed_as_a_stream(gateway: Gateway, keeper: Keeper) -> None:
    first = respond(gateway, NATIVE, "hello", background=True)
    assert first["status"] == "queued"
    answer = get(gateway, f"/v1/responses/{first['id']}?stream=true&starting_after=3")
    assert answer.headers["content-type"] == "text/event-stream"
    assert b"response.completed" in answer.body
    assert keeper.last.query == "stream=true&starting_after=3"


def test_a_native_response_that_could_not_be_deleted_stays_known(gateway: Gateway, keeper: Keeper) -> None:
    path = f"/v1/responses/{respond(gateway, NATIVE, 'hello')['id']}"
    keeper.refusals = [Answer({"error": {"message": "later"}}, 503)]
    assert ask(gateway, "DELETE", path).status == 503
    assert ok(ask(gateway, "DELETE", path))["deleted"] is True


@pytest.mark.parametrize("name", ["resp_unknown", "..", "%2e%2e", "a%2Fb", "%00", "%ff", "x" * 3000, "resp_1;x"])
def test_hostile_ids_lead_nowhere(gateway: Gateway, keeper: Keeper, name: str) -> None:
    for method, more in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
        assert ask(gateway, method, f"/v1/responses/{name}{more}").status == 404
    assert keeper.asked == []


# --- lives and workers ------------------------------------------------------------------------------------------------


def test_responses_survive_a_restart(keeper: Keeper, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with running(config(keeper, upstream), tmp_path) as gateway:
        first = own(gateway, upstream)
        native = respond(gateway, NATIVE, "hello")
    with running(config(keeper, upstream), tmp_path) as gateway:
        assert ok(get(gateway, f"/v1/responses/{first['id']}")) == first
        assert ok(get(gateway, f"/v1/responses/{native['id']}"))["id"] == native["id"]
        upstream.answer(claude_says("second answer"))
        respond(gateway, CLAUDE, "and now?", previous_response_id=first["id"])
        assert told(upstream.request.json()) == [*BEFORE, ("user", "and now?")]


def test_a_provider_that_is_gone_is_told(keeper: Keeper, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with running(config(keeper, upstream), tmp_path) as gateway:
        native = respond(gateway, NATIVE, "hello")
    with running(config(scripted=upstream), tmp_path) as gateway:
        assert "not configured" in get(gateway, f"/v1/responses/{native['id']}").error["message"]


def test_every_worker_finds_what_another_has_stored(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with running_apart(config(scripted=upstream), tmp_path, "--workers", "2") as workers:
        first = own(workers, upstream)  # type: ignore[arg-type]
        upstream.answer(claude_says("second answer"))
        for _ in range(30):
            second = respond(workers, CLAUDE, "and now?", previous_response_id=first["id"])
            assert told(upstream.requests[-1].json()) == [*BEFORE, ("user", "and now?")]
            assert ok(get(workers, f"/v1/responses/{second['id']}"))["id"] == second["id"]
        prefixes = {line["request_id"][:16] for line in workers.requests()}
    assert len(prefixes) == 2, "one worker served everything"


# --- keys -------------------------------------------------------------------------------------------------------------


def test_only_what_a_provider_keeps_is_bound_to_its_first_key(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    keys = {"api_key": "sk-key-1", "api_keys": ["sk-key-2", "sk-key-3"]}
    text = config_for(upstream, anthropic={"models": [CLAUDE], **keys}, openai={"models": [NATIVE], **keys})
    with running(text, tmp_path) as gateway:
        upstream.answer(claude_says("hello"))
        for _ in range(3):
            respond(gateway, CLAUDE, "x")
        assert {request.header("x-api-key") for request in upstream.requests} == {"sk-key-1", "sk-key-2", "sk-key-3"}
        upstream.answer(reply(responses_api.answer(responses_api.message("hi"))))
        for _ in range(3):
            respond(gateway, NATIVE, "x")
        assert {request.header("authorization") for request in upstream.requests} == {"Bearer sk-key-1"}
        respond(gateway, NATIVE, "x", store=False)
        respond(gateway, NATIVE, "x", store=False)
        assert len({request.header("authorization") for request in upstream.requests}) > 1


# --- no store ---------------------------------------------------------------------------------------------------------


def test_a_gateway_whose_store_cannot_be_written_answers_all_the_same(
    keeper: Keeper, upstream: ScriptedUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "RETRY_S", 0.01)
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    path = {"SLUICE_STORAGE__PATH": str(blocked / "sluice.db")}
    with running(config(keeper, upstream), tmp_path, **path) as gateway:
        first = own(gateway, upstream)
        assert text_of(first) == "first answer"
        assert respond(gateway, NATIVE, "hello")["status"] == "completed"
        assert gateway.chat(headers={"Authorization": f"Bearer {MASTER}"}, model=SIM).status == 200
        gateway.wait_for_line(lambda line: line.get("message") == "not stored")
        asked = {"model": CLAUDE, "input": "x", "previous_response_id": first["id"]}
        assert ask(gateway, "POST", "/v1/responses", asked).error["code"] == "storage_unavailable"
        gateway.wait_until(lambda: gateway.app._keeping.lost_objects == 2)
        assert "sluice_objects_lost_total 2.0" in get(gateway, "/metrics").body.decode()


def test_nothing_is_kept_or_imported_before_it_is_needed(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with running_apart(config(scripted=upstream), tmp_path) as process:
        upstream.answer(claude_says("hello"))
        headers = {"Authorization": f"Bearer {MASTER}"}
        assert process.chat(headers=headers, model=SIM).status == 200
        assert (
            ask(
                process,
                "POST",
                "/v1/messages",
                {"model": CLAUDE, "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]},
            ).status
            == 200
        )
        respond(process, CLAUDE, "x", store=False)
        maps = Path(f"/proc/{process.pid}/maps")
        if maps.exists():
            assert "sqlite" not in maps.read_text()
    assert os.listdir(tmp_path) == ["sluice.yaml"]


def test_bad_state_is_refused_by_name(gateway: Gateway, upstream: ScriptedUpstream, keeper: Keeper) -> None:
    bad = [
        {"previous_response_id": 1},
        {"previous_response_id": ["x"]},
        {"conversation": 1},
        {"conversation": {"id": 1}},
        {"conversation": {}},
        {"store": "yes"},
    ]
    for model in (CLAUDE, NATIVE):
        for members in bad:
            answer = ask(gateway, "POST", "/v1/responses", {"model": model, "input": "x", **members})
            assert answer.status == 400, (members, answer.body)
            assert next(iter(members)) in json.dumps(answer.error)
    assert upstream.requests == []
    assert keeper.asked == []
