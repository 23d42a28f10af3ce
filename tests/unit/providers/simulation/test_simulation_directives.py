import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.simulation.directives import NONE, Directives, settle
from providers.simulation.refusals import RefusedError
from tests.kit.simulated import chat, error

DIGEST = bytes(32)


def _settle(**fields: Any) -> Directives:
    return settle(msgspec.convert(fields, Directives), DIGEST)


def test_a_request_without_directives_is_answered_at_once() -> None:
    assert settle(None, DIGEST) == NONE
    assert (NONE.latency_s, NONE.tokens_per_second, NONE.may_fail) == (0.0, None, False)


@pytest.mark.parametrize(("latency", "seconds"), [("200ms", 0.2), ("2s", 2.0), (1.5, 1.5), (3, 3.0), ("1h", 3600.0)])
def test_latency_is_a_duration_or_seconds(latency: str | float, seconds: float) -> None:
    assert _settle(latency=latency).latency_s == seconds


@pytest.mark.parametrize(
    ("directives", "param", "code"),
    [
        ({"latenzy": 1}, "simulate.latenzy", "unknown_parameter"),
        ({"latency": "soon"}, "simulate.latency", "invalid_value"),
        ({"latency": "2h"}, "simulate.latency", "invalid_value"),
        ({"latency": 1e6}, "simulate.latency", "invalid_value"),
        ({"latency": None}, "simulate.latency", "invalid_type"),
        ({"tokens_per_second": 0}, "simulate.tokens_per_second", "invalid_value"),
        ({"tokens_per_second": "9"}, "simulate.tokens_per_second", "invalid_type"),
        ({"content": "a" * 70_000}, "simulate.content", "invalid_value"),
        ({"output_tokens": 100_000}, "simulate.output_tokens", "invalid_value"),
        ({"chunk_bytes": 0}, "simulate.chunk_bytes", "invalid_value"),
        ({"status": 200}, "simulate.status", "invalid_value"),
        ({"status": 429.5}, "simulate.status", "invalid_type"),
        ({"truncate_after": -1}, "simulate.truncate_after", "invalid_value"),
        ({"fail_rate": 1.5}, "simulate.fail_rate", "invalid_value"),
        ({"status": 500, "truncate_after": 1}, "simulate.truncate_after", "invalid_value"),
        ({"stall_after": 1, "fault_after": 1}, "simulate.fault_after", "invalid_value"),
        ({"retry_after": 1}, "simulate.retry_after", "invalid_value"),
        ({"error_type": "x", "truncate_after": 2}, "simulate.error_type", "invalid_value"),
        ([], "simulate", "invalid_type"),
    ],
)
def test_a_directive_that_makes_no_sense_is_refused(directives: object, param: str, code: str) -> None:
    script = chat(simulate=directives)
    assert script.status == 400
    refused = error(script)
    assert (refused["param"], refused["code"], refused["type"]) == (param, code, "invalid_request_error")


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "invalid_request_error", None),
        (401, "invalid_request_error", "invalid_api_key"),
        (429, "rate_limit_error", "rate_limit_exceeded"),
        (500, "server_error", None),
        (529, "server_error", None),
    ],
)
def test_a_status_is_answered_with_the_words_that_go_with_it(status: int, kind: str, code: str | None) -> None:
    script = chat(simulate={"status": status})
    assert script.status == status
    assert (error(script)["type"], error(script)["code"]) == (kind, code)


def test_a_failure_may_carry_its_own_type_a_delay_and_when_to_come_back() -> None:
    script = chat(simulate={"status": 429, "error_type": "tokens", "retry_after": 7, "latency": "10ms"})
    assert error(script)["type"] == "tokens"
    assert (b"Retry-After", b"7") in script.headers
    assert script.delay_s == 0.01


def test_the_fail_rate_alone_means_unavailable() -> None:
    assert chat(simulate={"fail_rate": 1}).status == 503
    assert chat(simulate={"fail_rate": 0}).status == 200


@given(st.floats(0, 1))
def test_what_is_not_hit_by_the_rate_is_as_if_no_failure_was_asked_for(rate: float) -> None:
    directives = Directives(fail_rate=rate, status=500, retry_after=1, latency=0.5, content="c")
    highest_throw = b"\xff" * 32
    if rate < 1:
        assert settle(directives, highest_throw) == Directives(latency=0.5, content="c")
    else:
        with pytest.raises(RefusedError, match="500"):
            settle(directives, highest_throw)


def test_the_rate_is_the_share_of_different_requests_that_fail() -> None:
    digests = [hashlib.sha256(b"%d" % number).digest() for number in range(1000)]
    hit = sum(settle(Directives(fail_rate=0.3, stall_after=1), digest).breaks_midway for digest in digests)
    assert 250 < hit < 350


def test_the_same_request_always_meets_the_same_fate() -> None:
    fates = {chat(user="a", simulate={"fail_rate": 0.5}).status for _ in range(5)}
    assert len(fates) == 1
    assert {chat(user=str(n), simulate={"fail_rate": 0.5}).status for n in range(40)} == {200, 503}
