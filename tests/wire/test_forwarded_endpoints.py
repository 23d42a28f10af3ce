"""Endpoints that are forwarded by their model alone: text completions, moderations, speech, pictures, forms, rerank."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import chat_api
from tests.kit.gateway import Gateway, Response, request
from tests.kit.kept import BOUNDARY, MASTER, ask, form, get, ok, post_form, running
from tests.kit.upstream import CLOSE, KEY, Gate, ScriptedUpstream, config_for, raw, reply, stream

MODEL = "m-test"
JSON_PATHS = (
    "/v1/completions",
    "/v1/moderations",
    "/v1/audio/speech",
    "/v1/images/generations",
    "/v1/rerank",
)
FORM_PATHS = (
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
    "/v1/images/edits",
    "/v1/images/variations",
)
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


@pytest.fixture(scope="module")
def gateway(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    text = config_for(
        upstream,
        server={"type": "openai_compatible", "models": [MODEL, "org/m:free"]},
        openai={"models": ["gpt-only"]},
        anthropic={"models": ["claude-test"]},
        gemini={"models": ["gemini-test"]},
    )
    document = json.loads(text)
    document["providers"]["sim"] = {"type": "simulator"}
    with running(json.dumps(document), tmp_path_factory.mktemp("kept")) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def fresh(upstream: ScriptedUpstream) -> None:
    upstream.answer()


def last_request(gateway: Gateway) -> Any:
    return gateway.requests()[-1]


# --- JSON -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", JSON_PATHS)
@pytest.mark.parametrize("model", [MODEL, f"server/{MODEL}", "server/org/m:free"])
def test_only_the_model_is_rewritten(gateway: Gateway, upstream: ScriptedUpstream, path: str, model: str) -> None:
    answer = b'{ "odd" : 1.0,  "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9} }'
    upstream.answer(reply(answer, headers=[("X-Request-ID", "theirs")]))
    text = '{ "z":"caf\\u00e9 {\\"model\\":1}", "model" : "%s",\n"input":[1.0, {"model":"inner"}] , "future":null }'
    got = ask(gateway, "POST", path, (text % model).encode())
    assert (got.status, got.body) == (200, answer)
    sent = upstream.request
    assert (sent.path, sent.method) == (path, "POST")
    assert sent.body == (text % model.removeprefix("server/")).encode()
    assert sent.header("authorization") == f"Bearer {KEY}"
    assert sent.header("content-type") == "application/json"
    assert got.headers["x-sluice-provider"] == "server"
    assert got.headers["x-sluice-model"] == model.removeprefix("server/")
    line = last_request(gateway)
    assert line["model"] == model.removeprefix("server/")
    if path != "/v1/audio/speech":
        assert line["usage"]["input_tokens"] == 7


def test_a_text_completion_streams_with_its_usage(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    chunk = {
        "id": "cmpl-1",
        "object": "text_completion",
        "choices": [{"index": 0, "text": "Hi", "finish_reason": None}],
    }
    end = {**chunk, "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}
    usage = {**chunk, "choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5}}
    shown = chat_api.event(chunk) + chat_api.event(end)
    upstream.answer(stream(shown + chat_api.event(usage) + chat_api.DONE))
    got = ask(gateway, "POST", "/v1/completions", {"model": MODEL, "prompt": "x", "stream": True})
    assert got.body == shown + chat_api.DONE
    assert upstream.request.json()["stream_options"] == {"include_usage": True}
    assert last_request(gateway)["usage"]["output_tokens"] == 1
    asked = {"model": MODEL, "prompt": "x", "stream": True, "stream_options": {"include_usage": True}}
    upstream.answer(stream(shown + chat_api.event(usage) + chat_api.DONE))
    got = ask(gateway, "POST", "/v1/completions", asked)
    assert got.body == shown + chat_api.event(usage) + chat_api.DONE
    assert upstream.request.json() == asked


def test_speech_comes_as_it_is_spoken(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    first, rest = os.urandom(50_000), os.urandom(100_000)
    gate = Gate()
    upstream.answer(stream(first, gate, rest, content_type="audio/mpeg"))
    with gateway.connect() as client:
        body = json.dumps({"model": MODEL, "input": "Hello", "voice": "alloy"}).encode()
        client.send(request("POST", "/v1/audio/speech", body, Authorization=f"Bearer {MASTER}"))
        client.until(first[-1000:])
        gate.open()
        answer = client.response()
    assert answer.body == first + rest
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["cache-control"] == "no-store"


def test_speech_that_breaks_off_is_no_whole_speech(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(raw(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 1000\r\n\r\nhalf", CLOSE))
    answer = ask(gateway, "POST", "/v1/audio/speech", {"model": MODEL, "input": "x", "voice": "y"})
    assert answer.status == 200
    assert not answer.is_complete
    assert b"error" not in answer.body
    line = last_request(gateway)
    assert (line["truncated"], line["error"]) == (True, "upstream_broken")


def test_speech_as_events_is_passed_as_events(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    events = b'data: {"type":"speech.audio.delta","audio":"AAAA"}\n\ndata: {"type":"speech.audio.done"}\n\n'
    upstream.answer(stream(events))
    asked = {"model": MODEL, "input": "x", "voice": "y", "stream_format": "sse"}
    answer = ask(gateway, "POST", "/v1/audio/speech", asked)
    assert (answer.body, answer.headers["content-type"]) == (events, "text/event-stream; charset=utf-8")
    upstream.answer(stream(events[:20], CLOSE))
    answer = ask(gateway, "POST", "/v1/audio/speech", asked)
    assert b'"code":"upstream_broken"' in answer.body


def test_an_odd_content_type_breaks_no_header(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(raw(b"HTTP/1.1 200 OK\r\nContent-Type: audio/\xff\r\nContent-Length: 2\r\n\r\nok"))
    answer = ask(gateway, "POST", "/v1/audio/speech", {"model": MODEL, "input": "x", "voice": "y"})
    assert (answer.body, answer.headers["content-type"]) == (b"ok", "application/octet-stream")


@pytest.mark.parametrize("path", [*JSON_PATHS, *FORM_PATHS])
def test_errors_keep_status_and_words(gateway: Gateway, upstream: ScriptedUpstream, path: str) -> None:
    body = chat_api.error("Not like this.", "invalid_request_error", param="voice")
    upstream.answer(reply(body, 422))
    if path in FORM_PATHS:
        answer = post_form(gateway, path, form(("model", MODEL)))
    else:
        answer = ask(gateway, "POST", path, {"model": MODEL})
    assert (answer.status, answer.body) == (422, body)
    assert answer.headers["x-sluice-attempts"] == "1"


@pytest.mark.parametrize("path", JSON_PATHS)
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"{", b"null", b'{"model":5}', b'{"model":""}', b'{"input":"x"}', b'{"model":"\xff"}'),
        *(
            b'{"model":"m-test","model":"gpt-only"}',
            b'{"model":"m-test","stream":"yes"}',
            b'{"model":"' + b"x" * 300 + b'"}',
        ),
        b'{"model":"m-test","x":' + b"[" * 70 + b"]" * 70 + b"}",
    ],
)
def test_a_bad_body_goes_nowhere(gateway: Gateway, upstream: ScriptedUpstream, path: str, body: bytes) -> None:
    answer = ask(gateway, "POST", path, body)
    assert answer.status in (400, 404)
    assert answer.error["message"]
    assert upstream.requests == []


def test_an_unknown_model_goes_nowhere(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    for path in JSON_PATHS:
        assert ask(gateway, "POST", path, {"model": "nobody"}).error["code"] == "model_not_found"
    for path in FORM_PATHS:
        assert post_form(gateway, path, form(("model", "nobody"))).error["code"] == "model_not_found"
    assert upstream.requests == []


@pytest.mark.parametrize("model", ["claude-test", "gemini-test", "sim-small"])
@pytest.mark.parametrize("path", [*JSON_PATHS, *FORM_PATHS])
def test_a_provider_without_the_endpoint_is_told(
    gateway: Gateway, upstream: ScriptedUpstream, path: str, model: str
) -> None:
    if path in FORM_PATHS:
        answer = post_form(gateway, path, form(("model", model)))
    else:
        answer = ask(gateway, "POST", path, {"model": model})
    assert answer.status == 404
    assert (answer.error["param"], answer.error["code"]) == ("model", "endpoint_not_supported")
    assert "does not offer" in answer.error["message"]
    assert upstream.requests == []


def test_rerank_is_not_asked_of_a_vendor_that_has_none(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    assert ask(gateway, "POST", "/v1/rerank", {"model": "gpt-only"}).status == 404
    assert upstream.requests == []


# --- forms ------------------------------------------------------------------------------------------------------------

SOUND = bytes(range(256)) * 300 + b"\r\n--form-boundary-0\r\nmodel"


@pytest.mark.parametrize("path", FORM_PATHS)
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("model", [MODEL, f"server/{MODEL}"])
def test_a_form_goes_up_with_only_its_model_rewritten(
    gateway: Gateway, upstream: ScriptedUpstream, path: str, is_first: bool, model: str
) -> None:
    upstream.answer(reply(b'{"text": "hello","usage":{"type":"tokens","input_tokens":14,"output_tokens":4}}'))

    def body(name: str) -> bytes:
        others = [("language", "en"), ("prompt", b'"model" \xc3\xa9 m-test')]
        end = f"--{BOUNDARY}--\r\n".encode()
        if is_first:
            return form(("model", name), *others, file=SOUND, filename='a \\"b\\".mp3')
        return form(*others, file=SOUND)[: -len(end)] + form(("model", name), file=None)

    got = post_form(gateway, path, body(model))
    assert ok(got)["text"] == "hello"
    assert upstream.request.body == body(MODEL)
    assert upstream.request.path == path
    assert upstream.request.header("content-type") == FORM_TYPE
    assert upstream.request.header("content-length") == str(len(body(MODEL)))
    line = last_request(gateway)
    assert (line["usage"]["input_tokens"], line["model"]) == (14, MODEL)


def test_a_transcript_that_is_no_json_is_passed(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(b"1\n00:00 --> 00:01\nhello\n", content_type="text/plain; charset=utf-8"))
    answer = post_form(gateway, FORM_PATHS[0], form(("model", MODEL), ("response_format", "srt"), file=SOUND))
    assert answer.body == b"1\n00:00 --> 00:01\nhello\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_transcript_is_streamed(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = Gate()
    first, last = (
        b'data: {"type":"transcript.text.delta","delta":"a"}\n\n',
        b'data: {"type":"transcript.text.done"}\n\n',
    )
    upstream.answer(stream(first, gate, last))
    body = form(("model", MODEL), ("stream", "true"), file=SOUND)
    with gateway.connect() as client:
        client.send(request("POST", FORM_PATHS[0], body, Authorization=f"Bearer {MASTER}", Content_Type=FORM_TYPE))
        client.until(first)
        gate.open()
        assert client.response().body == first + last
    assert last_request(gateway)["stream"] is True


def _two_models() -> bytes:
    return form(("model", MODEL), ("model", "gpt-only"))


BAD_FORMS = {
    "no model": (form(), FORM_TYPE),
    "an empty model": (form(("model", "")), FORM_TYPE),
    "two models": (_two_models(), FORM_TYPE),
    "a model that is a file": (form(file=b"m-test").replace(b'name="file"', b'name="model"'), FORM_TYPE),
    "a long model": (form(("model", "x" * 300)), FORM_TYPE),
    "a model that is no text": (form(("model", b"\xff")), FORM_TYPE),
    "no end": (form(("model", MODEL))[:-10], FORM_TYPE),
    "JSON": (b'{"model":"m-test"}', "application/json"),
    "JSON that says form": (b'{"model":"m-test"}', FORM_TYPE),
    "no boundary": (form(("model", MODEL)), "multipart/form-data"),
    "nothing": (b"", FORM_TYPE),
}


@pytest.mark.parametrize("what", BAD_FORMS)
@pytest.mark.parametrize("path", FORM_PATHS)
def test_a_bad_form_goes_nowhere(gateway: Gateway, upstream: ScriptedUpstream, path: str, what: str) -> None:
    body, content_type = BAD_FORMS[what]
    answer: Response = ask(gateway, "POST", path, body, Content_Type=content_type)
    assert answer.status == 400, answer.body
    assert answer.error["message"]
    assert upstream.requests == []


def test_what_is_compressed_or_too_large_goes_nowhere(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    for path in (*JSON_PATHS, *FORM_PATHS):
        assert ask(gateway, "POST", path, b"x", Content_Encoding="gzip").status == 415
        assert ask(gateway, "POST", path, b"x", Content_Length=str(1 << 40)).status == 413
    assert upstream.requests == []
    assert get(gateway, FORM_PATHS[0]).status == 405
