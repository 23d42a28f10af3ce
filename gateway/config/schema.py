"""The settings' Structs as a table the reader, the writer and the reference walk over."""

import enum
import types
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import NODEFAULT, Meta, Struct
from msgspec.structs import FieldInfo
from msgspec.structs import fields as struct_fields

from gateway.config.kinds import KINDS, Kind, choice


class Shape(enum.Enum):
    """How the values of a setting are arranged."""

    ONE = "one"
    LIST = "list"
    MAP = "map"
    SECTION = "section"
    SECTIONS = "sections"


class Field(Struct, frozen=True):
    """One setting, or with ``struct`` one section. ``lowest`` and ``highest`` bound numbers, in the kind's unit
    (seconds, bytes) if it has one."""

    name: str
    shape: Shape
    default: Any
    description: str = ""
    kind: Kind | None = None
    struct: type[Struct] | None = None
    lowest: float | None = None
    highest: float | None = None

    @property
    def hint(self) -> str:
        """What to write: "a duration from 1ms to 8760h, for example 30s"."""
        if self.kind is None:
            return "a section of names and values"
        example = self.kind.write(self.default) if self.default and self.shape is Shape.ONE else self.kind.example
        return _ARRANGED[self.shape] + self.kind.phrase + self.bounds + (f", for example {example}" if example else "")

    @property
    def bounds(self) -> str:
        """The bounds in words, empty without any."""
        if self.kind is None or self.lowest is None or self.highest is None:
            return ""
        lowest, highest = (self.kind.write(int(n) if float(n).is_integer() else n) for n in (self.lowest, self.highest))
        return f" from {lowest} to {highest}"


_ARRANGED = {Shape.ONE: "", Shape.LIST: "a list, each ", Shape.MAP: "a section of names, each with "}


@cache
def fields_of(struct: type[Struct]) -> dict[str, Field]:
    """The fields of a section, by name, in the order they are written."""
    return {info.name: _field(info) for info in struct_fields(struct)}


def field_at(struct: type[Struct], place: str) -> Field | None:
    """The setting that a place such as ``providers.east.api_keys[0]`` belongs to, None when there is none."""
    name, _, rest = place.partition(".")
    field = fields_of(struct).get(name.partition("[")[0])
    if field is None or field.struct is None:
        return field
    if field.shape is Shape.SECTIONS:
        rest = rest.partition(".")[2]
    return field_at(field.struct, rest)


def _field(info: FieldInfo) -> Field:
    default = info.default if info.default is not NODEFAULT else info.default_factory()
    base, metas = _unwrap(info.type)
    shape, base, inner = _shape(base)
    metas += inner
    facts: dict[str, Any] = {"description": _first("description", metas) or "", "default": default}
    if shape in (Shape.SECTION, Shape.SECTIONS):
        return Field(info.name, shape, struct=base, **facts)
    kind = _kind(base, metas)
    lowest, highest = _first("ge", metas), _first("le", metas)
    return Field(
        info.name,
        shape,
        kind=kind,
        lowest=kind.lowest if lowest is None else lowest,
        highest=kind.highest if highest is None else highest,
        **facts,
    )


def _unwrap(annotation: Any) -> tuple[Any, list[Meta]]:
    """The bare type beneath ``Annotated`` and ``| None``, and what was noted on the way."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, metas = _unwrap(annotation.__origin__)
        return base, metas + list(annotation.__metadata__)
    if origin in (Union, types.UnionType):
        return _unwrap(next(arm for arm in get_args(annotation) if arm is not type(None)))
    return annotation, []


def _shape(base: Any) -> tuple[Shape, Any, list[Meta]]:
    origin = get_origin(base)
    if origin is tuple:
        return Shape.LIST, *_unwrap(get_args(base)[0])
    if origin is Mapping:
        value, metas = _unwrap(get_args(base)[1])
        return (Shape.SECTIONS if _is_section(value) else Shape.MAP), value, metas
    return (Shape.SECTION if _is_section(base) else Shape.ONE), base, []


def _is_section(base: Any) -> bool:
    return isinstance(base, type) and issubclass(base, Struct)


def _kind(base: Any, metas: list[Meta]) -> Kind:
    if get_origin(base) is Literal:
        return choice(get_args(base))
    return KINDS[base, (_first("extra", metas) or {}).get("unit", "")]


def _first(attribute: str, metas: list[Meta]) -> Any:
    return next((value for meta in metas if (value := getattr(meta, attribute)) is not None), None)
