import json
from typing import Any

import pytest

from gateway.core.errors import BadRequest
from gateway.core.limits import MAX_MESSAGES
from gateway.core.types import (
    DialectName,
    Image,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.dialects.openai_responses_request import ResponsesRequest, decode

USER = {"role": "user", "content": "Hi"}
SAID = Message(Role.USER, [Text("Hi")])


def request(*items: Any, **members: Any) -> ResponsesRequest:
    return decode(json.dumps({"model": "m", "input": list(items), **members}).encode())


def messages(*items: Any) -> list[Message]:
    return request(*items).messages


def parts(*items: Any) -> list:
    """What the assistant did, in one message."""
    [message] = messages(*items)
    assert message.role is Role.ASSISTANT
    return message.parts


def refused(*items: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        messages(*items)
    return caught.value


def plain(extra: dict) -> dict[str, Any]:
    return {name: json.loads(bytes(raw)) for name, raw in extra.items()}


# --- messages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["user", "system", "developer", "assistant"])
@pytest.mark.parametrize("content", ["Hi", [{"type": "input_text", "text": "Hi"}]])
@pytest.mark.parametrize("frame", [{}, {"type": "message", "id": "msg_1", "status": "completed", "phase": None}])
def test_each_spelling_of_a_message_is_read(role, content, frame):
    assert messages({**frame, "role": role, "content": content}) == [Message(Role(role), [Text("Hi")])]


def test_a_string_is_what_the_user_says():
    assert decode(b'{"model":"m","input":"Hi"}').messages == [SAID]


def test_instructions_come_first():
    system = Message(Role.SYSTEM, [Text("Be brief.")])
    assert request(USER, instructions="Be brief.").messages == [system, SAID]
    developer = {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]}
    found = request(USER, instructions=[developer]).messages
    assert found == [Message(Role.DEVELOPER, [Text("Be brief.")]), SAID]
    assert request(USER, instructions="").messages == [SAID]


def test_unknown_members_of_a_message_are_kept():
    [found] = messages({**USER, "id": "msg_1", "phase": "commentary", "weight": 1, "x": None})
    assert plain(found.extra) == {"phase": "commentary", "weight": 1}


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": []}])
def test_a_user_must_say_something(content):
    assert refused({"role": "user", **content}).param == "input[0].content"


def test_an_empty_answer_is_no_answer():
    nothing = {"role": "assistant", "content": [{"type": "output_text", "text": "", "annotations": []}]}
    assert messages(USER, nothing, {"role": "assistant", "content": ""}) == [SAID]


@pytest.mark.parametrize("role", ["tool", "robot", None])
def test_a_role_must_be_known(role):
    assert refused(USER, {"type": "message", "role": role, "content": "x"}).param == "input[1].role"


# --- what the model did -------------------------------------------------------------------------------------------

CALL = {
    "type": "function_call",
    "id": "fc_1",
    "status": "completed",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city": "Oslo"}',
}
OUTPUT = {"type": "function_call_output", "id": "fco_1", "call_id": "call_1", "output": "Rain", "status": None}


def test_items_of_one_answer_are_one_message():
    found = messages(
        USER,
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
        CALL,
        {**CALL, "id": "fc_2", "call_id": "call_2", "arguments": "{"},
        OUTPUT,
        {**OUTPUT, "call_id": "call_2"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    )
    assert found == [
        SAID,
        Message(
            Role.ASSISTANT,
            [
                Reasoning("Hm."),
                Text("Let me see."),
                ToolCall("call_1", "weather", '{"city": "Oslo"}'),
                ToolCall("call_2", "weather", "{"),
            ],
        ),
        Message(Role.TOOL, [ToolResult("call_1", [Text("Rain")])]),
        Message(Role.TOOL, [ToolResult("call_2", [Text("Rain")])]),
        Message(Role.ASSISTANT, [Refusal("No.")]),
    ]


def test_a_call_in_a_namespace_has_a_flat_name():
    [found] = parts({**CALL, "namespace": "ns", "arguments": None})
    assert found == ToolCall("call_1", "ns__weather", "")


def test_a_call_without_a_call_id_goes_by_its_id():
    [found] = parts({**CALL, "call_id": None})
    assert found.id == "fc_1"
    assert refused({"type": "function_call", "name": "f", "arguments": "{}"}).param == "input[0].call_id"


def test_unknown_members_of_calls_and_outputs_are_kept():
    [call] = parts({**CALL, "caller": {"type": "direct"}})
    assert plain(call.extra) == {"caller": {"type": "direct"}}
    [message] = messages({**OUTPUT, "name": "weather", "namespace": "ns", "x": 1})
    [result] = message.parts
    assert plain(result.extra) == {"x": 1}


def test_a_tool_may_answer_with_pictures():
    image = {"type": "input_image", "file_id": "file-1"}
    [message] = messages({**OUTPUT, "output": [{"type": "input_text", "text": "a"}, image]})
    assert message == Message(Role.TOOL, [ToolResult("call_1", [Text("a"), Image(file_id="file-1")])])


@pytest.mark.parametrize("output", [{}, {"output": None}])
def test_a_tool_output_has_an_output(output):
    assert refused({"type": "function_call_output", "call_id": "c", **output}).param == "input[0].output"


def test_a_tool_does_not_answer_with_sounds():
    sound = {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}}
    assert refused({**OUTPUT, "output": [sound]}).param == "input[0].output[0].type"


def test_free_text_for_a_tool_is_a_call_with_one_argument():
    found = messages(
        {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "patch", "input": 'a "b"\n'},
        {"type": "custom_tool_call_output", "call_id": "call_1", "output": "Done"},
    )
    call = ToolCall("call_1", "patch", '{"input":"a \\"b\\"\\n"}')
    assert found == [
        Message(Role.ASSISTANT, [call]),
        Message(Role.TOOL, [ToolResult("call_1", [Text("Done")])]),
    ]


# --- reasoning ----------------------------------------------------------------------------------------------------

SUMMARY = [{"type": "summary_text", "text": "Hm."}]


@pytest.mark.parametrize(
    ("sealed", "found"),
    [
        (None, Reasoning("Hm.")),
        ("", Reasoning("Hm.")),
        ("gAAA", Reasoning("Hm.", signature="gAAA", origin=DialectName.OPENAI_RESPONSES, id="rs_1")),
        ("anthropic_messages::c2ln", Reasoning("Hm.", signature="c2ln")),
        ("anthropic_messages.redacted::ZGF0YQ==", Reasoning("Hm.", redacted="ZGF0YQ==")),
        (
            "gemini_generate_content:t1:c2ln",
            Reasoning("Hm.", signature="c2ln", origin=DialectName.GEMINI_GENERATE_CONTENT, id="t1"),
        ),
    ],
)
def test_a_proof_of_thought_is_known_by_its_origin(sealed, found):
    item = {"type": "reasoning", "id": "rs_1", "summary": SUMMARY, "content": None, "encrypted_content": sealed}
    assert parts(item) == [found]


def test_a_late_proof_stands_before_the_words_it_belongs_to():
    late = {"type": "reasoning", "summary": [], "encrypted_content": "gemini_generate_content.late::c2ln"}
    proof = Reasoning(signature="c2ln", origin=DialectName.GEMINI_GENERATE_CONTENT)
    words = {"type": "message", "role": "assistant", "content": "Hello."}
    assert parts(words, late) == [proof, Text("Hello.")]
    # with nothing to stand before it stays where it is
    assert parts(late) == [proof]
    assert parts(CALL, late)[1:] == [proof]


def test_thought_is_a_summary_or_the_thing_itself():
    content = [{"type": "reasoning_text", "text": "a"}, {"type": "reasoning_text", "text": "b"}]
    assert parts({"type": "reasoning", "summary": [], "content": content}) == [Reasoning("a\n\nb")]
    assert parts({"type": "reasoning", "summary": SUMMARY, "content": content}) == [Reasoning("Hm.")]


@pytest.mark.parametrize("sealed", [None, "", "anthropic_messages::", "gemini_generate_content.redacted::"])
def test_a_thought_of_nothing_is_left_out(sealed):
    assert messages({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed}, USER) == [SAID]


# --- other items --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "item",
    [
        {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
        {"type": "mcp_approval_response", "approval_request_id": "m", "approve": True},
        {"type": "compaction", "encrypted_content": "gAAA"},
        {"type": "item_of_next_year", "x": None},
    ],
)
def test_what_only_openai_understands_stays_whole_and_in_place(item):
    before, found, after = parts(CALL, item, {**CALL, "call_id": "call_2"})
    assert (before.id, after.id) == ("call_1", "call_2")
    assert isinstance(found, Opaque)
    assert (found.kind, found.origin) == (item["type"], DialectName.OPENAI_RESPONSES)
    assert json.loads(bytes(found.value)) == item
    assert list(json.loads(bytes(found.value))) == list(item)


@pytest.mark.parametrize("item", [{"type": "item_reference", "id": "rs_1"}, {"id": "rs_1"}, {"type": None, "id": "a"}])
def test_a_reference_cannot_be_resolved(item):
    error = refused(USER, item)
    assert error.param == "input[1].id"
    assert "not stored" in error.message


def test_an_item_is_of_some_type():
    assert refused({"content": "x"}).param == "input[0].type"
    assert refused({"type": 5}).param == "input[0].type"
    assert refused("x").param == "input[0]"


def test_tools_may_come_with_the_input():
    tools = [{"type": "function", "name": "f"}, {"type": "web_search"}]
    found = request({"type": "additional_tools", "role": "developer", "tools": tools}, USER)
    assert [tool.name for tool in found.tools] == ["f"]
    assert [tool.kind for tool in found.hosted_tools] == ["web_search"]
    assert found.messages == [SAID]
    wrong = {"type": "additional_tools", "tools": [{"type": "function"}]}
    assert refused(USER, wrong).param == "input[1].tools[0].name"


def test_the_number_of_items_is_bounded():
    assert len(messages(*[USER] * MAX_MESSAGES)) == MAX_MESSAGES
    assert refused(*[USER] * (MAX_MESSAGES + 1)).param == "input"
