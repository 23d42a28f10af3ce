"""Values for JSON Schemas: tool arguments and structured answers that look as if a model had read the request.

Names and numbers of the user's text are used where they fit, so that "What is the weather in Paris?" calls a weather
tool with Paris.
"""

import re
from collections import deque
from collections.abc import Iterable
from fractions import Fraction
from itertools import chain, count
from math import ceil, floor
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from providers.simulation.schemas import AnySchema, Document, Number, Schema, TypeName, UnsatisfiableError, both

# A schema of a few hundred bytes can demand 10^20 values (arrays of arrays, references to references). Models never
# write more than some hundred; a value costs one unit of work, long texts and long lists of alternatives cost more.
MAX_WORK = 4000
_CHARS_PER_WORK = 64
_ALTERNATIVES_PER_WORK = 8
MAX_STRING_CHARS = 10_000
MAX_DEPTH = 24
# Down to this depth optional members are written and alternatives other than null preferred; below it only what must
# be, so that a tree-shaped schema ends.
_GENEROUS_DEPTH = 4
_FRUGAL = -1

# --- what the user's text offers ----------------------------------------------------------------------------------

MAX_READ_CHARS = 4000
_QUOTED = re.compile(r'"([^"\n]{1,80})"')
# capitalised words inside a sentence; the first word of a sentence is capitalised anyway
_NAME = re.compile(r"(?<=[a-z0-9,;:] )[A-Z][\w'-]*(?: [A-Z][\w'-]*)*")
_NUMBER = re.compile(r"(?<![\w.])-?\d{1,15}(?:\.\d{1,6})?(?![\w])")
# properties that take the request itself
_WHOLE_TEXT = frozenset({"query", "question", "prompt", "text", "input", "message", "content", "search"})


class Hints:
    """Names, numbers and the text of what was asked, each name and number used once."""

    def __init__(self, text: str) -> None:
        self.text = text[:MAX_READ_CHARS]
        self.lower = self.text.lower()
        self._names: deque[str] = deque(_QUOTED.findall(self.text) + _NAME.findall(self.text))
        self._numbers = deque(map(Fraction, _NUMBER.findall(self.text)))

    def take_string(self, name: str, shortest: int, longest: int) -> str | None:
        """A name of ``shortest`` to ``longest`` characters, or the whole text for a property that asks for it."""
        if name.lower() in _WHOLE_TEXT and shortest <= len(self.text) <= longest and self.text:
            return self.text
        for index, candidate in enumerate(self._names):
            if shortest <= len(candidate) <= longest:
                del self._names[index]
                return candidate
        return None

    def take_number(self, allowed: "Interval") -> Fraction | None:
        for index, candidate in enumerate(self._numbers):
            if allowed.has(candidate):
                del self._numbers[index]
                return candidate
        return None


# --- numbers ------------------------------------------------------------------------------------------------------


class Interval(Struct):
    """The numbers a schema allows, in exact arithmetic: bounds and the step they must be a multiple of."""

    low: Fraction | None
    high: Fraction | None
    is_low_open: bool
    is_high_open: bool
    step: Fraction | None

    def has(self, value: Fraction) -> bool:
        if self.low is not None and (value < self.low or (self.is_low_open and value == self.low)):
            return False
        if self.high is not None and (value > self.high or (self.is_high_open and value == self.high)):
            return False
        return self.step is None or value % self.step == 0

    def candidates(self, variant: int) -> Iterable[Fraction]:
        """Some numbers near one; when the interval is not empty, one of them is in it."""
        step = self.step or Fraction(1)
        start = Fraction(1)
        if self.low is not None:
            start = max(start, self.low)
        if self.high is not None:
            start = min(start, self.high)
        up, down = ceil(start / step) * step, floor(start / step) * step
        yield from (up + variant * step, down - variant * step, up, down, up + step, down - step)
        if self.step is None:
            yield start
            yield from self._inner_points(variant)

    def _inner_points(self, variant: int) -> Iterable[Fraction]:
        if self.low is not None and self.high is not None:
            share = Fraction(1, variant + 2)
            yield self.low + (self.high - self.low) * share
            yield self.low + (self.high - self.low) / 2


def _exact(value: Number) -> Fraction:
    """The number that was written: ``0.1`` is one tenth."""
    return Fraction(value) if isinstance(value, int) else Fraction(repr(value))


def interval(schema: Schema, is_integer: bool) -> Interval:
    """Draft 4 wrote ``exclusiveMinimum: true`` beside ``minimum``; later drafts write the bound itself."""
    low, is_low_open = _bound(schema.minimum, schema.exclusiveMinimum, max)
    high, is_high_open = _bound(schema.maximum, schema.exclusiveMaximum, min)
    step = _exact(schema.multipleOf) if schema.multipleOf else None
    if is_integer:
        step = Fraction(step.numerator) if step else Fraction(1)
    return Interval(low, high, is_low_open, is_high_open, abs(step) if step else None)


def _bound(closed: Number | None, opened: Number | bool | None, tighter: Any) -> tuple[Fraction | None, bool]:
    inclusive = None if closed is None else _exact(closed)
    if opened is None or isinstance(opened, bool):
        return inclusive, bool(opened)
    exclusive = _exact(opened)
    if inclusive is None or tighter(inclusive, exclusive) == exclusive:
        return exclusive, True
    return inclusive, False


# --- strings ------------------------------------------------------------------------------------------------------

_FORMATS = {
    "date-time": "2026-01-15T09:30:00Z",
    "date": "2026-01-15",
    "time": "09:30:00Z",
    "duration": "PT30M",
    "email": "ada@example.com",
    "idn-email": "ada@example.com",
    "hostname": "example.com",
    "idn-hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uri-reference": "https://example.com/",
    "iri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "json-pointer": "/a",
    "regex": "^a$",
    "byte": "YQ==",
}

# --- the sampler --------------------------------------------------------------------------------------------------


class Sampler:
    """Makes one value. The same document and hints always give the same value."""

    def __init__(self, document: Document, hints: Hints, generous_depth: int = _GENEROUS_DEPTH) -> None:
        self._document = document
        self._hints = hints
        self._generous_depth = generous_depth
        self._work_left = MAX_WORK

    def value(self, schema: AnySchema, name: str = "value", depth: int = 0, variant: int = 0) -> Any:
        """A value for ``schema``, which stands under the property ``name``. Different variants of one schema
        differ where they can. Raises ``UnsatisfiableError``."""
        schema = self._flat(schema, name, depth)
        if schema.const is not UNSET:
            return self._given(schema.const)
        if schema.enum is not None:
            return self._pick(schema.enum, name, variant)
        if schema.anyOf or schema.oneOf:
            return self._branch(schema, name, depth, variant)
        return self._typed(schema, _type_of(schema, depth, depth > self._generous_depth), name, depth, variant)

    def _spend(self, work: int, depth: int = 0) -> None:
        self._work_left -= work
        if self._work_left < 0 or depth > MAX_DEPTH:
            raise UnsatisfiableError("the smallest value that fits is too large to simulate")

    def _flat(self, schema: AnySchema, name: str, depth: int) -> Schema:
        """``schema`` with its references and its ``allOf`` folded in, at every level of them."""
        self._spend(1, depth)
        if schema is False:
            raise UnsatisfiableError(f"nothing is allowed for '{name}'")
        if schema is True:
            return Schema()
        assert isinstance(schema, Schema)
        if schema.ref is None and not schema.allOf:
            return schema
        flat: AnySchema = msgspec.structs.replace(schema, ref=None, allOf=[])
        for part in (*schema.allOf, *([self._document.resolve(schema.ref)] if schema.ref is not None else ())):
            flat = both(flat, self._flat(part, name, depth + 1))
        assert isinstance(flat, Schema)
        return flat

    def _branch(self, schema: Schema, name: str, depth: int, variant: int) -> Any:
        """The first alternative that can be met: null last near the root, null first deep down."""
        keyword = "anyOf" if schema.anyOf else "oneOf"
        alternatives: list[AnySchema] = getattr(schema, keyword)
        self._spend(len(alternatives) // _ALTERNATIVES_PER_WORK)
        rest = msgspec.structs.replace(schema, **{keyword: []})
        is_deep = depth > self._generous_depth
        reason = UnsatisfiableError(f"no alternative for '{name}' can be met")
        for alternative in sorted(alternatives, key=lambda a: _is_null(a) != is_deep):
            try:
                return self.value(both(rest, alternative), name, depth + 1, variant)
            except UnsatisfiableError as error:
                reason = error
                self._spend(0)
        raise reason

    def _pick(self, options: list[Any], name: str, variant: int) -> Any:
        """An option that the user named, else the first."""
        self._spend(len(options) // _ALTERNATIVES_PER_WORK)
        if not options:
            raise UnsatisfiableError(f"'{name}' has no allowed value")
        for option in options if variant == 0 else ():
            if isinstance(option, str) and option and option.lower() in self._hints.lower:
                return self._given(option)
        return self._given(options[variant % len(options)])

    def _given(self, value: Any) -> Any:
        """``value`` stands in the schema and may be large."""
        self._spend(len(_ENCODER.encode(value)) // _CHARS_PER_WORK)
        return value

    def _typed(self, schema: Schema, type_name: TypeName, name: str, depth: int, variant: int) -> Any:
        if type_name == "object":
            return self._object(schema, depth, variant)
        if type_name == "array":
            return self._array(schema, name, depth)
        if type_name == "string":
            return self._string(schema, name, variant)
        if type_name == "boolean":
            return variant % 2 == 0
        if type_name == "null":
            return None
        return self._number(schema, type_name == "integer", name, variant)

    def _object(self, schema: Schema, depth: int, variant: int) -> dict[str, Any]:
        """The required members; when nothing is required all of them, and as many more as ``minProperties`` asks."""
        self._spend((len(schema.properties) + len(schema.required)) // _ALTERNATIVES_PER_WORK)
        value: dict[str, Any] = {}
        required = dict.fromkeys(schema.required)
        wanted = schema.minProperties - len(required)
        if not required and depth <= self._generous_depth:
            wanted = len(schema.properties)
        for name, member in schema.properties.items():
            if name in required:
                value[name] = self.value(member, name, depth + 1, variant)
            elif wanted > 0:
                wanted -= self._add_if_possible(value, name, member, depth + 1, variant)
        others = (f"key{number}" for number in count(1))
        for name in chain(required, others):
            if name not in required and len(value) >= schema.minProperties:
                break
            if name not in schema.properties:
                value[name] = self.value(schema.additionalProperties, name, depth + 1, variant)
        return value

    def _add_if_possible(self, value: dict[str, Any], name: str, member: AnySchema, depth: int, variant: int) -> bool:
        try:
            value[name] = self.value(member, name, depth, variant)
        except UnsatisfiableError:
            self._spend(0)
            return False
        return True

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        """One item, or as many as the schema demands."""
        prefix, rest = schema.prefixItems, schema.items
        if isinstance(rest, list):
            prefix, rest = rest, True
        length = self._length(schema, len(prefix), rest is not False, depth, name)
        items: list[Any] = []
        for attempt in range(3 * length):
            if len(items) == length:
                break
            is_prefix = len(items) < len(prefix)
            member = prefix[len(items)] if is_prefix else rest
            item = self.value(member, name, depth + 1, 0 if is_prefix and not schema.uniqueItems else attempt)
            if not schema.uniqueItems or item not in items:
                items.append(item)
        if len(items) < schema.minItems:
            raise UnsatisfiableError(f"'{name}' cannot have {schema.minItems} different items")
        return items

    def _length(self, schema: Schema, prefixed: int, is_open: bool, depth: int, name: str) -> int:
        wished = max(prefixed, 1) if depth <= self._generous_depth else 0
        most = MAX_WORK if is_open else prefixed
        if schema.maxItems is not None:
            most = min(most, schema.maxItems)
        if most < schema.minItems:
            raise UnsatisfiableError(f"'{name}' cannot have {schema.minItems} items")
        return min(max(schema.minItems, wished), most)

    def _string(self, schema: Schema, name: str, variant: int) -> str:
        shortest = max(schema.minLength, 0)
        longest = MAX_STRING_CHARS if schema.maxLength is None else min(schema.maxLength, MAX_STRING_CHARS)
        if shortest > longest:
            raise UnsatisfiableError(f"'{name}' would have to be {shortest} characters long")
        if schema.format in _FORMATS:
            return _FORMATS[schema.format]
        hint = self._hints.take_string(name, shortest, longest)
        text = hint or f"sample {name}"
        if variant and hint is None:
            text = f"{variant + 1} {text}"
        while len(text) < shortest:
            text += f" {text}"
        self._spend(len(text) // _CHARS_PER_WORK)
        return text[:longest]

    def _number(self, schema: Schema, is_integer: bool, name: str, variant: int) -> Number:
        allowed = interval(schema, is_integer)
        found = self._hints.take_number(allowed) if variant == 0 else None
        if found is None:
            found = next((number for number in allowed.candidates(variant) if allowed.has(number)), None)
        if found is None:
            raise UnsatisfiableError(f"no number is allowed for '{name}'")
        return int(found) if found.denominator == 1 else float(found)


def _is_null(schema: AnySchema) -> bool:
    return isinstance(schema, Schema) and (schema.type == "null" or (schema.const is None and schema.type is None))


# the keywords that tell the type of a schema that does not say
_TYPE_SIGNS: tuple[tuple[TypeName, tuple[str, ...]], ...] = (
    ("object", ("properties", "required", "additionalProperties", "minProperties")),
    ("array", ("items", "prefixItems", "minItems", "maxItems", "uniqueItems")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)


def _type_of(schema: Schema, depth: int, prefers_null: bool) -> TypeName:
    if isinstance(schema.type, str):
        return schema.type
    if schema.type is not None:
        if not schema.type:
            raise UnsatisfiableError("no type is allowed")
        ordered = sorted(schema.type, key=lambda t: (t == "null") != prefers_null)
        return ordered[0]
    plain = Schema()
    for type_name, signs in _TYPE_SIGNS:
        if any(getattr(schema, sign) != getattr(plain, sign) for sign in signs):
            return type_name
    return "object" if depth == 0 else "string"


_ENCODER = msgspec.json.Encoder()


def sample_json(schema: bytes, text: str) -> str:
    """An object for ``schema`` as compact JSON, made from the words of ``text``. Raises ``UnsatisfiableError``, also
    for what is no schema of an object."""
    document = Document(schema)
    try:
        value = Sampler(document, Hints(text)).value(document.root)
    except UnsatisfiableError:
        value = Sampler(document, Hints(text), _FRUGAL).value(document.root)
    if not isinstance(value, dict):
        raise UnsatisfiableError("schema must be of type 'object'")
    return _ENCODER.encode(value).decode()
