"""Effective settings as YAML: what holds, and for each value where it came from. Secrets are masked."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from gateway.config.found import join
from gateway.config.load import DEFAULT, Effective
from gateway.config.schema import Field, Shape, fields_of

_COMMENT_COLUMN = 44
# A text that YAML reads as itself, whatever stands before or behind it.
_PLAIN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9./_@%+-]*(?:://[A-Za-z0-9./_@%+-]+(?::[0-9]+[A-Za-z0-9./_@%+-]*)?)?")


def render(effective: Effective) -> str:
    """The settings as a file that would give them, but for the masked secrets."""
    return "\n".join(_section(effective.settings, "", effective.sources)) + "\n"


def _section(section: Struct, place: str, sources: Mapping[str, str]) -> Iterator[str]:
    for name, field in fields_of(type(section)).items():
        yield from _field(field, getattr(section, name), join(place, name), sources)


def _field(field: Field, value: Any, place: str, sources: Mapping[str, str]) -> Iterator[str]:
    if field.shape is Shape.SECTION:
        yield _heading(place)
        yield from _section(value, place, sources)
    elif field.shape is Shape.SECTIONS:
        yield _heading(place)
        for name, section in value.items():
            yield _heading(join(place, name))
            yield from _section(section, join(place, name), sources)
    elif field.shape is Shape.MAP and value:
        yield _heading(place)
        for name, item in value.items():
            yield _line(join(place, name), _scalar(field, item), sources)
    else:
        yield _line(place, _written(field, value), sources)


def _heading(place: str) -> str:
    outer, _, name = place.rpartition(".")
    return f"{_indent(outer)}{name}:"


def _line(place: str, text: str, sources: Mapping[str, str]) -> str:
    head = f"{_heading(place)} {text}"
    return f"{head.ljust(_COMMENT_COLUMN)}  # {sources.get(place, DEFAULT)}"


def _indent(outer: str) -> str:
    return "  " * (outer.count(".") + 1) if outer else ""


def _written(field: Field, value: Any) -> str:
    if field.shape is Shape.MAP:
        return "{}"
    if field.shape is Shape.LIST:
        return f"[{', '.join(_scalar(field, item) for item in value)}]"
    return _scalar(field, value)


def _scalar(field: Field, value: Any) -> str:
    if value is None:
        return "null"
    assert field.kind is not None
    text = field.kind.write(value)
    if _PLAIN.fullmatch(text) and text.lower() != "null":
        return text
    return msgspec.json.encode(text.replace("${", "$${")).decode()
