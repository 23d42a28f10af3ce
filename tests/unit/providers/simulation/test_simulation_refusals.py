import json

import msgspec
import pytest
from msgspec import Struct

from gateway.core.decoding import DECODE_ERRORS
from providers.simulation.refusals import RefusedError, render_error, unreadable


class _Inner(Struct, forbid_unknown_fields=True):
    number: int


class _Outer(Struct):
    name: str
    rows: list[_Inner] = []
    limits: dict[str, int] = {}


def _refusal(body: bytes) -> RefusedError:
    with pytest.raises(DECODE_ERRORS) as caught:
        msgspec.json.decode(body, type=_Outer)
    return unreadable(caught.value)


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b"{", None, None),
        (b'{"name": "\xff"}', None, None),
        (b"[" * 100_000, None, "invalid_type"),
        (b"{}", "name", "missing_required_parameter"),
        (b'{"name": 1}', "name", "invalid_type"),
        (b'{"name": "a", "rows": [{"number": 1}, {}]}', "rows[1].number", "missing_required_parameter"),
        (b'{"name": "a", "rows": [{"number": 1, "extra": 1}]}', "rows[0].extra", "unknown_parameter"),
        (b'{"name": "a", "limits": {"x": "y"}}', "limits[...]", "invalid_type"),
    ],
)
def test_names_the_field_at_fault(body: bytes, param: str | None, code: str | None) -> None:
    error = _refusal(body).error
    assert (error.param, error.code, error.type) == (param, code, "invalid_request_error")
    assert param is None or param in error.message


def test_is_rendered_in_the_envelope_of_the_openai_api() -> None:
    refused = RefusedError("No.", status=404, param="model", code="model_not_found")
    assert json.loads(render_error(refused.error)) == {
        "error": {"message": "No.", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
    }
