"""What holds for the whole suite."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.kit.upstream import ScriptedUpstream

# Client software, which ``make test-clients`` runs in environments of its own.
collect_ignore = ["client_suite"]

# A slow or busy machine is no failure: no test here asserts a duration, and hypothesis need not either.
settings.register_profile("sluice", deadline=None)
settings.load_profile("sluice")


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    """The provider of a whole test file. Tests that need a fresh one define it anew."""
    with ScriptedUpstream() as upstream:
        yield upstream
