"""What the environment says, as a tree of found values.

Three spellings, the later wins:

    PORT, SLUICE_MASTER_KEY                         short names of single settings
    <TYPE>_API_KEY, <TYPE>_EAST_BASE_URL            a provider instance: ``type``, ``type-east``
    SLUICE_SERVER__MAX_BODY                         any setting by its path

An empty variable is an unset one. Variables of other programs share the prefixes of provider types, so nothing else is
looked at (not ``<TYPE>_ORG_ID``), and a suffixed instance needs its key: an address alone may be another program's.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set

from msgspec import Struct

from gateway.config.found import Found, Problem, merge, nest

# In rising precedence. HOST is not among them: shells and build tools set it to other things.
SHORT_NAMES = (
    ("GOMODEL_MASTER_KEY", ("auth", "master_key")),
    ("SLUICE_MASTER_KEY", ("auth", "master_key")),
    ("PORT", ("server", "port")),
)
_PATH_PREFIX = "SLUICE_"


class Named(Struct, frozen=True):
    """A provider instance of the file."""

    name: str
    type: str


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
    it fills in itself (the file has placed them, so they turn no further instance on)."""

    def __init__(
        self,
        environ: Mapping[str, str],
        types: Sequence[str],
        needs_key: Callable[[str], bool],
        named: Mapping[str, Named],
        references: Set[str],
    ) -> None:
        self._environ = {name: value.strip() for name, value in sorted(environ.items()) if value.strip()}
        self._types = types
        self._needs_key = needs_key
        self._named = named
        self._references = references
        self.problems: list[Problem] = []
        self.notes: list[str] = []

    def read(self) -> Found:
        tree = Found({}, "environment")
        for path, leaf in (*self._short_names(), *self._providers(), *self._paths()):
            tree = merge(tree, nest(path, leaf), self.problems)
        return tree

    def _found(self, name: str) -> Found:
        return Found(self._environ[name], f"environment {name}")

    def _short_names(self) -> Iterator[Assignment]:
        for name, path in SHORT_NAMES:
            if name in self._environ:
                yield path, self._found(name)

    def _paths(self) -> Iterator[Assignment]:
        for name in self._environ:
            path = name.removeprefix(_PATH_PREFIX).lower().split("__")
            if not name.startswith(_PATH_PREFIX) or len(path) == 1:
                continue
            if path[0] == "providers":
                prefix = prefix_of(path[1])
                path[1] = self._named[prefix].name if prefix in self._named else instance_of(prefix)
            yield tuple(path), self._found(name)

    # --- provider instances -----------------------------------------------------------------------------------------

    def _providers(self) -> Iterator[Assignment]:
        for prefix, variables in self._grouped().items():
            name = self._instance(prefix, variables)
            if name is not None:
                yield from self._assignments(("providers", name), variables)

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
        return grouped

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
        if variables.has_suffix and not variables.keys and self._needs_key(variables.type):
            missing = f"there is no {prefix}_API_KEY, so no instance {instance_of(prefix)!r}"
            self.notes += [f"{name} is not used: {missing}" for name in variables.names()]
            return None
        return instance_of(prefix)

    def _assignments(self, path: tuple[str, ...], variables: Variables) -> Iterator[Assignment]:
        keys = [self._found(name) for _, name in sorted(variables.keys)]
        if keys:
            # both names are set, so that keys of the file do not remain beside those of the environment
            yield (*path, "api_key"), keys[0]
            yield (*path, "api_keys"), Found(keys[1:], keys[0].source)
        for field, name in variables.others.items():
            yield (*path, field), self._found(name)
