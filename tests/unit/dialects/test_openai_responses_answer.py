import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.core.limits import MAX_HELD_ANSWER_CHARS
from gateway.core.types import (
    ChatRequest,
    ContentDelta,
    DialectName,
    Fault,
    Finish,
    FinishReason,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Start,
    Text,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    Vector,
)
from gateway.dialects.openai_responses_answer import ResponsesEncoder
from gateway.dialects.openai_responses_request import decode
from tests.kit.response_objects import CREATED, START, STEM, STOP, TOOLS, answer, encoder, request, sent, told

Json = dict[str, Any]


def last(data: bytes) -> tuple[str, Json]:
    """Name and response of the last event."""
    name, line = data.split(b"\n\n")[-2].split(b"\n")
    return name.removeprefix(b"event: ").decode(), json.loads(line.removeprefix(b"data: "))["response"]


# --- the response object ------------------------------------------------------------------------------------------


def test_a_response_has_the_shape_of_openais():
    usage = Usage(input_tokens=110, output_tokens=19, cache_read_tokens=100, cache_write_tokens=8, reasoning_tokens=7)
    assert answer(TextDelta("Hi"), TextDelta("!"), UsageReport(Usage()), UsageReport(usage), STOP) == {
        "id": f"resp_{STEM}",
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "background": False,
        "completed_at": None,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": "my-model",
        "output": [
            {
                "id": f"msg_{STEM}_0",
                "type": "message",
                "status": "completed",
                "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "Hi!"}],
                "role": "assistant",
            }
        ],
        "parallel_tool_calls": True,
        "presence_penalty": 0.0,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": 110,
            "input_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 8},
            "output_tokens": 19,
            "output_tokens_details": {"reasoning_tokens": 7},
            "total_tokens": 129,
        },
        "user": None,
        "metadata": {},
    }


def test_a_response_repeats_what_was_asked_for():
    members = {
        "instructions": "Be brief.",
        "max_output_tokens": 100,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "store": False,
        "temperature": 0,
        "tool_choice": {"type": "function", "name": "f"},
        "tools": TOOLS,
        "truncation": "auto",
        "user": "u",
    }
    found = answer(STOP, **members, text={"verbosity": "low"}, reasoning={"effort": "high", "summary": None})
    function = {**TOOLS[0], "description": None}
    assert {name: found[name] for name in members} == {**members, "tools": [function, *TOOLS[1:]]}
    assert found["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert found["reasoning"] == {"effort": "high", "summary": None}


def test_a_function_is_repeated_with_all_its_members():
    bare = {"type": "function", "name": "f"}
    full = {**bare, "description": "d", "parameters": {"type": "object"}, "strict": False, "defer_loading": True}
    tools = [bare, {"name": "g", "strict": None, "parameters": None}, full, {"type": "web_search"}]
    open_members = {"description": None, "parameters": None, "strict": True}
    assert answer(STOP, tools=tools)["tools"] == [
        {**bare, **open_members},
        {"type": "function", "name": "g", **open_members},
        full,
        {"type": "web_search"},
    ]


def test_a_request_with_line_ends_makes_no_broken_events():
    given = decode(b'{"model":"m","input":"Hi","metadata":{\r\n"a":\n"b\\nc"}}')
    first, *_ = sent(ResponsesEncoder(given, CREATED).stream([TextDelta("a")]))
    assert first["response"]["metadata"] == {"a": "b\nc"}


def test_who_resolved_state_has_it_repeated():
    given = request()
    given.echo |= {"previous_response_id": Raw(b'"resp_0"'), "conversation": Raw(b'{"id":"conv_1"}')}
    found = json.loads(ResponsesEncoder(given, CREATED).body([STOP]))
    assert (found["previous_response_id"], found["conversation"]) == ("resp_0", {"id": "conv_1"})


def test_any_chat_can_be_answered_so():
    found = json.loads(ResponsesEncoder(ChatRequest(model="m", messages=[]), CREATED).body([TextDelta("a"), STOP]))
    assert (found["id"], found["model"], found["tools"]) == (f"resp_{CREATED:x}", "m", [])


@pytest.mark.parametrize(
    ("start", "response_id", "created"),
    [
        (Start("msg_01", "x"), f"resp_{CREATED:x}_01", CREATED),
        (Start("chatcmpl-9g58", "x", created=5), "resp_5_9g58", 5),
        (Start("resp_ab", "x"), f"resp_{CREATED:x}_ab", CREATED),
        (Start("", "x"), f"resp_{CREATED:x}", CREATED),
        (Start('a/b"ü\n..c', "x"), f"resp_{CREATED:x}_abc", CREATED),
        (Start("x" * 10_000 + "end", "x"), f"resp_{CREATED:x}_{'x' * 33}end", CREATED),
    ],
)
def test_a_response_has_an_id_of_ours(start, response_id, created):
    plain = json.loads(encoder().body([start, TextDelta("a"), STOP]))
    first, *_, last = sent(encoder().stream([start, TextDelta("a"), STOP]))
    for found in (plain, first["response"], last["response"]):
        assert (found["id"], found["created_at"]) == (response_id, created)
    assert len(plain["output"][0]["id"]) <= 64


def test_the_gateway_may_choose_the_id():
    given = request()
    given.response_id = "resp_chosen"
    found = json.loads(ResponsesEncoder(given, CREATED).body([START, TextDelta("a"), STOP]))
    assert (found["id"], found["output"][0]["id"]) == ("resp_chosen", "msg_chosen_0")


def test_a_second_start_changes_nothing():
    found = told(TextDelta("a"), Start("msg_02", "y", created=7), STOP)
    assert {event["response"]["id"] for event in (found[0], found[1], found[-1])} == {f"resp_{STEM}"}


def test_usage_that_nobody_told_is_not_invented():
    assert answer(TextDelta("a"), STOP)["usage"] is None


def test_a_complete_answer_is_kept():
    encode = encoder()
    encode.stream([START, TextDelta("a")])
    assert encode.kept is None
    [*_, last] = sent(encode.stream([STOP]))
    assert json.loads(encode.kept) == last["response"]
    plain = encoder()
    assert plain.body([START, TextDelta("a"), STOP]) == plain.kept


# --- the end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "word"),
    [(FinishReason.LENGTH, "max_output_tokens"), (FinishReason.CONTENT_FILTER, "content_filter")],
)
def test_a_cut_answer_is_incomplete_in_its_last_item(reason, word):
    end = Finish(reason)
    found = told(ToolCallDelta(0, "c", "f", "{}"), ToolCallDelta(1, "d", "f", "{"), end)[-1]
    assert found["type"] == "response.incomplete"
    response = found["response"]
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": word})
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]
    assert answer(ToolCallDelta(0, "c", "f", "{}"), ToolCallDelta(1, "d", "f", "{"), end) == response


@pytest.mark.parametrize("reason", [FinishReason.STOP, FinishReason.TOOL_CALLS])
def test_any_other_end_is_complete(reason):
    found = told(TextDelta("a"), Finish(reason))[-1]
    assert (found["type"], found["response"]["incomplete_details"]) == ("response.completed", None)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("Broken", 502), "server_error"),
        (Fault("Slow down", 429), "rate_limit_exceeded"),
        (Fault("Too long", 400), "invalid_prompt"),
        (Fault("Too long", 400, native_type="context_length_exceeded"), "context_length_exceeded"),
    ],
)
def test_a_fault_fails_the_response_without_what_broke_off(fault, code):
    encode = encoder()
    events = [ReasoningDelta("r"), ToolCallDelta(0, "c", "f", "{"), UsageReport(Usage(3)), fault]
    name, response = last(encode.stream([START, *events]))
    assert (name, response["status"]) == ("response.failed", "failed")
    assert response["error"] == {"code": code, "message": fault.message}
    assert [item["type"] for item in response["output"]] == ["reasoning"]
    assert response["usage"]["input_tokens"] == 3
    assert encode.kept is None
    if code != "context_length_exceeded":
        # clients know that code too, but not the types of the official one
        assert told(*events)[-1]["response"] == response


def test_a_fault_before_the_beginning_is_told_by_a_status():
    assert encoder().stream([START, Fault("x")]) == b""
    assert json.loads(encoder().body([START, Fault("x")]))["status"] == "failed"


def test_nothing_follows_the_end():
    for end in (Fault("x"), STOP):
        encode = encoder()
        encode.stream([START, TextDelta("a"), end])
        assert encode.stream([TextDelta("a"), STOP]) == b""


@pytest.mark.parametrize(
    "event",
    [
        TextDelta("x" * (MAX_HELD_ANSWER_CHARS + 1)),
        ReasoningDelta(signature="x" * (MAX_HELD_ANSWER_CHARS + 1)),
        ToolCallDelta(0, "c", "patch", "x" * (MAX_HELD_ANSWER_CHARS + 1)),
        ContentDelta("annotations", Raw(b'{"x":"' + b"x" * MAX_HELD_ANSWER_CHARS + b'"}')),
    ],
)
def test_an_answer_too_large_to_hold_breaks_off(event):
    name, response = last(encoder(tools=TOOLS).stream([START, event, STOP]))
    assert name == "response.failed"
    assert "too large" in response["error"]["message"]
    assert json.loads(encoder(tools=TOOLS).body([START, event, STOP]))["status"] == "completed"


# --- any answer ---------------------------------------------------------------------------------------------------

TEXT = st.text(max_size=6)
CHOICE = st.sampled_from([0, 0, 0, 1])
CITATION = b'{"type":"url_citation",\r\n"url_citation":{"start_index":0,"end_index":1,"title":"a\\nb","url":"u"}}'
NAMES = st.sampled_from(["f", "patch", "ns__g", "ns__note", "unknown"])
DELTA = st.one_of(
    st.builds(TextDelta, TEXT, CHOICE),
    st.builds(RefusalDelta, TEXT, CHOICE),
    st.builds(
        ReasoningDelta,
        TEXT,
        st.integers(0, 2),
        st.none() | TEXT,
        origin=st.sampled_from(DialectName),
        id=st.none() | st.just("t"),
        choice=CHOICE,
    ),
    st.builds(ReasoningDelta, block=st.integers(0, 2), redacted=TEXT, choice=CHOICE),
    st.builds(ToolCallDelta, st.integers(0, 2), st.none() | st.just("c"), NAMES, TEXT, CHOICE),
    st.builds(ToolCallDelta, st.integers(0, 2), arguments=st.just('{"input":"a"}'), choice=CHOICE),
    st.builds(ContentDelta, st.sampled_from(["annotations", "x"]), st.sampled_from([Raw(CITATION), Raw(b"5")])),
    st.builds(UsageReport, st.builds(Usage, st.integers(0, 9), st.integers(0, 9))),
    st.just(Vector(0, [1.0])),
    st.just(Start("msg_02", "x")),
)
END = st.builds(Finish, st.sampled_from(FinishReason)) | st.just(Fault("Broken"))
DONE_OF = {
    "response.output_item.added": "response.output_item.done",
    "response.content_part.added": "response.content_part.done",
    "response.reasoning_summary_part.added": "response.reasoning_summary_part.done",
    "response.output_text.delta": "response.output_text.done",
    "response.refusal.delta": "response.refusal.done",
    "response.reasoning_summary_text.delta": "response.reasoning_summary_text.done",
    "response.function_call_arguments.delta": "response.function_call_arguments.done",
    "response.custom_tool_call_input.delta": "response.custom_tool_call_input.done",
}
WHOLE = ("text", "refusal", "arguments", "input")


def place_of(event: Json) -> tuple[Any, ...]:
    return tuple(event.get(name) for name in ("output_index", "content_index", "summary_index"))


def check_pieces(found: list[Json]) -> None:
    """Everything that is added or grows is done once, and is then the sum of its pieces."""
    pieces: dict[tuple[Any, ...], str] = {}
    for event in found:
        kind = event["type"]
        if kind in DONE_OF:
            key = (DONE_OF[kind], *place_of(event))
            assert kind.endswith(".delta") or key not in pieces
            pieces[key] = pieces.get(key, "") + event.get("delta", "")
        elif kind in DONE_OF.values():
            key = (kind, *place_of(event))
            total = pieces.pop(key, "")
            whole = next((event[name] for name in WHOLE if name in event), "")
            assert total == whole
    assert pieces == {}


def said(item: Json) -> list[str]:
    parts = item.get("content") or item.get("summary") or [item]
    return [part[name] for part in parts for name in WHOLE if name in part]


def check_whole(found: list[Json]) -> None:
    """The response at the end holds what was told on the way, in its order."""
    items = sorted((event["output_index"], event["item"]) for event in found if event["type"].endswith("_item.done"))
    assert [item for _, item in items] == found[-1]["response"]["output"]
    assert [index for index, _ in items] == list(range(len(items)))
    assert len({item["id"] for _, item in items}) == len(items)
    for index, item in items:
        deltas = "".join(event.get("delta", "") for event in found if event.get("output_index") == index)
        assert "".join(said(item)) == deltas


@given(st.lists(DELTA, max_size=12), END, st.data())
def test_any_events_make_a_well_formed_stream(deltas, end, data):
    cut = data.draw(st.integers(0, len(deltas)))
    encode = encoder(tools=TOOLS)
    events = [START, *deltas, end]
    found = sent(encode.stream(events[:cut]) + encode.stream(events[cut:]))
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    ends = [event["type"] for event in found if event["type"] in ENDS]
    if isinstance(end, Finish):
        assert ends == [found[-1]["type"]]
        check_pieces(found)
        check_whole(found)
        assert json.loads(encode.kept) == json.loads(encoder(tools=TOOLS).body(events)) == found[-1]["response"]
    else:
        assert ends == (["response.failed"] if found else [])
        assert encode.kept is None


ENDS = ("response.completed", "response.incomplete", "response.failed")


@given(st.lists(DELTA, max_size=8))
def test_what_was_answered_can_be_sent_back(deltas):
    """A client puts the output in front of its next input: the words, calls and proofs are still the same."""
    output = answer(*deltas, STOP, tools=TOOLS)["output"]
    parts = [part for message in request(tools=TOOLS).messages for part in message.parts]
    given_back = decode(json.dumps({"model": "m", "input": [*output, {"role": "user", "content": "Hi"}]}).encode())
    replayed = [part for message in given_back.messages for part in message.parts]
    assert replayed[-1:] == parts
    first = [delta for delta in deltas if not getattr(delta, "choice", 0)]
    for kind, member in ((TextDelta, Text), (RefusalDelta, Refusal)):
        words = "".join(delta.text for delta in first if isinstance(delta, kind))
        found = "".join(getattr(part, "refusal", "") or part.text for part in replayed[:-1] if isinstance(part, member))
        assert found == words
    proofs = [
        (delta.origin, delta.signature, delta.redacted)
        for delta in first
        if isinstance(delta, ReasoningDelta) and (delta.signature or delta.redacted)
    ]
    kept = [(part.origin, part.signature, part.redacted) for part in replayed if isinstance(part, Reasoning)]
    assert [proof for proof in kept if proof[1] or proof[2]] == proofs
