"""How often and how long a running gateway asks a provider: attempts, deadlines, and clients that do not wait."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import chat_api, messages_api
from tests.kit.forwarded import CLIENT_HEADERS, FIRST, MASTER, ask, last_error
from tests.kit.gateway import Gateway, chat, request
from tests.kit.upstream import (
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

RETRY = {"attempts": 3, "base": "1ms", "cap": "1s"}
# only the deadline that a test waits for is short
SOON = "150ms"


@pytest.fixture(scope="module")
def gateway(upstream: ScriptedUpstream) -> Iterator[Gateway]:
    config = config_for(
        upstream,
        openai={"models": ["gpt-test"]},
        anthropic={"models": ["claude-sonnet-4-5"]},
        openai_patient={"models": ["gpt-patient"], "retry": RETRY},
        openai_lost={"models": ["gpt-lost"], "retry": RETRY},
        openai_hasty={"models": ["gpt-hasty"], "timeouts": {"headers": SOON}},
        openai_stalled={"models": ["gpt-stalled"], "timeouts": {"first_token": SOON, "stall": SOON}},
        anthropic_stalled={"models": ["claude-stalled"], "timeouts": {"first_token": SOON}},
    )
    with Gateway(config, SLUICE_MASTER_KEY=MASTER) as gateway:
        yield gateway


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
    response = ask(gateway, model="gpt-stalled", stream=True)
    assert response.body.startswith(kept_warm)
    assert last_error(response)["code"] == "upstream_timeout"
    assert last_error(response)["message"].startswith("openai-stalled: ")
    upstream.wait_closed()


def test_pings_do_not_stand_in_for_a_token(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(stream(messages_api.start() + messages_api.ping(), SILENCE))
    response = ask(gateway, model="claude-stalled", stream=True)
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
    response = ask(gateway, headers={"X-Sluice-Timeout": "500ms"}, stream=True)
    assert response.body.startswith(FIRST)
    assert last_error(response)["code"] == "upstream_timeout"
    upstream.wait_closed()


def test_a_deadline_of_the_client_holds_while_waiting_for_another_attempt(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """The provider asks for a wait that the policy allows and the client does not."""
    upstream.answer(reply(chat_api.error(), 429, headers=[("Retry-After", "1")]))
    response = ask(gateway, headers={"X-Sluice-Timeout": "900ms"}, model="gpt-patient")
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


def leave_before_the_answer(gateway: Gateway, upstream: ScriptedUpstream, model: str) -> dict[str, Any]:
    """The log line of a request whose client left while the provider was silent; the provider was left too."""
    gate = Gate()
    upstream.answer(raw(gate, SILENCE))
    name = f"{model}-leaver"
    with gateway.connect() as client:
        client.send(chat(headers={**CLIENT_HEADERS, "X-Request-ID": name}, model=model))
        gate.wait_reached()
    gate.open()
    upstream.wait_closed()
    return gateway.wait_for_line(lambda line: line.get("request_id") == name)


def test_when_the_client_leaves_before_the_answer_the_provider_is_left_too(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    assert leave_before_the_answer(gateway, upstream, "gpt-test")["disconnected"]


def test_a_client_that_left_is_not_asked_for_again(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    assert leave_before_the_answer(gateway, upstream, "gpt-patient")["attempts"] == 1
    assert len(upstream.requests) == 1
