"""What the server bears from clients: sizes, deadlines, order, and clients that break every habit."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway import connection
from tests.kit import chat_api
from tests.kit.feeds import byte_by_byte
from tests.kit.gateway import CHAT, PATIENCE_S, Client, Gateway, Response, chat, request
from tests.kit.upstream import SILENCE, Gate, ScriptedUpstream, config_for, raw, reply

KIB = 1024
PATH = "/v1/chat/completions"
HELD = raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n")


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with Gateway() as gateway:
        yield gateway


@pytest.fixture(scope="module")
def narrow() -> Iterator[Gateway]:
    with Gateway(SLUICE_SERVER__MAX_BODY="1KiB") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def hasty() -> Iterator[Gateway]:
    """Whose deadlines pass before anybody can do anything; the sweep sees it a quarter of a second later."""
    timeouts = ("HEADER", "BODY", "KEEPALIVE", "WRITE")
    with Gateway(**{f"SLUICE_SERVER__{name}_TIMEOUT": "20ms" for name in timeouts}) as gateway:
        yield gateway


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        upstream.answer(reply(chat_api.completion()))
        yield upstream


@pytest.fixture
def forwarding(upstream: ScriptedUpstream) -> Iterator[Gateway]:
    with Gateway(config_for(upstream, openai={"models": ["gpt-test"]})) as gateway:
        yield gateway


def metric(gateway: Gateway, name: str) -> float:
    lines = gateway.get("/metrics").body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


def padded_chat(size: int) -> bytes:
    """A chat body of exactly ``size`` bytes."""
    return json.dumps(CHAT).encode().ljust(size)


def chunks(body: bytes, size: int = 100) -> bytes:
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])


def chunked(body: bytes) -> bytes:
    head = request("POST", PATH, Transfer_Encoding="chunked").replace(b"Content-Length: 0\r\n", b"")
    return head + chunks(body)


def http_1_0(data: bytes) -> bytes:
    return data.replace(b" HTTP/1.1\r\nHost: gateway\r\n", b" HTTP/1.0\r\n")


def assert_last(responses: list[Response], status: int, code: str) -> None:
    """One answer, an error, and the connection is over."""
    [only] = responses
    assert (only.status, only.error["code"]) == (status, code)
    assert only.headers["connection"] == "close"


# --- sizes ------------------------------------------------------------------------------------------------------------


def test_a_body_as_large_as_the_limit_is_served(narrow: Gateway) -> None:
    assert narrow.post(PATH, padded_chat(KIB)).status == 200
    assert narrow.ask(chunked(padded_chat(KIB))).status == 200


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(request("POST", PATH, Content_Length="999999999999999"), id="announced and never sent"),
        pytest.param(chunked(padded_chat(KIB + 1)), id="in chunks"),
    ],
)
def test_a_larger_body_is_refused(narrow: Gateway, data: bytes) -> None:
    assert_last(narrow.send(data), 413, "request_too_large")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(request("POST", PATH, b" " * 4 * KIB * KIB), 413, id="body"),
        pytest.param(chunked(b" " * 4 * KIB * KIB), 413, id="chunks"),
        pytest.param(request("GET", "/health", X_Huge="x" * 4 * KIB * KIB), 431, id="head"),
        pytest.param(request("POST", "/v1/nothing", b" " * 4 * KIB * KIB), 404, id="body for nobody"),
        pytest.param(b"nonsense\r\n\r\n" + b" " * 4 * KIB * KIB, 400, id="anything"),
    ],
)
def test_a_client_that_is_still_sending_is_not_cut_before_it_has_read_why(
    narrow: Gateway, data: bytes, status: int
) -> None:
    with narrow.connect() as client:
        [only] = client.send(data).responses()
        assert only.status == status
        assert not client.is_cut


def test_a_larger_body_that_has_come_does_not_cost_the_connection(narrow: Gateway) -> None:
    with narrow.connect() as client:
        refused = client.send(request("POST", PATH, padded_chat(KIB + 1))).response()
        assert (refused.status, refused.error["code"]) == (413, "request_too_large")
        assert client.send(chat()).response().status == 200


def test_a_large_body_in_many_reads_is_served(gateway: Gateway) -> None:
    body = padded_chat(3 * KIB * KIB)
    assert gateway.post(PATH, body).status == 200
    assert gateway.ask(chunked(body)).status == 200
    assert gateway.requests()[-1]["bytes_in"] == len(body)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"X_Long": "x" * 15 * KIB}, 200, id="a long line"),
        pytest.param({"X_Long": "x" * 17 * KIB}, 431, id="too long a line"),
        pytest.param({"x" * 17 * KIB: "x"}, 431, id="too long a name"),
        pytest.param({f"X_{n}": "x" * 15 * KIB for n in range(4)}, 200, id="a long head"),
        pytest.param({f"X_{n}": "x" * 15 * KIB for n in range(5)}, 431, id="too long a head"),
        pytest.param({f"X_{n}": "x" * 1000 for n in range(80)}, 431, id="too long a head of short lines"),
        pytest.param({f"X_{n}": "x" for n in range(98)}, 200, id="many lines"),
        pytest.param({f"X_{n}": "x" for n in range(99)}, 400, id="too many lines"),
        pytest.param({"X_Huge": "x" * KIB * KIB}, 431, id="a line of a megabyte"),
    ],
)
def test_a_head_has_limits(gateway: Gateway, headers: dict[str, str], status: int) -> None:
    data = request("GET", "/health", **headers, Connection="close")
    for pieces in ([data], [data[:5000], data[5000:-2], data[-2:]]):
        [only] = gateway.send(*pieces)
        assert only.status == status
        assert only.headers["connection"] == "close"
        assert status == 200 or only.error["type"] == "invalid_request_error"


def test_a_long_target_is_refused(gateway: Gateway) -> None:
    assert gateway.get("/health?" + "x" * 15 * KIB).status == 200
    assert_last(gateway.send(request("GET", "/health?" + "x" * 17 * KIB)), 431, "headers_too_large")
    # it is a part of the head like any other
    headers = {f"X_{n}": "x" * 13 * KIB for n in range(4)}
    assert_last(gateway.send(request("GET", "/health?" + "x" * 13 * KIB, **headers)), 431, "headers_too_large")


def test_an_endless_head_is_not_kept(gateway: Gateway) -> None:
    with gateway.connect() as client:
        client.send(b"GET /health HTTP/1.1\r\n", *[b"X: %b\r\n" % (b"x" * 10_000)] * 30)
        assert_last(client.responses(), 431, "headers_too_large")


def test_the_limit_is_for_each_head_and_not_for_the_connection(gateway: Gateway) -> None:
    data = request("GET", "/health", X_Long="x" * 10 * KIB)
    with gateway.connect() as client:
        for _ in range(20):
            assert client.send(data[:5000], data[5000:]).response().status == 200
        client.send(data * 20)
        assert {client.response().status for _ in range(20)} == {200}
        assert client.send(data[:5000], data[5000:]).response().status == 200


def test_refusals_are_counted_by_status(gateway: Gateway) -> None:
    before = metric(gateway, "sluice_refused_connections_total")
    gateway.send(b"nonsense\r\n\r\n")
    assert metric(gateway, "sluice_refused_connections_total") == before + 1
    assert 'sluice_refused_connections_total{status="400"}' in gateway.get("/metrics").body.decode()


# --- deadlines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [b"G", b"GET /health HTTP/1.1\r\nHost: gate", b"\r\nPOST"])
def test_a_head_that_does_not_come_is_answered_408(hasty: Gateway, start: bytes) -> None:
    assert_last(hasty.send(start), 408, "request_timeout")


def test_bytes_that_trickle_do_not_extend_the_time_for_a_head(hasty: Gateway) -> None:
    with hasty.connect() as client:
        client.sock.settimeout(0.02)
        for byte in byte_by_byte(request("GET", "/health", X_Slow="x" * 10_000)):
            client.send(byte)
            try:
                if client.receive():
                    break
            except TimeoutError:
                continue
        client.sock.settimeout(PATIENCE_S)
        assert client.response().status == 408


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(request("POST", PATH, Content_Length="5"), id="none of it"),
        pytest.param(request("POST", PATH, b"{", Content_Length="5"), id="some of it"),
        pytest.param(chunked(b"")[:-5], id="no chunk"),
        pytest.param(chunked(b"{}")[:-5], id="no last chunk"),
    ],
)
def test_a_body_that_does_not_come_is_answered_408(hasty: Gateway, start: bytes) -> None:
    assert_last(hasty.send(start), 408, "request_timeout")


@pytest.mark.parametrize("start", [b"", b"\r\n", request("GET", "/health")])
def test_an_idle_connection_is_closed_silently(hasty: Gateway, start: bytes) -> None:
    with hasty.connect() as client:
        client.send(start)
        if b"GET" in start:
            assert client.response().status == 200
        assert client.rest() == b""


def test_an_idle_connection_is_kept_otherwise(gateway: Gateway) -> None:
    with gateway.connect() as client:
        for _ in range(3):
            assert client.send(b"\r\n", request("GET", "/health")).response().status == 200


def test_a_client_that_does_not_read_its_stream_is_cut(hasty: Gateway) -> None:
    before = metric(hasty, "sluice_slow_readers_cut_total")
    with hasty.connect(receive_buffer=4 * KIB) as client:
        client.send(chat(stream=True, simulate={"output_tokens": 8000}))
        line = hasty.wait_for_line(lambda line: line.get("stream") and line["status"] == 499)
        assert line["disconnected"]
        assert is_reset(client)
    assert metric(hasty, "sluice_slow_readers_cut_total") == before + 1
    assert metric(hasty, "sluice_active_streams") == 0
    assert 'sluice_upstream_connections{provider="simulator",state="open"} 0.0' in hasty.get("/metrics").body.decode()


def is_reset(client: Client) -> bool:
    """Does the connection end in a way that nobody can take for the end of an answer?"""
    try:
        while client.sock.recv(KIB):
            pass
    except ConnectionResetError:
        return True
    return False


@pytest.fixture
def no_mercy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel still takes of an answer that nobody reads buys no time, and nobody lingers."""
    monkeypatch.setattr(connection, "MIN_BODY_BYTES_PER_S", 10**9)
    monkeypatch.setattr(connection, "LINGER_S", 0.02)


@pytest.mark.usefixtures("no_mercy")
def test_a_client_that_does_not_read_its_plain_answer_is_cut(hasty: Gateway) -> None:
    before = metric(hasty, "sluice_slow_readers_cut_total")
    for number, headers in enumerate(({}, {"Connection": "close"}), start=1):
        with hasty.connect(receive_buffer=4 * KIB) as client:
            client.send(chat(simulate={"content": "x" * 60_000}, headers=headers))
            # that nothing is unsent may also mean that the request has not arrived yet
            wait_for_cuts(hasty, before + number)
            hasty.wait_until(lambda: not has_unsent(hasty))
    assert metric(hasty, "sluice_slow_readers_cut_total") == before + 2


def wait_for_cuts(gateway: Gateway, count: float) -> None:
    gateway.wait_until(lambda: gateway.app._edge.slow_readers_cut >= count)


def has_unsent(gateway: Gateway) -> bool:
    return any(one.is_busy() for one in gateway.app._edge._each())


@pytest.mark.usefixtures("no_mercy")
def test_a_little_that_is_not_read_does_not_hold_the_connection_for_ever(hasty: Gateway) -> None:
    """Too little to count as a slow reader while requests come, yet closing waits for it to be sent."""
    for last in (b"", request("GET", "/health", Connection="close"), b"nonsense\r\n\r\n"):
        with hasty.connect(receive_buffer=4 * KIB) as client:
            for _ in range(1000):
                client.send(chat(simulate={"content": "x" * 4000}))
                hasty.tick()
                if hasty.call(lambda: has_unsent(hasty)):
                    break
            client.send(last)
            hasty.wait_until(lambda: not hasty.app._edge.connections)


def test_a_slow_reader_that_reads_gets_everything(gateway: Gateway) -> None:
    with gateway.connect(receive_buffer=4 * KIB) as client:
        client.send(chat(stream=True, simulate={"output_tokens": 4000}))
        while b"[DONE]" not in client._received[-200:]:
            client._received += client.sock.recv(KIB)
        response = client.response()
        assert response.is_complete
        assert len(response.events) == 4003  # role, tokens, finish, the end


def test_a_client_that_leaves_cancels_its_stream(forwarding: Gateway, upstream: ScriptedUpstream) -> None:
    gate = Gate()
    upstream.answer(raw(*HELD.pieces, gate))
    with forwarding.connect() as client:
        client.send(chat(model="gpt-test"))
        gate.wait_reached()
    assert forwarding.wait_for_line(lambda line: line.get("status") == 499)["disconnected"]
    assert metric(forwarding, "sluice_disconnects_total") == 1
    gate.open()


def test_a_client_that_leaves_within_its_body_is_logged(gateway: Gateway) -> None:
    with gateway.connect() as client:
        client.send(request("POST", PATH, b"{", Content_Length="5", X_Request_ID="left-early"))
        gateway.tick()
    line = gateway.wait_for_line(lambda line: line.get("request_id") == "left-early")
    assert (line["status"], line["disconnected"]) == (499, True)


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [b"zz\r\n", b"5\r\nab\r\n0\r\n\r\n", b"1\r\n{\n", b"-1\r\n"])
def test_a_broken_chunk_is_answered_at_once(gateway: Gateway, bad: bytes) -> None:
    """The deadline for bodies of this gateway is half a minute; the test would not wait so long."""
    assert_last(gateway.send(chunked(b"{}")[:-5], bad), 400, "invalid_request")


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "identity, gzip", "x"])
def test_compressed_bodies_are_not_accepted(gateway: Gateway, coding: str) -> None:
    response = gateway.post(PATH, b"\x1f\x8b\x08", Content_Encoding=coding)
    assert response.status == 415
    assert response.error["code"] == "unsupported_media_type"


def test_an_uncompressed_body_may_say_so(gateway: Gateway) -> None:
    assert gateway.post(PATH, padded_chat(100), Content_Encoding="Identity").status == 200


def test_a_body_where_none_is_wanted_is_skipped(gateway: Gateway) -> None:
    with gateway.connect() as client:
        for _ in range(2):
            assert client.send(request("GET", "/health", b"ignored")).response().status == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param({"Content_Encoding": "gzip"}, 415, id="media type"),
        pytest.param({"Content_Length": "99999999999"}, 413, id="size"),
        pytest.param({}, 404, id="path"),
    ],
)
def test_the_body_of_a_refused_request_is_never_taken_for_a_request(
    narrow: Gateway, head: dict[str, str], status: int
) -> None:
    smuggled = request("GET", "/health", X_Request_ID="smuggled")
    path = PATH if head else "/v1/nothing"
    data = request("POST", path, **{"Content_Length": "2000", **head})
    for pieces in ([data, smuggled], [data + smuggled], [data + smuggled[:30], smuggled[30:] + b" " * 2000 + smuggled]):
        [only] = narrow.send(*pieces)
        assert only.status == status
        assert only.headers["connection"] == "close"
    with narrow.connect() as client:
        assert client.send(data).response().status == status
        assert client.send(smuggled * 10).rest() == b""
    assert "smuggled" not in [line["request_id"] for line in narrow.requests()]


# --- Expect, HTTP/1.0, HEAD, close ------------------------------------------------------------------------------------


def test_a_client_that_waits_for_100_gets_it(gateway: Gateway) -> None:
    body = json.dumps(CHAT).encode()
    with gateway.connect() as client:
        client.send(request("POST", PATH, Content_Length=str(len(body)), Expect="100-continue"))
        assert client.response() == Response(100, {}, b"")
        assert client.send(body).response().status == 200
        # whoever does not wait is not kept waiting
        client.send(request("POST", PATH, body, Expect="100-continue"))
        assert client.response().status == 200


@pytest.mark.parametrize(
    ("path", "length", "status"), [(PATH, "99999", 413), ("/v1/nothing", "10", 404), ("/health", "10", 405)]
)
def test_a_client_that_waits_for_100_is_refused_without_it(
    narrow: Gateway, path: str, length: str, status: int
) -> None:
    [only] = narrow.send(request("POST", path, Content_Length=length, Expect="100-continue"))
    assert only.status == status


def test_an_http_1_0_client_is_not_told_100(gateway: Gateway) -> None:
    body = json.dumps(CHAT).encode()
    with gateway.connect() as client:
        head = request("POST", PATH, Content_Length=str(len(body)), Expect="100-continue")
        client.send(http_1_0(head))
        gateway.tick()
        [only] = client.send(body).responses()
        assert only.status == 200


@pytest.mark.parametrize("wish", ["close", "keep-alive"])
def test_an_http_1_0_client_gets_answers_that_end_with_the_connection(gateway: Gateway, wish: str) -> None:
    [plain] = gateway.send(http_1_0(chat(headers={"Connection": wish})))
    assert plain.headers["connection"] == "close"
    assert plain.json["object"] == "chat.completion"
    [stream] = gateway.send(http_1_0(chat(stream=True, headers={"Connection": wish})))
    assert stream.headers["connection"] == "close"
    assert "transfer-encoding" not in stream.headers
    assert "content-length" not in stream.headers
    assert stream.events[-1] == "[DONE]"


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/v1/models/sim-small", "/v1/models/none", "/metrics"])
def test_head_is_get_without_the_body(gateway: Gateway, path: str) -> None:
    with gateway.connect() as client:
        head = client.send(request("HEAD", path)).response(to_head=True)
        get = client.send(request("GET", path)).response()
        assert head.status == get.status
        assert head.headers.keys() == get.headers.keys()
        if path != "/metrics":
            assert head.headers["content-length"] == get.headers["content-length"]


def test_a_connection_is_closed_when_the_client_asks_for_it(gateway: Gateway) -> None:
    for data in (request("GET", "/health", Connection="close"), chat(headers={"Connection": "Close"}, stream=True)):
        [only] = gateway.send(data)
        assert only.status == 200
        assert only.headers["connection"] == "close"
        assert only.is_complete


# --- pipelining -------------------------------------------------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order(gateway: Gateway) -> None:
    # as many as may wait while the first is answered
    ids = [f"id-{number}" for number in range(30)]
    requests = [
        chat(headers={"X-Request-ID": one}, stream=number % 3 == 0)
        if number % 2
        else request("GET", "/v1/models", X_Request_ID=one)
        for number, one in enumerate(ids)
    ]
    for pieces in ([b"".join(requests)], [b"".join(requests)[i : i + 777] for i in range(0, 9_000, 777)]):
        with gateway.connect() as client:
            client.send(*pieces)
            responses = [client.response() for _ in ids]
            assert [r.headers["x-request-id"] for r in responses] == ids
            assert {r.status for r in responses} == {200}


def test_one_request_of_a_connection_is_served_at_a_time(forwarding: Gateway, upstream: ScriptedUpstream) -> None:
    gate = Gate()
    upstream.answer(raw(*HELD.pieces, gate, b"{}"))
    with forwarding.connect() as client:
        client.send(chat(model="gpt-test") * 3)
        gate.wait_reached()
        forwarding.tick()
        assert len(upstream.requests) == 1
        gate.open()
        assert [client.response().status for _ in range(3)] == [200] * 3
    assert len(upstream.requests) == 3


def test_pipelining_is_bounded(forwarding: Gateway, upstream: ScriptedUpstream) -> None:
    """What comes beyond a little while an answer is being made is thrown away, and the connection ends with that
    answer: the client asks again on another one (RFC 9112, 9.3.2)."""
    gate = Gate()
    upstream.answer(raw(*HELD.pieces, gate, b"{}"))
    big = {f"X_{n}": "x" * 15 * KIB for n in range(4)}
    with forwarding.connect() as client:
        client.send(chat(model="gpt-test"))
        gate.wait_reached()
        for _ in range(100):
            client.send(request("GET", "/health", **big))
        assert forwarding.call(lambda: max(len(one._messages) for one in forwarding.app._edge._each())) < 10
        gate.open()
        assert client.response().status == 200
        assert client.rest() == b""


def test_half_a_long_head_behind_a_running_request_does_not_spoil_its_answer(
    forwarding: Gateway, upstream: ScriptedUpstream
) -> None:
    gate = Gate()
    upstream.answer(raw(*HELD.pieces, gate, b"{}"))
    second = request("GET", "/health", **{f"X_{n}": "x" * 15 * KIB for n in range(5)})
    with forwarding.connect() as client:
        client.send(chat(model="gpt-test"))
        gate.wait_reached()
        client.send(*[second[i : i + 10_000] for i in range(0, 70_000, 10_000)])
        forwarding.tick()
        gate.open()
        assert client.response().status == 200
        assert client.rest() == b""


HALF_A_BODY = chat(model="gpt-test", messages=[{"role": "user", "content": "x" * 400_000}])[:-9]


@pytest.mark.parametrize("behind", [request("GET", "/health") * 32, HALF_A_BODY], ids=["many requests", "half a body"])
def test_a_client_that_leaves_behind_pipelined_bytes_is_noticed(
    forwarding: Gateway, upstream: ScriptedUpstream, behind: bytes
) -> None:
    gate = Gate()
    gate.open()
    upstream.answer(raw(gate, SILENCE))
    with forwarding.connect() as client:
        client.send(chat(model="gpt-test"))
        gate.wait_reached()
        client.send(behind)
        forwarding.tick()
    upstream.wait_closed()


# --- too many connections ---------------------------------------------------------------------------------------------


def test_connections_beyond_the_limit_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_SURPLUS_CONNECTIONS", 1)
    with Gateway(SLUICE_SERVER__MAX_CONNECTIONS="2") as gateway:
        within = [gateway.connect() for _ in range(2)]
        for client in within:
            assert client.send(request("GET", "/v1/models")).response().status == 200
        with gateway.connect() as surplus:
            gateway.tick()
            # beyond the surplus nobody is told anything
            assert gateway.send(chat()) == []
            [told] = surplus.send(chat()).responses()
        assert (told.status, told.error["code"]) == (503, "overloaded")
        assert told.headers["retry-after"] == "1"
        assert told.headers["connection"] == "close"
        gateway.wait_until(lambda: len(gateway.app._edge.connections) == 2)
        for path in ("/health", "/health/ready", "/metrics"):
            # a full gateway is not a dead one
            [probe] = gateway.send(request("GET", path) * 2)
            assert probe.status == 200
            assert probe.headers["connection"] == "close"
            gateway.wait_until(lambda: len(gateway.app._edge.connections) == 2)
        # who is in stays in, and who leaves makes room
        assert within[0].send(chat()).response().status == 200
        within[0].close()
        gateway.wait_until(lambda: len(gateway.app._edge.connections) == 1)
        assert gateway.chat().status == 200
        within[1].close()


# --- paths and methods ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/health?deep=1", "/health/ready?", "/v1/models?limit=1000&after=%2F", "/models", "/metrics?x"]
)
def test_a_query_is_ignored_and_v1_may_be_left_out(gateway: Gateway, path: str) -> None:
    assert gateway.get(path).status == 200


@pytest.mark.parametrize("path", ["/chat/completions", f"{PATH}?api-version=2024-10-21", "/chat/completions?a=b?c"])
def test_a_chat_path_with_a_query_or_without_v1(gateway: Gateway, path: str) -> None:
    assert gateway.ask(chat(path)).status == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/v1", "/v1/", "/nothing", "/v2/chat/completions", "/V1/chat/completions", "/v1/Chat/completions"),
        *("/health/", "/v1/chat/completions/", "/v1/models/", "/models/", "/metrics/", "/health/ready/"),
        *("/v1/%63hat/completions", "/v1/chat%2Fcompletions", "/%76%31/chat/completions", "/v1/chat/completions%00"),
        *("/v1/../health", "/v1/./chat/completions", "/v1/../v1/chat/completions", "/v1/%2e%2e/health", "/./health"),
        *(
            "/v1/chat/completions;x",
            "/health;/../v1/chat/completions",
            "/v1/chat//completions",
            "/health%3F",
            "/health&x",
        ),
        *("/v1/v1/chat/completions", "/health/metrics", "/v1/health", "/v1/metrics", "/health%20"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_other_path_is_unknown(gateway: Gateway, path: str, method: str) -> None:
    response = gateway.ask(request(method, path))
    assert response.status == 404
    assert response.error["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", PATH, "POST"),
        ("HEAD", PATH, "POST"),
        ("DELETE", "/v1/embeddings", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("PUT", "/models/sim-small", "GET, HEAD"),
        ("OPTIONS", "/health", "GET, HEAD"),
        ("PATCH", "/metrics", "GET, HEAD"),
    ],
)
def test_another_method_is_refused_with_those_that_are_allowed(
    gateway: Gateway, method: str, path: str, allowed: str
) -> None:
    with gateway.connect() as client:
        response = client.send(request(method, path)).response(to_head=method == "HEAD")
    assert response.status == 405
    assert response.headers["allow"] == allowed
    assert method == "HEAD" or response.error["code"] == "method_not_allowed"


def test_model_ids_with_tricks_are_only_unknown_models(gateway: Gateway) -> None:
    for trick in (
        "..%2F..%2Fhealth",
        "%2e%2e",
        "a%00b",
        "%0d%0aX-Evil:%201",
        "%ff",
        "%",
        "a/../../../health",
        "x" * 9000,
    ):
        response = gateway.get(f"/v1/models/{trick}")
        assert response.status == 404
        error: Any = response.error
        assert error["code"] == "model_not_found"
        assert "x-evil" not in response.headers


def test_a_websocket_is_refused_with_what_there_is_instead(gateway: Gateway) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    [response] = gateway.send(request("GET", "/v1/responses", **upgrade, Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ=="))
    assert response.status == 400
    assert response.headers["connection"] == "close"
    assert response.error["message"] == (
        "Protocol upgrades (WebSocket) are not offered; answers are streamed over plain HTTP."
    )
