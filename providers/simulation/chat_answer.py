"""What the simulator says: a text about the request, JSON in the shape asked for, or calls of the tools offered.

The rules, in order, each explained in ``docs/simulator.md``:

1. The directive ``content`` is the answer, unless ``tool_choice`` demands a call.
2. Tools are called when they are offered and the last message is the user's, or when ``tool_choice`` demands it. Every
   tool whose name stands in the user's text is called, else the first; with ``parallel_tool_calls: false`` only one.
3. After tool results the text quotes them.
4. ``response_format`` turns the text into JSON.
"""

import re
import zlib
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from providers.simulation import tokens
from providers.simulation.chat_request import (
    AllowedChoice,
    AudioPart,
    ChatBody,
    FilePart,
    Function,
    ImagePart,
    Message,
    NamedTool,
    ObjectFormat,
    SchemaFormat,
    bad_parameters,
    schema_text,
    texts_of,
)
from providers.simulation.directives import MAX_OUTPUT_TOKENS, Directives
from providers.simulation.refusals import RefusedError
from providers.simulation.samples import MAX_READ_CHARS, sample_json
from providers.simulation.schemas import UnsatisfiableError

# --- the count of prompt tokens, as documented --------------------------------------------------------------------

TOKENS_PER_MESSAGE = 4
TOKENS_PER_REPLY = 3
TOKENS_PER_TOOL = 8
TOKENS_PER_IMAGE = 85
TOKENS_PER_FILE = 85

REASONING_TOKENS = {"none": 0, "minimal": 0, "low": 32, "medium": 64, "high": 128, "xhigh": 256}


class Conversation(Struct):
    """What was read. ``asked`` is the last thing the user wrote, ``results`` are the tool results at the end."""

    prompt_tokens: int
    asked: str
    images: int
    files: int
    recordings: int
    has_instructions: bool
    earlier: int
    results: list[tuple[str, str]]


def read_conversation(request: ChatBody) -> Conversation:
    parts = [p for m in request.messages if isinstance(m.content, list) for p in m.content]
    images = sum(isinstance(part, ImagePart) for part in parts)
    files = sum(isinstance(part, FilePart) for part in parts)
    recordings = sum(isinstance(part, AudioPart) for part in parts)
    users = [message for message in request.messages if message.role == "user"]
    return Conversation(
        prompt_tokens=tokens.count(_prompt_texts(request))
        + TOKENS_PER_MESSAGE * len(request.messages)
        + TOKENS_PER_TOOL * len(request.tools or ())
        + TOKENS_PER_IMAGE * images
        + TOKENS_PER_FILE * (files + recordings)
        + TOKENS_PER_REPLY,
        asked=" ".join(texts_of(users[-1])) if users else "",
        images=images,
        files=files,
        recordings=recordings,
        has_instructions=any(message.role in ("system", "developer") for message in request.messages),
        earlier=max(len(users) - 1, 0),
        results=_results(request.messages),
    )


def _prompt_texts(request: ChatBody) -> Iterator[str]:
    for message in request.messages:
        yield from texts_of(message)
        for call in message.tool_calls or ():
            yield call.function.name
            yield call.function.arguments
    for tool in request.tools or ():
        yield tool.function.name
        yield tool.function.description or ""
        yield str(bytes(tool.function.parameters), "utf-8", "replace")
    if isinstance(request.response_format, SchemaFormat):
        yield str(bytes(request.response_format.json_schema.schema), "utf-8", "replace")


def _results(messages: list[Message]) -> list[tuple[str, str]]:
    """Tool names and what they returned, when the conversation ends with that."""
    first = len(messages)
    while first and messages[first - 1].role == "tool":
        first -= 1
    if first == len(messages):
        return []
    names = {call.id: call.function.name for call in messages[first - 1].tool_calls or ()}
    return [(names.get(m.tool_call_id or "", "tool"), " ".join(texts_of(m))) for m in messages[first:]]


# --- the answer ---------------------------------------------------------------------------------------------------


class Call(Struct):
    name: str
    arguments: list[str]


class Answer(Struct):
    """One choice: ``text`` in tokens, or ``calls`` with arguments in tokens. The name of a call counts one token."""

    text: list[str]
    calls: list[Call]
    finish_reason: str
    reasoning_tokens: int

    @property
    def written_tokens(self) -> int:
        return len(self.text) + sum(1 + len(call.arguments) for call in self.calls)


def write_answers(request: ChatBody, conversation: Conversation, directives: Directives) -> list[Answer]:
    """One answer for each choice. Raises ``RefusedError`` for a JSON Schema that is none or cannot be met."""
    choices = request.n or 1
    limit = MAX_OUTPUT_TOKENS // choices
    wished = request.max_completion_tokens or request.max_tokens
    budget = min(wished or limit, limit)
    thinking = min(REASONING_TOKENS[request.reasoning_effort or "none"], budget)
    functions = _called_functions(request, conversation, directives)
    if functions:
        calls = [Call(f.name, tokens.cut(_arguments(request, f, conversation))) for f in functions]
        return [_cut_calls(calls, budget - thinking, thinking)] * choices
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    written = (_text_of_choice(request, conversation, directives, index) for index in range(choices))
    return [_cut_text(tokens.cut(_before_stop(text, stops)), budget - thinking, thinking) for text in written]


def _before_stop(text: str, stops: list[str]) -> str:
    places = [place for place in (text.find(stop) for stop in stops if stop) if place >= 0]
    return text[: min(places)] if places else text


def _cut_text(text: list[str], budget: int, thinking: int) -> Answer:
    is_cut = len(text) > budget
    return Answer(text[:budget], [], "length" if is_cut else "stop", thinking)


def _cut_calls(calls: list[Call], budget: int, thinking: int) -> Answer:
    """As many whole calls as fit, and the beginning of the next: a model that reaches its limit stops like that."""
    kept = []
    for call in calls:
        if budget < 1:
            break
        kept.append(Call(call.name, call.arguments[: budget - 1]))
        budget -= 1 + len(call.arguments)
    return Answer([], kept, "length" if budget < 0 or len(kept) < len(calls) else "tool_calls", thinking)


# --- tool calls ---------------------------------------------------------------------------------------------------


def _called_functions(request: ChatBody, conversation: Conversation, directives: Directives) -> list[Function]:
    choice = request.tool_choice
    if not request.tools or choice == "none":
        return []
    functions = [tool.function for tool in request.tools]
    is_demanded = choice == "required" or isinstance(choice, NamedTool)
    if isinstance(choice, NamedTool):
        return [function for function in functions if function.name == choice.function.name][:1]
    if isinstance(choice, AllowedChoice):
        allowed = {tool.function.name for tool in choice.allowed_tools.tools}
        functions = [function for function in functions if function.name in allowed]
        is_demanded = choice.allowed_tools.mode == "required"
    if not is_demanded and (directives.content is not None or request.messages[-1].role != "user"):
        return []
    asked = conversation.asked[:MAX_READ_CHARS].lower()
    named = [function for function in functions if _is_named(function.name, asked)] or functions[:1]
    return named[:1] if request.parallel_tool_calls is False else named


def _is_named(name: str, asked: str) -> bool:
    """``get_weather`` is named by "get_weather" and by "get weather"."""
    lower = name.lower()
    return lower in asked or lower.replace("_", " ") in asked


def _arguments(request: ChatBody, function: Function, conversation: Conversation) -> str:
    try:
        return sample_json(schema_text(function.parameters), conversation.asked)
    except UnsatisfiableError as error:
        index = [tool.function for tool in request.tools or ()].index(function)
        raise bad_parameters(function.name, index, error) from None


# --- text ---------------------------------------------------------------------------------------------------------

_QUOTE_CHARS = 160
_OPENINGS = (
    "Hello from the simulator.",
    "Good to hear from you.",
    "Here is a simulated answer.",
    "The simulator is happy to help.",
    "Thank you for the request.",
)
_ENCODER = msgspec.json.Encoder()


class _ObjectAnswer(Struct):
    answer: str
    asked: str
    is_simulated: bool = True


def _text_of_choice(request: ChatBody, conversation: Conversation, directives: Directives, index: int) -> str:
    wanted = request.response_format
    if directives.content is not None:
        return directives.content
    if isinstance(wanted, SchemaFormat):
        return _structured(wanted, conversation)
    text = _compose(request, conversation, index)
    if isinstance(wanted, ObjectFormat):
        return _ENCODER.encode(_ObjectAnswer(text, _quote(conversation.asked))).decode()
    return _stretched(text, directives.output_tokens) if directives.output_tokens else text


def _structured(wanted: SchemaFormat, conversation: Conversation) -> str:
    schema = wanted.json_schema
    try:
        return sample_json(schema_text(schema.schema), conversation.asked)
    except UnsatisfiableError as error:
        raise RefusedError(
            f"Invalid schema for response_format '{schema.name}': {error}.", param="response_format"
        ) from None


def _stretched(text: str, length: int) -> str:
    """``text`` again and again until it is ``length`` tokens long."""
    once, again = tokens.cut(text), tokens.cut(f" {text}")
    more = -(-max(length - len(once), 0) // len(again))
    return "".join((once + again * more)[:length])


def _compose(request: ChatBody, conversation: Conversation, index: int) -> str:
    seed = zlib.crc32(f"{request.seed} {conversation.asked[:MAX_READ_CHARS]}".encode()) + index
    sentences = [_OPENINGS[seed % len(_OPENINGS)], *_heard(conversation), *_seen(conversation)]
    sentences.append(f"I am {request.model}: no model was called, and the same request always gets this same answer.")
    text = " ".join(sentences)
    return f"{text}\n\n{_longer(conversation)}" if request.model == "sim-large" else text


def _heard(conversation: Conversation) -> Iterator[str]:
    for name, result in conversation.results[:8]:
        yield f'The tool {name} returned "{_quote(result)}".'
    if conversation.asked:
        yield f'You asked: "{_quote(conversation.asked)}".'


def _seen(conversation: Conversation) -> Iterator[str]:
    counts = (
        (conversation.earlier, "earlier question"),
        (conversation.images, "image"),
        (conversation.files, "file"),
        (conversation.recordings, "recording"),
    )
    seen = ["your instructions"] if conversation.has_instructions else []
    seen += [f"{number} {noun}{'s' if number > 1 else ''}" for number, noun in counts if number]
    if seen:
        yield f"I also took in {', '.join(seen)}."


def _longer(conversation: Conversation) -> str:
    """What makes the large model large: three more paragraphs."""
    return (
        "A larger model would now go into detail:\n\n"
        f"1. **What was read.** The prompt is {conversation.prompt_tokens} tokens by the simulator's rule: a word "
        "of up to eight letters or a single mark is a token.\n"
        "2. **What can be tried.** Offer tools and they are called, ask for JSON and it comes in your schema, and the "
        "field `simulate` asks for delays, limits and failures.\n"
        "3. **What comes next.** Give the gateway the key of a real provider and ask one of its models the same "
        "question: nothing else in your program has to change."
    )


_BLANKS = re.compile(r"\s+")


def _quote(text: str) -> str:
    """The beginning of ``text`` on one line, ending between words."""
    line = _BLANKS.sub(" ", text[: 4 * _QUOTE_CHARS]).strip()
    if len(line) <= _QUOTE_CHARS:
        return line
    return line[:_QUOTE_CHARS].rsplit(" ", 1)[0] + " ..."
