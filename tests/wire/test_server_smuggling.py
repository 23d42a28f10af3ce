"""Every request that two parsers may read differently, through real sockets and with another request right behind it.

What counts is the gateway's own truth, its log: a request that it has served and the client has no answer for, or the
other way round, is a smuggled one.
"""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from gateway.core.edge import may_reuse
from tests.kit.feeds import byte_by_byte, cut_at, splits, whole
from tests.kit.gateway import Gateway, Response, chat, request
from tests.kit.smuggling import FOLLOWER, VECTORS, Vector

# Untidy request lines that are refused when they come in one read; in pieces the parser has tidied them before anybody
# sees them, and everybody agrees on what they then mean (``tests/unit/core/test_edge.py`` shows it).
TIDIED = {
    "two spaces before the target",
    "two spaces after the target",
    "two empty lines first",
    "bare LF first",
}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway() as gateway:
        yield gateway


@pytest.fixture(scope="module")
def impatient() -> Iterator[Gateway]:
    """An attack that leaves something open is waited for as briefly as possible."""
    with Gateway(SLUICE_SERVER__HEADER_TIMEOUT="1ms", SLUICE_SERVER__BODY_TIMEOUT="1ms") as gateway:
        yield gateway


def vectors(expected: str) -> list:
    return [pytest.param(v, id=v.name) for v in VECTORS if v.expected == expected]


def exchange(gateway: Gateway, pieces: list[bytes]) -> list[Response]:
    """All answers to ``pieces``; the log must agree with them."""
    before = len(gateway.requests())
    responses = gateway.send(*pieces)
    served = [line["status"] for line in gateway.requests()[before:] if line["status"] < 300]
    assert served == [r.status for r in responses if 200 <= r.status < 300]
    return [r for r in responses if r.status != 100]


def assert_refused(vector: Vector, responses: list[Response]) -> None:
    """Served as many as may be; the attack itself is answered with an error at most, and nothing after it."""
    *served, last = responses
    if last.status < 300:
        served.append(last)
    else:
        assert last.status in (400, 408, 417, 501, 505)
        assert last.error["code"] in ("bad_request_head", "invalid_request", "request_timeout")
        assert last.headers["connection"] == "close"
    assert len(served) == vector.served
    assert all(r.json == {"status": "ok"} for r in served)


@pytest.mark.parametrize("vector", vectors("reject"))
def test_an_attack_is_refused_and_nothing_behind_it_is_answered(impatient: Gateway, vector: Vector) -> None:
    assert_refused(vector, exchange(impatient, whole(vector.data + FOLLOWER)))


@pytest.mark.parametrize("vector", [p for p in vectors("reject") if p.id not in TIDIED])
def test_an_attack_in_pieces_is_refused_as_well(impatient: Gateway, vector: Vector) -> None:
    end = len(vector.data)
    assert_refused(vector, exchange(impatient, cut_at(vector.data + FOLLOWER, [end // 2, end - 2, end])))


@pytest.mark.parametrize("vector", vectors("accept"))
def test_a_harmless_neighbour_is_served(gateway: Gateway, vector: Vector) -> None:
    # nothing may follow a request that closes the connection itself
    last = b"" if b"HTTP/1.0" in vector.data else request("GET", "/health", Connection="close")
    end = len(vector.data)
    for pieces in (whole(vector.data + last), cut_at(vector.data + last, [end // 2, end - 2, end])):
        responses = exchange(gateway, pieces)
        assert [r.status for r in responses] == [200] * len(responses)
        # a chunked request is the last of its connection
        is_over = responses[vector.served - 1].headers.get("connection") == "close"
        assert len(responses) == vector.served + (not is_over)


def test_requests_byte_by_byte_are_served_in_order(gateway: Gateway) -> None:
    ids = [f"id-{number}" for number in range(3)]
    data = b"".join(request("GET", "/health", X_Request_ID=one) for one in ids)
    with gateway.connect() as client:
        client.send(*byte_by_byte(data))
        assert [client.response().headers["x-request-id"] for _ in ids] == ids


ROW = (
    request("GET", "/health", X_Note="a header of several words, so that its rest looks like no request line")
    + chat(headers={"X-Request-ID": "second"})
    + b"\r\n"
    + request("GET", "/v1/models/none")
    + chat(headers={"X-Request-ID": "fourth"}, stream=True)
    + request("GET", "/health", Connection="close")
)


@settings(max_examples=40, deadline=None)
@given(splits(ROW))
def test_a_row_of_requests_is_answered_alike_however_it_is_cut(gateway: Gateway, pieces: list[bytes]) -> None:
    responses = gateway.send(*pieces)
    assert [r.status for r in responses] == [200, 200, 404, 200, 200]
    assert [responses[i].headers["x-request-id"] for i in (1, 3)] == ["second", "fourth"]
    assert responses[3].events[-1] == "[DONE]"


def test_no_connection_is_used_again_after_chunks() -> None:
    """The rule of ``may_reuse``, as clients see it."""
    chunked = request("GET", "/health", Transfer_Encoding="chunked") + b"0\r\n\r\n"
    assert not may_reuse({"Transfer-Encoding": "chunked"})  # type: ignore[arg-type]
    with Gateway() as gateway:
        [only] = gateway.send(chunked + FOLLOWER)
        assert only.status == 200
        assert only.headers["connection"] == "close"
