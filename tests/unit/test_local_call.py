import pytest

from gateway.call import Call
from gateway.core.errors import TooLarge
from gateway.local_call import local_call


def test_a_local_call_is_asked_what_it_was_given() -> None:
    call = local_call("/v1/messages", b'{"a":1}')
    assert isinstance(call, Call)
    assert (call.method, call.path, call.query) == ("POST", "/v1/messages", "")
    assert not call.has_unread_body()
    assert call.take_body(100) == b'{"a":1}'
    assert call.bytes_in == 7
    with pytest.raises(TooLarge):
        call.take_body(6)


def test_a_plain_answer_is_kept() -> None:
    call = local_call("/x", b"")
    call.reply(429, b"Content-Type: application/json\r\nRetry-After: 12\r\n", b"later")
    assert (call.status, bytes(call.answer), call.retry_after_s, call.bytes_out) == (429, b"later", 12, 5)
    assert call.has_started
    assert not call.is_broken


@pytest.mark.parametrize(
    "headers", [b"", b"X: Retry-After: 5\r\n", b"Retry-After: soon\r\n", b"Retry-After: 1234567\r\n", b"retry-after: 5"]
)
def test_only_a_plain_number_of_seconds_is_waited_for(headers: bytes) -> None:
    call = local_call("/x", b"")
    call.reply(429, headers, b"")
    assert call.retry_after_s == 0


def test_a_streamed_answer_is_put_together() -> None:
    call = local_call("/x", b"")
    call.attach(None)
    call.start(200, b"", b"a", length=3)
    call.write(b"b")
    call.end(b"c")
    assert (call.status, bytes(call.answer)) == (200, b"abc")


def test_an_answer_that_breaks_off_or_has_no_end_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    call = local_call("/x", b"")
    call.start(200, b"", b"a")
    call.abort()
    assert call.is_broken
    monkeypatch.setattr("gateway.local_call.MAX_UPSTREAM_BODY_BYTES", 4)
    call = local_call("/x", b"")
    call.start(200, b"", b"1234")
    assert not call.is_broken
    call.write(b"5")
    assert call.is_broken
    assert bytes(call.answer) == b"1234"


def test_what_a_connection_would_be_told_is_told_to_nobody() -> None:
    line = local_call("/x", b"").line
    assert line.transport is None
    assert not line.writing_paused
    assert line.date_line == b""
    for act in (line.abort, line.end_body):
        act()
    line.send(b"x")
    line.note_body(1)
