"""What the pure parts may touch: values, and nothing that answers differently tomorrow.

Parsing, translating, routing, retrying and judging are plain functions and state machines. They are given the time and
the dice they need, so a test can hand them any bytes, any hour and any fate. The list says what they may import; what
is not on it (sockets, clocks, randomness, files, threads, logging, the environment) belongs to the edges.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.kit.source import PACKAGES, Source, calls, imports, is_in, project, snippet

PURE = (
    "gateway.core.*",
    "gateway.dialects.*",
    "providers.*",
    "cache",
    "gateway.endpoints",
)

# The standard library's own pure parts, and msgspec.
ALLOWED = (
    # types and structure
    *("typing", "types", "enum", "dataclasses", "abc", "collections", "collections.abc", "functools", "itertools"),
    *("operator", "contextlib", "difflib", "bisect", "heapq", "__future__"),
    # text, bytes and numbers
    *("re", "string", "textwrap", "unicodedata", "base64", "binascii", "codecs", "struct", "zlib", "json", "html"),
    *("math", "decimal", "fractions", "statistics", "datetime", "ipaddress", "urllib.parse", "email.utils"),
    *("hashlib", "hmac"),
    # msgspec is our record type and our JSON
    *("msgspec", "msgspec.json", "msgspec.structs"),
)
# (module, import, reason): where a pure room needs one thing more.
EXCEPTIONS = (
    ("providers", "importlib", "the registry loads a provider's file by its name"),
    ("providers", "pkgutil", "the registry finds the provider files by looking into its folder"),
)

# Built-in functions that reach out, and calls that do although their module is harmless, by their last name.
IMPURE_BUILTINS = ("open", "print", "input", "breakpoint", "__import__", "globals")
IMPURE_CALLS = (
    *("now", "utcnow", "today", "time", "monotonic", "perf_counter", "localtime", "formatdate", "make_msgid"),
    *("urandom", "uuid1", "uuid4", "random", "randint", "getenv", "sleep", "import_module"),
)


def is_pure(source: Source) -> bool:
    return is_in(source.module, PURE)


def impurities(source: Source) -> Iterator[str]:
    yield from _asynchronous(source)
    yield from _imported(source)
    yield from _called(source)


def _asynchronous(source: Source) -> Iterator[str]:
    kinds = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    for node in ast.walk(source.tree):
        if isinstance(node, kinds) or (isinstance(node, ast.comprehension) and node.is_async):
            yield f"{source.at(node)} is asynchronous"


def _imported(source: Source) -> Iterator[str]:
    excepted = {name for module, name, _ in EXCEPTIONS if module == source.module}
    for found in imports(source):
        is_own = found.module.split(".")[0] in PACKAGES
        whole = f"{found.module}.{found.name}"
        if not is_own and found.module not in excepted and found.module not in ALLOWED and whole not in ALLOWED:
            yield f"{source.at(found.node)} imports {found.module}, which is not on the list of pure modules"


def _called(source: Source) -> Iterator[str]:
    excepted = any(module == source.module and name == "importlib" for module, name, _ in EXCEPTIONS)
    for name, call in calls(source):
        last = name.rpartition(".")[2]
        is_impure = name in IMPURE_BUILTINS or last in IMPURE_CALLS
        if is_impure and not (excepted and last == "import_module"):
            yield f"{source.at(call)} calls {name}()"


def test_pure_parts_are_pure() -> None:
    assert [breach for source in project() if is_pure(source) for breach in impurities(source)] == []


def test_the_law_looks_at_something() -> None:
    pure = {source.module for source in project() if is_pure(source)}
    assert {"gateway.core.sse", "gateway.core.edge", "providers.contract", "gateway.dialects.contract"} <= pure


@pytest.mark.parametrize(("module", "imported", "reason"), EXCEPTIONS)
def test_every_exception_is_still_needed(module: str, imported: str, reason: str) -> None:
    source = next(source for source in project() if source.module == module)
    assert imported in {found.module for found in imports(source)}
    assert reason


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        ("async def f(): pass", False),
        ("def f():\n    return [x async for x in y]", False),
        *[
            (f"import {module}", False)
            for module in (
                *(
                    "asyncio",
                    "socket",
                    "ssl",
                    "select",
                    "aiohttp",
                    "httptools",
                    "uvloop",
                    "redis",
                    "aiosqlite",
                    "sqlite3",
                ),
                *("time", "random", "secrets", "uuid", "os", "os.path", "sys", "pathlib", "logging", "threading"),
                *("subprocess", "multiprocessing", "tempfile", "urllib.request", "http.client", "yaml"),
            )
        ],
        ("from time import monotonic", False),
        ("from os import environ", False),
        ("def f():\n    import random", False),
        ("from urllib import request", False),
        ("open('x')", False),
        ("print('x')", False),
        ("stamp = datetime.now()", False),
        ("stamp = datetime.date.today()", False),
        ("stamp = datetime.datetime.utcnow()", False),
        ("day = email.utils.formatdate()", False),
        ("x = os.urandom(4)", False),
        ("import importlib", False),
        ("importlib.import_module('x')", False),
        ("import re, json, enum", True),
        ("from urllib.parse import quote", True),
        ("from urllib import parse", True),
        ("from email import utils", True),
        ("from collections.abc import Iterator", True),
        ("from msgspec import Struct", True),
        ("from gateway.core.limits import KIB", True),
        ("def f(now: float) -> float:\n    return now + x.timeout", True),
        ("answer.open()", True),
        ("import datetime\nx: datetime.datetime", True),
    ],
)
def test_the_law_can_fail(text: str, is_allowed: bool) -> None:
    assert (list(impurities(snippet("gateway.core.x", text))) == []) is is_allowed
