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
from gateway.core.names import is_header_value
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
    total_tokens: _Count = None


_NO_DETAILS = _Details()


def _to_usage(reported: _Reported) -> Usage:
    prompt = reported.prompt_tokens_details or reported.input_tokens_details or _NO_DETAILS
    completion = reported.completion_tokens_details or reported.output_tokens_details or _NO_DETAILS
    input_tokens = reported.prompt_tokens or reported.input_tokens or 0
    output_tokens = reported.completion_tokens or reported.output_tokens or 0
    reasoning_tokens = completion.reasoning_tokens or reported.reasoning_tokens or 0
    # xAI counts reasoning beside the completion; only the total tells
    if reasoning_tokens and reported.total_tokens == input_tokens + output_tokens + reasoning_tokens:
        output_tokens += reasoning_tokens
    return Usage(
        input_tokens,
        output_tokens,
        prompt.cached_tokens or reported.prompt_cache_hit_tokens or reported.cached_tokens or 0,
        prompt.cache_write_tokens or reported.cache_creation_input_tokens or 0,
        reasoning_tokens,
        prompt.audio_tokens or 0,
        completion.audio_tokens or 0,
    )


def read_usage(reported: Mapping[str, object]) -> Usage:
    """The usage object of a chat completion or an embedding. A count that is missing or no sane number is 0."""
    return _to_usage(msgspec.convert(_sane(reported), _Reported))


def _sane(value: Mapping[str, object]) -> dict[str, object]:
    """Only what ``_Reported`` can hold: whole numbers that may be counts, and objects of such."""
    details = {name: _counts(member) for name, member in value.items() if isinstance(member, dict)}
    return {**_counts(value), **{name: counts for name, counts in details.items() if name.endswith("_details")}}


def _counts(members: Mapping[str, object]) -> dict[str, int]:
    return {
        name: int(number)
        for name, number in members.items()
        if isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number <= _MAX_COUNT
        if not name.endswith("_details")
    }


# --- a plain answer -------------------------------------------------------------------------------------------------


class _PlainChoice(Struct):
    finish_reason: str | None = None


class _PlainAnswer(Struct):
    choices: list[_PlainChoice] | None = None
    usage: _Reported | None = None


_read_plain = msgspec.json.Decoder(_PlainAnswer).decode
_read_members = msgspec.json.Decoder(JsonObject).decode


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
        usage = _read_members(body).get("usage")
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"the answer is no JSON object: {error}") from None
    return Summary(read_usage(usage) if usage and isinstance(usage, dict) else None)


# --- a streamed answer ----------------------------------------------------------------------------------------------

# An event with none of these says nothing that the gateway wants to know; one that has them is decoded, and its members
# tell. ``error`` may be the name of a member or of the event.
_MARKERS = (b'"finish_reason":"', b'"usage":{', b"[DONE]", b"error", b'"finish_reason": "', b'"usage": {')
# A blank line in any mixture of line ends (WHATWG HTML, 9.2.6 "Interpreting an event stream").
_EVENT_END = re.compile(rb"\n\r?\n|\n\r|\r\r\n?")
_DATA_LINE = re.compile(rb"(?:^[\r\n]*(?:\xef\xbb\xbf)?|[\r\n])data(?:: ?([^\r\n]*))?(?=[\r\n]|\Z)")
_ERROR_NAME = re.compile(rb"(?:^|[\r\n])event: ?error(?=[\r\n]|\Z)")


class _Choice(Struct):
    delta: dict[str, Raw] | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Groq(Struct):
    usage: Any = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    x_groq: _Groq | None = None
    message: Any = None
    object: Any = None


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
        self._held = bytearray()  # the beginning of an event
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.has_token = False
        self.is_complete = False
        self.fault: Fault | None = None
        self.is_fault_told = False

    def feed(self, data: bytes) -> bytes:
        if self._held or not data.endswith(b"\n\n"):
            data = self._whole_events(data)
            if not data:
                return b""
        if self.has_token:
            # a loop over the markers costs more than the searches themselves
            a, b, c, d, e, f = _MARKERS
            if a not in data and b not in data and c not in data and d not in data and e not in data and f not in data:
                return data
        return self._inspect(data)

    def finish(self) -> bytes:
        rest, self._held = bytes(self._held), bytearray()
        was_told = self.is_fault_told
        forwarded = self._inspect(rest)
        if self.fault is None and not self.is_complete and (self.finish_reason is None or _is_cut(rest)):
            self.fault = Fault("the provider ended the stream before the answer was complete", kind="upstream_broken")
        if self.fault is None or was_told or _ends_event(rest):
            # a last event without its blank line is not dispatched by clients, but these bytes are the provider's
            return forwarded
        # an error in an event that is not dispatched is told to nobody
        self.is_fault_told = False
        return _line_ends_before(rest)

    def _whole_events(self, data: bytes) -> bytes:
        """The held bytes and ``data`` up to the end of the last event; what follows is held. What was held before is
        not searched again, so that a long event in many small pieces costs linear time."""
        held = self._held
        seam = bytes(held[-2:])  # a blank line has at most three bytes
        end = _last_event_end(seam + data)
        whole = b""
        if end:
            whole = bytes(held) + data[: end - len(seam)]
            data = data[end - len(seam) :]
            held.clear()
        held += data
        if len(held) > MAX_SSE_EVENT_BYTES:
            held.clear()
            self.fault = Fault("the provider sent an event larger than the gateway takes", kind="upstream_broken")
        return whole

    def _inspect(self, data: bytes) -> bytes:
        if not self._strip_usage:
            for event in _split_events(data):
                self._note(event)
            return data
        return b"".join([_line_ends_before(event) if self._note(event) else event for event in _split_events(data)])

    def _note(self, event: bytes) -> bool:
        """Learn from one event. Is it the usage event that only the gateway asked for?"""
        payload = _payload(event)
        if payload is None:
            return False
        if payload.startswith(b"[DONE]"):
            self.is_complete = True
            return False
        chunk = _decode_chunk(payload)
        self._learn(chunk, event)
        return self._strip_usage and chunk.choices == [] and chunk.usage is not None and not chunk.error

    def _learn(self, chunk: _Chunk, event: bytes) -> None:
        reported = chunk.usage or (chunk.x_groq.usage if chunk.x_groq else None)
        if reported and isinstance(reported, dict):
            self.usage = read_usage(reported)
        for choice in chunk.choices or ():
            self.finish_reason = choice.finish_reason or self.finish_reason
            self.has_token = self.has_token or bool(choice.text) or _has_content(choice.delta)
        if chunk.error or chunk.object == "error" or _ERROR_NAME.search(event):
            self.fault = self.fault or _read_fault(chunk)
            self.is_fault_told = True


def _decode_chunk(payload: bytes) -> _Chunk:
    """The chunk of an event; an empty one when it is no JSON object. One member of an odd type hides no error and no
    usage."""
    try:
        return _read_chunk(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:
        members = _read_members(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _Chunk()
    return _Chunk(usage=members.get("usage"), error=members.get("error"), message=members.get("message"))


def _last_event_end(data: bytes) -> int:
    """Where the last whole event of ``data`` ends, 0 when there is none. A CR at the very end may be half of a CRLF and
    ends nothing yet."""
    end = max((data.rfind(blank) + len(blank) for blank in (b"\n\n", b"\n\r\n") if blank in data), default=0)
    at = max(data.rfind(b"\r\r", 0, -1), data.rfind(b"\n\r", 0, -1)) if b"\r" in data else -1
    return end if at < 0 else max(end, at + 2 + data.startswith(b"\n", at + 2))


def _line_ends_before(event: bytes) -> bytes:
    """The empty lines before an event. They always stay: where reads are cut must not decide whose they are."""
    return event[: len(event) - len(event.lstrip(b"\r\n"))]


def _ends_event(rest: bytes) -> bool:
    """Is the held ``rest`` a whole event after all? Only a last CR was not known to be a line end."""
    return rest.endswith((b"\r\r", b"\n\r")) or not rest.strip(b"\r\n")


def _is_cut(rest: bytes) -> bool:
    """Did the stream break off within the event that begins with ``rest``?"""
    if all(line[:1] in (b"", b":") for line in rest.splitlines()):
        return False
    payload = _payload(rest)
    if payload is None:
        return True
    try:
        _read_members(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return True
    return False


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
    error = chunk.error if isinstance(chunk.error, dict) else {}
    statuses = (_error_status(error.get(name)) for name in ("status_code", "code", "status"))
    message = clean_message(_first_text(error.get("message"), chunk.error, chunk.message))
    return Fault(message or "the provider reported an error", next(filter(None, statuses), 502))


def _error_status(value: object) -> int:
    """An HTTP status, written as a number or as text; 0 when it is none."""
    text = str(value) if isinstance(value, int | str) else ""
    return int(text) if re.fullmatch(r"[45][0-9]{2}", text) else 0


def chat_observer(strip_usage: bool) -> ChatStreamObserver:
    return ChatStreamObserver(strip_usage)


# --- errors ---------------------------------------------------------------------------------------------------------

# What vendors' keys look like; some of them repeat the caller's key in a 401. In JSON the letter or digit before a key
# may be the end of an escape such as \n or \u0027.
_KEY_SHAPES = re.compile(
    r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4}))"
    r"(?:sk-[A-Za-z0-9_*.\-]{6,}|(?:gsk_|xai-|nvapi-|hf_|r8_|pplx-|csk-|fw_|tgp_)[A-Za-z0-9_*\-]{16,}|AIza[\w*\-]{20,})"
)
_KEY_SHAPES_IN_BYTES = re.compile(_KEY_SHAPES.pattern.encode())
_MAX_MESSAGE_CHARS = 2000
# Codes that mean: the same request may succeed a moment later.
RETRYABLE_STATUS = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529))
_CLIENT_HEADERS = ("retry-after", "retry-after-ms", "x-should-retry")


class _ErrorBody(Struct):
    error: Any = None
    message: Any = None
    detail: Any = None
    type: Any = None
    code: Any = None
    param: Any = None


_read_error_body = msgspec.json.Decoder(_ErrorBody | list[_ErrorBody]).decode


def clean_message(text: str) -> str:
    """Provider text that may be shown: without anything that looks like a key, without control characters, bounded."""
    text = "".join(c if c.isprintable() or c == "\n" else " " for c in text[:_MAX_MESSAGE_CHARS])
    return _KEY_SHAPES.sub("[key removed]", text).strip()


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamRefused:
    """An error answer in the OpenAI envelope ``{"error": {message, type, param, code}}`` or a vendor's variant."""
    try:
        decoded = _read_error_body(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        decoded = _ErrorBody()
    envelope = (decoded[0] if decoded else _ErrorBody()) if isinstance(decoded, list) else decoded
    error = envelope.error if isinstance(envelope.error, dict) else {}
    message = _first_text(error.get("message"), envelope.error, envelope.message, envelope.detail)
    if not message and headers.get("content-type", "").startswith("text/plain"):
        message = body.decode("utf-8", "replace")
    native_code = error.get("code", envelope.code)
    refused = UpstreamRefused(
        clean_message(message) or f"the provider answered {status} without saying why",
        upstream_status=status,
        retryable=status in RETRYABLE_STATUS,
        native_type=_text(error.get("type") or envelope.type),
        native_code=None if native_code is None else _text(native_code),
        param=_text(error.get("param") or envelope.param) or None,
        retry_after_s=read_retry_after(headers),
        headers=tuple((name, headers[name]) for name in _CLIENT_HEADERS if is_header_value(headers.get(name, "\n"))),
    )
    if isinstance(decoded, _ErrorBody) and isinstance(error.get("message"), str):
        refused.body = _KEY_SHAPES_IN_BYTES.sub(b"[key removed]", body)
        refused.content_type = "application/json"
    return refused


def _text(value: object) -> str:
    return clean_message(str(value)) if isinstance(value, str | int | float) else ""


def _first_text(*values: object) -> str:
    """The first value that says something; lists and objects (errors told field by field) as JSON."""
    said = next((value for value in values if value and isinstance(value, str | list | dict)), "")
    try:
        return said if isinstance(said, str) else msgspec.json.encode(said).decode()
    except RecursionError:
        return ""


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as the provider says: ``retry-after-ms`` or ``Retry-After`` in seconds (RFC 9110, 10.2.3; its
    date form is left to the client). None when it does not say."""
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
    created: Any = None
    owned_by: Any = None
    name: Any = None


class _ModelList(Struct):
    data: list[_ListedModel] | None


_read_model_list = msgspec.json.Decoder(_ModelList | list[_ListedModel]).decode


def read_models(body: bytes) -> list[Model]:
    """The answer of ``GET /models``: an OpenAI list, or a bare array (Together). ``ValueError`` when it is neither."""
    try:
        listed = _read_model_list(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a model list: {error}") from None
    models = (listed.data or []) if isinstance(listed, _ModelList) else listed
    return [_to_model(model) for model in models]


def _to_model(listed: _ListedModel) -> Model:
    owned_by = listed.owned_by if isinstance(listed.owned_by, str) else ""
    display_name = listed.name if isinstance(listed.name, str) else ""
    return Model(listed.id, _counts({"created": listed.created}).get("created", 0), owned_by, display_name)
