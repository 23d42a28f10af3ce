"""What streamed answers pass through."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.limits import MAX_OBSERVED_BODY_BYTES
from gateway.core.types import Event, Fault, Finish, FinishReason, Start, TextDelta, Usage
from gateway.flow import PassFlow, Translation
from providers.contract import Summary
from tests.kit.feeds import cut_at

# --- bytes that mean nothing ------------------------------------------------------------------------------------------


class Reader:
    """Remembers what it was given to read."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def __call__(self, body: bytes) -> Summary:
        self.bodies.append(body)
        return Summary(Usage(input_tokens=len(body)))


def no_answer(_body: bytes) -> Summary:
    raise ValueError("no JSON")


@given(st.binary(max_size=60), st.sets(st.integers(0, 60), max_size=5))
def test_every_byte_passes_and_is_read_whole_however_it_is_cut(body: bytes, places: set[int]) -> None:
    reader = Reader()
    flow = PassFlow(reader)
    pieces = [piece for piece in cut_at(body, sorted(places)) if piece]
    assert b"".join([*(flow.feed(piece) for piece in pieces), flow.finish()]) == body
    assert reader.bodies == [body]
    assert flow.usage == Usage(input_tokens=len(body))
    assert flow.has_token == bool(body)


def test_what_passes_breaks_nothing_and_ends_with_its_connection() -> None:
    flow = PassFlow(Reader())
    flow.feed(b'data: {"error":{"message":"no"}}\n\n')
    flow.finish()
    assert (flow.fault, flow.is_complete, flow.is_fault_told, flow.finish_reason) == (None, False, False, None)
    assert flow.answer_id is None


@pytest.mark.parametrize("read_summary", [None, no_answer])
def test_what_cannot_be_read_passes_all_the_same(read_summary: Any) -> None:
    flow = PassFlow(read_summary)
    assert flow.feed(b"ID3\x04") + flow.finish() == b"ID3\x04"
    assert flow.usage is None
    assert flow.has_token


@pytest.mark.parametrize(("excess", "is_read"), [(0, True), (1, False)])
def test_a_large_answer_passes_without_being_kept(excess: int, is_read: bool) -> None:
    reader = Reader()
    flow = PassFlow(reader)
    piece = b"x" * (MAX_OBSERVED_BODY_BYTES // 2)
    for data in (piece, piece, b"y" * excess, b""):
        assert flow.feed(data) == data
    assert flow.finish() == b""
    assert bool(reader.bodies) is is_read
    assert (flow.usage is not None) is is_read


# --- translations -----------------------------------------------------------------------------------------------------


class Script:
    """A transducer that says what is written down for each byte, and an encoder that repeats it."""

    def __init__(self, **said: list[Event]) -> None:
        self._said = said
        self.usage: Usage | None = None
        self.kept = None
        self.encoded: list[Event] = []

    def feed(self, data: bytes) -> list[Event]:
        self.usage = Usage(output_tokens=len(data))
        return [event for byte in data.decode() for event in self._said.get(byte, [])]

    def finish(self) -> list[Event]:
        return self._said.get("end", [])

    def stream(self, events: list[Event]) -> bytes:
        self.encoded += events
        return b"." * len(events)

    def body(self, events: list[Event]) -> bytes:
        raise AssertionError("a stream has no body")


STOP = Finish(FinishReason.STOP)


def test_events_are_written_as_they_come() -> None:
    script = Script(s=[Start("a", "m")], t=[TextDelta("Hi"), TextDelta("!")], f=[STOP])
    flow = Translation(script, script)
    assert flow.feed(b"s") == b"."
    assert not flow.has_token
    assert flow.feed(b"t") == b".."
    assert flow.has_token
    assert (flow.is_complete, flow.finish_reason) == (False, None)
    assert flow.feed(b"f") == b"."
    assert (flow.is_complete, flow.finish_reason, flow.usage) == (True, "stop", Usage(output_tokens=1))
    assert flow.feed(b"") + flow.finish() == b""


def test_a_fault_is_kept_for_whoever_can_set_a_status() -> None:
    fault = Fault("no")
    script = Script(t=[TextDelta("Hi"), fault], x=[TextDelta("late")], end=[fault])
    flow = Translation(script, script)
    assert flow.feed(b"t") == b"."
    assert flow.fault is fault
    assert flow.feed(b"x") + flow.finish() == b""
    assert script.encoded == [TextDelta("Hi")]


def test_a_stream_that_ends_too_early_breaks_at_its_end() -> None:
    script = Script(end=[Fault("too early")])
    flow = Translation(script, script)
    assert flow.finish() == b""
    assert flow.fault == Fault("too early")
    assert not flow.has_token
