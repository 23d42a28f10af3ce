import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.simulation.samples import sample_json
from providers.simulation.schemas import Schema, UnsatisfiableError
from tests.kit.json_schema import is_valid

Json = dict[str, Any]


def sample(schema: object, text: str = "") -> Any:
    return json.loads(sample_json(json.dumps(schema).encode(), text))


def member(schema: object, text: str = "", name: str = "x") -> Any:
    """The value made for one required property."""
    return sample({"type": "object", "properties": {name: schema}, "required": [name]}, text)[name]


# --- what fits is taken from the text -----------------------------------------------------------------------------


def test_names_and_numbers_of_the_text_become_arguments() -> None:
    weather = {
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "unit": {"enum": ["kelvin", "celsius"]},
        },
        "required": ["city", "days", "unit"],
    }
    assert sample(weather, "How warm will it be in New York over the next 3 days, in Celsius?") == {
        "city": "New York",
        "days": 3,
        "unit": "celsius",
    }


def test_each_number_is_used_once() -> None:
    two = {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]}
    assert sample(two, "What is 1231 * 2331?") == {"a": 1231, "b": 2331}


def test_a_number_out_of_bounds_is_not_used() -> None:
    assert member({"type": "integer", "maximum": 10}, "Take 11 or 7") == 7
    assert member({"type": "integer", "maximum": 10}, "Take 11") == 1


def test_a_quoted_phrase_is_preferred_to_a_name() -> None:
    assert member({"type": "string"}, 'Tell Paul "see you at noon"') == "see you at noon"


def test_a_query_is_the_whole_text() -> None:
    assert member({"type": "string"}, "Who was Ada?", name="query") == "Who was Ada?"


def test_a_name_that_is_too_long_is_not_used() -> None:
    assert member({"type": "string", "maxLength": 3}, "I live in Paris") == "sam"


# --- every keyword ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "sample x"),
        ({}, "sample x"),
        (True, "sample x"),
        ({"type": "integer"}, 1),
        ({"type": "number"}, 1),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "integer"]}, 1),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"const": {"a": [1]}}, {"a": [1]}),
        ({"const": None}, None),
        ({"enum": ["b", "a"]}, "b"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"oneOf": [False, {"type": "boolean"}]}, True),
        ({"type": "string", "format": "date"}, "2026-01-15"),
        ({"type": "string", "minLength": 12}, "sample x sample x"),
        ({"minimum": 5}, 5),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "integer", "exclusiveMinimum": True, "minimum": 5}, 6),
        ({"type": "number", "exclusiveMinimum": 0.25, "exclusiveMaximum": 0.75}, 0.5),
        ({"type": "integer", "multipleOf": 1.5, "minimum": 4}, 6),
        ({"type": "number", "multipleOf": 0.1, "minimum": 0.25, "maximum": 0.35}, 0.3),
        ({"maximum": -7}, -7),
        ({"prefixItems": [{"type": "null"}, {"type": "integer"}], "items": False}, [None, 1]),
        ({"items": [{"type": "null"}, {"type": "integer"}]}, [None, 1]),
        ({"type": "array", "maxItems": 0}, []),
        ({"type": "array", "uniqueItems": True, "minItems": 2}, ["sample x", "2 sample x"]),
        ({"type": "object", "minProperties": 2}, {"key1": "sample key1", "key2": "sample key2"}),
        ({"required": ["a"], "additionalProperties": {"type": "null"}}, {"a": None}),
        ({"allOf": [{"type": "number", "minimum": 3}, {"type": "integer", "maximum": 3}]}, 3),
        ({"allOf": [{"anyOf": [{"const": 1}, {"const": 2}]}, {"type": "integer"}]}, 1),
    ],
)
def test_makes_the_plainest_value(schema: object, expected: object) -> None:
    assert member(schema) == expected


def test_without_required_members_all_are_written() -> None:
    assert sample({"properties": {"a": {"type": "integer"}, "b": {"type": "null"}, "c": False}}) == {"a": 1, "b": None}


def test_optional_members_are_left_out_beside_required_ones() -> None:
    assert sample({"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["b"]}) == {"b": 1}


def test_references_and_definitions_are_followed() -> None:
    schema = {
        "$defs": {"Point": {"type": "object", "properties": {"x": {"$ref": "#/$defs/Length"}}, "required": ["x"]}},
        "properties": {"at": {"$ref": "#/$defs/Point", "description": "where"}},
        "required": ["at"],
    }
    schema["$defs"]["Length"] = {"type": "number", "minimum": 2}  # type: ignore[index]
    assert sample(schema) == {"at": {"x": 2}}


def test_a_list_that_refers_to_itself_ends() -> None:
    node = {"properties": {"next": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}}, "required": ["next"]}
    schema = {"$defs": {"N": node}, "$ref": "#/$defs/N"}
    assert is_valid(sample(schema), schema)


def test_optional_members_beyond_the_bounds_are_left_out() -> None:
    tree = {"properties": {f"branch{number}": {"$ref": "#"} for number in range(20)}}
    assert sample(tree) == {}


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "string"},
        {"type": "array"},
        {"$ref": "#"},
        {"$ref": "#/$defs/Missing"},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"anyOf": [{"$ref": "#"}] * 50},
        {"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]},
        {"minProperties": 1_000_000},
        {"minProperties": 1, "additionalProperties": False},
        {"properties": {"a": False}, "required": ["a"]},
        {"properties": {"a": {"enum": []}}, "required": ["a"]},
        {"properties": {"a": {"type": []}}, "required": ["a"]},
        {"properties": {"a": {"minLength": 100_000, "type": "string"}}, "required": ["a"]},
        {"properties": {"a": {"minLength": 3, "maxLength": 2}}, "required": ["a"]},
        {"properties": {"a": {"minimum": 3, "maximum": 2}}, "required": ["a"]},
        {"properties": {"a": {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2}}, "required": ["a"]},
        {"properties": {"a": {"minItems": 2, "items": {"const": 1}, "uniqueItems": True}}, "required": ["a"]},
        {"properties": {"a": {"minItems": 2, "items": False}}, "required": ["a"]},
        {"properties": {"a": {"minItems": 10**6, "items": {"minItems": 10**6, "type": "array"}}}, "required": ["a"]},
    ],
)
def test_what_cannot_be_met_within_bounds_is_refused(schema: object) -> None:
    with pytest.raises(UnsatisfiableError):
        sample(schema)


# --- any schema ---------------------------------------------------------------------------------------------------

_small = st.integers(-20, 20)
_words = st.text("abc", min_size=1, max_size=3)
_leaves: st.SearchStrategy[Any] = st.one_of(
    st.builds(lambda a, b: {"type": "integer", "minimum": min(a, b), "maximum": max(a, b)}, _small, _small),
    st.builds(
        lambda a, b: {"type": "number", "exclusiveMinimum": a, "exclusiveMaximum": a + b}, _small, st.integers(1, 9)
    ),
    st.builds(
        lambda a, s: {"type": "number", "minimum": a, "multipleOf": s}, _small, st.sampled_from([1, 3, 0.5, 0.25])
    ),
    st.builds(
        lambda a, b: {"type": "string", "minLength": a, "maxLength": a + b}, st.integers(0, 30), st.integers(0, 9)
    ),
    st.builds(
        lambda values: {"enum": values}, st.lists(st.one_of(_small, _words, st.none(), st.booleans()), min_size=1)
    ),
    st.builds(lambda value: {"const": value}, st.recursive(_words, lambda v: st.dictionaries(_words, v), max_leaves=3)),
    st.sampled_from(
        [{}, True, {"type": "boolean"}, {"type": "null"}, {"type": ["null", "string"]}, {"$ref": "#/$defs/d"}]
    ),
)


def _objects(members: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return st.dictionaries(_words, members, max_size=4).flatmap(
        lambda properties: st.fixed_dictionaries(
            {
                "type": st.just("object"),
                "properties": st.just(properties),
                "required": st.lists(st.sampled_from(sorted(properties)), unique=True) if properties else st.just([]),
            },
            optional={"additionalProperties": st.booleans(), "minProperties": st.integers(0, len(properties))},
        )
    )


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        _objects(inner),
        st.builds(lambda items, n: {"type": "array", "items": items, "minItems": n}, inner, st.integers(0, 3)),
        st.builds(lambda parts: {"type": "array", "prefixItems": parts, "items": False}, st.lists(inner, max_size=3)),
        st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"allOf": [part, {"description": "more"}]}, inner),
    )


_schemas = _objects(st.recursive(_leaves, _nested, max_leaves=8)).map(
    lambda schema: {**schema, "$defs": {"d": {"type": "object", "properties": {"n": {"type": "integer"}}}}}
)


@settings(max_examples=300)
@given(_schemas, st.text(max_size=40) | st.just('Ask Bob about "the plan" for 12 days and -3.5 more'))
def test_every_value_is_valid_against_its_schema(schema: Json, text: str) -> None:
    assert is_valid(sample(schema, text), schema)


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
_keywords = st.sampled_from((*Schema.__struct_encode_fields__, "$defs", "pattern"))


def _schema_like(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(_keywords, inner | st.lists(inner, max_size=3), max_size=5)


@settings(max_examples=300)
@given(
    st.recursive(_json | st.sampled_from(["#", "string", "integer", "object", "array"]), _schema_like, max_leaves=12)
)
def test_anything_gives_an_object_or_is_refused(schema: Any) -> None:
    try:
        value = sample(schema, "Ask Bob about 12 things")
    except UnsatisfiableError:
        return
    assert isinstance(value, dict)
