"""Streams of chat completions as events: cases of our own in the shapes that vendors send."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.limits import MAX_SSE_EVENT_BYTES
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
from providers.openai_like.chat_transducer import ChatTransducer
from providers.openai_like.stream import ChatStreamObserver
from tests.kit import chat_api as api
from tests.kit.feeds import byte_by_byte, feed_all, splits, whole

Json = dict[str, Any]
STARTED = Start("chatcmpl-1", "gpt-test-2026", 1_700_000_000)
COUNTED = UsageReport(Usage(19, 10))
DONE = api.DONE
STOP = api.delta("stop")


def transduce(pieces: list[bytes]) -> list[Event]:
    transducer = ChatTransducer()
    return [*feed_all(transducer.feed, pieces), *transducer.finish()]


def events_of(stream: bytes) -> list[Event]:
    events = transduce(whole(stream))
    assert transduce(byte_by_byte(stream)) == events
    return events


def content_of(*chunks: bytes) -> list[Event]:
    """Without the frame that every answer has."""
    events = events_of(b"".join(chunks) + STOP + DONE)
    assert isinstance(events[-1], Finish)
    return [e for e in events if not isinstance(e, Start | UsageReport | Finish)]


def call(index: int | None = 0, call_id: str | None = None, name: str | None = None, arguments: Any = "") -> Json:
    piece: Json = {"function": {"arguments": arguments}}
    if name is not None:
        piece["function"]["name"] = name
    if index is not None:
        piece["index"] = index
    return piece if call_id is None else {**piece, "id": call_id, "type": "function"}


def calls(*pieces: Json) -> bytes:
    return b"".join(api.delta(tool_calls=[piece]) for piece in pieces)


def told_calls(events: list[Event]) -> list[tuple[str | None, str | None, str]]:
    """Each call's id, name and whole arguments."""
    told: dict[int, list[Any]] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            if event.position not in told:
                told[event.position] = [event.id, event.name, ""]
            told[event.position][2] += event.arguments
    return [tuple(told[position]) for position in sorted(told)]


# --- streams as vendors send them -----------------------------------------------------------------------------------


def test_text_comes_piece_by_piece_and_the_usage_behind_the_reason_is_told() -> None:
    assert events_of(api.role() + api.text("Hel", "lo") + STOP + api.usage() + DONE) == [
        STARTED,
        TextDelta("Hel"),
        TextDelta("lo"),
        COUNTED,
        Finish(FinishReason.STOP, "stop"),
    ]


def test_nothing_is_finished_before_the_usage_may_have_come() -> None:
    transducer = ChatTransducer()
    assert transducer.feed(api.text("Hi") + STOP)[-1] == TextDelta("Hi")
    assert transducer.feed(api.usage()) == []
    assert transducer.usage == Usage(19, 10)
    assert transducer.feed(DONE) == [COUNTED, Finish(FinishReason.STOP, "stop")]
    assert transducer.feed(api.text("more")) == transducer.finish() == []


def test_azures_first_chunk_is_no_beginning() -> None:
    first = api.event({"choices": [], "created": 0, "id": "", "model": "", "prompt_filter_results": [{}]})
    assert events_of(first + api.role() + api.text("Hi") + STOP + DONE)[:2] == [STARTED, TextDelta("Hi")]


def test_a_stream_of_perplexity_has_no_done_and_tells_all_in_every_chunk() -> None:
    def chunk(piece: str, so_far: str, finish: str | None, tokens: int) -> bytes:
        choice = {
            "index": 0,
            "delta": {"role": "assistant", "content": piece},
            "message": {"role": "assistant", "content": so_far},
            "finish_reason": finish,
        }
        sources = {"citations": ["https://example.com"], "search_results": [{"url": "https://example.com"}]}
        usage = {"prompt_tokens": 2, "completion_tokens": tokens}
        told = {"id": "p", "model": "sonar", "choices": [choice], "usage": usage, **sources}
        return b"data: " + json.dumps(told).encode() + b"\r\n\r\n"

    events = events_of(
        chunk("It ", "It ", None, 1) + chunk("rains", "It rains", None, 2) + chunk("", "It rains", "stop", 3)
    )
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["It ", "rains"]
    assert [e.field for e in events if isinstance(e, ContentDelta)] == ["search_results", "annotations"]
    assert events[-2:] == [UsageReport(Usage(2, 3)), Finish(FinishReason.STOP, "stop")]


def test_the_usage_of_groq_is_found() -> None:
    last = api.event(
        {"id": "g", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "x_groq": {"usage": api.USAGE}}
    )
    assert events_of(api.text("Hi") + last + DONE)[-2:] == [COUNTED, Finish(FinishReason.STOP, "stop")]


def test_the_usage_of_moonshot_is_found() -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": api.USAGE}
    assert COUNTED in events_of(api.text("Hi") + api.event({"id": "k", "choices": [choice]}) + DONE)


def test_a_tool_that_groq_runs_is_told_once_with_its_result() -> None:
    begun = {"index": 0, "type": "search", "arguments": "{}"}
    done = {**begun, "output": "found"}
    events = content_of(api.delta(executed_tools=[begun]), api.delta(executed_tools=[done]), api.text("x"))
    assert [json.loads(bytes(e.value)) for e in events if isinstance(e, ContentDelta)] == [done]


def test_openrouter_repeats_its_reason_and_takes_it_back_with_the_usage() -> None:
    stream = b": OPENROUTER PROCESSING\n\n" + api.text("Hi") + STOP + STOP + api.delta(content="", usage=None)
    assert events_of(stream + api.usage() + DONE) == [
        STARTED,
        TextDelta("Hi"),
        COUNTED,
        Finish(FinishReason.STOP, "stop"),
    ]


def test_several_choices_are_told_apart() -> None:
    stream = api.delta(content="a") + api.delta(content="b", index=1) + api.delta("length", 1) + api.delta("stop")
    events = events_of(stream + DONE)
    assert events[1:3] == [TextDelta("a"), TextDelta("b", 1)]
    assert events[-1] == Finish(FinishReason.STOP, "stop")


def test_refusals_come_in_pieces() -> None:
    assert content_of(api.delta(refusal="I "), api.delta(refusal="can't")) == [
        RefusalDelta("I "),
        RefusalDelta("can't"),
    ]


# --- tool calls -----------------------------------------------------------------------------------------------------


def test_calls_are_named_once_and_their_arguments_follow() -> None:
    stream = calls(call(0, "call_1", "look"), call(0, None, None, '{"a"'), call(0, None, None, ":1}"))
    assert content_of(stream) == [
        ToolCallDelta(0, "call_1", "look", '{"a"'),
        ToolCallDelta(0, arguments=":1}"),
    ]
    assert events_of(stream + STOP + DONE)[-1] == Finish(FinishReason.TOOL_CALLS, "stop")


ONE, TWO = ("call_1", "look", '{"a":1}'), ("call_2", "other", '{"b":2}')


@pytest.mark.parametrize(
    "pieces",
    [
        # OpenAI, by turns
        [
            call(0, "call_1", "look"),
            call(1, "call_2", "other"),
            call(1, None, None, '{"b":2}'),
            call(0, None, None, '{"a":1}'),
        ],
        # id and name in every piece
        [call(0, "call_1", "look", '{"a"'), call(0, "call_1", "look", ":1}"), call(1, "call_2", "other", '{"b":2}')],
        # empty ids and names behind the first piece, and null arguments in it
        [call(0, "call_1", "look", None), call(0, "", "", '{"a":1}'), call(1, "call_2", "other", '{"b":2}')],
        # no index, whole calls
        [call(None, "call_1", "look", '{"a":1}'), call(None, "call_2", "other", '{"b":2}')],
        # no index, in pieces
        [call(None, "call_1", "look"), call(None, None, None, '{"a":1}'), call(None, "call_2", "other", '{"b":2}')],
        [
            call(None, "call_1", "look"),
            call(None, "call_2", "other"),
            call(None, "call_1", None, '{"a":1}'),
            call(None, "call_2", None, '{"b":2}'),
        ],
        # all calls under one index
        [call(0, "call_1", "look", '{"a":1}'), call(0, "call_2", "other", '{"b":2}')],
        # the name in pieces, the id later
        [
            call(0, None, "lo"),
            call(0, "call_1", "ok"),
            call(0, None, None, '{"a":1}'),
            call(1, "call_2", "other", '{"b":2}'),
        ],
        # arguments as an object
        [call(0, "call_1", "look", {"a": 1}), call(1, "call_2", "other", {"b": 2})],
        # numbers that do not begin at nought
        [call(3, "call_1", "look", '{"a":1}'), call(7, "call_2", "other", '{"b":2}')],
    ],
)
def test_calls_are_put_together_however_a_vendor_cuts_them(pieces: list[Json]) -> None:
    assert told_calls(content_of(calls(*pieces))) == [ONE, TWO]
    assert told_calls(content_of(api.delta(tool_calls=pieces))) == [ONE, TWO]


def test_calls_without_arguments_have_an_empty_object_and_keep_their_order() -> None:
    events = content_of(calls(call(0, "call_1", "a"), call(1, "call_2", "b"), call(1, None, None, "[1]")))
    assert told_calls(events) == [("call_1", "a", "{}"), ("call_2", "b", "[1]")]
    assert [e.position for e in events if isinstance(e, ToolCallDelta)] == [0, 1, 0]


def test_the_function_call_of_2023_comes_in_pieces_too() -> None:
    stream = api.delta(function_call={"name": "look", "arguments": ""}) + api.delta(function_call={"arguments": "{}"})
    ((call_id, name, arguments),) = told_calls(content_of(stream))
    assert call_id
    assert (name, arguments) == ("look", "{}")


# --- thought --------------------------------------------------------------------------------------------------------


def details(*pieces: Json) -> bytes:
    return b"".join(api.delta(content="", reasoning=None, reasoning_details=[piece]) for piece in pieces)


def test_thought_ends_where_something_else_begins() -> None:
    stream = api.delta(reasoning_content="a") + api.delta(reasoning_content="b", content=None) + api.text("c")
    assert content_of(stream, api.delta(reasoning_content="d")) == [
        ReasoningDelta("a"),
        ReasoningDelta("b"),
        TextDelta("c"),
        ReasoningDelta("d", 1),
    ]


def test_a_signature_comes_whole_behind_the_thought_it_proves() -> None:
    head = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
    stream = details(
        {**head, "text": "", "signature": ""},
        {**head, "text": "2+"},
        {**head, "text": "2"},
        {**head, "signature": "EpAD"},
    )
    assert content_of(stream, api.text("4")) == [
        ReasoningDelta("2+"),
        ReasoningDelta("2"),
        ReasoningDelta(
            signature='{"type":"reasoning.text","format":"anthropic-claude-v1","index":0,"signature":"EpAD"}',
            origin=DialectName.OPENAI_CHAT,
        ),
        TextDelta("4"),
    ]


def test_a_summary_and_what_it_sums_up_are_two_blocks() -> None:
    summary = {"type": "reasoning.summary", "format": "xai-responses-v1", "index": 0}
    sealed = {"type": "reasoning.encrypted", "data": "5hfP", "format": "xai-responses-v1", "id": "rs_1", "index": 0}
    stream = details({**summary, "summary": "First"}, {**summary, "summary": ","}, sealed)
    events = [e for e in content_of(stream, calls(call(0, "c", "look"))) if isinstance(e, ReasoningDelta)]
    assert [(e.block, e.text, e.signature is not None, e.redacted is not None) for e in events] == [
        (0, "First", False, False),
        (0, ",", False, False),
        (0, "", True, False),
        (1, "", False, True),
    ]


def test_a_block_behind_a_signature_is_another_one() -> None:
    head = {"type": "reasoning.text", "index": 0}
    stream = details({**head, "text": "a", "signature": "s1"}, {**head, "text": "b", "signature": "s2"})
    assert [(e.block, e.text) for e in content_of(stream) if isinstance(e, ReasoningDelta)] == [
        (0, "a"),
        (0, ""),
        (1, "b"),
        (1, ""),
    ]


def test_plain_thought_behind_a_detail_is_a_block_of_its_own() -> None:
    stream = details({"type": "reasoning.summary", "summary": "a", "index": 0}) + api.delta(reasoning="b")
    assert [(e.block, e.text) for e in content_of(stream) if isinstance(e, ReasoningDelta)] == [
        (0, "a"),
        (0, ""),
        (1, "b"),
    ]


# --- ends and faults ------------------------------------------------------------------------------------------------

WHOLE = api.role() + api.text("Hello") + STOP + api.usage() + DONE


def test_a_stream_that_is_cut_finishes_only_where_its_reason_was_told() -> None:
    reason_told = len(api.role() + api.text("Hello") + STOP) - 2
    for length in range(len(WHOLE)):
        last = transduce([WHOLE[:length]])[-1]
        observer = ChatStreamObserver(False)
        observer.feed(WHOLE[:length])
        observer.finish()
        assert isinstance(last, Fault) is (observer.fault is not None), WHOLE[:length][-20:]
        if length < reason_told:
            assert last == Fault("the provider ended the stream before the answer was complete", kind="upstream_broken")


@pytest.mark.parametrize("end", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r\n", b"data: [DONE]\r\r"])
def test_done_ends_an_answer_without_a_reason(end: bytes) -> None:
    assert events_of(api.text("Hi") + end) == [STARTED, TextDelta("Hi"), Finish(FinishReason.STOP)]


@pytest.mark.parametrize("end", [b"data: {", b"data: [DON", b"dat", b"event: x", b'data: {"choices":[]', b"data: 5"])
def test_an_event_that_broke_off_breaks_the_answer_even_behind_its_reason(end: bytes) -> None:
    assert isinstance(events_of(api.text("Hi") + STOP + end)[-1], Fault)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b": keep-alive", b": keep-alive\n\n", b"data: ping\n\n"])
def test_what_says_nothing_does_no_harm_behind_a_reason(end: bytes) -> None:
    assert events_of(api.text("Hi") + STOP + end)[-1] == Finish(FinishReason.STOP, "stop")


def test_a_last_event_without_its_empty_line_counts() -> None:
    assert events_of(api.text("Hi") + STOP + api.usage()[:-2])[-2:] == [COUNTED, Finish(FinishReason.STOP, "stop")]


def test_all_choices_must_have_ended() -> None:
    both = api.delta(content="a") + api.delta(content="b", index=1)
    assert isinstance(events_of(both + STOP)[-1], Fault)
    assert isinstance(events_of(both + STOP + api.delta("stop", 1))[-1], Finish)


@pytest.mark.parametrize(
    ("end", "fault"),
    [
        (
            {"error": {"message": "Gone", "type": "server_error", "code": None}},
            Fault("Gone", 502, native_type="server_error"),
        ),
        ({"error": {"message": "Gone", "code": 429}, "choices": []}, Fault("Gone", 429)),
        ({"error": {"message": "Gone", "code": 429}, "choices": "odd"}, Fault("Gone", 429)),
        ({"error": "Gone", "code": "x"}, Fault("Gone")),
        ({"object": "error", "message": "Gone", "type": "unreachable"}, Fault("Gone", native_type="unreachable")),
        ({"choices": [{"index": 0, "error": {"message": "Gone", "code": 503}}]}, Fault("Gone", 503)),
    ],
)
def test_an_error_in_the_stream_ends_it_and_the_usage_is_told(end: Json, fault: Fault) -> None:
    stream = api.text("Hi") + api.usage() + api.event(end) + DONE
    assert events_of(stream) == [STARTED, TextDelta("Hi"), COUNTED, fault]


@pytest.mark.parametrize("data", [b'{"error":{"message":"Gone"}}', b'{"message":"Gone"}', b"Gone"])
def test_an_event_of_the_name_error_is_one(data: bytes) -> None:
    last = events_of(api.text("Hi") + b"event: error\ndata: " + data + b"\n\n")[-1]
    assert isinstance(last, Fault)
    assert last.message in ("Gone", "the provider reported an error")


def test_a_reason_that_means_failure_is_a_fault() -> None:
    last = events_of(api.text("Hi") + api.delta("network_error") + DONE)[-1]
    assert last == Fault("the provider broke the answer off: network_error")


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b'{"choices":[1]}',
        b'{"choices":[{"delta":5}]}',
        b'{"choices":[{"delta":{"content":"\xff"}}]}',
        b'{"a":' * 9000,
    ],
)
def test_a_chunk_that_cannot_be_read_is_a_fault(data: bytes) -> None:
    last = events_of(api.text("Hi") + b"data: " + data + b"\n\n" + STOP + DONE)[-1]
    assert last == Fault("the provider sent an event that could not be read", kind="upstream_broken")


def test_an_event_without_end_is_a_fault() -> None:
    events = transduce([api.text("Hi"), b"data: " + b"x" * (MAX_SSE_EVENT_BYTES + 1), DONE])
    assert events[-1] == Fault("the provider sent an event larger than the gateway takes", kind="upstream_broken")


def test_tool_results_without_end_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.openai_like.chat_answer.MAX_HELD_ANSWER_CHARS", 100)
    chunks = [api.delta(executed_tools=[{"index": n, "output": "x" * 40}]) for n in range(3)]
    assert isinstance(events_of(b"".join(chunks) + STOP + DONE)[-1], Fault)


# --- the same plain and streamed, whatever the cuts -----------------------------------------------------------------

words = st.lists(st.text(st.sampled_from('ab é\n"\\\u2028'), min_size=1, max_size=4), max_size=4)
tool_calls = st.lists(st.tuples(st.sampled_from(["look", "other"]), words), max_size=3)


def folded(events: list[Event]) -> Any:
    texts = "".join(e.text for e in events if isinstance(e, TextDelta))
    refusals = "".join(e.text for e in events if isinstance(e, RefusalDelta))
    thought = "".join(e.text for e in events if isinstance(e, ReasoningDelta))
    frame = [e for e in events if isinstance(e, Start | UsageReport | Finish | Fault | ContentDelta)]
    return texts, refusals, thought, told_calls(events), frame


@given(words, words, words, tool_calls, st.sampled_from(["stop", "length", "tool_calls"]), st.data())
def test_an_answer_says_the_same_plain_and_streamed(
    thought: list[str], text: list[str], refusal: list[str], called: list[Any], reason: str, data: st.DataObject
) -> None:
    message: Json = {
        "content": "".join(text) or None,
        "reasoning_content": "".join(thought),
        "refusal": "".join(refusal) or None,
        "tool_calls": [call(None, f"c{n}", name, "".join(pieces)) for n, (name, pieces) in enumerate(called)],
        "annotations": [{"type": "url_citation"}],
    }
    head = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "gpt-test-2026"}
    plain = {**head, "choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": api.USAGE}
    stream = api.role()
    stream += b"".join(api.delta(reasoning_content=piece) for piece in thought) + api.text(*text)
    stream += b"".join(api.delta(refusal=piece) for piece in refusal)
    for n, (name, pieces) in enumerate(called):
        stream += calls(call(n, f"c{n}", name), *(call(n, None, None, piece) for piece in pieces))
    stream += api.delta(annotations=[{"type": "url_citation"}]) + api.delta(reason) + api.usage() + DONE
    whole_events = transduce(whole(stream))
    assert folded(whole_events) == folded(read_chat_answer(json.dumps(plain).encode()))
    assert transduce(data.draw(splits(stream))) == whole_events


CHUNKS = [
    *(
        WHOLE,
        STOP,
        DONE,
        api.role(),
        api.usage(),
        b"data: {}\n\n",
        b"event: error\n",
        b"data: ",
        b"\r\n",
        b"\n",
        b"\xef\xbb\xbf",
    ),
    *(
        calls(call(0, "c", "look", "{}")),
        details({"type": "reasoning.text", "text": "a"}),
        b"data: [DONE]",
        b"{",
        b": c\n",
    ),
    b'data: {"choices":[{"index":0,"delta":{"content":[{"type":"thinking"},5,null]},"finish_reason":[]}]}\n\n',
]


@given(st.lists(st.sampled_from(CHUNKS) | st.binary(max_size=6), max_size=8).map(b"".join), st.data())
def test_any_stream_is_an_answer_or_a_fault_whatever_the_cuts(stream: bytes, data: st.DataObject) -> None:
    events = transduce(whole(stream))
    assert isinstance(events[-1], Finish | Fault)
    assert not any(isinstance(event, Finish | Fault) for event in events[:-1])
    assert transduce(data.draw(splits(stream))) == events
