"""Streams of generateContent, shaped after recorded ones: CRLF line ends, no terminator."""

import json
from itertools import pairwise
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
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from providers.generate_content.answer import read_answer
from providers.generate_content.stream import GenerateContentTransducer
from tests.kit.feeds import byte_by_byte, feed_all, splits, whole

GEMINI = DialectName.GEMINI_GENERATE_CONTENT
USED = {"promptTokenCount": 157, "candidatesTokenCount": 32, "thoughtsTokenCount": 438}


def chunk(*parts: Any, finish: str | None = None, usage: Any = None, index: int = 0, **candidate: Any) -> bytes:
    written: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": index, **candidate}
    if finish:
        written["finishReason"] = finish
    event: dict[str, Any] = {"candidates": [written]}
    if usage:
        event["usageMetadata"] = usage
    event |= {"modelVersion": "gemini-3.1-pro-preview", "responseId": "UwCzaaGdI_aEz7IPqoinwQM"}
    return b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\r\n\r\n"


def other(**members: Any) -> bytes:
    return b"data: " + json.dumps(members).encode() + b"\r\n\r\n"


def transduce(pieces: list[bytes]) -> list[Event]:
    transducer = GenerateContentTransducer()
    return [*feed_all(transducer.feed, pieces), *transducer.finish()]


def events_of(*chunks: bytes) -> list[Event]:
    return transduce(whole(b"".join(chunks)))


TOOLS = (
    chunk({"text": "Adding.", "thought": True}, usage={"promptTokenCount": 157, "thoughtsTokenCount": 438})
    + chunk(
        {"functionCall": {"name": "add", "args": {"a": 2}, "id": "8hd01vsf"}, "thoughtSignature": "EsIN"},
        usage={"promptTokenCount": 157, "candidatesTokenCount": 16, "thoughtsTokenCount": 438},
    )
    + chunk({"functionCall": {"name": "multiply", "args": {"b": 3}}}, usage=USED)
    + chunk({"text": ""}, finish="STOP", usage=USED)
)
TOLD = [
    Start("UwCzaaGdI_aEz7IPqoinwQM", "gemini-3.1-pro-preview"),
    ReasoningDelta("Adding.", origin=GEMINI),
    UsageReport(Usage(input_tokens=157, output_tokens=438, reasoning_tokens=438)),
    ReasoningDelta(signature="EsIN", origin=GEMINI),
    ToolCallDelta(0, "8hd01vsf", "add", '{"a":2}'),
    ToolCallDelta(1, "call_UwCzaaGdI_aEz7IPqoinwQM_1", "multiply", '{"b":3}'),
    UsageReport(Usage(input_tokens=157, output_tokens=470, reasoning_tokens=438)),
    Finish(FinishReason.TOOL_CALLS, "STOP"),
]
TEXT = chunk({"text": "Zürö"}) + chunk({"text": " is"}) + chunk({"text": "", "thoughtSignature": "Es4B"}, finish="STOP")


def test_parts_are_told_as_they_come() -> None:
    assert events_of(TOOLS) == TOLD


def test_a_signature_may_come_behind_the_text() -> None:
    assert events_of(TEXT)[1:] == [
        TextDelta("Zürö"),
        TextDelta(" is"),
        ReasoningDelta(signature="Es4B", origin=GEMINI),
        Finish(FinishReason.STOP, "STOP"),
    ]


def test_a_stream_says_what_a_plain_answer_says() -> None:
    for stream in (TOOLS, TEXT):
        (*_, last) = events_of(stream)
        chunks = [json.loads(line[6:]) for line in stream.split(b"\r\n") if line]
        parts = [part for c in chunks for part in c["candidates"][0]["content"]["parts"]]
        plain = chunks[-1]["candidates"][0] | {"content": {"parts": parts}}
        told = read_answer(json.dumps(chunks[-1] | {"candidates": [plain]}).encode())
        assert told[-1] == last
        assert [e for e in told if not isinstance(e, UsageReport)] == [
            e for e in events_of(stream) if not isinstance(e, UsageReport)
        ]


@pytest.mark.parametrize("stream", [TOOLS, TEXT])
def test_any_split_gives_the_same_events(stream: bytes) -> None:
    assert transduce(byte_by_byte(stream)) == events_of(stream)
    assert events_of(stream.replace(b"\r\n", b"\n")) == events_of(stream)


@given(st.sampled_from([TOOLS, TEXT]).flatmap(splits))
def test_any_random_split_gives_the_same_events(pieces: list[bytes]) -> None:
    assert transduce(pieces) == events_of(*pieces)


@pytest.mark.parametrize("stream", [TOOLS, TEXT])
def test_a_stream_that_is_cut_ends_in_a_fault(stream: bytes) -> None:
    complete = events_of(stream)
    for length in range(len(stream)):
        events = events_of(stream[:length])
        assert isinstance(events[-1], Fault) or events == complete
        assert not any(isinstance(event, Finish | Fault) for event in events[:-1])
    assert isinstance(events_of(stream[:-5])[-1], Fault)


def test_a_cut_inside_what_follows_the_last_event_is_a_fault() -> None:
    assert events_of(TEXT, b'data: {"usageMeta')[-1] == Fault(
        "the provider ended the stream inside an event", kind="upstream_broken"
    )


def test_empty_parts_and_candidates_occur() -> None:
    stream = (
        chunk({"text": "Here's a"})
        + other(candidates=[{"content": {"role": "model"}}], usageMetadata={"promptTokenCount": 16})
        + other(candidates=[{"finishReason": "STOP"}], usageMetadata={"candidatesTokenCount": 2})
        + other(usageMetadata={"candidatesTokenCount": 3})
    )
    assert events_of(stream)[1:] == [
        TextDelta("Here's a"),
        UsageReport(Usage(input_tokens=16)),
        # what was counted in between is not told, and not lost
        UsageReport(Usage(input_tokens=16, output_tokens=3)),
        Finish(FinishReason.STOP, "STOP"),
    ]


def test_a_filter_has_the_last_word() -> None:
    metadata = {"citations": [{"startIndex": 3, "endIndex": 5, "uri": "https://a.example"}]}
    stream = (
        chunk({"text": "Copyrighted"}, finish="STOP")
        + chunk({"text": " text"}, finish="STOP", citationMetadata=metadata)
        + other(candidates=[{"finishReason": "RECITATION", "index": 0}])
    )
    *_, citation, finish = events_of(stream)
    assert finish == Finish(FinishReason.CONTENT_FILTER, "RECITATION")
    assert isinstance(citation, ContentDelta)


def test_citations_are_told_once_and_by_the_whole_text() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 7, "endIndex": 9, "text": "is"}, "groundingChunkIndices": [0]}
        ],
    }
    stream = (
        chunk({"text": "Zürö"})
        + chunk({"text": " is"}, groundingMetadata=grounding)
        + chunk({"text": ""}, finish="STOP", groundingMetadata=grounding)
    )
    (told,) = [json.loads(bytes(e.value)) for e in events_of(stream) if isinstance(e, ContentDelta)]
    assert (told["url_citation"]["start_index"], told["url_citation"]["end_index"]) == (5, 7)


def test_every_candidate_must_end() -> None:
    two = chunk({"text": "two"}, index=1)
    assert isinstance(events_of(TEXT, two)[-1], Fault)
    assert events_of(TEXT, two, chunk(finish="MAX_TOKENS", index=1))[-1] == Finish(FinishReason.STOP, "STOP")


@pytest.mark.parametrize("index", [-1, 10**6])
def test_a_candidate_of_an_impossible_number_is_a_fault(index: int) -> None:
    assert isinstance(events_of(chunk({"text": "x"}, finish="STOP", index=index))[-1], Fault)


def test_an_error_breaks_the_answer_off() -> None:
    error = other(error={"code": 503, "message": "The service is currently unavailable.", "status": "UNAVAILABLE"})
    fault = Fault("The service is currently unavailable.", 503, native_type="UNAVAILABLE")
    assert events_of(chunk({"text": "Olá!"}), error, chunk({"text": "x"}, finish="STOP"))[1:] == [
        TextDelta("Olá!"),
        fault,
    ]
    assert events_of(error) == [fault]


def test_a_blocked_prompt_is_a_filter() -> None:
    assert events_of(other(promptFeedback={"blockReason": "SAFETY"})) == [
        Start("", ""),
        Finish(FinishReason.CONTENT_FILTER, "SAFETY"),
    ]


@pytest.mark.parametrize(
    "data", [b"{", b"null", b"[]", b'{"candidates":5}', b'{"candidates":[{"content":{"parts":[1]}}]}']
)
def test_an_event_that_cannot_be_read_is_a_fault(data: bytes) -> None:
    events = events_of(chunk({"text": "x"}), b"data: " + data + b"\r\n\r\n", chunk(finish="STOP"))
    assert events[-1] == Fault("the provider sent an answer that could not be read", kind="upstream_broken")


def test_a_relay_may_end_it_as_openai_does() -> None:
    assert events_of(TEXT, b": ping\r\n\r\n", b"data: [DONE]\r\n\r\n") == events_of(TEXT)


def test_nothing_is_no_answer() -> None:
    for pieces in ([], [b""], [b": ping\n\n"]):
        assert isinstance(transduce(pieces)[-1], Fault)


def test_an_event_larger_than_allowed_is_a_fault() -> None:
    transducer = GenerateContentTransducer()
    events = transducer.feed(b"data: " + b"x" * MAX_SSE_EVENT_BYTES)
    assert isinstance(events[-1], Fault)
    assert (transducer.feed(TEXT), transducer.finish()) == ([], [])


def test_to_ask_for_usage_changes_no_event() -> None:
    transducer = GenerateContentTransducer()
    events = []
    for byte in TOOLS:
        events += transducer.feed(bytes([byte]))
        assert transducer.usage is None or transducer.usage.input_tokens == 157
    assert events + transducer.finish() == TOLD


def test_usage_is_the_best_known_so_far() -> None:
    transducer = GenerateContentTransducer()
    known: list[int] = [0]
    for piece in byte_by_byte(TOOLS):
        transducer.feed(piece)
        known.append(transducer.usage.output_tokens if transducer.usage else 0)
    assert all(before <= after for before, after in pairwise(known))
    assert known[-1] == 470


noise = st.lists(
    st.sampled_from([chunk({"text": "x"}), chunk(finish="STOP"), TOOLS, other(error={"code": 500}), b"\r\n", b"data: "])
    | st.sampled_from([b'data: {"candidates":[{"index":1}]}\n\n', b"data: {}\n\n", b"{", b"\xff"])
    | st.binary(max_size=6),
    max_size=8,
).map(b"".join)


@given(noise.flatmap(lambda stream: st.tuples(st.just(stream), splits(stream))))
def test_any_bytes_in_any_split_are_an_answer_or_a_fault(given_stream: tuple[bytes, list[bytes]]) -> None:
    stream, pieces = given_stream
    events = events_of(stream)
    assert transduce(pieces) == events
    assert isinstance(events[-1], Finish | Fault)
    assert not any(isinstance(event, Finish | Fault) for event in events[:-1])
