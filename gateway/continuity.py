"""What forwarding asks of whoever remembers answers that a client may build on."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from gateway.dialects.contract import Envelope
from gateway.targets import Target


def _nothing() -> None: ...


class Thread(Struct):
    """What must be remembered of a request until its answer is there. ``request`` is its body as the client wrote it,
    ``parent`` the id of the stored answer that it continues, ``conversation`` that of a conversation which the gateway
    keeps. ``release`` must be called once what was put in front of the request is not in memory any more, and may be
    called again."""

    owner: str
    request: bytes
    parent: str = ""
    conversation: str = ""
    is_stored: bool = True
    release: Callable[[], None] = _nothing


class Continuity(Protocol):
    """Memory of answers, by owner."""

    async def resume(self, owner: str, envelope: Envelope, body: bytes, target: Target) -> tuple[bytes, Thread]:
        """``body`` with what the request builds on put in, unless the provider keeps it. Raises ``BadRequest``,
        ``NotFound`` or ``Overloaded``."""

    def keep(self, thread: Thread, answer: bytes | None) -> None:
        """The gateway's own answer is complete."""

    def keep_native(self, thread: Thread, instance: str, answer_id: str | None) -> None:
        """A provider's answer is complete, and the provider keeps it."""
