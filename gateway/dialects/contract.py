"""What a client dialect is."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from gateway.core.errors import GatewayError
from gateway.core.types import ChatRequest, DialectName, Event


class Envelope(Struct, kw_only=True):
    """The little of a request that routing needs; the rest of the body is only checked. A dialect decodes straight into
    its own kind of envelope: this is on the path of every request."""

    model: str
    stream: bool | None = None

    @property
    def include_usage(self) -> bool:
        """Did the client ask for usage in the stream?"""
        return False


class Encoder(Protocol):
    """Writes one answer in the client's dialect. ``model`` is told to the client under the name it asked for."""

    def stream(self, events: list[Event]) -> bytes:
        """The server-sent events for these events; after a ``Finish`` the dialect's terminator, after a ``Fault`` an
        error event and no terminator."""

    def body(self, events: list[Event]) -> bytes:
        """The plain JSON answer of a complete list of events (last a ``Finish``)."""


class Dialect(Struct, frozen=True):
    """``decode`` raises ``BadRequest`` naming the field at fault. ``encoder(model, include_usage, created)`` starts an
    answer; ``created`` is a Unix time in seconds. ``error_body`` and ``error_event`` render an error before and after
    the first byte.
    """

    name: DialectName
    read_envelope: Callable[[bytes], Envelope]
    error_body: Callable[[GatewayError], bytes]
    error_event: Callable[[GatewayError], bytes]
    decode: Callable[[bytes], ChatRequest] | None = None
    encoder: Callable[[str, bool, int], Encoder] | None = None
