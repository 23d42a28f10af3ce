"""The tables of ``docs/configuration.md``, printed from the settings. ``make docs`` writes them into the page."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from gateway.config.environment import SHORT_NAMES
from gateway.config.found import join
from gateway.config.schema import Field, Shape, fields_of
from gateway.config.settings import Settings

BEGIN = "<!-- The tables below are written by `make docs` from gateway/config/settings.py. -->\n"
END = "<!-- End of the written tables. -->\n"

_HEAD = "| Setting | Kind | Default | Environment | Meaning |\n|---|---|---|---|---|"
# Variables of an instance, after its name in capital letters.
_INSTANCE_VARIABLES = {
    "api_key": "<TYPE>_API_KEY",
    "api_keys": "<TYPE>_API_KEY_2",
    "base_url": "<TYPE>_BASE_URL",
    "models": "<TYPE>_MODELS",
}
_ARRANGED = {Shape.ONE: "", Shape.LIST: "list: ", Shape.MAP: "names, each with a "}


def reference() -> str:
    """One table a section."""
    return "\n\n".join(_table(name, field) for name, field in fields_of(Settings).items()) + "\n"


def refresh(page: str) -> str:
    """``page`` with the tables between its two marks written anew. ``ValueError`` without the marks."""
    return replace_between(page, BEGIN, END, reference())


def _table(name: str, field: Field) -> str:
    assert field.struct is not None
    place = f"{name}.<name>" if field.shape is Shape.SECTIONS else name
    return "\n".join([f"### `{place}`", "", field.struct.__doc__ or "", "", _HEAD, *_rows(field.struct, place, "")])


def _rows(struct: type[Struct], place: str, within: str) -> Iterator[str]:
    for name, field in fields_of(struct).items():
        if field.struct is not None:
            yield from _rows(field.struct, place, join(within, name))
        else:
            yield _row(field, place, join(within, name))


def _row(field: Field, place: str, name: str) -> str:
    cells = (f"`{name}`", _kind(field), _default(field), _variables(field, place, name), field.description)
    return f"| {' | '.join(cells)} |"


def _kind(field: Field) -> str:
    assert field.kind is not None
    # the bounds of the kind itself only keep out nonsense
    bounds = f",{field.bounds}" if field.highest != field.kind.highest else ""
    return _ARRANGED[field.shape] + field.kind.name + bounds


def _default(field: Field) -> str:
    assert field.kind is not None
    return "" if field.default in (None, "", (), {}) else f"`{field.kind.write(field.default)}`"


def _variables(field: Field, place: str, name: str) -> str:
    """The short names, strongest first; where there are none, the name made of the path. A map has neither."""
    path = f"{place}.{name}"
    short = [variable for variable, target in reversed(SHORT_NAMES) if ".".join(target) == path]
    if "<" in place and name in _INSTANCE_VARIABLES:
        short.append(_INSTANCE_VARIABLES[name])
    by_path = [] if field.shape is Shape.MAP else [f"SLUICE_{path.upper().replace('.', '__')}"]
    return ", ".join(f"`{variable}`" for variable in short or by_path)


def replace_between(page: str, begin: str, end: str, table: str) -> str:
    """``page`` with ``table`` in place of what stands between its two marks. ``ValueError`` without the marks."""
    head, found_begin, rest = page.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"the page has lost the marks between which a table stands: {begin.strip()} {end.strip()}")
    return f"{head}{begin}\n{table}\n{end}{tail}"


def refresh_files(refresh: Callable[[str], str]) -> None:
    """Write each page that the command line names anew."""
    for argument in sys.argv[1:]:
        file = Path(argument)
        file.write_text(refresh(file.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    refresh_files(refresh)
