from collections.abc import Iterator

import pytest
from msgspec import Struct

from gateway.config.schema import Field, Shape, field_at, fields_of
from gateway.config.settings import ProviderSettings, ServerSettings, Settings


def every_field(struct: type[Struct], place: str = "") -> Iterator[tuple[str, Field]]:
    for name, field in fields_of(struct).items():
        yield f"{place}{name}", field
        if field.struct is not None:
            yield from every_field(field.struct, f"{place}{name}.")


SETTINGS = {place: field for place, field in every_field(Settings) if field.struct is None}


@pytest.mark.parametrize("place", SETTINGS)
def test_every_setting_has_one_line_of_explanation(place):
    description = SETTINGS[place].description
    assert description.endswith(".")
    assert "\n" not in description
    assert "|" not in description


@pytest.mark.parametrize("place", SETTINGS)
def test_every_default_is_within_its_bounds_and_is_read_back(place):
    field = SETTINGS[place]
    if field.default not in (None, "", (), {}):
        assert field.kind.read(field.kind.write(field.default)) == field.default
        assert field.lowest is None or field.lowest <= field.default <= field.highest


def test_shapes_follow_the_annotations():
    fields = fields_of(ProviderSettings)
    assert {name: fields[name].shape for name in ("type", "models", "headers", "timeouts")} == {
        "type": Shape.ONE,
        "models": Shape.LIST,
        "headers": Shape.MAP,
        "timeouts": Shape.SECTION,
    }
    assert fields_of(Settings)["providers"].shape is Shape.SECTIONS


def test_hints_say_what_to_write():
    fields = fields_of(ServerSettings)
    assert fields["workers"].hint == "a whole number from 1 to 256, for example 1"
    assert fields["max_body"].hint == "a size from 1KiB to 1GiB, for example 32MiB"
    assert fields["host"].hint == "an IP address or a host name, for example 127.0.0.1"
    assert fields_of(ProviderSettings)["models"].hint == "a list, each a model id"
    assert fields_of(Settings)["server"].hint == "a section of names and values"


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("server.port", "port"),
        ("providers.east.api_keys[0]", "api_keys"),
        ("providers.east.timeouts.connect", "connect"),
        ("providers.east.headers.X-A", "headers"),
    ],
)
def test_a_place_tells_its_setting(place: str, name: str) -> None:
    field = field_at(Settings, place)
    assert field is not None
    assert field.name == name


@pytest.mark.parametrize("place", ["", "a", "server.prt", "providers.east", "providers.east.a.b", "[0]"])
def test_another_place_tells_none(place: str) -> None:
    assert field_at(Settings, place) is None
