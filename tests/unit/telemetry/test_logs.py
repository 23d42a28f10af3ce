import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.secret import Secret
from gateway.core.types import Usage
from gateway.telemetry import logs
from gateway.telemetry.logs import Log, WallClock, format_json, format_text
from gateway.telemetry.record import Record, milliseconds

any_text = st.text(st.characters(codec=None), max_size=40) | st.text(
    "\r\n\t\x1b[31m\x9b\x85\u2028\x7f\0\\\"'{}\u202e", max_size=20
)


def record(**members: Any) -> Record:
    return Record(
        **{"request_id": "req_1", "endpoint": "chat", "status": 200, "model": "gpt-4o", "provider": "openai"} | members
    )


FOREIGN = ["request_id", "requested_model", "upstream_request_id", "finish_reason", "detail"]


def record_saying(text: str) -> Record:
    """A record with ``text`` wherever a client or a provider may have put it."""
    return record(**dict.fromkeys(FOREIGN, text), model=text, dropped=(text, "n", text), error_code="upstream_error")


@contextmanager
def open_log(path: Path, **options: Any) -> Iterator[Log]:
    """A log into a file; leaving waits until all is written."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    log = Log(fd, schedule=lambda delay_s, flush: None, **{"as_json": True} | options)
    try:
        yield log
    finally:
        log.close()
        os.close(fd)


def written(path: Path, *records: Record, **options: Any) -> bytes:
    path.write_bytes(b"")
    with open_log(path, **options) as log:
        for each in records:
            log.request(each)
    return path.read_bytes()


# --- one request, one line ------------------------------------------------------------------------------------------


def test_a_request_is_one_json_object_with_what_is_known(tmp_path: Path) -> None:
    line = written(
        tmp_path / "log",
        record(
            duration_ms=12.34,
            upstream_ms=11.0,
            requested_model="smart",
            is_stream=True,
            attempts=2,
            finish_reason="stop",
            usage=Usage(input_tokens=3, output_tokens=4, cache_read_tokens=2),
            first_token_ms=5.5,
            bytes_in=100,
            bytes_out=2000,
            upstream_request_id="req_up",
            dropped=("seed",),
            cache="bypass",
        ),
    )
    assert line.endswith(b"}\n")
    said = json.loads(line)
    assert said.pop("time")[-1] == "Z"
    assert said == {
        "event": "request",
        "request_id": "req_1",
        "endpoint": "chat",
        "status": 200,
        "duration_ms": 12.34,
        "requested_model": "smart",
        "provider": "openai",
        "model": "gpt-4o",
        "stream": True,
        "cache": "bypass",
        "attempts": 2,
        "finish_reason": "stop",
        "usage": {"input_tokens": 3, "output_tokens": 4, "cache_read_tokens": 2},
        "upstream_ms": 11.0,
        "first_token_ms": 5.5,
        "bytes_in": 100,
        "bytes_out": 2000,
        "upstream_request_id": "req_up",
        "dropped": ["seed"],
    }


def test_trouble_is_said() -> None:
    said = json.loads(format_json(record(status=502, error_code="upstream_broken", detail="cut", is_truncated=True)))
    assert (said["error"], said["detail"], said["truncated"]) == ("upstream_broken", "cut", True)
    assert json.loads(format_json(record(is_disconnected=True)))["disconnected"] is True


def test_a_line_for_people_says_first_what_they_look_for() -> None:
    line = format_text(
        record(
            time="2026-11-20T09:08:07.654Z",
            duration_ms=12.34,
            usage=Usage(input_tokens=3, output_tokens=4),
            is_stream=True,
            is_truncated=True,
            error_code="upstream_broken",
            detail="cut",
        )
    )
    assert (
        line == b"09:08:07.654Z 200 chat openai/gpt-4o 12.3 ms 3+4 tokens 0>0 B stream truncated"
        b" upstream_broken (cut) req_1\n"
    )
    assert b" - 0.0 ms 0>0 B req_1\n" in format_text(record(provider="", model=""))
    assert b" asked 0.0 ms" in format_text(record(provider="", requested_model="asked"))
    tried = format_text(record(attempts=2, upstream_ms=1.25, cache="bypass", bytes_in=7, bytes_out=9, endpoint=""))
    assert b" 200 - openai/gpt-4o 0.0 ms (1.2 upstream) 7>9 B cache=bypass attempts=2 req_1" in tried


@given(any_text)
@example("a\r\nX: 1")
@example("\x1b[2J\x1b]0;title\x07")
@example("\x9b31m\x85\u2028\u2029\x7f")
@example("\ud800 lone")
@example('"}\n{"event":"forged"')
def test_whatever_others_wrote_a_json_line_stays_one_line(text: str) -> None:
    line = format_json(record_saying(text))
    assert line.endswith(b"\n")
    assert len(line.decode("ascii").splitlines()) == 1
    assert all(0x20 <= byte < 0x7F for byte in line[:-1])
    said = json.loads(line)
    assert said["dropped"] == [text, "n", text]
    for name in FOREIGN:
        # members with a default of nothing are left out when they say nothing
        assert said.get(name, "") == text


@given(any_text)
@example("a\r\nX: 1")
@example("\x1b[2J")
@example("\ud800")
@example("\u202egnp.exe")
def test_whatever_others_wrote_a_text_line_stays_one_line_and_steers_no_terminal(text: str) -> None:
    line = format_text(record_saying(text)).decode()
    assert line[-1] == "\n"
    assert line[:-1].isprintable()
    assert not text.isprintable() or text in line


@given(any_text, any_text, st.booleans())
def test_what_the_gateway_says_of_itself_is_one_line_too(message: str, value: str, as_json: bool) -> None:
    lines: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "_add", lambda log, line: lines.append(line))
        log = Log(-1, as_json=as_json, schedule=lambda delay_s, flush: None)
        log.say(message, error=value, cut=3, ok=True)
        log.close()
    assert len(lines) == 1
    assert len(lines[0].decode().splitlines()) == 1
    if as_json:
        said = json.loads(lines[0])
        assert (said["event"], said["message"], said["error"]) == ("gateway", message, value)
        assert (said["cut"], said["ok"]) == (3, True)


def test_what_the_gateway_says_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with open_log(path, as_json=False) as log:
        log.say("draining", running=2, grace_s=30.0)
    assert path.read_bytes()[12:] == b"Z draining running=2 grace_s=30.0\n"


def test_lines_keep_their_order_and_none_is_lost(tmp_path: Path) -> None:
    lines = written(tmp_path / "log", *(record(request_id=f"req_{number}") for number in range(5000)))
    assert [json.loads(line)["request_id"] for line in lines.splitlines()] == [
        f"req_{number}" for number in range(5000)
    ]


# --- secrets --------------------------------------------------------------------------------------------------------

SECRETS = [
    "sk-plain-0123456789",
    'quo"ted',
    "back\\slash",
    "tab\there",
    "café-clé",
    "漢字漢字",
    "\U0001f511\U0001f511\U0001f511\U0001f511",
    "a/b+c==",
    "del\x7fdel",
    "<&'>!",
    "\\u0041\\n",
    "x" * 4000,
]


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("secret", SECRETS, ids=ascii)
def test_no_secret_passes_in_any_member_in_any_spelling(secret: str, as_json: bool, tmp_path: Path) -> None:
    for said in (secret, f"key {secret}.", f"\n{secret}\u2028é", f"{secret}{secret}", f"\ud800{secret}"):
        line = written(
            tmp_path / "log", record_saying(said), as_json=as_json, secrets=[Secret("other-secret"), Secret(secret)]
        )
        text = json.dumps(json.loads(line), ensure_ascii=False) if as_json else line.decode()
        assert "***" in text
        for spelling in (
            secret,
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            ascii(secret)[1:-1],
        ):
            assert spelling not in text
            assert spelling.encode() not in line
        if as_json:
            assert json.loads(line)["detail"] == said.replace(secret, "***")


@pytest.mark.parametrize("member", [*FOREIGN, "dropped"])
def test_one_member_with_a_secret_is_enough_to_be_searched(member: str, tmp_path: Path) -> None:
    said = record(**{member: ("n", "my-secret") if member == "dropped" else "is my-secret here"})
    line = written(tmp_path / "log", said, secrets=[Secret("my-secret")])
    assert b"my-secret" not in line
    assert line.count(b"***") == 1


@pytest.mark.parametrize("as_json", [True, False])
def test_no_secret_passes_in_what_the_gateway_says(as_json: bool, tmp_path: Path) -> None:
    path = tmp_path / "log"
    with open_log(path, as_json=as_json, secrets=[Secret('se"cret-é')]) as log:
        log.say('with se"cret-é in it', error='and se"cret-é here')
    assert path.read_bytes().count(b"***") == 2
    assert b"cret-" not in path.read_bytes()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_secret_that_begins_another_leaves_nothing_of_it(as_json: bool, tmp_path: Path) -> None:
    secrets = [Secret("sk-abcd"), Secret("sk-abcd-the-longer-rest"), Secret("the-longer-rest-and-more")]
    for order in (secrets, secrets[::-1]):
        for text in ("sk-abcd-the-longer-rest", "x the-longer-rest-and-more", "sk-abcdsk-abcd-the-longer-rest"):
            line = written(tmp_path / "log", record(detail=text, error_code="e"), as_json=as_json, secrets=order)
            assert b"rest" not in line
            assert b"abcd" not in line


@pytest.mark.parametrize(
    "secret", ["1234", "true", "null", "200,", '":"r', "status", "request", '"},{', "2026", "prov"]
)
def test_a_secret_that_looks_like_json_does_not_break_the_line(secret: str, tmp_path: Path) -> None:
    said = record_saying(f"<{secret}>")
    said.bytes_in, said.is_stream = 1234, True
    line = json.loads(written(tmp_path / "log", said, secrets=[Secret(secret)]))
    assert line["detail"] == "<***>"
    assert line["dropped"] == ["<***>", "n", "<***>"]
    assert (line["bytes_in"], line["status"], line["stream"]) == (1234, 200, True)


def test_a_secret_too_short_to_be_one_is_left_alone(tmp_path: Path) -> None:
    secrets = [Secret(""), Secret("a"), Secret("req")]
    assert json.loads(written(tmp_path / "log", record(), secrets=secrets))["request_id"] == "req_1"


def printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=4, max_size=12),
    any_text,
    any_text,
    st.booleans(),
)
def test_no_text_around_a_secret_lets_it_pass(secret: str, before: str, after: str, as_json: bool) -> None:
    lines: list[bytes] = []
    said = before + secret + after
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Log, "_add", lambda log, line: lines.append(line))
        log = Log(-1, as_json=as_json, secrets=[Secret(secret)], schedule=lambda delay_s, flush: None)
        log.request(record(detail=said, error_code="e"))
        log.close()
    (line,) = lines
    if as_json:
        assert json.loads(line)["detail"] == said.replace(secret, "***")
    else:
        assert printable(secret).encode() not in line
        assert b"***" in line


# --- which lines ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "statuses"),
    [
        ("debug", [0, 101, 200, 399, 400, 404, 499, 500, 503]),
        ("info", [0, 101, 200, 399, 400, 404, 499, 500, 503]),
        ("warning", [400, 404, 499, 500, 503]),
        ("error", [500, 503]),
    ],
)
def test_the_level_decides_by_status(level: str, statuses: list[int], tmp_path: Path) -> None:
    records = [record(status=status) for status in (0, 101, 200, 399, 400, 404, 499, 500, 503)]
    lines = written(tmp_path / "log", *records, level=level).splitlines()
    assert [json.loads(line).get("status", 0) for line in lines] == statuses


def test_a_stream_that_broke_off_is_said_at_every_level(tmp_path: Path) -> None:
    assert written(tmp_path / "log", record(status=200, is_truncated=True), level="error").count(b"\n") == 1


@pytest.mark.parametrize(("level", "statuses"), [("debug", [200, 404, 503]), ("info", [404, 503]), ("error", [503])])
def test_probes_are_said_when_something_is_wrong(level: str, statuses: list[int], tmp_path: Path) -> None:
    path = tmp_path / "log"
    with open_log(path, level=level) as log:
        for status in (200, 404, 503):
            log.request(record(status=status, is_probe=True))
    assert [json.loads(line)["status"] for line in path.read_bytes().splitlines()] == statuses


# --- writing --------------------------------------------------------------------------------------------------------


def test_lines_are_handed_over_in_batches(tmp_path: Path) -> None:
    scheduled: list[tuple[float, Callable[[], None]]] = []
    fd = os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY)
    log = Log(fd, as_json=True, schedule=lambda delay_s, flush: scheduled.append((delay_s, flush)))
    for _ in range(3):
        log.request(record())
    assert [delay_s for delay_s, _ in scheduled] == [logs.BATCH_S], "one timer a batch"
    scheduled[0][1]()
    log.request(record())
    assert len(scheduled) == 2
    log.close()
    os.close(fd)
    assert (tmp_path / "log").read_bytes().count(b"\n") == 4


@contextmanager
def pipe_log(**options: Any) -> Iterator[tuple[Log, int]]:
    """A log into a pipe, and the end to read it from."""
    reader, writer = os.pipe()
    if options.pop("is_nonblocking", False):
        os.set_blocking(writer, False)
    log = Log(writer, as_json=True, schedule=lambda delay_s, flush: None, **options)
    try:
        yield log, reader
    finally:
        log.close()
        os.close(writer)


def read_all(reader: int, received: list[bytes]) -> None:
    while data := os.read(reader, 1 << 16):
        received.append(data)
    os.close(reader)


def test_a_reader_that_takes_nothing_costs_lines_and_the_lines_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_PENDING_BYTES", 300_000)
    received: list[bytes] = []
    with pipe_log() as (log, reader):
        for number in range(5000):  # more than the bound and a pipe's buffer together
            log.request(record(request_id=f"req_{number:06}", detail="x" * 100, error_code="e"))
            if number % 100 == 0:
                log.flush()
        log.flush()
        dropped = log.dropped_lines
        assert dropped > 2000
        thread = threading.Thread(target=read_all, args=(reader, received))
        thread.start()
    thread.join()
    lines = b"".join(received).splitlines()
    assert len(lines) + dropped == 5000
    assert all(json.loads(line)["event"] == "request" for line in lines), "what is written is whole"


def test_once_the_reader_reads_again_lines_are_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_PENDING_BYTES", 100_000)
    received: list[bytes] = []
    with pipe_log() as (log, reader):
        filling = record(request_id="x" * 200_000)
        log.request(filling)
        log.flush()
        log.request(record(request_id="refused"))
        assert log.dropped_lines == 1
        # read what was taken: then, and only then, the writing thread gets through
        while b"\n" not in b"".join(received):
            received.append(os.read(reader, 1 << 16))
        for _ in range(1_000_000):
            if log._queued_bytes == log._written_bytes:
                break
            os.sched_yield()
        log.request(record(request_id="taken"))
        thread = threading.Thread(target=read_all, args=(reader, received))
        thread.start()
    thread.join()
    assert [json.loads(line)["request_id"][:9] for line in b"".join(received).splitlines()] == ["xxxxxxxxx", "taken"]
    assert log.dropped_lines == 1


def test_a_reader_that_is_gone_does_not_end_the_gateway_and_its_lines_are_counted() -> None:
    with pipe_log() as (log, reader):
        os.close(reader)
        for _ in range(3):
            log.request(record())
            log.request(record())
            log.flush()
    assert log.dropped_lines == 6


def test_a_descriptor_that_another_process_made_nonblocking_loses_nothing() -> None:
    received: list[bytes] = []
    with pipe_log(is_nonblocking=True) as (log, reader):
        for number in range(4000):
            log.request(record(request_id=f"req_{number}", detail="x" * 100, error_code="e"))
        log.flush()
        thread = threading.Thread(target=read_all, args=(reader, received))
        thread.start()
    thread.join()
    lines = b"".join(received).splitlines()
    assert [json.loads(line)["request_id"] for line in lines] == [f"req_{number}" for number in range(4000)]
    assert log.dropped_lines == 0


# --- times ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1767225599.999, "2025-12-31T23:59:59.999Z"),
        (1767225599.9999998, "2025-12-31T23:59:59.999Z"),
        (1767225600.0, "2026-01-01T00:00:00.000Z"),
        (1709164800.5, "2024-02-29T00:00:00.500Z"),
    ],
)
def test_times_are_rfc_3339_in_utc(seconds: float, text: str) -> None:
    assert WallClock(lambda: seconds).text() == text


def test_the_clock_follows_time_also_backwards() -> None:
    times = iter([10.25, 10.75, 11.0, 9.5])
    clock = WallClock(lambda: next(times))
    assert [clock.text()[17:] for _ in range(4)] == ["10.250Z", "10.750Z", "11.000Z", "09.500Z"]


@given(st.floats(0, 1e6))
def test_milliseconds_are_exact_to_a_hundredth(seconds: float) -> None:
    assert abs(milliseconds(seconds) - seconds * 1000) <= 0.011
    assert milliseconds(seconds) >= 0
