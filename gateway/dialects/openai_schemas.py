"""JSON Schemas in OpenAI's requests: of a tool's parameters, and of the answer.

Source: OpenAI API reference, "Create chat completion", ``response_format``, and "Create a model response",
``text.format`` (2026-11).
"""

from msgspec import Raw

from gateway.core.types import ResponseFormat
from gateway.dialects.fields import FieldError, Fields, as_flag, as_text, check_object, rest, take


def take_schema(fields: Fields, name: str) -> Raw | None:
    """A JSON Schema, removed from ``fields``; it must be an object and is otherwise not looked into."""
    raw = fields.get(name)
    return None if raw is None or take(fields, name, check_object) is None else raw


def read_json_schema(fields: Fields) -> ResponseFormat:
    """The members of a format of type ``json_schema``."""
    schema = take_schema(fields, "schema")
    if schema is None:
        raise FieldError("is required", "schema")
    return ResponseFormat(
        "json_schema",
        name=take(fields, "name", as_text),
        description=take(fields, "description", as_text),
        schema=schema,
        strict=take(fields, "strict", as_flag),
    )


def refuse_rest(fields: Fields) -> None:
    """For objects whose members all shape the answer and have no ``extra``."""
    for name in rest(fields):
        raise FieldError("cannot be translated", name[:64], is_unsupported=True)
