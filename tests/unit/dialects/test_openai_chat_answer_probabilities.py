"""Token probabilities in the answers of both OpenAI dialects, and in the requests of all three."""

import json
from typing import Any

import pytest
from msgspec import Raw
from openai import omit
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.core.errors import UnsupportedParameter
from gateway.core.limits import MAX_HELD_ANSWER_CHARS
from gateway.core.types import (
    ContentDelta,
    Event,
    Fault,
    Finish,
    FinishReason,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
)
from gateway.dialects import anthropic_messages_request
from gateway.dialects.openai_chat_answer import ChatEncoder
from tests.kit import response_objects
from tests.kit.response_objects import STREAM_EVENT, request

Json = dict[str, Any]

START = Start("a1", "m")
STOP = Finish(FinishReason.STOP)


def token(text: str = "Hi") -> Json:
    return {"token": text, "logprob": -0.25, "bytes": list(text.encode()), "top_logprobs": []}


def measured(text: str = "Hi", choice: int = 0, field: str = "logprobs") -> ContentDelta:
    """Spaced as no encoder of ours would."""
    return ContentDelta(field, Raw(json.dumps(token(text), indent=1).encode()), choice)


# --- chat completions -------------------------------------------------------------------------------------------------


def chunks(*batches: list[Event]) -> list[Json]:
    encoder = ChatEncoder("m", False, 5)
    data = b"".join(encoder.stream(batch) for batch in batches)
    *lines, done = data.removesuffix(b"\n\n").split(b"\n\n")
    assert done == b"data: [DONE]"
    found = [json.loads(line.removeprefix(b"data: ")) for line in lines]
    for chunk in found:
        ChatCompletionChunk.model_validate(chunk)
    return found


def put_together(found: list[Json]) -> Json:
    """As the official client does it."""
    state = ChatCompletionStreamState()
    for chunk in found:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    whole: Json = json.loads(state.get_final_completion().model_dump_json())
    return whole


def test_a_plain_completion_has_them_beside_its_message() -> None:
    events = [START, TextDelta("Hi"), measured("H"), measured("i"), TextDelta("Oh", 1), measured("Oh", 1), STOP]
    answer = json.loads(ChatEncoder("m", False, 5).body(events))
    ChatCompletion.model_validate(answer)
    assert [choice["logprobs"] for choice in answer["choices"]] == [
        {"content": [token("H"), token("i")], "refusal": None},
        {"content": [token("Oh")], "refusal": None},
    ]
    assert all("logprobs" not in choice["message"] for choice in answer["choices"])


def test_a_streams_chunks_have_them_behind_their_text() -> None:
    found = chunks([START, TextDelta("H"), measured("H")], [TextDelta("i"), measured("i")], [STOP])
    told = [(chunk["choices"][0]["delta"], chunk["choices"][0]["logprobs"]) for chunk in found]
    assert told == [
        ({"role": "assistant", "content": "", "refusal": None}, None),
        ({"content": "H"}, None),
        ({}, {"content": [token("H")], "refusal": None}),
        ({"content": "i"}, None),
        ({}, {"content": [token("i")], "refusal": None}),
        ({}, None),
    ]
    [choice] = put_together(found)["choices"]
    assert (choice["message"]["content"], choice["logprobs"]["content"]) == ("Hi", [token("H"), token("i")])


def test_many_at_once_are_one_chunk_of_their_choice() -> None:
    events = [TextDelta("a"), measured("a"), TextDelta("b", 1), measured("b", 1), TextDelta("c"), measured("c"), STOP]
    found = chunks([START, *events])
    told = [(c["index"], c["logprobs"]) for chunk in found for c in chunk["choices"] if c["logprobs"]]
    assert told == [
        (0, {"content": [token("a"), token("c")], "refusal": None}),
        (1, {"content": [token("b")], "refusal": None}),
    ]
    assert [c["finish_reason"] for chunk in found[-2:] for c in chunk["choices"]] == ["stop", "stop"]


def test_those_of_a_refusal_stand_apart() -> None:
    refused = [RefusalDelta("No"), measured("No", field="refusal_logprobs")]
    answer = json.loads(ChatEncoder("m", False, 5).body([START, *refused, STOP]))
    ChatCompletion.model_validate(answer)
    assert answer["choices"][0]["logprobs"] == {"content": None, "refusal": [token("No")]}
    [choice] = put_together(chunks([START, *refused, STOP]))["choices"]
    assert choice["logprobs"] == answer["choices"][0]["logprobs"]


def test_nothing_follows_an_answer_that_broke_off() -> None:
    encoder = ChatEncoder("m", False, 5)
    data = encoder.stream([START, TextDelta("a"), measured("a"), Fault("no")])
    assert b'"error"' in data.split(b"\n\n")[-2]
    assert encoder.stream([measured("b")]) == b""


def test_a_stream_without_them_is_as_before() -> None:
    data = ChatEncoder("m", False, 5).stream([START, TextDelta("a")])
    assert data.count(b'"logprobs":null') == data.count(b"\n\n") == 2


# --- responses --------------------------------------------------------------------------------------------------------


def test_a_plain_response_has_them_at_its_text() -> None:
    answer = response_objects.answer(TextDelta("Hi"), measured("H"), measured("i"), STOP)
    assert answer["output"][0]["content"][0]["logprobs"] == [token("H"), token("i")]


def test_a_stream_tells_them_when_the_text_is_whole() -> None:
    found = response_objects.told(TextDelta("H"), measured("H"), TextDelta("i"), measured("i"), STOP)
    whole = [token("H"), token("i")]
    told = {event["type"]: event for event in found}
    assert told["response.output_text.done"]["logprobs"] == whole
    assert told["response.content_part.done"]["part"]["logprobs"] == whole
    assert told["response.output_item.done"]["item"]["content"][0]["logprobs"] == whole
    state: Any = ResponseStreamState(input_tools=[], text_format=omit)
    for event in found:
        last = state.handle_event(STREAM_EVENT.validate_python(event))[-1]
    assert [t.token for t in last.response.output[0].content[0].logprobs] == ["H", "i"]


def test_each_text_has_its_own() -> None:
    call = ToolCallDelta(0, "c", "f", "{}")
    answer = response_objects.answer(TextDelta("a"), measured("a"), call, TextDelta("b"), measured("b"), STOP)
    texts = [item["content"][0] for item in answer["output"] if item["type"] == "message"]
    assert [text["logprobs"] for text in texts] == [[token("a")], [token("b")]]


@pytest.mark.parametrize("events", [[measured()], [ToolCallDelta(0, "c", "f", "{}"), measured()]])
def test_probabilities_of_no_text_make_no_message(events: list[Event]) -> None:
    for found in (response_objects.answer(*events, STOP), response_objects.told(*events, STOP)[-1]["response"]):
        texts = [part for item in found["output"] for part in item.get("content", ())]
        assert all(part == {"type": "output_text", "annotations": [], "logprobs": [], "text": ""} for part in texts)
        assert len(found["output"]) == 1


def test_what_is_held_to_be_told_again_is_bounded() -> None:
    encoder = response_objects.encoder()
    encoder.stream([START, TextDelta("a")])
    large = ContentDelta("logprobs", Raw(b'"%b"' % (b"x" * MAX_HELD_ANSWER_CHARS)))
    assert b"event: response.failed" in encoder.stream([large])


# --- requests ---------------------------------------------------------------------------------------------------------

INCLUDE = ["message.output_text.logprobs"]


@pytest.mark.parametrize(
    ("members", "extra"),
    [
        ({"include": INCLUDE}, {"logprobs": True}),
        (
            {"include": [*INCLUDE, "reasoning.encrypted_content"], "top_logprobs": 3},
            {"logprobs": True, "top_logprobs": 3},
        ),
        ({"include": INCLUDE, "top_logprobs": 0}, {"logprobs": True, "top_logprobs": 0}),
        ({"top_logprobs": 3}, {}),
    ],
)
def test_a_responses_client_asks_in_its_own_words(members: Json, extra: Json) -> None:
    assert {name: json.loads(bytes(raw)) for name, raw in request(**members).extra.items()} == extra


def test_what_was_asked_for_is_told_again() -> None:
    found = json.loads(response_objects.encoder(include=INCLUDE, top_logprobs=3).body([START, TextDelta("a"), STOP]))
    assert found["top_logprobs"] == 3


@pytest.mark.parametrize(("name", "value"), [("logprobs", True), ("top_logprobs", 3)])
def test_a_messages_client_cannot_ask(name: str, value: object) -> None:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    with pytest.raises(UnsupportedParameter) as refused:
        anthropic_messages_request.decode(json.dumps({**body, name: value}).encode())
    assert refused.value.param == name
    for nothing in (False, None) if name == "logprobs" else (0, None):
        anthropic_messages_request.decode(json.dumps({**body, name: nothing}).encode())
