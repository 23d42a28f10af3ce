import pytest

from gateway.core.errors import BadRequest
from gateway.core.metadata import (
    MAX_METADATA_KEY_CHARS,
    MAX_METADATA_PAIRS,
    MAX_METADATA_VALUE_CHARS,
    check_metadata,
)


def test_metadata_up_to_its_bounds_is_taken() -> None:
    check_metadata({})
    check_metadata({str(n): "" for n in range(MAX_METADATA_PAIRS)})
    check_metadata({"k" * MAX_METADATA_KEY_CHARS: "v" * MAX_METADATA_VALUE_CHARS})


@pytest.mark.parametrize(
    "metadata",
    [
        {str(n): "" for n in range(MAX_METADATA_PAIRS + 1)},
        {"k" * (MAX_METADATA_KEY_CHARS + 1): ""},
        {"k": "v" * (MAX_METADATA_VALUE_CHARS + 1)},
    ],
)
def test_metadata_beyond_a_bound_is_refused(metadata: dict[str, str]) -> None:
    with pytest.raises(BadRequest) as refused:
        check_metadata(metadata)
    assert refused.value.param == "metadata"
