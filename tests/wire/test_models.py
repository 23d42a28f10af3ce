"""What models there are and who answers for them, on a running gateway: configured and discovered lists, the order of
configuration, and providers that are slow, dead or talk nonsense."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import gateway.discovery
from gateway.core.names import is_model_id
from tests.kit import chat_api, messages_api
from tests.kit.gateway import Client, Gateway, Response, chat, free_port
from tests.kit.upstream import KEY, SILENCE, Answer, Gate, ScriptedUpstream, raw, reply


@pytest.fixture
def upstreams() -> Iterator[list[ScriptedUpstream]]:
    """Two providers that know the same answer."""
    with ExitStack() as stack:
        both = [stack.enter_context(ScriptedUpstream()) for _ in range(2)]
        for upstream in both:
            upstream.answer(reply(chat_api.completion()))
        yield both


def config(**addresses: str | ScriptedUpstream | dict[str, Any]) -> str:
    """Instances in this order, each played by an upstream or standing at an address."""
    providers = {}
    for name, given in addresses.items():
        fields = {"base_url": given} if isinstance(given, str) else given
        if isinstance(given, ScriptedUpstream):
            fields = {"base_url": given.base_url}
        providers[name.replace("_", "-")] = {"api_key": KEY, "retry": {"attempts": 1}, **fields}
    return json.dumps({"providers": providers})


def nowhere() -> str:
    return f"http://127.0.0.1:{next(free_port())}/v1"


def settle(running: Gateway) -> None:
    """Let every provider give its first answer: a request for an id that nobody has waits for them."""
    response = running.chat(model="nobody-has-this")
    assert response.status == 404, response


def listed(running: Gateway) -> list[str]:
    response = running.get("/v1/models")
    assert response.status == 200
    assert response.json["object"] == "list"
    return [model["id"] for model in response.json["data"]]


# --- the list ---------------------------------------------------------------------------------------------------------


def test_the_list_is_the_union_of_configured_and_discovered_models(upstreams: list[ScriptedUpstream]) -> None:
    first, second = upstreams
    first.list_models("alpha", "shared", "org/deep/model:free")
    second.list_models("shared", "beta")
    fixed = {"base_url": first.base_url, "models": ["gamma", "shared"]}
    with Gateway(config(openai=first, openai_two=second, openai_fixed=fixed)) as running:
        settle(running)
        assert listed(running) == [
            *("alpha", "openai/alpha", "shared", "openai/shared"),
            *("org/deep/model:free", "openai/org/deep/model:free"),
            *("openai-two/shared", "beta", "openai-two/beta"),
            *("gamma", "openai-fixed/gamma", "openai-fixed/shared"),
        ]


def test_a_listed_model_looks_as_clients_expect(upstreams: list[ScriptedUpstream]) -> None:
    upstreams[0].list_models("alpha")
    with Gateway(config(openai=upstreams[0], openai_two={"base_url": nowhere(), "models": ["beta"]})) as running:
        settle(running)
        alpha, _, beta, _ = running.get("/v1/models").json["data"]
        assert alpha == {"id": "alpha", "object": "model", "created": 1_700_000_000, "owned_by": "maker"}
        assert beta == {"id": "beta", "object": "model", "created": 0, "owned_by": "openai-two"}


def test_the_list_of_another_api_is_understood(upstreams: list[ScriptedUpstream]) -> None:
    model = {"type": "model", "id": "claude-x", "display_name": "X", "created_at": "2026-01-02T03:04:05Z"}
    upstreams[0].answer_lists(
        reply({"data": [model], "has_more": False, "first_id": "claude-x", "last_id": "claude-x"})
    )
    upstreams[1].list_models("gpt-x")
    with Gateway(config(anthropic=upstreams[0], openai=upstreams[1])) as running:
        settle(running)
        assert listed(running) == ["claude-x", "anthropic/claude-x", "gpt-x", "openai/gpt-x"]
        (asked,) = upstreams[0].list_requests
    assert asked.path == "/v1/models?limit=1000"
    assert asked.header("x-api-key") == KEY
    assert asked.header("anthropic-version") == "2023-06-01"
    assert asked.body == b""
    assert asked.header("content-type") is None


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
def test_the_simulator_lists_its_models(path: str) -> None:
    with Gateway() as running:
        ids = [model["id"] for model in running.get(path).json["data"]]
    assert {"sim-small", "sim-large", "sim-embed", "simulator/sim-small"} <= set(ids)


# --- one model --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        "org/deep/model:free",
        "openai/org/deep/model:free",
        "org%2Fdeep%2Fmodel%3Afree",
        "openai%2Forg%2Fdeep%2Fmodel:free",
    ],
)
def test_one_model_is_found_by_an_id_with_slashes(upstreams: list[ScriptedUpstream], asked: str) -> None:
    fixed = {"base_url": upstreams[0].base_url, "models": ["org/deep/model:free"]}
    with Gateway(config(openai=fixed)) as running:
        response = running.get(f"/v1/models/{asked}")
        assert response.status == 200
        assert response.json["id"] == asked.replace("%2F", "/").replace("%3A", ":")
        assert response.json["owned_by"] == "openai"
        assert running.get(f"/models/{asked}").json == response.json


@pytest.mark.parametrize(
    "asked", ["nothing", "openai/nothing", "other/alpha", "..%2F..%2Fetc%2Fpasswd", "%00", "%FF%FE", "a%0D%0AX-Evil:1"]
)
def test_a_model_that_is_not_there_is_a_404(upstreams: list[ScriptedUpstream], asked: str) -> None:
    fixed = {"base_url": upstreams[0].base_url, "models": ["alpha"]}
    with Gateway(config(openai=fixed)) as running:
        response = running.get(f"/v1/models/{asked}")
        assert response.status == 404
        assert response.error["code"] == "model_not_found"
        assert response.error["type"] == "invalid_request_error"
        assert "x-evil" not in response.headers


# --- who answers ------------------------------------------------------------------------------------------------------


def answered_by(running: Gateway, model: str) -> tuple[str, str]:
    response = running.chat(model=model)
    assert response.status == 200, response
    return response.headers["x-sluice-provider"], response.headers["x-sluice-model"]


def test_the_order_of_configuration_decides_and_a_qualified_id_overrules_it(
    upstreams: list[ScriptedUpstream],
) -> None:
    for upstream in upstreams:
        upstream.list_models("shared", "org/shared")
    with Gateway(config(openai_b=upstreams[0], openai_a=upstreams[1])) as running:
        settle(running)
        assert answered_by(running, "shared") == ("openai-b", "shared")
        assert answered_by(running, "org/shared") == ("openai-b", "org/shared")
        assert answered_by(running, "openai-a/shared") == ("openai-a", "shared")
        assert answered_by(running, "openai-a/org/shared") == ("openai-a", "org/shared")
    assert [sent.json()["model"] for sent in upstreams[1].requests] == ["shared", "org/shared"]


def test_a_provider_asked_by_its_name_may_have_models_that_it_does_not_list(
    upstreams: list[ScriptedUpstream],
) -> None:
    upstreams[0].list_models("alpha")
    with Gateway(config(openai=upstreams[0], openai_two=upstreams[1])) as running:
        settle(running)
        assert answered_by(running, "openai/brand-new") == ("openai", "brand-new")


def test_a_configured_list_is_all_there_is(upstreams: list[ScriptedUpstream]) -> None:
    upstreams[0].list_models("alpha", "beta")
    with Gateway(config(openai={"base_url": upstreams[0].base_url, "models": ["alpha"]})) as running:
        assert answered_by(running, "alpha") == ("openai", "alpha")
        for model in ("beta", "openai/beta"):
            response = running.chat(model=model)
            assert response.status == 404
            assert response.error["code"] == "model_not_found"
            assert response.error["param"] == "model"
    assert len(upstreams[0].requests) == 1
    assert upstreams[0].list_requests == []


@pytest.mark.parametrize("model", ["nothing", "nobody/alpha", "alpha ", "a" * 300, "..", "a/../b", "alpha\n", "\u00e9"])
def test_an_unknown_model_is_a_404_and_nothing_is_sent(upstreams: list[ScriptedUpstream], model: str) -> None:
    with Gateway(config(openai={"base_url": upstreams[0].base_url, "models": ["alpha"]})) as running:
        response = running.chat(model=model)
        # a text that no id can be is told as a wrong value
        assert response.status in (400, 404)
        assert response.error["code"] == ("model_not_found" if response.status == 404 else "invalid_request")
        assert response.status == 404 or len(model) > 256
        # what could be an id is logged, for whoever looks for the typo; anything else is not repeated
        assert running.requests()[-1].get("requested_model", "") == (model if is_model_id(model) else "")
    assert upstreams[0].requests == []


def test_a_chat_model_that_is_asked_for_embeddings_elsewhere_says_so(upstreams: list[ScriptedUpstream]) -> None:
    with Gateway(config(anthropic={"base_url": upstreams[0].base_url, "models": ["claude-x"]})) as running:
        response = running.post("/v1/embeddings", b'{"model":"claude-x","input":"hi"}')
        assert response.status == 404
        assert response.error["code"] == "endpoint_not_supported"
        assert response.error["param"] == "model"
        assert "anthropic" in response.error["message"]
    assert upstreams[0].requests == []


# --- providers that do not answer -------------------------------------------------------------------------------------


def send_chat(running: Gateway, model: str) -> Client:
    return running.connect().send(chat(model=model))


def test_a_silent_provider_blocks_neither_the_start_nor_others(upstreams: list[ScriptedUpstream]) -> None:
    silent, lively = upstreams
    silent.answer_lists(raw(SILENCE))
    fixed = {"base_url": lively.base_url, "models": ["beta"]}
    with Gateway(config(openai=silent, openai_fixed=fixed)) as running:
        assert running.get("/health/ready").status == 200
        assert listed(running) == ["beta", "openai-fixed/beta"]
        assert answered_by(running, "beta") == ("openai-fixed", "beta")
        assert answered_by(running, "openai/alpha") == ("openai", "alpha")
        silent.answer_lists()


def test_a_bare_id_waits_for_the_first_answers(upstreams: list[ScriptedUpstream]) -> None:
    gates = [Gate(), Gate()]
    for upstream, gate, name in zip(upstreams, gates, ("alpha", "beta"), strict=True):
        (listing,) = list_answer(name).pieces
        upstream.answer_lists(raw(gate, listing))
    with Gateway(config(openai=upstreams[0], openai_two=upstreams[1])) as running:
        for gate in gates:
            gate.wait_reached()
        with send_chat(running, "beta") as client:
            assert running.get("/v1/models").json["data"] == []
            assert upstreams[1].requests == []
            for gate in gates:
                gate.open()
            response = client.response()
        assert response.status == 200
        assert response.headers["x-sluice-provider"] == "openai-two"


def list_answer(*ids: str) -> Answer:
    return reply({"object": "list", "data": [{"id": name} for name in ids]})


def test_waiting_for_first_answers_has_an_end(
    upstreams: list[ScriptedUpstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.discovery, "FIRST_ANSWER_WAIT_S", 0.05)
    upstreams[0].answer_lists(raw(SILENCE))
    upstreams[1].list_models("beta")
    with Gateway(config(openai=upstreams[0], openai_two=upstreams[1])) as running:
        response = running.chat(model="alpha")
        assert response.status == 404
        assert response.error["code"] == "model_not_found"
        assert "openai/<model>" in response.error["message"]


def test_the_only_provider_is_asked_for_anything_while_its_list_is_unknown(
    upstreams: list[ScriptedUpstream],
) -> None:
    upstreams[0].answer_lists(reply(b"", 404))
    with Gateway(config(openai=upstreams[0])) as running:
        assert answered_by(running, "alpha") == ("openai", "alpha")


NONSENSE = [
    reply(b"<html>", content_type="text/html"),
    reply(b"", 500),
    reply(chat_api.error("No.", "invalid_request_error"), 401),
    reply(b"[1]"),
    reply(b'{"data":{}}'),
    reply(b"[" * 100_000),
]


@pytest.mark.parametrize("answer", NONSENSE, ids=lambda answer: repr(answer.pieces[0])[-30:])
def test_a_list_that_is_none_is_no_harm_to_others(upstreams: list[ScriptedUpstream], answer: Answer) -> None:
    upstreams[0].answer_lists(answer)
    upstreams[1].list_models("beta")
    with Gateway(config(openai=upstreams[0], openai_two=upstreams[1])) as running:
        settle(running)
        assert upstreams[0].requests == [], "an unknown id is not sent to whoever happens to be silent"
        assert listed(running) == ["beta", "openai-two/beta"]
        running.wait_for_line(lambda line: line.get("provider") == "openai" and line["event"] == "gateway")
        assert KEY not in running.log_text()


def test_a_provider_that_is_not_there_is_no_harm_to_others(upstreams: list[ScriptedUpstream]) -> None:
    upstreams[1].list_models("beta")
    with Gateway(config(openai=nowhere(), openai_two=upstreams[1])) as running:
        settle(running)
        assert answered_by(running, "beta") == ("openai-two", "beta")
        response = running.chat(model="openai/alpha")
        assert response.status == 502
        assert response.error["code"] == "upstream_unreachable"


def test_a_provider_that_comes_back_is_asked_again(
    upstreams: list[ScriptedUpstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.discovery, "FIRST_RETRY_S", 0.01)
    upstreams[0].answer_lists(reply(b"", 503), reply(b"", 503), list_answer("alpha"))
    with Gateway(config(openai=upstreams[0])) as running:
        running.wait_until(lambda: len(upstreams[0].list_requests) == 3)
        # the list has been sent; it is read a moment later
        lists = (listed(running) for _ in range(1000))
        assert next(filter(None, lists)) == ["alpha", "openai/alpha"]


def test_odd_entries_of_a_list_do_not_spoil_it(upstreams: list[ScriptedUpstream]) -> None:
    odd: list[dict[str, Any]] = [
        {"id": "good", "created": 1.5e9},
        {"id": "far", "created": 1e300},
        {"id": "past", "created": -1e300},
        {"id": "good"},
        {"id": "two words"},
        {"id": "a\r\nb"},
        {"id": ""},
        {"id": "x" * 300},
        {"id": "nulls", "created": None, "owned_by": None},
        {"id": "last", "extra": [1]},
    ]
    upstreams[0].answer_lists(reply({"data": odd}))
    upstreams[1].list_models("beta")
    with Gateway(config(openai=upstreams[0], openai_two=upstreams[1])) as running:
        settle(running)
        assert [name for name in listed(running) if "/" not in name] == ["good", "far", "past", "nulls", "last", "beta"]


def test_claude_answers_in_the_clients_dialect_whatever_its_name(upstreams: list[ScriptedUpstream]) -> None:
    """The client is told the id it asked for, so that it finds its own model again."""
    upstreams[0].answer(reply(messages_api.answer({"type": "text", "text": "Hi"})))
    with Gateway(config(anthropic={"base_url": upstreams[0].base_url, "models": ["claude-x"]})) as running:
        response: Response = running.chat(model="anthropic/claude-x")
        assert response.json["model"] == "anthropic/claude-x"
        assert response.headers["x-sluice-model"] == "claude-x"
    assert upstreams[0].request.json()["model"] == "claude-x"
