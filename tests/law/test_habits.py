"""Small rules that hold everywhere, each with the accident it prevents."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit.source import ROOT, Source, calls, dotted, imports, is_in, project, snippet

# Libraries with exceptions of their own, and the operating system: named at the edges and mapped to our errors there,
# so that nobody else has to know what can go wrong inside them.
EDGES = (
    *("gateway.server", "gateway.connection", "gateway.call", "gateway.upstream.*", "gateway.telemetry.*"),
    *("gateway.objects.database", "gateway.objects.files"),
    *(
        "gateway.discovery",
        "gateway.app",
        "gateway.cli",
        "gateway.workers",
        "gateway.config.load",
        "gateway.config.document",
    ),
)
EDGE_LIBRARIES = (
    *("aiohttp", "httptools", "multidict", "yarl", "ssl", "socket", "prometheus_client", "yaml", "uvloop"),
    *("sqlite3", "aiosqlite"),
)
EDGE_ERRORS = re.compile(
    r"(IO|OS|Environment|Timeout|Connection\w*|BrokenPipe|Interrupted|File\w+|Permission|IsADirectory)Error"
    r"|(aiohttp|httptools|socket|ssl|yaml|sqlite3)\..+"
)

# What can run or rebuild whatever a stranger wrote.
FORBIDDEN_MODULES = ("pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "xml.etree.ElementTree")
FORBIDDEN_CALLS = re.compile(
    r"eval|exec|compile|yaml\.(load|load_all|unsafe_load\w*|full_load\w*)|os\.system|tempfile\.mktemp"
)

# Containers that grow for ever unless they are told not to, and the argument that tells them. (``lru_cache`` has a
# bound of its own, but nobody chose it.)
BOUNDED_BY = {
    "deque": ("maxlen", 1),
    "Queue": ("maxsize", 0),
    "LifoQueue": ("maxsize", 0),
    "PriorityQueue": ("maxsize", 0),
    "lru_cache": ("maxsize", 0),
    "SimpleQueue": None,
    "OrderedDict": None,
}
# (module, container, what bounds it instead)
BOUNDED_OTHERWISE = (
    ("gateway.upstream.slots", "OrderedDict", "admit refuses beyond PoolLimits.max_waiting"),
    ("gateway.upstream.race", "deque", "filled once with the addresses to try, then only emptied"),
    ("gateway.upstream.tls", "cache", "one entry for each CA file in the settings"),
    ("gateway.config.schema", "cache", "one entry for each settings class"),
    ("gateway.telemetry.logs", "SimpleQueue", "MAX_PENDING_BYTES bounds the bytes in it, lines beyond are counted"),
    ("providers.simulation.samples", "deque", "filled once from a text of bounded length, then only emptied"),
)

WAITS = ("wait_for", "wait", "timeout", "timeout_at", "sleep", "call_later", "call_at", "settimeout")


def library_errors(source: Source) -> Iterator[str]:
    """A library's exceptions end where the library is used."""
    if is_in(source.module, EDGES):
        return
    for found in imports(source):
        if found.module.split(".")[0] in EDGE_LIBRARIES:
            yield f"{source.at(found.node)} imports {found.module} away from the edges"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            for name in map(dotted, kinds):
                if EDGE_ERRORS.fullmatch(name):
                    yield f"{source.at(node)} catches {name} away from the edges"


def dangerous_calls(source: Source) -> Iterator[str]:
    """Nothing received is ever executed or unpickled."""
    for found in imports(source):
        if found.module in FORBIDDEN_MODULES:
            yield f"{source.at(found.node)} imports {found.module}"
    for name, call in calls(source):
        if FORBIDDEN_CALLS.fullmatch(name):
            yield f"{source.at(call)} calls {name}()"
        if any(k.arg == "shell" and not _is_constant(k.value, False) for k in call.keywords):
            yield f"{source.at(call)} asks for a shell"


def unbounded_containers(source: Source) -> Iterator[str]:
    """Every queue and cache has a bound, because memory has one."""
    excepted = {name for module, name, _ in BOUNDED_OTHERWISE if module == source.module}
    for name, node in (*_containers(source), *_endless_caches(source)):
        if name not in excepted:
            yield f"{source.at(node)} makes a {name} without a bound"


def _containers(source: Source) -> Iterator[tuple[str, ast.AST]]:
    for dotted_name, call in calls(source):
        name = dotted_name.rpartition(".")[2]
        if name in BOUNDED_BY and not _has_bound(call, BOUNDED_BY[name]):
            yield name, call


def _has_bound(call: ast.Call, bound: tuple[str, int] | None) -> bool:
    if bound is None:
        return False
    keyword, position = bound
    given = [k.value for k in call.keywords if k.arg == keyword] or call.args[position : position + 1]
    return bool(given) and not (_is_constant(given[0], None) or _is_constant(given[0], 0))


def _endless_caches(source: Source) -> Iterator[tuple[str, ast.AST]]:
    """``@cache`` on a function with parameters. (Without any it is one value.)"""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and ast.dump(node.args) != ast.dump(_NO_ARGUMENTS):
            for name in map(dotted, node.decorator_list):
                if name in ("cache", "functools.cache", "lru_cache", "functools.lru_cache"):
                    yield name.rpartition(".")[2], node


_NO_ARGUMENTS = ast.parse("def f(): pass").body[0].args  # type: ignore[attr-defined]


def bare_numbers_near_waits(source: Source) -> Iterator[str]:
    """How long something waits is a setting or a named limit. (Zero is no wait: ``sleep(0)`` only yields.)"""
    for name, call in calls(source):
        is_wait = name.rpartition(".")[2] in WAITS
        arguments = [*call.args, *(k.value for k in call.keywords)] if is_wait else []
        arguments += [k.value for k in call.keywords if "timeout" in (k.arg or "")]
        numbers = [node for argument in arguments for node in ast.walk(argument) if _is_number(node)]
        if numbers:
            yield f"{source.at(call)} waits for a bare number in {name}()"


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value != 0


def _is_constant(node: ast.AST, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


LAWS = [library_errors, dangerous_calls, unbounded_containers, bare_numbers_near_waits]


@pytest.mark.parametrize("law", LAWS)
def test_the_law_holds(law: Callable[[Source], Iterator[str]]) -> None:
    assert [breach for source in project() for breach in law(source)] == []


@pytest.mark.parametrize(("module", "container", "bound"), BOUNDED_OTHERWISE)
def test_every_exception_is_still_needed(module: str, container: str, bound: str) -> None:
    source = next(source for source in project() if source.module == module)
    assert container in {name for name, _ in (*_containers(source), *_endless_caches(source))}
    assert bound


@pytest.mark.parametrize(
    ("law", "text"),
    [
        (library_errors, "import aiohttp"),
        (library_errors, "from ssl import SSLError"),
        (library_errors, "try: pass\nexcept OSError: pass"),
        (library_errors, "try: pass\nexcept (ValueError, ConnectionResetError): pass"),
        (library_errors, "try: pass\nexcept TimeoutError: pass"),
        (library_errors, "try: pass\nexcept aiohttp.ClientError: pass"),
        (dangerous_calls, "import pickle"),
        (dangerous_calls, "from marshal import loads"),
        (dangerous_calls, "eval(x)"),
        (dangerous_calls, "exec(x)"),
        (dangerous_calls, "yaml.load(x)"),
        (dangerous_calls, "yaml.unsafe_load(x)"),
        (dangerous_calls, "os.system(x)"),
        (dangerous_calls, "run(x, shell=True)"),
        (dangerous_calls, "run(x, shell=maybe)"),
        (unbounded_containers, "deque()"),
        (unbounded_containers, "collections.deque(x)"),
        (unbounded_containers, "deque(x, None)"),
        (unbounded_containers, "asyncio.Queue()"),
        (unbounded_containers, "asyncio.Queue(0)"),
        (unbounded_containers, "queue.SimpleQueue()"),
        (unbounded_containers, "OrderedDict()"),
        (unbounded_containers, "@cache\ndef f(x): pass"),
        (unbounded_containers, "@functools.cache\ndef f(*, x): pass"),
        (unbounded_containers, "@lru_cache\ndef f(x): pass"),
        (unbounded_containers, "@lru_cache(maxsize=None)\ndef f(x): pass"),
        (bare_numbers_near_waits, "asyncio.wait_for(x, 5)"),
        (bare_numbers_near_waits, "asyncio.timeout(0.5)"),
        (bare_numbers_near_waits, "loop.call_later(2 * x, f)"),
        (bare_numbers_near_waits, "loop.call_at(loop.time() + 5, f)"),
        (bare_numbers_near_waits, "asyncio.sleep(1)"),
        (bare_numbers_near_waits, "asyncio.wait(x, timeout=3)"),
        (bare_numbers_near_waits, "connect(x, connect_timeout=3)"),
    ],
)
def test_the_law_can_fail(law: Callable[[Source], Iterator[str]], text: str) -> None:
    assert len(list(law(snippet("gateway.pipeline", text)))) == 1


@pytest.mark.parametrize(
    ("law", "module", "text"),
    [
        (library_errors, "gateway.upstream.pool", "import ssl\ntry: pass\nexcept OSError: pass"),
        (library_errors, "gateway.pipeline", "try: pass\nexcept (ValueError, GatewayError): pass"),
        (dangerous_calls, "gateway.x", "run(x, shell=False)\nre.compile(x)\nself.eval(x)\nyaml.safe_load(x)"),
        (unbounded_containers, "gateway.x", "deque(maxlen=N)\ndeque([], N)\nasyncio.Queue(N)\nlru_cache(maxsize=N)(f)"),
        (unbounded_containers, "gateway.x", "@cache\ndef f(): pass\n@lru_cache(maxsize=8)\ndef g(x): pass"),
        (bare_numbers_near_waits, "gateway.x", "asyncio.sleep(0)\nasyncio.timeout(LINGER_S)\nx(5)\nx.wait()"),
    ],
)
def test_the_law_lets_good_code_pass(law: Callable[[Source], Iterator[str]], module: str, text: str) -> None:
    assert list(law(snippet(module, text))) == []


# --- tests have their place too -----------------------------------------------------------------------------------


def is_placed(test: Path, sources: set[Path]) -> bool:
    """Does a unit test stand where its source file stands? ``unit/core/test_sse.py`` tests ``gateway/core/sse.py``;
    more words before or after the source's name keep test names unique and let one source have several tests."""
    folder, stem = test.parent, test.stem.removeprefix("test_")
    homes = (Path("gateway") / folder, folder)
    candidates = {source for source in sources if source.parent in homes}
    names = {source.parent.name if source.stem == "__init__" else source.stem for source in candidates}
    return any(stem == name or stem.startswith(name + "_") or stem.endswith("_" + name) for name in names)


def python_files(*folders: str) -> set[Path]:
    return {path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*.py")}


def test_unit_tests_stand_where_their_sources_stand() -> None:
    sources = python_files("gateway", "providers", "cache", "loadtest")
    tests = [path.relative_to("tests/unit") for path in python_files("tests/unit") if path.name.startswith("test_")]
    assert [str(test) for test in sorted(tests) if not is_placed(test, sources)] == []


def test_test_files_have_different_names() -> None:
    names = [path.name for path in python_files("tests") if path.name.startswith("test_")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


@pytest.mark.parametrize(
    ("test", "is_right"),
    [
        ("core/test_sse.py", True),
        ("core/test_sse_bounds.py", True),
        ("test_relay.py", True),
        ("providers/test_acme.py", True),
        ("providers/test_providers.py", True),
        ("loadtest/test_bench_client.py", True),
        ("test_sse.py", False),
        ("core/test_relay.py", False),
        ("core/test_gone.py", False),
    ],
)
def test_the_law_of_places_can_fail(test: str, is_right: bool) -> None:
    names = ("gateway/core/sse", "gateway/relay", "providers/acme", "providers/__init__", "loadtest/client")
    assert is_placed(Path(test), {Path(f"{name}.py") for name in names}) is is_right
