import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.contract import Script
from providers.simulation.directives import MAX_OUTPUT_TOKENS, NONE, SILENCE_S, Directives
from providers.simulation.refusals import RefusedError
from providers.simulation.scripts import EVENTS_PER_PIECE, MAX_PIECES, Stream, plain_script, stream_script

STREAM = Stream(opening=[b"<"], events=[b"a", b"b", b"c"], closing=[b">", b"."])


def stream(directives: Directives, silent_tokens: int = 0) -> Script:
    return stream_script(Stream(STREAM.opening, STREAM.events, STREAM.closing, silent_tokens), directives, ())


def plain(directives: Directives) -> Script:
    return plain_script(b"0123456789", 4, directives, ())


def test_without_directives_everything_is_one_piece_without_delay() -> None:
    assert stream(NONE).chunks == [(0.0, b"<abc>.")]
    assert plain(NONE).chunks == [(0.0, b"0123456789")]
    assert stream(NONE).delay_s == plain(NONE).delay_s == 0.0


def test_a_long_stream_comes_in_several_pieces() -> None:
    events = [b"%d," % number for number in range(2 * EVENTS_PER_PIECE)]
    chunks = stream_script(Stream([], events, []), NONE, ()).chunks
    assert len(chunks) == 2
    assert b"".join(data for _, data in chunks) == b"".join(events)


def test_speed_spaces_the_tokens_of_a_stream() -> None:
    assert stream(Directives(tokens_per_second=4, latency=1.0)).chunks == [
        (0.0, b"<"),
        (0.25, b"a"),
        (0.25, b"b"),
        (0.25, b"c"),
        (0.0, b">."),
    ]
    assert stream(Directives(tokens_per_second=4, latency=1.0)).delay_s == 1.0


def test_reasoning_takes_its_time_before_the_first_token() -> None:
    assert [delay for delay, _ in stream(Directives(tokens_per_second=4), silent_tokens=8).chunks][:3] == [
        0,
        2.25,
        0.25,
    ]


def test_a_plain_answer_waits_for_all_its_tokens() -> None:
    assert plain(Directives(tokens_per_second=2, latency="500ms")).delay_s == 2.5


@pytest.mark.parametrize(
    ("tokens", "stream_bytes", "plain_bytes"), [(0, b"<", b""), (2, b"<ab", b"0123"), (99, b"<abc", b"012345678")]
)
def test_a_truncated_answer_is_cut_and_never_whole(tokens: int, stream_bytes: bytes, plain_bytes: bytes) -> None:
    for script, expected in (
        (stream(Directives(truncate_after=tokens)), stream_bytes),
        (plain(Directives(truncate_after=tokens)), plain_bytes),
    ):
        assert script.is_cut
        assert b"".join(data for _, data in script.chunks) == expected


def test_a_stalled_answer_falls_silent_and_never_ends() -> None:
    for script in (stream(Directives(stall_after=1)), plain(Directives(stall_after=1))):
        assert script.chunks[-1] == (SILENCE_S, b"")
        assert script.is_cut


def test_a_fault_stands_in_place_of_the_end() -> None:
    script = stream(Directives(fault_after=2, status=None, error_type="overloaded"))
    data = b"".join(data for _, data in script.chunks)
    assert data.startswith(b'<abdata: {"error":{"message":')
    assert data.endswith(b"\n\n")
    assert not script.is_cut


def test_a_fault_of_a_plain_answer_is_an_error_status() -> None:
    with pytest.raises(RefusedError) as caught:
        plain(Directives(fault_after=2))
    assert caught.value.status == 503


@given(st.integers(1, 20), st.sampled_from([None, 100.0]))
def test_recutting_changes_no_byte_and_no_delay(size: int, speed: float | None) -> None:
    whole = stream(Directives(tokens_per_second=speed))
    cut = stream(Directives(tokens_per_second=speed, chunk_bytes=size))
    assert b"".join(data for _, data in cut.chunks) == b"".join(data for _, data in whole.chunks)
    assert sum(delay for delay, _ in cut.chunks) == sum(delay for delay, _ in whole.chunks)
    assert all(len(data) <= size for _, data in cut.chunks)


def test_recutting_is_bounded() -> None:
    events = [b"x" * 250] * MAX_OUTPUT_TOKENS
    script = stream_script(Stream([], events, []), Directives(chunk_bytes=1), ())
    assert len(script.chunks) < MAX_PIECES + 2 * MAX_OUTPUT_TOKENS / EVENTS_PER_PIECE
    assert sum(len(data) for _, data in script.chunks) == 250 * MAX_OUTPUT_TOKENS
