import json

from openai.types.responses import ResponseErrorEvent

from gateway.core.errors import BadRequest, UpstreamBroken
from gateway.core.types import DialectName
from gateway.dialects.openai_responses import DIALECT


def test_the_dialect_has_its_name():
    assert DIALECT.name is DialectName.OPENAI_RESPONSES


def test_an_error_answer_has_openais_shape():
    error = json.loads(DIALECT.error_body(BadRequest("No.", param="input")))["error"]
    assert error == {"message": "No.", "type": "invalid_request_error", "param": "input", "code": "invalid_request"}


def test_an_error_in_a_stream_stands_where_each_client_looks():
    name, data, *rest = DIALECT.error_event(UpstreamBroken("It broke.\nReally.")).split(b"\n")
    assert (name, rest) == (b"event: error", [b"", b""])
    event = json.loads(data.removeprefix(b"data: "))
    inner = event.pop("error")
    assert inner == {"message": "It broke.\nReally.", "type": "server_error", "param": None, "code": "upstream_broken"}
    assert event == {
        "type": "error",
        "code": "upstream_broken",
        "message": "It broke.\nReally.",
        "param": None,
        "sequence_number": 0,
    }
    ResponseErrorEvent.model_validate(event)
