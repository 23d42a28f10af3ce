"""``/p/{instance}/...``: anything at a provider's own API, for what the gateway has no endpoint for.

Method, path, query, body and answer go through as they are, both ways as streams. Only credentials and what speaks of
one connection are replaced; an error is held until it is known that it repeats none. Usage is noted where the path is
one that the gateway knows.
"""

import asyncio
from collections.abc import Callable, Iterator
from time import monotonic
from urllib.parse import unquote_plus

from gateway.core.auth import CREDENTIAL_HEADERS
from gateway.core.edge import HeaderMap
from gateway.core.errors import BadRequest, NotFound, UpstreamError
from gateway.core.limits import MAX_REQUEST_ID_CHARS
from gateway.core.names import is_header_value, is_instance_name, is_plain_path
from gateway.core.types import Fault, Header, Usage, UsageReport
from gateway.inquiry import outcome_of
from gateway.passing import PassRelay, upload
from gateway.request import PRIVATE, Reply, Request, request_id_line
from gateway.targets import ProviderInstance, Targets
from gateway.telemetry.record import Record
from providers.contract import Summary, Surface, Transducer

# What speaks of one connection (RFC 9110, section 7.6.1), of the way to this gateway, or of the gateway itself. The
# upstream client writes its own.
_OWN_HEADERS = frozenset(
    (
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"),
        *("host", "content-length", "cookie", "via", "forwarded"),
        *CREDENTIAL_HEADERS,
        # what a provider answers must be readable: it may repeat the gateway's credentials
        "accept-encoding",
    )
)
# Where clients of Google's APIs may put their key: here it is the gateway's.
_CREDENTIAL_PARAMETERS = frozenset(("key", "access_token"))
_OWN_PREFIXES = ("proxy-", "x-sluice-", "x-forwarded-", "sec-")


class Passthrough:
    """Serves every method at every path behind an instance's name."""

    def __init__(self, targets: Targets, max_body_bytes: int) -> None:
        self._targets = targets
        self._max_body_bytes = max_body_bytes

    async def serve(self, request: Request) -> Reply | None:
        """Raises ``GatewayError`` while nothing has reached the client."""
        instance, path = self._find(request)
        query = f"?{request.call.query}" if request.call.query else ""
        await pass_through(request, instance, path, query, self._max_body_bytes)
        return None

    def _find(self, request: Request) -> tuple[ProviderInstance, str]:
        name = request.argument(0)
        instance = self._targets.instances.get(name)
        if instance is None:
            shown = repr(name) if is_instance_name(name) else "of that name"
            raise NotFound(f"There is no provider {shown}; there are {', '.join(self._targets.instances)}.")
        path = request.arguments[1]
        if not is_plain_path(path):
            raise BadRequest(
                "The path behind the provider's name has a segment that could lead elsewhere: '..', '//', a quoted "
                "slash, a backslash or a percent sign that is quoted itself."
            )
        return instance, instance.relative_path("/" + path)


async def pass_through(
    request: Request, instance: ProviderInstance, path: str, query: str, max_body_bytes: int
) -> PassRelay:
    """Send ``request``'s method and body to ``path`` of ``instance`` and its answer to the client, both as streams.
    ``query`` begins with its question mark or is empty; credentials in it stay here. Raises ``GatewayError`` while
    nothing has reached the client."""
    call, record = request.call, request.record
    if call.length != 0 and not max_body_bytes:
        raise BadRequest("This request takes no body.")
    record.provider = instance.name
    record.attempts += 1
    surface = _surface_of(instance, path)
    try:
        head = _request_head(instance, call.method, path + _without_credentials(query), call.headers)
    except ValueError:
        raise BadRequest("The request has a header or a query that cannot be passed on.") from None
    relay = PassRelay(
        call,
        asyncio.get_running_loop(),
        head=lambda: PRIVATE + request_id_line(record) + f"X-Sluice-Provider: {instance.name}\r\n".encode(),
        scrub=instance.scrub,
        scrub_error=_error_scrubber(instance) if instance.secrets else None,
        observer=None if surface is None else _Watch(surface),
        read_summary=None if surface is None else _summary_reader(surface),
    )
    started_at = monotonic()
    exchange = relay.exchange = instance.upstream.send_stream(head, call.length, relay)
    call.attach(exchange)
    try:
        await upload(call, exchange, max_body_bytes)
        await relay.done
    except UpstreamError as error:
        instance.count(outcome_of(error))
        raise
    except asyncio.CancelledError:
        instance.count("cancelled")
        relay.abandon()
        raise
    finally:
        exchange.cancel()
        call.attach(None)
        record.upstream_ms += (monotonic() - started_at) * 1000
        record.is_stream = relay.is_event_stream
        record.usage, record.finish_reason = relay.usage, relay.finish_reason
        record.upstream_request_id = instance.scrub(relay.request_id)[:MAX_REQUEST_ID_CHARS].decode("latin-1")
    _note_end(instance, relay, record)
    return relay


def _note_end(instance: ProviderInstance, relay: PassRelay, record: Record) -> None:
    error = relay.error
    if error is not None:
        record.is_truncated = isinstance(error, UpstreamError)
        record.error_code, record.detail = error.code, error.for_log()
    if isinstance(error, UpstreamError):
        instance.count(outcome_of(error))
    else:
        instance.count("ok" if relay.status < 400 else f"status_{relay.status}")


def _request_head(instance: ProviderInstance, method: str, path: str, headers: HeaderMap) -> bytes:
    """``ValueError`` when anything in it could break the framing."""
    passed = list(_passed_headers(headers))
    names = {name.lower() for name, _ in passed}
    credentials = instance.provider.auth(instance.keys[0]) if instance.keys else ()
    static = [(name, value) for name, value in instance.static_headers().items() if name not in names]
    return instance.upstream.request_head(method, path, [*credentials, *static, *passed])


def _without_credentials(query: str) -> str:
    pairs = query.removeprefix("?").split("&")
    passed = [pair for pair in pairs if unquote_plus(pair.partition("=")[0]).lower() not in _CREDENTIAL_PARAMETERS]
    return query if len(passed) == len(pairs) else f"?{'&'.join(passed)}" if passed else ""


def _passed_headers(headers: HeaderMap) -> Iterator[Header]:
    """The client's headers that are meant for whoever answers."""
    named = {word.strip().lower() for value in headers.getall("Connection", ()) for word in value.split(",")}
    for name, value in headers.items():
        lower = name.lower()
        if lower in _OWN_HEADERS or lower.startswith(_OWN_PREFIXES) or lower in named:
            continue
        if not is_header_value(value):
            raise BadRequest(f"The header {lower[:64]!r} has characters that no header may have.")
        yield name, value


def _error_scrubber(instance: ProviderInstance) -> Callable[[bytes, bool], bytes]:
    longest = max(map(len, instance.secrets))

    def scrub(body: bytes, is_whole: bool) -> bytes:
        text = instance.scrub_json(body)
        # the end of a part may be the beginning of a secret
        return text if is_whole else text[: max(0, len(text) - longest)]

    return scrub


# --- usage ----------------------------------------------------------------------------------------------------------


def _surface_of(instance: ProviderInstance, path: str) -> Surface | None:
    """The surface at ``path``, when the gateway can read what it answers."""
    for surfaces in instance.provider.surfaces.values():
        for surface in surfaces:
            if path in (surface.path, surface.stream_path.partition("?")[0]) or _is_of_model(surface, path):
                return surface
    return None


def _is_of_model(surface: Surface, path: str) -> bool:
    for known in (surface.path, surface.stream_path.partition("?")[0]):
        before, mark, behind = known.partition("{model}")
        if mark and path.startswith(before) and path.endswith(behind) and len(path) > len(before) + len(behind):
            return True
    return False


class _Watch:
    """Looks at bytes that go through unchanged. What it cannot read it leaves alone: an answer that makes no sense to
    the gateway may make sense to the client."""

    is_fault_told = True
    fault: Fault | None = None

    def __init__(self, surface: Surface) -> None:
        self._observer = None if surface.observer is None else surface.observer(False)
        self._transducer: Transducer | None = None
        if self._observer is None and surface.translator is not None and surface.translator.transducer is not None:
            self._transducer = surface.translator.transducer()
        self.usage: Usage | None = None
        self.finish_reason: str | None = None

    def feed(self, data: bytes) -> bytes:
        if self._observer is not None:
            self._observer.feed(data)
            self.usage, self.finish_reason = self._observer.usage, self._observer.finish_reason
        elif self._transducer is not None:
            self._transducer.feed(data)
            self.usage = self._transducer.usage
        return data

    def finish(self) -> bytes:
        return b""


def _summary_reader(surface: Surface) -> Callable[[bytes], Summary] | None:
    """Reads a plain answer of ``surface``; what makes no sense to the gateway tells it nothing."""
    if surface.read_summary is None and surface.translator is None:
        return None

    def read(body: bytes) -> Summary:
        if surface.read_summary is None:
            assert surface.translator is not None
            events = surface.translator.read_answer(body)
            return Summary(next((e.usage for e in reversed(events) if isinstance(e, UsageReport)), None))
        try:
            return surface.read_summary(body)
        except ValueError:
            return Summary()

    return read
