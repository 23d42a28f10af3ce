"""Batches: run line by line by the gateway, or at the provider that has the input file."""

import contextlib
import json
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core import batching
from gateway.core.errors import StorageUnavailable
from tests.kit import messages_api
from tests.kit.gateway import Gateway, Process
from tests.kit.keeper import Answer, Keeper
from tests.kit.kept import CLAUDE, MASTER, SIM, ask, claude_says, config, get, ok, running, running_apart, upload
from tests.kit.upstream import Gate, ScriptedUpstream, raw, reply

PATH = "/v1/batches"
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
PATIENCE_S = 30.0
FAST = {"FIRST_WAIT_S": 0.02, "LOOK_S": 0.2}


@pytest.fixture(scope="module")
def keeper() -> Iterator[Keeper]:
    with Keeper() as keeper:
        yield keeper


@pytest.fixture(autouse=True)
def fresh(keeper: Keeper, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper.forget()
    upstream.answer(claude_says("an answer"))
    for name, value in FAST.items():
        monkeypatch.setattr(f"gateway.resources.batch_runner.{name}", value)
    monkeypatch.setattr("gateway.resources.batch_run.TELL_S", 0.05)


@pytest.fixture(scope="module")
def gateway(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    text = config(scripted=upstream, batches={"concurrency": 3})
    with running(text, tmp_path_factory.mktemp("kept")) as gateway:
        yield gateway


def line(custom_id: str, url: str = MESSAGES, **body: Any) -> bytes:
    asked = {"model": CLAUDE, "max_tokens": 9, "messages": [{"role": "user", "content": custom_id}], **body}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": url, "body": asked}).encode() + b"\n"


def order(gateway: Gateway | Process, content: bytes, endpoint: str = MESSAGES, **members: Any) -> str:
    """The id of a batch that has just been created."""
    file = ok(upload(gateway, content))["id"]
    made = ok(
        ask(gateway, "POST", PATH, {"input_file_id": file, "endpoint": endpoint, "completion_window": "24h", **members})
    )
    assert (made["object"], made["status"], made["input_file_id"]) == ("batch", "validating", file)
    name: str = made["id"]
    return name


def until(gateway: Gateway | Process, name: str, *statuses: str) -> Any:
    """The batch when it has one of these."""
    end = time.monotonic() + PATIENCE_S
    while (batch := ok(get(gateway, f"{PATH}/{name}")))["status"] not in statuses:
        assert time.monotonic() < end, batch
        time.sleep(0.01)
    return batch


def finished(gateway: Gateway | Process, name: str) -> Any:
    return until(gateway, name, "completed", "failed", "expired", "cancelled")


def lines(gateway: Gateway | Process, file_id: str | None) -> dict[str, Any]:
    """The results of a file by their custom ids."""
    if file_id is None:
        return {}
    told = ok(get(gateway, f"/v1/files/{file_id}"))
    assert (told["purpose"], told["status"]) == ("batch_output", "processed")
    body = get(gateway, f"/v1/files/{file_id}/content").body
    assert body.endswith(b"\n")
    found = [json.loads(one) for one in body.splitlines()]
    assert len({one["custom_id"] for one in found}) == len(found)
    return {one["custom_id"]: one for one in found}


# --- from end to end --------------------------------------------------------------------------------------------------


def test_a_batch_of_messages_runs(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    name = order(gateway, b"".join(line(f"line {n}") for n in range(7)), metadata={"team": "a"})
    batch = finished(gateway, name)
    assert batch["status"] == "completed"
    assert batch["request_counts"] == {"total": 7, "completed": 7, "failed": 0}
    assert batch["metadata"] == {"team": "a"}
    assert batch["error_file_id"] is None
    assert batch["created_at"] <= batch["in_progress_at"] <= batch["finalizing_at"] <= batch["completed_at"]
    found = lines(gateway, batch["output_file_id"])
    assert set(found) == {f"line {n}" for n in range(7)}
    one = found["line 3"]
    assert one["id"].startswith("batch_req_")
    assert one["error"] is None
    assert (one["response"]["status_code"], bool(one["response"]["request_id"])) == (200, True)
    assert one["response"]["body"] == json.loads(messages_api.answer({"type": "text", "text": "an answer"}))
    asked = [request.json()["messages"][0]["content"] for request in upstream.requests]
    assert sorted(asked) == sorted(found)
    logged = [entry for entry in gateway.requests() if entry["endpoint"] == "messages"]
    assert len(logged) >= 7


@pytest.mark.parametrize(
    ("endpoint", "body", "text"),
    [
        (CHAT, {"model": SIM}, lambda b: b["choices"][0]["message"]["content"]),
        (CHAT, {"model": CLAUDE}, lambda b: b["choices"][0]["message"]["content"]),
        (RESPONSES, {"model": CLAUDE, "input": "hi"}, lambda b: b["output"][0]["content"][0]["text"]),
        (RESPONSES, {"model": SIM, "input": "hi"}, lambda b: b["output"][0]["content"][0]["text"]),
        (MESSAGES, {"model": SIM}, lambda b: b["content"][0]["text"]),
        ("/v1/embeddings", {"model": "sim-embed", "input": "hi"}, lambda b: b["data"][0]["embedding"]),
    ],
)
def test_every_endpoint_has_batches(gateway: Gateway, endpoint: str, body: Any, text: Any) -> None:
    base = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9} if "input" not in body else {}
    content = b"".join(
        json.dumps({"custom_id": f"c{n}", "method": "POST", "url": endpoint, "body": {**base, **body}}).encode() + b"\n"
        for n in range(2)
    )
    batch = finished(gateway, order(gateway, content, endpoint))
    assert batch["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    found = lines(gateway, batch["output_file_id"])
    assert all(text(found[f"c{n}"]["response"]["body"]) for n in range(2))


def test_a_stored_response_of_a_batch_can_be_continued(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    content = json.dumps(
        {"custom_id": "a", "method": "POST", "url": RESPONSES, "body": {"model": CLAUDE, "input": "batch question"}}
    ).encode()
    batch = finished(gateway, order(gateway, content, RESPONSES))
    made = lines(gateway, batch["output_file_id"])["a"]["response"]["body"]["id"]
    ok(ask(gateway, "POST", RESPONSES, {"model": CLAUDE, "input": "more", "previous_response_id": made}))
    assert b"batch question" in upstream.requests[-1].body


def test_lines_that_are_refused_are_in_the_error_file(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    content = line("good") + line("unknown model", model="nobody") + line("bad", max_tokens="x", model=SIM)
    batch = finished(gateway, order(gateway, content))
    assert batch["status"] == "completed"
    assert batch["request_counts"] == {"total": 3, "completed": 1, "failed": 2}
    assert set(lines(gateway, batch["output_file_id"])) == {"good"}
    errors = lines(gateway, batch["error_file_id"])
    assert {name: one["response"]["status_code"] for name, one in errors.items()} == {"unknown model": 404, "bad": 400}
    assert errors["bad"]["response"]["body"]["error"]["type"] == "invalid_request_error"


def test_a_provider_that_is_busy_is_asked_again(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    busy = reply(
        b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}',
        429,
        headers=[("Retry-After", "0")],
    )
    upstream.answer(busy, busy, claude_says("at last"))
    batch = finished(gateway, order(gateway, line("a")))
    assert batch["request_counts"]["completed"] == 1
    assert len(upstream.requests) == 3


def test_a_provider_that_stays_busy_is_told(
    gateway: Gateway, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.resources.batch_runner.FIRST_WAIT_S", 0.001)
    upstream.answer(reply(b'{"type":"error","error":{"type":"overloaded_error","message":"no"}}', 529))
    batch = finished(gateway, order(gateway, line("a")))
    assert batch["request_counts"] == {"total": 1, "completed": 0, "failed": 1}
    assert lines(gateway, batch["error_file_id"])["a"]["response"]["status_code"] == 529
    assert len(upstream.requests) == 6


def test_a_provider_that_says_when_is_asked_then(
    gateway: Gateway, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []
    monkeypatch.setattr("gateway.resources.batch_runner.LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(
        "gateway.resources.batch_runner.min", lambda *values: waits.append(values) or 0.0, raising=False
    )
    busy = reply(
        b'{"type":"error","error":{"type":"rate_limit_error","message":"x"}}', 429, headers=[("retry-after", "17")]
    )
    upstream.answer(busy, claude_says("now"))
    assert finished(gateway, order(gateway, line("a")))["request_counts"]["completed"] == 1
    assert waits == [(17, 0.05)]


# --- how fast ---------------------------------------------------------------------------------------------------------


def test_so_many_requests_are_under_way_and_no_more(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = Gate()
    upstream.answer(raw(gate, *claude_says("slow").pieces))
    names = [order(gateway, b"".join(line(f"{k}{n}") for n in range(6))) for k in "ab"]
    gateway.wait_until(lambda: len(upstream.requests) >= 3)
    for name in names:
        until(gateway, name, "in_progress")
    time.sleep(0.1)
    assert len(upstream.requests) == 3
    gate.open()
    assert [finished(gateway, name)["request_counts"]["completed"] for name in names] == [6, 6]


def test_progress_is_told(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = Gate()
    upstream.answer(claude_says("1"), claude_says("2"), raw(gate, *claude_says("slow").pieces))
    name = order(gateway, b"".join(line(f"p{n}") for n in range(6)))
    end = time.monotonic() + PATIENCE_S
    while (counts := until(gateway, name, "in_progress")["request_counts"])["completed"] < 2:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert counts == {"total": 6, "completed": 2, "failed": 0}
    gate.open()
    assert finished(gateway, name)["request_counts"]["completed"] == 6


# --- cancelling -------------------------------------------------------------------------------------------------------


def test_a_batch_is_cancelled_while_it_runs(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = Gate()
    upstream.answer(claude_says("1"), claude_says("2"), raw(gate, *claude_says("slow").pieces))
    name = order(gateway, b"".join(line(f"p{n}") for n in range(6)))
    gate.wait_reached()
    gateway.wait_until(lambda: len(upstream.requests) == 5)
    cancelling = ok(ask(gateway, "POST", f"{PATH}/{name}/cancel"))
    assert cancelling["status"] in ("cancelling", "cancelled")
    batch = finished(gateway, name)
    gate.open()
    assert batch["status"] == "cancelled"
    assert batch["cancelling_at"] <= batch["cancelled_at"]
    done, errors = lines(gateway, batch["output_file_id"]), lines(gateway, batch["error_file_id"])
    assert len(done) == 2
    assert len(done) + len(errors) == 6
    assert {one["error"]["code"] for one in errors.values()} == {"batch_cancelled"}
    assert ok(ask(gateway, "POST", f"{PATH}/{name}/cancel"))["status"] == "cancelled"
    assert len(upstream.requests) == 5


def test_a_batch_that_has_ended_cannot_be_cancelled(gateway: Gateway) -> None:
    name = order(gateway, line("a"))
    finished(gateway, name)
    assert "completed" in ask(gateway, "POST", f"{PATH}/{name}/cancel").error["message"]


# --- ends and beginnings ----------------------------------------------------------------------------------------------


def asked_for(upstream: ScriptedUpstream) -> Counter[str]:
    return Counter(request.json()["messages"][0]["content"] for request in upstream.requests)


def test_a_clean_stop_hands_a_batch_over_at_once(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    text = config(scripted=upstream, batches={"concurrency": 2})
    gate = Gate()
    upstream.answer(*[claude_says(str(n)) for n in range(4)], raw(gate, *claude_says("slow").pieces))
    with running(text, tmp_path) as gateway:
        name = order(gateway, b"".join(line(f"r{n}") for n in range(10)))
        gateway.wait_until(lambda: len(upstream.requests) == 6)
    before = asked_for(upstream)
    gate.open()
    upstream.answer(claude_says("after"))
    with running(text, tmp_path) as gateway:
        batch = finished(gateway, name)  # which waits for half as long as a dead worker would have held it
    assert batch["request_counts"] == {"total": 10, "completed": 10, "failed": 0}
    total = before + asked_for(upstream)
    assert set(total) == {f"r{n}" for n in range(10)}
    # nothing but what was under way is asked twice
    assert sum(total.values()) <= 12


def test_a_batch_goes_on_after_a_crash(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    text = config(scripted=upstream, batches={"concurrency": 2})
    gate = Gate()
    upstream.answer(*[claude_says(str(n)) for n in range(4)], raw(gate, *claude_says("slow").pieces))
    with running_apart(text, tmp_path) as process:
        name = order(process, b"".join(line(f"r{n}") for n in range(10)))
        end = time.monotonic() + PATIENCE_S
        while len(upstream.requests) < 6:
            assert time.monotonic() < end
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    before = asked_for(upstream)
    gate.open()
    upstream.answer(claude_says("after"))
    # the dead worker's time is over sooner than in a minute
    with sqlite3.connect(tmp_path / "kept" / "sluice.db") as database:
        held = database.execute("SELECT lease_until FROM objects WHERE id = ?", (name,)).fetchone()[0]
        kept = {one for (one,) in database.execute("SELECT id FROM items WHERE object_id = ?", (name,))}
        database.execute("UPDATE objects SET lease_until = 1 WHERE id = ?", (name,))
    database.close()
    assert time.time() < held <= time.time() + 60
    assert len(kept) == 4
    with running(text, tmp_path) as gateway:
        batch = finished(gateway, name)
        assert batch["request_counts"] == {"total": 10, "completed": 10, "failed": 0}
        assert len(lines(gateway, batch["output_file_id"])) == 10
    again = asked_for(upstream)
    assert kept.isdisjoint(again), "a finished line was asked again"
    assert sum((before + again).values()) == 12


def test_a_batch_is_run_by_one_of_several_workers(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    text = config(scripted=upstream)
    with running_apart(text, tmp_path, "--workers", "2") as workers:
        name = order(workers, b"".join(line(f"w{n}") for n in range(20)))
        batch = finished(workers, name)
        assert len(lines(workers, batch["output_file_id"])) == 20
    assert set(asked_for(upstream).values()) == {1}


def test_a_worker_that_dies_while_it_finishes_leaves_no_second_file(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[Any] = []

    def end_or_die(*arguments: Any) -> Any:
        ends.append(arguments)
        if len(ends) < 3:
            raise StorageUnavailable("as good as dead: the files are written, and the batch does not know it")
        return batching.end(*arguments)

    monkeypatch.setattr("gateway.resources.batch_run.end", end_or_die)
    before = {row["id"] for row in ok(get(gateway, "/v1/files"))["data"]}
    batch = finished(gateway, order(gateway, line("good") + line("bad", max_tokens="x", model=SIM)))
    assert batch["status"] == "completed"
    assert len(ends) == 3
    made = {row["id"] for row in ok(get(gateway, "/v1/files"))["data"]} - before
    assert made == {batch["input_file_id"], batch["output_file_id"], batch["error_file_id"]}
    assert set(lines(gateway, batch["output_file_id"])) == {"good"}
    assert set(lines(gateway, batch["error_file_id"])) == {"bad"}


def test_a_batch_that_is_cancelled_while_it_finishes_leaves_no_second_file(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[Any] = []

    def cancelled_meanwhile(batch: Any, *arguments: Any) -> Any:
        ends.append(batch.status)
        if len(ends) == 1:
            store = gateway.app._keeping._store
            path = store._database._path
            with sqlite3.connect(path) as database:
                cancelling = batching.encode_batch(batching.cancel(batch, int(time.time())))
                database.execute(
                    "UPDATE objects SET state = 'cancelling', body = ?, version = version + 1 WHERE id = ?",
                    (cancelling, batch.id),
                )
            database.close()
        return batching.end(batch, *arguments)

    monkeypatch.setattr("gateway.resources.batch_run.end", cancelled_meanwhile)
    before = {row["id"] for row in ok(get(gateway, "/v1/files"))["data"]}
    batch = finished(gateway, order(gateway, line("good")))
    assert (batch["status"], ends) == ("cancelled", ["finalizing", "cancelling"])
    made = {row["id"] for row in ok(get(gateway, "/v1/files"))["data"]} - before
    assert made == {batch["input_file_id"], batch["output_file_id"]}


def test_a_worker_that_lost_its_batch_changes_nothing_more(
    upstream: ScriptedUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.resources.batch_run.TELL_S", 60.0)  # it does not look by itself
    gate = Gate()
    upstream.answer(raw(gate, *claude_says("late").pieces), claude_says("in time"))
    text = config(scripted=upstream)
    with running(text, tmp_path) as slow:
        name = order(slow, line("a"))
        gate.wait_reached()
        with contextlib.closing(sqlite3.connect(tmp_path / "kept" / "sluice.db")) as database:
            with running(text, tmp_path) as other:
                with database:
                    database.execute("UPDATE objects SET lease_until = 1 WHERE id = ?", (name,))
                batch = finished(other, name)
                gate.open()
                slow.wait_until(lambda: not slow.app._keeping._runner._running)
                found = lines(other, batch["output_file_id"])["a"]["response"]["body"]
                assert found["content"][0]["text"] == "in time"
                assert ok(get(other, f"{PATH}/{name}")) == batch
            ((kept,),) = database.execute("SELECT body FROM items WHERE object_id = ?", (name,)).fetchall()
            assert b"in time" in kept


def test_a_worker_that_lost_its_batch_lets_go_of_it(
    upstream: ScriptedUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.resources.batch_run.TELL_S", 60.0)
    monkeypatch.setattr("gateway.resources.batch_runner.RENEW_S", 0.05)
    gate = Gate()
    upstream.answer(raw(gate, *claude_says("late").pieces))
    with running(config(scripted=upstream), tmp_path) as gateway:
        name = order(gateway, line("a"))
        gate.wait_reached()
        with contextlib.closing(sqlite3.connect(tmp_path / "kept" / "sluice.db")) as database, database:
            database.execute(
                "UPDATE objects SET lease_worker = 'other', lease_until = ?, version = version + 1 WHERE id = ?",
                (time.time() + 60, name),
            )
        gateway.wait_until(lambda: not gateway.app._keeping._runner._running)
        gate.open()
        assert ok(get(gateway, f"{PATH}/{name}"))["status"] == "in_progress"


def test_answers_beyond_what_is_kept_end_a_batch(
    gateway: Gateway, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.resources.batch_run.MAX_BATCH_OUTPUT_BYTES", 1500)
    upstream.answer(claude_says("x" * 1000))
    batch = finished(gateway, order(gateway, line("a") + line("b")))
    assert (batch["status"], batch["errors"]["data"][0]["code"]) == ("failed", "output_too_large")


def test_the_output_may_be_longer_than_an_upload(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answer(claude_says("x" * 100_000))
    with running(config(scripted=upstream, storage={"max_file": "64KiB"}), tmp_path) as gateway:
        batch = finished(gateway, order(gateway, line("a")))
        assert batch["status"] == "completed"
        assert len(get(gateway, f"/v1/files/{batch['output_file_id']}/content").body) > 100_000


def test_an_overdue_batch_expires(upstream: ScriptedUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.core.batching.WINDOW_S", 1)
    gate = Gate()
    upstream.answer(claude_says("1"), raw(gate, *claude_says("slow").pieces))
    with running(config(scripted=upstream, batches={"concurrency": 2}), tmp_path) as gateway:
        batch = finished(gateway, order(gateway, b"".join(line(f"e{n}") for n in range(5))))
        gate.open()
        assert batch["status"] == "expired"
        assert len(lines(gateway, batch["output_file_id"])) == 1
        errors = lines(gateway, batch["error_file_id"])
        assert {one["error"]["code"] for one in errors.values()} == {"batch_expired"}
        assert len(errors) == 4


def test_written_files_may_expire(gateway: Gateway) -> None:
    wish = {"anchor": "created_at", "seconds": 7200}
    name = order(gateway, line("a"), output_expires_after=wish)
    batch = finished(gateway, name)
    assert batch["output_expires_after"] == wish
    told = ok(get(gateway, f"/v1/files/{batch['output_file_id']}"))
    assert told["expires_at"] - told["created_at"] == 7200


# --- input that is none -----------------------------------------------------------------------------------------------

BAD_LINES = {
    "no JSON": (b"{", "invalid_json_line"),
    "nothing": (b"\n\n", "empty_file"),
    "no id": (b'{"method":"POST","url":"/v1/messages","body":{}}', "missing_required_parameter"),
    "another endpoint": (line("a", CHAT), "url_mismatch"),
    "a stream": (line("a", stream=True), "invalid_value"),
    "twice": (line("a") + line("a"), "duplicate_custom_id"),
    "half a surrogate": (line("a").replace(b'"a"', b'"\\ud800"', 1), "invalid_json_line"),
    "no text": (b"\xff\xfe", "invalid_json_line"),
}


@pytest.mark.parametrize("what", BAD_LINES)
def test_a_bad_input_file_fails_with_its_lines(gateway: Gateway, upstream: ScriptedUpstream, what: str) -> None:
    content, code = BAD_LINES[what]
    batch = finished(gateway, order(gateway, line("good") + content if what != "nothing" else content))
    assert batch["status"] == "failed"
    (error,) = batch["errors"]["data"]
    assert error["code"] == code
    assert error["message"]
    if what != "nothing":
        assert error["line"] == (3 if what == "twice" else 2)
    assert upstream.requests == []
    assert (batch["output_file_id"], batch["error_file_id"]) == (None, None)


def test_an_input_file_that_is_gone_fails_its_batch(
    gateway: Gateway, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    upstream.answer(raw(gate, *claude_says("slow").pieces))
    blockers = [order(gateway, line(f"blocker {n}")) for n in range(3)]
    gateway.wait_until(lambda: len(upstream.requests) == 3)
    name = order(gateway, line("a"))
    file = ok(get(gateway, f"{PATH}/{name}"))["input_file_id"]
    ok(ask(gateway, "DELETE", f"/v1/files/{file}"))
    gate.open()
    batch = finished(gateway, name)
    assert batch["status"] == "failed"
    assert batch["errors"]["data"][0]["code"] == "file_not_found"
    assert [finished(gateway, one)["status"] for one in blockers] == ["completed"] * 3


def test_a_defect_of_ours_ends_its_batch(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gateway.resources.batch_run.finalize", broken)
    batch = finished(gateway, order(gateway, line("a")))
    assert (batch["status"], batch["errors"]["data"][0]["code"]) == ("failed", "server_error")
    told = gateway.wait_for_line(lambda entry: entry.get("message") == "batch given up")
    assert "ZeroDivisionError" in told["error"]


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"endpoint": "/v1/files"}, 400, "endpoint"),
        ({"endpoint": 5}, 400, None),
        ({"completion_window": "1h"}, 400, "completion_window"),
        ({"metadata": {"k": "v" * 513}}, 400, "metadata"),
        ({"input_file_id": 5}, 400, None),
        ({"input_file_id": "file-unknown"}, 404, None),
        ({"input_file_id": "../x"}, 404, None),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, 400, "output_expires_after.seconds"),
    ],
)
def test_a_wrong_order_is_refused(gateway: Gateway, change: Any, status: int, param: str | None) -> None:
    file = ok(upload(gateway, line("a")))["id"]
    good = {"input_file_id": file, "endpoint": MESSAGES, "completion_window": "24h"}
    answer = ask(gateway, "POST", PATH, {**good, **change})
    assert answer.status == status
    assert answer.error["param"] == param
    for name in good:
        without = {key: value for key, value in good.items() if key != name}
        assert name in ask(gateway, "POST", PATH, without).error["message"]


def test_a_file_of_another_purpose_is_no_input(gateway: Gateway) -> None:
    file = ok(upload(gateway, line("a"), "user_data"))["id"]
    asked = {"input_file_id": file, "endpoint": MESSAGES, "completion_window": "24h"}
    assert ask(gateway, "POST", PATH, asked).error["param"] == "input_file_id"


def test_fields_without_a_meaning_are_named(gateway: Gateway) -> None:
    file = ok(upload(gateway, line("a")))["id"]
    asked = {"input_file_id": file, "endpoint": MESSAGES, "completion_window": "24h", "model": "x", "a b": 1}
    answer = ask(gateway, "POST", PATH, asked)
    assert answer.status == 200
    assert answer.headers["x-sluice-dropped"] == "model, ?"


def test_batches_are_listed(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with running(config(scripted=upstream), tmp_path) as gateway:
        made = [order(gateway, line("a")) for _ in range(3)]
        listed = ok(get(gateway, f"{PATH}?limit=2"))
        assert ([row["id"] for row in listed["data"]], listed["has_more"]) == (made[:0:-1], True)
        rest = ok(get(gateway, f"{PATH}?after={listed['last_id']}"))
        assert ([row["id"] for row in rest["data"]], rest["has_more"]) == (made[:1], False)
        assert get(gateway, f"{PATH}?limit=101").status == 400
        assert get(gateway, f"{PATH}?after=batch_unknown").status == 400
        for name in made:
            finished(gateway, name)


@pytest.mark.parametrize("name", ["batch_unknown", "..", "%2e%2e", "a%2Fb", "%00", "x" * 3000])
def test_hostile_ids_lead_nowhere(gateway: Gateway, name: str) -> None:
    assert get(gateway, f"{PATH}/{name}").status == 404
    assert ask(gateway, "POST", f"{PATH}/{name}/cancel").status == 404


# --- at a provider ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def both(keeper: Keeper, upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(config(keeper, upstream), tmp_path_factory.mktemp("both")) as gateway:
        yield gateway


def test_a_provider_runs_the_batches_of_its_files(both: Gateway, keeper: Keeper) -> None:
    file = ok(upload(both, line("a")))["id"]
    native_file = file.partition(".")[0]
    asked = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h", "future": [1]}
    made = ok(ask(both, "POST", PATH, asked))
    assert keeper.last.json == {**asked, "input_file_id": native_file}
    native = made["id"].partition(".")[0]
    assert made["input_file_id"] == file
    assert made["id"].startswith("batch_n")
    keeper.objects[native] |= {"status": "completed", "output_file_id": native_file, "error_file_id": None}
    found = ok(get(both, f"{PATH}/{made['id']}"))
    assert (found["status"], found["output_file_id"]) == ("completed", file)
    keeper.contents[native_file] = b"results"
    assert get(both, f"/v1/files/{found['output_file_id']}/content").body == b"results"
    assert ok(ask(both, "POST", f"{PATH}/{made['id']}/cancel"))["status"] == "cancelling"
    assert keeper.last.path == f"{PATH}/{native}/cancel"


def test_a_list_shows_how_native_batches_are_now(both: Gateway, keeper: Keeper) -> None:
    file = ok(upload(both, line("a")))["id"]
    asked = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"}
    made = ok(ask(both, "POST", PATH, asked))
    own_file = ok(upload(both, line("a"), query="?provider=sluice"))["id"]
    own = ok(ask(both, "POST", PATH, {**asked, "input_file_id": own_file, "endpoint": MESSAGES}))
    keeper.objects[made["id"].partition(".")[0]]["status"] = "finalizing"
    finished(both, own["id"])
    rows = {row["id"]: row for row in ok(get(both, PATH))["data"]}
    assert rows[made["id"]]["status"] == "finalizing"
    assert rows[made["id"]]["input_file_id"] == file
    assert rows[own["id"]]["status"] == "completed"
    assert [row["id"] for row in ok(get(both, f"{PATH}?provider=sluice"))["data"]] == [own["id"]]
    assert own["id"] not in [row["id"] for row in ok(get(both, f"{PATH}?provider=native"))["data"]]
    # a provider that says nothing is no reason to show nothing
    keeper.refusals = [Answer({"error": {"message": "x"}}, 500)] * 20
    rows = {row["id"]: row for row in ok(get(both, PATH))["data"]}
    keeper.refusals = []
    assert rows[made["id"]]["status"] == "validating"


def test_files_and_batches_belong_together(both: Gateway, keeper: Keeper) -> None:
    native = ok(upload(both, line("a")))["id"]
    own = ok(upload(both, line("a"), query="?provider=sluice"))["id"]
    keeper.forget()
    good = {"endpoint": MESSAGES, "completion_window": "24h"}
    forged = native[:-1] + ("A" if native[-1] != "A" else "B")
    assert ask(both, "POST", PATH, {**good, "input_file_id": forged}).status == 404
    assert ask(both, "POST", PATH, {**good, "input_file_id": native.replace(".native.", ".claude.")}).status == 404
    named = ask(both, "POST", f"{PATH}?provider=native", {**good, "input_file_id": own})
    assert named.error["param"] == "input_file_id"
    assert keeper.asked == []


# --- no store ---------------------------------------------------------------------------------------------------------


def test_without_a_store_only_a_provider_runs_batches(keeper: Keeper, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    with running(config(keeper), tmp_path, SLUICE_STORAGE__PATH=str(blocked / "sluice.db")) as gateway:
        asked = {"input_file_id": "file-x", "endpoint": CHAT, "completion_window": "24h"}
        for answer in (ask(gateway, "POST", PATH, asked), get(gateway, PATH), get(gateway, f"{PATH}/batch_x")):
            assert (answer.status, answer.error["code"]) == (503, "storage_unavailable")
        file = ok(upload(gateway, line("a")))["id"]
        made = ok(ask(gateway, "POST", PATH, {**asked, "input_file_id": file}))
        assert ok(get(gateway, f"{PATH}/{made['id']}"))["status"] == "validating"
    assert MASTER not in str(keeper.asked)
