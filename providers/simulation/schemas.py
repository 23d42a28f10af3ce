"""The part of JSON Schema that the simulator understands (https://json-schema.org/draft/2020-12), typed.

Keywords that are not members here are ignored: ``pattern``, ``not``, ``if``, ``contains``, ``dependentSchemas`` and the
like cannot be met by construction, and a client's regular expression is not run inside the gateway.
"""

from collections.abc import Callable
from itertools import islice, product
from typing import Any, Literal, Union, cast

import msgspec
from msgspec import UNSET, Struct

from gateway.core.decoding import DECODE_ERRORS

TypeName = Literal["string", "number", "integer", "boolean", "object", "array", "null"]
Number = int | float


class UnsatisfiableError(ValueError):
    """No value can be made for this schema; the text says why, in words for the client."""


class Schema(Struct, rename={"ref": "$ref"}, omit_defaults=True):
    """Maps of definitions are not members: a ``$ref`` is looked up in the document as it came."""

    ref: str | None = None
    type: TypeName | list[TypeName] | None = None
    enum: list[Any] | None = None
    const: Any = UNSET
    format: str | None = None
    allOf: "list[AnySchema]" = []  # noqa: N815 - the keywords of JSON Schema
    anyOf: "list[AnySchema]" = []  # noqa: N815
    oneOf: "list[AnySchema]" = []  # noqa: N815
    properties: "dict[str, AnySchema]" = {}
    required: list[str] = []
    additionalProperties: "AnySchema" = True  # noqa: N815
    minProperties: int = 0  # noqa: N815
    prefixItems: "list[AnySchema]" = []  # noqa: N815
    items: "Schema | bool | list[AnySchema]" = True
    minItems: int = 0  # noqa: N815
    maxItems: int | None = None  # noqa: N815
    uniqueItems: bool = False  # noqa: N815
    minLength: int = 0  # noqa: N815
    maxLength: int | None = None  # noqa: N815
    minimum: Number | None = None
    maximum: Number | None = None
    exclusiveMinimum: Number | bool | None = None  # noqa: N815
    exclusiveMaximum: Number | bool | None = None  # noqa: N815
    multipleOf: Number | None = None  # noqa: N815


AnySchema = Union[Schema, bool]  # noqa: UP007 - a name in quotes cannot be joined with |

_DOCUMENT: msgspec.json.Decoder[Any] = msgspec.json.Decoder()


class Document:
    """One JSON Schema as the client sent it. Raises ``UnsatisfiableError`` when it is none."""

    def __init__(self, raw: bytes) -> None:
        try:
            self._raw = _DOCUMENT.decode(raw)
            self.root = _typed(self._raw)
        except DECODE_ERRORS as error:
            raise UnsatisfiableError(str(error)) from None
        self._seen: dict[str, AnySchema] = {}

    def resolve(self, ref: str) -> AnySchema:
        """The schema at a JSON pointer into this document (RFC 6901), such as ``#/$defs/Address``."""
        if ref not in self._seen:
            self._seen[ref] = self._find(ref)
        return self._seen[ref]

    def _find(self, ref: str) -> AnySchema:
        head, *path = ref.split("/")
        node = self._raw
        try:
            if head != "#":
                raise KeyError
            for token in path:
                key = token.replace("~1", "/").replace("~0", "~")
                node = node[int(key)] if isinstance(node, list) else node[key]
        except (KeyError, IndexError, TypeError, ValueError):
            raise UnsatisfiableError(f"reference '{ref}' points to nothing in the schema") from None
        try:
            return _typed(node)
        except DECODE_ERRORS as error:
            raise UnsatisfiableError(str(error)) from None


_CHECKER = msgspec.json.Decoder(AnySchema)


def check_schema(raw: bytes) -> None:
    """Raises ``UnsatisfiableError`` when ``raw`` is no JSON Schema."""
    try:
        _CHECKER.decode(raw)
    except DECODE_ERRORS as error:
        raise UnsatisfiableError(str(error)) from None


def _typed(node: object) -> AnySchema:
    return cast(AnySchema, msgspec.convert(node, AnySchema))


# --- two schemas that must both hold ------------------------------------------------------------------------------


def _types(a: TypeName | list[TypeName], b: TypeName | list[TypeName]) -> list[TypeName]:
    one = [a] if isinstance(a, str) else a
    two = [b] if isinstance(b, str) else b
    common = [t for t in one if t in two or (t == "integer" and "number" in two)]
    if not common and "integer" in two and "number" in one:
        return ["integer"]
    return common


def _properties(a: dict[str, AnySchema], b: dict[str, AnySchema]) -> dict[str, AnySchema]:
    return {**a, **b, **{name: _all_of(a[name], b[name]) for name in a.keys() & b.keys()}}


def _all_of(a: AnySchema, b: AnySchema) -> Schema:
    """Left unmerged until a value is wanted: ``a`` or ``b`` may be a reference, even to what is being merged."""
    return Schema(allOf=[a, b])


# Every pair of two lists of alternatives is one; nobody writes long lists twice.
_MAX_ALTERNATIVES = 64


def _alternatives(a: list[AnySchema], b: list[AnySchema]) -> list[AnySchema]:
    return [_all_of(one, two) for one, two in islice(product(a, b), _MAX_ALTERNATIVES)]


_COMBINE: dict[str, Callable[[Any, Any], Any]] = {
    "type": _types,
    "enum": lambda a, b: [value for value in a if value in b],
    "anyOf": _alternatives,
    "oneOf": _alternatives,
    "properties": _properties,
    "required": lambda a, b: [*a, *b],
    "additionalProperties": _all_of,
    "uniqueItems": lambda a, b: a or b,
    **dict.fromkeys(("minProperties", "minItems", "minLength", "minimum"), max),
    **dict.fromkeys(("maxItems", "maxLength", "maximum"), min),
}
_DEFAULTS = Schema()


def both(a: AnySchema, b: AnySchema) -> AnySchema:
    """A schema whose values satisfy ``a`` and ``b``, as far as their keywords combine; else ``b`` decides. At most one
    of them has a reference or an ``allOf``."""
    if isinstance(a, bool):
        return b if a else False
    if isinstance(b, bool):
        return a if b else False
    combined = {}
    for name in Schema.__struct_fields__:
        one, two, default = getattr(a, name), getattr(b, name), getattr(_DEFAULTS, name)
        if two == default:
            combined[name] = one
        elif one == default or name not in _COMBINE:
            combined[name] = two
        else:
            combined[name] = _COMBINE[name](one, two)
    return Schema(**combined)
