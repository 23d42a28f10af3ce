import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.secret import Secret
from gateway.core.types import Capability, DialectName, Model
from providers import load
from providers.anthropic import PROVIDER, auth, read_error, read_models
from providers.claude.observer import MessagesStreamObserver


def test_it_is_found_by_its_name_and_translates_chats() -> None:
    assert load("anthropic") is PROVIDER
    (surface,) = PROVIDER.surfaces[Capability.CHAT]
    assert (surface.path, surface.dialect) == ("/messages", DialectName.ANTHROPIC_MESSAGES)
    assert surface.translator is not None
    assert surface.observer is MessagesStreamObserver
    assert ("anthropic-version", "2023-06-01") in PROVIDER.headers


def test_it_counts_tokens_beside_its_messages() -> None:
    (surface,) = PROVIDER.surfaces[Capability.COUNT_TOKENS]
    assert (surface.path, surface.dialect) == ("/messages/count_tokens", DialectName.ANTHROPIC_COUNTING)
    assert surface.translator is not None
    assert surface.translator.transducer is None
    assert surface.read_summary is not None


def test_what_a_client_says_of_itself_goes_up() -> None:
    for surface in (PROVIDER.surfaces[Capability.CHAT][0], PROVIDER.surfaces[Capability.COUNT_TOKENS][0]):
        assert {"anthropic-beta", "anthropic-version", "x-claude-code-session-id"} < set(surface.forwarded_headers)
        assert surface.forwarded_prefixes == ("anthropic-",)


def test_an_api_key_has_its_own_header_and_a_token_is_a_bearer() -> None:
    assert auth(Secret("sk-ant-api03-x")) == (("x-api-key", "sk-ant-api03-x"),)
    assert auth(Secret("sk-ant-oat01-x")) == (
        ("Authorization", "Bearer sk-ant-oat01-x"),
        ("anthropic-beta", "oauth-2025-04-20"),
    )


# --- errors ---------------------------------------------------------------------------------------------------------


def envelope(type: str, message: str = "Something is wrong") -> bytes:
    return b'{"type":"error","error":{"type":"%b","message":"%b"},"request_id":"req_1"}' % (
        type.encode(),
        message.encode(),
    )


@pytest.mark.parametrize(
    ("status", "type", "retryable"),
    [
        (400, "invalid_request_error", False),
        (401, "authentication_error", False),
        (402, "billing_error", False),
        (403, "permission_error", False),
        (404, "not_found_error", False),
        (413, "request_too_large", False),
        (429, "rate_limit_error", True),
        (500, "api_error", True),
        (503, "api_error", True),
        (504, "timeout_error", True),
        (529, "overloaded_error", True),
        # a relay in between that turns every failure into a 400
        (400, "overloaded_error", True),
    ],
)
def test_an_error_keeps_its_status_type_and_words(status: int, type: str, retryable: bool) -> None:
    refused = read_error(status, {"content-type": "application/json"}, envelope(type))
    assert (refused.status, refused.upstream_status, refused.native_type) == (status, status, type)
    assert (refused.message, refused.retryable) == ("Something is wrong", retryable)
    assert refused.body == envelope(type)


@pytest.mark.parametrize(("advice", "retryable"), [("true", True), ("false", False), ("maybe", True)])
def test_the_provider_s_advice_on_retrying_wins(advice: str, retryable: bool) -> None:
    refused = read_error(429, {"x-should-retry": advice, "retry-after": "27"}, envelope("rate_limit_error"))
    assert refused.retryable is retryable
    assert refused.retry_after_s == 27
    assert refused.headers == (("retry-after", "27"), ("x-should-retry", advice))


def test_a_code_among_the_details_is_kept() -> None:
    body = (
        b'{"type":"error","error":{"type":"invalid_request_error","message":"m",'
        b'"details":{"error_code":"thread_unsupported_request"}}}'
    )
    assert read_error(400, {}, body).native_code == "thread_unsupported_request"


def test_a_key_in_the_message_is_taken_out() -> None:
    refused = read_error(401, {}, envelope("authentication_error", "invalid x-api-key sk-ant-api03-abcdefgh"))
    assert "abcdefgh" not in refused.message
    assert b"abcdefgh" not in refused.body


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"[]", b'"text"', b'{"error":[]}', b"[" * 10_000])
def test_an_error_without_an_envelope_says_its_status(body: bytes) -> None:
    refused = read_error(502, {"content-type": "text/html"}, body)
    assert (refused.status, refused.retryable, refused.body) == (502, True, b"")
    assert "502" in refused.message


@given(st.integers(400, 599), st.binary(max_size=200))
def test_any_error_body_is_an_error(status: int, body: bytes) -> None:
    assert read_error(status, {}, body).status == status


# --- models ---------------------------------------------------------------------------------------------------------


def test_models_are_listed_with_their_date() -> None:
    body = b"""{"data": [
        {"type": "model", "id": "claude-opus-5", "display_name": "Claude Opus 5", "created_at": "2026-07-24T00:00:00Z",
         "max_tokens": 128000, "capabilities": {"batch": {"supported": true}}},
        {"type": "model", "id": "claude-x", "display_name": "Claude X", "created_at": "1970-01-01T00:00:00Z"},
        {"type": "model", "id": "claude-y"},
        {"type": "model", "id": "claude-z", "created_at": "1970-01-02T00:00:00"}
    ], "has_more": false, "first_id": "claude-opus-5", "last_id": "claude-y"}"""
    assert read_models(body) == [
        Model("claude-opus-5", 1784851200, "anthropic", "Claude Opus 5"),
        Model("claude-x", 0, "anthropic", "Claude X"),
        Model("claude-y", 0, "anthropic"),
        Model("claude-z", 86400, "anthropic"),
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data": 1}', b'{"data": [{"no": "id"}]}', b"[" * 100_000])
def test_what_is_no_model_list_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a model list"):
        read_models(body)
