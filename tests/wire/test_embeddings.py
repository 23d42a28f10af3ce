"""``POST /v1/embeddings`` for a provider that has embeddings in words of its own, and for one that has none."""

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.forwarded import CLIENT_HEADERS, MASTER
from tests.kit.gateway import Gateway, Response
from tests.kit.upstream import KEY, ScriptedUpstream, config_for, reply

MODEL = "gemini-embedding-001"
NATIVE = f"/v1beta/models/{MODEL}:batchEmbedContents"
VECTORS = [[0.25, -0.5, 1.0], [0.0, 0.125, -1.0]]


@pytest.fixture(scope="module")
def gateway(upstream: ScriptedUpstream) -> Iterator[Gateway]:
    address = {"base_url": f"http://127.0.0.1:{upstream.port}"}
    config = config_for(
        upstream, gemini={"models": [MODEL, "gemini-pro"], **address}, anthropic={"models": ["claude-sonnet-4-5"]}
    )
    with Gateway(config, SLUICE_MASTER_KEY=MASTER) as gateway:
        yield gateway


def ask(gateway: Gateway, **members: Any) -> Response:
    body = json.dumps({"model": MODEL, "input": "Hi", **members}).encode()
    return gateway.post("/v1/embeddings", body, **CLIENT_HEADERS)


def embedded(*vectors: list[float], **members: Any) -> Any:
    return reply({"embeddings": [{"values": vector} for vector in vectors], **members})


def test_a_text_becomes_a_vector(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(embedded(VECTORS[0], usageMetadata={"promptTokenCount": 3}))
    response = ask(gateway)
    assert response.json == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": VECTORS[0]}],
        "model": MODEL,
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }
    assert response.headers["content-type"] == "application/json"
    assert "x-sluice-dropped" not in response.headers
    sent = upstream.request
    assert (sent.method, sent.path, sent.header("x-goog-api-key")) == ("POST", NATIVE, KEY)
    assert sent.header("authorization") is None
    assert sent.json() == {"requests": [{"model": f"models/{MODEL}", "content": {"parts": [{"text": "Hi"}]}}]}


def test_a_list_of_texts_becomes_vectors_in_its_order(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(embedded(*VECTORS))
    response = ask(gateway, input=["First", "Second"], dimensions=3, user="ada")
    assert [(v["index"], v["embedding"]) for v in response.json["data"]] == [*enumerate(VECTORS)]
    assert response.headers["x-sluice-dropped"] == "user"
    requests = upstream.request.json()["requests"]
    assert [r["content"]["parts"][0]["text"] for r in requests] == ["First", "Second"]
    assert [r["outputDimensionality"] for r in requests] == [3, 3]


def test_vectors_come_in_base64_where_a_client_wants_them(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(embedded(*VECTORS))
    response = ask(gateway, input=["a", "b"], encoding_format="base64")
    found = [struct.unpack("<3f", base64.b64decode(v["embedding"])) for v in response.json["data"]]
    assert found == [tuple(vector) for vector in VECTORS]


def test_a_qualified_id_is_told_again_as_it_was_asked_for(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(embedded(VECTORS[0]))
    assert ask(gateway, model=f"gemini/{MODEL}").json["model"] == f"gemini/{MODEL}"
    assert upstream.request.path == NATIVE


def test_its_errors_are_told_in_openais_shape(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    error = {"code": 400, "message": "Dimensions are out of range.", "status": "INVALID_ARGUMENT"}
    upstream.answer(reply({"error": error}, 400))
    response = ask(gateway, dimensions=99999)
    assert response.status == 400
    assert response.error["type"] == "invalid_request_error"
    assert "Dimensions are out of range." in response.error["message"]


@pytest.mark.parametrize("body", [b"no JSON", b"{}", b'{"embeddings":[{"values":"x"}]}'])
def test_what_holds_no_vectors_is_a_broken_answer(gateway: Gateway, upstream: ScriptedUpstream, body: bytes) -> None:
    upstream.answer(reply(body))
    response = ask(gateway)
    assert response.status == 502
    assert response.error["code"] == "upstream_broken"


@pytest.mark.parametrize("given", [[[1, 2, 3]], [1, 2, 3]])
def test_tokens_of_another_makers_model_are_refused(gateway: Gateway, upstream: ScriptedUpstream, given: Any) -> None:
    upstream.answer(embedded(VECTORS[0]))
    response = ask(gateway, input=given)
    assert (response.status, response.error["param"]) == (400, "input")
    assert upstream.requests == []


def test_a_provider_without_embeddings_is_named(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(embedded(VECTORS[0]))
    for model in ("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"):
        response = ask(gateway, model=model)
        assert (response.status, response.error["param"]) == (404, "model")
        assert response.error["message"] == "Provider 'anthropic' does not offer embeddings."
    assert upstream.requests == []
