"""Messages as contents of generateContent: turns, calls and results, signatures, pictures and documents."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import (
    Audio,
    ChatRequest,
    DialectName,
    File,
    Finish,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    ReasoningDelta,
    Refusal,
    Role,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolResult,
    raw_json,
)
from providers.generate_content.answer import read_answer
from providers.generate_content.request import to_wire
from providers.generate_content.turns import UNSIGNED

GEMINI = DialectName.GEMINI_GENERATE_CONTENT
NEW, OLD = "gemini-3.5-flash", "gemini-2.5-flash"
CALL = ToolCall("call_1", "look", '{"place": "here"}')
PDF = "JVBERi0xLjQK"


def user(*parts: Part | str) -> Message:
    return Message(Role.USER, [Text(part) if isinstance(part, str) else part for part in parts])


def model(*parts: Part | str) -> Message:
    return Message(Role.ASSISTANT, [Text(part) if isinstance(part, str) else part for part in parts])


def result(call_id: str, *parts: Text | Image | File, is_error: bool = False) -> Message:
    return Message(Role.TOOL, [ToolResult(call_id, list(parts), is_error)])


def body_of(*messages: Message, to: str = NEW) -> dict[str, Any]:
    request = ChatRequest(model="asked-for", messages=list(messages))
    written: dict[str, Any] = json.loads(to_wire(request, to).body)
    return written


def contents(*messages: Message, to: str = NEW) -> list[tuple[str, list[dict[str, Any]]]]:
    return [(turn["role"], turn["parts"]) for turn in body_of(*messages, to=to)["contents"]]


def dropped(*messages: Message, to: str = NEW) -> tuple[str, ...]:
    return to_wire(ChatRequest(model="asked-for", messages=list(messages)), to).dropped


def call(signature: str | None = None, name: str = "look", call_id: str = "call_1") -> dict[str, Any]:
    part: dict[str, Any] = {"functionCall": {"id": call_id, "name": name, "args": {"place": "here"}}}
    return {**part, "thoughtSignature": signature} if signature else part


def response(value: object, call_id: str = "call_1", kind: str = "result") -> dict[str, Any]:
    return {"functionResponse": {"id": call_id, "name": "look", "response": {kind: value}}}


# --- turns ----------------------------------------------------------------------------------------------------------


def test_turns_have_two_roles_and_alternate() -> None:
    chat = (user("a"), user("b"), model("c"), model(Refusal("d")), user("e"))
    assert contents(*chat) == [
        ("user", [{"text": "a"}, {"text": "b"}]),
        ("model", [{"text": "c"}, {"text": "d"}]),
        ("user", [{"text": "e"}]),
    ]


def test_system_and_developer_messages_are_the_instruction_wherever_they_stand() -> None:
    later = Message(Role.DEVELOPER, [Text("late")])
    body = body_of(Message(Role.SYSTEM, [Text("early")]), user("hi"), model("yes"), later, user("go"))
    assert body["systemInstruction"] == {"parts": [{"text": "early"}, {"text": "late"}]}
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]


def test_a_chat_of_system_messages_alone_is_the_users() -> None:
    body = body_of(Message(Role.SYSTEM, [Text("alone")]))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "alone"}]}]}


def test_a_model_without_an_instruction_reads_it_first() -> None:
    body = body_of(Message(Role.SYSTEM, [Text("be")]), user("hi"), to="gemma-3-27b-it")
    assert body == {"contents": [{"role": "user", "parts": [{"text": "be"}, {"text": "hi"}]}]}


def test_empty_texts_and_messages_are_left_out() -> None:
    assert contents(user("", "a"), model(""), user("b")) == [("user", [{"text": "a"}, {"text": "b"}])]


@pytest.mark.parametrize("messages", [[user("")], [user()], [model(Reasoning("x"))]])
def test_an_empty_chat_is_refused(messages: list[Message]) -> None:
    with pytest.raises(BadRequest, match="needs a message") as refused:
        body_of(*messages)
    assert refused.value.param == "messages"


def test_members_without_a_place_are_named_and_empty_ones_are_not() -> None:
    noted = Message(Role.ASSISTANT, [Text("b")], extra={"annotations": raw_json([]), "audio": raw_json({"id": "a"})})
    marked = Text("a", {"cache_control": raw_json({"type": "ephemeral"})})
    chat = (Message(Role.USER, [marked], name="Ada"), noted, user("c"))
    assert dropped(*chat) == ("messages.name", "content.cache_control", "messages.audio")


def test_a_system_message_is_text() -> None:
    with pytest.raises(BadRequest) as refused:
        body_of(Message(Role.SYSTEM, [Image(url="https://x.example/a.png")]), user("hi"))
    assert refused.value.param == "messages[0].content"


# --- calls and results ----------------------------------------------------------------------------------------------


def test_a_result_bears_the_name_of_its_function() -> None:
    chat = (user("ask"), model("try", CALL), result("call_1", Text("found")))
    assert contents(*chat, to=OLD) == [
        ("user", [{"text": "ask"}]),
        ("model", [{"text": "try"}, call()]),
        ("user", [response("found")]),
    ]


def test_results_are_wrapped() -> None:
    chat = (user("ask"), model(CALL))
    assert contents(*chat, result("call_1"), to=OLD)[-1][1] == [response("")]
    assert contents(*chat, result("call_1", Text('{"a":1}')), to=OLD)[-1][1] == [response('{"a":1}')]
    assert contents(*chat, result("call_1", Text("a"), Text("b")), to=OLD)[-1][1] == [response(["a", "b"])]
    failed = result("call_1", Text("no"), is_error=True)
    assert contents(*chat, failed, to=OLD)[-1][1] == [response("no", kind="error")]


def test_parallel_results_are_one_turn_in_the_order_of_their_calls() -> None:
    second = ToolCall("call_2", "look", "")
    chat = (
        *(user("ask"), model(CALL, second), result("call_2", Text("two"))),
        *(result("call_1", Text("one")), user("so?")),
    )
    _, (_, calls), (_, results) = contents(*chat, to=OLD)
    assert calls[1] == {"functionCall": {"id": "call_2", "name": "look", "args": {}}}
    assert results == [response("one"), response("two", "call_2"), {"text": "so?"}]


def test_a_result_may_name_its_function_itself() -> None:
    named = Message(Role.TOOL, [ToolResult("call_9", [Text("x")])], name="look")
    assert contents(user("ask"), named) == [("user", [response("x", "call_9"), {"text": "ask"}])]


def test_a_result_without_a_call_is_refused() -> None:
    with pytest.raises(BadRequest, match="no tool call 'call_9'") as refused:
        body_of(user("ask"), result("call_9", Text("x")))
    assert refused.value.param == "messages[1].tool_call_id"


@pytest.mark.parametrize("arguments", ['{"a":', "[1]", '"a"', "nonsense", "\ud800"])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    with pytest.raises(BadRequest) as refused:
        body_of(user("ask"), model(CALL, ToolCall("call_2", "look", arguments)))
    assert refused.value.param == "messages[1].tool_calls[1].function.arguments"


def test_a_picture_stands_inside_a_result_where_the_model_takes_it() -> None:
    picture = Image(data="iVBO", media_type="image/png")
    chat = (user("ask"), model(CALL), result("call_1", Text("see"), picture))
    inline = {"inlineData": {"mimeType": "image/png", "data": "iVBO"}}
    inside = response("see")
    inside["functionResponse"]["parts"] = [inline]
    assert contents(*chat)[-1][1] == [inside]
    assert contents(*chat, to=OLD)[-1][1] == [response("see"), inline]


def test_what_a_result_cannot_hold_stands_behind_it() -> None:
    far = Image(url="https://x.example/a.png")
    chat = (user("ask"), model(CALL), result("call_1", far))
    uri = {"fileData": {"mimeType": "image/png", "fileUri": "https://x.example/a.png"}}
    assert contents(*chat)[-1][1] == [response(""), uri]


# --- signatures -----------------------------------------------------------------------------------------------------


def signed(signature: str, text: str = "") -> Reasoning:
    return Reasoning(text, signature, origin=GEMINI)


def test_a_signature_goes_on_the_part_that_follows() -> None:
    chat = (user("ask"), model(signed("s1", "hm"), CALL), result("call_1", Text("x")))
    assert contents(*chat)[1] == ("model", [{"text": "hm", "thought": True}, call("s1")])
    assert dropped(*chat) == ()


def test_a_signature_at_the_end_goes_on_the_part_before() -> None:
    assert contents(user("a"), model("b", signed("s1")))[1][1] == [{"text": "b", "thoughtSignature": "s1"}]


def test_a_signature_alone_stands_on_an_empty_text() -> None:
    thought = [{"text": "hm", "thought": True}, {"text": "", "thoughtSignature": "s1"}]
    assert contents(user("a"), model(signed("s1", "hm")))[1][1] == thought


def test_several_in_a_row_are_given_out_in_order() -> None:
    second = ToolCall("call_2", "look", '{"place":"here"}')
    parts = contents(user("a"), model(signed("s1"), signed("s2"), CALL, second))[1][1]
    assert parts == [call("s1"), call("s2", call_id="call_2")]


def test_a_call_takes_back_the_signature_that_all_thought_in_front_gave_to_a_text() -> None:
    parts = contents(user("a"), model(signed("s1"), "let me look", CALL))[1][1]
    assert parts == [{"text": "let me look"}, call("s1")]


def test_a_call_of_the_current_turn_that_lost_its_signature_may_pass() -> None:
    second = ToolCall("call_2", "look", '{"place":"here"}')
    chat = (
        *(user("before"), model(CALL), result("call_1", Text("x")), model("done")),
        *(user("now"), model(CALL, second), result("call_1", Text("x")), result("call_2", Text("y"))),
        *(model(CALL), result("call_1", Text("z"))),
    )
    turns = contents(*chat)
    assert turns[1][1] == [call()], "an earlier turn is not checked"
    assert turns[5][1] == [call(UNSIGNED), call(call_id="call_2")], "of parallel calls only the first is checked"
    assert turns[7][1] == [call(UNSIGNED)], "each step of the turn is checked"


def test_older_models_check_no_signatures() -> None:
    chat = (user("ask"), model(CALL), result("call_1", Text("x")))
    assert contents(*chat, to=OLD)[1][1] == [call()]


def test_a_signature_of_googles_openai_endpoint_is_taken() -> None:
    extra = {"extra_content": raw_json({"google": {"thought_signature": "s1"}})}
    chat = (user("ask"), model(ToolCall("call_1", "look", '{"place":"here"}', extra)))
    assert contents(*chat)[1][1] == [call("s1")]
    assert dropped(*chat) == ()
    odd = ToolCall("call_1", "look", "{}", {"extra_content": raw_json({"google": 5})})
    assert dropped(user("ask"), model(odd)) == ("tool_calls.extra_content",)


@pytest.mark.parametrize(
    "foreign",
    [
        Reasoning("hm", "s1"),
        Reasoning("hm", "s1", origin=DialectName.OPENAI_RESPONSES, id="rs_1"),
        Reasoning(redacted="opaque"),
        Reasoning("hm"),
        Reasoning("hm", origin=GEMINI),
    ],
)
def test_what_is_no_proof_of_googles_is_left_out_and_named_once(foreign: Reasoning) -> None:
    chat = (user("a"), model(foreign, "b", foreign, "c"))
    assert contents(*chat)[1][1] == [{"text": "b"}, {"text": "c"}]
    assert dropped(*chat) == ("reasoning_content",)


def test_a_part_of_googles_own_goes_back_as_it_came() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "print(1)"}, "thoughtSignature": "s9"}
    own = Opaque("executableCode", raw_json(code), GEMINI)
    other = Opaque("server_tool_use", raw_json({"type": "server_tool_use"}), DialectName.ANTHROPIC_MESSAGES)
    chat = (user("a"), model(own, other, "b"))
    assert contents(*chat)[1][1] == [code, {"text": "b"}]
    assert dropped(*chat) == ("content.server_tool_use",)
    with pytest.raises(BadRequest):
        body_of(user("a"), model(Opaque("x", raw_json([1]), GEMINI)))


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
signatures = st.text("abcdef0123", min_size=4, max_size=8)
calls = st.builds(ToolCall, texts, texts, st.sampled_from(["{}", '{"a":[1,"x"]}']))


@given(st.lists(st.tuples(st.booleans(), texts, signatures, st.builds(Text, texts) | calls), min_size=1, max_size=4))
def test_an_answer_that_goes_back_is_what_it_was(said: list[tuple[bool, str, str, Text | ToolCall]]) -> None:
    """core -> wire -> core, for answers as these models write them: thought, its signature, what it belongs to."""
    parts: list[Part] = []
    for is_thought, thought, signature, part in said:
        parts += [*([signed(signature, thought)] if is_thought else ()), part]
    turn = body_of(user("ask"), Message(Role.ASSISTANT, parts), to=OLD)["contents"][1]
    candidate = {"candidates": [{"content": turn, "finishReason": "STOP"}]}
    events = read_answer(json.dumps(candidate).encode())
    assert isinstance(events[-1], Finish)
    first_call = next((place for place, part in enumerate(parts) if isinstance(part, ToolCall)), None)
    if first_call is not None and not (first_call and isinstance(parts[first_call - 1], Reasoning)):
        return  # this one takes its signature from a text
    told: list[Part] = []
    thoughts = ""
    for event in events:
        if isinstance(event, ReasoningDelta):
            thoughts += event.text
            if event.signature:
                told.append(signed(event.signature, thoughts))
                thoughts = ""
        elif isinstance(event, TextDelta):
            told.append(Text(event.text))
        elif isinstance(event, ToolCallDelta):
            told.append(ToolCall(event.id or "", event.name or "", event.arguments))
    assert told == parts


# --- pictures, documents, sounds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (Image(data="aaaa", media_type="image/webp"), ("image/webp", "aaaa")),
        (Image(data="aaaa", media_type="image/jpg"), ("image/jpeg", "aaaa")),
        (File(data=PDF, media_type="application/octet-stream"), ("application/pdf", PDF)),
        (File(data="aaaa", media_type="application/json"), ("text/plain", "aaaa")),
        (File(data="aaaa", media_type="text/csv"), ("text/csv", "aaaa")),
        (File(data="aaaa", filename="notes.MD"), ("text/plain", "aaaa")),
        (File(data="aaaa", media_type="video/mp4"), ("video/mp4", "aaaa")),
        (Audio("UklGRg==", "wav"), ("audio/wav", "UklGRg==")),
        (Audio("SUQz", "mp3"), ("audio/mp3", "SUQz")),
    ],
)
def test_data_goes_up_inline(part: Part, written: tuple[str, str]) -> None:
    media_type, data = written
    assert contents(user(part)) == [("user", [{"inlineData": {"mimeType": media_type, "data": data}}])]


FILES = "https://generativelanguage.googleapis.com/v1beta/files/abc"


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (Image(url="https://x.example/a.PNG?v=1"), {"mimeType": "image/png", "fileUri": "https://x.example/a.PNG?v=1"}),
        (Image(url="https://x.example/a"), {"fileUri": "https://x.example/a"}),
        (Image(url="https://[x"), {"fileUri": "https://[x"}),
        (File(url="gs://bucket/a.wav"), {"mimeType": "audio/wav", "fileUri": "gs://bucket/a.wav"}),
        (
            File(url="https://m.youtube.com/watch?v=lCd"),
            {"mimeType": "video/mp4", "fileUri": "https://m.youtube.com/watch?v=lCd"},
        ),
        (File(file_id="files/abc"), {"fileUri": FILES}),
        (File(file_id=FILES, media_type="audio/mpeg"), {"mimeType": "audio/mpeg", "fileUri": FILES}),
    ],
)
def test_an_address_goes_up_as_it_is(part: Part, written: dict[str, str]) -> None:
    assert contents(user(part)) == [("user", [{"fileData": written}])]


@pytest.mark.parametrize(
    ("part", "error"),
    [
        (File(file_id="file-123"), UnsupportedParameter),
        (Image(file_id="file-123"), UnsupportedParameter),
        (File(data="aaaa", media_type="application/zip"), UnsupportedParameter),
        (File(data="aaaa", filename="a.docx"), BadRequest),
        (Image(data="aaaa"), BadRequest),
        (Image(data="", media_type="image/png"), BadRequest),
        (Audio("", "wav"), BadRequest),
        (Audio("aaaa", "wav; x"), BadRequest),
    ],
)
def test_what_the_model_cannot_see_is_refused(part: Part, error: type[BadRequest]) -> None:
    with pytest.raises(error) as refused:
        body_of(user("see", part))
    assert refused.value.param == "messages[0].content"


def test_what_is_lost_of_a_picture_or_document_is_named() -> None:
    picture = Image(data="aaaa", media_type="image/png", detail="high")
    assert dropped(user(picture, File(data=PDF, filename="a.pdf"))) == ("image_url.detail", "file.filename")
    assert dropped(user(Image(data="aaaa", media_type="image/png", detail="auto"))) == ()
