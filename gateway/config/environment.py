"""What the environment says, as a tree of found values.

Three spellings, the later wins:

    PORT, SLUICE_MASTER_KEY                         short names of single settings
    <TYPE>_API_KEY, <TYPE>_EAST_BASE_URL            a provider instance: ``type``, ``type-east``
    SLUICE_SERVER__MAX_BODY                         any setting by its path

An empty variable is an unset one. Variables of other programs share the prefixes of provider types, so nothing else is
looked at (not ``<TYPE>_ORG_ID``), and a suffixed instance needs its key: an address alone may be another program's. The
prefix ``SLUICE_`` is ours, so that what is misspelt can be told.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set

from msgspec import Struct

from gateway.config.found import Found, Problem, merge, nearest, nest
from gateway.config.schema import Shape, fields_of
from gateway.config.settings import Settings

# In rising precedence. HOST is not among them: shells and build tools set it to other things.
SHORT_NAMES = (
    ("GOMODEL_MASTER_KEY", ("auth", "master_key")),
    ("SLUICE_MASTER_KEY", ("auth", "master_key")),
    ("PORT", ("server", "port")),
)
FILE_VARIABLE = "SLUICE_CONFIG"
_PATH_PREFIX = "SLUICE_"
# What Kubernetes tells every pod of a service called sluice or sluice-..., beside SLUICE_PORT=tcp://10.0.0.1:8080.
_SERVICE_NAME = re.compile(r".*_(?:SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_.*)?)")
_SERVICE_VALUE = re.compile(r"(?:tcp|udp|sctp)://.*", re.DOTALL)


class Named(Struct, frozen=True):
    """A provider instance of the file. ``placed`` are the variables that it fills into its own settings."""

    name: str
    type: str
    placed: Set[str] = frozenset()


def prefix_of(instance: str) -> str:
    """How the variables of an instance begin: ``ACME_EAST`` for ``acme-east``."""
    return instance.upper().replace("-", "_")


def instance_of(prefix: str) -> str:
    return prefix.lower().replace("_", "-")


def type_of(instance: str, types: Iterable[str]) -> str | None:
    """The provider type an instance's name tells: ``acme`` for ``acme`` and ``acme-east``; the longest fits best."""
    prefix = prefix_of(instance)
    fitting = [t for t in types if prefix == t.upper() or prefix.startswith(t.upper() + "_")]
    return max(fitting, key=len, default=None)


class Variables(Struct):
    """What the environment says of one instance: variable names, keys in the order of their numbers."""

    type: str
    has_suffix: bool
    keys: list[tuple[int, str]] = []
    others: dict[str, str] = {}

    def names(self) -> list[str]:
        return [name for _, name in sorted(self.keys)] + list(self.others.values())


Assignment = tuple[tuple[str, ...], Found]


class Environment:
    """Reads ``environ`` knowing the file: ``named`` are its instances by variable prefix, ``references`` the variables
    it fills in itself (the file has placed them, so they turn no further instance on). ``asks_for_key(type, base_url)``
    tells whether an instance must have a key; it may raise ``ValueError`` when ``base_url`` is none.

    After ``read``, ``keyless`` has the instances that only an address turned on, each with its variable."""

    def __init__(
        self,
        environ: Mapping[str, str],
        types: Sequence[str],
        asks_for_key: Callable[[str, str | None], bool],
        named: Mapping[str, Named],
        references: Set[str],
    ) -> None:
        self._environ = {name: value.strip() for name, value in sorted(environ.items()) if value.strip()}
        self._types = types
        self._asks_for_key = asks_for_key
        self._named = named
        self._references = references
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self.keyless: dict[str, str] = {}

    def read(self) -> Found:
        tree = Found({}, "environment")
        for path, leaf in (*self._short_names(), *self._providers(), *self._paths()):
            tree = merge(tree, nest(path, leaf), self.problems)
        return tree

    def text(self, name: str) -> str:
        """The value of a variable that is set."""
        return self._environ[name]

    def _found(self, name: str) -> Found:
        return Found(self._environ[name], f"environment {name}")

    def _short_names(self) -> Iterator[Assignment]:
        for name, path in SHORT_NAMES:
            if name in self._environ:
                yield path, self._found(name)

    def _paths(self) -> Iterator[Assignment]:
        for name in self._environ:
            if not name.startswith(_PATH_PREFIX):
                continue
            path = name.removeprefix(_PATH_PREFIX).lower().split("__")
            if len(path) == 1:
                self._check_short_name(name)
                continue
            if path[0] == "providers":
                prefix = prefix_of(path[1])
                path[1] = self._named[prefix].name if prefix in self._named else instance_of(prefix)
            yield tuple(path), self._found(name)

    def _check_short_name(self, name: str) -> None:
        known = {FILE_VARIABLE, *(short for short, _ in SHORT_NAMES)}
        if name in known or _SERVICE_NAME.fullmatch(name) or _SERVICE_VALUE.fullmatch(self._environ[name]):
            return
        text = f"unknown variable; the nearest known is {nearest(name, sorted(known | set(_long_names(Settings, ()))))}"
        self.problems.append(Problem("", f"environment {name}", text))

    # --- provider instances -----------------------------------------------------------------------------------------

    def _providers(self) -> Iterator[Assignment]:
        for prefix, variables in self._grouped().items():
            name = self._instance(prefix, variables)
            if name is not None:
                named = self._named.get(prefix)
                yield from self._assignments(name, variables, named.placed if named else frozenset())

    def _grouped(self) -> dict[str, Variables]:
        longest_first = "|".join(re.escape(t.upper()) for t in sorted(self._types, key=len, reverse=True))
        pattern = re.compile(
            rf"(?P<prefix>(?P<type>{longest_first})(?P<suffix>(?:_[A-Z0-9]+)*?))"
            r"_(?:(?P<key>API_KEY)(?:_(?P<number>[0-9]{1,6}))?|(?P<field>BASE_URL|MODELS))"
        )
        grouped: dict[str, Variables] = {}
        for match in filter(None, map(pattern.fullmatch, self._environ)):
            fresh = Variables(match["type"].lower(), bool(match["suffix"]))
            variables = grouped.setdefault(match["prefix"], fresh)
            if match["key"]:
                variables.keys.append((int(match["number"] or 0), match[0]))
            else:
                variables.others[match["field"].lower()] = match[0]
        return dict(sorted(grouped.items()))

    def _instance(self, prefix: str, variables: Variables) -> str | None:
        """The instance these variables are about, None when they are about none of ours."""
        named = self._named.get(prefix)
        if named is None:
            return self._fresh_instance(prefix, variables)
        if named.type in self._types and named.type != variables.type:
            text = (
                f"the variable is for the type {variables.type!r}, the instance is of type {named.type!r}; rename one"
            )
            place = f"providers.{named.name}"
            self.problems += [Problem(place, f"environment {name}", text) for name in variables.names()]
            return None
        return named.name

    def _fresh_instance(self, prefix: str, variables: Variables) -> str | None:
        if self._references >= set(variables.names()):
            return None
        is_written_out = any(name.startswith(f"{_PATH_PREFIX}PROVIDERS__{prefix}__") for name in self._environ)
        if variables.keys or is_written_out:
            return instance_of(prefix)
        if self._lacks_key(variables):
            missing = f"there is no {prefix}_API_KEY, so no instance {instance_of(prefix)!r}"
            self.notes += [f"{name} is not used: {missing}" for name in variables.names()]
            return None
        if "base_url" in variables.others and self._asks_for_key(variables.type, None):
            self.keyless[instance_of(prefix)] = variables.others["base_url"]
        return instance_of(prefix)

    def _lacks_key(self, variables: Variables) -> bool:
        name = None if variables.has_suffix else variables.others.get("base_url")
        try:
            return self._asks_for_key(variables.type, name and self._environ[name])
        except ValueError:
            return True

    def _assignments(self, instance: str, variables: Variables, placed: Set[str]) -> Iterator[Assignment]:
        path = ("providers", instance)
        names = [name for _, name in sorted(variables.keys)]
        if names and not placed.isdisjoint(names):
            told = f"is not used: the file fills in the keys of {instance!r} itself"
            self.notes += [f"{name} {told}" for name in names if name not in self._references]
        elif names:
            # both names are set, so that keys of the file do not remain beside those of the environment
            first, *further = map(self._found, names)
            yield (*path, "api_key"), first
            yield (*path, "api_keys"), Found(further, first.source)
        for field, name in variables.others.items():
            if name not in placed:
                yield (*path, field), self._found(name)


def _long_names(struct: type[Struct], path: tuple[str, ...]) -> Iterator[str]:
    for name, field in fields_of(struct).items():
        inner = (*path, name.upper(), "<NAME>") if field.shape is Shape.SECTIONS else (*path, name.upper())
        if field.struct is not None:
            yield from _long_names(field.struct, inner)
        elif field.shape is not Shape.MAP:
            yield _PATH_PREFIX + "__".join(inner)
