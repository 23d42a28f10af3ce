"""Who is let in, over real sockets; and that the key is nowhere to be read afterwards."""

import re
from collections.abc import Iterator

import pytest

from gateway.endpoints import ANY, ENDPOINTS, Access, Endpoint
from tests.kit.gateway import Gateway, chat, request

KEY = "Master-Key_0123456789"
GOOD = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """At the end its whole log is searched for the key."""
    with Gateway(SLUICE_MASTER_KEY=KEY) as gateway:
        yield gateway
    assert gateway.log_text()
    assert KEY not in gateway.log_text()


def named(endpoints: list[Endpoint]) -> list:
    return [pytest.param(endpoint, id=endpoint.name) for endpoint in endpoints]


def call_of(endpoint: Endpoint, **headers: str) -> bytes:
    path = re.sub(r"\{.*?\}", "simulator", endpoint.path)
    method = "PUT" if endpoint.method == ANY else endpoint.method
    return request(method, path, b"{}" if method in ("POST", "PUT") else b"", **headers)


@pytest.mark.parametrize(
    "headers",
    [
        GOOD,
        {"authorization": f"bearer {KEY}"},
        {"Authorization": f"BEARER   {KEY}\t"},
        {"x-api-key": KEY},
        {"X-API-KEY": f" {KEY} "},
        {"api-key": KEY},
        {"x-goog-api-key": KEY},
    ],
)
def test_the_master_key_opens(gateway: Gateway, headers: dict[str, str]) -> None:
    assert gateway.chat(headers=headers).status == 200


WRONG_KEYS = {
    "empty": "",
    "only spaces": "   ",
    "another one": "Master-Key_9876543210",
    "one character less": KEY[:-1],
    "one character more": KEY + "x",
    "twice": KEY + KEY,
    "two, the second right": f"x {KEY}",
    "list": f"{KEY}, {KEY}",
    "other case": KEY.upper(),
    "in quotes": f'"{KEY}"',
    "percent-encoded": KEY.replace("-", "%2D"),
    "escaped": KEY.replace("M", "\\u004d"),
    "non-ASCII": KEY + "é",
    "look-alike": KEY.replace("a", "а"),  # Cyrillic
    "8-bit": KEY + "\udcff",
    "very long": "x" * 15_000,
    "very long with the right beginning": KEY + "x" * 15_000,
    "injected": "' OR 1=1 --",
    "pattern": "*",
    "word": "null",
}


@pytest.mark.parametrize("key", [pytest.param(key, id=name) for name, key in WRONG_KEYS.items()])
def test_a_wrong_key_does_not(gateway: Gateway, key: str) -> None:
    for headers in ({"Authorization": f"Bearer {key}"}, {"x-api-key": key}):
        response = gateway.chat(headers=headers)
        assert response.status == 401
        assert response.error["code"] == "invalid_api_key"
        assert response.error["type"] == "invalid_request_error"
        assert KEY not in str(response)
        assert len(key) < 8 or key not in str(response)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"Authorization": KEY}, id="no scheme"),
        pytest.param({"Authorization": f"Basic {KEY}"}, id="other scheme"),
        pytest.param({"Authorization": f"Bearer{KEY}"}, id="no space"),
        pytest.param({"Authorization": f"Bearer\t{KEY}"}, id="tab for the space"),
        pytest.param({"Authorization": f"Bearer Bearer {KEY}"}, id="scheme twice"),
        pytest.param({"Authorization": "Bearer"}, id="scheme alone"),
        pytest.param({"x-api-key": f"Bearer {KEY}"}, id="scheme in x-api-key"),
        pytest.param({"Authorization": "Bearer wrong", "x-api-key": KEY}, id="wrong and right"),
        pytest.param(
            {"Cookie": f"key={KEY}", "X-Auth": KEY, "Proxy-Authorization": KEY, "apikey": KEY}, id="elsewhere"
        ),
    ],
)
def test_a_key_in_no_accepted_form_does_not(gateway: Gateway, headers: dict[str, str]) -> None:
    response = gateway.chat(headers=headers)
    assert (response.status, response.error["code"]) == (401, "invalid_api_key")
    assert KEY not in str(response)


@pytest.mark.parametrize(
    ("key", "status"), [(f"{KEY}\0", 400), (f"{KEY}\r", 400), (f"{KEY}\n", 400), ("x" * 1_000_000, 431)]
)
def test_a_key_that_no_header_can_carry_is_refused_with_its_request(gateway: Gateway, key: str, status: int) -> None:
    [only] = gateway.send(chat(headers={"Authorization": f"Bearer {key}"}))
    assert only.status == status
    assert KEY not in str(only)


def test_the_key_in_the_path_or_the_query_opens_nothing(gateway: Gateway) -> None:
    assert gateway.get(f"/v1/models?api_key={KEY}&key={KEY}").status == 401
    assert gateway.get(f"/v1/models/{KEY}").status == 401


def test_a_request_does_not_inherit_the_key_of_the_one_before(gateway: Gateway) -> None:
    with gateway.connect() as client:
        for headers, status in ((GOOD, 200), ({}, 401), (GOOD, 200)):
            assert client.send(chat(headers=headers)).response().status == status
        client.send(chat(headers=GOOD) + chat() + chat(headers=GOOD))
        # the refused one had its body read by nobody and still does not cost the connection: it had come
        assert [client.response().status for _ in range(3)] == [200, 401, 200]


@pytest.mark.parametrize("endpoint", named([e for e in ENDPOINTS if e.access is Access.PUBLIC]))
def test_public_endpoints_are_open(gateway: Gateway, endpoint: Endpoint) -> None:
    assert endpoint.path in ("/health", "/health/ready", "/metrics"), "the list of open doors is short"
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        response = gateway.ask(call_of(endpoint, **headers))
        assert response.status == 200
        assert KEY not in str(response)


@pytest.mark.parametrize("endpoint", named([e for e in ENDPOINTS if e.access is not Access.PUBLIC]))
def test_all_others_are_closed(gateway: Gateway, endpoint: Endpoint) -> None:
    assert gateway.ask(call_of(endpoint)).status == 401
    assert gateway.ask(call_of(endpoint, Authorization="Bearer wrong")).status == 401
    assert gateway.ask(call_of(endpoint, **GOOD)).status != 401
    with gateway.connect() as client:
        # also without /v1, and by HEAD
        assert client.send(call_of(endpoint).replace(b" /v1/", b" /")).response().status == 401
        if endpoint.method == "GET":
            head = call_of(endpoint).replace(b"GET", b"HEAD")
            assert client.send(head).response(to_head=True).status == 401


def test_a_wrong_key_is_refused_before_the_body_is_looked_at(gateway: Gateway) -> None:
    response = gateway.post("/v1/chat/completions", b"\xff nonsense", Authorization="Bearer wrong")
    assert response.status == 401
    assert "bytes_in" not in gateway.requests()[-1]


def test_a_key_that_a_client_puts_into_other_fields_is_not_logged(gateway: Gateway) -> None:
    before = len(gateway.requests())
    for data in (
        chat(headers={**GOOD, "X-Request-ID": KEY}),
        chat(headers={**GOOD, "X-Request-ID": f"id-{KEY}"}, model=KEY),
        chat(headers=GOOD, model=f"simulator/{KEY}"),
        request("GET", f"/{KEY}", **GOOD, User_Agent=KEY),
    ):
        gateway.ask(data)
    lines = gateway.requests()[before:]
    assert len(lines) == 4
    assert KEY not in str(lines)
    assert "***" in str(lines)


def test_without_a_master_key_loopback_is_open() -> None:
    with Gateway() as gateway:
        for headers in ({}, {"Authorization": "Bearer anything"}, {"x-api-key": ""}):
            assert gateway.chat(headers=headers).status == 200
