import json

import pytest
from anthropic.types import ErrorResponse

from gateway.core.errors import (
    BadRequest,
    Internal,
    MethodNotAllowed,
    ModelNotFound,
    Overloaded,
    RequestTimeout,
    TooLarge,
    Unauthorized,
    UnsupportedParameter,
    UpstreamBroken,
    UpstreamRefused,
    UpstreamTimeout,
)
from gateway.core.types import Fault
from gateway.dialects.anthropic_errors import error_body, error_event, fault_event


def told(error) -> dict:
    found = json.loads(error_body(error))
    assert found["type"] == "error"
    # documented, and unknown to the official client
    if found["error"]["type"] != "request_too_large":
        ErrorResponse.model_validate({"request_id": None, **found})
    return found["error"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadRequest("no"), "invalid_request_error"),
        (UnsupportedParameter("no", param="logprobs"), "invalid_request_error"),
        (Unauthorized("no"), "authentication_error"),
        (ModelNotFound("no"), "not_found_error"),
        (MethodNotAllowed("no"), "invalid_request_error"),
        (RequestTimeout("no"), "invalid_request_error"),
        (TooLarge("no"), "request_too_large"),
        (Internal("no"), "api_error"),
        (Overloaded("no"), "overloaded_error"),
        (UpstreamBroken("no"), "api_error"),
        (UpstreamTimeout("no", phase="stall"), "timeout_error"),
    ],
)
def test_the_type_follows_the_status(error, kind):
    assert told(error) == {"type": kind, "message": "no"}


def refused(status: int, **words: str) -> UpstreamRefused:
    error = UpstreamRefused("Not now.", upstream_status=status, retryable=True, **words)
    error.provider = "east"
    return error


@pytest.mark.parametrize(
    ("status", "native", "kind"),
    [
        (402, "", "billing_error"),
        (403, "", "permission_error"),
        (429, "requests", "rate_limit_error"),
        (418, "teapot", "invalid_request_error"),
        (529, "", "overloaded_error"),
        (503, "api_error", "api_error"),
        (400, "billing_error", "billing_error"),
        # OpenAI has this one word for all of these
        (400, "invalid_request_error", "invalid_request_error"),
        (401, "invalid_request_error", "authentication_error"),
        (404, "invalid_request_error", "not_found_error"),
    ],
)
def test_a_providers_own_type_is_kept_where_it_is_anthropics(status, native, kind):
    assert told(refused(status, native_type=native)) == {"type": kind, "message": "east: Not now."}


def test_a_providers_code_is_a_detail():
    error = refused(404, native_type="not_found_error", native_code="thread_not_found")
    assert told(error)["details"] == {"error_code": "thread_not_found"}


@pytest.mark.parametrize("code", ["429", "", "RESOURCE_EXHAUSTED", "API_KEY_INVALID"])
def test_what_is_no_word_is_no_detail(code):
    assert "details" not in told(refused(429, native_type="RESOURCE_EXHAUSTED", native_code=code))


def test_only_a_thread_is_refused_as_a_thread():
    details = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    error = UnsupportedParameter("'thread' is not ours.", param="thread")
    assert told(error) == {"type": "invalid_request_error", "message": "'thread' is not ours.", "details": details}
    assert "details" not in told(BadRequest("no", param="thread"))


def test_what_only_the_operator_may_see_is_not_told():
    assert b"10.0.0.7" not in error_body(Internal("Something went wrong.", detail="10.0.0.7 refused"))


def test_an_error_event_is_one_event_with_the_same_body():
    error = refused(529)
    assert error_event(error) == b"event: error\ndata: " + error_body(error) + b"\n\n"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("Busy\nnow", status=503), "overloaded_error"),
        (Fault("Busy\nnow"), "api_error"),
        (Fault("Busy\nnow", native_type="overloaded_error"), "overloaded_error"),
        (Fault("Busy\nnow", native_type="server_error"), "api_error"),
    ],
)
def test_a_fault_is_told_like_an_error(fault, kind):
    event = fault_event(fault)
    assert event.count(b"\n") == 3
    body = json.loads(event.removeprefix(b"event: error\ndata: "))
    assert body == {"type": "error", "error": {"type": kind, "message": "Busy\nnow"}}
