"""Streams of the Messages API, shaped after recorded ones."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

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
from providers.claude import answer as answer_module
from providers.claude.answer import read_answer
from providers.claude.stream import MessagesTransducer
from tests.kit import messages_api as api
from tests.kit.feeds import byte_by_byte, feed_all, splits, whole


def transduce(pieces: list[bytes]) -> list[Event]:
    transducer = MessagesTransducer()
    return [*feed_all(transducer.feed, pieces), *transducer.finish()]


def events_of(stream: bytes) -> list[Event]:
    return transduce(whole(stream))


def content_of(stream: bytes) -> list[Event]:
    """Without the frame that every answer has."""
    return [e for e in events_of(stream) if not isinstance(e, Start | UsageReport | Finish)]


def plain(deltas: list[Event]) -> list[tuple[str, Any]]:
    return [(e.field, json.loads(bytes(e.value))) for e in deltas if isinstance(e, ContentDelta)]


TOOLS = (
    api.start({"input_tokens": 506, "cache_read_input_tokens": 0, "output_tokens": 5})
    + api.ping()
    + api.text(0, "Certainly! I can", " help.")
    + api.tool(1, "toolu_1", "get_weather", "", '{"', "locati", 'on": "San F', 'rancisco"}')
    + api.tool(2, "toolu_2", "get_time", "", '{"timezone": "America/Los_Angeles"}')
    + api.end("tool_use", {"output_tokens": 153})
)
THINKING = (
    api.start()
    + api.block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "2 + 2"},
        {"type": "thinking_delta", "thinking": " is 4."},
        {"type": "signature_delta", "signature": "EpADCokB"},
    )
    + api.block(1, {"type": "redacted_thinking", "data": "EqkECkYI"})
    + api.text(2, "4")
    + api.end(usage={"output_tokens": 60, "output_tokens_details": {"thinking_tokens": 47}})
)
SEARCH = (
    api.start()
    + api.block(
        0,
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"query": "to'},
        {"type": "input_json_delta", "partial_json": 'p news"}'},
    )
    + api.block(1, {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"title": "é"}]})
    + api.text(2, "Today: ")
    + api.block(
        3,
        {"type": "text", "text": "", "citations": []},
        {
            "type": "citations_delta",
            "citation": {
                "type": "web_search_result_location",
                "url": "https://example.com/news",
                "title": "News",
                "cited_text": "It rains",
                "encrypted_index": "Eo8B",
            },
        },
        {"type": "text_delta", "text": "rain"},
    )
    + api.end(usage={"input_tokens": 2411, "output_tokens": 145})
)
STREAMS = [TOOLS, THINKING, SEARCH]


# --- what comes out -------------------------------------------------------------------------------------------------


def test_text_and_parallel_tool_calls_come_as_they_were_sent() -> None:
    assert events_of(TOOLS) == [
        Start("msg_1", "claude-sonnet-4-5-20250929"),
        UsageReport(Usage(input_tokens=506, output_tokens=5)),
        TextDelta("Certainly! I can"),
        TextDelta(" help."),
        ToolCallDelta(0, "toolu_1", "get_weather"),
        ToolCallDelta(0, arguments='{"'),
        ToolCallDelta(0, arguments="locati"),
        ToolCallDelta(0, arguments='on": "San F'),
        ToolCallDelta(0, arguments='rancisco"}'),
        ToolCallDelta(1, "toolu_2", "get_time"),
        ToolCallDelta(1, arguments='{"timezone": "America/Los_Angeles"}'),
        UsageReport(Usage(input_tokens=506, output_tokens=153)),
        Finish(FinishReason.TOOL_CALLS, "tool_use"),
    ]


def test_thinking_keeps_its_blocks_their_signatures_and_redacted_data() -> None:
    assert content_of(THINKING) == [
        ReasoningDelta("2 + 2", 0),
        ReasoningDelta(" is 4.", 0),
        ReasoningDelta(block=0, signature="EpADCokB"),
        ReasoningDelta(block=1, redacted="EqkECkYI"),
        TextDelta("4"),
    ]
    assert events_of(THINKING)[-2] == UsageReport(Usage(input_tokens=20, output_tokens=60, reasoning_tokens=47))


def test_a_thinking_block_without_a_word_keeps_its_signature() -> None:
    omitted = api.block(0, {"type": "thinking", "thinking": ""}, {"type": "signature_delta", "signature": "Es4D"})
    assert content_of(api.start() + omitted + api.end()) == [ReasoningDelta(block=0, signature="Es4D")]


def test_a_signature_in_pieces_comes_whole() -> None:
    pieces = [{"type": "signature_delta", "signature": s} for s in ("Es", "4D")]
    stream = api.start() + api.block(0, {"type": "thinking", "thinking": "hm"}, *pieces) + api.end()
    assert content_of(stream) == [ReasoningDelta("hm", 0), ReasoningDelta(block=0, signature="Es4D")]


@pytest.mark.parametrize(
    ("content", "pieces", "arguments"),
    [
        ({}, (), "{}"),
        ({}, ("", ""), "{}"),
        (None, (), "{}"),
        ({"city": "Łódź", "days": 1.50}, (), '{"city":"Łódź","days":1.5}'),
        ({"city": "Rome"}, ('{"city": "Oslo"}',), '{"city": "Oslo"}'),
    ],
)
def test_arguments_come_exactly_once(content: object, pieces: tuple[str, ...], arguments: str) -> None:
    opened = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": content}
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    found = content_of(api.start() + api.block(0, opened, *deltas) + api.end("tool_use"))
    assert found[0] == ToolCallDelta(0, "toolu_1", "f")
    assert "".join(e.arguments for e in found if isinstance(e, ToolCallDelta)) == arguments


def test_provider_side_tools_are_kept_whole_and_citations_say_what_they_support() -> None:
    assert plain(events_of(SEARCH)) == [
        (
            "provider_content",
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "top news"}},
        ),
        (
            "provider_content",
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"title": "é"}]},
        ),
        (
            "annotations",
            {
                "type": "url_citation",
                "url_citation": {"start_index": 7, "end_index": 11, "title": "News", "url": "https://example.com/news"},
                "cited_text": "It rains",
                "encrypted_index": "Eo8B",
            },
        ),
    ]


def test_a_refusal_is_a_content_filter_and_keeps_its_details() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "It was blocked."}
    stream = api.start() + api.ping() + api.end("refusal", stop_details=details)
    assert plain(events_of(stream)) == [("stop_details", details)]
    assert events_of(stream)[-1] == Finish(FinishReason.CONTENT_FILTER, "refusal")


def test_a_stop_sequence_is_told() -> None:
    ending = events_of(api.start() + api.text(0, "def f():") + api.end("stop_sequence", stop_sequence="```"))[-1]
    assert ending == Finish(FinishReason.STOP, "stop_sequence", "```")


def test_a_reason_said_early_is_not_forgotten() -> None:
    early = api.event("message_delta", delta={"stop_reason": "max_tokens"}, usage={"output_tokens": 9})
    assert events_of(api.start() + early + api.end(None))[-1] == Finish(FinishReason.LENGTH, "max_tokens")


def test_container_and_context_edits_are_kept() -> None:
    container = {"id": "container_1", "expires_at": "2026-11-20T00:00:00Z"}
    delta = {"stop_reason": "end_turn", "container": container}
    edits = {"applied_edits": [{"type": "clear_tool_uses_20250919", "cleared_tool_uses": 3}]}
    ending = api.event("message_delta", delta=delta, usage={"output_tokens": 1}, context_management=edits)
    stream = api.start() + ending + api.event("message_stop")
    assert plain(events_of(stream)) == [("context_management", edits), ("container", container)]


def test_a_stream_that_begins_anew_tells_the_second_try_apart_from_the_first() -> None:
    first = (
        api.start(id="msg_first")
        + api.block(0, {"type": "thinking", "thinking": ""}, {"type": "signature_delta", "signature": "sig-first"})
        + api.tool(1, "toolu_first", "test", '{"value":"Spark').removesuffix(api.event("content_block_stop", index=1))
    )
    second = (
        api.start(id="msg_second")
        + api.block(0, {"type": "thinking", "thinking": ""}, {"type": "signature_delta", "signature": "sig-second"})
        + api.tool(1, "toolu_second", "test", '{"value":"Sparkle Day"}')
        + api.end("tool_use", {"output_tokens": 65})
    )
    events = events_of(first + second)
    assert [e.id for e in events if isinstance(e, Start)] == ["msg_first"]
    assert [e for e in events if not isinstance(e, Start | UsageReport)] == [
        ReasoningDelta(block=0, signature="sig-first"),
        ToolCallDelta(0, "toolu_first", "test"),
        ToolCallDelta(0, arguments='{"value":"Spark'),
        ReasoningDelta(block=1, signature="sig-second"),
        ToolCallDelta(1, "toolu_second", "test"),
        ToolCallDelta(1, arguments='{"value":"Sparkle Day"}'),
        Finish(FinishReason.TOOL_CALLS, "tool_use"),
    ]


# --- usage ----------------------------------------------------------------------------------------------------------


def test_cached_tokens_are_part_of_the_prompt() -> None:
    usage = {"input_tokens": 1, "cache_creation_input_tokens": 318, "cache_read_input_tokens": 2750, "output_tokens": 2}
    (report, _) = (e for e in events_of(api.start(usage) + api.end()) if isinstance(e, UsageReport))
    expected = Usage(input_tokens=3069, output_tokens=2, cache_read_tokens=2750, cache_write_tokens=318)
    assert report.usage == expected


def test_the_prompt_may_grow_while_provider_side_tools_run() -> None:
    transducer = MessagesTransducer()
    transducer.feed(api.start({"input_tokens": 1128, "output_tokens": 2}))
    assert transducer.usage == Usage(input_tokens=1128, output_tokens=2)
    transducer.feed(api.end(usage={"input_tokens": 2411, "output_tokens": 145}))
    assert transducer.usage == Usage(input_tokens=2411, output_tokens=145)


def test_a_smaller_count_does_not_replace_a_larger_one() -> None:
    start = api.start({"input_tokens": 100, "cache_read_input_tokens": 50, "output_tokens": 30})
    ending = api.end(usage={"input_tokens": 10, "cache_read_input_tokens": 0, "output_tokens": 40})
    transducer = MessagesTransducer()
    transducer.feed(start + ending)
    assert transducer.usage == Usage(input_tokens=150, output_tokens=40, cache_read_tokens=50)


# --- how it can end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "status"),
    [("overloaded_error", 529), ("api_error", 500), ("rate_limit_error", 429), ("made_up_error", 502)],
)
def test_an_error_event_ends_the_answer(type: str, status: int) -> None:
    error = api.event("error", error={"type": type, "message": "Overloaded, sk-ant-api03-abcdefgh"})
    events = events_of(api.start() + api.text(0, "2") + error + api.end())
    assert events[-1] == Fault("Overloaded, [key removed]", status, native_type=type)


def test_an_error_event_that_is_no_json_is_still_an_error() -> None:
    assert events_of(api.start() + b"event: error\ndata: upstream connect error\n\n")[-1] == Fault(
        "the provider reported an error", 500, native_type="api_error"
    )


@pytest.mark.parametrize("cut", [b"event: message_stop", b"event: message_delta", b"event: content_block_stop"])
def test_a_stream_without_its_terminator_is_broken(cut: bytes) -> None:
    ending = events_of(TOOLS[: TOOLS.rindex(cut)])[-1]
    assert ending == Fault("the provider ended the stream before the answer was complete", kind="upstream_broken")


def test_nothing_counts_after_the_end() -> None:
    assert events_of(TOOLS + api.text(0, "more") + b"data: [DONE]\n\n") == events_of(TOOLS)


def test_openai_s_terminator_in_the_middle_is_stepped_over() -> None:
    assert events_of(api.start() + b"data: [DONE]\n\n" + api.end())[-1] == Finish(FinishReason.STOP, "end_turn")


@pytest.mark.parametrize(
    "event",
    [
        b"data: {half\n\n",
        b"data: [1]\n\n",
        b'data: {"no_type": 1}\n\n',
        b'data: {"type": 3}\n\n',
        api.event("content_block_start", index=0),
        api.event("content_block_start", index=0, content_block={"text": "no type"}),
        api.event("content_block_start", index=0, content_block={"type": "text", "text": 3}),
        api.event("content_block_delta", index=0, delta={"type": "text_delta", "text": "no block"}),
        api.event("content_block_delta", index=0, delta={"type": "text_delta", "text": None}),
        api.event("content_block_delta", index=0, delta="text"),
        api.event("message_delta", delta={"stop_reason": 1}),
        api.event("error", error="text"),
        b'data: {"type":"content_block_start","content_block":{"type":"other","x":"\xff"}}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
    ],
)
def test_an_event_that_makes_no_sense_breaks_the_answer(event: bytes) -> None:
    ending = events_of(api.start() + event + api.end())[-1]
    assert isinstance(ending, Fault)
    assert ending.kind == "upstream_broken"


def test_a_piece_that_does_not_fit_its_block_breaks_the_answer() -> None:
    stray = api.block(0, {"type": "text", "text": ""}, {"type": "input_json_delta", "partial_json": "{}"})
    ending = events_of(api.start() + stray + api.end())[-1]
    assert ending == Fault("the provider sent a piece of content outside its block", kind="upstream_broken")


def test_invalid_arguments_given_whole_break_the_answer() -> None:
    event = b'data: {"type":"content_block_start","content_block":{"type":"tool_use","input":{"a":"\xff"}}}\n\n'
    assert isinstance(events_of(api.start() + event + api.end())[-1], Fault)


def test_unknown_events_are_stepped_over_and_unknown_content_is_kept() -> None:
    new_piece = {"type": "compaction_delta", "content": "Summary."}
    stream = (
        api.start()
        + api.event("vertex_event", vertex={"a": 1})
        + api.event("message_annotation", delta="text")
        + api.block(0, {"type": "compaction", "content": None}, new_piece, {"type": "text_delta", "text": "x"})
        + api.end()
    )
    assert plain(events_of(stream)) == [
        ("provider_content", new_piece),
        ("provider_content", {"type": "text_delta", "text": "x"}),
        ("provider_content", {"type": "compaction", "content": None}),
    ]
    assert isinstance(events_of(stream)[-1], Finish)


def test_what_is_held_back_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_module, "_MAX_HELD_CHARS", 100)
    pieces = [{"type": "signature_delta", "signature": "x" * 60}] * 2
    block = api.block(0, {"type": "thinking", "thinking": ""}, *pieces)
    ending = events_of(api.start() + block + api.end())[-1]
    assert ending == Fault("the provider sent a content block larger than the gateway takes", kind="upstream_broken")
    apart = [api.block(i, {"type": "thinking", "thinking": ""}, pieces[0]) for i in range(3)]
    assert isinstance(events_of(api.start() + b"".join(apart) + api.end())[-1], Finish)


def test_an_event_over_the_limit_breaks_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.core.sse.MAX_SSE_EVENT_BYTES", 1000)
    stream = api.start() + api.text(0, "x" * 2000) + api.end()
    expected = Fault("the provider sent an event larger than the gateway takes", kind="upstream_broken")
    assert events_of(stream)[-1] == expected
    assert transduce(byte_by_byte(stream)) == events_of(stream)


# --- laws -----------------------------------------------------------------------------------------------------------


def check_laws(events: list[Event]) -> None:
    assert [type(e) for e in events[:-1] if isinstance(e, Finish | Fault)] == []
    assert isinstance(events[-1], Finish | Fault)
    starts = [at for at, e in enumerate(events) if isinstance(e, Start)]
    assert len(starts) <= 1
    reports = [e.usage for e in events if isinstance(e, UsageReport)]
    for before, after in pairwise(reports):
        assert after.input_tokens >= before.input_tokens
        assert after.output_tokens >= before.output_tokens
    for usage in reports:
        assert usage.cache_read_tokens + usage.cache_write_tokens <= usage.input_tokens
    check_tool_calls([e for e in events if isinstance(e, ToolCallDelta)])


def check_tool_calls(deltas: list[ToolCallDelta]) -> None:
    named: list[int] = []
    for delta in deltas:
        if delta.position not in named:
            assert delta.id is not None
            named.append(delta.position)
        else:
            assert (delta.id, delta.name) == (None, None)
    assert named == list(range(len(named)))


@pytest.mark.parametrize("stream", STREAMS)
def test_any_cut_gives_the_same_events(stream: bytes) -> None:
    expected = events_of(stream)
    check_laws(expected)
    assert transduce(byte_by_byte(stream)) == expected


@given(stream=st.sampled_from(STREAMS), data=st.data())
def test_random_cuts_give_the_same_events(stream: bytes, data: st.DataObject) -> None:
    assert transduce(data.draw(splits(stream))) == events_of(stream)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_cut_at_any_byte_never_ends_like_a_finished_one(stream: bytes) -> None:
    finish_at = stream.rindex(b"\n\n")
    for end in range(0, finish_at, 7):
        events = events_of(stream[:end])
        check_laws(events)
        assert isinstance(events[-1], Fault)


words = st.sampled_from(["", "a", "é", "😀", '"', "\\", "\n", "x" * 30])
counts = st.none() | st.integers(-1, 5000)
usages = st.fixed_dictionaries(
    {},
    optional={
        "input_tokens": counts,
        "output_tokens": counts,
        "cache_read_input_tokens": counts,
        "cache_creation_input_tokens": counts,
        "output_tokens_details": st.none() | st.fixed_dictionaries({"thinking_tokens": counts}),
    },
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | words, lambda v: st.lists(v) | st.dictionaries(words, v)
)
kinds = st.sampled_from(["text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "novelty"])
blocks = st.fixed_dictionaries(
    {"type": kinds},
    optional={"text": words, "thinking": words, "data": words, "id": words, "name": words, "input": values},
)
piece_kinds = st.sampled_from(
    ["text_delta", "thinking_delta", "signature_delta", "input_json_delta", "citations_delta", "novelty_delta"]
)
pieces = st.fixed_dictionaries(
    {"type": piece_kinds},
    optional={"text": words, "thinking": words, "signature": words, "partial_json": words, "citation": values},
)
events = st.one_of(
    st.builds(lambda u: api.start(u), usages),
    st.builds(lambda b: api.event("content_block_start", index=0, content_block=b), blocks),
    st.builds(lambda p: api.event("content_block_delta", index=0, delta=p), pieces),
    st.just(api.event("content_block_stop", index=0)),
    st.builds(lambda r, u: api.event("message_delta", delta={"stop_reason": r}, usage=u), st.none() | words, usages),
    st.just(api.event("message_stop")),
    st.just(api.ping()),
    st.builds(lambda v: api.event("error", error=v), values),
    st.builds(lambda v: api.event("novelty", delta=v), values),
    st.builds(lambda v: b"data: " + json.dumps(v).encode() + b"\n\n", values),
)


@given(st.lists(events, max_size=12), st.data())
def test_any_row_of_events_keeps_the_laws(row: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(row)
    expected = events_of(stream)
    check_laws(expected)
    assert transduce(data.draw(splits(stream))) == expected


@given(st.binary(max_size=300), st.data())
def test_any_bytes_keep_the_laws(noise: bytes, data: st.DataObject) -> None:
    stream = api.start() + noise
    expected = events_of(stream)
    check_laws(expected)
    assert transduce(data.draw(splits(stream))) == expected


@given(st.lists(words, max_size=8))
def test_the_text_is_the_provider_s_text(said: list[str]) -> None:
    events = events_of(api.start() + api.text(0, *said) + api.end())
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "".join(said)


@given(st.lists(blocks, max_size=5))
def test_a_stream_of_whole_blocks_tells_what_the_plain_answer_tells(content: list[dict[str, Any]]) -> None:
    stream = api.start() + b"".join(api.block(i, b) for i, b in enumerate(content)) + api.end()
    streamed, read = (
        [e for e in events if not isinstance(e, Start | UsageReport)]
        for events in (events_of(stream), read_answer(api.answer(*content)))
    )
    # a fault of a stream comes behind what was sent before
    assert streamed[-1:] == read[-1:] or isinstance(read[-1], Fault)
    if isinstance(read[-1], Finish):
        assert [compact(e) for e in streamed] == [compact(e) for e in read]


def compact(event: Event) -> Event:
    if isinstance(event, ContentDelta):
        return ContentDelta(event.field, Raw(json.dumps(json.loads(bytes(event.value))).encode()))
    return event


def test_a_count_that_is_no_sane_number_leaves_what_was_known() -> None:
    stream = api.start({"input_tokens": 20, "output_tokens": 1}) + api.end(
        usage={"input_tokens": 10**400, "output_tokens": -1}
    )
    transducer = MessagesTransducer()
    events = transducer.feed(stream)
    assert transducer.usage == Usage(input_tokens=20, output_tokens=1)
    assert isinstance(events[-1], Finish)


def test_signatures_and_opaque_inputs_are_joined_once_when_their_block_closes() -> None:
    transducer = MessagesTransducer()
    deltas = [{"type": "signature_delta", "signature": piece} for piece in ("a", "", "b", "c")]
    thinking = api.block(0, {"type": "thinking", "thinking": "", "signature": "0"}, *deltas)
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ('{"q"', "", ':"x', '"}')]
    tool = api.block(1, {"type": "server_tool_use", "id": "s", "name": "n", "input": {}}, *deltas)
    opened, _, rest = (api.start() + thinking).rpartition(b"event: content_block_stop")
    transducer.feed(opened)
    block = transducer._answer.block
    assert isinstance(block, answer_module._Thinking)
    assert block.signatures == ["0", "a", "b", "c"]  # pieces, so that many of them cost linear time
    assert transducer.feed(b"event: content_block_stop" + rest) == [ReasoningDelta(block=0, signature="0abc")]
    opened, _, rest = tool.rpartition(b"event: content_block_stop")
    transducer.feed(opened)
    opaque = transducer._answer.block
    assert isinstance(opaque, answer_module._Opaque)
    assert opaque.inputs == ['{"q"', ':"x', '"}']
    (delta,) = plain(transducer.feed(b"event: content_block_stop" + rest))
    assert delta[1]["input"] == {"q": "x"}
