"""Plain answers of chat completions: cases of our own in the shapes that vendors send."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.types import (
    ContentDelta,
    DialectName,
    Event,
    Fault,
    Finish,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from providers.openai_like.chat_answer import read_chat_answer
from providers.openai_like.chat_thoughts import restore_detail

Json = dict[str, Any]
USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
COUNTED = UsageReport(Usage(3, 4))
CHAT = DialectName.OPENAI_CHAT


def choice(finish: str | None = "stop", index: int = 0, **message: Any) -> Json:
    return {"index": index, "message": {"role": "assistant", **message}, "finish_reason": finish}


def answer(*choices: Json, **members: Any) -> list[Event]:
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "m-1"}
    return read_chat_answer(json.dumps({**body, "choices": list(choices), "usage": USAGE, **members}).encode())


def content(finish: str | None = "stop", **message: Any) -> list[Event]:
    """Without the frame that every answer has."""
    start, *events, counted, finish_event = answer(choice(finish, **message))
    assert start == Start("chatcmpl-1", "m-1", 1_700_000_000)
    assert counted == COUNTED
    assert isinstance(finish_event, Finish)
    return events


def plain(events: list[Event]) -> list[tuple[str, Any]]:
    return [(e.field, json.loads(bytes(e.value))) for e in events if isinstance(e, ContentDelta)]


def call(name: str | None = "look", arguments: Any = '{"a":1}', **members: Any) -> Json:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}, **members}


# --- what comes out -------------------------------------------------------------------------------------------------


def test_a_text_comes_with_its_frame() -> None:
    assert answer(choice(content="Hi", refusal=None, annotations=[], tool_calls=None, audio=None)) == [
        Start("chatcmpl-1", "m-1", 1_700_000_000),
        TextDelta("Hi"),
        COUNTED,
        Finish(FinishReason.STOP, "stop"),
    ]


@pytest.mark.parametrize("missing", [{}, {"content": None}, {"content": ""}, {"content": []}])
def test_an_answer_may_be_empty(missing: Json) -> None:
    assert content(**missing) == []


def test_an_answer_needs_neither_id_nor_usage() -> None:
    assert read_chat_answer(b' \n {"choices":[{"message":{"content":"Hi"}}]}') == [
        Start("", ""),
        TextDelta("Hi"),
        Finish(FinishReason.STOP),
    ]


def test_a_refusal_is_one() -> None:
    assert content(content=None, refusal="I can't") == [RefusalDelta("I can't")]


def test_several_choices_keep_their_numbers_and_the_first_one_says_why_all_ended() -> None:
    events = answer(choice("length", 0, content="a"), choice("stop", 1, content="b"))
    assert events[1:3] == [TextDelta("a"), TextDelta("b", 1)]
    assert events[-1] == Finish(FinishReason.LENGTH, "length")


def test_tool_calls_keep_ids_order_and_argument_text() -> None:
    calls = [call(arguments='{"a" : 1}', index=0), call("other", '{"b":', id="call_2", index=1)]
    assert content("tool_calls", content=None, tool_calls=calls) == [
        ToolCallDelta(0, "call_1", "look", '{"a" : 1}'),
        ToolCallDelta(1, "call_2", "other", '{"b":'),
    ]


def test_every_call_of_a_list_is_one_even_with_the_same_index_and_id() -> None:
    calls = [call(index=0), call("other", index=0)]
    assert [e.name for e in content(tool_calls=calls) if isinstance(e, ToolCallDelta)] == ["look", "other"]


@pytest.mark.parametrize(
    ("arguments", "text"), [({"a": 1}, '{"a":1}'), (None, "{}"), ("", "{}"), ([], "[]"), ("{}", "{}")]
)
def test_arguments_are_text_whatever_a_vendor_makes_of_them(arguments: Any, text: str) -> None:
    assert content(tool_calls=[call(arguments=arguments)]) == [ToolCallDelta(0, "call_1", "look", text)]


def test_a_call_without_id_gets_one_that_is_its_own() -> None:
    calls = [call(id=None), call(id="")]
    ids = [e.id for e in content(tool_calls=calls) if isinstance(e, ToolCallDelta)]
    again = [e.id for e in content(tool_calls=calls) if isinstance(e, ToolCallDelta)]
    elsewhere = [e.id for e in answer(choice(tool_calls=calls), id="chatcmpl-2") if isinstance(e, ToolCallDelta)]
    assert ids == again
    assert len({*ids, *elsewhere}) == 4
    assert all(call_id and call_id.startswith("call_") and len(call_id) <= 40 for call_id in ids)


def test_the_function_call_of_2023_is_a_tool_call() -> None:
    (only,) = content("function_call", content=None, function_call={"name": "look", "arguments": "{}"})
    assert isinstance(only, ToolCallDelta)
    assert (only.name, only.arguments) == ("look", "{}")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("eos", FinishReason.STOP),
        ("model_length", FinishReason.LENGTH),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("sensitive", FinishReason.CONTENT_FILTER),
        ("never_heard_of", FinishReason.STOP),
    ],
)
def test_words_for_the_end_are_understood(said: str, reason: FinishReason) -> None:
    assert answer(choice(said, content="a"))[-1] == Finish(reason, said)


@pytest.mark.parametrize("said", ["stop", "", None, "tool_calls", "function_call"])
def test_an_answer_with_tool_calls_ends_for_them_whatever_is_said(said: str | None) -> None:
    assert answer(choice(said, tool_calls=[call()]))[-1] == Finish(FinishReason.TOOL_CALLS, said or "")


def test_a_length_stays_one_in_spite_of_tool_calls() -> None:
    assert answer(choice("length", tool_calls=[call()]))[-1] == Finish(FinishReason.LENGTH, "length")


def test_the_stop_sequence_of_vllm_is_told() -> None:
    assert answer({**choice(content="a"), "stop_reason": "END"})[-1] == Finish(FinishReason.STOP, "stop", "END")
    assert answer({**choice(content="a"), "stop_reason": 128001})[-1] == Finish(FinishReason.STOP, "stop")


# --- thought --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        {"reasoning_content": "Let me see"},
        {"reasoning": "Let me see"},
        {"reasoning": "Let me see", "reasoning_content": "Let me see"},
        {"reasoning": "Let me see", "reasoning_details": []},
        {
            "reasoning": "Let me see",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "Let me see", "format": "unknown", "index": 0, "signature": None}
            ],
        },
    ],
)
def test_thought_is_told_once_wherever_it_stands(message: Json) -> None:
    assert content(content="4", **message) == [ReasoningDelta("Let me see"), TextDelta("4")]


def test_thought_in_the_content_of_mistral_keeps_its_place() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "So"}, {"type": "text", "text": " it"}]},
        {"type": "text", "text": "4"},
        {"type": "thinking", "thinking": "Again"},
        {"type": "reference", "reference_ids": [1]},
        "5",
    ]
    events = content(content=parts)
    assert [e for e in events if not isinstance(e, ContentDelta)] == [
        ReasoningDelta("So"),
        ReasoningDelta(" it"),
        TextDelta("4"),
        ReasoningDelta("Again", 1),
        TextDelta("5"),
    ]
    assert plain(events) == [("provider_content", parts[3])]


SIGNED = {"type": "reasoning.text", "text": "2+2", "signature": "EpAD", "format": "anthropic-claude-v1", "index": 0}
SUMMARY = {"type": "reasoning.summary", "summary": "Adding", "format": "openai-responses-v1", "index": 1}
SEALED = {"type": "reasoning.encrypted", "data": "gAAA", "id": "rs_1", "format": "openai-responses-v1", "index": 1}
UNHEARD_OF = {"type": "reasoning.new", "anything": [1]}


def test_details_are_blocks_whose_proof_brings_them_back_as_they_were() -> None:
    details = [SIGNED, SUMMARY, SEALED, UNHEARD_OF]
    events = content(reasoning="2+2 Adding", reasoning_details=details)
    assert [(e.text, e.block) for e in events if isinstance(e, ReasoningDelta) and e.text] == [
        ("2+2", 0),
        ("Adding", 1),
    ]
    proofs = {e.block: e for e in events if isinstance(e, ReasoningDelta) and (e.signature or e.redacted)}
    assert {p.origin for p in proofs.values()} == {CHAT}
    restored = [
        restore_detail(proofs[0].signature or "", "2+2"),
        restore_detail(proofs[1].signature or "", "Adding"),
        restore_detail(proofs[2].redacted or "", ""),
        restore_detail(proofs[3].redacted or "", ""),
    ]
    assert restored == details


@pytest.mark.parametrize("proof", ["", "{", "[1]", "5", "c2ln"])
def test_what_was_no_detail_is_none(proof: str) -> None:
    assert restore_detail(proof, "text") is None


# --- what has no noun -----------------------------------------------------------------------------------------------


def test_content_of_other_kinds_goes_out_under_its_name() -> None:
    citation = {"type": "url_citation", "url_citation": {"url": "https://example.com", "title": "é"}}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    audio = {"id": "audio_1", "data": "SUQz", "transcript": "Hello", "expires_at": 1}
    tool = {"index": 0, "type": "search", "output": "found"}
    events = content(content="x", annotations=[citation, citation], images=[image], audio=audio, executed_tools=[tool])
    assert plain(events) == [
        ("annotations", citation),
        ("annotations", citation),
        ("images", image),
        ("audio", audio),
        ("executed_tools", tool),
    ]


def test_perplexitys_citations_are_annotations_of_the_whole_text() -> None:
    found = [{"title": "News", "url": "https://example.com/1", "date": "2026-01-01"}]
    urls = ["https://example.com/1", "https://example.com/2"]
    events = answer(choice(content="It rains [1]"), citations=urls, search_results=found)
    place = {"start_index": 0, "end_index": 12}
    assert plain(events) == [
        ("search_results", found[0]),
        ("annotations", {"type": "url_citation", "url_citation": {**place, "title": "News", "url": urls[0]}}),
        ("annotations", {"type": "url_citation", "url_citation": {**place, "title": "", "url": urls[1]}}),
    ]


def test_citations_beside_annotations_are_not_told_twice() -> None:
    events = answer(choice(content="x", annotations=[{"type": "url_citation"}]), citations=["https://example.com/1"])
    assert plain(events) == [("annotations", {"type": "url_citation"})]


# --- errors ---------------------------------------------------------------------------------------------------------


def test_an_error_inside_a_success_is_a_fault() -> None:
    (fault,) = read_chat_answer(b'{"error":{"message":"No credit","code":402}}')
    assert fault == Fault("No credit", 402)
    told = answer(choice(content="half"), error={"message": "Gone", "code": 502})
    assert told == [COUNTED, Fault("Gone", 502)]


def test_an_error_in_a_choice_is_a_fault() -> None:
    events = answer({**choice("error", content="half"), "error": {"code": 429, "message": "Slow down"}})
    assert events == [COUNTED, Fault("Slow down", 429)]


@pytest.mark.parametrize("word", ["error", "network_error", "insufficient_system_resource"])
def test_an_answer_that_says_it_failed_is_a_fault(word: str) -> None:
    assert answer(choice(word, content="half")) == [COUNTED, Fault(f"the provider broke the answer off: {word}")]


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b'"x"', b"{}", b"<html>", b"[" * 5000, b'{"choices":[]}', b'{"choices":null}'),
        *(b'{"choices":[1]}', b'{"choices":[{"message":"text"}]}', b'{"choices":[{"message":{"content":"\xff"}}]}'),
        b'{"choices":[{"index":128,"message":{"content":"x"}}]}',
        b'{"choices":[{"index":-1,"message":{"content":"x"}}]}',
    ],
)
def test_what_is_no_completion_is_a_fault(body: bytes) -> None:
    (fault,) = read_chat_answer(body)
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.status) == ("upstream_broken", 502)


def test_more_calls_than_a_model_makes_are_a_fault() -> None:
    assert isinstance(answer(choice(tool_calls=[call()] * 5000))[-1], Fault)
    assert isinstance(answer(choice(tool_calls=[call("n" * 5000)]))[-1], Fault)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "text", "stop"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "id", "index", "function", "name", "url"]), inner)
    ),
    max_leaves=8,
)
MESSAGE = [
    *("content", "tool_calls", "reasoning_content", "reasoning", "reasoning_details", "refusal", "function_call"),
    *("annotations", "images", "audio", "executed_tools"),
]
CHOICE = ["index", "finish_reason", "stop_reason", "error", "usage", "message"]
TOP = ["usage", "error", "id", "model", "created", "x_groq", "citations", "search_results", "choices", "message"]


@given(st.sampled_from(TOP), st.sampled_from(CHOICE), st.dictionaries(st.sampled_from(MESSAGE), json_values), st.data())
def test_any_json_in_any_member_is_an_answer_or_a_fault(
    top: str, inner: str, message: Json, data: st.DataObject
) -> None:
    said = {**choice(**message), inner: data.draw(json_values)} if data.draw(st.booleans()) else choice(**message)
    events = answer(said, **({top: data.draw(json_values)} if data.draw(st.booleans()) else {}))
    assert isinstance(events[-1], Finish | Fault)
    assert not any(isinstance(event, Finish | Fault) for event in events[:-1])
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    assert all(event.id and event.name is not None for event in calls)
