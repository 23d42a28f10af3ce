"""JSON Schemas, fitted to the keywords that Gemini takes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.types import raw_json
from providers.generate_content.schema import fit_schema


def fitted(schema: Any) -> Any:
    return json.loads(bytes(fit_schema(raw_json(schema))[0]))


def lost(schema: Any) -> list[str]:
    return fit_schema(raw_json(schema))[1]


FITTING = {
    "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Where", "enum": ["Rome", "Oslo"]},
        "days": {"type": ["integer", "null"], "minimum": 1, "maximum": 7},
        "at": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3},
        "either": {"anyOf": [{"type": "string"}, {"type": "number"}]},
        "list": {"$ref": "#/$defs/Node"},
    },
    "required": ["city"],
    "additionalProperties": False,
}


def test_a_schema_that_fits_stays_byte_for_byte() -> None:
    given_schema = raw_json(FITTING)
    assert fit_schema(given_schema) == (given_schema, [])


@pytest.mark.parametrize(
    ("schema", "same"),
    [
        ({"const": "x"}, {"enum": ["x"]}),
        ({"const": 5, "type": "integer"}, {"enum": [5], "type": "integer"}),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "string", "nullable": False}, {"type": "string"}),
        (
            {"type": ["string", "null"], "enum": ["a", None], "title": "T"},
            {"title": "T", "anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]},
        ),
        (
            {"definitions": {"A": {"type": "string"}}, "items": {"$ref": "#/definitions/A"}},
            {"$defs": {"A": {"type": "string"}}, "items": {"$ref": "#/$defs/A"}},
        ),
        ({"$ref": "#/$defs/A", "description": "An A"}, {"description": "An A", "anyOf": [{"$ref": "#/$defs/A"}]}),
        ({"allOf": [{"$ref": "#/$defs/A"}], "title": "T"}, {"title": "T", "anyOf": [{"$ref": "#/$defs/A"}]}),
        (
            {
                "allOf": [
                    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                    {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]},
                ]
            },
            {
                "type": "object",
                "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                "required": ["a", "b"],
            },
        ),
        ({"items": True}, {"items": {}}),
        ({"$schema": "https://json-schema.org/draft-07", "type": "object"}, {"type": "object"}),
    ],
)
def test_what_can_be_said_otherwise_is_not_lost(schema: Any, same: Any) -> None:
    assert fitted(schema) == same
    assert lost(schema) == []


def test_what_is_not_enforced_is_described_and_named() -> None:
    schema = {"type": "object", "properties": {"zip": {"type": "string", "pattern": "^[0-9]+$", "minLength": 5}}}
    assert fitted(schema)["properties"]["zip"] == {
        "type": "string",
        "description": '{pattern: "^[0-9]+$", minLength: 5}',
    }
    assert lost(schema) == ["pattern", "minLength"]


def test_what_only_explains_is_described_and_not_named() -> None:
    schema = {"type": "string", "description": "A mail", "format": "email", "default": "a@b.c", "examples": ["x"]}
    assert fitted(schema) == {
        "type": "string",
        "description": 'A mail\n\n{format: "email", default: "a@b.c", examples: ["x"]}',
    }
    assert lost(schema) == []


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"not": {"type": "string"}}, "not"),
        ({"const": True}, "const"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "allOf"),
        ({"allOf": [{"$ref": "#/$defs/A"}, {"type": "object"}]}, "allOf"),
        ({"items": False}, "false"),
        ({"patternProperties": {"^a": {"type": "string"}}}, "patternProperties"),
        ({"if": {"type": "string"}}, "if"),
        ({"exclusiveMinimum": 0}, "exclusiveMinimum"),
    ],
)
def test_a_rule_that_cannot_be_carried_is_named(schema: Any, keyword: str) -> None:
    assert lost({"type": "object", "properties": {"a": schema}}) == [keyword]


@pytest.mark.parametrize("schema", ["text", 5, None, [], True])
def test_what_is_no_object_is_a_value_error(schema: Any) -> None:
    with pytest.raises(ValueError, match="Expected `object`"):
        fit_schema(raw_json(schema))


KEYWORDS = [
    *("type", "enum", "const", "properties", "items", "anyOf", "allOf", "oneOf", "$ref", "$defs", "definitions"),
    *("nullable", "format", "required", "additionalProperties", "description", "prefixItems", "not"),
]
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["string", "null", "object", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_any_json_is_fitted_or_refused(value: Any) -> None:
    try:
        schema, _ = fit_schema(raw_json(value))
    except DECODE_ERRORS:
        assert not isinstance(value, dict)
        return
    assert isinstance(json.loads(bytes(schema)), dict)


@given(st.dictionaries(st.sampled_from(KEYWORDS), values, max_size=4))
def test_fitting_twice_changes_no_keyword_again(schema: dict[str, Any]) -> None:
    once, _ = fit_schema(raw_json(schema))
    twice, named = fit_schema(once)
    assert (json.loads(bytes(twice)), named) == (json.loads(bytes(once)), [])
