"""One gateway for the whole suite, in front of a vendor of each language. ``make test-clients`` runs it.

A test that takes ``route`` runs once for each vendor. No vendor may have refused anything: each keeps its own rules.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.vendors.world import KEY, Route, World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("sluice")) as world:
        yield world


@pytest.fixture(autouse=True)
def _vendors_are_content(world: World) -> Iterator[None]:
    for route in world.routes.values():
        route.vendor.forget()
    yield
    assert [refusal for route in world.routes.values() for refusal in route.vendor.refusals] == []


@pytest.fixture(params=["openai", "anthropic", "gemini", "openrouter"])
def route(world: World, request: pytest.FixtureRequest) -> Route:
    return world.routes[request.param]


@pytest.fixture(scope="session")
def openai_options(world: World) -> dict[str, Any]:
    """For clients in OpenAI's dialects."""
    return {"base_url": f"{world.url}/v1", "api_key": KEY}


@pytest.fixture(scope="session")
def anthropic_options(world: World) -> dict[str, Any]:
    """For clients in Anthropic's dialect."""
    return {"base_url": world.url, "api_key": KEY}
