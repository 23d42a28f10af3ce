"""What a streamed and a plain answer in Anthropic's words have in common.

Of the content that has no neutral noun (``ContentDelta``) this dialect can tell

- ``annotations``: a ``url_citation`` as a ``web_search_result_location``; where the other vendor says neither which
  text is cited nor a proof of it (``encrypted_index``), these are empty;
- ``citations``: citations of the client's documents, which are Anthropic's own;
- ``provider_content``: blocks of Anthropic's own tools, as they are;
- ``stop_details``, ``container`` and ``context_management``: members of the message.

The rest (items of other vendors' tools, pictures) has no place here.

Source: platform.claude.com/docs, "Messages" (API reference), "Streaming messages", "Citations" (2026-11).
"""

import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.limits import MAX_ANSWER_ID_CHARS
from gateway.core.types import (
    ContentDelta,
    DialectName,
    Finish,
    FinishReason,
    ReasoningDelta,
    Usage,
)
from gateway.dialects.signatures import Proof, seal

_encode = msgspec.json.Encoder().encode
_read_members = msgspec.json.Decoder(dict[str, Raw]).decode

_ORIGIN = DialectName.ANTHROPIC_MESSAGES
_ID_PREFIX = "msg_"
_NO_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")

# Anthropic's words for the end of an answer, and what each is in ours.
_STOP_REASONS = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "pause_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}
_STOP_WORDS = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
}

# Where ``ContentDelta`` fields stand: in a text block, as a block, in the ``delta`` of the last event, and beside it.
_CITATION_FIELDS = frozenset(("annotations", "citations"))
_BLOCK_FIELD = "provider_content"
STOP_FIELDS = ("stop_details", "container")
MESSAGE_FIELDS = ("context_management",)
# Every message has these, null where there is nothing to say.
NO_STOP: Mapping[str, object] = {"stop_reason": None, "stop_sequence": None, **dict.fromkeys(STOP_FIELDS)}
# How every call of the client's tools came about: none was made by code that a provider ran.
CALLER = {"type": "direct"}

_LOCATION = re.compile(rb'"[a-z_]+_location"')
_BLOCK_KIND = re.compile(
    rb'"(?:server_tool_use|mcp_tool_use|[a-z_]+_tool_result|container_upload|compaction|fallback)"'
)
_NULL = Raw(b"null")
_EMPTY = Raw(b'""')

Members = dict[str, Raw]


def message_id(answer_id: str) -> str:
    """In Anthropic's form; clients tell ids apart by their prefix."""
    answer_id = answer_id[:MAX_ANSWER_ID_CHARS]
    return answer_id if answer_id.startswith(_ID_PREFIX) else f"{_ID_PREFIX}{answer_id}"


def message_head(answer_id: str, model: str) -> dict[str, object]:
    """The members of a message up to its content, in Anthropic's order."""
    return {"id": answer_id, "type": "message", "role": "assistant", "model": model}


def usage_object(usage: Usage | None) -> dict[str, object]:
    """The usage of a message: that of ``usage_counts``, and what no other vendor says, such as for how long a prompt
    was written to the cache."""
    return {**usage_counts(usage), "cache_creation": None, "service_tier": None, "inference_geo": None}


def usage_counts(usage: Usage | None) -> dict[str, object]:
    """The usage in the last event of a stream. Cached parts of the prompt are counted apart from ``input_tokens``.
    Counts are required here, so what nobody has told yet is 0; ``thinking_tokens`` stands only where some are known."""
    usage = usage or Usage()
    return {
        "input_tokens": max(0, usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens} if usage.reasoning_tokens else None,
        "server_tool_use": None,
    }


def stop_members(finish: Finish, *, has_calls: bool, is_refusal: bool) -> dict[str, object]:
    """``stop_reason`` and what stands beside it. Anthropic's own word is kept. Clients run tools only when they read
    ``tool_use``, and OpenAI says ``stop`` after a call that was forced."""
    reason = _STOP_WORDS[finish.reason]
    if _STOP_REASONS.get(finish.native) is finish.reason:
        reason = finish.native
    elif finish.reason is FinishReason.STOP:
        if is_refusal:
            reason = "refusal"
        elif finish.stop_sequence is not None:
            reason = "stop_sequence"
        elif has_calls:
            reason = "tool_use"
    return {**NO_STOP, "stop_reason": reason, "stop_sequence": finish.stop_sequence}


def sealed(event: ReasoningDelta, proof: str) -> str:
    """The proof of a thought as this dialect's clients carry it: its ``signature``, or ``data`` of a redacted block."""
    return seal(Proof(proof, event.origin, event.id), _ORIGIN)


def on_one_line(json: bytes) -> bytes:
    """White space may stand between the tokens of raw JSON, but a line end would cut a server-sent event."""
    return json.translate(_NO_LINE_ENDS)


# --- content without a neutral noun -------------------------------------------------------------------------------


def read_citation(event: ContentDelta) -> Raw | None:
    """The citation in Anthropic's words; None when they have none for it, and for other content."""
    if event.field not in _CITATION_FIELDS:
        return None
    try:
        members = _read_members(event.value)
        told = _read_web_citation(members) if event.field == "annotations" else _read_own_citation(members)
    except DECODE_ERRORS:
        return None
    return None if told is None else Raw(on_one_line(_encode(told)))


def _read_web_citation(members: Members) -> Mapping[str, object] | None:
    """Chat has the place in a member ``url_citation``, responses have it all in one object."""
    if bytes(members.get("type", _NULL)) != b'"url_citation"':
        return None
    if "url_citation" in members:
        members |= _read_members(members["url_citation"])
    if not _is_text(members.get("url", _NULL)):
        return None
    cited, index, title = (members.get(name, _NULL) for name in ("cited_text", "encrypted_index", "title"))
    return {
        "type": "web_search_result_location",
        "cited_text": cited if _is_text(cited) else _EMPTY,
        "encrypted_index": index if _is_text(index) else _EMPTY,
        "title": title if _is_text(title) else None,
        "url": members["url"],
    }


def _read_own_citation(members: Members) -> Mapping[str, object] | None:
    """``start_index`` and ``end_index`` say where in the whole text the citation belongs; here its block says that."""
    if not _LOCATION.fullmatch(bytes(members.get("type", _NULL))):
        return None
    return {name: raw for name, raw in members.items() if name not in ("start_index", "end_index")}


def _is_text(raw: Raw) -> bool:
    return bytes(raw).startswith(b'"')


def read_block(event: ContentDelta) -> Members | None:
    """The members of a block of Anthropic's own tools; None for content of other vendors."""
    if event.field != _BLOCK_FIELD:
        return None
    try:
        members = _read_members(event.value)
    except DECODE_ERRORS:
        return None
    kind = bytes(members.get("type", _NULL))
    # OpenAI has items of that name too, and its items have ids
    is_foreign = kind == b'"compaction"' and "id" in members
    return members if _BLOCK_KIND.fullmatch(kind) and not is_foreign else None
