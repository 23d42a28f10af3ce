"""Embeddings and the counting of tokens."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import (
    ChatRequest,
    EmbeddingRequest,
    Fault,
    Finish,
    FinishReason,
    Message,
    Role,
    Text,
    Tool,
    Usage,
    UsageReport,
    Vector,
    raw_json,
)
from providers.generate_content.counting import read_counted, to_counting_wire
from providers.generate_content.embeddings import read_embeddings, to_embedding_wire

MODEL = "gemini-embedding-2"


def embedding(**members: Any) -> EmbeddingRequest:
    return EmbeddingRequest(model="asked-for", **members)


def test_each_text_is_a_request() -> None:
    wire = to_embedding_wire(embedding(inputs=["First", "Second"], dimensions=768), MODEL)
    frame = {"model": f"models/{MODEL}", "outputDimensionality": 768}
    assert json.loads(wire.body) == {
        "requests": [
            {**frame, "content": {"parts": [{"text": "First"}]}},
            {**frame, "content": {"parts": [{"text": "Second"}]}},
        ]
    }
    assert wire.dropped == ()


def test_googles_own_fields_go_up_and_others_are_named() -> None:
    extra = {"task_type": raw_json("RETRIEVAL_QUERY"), "odd": raw_json(1), "null": raw_json(None)}
    wire = to_embedding_wire(embedding(inputs=["a"], user="ada", extra=extra), MODEL)
    assert json.loads(wire.body)["requests"][0]["taskType"] == "RETRIEVAL_QUERY"
    assert wire.dropped == ("user", "odd")


@pytest.mark.parametrize(("inputs", "error"), [([], BadRequest), ([[1, 2]], UnsupportedParameter)])
def test_what_is_no_text_is_refused(inputs: Any, error: type[BadRequest]) -> None:
    with pytest.raises(error) as refused:
        to_embedding_wire(embedding(inputs=inputs), MODEL)
    assert refused.value.param == "input"


def test_vectors_come_in_the_order_of_the_texts() -> None:
    body = {"embeddings": [{"values": [0.5, -1]}, {"values": [0.25]}], "usageMetadata": {"promptTokenCount": 4}}
    assert read_embeddings(json.dumps(body).encode()) == [
        Vector(0, [0.5, -1.0]),
        Vector(1, [0.25]),
        UsageReport(Usage(input_tokens=4)),
        Finish(FinishReason.STOP),
    ]


def test_usage_that_is_not_told_is_left_out() -> None:
    assert read_embeddings(b'{"embeddings":[{"values":[1.0]}]}') == [Vector(0, [1.0]), Finish(FinishReason.STOP)]


@given(st.binary(max_size=20) | st.sampled_from([b"{}", b'{"embeddings":5}', b'{"embeddings":[{}]}', b"[" * 9999]))
def test_what_is_no_embedding_is_a_fault(body: bytes) -> None:
    (fault,) = read_embeddings(body)
    assert isinstance(fault, Fault)


# --- counting -------------------------------------------------------------------------------------------------------


def test_all_that_the_model_reads_is_counted() -> None:
    messages = [Message(Role.SYSTEM, [Text("be")]), Message(Role.USER, [Text("hi")])]
    request = ChatRequest(model="asked-for", messages=messages, max_tokens=5, tools=[Tool("look")])
    wire = to_counting_wire(request, "gemini-2.5-flash")
    assert json.loads(wire.body) == {
        "generateContentRequest": {
            "model": "models/gemini-2.5-flash",
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "systemInstruction": {"parts": [{"text": "be"}]},
            "tools": [{"functionDeclarations": [{"name": "look"}]}],
        }
    }


def test_the_count_is_the_usage_of_an_input() -> None:
    body = b'{"totalTokens":9,"promptTokensDetails":[{"modality":"TEXT","tokenCount":9}]}'
    assert read_counted(body) == [UsageReport(Usage(input_tokens=9)), Finish(FinishReason.STOP)]


@given(st.binary(max_size=20) | st.sampled_from([b"{}", b'{"totalTokens":-1}', b'{"totalTokens":"9"}', b"[" * 9999]))
def test_what_is_no_count_is_a_fault(body: bytes) -> None:
    (fault,) = read_counted(body)
    assert isinstance(fault, Fault)
