"""JSON Schemas as structured outputs and strict tools take them.

The API compiles a schema into a grammar and refuses keywords it has no grammar for. What it does not enforce is moved
into the ``description``, where the model still reads it; this is what Anthropic's own client libraries do. Objects are
closed, as the API demands.

Source: platform.claude.com/docs, "Structured outputs": JSON Schema limitations, How SDK transformation works (2026-11).
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from gateway.core.types import raw_json

_FORMATS = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"))
# The members of such an object stand elsewhere.
_COMPOSED = frozenset(("$ref", "anyOf", "allOf", "oneOf"))
# Keywords that tell a validator about itself and the model nothing.
_SILENT = frozenset(("$schema", "$id", "$comment", "$anchor"))


class OpenObjectError(ValueError):
    """The schema asks for an object whose members it does not name; closed, it could only be empty."""


def constrained(schema: Raw) -> Raw:
    """``schema``, byte for byte when it already fits. ``ValueError`` when it is no object, ``OpenObjectError`` when it
    cannot be closed."""
    given = msgspec.json.decode(schema, type=dict[str, Any])
    fitted = _fit(given)
    return schema if fitted == given else raw_json(fitted)


def _fit(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    schema = _close(schema)
    fitted: dict[str, Any] = {}
    moved: dict[str, Any] = {}
    for keyword, value in schema.items():
        fit = _KEYWORDS.get(keyword)
        if keyword == "oneOf" and "anyOf" not in schema:
            fitted["anyOf"] = _fit_each(value)
        elif fit is not None and _is_enforced(keyword, value):
            fitted[keyword] = fit(value)
        elif keyword not in _SILENT:
            moved[keyword] = value
    if moved:
        fitted["description"] = _describe(fitted.get("description"), moved)
    return fitted


def _close(schema: dict[str, Any]) -> dict[str, Any]:
    kinds, free = schema.get("type"), schema.get("additionalProperties")
    is_object = kinds == "object" or (isinstance(kinds, list) and "object" in kinds) or "properties" in schema
    if not is_object or free is False or not _COMPOSED.isdisjoint(schema):
        return schema
    if "properties" not in schema or isinstance(free, dict):
        raise OpenObjectError
    return {**schema, "additionalProperties": False}


def _is_enforced(keyword: str, value: object) -> bool:
    if keyword == "format":
        return isinstance(value, str) and value in _FORMATS
    return keyword != "minItems" or value in (0, 1)


def _describe(description: object, moved: dict[str, Any]) -> str:
    rules = ", ".join(f"{keyword}: {msgspec.json.encode(value).decode()}" for keyword, value in moved.items())
    return f"{description}\n\n{{{rules}}}" if isinstance(description, str) and description else f"{{{rules}}}"


def _fit_each(schemas: Any) -> Any:
    return [_fit(schema) for schema in schemas] if isinstance(schemas, list) else schemas


def _fit_members(schemas: Any) -> Any:
    return {name: _fit(schema) for name, schema in schemas.items()} if isinstance(schemas, dict) else schemas


def _keep(value: Any) -> Any:
    return value


_KEYWORDS: dict[str, Callable[[Any], Any]] = {
    "type": _keep,
    "enum": _keep,
    "const": _keep,
    "default": _keep,
    "title": _keep,
    "description": _keep,
    "required": _keep,
    "additionalProperties": _keep,
    "format": _keep,
    "minItems": _keep,
    "$ref": _keep,
    "$defs": _fit_members,
    "definitions": _fit_members,
    "properties": _fit_members,
    "items": _fit,
    "anyOf": _fit_each,
    "allOf": _fit_each,
}
