"""Everything that an answer says is told to the client, or named in ``dropped``."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from gateway.core.types import (
    ChatRequest,
    ContentDelta,
    DialectName,
    EmbeddingRequest,
    Event,
    Finish,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    Vector,
)
from gateway.dialects import anthropic_messages, openai_chat, openai_embeddings, openai_responses
from gateway.dialects.contract import Encoder
from gateway.dialects.left_out import LeftOut

START, STOP = Start("a1", "m"), Finish(FinishReason.STOP)
DIALECTS = {
    dialect.name: dialect for dialect in (openai_chat.DIALECT, openai_responses.DIALECT, anthropic_messages.DIALECT)
}
CHAT, RESPONSES, MESSAGES = DIALECTS
every_client = pytest.mark.parametrize("client", DIALECTS, ids=str)


def encoder(client: DialectName) -> Encoder:
    make = DIALECTS[client].encoder
    assert make is not None
    return make(ChatRequest(model="m", messages=[]), 5)


def both(client: DialectName, *events: Event) -> list[tuple[bytes, list[str]]]:
    """What a stream and a plain answer tell, and what each names."""
    stream, plain = encoder(client), encoder(client)
    answer = [START, *events, STOP]
    return [
        (b"".join(stream.stream([event]) for event in answer), list(stream.dropped)),
        (plain.body(answer), list(plain.dropped)),
    ]


def named(client: DialectName, *events: Event) -> list[str]:
    (_, streamed), (_, plain) = both(client, TextDelta("a"), *events)
    assert streamed == plain
    return streamed


# --- by name ------------------------------------------------------------------------------------------------------


def content(field: str, value: object, choice: int = 0) -> ContentDelta:
    return ContentDelta(field, Raw(json.dumps(value).encode()), choice)


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K"}}
LINKED = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
ODD_IMAGE = {"type": "image_url", "image_url": {"url": "data:image/heic;base64,iVBORw0K"}}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
RESULT = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
WEB = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 1, "title": "t", "url": "u"}}
PLACE = {"type": "char_location", "cited_text": "a", "document_index": 0}
TOKEN = {"token": "a", "logprob": -1.0, "bytes": [97], "top_logprobs": []}


@pytest.mark.parametrize(
    ("event", "places"),
    [
        (content("annotations", WEB), {CHAT, RESPONSES, MESSAGES}),
        (content("annotations", {"type": "file_citation", "file_id": "f"}), {CHAT, RESPONSES}),
        (content("annotations", 5), {CHAT}),
        (content("citations", PLACE), {CHAT, MESSAGES}),
        (content("citations", WEB), {CHAT}),
        (content("images", IMAGE), {CHAT, RESPONSES}),
        (content("images", LINKED), {CHAT}),
        (content("images", ODD_IMAGE), {CHAT}),
        (content("images", {"type": "image_url"}), {CHAT}),
        (content("audio", {"id": "audio_1", "data": "UklG"}), {CHAT}),
        (content("audio", 5), set()),
        (content("logprobs", TOKEN), {CHAT, RESPONSES}),
        (content("refusal_logprobs", TOKEN), {CHAT}),
        (content("provider_content", SEARCH), {CHAT, RESPONSES}),
        (
            content("provider_content", {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}),
            {CHAT, RESPONSES},
        ),
        (content("provider_content", {"type": "compaction", "content": "x"}), {CHAT, MESSAGES}),
        (content("provider_content", RESULT), {CHAT, MESSAGES}),
        (content("provider_content", {"type": "server_tool_use", "id": "srvtoolu_1", "input": {}}), {CHAT, MESSAGES}),
        (content("provider_content", {"type": "function_call", "id": "fc_1"}), {CHAT}),
        (content("provider_content", {"type": "web_search_call", "id": 5}), {CHAT}),
        (content("provider_content", {"executableCode": {"code": "1"}}), {CHAT}),
        (content("provider_content", 5), {CHAT}),
        (content("stop_details", {"type": "refusal"}), {CHAT, MESSAGES}),
        (content("container", {"id": "c"}), {CHAT, MESSAGES}),
        (content("context_management", {"applied_edits": []}), {CHAT, MESSAGES}),
        (content("search_results", {"url": "u"}), {CHAT}),
        (content("executed_tools", {"index": 0}), {CHAT}),
    ],
)
@every_client
def test_content_without_a_place_is_named(client: DialectName, event: ContentDelta, places: set[DialectName]) -> None:
    assert named(client, event) == ([] if client in places else [f"answer.{event.field}"])


@pytest.mark.parametrize(
    "event",
    [
        TextDelta("b", 2),
        RefusalDelta("b", 2),
        ReasoningDelta("b", choice=2),
        ToolCallDelta(0, "c", "f", "{}", 2),
        content("images", IMAGE, 2),
    ],
)
@every_client
def test_a_choice_that_is_not_told_is_named(client: DialectName, event: Event) -> None:
    assert named(client, event, event) == ([] if client is CHAT else ["answer.choices[2]"])


def test_every_name_is_told_once_and_in_order() -> None:
    events = [content("audio", {}), TextDelta("b", 1), content("images", LINKED), content("audio", {})]
    assert named(RESPONSES, *events) == ["answer.audio", "answer.choices[1]", "answer.images"]


@pytest.mark.parametrize("before", [RefusalDelta("no"), ToolCallDelta(0, "c", "f", "{}"), ReasoningDelta("r")])
def test_probabilities_of_no_text_are_named(before: Event) -> None:
    assert named(RESPONSES, before, content("logprobs", TOKEN)) == ["answer.logprobs"]


def test_a_citation_of_no_text_is_named() -> None:
    called = ToolCallDelta(0, "c", "f", "{}")
    assert named(MESSAGES, called, content("citations", PLACE)) == ["answer.citations"]
    assert named(MESSAGES, called, content("annotations", WEB)) == ["answer.annotations"]


@every_client
def test_an_answer_that_is_told_whole_names_nothing(client: DialectName) -> None:
    usage = UsageReport(Usage(3, 4))
    assert named(client, ReasoningDelta("r", signature="s"), ToolCallDelta(0, "c", "f", "{}"), usage) == []


def test_counts_and_vectors_have_a_place() -> None:
    counted: list[Event] = [UsageReport(Usage(3)), STOP]
    for dialect in (openai_responses.COUNTING, anthropic_messages.COUNTING, openai_embeddings.DIALECT):
        assert dialect.encoder is not None
        write = dialect.encoder(EmbeddingRequest(model="m", inputs=["a"]), 5)
        write.body([Vector(0, [1.0]), *counted])
        assert list(write.dropped) == []


def test_names_are_kept_once() -> None:
    names = LeftOut()
    for choice in (1, 2, 1):
        names.name_choice(choice)
        names.name("images")
    assert names == ["answer.choices[1]", "answer.images", "answer.choices[2]"]


# --- any answer ---------------------------------------------------------------------------------------------------

Make = Callable[[str, int, int], Event]
"""An event that says the word, in this choice; the number is its own."""


def saying(field: str, value: Callable[[str], object]) -> Make:
    return lambda word, choice, _number: content(field, value(word), choice)


CONTENTS: list[Make] = [
    saying("annotations", lambda word: {**WEB, "url_citation": {**WEB["url_citation"], "url": word}}),  # type: ignore[dict-item]
    saying("annotations", lambda word: {"type": "url_citation", "url": word, "start_index": 0, "end_index": 1}),
    saying("annotations", lambda word: {"type": "file_citation", "file_id": word}),
    saying("annotations", lambda word: word),
    saying("citations", lambda word: {**PLACE, "cited_text": word}),
    saying("citations", lambda word: word),
    saying("images", lambda word: {**IMAGE, "image_url": {"url": f"data:image/jpeg;base64,{word}"}}),
    saying("images", lambda word: {**IMAGE, "image_url": {"url": f"https://{word}"}}),
    saying("audio", lambda word: {"id": "audio_1", "transcript": word}),
    saying("audio", lambda word: word),
    saying("logprobs", lambda word: {**TOKEN, "token": word}),
    saying("refusal_logprobs", lambda word: {**TOKEN, "token": word}),
    saying("provider_content", lambda word: {**SEARCH, "action": {"query": word}}),
    saying("provider_content", lambda word: {"type": "mcp_call", "id": word, "name": "f"}),
    saying("provider_content", lambda word: {"type": "server_tool_use", "id": "s", "input": {"query": word}}),
    saying("provider_content", lambda word: {**RESULT, "content": [word]}),
    saying("provider_content", lambda word: {"executableCode": {"code": word}}),
    saying("provider_content", lambda word: word),
    saying("stop_details", lambda word: {"explanation": word}),
    saying("search_results", lambda word: {"url": word}),
    saying("executed_tools", lambda word: {"output": word}),
    saying("news", lambda word: word),
]
MAKERS: list[Make] = [
    *CONTENTS,
    lambda word, choice, _: TextDelta(word, choice),
    lambda word, choice, _: RefusalDelta(word, choice),
    lambda word, choice, number: ReasoningDelta(word, number, choice=choice),
    lambda word, choice, number: ReasoningDelta("", number, signature=word, choice=choice),
    lambda word, choice, number: ReasoningDelta("", number, redacted=word, choice=choice),
    lambda word, choice, number: ToolCallDelta(number, f"c{number}", "f", f'{{"a":"{word}"}}', choice),
    lambda word, choice, number: ToolCallDelta(number, f"c{number}", "f", f'{{"a":"{word}"', choice),
]
STOPS = ("stop_details",)


def arranged(made: list[tuple[Make, int]]) -> list[tuple[str, Event]]:
    """Each event with a word of its own, which is base64 too. What a message has once comes once."""
    found, seen = [], set()
    for number, (make, choice) in enumerate(made):
        word = f"Word{number:04}"
        event = make(word, choice, number)
        field = event.field if isinstance(event, ContentDelta) else ""
        if field not in STOPS or field not in seen:
            found.append((word, event))
            seen.add(field)
    return found


def name_of(client: DialectName, event: Any) -> str:
    if event.choice and client is not CHAT:
        return f"answer.choices[{event.choice}]"
    return f"answer.{event.field}" if isinstance(event, ContentDelta) else "?"


ANSWERS = st.lists(st.tuples(st.sampled_from(MAKERS), st.sampled_from([0, 0, 0, 1])), max_size=10).map(arranged)


@every_client
@given(words=ANSWERS)
def test_everything_is_told_or_named(client: DialectName, words: list[tuple[str, Event]]) -> None:
    for told, dropped in both(client, *(event for _, event in words)):
        lost = {name_of(client, event) for word, event in words if word.encode() not in told}
        assert set(dropped) == lost
        assert len(dropped) == len(lost)


@every_client
@given(words=ANSWERS)
def test_whatever_is_told_stays_readable(client: DialectName, words: list[tuple[str, Event]]) -> None:
    """Server-sent events of one line each, and a plain answer, both JSON."""
    (stream, _), (plain, _) = both(client, *(event for _, event in words))
    for block in stream.removesuffix(b"\n\n").split(b"\n\n"):
        data = block.rpartition(b"data: ")[2]
        assert data == b"[DONE]" or isinstance(json.loads(data), dict)
    assert isinstance(json.loads(plain), dict)


# --- as the official clients read it ------------------------------------------------------------------------------

READERS: dict[DialectName, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    CHAT: (ChatCompletionChunk.model_validate, ChatCompletion.model_validate),
    RESPONSES: (TypeAdapter[Any](ResponseStreamEvent).validate_python, Response.model_validate),
    MESSAGES: (TypeAdapter[Any](RawMessageStreamEvent).validate_python, Message.model_validate),
}


@every_client
def test_official_clients_read_what_is_told(client: DialectName) -> None:
    spoken = {"id": "audio_1", "data": "UklG", "transcript": "Hi", "expires_at": 5}
    events = [content("images", IMAGE), content("provider_content", SEARCH), content("audio", spoken)]
    (stream, _), (plain, _) = both(client, TextDelta("a"), *events, TextDelta("b"), content("annotations", WEB))
    read_event, read_answer = READERS[client]
    for block in stream.removesuffix(b"\n\n").split(b"\n\n"):
        data = block.rpartition(b"data: ")[2]
        if data != b"[DONE]":
            read_event(json.loads(data))
    read_answer(json.loads(plain))
