"""Every client dialect with every provider: what the provider answers is what the client hears, plain and streamed.

The pairs are found, not listed. What is said is in ``tests.kit.rich_answers``, how each vendor says it in
``tests.kit.said``, and how an SDK hears it in ``tests.kit.heard``.
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.types import ChatRequest, DialectName, Finish, FinishReason
from tests.kit import messages_api, responses_api
from tests.kit.feeds import byte_by_byte, splits, whole
from tests.kit.heard import events, fold, hear, is_error, respelled
from tests.kit.pairs import (
    DIALECTS,
    SIDES,
    Side,
    decode,
    events_of,
    every_client,
    every_side,
    first_turn,
    plain,
    plain_bytes,
    streamed,
)
from tests.kit.rich_answers import ARGUMENTS, RICH
from tests.kit.said import CHAT, GEMINI, MESSAGES, RESPONSES, Answer, Called, Refused, as_told, tell

Json = dict[str, Any]
every_answer = pytest.mark.parametrize("case", RICH)

# Richest in kinds of event, and small enough to be cut everywhere.
CUT_CASE = "thought, word and parallel calls"
FINISHES: dict[DialectName, dict[FinishReason, str]] = {
    CHAT: {reason: reason.value for reason in FinishReason},
    MESSAGES: {
        FinishReason.STOP: "end_turn",
        FinishReason.LENGTH: "max_tokens",
        FinishReason.TOOL_CALLS: "tool_use",
        FinishReason.CONTENT_FILTER: "refusal",
    },
    RESPONSES: {
        FinishReason.STOP: "completed",
        FinishReason.LENGTH: "max_output_tokens",
        FinishReason.TOOL_CALLS: "completed",
        FinishReason.CONTENT_FILTER: "content_filter",
    },
}


def asked(client: DialectName) -> ChatRequest:
    """A streamed request that wants its usage told."""
    options: Json = {"stream_options": {"include_usage": True}} if client is CHAT else {}
    return decode(client, first_turn(client, stream=True, **options))


def test_every_pair_is_there() -> None:
    assert set(DIALECTS) == {CHAT, RESPONSES, MESSAGES}
    assert {side.dialect for side in SIDES} == {CHAT, RESPONSES, MESSAGES, GEMINI}


# --- whole answers --------------------------------------------------------------------------------------------------


@every_client
@every_side
@every_answer
def test_what_was_said_is_heard(client: DialectName, side: Side, case: str) -> None:
    told = as_told(RICH[case], side.dialect)
    body, stream = tell(RICH[case], side.dialect)
    answer = plain(client, side, body, asked(client))
    folded = fold(client, streamed(client, side, stream, asked(client)))
    assert folded is not None
    check_heard(client, answer, told)
    assert bare(folded) == bare(answer), "a stream says what a plain answer says"


def check_heard(client: DialectName, answer: Json, told: Answer) -> None:
    heard = hear(client, answer)
    is_message = client is MESSAGES
    # Anthropic has no kind of block for a refusal
    assert heard.text == told.text + (told.refusal if is_message else "")
    assert heard.refusal == ("" if is_message else told.refusal)
    # paragraphs may part what came in several pieces
    assert heard.thought.replace("\n\n", "") == "".join(told.thoughts)
    assert heard.calls == [
        (call.id, call.name, respelled(json.loads(call.arguments)) if is_message else call.arguments)
        for call in told.calls
    ]
    assert heard.links == told.links
    counts = told.usage
    cached = (counts.cache_read_tokens, counts.cache_write_tokens)
    assert heard.usage == (counts.input_tokens, counts.output_tokens, *cached, counts.reasoning_tokens)
    is_refused = is_message and any(isinstance(part, Refused) for part in told.parts)
    assert heard.finish == ("refusal" if is_refused else FINISHES[client][told.finish])


def bare(value: Any) -> Any:
    """Without members that say nothing: clients do not tell them from absent ones."""
    if isinstance(value, dict):
        return {name: bare(one) for name, one in value.items() if one not in (None, [], {}, "")}
    return [bare(one) for one in value] if isinstance(value, list) else value


@every_client
@every_side
def test_arguments_keep_their_spelling(client: DialectName, side: Side) -> None:
    body, stream = tell(RICH["a call"], side.dialect)
    if client is MESSAGES:
        assert b'"input":' + ARGUMENTS.encode() in plain_bytes(client, side, body, asked(client))
    pieces = [value for _, value in events(streamed(client, side, stream, asked(client))) if isinstance(value, dict)]
    assert "".join(map(argument_piece, pieces)) == ARGUMENTS


def argument_piece(event: Json) -> str:
    if event.get("type") == "response.function_call_arguments.delta":
        return str(event["delta"])
    if event.get("type") == "content_block_delta":
        return str(event["delta"].get("partial_json", ""))
    calls = [call for choice in event.get("choices", ()) for call in choice["delta"].get("tool_calls", ())]
    return "".join(call["function"].get("arguments", "") for call in calls if "function" in call)


@every_client
@every_side
def test_a_client_that_did_not_ask_for_usage_gets_none_in_chunks(client: DialectName, side: Side) -> None:
    _, stream = tell(RICH["usage"], side.dialect)
    folded = fold(client, streamed(client, side, stream, decode(client, first_turn(client, stream=True))))
    assert folded is not None
    assert (folded.get("usage") is None) is (client is CHAT)


# --- streams --------------------------------------------------------------------------------------------------------


@every_client
@every_side
@every_answer
def test_the_cuts_of_a_stream_change_no_byte(client: DialectName, side: Side, case: str) -> None:
    _, stream = tell(RICH[case], side.dialect)
    data = b"".join(stream)
    out = streamed(client, side, whole(data), asked(client))
    assert streamed(client, side, byte_by_byte(data), asked(client)) == out
    assert streamed(client, side, stream, asked(client)) == out


@every_client
@every_side
@given(st.data())
@settings(max_examples=20)
def test_any_cuts_of_a_stream_change_no_byte(client: DialectName, side: Side, data: st.DataObject) -> None:
    _, stream = tell(RICH[data.draw(st.sampled_from(list(RICH)))], side.dialect)
    pieces = data.draw(splits(b"".join(stream)))
    out = streamed(client, side, stream, asked(client))
    assert streamed(client, side, pieces, asked(client)) == out


@every_client
@every_side
def test_a_stream_that_breaks_off_is_no_success(client: DialectName, side: Side) -> None:
    _, stream = tell(RICH[CUT_CASE], side.dialect)
    data, request = b"".join(stream), asked(client)
    complete = fold(client, streamed(client, side, stream, request))
    assert complete is not None
    before = None
    for length in range(len(data)):
        pieces = [data[:length]]
        out = streamed(client, side, pieces, request)
        if out == before:
            continue
        before, folded = out, fold(client, out)
        if folded is None:
            check_told_as_broken(out)
            continue
        assert isinstance(events_of(side, pieces)[-1], Finish)
        # of OpenAI's chat every choice has said why it ended, and only the count of tokens is missing
        heard, all_of_it = hear(client, folded), hear(client, complete)
        is_whole = heard == all_of_it or side.dialect is CHAT
        heard.usage = all_of_it.usage
        assert is_whole
        assert heard == all_of_it


def check_told_as_broken(out: bytes) -> None:
    """One error, last; or nothing at all, so that an HTTP status can tell it."""
    found = [value for _, value in events(out)]
    assert [value for value in found if is_error(value)] == found[-1:]


FAILURES = {
    CHAT: b'data: {"error":{"message":"out of order","type":"server_error"}}\n\n',
    MESSAGES: messages_api.event("error", error={"type": "overloaded_error", "message": "out of order"}),
    RESPONSES: responses_api.end(
        type="response.failed", error={"code": "server_error", "message": "out of order"}, usage=None
    ),
    GEMINI: b'data: {"error":{"code":503,"message":"out of order","status":"UNAVAILABLE"}}\r\n\r\n',
}


@every_client
@every_side
def test_an_error_inside_a_stream_is_told_at_every_place(client: DialectName, side: Side) -> None:
    _, stream = tell(RICH[CUT_CASE], side.dialect)
    for place in range(len(stream) - 2):
        out = streamed(client, side, [*stream[:place], FAILURES[side.dialect], *stream[place:]], asked(client))
        assert fold(client, out) is None
        check_told_as_broken(out)
        assert not out or b"out of order" in out


# --- calls ----------------------------------------------------------------------------------------------------------


def _mixed(*pieces: tuple[int, Json]) -> list[bytes]:
    chunks = [{"delta": {"tool_calls": [{"index": index, **piece}]}, "finish_reason": None} for index, piece in pieces]
    end = {"delta": {}, "finish_reason": "tool_calls"}
    frames = [{"id": "c", "model": "m", "choices": [{"index": 0, **choice}]} for choice in (*chunks, end)]
    return [b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames] + [b"data: [DONE]\n\n"]


@every_client
@every_side
def test_pieces_of_parallel_calls_may_be_mixed(client: DialectName, side: Side) -> None:
    if side.dialect is not CHAT:
        return
    stream = _mixed(
        (0, {"id": "call_a", "function": {"name": "look", "arguments": '{"a"'}}),
        (1, {"id": "call_b", "function": {"name": "find", "arguments": ""}}),
        (1, {"function": {"arguments": '{"q":'}}),
        (0, {"function": {"arguments": ":[1]}"}}),
        (1, {"function": {"arguments": '"x"}'}}),
    )
    folded = fold(client, streamed(client, side, stream, asked(client)))
    assert folded is not None
    assert hear(client, folded).calls == [("call_a", "look", '{"a":[1]}'), ("call_b", "find", '{"q":"x"}')]


NAMESPACED: Json = {
    "model": "asked-for",
    "input": "Go",
    "tools": [
        {"type": "namespace", "name": "ns", "description": "d", "tools": [{"type": "function", "name": "find"}]},
        {"type": "custom", "name": "patch", "description": "Patches."},
    ],
}
PATCH = '*** Begin\n"quoted" \\ é\n'


def _calls_of_special_tools(side: Side) -> tuple[bytes, list[bytes]]:
    """As each vendor calls tools that OpenAI's Responses know as namespaced and as free text."""
    flat = responses_api.call('{"q":1}', "ns__find", "call_1")
    if side.dialect is RESPONSES:
        items = [flat, responses_api.freeform(PATCH, "patch", "call_2")]
        return responses_api.answer(*items), [responses_api.stream(*items)]
    wrapped = json.dumps({"input": PATCH}, separators=(",", ":"), ensure_ascii=False)
    parts = (Called("call_1", "ns__find", '{"q":1}'), Called("call_2", "patch", wrapped))
    return tell(Answer(parts, FinishReason.TOOL_CALLS), side.dialect)


@every_side
def test_calls_of_namespaced_and_of_freeform_tools_come_back_as_such(side: Side) -> None:
    request = decode(RESPONSES, NAMESPACED)
    sent = json.loads(side.ask(request).body)
    assert "ns__find" in json.dumps(sent)
    body, stream = _calls_of_special_tools(side)
    folded = fold(RESPONSES, streamed(RESPONSES, side, stream, request))
    answer = plain(RESPONSES, side, body, request)
    assert folded is not None
    for found in (answer, folded):
        function, custom = found["output"]
        assert (function["type"], function["namespace"], function["name"]) == ("function_call", "ns", "find")
        assert (function["call_id"], function["arguments"]) == ("call_1", '{"q":1}')
        assert (custom["type"], custom["name"], custom["call_id"]) == ("custom_tool_call", "patch", "call_2")
        assert custom["input"] == PATCH


def test_the_kit_can_tell_a_failure() -> None:
    check_told_as_broken(FAILURES[CHAT])
    with pytest.raises(AssertionError):
        check_told_as_broken(FAILURES[CHAT] * 2)
    with pytest.raises(AssertionError):
        check_told_as_broken(b'data: {"choices":[]}\n\n')
