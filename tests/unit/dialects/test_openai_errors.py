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


def refused(status: int = 529, message: str = "Overloaded now.", **words: str | None) -> UpstreamRefused:
    error = UpstreamRefused(message, upstream_status=status, retryable=True, **words)
    error.provider = "anthropic-eu"
    return error


def test_a_providers_own_words_are_told_where_openai_has_them():
    assert told(refused(native_type="overloaded_error", native_code="busy")) == {
        "message": "anthropic-eu: Overloaded now.",
        "type": "server_error",
        "param": None,
        "code": "busy",
    }


@pytest.mark.parametrize(
    ("status", "type", "code", "expected"),
    [
        # Google's
        (429, "RESOURCE_EXHAUSTED", "429", ("rate_limit_error", "rate_limit_exceeded")),
        (400, "INVALID_ARGUMENT", "API_KEY_INVALID", ("invalid_request_error", "upstream_refused")),
        (403, "PERMISSION_DENIED", "403", ("invalid_request_error", "permission_denied")),
        (503, "UNAVAILABLE", "503", ("server_error", "upstream_refused")),
        # Anthropic's
        (401, "authentication_error", None, ("invalid_request_error", "invalid_api_key")),
        (402, "billing_error", None, ("invalid_request_error", "insufficient_quota")),
        (404, "not_found_error", None, ("invalid_request_error", "not_found")),
        (413, "request_too_large", None, ("invalid_request_error", "request_too_large")),
        (429, "rate_limit_error", None, ("rate_limit_error", "rate_limit_exceeded")),
        (500, "api_error", None, ("server_error", "upstream_refused")),
        # of those who speak OpenAI's language
        (429, "insufficient_quota", "insufficient_quota", ("insufficient_quota", "insufficient_quota")),
        (429, "tokens", "rate_limit_exceeded", ("tokens", "rate_limit_exceeded")),
        (404, "invalid_request_error", "model_not_found", ("invalid_request_error", "model_not_found")),
        (400, "invalid_request_error", "tool_use_failed", ("invalid_request_error", "tool_use_failed")),
        (404, "", "DeploymentNotFound", ("invalid_request_error", "DeploymentNotFound")),
        (429, "", "429", ("rate_limit_error", "rate_limit_exceeded")),
        (400, "", "", ("invalid_request_error", "upstream_refused")),
    ],
)
def test_other_words_are_openais_for_the_status(status, type, code, expected):
    error = told(refused(status, "No.", native_type=type, native_code=code))
    assert (error["type"], error["code"]) == expected


@pytest.mark.parametrize(
    "message",
    [
        "model: claude-opus-9",
        "models/gemini-9 is not found for API version v1beta, or is not supported for generateContent.",
        "The Model `x` does not exist",
    ],
)
def test_a_model_that_is_not_there_is_told_as_one(message):
    assert told(refused(404, message, native_code="404"))["code"] == "model_not_found"
    assert told(refused(404, "File remodeled.txt was not found"))["code"] == "not_found"
    assert told(refused(400, message))["code"] == "upstream_refused"


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 208310 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        "the request exceeds the available context size, try increasing it",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "Input is too long for requested model.",
    ],
)
def test_a_prompt_that_is_too_long_has_one_code(message):
    for status in (400, 413, 422):
        for code in (None, "400", "invalid_request_error", "INVALID_ARGUMENT"):
            assert told(refused(status, message, native_code=code))["code"] == "context_length_exceeded"
    assert told(refused(500, message))["code"] == "upstream_refused"


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 200000. This model supports at most 16384 completion tokens.",
        "Invalid 'user': string too long. Expected a string with maximum length 64.",
        "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens",
    ],
)
def test_what_else_is_too_large_is_no_long_prompt(message):
    assert told(refused(400, message))["code"] == "upstream_refused"


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
