"""A small JSON Schema validator (draft 2020-12) for the keywords that the simulator promises to meet."""

from fractions import Fraction
from typing import Any

_TYPES: dict[str, Any] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
}


def is_valid(value: Any, schema: Any, root: Any = None) -> bool:
    root = schema if root is None else root
    if isinstance(schema, bool):
        return schema
    return all(check(value, schema, root) for check in (_general, _combined, _number, _string, _array, _object))


def _same(a: Any, b: Any) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _general(value: Any, schema: Any, root: Any) -> bool:
    types = schema.get("type", list(_TYPES))
    return (
        any(_TYPES[name](value) for name in ([types] if isinstance(types, str) else types))
        and ("const" not in schema or _same(value, schema["const"]))
        and ("enum" not in schema or any(_same(value, option) for option in schema["enum"]))
    )


def _combined(value: Any, schema: Any, root: Any) -> bool:
    if "$ref" in schema:
        target = root
        for key in schema["$ref"].split("/")[1:]:
            target = target[key]
        if not is_valid(value, target, root):
            return False
    return (
        all(is_valid(value, part, root) for part in schema.get("allOf", ()))
        and ("anyOf" not in schema or any(is_valid(value, part, root) for part in schema["anyOf"]))
        and ("oneOf" not in schema or sum(is_valid(value, part, root) for part in schema["oneOf"]) == 1)
    )


def _number(value: Any, schema: Any, root: Any) -> bool:
    if not _TYPES["number"](value):
        return True
    step = schema.get("multipleOf")
    return bool(
        value >= schema.get("minimum", value)
        and value <= schema.get("maximum", value)
        and ("exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"])
        and ("exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"])
        and (step is None or Fraction(repr(value)) % Fraction(repr(step)) == 0)
    )


def _string(value: Any, schema: Any, root: Any) -> bool:
    if not isinstance(value, str):
        return True
    return bool(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)))


def _array(value: Any, schema: Any, root: Any) -> bool:
    if not isinstance(value, list):
        return True
    prefix = schema.get("prefixItems", [])
    members = [prefix[i] if i < len(prefix) else schema.get("items", True) for i in range(len(value))]
    is_unique = all(not _same(a, b) for i, a in enumerate(value) for b in value[:i])
    return (
        schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        and (is_unique or not schema.get("uniqueItems"))
        and all(is_valid(one, member, root) for one, member in zip(value, members, strict=True))
    )


def _object(value: Any, schema: Any, root: Any) -> bool:
    if not isinstance(value, dict):
        return True
    properties = schema.get("properties", {})
    return (
        all(name in value for name in schema.get("required", ()))
        and len(value) >= schema.get("minProperties", 0)
        and all(
            is_valid(one, properties.get(name, schema.get("additionalProperties", True)), root)
            for name, one in value.items()
        )
    )
