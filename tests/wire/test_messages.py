"""What Anthropic's clients find at the gateway, whoever answers them: counts, pings, lists of models, errors."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway import relay
from gateway.core.types import DialectName
from gateway.dialects.signatures import Proof, seal
from tests.kit import chat_api, messages_api
from tests.kit.forwarded import MASTER
from tests.kit.gateway import PATIENCE_S, Client, Gateway, Response, request
from tests.kit.upstream import Gate, ScriptedUpstream, config_for, reply, stream

Json = dict[str, Any]

MESSAGES, COUNTING = "/v1/messages", "/v1/messages/count_tokens"
KEY = {"x-api-key": MASTER}
# as official clients send it
VERSION = {"anthropic-version": "2023-06-01"}
TURNS = [{"role": "user", "content": "Hi"}]
MODELS = [f"m{number}" for number in range(5)]


@pytest.fixture(scope="module")
def gateway(upstream: ScriptedUpstream) -> Iterator[Gateway]:
    config = config_for(
        upstream,
        anthropic={"models": ["claude-test"]},
        openai={"models": ["gpt-4o"]},
        other={"type": "openai_compatible", "models": MODELS},
    )
    with Gateway(config, SLUICE_MASTER_KEY=MASTER, SLUICE_SERVER__MAX_BODY="64KiB") as gateway:
        yield gateway


def post(gateway: Gateway, path: str = MESSAGES, model: str = "claude-test", **members: Any) -> Response:
    body = {"model": model, "messages": TURNS, "max_tokens": 50, **members}
    if path == COUNTING:
        del body["max_tokens"]
    return gateway.post(path, json.dumps(body).encode(), **KEY, **VERSION)


def error(response: Response) -> Json:
    """The error object of Anthropic's envelope, which must be whole."""
    assert response.headers["content-type"] == "application/json"
    found: Json = response.json
    assert list(found) == ["type", "error"]
    assert found["type"] == "error"
    assert list(found["error"]) == ["type", "message"]
    assert found["error"]["message"]
    inner: Json = found["error"]
    return inner


# --- threads ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [MESSAGES, COUNTING])
def test_all_turns_of_a_thread_reach_the_same_account(upstream: ScriptedUpstream, path: str) -> None:
    keys = {"api_key": "sk-key-1", "api_keys": ["sk-key-2", "sk-key-3"]}
    with Gateway(config_for(upstream, anthropic={"models": ["claude-test"], **keys}), SLUICE_MASTER_KEY=MASTER) as own:
        upstream.answer(reply(messages_api.answer({"type": "text", "text": "Hi"}, input_tokens=1)))
        for thread in ({"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}) * 2:
            assert post(own, path, thread=thread).status == 200
        assert {sent.header("x-api-key") for sent in upstream.requests} == {"sk-key-1"}
        assert upstream.requests[-1].json()["thread"]["type"] == "continue"
        for _ in range(3):
            assert post(own, path, thread=None).status == 200
        assert {sent.header("x-api-key") for sent in upstream.requests} == {"sk-key-1", "sk-key-2", "sk-key-3"}


# --- counting tokens --------------------------------------------------------------------------------------------------


def test_a_providers_own_count_is_told_as_it_is(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply({"input_tokens": 11}))
    response = post(gateway, COUNTING)
    assert (response.status, response.json) == (200, {"input_tokens": 11})
    assert "x-sluice-token-count" not in response.headers
    assert upstream.request.path == COUNTING


def assert_estimated(response: Response) -> None:
    assert response.status == 200
    assert response.headers["x-sluice-token-count"] == "estimated"
    assert response.json == {"input_tokens": 5}, "four of the message and one of its text"


def test_where_nobody_counts_the_answer_is_an_estimate_and_says_so(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.answer(reply(status=500))
    assert_estimated(post(gateway, COUNTING, "m0"))
    assert upstream.requests == []


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_provider_that_lacks_the_endpoint_is_estimated_for(
    gateway: Gateway, upstream: ScriptedUpstream, status: int
) -> None:
    upstream.answer(reply(b"Not Found", status, content_type="text/plain"))
    assert_estimated(post(gateway, COUNTING))
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_what_else_goes_wrong_is_told(gateway: Gateway, upstream: ScriptedUpstream, status: int) -> None:
    upstream.answer(reply({"type": "error", "error": {"type": "api_error", "message": "No."}}, status))
    response = post(gateway, COUNTING)
    assert response.status >= 400
    assert "x-sluice-token-count" not in response.headers


def test_a_request_that_cannot_be_read_has_no_estimate(gateway: Gateway) -> None:
    response = post(gateway, COUNTING, "m0", messages=[{"role": "nobody", "content": "Hi"}])
    assert response.status == 400
    assert "messages[0].role" in error(response)["message"]


# --- thought of another vendor ----------------------------------------------------------------------------------------

ANTHROPIC, RESPONSES = DialectName.ANTHROPIC_MESSAGES, DialectName.OPENAI_RESPONSES


def thought(origin: DialectName) -> Json:
    return {"type": "thinking", "thinking": "Hm.", "signature": seal(Proof("c2lnbmVk", origin), ANTHROPIC)}


def turns(*thoughts: Json) -> list[Json]:
    return [*TURNS, {"role": "assistant", "content": [*thoughts, {"type": "text", "text": "Hello."}]}, *TURNS]


@pytest.mark.parametrize("path", [MESSAGES, COUNTING])
def test_foreign_proofs_do_not_reach_the_vendor(gateway: Gateway, upstream: ScriptedUpstream, path: str) -> None:
    upstream.answer(reply(messages_api.answer({"type": "text", "text": "Hi"}, input_tokens=5)))
    own = thought(ANTHROPIC)
    response = post(gateway, path, messages=turns(thought(DialectName.GEMINI_GENERATE_CONTENT), own), top_k=5)
    assert response.status == 200
    assert response.headers["x-sluice-dropped"] == "reasoning_content"
    sent = upstream.request.json()
    assert sent["messages"] == turns(own)
    assert (sent["model"], sent["top_k"]) == ("claude-test", 5)


def test_a_model_that_takes_over_a_tool_use_does_not_think(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """The vendor wants the tool use to begin with thought, and there is none of its own. If it still refuses, the
    client learns what the refused request was without."""
    upstream.answer(reply({"type": "error", "error": {"type": "invalid_request_error", "message": "No."}}, 400))
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "5"}
    said = [thought(DialectName.GEMINI_GENERATE_CONTENT), use]
    begun = [*TURNS, {"role": "assistant", "content": said}, {"role": "user", "content": [result]}]
    response = post(gateway, messages=begun, thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2048)
    assert (response.status, response.headers["x-sluice-dropped"]) == (400, "reasoning_content, thinking")
    sent = upstream.request.json()
    assert sent["thinking"] == {"type": "disabled"}
    assert sent["messages"][1]["content"] == [use]


def test_a_refusal_of_a_whole_request_names_nothing(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply({"type": "error", "error": {"type": "invalid_request_error", "message": "No."}}, 400))
    response = post(gateway, messages=turns(thought(ANTHROPIC)))
    assert (response.status, "x-sluice-dropped" in response.headers) == (400, False)


def test_a_vendors_own_proofs_go_back_byte_for_byte(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(messages_api.answer({"type": "text", "text": "Hi"})))
    body = json.dumps({"model": "claude-test", "messages": turns(thought(ANTHROPIC)), "max_tokens": 5}, indent=1)
    response = gateway.post(MESSAGES, body.encode(), **KEY)
    assert "x-sluice-dropped" not in response.headers
    assert upstream.request.body == body.encode()


def test_foreign_items_do_not_reach_the_vendor_of_responses(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    answer = {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-4o", "output": []}
    upstream.answer(reply(answer))
    items = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": seal(Proof("eA", origin), RESPONSES)}
        for origin in (ANTHROPIC, RESPONSES)
    ]
    body = json.dumps({"model": "gpt-4o", "input": [*items, *TURNS], "store": False}).encode()
    response = gateway.post("/v1/responses", body, **KEY)
    assert (response.status, response.headers["x-sluice-dropped"]) == (200, "reasoning_content")
    assert upstream.request.json()["input"] == [items[1], *TURNS]


# --- pings ------------------------------------------------------------------------------------------------------------

PING = b'event: ping\ndata: {"type": "ping"}\n\n'


@pytest.fixture
def quick_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "PING_S", 0.02)


def begin(gateway: Gateway, path: str, model: str) -> Client:
    body = {"model": model, "messages": TURNS, "max_tokens": 50, "stream": True}
    return gateway.connect().send(request("POST", path, json.dumps(body).encode(), **KEY))


def heard(client: Client) -> bytes:
    """What comes within the time of several pings."""
    found = b""
    client.sock.settimeout(0.15)
    with contextlib.suppress(TimeoutError):
        while data := client.receive():
            found += data
    client.sock.settimeout(PATIENCE_S)
    return found


@pytest.mark.usefixtures("quick_pings")
def test_a_quiet_translated_stream_is_kept_alive(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = Gate()
    end = chat_api.text(" there") + chat_api.delta("stop") + chat_api.DONE
    upstream.answer(stream(chat_api.role() + chat_api.text("Hi"), gate, end))
    with begin(gateway, MESSAGES, "m0") as client:
        gate.wait_reached()
        client.until(PING)
        gate.open()
        body = client.response().body
    blocks = body.split(b"\n\n")
    names = [block.split(b"\n")[0].removeprefix(b"event: ").decode() for block in blocks[:-1]]
    assert names[0] == "message_start"
    assert names[-1] == "message_stop"
    assert names.index("content_block_delta") < names.index("ping") < names.index("content_block_stop")
    told = [json.loads(block.partition(b"data: ")[2]) for block in blocks[:-1]]
    assert "".join(e["delta"]["text"] for e in told if e["type"] == "content_block_delta") == "Hi there"


@pytest.mark.usefixtures("quick_pings")
def test_a_stream_that_has_not_begun_has_no_pings(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    """Until then another status may still be told."""
    gate = Gate()
    upstream.answer(stream(chat_api.role(), gate, chat_api.error().replace(b"\n", b""), status=200))
    with begin(gateway, MESSAGES, "m0") as client:
        gate.wait_reached()
        assert heard(client) == b""
        gate.open()
        assert client.response().status == 502


@pytest.mark.usefixtures("quick_pings")
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(MESSAGES, id="a vendor sends its own"),
        pytest.param("/v1/chat/completions", id="a dialect without them"),
    ],
)
def test_other_streams_have_no_pings_of_ours(gateway: Gateway, upstream: ScriptedUpstream, path: str) -> None:
    gate = Gate()
    upstream.answer(stream(messages_api.start() + messages_api.text(0, "Hi"), gate, messages_api.end()))
    with begin(gateway, path, "claude-test") as client:
        gate.wait_reached()
        client.until(b"Hi")
        assert b"ping" not in heard(client)
        gate.open()
        assert b"ping" not in client.response().body


# --- lists of models --------------------------------------------------------------------------------------------------


def page(gateway: Gateway, query: str = "") -> Json:
    response = gateway.get(f"/v1/models{query}", **KEY, **VERSION)
    assert response.status == 200, response
    found: Json = response.json
    assert list(found) == ["data", "has_more", "first_id", "last_id"]
    return found


def test_the_list_comes_in_pages_that_make_up_the_whole(gateway: Gateway) -> None:
    whole = [model["id"] for model in gateway.get("/v1/models", **KEY).json["data"]]
    assert len(whole) == 2 * (len(MODELS) + 2)
    found, after = [], ""
    while True:
        part = page(gateway, f"?limit=3{after}")
        ids = [model["id"] for model in part["data"]]
        assert (part["first_id"], part["last_id"]) == (ids[0], ids[-1])
        found += ids
        if not part["has_more"]:
            break
        after = f"&after_id={part['last_id'].replace('/', '%2F')}"
    assert found == whole
    assert [model["id"] for model in page(gateway)["data"]] == whole
    back = page(gateway, "?limit=2&before_id=other/m0")
    place = whole.index("other/m0")
    assert ([model["id"] for model in back["data"]], back["has_more"]) == (whole[place - 2 : place], True)


def test_a_listed_model_has_the_shape_of_anthropics(gateway: Gateway) -> None:
    found = page(gateway, "?limit=1")["data"][0]
    assert found == {
        "type": "model",
        "id": "claude-test",
        "display_name": "claude-test",
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
    }
    assert gateway.get("/v1/models/claude-test", **KEY, **VERSION).json == found


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "limit=-1", "after_id=nobody", "after_id=m0&before_id=m1"]
)
def test_a_page_that_is_none_is_refused(gateway: Gateway, query: str) -> None:
    response = gateway.get(f"/v1/models?{query}", **KEY, **VERSION)
    assert response.status == 400
    assert error(response)["type"] == "invalid_request_error"


# --- errors -----------------------------------------------------------------------------------------------------------

WITHOUT_MODEL = json.dumps({"messages": TURNS, "max_tokens": 5}).encode()
UNKNOWN_MODEL = json.dumps({"model": "nobody", "messages": TURNS, "max_tokens": 5}).encode()
BATCHES = "/v1/messages/batches"


@pytest.mark.parametrize("headers", [VERSION, {}], ids=["official", "bare"])
@pytest.mark.parametrize("path", [MESSAGES, COUNTING, "/messages", "/messages/count_tokens"])
@pytest.mark.parametrize(
    ("method", "body", "key", "status", "kind"),
    [
        ("POST", UNKNOWN_MODEL, {}, 401, "authentication_error"),
        ("POST", UNKNOWN_MODEL, {"x-api-key": "wrong"}, 401, "authentication_error"),
        ("POST", UNKNOWN_MODEL, KEY, 404, "not_found_error"),
        ("POST", WITHOUT_MODEL, KEY, 400, "invalid_request_error"),
        ("POST", b"no JSON", KEY, 400, "invalid_request_error"),
        ("POST", b" " * (65 << 10), KEY, 413, "request_too_large"),
        ("GET", b"", KEY, 405, "invalid_request_error"),
        ("DELETE", b"", KEY, 405, "invalid_request_error"),
    ],
    ids=["no key", "wrong key", "unknown model", "no model", "no JSON", "too large", "GET", "DELETE"],
)
def test_errors_have_anthropics_shape(
    gateway: Gateway, headers: Json, path: str, method: str, body: bytes, key: Json, status: int, kind: str
) -> None:
    with gateway.connect() as client:
        response = client.send(request(method, path, body, **key, **headers)).response()
    assert response.status == status
    assert error(response)["type"] == kind
    assert "request-id" in response.headers or "x-request-id" in response.headers


@pytest.mark.parametrize("path", ["/v1/messages/nothing", BATCHES, "/v1/nothing"])
def test_a_path_that_is_none_is_told_an_official_client_in_its_own_shape(gateway: Gateway, path: str) -> None:
    response = gateway.get(path, **KEY, **VERSION)
    assert response.status == 404
    assert error(response)["type"] == "not_found_error"


def test_a_model_that_is_none_is_told_in_its_own_shape(gateway: Gateway) -> None:
    response = gateway.get("/v1/models/nobody", **KEY, **VERSION)
    assert (response.status, error(response)["type"]) == (404, "not_found_error")


def test_a_model_without_the_endpoint_is_told_in_its_own_shape(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(b"overloaded", 503))
    response = post(gateway, model="m0")
    assert response.status == 503
    assert error(response)["type"] == "overloaded_error"
