"""What was found where: values that remember their place, problems that name it, and the merging of layers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Union

from msgspec import Struct

Value = Union[str, None, Sequence["Found"], Mapping[str, "Found"]]  # noqa: UP007 - `|` needs names that exist

# Keys that went to the wrong place are longer than this; ports, durations and flags that went wrong are not.
MAX_SHOWN_CHARS = 20


class Found(Struct, frozen=True):
    """A value and where it was written. ``template`` is the text before ``${VAR}`` was filled in: it may be shown, what
    was filled in may be a secret."""

    value: Value
    source: str
    template: str | None = None


Table = dict[str, Found]


class Problem(Struct, frozen=True):
    """``place`` is the setting (``providers.east.timeouts.connect``; empty for the whole file), ``source`` where it was
    written, ``text`` what was found and what to write. Holds no secret."""

    place: str
    source: str
    text: str

    def __str__(self) -> str:
        where = f"{self.place} ({self.source})" if self.place and self.source else self.place or self.source
        return f"{where}: {self.text}"


class ConfigError(Exception):
    """The configuration cannot be used. ``problems`` holds all that is wrong with it, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("\n".join([f"{count} in the configuration", *(f"  {problem}" for problem in self.problems)]))


def join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def quote(text: str) -> str:
    """``text`` for a message, control characters escaped; of a long one only the beginning, it may be a lost secret."""
    return repr(text) if len(text) <= MAX_SHOWN_CHARS else f"{text[:4] + '...'!r} ({len(text)} characters)"


def describe(found: Found, *, is_private: bool) -> str:
    """What was found, in words that may be printed."""
    if isinstance(found.value, Mapping):
        return "a section"
    if isinstance(found.value, str):
        if is_private:
            return "a value that is not shown here"
        return quote(found.value) if found.template is None else repr(found.template)
    return "nothing" if found.value is None else "a list"


def suggest(word: str, known: Iterable[str]) -> str:
    """The known word most like ``word``; all of them when even that is not much like it."""
    from difflib import get_close_matches  # only a mistake pays for the import

    words = list(known)
    close = get_close_matches(word, words, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"the nearest known is {nearest(word, words)!r} (all: {', '.join(words)})"


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word most like ``word``, however little that is. There must be one."""
    from difflib import get_close_matches

    return get_close_matches(word, list(known), n=1, cutoff=0.0)[0]


def nest(path: Sequence[str], leaf: Found) -> Found:
    """``leaf`` at the end of ``path``, as a tree."""
    for name in reversed(path):
        leaf = Found({name: leaf}, leaf.source)
    return leaf


def merge(low: Found, high: Found, problems: list[Problem], place: str = "") -> Found:
    """Both trees in one; where both say something ``high`` wins, sections are merged name by name.

    A section on one side and a plain value on the other is a problem: neither can win without hiding a mistake.
    """
    if high.value is None:
        return low
    if isinstance(low.value, Mapping) and isinstance(high.value, Mapping):
        table = dict(low.value)
        for name, found in high.value.items():
            table[name] = merge(table[name], found, problems, join(place, name)) if name in table else found
        return Found(table, low.source)
    if low.value is not None and isinstance(low.value, Mapping) != isinstance(high.value, Mapping):
        kinds = ("a section", "a value") if isinstance(low.value, Mapping) else ("a value", "a section")
        problems.append(Problem(place, high.source, f"written as {kinds[1]} here and as {kinds[0]} in {low.source}"))
        return low
    return high
