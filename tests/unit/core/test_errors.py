from collections.abc import Iterator
from http import HTTPStatus

import pytest

from gateway.core import errors
from gateway.core.errors import (
    ClientError,
    GatewayError,
    HeadRefused,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
    place_of,
)


def family(root: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    yield root
    for child in root.__subclasses__():
        yield from family(child)


# What each error is on the outside. A client may rely on any of it, so a change here is a change of the contract.
FAMILY = {
    "GatewayError": ("internal_error", 500, "gateway", False),
    "Internal": ("internal_error", 500, "gateway", False),
    "Overloaded": ("overloaded", 503, "gateway", False),
    "StorageUnavailable": ("storage_unavailable", 503, "gateway", False),
    "ClientError": ("internal_error", 500, "client", False),
    "BadRequest": ("invalid_request", 400, "client", False),
    "PreviousResponseNotFound": ("previous_response_not_found", 400, "client", False),
    "UnsupportedParameter": ("unsupported_parameter", 400, "client", False),
    "Unauthorized": ("invalid_api_key", 401, "client", False),
    "NotFound": ("not_found", 404, "client", False),
    "ModelNotFound": ("model_not_found", 404, "client", False),
    "EndpointNotSupported": ("endpoint_not_supported", 404, "client", False),
    "MethodNotAllowed": ("method_not_allowed", 405, "client", False),
    "HeadRefused": ("bad_request_head", 400, "client", False),
    "RequestTimeout": ("request_timeout", 408, "client", False),
    "TooLarge": ("request_too_large", 413, "client", False),
    "UnsupportedMedia": ("unsupported_media_type", 415, "client", False),
    "HeadersTooLarge": ("headers_too_large", 431, "client", False),
    "UpstreamError": ("upstream_error", 502, "upstream", True),
    "UpstreamRefused": ("upstream_refused", 502, "upstream", True),
    "UpstreamBroken": ("upstream_broken", 502, "upstream", True),
    "UpstreamUnreachable": ("upstream_unreachable", 502, "upstream", True),
    "ShuttingDown": ("shutting_down", 503, "gateway", False),
    "UpstreamTimeout": ("upstream_timeout", 504, "upstream", True),
}


def test_the_family_is_what_clients_know() -> None:
    here = {c.__name__: (c.code, c.status, c.source, c.retryable) for c in family() if c.__module__ == errors.__name__}
    assert here == FAMILY


@pytest.mark.parametrize("kind", list(family(ClientError))[1:], ids=lambda kind: kind.__name__)
def test_what_a_client_did_is_told_with_a_4xx(kind: type[ClientError]) -> None:
    error = kind("no", status=417) if issubclass(kind, HeadRefused) else kind("no")
    assert 400 <= HTTPStatus(error.status) < 500
    assert error.source == "client"
    assert not error.retryable


@pytest.mark.parametrize("kind", list(family()), ids=lambda kind: kind.__name__)
def test_the_operators_detail_is_not_part_of_what_is_shown(kind: type[GatewayError]) -> None:
    if issubclass(kind, HeadRefused | UpstreamRefused | UpstreamTimeout):
        return  # they take no detail
    error = kind("public words", param="field", detail="secret detail", retry_after_s=2.5)
    assert (error.message, error.param, error.detail, error.retry_after_s) == (
        "public words",
        "field",
        "secret detail",
        2.5,
    )
    assert str(error) == "public words"
    assert "secret" not in repr(error)


def test_a_refusal_carries_the_providers_status_and_words() -> None:
    error = UpstreamRefused(
        "no", upstream_status=429, retryable=True, native_type="t", native_code="c", retry_after_s=1.0
    )
    assert (error.status, error.upstream_status, error.retryable) == (429, 429, True)
    assert (error.native_type, error.native_code, error.retry_after_s) == ("t", "c", 1.0)
    assert (UpstreamRefused.status, UpstreamRefused.retryable) == (502, True), "one error must not change the others"


@pytest.mark.parametrize(
    ("phase", "nothing_sent", "retryable"),
    [
        ("connect", True, True),
        ("headers", False, True),
        ("first_token", False, True),
        ("stall", False, True),
        ("total", False, False),
    ],
)
def test_a_timeout_knows_what_its_phase_means(phase: str, nothing_sent: bool, retryable: bool) -> None:
    error = UpstreamTimeout("slow", phase=phase)
    assert (error.status, error.nothing_sent, error.retryable) == (504, nothing_sent, retryable)


def test_only_what_never_reached_the_provider_may_be_sent_again_without_a_thought() -> None:
    assert UpstreamUnreachable("down").nothing_sent
    assert not UpstreamError("x").nothing_sent
    assert not UpstreamRefused("x", upstream_status=500, retryable=True).nothing_sent


SECRET = "sk-very-secret-prompt-text"


def _raise_deep(level: int) -> None:
    if level:
        _raise_deep(level - 1)
    raise ValueError(SECRET)


def _raise_chained() -> None:
    try:
        _raise_deep(0)
    except ValueError as cause:
        raise KeyError(SECRET) from cause


def test_the_place_of_a_defect_is_its_innermost_line_and_none_of_its_text() -> None:
    with pytest.raises(ValueError, match=SECRET) as raised:
        _raise_deep(3)
    place = place_of(raised.value)
    line = _raise_deep.__code__.co_firstlineno + 3
    assert place == f"ValueError at {__file__}:{line}"
    assert SECRET not in place


def test_the_place_of_a_chained_or_grouped_defect_hides_all_texts() -> None:
    with pytest.raises(KeyError) as chained:
        _raise_chained()
    assert SECRET not in place_of(chained.value)
    assert SECRET not in place_of(ExceptionGroup(SECRET, [ValueError(SECRET)]))


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert place_of(ValueError(SECRET)) == "ValueError at unknown place"
