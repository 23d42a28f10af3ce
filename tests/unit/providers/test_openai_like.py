"""Streams, errors and lists of OpenAI-shaped vendors: cases of our own in the shapes those vendors send."""

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.limits import MAX_SSE_EVENT_BYTES
from gateway.core.names import is_header_value
from gateway.core.types import Fault, Model, Usage
from providers import openai_like
from providers.contract import Summary
from providers.openai_like import ChatStreamObserver, clean_message, read_error, read_models, read_summary, read_usage
from tests.kit.feeds import byte_by_byte, cut_at, splits, whole

# --- building streams -----------------------------------------------------------------------------------------------


def data(payload: object, end: bytes = b"\n") -> bytes:
    text = payload if isinstance(payload, bytes) else json.dumps(payload, separators=(",", ":")).encode()
    return b"data: " + text + end + end


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **members: Any) -> bytes:
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return data(head | {"choices": [choice]} | members)


def usage_chunk(**members: Any) -> bytes:
    return data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": COUNTED} | members)


ROLE = chunk({"role": "assistant", "content": ""})
HELLO = chunk({"content": "Hello"})
STOP = chunk(finish="stop")
DONE = b"data: [DONE]\n\n"
COUNTED = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 3},
}
USAGE = Usage(input_tokens=11, output_tokens=7, cache_read_tokens=3)


def watch(pieces: list[bytes], *, strip_usage: bool = False) -> tuple[bytes, ChatStreamObserver]:
    observer = ChatStreamObserver(strip_usage)
    forwarded = [observer.feed(piece) for piece in pieces]
    return b"".join([*forwarded, observer.finish()]), observer


def known(observer: ChatStreamObserver) -> tuple[object, ...]:
    return (
        observer.usage,
        observer.finish_reason,
        observer.has_token,
        observer.is_complete,
        observer.fault,
        observer.is_fault_told,
    )


def cut_everywhere(stream: bytes, *, strip_usage: bool = False) -> tuple[bytes, ChatStreamObserver]:
    """Watched whole, byte by byte and in halves, which must be the same."""
    forwarded, observer = watch(whole(stream), strip_usage=strip_usage)
    for pieces in (byte_by_byte(stream), *(cut_at(stream, [place]) for place in range(0, len(stream), 7))):
        again, other = watch(pieces, strip_usage=strip_usage)
        assert again == forwarded
        assert known(other) == known(observer)
    return forwarded, observer


# --- whole streams as vendors send them -----------------------------------------------------------------------------

FILTERED = {"hate": {"filtered": False, "severity": "safe"}, "jailbreak": {"filtered": False, "detected": False}}
VENDORS = {
    "openai": [
        ROLE,
        chunk({"content": "Hi"}, usage=None, obfuscation="x3Ka"),
        chunk(finish="stop", usage=None),
        usage_chunk(),
        DONE,
    ],
    "openai without usage": [ROLE, HELLO, STOP, DONE],
    "azure": [
        data({"choices": [], "created": 0, "id": "", "model": "", "prompt_filter_results": [{"content": FILTERED}]}),
        chunk({"role": "assistant", "content": "", "refusal": None}, content_filter_results={}),
        chunk({"content": "Hi"}),
        chunk(finish="stop"),
        usage_chunk(latency_checkpoint={"engine_ttft_ms": 30}),
        DONE,
    ],
    "groq": [
        chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_1", "seed": 1}),
        chunk({"reasoning": "We", "channel": "analysis"}),
        chunk({}, "stop", x_groq={"id": "req_1", "usage": COUNTED | {"queue_time": 0.19}}),
        usage_chunk(service_tier="on_demand"),
        DONE,
    ],
    "openrouter": [
        b": OPENROUTER PROCESSING\n\n",
        b": OPENROUTER PROCESSING\n\n",
        chunk({"role": "assistant", "content": "", "reasoning": None}, provider="X"),
        chunk({"role": "assistant", "content": "Hi"}),
        chunk({"role": "assistant", "content": ""}, "stop", usage=COUNTED | {"cost": 0.00007, "is_byok": False}),
        DONE,
    ],
    "mistral": [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "So"}]}]}, p="abcdef"),
        chunk({"content": "4"}, "stop", usage=COUNTED, p="abc"),
        DONE,
    ],
    "deepseek": [
        chunk({"role": "assistant", "content": None, "reasoning_content": ""}, usage=None),
        chunk({"content": None, "reasoning_content": "The"}, usage=None),
        chunk({"content": "", "reasoning_content": None}, "stop", usage=COUNTED),
        DONE,
    ],
    "xai": [
        data({"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}}]}),
        data({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        data({"choices": [], "usage": COUNTED}),
        DONE,
    ],
    "perplexity": [
        # Python's own spelling of JSON, usage in every chunk, CRLF, and no [DONE]
        *(
            b'data: {"id": "1", "usage": {"prompt_tokens": 11, "completion_tokens": %d, "prompt_tokens_details": '
            b'{"cached_tokens": 3}}, "choices": [{"index": 0, "finish_reason": %b, "delta": {"content": "x"}}]}\r\n\r\n'
            % (count, reason)
            for count, reason in ((1, b"null"), (5, b"null"), (7, b'"stop"'))
        ),
    ],
    "legacy completions": [
        data({"object": "text_completion", "choices": [{"text": "Hi", "index": 0, "finish_reason": None}]}),
        data(
            {
                "object": "text_completion",
                "choices": [{"text": "", "index": 0, "finish_reason": "stop"}],
                "usage": COUNTED,
            }
        ),
        DONE,
    ],
}


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_vendors_stream_is_forwarded_as_it_is_and_understood(vendor: str) -> None:
    stream = b"".join(VENDORS[vendor])
    forwarded, observer = cut_everywhere(stream)
    assert forwarded == stream
    assert observer.finish_reason == "stop"
    assert observer.has_token
    assert observer.fault is None
    assert observer.usage == (None if vendor == "openai without usage" else USAGE)
    assert observer.is_complete is (vendor != "perplexity")


@pytest.mark.parametrize("vendor", VENDORS)
def test_only_the_usage_chunk_that_was_asked_for_is_taken_out(vendor: str) -> None:
    kept = [event for event in VENDORS[vendor] if not (b'"choices":[]' in event and b'"usage":{' in event)]
    forwarded, observer = cut_everywhere(b"".join(VENDORS[vendor]), strip_usage=True)
    assert forwarded == b"".join(kept)
    assert observer.usage == (None if vendor == "openai without usage" else USAGE)


@pytest.mark.parametrize(
    "event",
    [
        data({"choices": [], "prompt_filter_results": []}),  # Azure's first
        data({"choices": [], "usage": None}),
        chunk({"content": "x"}, usage=COUNTED),  # an answer that also counts
        chunk({}, usage=COUNTED),
        data({"usage": COUNTED}),  # no empty choices: not what OpenAI's flag asks for
        data({"choices": None, "usage": COUNTED}),
        data({"choices": "odd", "usage": COUNTED}),
        data({"choices": [], "usage": COUNTED, "error": {"message": "died"}}),
        b": usage\n\n",
        b'data: {"choices":[],"usage":{"prompt_tokens":1}\n\n',  # no JSON
        DONE,
    ],
)
def test_what_is_not_that_chunk_stays(event: bytes) -> None:
    stream = ROLE + HELLO + event + STOP + DONE
    assert cut_everywhere(stream, strip_usage=True)[0] == stream


def test_the_usage_chunk_is_found_between_others_in_one_read() -> None:
    stream = HELLO + usage_chunk() + HELLO + STOP + usage_chunk() + DONE
    assert cut_everywhere(stream, strip_usage=True)[0] == HELLO + HELLO + STOP + DONE


def test_a_later_report_of_usage_replaces_an_earlier_one_and_an_empty_one_does_not() -> None:
    first, second = chunk({"content": "a"}, usage={"prompt_tokens": 1}), chunk({"content": "b"}, usage=COUNTED)
    assert cut_everywhere(first + second + STOP + DONE)[1].usage == USAGE
    for empty in (None, {}, [], "", 0, "none", [1], True):
        assert cut_everywhere(second + chunk({}, "stop", usage=empty) + DONE)[1].usage == USAGE


def test_groq_reports_usage_in_a_member_of_its_own() -> None:
    stream = HELLO + chunk({}, "stop", x_groq={"id": "req_1", "usage": COUNTED}) + DONE
    assert cut_everywhere(stream, strip_usage=True)[0] == stream
    assert cut_everywhere(stream)[1].usage == USAGE
    for odd in (None, {}, {"usage": None}, {"usage": [1]}, {"id": "req_1", "error": "x"}):
        assert cut_everywhere(HELLO + chunk({}, "stop", x_groq=odd) + DONE)[1].finish_reason == "stop"


def test_a_finish_reason_is_not_forgotten_for_a_chunk_without_one() -> None:
    assert cut_everywhere(HELLO + STOP + chunk({}, usage=COUNTED) + DONE)[1].finish_reason == "stop"


def test_usage_is_known_as_soon_as_it_was_sent() -> None:
    observer = ChatStreamObserver(strip_usage=False)
    observer.feed(HELLO + STOP)
    assert observer.usage is None
    observer.feed(usage_chunk()[:-1])
    assert observer.usage is None
    observer.feed(b"\n")
    assert observer.usage == USAGE


# --- framing --------------------------------------------------------------------------------------------------------

ENDS = [b"\n", b"\r\n", b"\r"]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("strip_usage", [False, True])
def test_every_kind_of_line_end_frames_events(end: bytes, strip_usage: bool) -> None:
    events = [event.replace(b"\n", end) for event in (b": hi\n\n", ROLE, HELLO, STOP, usage_chunk(), DONE)]
    forwarded, observer = cut_everywhere(b"".join(events), strip_usage=strip_usage)
    assert forwarded == b"".join(events[:4] + events[4 + strip_usage :])
    assert known(observer) == (USAGE, "stop", True, True, None, False)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_events_are_forwarded_whole_and_as_soon_as_they_end(end: bytes) -> None:
    event = HELLO.replace(b"\n", end)
    observer = ChatStreamObserver(strip_usage=False)
    for byte in byte_by_byte(event)[:-1]:
        assert observer.feed(byte) == b""
    assert observer.feed(event[-1:]) == event
    assert observer.feed(event + event[:20]) == event
    assert observer.feed(event[20:] + event[:1]) == event


@pytest.mark.parametrize(
    "payload",
    [
        b'data:{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n',  # no space
        b'event: message\ndata: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n',
        b'id: 7\nretry: 10\ndata: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n: later\n\n',
        b'data: {"choices":\ndata: [{"delta":{"content":"x"},\ndata: "finish_reason":"stop"}]}\n\n',
        b'\n\n\ndata: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n\n',
        b'\xef\xbb\xbfdata: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n',  # a byte order mark
        b'data_x: no\ndatax\ndata : no\ndata: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n',
    ],
)
def test_events_are_read_as_the_standard_says(payload: bytes) -> None:
    forwarded, observer = cut_everywhere(payload + DONE)
    assert forwarded == payload + DONE
    assert known(observer) == (None, "stop", True, True, None, False)


@pytest.mark.parametrize(
    "done", [b"data: [DONE]\n\n", b"data:[DONE]\n\n", b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE] \n\n"]
)
def test_the_terminator_counts_even_without_its_blank_line(done: bytes) -> None:
    forwarded, observer = cut_everywhere(HELLO + done)
    assert forwarded == HELLO + done
    assert known(observer) == (None, None, True, True, None, False)


# Every way to write an empty line, alone and with more of them.
BLANK_LINES = [
    *(b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r", b"\n\r\n", b"\r\r\n", b"\r\n\n", b"\r\n\r"),
    *(b"\n\n\n", b"\r\r\r", b"\n\n\n\n", b"\r\n\r\n\r\n", b"\n\r\r", b"\r\r\n\n", b"\n\r\n\r"),
]


@pytest.mark.parametrize("between", BLANK_LINES)
def test_events_are_told_apart_by_any_empty_line_wherever_reads_are_cut(between: bytes) -> None:
    events = [event.rstrip(b"\n") for event in (HELLO, usage_chunk(), STOP, usage_chunk(), DONE)]
    stream = between.join([*events, b""])
    forwarded, observer = cut_everywhere(stream)
    assert forwarded == stream
    assert known(observer) == (USAGE, "stop", True, True, None, False)
    forwarded, observer = watch(whole(stream), strip_usage=True)
    assert re.split(rb"[\r\n]+", forwarded) == [events[0], events[2], events[4], b""]
    for place in range(len(stream)):
        again, other = watch(cut_at(stream, [place]), strip_usage=True)
        assert again == forwarded
        assert known(other) == known(observer)


LINE_ENDS_AND_EVENTS = st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r", b": c", b"data: [DONE]"])
    | st.sampled_from([e.rstrip(b"\n") for e in (ROLE, HELLO, STOP, usage_chunk(), data({"error": {"message": "m"}}))])
    | st.sampled_from(
        [b"data: ", b"data", b"event: error", b"\xef\xbb\xbf", b'{"error":"x"}', b"[DONE]", b"\xff", b"x"]
    ),
    max_size=14,
).map(b"".join)


@given(LINE_ENDS_AND_EVENTS.flatmap(lambda stream: st.tuples(st.just(stream), splits(stream))), st.booleans())
@example((HELLO + b"\r\r\n" + usage_chunk() + b"\r\r\n", cut_at(HELLO, [3])), True)
@example((b"data: x\r\r\n" + usage_chunk(), [b"data: x\r\r", b"\n" + usage_chunk()]), True)
@example((b"\n\n\n\xef\xbb\xbfdata: [DONE]\n\r", []), False)
@example((b"data: [DONE]\r\rdata: {", []), False)
def test_where_reads_are_cut_decides_nothing(case: tuple[bytes, list[bytes]], strip_usage: bool) -> None:
    stream, pieces = case
    pieces = pieces if b"".join(pieces) == stream else [stream]
    expected, observer = watch(whole(stream), strip_usage=strip_usage)
    for cut in (pieces, byte_by_byte(stream)):
        forwarded, other = watch(cut, strip_usage=strip_usage)
        assert forwarded == expected
        assert known(other) == known(observer)
    if not strip_usage:
        assert stream.startswith(expected)
        assert expected == stream or (observer.fault is not None and not observer.is_fault_told)


@given(st.binary(max_size=200).flatmap(lambda stream: st.tuples(st.just(stream), splits(stream))), st.booleans())
def test_any_bytes_are_forwarded_or_held_back_and_never_an_error(
    case: tuple[bytes, list[bytes]], strip_usage: bool
) -> None:
    stream, pieces = case
    forwarded, observer = watch(pieces, strip_usage=strip_usage)
    assert stream.startswith(forwarded)
    assert observer.fault is not None or observer.is_complete


# --- first token ----------------------------------------------------------------------------------------------------

TOKENS = [
    *({"content": "x"}, {"content": " "}, {"content": "\n"}, {"role": "assistant", "content": "x"}, {"refusal": "No"}),
    *(
        {"reasoning_content": "x"},
        {"reasoning": "x"},
        {"content": None, "reasoning": "x"},
        {"function_call": {"name": "f"}},
    ),
    {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
    *(
        {"content": [{"type": "thinking", "thinking": []}]},
        {"audio": {"id": "a"}},
        {"annotations": [{"type": "url_citation"}]},
    ),
]
SILENT = [
    *(
        {},
        {"role": "assistant"},
        {"content": ""},
        {"content": None},
        {"role": "assistant", "content": ""},
        {"refusal": None},
    ),
    *({"tool_calls": []}, {"tool_calls": None}, {"function_call": {}}, {"reasoning": None}, {"reasoning_content": ""}),
    *({"content": []}, {"name": "a"}, {"role": "assistant", "content": "", "refusal": None, "obfuscation": "abc"}),
]


@pytest.mark.parametrize("delta", TOKENS)
def test_a_part_of_the_answer_is_a_token(delta: dict[str, Any]) -> None:
    assert watch([chunk(delta)])[1].has_token


@pytest.mark.parametrize("delta", SILENT)
def test_a_chunk_without_a_part_of_the_answer_is_no_token(delta: dict[str, Any]) -> None:
    stream = b": keep-alive\n\n" + chunk(delta) + chunk(delta, "stop") + usage_chunk() + DONE
    assert not cut_everywhere(stream)[1].has_token


@pytest.mark.parametrize("text", ["", None])
def test_an_empty_legacy_text_is_no_token(text: str | None) -> None:
    assert not watch([data({"choices": [{"text": text}]})])[1].has_token


def test_the_first_token_is_seen_in_the_read_that_ends_its_event() -> None:
    observer = ChatStreamObserver(strip_usage=False)
    observer.feed(b": PROCESSING\n\n" + ROLE + HELLO[:-1])
    assert not observer.has_token
    observer.feed(HELLO[-1:])
    assert observer.has_token


# --- text that talks about the format -------------------------------------------------------------------------------

QUOTING = [
    'data: [DONE]\n\ndata: {"error":{"message":"fake"}}\n\n',
    '"finish_reason":"stop"',
    '{"choices":[],"usage":{"prompt_tokens":999}}',
    'event: error\ndata: {"message":"fake"}\n\n',
    '\\"usage\\":{"prompt_tokens":999},\\"error\\":"fake"',
    '"error": "fake", "finish_reason": "length", "usage": {"prompt_tokens": 999}',
    "error error [DONE]",
    '","finish_reason":"length","x":"',
    "\\",
]


@pytest.mark.parametrize("text", QUOTING)
@pytest.mark.parametrize("strip_usage", [False, True])
def test_what_the_model_writes_cannot_pretend_to_be_the_stream(text: str, strip_usage: bool) -> None:
    talk = [
        chunk({"content": text}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": json.dumps({"a": text})}}]}),
        chunk({"reasoning": text}, logprobs={"content": [{"token": text}]}),
    ]
    stream = ROLE + b"".join(talk)
    forwarded, observer = cut_everywhere(stream, strip_usage=strip_usage)
    assert forwarded == stream
    assert known(observer) == (None, None, True, False, CUT, False)


# --- streams that break off -----------------------------------------------------------------------------------------

CUT = Fault("the provider ended the stream before the answer was complete", kind="upstream_broken")


@pytest.mark.parametrize("strip_usage", [False, True])
@pytest.mark.parametrize("end", ENDS)
def test_a_stream_cut_anywhere_before_its_finish_shows_whole_events_and_says_so(end: bytes, strip_usage: bool) -> None:
    events = [event.replace(b"\n", end) for event in (b": hi\n\n", ROLE, HELLO, HELLO)]
    stream = b"".join(events)
    boundaries = [0]
    for event in events:
        boundaries.append(boundaries[-1] + len(event))
    if end == b"\r\n":
        # a CR alone is a line end too, so the empty line may be there without the last LF
        boundaries += [boundary - 1 for boundary in boundaries[1:]]
    for length in range(len(stream) + 1):
        forwarded, observer = watch(whole(stream[:length]), strip_usage=strip_usage)
        assert observer.fault == CUT
        assert not observer.is_fault_told
        assert forwarded == stream[: max(boundary for boundary in boundaries if boundary <= length)]
        assert watch(byte_by_byte(stream[:length]), strip_usage=strip_usage)[0] == forwarded


@pytest.mark.parametrize(
    "tail", [b"data: {", b'data: {"id":"chatcmpl-1","choices":[],"usa', b"da", b"data: [DO", b"event: message\n"]
)
def test_a_stream_cut_within_an_event_is_broken_even_after_a_finish_reason(tail: bytes) -> None:
    """The usage or another choice was on its way."""
    forwarded, observer = cut_everywhere(HELLO + STOP + tail)
    assert forwarded == HELLO + STOP
    assert (observer.fault, observer.is_fault_told, observer.finish_reason) == (CUT, False, "stop")


@pytest.mark.parametrize(
    "tail", [b"", b": bye", b"\n", b": bye\n\n", usage_chunk()[:-2], usage_chunk()[:-1], DONE[:-2]]
)
def test_a_stream_that_ends_after_its_finish_reason_is_complete_without_a_terminator(tail: bytes) -> None:
    forwarded, observer = cut_everywhere(HELLO + STOP + tail)
    assert forwarded == HELLO + STOP + tail
    assert observer.fault is None


@pytest.mark.parametrize(
    "stream", [b"", b"\n", b": ping\n\n", ROLE, usage_chunk(), b"<html>busy</html>", b'{"error":"x"}', b"data: {}\n\n"]
)
def test_a_stream_without_an_answer_is_broken(stream: bytes) -> None:
    assert cut_everywhere(stream)[1].fault == CUT


def test_what_follows_the_terminator_is_the_providers() -> None:
    stream = HELLO + STOP + DONE + b": bye\n\n" + usage_chunk() + b"half"
    forwarded, observer = cut_everywhere(stream)
    assert forwarded == stream
    assert observer.fault is None
    assert observer.usage == USAGE


# --- errors inside a stream -----------------------------------------------------------------------------------------

ERRORS = {
    "openai": (
        data({"error": {"message": "Rate limit", "type": "requests", "code": "rate_limit_exceeded"}}),
        "Rate limit",
        502,
    ),
    "openai 5xx": (
        data({"error": {"message": "Sorry", "type": "server_error", "param": None, "code": None}}),
        "Sorry",
        502,
    ),
    "azure": (data({"error": {"code": "429", "message": "Slow down"}}), "Slow down", 429),
    "groq": (b"event: error\n" + data({"error": {"message": "Died", "type": "x", "status_code": 500}}), "Died", 500),
    "openrouter": (
        data({"id": "gen-1", "provider": "N", "error": {"code": 503, "message": "Gone"}, "choices": []}),
        "Gone",
        503,
    ),
    "openrouter in a choice's chunk": (
        chunk({"content": ""}, "error", error={"code": 502, "message": "Gone"}),
        "Gone",
        502,
    ),
    "mistral": (
        data({"object": "error", "message": "Down", "type": "unreachable_backend", "code": "1100"}),
        "Down",
        502,
    ),
    "vllm": (
        data({"error": {"message": "Engine", "type": "InternalServerError", "param": None, "code": 500}}),
        "Engine",
        500,
    ),
    "xai": (data({"code": "The service is unavailable", "error": "Later."}), "Later.", 502),
    "zai": (data({"error": {"code": "1234", "message": "Network"}}), "Network", 502),
    "a status as a word beside a code": (
        data({"error": {"code": "overloaded", "status": 529, "message": "x"}}),
        "x",
        529,
    ),
    "a named event with a message": (b"event: error\n" + data({"message": "Named", "type": "x"}), "Named", 502),
    "a named event without space": (b"event:error\n" + data({"message": "Named"}), "Named", 502),
    "a named event behind its data": (data({"message": "Named"})[:-1] + b"event: error\n\n", "Named", 502),
    "a named event that is no JSON": (b"event: error\ndata: overloaded\n\n", "the provider reported an error", 502),
    "pretty JSON": (b'data: {"error" : {"message" : "Pretty"} }\n\n', "Pretty", 502),
    "no message": (data({"error": {"code": 500}}), '{"code":500}', 500),
    "nothing at all": (data({"error": True}), "the provider reported an error", 502),
    "a list": (data({"error": [{"msg": "odd"}]}), '[{"msg":"odd"}]', 502),
    "beside odd members": (data({"choices": "none", "error": {"message": "Odd"}}), "Odd", 502),
}


@pytest.mark.parametrize("vendor", ERRORS)
@pytest.mark.parametrize("before", [b"", ROLE, ROLE + HELLO, ROLE + HELLO + STOP])
def test_an_error_inside_a_stream_is_forwarded_and_found(vendor: str, before: bytes) -> None:
    event, message, status = ERRORS[vendor]
    for after in (b"", DONE):
        forwarded, observer = cut_everywhere(before + event + after)
        assert forwarded == before + event + after
        assert observer.fault is not None
        assert (observer.fault.message, observer.fault.status) == (message, status)
        assert observer.is_fault_told


@pytest.mark.parametrize("vendor", ERRORS)
def test_an_error_is_never_taken_out_with_the_usage(vendor: str) -> None:
    event = ERRORS[vendor][0]
    assert cut_everywhere(HELLO + event + usage_chunk(), strip_usage=True)[0] == HELLO + event


@pytest.mark.parametrize("vendor", ERRORS)
def test_an_error_event_without_its_blank_line_has_told_nobody(vendor: str) -> None:
    """Clients do not dispatch such an event, so the gateway must tell the error itself."""
    event, message, status = ERRORS[vendor]
    for lacking in (event[:-1], event[:-2]):
        forwarded, observer = cut_everywhere(HELLO + lacking)
        assert forwarded == HELLO
        assert observer.fault is not None
        assert observer.fault == CUT or (observer.fault.message, observer.fault.status) == (message, status)
        assert not observer.is_fault_told


@pytest.mark.parametrize(
    ("payload", "native_type"),
    [
        ({"error": {"message": "m", "type": "server_error"}}, "server_error"),
        ({"object": "error", "message": "m", "type": "unreachable_backend"}, "unreachable_backend"),
        ({"error": {"message": "m"}}, ""),
        ({"error": {"message": "m", "type": None}}, ""),
        ({"error": "m", "code": "c"}, ""),
    ],
)
def test_an_error_keeps_the_providers_own_word_for_it(payload: dict[str, Any], native_type: str) -> None:
    fault = cut_everywhere(HELLO + data(payload))[1].fault
    assert fault is not None
    assert (fault.message, fault.native_type) == ("m", native_type)


def test_the_first_error_is_the_one_that_is_kept() -> None:
    stream = HELLO + data({"error": {"message": "first"}}) + data({"error": {"message": "second"}})
    assert cut_everywhere(stream)[1].fault == Fault("first")


@pytest.mark.parametrize(
    "member", [{"error": None}, {"error": {}}, {"error": ""}, {"error": False}, {"errors": ["x"]}, {"object": "errors"}]
)
def test_no_error_is_no_error(member: dict[str, Any]) -> None:
    assert cut_everywhere(chunk({"content": "x"}, **member) + STOP + DONE)[1].fault is None


def test_a_key_in_an_error_is_not_in_the_fault() -> None:
    event = data({"error": {"message": "bad key sk-proj-abcdef1234567890 given"}})
    fault = watch([HELLO + event])[1].fault
    assert fault is not None
    assert fault.message == "bad key [key removed] given"


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_an_event_of_the_largest_size_passes_and_a_larger_one_is_a_fault() -> None:
    head = b'data: {"choices":[{"delta":{"content":"'
    tail = b'"}}]}\n\n'
    filling = b"x" * (MAX_SSE_EVENT_BYTES - len(head) - len(tail))
    event = head + filling + tail
    step = 64 * 1024
    pieces = [event[i : i + step] for i in range(0, len(event), step)]
    assert watch([*pieces, STOP, DONE])[0] == event + STOP + DONE

    observer = ChatStreamObserver(strip_usage=False)
    forwarded = [observer.feed(HELLO + head)]
    while observer.fault is None:
        forwarded.append(observer.feed(b"x" * step))
        assert len(forwarded) < MAX_SSE_EVENT_BYTES // step + 3
    assert b"".join(forwarded) == HELLO
    assert observer.fault.kind == "upstream_broken"
    assert "larger than the gateway takes" in observer.fault.message
    assert not observer.is_fault_told


def test_the_bound_is_exact() -> None:
    observer = ChatStreamObserver(strip_usage=False)
    observer.feed(b"data: " + b"x" * (MAX_SSE_EVENT_BYTES - 6))
    assert observer.fault is None
    observer.feed(b"x")
    assert observer.fault is not None


def test_a_long_event_in_small_pieces_costs_no_quadratic_time() -> None:
    event = chunk({"content": "x" * (2 * 1024 * 1024)})
    pieces = [event[i : i + 8] for i in range(0, len(event), 8)]  # a quarter of a million reads
    forwarded, observer = watch([*pieces, STOP])
    assert forwarded == event + STOP
    assert observer.has_token


def test_usage_nested_out_of_all_reason_is_read_over() -> None:
    for depth in (100, 900, 100_000):
        deep = b'{"choices":[],"usage":{"prompt_tokens":1,"x":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}}"
        forwarded, observer = watch([HELLO + STOP + data(deep) + DONE])
        assert forwarded == HELLO + STOP + data(deep) + DONE
        assert observer.is_complete
        read_error(400, {}, b'{"error":{"message":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}}")


# --- usage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        ({}, Usage()),
        ({"prompt_tokens": 5, "total_tokens": 5}, Usage(input_tokens=5)),  # an embedding
        ({"input_tokens": 5, "output_tokens": 6}, Usage(input_tokens=5, output_tokens=6)),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 3, "cache_write_tokens": 9},
                "completion_tokens_details": {
                    "reasoning_tokens": 32,
                    "audio_tokens": 4,
                    "accepted_prediction_tokens": 1,
                },
            },
            Usage(100, 50, 64, 9, 32, 3, 4),
        ),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 1}, Usage(9, 0, 8)),  # DeepSeek
        ({"prompt_tokens": 9, "cached_tokens": 8}, Usage(9, 0, 8)),  # Moonshot
        ({"input_tokens": 9, "input_tokens_details": {"cached_tokens": 8}}, Usage(9, 0, 8)),
        ({"prompt_tokens": 9, "prompt_tokens_details": None, "completion_tokens_details": None}, Usage(9)),
        # xAI counts reasoning beside the completion, and its total shows it
        (
            {
                "prompt_tokens": 40,
                "completion_tokens": 3,
                "total_tokens": 163,
                "completion_tokens_details": {"reasoning_tokens": 120},
            },
            Usage(40, 123, 0, 0, 120),
        ),
        # OpenAI counts it within
        (
            {
                "prompt_tokens": 40,
                "completion_tokens": 123,
                "total_tokens": 163,
                "completion_tokens_details": {"reasoning_tokens": 120},
            },
            Usage(40, 123, 0, 0, 120),
        ),
    ],
)
def test_usage_is_read_in_every_vendors_spelling(reported: dict[str, Any], usage: Usage) -> None:
    assert read_usage(reported) == usage
    assert cut_everywhere(HELLO + chunk({}, "stop", usage=reported | {"x": 1}) + DONE)[1].usage == usage
    body = json.dumps({"choices": [{"finish_reason": "stop"}], "usage": reported | {"x": 1}}).encode()
    assert read_summary(body) == Summary(usage, "stop")


INSANE = [-1, -0.5, 1e18, 10**30, float("1e300"), True, False, None, "12", "", [1], {"a": 1}, [], {}]


@pytest.mark.parametrize("value", INSANE)
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens"])
def test_a_count_that_is_no_sane_number_is_zero_and_costs_no_other(name: str, value: object) -> None:
    good = {"prompt_tokens": 4, "completion_tokens": 5}
    expected = Usage(
        input_tokens=0 if name == "prompt_tokens" else 4, output_tokens=0 if name == "completion_tokens" else 5
    )
    assert read_usage(good | {name: value}) == expected
    assert read_summary(json.dumps({"usage": good | {name: value}}).encode()).usage == expected
    assert watch([HELLO + chunk({}, "stop", usage=good | {name: value})])[1].usage == expected
    details = {"prompt_tokens_details": {"audio_tokens": 2, "cached_tokens": value}}
    assert read_usage(good | details) == Usage(4, 5, input_audio_tokens=2)


@pytest.mark.parametrize("details", [None, [], "x", 1, True, {"cached_tokens": {"a": 1}}, {"a_details": {"b": 1}}])
def test_odd_details_cost_no_count(details: object) -> None:
    reported = {"prompt_tokens": 4, "prompt_tokens_details": details, "completion_tokens_details": details}
    assert read_usage(reported) == Usage(4)
    assert read_summary(json.dumps({"usage": reported}).encode()).usage == Usage(4)


@pytest.mark.parametrize(("value", "count"), [(3.0, 3), (3.7, 3), (0, 0), (10**15, 10**15), (10**15 + 1, 0)])
def test_counts_are_whole_and_bounded(value: float, count: int) -> None:
    assert read_usage({"prompt_tokens": value}).input_tokens == count
    assert read_summary(json.dumps({"usage": {"prompt_tokens": value}}).encode()).usage == Usage(count)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *(
                        "prompt_tokens",
                        "completion_tokens",
                        "prompt_tokens_details",
                        "cached_tokens",
                        "reasoning_tokens",
                    ),
                    *(
                        "usage",
                        "choices",
                        "finish_reason",
                        "delta",
                        "error",
                        "message",
                        "code",
                        "type",
                        "x_groq",
                        "data",
                        "id",
                    ),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


COUNTS = st.integers(0, 10**16) | st.floats(0, 9) | st.sampled_from([None, True, 5.0, -1])
DETAILS = st.dictionaries(st.sampled_from(["cached_tokens", "reasoning_tokens", "audio_tokens", "new"]), COUNTS)


@given(
    st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens", "output_tokens", "cached_tokens"]), COUNTS),
    st.dictionaries(st.sampled_from(["prompt_tokens_details", "output_tokens_details"]), st.none() | DETAILS),
)
def test_one_count_that_is_none_changes_no_other(counts: dict[str, Any], details: dict[str, Any]) -> None:
    reported = counts | details
    assert read_usage(reported) == read_usage(reported | {"total_tokens": "many"})


@given(
    st.dictionaries(st.text(max_size=5), json_values, max_size=3) | json_values.filter(lambda v: isinstance(v, dict))
)
def test_whatever_is_reported_counts_are_never_negative_and_never_an_error(reported: dict[str, Any]) -> None:
    usage = read_usage(reported)
    assert all(0 <= count <= 2 * 10**15 for count in (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens))
    assert all(isinstance(count, int) for count in (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens))


# --- plain answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "summary"),
    [
        ({}, Summary()),
        ({"choices": []}, Summary()),
        ({"choices": None, "usage": None}, Summary()),
        ({"choices": [{"finish_reason": None}]}, Summary()),
        ({"choices": [{"finish_reason": "length"}, {"finish_reason": "stop"}]}, Summary(None, "length")),
        ({"object": "list", "data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 4}}, Summary(Usage(4))),
        ({"choices": 5, "usage": COUNTED}, Summary(USAGE)),
        ({"choices": [{"finish_reason": 7}], "usage": COUNTED}, Summary(USAGE)),
        ({"choices": ["x"], "usage": [1]}, Summary()),
        ({"usage": {}}, Summary()),
    ],
)
def test_a_plain_answer_says_what_it_says(answer: dict[str, Any], summary: Summary) -> None:
    for body in (json.dumps(answer).encode(), b"\n  \n \n" + json.dumps(answer, indent=1).encode() + b"\n"):
        got = read_summary(body)
        assert (got.usage or Usage(), got.finish_reason) == (summary.usage or Usage(), summary.finish_reason)


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b" ",
            b"[]",
            b"null",
            b"1",
            b'"x"',
            b"<html>",
            b"{",
            b'{"choices":',
            b'{"usage":{}',
            b"{}x",
            b'{"a":"\xff"',
            b"\xff",
        ),
        # of an odd type first and then no JSON at all
        *(
            b'{"choices":5,"x":',
            b'{"choices":[1],"usage":{"prompt_tokens":1}',
            b'{"usage":5}}',
            b'{"choices":5,"x":01}',
        ),
        *(b'{"a":' * 100_000, b"[" * 100_000, b'{"choices":5,"a":' + b"[" * 100_000),
    ],
    ids=lambda body: repr(body[:30]),
)
def test_what_is_no_object_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="no JSON object"):
        read_summary(body)


@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_a_summary_or_a_value_error(body: bytes) -> None:
    try:
        summary = read_summary(body)
    except ValueError:
        return
    assert isinstance(summary, Summary)


# --- errors ---------------------------------------------------------------------------------------------------------

J = {"content-type": "application/json"}
ENVELOPES = [
    # status, headers, body, (message, type, code, param)
    (
        "openai",
        {
            "error": {
                "message": "No such model",
                "type": "invalid_request_error",
                "param": "model",
                "code": "model_not_found",
            }
        },
        ("No such model", "invalid_request_error", "model_not_found", "model"),
    ),
    (
        "openai without a code",
        {"error": {"message": "m", "type": "t", "param": None, "code": None}},
        ("m", "t", None, None),
    ),
    ("azure", {"error": {"code": "429", "message": "Slow"}}, ("Slow", "", "429", None)),
    ("azure gateway", {"statusCode": 401, "message": "Access denied"}, ("Access denied", "", None, None)),
    (
        "openrouter",
        {"error": {"code": 402, "message": "More credits", "metadata": {}}},
        ("More credits", "", "402", None),
    ),
    ("mistral", {"object": "error", "message": "Bad", "type": "t", "code": "1500"}, ("Bad", "t", "1500", None)),
    (
        "mistral field by field",
        {"object": "error", "message": {"detail": [{"loc": ["body", "n"], "msg": "Extra"}]}, "type": "t", "code": None},
        ('{"detail":[{"loc":["body","n"],"msg":"Extra"}]}', "t", None, None),
    ),
    (
        "fastapi",
        {"detail": [{"loc": ["body"], "msg": "required"}]},
        ('[{"loc":["body"],"msg":"required"}]', "", None, None),
    ),
    ("fastapi text", {"detail": "Not Found"}, ("Not Found", "", None, None)),
    ("xai", {"code": "Some resource", "error": "Too many"}, ("Too many", "", "Some resource", None)),
    ("ollama", {"error": "model not found"}, ("model not found", "", None, None)),
    (
        "vllm",
        {"object": "error", "message": "m", "type": "BadRequestError", "param": "n", "code": 400},
        ("m", "BadRequestError", "400", "n"),
    ),
    ("cohere", {"id": "1", "message": "nope"}, ("nope", "", None, None)),
    (
        "google in a list",
        [{"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED"}}],
        ("Quota", "", "429", None),
    ),
    (
        "anthropic",
        {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}},
        ("Busy", "overloaded_error", None, None),
    ),
    ("zai", {"error": {"code": "1211", "message": "Unknown Model"}}, ("Unknown Model", "", "1211", None)),
    ("an object without a message", {"error": {"code": 5, "reason": "x"}}, ('{"code":5,"reason":"x"}', "", "5", None)),
    (
        "odd types everywhere",
        {"error": {"message": "m", "type": [1], "code": {"a": 1}, "param": 3.5}},
        ("m", "", "", "3.5"),
    ),
]


@pytest.mark.parametrize(("vendor", "body", "expected"), ENVELOPES, ids=[row[0] for row in ENVELOPES])
def test_errors_are_read_in_every_vendors_envelope(vendor: str, body: object, expected: tuple[str | None, ...]) -> None:
    refused = read_error(400, J, json.dumps(body).encode())
    assert (refused.message, refused.native_type, refused.native_code, refused.param) == expected
    assert refused.status == refused.upstream_status == 400


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b" ",
            b"null",
            b"[]",
            b"[[]]",
            b"{}",
            b'{"error":{}}',
            b'{"error":null}',
            b'{"error":""}',
            b'"text"',
            b"7",
        ),
        *(
            b"<html><body>502 Bad Gateway</body></html>",
            b"\xff\xfe",
            b'{"error":',
            b"{" * 9999,
        ),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_that_says_nothing_is_told_by_its_status(body: bytes) -> None:
    refused = read_error(502, {"content-type": "text/html"}, body)
    assert refused.message == "the provider answered 502 without saying why"
    assert refused.body == b""


def test_plain_text_is_a_message_and_html_is_not() -> None:
    assert read_error(404, {"content-type": "text/plain; charset=utf-8"}, b"Not Found").message == "Not Found"
    assert read_error(404, {"content-type": "text/plain"}, b"\xff\x1b[31mred\r\n").message == "\ufffd [31mred"
    assert "without saying why" in read_error(404, {"content-type": "text/plain"}, b"").message


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        *((s, True) for s in (408, 409, 425, 429, 500, 502, 503, 504, 529)),
        *((s, False) for s in (400, 401, 402, 403, 404, 413, 422, 501)),
    ],
)
def test_only_what_may_pass_by_itself_is_retryable(status: int, retryable: bool) -> None:
    assert read_error(status, J, b"{}").retryable is retryable


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1.0),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
        *(
            ({"retry-after": odd}, None)
            for odd in ("", "-1", "nan", "inf", "-inf", "1e9", "1e400", "0x10", "7s", "\u0000")
        ),
    ],
)
def test_how_long_the_provider_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert read_error(429, headers, b"{}").retry_after_s == seconds


def test_the_client_gets_the_headers_that_steer_its_own_retries_and_no_others() -> None:
    headers = {"retry-after": "3", "retry-after-ms": "2900", "x-should-retry": "true", "set-cookie": "a", "server": "x"}
    assert dict(read_error(429, headers, b"{}").headers) == {
        "retry-after": "3",
        "retry-after-ms": "2900",
        "x-should-retry": "true",
    }


@pytest.mark.parametrize("value", ["3\r\nX: 1", "3\n", "\x00", "\x7f", "\u00e9", "\u2028", "3\x0b"])
def test_a_header_that_could_break_the_answer_stays_here(value: str) -> None:
    headers = {"retry-after": value, "x-should-retry": "false", "content-type": f"application/json{value}"}
    refused = read_error(429, headers, b'{"error":{"message":"m"}}')
    assert dict(refused.headers) == {"x-should-retry": "false"}
    assert is_header_value(refused.content_type)


def test_openais_own_envelope_is_kept_for_clients_of_its_dialect() -> None:
    body = b' { "error" : {"message":"m","type":"t","param":null,"code":null, "extra":1} }'
    refused = read_error(400, J, body)
    assert refused.body == body
    assert refused.content_type == "application/json"


@pytest.mark.parametrize(
    "body", [row[1] for row in ENVELOPES if not isinstance(row[1], dict) or not isinstance(row[1].get("error"), dict)]
)
def test_an_envelope_that_openais_clients_cannot_read_is_not_kept(body: object) -> None:
    assert read_error(400, J, json.dumps(body).encode()).body == b""


KEYS = [
    *(
        "sk-abcdefghij0123456789",
        "sk-proj-AbC_dEf-0123456789",
        "sk-ant-api03-AbCdEf_0123-xyzAA",
        "sk-***************wxyz",
    ),
    *(
        "gsk_abcdefghij0123456789ABCD",
        "xai-abcdefghij0123456789",
        "nvapi-abcdefghij0123456789",
        "hf_abcdefghijklmnopqrst",
    ),
    *(
        "AIzaSyA-abcdefghij0123456789_klmno",
        "pplx-0123456789abcdef0123",
        "r8_abcdefghij0123456789",
        "csk-abcdefghij0123456789",
    ),
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "Incorrect API key provided: {}.",
        "'{}'",
        '"{}"',
        "key={}&x",
        "Bearer {}",
        "a\n{}\tb",
        "\\{}",
        "api_key_{}",
        "<{}>",
        "({})",
    ],
)
def test_a_key_that_the_provider_repeats_goes_no_further(text: str, key: str) -> None:
    said = text.format(key)
    bodies = [
        {"error": {"message": said, "type": said, "code": said, "param": said}},
        {"error": said, "code": said},
        {"message": said, "type": said},
        {"detail": [{"msg": said}]},
        {"error": {"message": "see", "inner": {"deep": [said]}}},
    ]
    for body in bodies:
        for spelled in (json.dumps(body), json.dumps(body, ensure_ascii=False, indent=2), html_safe(body)):
            refused = read_error(401, J, spelled.encode())
            shown = [refused.message, refused.native_type, refused.native_code or "", refused.param or "", str(refused)]
            assert not any(key[:-4] in part for part in shown)
            assert key[:-4].encode() not in refused.body
            assert not refused.body or json.loads(refused.body)
    assert key[:-4] not in read_error(401, {"content-type": "text/plain"}, said.encode()).message


def html_safe(body: object) -> str:
    """As .NET and Go write JSON: quotes and angle brackets as escapes, which end in a digit or a letter."""
    text = json.dumps(body)
    for char in "'<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.replace('\\"', "\\u0022")


@pytest.mark.parametrize(
    "text",
    ["risk-assessment-of-everything", "the task-management tool", "sk-", "disk-0123456789 full", "a mask-layer1"],
)
def test_ordinary_words_are_no_keys(text: str) -> None:
    assert clean_message(text) == text


@given(st.text(st.characters(codec=None)))
def test_a_clean_message_is_bounded_and_cannot_steer_a_terminal(text: str) -> None:
    clean = clean_message(text)
    assert len(clean) <= 2000 + len("[key removed]") * 300
    assert all(c.isprintable() or c == "\n" for c in clean)


@given(
    st.integers(400, 599),
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "content-type", "x-should-retry"]), st.text(max_size=10)
    ),
    st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()),
)
def test_any_error_answer_is_an_error(status: int, headers: dict[str, str], body: bytes) -> None:
    refused = read_error(status, headers, body)
    assert refused.status == refused.upstream_status == status
    assert refused.message
    assert all(is_header_value(value) for _, value in refused.headers)
    assert refused.retry_after_s is None or refused.retry_after_s >= 0


# --- model lists ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "models"),
    [
        ({"object": "list", "data": []}, []),
        ({"object": "list", "data": None}, []),  # Ollama without a model
        ([], []),
        (
            {"data": [{"id": "gpt-4o", "object": "model", "created": 1715367049, "owned_by": "system"}]},
            [Model("gpt-4o", 1715367049, "system")],
        ),
        ([{"id": "meta/llama", "created": 0, "type": "chat", "display_name": "L"}], [Model("meta/llama")]),  # Together
        ({"data": [{"id": "a", "name": "A", "created": 1.5e9, "owned_by": None}]}, [Model("a", 1500000000, "", "A")]),
        ({"data": [{"id": "a"}, {"id": "a"}]}, [Model("a"), Model("a")]),
        ({"data": [{"id": "a", "created": "2024-01-01", "owned_by": 5, "name": ["x"]}]}, [Model("a")]),
        (
            {"data": [{"id": "a", "created": -5}, {"id": "b", "created": 1e300}, {"id": "c", "created": True}]},
            [Model("a"), Model("b"), Model("c")],
        ),
    ],
)
def test_lists_of_models_are_read_in_every_vendors_shape(body: object, models: list[Model]) -> None:
    assert read_models(json.dumps(body).encode()) == models


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b"{}",
            b"null",
            b'"x"',
            b'{"data":5}',
            b'{"data":[1]}',
            b'{"data":[{}]}',
            b'{"data":[{"id":5}]}',
            b"<html>",
            b"\xff",
        ),
        *(b'{"data":[{"id":"\xff"}]}', b'{"error":{"message":"no"}}', b"[" * 100_000, b'[{"id":"a"', b'{"models":[]}'),
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_list_of_models_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_models(body)


@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_a_list_of_models_or_a_value_error(body: bytes) -> None:
    try:
        models = read_models(body)
    except ValueError:
        return
    assert all(isinstance(model.id, str) and 0 <= model.created <= 10**15 for model in models)


def test_the_observer_of_the_record_strips_as_it_is_told() -> None:
    stream = HELLO + STOP + usage_chunk() + DONE
    for strip_usage in (False, True):
        observer = openai_like.ChatStreamObserver(strip_usage)
        assert (observer.feed(stream) == stream) is not strip_usage


# --- what providers may not do to the gateway -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("tool_calls", "tool_calls"),
        ("a" * 64, "a" * 64),
        ("a" * 65, "other"),
        ("stop\n", "other"),
        ("st\u00f6p", "other"),
    ],
)
def test_a_finish_reason_that_is_no_plain_word_is_other_and_goes_through_unchanged(said: str, kept: str) -> None:
    stream = ROLE + HELLO + chunk({}, said) + DONE
    forwarded, observer = cut_everywhere(stream)
    assert (forwarded, observer.finish_reason) == (stream, kept)
    assert read_summary(json.dumps({"choices": [{"finish_reason": said}]}).encode()).finish_reason == kept


def piece(index: object, finish: str | None = None) -> bytes:
    return data({"choices": [{"index": index, "delta": {} if finish else {"content": "x"}, "finish_reason": finish}]})


@pytest.mark.parametrize(
    ("stream", "is_whole"),
    [
        (ROLE + piece(0) + piece(1) + piece(0, "stop"), False),
        (piece(0) + piece(0) + piece(1) + piece(1) + piece(1, "stop"), False),
        (ROLE + piece(0) + piece(1) + piece(0, "stop") + piece(1, "length"), True),
        (piece(0) + piece(0, "stop") + piece(1) + piece(1, "stop") + piece(1), True),
        (piece(0) + piece(1) + piece(0, "stop") + DONE, True),
        (piece(0) + piece(None) + piece(0, "stop"), True),
        (piece(0) + piece(10**6) + piece(0, "stop"), True),  # no choice that could be asked for is followed
    ],
)
def test_a_stream_without_terminator_is_whole_when_every_choice_of_it_ended(stream: bytes, is_whole: bool) -> None:
    forwarded, observer = cut_everywhere(stream)
    assert forwarded == stream
    assert (observer.fault is None) is is_whole


def test_a_chunk_of_another_choice_is_noted_in_a_read_of_many_events_and_alone() -> None:
    for pieces in ([HELLO, piece(1), STOP], [HELLO, piece(0) + piece(1), STOP]):
        assert watch(pieces)[1].fault is not None
        assert watch([*pieces, piece(1, "stop")])[1].fault is None


def test_odd_white_space_hides_neither_usage_nor_a_finish_reason() -> None:
    last = b'data: {"choices" : [{"finish_reason"\t: "stop"}],"usage"  : {"prompt_tokens" : 11}}\n\n'
    _, observer = watch([HELLO, last])
    assert (observer.usage, observer.finish_reason, observer.fault) == (Usage(input_tokens=11), "stop", None)


@pytest.mark.parametrize(
    "date",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_a_date_to_retry_after_is_left_to_the_client(date: str) -> None:
    for advice in ({}, {"x-should-retry": "true"}):
        refused = read_error(429, {"retry-after": date, **advice}, b"{}")
        assert not refused.retryable
        assert ("retry-after", date) in refused.headers
    assert read_error(429, {"retry-after": date, "retry-after-ms": "500"}, b"{}").retryable
    assert read_error(429, {"retry-after": "soon"}, b"{}").retryable


@pytest.mark.parametrize(
    ("status", "advice", "retryable"),
    [(400, "true", True), (503, "false", False), (503, "maybe", True), (400, "", False)],
)
def test_advice_on_retrying_wins_over_the_status(status: int, advice: str, retryable: bool) -> None:
    assert read_error(status, {"x-should-retry": advice}, b"{}").retryable is retryable


def test_long_names_in_a_list_of_models_are_cut() -> None:
    body = json.dumps({"data": [{"id": "a", "owned_by": "o" * 1000, "name": "n" * 1000}]}).encode()
    assert read_models(body) == [Model("a", 0, "o" * 128, "n" * 128)]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"error": {"message": "m", "type": "t", "code": 429}}, Fault("m", 429, native_type="t")),
        ({"error": {"message": "key sk-abcdefgh\x00", "code": "quota"}}, Fault("key [key removed]", 502)),
        ({"error": "m", "choices": [], "usage": None}, Fault("m", 502)),
        ({"error": {"code": 200}, "usage": 5}, Fault('{"code":200}', 502)),
        ({"error": None, "choices": []}, None),
        ({"error": {}}, None),
        ({"error": {"message": "m"}, "choices": [{"finish_reason": "stop"}]}, None),
        ({"error": {"message": "m"}, "data": [{"embedding": [0.5]}]}, None),
    ],
)
def test_a_plain_answer_that_holds_only_an_error_is_a_fault(body: object, fault: Fault | None) -> None:
    assert read_summary(json.dumps(body).encode()).fault == fault
