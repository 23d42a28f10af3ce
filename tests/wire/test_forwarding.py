"""Requests and answers on their way through a running gateway to a provider that speaks the client's own dialect: what is
kept byte for byte, what is changed, and what becomes of everything that can go wrong."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit import chat_api, messages_api
from tests.kit.feeds import splits
from tests.kit.gateway import Gateway, Response, chat, free_port, request
from tests.kit.upstream import (
    CLOSE,
    HALF_CLOSE,
    KEY,
    RESET,
    SILENCE,
    Gate,
    Piece,
    ScriptedUpstream,
    config_for,
    raw,
    reply,
    stream,
)

MASTER = "master-key-0123456789"
# a key of no known shape, so that only the gateway's knowledge of it can keep it hidden
ODD_KEY = "tok:en+word=42"
CLIENT_HEADERS = {"Authorization": f"Bearer {MASTER}"}
PATH = "/v1/chat/completions"
RETRY = {"attempts": 3, "base": "1ms", "cap": "1s"}
ANTHROPIC_HEADERS = {"anthropic-beta": "team-beta", "Anthropic-Version": "2024-01-01"}
HASTE = {"headers": "150ms", "first_token": "150ms", "stall": "150ms"}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gateway(upstream: ScriptedUpstream) -> Iterator[Gateway]:
    nowhere = f"http://127.0.0.1:{next(free_port())}/v1"
    config = config_for(
        upstream,
        openai={"models": ["gpt-test", "org/gpt:free"]},
        anthropic={"models": ["claude-sonnet-4-5"]},
        openai_patient={"models": ["gpt-patient"], "retry": RETRY},
        openai_keys={"models": ["gpt-keys"], "api_key": "sk-key-1", "api_keys": ["sk-key-2", "sk-key-3"]},
        openai_odd={
            "models": ["gpt-odd"],
            "api_key": ODD_KEY,
            "headers": {"X-Team": "team-secret-7", "User-Agent": "our-team/2"},
        },
        anthropic_odd={"models": ["claude-odd"], "api_key": ODD_KEY, "headers": ANTHROPIC_HEADERS},
        openai_lost={"models": ["gpt-lost"], "retry": RETRY},
        openai_hasty={"models": ["gpt-hasty"], "timeouts": HASTE},
        anthropic_hasty={"models": ["claude-hasty"], "timeouts": HASTE},
        openai_dead={"models": ["gpt-dead"], "base_url": nowhere},
    )
    with Gateway(config, SLUICE_MASTER_KEY=MASTER) as gateway:
        yield gateway


def post(gateway: Gateway, body: bytes, **headers: str) -> Response:
    return gateway.post(PATH, body, **CLIENT_HEADERS, **headers)


def ask(gateway: Gateway, headers: dict[str, str] | None = None, **fields: Any) -> Response:
    return gateway.chat(headers={**CLIENT_HEADERS, **(headers or {})}, **{"model": "gpt-test", **fields})


def last_error(response: Response) -> Any:
    """The error event that a broken stream ends with."""
    assert response.status == 200
    assert response.is_complete
    assert "[DONE]" not in response.events
    error: Any = json.loads(response.events[-1])["error"]
    return error


# --- up ---------------------------------------------------------------------------------------------------------------

ODD_BODY = (
    b' {"zeta" : [ 1.0e0,\t-0, 12345678901234567890 ],\r\n  "messages":[{"content":"caf\\u00e9 \\/ \\ud83d\\ude00",'
    b'"role":"user","x":{"model":"inner"}}],\n"model" :  "gpt-test","temperature":0.10, "future_field":{"b":1,"a":[]} }\n'
)


def test_a_body_goes_up_as_it_came(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.completion()))
    assert post(gateway, ODD_BODY).status == 200
    assert upstream.request.method == "POST"
    assert upstream.request.path == PATH
    assert upstream.request.body == ODD_BODY


@pytest.mark.parametrize(
    ("asked", "model"),
    [("openai/gpt-test", "gpt-test"), ("openai/org/gpt:free", "org/gpt:free"), ("openai\\/gpt-test", "gpt-test")],
)
def test_of_a_qualified_id_only_the_model_is_rewritten(
    gateway: Gateway, upstream: ScriptedUpstream, asked: str, model: str
) -> None:
    upstream.answer(reply(chat_api.completion()))
    body = ODD_BODY.replace(b'"gpt-test"', f'"{asked}"'.encode())
    assert post(gateway, body).status == 200
    assert upstream.request.body == ODD_BODY.replace(b'"gpt-test"', f'"{model}"'.encode())


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_ROUTING = ("model", "messages", "stream", "stream_options", "simulate")


@settings(max_examples=40, deadline=None)
@given(
    members=st.dictionaries(st.text(max_size=10).filter(lambda name: name not in _ROUTING), _JSON, max_size=5),
    place=st.integers(0, 5),
    indent=st.sampled_from([None, 1, "\t"]),
    as_ascii=st.booleans(),
)
def test_unknown_fields_survive_byte_for_byte(
    gateway: Gateway, upstream: ScriptedUpstream, members: Any, place: int, indent: Any, as_ascii: bool
) -> None:
    upstream.answer(reply(chat_api.completion()))
    items = list(members.items())
    known = [("model", "gpt-test"), ("messages", [{"role": "user", "content": "hi", **members}])]
    text = json.dumps(dict(items[:place] + known + items[place:]), indent=indent, ensure_ascii=as_ascii)
    body = text.encode("utf-8")
    assert post(gateway, body).status == 200
    assert upstream.request.body == body


def test_a_stream_asks_for_usage_that_the_client_did_not_ask_for(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(stream(chat_api.whole_stream("Hi")))
    ask(gateway, stream=True)
    sent = upstream.request.json()
    assert sent.pop("stream_options") == {"include_usage": True}
    assert sent == {"model": "gpt-test", "messages": [{"role": "user", "content": "hi"}], "stream": True}


def test_other_stream_options_stay_beside_the_one_that_is_added(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(stream(chat_api.whole_stream("Hi")))
    ask(gateway, stream=True, stream_options={"include_obfuscation": False, "include_usage": False})
    assert upstream.request.json()["stream_options"] == {"include_obfuscation": False, "include_usage": True}


def test_stream_options_that_ask_for_usage_are_not_touched(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(stream(chat_api.whole_stream("Hi")))
    body = (
        b'{"model":"gpt-test","stream":true , "stream_options" : {"x":1, "include_usage":true},'
        b'"messages":[{"role":"user","content":"hi"}]}'
    )
    post(gateway, body)
    assert upstream.request.body == body


def test_the_provider_gets_its_key_and_nothing_of_the_clients_headers(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.answer(reply(chat_api.completion()))
    headers = {
        "Cookie": "session=1",
        "Connection": "keep-alive, X-Private",
        "X-Private": "1",
        "Proxy-Authorization": "Basic Zm9vOmJhcg==",
        "X-Forwarded-For": "203.0.113.7",
        "Forwarded": "for=203.0.113.7",
        "User-Agent": "client/1.0",
        "Accept-Encoding": "gzip, br",
        "OpenAI-Organization": "org-client",
        "X-Request-ID": "client-1",
        "X-Sluice-Tags": "a",
    }
    ask(gateway, headers=headers)
    sent = {name.lower(): value for name, value in upstream.request.headers}
    assert len(sent) == len(upstream.request.headers)
    assert sent.pop("content-length") == str(len(upstream.request.body))
    assert sent == {
        "host": f"127.0.0.1:{upstream.port}",
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": "sluice",
    }


def test_the_headers_a_surface_names_go_up(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(messages_api.answer({"type": "text", "text": "Hi"})))
    ask(gateway, model="claude-sonnet-4-5")
    assert upstream.requests[-1].header("anthropic-version") == "2023-06-01"
    assert upstream.requests[-1].header("anthropic-beta") is None
    ask(
        gateway, model="claude-sonnet-4-5", headers={"Anthropic-Beta": "some-beta-1", "anthropic-version": "2099-01-01"}
    )
    assert upstream.requests[-1].header("anthropic-version") == "2099-01-01"
    assert upstream.requests[-1].header("anthropic-beta") == "some-beta-1"


def test_headers_of_the_configuration_go_up(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.completion()))
    ask(gateway, model="gpt-odd")
    assert upstream.request.header("x-team") == "team-secret-7"
    assert upstream.request.header("user-agent") == "our-team/2"
    assert upstream.request.header("authorization") == f"Bearer {ODD_KEY}"


def test_headers_of_the_configuration_stand_above_the_providers_own(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.answer(reply(messages_api.answer({"type": "text", "text": "Hi"})))
    ask(gateway, model="claude-odd")
    assert upstream.request.header("anthropic-beta") == "team-beta"
    assert upstream.request.header("anthropic-version") == "2024-01-01"


def test_several_keys_take_turns(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.completion()))
    for _ in range(6):
        ask(gateway, model="gpt-keys")
    keys = [sent.header("authorization") for sent in upstream.requests]
    assert sorted(keys[:3]) == ["Bearer sk-key-1", "Bearer sk-key-2", "Bearer sk-key-3"]
    assert keys[3:] == keys[:3]


def test_connections_to_the_provider_are_used_again(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.completion()), stream(chat_api.whole_stream("Hi")), reply(chat_api.completion()))
    for is_stream in (False, True, False):
        assert ask(gateway, stream=is_stream).status == 200
    assert len({sent.connection for sent in upstream.requests}) == 1


# --- down, whole answers ----------------------------------------------------------------------------------------------


def test_an_answer_comes_down_as_it_came(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    body = b"\n\n  " + chat_api.completion("caf\u00e9 \U0001f600") + b"\n"
    upstream.answer(reply(body, headers=[("Content-Type-Options", "nosniff")]))
    response = ask(gateway)
    assert response.status == 200
    assert response.body == body
    assert response.headers["content-type"] == "application/json"


def test_an_answer_tells_how_it_came_about(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.completion()))
    response = ask(gateway, headers={"X-Request-ID": "trace-7"})
    told = {name: value for name, value in response.headers.items() if name.startswith("x-")}
    assert told == {
        "x-request-id": "trace-7",
        "x-cache": "BYPASS",
        "x-sluice-provider": "openai",
        "x-sluice-model": "gpt-test",
        "x-sluice-attempts": "1",
    }


def test_a_request_without_an_id_gets_one_of_its_own(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.completion()))
    ids = {ask(gateway).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert ask(gateway, headers={"X-Request-ID": "no spaces, please"}).headers["x-request-id"].startswith("req_")


def test_the_providers_own_headers_stay_behind(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    headers = [
        ("Set-Cookie", "a=b"),
        ("X-Request-ID", "req_upstream"),
        ("Server", "provider"),
        ("Connection", "keep-alive"),
        ("Keep-Alive", "timeout=5"),
        ("Access-Control-Allow-Origin", "*"),
        ("X-Sluice-Attempts", "9"),
    ]
    upstream.answer(reply(chat_api.completion(), headers=headers))
    response = ask(gateway)
    assert not {"set-cookie", "server", "keep-alive", "access-control-allow-origin"} & set(response.headers)
    assert response.headers["x-request-id"] != "req_upstream"
    assert response.headers["x-sluice-attempts"] == "1"
    # for whoever has to ask the provider about it
    assert gateway.requests()[-1]["upstream_request_id"] == "req_upstream"


def test_what_a_translation_drops_is_named(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(messages_api.answer({"type": "text", "text": "Hi"})))
    response = ask(gateway, model="claude-sonnet-4-5", seed=7, store=True)
    assert response.status == 200
    assert response.headers["x-sluice-dropped"] == "seed, store"
    assert "seed" not in upstream.request.json()


@pytest.mark.parametrize("name", ["a\r\nX-Evil: 1", "a\x00b", "caf\u00e9", "a, b", "x" * 100_000])
def test_no_field_name_can_write_a_header(gateway: Gateway, upstream: ScriptedUpstream, name: str) -> None:
    upstream.answer(reply(messages_api.answer({"type": "text", "text": "Hi"})))
    response = ask(gateway, model="claude-sonnet-4-5", **{name: 1})
    assert response.status == 200
    assert "x-evil" not in response.headers
    dropped = response.headers["x-sluice-dropped"]
    assert len(dropped) < 200
    assert dropped.isascii()
    assert dropped.isprintable()
    assert "," not in dropped


def test_many_dropped_fields_do_not_make_an_endless_header(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(messages_api.answer({"type": "text", "text": "Hi"})))
    response = ask(gateway, model="claude-sonnet-4-5", **{f"field_{number}": 1 for number in range(5000)})
    assert response.status == 200
    assert len(response.headers["x-sluice-dropped"]) < 8192


# --- down, streams ----------------------------------------------------------------------------------------------------

LF_STREAM = (
    b": PROCESSING\n\n"
    + chat_api.role()
    + b"id: 7\nretry: 10\nevent: message\n"
    + chat_api.text("caf\u00e9", " \U0001f600", "\n")
    + b":keep-alive\n\ndata:{}\n\n"
    + chat_api.delta("stop")
    + chat_api.usage()
    + chat_api.DONE
)
CRLF_STREAM = LF_STREAM.replace(b"\n", b"\r\n")
UNENDED_STREAM = LF_STREAM.removesuffix(b"\n\n")


@pytest.mark.parametrize("data", [LF_STREAM, CRLF_STREAM, UNENDED_STREAM], ids=["lf", "crlf", "no last line end"])
def test_every_byte_of_a_stream_comes_down_however_it_is_cut(
    gateway: Gateway, upstream: ScriptedUpstream, data: bytes
) -> None:
    @settings(max_examples=25, deadline=None)
    @given(pieces=splits(data))
    def check(pieces: list[bytes]) -> None:
        upstream.answer(stream(*pieces))
        response = ask(gateway, stream=True, stream_options={"include_usage": True})
        assert response.body == data
        assert response.is_complete
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"

    check()
    line = gateway.requests()[-1]
    assert line["usage"] == {"input_tokens": 19, "output_tokens": 10}
    assert line["finish_reason"] == "stop"


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_usage_that_the_client_did_not_ask_for_is_taken_out_of_the_stream(
    gateway: Gateway, upstream: ScriptedUpstream, line_end: bytes
) -> None:
    before = (b": PROCESSING\n\n" + chat_api.role() + chat_api.text("Hi", "!")).replace(b"\n", line_end)
    usage = chat_api.usage().replace(b"\n", line_end)
    after = (chat_api.delta("stop") + chat_api.DONE).replace(b"\n", line_end)

    @settings(max_examples=25, deadline=None)
    @given(pieces=splits(before + usage + after))
    def check(pieces: list[bytes]) -> None:
        upstream.answer(stream(*pieces))
        assert ask(gateway, stream=True).body == before + after

    check()
    assert gateway.requests()[-1]["usage"]["input_tokens"] == 19


def test_usage_on_a_chunk_with_choices_stays(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    last = chat_api.delta("stop").replace(b'"created"', b'"usage":{"prompt_tokens":5,"completion_tokens":1},"created"')
    data = chat_api.role() + chat_api.text("Hi") + last + chat_api.DONE
    upstream.answer(stream(data))
    assert ask(gateway, stream=True).body == data
    assert gateway.requests()[-1]["usage"]["input_tokens"] == 5


def test_chunks_go_down_as_they_come(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = Gate()
    upstream.answer(stream(chat_api.role() + chat_api.text("first"), gate, chat_api.delta("stop") + chat_api.DONE))
    with gateway.connect() as client:
        client.send(chat(headers=CLIENT_HEADERS, model="gpt-test", stream=True))
        client.until(b"first")
        gate.open()
        assert client.response().body.endswith(chat_api.DONE)


def test_a_stream_answered_in_one_piece_comes_down_in_one_piece(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.completion()))
    response = ask(gateway, stream=True)
    assert response.headers["content-type"] == "application/json"
    assert response.body == chat_api.completion()
    assert gateway.requests()[-1]["usage"]["output_tokens"] == 10


# --- errors of the provider -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 422, 429, 500, 502, 503, 529])
@pytest.mark.parametrize("is_stream", [False, True])
def test_an_error_keeps_its_status_and_every_byte(
    gateway: Gateway, upstream: ScriptedUpstream, status: int, is_stream: bool
) -> None:
    body = chat_api.error("Something \u2713 is wrong.", "some_type", param="messages", code="some_code", extra=[1])
    upstream.answer(reply(body, status))
    response = ask(gateway, stream=is_stream)
    assert response.status == status
    assert response.body == body
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-sluice-provider"] == "openai"


def test_the_wait_a_provider_asks_for_is_told(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.error("Slow down.", "requests"), 429, headers=[("Retry-After", "27")]))
    response = ask(gateway)
    assert response.status == 429
    assert response.headers["retry-after"] == "27"


@pytest.mark.parametrize(
    "body", [b"", b"Bad gateway", b"<html><h1>502</h1></html>", b"\xff\xfe", b"[]", b'{"error":null}']
)
def test_an_error_without_an_envelope_gets_one(gateway: Gateway, upstream: ScriptedUpstream, body: bytes) -> None:
    upstream.answer(reply(body, 503, content_type="text/html"))
    response = ask(gateway)
    assert response.status == 503
    assert response.error["message"].startswith("openai: ")
    assert response.error["type"] == "server_error"
    assert response.error["code"] == "upstream_refused"


def test_a_huge_error_keeps_its_status_and_becomes_small(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.error("no " * 400_000), 400))
    response = ask(gateway)
    assert response.status == 400
    assert len(response.body) < 8192
    assert response.error["message"].startswith("openai: ")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(gateway: Gateway, upstream: ScriptedUpstream, status: int) -> None:
    upstream.answer(reply(b"", status, headers=[("Location", f"{upstream.base_url}/elsewhere")]))
    response = ask(gateway)
    assert response.status == 502
    assert response.error["code"] == "upstream_broken"
    assert len(upstream.requests) == 1
    assert "location" not in response.headers


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("model", ["gpt-test", "claude-sonnet-4-5"])
@pytest.mark.parametrize("body", [b"<html><h1>Welcome</h1></html>", b"", b"[1]", b'"text"', b'{"unfinished":'])
def test_a_success_that_is_no_answer_is_an_error(
    gateway: Gateway, upstream: ScriptedUpstream, model: str, body: bytes, is_stream: bool
) -> None:
    upstream.answer(reply(body, content_type="text/html"))
    response = ask(gateway, model=model, stream=is_stream)
    instance = "openai" if model == "gpt-test" else "anthropic"
    assert response.status == 502
    assert response.error["code"] == "upstream_broken"
    assert response.error["message"].startswith(f"{instance}: ")
    assert response.headers["x-sluice-provider"] == instance


def test_another_dialects_error_is_told_in_the_clients_own(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(
        reply({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"}, 529)
    )
    response = ask(gateway, model="claude-sonnet-4-5")
    assert response.status == 529
    assert response.error["message"] == "anthropic: Overloaded"
    assert response.error["type"] == "overloaded_error"


def test_a_provider_that_cannot_be_reached_is_named(gateway: Gateway) -> None:
    response = ask(gateway, model="gpt-dead")
    assert response.status == 502
    assert response.error["code"] == "upstream_unreachable"
    assert response.error["message"].startswith("openai-dead: ")
    assert response.headers["x-sluice-provider"] == "openai-dead"
    assert gateway.requests()[-1]["error"] == "upstream_unreachable"


BREAKS: list[tuple[Piece, ...]] = [
    (RESET,),
    (CLOSE,),
    (HALF_CLOSE,),
    (b"HTTP/1.1 200 OK\r\nContent-Le", RESET),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", RESET),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", CLOSE),
    (b"\x00\x01 not http at all\r\n\r\n", CLOSE),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", CLOSE),
]


@pytest.mark.parametrize("pieces", BREAKS, ids=repr)
@pytest.mark.parametrize("is_stream", [False, True])
def test_an_answer_that_breaks_off_is_an_error(
    gateway: Gateway, upstream: ScriptedUpstream, pieces: tuple[Piece, ...], is_stream: bool
) -> None:
    upstream.answer(raw(*pieces))
    response = ask(gateway, stream=is_stream)
    assert response.status == 502
    assert response.error["code"] == "upstream_broken"
    assert response.headers["x-sluice-provider"] == "openai"


FIRST = chat_api.role() + chat_api.text("first")


@pytest.mark.parametrize(
    "pieces",
    [(RESET,), (CLOSE,), (HALF_CLOSE,), (chat_api.text("half")[:-9], RESET), (), (chat_api.text("half")[:-9],)],
    ids=["reset", "close", "half-close", "half an event and reset", "a clean end", "half an event and a clean end"],
)
def test_a_stream_that_breaks_off_ends_with_an_error(
    gateway: Gateway, upstream: ScriptedUpstream, pieces: tuple[Piece, ...]
) -> None:
    upstream.answer(stream(FIRST, *pieces))
    response = ask(gateway, stream=True)
    assert response.body.startswith(FIRST)
    assert last_error(response)["code"] == "upstream_broken"
    assert last_error(response)["message"].startswith("openai: ")
    assert len(response.body.removeprefix(FIRST).split(b"\n\n")) == 2, "nothing but the error may follow"
    line = gateway.requests()[-1]
    assert line["truncated"]
    assert line["error"] == "upstream_broken"


def test_an_error_that_opens_a_stream_is_a_real_status(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(stream(chat_api.event({"error": {"message": "Too many requests", "code": 429}})))
    response = ask(gateway, stream=True)
    assert response.status == 429
    assert response.error["message"] == "openai: Too many requests"


def test_an_error_within_a_stream_comes_down_in_the_providers_words(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    error = chat_api.event({"error": {"message": "Rate limit reached", "type": "requests", "x": 1}})
    upstream.answer(stream(FIRST, error))
    response = ask(gateway, stream=True)
    assert response.body == FIRST + error
    assert gateway.requests()[-1]["truncated"]


# --- secrets ----------------------------------------------------------------------------------------------------------

ECHO = f"key {ODD_KEY} and team-secret-7 are wrong"
IN_STREAM = chat_api.event({"error": {"message": ECHO, "type": "invalid_request_error"}})


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        ("gpt-odd", reply(chat_api.error(ECHO, code=ECHO), 401)),
        ("gpt-odd", reply(ECHO.encode(), 500, content_type="text/plain")),
        ("gpt-odd", reply({"error": ECHO}, 403)),
        ("gpt-odd", stream(IN_STREAM)),
        ("gpt-odd", stream(FIRST, IN_STREAM)),
        ("gpt-odd", reply(chat_api.error("no"), 401, headers=[("X-Request-ID", ODD_KEY)])),
        ("claude-odd", reply({"type": "error", "error": {"type": "authentication_error", "message": ECHO}}, 401)),
        ("claude-odd", reply({"type": "error", "error": {"type": "authentication_error", "message": ECHO}}, 200)),
        ("claude-odd", stream(messages_api.event("error", error={"type": "api_error", "message": ECHO}))),
        (
            "claude-odd",
            stream(
                messages_api.start()
                + messages_api.text(0, "first")
                + messages_api.event("error", error={"type": "api_error", "message": ECHO})
            ),
        ),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_key_that_a_provider_repeats_is_seen_nowhere(
    gateway: Gateway, upstream: ScriptedUpstream, model: str, answer: Any, is_stream: bool
) -> None:
    upstream.answer(answer)
    with gateway.connect() as client:
        client.send(chat(headers={**CLIENT_HEADERS, "Connection": "close"}, model=model, stream=is_stream))
        told = client.rest().decode()
    gateway.requests()
    secrets = {ODD_KEY} if model == "claude-odd" else {ODD_KEY, "team-secret-7"}
    assert told.startswith("HTTP/1.1 ")
    assert not [secret for secret in secrets if secret in told or secret in gateway.log_text()]
    assert MASTER not in gateway.log_text()


# --- trying again -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_stream", [False, True])
def test_what_failed_is_tried_again(gateway: Gateway, upstream: ScriptedUpstream, is_stream: bool) -> None:
    good = stream(FIRST + chat_api.delta("stop") + chat_api.DONE) if is_stream else reply(chat_api.completion())
    upstream.answer(reply(chat_api.error(), 503), good)
    response = ask(gateway, model="gpt-patient", stream=is_stream)
    assert response.status == 200
    assert response.headers["x-sluice-attempts"] == "2"
    first, second = upstream.requests
    assert first.body == second.body
    assert gateway.requests()[-1]["attempts"] == 2


def test_a_lost_connection_is_tried_again(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The provider has no connection yet: one that was used before would be replaced without counting as an attempt."""
    upstream.answer(raw(RESET), raw(RESET), reply(chat_api.completion()))
    response = ask(gateway, model="gpt-lost")
    assert response.status == 200
    assert response.headers["x-sluice-attempts"] == "3"


def test_trying_ends_with_the_last_error(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.error("first"), 500), reply(chat_api.error("last"), 503))
    response = ask(gateway, model="gpt-patient")
    assert response.status == 503
    assert response.json["error"]["message"] == "last"
    assert response.headers["x-sluice-attempts"] == "3"
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 302])
def test_what_would_fail_again_is_not_tried_again(gateway: Gateway, upstream: ScriptedUpstream, status: int) -> None:
    upstream.answer(reply(chat_api.error(), status))
    ask(gateway, model="gpt-patient")
    assert len(upstream.requests) == 1


def test_a_short_wait_that_a_provider_asks_for_is_kept(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.error(), 429, headers=[("Retry-After", "0")]), reply(chat_api.completion()))
    assert ask(gateway, model="gpt-patient").headers["x-sluice-attempts"] == "2"


def test_a_long_wait_that_a_provider_asks_for_is_left_to_the_client(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.answer(reply(chat_api.error(), 429, headers=[("Retry-After", "60")]))
    response = ask(gateway, model="gpt-patient")
    assert response.status == 429
    assert response.headers["retry-after"] == "60"
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("piece", [RESET, chat_api.event({"error": {"message": "Overloaded", "code": 503}})])
def test_nothing_is_tried_again_once_the_client_has_a_byte(
    gateway: Gateway, upstream: ScriptedUpstream, piece: Piece
) -> None:
    upstream.answer(stream(FIRST, piece), stream(chat_api.whole_stream("second")))
    response = ask(gateway, model="gpt-patient", stream=True)
    assert response.body.startswith(FIRST)
    assert b"second" not in response.body
    assert len(upstream.requests) == 1
    assert response.headers["x-sluice-attempts"] == "1"


# --- deadlines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_provider_that_never_answers_is_a_timeout(
    gateway: Gateway, upstream: ScriptedUpstream, is_stream: bool
) -> None:
    upstream.answer(raw(SILENCE))
    response = ask(gateway, model="gpt-hasty", stream=is_stream)
    assert response.status == 504
    assert response.error["code"] == "upstream_timeout"
    assert response.headers["x-sluice-provider"] == "openai-hasty"
    upstream.wait_closed()


@pytest.mark.parametrize("kept_warm", [b": ping\n\n", chat_api.role(), FIRST], ids=["comment", "role", "token"])
def test_a_provider_that_falls_silent_ends_the_stream_with_an_error(
    gateway: Gateway, upstream: ScriptedUpstream, kept_warm: bytes
) -> None:
    upstream.answer(stream(kept_warm, SILENCE))
    response = ask(gateway, model="gpt-hasty", stream=True)
    assert response.body.startswith(kept_warm)
    assert last_error(response)["code"] == "upstream_timeout"
    assert last_error(response)["message"].startswith("openai-hasty: ")
    upstream.wait_closed()


def test_pings_do_not_stand_in_for_a_token(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(stream(messages_api.start() + messages_api.ping(), SILENCE))
    response = ask(gateway, model="claude-hasty", stream=True)
    assert response.status == 504
    assert response.error["code"] == "upstream_timeout"


def test_a_client_may_set_a_deadline(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(raw(SILENCE))
    response = ask(gateway, headers={"X-Sluice-Timeout": "100ms"})
    assert response.status == 504
    assert response.error["code"] == "upstream_timeout"
    upstream.wait_closed()


def test_a_deadline_of_the_client_ends_a_stream_with_an_error(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(stream(FIRST, SILENCE))
    response = ask(gateway, headers={"X-Sluice-Timeout": "100ms"}, stream=True)
    assert response.body.startswith(FIRST)
    assert last_error(response)["code"] == "upstream_timeout"
    upstream.wait_closed()


def test_a_deadline_of_the_client_holds_while_waiting_for_another_attempt(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """The provider asks for a wait that the policy allows and the client does not."""
    upstream.answer(reply(chat_api.error(), 429, headers=[("Retry-After", "1")]))
    response = ask(gateway, headers={"X-Sluice-Timeout": "50ms"}, model="gpt-patient")
    assert len(upstream.requests) == 1
    assert response.status == 429


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("value", ["soon", "-1s", "", "1 fortnight"])
def test_a_deadline_that_is_none_is_refused_before_anything_is_sent(
    gateway: Gateway, upstream: ScriptedUpstream, value: str, is_stream: bool
) -> None:
    upstream.answer(stream(chat_api.whole_stream("never")))
    head = {**CLIENT_HEADERS, "X-Sluice-Timeout": value}
    # what follows on the same connection shows that nothing came after the refusal
    first, second = gateway.send(
        chat(headers=head, model="gpt-test", stream=is_stream), request("GET", "/health", Connection="close")
    )
    assert first.status == 400
    assert "X-Sluice-Timeout" in first.error["message"]
    assert second.status == 200
    assert upstream.requests == []


# --- the client leaves ------------------------------------------------------------------------------------------------

COUNTED = FIRST.replace(b'"created"', b'"usage":{"prompt_tokens":11,"completion_tokens":1},"created"')


@pytest.mark.parametrize(
    ("model", "first", "tokens"),
    [
        ("gpt-test", COUNTED, (11, 1)),
        ("claude-sonnet-4-5", messages_api.start() + messages_api.text(0, "first"), (20, 1)),
    ],
)
def test_when_the_client_leaves_a_stream_the_provider_is_left_too(
    gateway: Gateway, upstream: ScriptedUpstream, model: str, first: bytes, tokens: tuple[int, int]
) -> None:
    upstream.answer(stream(first, SILENCE))
    name = f"leaver-{model}"
    with gateway.connect() as client:
        client.send(chat(headers={**CLIENT_HEADERS, "X-Request-ID": name}, model=model, stream=True))
        client.until(b"first")
    upstream.wait_closed()
    line = gateway.wait_for_line(lambda line: line.get("request_id") == name)
    assert line["disconnected"]
    assert line["status"] == 499
    assert (line["usage"]["input_tokens"], line["usage"]["output_tokens"]) == tokens


def test_when_the_client_leaves_before_the_answer_the_provider_is_left_too(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    gate = Gate()
    upstream.answer(raw(gate, SILENCE))
    with gateway.connect() as client:
        client.send(chat(headers={**CLIENT_HEADERS, "X-Request-ID": "early-leaver"}, model="gpt-test"))
        gate.wait_reached()
    gate.open()
    upstream.wait_closed()
    line = gateway.wait_for_line(lambda line: line.get("request_id") == "early-leaver")
    assert line["disconnected"]


def test_a_client_that_left_is_not_asked_for_again(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = Gate()
    upstream.answer(raw(gate, SILENCE))
    with gateway.connect() as client:
        client.send(chat(headers={**CLIENT_HEADERS, "X-Request-ID": "patient-leaver"}, model="gpt-patient"))
        gate.wait_reached()
    gate.open()
    upstream.wait_closed()
    assert gateway.wait_for_line(lambda line: line.get("request_id") == "patient-leaver")["attempts"] == 1
    assert len(upstream.requests) == 1
