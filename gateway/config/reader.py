"""From a tree of found values to ``Settings``: every value is judged, every problem noted, none stops the reading."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from msgspec import Struct

from gateway.config.found import Found, Problem, describe, join, suggest
from gateway.config.kinds import Kind
from gateway.config.schema import Field, Shape, fields_of
from gateway.core.names import is_instance_name

S = TypeVar("S", bound=Struct)


_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")


class Reader:
    """``sources`` tells where each setting was written that was. A wrong value is a problem and its setting keeps the
    default, so that what depends on other settings can still be judged."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.sources: dict[str, str] = {}

    def section(self, struct: type[S], found: Found | None, place: str = "") -> S:
        """The section at ``place``; what is not written has its default."""
        known = fields_of(struct)
        table = self._table(found, place, known)
        values = {name: self._field(known[name], table[name], join(place, name)) for name in table if name in known}
        return struct(**values)

    def _complain(self, place: str, found: Found, text: str) -> None:
        self.problems.append(Problem(place, found.source, text))

    def _table(self, found: Found | None, place: str, known: Iterable[str] = ()) -> Mapping[str, Found]:
        """The names of a section, checked against the ``known`` ones if there are any."""
        if found is None or found.value is None:
            return {}
        if not isinstance(found.value, Mapping):
            text = f"found {describe(found, is_private=True)}; write a section of names and values"
            self._complain(place, found, text)
            return {}
        for name, value in found.value.items():
            if known and name not in known:
                self._complain(join(place, name), value, f"unknown key; {suggest(name, known)}")
        return found.value

    def _field(self, field: Field, found: Found, place: str) -> Any:
        return _READERS[field.shape](self, field, found, place)

    def _section(self, field: Field, found: Found, place: str) -> Any:
        assert field.struct is not None
        return self.section(field.struct, found, place)

    def _sections(self, field: Field, found: Found, place: str) -> Any:
        assert field.struct is not None
        table = self._table(found, place)
        for name, value in table.items():
            self.sources[join(place, name)] = value.source
            if not is_instance_name(name):
                rule = "write a-z, 0-9, - and _, first a letter, last a letter or digit"
                self._complain(join(place, name), value, f"not a name for an instance; {rule}")
        return {name: self.section(field.struct, value, join(place, name)) for name, value in table.items()}

    def _one(self, field: Field, found: Found, place: str) -> Any:
        """Nothing written and an empty text both leave the default."""
        text = self._text(field, found, place)
        return field.default if text is None else self._value(field, found, text, place, field.default)

    def _list(self, field: Field, found: Found, place: str) -> Any:
        """A list, or its items in one text between commas; empty items do not count."""
        if isinstance(found.value, str):
            items = [Found(item, found.source, found.template) for item in found.value.split(",")]
        elif found.value is None or isinstance(found.value, Mapping):
            items = [found]
        else:
            items = list(found.value)
        self.sources[place] = found.source
        texts = [(self._text(field, item, f"{place}[{i}]"), item, i) for i, item in enumerate(items)]
        read = [self._value(field, item, text, f"{place}[{i}]", None) for text, item, i in texts if text is not None]
        return tuple(dict.fromkeys(value for value in read if value is not None))

    def _map(self, field: Field, found: Found, place: str) -> Any:
        table = self._table(found, place)
        values: dict[str, Any] = {}
        for name, item in table.items():
            # a narrow rule: many servers drop a header with an underscore in its name without a word
            if not _HEADER_NAME.fullmatch(name):
                self._complain(join(place, name), item, "not a header name; write letters, digits and dashes")
            text = self._text(field, item, join(place, name))
            if text is not None:
                values[name] = self._value(field, item, text, join(place, name), "")
        return values

    def _text(self, field: Field, found: Found, place: str) -> str | None:
        """The text found at ``place``, None when there is none or (a problem) something else."""
        assert field.kind is not None
        if found.value is None:
            return None
        if not isinstance(found.value, str):
            self._complain(place, found, f"found {describe(found, is_private=True)}; write {field.hint}")
            return None
        return found.value.strip() or None

    def _value(self, field: Field, found: Found, text: str, place: str, otherwise: Any) -> Any:
        assert field.kind is not None
        self.sources[place] = found.source
        try:
            return _read(field, field.kind, text)
        except ValueError:
            shown = describe(found, is_private=field.kind.is_private)
            self._complain(place, found, f"found {shown}; write {field.hint}")
            return otherwise


_READERS: Mapping[Shape, Callable[[Reader, Field, Found, str], Any]] = {
    Shape.ONE: Reader._one,
    Shape.LIST: Reader._list,
    Shape.MAP: Reader._map,
    Shape.SECTION: Reader._section,
    Shape.SECTIONS: Reader._sections,
}


def _read(field: Field, kind: Kind, text: str) -> Any:
    # no setting holds line breaks, other control characters or halves of surrogate pairs
    if not text.isprintable():
        raise ValueError
    value: Any = kind.read(text)
    if field.lowest is not None and field.highest is not None and not field.lowest <= value <= field.highest:
        raise ValueError
    return value
