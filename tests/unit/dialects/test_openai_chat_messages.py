import json
from typing import Any

import pytest

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.limits import MAX_MESSAGE_PARTS
from gateway.core.types import (
    Audio,
    DialectName,
    File,
    Image,
    Message,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.dialects.openai_chat_request import decode

PNG = "data:image/png;base64,iVBORw0KGgo="
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}


def messages(*given: dict[str, Any]) -> list[Message]:
    return decode(json.dumps({"model": "m", "messages": given}).encode()).messages


def message(**members: Any) -> Message:
    [found] = messages(members)
    return found


def parts(*content: dict[str, Any], role: str = "user") -> list:
    return message(role=role, content=list(content)).parts


def refused(*given: dict[str, Any]) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        messages(*given)
    return caught.value


def plain(extra: dict) -> dict[str, Any]:
    return {name: json.loads(bytes(raw)) for name, raw in extra.items()}


# --- roles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_a_string_is_one_text(role):
    assert message(role=role, content="Hi", name="n") == Message(Role(role), [Text("Hi")], name="n")


def test_the_order_of_keys_does_not_matter():
    assert message(content="Hi", role="user") == Message(Role.USER, [Text("Hi")])


def test_unknown_members_of_a_message_are_kept():
    found = message(role="system", content="s", cache_control={"type": "ephemeral"}, weight=None)
    assert plain(found.extra) == {"cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
def test_content_may_be_null_or_absent(role):
    assert message(role=role, content=None) == message(role=role) == Message(Role(role), [])


@pytest.mark.parametrize("members", [{}, {"content": None}, {"content": []}])
def test_a_user_must_say_something(members):
    assert refused({"role": "user", **members}).param == "messages[0].content"


def test_a_role_must_be_known():
    error = refused({"role": "user", "content": "x"}, {"role": "robot", "content": "x"})
    assert error.param == "messages[1].role"
    assert "'robot'" in error.message


# --- content ------------------------------------------------------------------------------------------------------


def test_text_parts_keep_what_clients_add():
    [first, second] = parts(
        {"type": "text", "text": "a", "cache_control": {"ttl": "5m"}}, {"text": "b", "type": "text"}
    )
    assert (first.text, plain(first.extra), second) == ("a", {"cache_control": {"ttl": "5m"}}, Text("b"))


@pytest.mark.parametrize(
    ("given_part", "found"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "high"}},
            Image(url="https://example.com/a.png", detail="high"),
        ),
        ({"type": "image_url", "image_url": {"url": "gs://bucket/a.png"}}, Image(url="gs://bucket/a.png")),
        ({"type": "image_url", "image_url": "https://example.com/a.png"}, Image(url="https://example.com/a.png")),
        (
            {"type": "image_url", "image_url": {"url": PNG, "detail": None}},
            Image(data="iVBORw0KGgo=", media_type="image/png"),
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/svg+xml;charset=utf-8,%3Csvg/%3E"}},
            Image(data="PHN2Zy8+", media_type="image/svg+xml"),
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:application/pdf;base64,QUJD"}},
            File(data="QUJD", media_type="application/pdf"),
        ),
        ({"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}}, Audio("QUJD", "wav")),
        ({"type": "file", "file": {"file_id": "file-1"}}, File(file_id="file-1")),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"}},
            File(data="QUJD", media_type="application/pdf", filename="a.pdf"),
        ),
        ({"type": "file", "file": {"file_data": "https://example.com/a.pdf"}}, File(url="https://example.com/a.pdf")),
    ],
)
def test_each_spelling_of_a_medium_becomes_its_own_part(given_part, found):
    assert parts(given_part) == [found]


@pytest.mark.parametrize(
    ("kind", "inner"),
    [
        ("image_url", {"url": PNG}),
        ("file", {"file_id": "file-1"}),
        ("input_audio", {"data": "QUJD", "format": "mp3"}),
    ],
)
def test_media_keep_unknown_members_of_both_levels(kind, inner):
    [found] = parts({"type": kind, kind: {**inner, "format_hint": "x"}, "cache_control": 1})
    assert plain(found.extra) == {"format_hint": "x", "cache_control": 1}


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({}, "type"),
        ({"type": 5}, "type"),
        ({"type": "text"}, "text"),
        ({"type": "text", "text": 5}, "text"),
        ({"type": "image_url"}, "image_url"),
        ({"type": "image_url", "image_url": 5}, "image_url"),
        ({"type": "image_url", "image_url": "aGVsbG8="}, "image_url"),
        ({"type": "image_url", "image_url": {}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": ""}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,?"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": PNG, "detail": 1}}, "image_url.detail"),
        ({"type": "input_audio", "input_audio": {"data": "QUJD"}}, "input_audio.format"),
        ({"type": "file", "file": {}}, "file"),
        ({"type": "file", "file": {"filename": "a.pdf"}}, "file"),
        ({"type": "file", "file": {"file_id": "f", "file_data": PNG}}, "file"),
        ({"type": "file", "file": {"file_data": "JVBERi0="}}, "file.file_data"),
    ],
)
def test_a_wrong_part_is_named(part, place):
    user = {"role": "user", "content": [{"type": "text", "text": "a"}, part]}
    error = refused({"role": "system", "content": "s"}, user)
    assert error.param == f"messages[1].content[1].{place}"
    assert not isinstance(error, UnsupportedParameter)


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        ("user", "video_url"),
        ("user", "thinking"),
        ("user", "refusal"),
        ("assistant", "tool_use"),
        ("tool", "input_audio"),
    ],
)
def test_a_part_of_a_kind_we_have_no_noun_for_is_unsupported(role, kind):
    error = refused({"role": role, "tool_call_id": "c", "content": [{"type": kind, kind: "x"}]})
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "messages[0].content[0].type"


def test_parts_are_bounded():
    part = {"type": "text", "text": "a"}
    assert refused({"role": "user", "content": [part] * (MAX_MESSAGE_PARTS + 1)}).param == "messages[0].content"


# --- assistant turns ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}, {"content": []}])
def test_tool_calls_may_come_without_words(content):
    found = message(role="assistant", tool_calls=[CALL], **content)
    assert found == Message(Role.ASSISTANT, [ToolCall("call_1", "weather", '{"city":"Oslo"}')])


def test_arguments_stay_text_even_when_they_are_no_json():
    broken = {"function": {"arguments": "{oops", "name": "weather"}, "id": "c", "type": "function", "index": 0}
    assert message(role="assistant", tool_calls=[broken]).parts == [ToolCall("c", "weather", "{oops")]


def test_a_call_keeps_unknown_members():
    call = {**CALL, "extra_content": {"google": {"thought_signature": "s"}}}
    [found] = message(role="assistant", tool_calls=[call]).parts
    assert plain(found.extra) == {"extra_content": {"google": {"thought_signature": "s"}}}


def test_the_order_is_reasoning_words_refusal_calls():
    found = message(
        tool_calls=[CALL],
        refusal="No.",
        content=[{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}],
        reasoning_content="r",
        role="assistant",
    )
    assert found.parts == [
        Reasoning("r"),
        Text("a"),
        Refusal("b"),
        Refusal("No."),
        ToolCall("call_1", "weather", '{"city":"Oslo"}'),
    ]


SIGNED = {"type": "thinking", "thinking": "r", "signature": "sig"}
REDACTED = {"type": "redacted_thinking", "data": "opaque"}


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"reasoning_content": "r"}, [Reasoning("r")]),
        ({"reasoning": "r"}, [Reasoning("r")]),
        ({"reasoning_content": None, "reasoning": "r"}, [Reasoning("r")]),
        ({"reasoning_content": ""}, []),
        (
            {"reasoning_content": "r", "thinking_blocks": [SIGNED, REDACTED]},
            [Reasoning("r", signature="sig"), Reasoning(redacted="opaque")],
        ),
        (
            {"thinking_blocks": [{"index": 0, "type": "thinking", "thinking": "", "signature": "sig"}]},
            [Reasoning(signature="sig")],
        ),
        ({"thinking_blocks": [{"type": "thinking", "thinking": "r", "signature": ""}]}, [Reasoning("r")]),
        ({"thinking_blocks": [], "reasoning_content": "r"}, [Reasoning("r")]),
    ],
)
def test_reasoning_is_replayed(members, found):
    replayed = message(role="assistant", content="a", **members)
    assert (replayed.parts, replayed.extra) == ([*found, Text("a")], {})


def test_thinking_may_stand_among_the_parts():
    text = {"type": "text", "text": "a"}
    assert parts(SIGNED, REDACTED, text, role="assistant") == [
        Reasoning("r", signature="sig"),
        Reasoning(redacted="opaque"),
        Text("a"),
    ]


def test_blocks_of_the_provider_s_tools_go_back_in_front_of_the_words():
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "é"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    item = {"type": "web_search_call", "id": "ws_1"}
    turn = message(role="assistant", content="a", thinking_blocks=[SIGNED], provider_content=[use, found, item])
    first, *blocks, last = turn.parts
    assert (first, last, turn.extra) == (Reasoning("r", signature="sig"), Text("a"), {})
    assert [(block.kind, json.loads(bytes(block.value)), block.origin) for block in blocks] == [
        ("server_tool_use", use, DialectName.ANTHROPIC_MESSAGES),
        ("web_search_tool_result", found, DialectName.ANTHROPIC_MESSAGES),
        ("web_search_call", item, DialectName.OPENAI_RESPONSES),
    ]


@pytest.mark.parametrize(
    "value", [3, "x", {"type": "x"}, [3], [{}], [{"type": 3}], [{"type": "x"}, {"executableCode": {}}]]
)
def test_provider_content_of_another_shape_is_one_more_unknown_member(value):
    found = message(role="assistant", content="a", provider_content=value)
    assert found.parts == [Text("a")]
    assert plain(found.extra) == {"provider_content": value}


@pytest.mark.parametrize(
    ("block", "found"),
    [
        (SIGNED, Reasoning("r", signature="sig")),
        (
            {"type": "thinking", "thinking": "r", "signature": "openai_responses:rs_1:gAAA:x"},
            Reasoning("r", signature="gAAA:x", origin=DialectName.OPENAI_RESPONSES, id="rs_1"),
        ),
        (
            {"type": "thinking", "thinking": "", "signature": "gemini_generate_content::AbC="},
            Reasoning("", signature="AbC=", origin=DialectName.GEMINI_GENERATE_CONTENT),
        ),
        (
            {"type": "thinking", "thinking": "", "signature": "openai_responses.redacted::E"},
            Reasoning("", redacted="E", origin=DialectName.OPENAI_RESPONSES),
        ),
        (
            {"type": "redacted_thinking", "data": "openai_responses:rs_2:gAAA"},
            Reasoning(redacted="gAAA", origin=DialectName.OPENAI_RESPONSES, id="rs_2"),
        ),
        ({"type": "thinking", "thinking": "r", "signature": "nobody:x:y"}, Reasoning("r", signature="nobody:x:y")),
        (
            {"type": "thinking", "thinking": "r", "signature": "openai_responses::"},
            Reasoning("r", origin=DialectName.OPENAI_RESPONSES),
        ),
    ],
)
def test_a_sealed_proof_tells_whose_it_is(block, found):
    assert message(role="assistant", content="", thinking_blocks=[block]).parts == [found]


def test_what_a_client_replays_beside_is_kept():
    found = message(
        role="assistant",
        content="a",
        annotations=[],
        reasoning_details=[{"type": "reasoning.text"}],
        audio=None,
    )
    assert plain(found.extra) == {"annotations": [], "reasoning_details": [{"type": "reasoning.text"}]}


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"tool_calls": {}}, "tool_calls"),
        ({"tool_calls": [{"id": "c"}]}, "tool_calls[0].function"),
        ({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}, "tool_calls[0].id"),
        ({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {}}}]}, "tool_calls[0].function.arguments"),
        ({"tool_calls": [CALL, {"id": "c", "type": "custom", "custom": {}}]}, "tool_calls[1].type"),
        ({"function_call": {"arguments": "{}"}}, "function_call.name"),
        ({"refusal": 5}, "refusal"),
        ({"reasoning_content": []}, "reasoning_content"),
        ({"thinking_blocks": [{"type": "thinking"}]}, "thinking_blocks[0].thinking"),
        ({"thinking_blocks": [SIGNED, {"type": "redacted_thinking"}]}, "thinking_blocks[1].data"),
        ({"thinking_blocks": [{"type": "other"}]}, "thinking_blocks[0].type"),
        ({"name": 5}, "name"),
    ],
)
def test_a_wrong_assistant_turn_is_named(members, place):
    assert refused({"role": "assistant", **members}).param == f"messages[0].{place}"


# --- tool results -------------------------------------------------------------------------------------------------


def test_a_tool_answers_with_text_or_parts():
    picture = {"type": "image_url", "image_url": {"url": PNG}}
    found = message(role="tool", tool_call_id="c", content=[{"type": "text", "text": "a"}, picture])
    image = Image(data="iVBORw0KGgo=", media_type="image/png")
    assert found == Message(Role.TOOL, [ToolResult("c", [Text("a"), image])])
    assert message(role="tool", tool_call_id="c", content="a").parts == [ToolResult("c", [Text("a")])]
    assert message(role="tool", tool_call_id="c", content=None).parts == [ToolResult("c", [])]


def test_what_stands_beside_a_result_belongs_to_the_result():
    found = message(role="tool", tool_call_id="c", content="a", name="f", cache_control={"type": "ephemeral"})
    [result] = found.parts
    assert (found.name, found.extra, plain(result.extra)) == ("f", {}, {"cache_control": {"type": "ephemeral"}})


def test_a_result_must_name_its_call():
    assert refused({"role": "tool", "content": "a"}).param == "messages[0].tool_call_id"


def test_the_function_calls_of_2023_get_ids_and_their_answers_find_them():
    call = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    other = {"role": "assistant", "function_call": {"name": "g", "arguments": "{}"}}
    found = messages(
        call,
        {"role": "function", "name": "f", "content": "first"},
        other,
        call,
        {"role": "function", "name": "f", "content": "second"},
        {"role": "function", "name": "g", "content": "third"},
    )
    calls = [part for turn in found for part in turn.parts if isinstance(part, ToolCall)]
    results = [part for turn in found for part in turn.parts if isinstance(part, ToolResult)]
    assert [(c.id, c.name) for c in calls] == [
        ("function_call_1", "f"),
        ("function_call_2", "g"),
        ("function_call_3", "f"),
    ]
    assert [(r.call_id, r.parts[0].text) for r in results] == [
        ("function_call_1", "first"),
        ("function_call_3", "second"),
        ("function_call_2", "third"),
    ]


def test_a_function_message_must_answer_a_call():
    error = refused({"role": "function", "name": "f", "content": "x"})
    assert error.param == "messages[0].name"
