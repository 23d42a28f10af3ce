import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.core.limits import MAX_ANSWER_ID_CHARS, MAX_HELD_ANSWER_CHARS
from gateway.core.types import (
    ContentDelta,
    DialectName,
    Event,
    Fault,
    Finish,
    FinishReason,
    Reasoning,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from gateway.dialects.openai_chat_answer import ChatEncoder
from gateway.dialects.openai_chat_request import decode

START = Start("msg_01", "claude-x")
STOP = Finish(FinishReason.STOP)
CREATED = 1751981927


def encoder(*, include_usage: bool = False) -> ChatEncoder:
    return ChatEncoder("my-model", include_usage, CREATED)


def sent(data: bytes) -> list[Any]:
    """The data of every server-sent event; ``[DONE]`` as text."""
    events = data.split(b"\n\n")
    assert events.pop() == b""
    assert all(event.startswith(b"data: ") and b"\n" not in event and b"\r" not in event for event in events)
    return [event if event == b"data: [DONE]" else json.loads(event[6:]) for event in events]


def chunks(*events: Event, include_usage: bool = False) -> list[dict[str, Any]]:
    """The chunks of a complete stream, each as the official client reads it."""
    *found, done = sent(encoder(include_usage=include_usage).stream([START, *events]))
    assert done == b"data: [DONE]"
    for chunk in found:
        ChatCompletionChunk.model_validate(chunk)
    return found


def deltas(*events: Event) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(*events)]


def answer(*events: Event) -> dict[str, Any]:
    found = json.loads(encoder().body([START, *events]))
    ChatCompletion.model_validate(found)
    return found


def message(*events: Event) -> dict[str, Any]:
    return answer(*events)["choices"][0]["message"]


# --- chunks -------------------------------------------------------------------------------------------------------


def test_a_stream_of_text_has_the_shape_of_openais():
    encode = encoder()
    assert encode.stream([START]) == b""
    head = b'data: {"id":"chatcmpl-msg_01","object":"chat.completion.chunk","created":1751981927,"model":"my-model",'
    head += b'"choices":[{"index":0,"delta":'
    tail = b',"logprobs":null,"finish_reason":null}]}\n\n'
    opening = head + b'{"role":"assistant","content":"","refusal":null}' + tail
    first = head + b'{"content":"H\xc3\xa9"}' + tail
    second = head + b'{"content":"\\"!\\n"}' + tail
    assert encode.stream([TextDelta("Hé"), TextDelta('"!\n')]) == opening + first + second
    last = head + b'{},"logprobs":null,"finish_reason":"stop"}]}\n\n'
    assert encode.stream([STOP]) == last + b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("start", "answer_id", "created"),
    [
        (Start("msg_01", "x"), "chatcmpl-msg_01", CREATED),
        (Start("chatcmpl-9g58", "x", created=5), "chatcmpl-9g58", 5),
        (Start("", "x"), f"chatcmpl-{CREATED:x}", CREATED),
        (Start("x" * 10_000, "x"), "chatcmpl-" + "x" * MAX_ANSWER_ID_CHARS, CREATED),
    ],
)
def test_the_providers_id_and_time_are_told_under_the_clients_model(start, answer_id, created):
    first, *_ = sent(encoder().stream([start, TextDelta("a"), STOP]))
    plain = json.loads(encoder().body([start, TextDelta("a"), STOP]))
    for found in (first, plain):
        assert (found["id"], found["created"], found["model"]) == (answer_id, created, "my-model")


def test_an_answer_without_a_start_still_has_an_id():
    [*found, _] = sent(encoder().stream([TextDelta("a"), STOP]))
    assert {chunk["id"] for chunk in found} == {f"chatcmpl-{CREATED:x}"}


def test_usage_comes_last_and_only_when_asked_for():
    events = [
        TextDelta("a"),
        UsageReport(Usage(input_tokens=1)),
        UsageReport(Usage(input_tokens=3, output_tokens=2)),
        STOP,
    ]
    *before, last = chunks(*events, include_usage=True)
    assert [chunk["usage"] for chunk in before] == [None] * 3
    assert last["choices"] == []
    assert (last["usage"]["prompt_tokens"], last["usage"]["total_tokens"]) == (3, 5)
    assert all("usage" not in chunk and chunk["choices"] for chunk in chunks(*events))


def test_usage_that_nobody_told_is_not_invented():
    assert chunks(TextDelta("a"), STOP, include_usage=True)[-1]["choices"]
    assert "usage" not in answer(TextDelta("a"), STOP)


def test_tool_calls_name_themselves_once_and_then_only_argue():
    found = deltas(
        ToolCallDelta(0, id="c0", name="f"),
        ToolCallDelta(0, arguments='{"a":'),
        ToolCallDelta(1, id="c1", name="g", arguments="{"),
        ToolCallDelta(0, arguments=""),
        ToolCallDelta(1, arguments="}"),
        Finish(FinishReason.TOOL_CALLS),
    )
    assert found == [
        {"role": "assistant", "content": None, "refusal": None},
        {"tool_calls": [{"index": 0, "id": "c0", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 1, "id": "c1", "type": "function", "function": {"name": "g", "arguments": "{"}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]},
        {},
    ]


def test_reasoning_is_told_as_it_comes_and_signed_blocks_whole_at_the_end():
    found = deltas(
        ReasoningDelta("Let me "),
        ReasoningDelta("think."),
        ReasoningDelta(signature="sig"),
        ReasoningDelta(block=1, redacted="opaque"),
        ReasoningDelta(block=2, signature="empty"),
        ReasoningDelta("unsigned", block=3),
        TextDelta("Hi"),
        STOP,
    )
    assert found == [
        {"role": "assistant", "content": None, "refusal": None},
        {"reasoning_content": "Let me "},
        {"reasoning_content": "think."},
        {"reasoning_content": "unsigned"},
        {"content": "Hi"},
        {
            "thinking_blocks": [
                {"type": "thinking", "thinking": "Let me think.", "signature": "sig"},
                {"type": "redacted_thinking", "data": "opaque"},
                {"type": "thinking", "thinking": "", "signature": "empty"},
            ]
        },
        {},
    ]


def test_another_maker_s_proofs_are_sealed():
    gemini, responses = DialectName.GEMINI_GENERATE_CONTENT, DialectName.OPENAI_RESPONSES
    events = [
        ReasoningDelta("r"),
        ReasoningDelta(signature="gAAA", origin=responses, id="rs_1"),
        ReasoningDelta(block=1, signature="AbC+/=", origin=gemini),
        ReasoningDelta(block=2, redacted="gBBB", origin=responses, id="rs_2"),
        STOP,
    ]
    assert message(*events)["thinking_blocks"] == [
        {"type": "thinking", "thinking": "r", "signature": "openai_responses:rs_1:gAAA"},
        {"type": "thinking", "thinking": "", "signature": "gemini_generate_content::AbC+/="},
        {"type": "redacted_thinking", "data": "openai_responses:rs_2:gBBB"},
    ]
    assert deltas(*events)[-2]["thinking_blocks"] == message(*events)["thinking_blocks"]


PROOF = st.builds(
    lambda text, proof, origin, thought_id, is_redacted: Reasoning(
        "" if is_redacted else text,
        None if is_redacted else proof,
        proof if is_redacted else None,
        origin,
        None if origin is DialectName.ANTHROPIC_MESSAGES else thought_id,
    ),
    st.text(max_size=6),
    st.text("abAB+/=", min_size=1, max_size=8),
    st.sampled_from(
        [DialectName.ANTHROPIC_MESSAGES, DialectName.OPENAI_RESPONSES, DialectName.GEMINI_GENERATE_CONTENT]
    ),
    st.none() | st.text("rs_0", min_size=1, max_size=4),
    st.booleans(),
)


@given(st.lists(PROOF, min_size=1, max_size=4))
def test_proofs_come_back_as_they_were_told(thoughts):
    events = [START]
    for number, thought in enumerate(thoughts):
        if thought.text:
            events.append(ReasoningDelta(thought.text, number))
        events.append(
            ReasoningDelta("", number, thought.signature, thought.redacted, thought.origin, thought.id),
        )
    turn = message(*events[1:], TextDelta("a"), STOP)
    body = {"model": "m", "messages": [{"role": "user", "content": "?"}, turn]}
    assert decode(json.dumps(body).encode()).messages[1].parts == [*thoughts, Text("a")]


def test_citations_come_together_and_as_they_are():
    one, two = Raw(b'{"type": "url_citation",\r\n "title": "a\\nb"}'), Raw(b'{"type":"x"}')
    found = deltas(TextDelta("Hi"), ContentDelta("annotations", one), ContentDelta("annotations", two), STOP)
    assert found[-2] == {"annotations": [{"type": "url_citation", "title": "a\nb"}, {"type": "x"}]}


def test_speech_is_told_in_pieces_as_it_comes():
    pieces = [
        {"id": "audio_1", "transcript": "He"},
        {"data": "UklG"},
        {"transcript": "llo", "data": "RiQA"},
        {"expires_at": 5},
    ]
    events = [ContentDelta("audio", Raw(json.dumps(piece, indent=1).encode())) for piece in pieces]
    first, *found, last = deltas(*events, STOP)
    assert (first["content"], [delta["audio"] for delta in found], last) == (None, pieces, {})
    whole = {"id": "audio_1", "transcript": "Hello", "data": "UklGRiQA", "expires_at": 5}
    assert (message(*events, STOP)["audio"], message(*events, STOP)["content"]) == (whole, None)


@pytest.mark.parametrize("value", [b"5", b"[", b'"UklG"'])
def test_what_is_no_speech_is_not_told_as_such(value):
    event = ContentDelta("audio", Raw(value))
    assert deltas(event, STOP)[-1] == {"content": ""}
    assert "audio" not in message(event, STOP)


def test_a_refusal_stands_in_place_of_the_content():
    found = deltas(RefusalDelta("I can"), RefusalDelta("not."), STOP)
    assert found[1:] == [{"refusal": "I can"}, {"refusal": "not."}, {}]
    assert found[0]["content"] is None


@pytest.mark.parametrize("events", [[], [ReasoningDelta("r")]])
def test_an_answer_that_says_nothing_has_empty_content(events):
    end = Finish(FinishReason.LENGTH)
    assert "".join(delta.get("content") or "" for delta in deltas(*events, end)) == ""
    assert message(*events, end)["content"] == ""
    assert chunks(*events, end)[-1]["choices"][0]["finish_reason"] == "length"


def test_every_choice_begins_and_ends_once():
    found = chunks(TextDelta("a", choice=1), TextDelta("b"), TextDelta("c", choice=1), STOP)
    told = [(chunk["choices"][0]["index"], chunk["choices"][0]["delta"]) for chunk in found]
    assert told == [
        (0, {"role": "assistant", "content": None, "refusal": None}),
        (1, {"role": "assistant", "content": "", "refusal": None}),
        (1, {"content": "a"}),
        (0, {"content": "b"}),
        (1, {"content": "c"}),
        (0, {}),
        (1, {}),
    ]


def test_a_fault_is_an_error_without_a_terminator():
    *_, last = sent(encoder(include_usage=True).stream([START, TextDelta("a"), Fault("Overloaded", 529, "overloaded")]))
    assert last["error"]["message"] == "Overloaded"


def test_nothing_follows_the_end():
    encode = encoder()
    encode.stream([START, Fault("x")])
    assert encode.stream([TextDelta("a"), STOP]) == b""


@pytest.mark.parametrize(
    "event",
    [
        ReasoningDelta("x" * (MAX_HELD_ANSWER_CHARS + 1)),
        ContentDelta("provider_content", Raw(b'"' + b"x" * MAX_HELD_ANSWER_CHARS + b'"')),
    ],
)
def test_an_answer_too_large_to_hold_breaks_off(event):
    found = sent(encoder().stream([START, event, STOP]))
    assert "too large" in found[-1]["error"]["message"]
    assert message(event, STOP)["role"] == "assistant"


# --- a plain answer -----------------------------------------------------------------------------------------------


def test_a_plain_answer_has_the_shape_of_openais():
    usage = Usage(
        input_tokens=110,
        output_tokens=19,
        cache_read_tokens=100,
        reasoning_tokens=7,
        input_audio_tokens=1,
        output_audio_tokens=2,
    )
    assert answer(TextDelta("Hi"), TextDelta("!"), UsageReport(usage), STOP) == {
        "id": "chatcmpl-msg_01",
        "object": "chat.completion",
        "created": CREATED,
        "model": "my-model",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi!", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 110,
            "completion_tokens": 19,
            "total_tokens": 129,
            "prompt_tokens_details": {"cached_tokens": 100, "audio_tokens": 1},
            "completion_tokens_details": {
                "reasoning_tokens": 7,
                "audio_tokens": 2,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    }


def test_written_cache_tokens_are_told_where_there_were_some():
    found = answer(TextDelta("a"), UsageReport(Usage(input_tokens=9, cache_write_tokens=8)), STOP)
    assert found["usage"]["prompt_tokens_details"]["cache_write_tokens"] == 8


def test_a_plain_answer_with_everything():
    found = message(
        ReasoningDelta("r"),
        ReasoningDelta(signature="sig"),
        ToolCallDelta(0, id="c0", name="f", arguments="{"),
        ToolCallDelta(1, id="c1", name="g", arguments="{}"),
        ToolCallDelta(0, arguments="}"),
        ContentDelta("provider_content", Raw(b'{"type":"server_tool_use"}')),
        Finish(FinishReason.TOOL_CALLS),
    )
    assert found == {
        "role": "assistant",
        "content": None,
        "reasoning_content": "r",
        "tool_calls": [
            {"id": "c0", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "c1", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
        "refusal": None,
        "thinking_blocks": [{"type": "thinking", "thinking": "r", "signature": "sig"}],
        "provider_content": [{"type": "server_tool_use"}],
    }


def test_a_refusal_leaves_the_content_null():
    found = message(RefusalDelta("No"), RefusalDelta("."), STOP)
    assert (found["content"], found["refusal"]) == (None, "No.")


# --- any answer ---------------------------------------------------------------------------------------------------

TEXT = st.text(max_size=6)
CHOICE = st.integers(0, 1)
CITATION = b'{"type":"url_citation",\r\n"url_citation":{"start_index":0,"end_index":1,"title":"a\\nb","url":"u"}}'
CONTENT = st.sampled_from(
    [
        ("annotations", Raw(CITATION)),
        ("provider_content", Raw(b'{\n"a": [1,\r\n 2]}')),
        ("provider_content", Raw(b'{"type":"b"}')),
    ]
)
DELTA = st.one_of(
    st.builds(TextDelta, TEXT, CHOICE),
    st.builds(RefusalDelta, TEXT, CHOICE),
    st.builds(ReasoningDelta, TEXT, st.integers(0, 2), st.none() | TEXT, choice=CHOICE),
    st.builds(ReasoningDelta, block=st.integers(0, 2), redacted=TEXT, choice=CHOICE),
    st.builds(ToolCallDelta, st.integers(0, 2), arguments=TEXT, choice=CHOICE),
    st.builds(lambda content, choice: ContentDelta(*content, choice), CONTENT, CHOICE),
)


def introduced(events: list[Event]) -> list[Event]:
    """With an id and a name on the first piece of every tool call, and positions in order of appearance."""
    seen: dict[tuple[int, int], int] = {}
    done = []
    for event in events:
        if isinstance(event, ToolCallDelta):
            key = (event.choice, event.position)
            if key not in seen:
                seen[key] = sum(choice == event.choice for choice, _ in seen)
                event = ToolCallDelta(seen[key], f"call_{len(seen)}", "f", event.arguments, event.choice)
            else:
                event = ToolCallDelta(seen[key], arguments=event.arguments, choice=event.choice)
        done.append(event)
    return done


ANSWERS = st.builds(
    lambda deltas, usage, end: [START, *introduced(deltas), *usage, end],
    st.lists(DELTA, max_size=12),
    st.lists(st.builds(UsageReport, st.builds(Usage, st.integers(0, 9), st.integers(0, 9))), max_size=1),
    st.builds(Finish, st.sampled_from(FinishReason)),
)


def fold(found: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Messages by choice, as a client puts them together: text adds up, tool calls by index, other lists follow on."""
    messages: dict[int, dict[str, Any]] = {}
    for chunk in found:
        for choice in chunk["choices"]:
            into = messages.setdefault(choice["index"], {"calls": {}})
            for name, value in choice["delta"].items():
                if name == "tool_calls":
                    for piece in value:
                        call = into["calls"].setdefault(piece["index"], {"function": {"arguments": ""}})
                        arguments = call["function"]["arguments"] + piece["function"]["arguments"]
                        call.update({k: v for k, v in piece.items() if k not in ("function", "index")})
                        call["function"] = {**call["function"], **piece["function"], "arguments": arguments}
                elif name != "role" and isinstance(into.get(name), str | list):
                    into[name] += value
                elif value is not None or name not in into:
                    into[name] = value
            into["finish"] = choice["finish_reason"]
    return messages


@given(ANSWERS)
def test_a_stream_adds_up_to_the_plain_answer(events):
    plain = json.loads(encoder().body(events))
    ChatCompletion.model_validate(plain)
    folded = fold(chunks(*events[1:]))
    assert sorted(folded) == [choice["index"] for choice in plain["choices"]]
    for choice in plain["choices"]:
        found = folded[choice["index"]]
        assert found.pop("finish") == choice["finish_reason"]
        calls = [call for _, call in sorted(found.pop("calls").items())]
        assert calls == choice["message"].pop("tool_calls", [])
        assert (found.pop("reasoning_content", "")) == choice["message"].pop("reasoning_content", "")
        assert found == choice["message"]


@given(st.lists(st.text(), max_size=3), st.none() | st.builds(Usage, st.integers(0, 9)), st.booleans())
def test_a_text_alone_is_written_as_any_answer(texts, usage, starts):
    events = [START] * starts + [TextDelta(text) for text in texts]
    events += [STOP] if usage is None else [UsageReport(usage), STOP]
    # a thought that says nothing leaves no trace but the longer way
    assert encoder().body(events) == encoder().body([ReasoningDelta(), *events])


@given(ANSWERS)
def test_the_official_client_puts_a_stream_together(events):
    state = ChatCompletionStreamState()
    for chunk in chunks(*events[1:], include_usage=True):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    found = state.current_completion_snapshot.model_dump(exclude_none=True)
    plain = ChatCompletion.model_validate_json(encoder().body(events)).model_dump(exclude_none=True)
    assert found.get("usage") == plain.get("usage")
    for ours, theirs in zip(plain["choices"], found["choices"], strict=True):
        for call in theirs["message"].get("tool_calls", []):
            call.pop("index")
        assert theirs["finish_reason"] == ours["finish_reason"]
        assert {k: v for k, v in theirs["message"].items() if k != "parsed"} == ours["message"]


def test_a_client_can_send_an_answer_back_whole():
    events = [
        START,
        ReasoningDelta("r"),
        ReasoningDelta(signature="sig"),
        ReasoningDelta(block=1, redacted="opaque"),
        ToolCallDelta(0, id="c0", name="f", arguments="{}"),
        Finish(FinishReason.TOOL_CALLS),
    ]
    state = ChatCompletionStreamState()
    for chunk in chunks(*events[1:]):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    streamed = state.current_completion_snapshot.choices[0].message.model_dump(exclude={"parsed"})
    for turn in (message(*events[1:]), streamed):
        replayed = {"model": "m", "messages": [{"role": "user", "content": "?"}, turn]}
        found = decode(json.dumps(replayed).encode()).messages[1]
        assert found.parts == [
            Reasoning("r", signature="sig"),
            Reasoning(redacted="opaque"),
            ToolCall("c0", "f", "{}"),
        ]


@given(ANSWERS)
def test_it_does_not_matter_how_events_are_grouped(events):
    one_by_one = encoder(include_usage=True)
    assert b"".join(one_by_one.stream([event]) for event in events) == encoder(include_usage=True).stream(events)
