import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import batch_lines
from gateway.core.batch_lines import (
    CANCELLED,
    BatchReader,
    BatchRequest,
    error_line,
    read_result,
    result_line,
    resume,
)
from gateway.core.batching import BatchError
from gateway.core.limits import MAX_CUSTOM_ID_CHARS, MAX_JSON_CONTAINERS, MAX_JSON_MEMBERS
from tests.kit.feeds import byte_by_byte, feed_all, splits, whole

URL = "/v1/chat/completions"


def line(custom_id: object = "a", **changes: object) -> bytes:
    fields = {"custom_id": custom_id, "method": "POST", "url": URL, "body": {"model": "m"}, **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()


def read(pieces: list[bytes]) -> tuple[list[BatchRequest], list[BatchError], int]:
    reader = BatchReader(URL)
    requests = [*feed_all(reader.feed, pieces), *reader.finish()]
    return requests, reader.errors, reader.total


def test_requests_are_read_line_by_line() -> None:
    first = b'{"custom_id": "a", "method": "POST", "url": "%b", "body": { "model":"m","n":1.50 } }' % URL.encode()
    requests, errors, total = read([b"\xef\xbb\xbf" + first + b"\r\n\n  \n" + line("b")])
    assert requests == [
        BatchRequest(1, "a", URL, b'{ "model":"m","n":1.50 }'),
        BatchRequest(4, "b", URL, b'{"model": "m"}'),
    ]
    assert (errors, total) == ([], 2)


@pytest.mark.parametrize(
    ("text", "code", "param"),
    [
        (b"not json", "invalid_json_line", None),
        (b"[1]", "invalid_json_line", None),
        (b'{"custom_id":"\xff"}', "invalid_json_line", None),
        (b"[" * 5000, "invalid_json_line", None),
        (line(...), "missing_required_parameter", "custom_id"),
        (line(7), "invalid_type", "custom_id"),
        (line(""), "invalid_value", "custom_id"),
        (line("x" * (MAX_CUSTOM_ID_CHARS + 1)), "invalid_value", "custom_id"),
        (line("HALF").replace(b"HALF", b"\\udc00"), "invalid_json_line", None),
        (line(method="GET"), "invalid_value", "method"),
        (line(method=...), "missing_required_parameter", "method"),
        (line(url="/v1/embeddings"), "url_mismatch", "url"),
        (line(url=...), "missing_required_parameter", "url"),
        (line(body=...), "missing_required_parameter", "body"),
        (line(body=None), "invalid_type", "body"),
        (line(body=[1]), "invalid_type", "body"),
        (line(body={"stream": True}), "invalid_value", "body.stream"),
    ],
)
def test_what_is_wrong_with_a_line_is_told(text: bytes, code: str, param: str | None) -> None:
    requests, errors, _ = read([line("first") + b"\n" + text + b"\n" + line("last")])
    assert [request.custom_id for request in requests] == ["first", "last"]
    assert [(error.code, error.param, error.line) for error in errors] == [(code, param, 2)]
    assert errors[0].message.endswith(".")


def test_not_streaming_may_be_said() -> None:
    assert read([line(body={"stream": False}) + b"\n" + line("b", body={"stream": None})])[1] == []


@pytest.mark.parametrize("changes", [{}, {"method": "GET"}])
def test_an_id_is_used_once_even_by_a_wrong_line(changes: dict[str, object]) -> None:
    errors = read([line("a", **changes) + b"\n" + line("a")])[1]
    assert (errors[-1].code, errors[-1].line) == ("duplicate_custom_id", 2)


@pytest.mark.parametrize("text", [b"", b"\n\n", b" \r\n"])
def test_a_file_without_requests_is_empty(text: bytes) -> None:
    assert [(error.code, error.line) for error in read([text])[1]] == [("empty_file", None)]


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_lines, "MAX_BATCH_REQUESTS", 2)
    monkeypatch.setattr(batch_lines, "MAX_BATCH_ERRORS", 3)
    three = b"\n".join([line("a"), line("b"), line("c"), line("d")])
    requests, errors, _ = read([three])
    assert [request.custom_id for request in requests] == ["a", "b"]
    assert [(error.code, error.line) for error in errors] == [("too_many_tasks", 3)]
    assert [error.line for error in read([b"x\n" * 10])[1]] == [1, 2, 3]
    monkeypatch.setattr(batch_lines, "MAX_BATCH_LINE_BYTES", len(line("a")))
    assert read([line("a")])[1] == []
    for pieces in (whole(line("aa") + b"\n" + line("b")), byte_by_byte(line("aa"))):
        requests, errors, _ = read(pieces)
        assert requests == []
        assert [(error.code, error.line) for error in errors] == [("invalid_json_line", 1)]


def test_a_line_of_too_many_parts_is_never_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    original = batch_lines._read_line
    monkeypatch.setattr(batch_lines, "_read_line", lambda line: decoded.append(line) or original(line))
    members = b",".join(b'"%d":1' % n for n in range(MAX_JSON_MEMBERS + 1))
    containers = b"[" + b",".join([b"[]"] * MAX_JSON_CONTAINERS) + b"]"
    for part in (b"{%b}" % members, b'{"a":%b}' % containers):
        for wrong in (line("a").replace(b'{"model": "m"}', part), part):
            requests, errors, _ = read([wrong + b"\n" + line("b")])
            assert [request.custom_id for request in requests] == ["b"]
            assert [(error.code, error.line) for error in errors] == [("invalid_json_line", 1)]
            assert "more than" in errors[0].message
    assert decoded == [line("b")] * 4


def test_blank_lines_are_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    original = BatchReader._take_line
    monkeypatch.setattr(BatchReader, "_take_line", lambda self: taken.append(1) or original(self))
    blank = b" \t\r\n\n" * 100_000
    requests, errors, _ = read([blank + line("a") + blank + b"x", blank, blank + line("b")])
    assert [(request.custom_id, request.line) for request in requests] == [("a", 200_001), ("b", 800_001)]
    assert [error.line for error in errors] == [400_001]
    assert len(taken) == 3


def test_behind_what_is_too_much_nothing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_lines, "MAX_BATCH_ERRORS", 2)
    reader = BatchReader(URL)
    taken: list[int] = []
    original = BatchReader._take_line
    monkeypatch.setattr(BatchReader, "_take_line", lambda self: taken.append(1) or original(self))
    for _ in range(3):
        reader.feed(b"x\n" * 1000)
    assert (len(taken), len(reader.errors)) == (2, 2)
    assert len(reader._pending) == 0


lines = st.sampled_from(
    [line("a"), line("b"), line("b", url="/x"), line(7), b"{}", b"x", b"", b" ", b"\r", b"\xef\xbb\xbf", line("é" * 3)]
)
files = st.lists(lines, max_size=8).map(b"\n".join)


@given(files.flatmap(lambda data: st.tuples(st.just(data), splits(data))))
def test_cuts_do_not_matter(case: tuple[bytes, list[bytes]]) -> None:
    data, pieces = case
    assert read(whole(data)) == read(byte_by_byte(data)) == read(pieces)


@given(st.binary(max_size=60))
def test_any_bytes_are_read(data: bytes) -> None:
    requests, errors, _ = read([data])
    assert requests == []
    assert errors


def test_a_batch_is_resumed_where_it_was_left() -> None:
    requests = read([b"\n".join(map(line, "abcd"))])[0]
    assert [request.custom_id for request in resume(requests, {"a", "c", "gone"})] == ["b", "d"]


# --- results ------------------------------------------------------------------------------------------------------


def test_an_answer_becomes_one_line() -> None:
    written = result_line("batch_req_1", "a", 200, "req-1", b'{ "n": 1.50,\n  "t": "x y" }')
    assert written == (
        b'{"id":"batch_req_1","custom_id":"a",'
        b'"response":{"status_code":200,"request_id":"req-1","body":{"n":1.50,"t":"x y"}},"error":null}\n'
    )


def test_a_request_without_an_answer_says_why() -> None:
    assert json.loads(error_line("batch_req_1", "a", *CANCELLED)) == {
        "id": "batch_req_1",
        "custom_id": "a",
        "response": None,
        "error": {
            "code": "batch_cancelled",
            "message": "This request was not executed because the batch was cancelled.",
        },
    }


@given(st.binary(max_size=40) | st.sampled_from([b"<html>\n", b"01", b"{} x", b"[" * 5000, b'"\xff"', b""]))
def test_any_body_becomes_one_line_of_json(body: bytes) -> None:
    written = result_line("r", "a", 500, "q", body)
    assert written.count(b"\n") == 1
    assert written.endswith(b"\n")
    json.loads(written)


@pytest.mark.parametrize(
    ("status", "is_completed"), [(200, True), (299, True), (199, False), (400, False), (500, False)]
)
def test_only_a_success_is_completed(status: int, is_completed: bool) -> None:
    result = read_result(result_line("r", "a", status, "q", b"{}"))
    assert result is not None
    assert (result.custom_id, result.is_completed) == ("a", is_completed)


def test_an_error_line_is_not_completed() -> None:
    result = read_result(error_line("r", "a", "c", "m"))
    assert result is not None
    assert not result.is_completed


def test_a_line_that_broke_off_is_none() -> None:
    written = result_line("r", "a", 200, "q", b"{}")
    assert [cut for cut in range(len(written) - 1) if read_result(written[:cut]) is not None] == []
