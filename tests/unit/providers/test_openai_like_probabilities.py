"""Token probabilities of both OpenAI APIs: asked for, and read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest
from gateway.core.types import ChatRequest, ContentDelta, Event, Message, Role, Text, TextDelta, raw_json
from providers.openai_like import ChatOptions
from providers.openai_like.chat_answer import read_chat_answer
from providers.openai_like.chat_request import chat_writer
from providers.openai_like.chat_transducer import ChatTransducer
from providers.openai_like.probabilities import told_probabilities
from providers.openai_like.responses import prefers_responses
from providers.openai_like.responses_answer import read_answer
from providers.openai_like.responses_request import to_wire
from providers.openai_like.responses_transducer import ResponsesTransducer
from tests.kit import responses_api
from tests.kit.chat_api import DONE, event

Json = dict[str, Any]

HI: Json = {
    "token": "Hi",
    "logprob": -0.25,
    "bytes": [72, 105],
    "top_logprobs": [{"token": "Oh", "logprob": -3.5, "bytes": [79, 104]}],
}
# the first half of an e with an accent
HALF: Json = {"token": "\\xc3", "logprob": -1.0, "bytes": [195], "top_logprobs": []}


def told(events: list[Event]) -> list[tuple[int, Json]]:
    """Choice and token of every probability."""
    return [(e.choice, json.loads(bytes(e.value))) for e in events if isinstance(e, ContentDelta)]


# --- asking -----------------------------------------------------------------------------------------------------------


def asking(**extra: Any) -> ChatRequest:
    turn = Message(Role.USER, [Text("Hi")])
    return ChatRequest(model="m", messages=[turn], extra={name: raw_json(value) for name, value in extra.items()})


def test_chat_completions_are_asked_as_the_client_asked() -> None:
    sent = chat_writer(ChatOptions())(asking(logprobs=True, top_logprobs=3), "gpt-4o")
    body = json.loads(sent.body)
    assert (body["logprobs"], body["top_logprobs"], sent.dropped) == (True, 3, ())


@pytest.mark.parametrize(
    ("extra", "members"),
    [
        ({"logprobs": True, "top_logprobs": 3}, {"include": ["message.output_text.logprobs"], "top_logprobs": 3}),
        ({"logprobs": True}, {"include": ["message.output_text.logprobs"]}),
        ({"logprobs": True, "top_logprobs": 0}, {"include": ["message.output_text.logprobs"]}),
        ({"logprobs": False, "top_logprobs": 0}, {}),
    ],
)
def test_responses_are_asked_in_their_own_words(extra: Json, members: Json) -> None:
    sent = to_wire(asking(**extra), "gpt-4o")
    body = json.loads(sent.body)
    assert {name: body[name] for name in ("include", "logprobs", "top_logprobs") if name in body} == members
    assert sent.dropped == ()


def test_thoughts_and_probabilities_are_asked_for_together() -> None:
    request = asking(logprobs=True)
    request.reasoning_effort = "low"
    body = json.loads(to_wire(request, "gpt-5").body)
    assert body["include"] == ["reasoning.encrypted_content", "message.output_text.logprobs"]


@pytest.mark.parametrize(
    ("extra", "param"),
    [
        ({"logprobs": 5}, "logprobs"),
        ({"logprobs": True, "top_logprobs": "3"}, "top_logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(extra: Json, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        to_wire(asking(**extra), "gpt-4o")
    assert refused.value.param == param


def test_probabilities_keep_no_request_from_responses() -> None:
    request = asking(logprobs=True)
    request.reasoning_effort = "high"
    assert prefers_responses(request, "gpt-5")


# --- reading chat completions -----------------------------------------------------------------------------------------


def test_a_plain_chat_completion_tells_them_of_each_choice() -> None:
    choices = [
        {"index": n, "message": {"content": t["token"]}, "logprobs": {"content": [t]}, "finish_reason": "stop"}
        for n, t in enumerate((HI, HALF))
    ]
    events = read_chat_answer(json.dumps({"id": "a", "choices": choices}).encode())
    assert told(events) == [(0, HI), (1, HALF)]


def test_those_of_a_refusal_are_told_apart() -> None:
    logprobs = {"content": None, "refusal": [HI]}
    choice = {"index": 0, "message": {"refusal": "Hi"}, "logprobs": logprobs, "finish_reason": "stop"}
    events = read_chat_answer(json.dumps({"id": "a", "choices": [choice]}).encode())
    [found] = [event for event in events if isinstance(event, ContentDelta)]
    assert (found.field, json.loads(bytes(found.value))) == ("refusal_logprobs", HI)


def test_a_stream_of_chat_tells_each_behind_its_text() -> None:
    chunks = [
        {"index": 0, "delta": {"content": t["token"]}, "logprobs": {"content": [t], "refusal": None}}
        for t in (HI, HALF)
    ]
    data = b"".join(event({"id": "a", "choices": [chunk]}) for chunk in chunks)
    data += event({"id": "a", "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]})
    for cut in range(0, len(data), 7):
        transducer = ChatTransducer()
        events = [*transducer.feed(data[:cut]), *transducer.feed(data[cut:] + DONE), *transducer.finish()]
        order = [type(e) for e in events if isinstance(e, TextDelta | ContentDelta)]
        assert order == [TextDelta, ContentDelta] * 2
        assert told(events) == [(0, HI), (0, HALF)]


# --- reading responses ------------------------------------------------------------------------------------------------


def measured(*tokens: Json) -> Json:
    item = responses_api.message("Hi")
    item["content"][0]["logprobs"] = list(tokens)
    return item


def test_a_plain_response_tells_them() -> None:
    assert told(read_answer(responses_api.answer(measured(HI, HALF)))) == [(0, HI), (0, HALF)]


def test_a_stream_of_responses_tells_them_once_with_the_whole_text() -> None:
    data = responses_api.stream(measured(HI, HALF), measured(HI))
    for cut in range(0, len(data), 97):
        transducer = ResponsesTransducer()
        events = [*transducer.feed(data[:cut]), *transducer.feed(data[cut:]), *transducer.finish()]
        assert told(events) == [(0, HI), (0, HALF), (0, HI)]


@pytest.mark.parametrize("odd", [None, {}, "x", 5, {"content": 5}])
def test_what_is_no_list_of_tokens_makes_no_answer_unreadable(odd: Any) -> None:
    item = responses_api.message("Hi")
    item["content"][0]["logprobs"] = odd
    assert responses_api.said(read_answer(responses_api.answer(item))) == {"text": "Hi"}
    choice = {"index": 0, "message": {"content": "Hi"}, "logprobs": odd, "finish_reason": "stop"}
    events = read_chat_answer(json.dumps({"id": "a", "choices": [choice]}).encode())
    assert responses_api.said(events) == {"text": "Hi"}


# --- any tokens -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "found"),
    [
        ({"token": "é", "logprob": -1}, {"token": "é", "logprob": -1.0, "bytes": [195, 169], "top_logprobs": []}),
        ({**HI, "top_logprobs": None, "bytes": None}, {**HI, "top_logprobs": []}),
        ({**HI, "bytes": [256]}, HI),
        ({**HI, "top_logprobs": [5, {"token": 5}]}, {**HI, "top_logprobs": []}),
    ],
)
def test_what_a_vendor_leaves_out_is_put_in(token: Json, found: Json) -> None:
    assert told(list(told_probabilities([token]))) == [(0, found)]


@pytest.mark.parametrize("token", [None, 5, "Hi", {}, {"token": "a"}, {"token": "a", "logprob": 10**400}])
def test_what_is_no_token_is_left_out(token: Any) -> None:
    assert told_probabilities([token]) == []


_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["token", "logprob", "bytes", "top_logprobs"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(_json)
def test_any_json_gives_tokens_or_nothing(tokens: Any) -> None:
    for _, token in told(list(told_probabilities(tokens))):
        assert token.keys() == HI.keys()
        assert isinstance(token["logprob"], float)
