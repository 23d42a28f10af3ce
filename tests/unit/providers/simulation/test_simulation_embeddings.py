import base64
import struct
from math import isclose, sqrt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.simulation.embeddings import DEFAULT_DIMENSIONS, MAX_DIMENSIONS
from tests.kit.simulated import answer, embeddings, error


def vectors(**fields: Any) -> list[list[float]]:
    return [one["embedding"] for one in answer(embeddings(**fields))["data"]]


def likeness(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_the_answer_has_the_members_of_an_embeddings_list() -> None:
    said = answer(embeddings(input=["one", "two three"]))
    assert list(said) == ["object", "data", "model", "usage"]
    assert (said["object"], said["model"]) == ("list", "sim-embed")
    assert [(one["object"], one["index"]) for one in said["data"]] == [("embedding", 0), ("embedding", 1)]
    assert said["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


@given(st.text(min_size=1, max_size=60), st.integers(1, MAX_DIMENSIONS) | st.none())
def test_every_text_has_a_vector_of_length_one(text: str, dimensions: int | None) -> None:
    (vector,) = vectors(input=text, dimensions=dimensions)
    assert len(vector) == dimensions or DEFAULT_DIMENSIONS
    assert isclose(sqrt(likeness(vector, vector)), 1, abs_tol=1e-5)


def test_equal_texts_have_equal_vectors() -> None:
    one, other, again = vectors(input=["a cat", "a dog", "a cat"])
    assert one == again != other


def test_texts_that_share_words_are_near() -> None:
    question = "How do I reset the password of my account?"
    asked, near, far = vectors(input=[question, "reset my account password", "Recipes for tomato soup"])
    assert likeness(asked, near) > 0.6
    assert abs(likeness(asked, far)) < 0.25


def test_case_and_marks_play_no_part() -> None:
    one, other = vectors(input=["Hello, World!", "hello world"])
    assert one == other


def test_token_numbers_stand_for_words() -> None:
    (alone,) = vectors(input=[3, 14, 15])
    (among, other) = vectors(input=[[3, 14, 15], [9, 2]])
    assert alone == among != other
    assert answer(embeddings(input=[[3, 14, 15], [9, 2]]))["usage"]["prompt_tokens"] == 5


def test_base64_holds_the_same_numbers_as_little_endian_floats() -> None:
    (plain,) = vectors(input="hello", dimensions=8)
    (packed,) = vectors(input="hello", dimensions=8, encoding_format="base64")
    assert isinstance(packed, str)
    assert struct.unpack("<8f", base64.b64decode(packed)) == pytest.approx(plain)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"input": ""}, "input", "invalid_value"),
        ({"input": []}, "input", "invalid_value"),
        ({"input": ["a", ""]}, "input", "invalid_value"),
        ({"input": ["a", 1]}, "input", "invalid_value"),
        ({"input": [[1], []]}, "input", "invalid_value"),
        ({"input": 5}, "input", "invalid_type"),
        ({"input": [1.5]}, "input[0]", "invalid_type"),
        ({"input": ["a"] * 2049}, "input", "invalid_value"),
        ({"input": "word " * 9000}, "input", "invalid_value"),
        ({"input": ["word " * 8000] * 40}, "input", "invalid_value"),
        ({"dimensions": 0}, "dimensions", "invalid_value"),
        ({"dimensions": 4000}, "dimensions", "invalid_value"),
        ({"encoding_format": "hex"}, "encoding_format", "invalid_value"),
        ({"simulate": {"speed": 1}}, "simulate.speed", "unknown_parameter"),
    ],
)
def test_a_wrong_request_is_refused_and_told_where(fields: dict[str, Any], param: str, code: str) -> None:
    script = embeddings(**fields)
    assert script.status == 400
    assert (error(script)["param"], error(script)["code"]) == (param, code)


def test_directives_hold_for_embeddings_too() -> None:
    assert embeddings(simulate={"status": 429}).status == 429
    assert embeddings(simulate={"latency": "1s", "tokens_per_second": 2}).delay_s == 2.0
    assert embeddings(simulate={"truncate_after": 0}).is_cut
