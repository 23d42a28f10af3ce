import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import batching
from gateway.core.batching import (
    BATCH_ENDPOINTS,
    WINDOW_S,
    Batch,
    BatchError,
    BatchOrder,
    RequestCounts,
    decode_batch,
    encode_batch,
    read_order,
)
from gateway.core.errors import BadRequest

ORDER = BatchOrder("file-1", "/v1/chat/completions", {"team": "a"}, None, ())
NEW = batching.create(ORDER, "batch_1", 1000)


def body(**changes: object) -> bytes:
    order = {"input_file_id": "file-1", "endpoint": "/v1/responses", "completion_window": "24h", **changes}
    return json.dumps(order).encode()


def test_an_order_is_read() -> None:
    assert read_order(body()) == BatchOrder("file-1", "/v1/responses", None, None, ())
    full = body(metadata={"a": "b"}, output_expires_after={"anchor": "created_at", "seconds": 3600}, model="x")
    assert read_order(full) == BatchOrder("file-1", "/v1/responses", {"a": "b"}, 3600, ("model",))


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"endpoint": "/v1/files"}, "endpoint"),
        ({"endpoint": 1}, "endpoint"),
        ({"input_file_id": None}, "input_file_id"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: ""}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 3599}}, "output_expires_after"),
        ({"output_expires_after": {"anchor": "last_active_at", "seconds": 3600}}, "output_expires_after"),
    ],
)
def test_a_wrong_order_is_told_what_is_wrong(changes: dict[str, object], name: str) -> None:
    with pytest.raises(BadRequest, match=name):
        read_order(body(**changes))


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"input_file_id":"x"}', b"\xff"])
def test_what_is_no_order_is_refused(text: bytes) -> None:
    with pytest.raises(BadRequest):
        read_order(text)


values = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.dictionaries(st.text(max_size=3), st.text())
)


@given(st.sampled_from(["input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"]), values)
def test_any_value_in_any_field_is_read_or_refused(name: str, value: object) -> None:
    try:
        order = read_order(body(**{name: value}))
    except BadRequest:
        return
    assert json.loads(encode_batch(batching.create(order, "b", 1)))["endpoint"] in BATCH_ENDPOINTS


def test_a_new_batch_looks_as_clients_know_it() -> None:
    assert json.loads(encode_batch(NEW)) == {
        "id": "batch_1",
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "errors": None,
        "input_file_id": "file-1",
        "completion_window": "24h",
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": 1000,
        "in_progress_at": None,
        "expires_at": 1000 + WINDOW_S,
        "finalizing_at": None,
        "completed_at": None,
        "failed_at": None,
        "expired_at": None,
        "cancelling_at": None,
        "cancelled_at": None,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": {"team": "a"},
    }


def test_the_life_of_a_batch() -> None:
    batch = batching.start(NEW, 3, 1001)
    batch = batching.count(batch, 2, 1)
    batch = batching.finalize(batch, 1002)
    assert not batch.is_final
    batch = batching.end(batch, "completed", 1003, "file-2", None)
    assert batch.is_final
    assert (batch.in_progress_at, batch.finalizing_at, batch.completed_at) == (1001, 1002, 1003)
    assert (batch.status, batch.output_file_id, batch.error_file_id) == ("completed", "file-2", None)
    assert batch.request_counts == RequestCounts(3, 2, 1)
    assert decode_batch(encode_batch(batch)) == batch


def test_a_faulty_input_file_fails_the_batch() -> None:
    failed = batching.fail(NEW, (BatchError("invalid_json_line", "no", None, 4),), 1001)
    read = json.loads(encode_batch(failed))
    assert (read["status"], read["failed_at"]) == ("failed", 1001)
    assert read["errors"] == {
        "object": "list",
        "data": [{"code": "invalid_json_line", "message": "no", "param": None, "line": 4}],
    }


def test_a_running_batch_is_cancelled_once() -> None:
    cancelling = batching.cancel(batching.start(NEW, 1, 1001), 1002)
    assert (cancelling.status, cancelling.cancelling_at) == ("cancelling", 1002)
    assert batching.cancel(cancelling, 1003) is cancelling
    cancelled = batching.end(cancelling, "cancelled", 1004, None, "file-3")
    assert (cancelled.status, cancelled.cancelled_at, cancelled.error_file_id) == ("cancelled", 1004, "file-3")
    assert batching.cancel(cancelled, 1005) is cancelled


def test_an_ended_batch_cannot_be_cancelled() -> None:
    with pytest.raises(BadRequest, match="'failed'"):
        batching.cancel(batching.fail(NEW, (), 1001), 1002)


@pytest.mark.parametrize(
    ("batch", "is_overdue"),
    [
        (NEW, True),
        (batching.start(NEW, 1, 1001), True),
        (batching.cancel(NEW, 1001), False),
        (batching.fail(NEW, (), 1001), False),
    ],
)
def test_what_has_not_ended_in_time_is_overdue(batch: Batch, is_overdue: bool) -> None:
    assert batch.is_overdue(NEW.expires_at) is is_overdue
    assert not batch.is_overdue(NEW.expires_at - 1)


def test_no_step_is_skipped_and_none_is_taken_back() -> None:
    running = batching.start(NEW, 1, 1001)
    done = batching.end(batching.finalize(running, 1002), "completed", 1003, None, None)
    for step in (
        lambda: batching.finalize(NEW, 1),
        lambda: batching.start(running, 1, 1),
        lambda: batching.end(running, "completed", 1, None, None),
        lambda: batching.end(running, "cancelled", 1, None, None),
        lambda: batching.end(batching.cancel(running, 1), "expired", 1, None, None),
        lambda: batching.fail(done, (), 1),
    ):
        with pytest.raises(ValueError, match="cannot become"):
            step()


@pytest.mark.parametrize(("completed", "failed"), [(2, 2), (4, 0), (-1, 1)])
def test_counts_add_up(completed: int, failed: int) -> None:
    with pytest.raises(ValueError, match="of 3"):
        batching.count(batching.start(NEW, 3, 1), completed, failed)


def test_every_state_is_named_once() -> None:
    states = set(msgspec.inspect.type_info(batching.Status).values)  # type: ignore[attr-defined]
    finals = states - set(batching.UNFINISHED)
    assert finals == {"failed", "completed", "expired", "cancelled"}
    assert {name for name in states if f"{name}_at" in Batch.__struct_fields__} == states - {"validating"}
    assert len(BATCH_ENDPOINTS) == 6
