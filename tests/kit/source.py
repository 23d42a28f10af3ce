"""The project's own source as data, for tests that hold it to its rules."""

import ast
import functools
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "providers", "cache")


class Source(NamedTuple):
    """One file: its dotted ``module`` name, its text and its syntax tree."""

    module: str
    path: str
    text: str
    tree: ast.Module

    def at(self, node: ast.AST) -> str:
        """Where ``node`` stands, as editors like it."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


def snippet(module: str, text: str) -> Source:
    """A made-up file, for showing that a law can fail."""
    text = textwrap.dedent(text)
    return Source(module, module.replace(".", "/") + ".py", text, ast.parse(text))


@functools.cache
def project() -> tuple[Source, ...]:
    """Every Python file of the three packages."""
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return tuple(_read(path) for path in paths)


def _read(path: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Source(module, str(path.relative_to(ROOT)), text, ast.parse(text, str(path)))


def is_in(module: str, places: tuple[str, ...] | list[str]) -> bool:
    """Is ``module`` one of ``places``? ``a.b`` means that module alone, ``a.b.*`` it and everything below it."""
    return any(module == place or module_below(module, place) for place in places)


def module_below(module: str, place: str) -> bool:
    return place.endswith(".*") and (module == place[:-2] or module.startswith(place[:-1]))


class Import(NamedTuple):
    """An imported ``module`` and the ``name`` taken from it (empty: the module itself)."""

    module: str
    name: str
    node: ast.stmt


def imports(source: Source) -> Iterator[Import]:
    """Every import, those inside functions and for type checkers too. A relative one keeps its dots."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, "", node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (Import(module, alias.name, node) for alias in node.names)


def dotted(node: ast.expr) -> str:
    """``a.b.c`` of a name or attribute; an unknown beginning is left out (``x().b`` is ``.b``)."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def calls(source: Source) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the dotted name of what is called."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            yield dotted(node.func), node
