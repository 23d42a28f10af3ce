"""Which schemas OpenAI takes as strict."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.core.types import raw_json
from providers.openai_like.strict_schemas import (
    MAX_ENUM_VALUES,
    MAX_LEVELS,
    MAX_PROPERTIES,
    fits_strict,
    judge_strict,
)

Json = dict[str, Any]


def closed(**members: Any) -> Json:
    return {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}


def fits(schema: Any) -> bool:
    return fits_strict(raw_json(schema))


TEXT = {"type": "string"}
NODE = closed(next={"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]})


@pytest.mark.parametrize(
    "schema",
    [
        closed(),
        {"type": "object", "properties": {}, "additionalProperties": False},
        closed(a=TEXT, b={"type": ["integer", "null"], "enum": [1, 2, None], "description": "d", "title": "B"}),
        closed(a={"type": "array", "items": closed(b=TEXT), "minItems": 1, "maxItems": 9}),
        closed(a={"anyOf": [closed(kind={"type": "string", "const": "x"}), {"type": "null"}]}),
        closed(a={"type": "number", "minimum": 0, "exclusiveMaximum": 9, "multipleOf": 0.5}),
        closed(a={"type": "string", "format": "date-time", "pattern": "^2"}),
        closed(a={"type": ["object", "null"], "properties": {}, "required": [], "additionalProperties": False}),
        {**closed(a={"$ref": "#/$defs/node"}), "$defs": {"node": NODE}},
        {**closed(a={"$ref": "#/definitions/t"}), "definitions": {"t": TEXT}, "$schema": "http://json-schema.org/"},
        closed(a={"anyOf": [{"$ref": "#"}, {"type": "null"}]}),
        closed(**{"properties": TEXT, "default": TEXT, "$ref": TEXT}),
    ],
)
def test_closed_and_whole_schemas_fit(schema: Json) -> None:
    assert fits(schema)


OPEN = {"type": "object", "properties": {"a": TEXT}, "required": ["a"]}
OPTIONAL = {**OPEN, "required": [], "additionalProperties": False}


@pytest.mark.parametrize(
    "inner",
    [
        *(OPEN, OPTIONAL, {**OPEN, "additionalProperties": True}, {**OPEN, "additionalProperties": TEXT}),
        *({**closed(a=TEXT), "required": ["b"]}, {**closed(a=TEXT, b=TEXT), "required": ["a", "a"]}),
        *({**closed(a=TEXT), "required": "a"}, {**closed(a=TEXT), "required": [["a"]]}),
        *({"type": "object"}, {"type": "object", "additionalProperties": False}, {**closed(), "properties": []}),
        *({**TEXT, "default": "x"}, {**TEXT, "minLength": 1}, {**TEXT, "maxLength": 9}, {**TEXT, "format": "uri"}),
        *({**TEXT, "format": 5}, {**TEXT, "examples": []}, {**TEXT, "x-own": 1}, {**TEXT, "enum": "a"}),
        *({"oneOf": [TEXT]}, {"allOf": [TEXT]}, {"not": TEXT}, {"anyOf": TEXT}, {"anyOf": []}, {"anyOf": [True]}),
        *({"type": "array"}, {"type": "array", "items": [TEXT]}, {"type": "array", "items": TEXT, "uniqueItems": True}),
        *({}, {"enum": ["a"]}, {"description": "d"}, {"type": "date"}, {"type": []}, {"type": [[]]}, {"type": None}),
        *(
            {"$ref": "#/$defs/missing"},
            {"$ref": "https://example.com"},
            {"$ref": []},
            {"$ref": "#", "description": "d"},
        ),
        *({**TEXT, "properties": {}}, {**closed(), "$defs": {}}, True, None, "string", [], 5),
    ],
)
def test_what_the_api_refuses_does_not_fit_wherever_it_stands(inner: Any) -> None:
    for schema in (
        closed(a=inner),
        closed(a={"type": "array", "items": inner}),
        closed(a={"anyOf": [{"type": "null"}, inner]}),
        closed(a=closed(b=inner)),
        {**closed(), "$defs": {"a": inner}},
    ):
        assert not fits(schema)


@pytest.mark.parametrize(
    "schema",
    [
        *(OPEN, OPTIONAL, {}, [], None, True, TEXT, {"type": ["object"], **closed(), "anyOf": []}),
        *({**closed(), "type": ["object", "null"]}, {"anyOf": [closed()]}, {"$ref": "#/$defs/a", "$defs": {"a": NODE}}),
        *({**closed(), "$defs": []}, {**closed(), "definitions": {"a": OPEN}}),
    ],
)
def test_a_whole_schema_is_one_closed_object(schema: Any) -> None:
    assert not fits(schema)


def nested(levels: int) -> Json:
    schema = closed(a=TEXT)
    for _ in range(levels - 1):
        schema = closed(a=schema)
    return schema


def test_there_are_bounds() -> None:
    assert fits(nested(MAX_LEVELS - 1))
    assert not fits(nested(MAX_LEVELS + 1))
    assert fits(closed(**{f"p{number}": TEXT for number in range(MAX_PROPERTIES)}))
    assert not fits(closed(**{f"p{number}": TEXT for number in range(MAX_PROPERTIES + 1)}))
    assert fits(closed(a={**TEXT, "enum": list(range(MAX_ENUM_VALUES))}))
    assert not fits(closed(a={**TEXT, "enum": list(range(MAX_ENUM_VALUES + 1))}))


fitting = st.recursive(
    st.sampled_from([TEXT, {"type": "integer", "minimum": 0}, {"type": "boolean"}, {"type": "null"}]),
    lambda inner: (
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(lambda members: closed(**members))
        | inner.map(lambda schema: {"type": "array", "items": schema})
        | st.lists(inner, min_size=1, max_size=2).map(lambda schemas: {"anyOf": schemas})
    ),
    max_leaves=8,
).filter(lambda schema: str(schema).count("properties") < MAX_LEVELS)


def objects(schema: Any) -> list[Json]:
    """Every closed object of a schema that was drawn from ``fitting``."""
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *filter(None, [schema.get("items")])]
    return [*([schema] if "properties" in schema else []), *(one for value in inner for one in objects(value))]


@given(fitting, st.data())
def test_one_open_object_or_optional_property_is_enough(inner: Json, data: st.DataObject) -> None:
    schema: Json = json.loads(json.dumps(closed(a=inner)))
    assert fits(schema)
    spoilt = data.draw(st.sampled_from(objects(schema)))
    if spoilt["required"] and data.draw(st.booleans()):
        spoilt["required"].pop()
    else:
        del spoilt["additionalProperties"]
    assert not fits(schema)


words = st.sampled_from(
    ["type", "properties", "required", "additionalProperties", "anyOf", "items", "enum", "$ref", "$defs", "format"]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["object", "array", "string", "#", "date", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_any_json_is_judged(value: Any) -> None:
    assert fits(value) in (True, False)
    assert fits({**closed(), "properties": {"a": value}, "required": ["a"]}) in (True, False)


@given(st.binary(max_size=40))
def test_any_bytes_are_judged(data: bytes) -> None:
    assert fits_strict(Raw(data)) in (True, False)


def test_what_is_nested_beyond_reason_is_judged() -> None:
    assert not fits_strict(Raw(b'{"type":"object","properties":' * 100_000))
    assert not fits_strict(Raw(b'{"anyOf":[' * 100_000))


def test_a_wish_that_would_be_refused_is_named() -> None:
    dropped: list[str] = []
    open_schema, closed_schema = raw_json(OPEN), raw_json(closed())
    assert [judge_strict(strict, open_schema, "x", dropped) for strict in (None, False)] == [None, False]
    assert judge_strict(True, closed_schema, "x", dropped) is True
    assert judge_strict(True, None, "x", dropped) is True
    assert dropped == []
    assert judge_strict(True, open_schema, "x", dropped) is False
    assert dropped == ["x"]
