"""``/p/{instance}/...``: anything at a provider's own API."""

import contextlib
import gzip
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.limits import MAX_ERROR_BODY_BYTES
from tests.kit import chat_api, messages_api, responses_api
from tests.kit.gateway import Gateway, request
from tests.kit.keeper import Keeper
from tests.kit.kept import MASTER, ask, config, get, running
from tests.kit.upstream import CLOSE, KEY, RESET, Gate, ScriptedUpstream, config_for, raw, reply, stream

MIB = 1 << 20


@pytest.fixture(scope="module")
def gateway(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    text = config_for(
        upstream,
        openai={"models": ["gpt-test"]},
        anthropic={"models": ["claude-test"]},
        gemini={"models": ["gemini-test"], "base_url": upstream.base_url.removesuffix("/v1")},
        openai_team={"models": ["m"], "headers": {"X-Team": "team-secret-7"}},
        sim={"type": "simulator", "api_key": None, "base_url": None},
    )
    document = json.loads(text)
    document["providers"]["sim"] = {"type": "simulator"}
    with running(json.dumps(document), tmp_path_factory.mktemp("kept")) as gateway:
        yield gateway


def last_request(gateway: Gateway) -> Any:
    return gateway.requests()[-1]


# --- up ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
def test_every_method_goes_through(gateway: Gateway, upstream: ScriptedUpstream, method: str) -> None:
    upstream.answer(
        reply(b'{"a": 1}', 200)
        if method != "HEAD"
        else raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n")
    )
    body = b'{ "odd" : 1.0 }' if method in ("POST", "PUT", "PATCH") else b""
    with gateway.connect() as client:
        client.send(request(method, "/p/openai/fine_tuning/jobs?b=2&a=%20x", body, Authorization=f"Bearer {MASTER}"))
        answer = client.response(to_head=method == "HEAD")
    assert answer.status == 200
    assert answer.headers["content-length"] == "8"
    assert answer.body == (b"" if method == "HEAD" else b'{"a": 1}')
    sent = upstream.request
    assert (sent.method, sent.path, sent.body) == (method, "/v1/fine_tuning/jobs?b=2&a=%20x", body)
    line = last_request(gateway)
    assert (line["endpoint"], line["provider"], line["status"]) == ("passthrough", "openai", 200)


@pytest.mark.parametrize("path", ["/p/openai/v1/models/x", "/p/openai/models/x"])
def test_the_base_path_may_be_written_once_more(gateway: Gateway, upstream: ScriptedUpstream, path: str) -> None:
    upstream.answer(reply(b"{}"))
    assert get(gateway, path).status == 200
    assert upstream.request.path == "/v1/models/x"


def test_the_query_goes_up_unchanged(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(b"{}"))
    get(gateway, "/p/openai/x?provider=anthropic&a=1&a=2&b=%2F..&c&=&d=e+f")
    assert upstream.request.path == "/v1/x?provider=anthropic&a=1&a=2&b=%2F..&c&=&d=e+f"


@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "api-key", "X-Goog-Api-Key"])
@pytest.mark.parametrize("instance", ["openai", "anthropic", "gemini"])
def test_credentials_are_replaced(gateway: Gateway, upstream: ScriptedUpstream, name: str, instance: str) -> None:
    upstream.answer(reply(b"{}"))
    given = f"Bearer {MASTER}" if name == "Authorization" else MASTER
    others = {"Proxy_Authorization": "Basic eDp5", "Cookie": "session=1"}
    answer = gateway.ask(request("GET", f"/p/{instance}/x", **{name.replace("-", "_"): given}, **others))
    assert answer.status == 200
    sent = {key.lower(): value for key, value in upstream.request.headers}
    assert MASTER not in str(sent)
    assert KEY in " ".join(sent.values())
    assert {"proxy-authorization", "cookie"}.isdisjoint(sent)
    assert KEY not in str(answer)


def test_what_speaks_of_the_connection_stays_here(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(
        reply(
            b"{}",
            headers=[
                ("Connection", "close, X-Hop"),
                ("X-Hop", "1"),
                ("Keep-Alive", "timeout=5"),
                ("Set-Cookie", "a=b"),
                ("X-Sluice-Provider", "other"),
                ("Alt-Svc", "h3"),
                ("X-Kept", "yes"),
                ("X-Key", f"is {KEY}"),
                ("X-Request-ID", "req_theirs"),
            ],
        )
    )
    answer = ask(
        gateway,
        "POST",
        "/p/openai-team/x",
        b"{}",
        Connection="keep-alive, X-Private",
        X_Private="1",
        TE="trailers",
        X_Forwarded_For="203.0.113.7",
        Forwarded="for=x",
        X_Sluice_Timeout="5s",
        Sec_Fetch_Mode="cors",
        Via="1.1 x",
        User_Agent="client/1",
        Accept_Encoding="gzip",
        X_Odd="kept",
        Content_Type="text/plain; charset=x",
    )
    sent = {key.lower(): value for key, value in upstream.request.headers}
    assert {
        "connection",
        "x-private",
        "te",
        "x-forwarded-for",
        "forwarded",
        "x-sluice-timeout",
        "sec-fetch-mode",
        "via",
        "transfer-encoding",
    }.isdisjoint(sent)
    assert (sent["user-agent"], sent["accept-encoding"], sent["x-odd"]) == ("client/1", "identity", "kept")
    assert (sent["content-type"], sent["x-team"]) == ("text/plain; charset=x", "team-secret-7")
    got = answer.headers
    assert {"keep-alive", "x-hop", "set-cookie", "alt-svc", "connection"}.isdisjoint(got)
    assert (got["x-kept"], got["x-key"], got["x-sluice-provider"]) == ("yes", "is ***", "openai-team")
    assert got["x-request-id"].startswith("req_")
    assert got["x-request-id"] != "req_theirs"
    assert last_request(gateway)["upstream_request_id"] == "req_theirs"


@pytest.mark.parametrize("is_chunked", [False, True])
def test_bodies_are_streamed_both_ways(tmp_path: Path, is_chunked: bool) -> None:
    content = os.urandom(3 * MIB)
    with Keeper() as keeper, running(config(keeper), tmp_path) as gateway, gateway.connect() as client:
        framing = {"Transfer_Encoding": "chunked"} if is_chunked else {"Content_Length": str(len(content))}
        head = request("POST", "/p/native/files", Authorization=f"Bearer {MASTER}", Content_Type="text/x", **framing)
        if is_chunked:
            head = head.replace(b"Content-Length: 0\r\n", b"")
            client.send(
                head, *(b"%x\r\n%b\r\n" % (MIB, content[n * MIB : (n + 1) * MIB]) for n in range(3)), b"0\r\n\r\n"
            )
        else:
            client.send(head, content)
        made = client.response().json
        assert keeper.last.digest == hashlib.sha256(content).hexdigest()
        assert (keeper.last.size, keeper.last.headers["content-type"]) == (len(content), "text/x")
        keeper.contents[made["id"]] = content
        answer = get(gateway, f"/p/native/v1/files/{made['id']}/content")
        assert answer.body == content
        assert answer.headers["content-length"] == str(len(content))


def test_an_answer_arrives_while_it_is_made(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = Gate()
    upstream.answer(stream(b"first", gate, b"second", content_type="application/x-odd"))
    with gateway.connect() as client:
        client.send(request("GET", "/p/openai/x", Authorization=f"Bearer {MASTER}"))
        client.until(b"first")
        gate.open()
        answer = client.response()
    assert (answer.body, answer.headers["content-type"]) == (b"firstsecond", "application/x-odd")


def test_a_slow_reader_slows_the_provider(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    content = os.urandom(2 * MIB)
    upstream.answer(reply(content, content_type="audio/wav"))
    with gateway.connect(receive_buffer=4096) as client:
        client.send(request("GET", "/p/openai/x", Authorization=f"Bearer {MASTER}"))
        client.until(b"\r\n\r\n")
        threading.Event().wait(0.2)
        unsent = gateway.call(lambda: sum(one.unsent_bytes() for one in gateway.app._edge._each()))
        assert unsent < MIB
        assert client.response().body == content


def test_an_answer_without_a_body(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(raw(b"HTTP/1.1 204 No Content\r\nX-Kept: yes\r\n\r\n"))
    answer = ask(gateway, "DELETE", "/p/openai/x")
    assert (answer.status, answer.body, answer.headers["x-kept"]) == (204, b"", "yes")
    assert "content-length" not in answer.headers
    assert "transfer-encoding" not in answer.headers


def test_a_compressed_answer_stays_compressed(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(b"\x1f\x8b\x00raw", headers=[("Content-Encoding", "gzip")]))
    answer = get(gateway, "/p/openai/chat/completions", Accept_Encoding="gzip")
    assert (answer.body, answer.headers["content-encoding"]) == (b"\x1f\x8b\x00raw", "gzip")


# --- paths and names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *(
            "../x",
            "a/../x",
            "a/..",
            ".",
            "a/./b",
            "%2e%2e/x",
            "a/%2E%2e/b",
            ".%2e/x",
            "a//b",
            "/x",
            "a/%2fb",
            "a%2f..%2fb",
        ),
        *("a%5cb", "%252e%252e/x", "a%252fb", "a%00b", "a%0d%0ab", "%zz", "a%", "..;x/y", ".;x"),
    ],
)
def test_a_path_that_could_lead_elsewhere_is_refused(gateway: Gateway, upstream: ScriptedUpstream, path: str) -> None:
    upstream.answer(reply(b"{}"))
    for method in ("GET", "POST"):
        answer = ask(gateway, method, f"/p/openai/{path}")
        assert answer.status == 400, path
        assert answer.error["message"]
    assert upstream.requests == []


def test_a_backslash_never_comes_in(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(b"{}"))
    assert get(gateway, "/p/openai/a\\b").status == 400
    assert upstream.requests == []


@pytest.mark.parametrize(
    "path", ["/p/nobody/x", "/p/OpenAI/x", "/p/openai", "/p/openai/", "/p//x", "/p/%2e%2e/x", "/p"]
)
def test_an_unknown_instance_is_told(gateway: Gateway, upstream: ScriptedUpstream, path: str) -> None:
    upstream.answer(reply(b"{}"))
    answer = get(gateway, path)
    assert (answer.status, answer.error["code"]) == (404, "not_found")
    assert upstream.requests == []


def test_nobody_passes_without_a_key(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(b"{}"))
    assert gateway.get("/p/openai/x").status == 401
    assert gateway.get("/p/openai/x", X_Api_Key="wrong").status == 401
    assert upstream.requests == []


def test_upgrades_are_refused_clearly(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(b"{}"))
    answer = get(gateway, "/p/openai/realtime?model=x", Connection="Upgrade", Upgrade="websocket")
    assert answer.status == 400
    assert "WebSocket" in answer.error["message"]
    assert upstream.requests == []


def test_the_simulator_has_paths_too(gateway: Gateway) -> None:
    asked = {"model": "sim-small", "messages": [{"role": "user", "content": "hi"}]}
    assert ask(gateway, "POST", "/p/sim/chat/completions", asked).json["choices"]
    assert ask(gateway, "POST", "/p/sim/nothing", asked).status == 404


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [300, 302, 304, 400, 401, 404, 418, 429, 500, 529])
def test_other_statuses_are_passed_as_they_are(gateway: Gateway, upstream: ScriptedUpstream, status: int) -> None:
    body = b"" if status == 304 else b'{"odd" :  "error"}'
    headers = [("Retry-After", "7"), ("Location", "https://example.com/")]
    if status == 304:
        upstream.answer(raw(b"HTTP/1.1 304 X\r\nRetry-After: 7\r\nLocation: https://example.com/\r\n\r\n"))
    else:
        upstream.answer(reply(body, status, headers))
    with gateway.connect() as client:
        client.send(request("POST", "/p/openai/chat/completions", b"{}", Authorization=f"Bearer {MASTER}"))
        answer = client.response(to_head=status == 304)
    assert (answer.status, answer.body) == (status, body)
    assert (answer.headers["retry-after"], answer.headers["location"]) == ("7", "https://example.com/")
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("cut", [1, 5, len(KEY) - 1])
def test_a_key_in_an_error_is_covered(gateway: Gateway, upstream: ScriptedUpstream, cut: int) -> None:
    text = f"Incorrect API key provided: {KEY}.".encode()
    at = text.index(KEY.encode()) + cut
    upstream.answer(stream(text[:at], text[at:], status=401, content_type="text/plain"))
    answer = get(gateway, "/p/openai/x")
    assert answer.body == text.replace(KEY.encode(), b"***")
    assert answer.headers["content-length"] == str(len(answer.body))


HIDDEN = {
    "escaped": reply(json.dumps({"error": KEY}).replace("-upstream-", "-\\u0075pstream-").encode(), 401),
    "compressed": reply(gzip.compress(f"{KEY}".encode()), 401, headers=[("Content-Encoding", "gzip")]),
    "compressed by name only": reply(f"see {KEY}".encode(), 500, headers=[("Content-Encoding", "br")]),
    "behind much": reply(b"x" * (MAX_ERROR_BODY_BYTES - 10) + KEY.encode() * 3, 500, content_type="text/plain"),
    "broken off": raw(f"HTTP/1.1 403 X\r\nContent-Length: 100\r\n\r\nis {KEY[:-1]}".encode(), CLOSE),
    "in an endless one": stream(*[KEY.encode() * 1000] * 40, status=429, content_type="text/event-stream"),
    "without a length": raw(f"HTTP/1.1 401 X\r\nContent-Type: text/html\r\n\r\n<b>{KEY}</b>".encode(), CLOSE),
}


@pytest.mark.parametrize("path", ["/p/openai/x", "/p/openai/chat/completions"])
@pytest.mark.parametrize("how", HIDDEN)
def test_no_error_shows_the_key(gateway: Gateway, upstream: ScriptedUpstream, how: str, path: str) -> None:
    upstream.answer(HIDDEN[how])
    answer = ask(gateway, "POST", path, b"{}", Accept_Encoding="gzip, br")
    assert upstream.request.header("accept-encoding") == "identity"
    assert answer.status in (401, 403, 429, 500)
    assert answer.is_complete
    assert len(answer.body) <= MAX_ERROR_BODY_BYTES
    assert "content-encoding" not in answer.headers
    for shown in (answer.body, str(answer.headers).encode()):
        assert KEY[:8].encode() not in shown
        assert KEY not in shown.decode().encode().decode("unicode_escape")
    with contextlib.suppress(ValueError):
        assert KEY not in json.dumps(answer.json)


def test_the_head_of_an_error_is_passed_as_it_is(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(raw(b"HTTP/1.1 404 X\r\nContent-Length: 17\r\n\r\n"))
    with gateway.connect() as client:
        client.send(request("HEAD", "/p/openai/x", Authorization=f"Bearer {MASTER}"))
        answer = client.response(to_head=True)
    assert (answer.status, answer.headers["content-length"]) == (404, "17")


@pytest.mark.parametrize(
    ("query", "passed"),
    [
        (f"?key={MASTER}", ""),
        (f"?a=1&KEY={MASTER}&b=%20", "?a=1&b=%20"),
        (f"?%6b%65y={MASTER}&alt=sse", "?alt=sse"),
        (f"?access_token={MASTER}&key=", ""),
        ("?keys=1&a&&b=key", "?keys=1&a&&b=key"),
    ],
)
def test_a_key_in_the_query_stays_here(gateway: Gateway, upstream: ScriptedUpstream, query: str, passed: str) -> None:
    upstream.answer(reply(b"{}"))
    assert get(gateway, f"/p/openai/x{query}").status == 200
    assert upstream.request.path == f"/v1/x{passed}"


def test_a_provider_that_breaks_off_breaks_the_answer(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", CLOSE))
    answer = get(gateway, "/p/openai/x")
    assert not answer.is_complete
    line = last_request(gateway)
    assert (line["truncated"], line["error"]) == (True, "upstream_broken")
    upstream.answer(raw(RESET))
    answer = get(gateway, "/p/openai/x")
    assert (answer.status, answer.error["code"]) == (502, "upstream_broken")


def test_a_client_that_leaves_is_noted(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = Gate()
    upstream.answer(stream(b"first", gate, b"x" * MIB))
    with gateway.connect() as client:
        client.send(request("GET", "/p/openai/x", Authorization=f"Bearer {MASTER}", X_Request_ID="left-1"))
        client.until(b"first")
    assert gateway.wait_for_line(lambda line: line.get("request_id") == "left-1")["disconnected"]
    gate.open()


# --- usage ------------------------------------------------------------------------------------------------------------

_GEMINI = {
    "candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 15, "totalTokenCount": 35},
}
USAGES = {
    "chat": ("/p/openai/chat/completions", reply(chat_api.completion()), (19, 10)),
    "chat stream": (
        "/p/openai/v1/chat/completions",
        stream(chat_api.role() + chat_api.text("x") + chat_api.delta("stop") + chat_api.usage() + chat_api.DONE),
        (19, 10),
    ),
    "responses": ("/p/openai/responses", reply(responses_api.answer(responses_api.message("hi"))), (20, 15)),
    "responses stream": ("/p/openai/responses", stream(responses_api.stream(responses_api.message("hi"))), (20, 15)),
    "messages": ("/p/anthropic/v1/messages", reply(messages_api.answer({"type": "text", "text": "x"})), (20, 15)),
    "messages stream": (
        "/p/anthropic/v1/messages",
        stream(messages_api.start() + messages_api.text(0, "x") + messages_api.end()),
        (20, 15),
    ),
    "gemini": ("/p/gemini/v1beta/models/gemini-test:generateContent", reply(_GEMINI), (20, 15)),
    "gemini stream": (
        "/p/gemini/v1beta/models/gemini-test:streamGenerateContent?alt=sse",
        stream(b"data: " + json.dumps(_GEMINI).encode() + b"\r\n\r\n"),
        (20, 15),
    ),
}


@pytest.mark.parametrize("what", USAGES)
def test_usage_is_read_by_the_way(gateway: Gateway, upstream: ScriptedUpstream, what: str) -> None:
    path, answer, tokens = USAGES[what]
    upstream.answer(answer)
    got = ask(gateway, "POST", path, b"{}")
    assert got.status == 200
    assert got.body in b"".join(piece for piece in answer.pieces if isinstance(piece, bytes)) or "stream" in what
    line = last_request(gateway)
    assert (line["usage"]["input_tokens"], line["usage"]["output_tokens"]) == tokens
    assert line.get("stream", False) is ("stream" in what)
    instance = path.split("/")[2]
    scrape = get(gateway, "/metrics").body.decode()
    assert any('"passthrough"' in one and f'"{instance}"' in one for one in scrape.splitlines() if "token" in one)


@pytest.mark.parametrize("body", [b"", b"[]", b"not JSON", b'{"usage":5}', b"data: {\n\n"])
def test_what_makes_no_sense_goes_through_all_the_same(
    gateway: Gateway, upstream: ScriptedUpstream, body: bytes
) -> None:
    for instance, path in (("openai", "chat/completions"), ("anthropic", "messages"), ("openai", "responses")):
        for content_type in ("application/json", "text/event-stream"):
            upstream.answer(reply(body, content_type=content_type))
            answer = ask(gateway, "POST", f"/p/{instance}/{path}", b"{}")
            assert (answer.status, answer.body, answer.is_complete) == (200, body, True)
