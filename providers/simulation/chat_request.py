"""A chat completion request as OpenAI's API takes it, and the mistakes it refuses ("Create chat completion").

Fields that the simulator has no use for are accepted and ignored, as is every field it does not know, so that a client
written for some provider's extension can be tried here.
"""

import re
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.core.decoding import DECODE_ERRORS
from providers.simulation.directives import Directives
from providers.simulation.refusals import RefusedError, unreadable
from providers.simulation.schemas import UnsatisfiableError, check_schema

_Probability = Annotated[float, Meta(ge=0, le=1)]
_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_TokenLimit = Annotated[int, Meta(ge=1)]

# --- messages -----------------------------------------------------------------------------------------------------


class TextPart(Struct, tag_field="type", tag="text"):
    text: str


class RefusalPart(Struct, tag_field="type", tag="refusal"):
    refusal: str


class ImagePart(Struct, tag_field="type", tag="image_url"):
    image_url: Raw


class AudioPart(Struct, tag_field="type", tag="input_audio"):
    input_audio: Raw


class FilePart(Struct, tag_field="type", tag="file"):
    file: Raw


Part = TextPart | RefusalPart | ImagePart | AudioPart | FilePart


class CalledFunction(Struct):
    name: str
    arguments: str


class PastCall(Struct):
    id: str
    function: CalledFunction


class Message(Struct):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[PastCall] | None = None
    tool_call_id: str | None = None


# --- tools and formats --------------------------------------------------------------------------------------------


class Function(Struct):
    name: str
    description: str | None = None
    parameters: Raw = Raw()
    strict: bool | None = None


class Tool(Struct):
    type: Literal["function"]
    function: Function


class FunctionName(Struct):
    name: str


class NamedTool(Struct, tag_field="type", tag="function"):
    function: FunctionName


class AllowedTool(Struct):
    function: FunctionName


class AllowedTools(Struct):
    mode: Literal["auto", "required"]
    tools: list[AllowedTool]


class AllowedChoice(Struct, tag_field="type", tag="allowed_tools"):
    allowed_tools: AllowedTools


class TextFormat(Struct, tag_field="type", tag="text"):
    pass


class ObjectFormat(Struct, tag_field="type", tag="json_object"):
    pass


class NamedSchema(Struct):
    name: str
    schema: Raw = Raw()


class SchemaFormat(Struct, tag_field="type", tag="json_schema"):
    json_schema: NamedSchema


class StreamOptions(Struct):
    include_usage: bool | None = None


# --- the request --------------------------------------------------------------------------------------------------


class ChatBody(Struct):
    """``functions`` and ``function_call`` are here to be refused: they gave way to ``tools`` in 2023."""

    model: str
    messages: Annotated[list[Message], Meta(max_length=2048)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    max_tokens: _TokenLimit | None = None
    max_completion_tokens: _TokenLimit | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    seed: int | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: _Probability | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | AllowedChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: TextFormat | ObjectFormat | SchemaFormat | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    modalities: list[Literal["text", "audio"]] | None = None
    functions: Raw = Raw()
    function_call: Raw = Raw()
    simulate: Directives | None = None


_DECODER = msgspec.json.Decoder(ChatBody)


def read_chat(body: bytes) -> ChatBody:
    """Raises ``RefusedError``."""
    try:
        request = _DECODER.decode(body)
    except DECODE_ERRORS as error:
        raise unreadable(error) from None
    for check in _CHECKS:
        check(request)
    return request


def _refuse(message: str, param: str, code: str | None = None) -> RefusedError:
    return RefusedError(message, param=param, code=code)


def _check_messages(request: ChatBody) -> None:
    if not request.messages:
        raise _refuse("Invalid 'messages': empty array. Expected at least one message.", "messages", "empty_array")
    for index, message in enumerate(request.messages):
        may_be_empty = message.role == "assistant" and message.tool_calls
        if message.content is None and not may_be_empty:
            param = f"messages[{index}].content"
            raise _refuse(f"Invalid value for '{param}': expected a string, got null.", param, "invalid_type")


def _check_tool_turns(request: ChatBody) -> None:
    """Every call must be answered before anything else is said, and nothing is answered that was not called."""
    open_calls: set[str] = set()
    for index, message in enumerate(request.messages):
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                raise _refuse(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with "
                    f"'tool_calls', and 'tool_call_id' must name one of them (message {index}).",
                    f"messages[{index}].tool_call_id",
                )
            open_calls.discard(message.tool_call_id)
            continue
        _check_all_answered(open_calls, index)
        open_calls = {call.id for call in message.tool_calls or ()}
    _check_all_answered(open_calls, len(request.messages))


def _check_all_answered(open_calls: set[str], index: int) -> None:
    if open_calls:
        raise _refuse(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. These did not have response messages: {', '.join(sorted(open_calls))}",
            f"messages[{index - 1}].role",
        )


def _check_limits(request: ChatBody) -> None:
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        raise _refuse(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.", "max_tokens"
        )
    if request.top_logprobs is not None and not request.logprobs:
        raise _refuse("'top_logprobs' is only allowed when 'logprobs' is true.", "top_logprobs")
    if request.stream_options is not None and not request.stream:
        raise _refuse("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")


_FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def _check_tools(request: ChatBody) -> None:
    if request.tools is None:
        if request.tool_choice not in (None, "none"):
            raise _refuse("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
        return
    for index, tool in enumerate(request.tools):
        if not _FUNCTION_NAME.fullmatch(tool.function.name):
            param = f"tools[{index}].function.name"
            raise _refuse(f"Invalid '{param}': expected 1 to 64 letters, digits, '_' or '-'.", param, "invalid_value")
        _check_parameters(tool.function, index)
    offered = {tool.function.name for tool in request.tools}
    for name in _chosen_names(request):
        if name not in offered:
            raise _refuse(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")


def _check_parameters(function: Function, index: int) -> None:
    try:
        check_schema(schema_text(function.parameters))
    except UnsatisfiableError as error:
        raise bad_parameters(function.name, index, error) from None


def bad_parameters(name: str, index: int, error: UnsatisfiableError) -> RefusedError:
    """The schema of tool number ``index`` is none, or has no values."""
    return RefusedError(
        f"Invalid schema for function '{name}': {error}.",
        param=f"tools[{index}].function.parameters",
        code="invalid_function_parameters",
    )


def _chosen_names(request: ChatBody) -> list[str]:
    choice = request.tool_choice
    if isinstance(choice, NamedTool):
        return [choice.function.name]
    if isinstance(choice, AllowedChoice):
        return [tool.function.name for tool in choice.allowed_tools.tools]
    return []


def _check_format(request: ChatBody) -> None:
    if not isinstance(request.response_format, ObjectFormat):
        return
    if not any("json" in text.lower() for message in request.messages for text in texts_of(message)):
        raise _refuse(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            "messages",
        )


def _check_unsupported(request: ChatBody) -> None:
    for name in ("functions", "function_call"):
        if is_given(getattr(request, name)):
            raise _refuse(f"'{name}' is not simulated: use 'tools'.", name, "unsupported_parameter")
    if request.modalities and "audio" in request.modalities:
        raise _refuse("This model writes text only.", "modalities", "unsupported_value")


_CHECKS: tuple[Callable[[ChatBody], None], ...] = (
    _check_messages,
    _check_tool_turns,
    _check_limits,
    _check_tools,
    _check_format,
    _check_unsupported,
)


def is_given(raw: Raw) -> bool:
    """A field that is left out and one that is null are the same."""
    return bytes(raw) not in (b"", b"null")


def schema_text(raw: Raw) -> bytes:
    """A JSON Schema as it came; one that was left out allows everything."""
    return bytes(raw) if is_given(raw) else b"{}"


def texts_of(message: Message) -> list[str]:
    """The texts of a message, without pictures, files and calls."""
    if isinstance(message.content, str):
        return [message.content]
    texts = []
    for part in message.content or ():
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, RefusalPart):
            texts.append(part.refusal)
    return texts
