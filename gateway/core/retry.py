"""Whether and when to ask the same provider again. Only before the first byte has reached the client."""

from typing import Annotated

from msgspec import Meta, Struct

from gateway.core.errors import UpstreamError
from gateway.core.units import Seconds


class RetryPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``attempts`` counts the first one: 1 means no retry. The wait doubles from ``base`` up to ``cap``."""

    attempts: Annotated[
        int, Meta(ge=1, le=10, description="How often a request is tried in all; 1 means no retry.")
    ] = 2
    base: Annotated[Seconds, Meta(description="Wait before the second attempt; it doubles with each further one.")] = (
        0.25
    )
    cap: Annotated[
        Seconds, Meta(description="Longest wait between attempts. A provider that asks for more is not retried.")
    ] = 8.0


def retry_delay(policy: RetryPolicy, attempt: int, error: UpstreamError, jitter: float) -> float | None:
    """Seconds to wait after failed ``attempt`` (1, 2, ...), or None to give up.

    A provider's own ``Retry-After`` is obeyed when it fits under the cap; waiting less than asked would only be refused
    again. ``jitter`` in [0, 1) spreads the rest over the upper half, so that clients that failed together do not return
    together.
    """
    if attempt >= policy.attempts or not error.retryable:
        return None
    if error.retry_after_s is not None:
        return error.retry_after_s if error.retry_after_s <= policy.cap else None
    longest = min(policy.cap, policy.base * 2.0 ** (attempt - 1))
    return longest * (0.5 + jitter / 2)
