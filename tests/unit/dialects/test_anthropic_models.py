import json

import pytest
from anthropic.types import ModelInfo

from gateway.core.errors import BadRequest
from gateway.core.types import Model
from gateway.dialects.anthropic_models import is_asked_for, model_list, one_model

ROWS = [(f"east/m{number}", "east", Model(f"m{number}", created=1_700_000_000 + number)) for number in range(5)]


def listed(**paging) -> tuple[list[str], bool]:
    found = json.loads(model_list(ROWS, **paging))
    ids = [ModelInfo.model_validate(entry).id for entry in found["data"]]
    assert (found["first_id"], found["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))
    return [name.removeprefix("east/") for name in ids], found["has_more"]


def test_a_model_has_the_shape_of_anthropics():
    model = Model("claude-opus-5", created=1784851200, owned_by="anthropic", display_name="Claude Opus 5")
    assert json.loads(one_model("east/claude-opus-5", "east", model)) == {
        "type": "model",
        "id": "east/claude-opus-5",
        "display_name": "Claude Opus 5",
        "created_at": "2026-07-24T00:00:00Z",
        "lifecycle": "active",
    }


@pytest.mark.parametrize("created", [0, -1, 10**12, 10**30])
def test_an_unknown_date_is_the_epoch_and_an_unknown_name_the_id(created):
    found = json.loads(one_model("east/m", "east", Model("m", created=created)))
    assert (found["created_at"], found["display_name"]) == ("1970-01-01T00:00:00Z", "east/m")


@pytest.mark.parametrize(
    ("paging", "page"),
    [
        ({}, (["m0", "m1", "m2", "m3", "m4"], False)),
        ({"limit": 2}, (["m0", "m1"], True)),
        ({"limit": 5}, (["m0", "m1", "m2", "m3", "m4"], False)),
        ({"limit": 2, "after_id": "east/m1"}, (["m2", "m3"], True)),
        ({"limit": 2, "after_id": "east/m2"}, (["m3", "m4"], False)),
        ({"after_id": "east/m4"}, ([], False)),
        ({"limit": 2, "before_id": "east/m3"}, (["m1", "m2"], True)),
        ({"limit": 3, "before_id": "east/m3"}, (["m0", "m1", "m2"], False)),
        ({"before_id": "east/m0"}, ([], False)),
    ],
)
def test_a_page_is_cut_out_of_the_list(paging, page):
    assert listed(**paging) == page


def test_a_list_without_models_is_empty():
    assert json.loads(model_list([])) == {"data": [], "has_more": False, "first_id": None, "last_id": None}


@pytest.mark.parametrize(
    ("paging", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"after_id": "east/m9"}, "after_id"),
        ({"before_id": "m0"}, "before_id"),
        ({"before_id": "east/m0", "after_id": "east/m1"}, "before_id"),
    ],
)
def test_a_page_that_is_none_is_refused(paging, param):
    with pytest.raises(BadRequest) as caught:
        model_list(ROWS, **paging)
    assert caught.value.param == param


def test_anthropics_clients_name_a_version():
    assert is_asked_for({"anthropic-version": "2023-06-01"})
    assert not is_asked_for({"authorization": "Bearer x"})
