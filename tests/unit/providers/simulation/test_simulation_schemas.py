import json
from typing import Any

import pytest

from providers.simulation.schemas import Document, Schema, UnsatisfiableError, both, check_schema


def _document(schema: object) -> Document:
    return Document(json.dumps(schema).encode())


@pytest.mark.parametrize(
    "raw",
    [b"", b"3", b"[]", b"null", b'{"type": "any"}', b'{"required": "a"}', b'{"properties": []}', b'{"a": "\xff"}'],
)
def test_what_is_no_schema_is_refused(raw: bytes) -> None:
    with pytest.raises(UnsatisfiableError):
        Document(raw)


def test_unknown_keywords_are_ignored() -> None:
    check_schema(b'{"$schema": "x", "title": "T", "pattern": "[", "description": "", "x-vendor": {}}')


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("#/$defs/A", Schema(type="string")),
        ("#/definitions/B~1C", Schema(type="integer")),
        ("#/$defs/List/prefixItems/1", Schema(type="null")),
    ],
)
def test_a_reference_is_a_json_pointer_into_the_document(ref: str, expected: Schema) -> None:
    document = _document(
        {
            "$defs": {"A": {"type": "string"}, "List": {"prefixItems": [True, {"type": "null"}]}},
            "definitions": {"B/C": {"type": "integer"}},
        }
    )
    assert document.resolve(ref) == expected


@pytest.mark.parametrize(
    "ref", ["#/$defs/Z", "#/$defs/A/type/0", "other.json#/A", "#anchor", "", "#/list/9", "#/list/x"]
)
def test_a_reference_to_nothing_is_refused(ref: str) -> None:
    document = _document({"$defs": {"A": {"type": "string"}}, "list": [{}]})
    with pytest.raises(UnsatisfiableError):
        document.resolve(ref)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ({"minimum": 1}, {"minimum": 3, "maximum": 9}, {"minimum": 3, "maximum": 9}),
        ({"maxLength": 5}, {"maxLength": 3}, {"maxLength": 3}),
        ({"type": ["string", "null"]}, {"type": "string"}, {"type": ["string"]}),
        ({"type": "number"}, {"type": "integer"}, {"type": ["integer"]}),
        ({"enum": ["a", "b"]}, {"enum": ["b", "c"]}, {"enum": ["b"]}),
        ({"required": ["a"]}, {"required": ["b"]}, {"required": ["a", "b"]}),
        (
            {"properties": {"a": {"type": "string"}}},
            {"properties": {"b": {"type": "null"}}},
            {"properties": {"a": {"type": "string"}, "b": {"type": "null"}}},
        ),
        ({"format": "date"}, {"format": "time"}, {"format": "time"}),
    ],
)
def test_two_schemas_become_one_that_holds_both(a: Any, b: Any, expected: Any) -> None:
    assert both(_document(a).root, _document(b).root) == _document(expected).root


def test_a_property_in_both_must_satisfy_both() -> None:
    merged = both(
        _document({"properties": {"a": {"minimum": 1}}}).root, _document({"properties": {"a": {"maximum": 2}}}).root
    )
    assert isinstance(merged, Schema)
    assert merged.properties["a"] == Schema(allOf=[Schema(minimum=1), Schema(maximum=2)])


def test_false_is_stronger_than_any_schema_and_true_weaker() -> None:
    schema = Schema(type="string")
    assert both(schema, True) == both(True, schema) == schema
    assert both(schema, False) is both(False, schema) is False
