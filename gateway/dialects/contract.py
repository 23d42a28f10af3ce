"""What a client dialect is."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from gateway.core.errors import GatewayError
from gateway.core.jsonguard import replace_model
from gateway.core.types import DialectName, Event


class Envelope(Struct, kw_only=True):
    """The little of a request that routing needs; the rest of the body is only checked. A dialect decodes straight into
    its own kind of envelope: this is on the path of every request."""

    model: str
    stream: bool | None = None

    @property
    def include_usage(self) -> bool:
        """Did the client ask for usage in the stream?"""
        return False

    def stands_alone(self, _body: bytes) -> bool:
        """Nothing is remembered for the request, before it or behind it. Dialects that have such requests say when."""
        return True

    @property
    def is_bound(self) -> bool:
        """Is the request part of what a provider keeps for the account of one key?"""
        return False

    @property
    def continues(self) -> str | None:
        """The id of an earlier answer that this request builds on without repeating it."""
        return None

    @property
    def conversation_id(self) -> str | None:
        """The conversation that request and answer belong to."""
        return None

    @property
    def is_stored(self) -> bool:
        """May the client refer to the answer later by its id?"""
        return False


class Encoder(Protocol):
    """Writes one answer in the client's dialect. The model is told to the client under the name it asked for.

    ``kept`` is the whole answer as JSON, once it is complete, in dialects whose answers can be asked for again.
    ``dropped`` names what of the answer, so far, the dialect has no place for: ``answer.`` and where a chat message
    carries it (``answer.images``), or the choice (``answer.choices[1]``), each once.
    """

    @property
    def kept(self) -> bytes | None: ...

    @property
    def dropped(self) -> Sequence[str]: ...

    def stream(self, events: list[Event]) -> bytes:
        """The server-sent events for these events; after a ``Finish`` the dialect's terminator, after a ``Fault`` an
        error event and no terminator."""

    def body(self, events: list[Event]) -> bytes:
        """The plain JSON answer of a complete list of events (last a ``Finish``)."""


def _with_json_model(body: bytes, _envelope: Envelope, model: str) -> bytes:
    return replace_model(body, model)


class Dialect(Struct, frozen=True):
    """``decode`` raises ``BadRequest`` naming the field at fault and gives a ``ChatRequest``, or what else the
    capability asks for. ``encoder(request, created)`` starts the answer to what was decoded; ``created`` is a Unix time
    in seconds. ``error_body`` and ``error_event`` render an error before and after the first byte. ``ping`` is sent
    into a stream that has been quiet for a while; empty where the dialect has none.

    ``with_model(body, envelope, model)`` puts another model into a request's bytes and changes nothing else.
    ``read_form(body, content_type)`` reads a form where others read JSON.

    ``prepare(request, envelope, unique)`` gives a decoded request what its answer must know beside it: the envelope as
    the client wrote it, and a word that no other answer has. ``without_foreign_thought(body)`` is a request without
    proofs of thought that were sealed for another vendor, and the names of what it has lost; the same ``bytes`` when
    there are none. With ``tells_failure`` the encoder knows best how to end a stream that broke off.
    """

    name: DialectName
    read_envelope: Callable[[bytes], Envelope]
    error_body: Callable[[GatewayError], bytes]
    error_event: Callable[[GatewayError], bytes]
    decode: Callable[[bytes], Any] | None = None
    encoder: Callable[[Any, int], Encoder] | None = None
    ping: bytes = b""
    prepare: Callable[[Any, Envelope, str], None] | None = None
    without_foreign_thought: Callable[[bytes], tuple[bytes, tuple[str, ...]]] | None = None
    tells_failure: bool = False
    read_form: Callable[[bytes, str], Envelope] | None = None
    with_model: Callable[[bytes, Envelope, str], bytes] = _with_json_model
