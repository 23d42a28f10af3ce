"""Requests that go to a vendor as they came, but for proofs of thought that another vendor gave.

A conversation that has changed its model carries thought of the former one, its proof sealed (``signatures``). The new
vendor would refuse the whole request for it.
"""

from collections.abc import Callable

import msgspec
from msgspec import Raw

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.types import DialectName
from gateway.dialects.signatures import unseal

Members = dict[str, Raw]

# Every sealed proof is a whole string that begins with its origin.
_BEGINNINGS = tuple({f'"{origin.value.partition("_")[0]}_'.encode() for origin in DialectName})
_MARKS = tuple(f'"{origin.value}{end}'.encode() for origin in DialectName for end in (":", ".redacted:", ".late:"))
# What only this gateway (and others of its kind) writes into a message; the text of thought stands beside it.
_OWN_MEMBERS = ("thinking_blocks", "provider_content")
_MEMBER_MARKS = tuple(f'"{name}"'.encode() for name in _OWN_MEMBERS)

_write = msgspec.json.Encoder().encode
_read_members = msgspec.json.Decoder(Members).decode
_read_list = msgspec.json.Decoder(list[Raw]).decode
_read_text = msgspec.json.Decoder(str).decode


def without_foreign_blocks(body: bytes) -> bytes:
    """An Anthropic messages request without such thinking blocks. A message that had nothing else goes with them."""
    return _cleaned(body, "messages", _clean_message)


def without_foreign_members(body: bytes) -> bytes:
    """An OpenAI chat request without what this gateway adds to the messages of other vendors' models: their thought as
    blocks, its text, the work of their tools. OpenAI refuses members that it does not know."""
    if not any(mark in body for mark in _MEMBER_MARKS):
        return body
    return _rewritten(body, "messages", _bare_message)


def without_foreign_items(body: bytes) -> bytes:
    """An OpenAI responses request without such reasoning items."""
    return _cleaned(body, "input", _clean_item)


def _cleaned(body: bytes, member: str, clean: Callable[[Raw], Raw | None]) -> bytes:
    return _rewritten(body, member, clean) if any(mark in body for mark in _BEGINNINGS) else body


def _rewritten(body: bytes, member: str, clean: Callable[[Raw], Raw | None]) -> bytes:
    """``body`` with every element of a list cleaned, or taken out for None; the same ``bytes`` if nothing changes."""
    try:
        members = _read_members(body)
        old = _read_list(members[member])
        new = [item for item in map(clean, old) if item is not None]
        if all(one is other for one, other in zip(new, old, strict=False)) and len(new) == len(old):
            return body
        members[member] = Raw(_write(new))
        return _write(members)
    except (KeyError, *DECODE_ERRORS):
        return body  # no list there: the vendor will say so


def _bare_message(message: Raw) -> Raw | None:
    if not any(mark in bytes(message) for mark in _MEMBER_MARKS):
        return message
    members = _read_members(message)
    if not any(name in members for name in _OWN_MEMBERS):
        return message
    bare = {name: value for name, value in members.items() if name not in (*_OWN_MEMBERS, "reasoning_content")}
    return Raw(_write(bare))


def _clean_message(message: Raw) -> Raw | None:
    if not any(mark in bytes(message) for mark in _MARKS):
        return message
    members = _read_members(message)
    if not bytes(members["content"]).startswith(b"["):
        return message  # a text that only begins like a proof
    content = _read_list(members["content"])
    own = [block for block in content if not _is_foreign(block, ("signature", "data"), DialectName.ANTHROPIC_MESSAGES)]
    if len(own) == len(content):
        return message
    members["content"] = Raw(_write(own))
    return Raw(_write(members)) if own else None


def _clean_item(item: Raw) -> Raw | None:
    return None if _is_foreign(item, ("encrypted_content",), DialectName.OPENAI_RESPONSES) else item


def _is_foreign(thought: Raw, places: tuple[str, ...], own: DialectName) -> bool:
    """Does a block or item carry, in one of ``places``, a proof that is not of ``own``?"""
    if not any(mark in bytes(thought) for mark in _MARKS):
        return False
    members = _read_members(thought)
    kind = bytes(members.get("type", b""))
    if b"thinking" not in kind and b"reasoning" not in kind:
        return False
    proofs = (bytes(members[place]) for place in places if place in members)
    return any(unseal(_read_text(proof), own).origin is not own for proof in proofs if proof.startswith(b'"'))
