"""Who may know whom. This table is the architecture; the rest of the file only reads it.

        app, cli, workers        builds everything, so it may import everything
        pipeline, relay ...      the spine: one request's life, told in contracts
        dialects  providers  upstream  telemetry  config  cache
                                 the wings: none knows another, except by its contract
        core                     the ground: knows nobody

``a.b`` is one module, ``a.b.*`` a module and all below it. A module follows the first row that names it.
"""

import ast
import graphlib
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from gateway.core.types import DialectName
from tests.kit.source import PACKAGES, Import, Source, imports, is_in, project, snippet


class Layer(NamedTuple):
    module: str
    may_import: tuple[str, ...]


CONTRACTS = ("providers.contract", "gateway.dialects.contract", "gateway.upstream.contract")
EVERYTHING = tuple(f"{package}.*" for package in PACKAGES)

LAYERS = (
    # --- the top: the composition root, the command line, the supervisor of several processes
    Layer("gateway.__main__", ("gateway.cli",)),
    Layer("gateway.cli", EVERYTHING),
    Layer("gateway.app", EVERYTHING),
    Layer("gateway.workers", EVERYTHING),
    Layer("gateway.reference", EVERYTHING),  # prints the tables of the others
    # --- the spine: each room knows the ones it stands on and no concrete wing
    Layer(
        "gateway.pipeline",
        (
            *("gateway.core.*", "gateway.dialects.contract", "gateway.telemetry.*"),
            *("gateway.endpoints", "gateway.request", "gateway.call"),
        ),
    ),
    Layer(
        "gateway.resources.*",
        (
            *("gateway.core.*", *CONTRACTS, "gateway.dialects.*", "gateway.objects.*", "gateway.telemetry.*"),
            *("gateway.resources.*", "gateway.endpoints", "gateway.request", "gateway.targets", "gateway.inquiry"),
            *("gateway.passing", "gateway.call", "gateway.local_call", "gateway.continuity", "gateway.relay"),
            "gateway.config.settings",
        ),
    ),
    Layer("gateway.local_call", ("gateway.core.*", "gateway.call", "gateway.upstream.contract")),
    Layer(
        "gateway.forwarding",
        (
            *("gateway.core.*", *CONTRACTS, "gateway.telemetry.*"),
            *("gateway.request", "gateway.targets", "gateway.relay", "gateway.plan", "gateway.call"),
            *("gateway.inquiry", "gateway.continuity", "gateway.endpoints"),
        ),
    ),
    Layer("gateway.continuity", ("gateway.dialects.contract", "gateway.targets")),
    Layer(
        "gateway.request",
        (
            *("gateway.core.*", "gateway.dialects.contract", "gateway.telemetry.*"),
            *("gateway.endpoints", "gateway.call"),
        ),
    ),
    Layer("gateway.discovery", ("gateway.core.*", "gateway.inquiry", "gateway.targets", "gateway.telemetry.*")),
    Layer("gateway.inquiry", ("gateway.core.*", "gateway.relay", "gateway.targets")),
    Layer("gateway.relay", ("gateway.core.*", *CONTRACTS, "gateway.telemetry.*", "gateway.call", "gateway.plan")),
    Layer("gateway.passing", ("gateway.core.*", *CONTRACTS, "gateway.telemetry.*", "gateway.call")),
    Layer("gateway.plan", ("gateway.core.*", *CONTRACTS, "gateway.targets", "gateway.flow")),
    Layer("gateway.flow", ("gateway.core.*", *CONTRACTS)),
    Layer("gateway.targets", ("gateway.core.*", *CONTRACTS, "gateway.telemetry.*", "gateway.endpoints")),
    Layer("gateway.server", ("gateway.core.*", "gateway.config.settings", "gateway.call", "gateway.connection")),
    Layer(
        "gateway.connection", ("gateway.core.*", "gateway.upstream.contract", "gateway.config.settings", "gateway.call")
    ),
    Layer("gateway.call", ("gateway.core.*", "gateway.upstream.contract")),
    Layer("gateway.endpoints", ("gateway.core.*",)),
    # --- the wings
    Layer("gateway.upstream.contract", ("gateway.core.*",)),
    Layer("gateway.upstream.*", ("gateway.core.*", "gateway.upstream.*", "providers.contract")),
    Layer("gateway.dialects.*", ("gateway.core.*", "gateway.dialects.*")),
    Layer("gateway.objects.contract", ("gateway.core.*",)),
    Layer("gateway.objects.*", ("gateway.core.*", "gateway.objects.*")),
    Layer("gateway.telemetry.*", ("gateway.core.*", "gateway.telemetry.*")),
    Layer("gateway.config.load", ("gateway.core.*", "gateway.config.*", "providers", "providers.contract")),
    Layer("gateway.config.*", ("gateway.core.*", "gateway.config.*", "providers.contract")),
    Layer("providers", ("providers.contract",)),  # the registry: it finds the files, it does not know them
    Layer("providers.contract", ("gateway.core.*",)),
    Layer("providers.openai_like.*", ("gateway.core.*", "providers.contract", "providers.openai_like.*")),
    # a provider loads those parts of the shared wire shapes that it needs
    Layer("providers.*", ("gateway.core.*", "providers.contract", "providers.openai_like.*")),
    Layer("cache.*", ("gateway.core.*", "cache.*")),
    # --- the ground
    Layer("gateway.core.*", ("gateway.core.*",)),
    Layer("gateway", ()),
)

# A provider may be split in parts: ``acme_stream`` belongs to ``acme``. A part that is named otherwise says so here.
PARTS = {
    "providers.simulation": "providers.simulator",
    "providers.claude": "providers.anthropic",
    "providers.generate_content": "providers.gemini",
}

# (importer, imported, reason): one provider that is built on another one's functions.
EXCEPTIONS: tuple[tuple[str, str, str], ...] = ()

# Where code may name a vendor. Elsewhere a vendor's word may only be part of a wire language's name.
VENDOR_ROOMS = ("providers.*", "gateway.dialects.*")
VENDORS = (
    *("ai21", "anthropic", "anyscale", "azure", "bedrock", "cerebras", "claude", "cloudflare", "cohere", "databricks"),
    *("deepinfra", "deepseek", "fireworks", "gemini", "gpt", "groq", "huggingface", "litellm", "llama", "minimax"),
    *("mistral", "moonshot", "nvidia", "ollama", "openai", "openrouter", "perplexity", "qwen", "replicate"),
    *("sambanova", "together", "vertex", "vllm", "voyage", "xai", "zai"),
)

# --- reading the table --------------------------------------------------------------------------------------------


def target_of(found: Import, modules: frozenset[str]) -> str:
    """The module an import reaches: ``from a import b`` reaches ``a.b`` when that is a module."""
    inner = f"{found.module}.{found.name}"
    return inner if inner in modules else found.module


def is_own(target: str) -> bool:
    return target.split(".")[0].lstrip(".") in PACKAGES or target.startswith(".")


def layer_of(module: str) -> Layer | None:
    return next((layer for layer in LAYERS if is_in(module, [layer.module])), None)


def family_of(module: str) -> str:
    """The provider a module under ``providers`` belongs to, by its first file name; other modules are their own."""
    parts = module.split(".")
    if parts[0] != "providers" or len(parts) == 1 or is_in(module, ["providers.contract", "providers.openai_like.*"]):
        return module
    head = ".".join(parts[:2])
    return PARTS.get(head) or head.split("_")[0]


def may_import(importer: str, target: str) -> bool:
    layer = layer_of(importer)
    if layer is None:
        return False
    is_relative = importer.startswith("providers.") and family_of(importer) == family_of(target)
    is_excepted = any(importer == one and target == other for one, other, _ in EXCEPTIONS)
    return is_in(target, layer.may_import) or is_relative or is_excepted


def forbidden_imports(source: Source, modules: frozenset[str]) -> Iterator[str]:
    for found in imports(source):
        target = target_of(found, modules)
        if found.module.startswith("."):
            yield f"{source.at(found.node)} imports relatively; the law reads full names"
        elif is_own(target) and not may_import(source.module, target):
            yield f"{source.at(found.node)} {source.module} may not import {target}"


def modules_of(sources: tuple[Source, ...]) -> frozenset[str]:
    return frozenset(source.module for source in sources)


def test_imports_point_downward() -> None:
    modules = modules_of(project())
    assert [breach for source in project() for breach in forbidden_imports(source, modules)] == []


def test_every_module_has_a_layer() -> None:
    assert [source.path for source in project() if layer_of(source.module) is None] == []


def find_circle(sources: tuple[Source, ...]) -> list[str]:
    """Modules that import each other while they load. Imports inside functions and under ``if TYPE_CHECKING`` may."""
    modules = modules_of(sources)
    graph = {}
    for source in sources:
        top_level = set(map(id, source.tree.body))
        reached = {target_of(found, modules) for found in imports(source) if id(found.node) in top_level}
        graph[source.module] = reached & modules - {source.module}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_nothing_imports_in_a_circle() -> None:
    assert find_circle(project()) == []


@pytest.mark.parametrize(
    ("module", "line", "is_allowed"),
    [
        ("gateway.core.x", "from gateway.core import limits", True),
        ("gateway.core.x", "import gateway.app", False),
        ("gateway.core.x", "from providers import contract", False),
        ("gateway.core.x", "def f():\n    from gateway import relay", False),
        ("gateway.core.x", "from .. import relay", False),
        ("gateway.core.x", "import json", True),
        ("gateway.dialects.x", "from providers.contract import Provider", False),
        ("gateway.upstream.x", "from providers.contract import Script", True),
        ("gateway.upstream.x", "from gateway.dialects.contract import Dialect", False),
        ("gateway.forwarding", "from gateway.upstream.contract import Upstream", True),
        ("gateway.forwarding", "from gateway.upstream.pool import HttpUpstream", False),
        ("gateway.pipeline", "from providers import acme", False),
        ("gateway.relay", "from gateway.dialects import openai_chat", False),
        ("gateway.config.settings", "import providers", False),
        ("gateway.config.load", "import providers", True),
        ("gateway.app", "from providers import acme", True),
        ("gateway.newroom", "from gateway.core import limits", False),
        ("providers.acme", "from providers import openai_like", True),
        ("providers.acme", "from providers.acme_stream import Stream", True),
        ("providers.acme_stream", "from providers.acme import X", True),
        ("providers.acme", "from providers import other", False),
        ("providers.acme", "from providers.other import x", False),
        ("providers.acme", "import providers", False),
        ("providers.acme", "from gateway.dialects.contract import Envelope", False),
        ("providers.simulation.texts", "from providers.simulator import x", True),
        ("cache.keys", "from gateway.core.types import ChatRequest", True),
        ("cache.keys", "from gateway.pipeline import Pipeline", False),
    ],
)
def test_the_law_of_imports_can_fail(module: str, line: str, is_allowed: bool) -> None:
    modules = modules_of(project()) | {"providers.acme", "providers.acme_stream", "providers.other", "gateway.relay"}
    assert (list(forbidden_imports(snippet(module, line), modules)) == []) is is_allowed


@pytest.mark.parametrize(
    ("line", "is_allowed"),
    [
        ("import a", False),
        ("from a import x", False),
        ("def f():\n    import a", True),
        ("if TYPE_CHECKING:\n    import a", True),
        ("import json", True),
    ],
)
def test_the_law_of_circles_can_fail(line: str, is_allowed: bool) -> None:
    circle = find_circle((snippet("a", "import b"), snippet("b", line)))
    assert (circle == []) is is_allowed


# --- vendors ------------------------------------------------------------------------------------------------------

_VENDOR_WORDS = re.compile(rf"(?<![a-z])({'|'.join(VENDORS)})(?![a-z])")
_SHAPE = re.compile(r"openai's shape|openai-(?:shaped|compatible)")


def language_words(sources: tuple[Source, ...]) -> re.Pattern[str]:
    """The names of the wire languages: the closed set of the core, and the files that speak them."""
    files = {s.module.rpartition(".")[2] for s in sources if is_in(s.module, ["gateway.dialects.*"])}
    words = files | {dialect.value for dialect in DialectName}
    return re.compile("|".join(sorted(words, key=len, reverse=True)))


def words_in_code(source: Source) -> Iterator[tuple[ast.AST, str]]:
    """Names and strings, without documentation strings."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(source.tree) if isinstance(node, documented)]
    documentation = {id(body[0].value) for body in bodies if body and isinstance(body[0], ast.Expr)}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and id(node) not in documentation:
            yield node, node.value.decode("latin-1") if isinstance(node.value, bytes) else str(node.value)
        for field in ("id", "attr", "arg", "name", "module", "asname"):
            if isinstance(word := getattr(node, field, None), str):
                yield node, word


def named_vendors(source: Source, languages: re.Pattern[str]) -> Iterator[str]:
    for node, text in words_in_code(source):
        rest = _SHAPE.sub("", languages.sub("", text.lower()))
        if vendor := _VENDOR_WORDS.search(rest):
            yield f"{source.at(node)} names the vendor {vendor[1]!r} in {text[:60]!r}"


def test_vendors_are_named_in_their_own_rooms_only() -> None:
    languages = language_words(project())
    sources = [source for source in project() if not is_in(source.module, VENDOR_ROOMS)]
    assert [breach for source in sources for breach in named_vendors(source, languages)] == []


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        ('if provider == "openai": pass', False),
        ("anthropic_version = 1", False),
        ('url = b"https://api.groq.com"', False),
        ("def f(gemini): pass", False),
        ("from x import MistralClient as Mistral", False),
        ("x.use_azure()", False),
        ('raise ValueError(f"ask OpenAI for {x}")', False),
        ("dialect = DialectName.OPENAI_CHAT", True),
        ("from gateway.dialects import openai_chat", True),
        ('dialect = "anthropic_messages"', True),
        ('title = "Chat, for providers that speak OpenAI\'s shape."', True),
        ('def f():\n    """As OpenAI does."""', True),
        ("# as OpenAI does\nx = 1", True),
        ("altogether = 1", True),
    ],
)
def test_the_law_of_vendors_can_fail(text: str, is_allowed: bool) -> None:
    languages = language_words((*project(), snippet("gateway.dialects.openai_chat", "")))
    assert (list(named_vendors(snippet("gateway.x", text), languages)) == []) is is_allowed
