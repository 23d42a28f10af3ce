"""A configuration file as a tree of found values: YAML (so JSON too), strictly, with ``${VAR}`` filled in.

Only the structure of YAML is used. Scalars stay the text they are, so that ``no`` is a word and ``0123`` a key; the
settings decide what a text means. Names that are written twice, tags and endless aliases are problems.
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.config.found import Found, Problem, Table, describe, join
from gateway.config.kinds import HEADER_VALUE, SECRET
from gateway.config.schema import field_at
from gateway.config.settings import Settings
from gateway.core.limits import MAX_CONFIG_VALUES, MAX_JSON_DEPTH

MAX_NAME_CHARS = 128

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_INNER = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-([^$]*))?")
_QUOTATION = re.compile(r"""(?P<own>'\\?[^']'|"'"|'<[a-z ]+>')|'[^']*'|"[^"]*\"""")
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"
_PLAIN_TAGS = frozenset(
    "tag:yaml.org,2002:" + word
    for word in ("str", "int", "float", "bool", "null", "timestamp", "value", "seq", "map", "merge")
)


class Document:
    """What one file says. ``references`` are the variables it names; those it filled in may be secrets."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        self._name = name
        self._environ = environ
        self._values_left = MAX_CONFIG_VALUES
        self.problems: list[Problem] = []
        self.references: set[str] = set()

    def read(self, text: str) -> Found:
        """The sections of ``text``; all that is wrong with it is in ``problems``."""
        nothing = Found({}, self._name)
        if not text.strip():
            return nothing
        try:
            root = _compose(text)
        except RecursionError:
            self._complain("", self._name, f"nested deeper than {MAX_JSON_DEPTH} levels")
        except _MalformedError as error:
            source = f"{self._name} line {error.line}" if error.line else self._name
            self._complain("", source, f"not YAML: {error}")
        else:
            found = nothing if root is None else self._node(root, "", 0)
            if isinstance(found.value, Mapping):
                return found
            if found.value is not None:
                text = f"found {describe(found, is_private=True)}; write sections such as `server:` and `providers:`"
                self._complain("", found.source, text)
        return nothing

    def _complain(self, place: str, source: str, text: str) -> None:
        self.problems.append(Problem(place, source, text))

    def _source(self, node: Any) -> str:
        return f"{self._name} line {node.start_mark.line + 1}"

    def _node(self, node: Any, place: str, depth: int) -> Found:
        source = self._source(node)
        self._values_left -= 1
        if self._values_left < 0 or depth > MAX_JSON_DEPTH:
            self._complain_of_size(place, source)
            return Found(None, source)
        if node.tag not in _PLAIN_TAGS:
            self._complain(place, source, 'a YAML tag ("!...") has no meaning here; quote a text that starts with "!"')
            return Found(None, source)
        if node.id == "scalar":
            return self._scalar(node, place, source)
        if node.id == "sequence":
            return Found([self._node(n, f"{place}[{i}]", depth + 1) for i, n in enumerate(node.value)], source)
        return Found(self._table(node, place, depth), source)

    def _complain_of_size(self, place: str, source: str) -> None:
        """Once: what follows such a place would only repeat it."""
        if self._values_left > -MAX_CONFIG_VALUES:
            self._values_left = -MAX_CONFIG_VALUES
            bounds = f"{MAX_CONFIG_VALUES} values and {MAX_JSON_DEPTH} levels"
            self._complain(place, source, f"too large: with aliases filled in there may be {bounds}")

    def _scalar(self, node: Any, place: str, source: str) -> Found:
        if node.tag == _NULL and node.style is None:
            return Found(None, source)
        text = self._expand(node.value, place, source)
        return Found(text, source, template=node.value if text != node.value else None)

    def _table(self, node: Any, place: str, depth: int) -> Table:
        own: Table = {}
        merged: Table = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                for part in value.value if value.id == "sequence" else [value]:
                    merged = self._merged(part, place, depth) | merged
            elif key.id != "scalar" or not key.value.isprintable() or len(key.value) > MAX_NAME_CHARS:
                self._complain(place, self._source(key), f"a name is plain text of at most {MAX_NAME_CHARS} characters")
            else:
                found = self._node(value, join(place, key.value), depth + 1)
                if key.value in own:
                    text = f"written twice; the first is in {own[key.value].source}"
                    self._complain(join(place, key.value), self._source(key), text)
                # a section starts on the line below its name; people look for the name
                own[key.value] = Found(found.value, self._source(key), found.template)
        return own | {name: found for name, found in merged.items() if name not in own}

    def _merged(self, node: Any, place: str, depth: int) -> Table:
        if node.id == "mapping":
            found = self._node(node, place, depth + 1).value
            return dict(found) if isinstance(found, Mapping) else {}
        self._complain(place, self._source(node), '"<<" takes a section or a list of sections')
        return {}

    # --- ${VAR} -----------------------------------------------------------------------------------------------------

    def _expand(self, text: str, place: str, source: str) -> str:
        def fill(match: re.Match[str]) -> str:
            return "${" if match[0] == "$${" else self._lookup(match, place, source)

        return _REFERENCE.sub(fill, text)

    def _lookup(self, match: re.Match[str], place: str, source: str) -> str:
        inner = _INNER.fullmatch(match[1])
        if inner is None or not match[2]:
            self._complain(
                place, source, 'a broken "${"; write ${NAME}, ${NAME:-default}, or $${ for the characters "${"'
            )
            return ""
        name, default = inner.groups()
        self.references.add(name)
        value = self._environ.get(name, "") or default
        if value is None:
            # nobody should be led to write a secret into the file
            otherwise = "" if _is_secret(place) else f" or write ${{{name}:-default}}"
            self._complain(place, source, f"{name} is not set; set it in the environment{otherwise}")
        return value or ""


def _is_secret(place: str) -> bool:
    field = field_at(Settings, place)
    return field is not None and field.kind in (SECRET, HEADER_VALUE)


def variables_in(found: Found) -> set[str]:
    """The variables that filled in ``found`` or something in it."""
    if isinstance(found.value, Mapping | list):
        items = found.value.values() if isinstance(found.value, Mapping) else found.value
        return {name for item in items for name in variables_in(item)}
    inner = (_INNER.fullmatch(match[1] or "") for match in _REFERENCE.finditer(found.template or ""))
    return {match[1] for match in inner if match is not None}


# --- PyYAML, at arm's length ----------------------------------------------------------------------------------------


class _MalformedError(Exception):
    """Not YAML, in words that hold nothing of the file. ``line`` is 0 when it is not known."""

    def __init__(self, text: str, line: int) -> None:
        super().__init__(text)
        self.line = line


def _compose(text: str) -> Any:
    """The node tree of one YAML document, None when it is empty. Raises ``_MalformedError`` or ``RecursionError``."""
    import yaml  # only a file pays for the import

    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _MalformedError(_without_quotations(error.problem or "malformed"), mark.line + 1 if mark else 0) from None
    except yaml.YAMLError:
        raise _MalformedError("a character that YAML does not allow", 0) from None


def _without_quotations(problem: str) -> str:
    """PyYAML names aliases and tags, and ``*`` or ``!`` may be how a secret begins. Single characters and its own words
    (``'<stream end>'``) stay."""
    return _QUOTATION.sub(lambda match: match["own"] or "...", problem)
