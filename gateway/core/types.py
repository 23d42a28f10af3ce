"""The nouns every dialect and every provider meet at.

A request is a ``ChatRequest``; an answer is a list of events. A streamed answer delivers the events as they come, a
plain answer delivers them all at once, so each provider and each dialect is translated once and not once per shape.

What these types cannot say travels beside them in ``extra`` maps of raw JSON, keyed by the client's field name.
"""

import enum
from collections.abc import Sequence
from typing import NoReturn

import msgspec
from msgspec import Raw, Struct

Extra = dict[str, Raw]
Header = tuple[str, str]


class Secret:
    """A credential that cannot be printed by accident: only ``reveal`` gives the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __reduce__(self) -> NoReturn:
        # pickle and copy would otherwise write the text of a slot for all to read
        raise TypeError("a Secret is not serialised")


class Capability(enum.StrEnum):
    """What an endpoint asks of a provider. Routing knows these words and never a provider's name."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"


class DialectName(enum.StrEnum):
    """The wire languages: what a client writes and what a provider answers."""

    OPENAI_CHAT = "openai_chat"
    OPENAI_EMBEDDINGS = "openai_embeddings"
    ANTHROPIC_MESSAGES = "anthropic_messages"


class FinishReason(enum.StrEnum):
    """Why an answer ended, in the field's (OpenAI's) words."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class Provenance(enum.StrEnum):
    """Who counted the tokens."""

    REPORTED = "reported"
    ESTIMATED = "estimated"


# --- a request ----------------------------------------------------------------------------------------------------


class Text(Struct, tag="text", omit_defaults=True):
    text: str
    extra: Extra = {}


class Refusal(Struct, tag="refusal", omit_defaults=True):
    text: str


class Image(Struct, tag="image", omit_defaults=True):
    """A picture by ``url``, by ``file_id``, or as base64 ``data`` of ``media_type``; exactly one is set."""

    url: str | None = None
    file_id: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None
    extra: Extra = {}


class File(Struct, tag="file", omit_defaults=True):
    """A document by ``url``, by ``file_id``, or as base64 ``data`` of ``media_type``; exactly one is set."""

    url: str | None = None
    file_id: str | None = None
    data: str | None = None
    media_type: str | None = None
    filename: str | None = None
    extra: Extra = {}


class Audio(Struct, tag="audio", omit_defaults=True):
    """Base64 ``data`` in ``format`` (``wav``, ``mp3``)."""

    data: str
    format: str
    extra: Extra = {}


class Reasoning(Struct, tag="reasoning", omit_defaults=True):
    """One block of thought. ``signature`` proves it to the provider that wrote it; ``redacted`` is the opaque form
    of a block whose text is withheld. Both must go back byte for byte (Anthropic, "extended thinking")."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


class ToolCall(Struct, tag="tool_call", omit_defaults=True):
    """The model asks for a tool. ``arguments`` is JSON text exactly as the model wrote it, valid or not."""

    id: str
    name: str
    arguments: str
    extra: Extra = {}


class ToolResult(Struct, tag="tool_result", omit_defaults=True):
    call_id: str
    parts: list["Text | Image | File"]
    is_error: bool = False
    extra: Extra = {}


Part = Text | Refusal | Image | File | Audio | Reasoning | ToolCall | ToolResult


class Role(enum.StrEnum):
    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class Message(Struct, omit_defaults=True):
    """One turn. A ``tool`` turn holds exactly one ``ToolResult``; order of parts is the order on the wire."""

    role: Role
    parts: list[Part]
    name: str | None = None
    extra: Extra = {}


class Tool(Struct, omit_defaults=True):
    """A function the model may call; ``parameters`` is its JSON Schema, untouched."""

    name: str
    description: str | None = None
    parameters: Raw | None = None
    strict: bool | None = None
    extra: Extra = {}


class ToolChoice(Struct, omit_defaults=True):
    """``mode`` is ``auto``, ``none``, ``required`` or ``tool`` (then ``name`` says which). ``allowed`` narrows the
    offered tools to these names."""

    mode: str
    name: str | None = None
    allowed: tuple[str, ...] | None = None


class ResponseFormat(Struct, omit_defaults=True):
    """``kind`` is ``text``, ``json_object`` or ``json_schema`` (then ``schema`` is set)."""

    kind: str
    name: str | None = None
    description: str | None = None
    schema: Raw | None = None
    strict: bool | None = None


class ChatRequest(Struct, kw_only=True, omit_defaults=True):
    """A chat in no vendor's words. ``None`` means the client did not say. ``extra`` holds every field that has no
    member here, so that nothing is lost and parameter rules can judge it by its name."""

    model: str
    messages: list[Message]
    stream: bool = False
    include_usage: bool = False
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] | None = None
    reasoning_effort: str | None = None
    reasoning_budget: int | None = None
    response_format: ResponseFormat | None = None
    user: str | None = None
    extra: Extra = {}


# --- an answer ----------------------------------------------------------------------------------------------------


class Usage(Struct, omit_defaults=True):
    """Tokens by kind. ``input_tokens`` counts the whole prompt, cached parts included; ``output_tokens`` counts
    everything generated, reasoning included. The other members name shares of these two."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    provenance: Provenance = Provenance.REPORTED


class Start(Struct, tag="start"):
    """The provider accepted and names its answer. At most one, first."""

    id: str
    model: str
    created: int | None = None


class TextDelta(Struct, tag="text"):
    text: str
    choice: int = 0


class RefusalDelta(Struct, tag="refusal"):
    text: str
    choice: int = 0


class ReasoningDelta(Struct, tag="reasoning", omit_defaults=True):
    """A piece of the reasoning block number ``block`` (0, 1, ...). ``signature`` and ``redacted`` come whole."""

    text: str = ""
    block: int = 0
    signature: str | None = None
    redacted: str | None = None
    choice: int = 0


class ToolCallDelta(Struct, tag="tool_call", omit_defaults=True):
    """A piece of the tool call number ``position`` (0, 1, ... in order of appearance). ``id`` and ``name`` are set on
    its first piece and only there; the ``arguments`` of all pieces add up to the call's JSON text."""

    position: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    choice: int = 0


class ContentDelta(Struct, tag="content", omit_defaults=True):
    """Content of the answer that has no neutral noun: ``field`` is where an OpenAI-shaped message carries it
    (``annotations`` for citations, ``provider_content`` for blocks of provider-side tools), ``value`` one element."""

    field: str
    value: Raw
    choice: int = 0


class UsageReport(Struct, tag="usage"):
    """The best usage known so far; a later report replaces an earlier one."""

    usage: Usage


class Finish(Struct, tag="finish", omit_defaults=True):
    """The answer is complete. Last, exactly one unless a ``Fault`` stands in its place. ``native`` is the provider's
    own word for the reason."""

    reason: FinishReason
    native: str = ""
    stop_sequence: str | None = None


class Fault(Struct, tag="fault", omit_defaults=True):
    """The answer broke off. Last. ``kind`` is a code of ``core.errors``; ``message`` is the provider's, cleaned, and
    ``native_type`` its own word for the error, when it said one. ``status`` is the HTTP status that fits."""

    message: str
    status: int = 502
    kind: str = "upstream_error"
    native_type: str = ""


Event = Start | TextDelta | RefusalDelta | ReasoningDelta | ToolCallDelta | ContentDelta | UsageReport | Finish | Fault
Events = Sequence[Event]


# --- models -------------------------------------------------------------------------------------------------------


class Model(Struct, frozen=True, omit_defaults=True):
    """A model as its provider lists it. ``created`` is a Unix time in seconds, 0 when the provider does not say."""

    id: str
    created: int = 0
    owned_by: str = ""
    display_name: str = ""


def raw_json(value: object) -> Raw:
    """``value`` as raw JSON, for an ``extra`` map."""
    return Raw(msgspec.json.encode(value))
