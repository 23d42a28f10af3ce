"""How one request is carried to one target: the bytes to send, and how the answer comes back. No I/O.

When the client's dialect is the surface's, the body goes up as received but for the model id (and the request for usage
in a stream), and an observer watches the answer. Otherwise the core types stand between the two.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct

from gateway.core.edge import HeaderMap
from gateway.core.errors import BadRequest, EndpointNotSupported, UpstreamBroken, UpstreamError, UpstreamRefused
from gateway.core.jsonguard import request_stream_usage
from gateway.core.names import is_header_value, shown_fields
from gateway.core.types import DialectName, Event, Fault, Finish, UsageReport
from gateway.dialects.contract import Dialect, Encoder, Envelope
from gateway.flow import Flow, PassFlow, Translation
from gateway.targets import Door, ProviderInstance, Target
from providers.contract import Summary, Surface, Translator

# What carries no answer that the gateway could read.
_PASSED = (DialectName.OPENAI_JSON, DialectName.OPENAI_FORM)
_MEDIA_TYPES = frozenset(
    (
        *(b"application/json", b"application/json; charset=utf-8"),
        *(b"text/event-stream", b"text/event-stream; charset=utf-8"),
    )
)


class Plan(Struct):
    """``extra_head`` are header lines of this request alone. ``translator`` and ``new_encoder`` are None on the way
    through, where bytes are not translated; ``encoder`` is the one of the attempt under way. ``dropped`` names
    client fields that the provider has no place for."""

    target: Target
    door: Door
    extra_head: bytes
    body: bytes
    is_stream: bool
    strips_usage: bool = False
    translator: Translator[Any] | None = None
    new_encoder: Callable[[], Encoder] | None = None
    encoder: Encoder | None = None
    dropped: tuple[str, ...] = ()
    # the answer is handed on as it comes, whatever it is
    is_passed: bool = False
    # only the first of several keys will do: the account behind it keeps what the request refers to
    is_bound: bool = False
    # told when the request is not in memory any more
    release: Callable[[], None] | None = None

    def forget_request(self) -> None:
        """It will not be sent again."""
        self.extra_head = self.body = b""
        self.new_encoder = None
        if self.release is not None:
            self.release()

    def request_head(self) -> bytes:
        """The head but for the length of ``body``. Every attempt asks anew: several keys take turns."""
        return self.door.head(self.is_stream, self.is_bound) + self.extra_head

    def flow(self) -> Flow:
        """What a streamed answer passes through; a new one for each attempt, since the one before may have said
        something to its encoder that the client never saw."""
        if self.translator is not None and self.new_encoder is not None:
            transducer = self.translator.transducer
            assert transducer is not None  # the conformance kit: a surface that streams has one
            self.encoder = self.new_encoder()
            return Translation(transducer(), self.encoder)
        observer = self.door.surface.observer
        if self.is_passed:
            return PassFlow(self.door.surface.read_summary)
        assert observer is not None  # the conformance kit: a surface that streams has one
        return observer(self.strips_usage)

    def lost_fields(self) -> tuple[str, ...]:
        """Names of what the provider answered, so far, and the client's dialect has no place for."""
        return shown_fields(self.encoder.dropped) if self.encoder is not None and self.encoder.dropped else ()

    def read_plain(self, body: bytes) -> tuple[bytes, Summary]:
        """The whole answer ``body`` of the provider as the client reads it. Raises ``UpstreamError``."""
        if self.translator is not None and self.new_encoder is not None:
            events = self.translator.read_answer(body)
            summary = _summarise(events, self.target.instance)
            self.encoder = self.new_encoder()
            return (self.encoder.stream if self.is_stream else self.encoder.body)(events), summary
        try:
            read_summary = self.door.surface.read_summary
            summary = Summary() if read_summary is None else read_summary(body)
        except ValueError as error:
            raise UpstreamBroken("The provider's answer is not the JSON it should be.", detail=str(error)) from None
        if summary.fault is not None:
            raise fault_error(summary.fault, self.target.instance)
        return body, summary

    def content_type(self, given: bytes) -> bytes:
        """Of the client's answer; ``given`` is the provider's."""
        if self.is_passed:
            return given if is_header_value(given.decode("latin-1")) else b"application/octet-stream"
        if self.translator is None and given in _MEDIA_TYPES:
            return given
        if self.translator is None:
            # spelled anew: a header of the provider's making may hold anything
            return b"text/event-stream" if given.lower().startswith(b"text/event-stream") else b"application/json"
        return b"text/event-stream" if self.is_stream else b"application/json"


def make_plan(
    target: Target,
    dialect: Dialect,
    envelope: Envelope,
    body: bytes,
    headers: HeaderMap,
    now: float,
    new_id: Callable[[], str],
) -> Plan:
    """``headers`` are the client's, ``now`` is a Unix time, ``new_id`` gives a random word. Raises ``BadRequest`` or
    ``EndpointNotSupported``."""
    door = target.native
    if door is None:
        return _translated(target, dialect, envelope, body, headers, now, new_id)
    surface = door.surface
    extra_head = _forwarded(door, headers) if surface.forwarded_headers else b""
    if surface.forwarded_prefixes:
        extra_head += _forwarded_by_prefix(surface, headers)
    if envelope.model != target.model:
        body = dialect.with_model(body, envelope, target.model)
    dropped: tuple[str, ...] = ()
    if surface.is_strict and dialect.without_foreign_thought is not None:
        body, dropped = dialect.without_foreign_thought(body)
    is_stream = envelope.stream is True
    strips_usage = is_stream and surface.asks_stream_usage and not envelope.include_usage
    if strips_usage:
        body = request_stream_usage(body)
    is_passed = surface.observer is None and surface.dialect in _PASSED
    return Plan(
        target, door, extra_head, body, is_stream or is_passed, strips_usage, dropped=dropped, is_passed=is_passed
    )


def _translated(
    target: Target,
    dialect: Dialect,
    envelope: Envelope,
    body: bytes,
    headers: HeaderMap,
    now: float,
    new_id: Callable[[], str],
) -> Plan:
    assert dialect.decode is not None
    assert dialect.encoder is not None  # a dialect that cannot be translated has no translating targets
    request = dialect.decode(body)  # it has passed its guard, when the envelope was read
    door = target.door_for(request)
    if door is None or door.surface.translator is None:
        raise EndpointNotSupported(f"Provider {target.instance.name!r} does not offer this.")
    translator = door.surface.translator
    wire = translator.to_wire(request, target.model)
    extra_head = _forwarded(door, headers) if door.surface.forwarded_headers else b""
    extra_head += "".join(f"{name}: {value}\r\n" for name, value in wire.headers).encode("latin-1")
    if dialect.prepare is not None:
        dialect.prepare(request, envelope, new_id())
    new_encoder = partial(dialect.encoder, request, int(now))
    is_stream = envelope.stream is True and translator.transducer is not None
    return Plan(target, door, extra_head, wire.body, is_stream, False, translator, new_encoder, dropped=wire.dropped)


def _forwarded(door: Door, headers: HeaderMap) -> bytes:
    """The client's headers that go up, and the provider's own values for those the client has not sent."""
    if not any(map(headers.__contains__, door.surface.forwarded_headers)):
        return door.default_head
    lines = []
    for name in door.surface.forwarded_headers:
        given = ", ".join(headers.getall(name, ())) if name in headers else ""
        value = given or door.default_headers.get(name)
        if not value:
            continue
        if not is_header_value(value):
            raise BadRequest(f"The header {name!r} has characters that no header may have.")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("ascii")


def _forwarded_by_prefix(surface: Surface, headers: HeaderMap) -> bytes:
    """The client's headers whose names begin like those that this surface understands."""
    lines = []
    for name, value in headers.items():
        lower = name.lower()
        if lower.startswith(surface.forwarded_prefixes) and lower not in surface.forwarded_headers:
            if not is_header_value(value):
                raise BadRequest(f"The header {lower[:64]!r} has characters that no header may have.")
            lines.append(f"{lower}: {value}\r\n")
    return "".join(lines).encode("ascii")


def _summarise(events: list[Event], instance: ProviderInstance) -> Summary:
    # asked of structs, ``type`` is five times as fast as ``isinstance``
    last = events[-1]
    if type(last) is Fault:
        raise fault_error(last, instance)
    usage = None
    for event in reversed(events):
        if type(event) is UsageReport:
            usage = event.usage
            break
    return Summary(usage, str(last.reason) if type(last) is Finish else None)


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
