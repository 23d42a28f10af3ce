"""How long a function and a file may be: short enough to be read in one sitting, and to be wrong in few ways."""

import ast
import statistics
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.kit.source import Source, project, snippet

MAX_FUNCTION_LINES = 80
MAX_FUNCTION_LINES_P90 = 30
MAX_FUNCTION_LINES_MEDIAN = 9
MAX_FILE_LINES = 400
MAX_FILE_LINES_MEDIAN = 180

# (path or path:function, lines, reason). The number is the new bound, so that an exception cannot grow unseen.
EXCEPTIONS: tuple[tuple[str, int, str], ...] = ()


class Size(NamedTuple):
    name: str
    place: str
    lines: int


def function_sizes(source: Source) -> Iterator[Size]:
    """Lines of every function from its name to its end, its documentation not counted: to explain must cost nothing."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield Size(f"{source.path}:{node.name}", source.at(node), lines - _documentation_lines(node))


def _documentation_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    is_documentation = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return (first.end_lineno or 0) - first.lineno + 1 if is_documentation else 0


def file_size(source: Source) -> Size:
    return Size(source.path, source.path, len(source.text.splitlines()))


def too_long(sizes: Iterator[Size] | list[Size], limit: int) -> list[str]:
    bounds = {name: lines for name, lines, _ in EXCEPTIONS}
    return [f"{s.place} has {s.lines} lines" for s in sizes if s.lines > bounds.get(s.name, limit)]


FUNCTIONS = [size for source in project() for size in function_sizes(source)]
FILES = [file_size(source) for source in project()]


def test_no_function_is_too_long() -> None:
    assert too_long(FUNCTIONS, MAX_FUNCTION_LINES) == []


def test_functions_are_short_on_the_whole() -> None:
    lines = [size.lines for size in FUNCTIONS]
    assert statistics.median(lines) <= MAX_FUNCTION_LINES_MEDIAN
    assert statistics.quantiles(lines, n=10)[-1] <= MAX_FUNCTION_LINES_P90


def test_no_file_is_too_long() -> None:
    assert too_long(FILES, MAX_FILE_LINES) == []


def test_files_are_short_on_the_whole() -> None:
    assert statistics.median(size.lines for size in FILES) <= MAX_FILE_LINES_MEDIAN


def test_every_exception_is_still_needed() -> None:
    sizes = {size.name: size.lines for size in (*FUNCTIONS, *FILES)}
    limits = {name: MAX_FUNCTION_LINES if ":" in name else MAX_FILE_LINES for name, _, _ in EXCEPTIONS}
    assert [name for name, limit in limits.items() if sizes.get(name, 0) <= limit] == []


@pytest.mark.parametrize("keyword", ["def", "async def"])
@pytest.mark.parametrize("excess", [0, 1])
def test_the_law_can_fail(keyword: str, excess: int) -> None:
    body = "    x = 1\n" * (MAX_FUNCTION_LINES - 1 + excess)
    text = f'{keyword} f():\n    """Two lines that\n    do not count."""\n{body}'
    source = snippet("gateway.x", text)
    assert bool(too_long(function_sizes(source), MAX_FUNCTION_LINES)) is bool(excess)
    long = snippet("gateway.y", "x = 1\n" * (MAX_FILE_LINES + excess))
    assert bool(too_long([file_size(long)], MAX_FILE_LINES)) is bool(excess)
