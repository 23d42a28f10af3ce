"""Requests that go to a vendor as they came, but for proofs of thought that another vendor gave.

A conversation that has changed its model carries thought of the former one, its proof sealed (``signatures``). The new
vendor would refuse the whole request for it.
"""

from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.types import DialectName
from gateway.dialects.signatures import unseal

Members = dict[str, Raw]
# The request, and the names of what it has lost (for ``X-Sluice-Dropped``).
Cleaned = tuple[bytes, tuple[str, ...]]

# Every sealed proof is a whole string that begins with its origin.
_BEGINNINGS = tuple({f'"{origin.value.partition("_")[0]}_'.encode() for origin in DialectName})
_MARKS = tuple(f'"{origin.value}{end}'.encode() for origin in DialectName for end in (":", ".redacted:", ".late:"))
# What only this gateway (and others of its kind) writes into a message; the text of thought stands beside it.
_OWN_MEMBERS = ("thinking_blocks", "provider_content")
_MEMBER_MARKS = tuple(f'"{name}"'.encode() for name in _OWN_MEMBERS)
_THOUGHT = "reasoning_content"
_NO_THINKING = Raw(b'{"type":"disabled"}')

_write = msgspec.json.Encoder().encode
_read_members = msgspec.json.Decoder(Members).decode
_read_list = msgspec.json.Decoder(list[Raw]).decode
_read_text = msgspec.json.Decoder(str).decode


class _Kind(Struct):
    type: str = ""


class _Turn(Struct):
    role: str = ""
    content: str | list[_Kind] = ""


_read_kind = msgspec.json.Decoder(_Kind).decode
_read_turn = msgspec.json.Decoder(_Turn).decode


def without_foreign_blocks(body: bytes) -> Cleaned:
    """An Anthropic messages request without such thinking blocks. A message that had nothing else goes with them.

    With a thinking budget the API wants the turns of the tool use under way to begin with thought. Where that is cut,
    the request cannot think until the user speaks again ("Extended thinking", toggling within a turn)."""
    return _cleaned(body, "messages", _clean_message, _stop_thinking)


def without_foreign_members(body: bytes) -> Cleaned:
    """An OpenAI chat request without what this gateway adds to the messages of other vendors' models: their thought as
    blocks, its text, the work of their tools. OpenAI refuses members that it does not know."""
    if not any(mark in body for mark in _MEMBER_MARKS):
        return body, ()
    return _rewritten(body, "messages", _bare_message)


def without_foreign_items(body: bytes) -> Cleaned:
    """An OpenAI responses request without such reasoning items."""
    return _cleaned(body, "input", _clean_item)


Clean = Callable[[Raw], Raw | None]
# May change other members of a request whose list, given before and after, was cleaned; names those.
Settle = Callable[[Members, list[Raw], list[Raw | None]], tuple[str, ...]]


def _cleaned(body: bytes, member: str, clean: Clean, settle: Settle | None = None) -> Cleaned:
    return _rewritten(body, member, clean, settle) if any(mark in body for mark in _BEGINNINGS) else (body, ())


def _rewritten(body: bytes, member: str, clean: Clean, settle: Settle | None = None) -> Cleaned:
    """``body`` with every element of a list cleaned, or taken out for None; the same ``bytes`` if nothing changes."""
    try:
        members = _read_members(body)
        old = _read_list(members[member])
        new = [clean(item) for item in old]
        if all(one is other for one, other in zip(new, old, strict=True)):
            return body, ()
        members[member] = Raw(_write([item for item in new if item is not None]))
        settled = settle(members, old, new) if settle is not None else ()
        return _write(members), (_THOUGHT, *settled)
    except (KeyError, *DECODE_ERRORS):
        return body, ()  # no list there: the vendor will say so


def _bare_message(message: Raw) -> Raw | None:
    if not any(mark in bytes(message) for mark in _MEMBER_MARKS):
        return message
    members = _read_members(message)
    if not any(name in members for name in _OWN_MEMBERS):
        return message
    bare = {name: value for name, value in members.items() if name not in (*_OWN_MEMBERS, _THOUGHT)}
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


# --- a tool use that has lost its thought -----------------------------------------------------------------------------


def _stop_thinking(members: Members, old: list[Raw], new: list[Raw | None]) -> tuple[str, ...]:
    if _kind_of(members.get("thinking", Raw(b"{}"))) != "enabled":
        return ()  # adaptive thinking asks for no thought in earlier turns
    start = _start_of_tool_use(old)
    if all(one is other for one, other in zip(new[start:], old[start:], strict=True)):
        return ()
    members["thinking"] = _NO_THINKING
    return ("thinking", *_keep_thoughts(members))


def _keep_thoughts(members: Members) -> tuple[str, ...]:
    """The API refuses an edit that clears thoughts (``clear_thinking_20251015``) where the model does not think."""
    try:
        management = _read_members(members["context_management"])
        edits = _read_list(management["edits"])
        kept = [edit for edit in edits if not _kind_of(edit).startswith("clear_thinking")]
    except (KeyError, *DECODE_ERRORS):
        return ()
    if len(kept) == len(edits):
        return ()
    members["context_management"] = Raw(_write({**management, "edits": kept}))
    return ("context_management.edits",)


def _start_of_tool_use(messages: list[Raw]) -> int:
    """Where the messages behind the user's last own words begin. A user message that brings results first is none, and
    neither are words that follow it: the API takes messages of one role as one."""
    start = len(messages)
    for at in range(len(messages) - 1, -1, -1):
        turn = _read_turn_at(messages, at)
        if turn.role == "user" and not _brings_results(turn) and _read_turn_at(messages, at - 1).role != "user":
            break
        start = at
    return start


def _read_turn_at(messages: list[Raw], at: int) -> _Turn:
    try:
        return _read_turn(messages[at]) if at >= 0 else _Turn()
    except DECODE_ERRORS:
        return _Turn()


def _brings_results(turn: _Turn) -> bool:
    return bool(turn.content) and isinstance(turn.content, list) and turn.content[0].type == "tool_result"


def _kind_of(value: Raw) -> str:
    try:
        return _read_kind(value).type
    except DECODE_ERRORS:
        return ""


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
