"""How one request is carried to one target: the bytes to send, and how the answer comes back. No I/O.

When the client's dialect is the surface's, the body goes up as received but for the model id (and the request for usage
in a stream), and an observer watches the answer. Otherwise the core types stand between the two.
"""

from msgspec import Struct

from gateway.core.edge import HeaderMap
from gateway.core.errors import BadRequest, NotFound, UpstreamBroken, UpstreamError, UpstreamRefused
from gateway.core.jsonguard import guarded, replace_model, request_stream_usage
from gateway.core.names import is_header_value
from gateway.core.types import Event, Fault, Finish, UsageReport
from gateway.dialects.contract import Dialect, Encoder, Envelope
from gateway.flow import Flow, Translation
from gateway.targets import ProviderInstance, Target
from providers.contract import Summary, Translator

_MEDIA_TYPES = frozenset(
    (
        *(b"application/json", b"application/json; charset=utf-8"),
        *(b"text/event-stream", b"text/event-stream; charset=utf-8"),
    )
)


class Plan(Struct):
    """``extra_head`` are header lines of this request alone. ``encoder`` and ``translator`` are None on the way
    through, where bytes are not translated. ``dropped`` names client fields that the provider has no place for."""

    target: Target
    extra_head: bytes
    body: bytes
    is_stream: bool
    strips_usage: bool = False
    translator: Translator | None = None
    encoder: Encoder | None = None
    dropped: tuple[str, ...] = ()

    def forget_request(self) -> None:
        """It will not be sent again."""
        self.extra_head = self.body = b""

    def request_head(self) -> bytes:
        """The head but for the length of ``body``. Every attempt asks anew: several keys take turns."""
        return self.target.head() + self.extra_head

    def flow(self) -> Flow:
        """What a streamed answer passes through."""
        if self.translator is not None and self.encoder is not None:
            return Translation(self.translator.transducer(), self.encoder)
        return self.target.observe(self.strips_usage)

    def read_plain(self, body: bytes) -> tuple[bytes, Summary]:
        """The whole answer ``body`` of the provider as the client reads it. Raises ``UpstreamError``."""
        if self.translator is not None and self.encoder is not None:
            events = self.translator.read_answer(body)
            summary = _summarise(events, self.target.instance)
            return (self.encoder.stream if self.is_stream else self.encoder.body)(events), summary
        try:
            summary = self.target.summarise(body)
        except ValueError as error:
            raise UpstreamBroken("The provider's answer is not the JSON it should be.", detail=str(error)) from None
        if summary.fault is not None:
            raise fault_error(summary.fault, self.target.instance)
        return body, summary

    def content_type(self, given: bytes) -> bytes:
        """Of the client's answer; ``given`` is the provider's."""
        if self.encoder is None and given in _MEDIA_TYPES:
            return given
        if self.encoder is None:
            # spelled anew: a header of the provider's making may hold anything
            return b"text/event-stream" if given.lower().startswith(b"text/event-stream") else b"application/json"
        return b"text/event-stream" if self.is_stream else b"application/json"


def make_plan(
    target: Target, dialect: Dialect, envelope: Envelope, body: bytes, headers: HeaderMap, now: float
) -> Plan:
    """``headers`` are the client's, ``now`` is a Unix time. Raises ``BadRequest`` or ``NotFound``."""
    surface = target.surface
    extra_head = _forwarded(target, headers) if surface.forwarded_headers else b""
    if surface.dialect is not dialect.name:
        return _translated(target, dialect, envelope, body, extra_head, now)
    if envelope.model != target.model:
        body = replace_model(body, target.model)
    is_stream = envelope.stream is True
    strips_usage = is_stream and surface.asks_stream_usage and not envelope.include_usage
    if strips_usage:
        body = request_stream_usage(body)
    return Plan(target, extra_head, body, is_stream, strips_usage)


def _translated(
    target: Target, dialect: Dialect, envelope: Envelope, body: bytes, extra_head: bytes, now: float
) -> Plan:
    translator = target.surface.translator
    if translator is None or dialect.decode is None or dialect.encoder is None:
        raise NotFound(f"Provider {target.instance.name!r} does not offer this endpoint.")
    request = translator.to_wire(guarded(body, dialect.decode), target.model)
    encoder = dialect.encoder(envelope.model, envelope.include_usage, int(now))
    extra = "".join(f"{name}: {value}\r\n" for name, value in request.headers).encode("latin-1")
    return Plan(
        target, extra_head + extra, request.body, envelope.stream is True, False, translator, encoder, request.dropped
    )


def _forwarded(target: Target, headers: HeaderMap) -> bytes:
    """The client's headers that go up, and the provider's own values for those the client has not sent."""
    lines = []
    for name in target.surface.forwarded_headers:
        value = ", ".join(headers.getall(name, ())) or target.default_headers.get(name)
        if not value:
            continue
        if not is_header_value(value):
            raise BadRequest(f"The header {name!r} has characters that no header may have.")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("ascii")


def _summarise(events: list[Event], instance: ProviderInstance) -> Summary:
    last = events[-1]
    if isinstance(last, Fault):
        raise fault_error(last, instance)
    usage = next((event.usage for event in reversed(events) if isinstance(event, UsageReport)), None)
    return Summary(usage, last.reason.value if isinstance(last, Finish) else None)


def fault_error(fault: Fault, instance: ProviderInstance) -> UpstreamError:
    """What it means that a provider which had answered 200 then told an error, or broke off."""
    message = instance.scrub_text(fault.message)
    is_retryable = fault.status >= 500 or fault.status == 429
    error: UpstreamError
    if fault.native_type:
        error = UpstreamRefused(
            message,
            upstream_status=fault.status,
            retryable=is_retryable,
            native_type=instance.scrub_text(fault.native_type),
        )
    else:
        error = UpstreamBroken(message)
        error.status = fault.status
        error.retryable = is_retryable
    error.provider = instance.name
    return error
