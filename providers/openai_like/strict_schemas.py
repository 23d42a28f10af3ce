"""Which JSON Schemas OpenAI takes as strict: it answers 400 to every other one that is to be.

Sources: OpenAI guide "Structured outputs", Supported schemas (2026-11); what the guide does not say is from the API's
own refusals, such as "'default' is not permitted" and "$ref cannot have keywords {'description'}".
"""

from typing import Any

import msgspec
from msgspec import Raw

from gateway.core.decoding import DECODE_ERRORS

# The guide's bounds on one schema.
MAX_PROPERTIES = 5000
MAX_ENUM_VALUES = 1000
MAX_LEVELS = 10

_TYPES = frozenset(("string", "number", "boolean", "integer", "object", "array", "null"))
_FORMATS = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"))
_OBJECT_KEYWORDS = frozenset(("properties", "required", "additionalProperties"))
_KEYWORDS = frozenset(
    (
        *("type", "enum", "const", "title", "description", "anyOf"),
        *_OBJECT_KEYWORDS,
        *("items", "minItems", "maxItems", "pattern", "format"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    )
)
# Only the whole schema has these.
_DEFINITIONS = ("$defs", "definitions")
_ROOT_KEYWORDS = frozenset(("$schema", *_DEFINITIONS))

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def fits_strict(schema: Raw) -> bool:
    """Does the API take ``schema`` as strict? Every object in it is closed and requires all its properties, and there
    are only keywords that the API enforces."""
    try:
        root = _decode(schema)
    except DECODE_ERRORS:
        return False
    if root.get("type") != "object" or "anyOf" in root:
        return False
    defined = {word: root[word] for word in _DEFINITIONS if word in root}
    if not all(isinstance(schemas, dict) for schemas in defined.values()):
        return False
    names = {f"#/{word}/{name}" for word, schemas in defined.items() for name in schemas}
    found: list[tuple[Any, int]] = [({k: v for k, v in root.items() if k not in _ROOT_KEYWORDS}, 1)]
    found += [(definition, 1) for schemas in defined.values() for definition in schemas.values()]
    return _all_fit(found, names | {"#"})


def _all_fit(found: list[tuple[Any, int]], names: set[str]) -> bool:
    """``found`` are schemas, each with the level of nesting it stands at; ``names`` are what may be referred to."""
    properties = values = 0
    while found:
        schema, level = found.pop()
        if not isinstance(schema, dict) or level > MAX_LEVELS:
            return False
        if "$ref" in schema:
            if len(schema) > 1 or not isinstance(schema["$ref"], str) or schema["$ref"] not in names:
                return False
            continue
        if not _fits(schema):
            return False
        members = schema.get("properties", {})
        properties += len(members)
        values += len(schema.get("enum", ()))
        below = level + 1 if members or "items" in schema else level
        found += [(member, below) for member in members.values()]
        found += [(member, level) for member in schema.get("anyOf", ())]
        found += [(schema["items"], below)] if "items" in schema else []
    return properties <= MAX_PROPERTIES and values <= MAX_ENUM_VALUES


def _fits(schema: dict[str, Any]) -> bool:
    """The schema itself; those within it are another matter."""
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if not _KEYWORDS.issuperset(schema) or not all(isinstance(kind, str) and kind in _TYPES for kind in kinds):
        return False
    choices = schema.get("anyOf", [])
    if not isinstance(choices, list) or not isinstance(schema.get("enum", []), list) or not (kinds or choices):
        return False
    form = schema.get("format", "date")
    if not isinstance(form, str) or form not in _FORMATS:
        return False
    if "array" in kinds and "items" not in schema:
        return False
    return _is_closed(schema) if "object" in kinds else _OBJECT_KEYWORDS.isdisjoint(schema)


def _is_closed(schema: dict[str, Any]) -> bool:
    members, required = schema.get("properties"), schema.get("required", [])
    if schema.get("additionalProperties") is not False or not isinstance(members, dict):
        return False
    if not isinstance(required, list) or len(required) != len(members):
        return False
    return all(isinstance(name, str) for name in required) and set(required) == members.keys()


def judge_strict(strict: bool | None, schema: Raw | None, name: str, dropped: list[str]) -> bool | None:
    """The ``strict`` that goes up beside ``schema``. A wish that the API would refuse becomes false, and is added to
    ``dropped`` under ``name``. Without a schema there is nothing to refuse."""
    if strict and schema is not None and not fits_strict(schema):
        dropped.append(name)
        return False
    return strict
