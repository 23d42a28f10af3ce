"""What a provider is: a frozen record plus at most a few pure functions.

A provider's file holds one ``PROVIDER`` record. Each capability it offers is reached through one ``Surface`` or
several: a path and the dialect spoken there. When the client's dialect is a surface's, bytes are forwarded and a
``StreamObserver`` watches them; otherwise a surface's ``Translator`` turns the core types into the provider's bytes and
back.
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import UnsupportedParameter, UpstreamRefused
from gateway.core.names import shown_fields
from gateway.core.secret import Secret
from gateway.core.types import (
    Capability,
    ChatRequest,
    DialectName,
    Event,
    Extra,
    Fault,
    Header,
    Model,
    Usage,
)

R = TypeVar("R")

# --- watching bytes of the client's own dialect -------------------------------------------------------------------


class StreamObserver(Protocol):
    """Watches a stream it must not change. After every ``feed`` its members hold the best known so far."""

    # the answer's own id, where clients may refer to it later
    @property
    def answer_id(self) -> str | None: ...

    usage: Usage | None
    finish_reason: str | None
    has_token: bool  # a first token was seen; comments and role-only chunks do not count
    is_complete: bool  # the dialect's success terminator was seen
    fault: Fault | None  # the stream carries an error, or broke off
    is_fault_told: bool  # the forwarded bytes already tell the fault: it is the provider's own event

    def feed(self, data: bytes) -> bytes:
        """Bytes in, bytes to forward out: whole events only, so that a broken stream never shows half an event."""

    def finish(self) -> bytes:
        """The provider's stream ended: what is left to forward. Sets ``fault`` if it ended too early."""


class Summary(Struct):
    """What a plain answer of the client's own dialect says about itself. ``fault``: it is an error in spite of its
    status. ``answer_id``: its own id, where clients may refer to it later."""

    usage: Usage | None = None
    finish_reason: str | None = None
    fault: Fault | None = None
    answer_id: str | None = None


# --- translating --------------------------------------------------------------------------------------------------


class ProviderRequest(Struct):
    """A request in the provider's words. ``headers`` come on top of the record's own; ``dropped`` names the client's
    fields that the provider has no place for and whose loss is harmless. Clients choose those names and a header tells
    them, so they are judged (``shown_fields``)."""

    body: bytes
    headers: tuple[Header, ...] = ()
    dropped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.dropped:
            self.dropped = shown_fields(self.dropped)


class Transducer(Protocol):
    """Provider bytes in, events out. Any split of the same bytes gives the same events; never raises.

    The last event is exactly one ``Finish`` or ``Fault``. ``usage`` is the best known so far at any byte.
    """

    @property
    def usage(self) -> Usage | None: ...

    def feed(self, data: bytes) -> list[Event]: ...

    def finish(self) -> list[Event]:
        """The provider's stream ended; a missing terminator becomes a ``Fault`` here."""


class Translator(Struct, Generic[R], frozen=True):
    """The pure functions between the core types and one surface of a provider.

    ``to_wire(request, model)`` raises ``UnsupportedParameter`` or ``BadRequest``. ``read_answer(body)`` gives the
    events of a plain answer, last a ``Finish`` or ``Fault``, and never raises. A surface that never streams has no
    ``transducer``. Token counting answers with a ``UsageReport``, embeddings with a ``Vector`` for each input.
    """

    to_wire: Callable[[R, str], ProviderRequest]
    read_answer: Callable[[bytes], list[Event]]
    transducer: Callable[[], Transducer] | None = None


class Surface(Struct, frozen=True, kw_only=True):
    """One native endpoint of a provider. ``path`` follows the base URL; ``{model}`` in it stands for the model's id.

    A client of the same dialect gets through byte for byte: ``observer(strip_usage)`` and ``read_summary(body)`` watch
    the answer. All others are served through the ``translator``. Of several surfaces with a translator the first is
    taken that ``suits(request, model)``.
    """

    path: str
    dialect: DialectName
    # where streams are asked for, when it is another path
    stream_path: str = ""
    translator: Translator[Any] | None = None
    observer: Callable[[bool], StreamObserver] | None = None
    read_summary: Callable[[bytes], Summary] | None = None
    # models that this surface does not know; None: it knows all
    serves: Callable[[str], bool] | None = None
    suits: Callable[[ChatRequest, str], bool] | None = None
    # does it refuse what it does not know, such as another vendor's proofs of thought?
    is_strict: bool = False
    # must a stream be asked for its usage with ``stream_options.include_usage``?
    asks_stream_usage: bool = False
    # request headers of a client of the same dialect that go up unchanged (lower case), by name and by how they begin;
    # all others stay here
    forwarded_headers: tuple[str, ...] = ()
    forwarded_prefixes: tuple[str, ...] = ()


def bearer(key: Secret) -> tuple[Header, ...]:
    """``Authorization: Bearer`` (RFC 6750)."""
    return (("Authorization", f"Bearer {key.reveal()}"),)


class Provider(Struct, frozen=True, kw_only=True):
    """Everything the gateway knows of a provider type.

    ``read_error(status, headers, body)`` maps an error answer; ``headers`` are lower-cased. ``read_models(body)`` reads
    the answer of ``models_path`` (``ValueError`` when it is none).
    """

    name: str
    title: str
    base_url: str
    surfaces: Mapping[Capability, tuple[Surface, ...]]
    read_error: Callable[[int, Mapping[str, str], bytes], UpstreamRefused]
    auth: Callable[[Secret], tuple[Header, ...]] = bearer
    headers: tuple[Header, ...] = ()
    models_path: str | None = None
    read_models: Callable[[bytes], list[Model]] | None = None
    needs_key: bool = True
    # a provider inside the gateway has no network: it answers a request body with a script
    simulate: "Callable[[Capability, bytes], Script] | None" = None
    # the models of a provider that has a fixed list
    models: tuple[Model, ...] = ()


class Script(Struct):
    """What an in-process provider will do: answer with ``status`` after ``delay_s``, send each ``(delay_s, bytes)``
    chunk, then end, or break the connection when ``is_cut``."""

    status: int
    content_type: str
    chunks: list[tuple[float, bytes]]
    delay_s: float = 0.0
    is_cut: bool = False
    headers: tuple[tuple[bytes, bytes], ...] = ()


# --- parameter rules ----------------------------------------------------------------------------------------------


class Rule(Struct, frozen=True):
    """What becomes of a client field that the provider has no place for.

    ``harmless`` holds the JSON texts that change nothing (defaults such as ``1`` or ``false``): the field is then left
    out without a word. Any other value is dropped and named when ``drop`` is set, else refused.
    """

    field: str
    drop: bool = False
    harmless: tuple[bytes, ...] = (b"null",)
    because: str = ""


# Objects that hold options and nothing else: which of them is lost, the member's name tells. Dialects leave in them
# what they have not read.
_OPTIONS = frozenset(("output_config", "reasoning", "stream_options", "text", "thinking"))
# What becomes of a field without a rule.
_UNKNOWN = Rule("", drop=True, harmless=())

_read_members = msgspec.json.Decoder(dict[str, Raw]).decode


def apply_rules(rules: Mapping[str, Rule], extra: Extra, provider: str) -> list[str]:
    """The names of dropped fields, for ``X-Sluice-Dropped``. Fields without a rule are dropped and named: the provider
    would refuse what it does not know. Of an object of options its members are named by their path
    (``reasoning.context``), which may have a rule of its own. Raises ``UnsupportedParameter`` for a field whose loss
    would change the answer."""
    dropped = []
    for field, raw in extra.items():
        rule = rules.get(field, _UNKNOWN)
        if bytes(raw).strip() in rule.harmless:
            continue
        if not rule.drop:
            reason = f": {rule.because}" if rule.because else ""
            raise UnsupportedParameter(f"{provider} does not support {field!r}{reason}", param=field)
        members = _members_of(field, raw) if field in _OPTIONS else None
        dropped += apply_rules(rules, members, provider) if members else [field]
    return dropped


def _members_of(field: str, raw: Raw) -> Extra | None:
    """The members of an object by their paths. None for what is no object, and for one that has its ``type``: of that
    nothing was read."""
    try:
        members = _read_members(raw)
    except DECODE_ERRORS:
        return None
    return None if "type" in members else {f"{field}.{name}": value for name, value in members.items()}
