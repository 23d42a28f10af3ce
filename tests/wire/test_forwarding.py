"""Requests and answers on their way through a running gateway to a provider that speaks the client's own dialect: what
is kept byte for byte, and what is changed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit import chat_api, messages_api
from tests.kit.feeds import splits
from tests.kit.forwarded import CLIENT_HEADERS, MASTER, ask
from tests.kit.gateway import Gateway, Response, chat
from tests.kit.upstream import (
    KEY,
    Gate,
    ScriptedUpstream,
    config_for,
    reply,
    stream,
)

PATH = "/v1/chat/completions"
ANTHROPIC_HEADERS = {"anthropic-beta": "team-beta", "Anthropic-Version": "2024-01-01"}


@pytest.fixture(scope="module")
def gateway(upstream: ScriptedUpstream) -> Iterator[Gateway]:
    config = config_for(
        upstream,
        openai={"models": ["gpt-test", "org/gpt:free"]},
        anthropic={"models": ["claude-sonnet-4-5"]},
        openai_keys={"models": ["gpt-keys"], "api_key": "sk-key-1", "api_keys": ["sk-key-2", "sk-key-3"]},
        openai_team={"models": ["gpt-team"], "headers": {"X-Team": "seven", "User-Agent": "our-team/2"}},
        anthropic_team={"models": ["claude-team"], "headers": ANTHROPIC_HEADERS},
    )
    with Gateway(config, SLUICE_MASTER_KEY=MASTER) as gateway:
        yield gateway


def post(gateway: Gateway, body: bytes, **headers: str) -> Response:
    return gateway.post(PATH, body, **CLIENT_HEADERS, **headers)


# --- up ---------------------------------------------------------------------------------------------------------------

ODD_BODY = (
    b' {"zeta" : [ 1.0e0,\t-0, 12345678901234567890 ],\r\n  "messages":[{"content":"caf\\u00e9 \\/ \\ud83d\\ude00",'
    b'"role":"user","x":{"model":"inner"}}],\n"model" :  "gpt-test","temperature":0.10, "future":{"b":1,"a":[]} }\n'
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
    ask(gateway, model="gpt-team")
    assert upstream.request.header("x-team") == "seven"
    assert upstream.request.header("user-agent") == "our-team/2"
    assert upstream.request.header("authorization") == f"Bearer {KEY}"


def test_headers_of_the_configuration_stand_above_the_providers_own(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.answer(reply(messages_api.answer({"type": "text", "text": "Hi"})))
    ask(gateway, model="claude-team")
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


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
def test_embeddings_are_carried_as_bytes(gateway: Gateway, upstream: ScriptedUpstream, path: str) -> None:
    body = b'{ "model":"openai/gpt-test","input":["a",[1,2]], "encoding_format":"base64","dimensions":2.0 }'
    answer = b'{"object":"list","data":[{"embedding":"AACAPwAAAEA=","index":0}],\n"usage":{"prompt_tokens":7}}'
    upstream.answer(reply(answer))
    response = gateway.post(path, body, **CLIENT_HEADERS)
    assert response.body == answer
    assert upstream.request.path == "/v1/embeddings"
    assert upstream.request.body == body.replace(b"openai/", b"")
    line = gateway.requests()[-1]
    assert (line["endpoint"], line["usage"]["input_tokens"]) == ("embeddings", 7)


MESSAGES = b'"messages":[{"role":"user","content":"hi"}]'
BAD_BODIES = [
    (b"", 400),
    (b"{", 400),
    (b"null", 400),
    (b"[]", 400),
    (b"{%b}" % MESSAGES, 400),
    (b'{"model":"MODEL"}', 400),
    (b'{"model":null,%b}' % MESSAGES, 400),
    (b'{"model":["MODEL"],%b}' % MESSAGES, 400),
    (b'{"model":"MODEL","messages":"hi"}', 400),
    (b'{"model":"MODEL","messages":[]}', 400),
    (b'{"model":"MODEL","messages":[1]}', 400),
    (b'{"model":"MODEL","stream":1,%b}' % MESSAGES, 400),
    (b'{"model":"MODEL","model":"MODEL",%b}' % MESSAGES, 400),
    (b'{"model":"MODEL","m\\u006fdel":"MODEL",%b}' % MESSAGES, 400),
    (b'{"model":"MODEL","stream":true,"stream":false,%b}' % MESSAGES, 400),
    (b'{"model":"MODEL","x":%b%b,%b}' % (b"[" * 65, b"]" * 65, MESSAGES), 400),
    (b'{"model":"MODEL","x":%b}' % (b"[" * 100_000), 400),
    (b'{"model":"MODEL","x":"\xff",%b}' % MESSAGES, 400),
    (b'{"model":"MODEL","\xed\xa0\x80":1,%b}' % MESSAGES, 400),
    (b'{"model":"MODEL","x":%b,%b}' % (b"1" * 41, MESSAGES), 400),
    (b'{"model":"MODEL",%b} {}' % MESSAGES, 400),
    (b'{"model":"MODEL",%b,"x":NaN}' % MESSAGES, 400),
    (b'{"model":"MODEL\\u0000",%b}' % MESSAGES, 404),
    (b'{"model":"nothing",%b}' % MESSAGES, 404),
]


@pytest.mark.parametrize(("body", "status"), BAD_BODIES, ids=lambda value: repr(value)[:60])
@pytest.mark.parametrize("model", ["gpt-test", "openai/gpt-test", "claude-sonnet-4-5"])
def test_of_a_bad_request_nothing_is_sent(
    gateway: Gateway, upstream: ScriptedUpstream, body: bytes, status: int, model: str
) -> None:
    upstream.answer(reply(chat_api.completion()))
    response = post(gateway, body.replace(b"MODEL", model.encode()))
    assert response.status == status
    assert response.error["type"] == "invalid_request_error"
    assert upstream.requests == []


def test_a_body_that_is_too_large_is_not_sent(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.completion()))
    limit = 2**20
    with Gateway(
        config_for(upstream, openai={"models": ["gpt-test"]}), SLUICE_SERVER__MAX_BODY=f"{limit}"
    ) as small_gateway:
        fits = b'{"model":"gpt-test",%b}' % MESSAGES
        assert small_gateway.post(PATH, fits.ljust(limit)).status == 200
        assert upstream.request.body == fits.ljust(limit)
        response = small_gateway.post(PATH, fits.ljust(limit + 1))
        assert response.status == 413
        assert response.error["code"] == "request_too_large"
    assert len(upstream.requests) == 1


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


SEARCHED = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}


def responses(gateway: Gateway, **members: Any) -> Response:
    body = {"model": "claude-sonnet-4-5", "input": "Hi", "store": False, **members}
    return gateway.post("/v1/responses", json.dumps(body).encode(), **CLIENT_HEADERS)


def test_what_the_answer_loses_is_named_too(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(messages_api.answer(SEARCHED, {"type": "text", "text": "Hi"})))
    response = responses(gateway, seed=7)
    assert response.json["output"][-1]["content"][0]["text"] == "Hi"
    assert response.headers["x-sluice-dropped"] == "seed, answer.provider_content"
    assert gateway.requests()[-1]["dropped"] == ["seed", "answer.provider_content"]


def test_what_a_stream_loses_is_in_the_log(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    data = messages_api.start() + messages_api.block(0, SEARCHED) + messages_api.text(1, "Hi") + messages_api.end()
    upstream.answer(stream(data))
    response = responses(gateway, stream=True, seed=7)
    assert b"response.completed" in response.body
    assert response.headers["x-sluice-dropped"] == "seed"
    assert gateway.requests()[-1]["dropped"] == ["seed", "answer.provider_content"]


def test_a_stream_answered_in_one_piece_names_its_losses_once(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(messages_api.answer(SEARCHED, {"type": "text", "text": "Hi"})))
    response = responses(gateway, stream=True)
    assert b"response.completed" in response.body
    assert response.headers["x-sluice-dropped"] == "answer.provider_content"
    assert gateway.requests()[-1]["dropped"] == ["answer.provider_content"]


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
