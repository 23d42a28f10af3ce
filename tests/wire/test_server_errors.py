"""Requests that cannot be served and gateways that break: the client gets a real status and an envelope, the provider
gets nothing, the log gets the place."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import msgspec
import pytest

import providers
from gateway import app
from gateway.core.types import Capability
from providers.contract import Provider
from tests.kit import chat_api, messages_api
from tests.kit.gateway import CHAT, Gateway, Response
from tests.kit.upstream import ScriptedUpstream, config_for, reply, stream

CHAT_PATH = "/v1/chat/completions"
EMBEDDINGS_PATH = "/v1/embeddings"
MESSAGES = [{"role": "user", "content": "hi"}]


INSTANCES: dict[str, Any] = {"openai": {"models": ["gpt-test"]}, "anthropic": {"models": ["claude-test"]}}


@pytest.fixture(scope="module")
def gateway(upstream: ScriptedUpstream) -> Iterator[Gateway]:
    with Gateway(config_for(upstream, **INSTANCES)) as gateway:
        yield gateway
    assert "Traceback" not in gateway.log_text()


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "gpt-test", "messages": MESSAGES, "input": "hi", **fields}).encode()


def assert_refused(gateway: Gateway, upstream: ScriptedUpstream, path: str, data: bytes) -> Response:
    """400 or 404 in the envelope, the same in the log, and nothing sent upstream."""
    upstream.answer(reply(chat_api.completion()))
    response = gateway.post(path, data)
    assert response.status in (400, 404)
    error = response.error
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert error["code"] in ("invalid_request", "model_not_found", "endpoint_not_supported")
    line = gateway.requests()[-1]
    assert (line["status"], line["error"]) == (response.status, error["code"])
    assert line["request_id"] == response.headers["x-request-id"]
    assert upstream.requests == []
    for word in ("Traceback", "msgspec", 'File "', "Error:", "object at 0x"):
        assert word not in str(response)
    return response


# --- bodies -----------------------------------------------------------------------------------------------------------

NOT_JSON = {
    "nothing": b"",
    "spaces": b"  \r\n",
    "half an object": body()[:-1],
    "half a string": body()[:-5],
    "two objects": body() + body(),
    "trailing comma": body()[:-1] + b",}",
    "trailing text": body() + b"x",
    "trailing NUL": body() + b"\0",
    "single quotes": body().replace(b'"', b"'"),
    "comment": body()[:-1] + b"/* x */}",
    "bare words": b'{"model": gpt-test}',
    "a form": b"model=gpt-test&messages=hi",
    "NaN": body()[:-1] + b',"temperature": NaN}',
    "Infinity": body()[:-1] + b',"temperature": -Infinity}',
    "leading zero": body()[:-1] + b',"temperature": 01}',
    "hexadecimal": body()[:-1] + b',"temperature": 0x1}',
    "control in a string": body()[:-1] + b',"user": "a\nb"}',
    "bad escape": body()[:-1] + b',"user": "\\x"}',
    "half a surrogate": body()[:-1] + b',"model": "\\ud800"}',
    "byte order mark": b"\xef\xbb\xbf" + body(),
    "UTF-16": body().decode().encode("utf-16"),
    "UTF-32": body().decode().encode("utf-32"),
    "invalid UTF-8": body()[:-1] + b',"user": "\xff"}',
    "half a UTF-8 character": body()[:-1] + b',"user": "\xe2\x82"}',
    "overlong UTF-8": body()[:-1] + b',"user": "\xc0\xaf"}',
    "surrogate in UTF-8": body()[:-1] + b',"user": "\xed\xa0\x80"}',
    "invalid UTF-8 in a name": body()[:-1] + b',"\xff": 1}',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
}


@pytest.mark.parametrize("path", [CHAT_PATH, EMBEDDINGS_PATH])
@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in NOT_JSON.items()])
def test_what_is_no_json_is_refused(gateway: Gateway, upstream: ScriptedUpstream, path: str, data: bytes) -> None:
    response = assert_refused(gateway, upstream, path, data)
    assert response.error["code"] == "invalid_request"


def nested(depth: int, opening: bytes, closing: bytes) -> bytes:
    """A body of this depth; the object around it is the first level."""
    return body()[:-1] + b',"metadata":' + opening * (depth - 1) + closing * (depth - 1) + b"}"


NOT_FINE = {
    "array": b"[" + body() + b"]",
    "string": b'"hi"',
    "number": b"17",
    "null": b"null",
    "65 levels of lists": nested(65, b"[", b"]"),
    "65 levels of objects": nested(65, b'{"a":', b"}").replace(b":}", b":1}"),
    "a hundred thousand levels": nested(100_000, b"[", b"]"),
    "levels without end": body()[:-1] + b',"metadata":' + b"[" * 100_000,
    "number of 50 digits": body()[:-1] + b',"seed": ' + b"9" * 50 + b"}",
    "number of a million digits": body()[:-1] + b',"seed": ' + b"9" * 1_000_000 + b"}",
    "number of many decimals": body()[:-1] + b',"temperature": 0.' + b"3" * 60 + b"}",
    "a million objects": body()[:-1] + b',"metadata": [' + b"{}," * 999_999 + b"{}]}",
}


@pytest.mark.parametrize("path", [CHAT_PATH, EMBEDDINGS_PATH])
@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in NOT_FINE.items()])
def test_json_that_is_no_sane_request_is_refused(
    gateway: Gateway, upstream: ScriptedUpstream, path: str, data: bytes
) -> None:
    assert_refused(gateway, upstream, path, data)


def test_64_levels_are_served(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.completion()))
    assert gateway.post(CHAT_PATH, nested(64, b"[", b"]")).status == 200


@pytest.mark.parametrize(
    ("data", "param"),
    [
        pytest.param(body(model=None), "model", id="model null"),
        pytest.param(body(model=5), "model", id="model number"),
        pytest.param(body(model=["gpt-test"]), "model", id="model list"),
        pytest.param(b'{"messages":[{"role":"user","content":"hi"}]}', "model", id="model missing"),
        pytest.param(b"{}", "model", id="empty"),
        pytest.param(body(stream="yes"), "stream", id="stream text"),
        pytest.param(body(stream=1), "stream", id="stream number"),
        pytest.param(body(stream=True, stream_options=5), "stream_options", id="options number"),
        pytest.param(body(stream=True, stream_options={"include_usage": "yes"}), "stream_options", id="usage text"),
        pytest.param(body(messages="hi"), "messages", id="messages text"),
        pytest.param(body(messages=[]), "messages", id="no message"),
        pytest.param(body(messages=["hi"]), "messages", id="message text"),
        pytest.param(body()[:-1] + b',"model":"gpt-test"}', "model", id="two models"),
        pytest.param(body()[:-1] + b',"model":"other"}', "model", id="two models that differ"),
        pytest.param(body()[:-1] + b',"\\u006dodel":"other"}', "model", id="two models, one escaped"),
        pytest.param(body(stream=False)[:-1] + b',"stream":true}', "stream", id="two streams"),
        pytest.param(body(stream_options={})[:-1] + b',"stream_options":{}}', "stream_options", id="two options"),
    ],
)
def test_the_field_at_fault_is_named(gateway: Gateway, upstream: ScriptedUpstream, data: bytes, param: str) -> None:
    error = assert_refused(gateway, upstream, CHAT_PATH, data).error
    assert error["code"] == "invalid_request"
    assert error["param"].startswith(param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": "king", "content": "hi"}]}, "messages"),
        ({"messages": [{"content": "hi"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"stop": [1]}, "stop"),
    ],
)
def test_a_field_that_cannot_be_translated_is_named(
    gateway: Gateway, upstream: ScriptedUpstream, fields: dict[str, Any], param: str
) -> None:
    error = assert_refused(gateway, upstream, CHAT_PATH, body(model="claude-test", **fields)).error
    assert error["param"].startswith(param)


# --- models -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [
        *(
            "unknown",
            "gpt-tes",
            "GPT-TEST",
            "gpt-test ",
            " gpt-test",
            "gpt-test/",
            "/gpt-test",
            "openai/",
            "openai//gpt-test",
        ),
        *(
            "openai/unknown",
            "nobody/gpt-test",
            "openai/openai/gpt-test",
            "openai/../anthropic/claude-test",
            "anthropic/gpt-test",
        ),
        *(
            "gpt-test\r\nX-Evil: 1",
            "openai/gpt-test\r\nX-Evil: 1",
            "gpt-test\0",
            "gpt-test\n",
            "gpt\u2028test",
            "gpt-tést",
        ),
        *(
            "\u202egpt-test",
            "../../admin",
            "gpt-test?x=1",
            "gpt-test#x",
            "gpt%2Dtest",
            "${OPENAI_API_KEY}",
            "{{model}}",
        ),
        *("<script>alert(1)</script>", "x" * 256),
    ],
)
def test_an_unknown_model_is_not_found(gateway: Gateway, upstream: ScriptedUpstream, model: str) -> None:
    for path in (CHAT_PATH, EMBEDDINGS_PATH):
        response = assert_refused(gateway, upstream, path, body(model=model))
        assert response.status == 404
        assert response.error["code"] == "model_not_found"
        assert response.error["param"] == "model"
        assert "x-evil" not in response.headers
        assert "sk-" not in str(response)


@pytest.mark.parametrize("model", ["", "x" * 257, "x" * 1_000_000])
def test_an_impossible_model_is_refused(gateway: Gateway, upstream: ScriptedUpstream, model: str) -> None:
    response = assert_refused(gateway, upstream, CHAT_PATH, body(model=model))
    assert response.error["param"] == "model"
    assert len(response.body) < 1000


def test_a_model_of_a_provider_without_that_endpoint_is_refused(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    response = assert_refused(gateway, upstream, EMBEDDINGS_PATH, body(model="claude-test"))
    assert (response.status, response.error["param"]) == (404, "model")


# --- request ids ------------------------------------------------------------------------------------------------------

OWN_ID = re.compile(r"req_[0-9a-f]{13,}")


@pytest.mark.parametrize(
    "given", ["a", "x" * 128, "123e4567-e89b-12d3-a456-426614174000", "|a.b;c=d", "trace:1/2+3@x~y"]
)
def test_a_well_formed_request_id_is_kept(gateway: Gateway, given: str) -> None:
    response = gateway.get("/health", X_Request_ID=given)
    assert response.headers["x-request-id"] == given
    assert gateway.requests()[-1]["request_id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\tb", 'a"b', "a,b", "é", "\udcff", "<a>", "a{b}", "a\\b"])
def test_another_one_is_replaced(gateway: Gateway, given: str) -> None:
    response = gateway.get("/health", X_Request_ID=given)
    assert OWN_ID.fullmatch(response.headers["x-request-id"])
    assert gateway.requests()[-1]["request_id"] == response.headers["x-request-id"]


def test_made_request_ids_are_all_different(gateway: Gateway) -> None:
    ids = {gateway.get("/health").headers["x-request-id"] for _ in range(20)}
    assert len(ids) == 20


# --- defects of our own -----------------------------------------------------------------------------------------------

SECRET = "words that only the defect knows"


def broken(*_: object, **__: object) -> NoReturn:
    raise RuntimeError(SECRET)


class BrokenReader:
    """A transducer or observer that fails at its first byte, or at the first with ``mark`` in it."""

    def __init__(self, reader: Any, mark: bytes) -> None:
        self._reader = reader
        self._mark = mark

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def feed(self, data: bytes) -> Any:
        if self._mark in data:
            broken()
        return self._reader.feed(data)


Break = Callable[[Provider], Provider]


def surface_with(**functions: Any) -> Break:
    def change(provider: Provider) -> Provider:
        surfaces = tuple(msgspec.structs.replace(s, **functions) for s in provider.surfaces[Capability.CHAT])
        return msgspec.structs.replace(provider, surfaces={**provider.surfaces, Capability.CHAT: surfaces})

    return change


def translator_with(**functions: Any) -> Break:
    def change(provider: Provider) -> Provider:
        translator = provider.surfaces[Capability.CHAT][0].translator
        if translator is None:
            return provider
        return surface_with(translator=msgspec.structs.replace(translator, **functions))(provider)

    return change


def transducer_broken_at(mark: bytes) -> Break:
    def change(provider: Provider) -> Provider:
        translator = provider.surfaces[Capability.CHAT][0].translator
        if translator is None or translator.transducer is None:
            return provider
        make = translator.transducer
        return translator_with(transducer=lambda: BrokenReader(make(), mark))(provider)

    return change


def observer_broken_at(mark: bytes) -> Break:
    def change(provider: Provider) -> Provider:
        make = provider.surfaces[Capability.CHAT][0].observer
        if make is None:
            return provider
        return surface_with(observer=lambda strip: BrokenReader(make(strip), mark))(provider)

    return change


def provider_with(**functions: Any) -> Break:
    return lambda provider: msgspec.structs.replace(provider, **functions)


@pytest.fixture
def breakable(monkeypatch: pytest.MonkeyPatch, upstream: ScriptedUpstream) -> Iterator[Callable[[Break], Gateway]]:
    """Starts gateways whose providers are changed first."""
    started: list[Gateway] = []

    def start(change: Break) -> Gateway:
        monkeypatch.setattr(app, "load", lambda name: change(providers.load(name)))
        gateway = Gateway(config_for(upstream, **INSTANCES))
        started.append(gateway.__enter__())
        return gateway

    yield start
    for gateway in started:
        gateway.__exit__(None, None, None)
        assert SECRET not in gateway.log_text()
        assert "Traceback" not in gateway.log_text()


def assert_internal(gateway: Gateway, response: Response) -> None:
    """500 with the request's id, nothing of the defect in it, and its place in the log."""
    assert (response.status, response.error["code"], response.error["type"]) == (500, "internal_error", "server_error")
    assert SECRET not in str(response)
    assert "RuntimeError" not in str(response)
    line = gateway.requests()[-1]
    assert line["request_id"] == response.headers["x-request-id"]
    assert (line["status"], line["error"]) == (500, "internal_error")
    assert re.fullmatch(r"RuntimeError at .+test_server_errors\.py:\d+", line["detail"])
    assert gateway.get("/health").status == 200


@pytest.mark.parametrize(
    ("change", "model", "is_stream"),
    [
        pytest.param(translator_with(to_wire=broken), "claude-test", False, id="request"),
        pytest.param(translator_with(to_wire=broken), "claude-test", True, id="request for a stream"),
        pytest.param(translator_with(read_answer=broken), "claude-test", False, id="answer"),
        pytest.param(translator_with(transducer=broken), "claude-test", True, id="transducer"),
        pytest.param(transducer_broken_at(b""), "claude-test", True, id="first bytes of a stream"),
        pytest.param(surface_with(observer=broken), "gpt-test", True, id="observer"),
        pytest.param(observer_broken_at(b""), "gpt-test", True, id="first bytes observed"),
        pytest.param(surface_with(read_summary=broken), "gpt-test", False, id="summary"),
    ],
)
def test_a_defect_is_a_500_that_tells_nothing(
    breakable: Callable[[Break], Gateway], upstream: ScriptedUpstream, change: Break, model: str, is_stream: bool
) -> None:
    gateway = breakable(change)
    upstream.answer(answer_of(model, is_stream))
    assert_internal(gateway, gateway.post(CHAT_PATH, body(model=model, stream=is_stream)))


def answer_of(model: str, is_stream: bool) -> Any:
    if model == "gpt-test":
        return stream(chat_api.role(), chat_api.whole_stream("Hello")) if is_stream else reply(chat_api.completion())
    text = messages_api.text(0, "Well", "Hello")
    if is_stream:
        return stream(messages_api.start() + text[:-100], text[-100:] + messages_api.end())
    return reply(messages_api.answer({"type": "text", "text": "Hello"}))


def test_a_defect_in_an_error_answer_is_a_500_as_well(
    breakable: Callable[[Break], Gateway], upstream: ScriptedUpstream
) -> None:
    gateway = breakable(provider_with(read_error=broken))
    upstream.answer(reply(chat_api.error(), 429))
    assert_internal(gateway, gateway.post(CHAT_PATH, body()))


@pytest.mark.parametrize(
    ("change", "model"),
    [
        pytest.param(transducer_broken_at(b"Hello"), "claude-test", id="translated"),
        pytest.param(observer_broken_at(b"Hello"), "gpt-test", id="observed"),
    ],
)
def test_a_defect_in_the_midst_of_a_stream_ends_it_with_an_error(
    breakable: Callable[[Break], Gateway], upstream: ScriptedUpstream, change: Break, model: str
) -> None:
    gateway = breakable(change)
    whole = answer_of(model, True)
    upstream.answer(whole)
    response = gateway.post(CHAT_PATH, body(model=model, stream=True))
    assert response.status == 200
    assert response.is_complete
    assert json.loads(response.events[-1])["error"]["code"] == "internal_error"
    assert "[DONE]" not in response.events
    assert SECRET not in str(response)
    line = gateway.requests()[-1]
    assert (line["error"], line["truncated"]) == ("internal_error", True)
    assert "test_server_errors.py" in line["detail"]


def test_a_defect_in_an_answer_of_our_own_is_a_500(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.dialects.openai_models.model_list", broken)
    assert_internal(gateway, gateway.get("/v1/models"))


def test_a_defect_in_the_reading_of_a_body_is_a_500(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.forwarding.guarded", broken)
    assert_internal(gateway, gateway.post(CHAT_PATH, json.dumps(CHAT).encode()))
