"""Google Gemini as a record: its doors, its key, its errors, its models."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.secret import Secret
from gateway.core.types import Capability, DialectName, Model
from providers import load
from providers.gemini import PROVIDER, auth, read_error, read_models


def test_it_is_found_by_its_name_and_has_three_doors() -> None:
    assert load("gemini") is PROVIDER
    (chat,) = PROVIDER.surfaces[Capability.CHAT]
    assert chat.path == "/v1beta/models/{model}:generateContent"
    assert chat.stream_path == "/v1beta/models/{model}:streamGenerateContent?alt=sse"
    assert chat.dialect is DialectName.GEMINI_GENERATE_CONTENT
    assert chat.translator is not None
    (embeddings,) = PROVIDER.surfaces[Capability.EMBEDDINGS]
    assert embeddings.path == "/v1beta/models/{model}:batchEmbedContents"
    (counting,) = PROVIDER.surfaces[Capability.COUNT_TOKENS]
    assert counting.path == "/v1beta/models/{model}:countTokens"


def test_the_key_has_a_header_of_its_own() -> None:
    assert auth(Secret("AIzaSyAbc")) == (("x-goog-api-key", "AIzaSyAbc"),)


# --- errors ---------------------------------------------------------------------------------------------------------


def envelope(code: int, word: str, *details: dict[str, Any], message: str = "Something is wrong") -> bytes:
    error: dict[str, Any] = {"code": code, "message": message, "status": word}
    return json.dumps({"error": {**error, "details": list(details)} if details else error}).encode()


@pytest.mark.parametrize(
    ("status", "word", "retryable"),
    [
        (400, "INVALID_ARGUMENT", False),
        (400, "FAILED_PRECONDITION", False),
        (401, "UNAUTHENTICATED", False),
        (403, "PERMISSION_DENIED", False),
        (404, "NOT_FOUND", False),
        (429, "RESOURCE_EXHAUSTED", True),
        (500, "INTERNAL", True),
        (503, "UNAVAILABLE", True),
        (504, "DEADLINE_EXCEEDED", True),
    ],
)
def test_an_error_keeps_its_status_word_and_message(status: int, word: str, retryable: bool) -> None:
    refused = read_error(status, {"content-type": "application/json"}, envelope(status, word))
    assert (refused.status, refused.native_type, refused.message) == (status, word, "Something is wrong")
    assert refused.retryable is retryable


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "41s"}
REASON = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
FIELD = {
    "@type": "type.googleapis.com/google.rpc.BadRequest",
    "fieldViolations": [{"field": "contents[0].parts", "description": "is empty"}],
}


def test_a_delay_in_the_body_is_told_as_a_header() -> None:
    refused = read_error(429, {}, envelope(429, "RESOURCE_EXHAUSTED", RETRY))
    assert refused.retry_after_s == 41
    assert refused.response_headers() == (("retry-after", "41"),)
    refused = read_error(429, {}, envelope(429, "RESOURCE_EXHAUSTED", RETRY | {"retryDelay": "0.25s"}))
    assert (refused.retry_after_s, refused.response_headers()) == (0.25, (("retry-after", "1"),))


def test_a_delay_in_a_header_wins() -> None:
    refused = read_error(429, {"retry-after": "7"}, envelope(429, "RESOURCE_EXHAUSTED", RETRY))
    assert (refused.retry_after_s, refused.response_headers()) == (7, (("retry-after", "7"),))


@pytest.mark.parametrize("delay", ["soon", "-1s", "41", 41, None, "9999999s", "1e3s", "1s\n"])
def test_a_delay_that_is_none_is_left_out(delay: object) -> None:
    refused = read_error(429, {}, envelope(429, "RESOURCE_EXHAUSTED", RETRY | {"retryDelay": delay}))
    assert (refused.retry_after_s, refused.headers) == (None, ())


def test_an_envelope_inside_a_list_is_read() -> None:
    refused = read_error(429, {}, b"[" + envelope(429, "RESOURCE_EXHAUSTED", RETRY) + b"]")
    assert (refused.native_type, refused.message) == ("RESOURCE_EXHAUSTED", "Something is wrong")
    assert refused.retry_after_s == 41


def test_the_reason_and_the_field_are_told() -> None:
    refused = read_error(400, {}, envelope(400, "INVALID_ARGUMENT", {"odd": 1}, REASON, FIELD))
    assert (refused.native_code, refused.param) == ("API_KEY_INVALID", "contents[0].parts")


def test_details_of_odd_shape_hide_nothing_else() -> None:
    refused = read_error(400, {}, envelope(400, "INVALID_ARGUMENT", {"fieldViolations": 5}, REASON))
    assert (refused.native_type, refused.native_code) == ("INVALID_ARGUMENT", "API_KEY_INVALID")


def test_a_page_instead_of_an_error_is_told_by_its_status() -> None:
    refused = read_error(413, {"content-type": "text/html"}, b"<!DOCTYPE html><title>Error 413</title>")
    assert (refused.status, refused.message) == (413, "the provider answered 413 without saying why")


def test_a_key_goes_no_further() -> None:
    refused = read_error(400, {}, envelope(400, "INVALID_ARGUMENT", message="bad key AIzaSyD-0123456789abcdefghij"))
    assert "AIza" not in refused.message


# --- models ---------------------------------------------------------------------------------------------------------


def test_models_are_told_without_their_folder() -> None:
    listed = {
        "models": [
            {"name": "models/gemini-2.5-pro", "displayName": "Gemini 2.5 Pro", "inputTokenLimit": 1048576},
            {"name": "models/text-embedding-004"},
        ]
    }
    assert read_models(json.dumps(listed).encode()) == [
        Model("gemini-2.5-pro", 0, "google", "Gemini 2.5 Pro"),
        Model("text-embedding-004", 0, "google", ""),
    ]


@given(st.binary(max_size=40) | st.sampled_from([b"{}", b"[]", b'{"models":5}', b'{"models":[{}]}', b"[" * 9999]))
def test_what_is_no_list_of_models_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a model list"):
        read_models(body)
