"""Conversations: the gateway's own, which models of every provider go on with, and those that a provider keeps."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway.core.limits import MAX_ITEM_PAGE_BYTES, MAX_ITEMS_BYTES, MAX_OBJECT_ANSWER_BYTES
from tests.kit.gateway import Gateway
from tests.kit.keeper import Answer, Keeper
from tests.kit.kept import (
    CLAUDE,
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
    upload,
)
from tests.kit.upstream import Gate, ScriptedUpstream, raw

PATH = "/v1/conversations"


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


def begin(gateway: Gateway, **members: Any) -> str:
    """The id of a conversation that the gateway keeps."""
    name: str = ok(ask(gateway, "POST", PATH, members))["id"]
    assert name.startswith("conv_")
    assert "." not in name
    return name


def texts(gateway: Gateway, name: str, query: str = "?order=asc&limit=100") -> list[str]:
    return [item["content"][0]["text"] for item in ok(get(gateway, f"{PATH}/{name}/items{query}"))["data"]]


def message(text: str, **members: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text, **members}


# --- own --------------------------------------------------------------------------------------------------------------


def test_a_conversation_lives_and_ends(gateway: Gateway, keeper: Keeper) -> None:
    made = ok(ask(gateway, "POST", PATH, {"metadata": {"topic": "tea"}, "items": [message("hello")]}))
    assert (made["object"], made["metadata"]) == ("conversation", {"topic": "tea"})
    path = f"{PATH}/{made['id']}"
    assert ok(get(gateway, path)) == made
    changed = ok(ask(gateway, "POST", path, {"metadata": {"topic": "coffee"}}))
    assert changed == {**made, "metadata": {"topic": "coffee"}}
    assert ok(get(gateway, path)) == changed
    assert texts(gateway, made["id"]) == ["hello"]
    gone = {"id": made["id"], "object": "conversation.deleted", "deleted": True}
    assert ok(ask(gateway, "DELETE", path)) == gone
    for method, more in (("GET", ""), ("DELETE", ""), ("POST", ""), ("GET", "/items"), ("POST", "/items")):
        body = {"metadata": {}, "items": [message("x")]} if method == "POST" else None
        assert ask(gateway, method, path + more, body).error["code"] == "not_found"
    assert keeper.asked == []


def test_a_conversation_may_begin_with_nothing(gateway: Gateway) -> None:
    assert ok(ask(gateway, "POST", PATH))["metadata"] == {}
    assert ok(ask(gateway, "POST", PATH, {"items": None, "metadata": None}))["metadata"] == {}


def test_items_are_added_listed_and_taken_out(gateway: Gateway) -> None:
    name = begin(gateway)
    path = f"{PATH}/{name}/items"
    added = ok(ask(gateway, "POST", path, {"items": [message(f"text {n}") for n in range(5)]}))
    assert (added["object"], added["has_more"], len(added["data"])) == ("list", False, 5)
    ids = [item["id"] for item in added["data"]]
    assert len(set(ids)) == 5
    assert all(one.startswith("msg_") for one in ids)
    assert ok(get(gateway, f"{path}/{ids[2]}"))["content"][0]["text"] == "text 2"
    assert ok(ask(gateway, "DELETE", f"{path}/{ids[2]}"))["id"] == name
    assert get(gateway, f"{path}/{ids[2]}").status == 404
    assert ask(gateway, "DELETE", f"{path}/{ids[2]}").status == 404
    assert texts(gateway, name) == ["text 0", "text 1", "text 3", "text 4"]
    assert texts(gateway, name, "") == ["text 4", "text 3", "text 1", "text 0"]
    first = ok(get(gateway, f"{path}?limit=3&order=asc"))
    assert first["has_more"] is True
    assert texts(gateway, name, f"?order=asc&after={first['last_id']}") == ["text 4"]


@pytest.mark.parametrize("is_stream", [False, True])
def test_responses_are_added_in_order(gateway: Gateway, upstream: ScriptedUpstream, is_stream: bool) -> None:
    name = begin(gateway, items=[message("My name is Ada.")])
    upstream.answer(claude_says("Hello Ada.", is_stream=is_stream))
    first = respond(gateway, CLAUDE, "Hi!", conversation=name, stream=is_stream)
    assert first["conversation"] == {"id": name}
    assert "My name is Ada." in upstream.request.body.decode()
    second = respond(gateway, SIM, "Who am I?", conversation={"id": name})
    upstream.answer(claude_says("Bye."))
    respond(gateway, CLAUDE, "Bye!", conversation=name)
    sent = upstream.request.body.decode()
    said = second["output"][0]["content"][0]["text"]
    assert texts(gateway, name) == ["My name is Ada.", "Hi!", "Hello Ada.", "Who am I?", said, "Bye!", "Bye."]
    assert [sent.index(text) for text in ("My name is", "Hi!", "Hello Ada.", "Who am I?", "Bye!")] == sorted(
        sent.index(text) for text in ("My name is", "Hi!", "Hello Ada.", "Who am I?", "Bye!")
    )


def test_a_response_that_is_not_stored_belongs_to_its_conversation_all_the_same(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    name = begin(gateway)
    upstream.answer(claude_says("answer"))
    made = respond(gateway, CLAUDE, "question", conversation=name, store=False)
    assert texts(gateway, name) == ["question", "answer"]
    assert get(gateway, f"/v1/responses/{made['id']}").status == 404


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_native_model_goes_on_with_an_own_conversation(gateway: Gateway, keeper: Keeper, is_stream: bool) -> None:
    name = begin(gateway, items=[message("My name is Ada.")])
    made = respond(gateway, NATIVE, "Hi!", conversation=name, stream=is_stream)
    create = next(asked for asked in keeper.asked if asked.method == "POST").json
    assert "conversation" not in create
    assert [item["role"] for item in create["input"]] == ["user", "user"]
    # the answer has gone through unread; it is fetched before the next request is asked
    second = respond(gateway, NATIVE, "Who am I?", conversation=name)
    said = [one["output"][0]["content"][0]["text"] for one in (made, second)]
    gateway.wait_until(lambda: not gateway.app._keeping._additions._last)
    assert texts(gateway, name) == ["My name is Ada.", "Hi!", said[0], "Who am I?", said[1]]
    posts = [asked.json for asked in keeper.asked if asked.method == "POST"]
    assert len(posts[-1]["input"]) == 4


@pytest.mark.parametrize(("name", "value"), [("store", False), ("background", True)])
def test_what_a_native_model_would_not_keep_is_refused_for_an_own_conversation(
    gateway: Gateway, keeper: Keeper, name: str, value: bool
) -> None:
    asked = {"model": NATIVE, "input": "x", "conversation": begin(gateway), name: value}
    assert ask(gateway, "POST", "/v1/responses", asked).error["param"] == name
    assert keeper.asked == []


def test_an_answer_that_cannot_be_fetched_is_told_in_the_log(gateway: Gateway, keeper: Keeper) -> None:
    name = begin(gateway)
    made = respond(gateway, NATIVE, "Hi!", conversation=name)
    gateway.wait_until(lambda: not gateway.app._keeping._additions._last)
    before = texts(gateway, name)
    assert made["status"] == "completed"

    original = keeper.answer
    keeper.answer = lambda asked: (  # type: ignore[method-assign]
        Answer({"error": {"message": "gone"}}, 404) if asked.method == "GET" else original(asked)
    )
    try:
        respond(gateway, NATIVE, "again", conversation=name)
        line = gateway.wait_for_line(lambda line: line.get("message") == "conversation not continued")
    finally:
        keeper.answer = original  # type: ignore[method-assign]
    assert line["id"] == name
    assert texts(gateway, name) == before


def test_concurrent_requests_all_belong_to_the_conversation(gateway: Gateway) -> None:
    name = begin(gateway)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: respond(gateway, SIM, f"question {n}", conversation=name), range(16)))
    found = texts(gateway, name)
    assert len(found) == 32
    asked = [text for text in found if text.startswith("question ")]
    assert sorted(asked) == sorted(f"question {n}" for n in range(16))
    # an answer stands right behind its question
    assert found[::2] == asked


def test_a_conversation_that_is_deleted_meanwhile_stays_deleted(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    name = begin(gateway)
    gate = Gate()
    upstream.answer(raw(gate, *claude_says("late").pieces))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(respond, gateway, CLAUDE, "x", conversation=name)
        gate.wait_reached()
        ok(ask(gateway, "DELETE", f"{PATH}/{name}"))
        gate.open()
        assert answer.result()["status"] == "completed"
    gateway.wait_until(lambda: not gateway.app._keeping._additions._last)
    assert get(gateway, f"{PATH}/{name}/items").status == 404


def test_a_long_conversation_is_sent_as_a_whole(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.resources.responses._READ_ITEMS", 3)
    name = begin(gateway, items=[message(f"number {n}") for n in range(7)])
    keeper_path = {"model": NATIVE, "input": "last", "conversation": name}
    sent = ok(ask(gateway, "POST", "/v1/responses", keeper_path))
    listed = ok(get(gateway, f"/v1/responses/{sent['id']}/input_items"))["data"]
    assert [item["content"][0]["text"] for item in listed[:7]] == [f"number {n}" for n in range(7)]


def test_a_conversation_that_is_too_large_is_told(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.resources.responses.MAX_RESUMED_BYTES", 100)
    asked = {"model": CLAUDE, "input": "x", "conversation": begin(gateway, items=[message("x" * 200)])}
    assert ask(gateway, "POST", "/v1/responses", asked).error["param"] == "conversation"


def test_conversations_survive_a_restart(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with running(config(scripted=upstream), tmp_path) as gateway:
        name = begin(gateway, items=[message("hello")], metadata={"a": "b"})
        respond(gateway, SIM, "more", conversation=name)
    with running(config(scripted=upstream), tmp_path) as gateway:
        assert ok(get(gateway, f"{PATH}/{name}"))["metadata"] == {"a": "b"}
        assert texts(gateway, name)[:2] == ["hello", "more"]
        assert len(texts(gateway, name)) == 3


def test_every_worker_sees_the_whole_conversation(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with running_apart(config(scripted=upstream), tmp_path, "--workers", "2") as workers:
        name = ok(ask(workers, "POST", PATH, {}))["id"]
        for number in range(12):
            upstream.answer(claude_says(f"answer {number}", is_stream=True))
            respond(workers, CLAUDE, f"question {number}", conversation=name, stream=True)
            assert len(upstream.request.json()["messages"]) == 2 * number + 1
        prefixes = {line["request_id"][:16] for line in workers.requests()}
    assert len(prefixes) == 2, "one worker served everything"


# --- at the provider --------------------------------------------------------------------------------------------------


def test_a_provider_that_is_named_keeps_the_conversation(gateway: Gateway, keeper: Keeper) -> None:
    body = b'{ "metadata":{"a":"b"},  "items":[] }'
    made = ok(ask(gateway, "POST", PATH, body, X_Sluice_Provider="native"))
    assert keeper.last.body == body
    name = made["id"]
    native = name.partition(".")[0]
    assert name.startswith("conv_n")
    assert ".native.slu" in name
    path = f"{PATH}/{name}"
    assert ok(get(gateway, path)) == made
    assert keeper.last.path == f"{PATH}/{native}"
    item = {"type": "message", "role": "user", "content": "hi", "id": "msg_1"}
    assert ok(ask(gateway, "POST", f"{path}/items", {"items": [item]}))["data"] == [item]
    assert ok(get(gateway, f"{path}/items?limit=5&provider=x&include=y"))["data"] == [item]
    assert keeper.last.query == "limit=5&include=y"
    assert ok(get(gateway, f"{path}/items/msg_1"))["id"] == "msg_1"
    assert ok(ask(gateway, "DELETE", f"{path}/items/msg_1"))["id"] == name
    respond(gateway, NATIVE, "go on", conversation=name)
    assert keeper.last.json["conversation"] == native
    assert ok(ask(gateway, "DELETE", path))["id"] == name
    assert keeper.last.method == "DELETE"


def test_files_in_a_native_conversation_are_opened(gateway: Gateway, keeper: Keeper) -> None:
    file = ok(upload(gateway, b"x", "user_data"))["id"]
    item = {"type": "message", "role": "user", "content": [{"type": "input_file", "file_id": file}]}
    native = file.partition(".")[0]
    name = ok(ask(gateway, "POST", f"{PATH}?provider=native", {"items": [item]}))["id"]
    assert keeper.last.json["items"][0]["content"][0]["file_id"] == native
    ok(ask(gateway, "POST", f"{PATH}/{name}/items", {"items": [item]}))
    assert keeper.last.json["items"][0]["content"][0]["file_id"] == native
    keeper.forget()
    item["content"] = [{"type": "input_file", "file_id": file.replace(".native.", ".claude.")}]
    assert ask(gateway, "POST", f"{PATH}/{name}/items", {"items": [item]}).status == 404
    assert keeper.asked == []


def test_a_native_conversation_is_for_its_own_provider(
    gateway: Gateway, keeper: Keeper, upstream: ScriptedUpstream
) -> None:
    name = ok(ask(gateway, "POST", f"{PATH}?provider=native", {}))["id"]
    keeper.forget()
    asked = {"model": CLAUDE, "input": "x", "conversation": name}
    assert ask(gateway, "POST", "/v1/responses", asked).error["code"] == "not_found"
    assert upstream.requests == []


def test_the_only_provider_keeps_conversations_unasked(keeper: Keeper, tmp_path: Path) -> None:
    text = config(keeper).replace(', "sim": {"type": "simulator"}', "")
    with running(text, tmp_path) as gateway:
        assert ".native.slu" in ok(ask(gateway, "POST", PATH, {}))["id"]
        begin_own = ask(gateway, "POST", PATH, {}, X_Sluice_Provider="sluice")
        assert "." not in ok(begin_own)["id"]


# --- what is wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"items": {}}, "items"),
        ({"items": [1]}, "items"),
        ({"items": [{}]}, "items[0]"),
        ({"items": [message("x"), {"type": 5}]}, "items[1]"),
        ({"items": [{"type": "message", "id": 7}]}, "items[0]"),
        ({"items": [{"type": "message", "id": ""}]}, "items[0]"),
        ({"items": [message("x")] * 21}, "items"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"k" * 65: "x"}}, "metadata"),
        ({"metadata": {"k": "x" * 513}}, "metadata"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        (b"[]", "object"),
        (b"{", "JSON"),
        (b'{"items":[{"type":"\xff"}]}', "UTF-8"),
    ],
)
def test_a_wrong_conversation_is_told_what_is_wrong(gateway: Gateway, keeper: Keeper, body: Any, word: str) -> None:
    answer = ask(gateway, "POST", PATH, body)
    assert answer.status == 400
    assert word in answer.error["message"]
    name = begin(gateway)
    if isinstance(body, bytes) or "items" in body:
        assert ask(gateway, "POST", f"{PATH}/{name}/items", body).status == 400
    if isinstance(body, bytes) or "metadata" in body:
        assert ask(gateway, "POST", f"{PATH}/{name}", body).status == 400
    assert texts(gateway, name) == []
    assert keeper.asked == []


def test_members_that_must_be_there_are_named(gateway: Gateway) -> None:
    name = begin(gateway)
    assert "items" in ask(gateway, "POST", f"{PATH}/{name}/items", {}).error["message"]
    assert "metadata" in ask(gateway, "POST", f"{PATH}/{name}", {}).error["message"]


def test_a_body_that_is_too_large_is_refused(gateway: Gateway) -> None:
    name = begin(gateway)
    assert ask(gateway, "POST", f"{PATH}/{name}", b" " * (2 << 20)).error["code"] == "request_too_large"
    large = {"Content_Length": str(MAX_ITEMS_BYTES + 1)}
    assert ask(gateway, "POST", f"{PATH}/{name}/items", b"{", **large).error["code"] == "request_too_large"


@pytest.mark.parametrize("place", ["openai", "../x", "%00", "x" * 200])
def test_an_unknown_provider_is_told(gateway: Gateway, keeper: Keeper, place: str) -> None:
    assert "there are" in ask(gateway, "POST", f"{PATH}?provider={place}", {}).error["message"]
    assert ask(gateway, "POST", f"{PATH}?provider=sim", {}).status == 400
    assert keeper.asked == []


@pytest.mark.parametrize("item", ["..", "%2e%2e", "a%2Fb", "%00", "%ff", "x" * 3000, "msg_unknown"])
def test_hostile_ids_lead_nowhere(gateway: Gateway, keeper: Keeper, item: str) -> None:
    own = begin(gateway)
    for method in ("GET", "DELETE"):
        assert ask(gateway, method, f"{PATH}/{own}/items/{item}").status == 404
        assert ask(gateway, method, f"{PATH}/{item}").status == 404
    native = ok(ask(gateway, "POST", f"{PATH}?provider=native", {}))["id"]
    keeper.forget()
    for forged in (native.replace(".native.", ".sim."), native[:-1] + "A", f"x{native}"):
        if forged != native:
            assert get(gateway, f"{PATH}/{forged}").status == 404
            asked = {"model": NATIVE, "input": "x", "conversation": forged}
            assert ask(gateway, "POST", "/v1/responses", asked).status == 404
    for method in ("GET", "DELETE"):
        answer = ask(gateway, method, f"{PATH}/{native}/items/{item}")
        if item in ("..", "%2e%2e"):
            assert answer.status == 404
    # whatever arrived is one segment of the path
    assert all(asked.path.count("/") == 5 for asked in keeper.asked)


# --- how much ---------------------------------------------------------------------------------------------------------


def test_a_page_ends_before_it_is_too_large(gateway: Gateway) -> None:
    name = begin(gateway)
    size = MAX_ITEM_PAGE_BYTES * 2 // 5
    for letter in "abcd":
        said = {"role": "user", "content": letter * size}
        ok(ask(gateway, "POST", f"{PATH}/{name}/items", {"items": [said]}))
    shown, pages, after = "", 0, ""
    while True:
        answer = get(gateway, f"{PATH}/{name}/items?order=asc&limit=100{after}")
        assert len(answer.body) < MAX_ITEM_PAGE_BYTES + 1000
        page = ok(answer)
        shown += "".join(item["content"][0]["text"][0] for item in page["data"])
        pages += 1
        after = f"&after={page['last_id']}"
        if not page["has_more"]:
            break
    assert (shown, pages) == ("abcd", 2)


def test_a_conversation_holds_only_so_many_bytes(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.resources.conversations.MAX_CONVERSATION_BYTES", 400)
    name = begin(gateway)
    said = {"items": [{"role": "user", "content": "x" * 150}]}
    first = ok(ask(gateway, "POST", f"{PATH}/{name}/items", said))["data"][0]["id"]
    refused = ask(gateway, "POST", f"{PATH}/{name}/items", said)
    assert (refused.status, "400 bytes" in refused.error["message"]) == (400, True)
    ok(ask(gateway, "DELETE", f"{PATH}/{name}/items/{first}"))
    ok(ask(gateway, "POST", f"{PATH}/{name}/items", said))


def test_items_of_a_native_conversation_may_be_large(gateway: Gateway, keeper: Keeper) -> None:
    name = ok(ask(gateway, "POST", f"{PATH}?provider=native"))["id"]
    large = Answer(b'{"pad":"' + b"a" * MAX_OBJECT_ANSWER_BYTES + b'"}')
    keeper.refusals = [large, large]
    assert get(gateway, f"{PATH}/{name}/items").status == 200
    assert get(gateway, f"{PATH}/{name}").error["code"] == "upstream_broken"
