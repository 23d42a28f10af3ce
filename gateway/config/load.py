"""The layers put together: defaults, file, environment, command line; the later wins."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from msgspec import Struct
from msgspec.structs import replace

import providers as provider_package
from gateway.config.document import Document, variables_in
from gateway.config.environment import FILE_VARIABLE, Environment, Named, prefix_of, type_of
from gateway.config.found import ConfigError, Found, Problem, merge, nest
from gateway.config.judge import Catalog, Verdict, asks_for_key, judge, points_at, remarks
from gateway.config.reader import Reader
from gateway.config.settings import ServerSettings, Settings
from gateway.core.limits import KIB, MAX_CONFIG_FILE_BYTES
from gateway.core.origin import complete_base_url

DEFAULT = "default"


class Effective(Struct, frozen=True):
    """Settings with their story: ``sources`` tells where each setting was written that was, ``notes`` what was seen and
    not used."""

    settings: Settings
    sources: Mapping[str, str]
    notes: tuple[str, ...] = ()


def load(file: str | None, environ: Mapping[str, str]) -> Settings:
    """The settings of ``file`` (else the one ``SLUICE_CONFIG`` names, else none) and ``environ``.

    Raises ``ConfigError`` with every problem there is.
    """
    return explain(file, environ).settings


def explain(
    file: str | None,
    environ: Mapping[str, str],
    arguments: Mapping[str, str] | None = None,
    catalog: Catalog = provider_package,
) -> Effective:
    """Like ``load``, with the story. ``arguments`` are settings of the command line, ``{"server.port": "9000"}``."""
    name = file or environ.get(FILE_VARIABLE, "").strip()
    effective = interpret(name, _text_of(name) if name else "", environ, arguments or {}, catalog)
    problems = list(_unreadable_files(effective))
    if problems:
        raise ConfigError(problems)
    return effective


def interpret(
    name: str, text: str, environ: Mapping[str, str], arguments: Mapping[str, str], catalog: Catalog
) -> Effective:
    """``explain`` without touching the disk: ``text`` is what the file ``name`` holds, empty without a file."""
    types = catalog.provider_types()
    document = Document(name, environ)
    file = document.read(text)
    environment = Environment(
        environ,
        types,
        lambda type_name, base_url: asks_for_key(catalog.load(type_name), base_url),
        _instances(file, types),
        document.references,
    )
    clashes: list[Problem] = []
    tree = merge(file, environment.read(), clashes)
    for place, value in arguments.items():
        tree = merge(tree, nest(place.split("."), Found(value, "command line")), clashes)
    tree = _without_loops(tree, environment)
    reader = Reader()
    settings = reader.section(Settings, _with_types(tree, types))
    problems = [*document.problems, *environment.problems, *clashes, *reader.problems]
    bad = {problem.place for problem in problems}
    problems += _without_echoes(judge(settings, catalog, environ), reader.sources, bad)
    if problems:
        raise ConfigError(problems)
    settings = _with_paths(settings, catalog)
    return Effective(settings, reader.sources, (*environment.notes, *remarks(settings)))


# --- layers ---------------------------------------------------------------------------------------------------------


def _table(tree: Found, name: str) -> Mapping[str, Found]:
    """The section ``name`` of ``tree``, empty when it is not one."""
    found = tree.value.get(name) if isinstance(tree.value, Mapping) else None
    return found.value if found is not None and isinstance(found.value, Mapping) else {}


def _instances(tree: Found, types: Sequence[str]) -> dict[str, Named]:
    """The provider instances of the file by the prefix of their variables."""
    named: dict[str, Named] = {}
    for name, found in _table(tree, "providers").items():
        written = found.value.get("type") if isinstance(found.value, Mapping) else None
        type_name = written.value if written is not None else type_of(name, types)
        type_name = type_name if isinstance(type_name, str) else ""
        named.setdefault(prefix_of(name), Named(name, type_name, _placed(found)))
    return named


def _placed(instance: Found) -> frozenset[str]:
    """The variables that an instance of the file fills into the settings that have variables of their own."""
    section = instance.value if isinstance(instance.value, Mapping) else {}
    fields = ("api_key", "api_keys", "base_url", "models")
    return frozenset().union(*(variables_in(section[name]) for name in fields if name in section))


def _without_loops(tree: Found, environment: Environment) -> Found:
    """``tree`` without the instances that are no more than an address of Sluice itself: such a variable is meant for
    the clients that run beside it."""
    server = Reader().section(ServerSettings, Found(_table(tree, "server"), ""))
    kept = dict(_table(tree, "providers"))
    if not environment.keyless or not environment.keyless.keys() <= kept.keys():
        return tree
    for name, variable in environment.keyless.items():
        if points_at(server, environment.text(variable)):
            del kept[name]
            environment.notes.append(f"{variable} is not used: this is where Sluice itself listens")
    assert isinstance(tree.value, Mapping)
    return Found({**tree.value, "providers": Found(kept, tree.source)}, tree.source)


def _with_types(tree: Found, types: Sequence[str]) -> Found:
    """``tree`` with a type for every instance that names none, and the fallback provider where there is no instance."""
    assert isinstance(tree.value, Mapping)
    listed = tree.value.get("providers")
    if listed is None or not listed.value:
        listed = Found({provider_package.FALLBACK: Found(None, DEFAULT)}, DEFAULT)
    if not isinstance(listed.value, Mapping):
        return tree
    typed = {name: _with_type(name, found, types) for name, found in listed.value.items()}
    return Found({**tree.value, "providers": Found(typed, listed.source)}, tree.source)


def _with_paths(settings: Settings, catalog: Catalog) -> Settings:
    """``settings`` with whole base URLs: one without a path gets the path of the provider's own address."""
    instances = {
        name: replace(p, base_url=p.base_url and complete_base_url(p.base_url, catalog.load(p.type).base_url))
        for name, p in settings.providers.items()
    }
    return replace(settings, providers=instances)


def _with_type(name: str, instance: Found, types: Sequence[str]) -> Found:
    low = Found({"type": Found(type_of(name, types) or name, DEFAULT)}, instance.source)
    is_section = instance.value is None or isinstance(instance.value, Mapping)
    return merge(low, instance, []) if is_section else instance


# --- verdicts -------------------------------------------------------------------------------------------------------


def _without_echoes(verdicts: Iterable[Verdict], sources: Mapping[str, str], bad: Set[str]) -> Iterator[Problem]:
    """The verdicts on what could be read; where something could not, they would only repeat it."""
    for verdict in verdicts:
        places = (verdict.place, *verdict.rests_on)
        if not any(_touches(broken, place) for broken in bad for place in places):
            yield Problem(verdict.place, _source_of(verdict.place, sources), verdict.text)


def _source_of(place: str, sources: Mapping[str, str]) -> str:
    """Where the setting was written, or if it was not, the section of the file that it would stand in."""
    written = sources.get(place, DEFAULT)
    if written != DEFAULT:
        return written
    around = sources.get(".".join(place.split(".")[:2]), DEFAULT)
    return "" if around == DEFAULT or around.startswith("environment") else around


def _touches(bad: str, place: str) -> bool:
    """Is ``bad`` the place itself, a section around it, or an item in it?"""
    return not bad or bad == place or place.startswith(f"{bad}.") or bad.startswith(f"{place}[")


# --- the disk -------------------------------------------------------------------------------------------------------


def _text_of(name: str) -> str:
    try:
        with open(name, "rb") as file:
            data = file.read(MAX_CONFIG_FILE_BYTES + 1)
        if len(data) > MAX_CONFIG_FILE_BYTES:
            raise ConfigError([Problem("", name, f"larger than {MAX_CONFIG_FILE_BYTES // KIB} KiB")])
        return data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError([Problem("", name, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Problem("", name, f"not UTF-8 (byte {error.start})")]) from None


def _unreadable_files(effective: Effective) -> Iterator[Problem]:
    for name, provider in effective.settings.providers.items():
        place = f"providers.{name}.ca_file"
        if provider.ca_file is not None and not _holds_certificate(provider.ca_file):
            text = "there is no file of this name that can be read and holds PEM certificates"
            yield Problem(place, effective.sources.get(place, ""), text)


def _holds_certificate(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return b"-----BEGIN CERTIFICATE-----" in file.read(MAX_CONFIG_FILE_BYTES)
    except OSError:
        return False
