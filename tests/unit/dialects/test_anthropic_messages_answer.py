import json
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, MessageTokensCount, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from pydantic import TypeAdapter

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
    Vector,
)
from gateway.dialects.anthropic_messages import COUNTING, DIALECT
from gateway.dialects.anthropic_messages_answer import MessagesEncoder
from gateway.dialects.anthropic_messages_request import decode

START = Start("msg_01", "gpt-x")
STOP = Finish(FinishReason.STOP)
CALLED = Finish(FinishReason.TOOL_CALLS)
CREATED = 1751981927
EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def encoder() -> MessagesEncoder:
    return MessagesEncoder("my-model", CREATED)


def sent(data: bytes) -> list[dict[str, Any]]:
    """The data of every server-sent event, each named by its type."""
    events = data.split(b"\n\n")
    assert events.pop() == b""
    found = []
    for event in events:
        name, _, line = event.partition(b"\ndata: ")
        assert b"\n" not in line
        assert b"\r" not in event
        found.append(json.loads(line))
        assert name == b"event: " + found[-1]["type"].encode()
    return found


def streamed(*events: Event) -> list[dict[str, Any]]:
    """A complete stream: begins and ends as it must, with one block open at a time, as the official client reads it."""
    found = sent(encoder().stream([START, *events]))
    for event in found:
        EVENTS.validate_python(event)
    kinds = [event["type"] for event in found]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    index = -1
    is_open = has_delta = False
    for event in found[1:-2]:
        if event["type"] == "content_block_start":
            assert not is_open
            index, is_open = index + 1, True
            has_delta = event["content_block"]["type"] not in ("text", "thinking")
        elif event["type"] == "content_block_delta":
            assert is_open
            has_delta = True
        else:
            assert (event["type"], is_open, has_delta) == ("content_block_stop", True, True)
            is_open = False
        assert event["index"] == index
    assert not is_open
    return found


def folded(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that the events of a stream make, with the text of calls as it came."""
    message = dict(found[0]["message"])
    blocks: list[dict[str, Any]] = []
    for event in found:
        if event["type"] == "content_block_start":
            given = event["content_block"]
            blocks.append({**({"citations": None} if given["type"] == "text" else {}), **given, "json": ""})
        elif event["type"] == "content_block_delta":
            delta, block = event["delta"], blocks[-1]
            for name, into in (
                ("text", "text"),
                ("thinking", "thinking"),
                ("signature", "signature"),
                ("partial_json", "json"),
            ):
                if name in delta:
                    block[into] += delta[name]
            if "citation" in delta:
                block["citations"] = [*(block["citations"] or ()), delta["citation"]]
        elif event["type"] == "message_delta":
            message |= event["delta"] | {"usage": message["usage"] | event["usage"]}
    return {**message, "content": blocks}


def blocks(*events: Event) -> list[dict[str, Any]]:
    """The blocks of a stream; of calls with ``json``, their text."""
    found = folded(streamed(*events))["content"]
    return [
        {k: v for k, v in block.items() if k != "json" or block["type"] in ("tool_use", "server_tool_use")}
        for block in found
    ]


def answer(*events: Event) -> dict[str, Any]:
    found = json.loads(encoder().body([START, *events]))
    Message.model_validate(found)
    return found


def ended(*events: Event) -> tuple[str, str | None]:
    plain, last = answer(*events), streamed(*events)[-2]["delta"]
    assert (plain["stop_reason"], plain["stop_sequence"]) == (last["stop_reason"], last["stop_sequence"])
    return plain["stop_reason"], plain["stop_sequence"]


# --- the shape of a stream ----------------------------------------------------------------------------------------


def test_a_stream_of_text_has_the_shape_of_anthropics():
    encode = encoder()
    assert encode.stream([START, UsageReport(Usage(input_tokens=9, cache_read_tokens=4))]) == b""
    begun = (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_01","type":"message",'
        b'"role":"assistant","model":"my-model","content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,'
        b'"container":null,"usage":{"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,'
        b'"output_tokens":0,"output_tokens_details":null,"server_tool_use":null,"cache_creation":'
        b'null,"service_tier":null,"inference_geo":null}}}\n\n'
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":'
        b'{"type":"text","text":""}}\n\n'
    )
    head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
    head += b'{"type":"text_delta","text":'
    first, second = head + b'"H\xc3\xa9"}}\n\n', head + b'"\\"!\\n"}}\n\n'
    assert encode.stream([TextDelta("Hé"), TextDelta('"!\n')]) == begun + first + second
    end = (
        b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null,'
        b'"stop_details":null,"container":null},"usage":{"input_tokens":5,"cache_creation_input_tokens":0,'
        b'"cache_read_input_tokens":4,"output_tokens":2,"output_tokens_details":null,"server_tool_use":null}}\n\n'
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )
    report = UsageReport(Usage(input_tokens=9, cache_read_tokens=4, output_tokens=2))
    assert encode.stream([report, STOP]) == end


@pytest.mark.parametrize(
    ("start", "answer_id"),
    [
        (Start("msg_01", "x"), "msg_01"),
        (Start("chatcmpl-9g58", "x", created=5), "msg_chatcmpl-9g58"),
        (Start("", "x"), f"msg_{CREATED:x}"),
        (Start("x" * 10_000, "x"), "msg_" + "x" * MAX_ANSWER_ID_CHARS),
    ],
)
def test_the_providers_id_is_told_under_the_clients_model(start, answer_id):
    first, *_ = sent(encoder().stream([start, TextDelta("a"), STOP]))
    plain = json.loads(encoder().body([start, TextDelta("a"), STOP]))
    for found in (first["message"], plain):
        assert (found["id"], found["model"]) == (answer_id, "my-model")


@pytest.mark.parametrize(
    "event",
    [
        TextDelta(""),
        ReasoningDelta(),
        ReasoningDelta(signature=""),
        Vector(0, [1.0]),
        UsageReport(Usage()),
        TextDelta("a", 1),
    ],
)
def test_what_tells_nothing_begins_nothing(event):
    assert encoder().stream([START, event]) == b""
    assert blocks(event, STOP) == []
    assert answer(event, STOP)["content"] == []


def test_a_change_of_kind_closes_one_block_and_opens_the_next():
    events = [
        ReasoningDelta("Let me "),
        ReasoningDelta("think."),
        ReasoningDelta(signature="sig"),
        ReasoningDelta(block=1, redacted="opaque"),
        ReasoningDelta(block=2, signature="omitted"),
        ReasoningDelta("un", block=3),
        ReasoningDelta("signed", block=4),
        TextDelta("Hi"),
        ToolCallDelta(0, "c0", "f"),
        ToolCallDelta(0, arguments='{"a":'),
        ToolCallDelta(0, arguments="1}"),
        TextDelta("Bye"),
        CALLED,
    ]
    thought = [
        {"type": "thinking", "thinking": "Let me think.", "signature": "sig"},
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "thinking", "thinking": "", "signature": "omitted"},
        {"type": "thinking", "thinking": "un", "signature": ""},
        {"type": "thinking", "thinking": "signed", "signature": ""},
        {"type": "text", "text": "Hi", "citations": None},
    ]
    call = {"type": "tool_use", "id": "c0", "name": "f", "caller": {"type": "direct"}}
    bye = {"type": "text", "text": "Bye", "citations": None}
    assert blocks(*events) == [*thought, {**call, "input": {}, "json": '{"a":1}'}, bye]
    assert answer(*events)["content"] == [*thought, {**call, "input": {"a": 1}}, bye]


def test_a_signature_ends_its_block():
    events = [ReasoningDelta("a", signature="s"), ReasoningDelta("b"), ReasoningDelta(signature="t"), STOP]
    told = [{"type": "thinking", "thinking": text, "signature": proof} for text, proof in (("a", "s"), ("b", "t"))]
    assert blocks(*events) == answer(*events)["content"] == told


def test_proofs_of_other_vendors_are_sealed_and_found_again():
    events = [
        ReasoningDelta("t", signature="p", origin=DialectName.OPENAI_RESPONSES, id="rs_1"),
        ReasoningDelta(block=1, signature="g", origin=DialectName.GEMINI_GENERATE_CONTENT),
        ReasoningDelta(block=2, redacted="r", origin=DialectName.OPENAI_RESPONSES, id="rs_2"),
        ToolCallDelta(0, "c0", "f", '{"a": 1.0}'),
        TextDelta("Hi"),
        CALLED,
    ]
    stream = [{k: v for k, v in block.items() if k != "json"} for block in blocks(*events)]
    stream[3]["input"] = {"a": 1.0}
    for content in (stream, answer(*events)["content"]):
        turn = {"role": "assistant", "content": content}
        [message] = decode(json.dumps({"model": "m", "max_tokens": 1, "messages": [turn]}).encode()).messages
        assert message.parts == [
            Reasoning("t", signature="p", origin=DialectName.OPENAI_RESPONSES, id="rs_1"),
            Reasoning(signature="g", origin=DialectName.GEMINI_GENERATE_CONTENT),
            Reasoning(redacted="r", origin=DialectName.OPENAI_RESPONSES, id="rs_2"),
            ToolCall("c0", "f", '{"a": 1.0}'),
            Text("Hi"),
        ]


def test_only_the_first_choice_is_told():
    events = [
        TextDelta("a"),
        TextDelta("b", choice=1),
        RefusalDelta("c", choice=1),
        ToolCallDelta(0, "c", "f", choice=1),
    ]
    events += [
        ReasoningDelta("r", choice=1),
        ContentDelta("provider_content", Raw(b'{"type":"compaction"}'), choice=1),
        STOP,
    ]
    assert blocks(*events) == answer(*events)["content"] == [{"type": "text", "text": "a", "citations": None}]
    assert ended(*events) == ("end_turn", None)


# --- parallel calls -----------------------------------------------------------------------------------------------


def test_calls_side_by_side_are_told_one_after_the_other():
    encode = encoder()
    encode.stream([ToolCallDelta(0, "c0", "f", '{"a":"}')])
    # the first goes on as it comes, the others wait
    waiting = [
        ToolCallDelta(1, "c1", "g", "{"),
        ToolCallDelta(2, "c2", "h"),
        TextDelta("x"),
        ToolCallDelta(1, arguments="}"),
    ]
    assert encode.stream(waiting) == b""
    assert len(sent(encode.stream([ToolCallDelta(0, arguments='\\"')]))) == 1
    # with its last bracket the others follow: the second is complete, the third is open now
    told = sent(encode.stream([ToolCallDelta(0, arguments='"}')]))
    assert [event["type"].removeprefix("content_block_") for event in told] == (
        ["delta", "stop", "start", "delta", "delta", "stop", "start"]
    )
    assert [event["index"] for event in told] == [0, 0, 1, 1, 1, 1, 2]
    told = sent(encode.stream([ToolCallDelta(2, arguments="{}"), CALLED]))
    assert told[0]["delta"] == {"type": "input_json_delta", "partial_json": "{}"}
    assert [event["delta"]["text"] for event in told if event.get("delta", {}).get("type") == "text_delta"] == ["x"]


def test_calls_that_come_one_by_one_do_not_wait():
    encode = encoder()
    for position in range(3):
        found = sent(encode.stream([ToolCallDelta(position, f"c{position}", "f")]))
        names = {"id": f"c{position}", "name": "f"}
        assert found[-1]["content_block"] == {"type": "tool_use", **names, "input": {}, "caller": {"type": "direct"}}
        assert len(sent(encode.stream([ToolCallDelta(position, arguments='{"a":[1,')]))) == 1
        assert len(sent(encode.stream([ToolCallDelta(position, arguments='"]}\\\\"]}')]))) == 1


def test_an_escape_may_be_cut_in_two():
    encode = encoder()
    encode.stream([ToolCallDelta(0, "c0", "f", '{"a":"\\')])
    assert encode.stream([TextDelta("x"), ToolCallDelta(1, "c1", "g")]) == b""
    assert len(sent(encode.stream([ToolCallDelta(0, arguments='"}')]))) == 1
    found = sent(encode.stream([ToolCallDelta(0, arguments='"}'), CALLED]))
    assert [event["content_block"]["type"] for event in found if "content_block" in event] == ["text", "tool_use"]


def test_what_waits_keeps_its_order():
    half, rest = ToolCallDelta(0, "c0", "f", "{"), ToolCallDelta(0, arguments="}")
    other = [ToolCallDelta(1, "c1", "g", "{"), TextDelta("y"), TextDelta("z")]
    events = [half, TextDelta("x"), *other, rest, TextDelta("!"), ToolCallDelta(1, arguments="}"), CALLED]
    told = [block.get("text") or block["id"] for block in blocks(*events)]
    assert told == ["c0", "x", "c1", "yz!"]
    # text may wait again after what waited first was told
    events = [half, TextDelta("x"), rest, *other, CALLED]
    assert [block.get("text") or block["id"] for block in blocks(*events)] == [*told[:3], "yz"]


@pytest.mark.parametrize("arguments", ["", "null", "[1", '{"a":', '"x', "{} {"])
def test_a_call_that_never_becomes_complete_holds_nothing_back_for_ever(arguments):
    events = [ToolCallDelta(0, "c0", "f", arguments), ToolCallDelta(1, "c1", "g", arguments), TextDelta("x"), CALLED]
    one, two, text = blocks(*events)
    assert (one["json"], two["json"], text["text"]) == (arguments, arguments, "x")


def test_nothing_can_be_added_to_a_call_that_was_closed():
    events = [ToolCallDelta(0, "c0", "f", "{}"), TextDelta("x"), ToolCallDelta(0, arguments=" \n")]
    assert [block["type"] for block in blocks(*events, CALLED)] == ["tool_use", "text"]
    *_, last = sent(encoder().stream([*events, ToolCallDelta(0, arguments="{}"), CALLED]))
    assert last["type"] == "error"


@pytest.mark.parametrize(
    "pieces",
    [
        [ToolCallDelta(1, "c1", "g", "x" * (MAX_HELD_ANSWER_CHARS + 1))],
        [ReasoningDelta("r")] * (MAX_HELD_ANSWER_CHARS // 100),
    ],
)
def test_what_waits_is_bounded(pieces):
    found = sent(encoder().stream([ToolCallDelta(0, "c0", "f", "{"), *pieces, CALLED]))
    assert [event["type"] for event in found[-2:]] == ["content_block_delta", "error"]
    assert "too large" in found[-1]["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("", {}),
        (" \n", {}),
        ("null", {}),
        (' {"a": 1.50}\n', {"a": 1.5}),
        ('{"a":', {"INVALID_JSON": '{"a":'}),
        ("[1]", {"INVALID_JSON": "[1]"}),
        ("{" * 5000, {"INVALID_JSON": "{" * 5000}),
    ],
)
def test_a_plain_call_has_an_object_whatever_the_model_wrote(arguments, told):
    [call] = answer(ToolCallDelta(0, "c0", "f", arguments), CALLED)["content"]
    assert call == {"type": "tool_use", "id": "c0", "name": "f", "input": told, "caller": {"type": "direct"}}


def test_the_bytes_of_arguments_stay_as_they_are():
    assert b'"input":{"b": 1.50, "a":"\\u00e9"}' in encoder().body(
        [ToolCallDelta(0, "c0", "f", '{"b": 1.50, "a":"\\u00e9"}'), CALLED]
    )


# --- content without a noun ---------------------------------------------------------------------------------------

CHAT_CITATION = Raw(
    b'{"type": "url_citation",\r\n"url_citation":{"url":"https://a.b","title":"T","start_index":0,"end_index":2}}'
)
FLAT_CITATION = Raw(b'{"type":"url_citation","url":"https://a.b","cited_text":"c","encrypted_index":"E","title":null}')
PLACE = Raw(
    b'{"type":"char_location","cited_text":"c","document_index":0,"document_title":null,'
    b'"start_char_index":0,"end_char_index":1,"start_index":0,"end_index":2}'
)
SERVER_TOOL = Raw(b'{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search",\n"input":{"query":"a\\nb"}}')
RESULT = Raw(b'{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[\r\n]}')


def test_citations_stand_in_their_text():
    events = [
        TextDelta("Hi"),
        *(ContentDelta("annotations", c) for c in (CHAT_CITATION, FLAT_CITATION)),
        ContentDelta("citations", PLACE),
        STOP,
    ]
    web = {"type": "web_search_result_location", "url": "https://a.b"}
    place = {k: v for k, v in json.loads(bytes(PLACE)).items() if k not in ("start_index", "end_index")}
    told = [
        {**web, "cited_text": "", "encrypted_index": "", "title": "T"},
        {**web, "cited_text": "c", "encrypted_index": "E", "title": None},
        place,
    ]
    assert blocks(*events) == answer(*events)["content"] == [{"type": "text", "text": "Hi", "citations": told}]


def test_blocks_of_anthropics_own_tools_are_told_as_they_are():
    events = [
        TextDelta("a"),
        *(ContentDelta("provider_content", block) for block in (SERVER_TOOL, RESULT)),
        TextDelta("b"),
        STOP,
    ]
    found = blocks(*events)
    call, result = json.loads(bytes(SERVER_TOOL)), json.loads(bytes(RESULT))
    assert [block["type"] for block in found] == ["text", "server_tool_use", "web_search_tool_result", "text"]
    assert json.loads(found[1].pop("json")) == call["input"]
    assert found[1:3] == [{**call, "input": {}}, result]
    before, behind = ({"type": "text", "text": text, "citations": None} for text in "ab")
    assert answer(*events)["content"] == [before, call, result, behind]


@pytest.mark.parametrize(
    "event",
    [
        ContentDelta("annotations", Raw(b'{"type":"file_citation","file_id":"f"}')),
        ContentDelta("annotations", Raw(b'{"type":"url_citation"}')),
        ContentDelta("annotations", Raw(b'{"type":"url_citation","url_citation":[]}')),
        ContentDelta("annotations", Raw(b"[")),
        ContentDelta("citations", Raw(b'{"type":"url_citation"}')),
        ContentDelta("provider_content", Raw(b'{"type":"web_search_call","id":"ws_1"}')),
        ContentDelta("provider_content", Raw(b'{"executableCode":{}}')),
        ContentDelta("provider_content", Raw(b"5")),
        ContentDelta("images", Raw(b'{"type":"image_url"}')),
    ],
)
def test_content_of_other_vendors_has_no_place(event):
    events = [TextDelta("a"), event, TextDelta("b"), STOP]
    assert blocks(*events) == answer(*events)["content"] == [{"type": "text", "text": "ab", "citations": None}]


def test_members_of_the_message_are_told_at_its_end():
    details = {"type": "refusal", "category": "cyber", "explanation": "no", "recommended_model": None}
    edits = {"applied_edits": []}
    events = [
        ContentDelta("stop_details", Raw(json.dumps(details, indent=1).encode())),
        ContentDelta("context_management", Raw(json.dumps(edits).encode())),
        Finish(FinishReason.CONTENT_FILTER, "refusal"),
    ]
    last, plain = streamed(*events)[-2], answer(*events)
    stop = {"stop_reason": "refusal", "stop_sequence": None, "container": None}
    assert last["delta"] == {**stop, "stop_details": details}
    assert (plain["stop_details"], plain["context_management"]) == (details, edits)
    assert last["context_management"] == edits


# --- the end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (STOP, "end_turn"),
        (Finish(FinishReason.STOP, "stop"), "end_turn"),
        (Finish(FinishReason.LENGTH, "MAX_TOKENS"), "max_tokens"),
        (Finish(FinishReason.LENGTH, "model_context_window_exceeded"), "model_context_window_exceeded"),
        (CALLED, "tool_use"),
        (Finish(FinishReason.CONTENT_FILTER, "content_filter"), "refusal"),
        (Finish(FinishReason.STOP, "pause_turn"), "pause_turn"),
        # a word that says something else than the reason is not Anthropic's
        (Finish(FinishReason.TOOL_CALLS, "end_turn"), "tool_use"),
    ],
)
def test_reasons_are_told_in_anthropics_words(finish, reason):
    assert ended(TextDelta("a"), finish) == (reason, None)


def test_a_stop_sequence_is_told():
    finish = Finish(FinishReason.STOP, stop_sequence="END")
    assert ended(TextDelta("a"), finish) == ("stop_sequence", "END")


def test_a_forced_call_that_just_stops_is_a_use_of_tools():
    assert ended(ToolCallDelta(0, "c0", "f", "{}"), Finish(FinishReason.STOP, "stop")) == ("tool_use", None)


def test_a_refusal_is_text_with_a_reason():
    events = [RefusalDelta("I can"), RefusalDelta("not."), STOP]
    assert blocks(*events) == answer(*events)["content"] == [{"type": "text", "text": "I cannot.", "citations": None}]
    assert ended(*events) == ("refusal", None)


def test_usage_is_anthropics():
    usage = Usage(input_tokens=110, output_tokens=19, cache_read_tokens=100, cache_write_tokens=4, reasoning_tokens=7)
    told = {
        "input_tokens": 6,
        "cache_creation_input_tokens": 4,
        "cache_read_input_tokens": 100,
        "output_tokens": 19,
        "output_tokens_details": {"thinking_tokens": 7},
        "server_tool_use": None,
    }
    unknown = dict.fromkeys(("cache_creation", "service_tier", "inference_geo"))
    events = [TextDelta("a"), UsageReport(Usage(input_tokens=1)), UsageReport(usage), STOP]
    found = streamed(*events)
    nothing = dict.fromkeys(list(told)[:4], 0) | dict.fromkeys(list(told)[4:])
    assert found[0]["message"]["usage"] == {**nothing, **unknown}
    assert found[-2]["usage"] == told
    assert answer(*events)["usage"] == {**told, **unknown}
    assert answer(UsageReport(Usage(input_tokens=1, cache_read_tokens=2)), STOP)["usage"]["input_tokens"] == 0


@pytest.mark.parametrize("events", [[], [TextDelta("a")], [ToolCallDelta(0, "c0", "f", "{"), TextDelta("b")]])
def test_a_fault_is_an_error_and_nothing_else(events):
    encode = encoder()
    before = encode.stream([START, *events])
    assert sent(encode.stream([Fault("Busy\nnow", 529, native_type="overloaded_error")])) == [
        {"type": "error", "error": {"type": "overloaded_error", "message": "Busy\nnow"}}
    ]
    assert encode.stream([TextDelta("a"), STOP]) == b""
    assert bool(before) is bool(events)


def test_a_plain_answer_has_the_shape_of_anthropics():
    assert answer(TextDelta("Hi"), TextDelta("!"), UsageReport(Usage(input_tokens=3, output_tokens=2)), STOP) == {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "my-model",
        "content": [{"type": "text", "text": "Hi!", "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": {
            "input_tokens": 3,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 2,
            "output_tokens_details": None,
            "server_tool_use": None,
            "cache_creation": None,
            "service_tier": None,
            "inference_geo": None,
        },
    }


# --- dialects -----------------------------------------------------------------------------------------------------


def test_the_dialect_starts_its_encoder_with_the_clients_model():
    request = decode(b'{"model":"asked-for","max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}')
    assert DIALECT.encoder is not None
    assert json.loads(DIALECT.encoder(request, CREATED).body([START, STOP]))["model"] == "asked-for"
    assert sent(DIALECT.ping) == [{"type": "ping"}]


def test_a_count_is_the_whole_prompt():
    assert COUNTING.decode is not None
    assert COUNTING.encoder is not None
    request = COUNTING.decode(b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}')
    encode = COUNTING.encoder(request, CREATED)
    for events, tokens in (([UsageReport(Usage(input_tokens=7, cache_read_tokens=3)), STOP], 7), ([STOP], 0)):
        found = MessageTokensCount.model_validate_json(encode.body(events))
        assert found.input_tokens == tokens
        assert encode.stream(events) == b""


# --- any answer ---------------------------------------------------------------------------------------------------

TEXT = st.text(max_size=6)
CHOICE = st.sampled_from([0, 0, 0, 1])
CONTENT = st.sampled_from(
    [
        ("annotations", CHAT_CITATION),
        ("citations", PLACE),
        ("provider_content", SERVER_TOOL),
        ("provider_content", RESULT),
        ("provider_content", Raw(b'{\n"a": [1,\r\n 2]}')),
    ]
)
DELTA = st.one_of(
    st.builds(TextDelta, TEXT, CHOICE),
    st.builds(RefusalDelta, TEXT, CHOICE),
    st.builds(ReasoningDelta, TEXT, st.integers(0, 2), st.none() | TEXT, choice=CHOICE),
    st.builds(ReasoningDelta, block=st.integers(0, 2), redacted=TEXT, choice=CHOICE),
    st.builds(ToolCallDelta, st.integers(0, 2), choice=CHOICE),
    st.builds(lambda content, choice: ContentDelta(*content, choice), CONTENT, CHOICE),
)
ARGUMENTS = st.dictionaries(TEXT, TEXT | st.lists(TEXT, max_size=2), max_size=2).map(json.dumps)


def argued(deltas: list[Event], arguments: list[str]) -> list[Event]:
    """With an id and a name on the first piece of every call, positions in order of appearance, and the arguments of
    each call cut into as many pieces as it has."""
    counts: dict[tuple[int, int], int] = {}
    for event in deltas:
        if isinstance(event, ToolCallDelta):
            counts[event.choice, event.position] = counts.get((event.choice, event.position), 0) + 1
    places: dict[tuple[int, int], int] = {}
    said = dict.fromkeys(counts, 0)
    done: list[Event] = []
    for event in deltas:
        if isinstance(event, ToolCallDelta):
            key = (event.choice, event.position)
            is_first = key not in places
            place = places.setdefault(key, sum(choice == event.choice for choice, _ in places))
            whole = arguments[place]
            step = -(-len(whole) // counts[key])
            piece = whole[said[key] : said[key] + step]
            said[key] += step
            names = (f"call_{place}", "f") if is_first else (None, None)
            event = ToolCallDelta(place, *names, piece, event.choice)
        done.append(event)
    return done


ANSWERS = st.builds(
    lambda deltas, arguments, usage, end: [START, *argued(deltas, arguments), *usage, end],
    st.lists(DELTA, max_size=12),
    st.lists(ARGUMENTS, min_size=3, max_size=3),
    st.lists(st.builds(UsageReport, st.builds(Usage, st.integers(0, 9), st.integers(0, 9))), max_size=1),
    st.builds(Finish, st.sampled_from(FinishReason)),
)


@given(ANSWERS)
def test_a_stream_adds_up_to_the_plain_answer(events):
    plain, found = answer(*events[1:]), folded(streamed(*events[1:]))
    for block in found["content"]:
        arguments = block.pop("json")
        if block["type"] in ("tool_use", "server_tool_use"):
            block["input"] = json.loads(arguments)
    assert found == plain


@given(ANSWERS)
def test_everything_said_arrives_once(events):
    spoken = [event for event in events if getattr(event, "choice", 1) == 0]
    found = folded(streamed(*events[1:]))["content"]
    text = "".join(block["text"] for block in found if block["type"] == "text")
    assert text == "".join(event.text for event in spoken if isinstance(event, TextDelta | RefusalDelta))
    thought = "".join(block["thinking"] for block in found if block["type"] == "thinking")
    assert thought == "".join(event.text for event in spoken if isinstance(event, ReasoningDelta))
    for position in range(3):
        pieces = [
            event.arguments for event in spoken if isinstance(event, ToolCallDelta) and event.position == position
        ]
        calls = [block["json"] for block in found if block.get("id") == f"call_{position}"]
        assert calls == (["".join(pieces)] if pieces else [])


@given(ANSWERS)
def test_the_official_client_puts_a_stream_together(events):
    snapshot, json_bufs = None, {}
    for event in streamed(*events[1:]):
        snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=json_bufs)
    assert snapshot is not None
    found, plain = snapshot.model_dump(exclude_none=True), Message.model_validate(answer(*events[1:]))
    for block in found["content"]:
        block.pop("parsed_output", None)
    assert found == plain.model_dump(exclude_none=True)


@given(ANSWERS)
def test_it_does_not_matter_how_events_are_grouped(events):
    one_by_one = encoder()
    assert b"".join(one_by_one.stream([event]) for event in events) == encoder().stream(events)


NAME = st.none() | TEXT
PIECE = st.sampled_from(["", "{", "}", '"', "\\", "{}", " "])
FIELD = st.sampled_from(["annotations", "citations", "provider_content", "stop_details"])
WILD = st.one_of(
    DELTA,
    st.builds(ToolCallDelta, st.integers(0, 2), NAME, NAME, PIECE),
    st.builds(ContentDelta, FIELD, st.just(Raw(b"{}"))),
    st.just(START),
    st.just(Vector(0, [])),
    st.builds(UsageReport, st.just(Usage(1, 2))),
    st.just(Fault("x")),
    st.just(STOP),
)


@given(st.lists(WILD, max_size=15))
def test_any_events_make_a_sound_stream_with_one_end(events):
    found = [event["type"] for event in sent(encoder().stream([*events, STOP]))]
    assert [kind for kind in found if kind in ("error", "message_stop")] == found[-1:]
    encoder().body(events)
