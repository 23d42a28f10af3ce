"""The nouns every dialect and every provider meet at.

A request is a ``ChatRequest``; an answer is a list of events. A streamed answer delivers the events as they come, a
plain answer delivers them all at once, so each provider and each dialect is translated once and not once per shape.

What these types cannot say travels beside them in ``extra`` maps of raw JSON, keyed by the client's field name.
"""

import enum
from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

Extra = dict[str, Raw]
Header = tuple[str, str]


class Capability(enum.StrEnum):
    """What an endpoint asks of a provider. Routing knows these words and never a provider's name."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    COUNT_TOKENS = "token counting"
    COMPLETIONS = "completions"
    MODERATIONS = "moderations"
    SPEECH = "speech"
    TRANSCRIPTIONS = "transcriptions"
    TRANSLATIONS = "translations"
    IMAGE_GENERATIONS = "image generations"
    IMAGE_EDITS = "image edits"
    IMAGE_VARIATIONS = "image variations"
    RERANK = "rerank"
    COMPACTION = "compaction"
    # objects that a provider keeps for its clients
    STORED_RESPONSES = "stored responses"
    CONVERSATIONS = "conversations"
    FILES = "files"
    BATCHES = "batches"


class DialectName(enum.StrEnum):
    """The wire languages: what a client writes and what a provider answers."""

    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    OPENAI_COUNTING = "openai_counting"
    OPENAI_EMBEDDINGS = "openai_embeddings"
    # JSON with a model in it, and forms with one: carried as they are
    OPENAI_JSON = "openai_json"
    OPENAI_FORM = "openai_form"
    ANTHROPIC_MESSAGES = "anthropic_messages"
    ANTHROPIC_COUNTING = "anthropic_counting"
    GEMINI_GENERATE_CONTENT = "gemini_generate_content"


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


class Text(Struct, gc=False, tag="text", omit_defaults=True):
    text: str
    extra: Extra = {}


class Refusal(Struct, gc=False, tag="refusal", omit_defaults=True):
    text: str


class Image(Struct, gc=False, tag="image", omit_defaults=True):
    """A picture by ``url``, by ``file_id``, or as base64 ``data`` of ``media_type``; exactly one is set."""

    url: str | None = None
    file_id: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None
    extra: Extra = {}


class File(Struct, gc=False, tag="file", omit_defaults=True):
    """A document by ``url``, by ``file_id``, or as base64 ``data`` of ``media_type``; exactly one is set."""

    url: str | None = None
    file_id: str | None = None
    data: str | None = None
    media_type: str | None = None
    filename: str | None = None
    extra: Extra = {}


class Audio(Struct, gc=False, tag="audio", omit_defaults=True):
    """Base64 ``data`` in ``format`` (``wav``, ``mp3``)."""

    data: str
    format: str
    extra: Extra = {}


class Reasoning(Struct, gc=False, tag="reasoning", omit_defaults=True):
    """One block of thought. ``signature`` proves it to the provider that wrote it; ``redacted`` is the opaque form
    of a block whose text is withheld. Both must go back byte for byte, and only to an API that speaks ``origin``:

    - ``ANTHROPIC_MESSAGES``: the signature of a thinking block, the data of a redacted one ("extended thinking");
    - ``OPENAI_RESPONSES``: ``encrypted_content`` of a reasoning item whose id is ``id`` ("reasoning models");
    - ``GEMINI_GENERATE_CONTENT``: a thought signature. It belongs to the part that follows this one, or where none
      follows to the one before ("thought signatures");
    - ``OPENAI_CHAT``: an element of ``reasoning_details`` as JSON (OpenRouter, "reasoning tokens").
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    origin: DialectName = DialectName.ANTHROPIC_MESSAGES
    id: str | None = None


class ToolCall(Struct, gc=False, tag="tool_call", omit_defaults=True):
    """The model asks for a tool. ``arguments`` is JSON text exactly as the model wrote it, valid or not."""

    id: str
    name: str
    arguments: str
    extra: Extra = {}


class ToolResult(Struct, gc=False, tag="tool_result", omit_defaults=True):
    call_id: str
    parts: list["Text | Image | File"]
    is_error: bool = False
    extra: Extra = {}


class Opaque(Struct, gc=False, tag="opaque", omit_defaults=True):
    """Content that only an API of the language ``origin`` understands: the work of a provider-side tool, or a kind of
    part that did not exist when this was written. ``value`` is the part as the client sent it, ``kind`` its type."""

    kind: str
    value: Raw
    origin: DialectName


Part = Text | Refusal | Image | File | Audio | Reasoning | ToolCall | ToolResult | Opaque


class Role(enum.StrEnum):
    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class Message(Struct, gc=False, omit_defaults=True):
    """One turn. A ``tool`` turn holds exactly one ``ToolResult``; order of parts is the order on the wire."""

    role: Role
    parts: list[Part]
    name: str | None = None
    extra: Extra = {}


class Tool(Struct, gc=False, omit_defaults=True):
    """A function the model may call; ``parameters`` is its JSON Schema, untouched.

    A tool that takes free text has ``is_freeform``, and as a function one parameter ``input``; its grammar is
    ``extra["format"]``. A tool out of a ``namespace`` has it in front of its ``name`` (``namespace__name``).
    """

    name: str
    description: str | None = None
    parameters: Raw | None = None
    strict: bool | None = None
    is_freeform: bool = False
    namespace: str | None = None
    extra: Extra = {}


class HostedTool(Struct, gc=False, omit_defaults=True):
    """A tool that the provider runs itself. ``kind`` is ``web_search``, ``web_fetch``, ``code_execution`` or
    ``file_search`` where its meaning is known beyond one vendor, else the vendor's own word. ``value`` is the
    definition as the client wrote it, in the language ``origin``."""

    kind: str
    value: Raw
    origin: DialectName


class ToolChoice(Struct, gc=False, omit_defaults=True):
    """``mode`` is ``auto``, ``none``, ``required`` or ``tool`` (then ``name`` says which). ``allowed`` narrows the
    offered tools to these names."""

    mode: str
    name: str | None = None
    allowed: tuple[str, ...] | None = None


class ResponseFormat(Struct, gc=False, omit_defaults=True):
    """``kind`` is ``text``, ``json_object`` or ``json_schema`` (then ``schema`` is set)."""

    kind: str
    name: str | None = None
    description: str | None = None
    schema: Raw | None = None
    strict: bool | None = None


class ChatRequest(Struct, gc=False, kw_only=True, omit_defaults=True):
    """A chat in no vendor's words. ``None`` means the client did not say. ``extra`` holds every field that has no
    member here, so that nothing is lost and parameter rules can judge it by its name."""

    model: str
    messages: list[Message]
    stream: bool = False
    include_usage: bool = False
    tools: list[Tool] | None = None
    hosted_tools: list[HostedTool] | None = None
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


class EmbeddingRequest(Struct, gc=False, kw_only=True, omit_defaults=True):
    """Texts or lists of tokens to be embedded. ``is_base64``: the client wants each vector as base64 of little-endian
    float32."""

    model: str
    inputs: list[str] | list[list[int]]
    is_base64: bool = False
    dimensions: int | None = None
    user: str | None = None
    extra: Extra = {}


# --- an answer ----------------------------------------------------------------------------------------------------


class Usage(Struct, gc=False, omit_defaults=True):
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


class Start(Struct, gc=False, tag="start"):
    """The provider accepted and names its answer. At most one, first."""

    id: str
    model: str
    created: int | None = None


class TextDelta(Struct, gc=False, tag="text"):
    text: str
    choice: int = 0


class RefusalDelta(Struct, gc=False, tag="refusal"):
    text: str
    choice: int = 0


class ReasoningDelta(Struct, gc=False, tag="reasoning", omit_defaults=True):
    """A piece of the reasoning block number ``block`` (0, 1, ...). ``signature`` and ``redacted`` come whole, in the
    last piece of their block; ``origin`` and ``id`` stand beside them, as in ``Reasoning``, or on the first piece when
    they are known then."""

    text: str = ""
    block: int = 0
    signature: str | None = None
    redacted: str | None = None
    origin: DialectName = DialectName.ANTHROPIC_MESSAGES
    id: str | None = None
    choice: int = 0


class ToolCallDelta(Struct, gc=False, tag="tool_call", omit_defaults=True):
    """A piece of the tool call number ``position`` (0, 1, ... in order of appearance). ``id`` and ``name`` are set on
    its first piece and only there; the ``arguments`` of all pieces add up to the call's JSON text."""

    position: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    choice: int = 0


class ContentDelta(Struct, gc=False, tag="content", omit_defaults=True):
    """Content of the answer that has no neutral noun: ``field`` is where an OpenAI-shaped message carries it
    (``annotations`` for citations, ``provider_content`` for blocks of provider-side tools), ``value`` one element."""

    field: str
    value: Raw
    choice: int = 0


class Vector(Struct, gc=False, tag="vector"):
    """The embedding of input number ``index``."""

    index: int
    values: list[float]


class UsageReport(Struct, gc=False, tag="usage"):
    """The best usage known so far; a later report replaces an earlier one."""

    usage: Usage


class Finish(Struct, gc=False, tag="finish", omit_defaults=True):
    """The answer is complete. Last, exactly one unless a ``Fault`` stands in its place. ``native`` is the provider's
    own word for the reason."""

    reason: FinishReason
    native: str = ""
    stop_sequence: str | None = None


class Fault(Struct, gc=False, tag="fault", omit_defaults=True):
    """The answer broke off. Last. ``kind`` is a code of ``core.errors``; ``message`` is the provider's, cleaned, and
    ``native_type`` its own word for the error, when it said one. ``status`` is the HTTP status that fits."""

    message: str
    status: int = 502
    kind: str = "upstream_error"
    native_type: str = ""


Event = (
    Start
    | TextDelta
    | RefusalDelta
    | ReasoningDelta
    | ToolCallDelta
    | ContentDelta
    | Vector
    | UsageReport
    | Finish
    | Fault
)
Events = Sequence[Event]


# --- models -------------------------------------------------------------------------------------------------------


class Model(Struct, gc=False, frozen=True, omit_defaults=True):
    """A model as its provider lists it. ``created`` is a Unix time in seconds, 0 when the provider does not say."""

    id: str
    created: int = 0
    owned_by: str = ""
    display_name: str = ""


def raw_json(value: object) -> Raw:
    """``value`` as raw JSON, for an ``extra`` map."""
    return Raw(msgspec.json.encode(value))
