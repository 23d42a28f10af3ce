"""What every OpenAI-shaped provider shares: watching its answers, reading its errors and its model list.

The observer is the hottest code beside the upstream client: it sees every chunk of every stream that is forwarded as it
is. It forwards whole events only, decodes an event only when a substring says that it matters, and takes out the one
event that the gateway itself asked for (usage, when the client did not).

Sources: OpenAI API reference, "Chat completion chunk object"; field variants from recorded traffic of other vendors.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.core.errors import UpstreamRefused
from gateway.core.limits import MAX_SSE_EVENT_BYTES
from gateway.core.types import Fault, Model, Usage
from providers.contract import Summary

JsonObject = dict[str, Any]


# --- usage ----------------------------------------------------------------------------------------------------------

_MAX_COUNT = 10**15
_Count = Annotated[int, Meta(ge=0, le=_MAX_COUNT)] | None


class _Details(Struct):
    cached_tokens: _Count = None
    cache_write_tokens: _Count = None
    reasoning_tokens: _Count = None
    audio_tokens: _Count = None


class _Reported(Struct):
    """A usage object in any of its vendors' spellings."""

    prompt_tokens: _Count = None
    completion_tokens: _Count = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    input_tokens: _Count = None
    output_tokens: _Count = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: _Count = None
    cached_tokens: _Count = None
    cache_creation_input_tokens: _Count = None
    reasoning_tokens: _Count = None


_NO_DETAILS = _Details()


def _to_usage(reported: _Reported) -> Usage:
    prompt = reported.prompt_tokens_details or reported.input_tokens_details or _NO_DETAILS
    completion = reported.completion_tokens_details or reported.output_tokens_details or _NO_DETAILS
    return Usage(
        reported.prompt_tokens or reported.input_tokens or 0,
        reported.completion_tokens or reported.output_tokens or 0,
        prompt.cached_tokens or reported.prompt_cache_hit_tokens or reported.cached_tokens or 0,
        prompt.cache_write_tokens or reported.cache_creation_input_tokens or 0,
        completion.reasoning_tokens or reported.reasoning_tokens or 0,
        prompt.audio_tokens or 0,
        completion.audio_tokens or 0,
    )


def read_usage(reported: Mapping[str, object]) -> Usage:
    """The usage object of a chat completion or an embedding. A count that is missing or no sane number is 0."""
    return _to_usage(msgspec.convert(_sane(reported), _Reported))


def _sane(value: Mapping[str, object]) -> dict[str, object]:
    """Only what ``_Reported`` can hold: whole numbers that may be counts, and objects of such."""
    kept: dict[str, object] = {}
    for name, member in value.items():
        if isinstance(member, dict):
            kept[name] = _sane(member)
        elif isinstance(member, int | float) and not isinstance(member, bool) and 0 <= member <= _MAX_COUNT:
            kept[name] = int(member)
    return {k: v for k, v in kept.items() if isinstance(v, dict) == k.endswith("_details")}


# --- a plain answer -------------------------------------------------------------------------------------------------


class _PlainChoice(Struct):
    finish_reason: str | None = None


class _PlainAnswer(Struct):
    choices: list[_PlainChoice] | None = None
    usage: _Reported | None = None


class _UsageOnly(Struct):
    usage: JsonObject | None = None


_read_plain = msgspec.json.Decoder(_PlainAnswer).decode
_read_usage_only = msgspec.json.Decoder(_UsageOnly).decode


def read_summary(body: bytes) -> Summary:
    """Usage and finish reason of a plain answer. ``ValueError`` when the body is no JSON object; an object with members
    of odd types is still somebody's answer and only tells less."""
    try:
        answer = _read_plain(body)
    except msgspec.ValidationError:
        return _read_loosely(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"the answer is no JSON object: {error}") from None
    usage = _to_usage(answer.usage) if answer.usage else None
    return Summary(usage, answer.choices[0].finish_reason if answer.choices else None)


def _read_loosely(body: bytes) -> Summary:
    try:
        answer = _read_usage_only(body)
    except msgspec.ValidationError:
        if not body.lstrip().startswith(b"{"):
            raise ValueError("the answer is no JSON object") from None
        return Summary()
    return Summary(read_usage(answer.usage) if answer.usage else None)


# --- a streamed answer ----------------------------------------------------------------------------------------------

# An event with none of these says nothing that the gateway wants to know. Text inside JSON strings cannot fake them: a
# quote in a string stands behind a backslash.
_MARKERS = (b'"finish_reason":"', b'"usage":{', b"[DONE]", b'"error"', b'"finish_reason": "', b'"usage": {')
# A blank line in any mixture of line ends (WHATWG HTML, 9.2.6 "Interpreting an event stream").
_EVENT_END = re.compile(rb"\n\r?\n|\n\r(?!\n)|\r\r(?!\n)|\r\r\n")
_DATA_LINE = re.compile(rb"(?:^|[\r\n])data:? ?([^\r\n]*)")


class _Choice(Struct):
    delta: dict[str, Raw] | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Groq(Struct):
    usage: JsonObject | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: JsonObject | None = None
    error: JsonObject | str | None = None
    x_groq: _Groq | None = None
    message: str | JsonObject | None = None
    object: str | None = None


_read_chunk = msgspec.json.Decoder(_Chunk).decode
_EMPTY_VALUES = frozenset((b"null", b'""', b"[]", b"{}"))
# Members of a delta that carry no part of the answer.
_SILENT_MEMBERS = frozenset(("role", "name", "obfuscation", "reasoning_details", "provider_specific_fields"))


class ChatStreamObserver:
    """Watches an OpenAI chat (or completion) stream. See ``providers.contract.StreamObserver``."""

    __slots__ = (
        "_held",
        "_strip_usage",
        "fault",
        "finish_reason",
        "has_token",
        "is_complete",
        "is_fault_told",
        "usage",
    )

    def __init__(self, strip_usage: bool) -> None:
        self._strip_usage = strip_usage
        self._held = b""
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.has_token = False
        self.is_complete = False
        self.fault: Fault | None = None
        self.is_fault_told = False

    def feed(self, data: bytes) -> bytes:
        if self._held or not data.endswith(b"\n\n"):
            data = self._whole_events(self._held + data)
            if not data:
                return b""
        if self.has_token:
            # a loop over the markers costs more than the searches themselves
            a, b, c, d, e, f = _MARKERS
            if a not in data and b not in data and c not in data and d not in data and e not in data and f not in data:
                return data
        return self._inspect(data)

    def finish(self) -> bytes:
        # a last event without its blank line is not dispatched by clients, but these bytes are the provider's
        rest, self._held = self._held, b""
        forwarded = self._inspect(rest) if rest else b""
        if not self.is_complete and self.fault is None and self.finish_reason is None:
            self.fault = Fault("the provider ended the stream before the answer was complete", kind="upstream_broken")
            return b""
        return forwarded

    def _whole_events(self, data: bytes) -> bytes:
        end = 0
        for blank_line in (b"\n\n", b"\n\r\n", b"\r\r"):
            at = data.rfind(blank_line)
            if at >= 0:
                end = max(end, at + len(blank_line))
        self._held = data[end:]
        if len(self._held) > MAX_SSE_EVENT_BYTES:
            self._held = b""
            self.fault = Fault("the provider sent an event larger than the gateway takes", kind="upstream_broken")
        return data[:end]

    def _inspect(self, data: bytes) -> bytes:
        if not self._strip_usage:
            for event in _split_events(data):
                self._note(event)
            return data
        return b"".join([event for event in _split_events(data) if not self._note(event)])

    def _note(self, event: bytes) -> bool:
        """Learn from one event. Is it the usage event that only the gateway asked for?"""
        payload = _payload(event)
        if payload is None:
            return False
        if payload == b"[DONE]":
            self.is_complete = True
            return False
        try:
            chunk = _read_chunk(payload)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return False
        self._learn(chunk, event)
        return self._strip_usage and chunk.choices == [] and chunk.usage is not None

    def _learn(self, chunk: _Chunk, event: bytes) -> None:
        reported = chunk.usage or (chunk.x_groq.usage if chunk.x_groq else None)
        if reported:
            self.usage = read_usage(reported)
        for choice in chunk.choices or ():
            self.finish_reason = choice.finish_reason or self.finish_reason
            self.has_token = self.has_token or bool(choice.text) or _has_content(choice.delta)
        if chunk.error or chunk.object == "error" or (event.startswith(b"event: error") and chunk.message):
            self.fault = self.fault or _read_fault(chunk)
            self.is_fault_told = True


def _split_events(data: bytes) -> Iterator[bytes]:
    """The events of ``data``, each with the blank line that ends it."""
    start = 0
    for end in _EVENT_END.finditer(data):
        yield data[start : end.end()]
        start = end.end()
    if start < len(data):
        yield data[start:]


def _payload(event: bytes) -> bytes | None:
    """The joined data lines of an event; None when it has none (a comment)."""
    if event.startswith(b"data: ") and event.find(b"\n", 0, -2) < 0 and b"\r" not in event:
        return event[6:].rstrip(b"\n")
    lines = _DATA_LINE.findall(event)
    return b"\n".join(lines) if lines else None


def _has_content(delta: Mapping[str, Raw] | None) -> bool:
    return any(
        name not in _SILENT_MEMBERS and bytes(value) not in _EMPTY_VALUES for name, value in (delta or {}).items()
    )


def _read_fault(chunk: _Chunk) -> Fault:
    error = chunk.error
    if isinstance(error, dict):
        status = error.get("status_code") or error.get("code") or error.get("status")
        message = error.get("message")
    else:
        status, message = None, error or chunk.message
    known = status if isinstance(status, int) and 400 <= status <= 599 else 502
    return Fault(clean_message(message if isinstance(message, str) else "the provider reported an error"), known)


def chat_observer(strip_usage: bool) -> ChatStreamObserver:
    return ChatStreamObserver(strip_usage)


# --- errors ---------------------------------------------------------------------------------------------------------

# What vendors' keys look like; some of them repeat the caller's key in a 401.
_KEY_SHAPES = re.compile(
    r"\bsk-[A-Za-z0-9_*.\-]{6,}|\b(?:gsk_|xai-|nvapi-|hf_|r8_|pplx-|csk-|fw_|tgp_)[A-Za-z0-9_*\-]{16,}|\bAIza[\w*\-]{20,}"
)
_MAX_MESSAGE_CHARS = 2000
# Codes that mean: the same request may succeed a moment later.
RETRYABLE_STATUS = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529))
_CLIENT_HEADERS = ("retry-after", "retry-after-ms", "x-should-retry")


class _ErrorBody(Struct):
    error: JsonObject | str | None = None
    message: str | JsonObject | list[Any] | None = None
    detail: str | JsonObject | list[Any] | None = None
    type: str | None = None
    code: str | int | float | None = None
    param: str | None = None


_read_error_body = msgspec.json.Decoder(_ErrorBody | list[_ErrorBody]).decode


def clean_message(text: str) -> str:
    """Provider text that may be shown: without anything that looks like a key, without control characters, bounded."""
    text = "".join(c if c.isprintable() or c == "\n" else " " for c in text[:_MAX_MESSAGE_CHARS])
    return _KEY_SHAPES.sub("[key removed]", text)


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamRefused:
    """An error answer in the OpenAI envelope ``{"error": {message, type, param, code}}`` or a vendor's variant of it."""
    try:
        decoded = _read_error_body(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        decoded = _ErrorBody()
    envelope = (decoded[0] if decoded else _ErrorBody()) if isinstance(decoded, list) else decoded
    error = envelope.error if isinstance(envelope.error, dict) else {}
    message = _first_text(error.get("message"), envelope.error, envelope.message, envelope.detail)
    native_code = error.get("code", envelope.code)
    refused = UpstreamRefused(
        clean_message(message) if message else f"the provider answered {status} without saying why",
        upstream_status=status,
        retryable=status in RETRYABLE_STATUS,
        native_type=_text(error.get("type") or envelope.type),
        native_code=None if native_code is None else _text(native_code),
        param=_text(error.get("param") or envelope.param) or None,
        retry_after_s=read_retry_after(headers),
        headers=tuple((name, headers[name]) for name in _CLIENT_HEADERS if name in headers),
    )
    if isinstance(envelope.error, dict) and message:
        refused.body = _KEY_SHAPES_BYTES.sub(b"[key removed]", body)
        refused.content_type = headers.get("content-type", "application/json")
    return refused


_KEY_SHAPES_BYTES = re.compile(_KEY_SHAPES.pattern.encode())


def _text(value: object) -> str:
    return clean_message(str(value)) if isinstance(value, str | int | float) else ""


def _first_text(*values: object) -> str:
    return next((value for value in values if isinstance(value, str) and value), "")


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as the provider says: ``retry-after-ms`` or ``Retry-After`` in seconds (RFC 9110, 10.2.3; its date
    form is left to the client). None when it does not say."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if 0 <= seconds < 1e6:
            return seconds
    return None


# --- models ---------------------------------------------------------------------------------------------------------


class _ListedModel(Struct):
    id: str
    created: int | float | None = None
    owned_by: str | None = None
    name: str | None = None


class _ModelList(Struct):
    data: list[_ListedModel]


_read_model_list = msgspec.json.Decoder(_ModelList | list[_ListedModel]).decode


def read_models(body: bytes) -> list[Model]:
    """The answer of ``GET /models``: an OpenAI list, or a bare array (Together). ``ValueError`` when it is neither."""
    try:
        listed = _read_model_list(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a model list: {error}") from None
    models = listed.data if isinstance(listed, _ModelList) else listed
    return [
        Model(id=m.id, created=int(m.created or 0), owned_by=m.owned_by or "", display_name=m.name or "")
        for m in models
    ]
