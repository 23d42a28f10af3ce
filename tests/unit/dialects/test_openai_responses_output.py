import json

import pytest
from msgspec import Raw

from gateway.core.types import (
    ContentDelta,
    DialectName,
    Finish,
    FinishReason,
    Reasoning,
    ReasoningDelta,
    RefusalDelta,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from gateway.dialects.openai_responses_request import decode
from tests.kit.response_objects import CALLS, START, STEM, STOP, TOOLS, brief, encoder, output, sent, told

GEMINI = DialectName.GEMINI_GENERATE_CONTENT

# --- text ---------------------------------------------------------------------------------------------------------

PLACE = {"item_id": f"msg_{STEM}_0", "output_index": 0, "content_index": 0}


def test_a_stream_of_text_has_the_shape_of_openais():
    encode = encoder()
    assert encode.stream([START]) == b""
    first = sent(encode.stream([TextDelta("Hé")]))
    assert [event["type"] for event in first] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
    ]
    begun = first[0]["response"]
    assert (begun["status"], begun["output"], begun["usage"]) == ("in_progress", [], None)
    assert first[1]["response"] == begun
    assert first[2]["item"] == {
        "id": PLACE["item_id"],
        "type": "message",
        "status": "in_progress",
        "content": [],
        "role": "assistant",
    }
    head = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","item_id":"%b",'
    head %= PLACE["item_id"].encode()
    rest = b'"output_index":0,"content_index":0,"delta":"\\"!\\n","logprobs":[],"sequence_number":5}\n\n'
    assert encode.stream([TextDelta('"!\n')]) == head + rest
    last = sent(encode.stream([STOP]))
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": 'Hé"!\n'}
    assert last[:2] == [
        {
            "type": "response.output_text.done",
            **PLACE,
            "text": 'Hé"!\n',
            "logprobs": [],
            "sequence_number": 6,
        },
        {"type": "response.content_part.done", **PLACE, "part": part, "sequence_number": 7},
    ]
    assert [event["type"] for event in last[2:]] == ["response.output_item.done", "response.completed"]
    assert last[3]["response"]["output"] == [last[2]["item"]]


@pytest.mark.parametrize("events", [[], [TextDelta("")], [RefusalDelta("")], [ReasoningDelta("")]])
def test_an_answer_that_says_nothing_has_empty_text(events):
    [item] = output(*events, STOP)
    assert item["content"] == [{"type": "output_text", "annotations": [], "logprobs": [], "text": ""}]


def test_thought_alone_is_followed_by_an_empty_message():
    assert [item["type"] for item in output(ReasoningDelta("r"), STOP)] == ["reasoning", "message"]


def test_a_refusal_is_a_part_of_its_own():
    found = told(TextDelta("Well. "), RefusalDelta("I can"), RefusalDelta("not."), STOP)
    text = {"type": "output_text", "annotations": [], "logprobs": [], "text": "Well. "}
    refusal = {"type": "refusal", "refusal": "I cannot."}
    assert brief(found)[1:-1] == [
        ("content_part.added", {**text, "text": ""}),
        ("output_text.delta", "Well. "),
        ("output_text.done", "Well. "),
        ("content_part.done", text),
        ("content_part.added", {"type": "refusal", "refusal": ""}),
        ("refusal.delta", "I can"),
        ("refusal.delta", "not."),
        ("refusal.done", "I cannot."),
        ("content_part.done", refusal),
    ]
    assert found[-1]["response"]["output"][0]["content"] == [text, refusal]


def test_other_choices_than_the_first_cannot_be_told():
    found = output(
        *(TextDelta("a"), TextDelta("b", choice=1), RefusalDelta("c", choice=1), ReasoningDelta("d", choice=1)),
        *(ToolCallDelta(0, "c", "f", choice=1), ContentDelta("annotations", Raw(b"{}"), choice=1), STOP),
    )
    assert [item["content"][0]["text"] for item in found] == ["a"]


# --- citations ----------------------------------------------------------------------------------------------------

CITATION = Raw(
    b'{"type": "url_citation",\r\n"url_citation": {"start_index": 2, "end_index": 4, "title": "t", "url": "u"}, "x": 1}'
)
FLAT = {"type": "url_citation", "x": 1, "start_index": 2, "end_index": 4, "title": "t", "url": "u"}


def test_citations_stand_at_their_text():
    found = told(TextDelta("abcd"), ContentDelta("annotations", CITATION), STOP)
    [added] = [event for event in found if event["type"] == "response.output_text.annotation.added"]
    assert (added["annotation"], added["annotation_index"], added["content_index"]) == (FLAT, 0, 0)
    assert found[-1]["response"]["output"][0]["content"][0]["annotations"] == [FLAT]


def test_citations_count_from_the_start_of_their_part():
    call = ToolCallDelta(0, "c", "f", "{}")
    *_, message = output(TextDelta("ab"), call, TextDelta("cd"), ContentDelta("annotations", CITATION), STOP)
    [citation] = message["content"][0]["annotations"]
    assert (citation["start_index"], citation["end_index"]) == (0, 2)


def test_citations_may_come_before_their_text_and_flat():
    flat = Raw(json.dumps(FLAT).encode())
    [item] = output(ContentDelta("annotations", flat), TextDelta("abcd"), STOP)
    assert item["content"][0] == {"type": "output_text", "annotations": [FLAT], "logprobs": [], "text": "abcd"}


@pytest.mark.parametrize("value", [b"5", b"null", b'{"url_citation":5}', b'{"start_index":"x"}'])
def test_what_is_no_citation_is_left_out(value):
    [item] = output(TextDelta("a"), ContentDelta("annotations", Raw(value)), STOP)
    assert item["content"][0]["annotations"] == []


def test_content_of_other_kinds_cannot_be_told():
    [item] = output(ContentDelta("provider_content", Raw(b'{"type":"server_tool_use"}')), TextDelta("a"), STOP)
    assert item["content"][0]["text"] == "a"


# --- reasoning ----------------------------------------------------------------------------------------------------


def test_thought_is_told_as_a_summary():
    found = told(
        ReasoningDelta("Let me "), ReasoningDelta("think."), ReasoningDelta(signature="c2ln"), TextDelta("a"), STOP
    )
    part = {"type": "summary_text", "text": "Let me think."}
    item = {"id": f"rs_{STEM}_0", "type": "reasoning", "summary": [part]}
    assert brief(found)[:8] == [
        ("output_item.added", {**item, "summary": []}),
        ("reasoning_summary_part.added", {**part, "text": ""}),
        ("reasoning_summary_text.delta", "Let me "),
        ("reasoning_summary_text.delta", "think."),
        ("reasoning_summary_text.done", "Let me think."),
        ("reasoning_summary_part.done", part),
        ("output_item.done", {**item, "encrypted_content": "anthropic_messages::c2ln"}),
        ("output_item.added", found[9]["item"]),
    ]
    assert found[9]["item"]["type"] == "message"


@pytest.mark.parametrize(
    ("event", "item_id", "sealed"),
    [
        (ReasoningDelta(redacted="ZGF0YQ=="), f"rs_{STEM}_0", "anthropic_messages.redacted::ZGF0YQ=="),
        (ReasoningDelta(signature="gAAA", origin=DialectName.OPENAI_RESPONSES, id="rs_own"), "rs_own", "gAAA"),
        (
            ReasoningDelta(signature="c2ln", origin=DialectName.GEMINI_GENERATE_CONTENT, id="t1"),
            f"rs_{STEM}_0",
            "gemini_generate_content:t1:c2ln",
        ),
    ],
)
def test_a_proof_without_words_is_a_thought_without_a_summary(event, item_id, sealed):
    thought, _ = output(event, TextDelta("a"), STOP)
    assert thought == {"id": item_id, "type": "reasoning", "summary": [], "encrypted_content": sealed}


def test_no_two_thoughts_have_the_same_id():
    own = {"origin": DialectName.OPENAI_RESPONSES, "id": "rs_own"}
    first, second, _ = output(ReasoningDelta("a", **own), ReasoningDelta("b", block=1, **own), TextDelta("c"), STOP)
    assert (first["id"], second["id"]) == ("rs_own", f"rs_{STEM}_1")


def test_a_proof_stands_before_the_call_it_belongs_to():
    signed = ReasoningDelta(block=0, signature="c2ln", origin=GEMINI)
    found = output(TextDelta("a"), signed, ToolCallDelta(0, "c", "f", "{}"), CALLS)
    assert [item["type"] for item in found] == ["message", "reasoning", "function_call"]


def proof(signature, block=0):
    return ReasoningDelta(block=block, signature=signature, origin=GEMINI)


A, B, CALL = TextDelta("a"), TextDelta("b"), ToolCallDelta(0, "c", "f", "{}")
CITED = ContentDelta("annotations", Raw(b'{"type":"url_citation","url":"u","title":"t","start_index":0,"end_index":1}'))
LATE = "gemini_generate_content.late::"
NEXT = "gemini_generate_content::"


@pytest.mark.parametrize(
    ("events", "items", "replayed"),
    [
        # the text goes on: the proof is that of the text
        ([A, proof("1"), B], ["ab", LATE + "1"], ["1", "ab"]),
        ([A, proof("1"), B, CALL], ["ab", LATE + "1", CALL], ["1", "ab", CALL]),
        ([A, proof("1"), B, proof("2", 1), CALL], ["ab", LATE + "1", NEXT + "2", CALL], ["1", "ab", "2", CALL]),
        ([A, proof("1"), CITED], ["a", LATE + "1"], ["1", "a"]),
        # nothing follows, or something with a proof of its own
        ([A, proof("1")], ["a", LATE + "1"], ["1", "a"]),
        ([A, proof("1"), proof("2", 1), CALL], ["a", LATE + "1", NEXT + "2", CALL], ["1", "a", "2", CALL]),
        ([A, proof("1"), ReasoningDelta("t", 1, origin=GEMINI)], ["a", LATE + "1", ""], ["1", "a", None]),
        # it is the call's
        ([A, proof("1"), CALL], ["a", NEXT + "1", CALL], ["a", "1", CALL]),
        # a text has one proof
        ([proof("1"), A, proof("2", 1), B], [NEXT + "1", "a", NEXT + "2", "b"], ["1", "a", "2", "b"]),
        ([A, proof("1"), B, proof("2", 1), A], ["ab", LATE + "1", NEXT + "2", "a"], ["1", "ab", "2", "a"]),
    ],
)
def test_a_proof_that_comes_late_cuts_no_message_in_two(events, items, replayed):
    found = output(*events, STOP)
    names = {"message": lambda item: item["content"][0]["text"], "function_call": lambda item: CALL}
    assert [names.get(i["type"], lambda item: item.get("encrypted_content", ""))(i) for i in found] == items
    [said] = decode(json.dumps({"model": "m", "input": found}).encode()).messages
    names = {Text: lambda part: part.text, Reasoning: lambda part: part.signature, ToolCall: lambda part: CALL}
    assert [names[type(part)](part) for part in said.parts] == replayed


def test_an_answer_that_is_cut_is_so_in_its_message():
    found = output(A, proof("1"), B, Finish(FinishReason.LENGTH))
    assert [(item["type"], item.get("status")) for item in found] == [("message", "incomplete"), ("reasoning", None)]


def test_a_thought_of_other_vendors_keeps_its_place():
    found = output(A, ReasoningDelta(signature="c2ln"), B, STOP)
    assert [item["type"] for item in found] == ["message", "reasoning", "message"]


def test_each_block_of_thought_is_an_item():
    found = output(
        ReasoningDelta("a"), ReasoningDelta("b", block=1), ReasoningDelta("c", block=1), TextDelta("d"), STOP
    )
    assert [item["summary"][0]["text"] for item in found[:2]] == ["a", "bc"]


# --- tool calls ---------------------------------------------------------------------------------------------------


def test_calls_are_told_as_they_come_and_done_at_the_end():
    found = told(
        ToolCallDelta(0, id="c0", name="f"),
        ToolCallDelta(0, arguments='{"a":'),
        ToolCallDelta(1, id="c1", name="unknown", arguments="{"),
        ToolCallDelta(0, arguments="1}"),
        ToolCallDelta(1, arguments=""),
        CALLS,
        tools=TOOLS,
    )
    first = {
        "id": f"fc_{STEM}_0",
        "type": "function_call",
        "status": "in_progress",
        "arguments": "",
        "call_id": "c0",
        "name": "f",
    }
    second = {**first, "id": f"fc_{STEM}_1", "call_id": "c1", "name": "unknown"}
    assert brief(found) == [
        ("output_item.added", first),
        ("function_call_arguments.delta", '{"a":'),
        ("output_item.added", second),
        ("function_call_arguments.delta", "{"),
        ("function_call_arguments.delta", "1}"),
        ("function_call_arguments.done", '{"a":1}'),
        ("output_item.done", {**first, "status": "completed", "arguments": '{"a":1}'}),
        ("function_call_arguments.done", "{"),
        ("output_item.done", {**second, "status": "completed", "arguments": "{"}),
    ]


def test_a_call_in_a_namespace_has_its_bare_name_back():
    [call] = output(ToolCallDelta(0, "c", "ns__g", "{}"), CALLS, tools=TOOLS)
    assert (call["type"], call["namespace"], call["name"]) == ("function_call", "ns", "g")


def test_free_text_is_taken_out_of_its_argument():
    found = told(
        ToolCallDelta(0, "c", "patch", '{"inp'), ToolCallDelta(0, arguments='ut": "a\\nb"}'), CALLS, tools=TOOLS
    )
    item = {"id": f"ctc_{STEM}_0", "type": "custom_tool_call", "status": "in_progress", "input": "", "call_id": "c"}
    item["name"] = "patch"
    assert brief(found) == [
        ("output_item.added", item),
        ("custom_tool_call_input.delta", "a\nb"),
        ("custom_tool_call_input.done", "a\nb"),
        ("output_item.done", {**item, "status": "completed", "input": "a\nb"}),
    ]
    [note] = output(ToolCallDelta(0, "c", "ns__note", '{"input":""}'), CALLS, tools=TOOLS)
    assert (note["type"], note["namespace"], note["name"], note["input"]) == ("custom_tool_call", "ns", "note", "")


@pytest.mark.parametrize(
    "arguments", ["", "plain", '{"input":5}', '{"input":"a","b":"c"}', '{"text":"a"}', '{"input":"a']
)
def test_what_is_no_such_argument_is_told_as_it_came(arguments):
    [call] = output(ToolCallDelta(0, "c", "patch", arguments), CALLS, tools=TOOLS)
    assert call["input"] == arguments


def test_words_after_a_call_are_a_message_of_their_own():
    found = output(
        *(
            TextDelta("a"),
            ToolCallDelta(0, "c", "f", "{"),
            TextDelta("b"),
            ToolCallDelta(0, arguments="}"),
            TextDelta("c"),
        ),
        CALLS,
    )
    assert [item["type"] for item in found] == ["message", "function_call", "message"]
    assert found[1]["arguments"] == "{}"
    assert found[2]["content"][0]["text"] == "bc"


def test_a_call_that_comes_without_a_name_or_an_id_has_one():
    first, second = output(ToolCallDelta(0, arguments="{}"), ToolCallDelta(1), CALLS)
    assert first["name"] == ""
    assert first["call_id"] != second["call_id"]
