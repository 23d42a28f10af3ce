"""JSON Schemas for structured outputs and strict tools."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.core.types import raw_json
from providers.claude.schema import OpenObjectError, constrained


def fit(schema: Any) -> Any:
    return json.loads(bytes(constrained(raw_json(schema))))


def test_a_schema_that_fits_stays_byte_for_byte() -> None:
    schema = Raw(
        b'{ "additionalProperties": false, "type":"object", "required":["a"], "properties":{'
        b'"a":{"type":["string","null"],"format":"date"}, "b":{"$ref":"#/$defs/B"}, "c": {"enum":[1.0, "x"]},'
        b'"d": {"type":"array","minItems":1,"items":{"type":"integer"}}},'
        b'"$defs":{"B":{"anyOf":[{"type":"null"},{"type":"number","default":1e3}]}} }'
    )
    assert constrained(schema) == schema


def test_objects_are_closed_wherever_they_stand() -> None:
    inner = {"type": "object", "properties": {"x": {"type": "string"}}}
    closed = {**inner, "additionalProperties": False}
    schema = {
        "type": "object",
        "properties": {"a": inner, "b": {"type": "array", "items": inner}, "c": {"anyOf": [inner, {"type": "null"}]}},
        "additionalProperties": True,
        "definitions": {"d": inner},
    }
    assert fit(schema) == {
        "type": "object",
        "properties": {
            "a": closed,
            "b": {"type": "array", "items": closed},
            "c": {"anyOf": [closed, {"type": "null"}]},
        },
        "additionalProperties": False,
        "definitions": {"d": closed},
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": ["object", "null"]},
        {"type": "object", "properties": {"a": {"type": "object"}}},
        {"type": "object", "properties": {}, "additionalProperties": {"type": "integer"}},
    ],
)
def test_an_object_with_members_it_does_not_name_cannot_be_closed(schema: Any) -> None:
    with pytest.raises(OpenObjectError):
        fit(schema)


def test_an_object_without_members_can() -> None:
    closed = {"type": "object", "properties": {}, "additionalProperties": False}
    assert fit({"type": "object", "properties": {}}) == closed
    assert fit({"type": "object", "additionalProperties": False}) == {"type": "object", "additionalProperties": False}


def test_what_is_not_enforced_is_told_in_the_description() -> None:
    assert fit({"type": "integer", "minimum": 1, "maximum": 5, "description": "Stars."}) == {
        "type": "integer",
        "description": "Stars.\n\n{minimum: 1, maximum: 5}",
    }
    assert fit({"type": "string", "format": "color", "pattern": "^#"}) == {
        "type": "string",
        "description": '{format: "color", pattern: "^#"}',
    }
    assert fit({"type": "array", "minItems": 2, "items": {"type": "string"}})["description"] == "{minItems: 2}"


def test_either_of_several_is_any_of_them() -> None:
    assert fit({"oneOf": [{"type": "string"}, {"type": "null"}]}) == {"anyOf": [{"type": "string"}, {"type": "null"}]}


def test_what_a_schema_says_about_itself_is_left_out() -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "a", "type": "string"}
    assert fit(schema) == {"type": "string"}


@pytest.mark.parametrize("schema", [b"[]", b"3", b"{", b"", b"null"])
def test_what_is_no_schema_is_a_value_error(schema: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        constrained(Raw(schema))


keywords = st.sampled_from(
    [
        "type",
        "properties",
        "items",
        "anyOf",
        "oneOf",
        "enum",
        "format",
        "minItems",
        "minimum",
        "$ref",
        "description",
        "x",
    ]
)
schemas = st.recursive(
    st.sampled_from(["object", "string", "array", "date", 0, 2, None, True]),
    lambda s: st.dictionaries(keywords, s, max_size=3) | st.lists(s, max_size=2),
    max_leaves=10,
)


@given(st.dictionaries(keywords, schemas, max_size=4))
def test_any_object_fits_or_cannot_be_closed_and_fits_only_once(schema: dict[str, Any]) -> None:
    try:
        fitted = fit(schema)
    except OpenObjectError:
        return
    assert fit(fitted) == fitted
