"""What a client is told when its provider fails, in a status or in a stream, and that no key is ever seen in it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import chat_api, messages_api
from tests.kit.forwarded import CLIENT_HEADERS, FIRST, MASTER, ask, last_error
from tests.kit.gateway import Gateway, chat, free_port
from tests.kit.upstream import (
    CLOSE,
    HALF_CLOSE,
    RESET,
    SILENCE,
    Piece,
    ScriptedUpstream,
    config_for,
    raw,
    reply,
    stream,
)

# a key of no known shape, so that only the gateway's knowledge of it can keep it hidden
ODD_KEY = "tok:en+word=42"


@pytest.fixture(scope="module")
def gateway(upstream: ScriptedUpstream) -> Iterator[Gateway]:
    config = config_for(
        upstream,
        openai={"models": ["gpt-test"]},
        anthropic={"models": ["claude-sonnet-4-5"]},
        openai_odd={"models": ["gpt-odd"], "api_key": ODD_KEY, "headers": {"X-Team": "team-secret-7"}},
        anthropic_odd={"models": ["claude-odd"], "api_key": ODD_KEY},
        openai_dead={"models": ["gpt-dead"], "base_url": f"http://127.0.0.1:{next(free_port())}/v1"},
    )
    with Gateway(config, SLUICE_MASTER_KEY=MASTER) as gateway:
        yield gateway


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
    assert response.error["type"] == "server_error"


def test_a_prompt_that_is_too_long_for_claude_is_told_in_openais_word(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    told = {"type": "invalid_request_error", "message": "prompt is too long: 208310 tokens > 200000 maximum"}
    upstream.answer(reply({"type": "error", "error": told}, 400))
    response = ask(gateway, model="claude-sonnet-4-5", seed=5)
    assert (response.status, response.error["code"]) == (400, "context_length_exceeded")
    assert response.headers["x-sluice-dropped"] == "seed"


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


# --- behind the end of an answer --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behind", [(), (SILENCE,), (RESET,), (b": ping\n\n", SILENCE)], ids=["end", "hang", "reset", "ping"]
)
def test_an_answer_is_whole_once_its_terminator_came(
    gateway: Gateway, upstream: ScriptedUpstream, behind: tuple[Piece, ...]
) -> None:
    """A provider that forgets to end its body changes nothing: no error follows the terminator."""
    upstream.answer(stream(FIRST + chat_api.delta("stop") + chat_api.DONE, *behind))
    response = ask(gateway, stream=True)
    assert response.is_complete
    assert response.events.count("[DONE]") == 1
    assert not any('"error"' in event for event in response.events)
    assert not gateway.requests()[-1].get("truncated", False)


@pytest.mark.parametrize("status", [400, 429])
@pytest.mark.parametrize("break_off", [RESET, CLOSE])
def test_an_error_whose_body_breaks_off_keeps_its_status(
    gateway: Gateway, upstream: ScriptedUpstream, status: int, break_off: Piece
) -> None:
    head = b"HTTP/1.1 %d No\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n" % status
    upstream.answer(raw(head + b'{"error":{"mess', break_off))
    assert ask(gateway).status == status


def test_a_compressed_answer_is_refused_because_none_was_asked_for(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.answer(stream(b"\x1f\x8b\x08 no text", headers=[("Content-Encoding", "gzip")]))
    response = ask(gateway, stream=True)
    assert response.status == 502
    assert "compressed" in response.error["message"]


def test_a_status_that_http_does_not_have_is_a_bad_gateway(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(b"{}", 999))
    assert ask(gateway).status == 502


# --- credentials, however they are spelled ----------------------------------------------------------------------------

SLASHED = "tok/en+word=42"


@pytest.mark.parametrize("spelled", [SLASHED, SLASHED.replace("/", "\\/"), SLASHED.replace("/", "\\u002f")])
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("model", ["gpt-slashed", "claude-slashed"])
def test_a_key_in_an_error_is_hidden_however_json_spells_it(
    upstream: ScriptedUpstream, spelled: str, is_stream: bool, model: str
) -> None:
    config = config_for(
        upstream,
        openai={"models": ["gpt-slashed"], "api_key": SLASHED},
        anthropic={"models": ["claude-slashed"], "api_key": SLASHED},
    )
    error = (
        f'{{"type":"error","error":{{"message":"no {spelled} here","type":"x {spelled}","code":"{spelled}"}}}}'.encode()
    )
    with Gateway(config, SLUICE_MASTER_KEY=MASTER) as gateway:
        if is_stream:
            upstream.answer(stream(b"event: error\ndata: " + error + b"\n\n"))
        else:
            headers = [("x-request-id", f"{'r' * 120}{SLASHED}"), ("retry-after-ms", SLASHED)]
            upstream.answer(reply(error, 400, headers=headers))
        response = ask(gateway, model=model, stream=is_stream)
        gateway.requests()
        seen = f"{response.headers}{response.body!r}{gateway.log_text()}"
    assert response.status >= 400
    for secret in (SLASHED, SLASHED.replace("/", "\\/"), SLASHED.replace("/", "\\u002f"), SLASHED[:8]):
        assert secret not in seen
