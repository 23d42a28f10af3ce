"""What a request may ask of the simulator in its field ``simulate``; ``docs/simulator.md`` has an example of each."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.core.units import parse_duration
from providers.simulation.refusals import INVALID_REQUEST, RefusedError

# An hour is longer than any deadline one would test with.
MAX_DELAY_S = 3600
# The longest silence: whoever waits has a deadline, or is a test that should see it has none.
SILENCE_S = 3600.0
# One answer, all choices together. The bytes of a stream are some 250 times as many.
MAX_OUTPUT_TOKENS = 8192
MAX_CONTENT_CHARS = 64 * 1024

_Count = Annotated[int, Meta(ge=0, le=1_000_000)]
_Delay = Annotated[float, Meta(ge=0, le=MAX_DELAY_S)]


class Directives(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``latency`` is a number of seconds or a text such as ``200ms``; ``retry_after`` is in seconds."""

    latency: _Delay | str = 0.0
    tokens_per_second: Annotated[float, Meta(ge=0.1, le=1_000_000)] | None = None
    content: Annotated[str, Meta(max_length=MAX_CONTENT_CHARS)] | None = None
    output_tokens: Annotated[int, Meta(ge=1, le=MAX_OUTPUT_TOKENS)] | None = None
    chunk_bytes: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    status: Annotated[int, Meta(ge=400, le=599)] | None = None
    error_type: Annotated[str, Meta(max_length=64)] | None = None
    retry_after: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    truncate_after: _Count | None = None
    stall_after: _Count | None = None
    fault_after: _Count | None = None
    fail_rate: Annotated[float, Meta(ge=0, le=1)] | None = None

    @property
    def latency_s(self) -> float:
        return parse_duration(self.latency) if isinstance(self.latency, str) else self.latency

    @property
    def may_fail(self) -> bool:
        return any(getattr(self, name) is not None for name in _FAILURES)

    @property
    def breaks_midway(self) -> bool:
        return any(getattr(self, name) is not None for name in _MIDWAY)


NONE = Directives()

_MIDWAY = ("truncate_after", "stall_after", "fault_after")
_FAILURES = ("status", "fail_rate", *_MIDWAY)
_ERROR_DETAILS = ("error_type", "retry_after")
# type and code of the error body that go with a status
_ERROR_WORDS: dict[int, tuple[str, str | None]] = {
    401: (INVALID_REQUEST, "invalid_api_key"),
    404: (INVALID_REQUEST, "model_not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
}


def settle(directives: Directives | None, digest: bytes) -> Directives:
    """The directives that hold for this request: checked, and with the die of ``fail_rate`` cast by ``digest``.

    Raises ``RefusedError`` for directives that make no sense, and for the failing status that was asked for.
    """
    if directives is None:
        return NONE
    _check(directives)
    if not directives.may_fail:
        return directives
    rate = 1.0 if directives.fail_rate is None else directives.fail_rate
    if int.from_bytes(digest[:8], "big") >= rate * 2**64:
        return msgspec.structs.replace(directives, **dict.fromkeys((*_FAILURES, *_ERROR_DETAILS)))
    if directives.breaks_midway:
        return directives
    raise failure(directives)


def _check(directives: Directives) -> None:
    try:
        is_bounded = directives.latency_s <= MAX_DELAY_S
    except ValueError as error:
        raise _senseless("latency", str(error)) from None
    if not is_bounded:
        raise _senseless("latency", f"at most {MAX_DELAY_S} seconds")
    failures = [name for name in ("status", *_MIDWAY) if getattr(directives, name) is not None]
    if len(failures) > 1:
        raise _senseless(failures[1], f"give either {failures[0]} or {failures[1]}")
    if set(failures) <= {"truncate_after", "stall_after"} and (failures or directives.fail_rate is None):
        _check_no_error_details(directives)


def _check_no_error_details(directives: Directives) -> None:
    for name in _ERROR_DETAILS:
        if getattr(directives, name) is not None:
            raise _senseless(name, "it goes with status, fault_after or fail_rate")


def _senseless(name: str, why: str) -> RefusedError:
    param = f"simulate.{name}"
    return RefusedError(f"Invalid value for '{param}': {why}.", param=param, code="invalid_value")


def failure(directives: Directives) -> RefusedError:
    """The failure asked for, as a refusal; 503 unless ``status`` says otherwise."""
    status = directives.status or 503
    kind, code = _ERROR_WORDS.get(status, (INVALID_REQUEST if status < 500 else "server_error", None))
    headers = () if directives.retry_after is None else ((b"Retry-After", b"%d" % directives.retry_after),)
    return RefusedError(
        f"A simulated failure with status {status}, as the request asked for.",
        status=status,
        type=directives.error_type or kind,
        code=code,
        headers=headers,
        delay_s=directives.latency_s,
    )
