"""Proofs of thought, as clients carry them from one turn to the next.

A client keeps one opaque text beside each block of thought and sends it back. What it holds differs by vendor, and a
proof shown to another vendor is an error there, so that a conversation could not change its model. So each dialect
writes the proofs of its own vendor as they are, and all others with their origin in front:

    <origin>:<id of the thought, may be empty>:<the proof>
    <origin>.redacted::<the proof>
    <origin>.late::<the proof>

The second form is a block whose text is withheld, where the dialect has no kind of block for it. The third is a proof
that belongs to the words before it, where the dialect could not put it in front of them.
"""

from msgspec import Struct

from gateway.core.types import DialectName

_REDACTED = "redacted"
_LATE = "late"
_ORIGINS = {origin.value: origin for origin in DialectName}


class Proof(Struct, frozen=True):
    """``text`` is a signature, or encrypted or withheld thought; see ``core.types.Reasoning``."""

    text: str
    origin: DialectName
    id: str | None = None
    is_redacted: bool = False
    is_late: bool = False


def seal(proof: Proof, own: DialectName) -> str:
    """The text that a client of a dialect whose own proofs are those of ``own`` is given."""
    if proof.origin is own:
        return proof.text
    kind = f".{_REDACTED}" if proof.is_redacted else f".{_LATE}" if proof.is_late else ""
    return f"{proof.origin.value}{kind}:{proof.id or ''}:{proof.text}"


def unseal(text: str, own: DialectName) -> Proof:
    """What ``seal`` made. Base64 has no colon, so a vendor's own proof is never taken for a sealed one."""
    word, colon, rest = text.partition(":")
    origin_word, _, kind = word.partition(".")
    origin = _ORIGINS.get(origin_word) if colon and kind in ("", _REDACTED, _LATE) else None
    if origin is None:
        return Proof(text, own)
    thought_id, _, proof = rest.partition(":")
    return Proof(proof, origin, thought_id or None, is_redacted=kind == _REDACTED, is_late=kind == _LATE)
