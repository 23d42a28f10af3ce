import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.deadlines import STREAM_HEADERS_S, Deadlines, Phase, Timeouts

TIMEOUTS = Timeouts(connect=5, headers=10, first_token=20, stall=30, total=100)


def begun(timeouts: Timeouts = TIMEOUTS, *, streamed: bool = True, now: float = 1000.0) -> Deadlines:
    return Deadlines(timeouts, streamed, now, now)


def due(deadlines: Deadlines) -> tuple[float, Phase]:
    """When the next deadline passes if nothing happens any more, and its phase."""
    assert deadlines.passed(0) is None
    phase = deadlines.passed(deadlines.at)
    assert phase is not None
    return deadlines.at, phase


def test_connecting_comes_first() -> None:
    assert due(begun()) == (1005, Phase.CONNECT)


def test_a_second_attempt_to_connect_has_its_own_time_within_the_total() -> None:
    deadlines = begun()
    deadlines.sent(1001)
    deadlines.connecting(1003)
    assert due(deadlines) == (1008, Phase.CONNECT)
    deadlines.connecting(1098)
    assert due(deadlines) == (1100, Phase.TOTAL)


def test_then_the_head() -> None:
    deadlines = begun()
    deadlines.sent(1002)
    assert due(deadlines) == (1012, Phase.HEADERS)


@pytest.mark.parametrize(
    ("streamed", "expected"), [(True, (1001 + STREAM_HEADERS_S, Phase.HEADERS)), (False, (1100, Phase.TOTAL))]
)
def test_unset_the_head_of_a_plain_answer_may_take_as_long_as_all(
    streamed: bool, expected: tuple[float, Phase]
) -> None:
    deadlines = begun(Timeouts(total=100), streamed=streamed)
    deadlines.sent(1001)
    assert due(deadlines) == expected


def test_the_first_token_is_waited_for_whatever_bytes_come() -> None:
    deadlines = begun()
    deadlines.sent(1001)
    deadlines.answered(1002)
    deadlines.progressed_at = 1019
    assert due(deadlines) == (1022, Phase.FIRST_TOKEN)


def test_after_the_first_token_every_byte_puts_off_the_stall() -> None:
    deadlines = begun()
    deadlines.sent(1001)
    deadlines.answered(1002)
    deadlines.token(1003)
    assert due(deadlines) == (1033, Phase.STALL)
    deadlines.progressed_at = 1020
    assert due(deadlines) == (1050, Phase.STALL)


def test_a_plain_body_knows_no_token() -> None:
    deadlines = begun(streamed=False)
    deadlines.sent(1001)
    deadlines.answered(1002)
    assert due(deadlines) == (1032, Phase.STALL)


def test_progress_never_puts_off_the_total() -> None:
    deadlines = begun()
    deadlines.sent(1001)
    deadlines.answered(1002)
    deadlines.token(1003)
    deadlines.progressed_at = 1099
    assert due(deadlines) == (1100, Phase.TOTAL)


def test_a_deadline_at_the_same_moment_as_the_total_is_the_total() -> None:
    deadlines = begun(Timeouts(connect=100, total=100))
    assert due(deadlines) == (1100, Phase.TOTAL)


def test_while_paused_only_the_total_runs_on() -> None:
    deadlines = begun()
    deadlines.sent(1001)
    deadlines.answered(1002)
    deadlines.token(1003)
    deadlines.paused()
    assert due(deadlines) == (1100, Phase.TOTAL)


def test_resumed_the_present_phase_starts_anew() -> None:
    deadlines = begun()
    deadlines.sent(1001)
    deadlines.answered(1002)
    deadlines.paused()
    deadlines.resumed(1050)
    assert due(deadlines) == (1070, Phase.FIRST_TOKEN)
    deadlines.token(1051)
    deadlines.paused()
    deadlines.resumed(1060)
    assert due(deadlines) == (1090, Phase.STALL)


def test_a_phase_that_begins_while_paused_is_held_too() -> None:
    deadlines = begun()
    deadlines.paused()
    deadlines.sent(1001)
    assert due(deadlines) == (1100, Phase.TOTAL)


def test_a_pause_does_not_put_off_connecting() -> None:
    deadlines = begun()
    deadlines.paused()
    assert due(deadlines) == (1005, Phase.CONNECT)
    deadlines.resumed(1004)
    assert due(deadlines) == (1005, Phase.CONNECT)


STEPS = ("connecting", "sent", "answered", "token", "progressed", "paused", "resumed", "passed")


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.floats(0, 30)), max_size=20), st.booleans())
def test_nothing_is_due_before_at_and_nothing_outlives_the_total(
    steps: list[tuple[str, float]], streamed: bool
) -> None:
    deadlines = begun(streamed=streamed)
    now = 1000.0
    for step, seconds in steps:
        now += seconds
        if step == "progressed":
            deadlines.progressed_at = now
        elif step == "paused":
            deadlines.paused()
        else:
            getattr(deadlines, step)(now)
        known_at = deadlines.at
        verdict = deadlines.passed(now)
        assert (verdict is None) == (now < deadlines.at)
        assert verdict is None or now >= known_at
        assert deadlines.at <= 1100
        assert deadlines.passed(1100) is Phase.TOTAL


def test_a_body_that_waits_for_its_client_stops_every_clock() -> None:
    deadlines = begun()
    deadlines.sending(1001)
    assert deadlines.passed(10**9) is None
    deadlines.expects(1051)
    assert due(deadlines) == (1081, Phase.STALL)
    deadlines.moved(1061)
    assert due(deadlines) == (1091, Phase.STALL)
    deadlines.idles(1070)
    deadlines.idles(1080)
    deadlines.expects(1090)
    deadlines.expects(1095)
    assert due(deadlines) == (1120, Phase.STALL)
    deadlines.moved(1160)
    # 50 and 20 seconds were the client's
    assert due(deadlines) == (1170, Phase.TOTAL)


def test_a_second_attempt_to_connect_ends_the_waiting_for_the_client() -> None:
    deadlines = begun()
    deadlines.sending(1001)
    deadlines.connecting(1003)
    assert due(deadlines) == (1008, Phase.CONNECT)
