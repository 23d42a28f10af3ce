"""Messages for chat completions."""

import base64
import json
from typing import Any

import pytest
from msgspec import Raw

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import (
    Audio,
    DialectName,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    raw_json,
)
from providers.openai_like.chat_options import COMPATIBLE, ChatOptions, Replay
from providers.openai_like.chat_turns import Conversation, write_messages

Json = dict[str, Any]
OPENAI = ChatOptions(title="OpenAI")
DETAILS = ChatOptions(title="OpenRouter", replay=Replay.DETAILS, part_members=frozenset(("cache_control",)))
PIXEL = Image(data="iVBO", media_type="image/png")
MARK = raw_json({"type": "ephemeral"})
LOOK = ToolCall("call_1", "look", '{"a" : 1}')


def message(role: Role, *parts: Part | str, **members: Any) -> Message:
    return Message(role, [Text(part) if isinstance(part, str) else part for part in parts], **members)


def user(*parts: Part | str, **members: Any) -> Message:
    return message(Role.USER, *parts, **members)


def assistant(*parts: Part | str, **members: Any) -> Message:
    return message(Role.ASSISTANT, *parts, **members)


def result(call_id: str, *parts: Text | Image | File, is_error: bool = False, **extra: Raw) -> Message:
    return Message(Role.TOOL, [ToolResult(call_id, list(parts), is_error, extra)])


def converse(*messages: Message, options: ChatOptions = OPENAI) -> Conversation:
    return write_messages(list(messages), options)


def turns(*messages: Message, options: ChatOptions = OPENAI) -> list[Json]:
    """What goes up, when nothing is dropped."""
    chat = converse(*messages, options=options)
    assert chat.dropped == []
    return json.loads(json.dumps(chat.turns, default=lambda raw: json.loads(bytes(raw))))  # type: ignore[no-any-return]


# --- texts ----------------------------------------------------------------------------------------------------------


def test_texts_keep_their_roles_order_and_names() -> None:
    said = turns(
        message(Role.SYSTEM, "Be brief"),
        message(Role.DEVELOPER, "And kind"),
        user("Hi", name="Ada"),
        assistant("Hello"),
    )
    assert said == [
        {"role": "system", "content": "Be brief"},
        {"role": "developer", "content": "And kind"},
        {"role": "user", "content": "Hi", "name": "Ada"},
        {"role": "assistant", "content": "Hello"},
    ]


def test_several_texts_stay_several() -> None:
    header = "x-anthropic-billing-header: cc_version=2"
    (said,) = turns(message(Role.SYSTEM, header, "You are an agent"))
    assert said["content"] == [{"type": "text", "text": header}, {"type": "text", "text": "You are an agent"}]


def test_a_late_system_message_stays_where_it_is_or_comes_first() -> None:
    row = [message(Role.SYSTEM, "One"), user("Hi"), message(Role.DEVELOPER, "Two", name="x"), assistant("Hello")]
    assert [turn["role"] for turn in turns(*row)] == ["system", "user", "developer", "assistant"]
    chat = converse(*row, options=COMPATIBLE)
    assert [turn["role"] for turn in chat.turns] == ["system", "user", "assistant"]
    assert [part["text"] for part in chat.turns[0]["content"]] == ["One", "Two"]
    assert chat.dropped == ["messages.name"]


def test_a_vendor_without_developers_has_system_messages() -> None:
    options = ChatOptions(has_developer_role=False)
    assert turns(user("Hi"), message(Role.DEVELOPER, "Be kind"), options=options)[1]["role"] == "system"


def test_system_messages_hold_text() -> None:
    with pytest.raises(BadRequest) as caught:
        converse(user("Hi"), message(Role.SYSTEM, PIXEL))
    assert caught.value.param == "messages[1].content"


def test_a_chat_without_a_word_is_refused() -> None:
    with pytest.raises(BadRequest):
        converse(message(Role.SYSTEM), user(), assistant())


# --- pictures, documents, sounds ------------------------------------------------------------------------------------


def test_pictures_go_by_url_or_as_data() -> None:
    (said,) = turns(user("See", Image(url="https://example.com/a.png", detail="high"), PIXEL))
    assert said["content"][1:] == [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
    ]


def test_a_picture_sent_as_a_document_is_a_picture() -> None:
    (said,) = turns(user(File(data="iVBO", media_type="image/png")))
    assert said["content"][0]["type"] == "image_url"


def test_documents_go_as_data_or_by_id() -> None:
    pdf = File(data="JVBERi0=", media_type="application/pdf")
    named = File(data="JVBERi0=", media_type="application/pdf", filename="a.pdf")
    (said,) = turns(user(pdf, named, File(file_id="file_1")))
    data = "data:application/pdf;base64,JVBERi0="
    assert [part["file"] for part in said["content"]] == [
        {"filename": "document.pdf", "file_data": data},
        {"filename": "a.pdf", "file_data": data},
        {"file_id": "file_1"},
    ]


def test_a_text_document_becomes_text_under_its_name() -> None:
    data = base64.b64encode("Größe".encode()).decode()
    (said,) = turns(user(File(data=data, media_type="text/plain", filename="a.txt")))
    assert said["content"] == "a.txt:\nGröße"


def test_sounds_go_as_they_came() -> None:
    (said,) = turns(user(Audio("UklGRg==", "wav")))
    assert said["content"] == [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]


@pytest.mark.parametrize(
    "part",
    [
        Image(file_id="file_1"),
        File(url="https://example.com/a.pdf"),
        File(data="/w==", media_type="text/plain"),
        Image(data="x"),
    ],
)
def test_what_has_no_place_is_refused_by_name(part: Part) -> None:
    with pytest.raises(BadRequest) as caught:
        converse(user("Hi"), user(part))
    assert caught.value.param == "messages[1].content"


def test_a_document_by_url_goes_where_it_is_taken() -> None:
    (said,) = turns(user(File(url="https://example.com/a.pdf")), options=ChatOptions(takes_file_urls=True))
    assert said["content"] == [{"type": "file", "file": {"file_data": "https://example.com/a.pdf"}}]


def test_an_assistant_message_holds_only_text() -> None:
    with pytest.raises(UnsupportedParameter):
        converse(user("Draw"), assistant(PIXEL), user("Again"))


# --- tools ----------------------------------------------------------------------------------------------------------


def test_calls_and_results_keep_ids_names_and_argument_text() -> None:
    said = turns(user("Hi"), assistant(LOOK, ToolCall("call_2", "other", " ")), result("call_1", Text("ok")))
    assert said[1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a" : 1}'}},
                {"id": "call_2", "type": "function", "function": {"name": "other", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "ok"},
    ]


def test_an_empty_result_stays_one() -> None:
    assert turns(assistant(LOOK), result("call_1"))[1]["content"] == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [("no such file", "Error: no such file"), ("Error 5", "Error 5"), ("ERROR", "ERROR"), ("", "Error: ")],
)
def test_a_failed_call_says_so(text: str, told: str) -> None:
    assert turns(assistant(LOOK), result("call_1", Text(text), is_error=True))[1]["content"] == told


def test_a_failed_call_without_a_word_says_so() -> None:
    assert turns(assistant(LOOK), result("call_1", is_error=True))[1]["content"] == "Error"


def test_pictures_of_tools_follow_all_results_of_the_turn() -> None:
    said = turns(
        assistant(LOOK, ToolCall("call_2", "look", "{}")),
        result("call_1", Text("one"), PIXEL),
        result("call_2", PIXEL),
        assistant("I see"),
    )
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
    assert [turn["role"] for turn in said] == ["assistant", "tool", "tool", "user", "assistant"]
    assert said[1]["content"] == "one"
    assert said[2]["content"] == "The result is attached to the next message."
    assert said[3]["content"] == [
        {"type": "text", "text": "Attachments from tool call call_1:"},
        picture,
        {"type": "text", "text": "Attachments from tool call call_2:"},
        picture,
    ]


@pytest.mark.parametrize("next_role", [Role.USER, Role.SYSTEM, None])
def test_pictures_of_tools_come_before_what_follows_them(next_role: Role | None) -> None:
    following = [] if next_role is None else [message(next_role, "Go on")]
    said = turns(assistant(LOOK), result("call_1", PIXEL), *following)
    assert said[2]["role"] == "user"
    texts = [part["text"] for part in said[2]["content"] if part["type"] == "text"]
    assert texts == ["Attachments from tool call call_1:"] + (["Go on"] if next_role is Role.USER else [])


def test_long_ids_of_calls_are_cut_alike_and_stay_apart() -> None:
    long = [f"toolu_{'x' * 60}{n}" for n in range(2)]
    said = turns(assistant(*(ToolCall(i, "look", "{}") for i in long)), *(result(i, Text("ok")) for i in long))
    ids = [call["id"] for call in said[0]["tool_calls"]]
    assert ids == [turn["tool_call_id"] for turn in said[1:]]
    assert len(set(ids)) == 2
    assert {len(call_id) for call_id in ids} == {40}
    assert turns(assistant(ToolCall(long[0], "look", "{}")), options=COMPATIBLE)[0]["tool_calls"][0]["id"] == long[0]


def test_only_an_assistant_calls_tools() -> None:
    with pytest.raises(BadRequest) as caught:
        converse(user("Hi", LOOK))
    assert caught.value.param == "messages[0]"


def test_a_turn_of_results_and_words_becomes_both() -> None:
    said = turns(assistant(LOOK), user("And now?", ToolResult("call_1", [Text("ok")])))
    assert [(turn["role"], turn["content"]) for turn in said[1:]] == [("tool", "ok"), ("user", "And now?")]


# --- thought and what is dropped ------------------------------------------------------------------------------------

SIGNED = Reasoning("2+2", '{"type":"reasoning.text","signature":"EpAD","index":0}', origin=DialectName.OPENAI_CHAT)
SEALED = Reasoning(redacted='{"type":"reasoning.encrypted","data":"gA"}', origin=DialectName.OPENAI_CHAT)
FOREIGN = Reasoning("secret", "c2ln")
BARE = Reasoning("bare")


def test_openai_takes_no_thought_back() -> None:
    chat = converse(assistant(BARE, SIGNED, "4"))
    assert chat.turns == [{"role": "assistant", "content": "4"}]
    assert chat.dropped == ["reasoning_content"]


def test_its_text_goes_back_where_texts_are_wanted() -> None:
    (turn,) = turns(assistant(BARE, Reasoning(" too"), LOOK), options=COMPATIBLE)
    assert turn["reasoning_content"] == "bare too"
    chat = converse(assistant(BARE, SEALED, "4"), options=COMPATIBLE)
    assert chat.turns[0]["reasoning_content"] == "bare"
    assert chat.dropped == ["reasoning_content"]


def test_details_go_back_as_they_came() -> None:
    (turn,) = turns(assistant(SIGNED, SEALED, BARE, "4"), options=DETAILS)
    assert turn["reasoning_details"] == [
        {"type": "reasoning.text", "text": "2+2", "signature": "EpAD", "index": 0},
        {"type": "reasoning.encrypted", "data": "gA"},
        {"type": "reasoning.text", "text": "bare", "format": "unknown"},
    ]


@pytest.mark.parametrize("foreign", [FOREIGN, Reasoning("x", "no detail", origin=DialectName.OPENAI_CHAT), Reasoning()])
def test_proofs_of_others_stay_here(foreign: Reasoning) -> None:
    chat = converse(assistant(foreign, "4"), options=DETAILS)
    assert chat.turns == [{"role": "assistant", "content": "4"}]
    assert chat.dropped == ["reasoning_content"]


def test_work_of_another_vendors_tools_is_dropped_by_name_and_may_leave_nothing() -> None:
    work = Opaque("server_tool_use", raw_json({}), DialectName.ANTHROPIC_MESSAGES)
    chat = converse(user("Hi", work), assistant(work))
    assert chat.turns == [{"role": "user", "content": "Hi"}]
    assert chat.dropped == ["content.server_tool_use", "content.server_tool_use"]


def test_refusals_and_audio_answers_go_back_as_themselves() -> None:
    (turn,) = turns(assistant(Refusal("No")))
    assert turn == {"role": "assistant", "content": None, "refusal": "No"}
    (turn,) = turns(assistant(audio := "", extra={"audio": raw_json({"id": "audio_1"})}))
    assert turn == {"role": "assistant", "content": audio, "audio": {"id": "audio_1"}}


def test_marks_for_a_cache_are_dropped_by_name_or_stand_on_texts() -> None:
    row = [
        user(Text("one", {"cache_control": MARK})),
        assistant(LOOK),
        result("call_1", Text("two"), cache_control=MARK),
        user("three", extra={"cache_control": MARK, "annotations": raw_json([])}),
    ]
    chat = converse(*row)
    assert chat.dropped == ["content.cache_control", "messages.cache_control", "messages.cache_control"]
    assert chat.turns[0] == {"role": "user", "content": "one"}
    for turn, text in zip(
        (t for t in turns(*row, options=DETAILS) if t["role"] != "assistant"), ("one", "two", "three"), strict=True
    ):
        assert turn["content"] == [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]


def test_members_nobody_knows_are_named() -> None:
    odd = {"odd": raw_json(1), "empty": raw_json([])}
    chat = converse(
        user(
            Text("a", odd), Image(url="https://x", extra=odd), File(file_id="f", extra=odd), Audio("UQ==", "mp3", odd)
        ),
        assistant(ToolCall("c", "n", "{}", odd), extra=odd),
    )
    assert chat.dropped == [*["content.odd"] * 4, "messages.odd", "tool_calls.odd"]
