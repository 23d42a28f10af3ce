import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import UpstreamBroken, UpstreamError, UpstreamRefused, UpstreamTimeout, UpstreamUnreachable
from gateway.core.retry import RetryPolicy, retry_delay

THREE = RetryPolicy(attempts=3, base=1.0, cap=5.0)


def refused(retry_after_s: float | None = None, *, retryable: bool = True) -> UpstreamRefused:
    return UpstreamRefused("no", upstream_status=503, retryable=retryable, retry_after_s=retry_after_s)


def test_one_attempt_means_no_retry() -> None:
    assert retry_delay(RetryPolicy(attempts=1), 1, refused(), 0.0) is None
    assert retry_delay(RetryPolicy(attempts=1), 1, refused(0.0), 0.0) is None


def test_attempts_are_counted_in_all() -> None:
    assert [retry_delay(THREE, attempt, refused(), 0.0) is None for attempt in (1, 2, 3, 4)] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("error", "is_retried"),
    [
        (refused(), True),
        (refused(retryable=False), False),
        (refused(1.0, retryable=False), False),
        (UpstreamBroken("cut"), True),
        (UpstreamUnreachable("down"), True),
        (UpstreamTimeout("slow", phase="connect"), True),
        (UpstreamTimeout("slow", phase="headers"), True),
        (UpstreamTimeout("slow", phase="first_token"), True),
        (UpstreamTimeout("slow", phase="total"), False),
    ],
)
def test_only_what_may_succeed_is_tried_again(error: UpstreamError, is_retried: bool) -> None:
    assert (retry_delay(THREE, 1, error, 0.5) is not None) is is_retried


def test_waits_double_up_to_the_cap() -> None:
    policy = RetryPolicy(attempts=10, base=1.0, cap=5.0)
    almost_one = 1.0 - 2**-53
    longest = [retry_delay(policy, attempt, refused(), almost_one) for attempt in range(1, 6)]
    assert longest == pytest.approx([1.0, 2.0, 4.0, 5.0, 5.0])


def test_jitter_spreads_over_the_upper_half() -> None:
    assert retry_delay(THREE, 1, refused(), 0.0) == 0.5
    assert retry_delay(THREE, 1, refused(), 0.5) == 0.75
    assert retry_delay(THREE, 2, refused(), 0.0) == 1.0


@pytest.mark.parametrize(("asked", "delay"), [(0.0, 0.0), (0.01, 0.01), (5.0, 5.0), (5.001, None), (3600.0, None)])
def test_the_providers_own_wait_is_obeyed_or_nothing_is_tried(asked: float, delay: float | None) -> None:
    assert retry_delay(THREE, 1, refused(asked), 0.9) == delay


policies = st.builds(RetryPolicy, attempts=st.integers(1, 10), base=st.floats(0, 1e6), cap=st.floats(0, 1e6))


@given(policies, st.integers(1, 12), st.none() | st.floats(0, 1e6), st.booleans(), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_within_the_policy_or_there_is_none(
    policy: RetryPolicy, attempt: int, asked: float | None, retryable: bool, jitter: float
) -> None:
    delay = retry_delay(policy, attempt, refused(asked, retryable=retryable), jitter)
    if delay is None:
        assert attempt >= policy.attempts or not retryable or (asked is not None and asked > policy.cap)
    else:
        assert 0 <= delay <= policy.cap
        assert attempt < policy.attempts
        assert retryable
        assert asked is None or delay == asked


@pytest.mark.parametrize("text", ["attempts: 0", "attempts: 11", "base: -1", "cap: -0.1", "tries: 2"])
def test_a_policy_outside_its_bounds_cannot_be_configured(text: str) -> None:
    name, _, value = text.partition(": ")
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({name: float(value) if "." in value else int(value)}, RetryPolicy)
