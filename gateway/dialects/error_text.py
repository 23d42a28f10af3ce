"""The words of an error that every dialect tells in its own shape."""

from gateway.core.errors import GatewayError, UpstreamError


def error_text(error: GatewayError) -> str:
    """The message, with the provider's name in front, so that a reader knows whose words these are."""
    provider = error.provider if isinstance(error, UpstreamError) else ""
    return f"{provider}: {error.message}" if provider else error.message
