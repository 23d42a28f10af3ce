"""Thought in answers of chat completions.

OpenAI's chat has no word for it. Most vendors say ``reasoning_content``, some ``reasoning``, and both mean plain text.
OpenRouter and those who follow it add ``reasoning_details``, a list of the blocks of the model's maker with what proves
them there: ``reasoning.text`` with a signature, ``reasoning.summary``, ``reasoning.encrypted``. They must go back as
they came. So the proof of a block (``core.types.Reasoning``) is its detail as JSON, without the text where we have that
anyway; and its origin is this API, because nobody else could read it.

Sources: openrouter.ai/docs, "Reasoning tokens", "Preserving reasoning blocks" (2026-11).
"""

from typing import Any

import msgspec

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.types import DialectName, Event, ReasoningDelta

JsonObject = dict[str, Any]

# Where a detail has its text; kinds without one are kept whole.
_TEXT_MEMBERS = {"reasoning.text": "text", "reasoning.summary": "summary"}
# A detail with nothing else says no more than its text does.
_PLAIN_MEMBERS = frozenset(("type", "format", "index"))

_encode = msgspec.json.Encoder().encode
_read_detail = msgspec.json.Decoder(JsonObject).decode


def restore_detail(proof: str, text: str) -> JsonObject | None:
    """The detail that a proof was made of; None when it is none of ours."""
    try:
        detail = _read_detail(proof.encode())
    except DECODE_ERRORS:
        return None
    member = _TEXT_MEMBERS.get(str(detail.get("type")))
    return {**detail, member: text} if member else detail


class Thoughts:
    """The thought of one choice. Blocks are numbered as they begin; everything else that is said ends a block."""

    __slots__ = ("_block", "_choice", "_count", "_detail", "_events", "is_open")

    def __init__(self, events: list[Event], choice: int) -> None:
        self._events = events
        self._choice = choice
        self._count = 0
        self._block: int | None = None  # once it has its number
        self._detail: JsonObject = {}
        self.is_open = False

    def say(self, text: str) -> None:
        """A piece of plain thought."""
        if self._detail:
            self.close()
        self._tell(text)

    def add_detail(self, detail: JsonObject) -> None:
        """A detail, or in a stream a piece of one: it goes on as long as kind and index stay the same and no signature
        has ended it."""
        member = _TEXT_MEMBERS.get(str(detail.get("type")))
        if member is None:
            self.close()
            proof = _encode(detail).decode()
            self._emit(ReasoningDelta(redacted=proof, origin=DialectName.OPENAI_CHAT))
            self.close()
            return
        if not self._goes_on(detail):
            self.close()
        text = detail.get(member)
        if isinstance(text, str) and text:
            self._tell(text)
        self.is_open = True
        self._detail.update(
            (name, value) for name, value in detail.items() if name != member and value not in ("", None)
        )

    def _goes_on(self, detail: JsonObject) -> bool:
        known = self._detail
        is_same = known.get("type") == detail.get("type") and known.get("index") == detail.get("index")
        return is_same and "signature" not in known

    def close(self) -> None:
        """The open block ends; its proof is told."""
        detail, self._detail = self._detail, {}
        is_plain = detail.get("type") == "reasoning.text" and _PLAIN_MEMBERS.issuperset(detail)
        if detail and not is_plain:
            self._emit(ReasoningDelta(signature=_encode(detail).decode(), origin=DialectName.OPENAI_CHAT))
        self._block = None
        self.is_open = False

    def _tell(self, text: str) -> None:
        self._emit(ReasoningDelta(text))

    def _emit(self, event: ReasoningDelta) -> None:
        if self._block is None:
            self._block = self._count
            self._count += 1
        self.is_open = True
        event.block, event.choice = self._block, self._choice
        self._events.append(event)
