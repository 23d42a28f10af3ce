import pytest

from gateway.core.errors import (
    ShuttingDown,
    UpstreamBroken,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.inquiry import outcome_of


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (UpstreamRefused("x", upstream_status=429, retryable=True), "status_429"),
        (UpstreamTimeout("x", phase="stall"), "timeout_stall"),
        (UpstreamBroken("x"), "upstream_broken"),
        (UpstreamUnreachable("x"), "upstream_unreachable"),
        (ShuttingDown("x"), "shutting_down"),
    ],
)
def test_every_end_of_an_attempt_has_a_label(error: UpstreamError, outcome: str) -> None:
    assert outcome_of(error) == outcome
