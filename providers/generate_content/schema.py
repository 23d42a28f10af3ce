"""JSON Schemas as ``parametersJsonSchema`` and ``responseJsonSchema`` take them.

These two members take JSON Schema with ``$ref`` and ``$defs``, ``anyOf`` and lists of types, and not the whole of it.
What says the same in the keywords they take is said in those (``const``, ``nullable``, ``definitions``, a ``$ref`` with
neighbours, ``allOf`` of plain objects). The rest is moved into the ``description``, where the model still reads it;
what is then no longer enforced is named. The older ``parameters`` and ``responseSchema`` (OpenAPI 3.0) take far less
and are not used.

Source: ai.google.dev/api/generate-content, ``GenerationConfig.responseJsonSchema``; "Structured outputs" (2026-11).
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from gateway.core.types import raw_json

JsonObject = dict[str, Any]

_FORMATS = frozenset(("date-time", "date", "time", "int32", "int64", "float", "double", "enum"))
# Keywords that tell a validator about itself and the model nothing.
_SILENT = frozenset(("$schema", "$comment", "$dynamicAnchor", "$vocabulary", "discriminator", "deprecated", "strict"))
# Keywords that explain and constrain nothing: in the description they are as good.
_EXPLAINING = frozenset(("default", "examples", "example", "format", "readOnly", "writeOnly", "enumDescriptions"))


def fit_schema(schema: Raw) -> tuple[Raw, list[str]]:
    """``schema`` in the keywords that the API takes, byte for byte when it already fits; and the keywords that are not
    enforced any more. ``ValueError`` or ``RecursionError`` when it is no object or too deep."""
    given = msgspec.json.decode(schema, type=JsonObject)
    lost: list[str] = []
    fitted = _fit(given, lost)
    return (schema if fitted == given else raw_json(fitted)), list(dict.fromkeys(lost))


def _fit(schema: Any, lost: list[str]) -> Any:
    if schema is True:
        return {}
    if not isinstance(schema, dict):
        if schema is False:
            lost.append("false")
        return {}
    fitted: JsonObject = {}
    moved: JsonObject = {}
    for keyword, value in _rewritten(schema).items():
        fit = _KEYWORDS.get(keyword)
        if fit is not None and (keyword != "format" or str(value) in _FORMATS):
            fitted[keyword] = fit(value, lost)
        elif keyword not in _SILENT:
            moved[keyword] = value
    if moved:
        lost += [keyword for keyword in moved if keyword not in _EXPLAINING]
        fitted["description"] = _describe(fitted.get("description"), moved)
    return _with_null(_beside_reference(fitted))


def _rewritten(schema: JsonObject) -> JsonObject:
    """The same, as far as it can be, without ``allOf``, ``const``, ``definitions`` and ``nullable``."""
    schema = _merged(schema)
    const = schema.get("const")
    if "enum" not in schema and isinstance(const, str | int | float) and not isinstance(const, bool):
        schema = {**_without(schema, "const"), "enum": [const]}
    if "$defs" not in schema and isinstance(schema.get("definitions"), dict):
        schema = {**_without(schema, "definitions"), "$defs": schema["definitions"]}
    kind = schema.get("type")
    if schema.get("nullable") is True and isinstance(kind, str):
        schema = {**_without(schema, "nullable"), "type": [kind, "null"]}
    elif schema.get("nullable") is False:
        schema = _without(schema, "nullable")
    return schema


def _without(schema: JsonObject, keyword: str) -> JsonObject:
    return {name: value for name, value in schema.items() if name != keyword}


def _merged(schema: JsonObject) -> JsonObject:
    """``allOf`` of one schema is ``anyOf`` of it. Plain objects are put together where they do not contradict."""
    several, rest = schema.get("allOf"), _without(schema, "allOf")
    if not isinstance(several, list) or not several:
        return schema
    if len(several) == 1 and "anyOf" not in rest:
        return {**rest, "anyOf": several}
    for one in several:
        if not isinstance(one, dict) or "$ref" in one:
            return schema
        for keyword, value in one.items():
            if keyword == "properties" and _is_disjoint(rest.get("properties", {}), value):
                rest["properties"] = {**rest.get("properties", {}), **value}
            elif keyword == "required" and isinstance(value, list) and isinstance(rest.get("required", []), list):
                rest["required"] = [*rest.get("required", []), *value]
            elif rest.setdefault(keyword, value) != value:
                return schema
    return rest


def _is_disjoint(some: Any, others: Any) -> bool:
    return isinstance(some, dict) and isinstance(others, dict) and some.keys().isdisjoint(others)


def _beside_reference(fitted: JsonObject) -> JsonObject:
    """Beside ``$ref`` the API takes nothing but its like."""
    if "$ref" not in fitted or all(keyword.startswith("$") for keyword in fitted) or "anyOf" in fitted:
        return fitted
    return {**_without(fitted, "$ref"), "anyOf": [{"$ref": fitted["$ref"]}]}


def _with_null(fitted: JsonObject) -> JsonObject:
    """An ``enum`` holds texts and numbers; null stands beside it."""
    values = fitted.get("enum")
    if not isinstance(values, list) or None not in values or len(values) < 2 or "anyOf" in fitted:
        return fitted
    value: JsonObject = {"enum": [v for v in values if v is not None]}
    kinds = fitted.get("type")
    kinds = [kind for kind in kinds if kind != "null"] if isinstance(kinds, list) else kinds
    if kinds:
        value["type"] = kinds[0] if isinstance(kinds, list) and len(kinds) == 1 else kinds
    return {**_without(_without(fitted, "enum"), "type"), "anyOf": [value, {"type": "null"}]}


def _describe(description: object, moved: JsonObject) -> str:
    rules = ", ".join(f"{keyword}: {msgspec.json.encode(value).decode()}" for keyword, value in moved.items())
    return f"{description}\n\n{{{rules}}}" if isinstance(description, str) and description else f"{{{rules}}}"


def _fit_each(schemas: Any, lost: list[str]) -> Any:
    return [_fit(schema, lost) for schema in schemas] if isinstance(schemas, list) else schemas


def _fit_members(schemas: Any, lost: list[str]) -> Any:
    return {name: _fit(schema, lost) for name, schema in schemas.items()} if isinstance(schemas, dict) else schemas


def _fit_or_flag(schema: Any, lost: list[str]) -> Any:
    return _fit(schema, lost) if isinstance(schema, dict) else schema


def _fit_items(schema: Any, lost: list[str]) -> Any:
    return _fit_each(schema, lost) if isinstance(schema, list) else _fit(schema, lost)


def _fit_reference(reference: Any, lost: list[str]) -> Any:
    old = "#/definitions/"
    is_old = isinstance(reference, str) and reference.startswith(old)
    return f"#/$defs/{reference.removeprefix(old)}" if is_old else reference


def _keep(value: Any, lost: list[str]) -> Any:
    return value


_KEYWORDS: dict[str, Callable[[Any, list[str]], Any]] = {
    "$id": _keep,
    "$anchor": _keep,
    "$ref": _fit_reference,
    "$defs": _fit_members,
    "type": _keep,
    "format": _keep,
    "title": _keep,
    "description": _keep,
    "enum": _keep,
    "items": _fit_items,
    "prefixItems": _fit_each,
    "minItems": _keep,
    "maxItems": _keep,
    "minimum": _keep,
    "maximum": _keep,
    "anyOf": _fit_each,
    "oneOf": _fit_each,
    "properties": _fit_members,
    "additionalProperties": _fit_or_flag,
    "required": _keep,
    "propertyOrdering": _keep,
}
