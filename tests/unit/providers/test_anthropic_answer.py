"""Plain answers of the Messages API, shaped after recorded ones."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.types import (
    ContentDelta,
    Event,
    Fault,
    Finish,
    FinishReason,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from providers.claude.answer import read_answer
from tests.kit import messages_api as api


def content_of(*content: api.Json, **members: Any) -> list[Event]:
    """Without the frame that every answer has."""
    return [e for e in read_answer(api.answer(*content, **members)) if not isinstance(e, Start | UsageReport | Finish)]


def kept(events: list[Event]) -> list[tuple[str, Any]]:
    return [(e.field, json.loads(bytes(e.value))) for e in events if isinstance(e, ContentDelta)]


def test_a_text_is_told_with_its_frame() -> None:
    assert read_answer(api.answer({"type": "text", "text": "Hello."})) == [
        Start("msg_1", "claude-sonnet-4-5-20250929"),
        TextDelta("Hello."),
        UsageReport(Usage(input_tokens=20, output_tokens=15)),
        Finish(FinishReason.STOP, "end_turn"),
    ]


def test_an_empty_answer_is_an_answer() -> None:
    assert content_of() == []
    assert content_of({"type": "text", "text": ""}) == []


def test_thinking_and_tool_use_come_in_order() -> None:
    content = (
        {"type": "thinking", "thinking": "I need the weather.", "signature": "ErUBCkYI"},
        {"type": "redacted_thinking", "data": "EqkECkYI"},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Sydney", "days": [1, 2]}},
        {"type": "tool_use", "id": "toolu_2", "name": "get_time", "input": {}},
    )
    assert content_of(*content, stop_reason="tool_use") == [
        ReasoningDelta("I need the weather.", 0),
        ReasoningDelta(block=0, signature="ErUBCkYI"),
        ReasoningDelta(block=1, redacted="EqkECkYI"),
        TextDelta("Let me look."),
        ToolCallDelta(0, "toolu_1", "get_weather"),
        ToolCallDelta(0, arguments='{"city":"Sydney","days":[1,2]}'),
        ToolCallDelta(1, "toolu_2", "get_time"),
        ToolCallDelta(1, arguments="{}"),
    ]


def test_arguments_keep_the_order_of_members_and_the_spelling_of_numbers_and_strings() -> None:
    body = api.answer({"type": "tool_use", "id": "t", "name": "f", "input": "HERE"}).replace(
        b'"HERE"', b'{ "z": 1.50, "a" : 1e5,\n "big": 12345678901234567890123, "text": "\\u00e9  \\n" }'
    )
    arguments = "".join(e.arguments for e in read_answer(body) if isinstance(e, ToolCallDelta))
    assert arguments == '{"z":1.50,"a":1e5,"big":12345678901234567890123,"text":"\\u00e9  \\n"}'


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
        ("some_new_reason", "stop"),
    ],
)
def test_every_stop_reason_has_its_finish_reason(native: str, reason: str) -> None:
    body = api.answer({"type": "text", "text": "x"}, stop_reason=native, stop_sequence="END")
    assert read_answer(body)[-1] == Finish(FinishReason(reason), native, "END")


def test_a_vendor_that_says_no_reason_is_believed_to_be_done() -> None:
    assert read_answer(api.answer(stop_reason=None))[-1] == Finish(FinishReason.STOP)
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    assert read_answer(api.answer(call, stop_reason=None))[-1] == Finish(FinishReason.TOOL_CALLS)


def test_usage_counts_the_whole_prompt_and_names_the_shares() -> None:
    usage = {
        "input_tokens": 593,
        "cache_creation_input_tokens": 100,
        "cache_read_input_tokens": 2000,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 328,
        "output_tokens_details": {"thinking_tokens": 200},
        "service_tier": "standard",
    }
    (report,) = (e for e in read_answer(api.answer(usage=usage)) if isinstance(e, UsageReport))
    assert report.usage == Usage(
        input_tokens=2693, output_tokens=328, cache_read_tokens=2000, cache_write_tokens=100, reasoning_tokens=200
    )


def test_an_answer_without_usage_reports_none() -> None:
    assert not any(isinstance(e, UsageReport) for e in read_answer(api.answer(usage=None)))


def test_a_web_citation_becomes_openai_s_annotation() -> None:
    citation = {
        "type": "web_search_result_location",
        "cited_text": "Iran and Israel",
        "encrypted_index": "Eo8BCioI",
        "title": None,
        "url": "https://example.com/a",
    }
    events = content_of(
        {"type": "text", "text": "The top story: "},
        {"type": "text", "text": "a halt", "citations": [citation, {**citation, "title": "B"}]},
        {"type": "text", "text": "."},
    )
    assert [type(e).__name__ for e in events] == ["TextDelta", "TextDelta", "ContentDelta", "ContentDelta", "TextDelta"]
    assert kept(events) == [
        (
            "annotations",
            {
                "type": "url_citation",
                "url_citation": {"start_index": 15, "end_index": 21, "title": title, "url": "https://example.com/a"},
                "cited_text": "Iran and Israel",
                "encrypted_index": "Eo8BCioI",
            },
        )
        for title in ("", "B")
    ]


def test_a_citation_of_a_document_keeps_anthropic_s_words() -> None:
    citation = {"type": "page_location", "cited_text": "x", "document_index": 0, "start_page_number": 1}
    events = content_of({"type": "text", "text": "yes", "citations": [citation]})
    assert kept(events) == [("citations", {**citation, "start_index": 0, "end_index": 3})]


def test_blocks_of_provider_side_tools_are_kept_untouched() -> None:
    content = (
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "a"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"encrypted_content": "EqQJ"}]},
        {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "x", "input": {}},
        {"type": "some_new_block", "text": {"not": "a string"}},
    )
    assert kept(content_of(*content)) == [("provider_content", block) for block in content]


def test_members_of_the_message_without_a_noun_are_kept() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": None}
    edits = {"applied_edits": [{"type": "clear_thinking_20251015"}]}
    members = {"stop_details": details, "context_management": edits, "container": {"id": "c"}}
    assert kept(content_of(**members)) == [
        ("context_management", edits),
        ("stop_details", details),
        ("container", {"id": "c"}),
    ]
    assert content_of(stop_details=None, context_management=None, container=None) == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}',
            Fault("Overloaded", 529, native_type="overloaded_error"),
        ),
        (b'{"type":"completion","completion":"hi"}', "the provider's answer is not a message"),
        (b'{"type":"message"}', "the provider's answer is not a message"),
        (b"{}", "the provider's answer is not a message"),
        (b"", "the provider's answer could not be read"),
        (b"<html>502</html>", "the provider's answer could not be read"),
        (b"[]", "the provider's answer could not be read"),
        (b"[" * 100_000, "the provider's answer could not be read"),
        (api.answer({"no": "type"}), "the provider's answer could not be read"),
        (api.answer({"type": "text", "text": 5}), "the provider's answer could not be read"),
        (b'{"content":[{"type":"tool_use","input":{"a":"\xff"}}]}', "the provider's answer could not be read"),
        (b'{"content":[{"type":"other","a":"\xff"}]}', "the provider's answer could not be read"),
    ],
)
def test_what_is_no_answer_is_one_fault(body: bytes, fault: Fault | str) -> None:
    expected = fault if isinstance(fault, Fault) else Fault(fault, kind="upstream_broken")
    assert read_answer(body) == [expected]


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_a_fault(body: bytes) -> None:
    assert isinstance(read_answer(body)[-1], Finish | Fault)


@pytest.mark.parametrize(
    "count", ["1" + "0" * 400, "1" + "0" * 5000, "1000000000000001", "-1", "1.5", "1e3", '"many"', "true", "null", "[]"]
)
def test_a_count_that_is_no_sane_number_is_none_and_no_fault(count: str) -> None:
    body = api.answer({"type": "text", "text": "Hi"}, usage={"input_tokens": 0, "output_tokens": 15})
    events = read_answer(body.replace(b'"input_tokens": 0', b'"input_tokens": ' + count.encode()))
    assert UsageReport(Usage(input_tokens=0, output_tokens=15)) in events
    assert events[-1] == Finish(FinishReason.STOP, "end_turn")


def test_the_largest_count_is_kept() -> None:
    assert UsageReport(Usage(input_tokens=10**15)) in read_answer(api.answer(usage={"input_tokens": 10**15}))
