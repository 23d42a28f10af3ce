import json

import pytest

from gateway.core.errors import (
    BadRequest,
    Internal,
    ModelNotFound,
    Overloaded,
    TooLarge,
    Unauthorized,
    UnsupportedParameter,
    UpstreamBroken,
    UpstreamRefused,
    UpstreamTimeout,
)
from gateway.core.types import Fault
from gateway.dialects.openai_errors import error_body, error_event, fault_event


def told(error) -> dict:
    return json.loads(error_body(error))["error"]


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (BadRequest("no"), "invalid_request_error", "invalid_request"),
        (UnsupportedParameter("no"), "invalid_request_error", "unsupported_parameter"),
        (Unauthorized("no"), "invalid_request_error", "invalid_api_key"),
        (ModelNotFound("no"), "invalid_request_error", "model_not_found"),
        (TooLarge("no"), "invalid_request_error", "request_too_large"),
        (Internal("no"), "server_error", "internal_error"),
        (Overloaded("no"), "server_error", "overloaded"),
        (UpstreamBroken("no"), "server_error", "upstream_broken"),
        (UpstreamTimeout("no", phase="stall"), "server_error", "upstream_timeout"),
    ],
)
def test_type_and_code_follow_openai(error, kind, code):
    assert told(error) == {"message": "no", "type": kind, "param": None, "code": code}


def test_the_field_at_fault_is_named():
    assert told(BadRequest("no", param="messages[0].role"))["param"] == "messages[0].role"


def test_what_only_the_operator_may_see_is_not_told():
    assert b"10.0.0.7" not in error_body(Internal("Something went wrong.", detail="10.0.0.7 refused"))


def refused(**words: str) -> UpstreamRefused:
    error = UpstreamRefused("Overloaded now.", upstream_status=529, retryable=True, **words)
    error.provider = "anthropic-eu"
    return error


def test_a_providers_own_words_are_kept():
    assert told(refused(native_type="overloaded_error", native_code="busy")) == {
        "message": "anthropic-eu: Overloaded now.",
        "type": "overloaded_error",
        "param": None,
        "code": "busy",
    }


def test_a_provider_without_words_of_its_own_gets_ours():
    error = told(refused())
    assert (error["type"], error["code"]) == ("server_error", "upstream_refused")


def test_an_error_event_is_one_event_with_the_same_body():
    error = refused()
    assert error_event(error) == b"data: " + error_body(error) + b"\n\n"


def test_a_fault_is_told_like_an_error():
    event = fault_event(Fault("Busy\nnow", status=503, kind="overloaded"))
    assert event.count(b"\n") == 2
    assert json.loads(event.removeprefix(b"data: ")) == {
        "error": {"message": "Busy\nnow", "type": "server_error", "param": None, "code": "overloaded"}
    }
