"""Embeddings as OpenAI's clients ask for them and read them."""

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest
from gateway.core.limits import MAX_EMBEDDING_INPUTS
from gateway.core.types import (
    EmbeddingRequest,
    Event,
    Finish,
    FinishReason,
    Start,
    Usage,
    UsageReport,
    Vector,
    raw_json,
)
from gateway.dialects.contract import Encoder
from gateway.dialects.openai_embeddings import DIALECT, decode, read_envelope

Json = dict[str, Any]


def ask(**members: Any) -> bytes:
    return json.dumps({"model": "m", "input": "Hi", **members}).encode()


# --- the request ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_input", "inputs"),
    [
        ("Hi", ["Hi"]),
        ("", [""]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[1, 2]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
    ],
)
def test_texts_and_tokens_are_read(given_input: Any, inputs: Any) -> None:
    assert decode(ask(input=given_input)) == EmbeddingRequest(model="m", inputs=inputs)


def test_all_members_are_read_and_nothing_is_lost() -> None:
    members = {
        "encoding_format": "base64",
        "dimensions": 256,
        "user": "u",
        "stream": True,
        "input_type": "query",
        "x": None,
    }
    assert decode(ask(**members)) == EmbeddingRequest(
        model="m", inputs=["Hi"], is_base64=True, dimensions=256, user="u", extra={"input_type": raw_json("query")}
    )


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": "m" * 300}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": {}}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": [1, "a"]}, "input[1]"),
        ({"input": [1, -1]}, "input[1]"),
        ({"input": [[1], []]}, "input[1]"),
        ({"input": [{}]}, "input[0]"),
        ({"input": ["a"] * (MAX_EMBEDDING_INPUTS + 1)}, "input"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"encoding_format": 1}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"user": 1}, "user"),
    ],
)
def test_a_wrong_member_is_named(members: Json, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(ask(**members))
    assert caught.value.param == param
    assert param in caught.value.message


def test_routing_needs_a_model_and_a_glance_at_the_input() -> None:
    envelope = read_envelope(ask(stream=True))
    assert (envelope.model, envelope.stream) == ("m", None)
    for wrong in (ask(input=5), ask(model=None), b"[]"):
        with pytest.raises(BadRequest):
            read_envelope(wrong)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["model", "input", "encoding_format", "dimensions", "user", "odd"]), json_values)
def test_any_json_in_any_field_is_a_request_or_a_fault_of_the_client(name: str, value: Any) -> None:
    try:
        request = decode(ask(**{name: value}))
    except BadRequest as refused:
        assert refused.param  # noqa: PT017 - both ends are right
        return
    assert request.inputs


# --- the answer -----------------------------------------------------------------------------------------------------


def encoder(**members: Any) -> Encoder:
    assert DIALECT.encoder is not None
    return DIALECT.encoder(EmbeddingRequest(model="m", inputs=["a", "b"], **members), 0)


EVENTS: list[Event] = [
    Start("e", "native"),
    Vector(1, [0.5, -1.0]),
    Vector(0, [0.25, 1e-3]),
    UsageReport(Usage(7)),
    Finish(FinishReason.STOP),
]


def test_vectors_are_listed_in_order_under_the_name_the_client_asked_for() -> None:
    assert json.loads(encoder().body(EVENTS)) == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.25, 0.001]},
            {"object": "embedding", "index": 1, "embedding": [0.5, -1.0]},
        ],
        "model": "m",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }


def test_usage_is_always_there() -> None:
    assert json.loads(encoder().body([]))["usage"] == {"prompt_tokens": 0, "total_tokens": 0}


def test_an_answer_is_the_same_where_a_stream_was_asked_for() -> None:
    assert encoder().stream(EVENTS) == encoder().body(EVENTS)
    assert encoder().kept is None


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=5))
def test_base64_is_little_endian_float32(values: list[float]) -> None:
    told = json.loads(encoder(is_base64=True).body([Vector(0, values)]))["data"][0]["embedding"]
    packed = base64.b64decode(told, validate=True)
    assert list(struct.unpack(f"<{len(packed) // 4}f", packed)) == values


def test_what_no_float32_holds_is_its_largest() -> None:
    told = json.loads(encoder(is_base64=True).body([Vector(0, [1e300, -1e300, 0.5])]))["data"][0]["embedding"]
    largest = struct.unpack("<3f", base64.b64decode(told))
    assert largest == (3.4028234663852886e38, -3.4028234663852886e38, 0.5)
