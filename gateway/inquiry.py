"""One small request to a provider beside the hot path: its models, its files, its batches."""

import asyncio

from gateway.core.errors import UpstreamBroken, UpstreamError, UpstreamRefused, UpstreamTimeout
from gateway.core.limits import MAX_UPSTREAM_BODY_BYTES
from gateway.relay import PlainRelay
from gateway.targets import ProviderInstance


async def ask(
    instance: ProviderInstance, method: str, path: str, body: bytes = b"", max_bytes: int = MAX_UPSTREAM_BODY_BYTES
) -> PlainRelay:
    """The whole answer of ``instance``, whatever its status, to a request with its first key: objects that are kept
    belong to the account of that key. ``path`` may have a query. Raises ``UpstreamError`` when there is no answer, or
    one of more than ``max_bytes``."""
    head = instance.request_heads(method, path)[0]
    relay = PlainRelay(asyncio.get_running_loop(), max_bytes)
    relay.exchange = instance.upstream.send(head, body, relay, streamed=False)
    try:
        await relay.done
    finally:
        relay.exchange.cancel()
    return relay


def refusal(instance: ProviderInstance, relay: PlainRelay) -> UpstreamError:
    """What an answer with a status of 300 or more means."""
    if relay.status >= 600:
        return UpstreamBroken("The provider answered with a status that HTTP does not have.")
    if relay.status < 400:
        redirect = UpstreamBroken(f"The provider answered with a redirect ({relay.status}), which is not followed.")
        redirect.retryable = False
        return redirect
    error = instance.provider.read_error(relay.status, relay.lower_headers(), instance.scrub_json(relay.body))
    return instance.scrub_error(error)


def outcome_of(error: UpstreamError) -> str:
    """An attempt's result as a metric label, from a closed set."""
    if isinstance(error, UpstreamRefused):
        return f"status_{error.upstream_status}"
    return f"timeout_{error.phase}" if isinstance(error, UpstreamTimeout) else error.code
