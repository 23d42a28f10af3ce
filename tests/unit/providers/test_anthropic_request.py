"""Requests for the Messages API."""

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import (
    Audio,
    ChatRequest,
    File,
    Image,
    Message,
    Part,
    Reasoning,
    Refusal,
    ResponseFormat,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    raw_json,
)
from providers.claude.request import NATIVE_FIELDS, RULES, draft_request, encode_draft, to_wire
from providers.contract import ProviderRequest

SONNET_45 = "claude-sonnet-4-5"  # thinks by budget
OPUS_46 = "claude-opus-4-6"  # by budget and adaptively
OPUS_47 = "claude-opus-4-7"  # adaptively, when asked
OPUS_5 = "claude-opus-5"  # adaptively, unless asked not to
OPUS_55 = "claude-opus-5-5"  # always
HAIKU_35 = "claude-3-5-haiku-20241022"  # not at all

Json = dict[str, Any]


def user(*parts: Part | str, **extra: Any) -> Message:
    return message(Role.USER, *parts, **extra)


def assistant(*parts: Part | str, **extra: Any) -> Message:
    return message(Role.ASSISTANT, *parts, **extra)


def system(*parts: Part | str) -> Message:
    return message(Role.SYSTEM, *parts)


def result(call_id: str, *parts: Text | Image | str, is_error: bool = False) -> Message:
    given = [Text(p) if isinstance(p, str) else p for p in parts]
    return Message(Role.TOOL, [ToolResult(call_id, given, is_error)])


def message(role: Role, *parts: Part | str, **extra: Any) -> Message:
    return Message(role, [Text(p) if isinstance(p, str) else p for p in parts], extra=raws(extra))


def raws(members: Json) -> dict[str, Raw]:
    return {name: raw_json(value) for name, value in members.items()}


def translate(*messages: Message, model: str = SONNET_45, extra: Json | None = None, **members: Any) -> ProviderRequest:
    chat = list(messages) or [user("Hello")]
    return to_wire(ChatRequest(model="any", messages=chat, extra=raws(extra or {}), **members), model)


def wire(*messages: Message, **members: Any) -> Json:
    body: Json = json.loads(translate(*messages, **members).body)
    return body


def turns(*messages: Message, **members: Any) -> list[tuple[str, list[Json]]]:
    return [(turn["role"], turn["content"]) for turn in wire(*messages, **members)["messages"]]


def refusal(*messages: Message, **members: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        translate(*messages, **members)
    return caught.value


def text(words: str, **members: Any) -> Json:
    return {"type": "text", "text": words, **members}


def call(call_id: str = "toolu_1", name: str = "f", arguments: str = "{}") -> ToolCall:
    return ToolCall(call_id, name, arguments)


TOOL = Tool("f", "does it", Raw(b'{"type":"object","properties":{"x":{"type":"integer"}}}'))


# --- the frame ------------------------------------------------------------------------------------------------------


def test_a_plain_chat_says_what_it_must_and_no_more() -> None:
    assert wire(user("Hello"), max_tokens=100) == {
        "model": SONNET_45,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": [text("Hello")]}],
    }


def test_a_stream_is_asked_for() -> None:
    assert wire(stream=True)["stream"] is True


@pytest.mark.parametrize(
    ("model", "max_tokens"),
    [
        (SONNET_45, 64_000),
        ("claude-sonnet-4-5@20250929", 64_000),
        ("claude-opus-4-1-20250805", 32_000),
        ("claude-opus-4-20250514", 32_000),
        ("us.anthropic.claude-opus-4-6-v1", 128_000),
        ("claude-opus-4.8", 128_000),
        (OPUS_5, 128_000),
        ("claude-fable-5-1", 128_000),
        (HAIKU_35, 8192),
        ("claude-3-opus-20240229", 4096),
        ("claude-tomorrow-9", 32_000),
        ("minimax-m3", 32_000),
    ],
)
def test_without_a_bound_the_model_may_write_all_it_can(model: str, max_tokens: int) -> None:
    assert wire(model=model)["max_tokens"] == max_tokens


# --- messages -------------------------------------------------------------------------------------------------------


def test_leading_system_and_developer_messages_become_the_system_prompt() -> None:
    body = wire(system("Be brief."), message(Role.DEVELOPER, "Be kind."), user("Hi"))
    assert body["system"] == [text("Be brief."), text("Be kind.")]
    assert body["messages"] == [{"role": "user", "content": [text("Hi")]}]


def test_cache_marks_stay_on_their_block() -> None:
    mark = {"type": "ephemeral"}
    marked = Text("Long.", extra=raws({"cache_control": mark}))
    body = wire(system(marked), user("a", marked), assistant("b", cache_control=mark), user("c"))
    assert body["system"] == [text("Long.", cache_control=mark)]
    assert body["messages"][0]["content"] == [text("a"), text("Long.", cache_control=mark)]
    assert body["messages"][1]["content"] == [text("b", cache_control=mark)]


def test_a_later_system_message_joins_the_first_on_models_without_system_turns() -> None:
    body = wire(system("A"), user("1"), assistant("2"), system("B"), user("3"))
    assert body["system"] == [text("A"), text("B")]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]


def test_a_later_system_message_keeps_its_place_on_models_with_system_turns() -> None:
    assert turns(system("A"), user("1"), system("B"), assistant("2"), user("3"), model=OPUS_5) == [
        ("user", [text("1")]),
        ("system", [text("B")]),
        ("assistant", [text("2")]),
        ("user", [text("3")]),
    ]


def test_a_system_turn_waits_for_a_place_where_the_api_takes_one() -> None:
    chat = turns(
        user("1"), assistant(call()), system("B"), result("toolu_1", "ok"), system("C"), user("2"), model=OPUS_5
    )
    assert [role for role, _ in chat] == ["user", "assistant", "user", "system"]
    assert chat[-1] == ("system", [text("B"), text("C")])


def test_a_system_turn_that_finds_no_place_joins_the_system_prompt() -> None:
    body = wire(user("1"), assistant("2"), system("B"), model=OPUS_5)
    assert body["system"] == [text("B")]
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant"]


def test_system_messages_alone_are_the_question() -> None:
    body = wire(system("Write a poem."))
    assert body["messages"] == [{"role": "user", "content": [text("Write a poem.")]}]
    assert "system" not in body


def test_a_chat_without_content_is_refused() -> None:
    assert refusal(user(" \n")).param == "messages"


def test_pictures_in_a_system_message_are_refused() -> None:
    assert refusal(system(Image(url="https://example.com/a.png")), user("Hi")).param == "messages[0].content"


def test_turns_of_one_role_become_one_and_empty_text_is_left_out() -> None:
    chat = turns(user("a"), user("", "b"), assistant(" "), assistant("c", Refusal("no")), user("d"))
    assert chat == [
        ("user", [text("a"), text("b")]),
        ("assistant", [text("c"), text("no")]),
        ("user", [text("d")]),
    ]


def test_a_prefill_is_continued_and_loses_the_white_space_at_its_end() -> None:
    assert turns(user("Write"), assistant("def f(): \n"))[-1] == ("assistant", [text("def f():")])


def test_names_of_speakers_have_no_place() -> None:
    request = translate(Message(Role.USER, [Text("Hi")], name="Ann"))
    assert request.dropped == ("messages.name",)


def test_replayed_members_without_a_place_are_named_unless_they_are_empty() -> None:
    replayed = assistant("a", annotations=[], audio=None, function_call=None, provider_content=[{"type": "x"}])
    assert translate(user("1"), replayed, user("2")).dropped == ("messages.provider_content",)


# --- pictures and documents -----------------------------------------------------------------------------------------


def test_pictures_come_by_url_as_data_or_by_file() -> None:
    request = translate(
        user(
            Image(url="https://example.com/a.png", detail="auto"),
            Image(data="iVBORw0KGgo=", media_type="image/png"),
            Image(file_id="file_1"),
        )
    )
    assert [block["source"] for block in json.loads(request.body)["messages"][0]["content"]] == [
        {"type": "url", "url": "https://example.com/a.png"},
        {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
        {"type": "file", "file_id": "file_1"},
    ]
    assert request.headers == (("anthropic-beta", "files-api-2025-04-14"),)
    assert request.dropped == ()


def test_the_detail_of_a_picture_is_named_as_dropped() -> None:
    assert translate(user(Image(url="https://example.com/a.png", detail="low"))).dropped == ("image_url.detail",)


def encoded(content: str) -> str:
    return base64.b64encode(content.encode()).decode()


def test_documents_are_pdf_text_or_anything_by_url_or_file() -> None:
    pdf = encoded("%PDF-1.7 ...")
    documents = (
        File(data=pdf, media_type="application/pdf", filename="a.pdf"),
        File(data=pdf, media_type="application/octet-stream"),
        File(data=encoded("Zażółć"), media_type="text/markdown"),
        File(data=encoded("a,b"), filename="T.CSV"),
        File(data=encoded("{}"), media_type="application/ld+json"),
        File(url="https://example.com/a.pdf"),
        File(file_id="file_1", extra=raws({"citations": {"enabled": True}})),
    )
    pdf_source = {"type": "base64", "media_type": "application/pdf", "data": pdf}
    assert turns(user(*documents))[0][1] == [
        {"type": "document", "source": pdf_source, "title": "a.pdf"},
        {"type": "document", "source": pdf_source},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Zażółć"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}, "title": "T.CSV"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "{}"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}, "citations": {"enabled": True}},
    ]


def test_a_picture_sent_as_a_file_is_a_picture() -> None:
    (block,) = turns(user(File(data="iVBORw0KGgo=", media_type="image/png")))[0][1]
    assert block == {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
    }


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        (Audio("AAAA", "wav"), UnsupportedParameter),
        (File(data="UEsDBA==", media_type="application/zip"), UnsupportedParameter),
        (File(data="/w==", media_type="text/plain"), BadRequest),
        (File(data="%", media_type="text/plain"), BadRequest),
        (Image(data="iVBORw0KGgo="), BadRequest),
    ],
)
def test_content_the_api_has_no_block_for_is_refused(part: Part, kind: type[BadRequest]) -> None:
    error = refusal(user("a"), user(part))
    assert type(error) is kind
    assert error.param == "messages[1].content"


def test_a_refusal_names_the_provider() -> None:
    assert "anthropic" in refusal(user(Audio("AAAA", "wav"))).message


# --- tool calls and results -----------------------------------------------------------------------------------------


def test_calls_and_results_go_back_with_the_results_first_and_together() -> None:
    chat = turns(
        user("Weather?"),
        assistant(
            "Looking.", call("toolu_1", "f", '{"x": 1.0, "big": 12345678901234567890}'), call("toolu_2", "g", "")
        ),
        user("Be quick."),
        result("toolu_1", "40 C", Image(data="iVBORw0KGgo=", media_type="image/png")),
        result("toolu_2", "", is_error=True),
        user("And?"),
    )
    assert chat[1][1] == [
        text("Looking."),
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1.0, "big": 12345678901234567890}},
        {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
    ]
    assert [block["type"] for block in chat[2][1]] == ["tool_result", "tool_result", "text", "text"]
    assert [block["type"] for block in chat[2][1][0]["content"]] == ["text", "image"]
    assert chat[2][1][1] == {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True}


def test_arguments_go_up_byte_for_byte() -> None:
    arguments = '{"b": 1.50, "a" :\t"\\u00e9"}'
    body = translate(user("x"), assistant(call(arguments=arguments)), result("toolu_1", "y")).body
    assert arguments.encode() in body


@pytest.mark.parametrize("arguments", ["{", "[]", "3", '"text"', "nul", "{} {}", '{"a":NaN}', "[" * 10_000])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    error = refusal(user("x"), assistant(call(), call("toolu_2", "g", arguments)), result("toolu_1", "y"))
    assert error.param == "messages[1].tool_calls[1].function.arguments"


def test_ids_of_other_makers_are_made_acceptable_in_call_and_result_alike() -> None:
    odd = ["functions.f:0", "functions.f.0", "call|é", ""]
    chat = turns(user("x"), assistant(*(call(i) for i in odd)), *(result(i, "y") for i in odd))
    ids = [block["id"] for block in chat[1][1]]
    assert ids == [block["tool_use_id"] for block in chat[2][1]]
    assert len(set(ids)) == len(odd)
    assert all(set(i) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") for i in ids)
    assert turns(user("x"), assistant(call("call_A-1")))[1][1][0]["id"] == "call_A-1"


def test_signed_and_redacted_thoughts_go_back_and_unsigned_ones_are_named() -> None:
    thought = (Reasoning("hm ", signature="Es4D"), Reasoning(redacted="EqkE"), Reasoning("", signature="Eo8B"))
    request = translate(user("x"), assistant(*thought, Reasoning("lost"), call()), result("toolu_1", "y"))
    assert json.loads(request.body)["messages"][1]["content"][:3] == [
        {"type": "thinking", "thinking": "hm ", "signature": "Es4D"},
        {"type": "redacted_thinking", "data": "EqkE"},
        {"type": "thinking", "thinking": "", "signature": "Eo8B"},
    ]
    assert request.dropped == ("reasoning_content",)


# --- tools ----------------------------------------------------------------------------------------------------------


def test_tools_keep_their_schema_and_get_the_type_the_api_insists_on() -> None:
    tools = [
        TOOL,
        Tool("g"),
        Tool("h", "", Raw(b'{"properties":{}}'), extra=raws({"cache_control": {"type": "ephemeral"}, "odd": 1})),
    ]
    request = translate(tools=tools)
    assert json.loads(request.body)["tools"] == [
        {
            "name": "f",
            "description": "does it",
            "input_schema": {"type": "object", "properties": {"x": {"type": "integer"}}},
        },
        {"name": "g", "input_schema": {"type": "object"}},
        {
            "name": "h",
            "description": "",
            "input_schema": {"type": "object", "properties": {}},
            "cache_control": {"type": "ephemeral"},
        },
    ]
    assert TOOL.parameters is not None
    assert bytes(TOOL.parameters) in request.body
    assert request.dropped == ("tools.odd",)


@pytest.mark.parametrize("schema", [b"[]", b"3", b"{", b'{"a":}'])
def test_parameters_that_are_no_schema_are_refused(schema: bytes) -> None:
    assert refusal(tools=[Tool("f", parameters=Raw(schema))]).param == "tools"


def test_a_strict_tool_is_strict_where_the_model_can() -> None:
    strict = Tool(
        "f", parameters=Raw(b'{"type":"object","properties":{"x":{"type":"integer","minimum":1}}}'), strict=True
    )
    assert wire(tools=[strict])["tools"] == [
        {
            "name": "f",
            "strict": True,
            "input_schema": {
                "type": "object",
                "properties": {"x": {"type": "integer", "description": "{minimum: 1}"}},
                "additionalProperties": False,
            },
        }
    ]
    for model, tool in ((HAIKU_35, strict), (SONNET_45, Tool("f", parameters=Raw(b'{"type":"object"}'), strict=True))):
        request = translate(tools=[tool], model=model)
        assert "strict" not in json.loads(request.body)["tools"][0]
        assert request.dropped == ("tools.strict",)


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("required"), None, {"type": "any"}),
        (ToolChoice("tool", name="f"), False, {"type": "tool", "name": "f", "disable_parallel_tool_use": True}),
    ],
)
def test_the_choice_of_tools(choice: ToolChoice | None, parallel: bool | None, expected: Json | None) -> None:
    body = wire(tools=[TOOL], tool_choice=choice, parallel_tool_calls=parallel)
    assert body.get("tool_choice") == expected


def test_an_allowed_subset_offers_only_its_tools() -> None:
    tools = [TOOL, Tool("g"), Tool("h")]
    body = wire(tools=tools, tool_choice=ToolChoice("required", allowed=("h", "f")))
    assert [tool["name"] for tool in body["tools"]] == ["f", "h"]
    assert body["tool_choice"] == {"type": "any"}


def test_a_choice_without_tools_is_left_out_or_refused() -> None:
    assert "tool_choice" not in wire(tool_choice=ToolChoice("auto"), parallel_tool_calls=False)
    assert refusal(tool_choice=ToolChoice("required")).param == "tool_choice"
    only_unknown = ToolChoice("required", allowed=("nobody",))
    assert refusal(tools=[TOOL], tool_choice=only_unknown).param == "tool_choice"


def test_a_forced_choice_is_refused_for_models_that_refuse_it() -> None:
    error = refusal(tools=[TOOL], tool_choice=ToolChoice("required"), model=OPUS_55)
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "tool_choice"


def test_web_search_is_offered() -> None:
    place = {"type": "approximate", "approximate": {"city": "Oslo", "country": "NO"}}
    request = translate(extra={"web_search_options": {"user_location": place, "search_context_size": "high"}})
    assert json.loads(request.body)["tools"] == [
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "user_location": {"type": "approximate", "city": "Oslo", "country": "NO"},
        }
    ]
    assert request.dropped == ("web_search_options.search_context_size",)
    assert translate(extra={"web_search_options": {}}).dropped == ()


# --- thinking -------------------------------------------------------------------------------------------------------


def thinking(request: ProviderRequest) -> tuple[Any, Any]:
    body = json.loads(request.body)
    return body.get("thinking"), body.get("output_config", {}).get("effort")


def by_budget(tokens: int) -> tuple[Any, Any]:
    return {"type": "enabled", "budget_tokens": tokens}, None


ADAPTIVE = {"type": "adaptive"}
SHOWN = {"type": "adaptive", "display": "summarized"}
OFF = {"type": "disabled"}
EFFORT = ("reasoning_effort",)


@pytest.mark.parametrize(
    ("model", "effort", "expected", "dropped"),
    [
        (SONNET_45, None, (None, None), ()),
        (SONNET_45, "none", (None, None), ()),
        (SONNET_45, "minimal", by_budget(1024), ()),
        (SONNET_45, "low", by_budget(4096), ()),
        (SONNET_45, "medium", by_budget(8192), ()),
        (SONNET_45, "high", by_budget(16_384), ()),
        (SONNET_45, "max", by_budget(49_152), ()),
        ("claude-opus-4-1", "xhigh", by_budget(27_904), ()),
        (OPUS_46, None, (None, None), ()),
        (OPUS_46, "high", (ADAPTIVE, "high"), ()),
        (OPUS_46, "xhigh", (ADAPTIVE, "high"), EFFORT),
        (OPUS_46, "max", (ADAPTIVE, "max"), ()),
        (OPUS_47, "minimal", (SHOWN, "low"), ()),
        (OPUS_47, "xhigh", (SHOWN, "xhigh"), ()),
        (OPUS_47, "none", (None, None), ()),
        (OPUS_5, None, (None, None), ()),
        (OPUS_5, "none", (OFF, None), ()),
        (OPUS_5, "high", (SHOWN, "high"), ()),
        (OPUS_55, "none", (None, "low"), EFFORT),
        (OPUS_55, "low", (SHOWN, "low"), ()),
        (HAIKU_35, "none", (None, None), ()),
        (HAIKU_35, "high", (None, None), EFFORT),
    ],
)
def test_an_effort_is_what_the_model_makes_of_it(
    model: str, effort: str | None, expected: tuple[Any, Any], dropped: tuple[str, ...]
) -> None:
    request = translate(model=model, reasoning_effort=effort)
    assert thinking(request) == expected
    assert request.dropped == dropped


def test_an_unknown_effort_is_refused() -> None:
    assert refusal(reasoning_effort="enormous").param == "reasoning_effort"


@pytest.mark.parametrize(
    ("model", "budget", "bound", "expected", "max_tokens"),
    [
        (SONNET_45, 2000, None, by_budget(2000), 64_000),
        (SONNET_45, 63_000, None, by_budget(63_000), 67_096),
        (SONNET_45, 500, None, by_budget(1024), 64_000),
        (SONNET_45, 10_000, 12_000, by_budget(10_000), 12_000),
        (SONNET_45, 10_000, 5000, by_budget(4999), 5000),
        (OPUS_46, 10_000, None, by_budget(10_000), 128_000),
        (SONNET_45, 0, 5000, (None, None), 5000),
        (OPUS_5, 0, 5000, (OFF, None), 5000),
    ],
)
def test_a_budget_stays_below_the_bound(
    model: str, budget: int, bound: int | None, expected: tuple[Any, Any], max_tokens: int
) -> None:
    request = translate(model=model, reasoning_budget=budget, max_tokens=bound)
    assert thinking(request) == expected
    assert json.loads(request.body)["max_tokens"] == max_tokens
    assert request.dropped == ()


@pytest.mark.parametrize(("budget", "effort"), [(1000, "low"), (5000, "medium"), (20_000, "xhigh"), (10**6, "max")])
def test_a_budget_becomes_an_effort_where_there_are_no_budgets(budget: int, effort: str) -> None:
    request = translate(model=OPUS_5, reasoning_budget=budget)
    assert thinking(request) == (SHOWN, effort)
    assert request.dropped == ("reasoning.max_tokens",)


@pytest.mark.parametrize(("bound", "budget"), [(20_000, 10_000), (3000, 1500), (1500, 1024), (1025, 1024)])
def test_an_effort_leaves_half_of_a_bound_for_the_answer(bound: int, budget: int) -> None:
    assert thinking(translate(reasoning_effort="max", max_tokens=bound)) == by_budget(budget)


def test_a_bound_too_small_for_thought_turns_it_off() -> None:
    request = translate(reasoning_effort="low", max_tokens=1024)
    assert thinking(request) == (None, None)
    assert request.dropped == EFFORT


THOUGHT = Reasoning("hm", signature="Es4D")


@pytest.mark.parametrize(
    ("chat", "thinks"),
    [
        ([user("1"), assistant("2"), user("3")], True),
        ([user("1"), assistant(call()), result("toolu_1", "y")], False),
        ([user("1"), assistant(call()), result("toolu_1", "y"), user("go on")], False),
        ([user("1"), assistant(THOUGHT, call()), result("toolu_1", "y")], True),
        ([user("1"), assistant(Reasoning(redacted="E"), call()), result("toolu_1", "y")], True),
        ([user("1"), assistant(call()), result("toolu_1", "y"), assistant("2"), user("3")], True),
        (
            [
                user("1"),
                assistant(THOUGHT, call()),
                result("toolu_1", "y"),
                assistant(call("toolu_2")),
                result("toolu_2", "y"),
            ],
            True,
        ),
        ([user("1"), assistant("2")], False),
    ],
)
def test_thinking_by_budget_needs_the_thoughts_of_the_tool_loop(chat: list[Message], thinks: bool) -> None:
    request = translate(*chat, reasoning_effort="low")
    assert thinking(request) == (by_budget(4096) if thinks else (None, None))
    assert request.dropped == (() if thinks else EFFORT)


def test_adaptive_thinking_does_without_the_thoughts_of_the_tool_loop() -> None:
    chat = [user("1"), assistant(call()), result("toolu_1", "y")]
    assert thinking(translate(*chat, model=OPUS_47, reasoning_effort="low")) == (SHOWN, "low")


@pytest.mark.parametrize(
    ("model", "effort", "expected", "dropped"),
    [
        (SONNET_45, None, (None, None), ()),
        (SONNET_45, "high", (None, None), EFFORT),
        (OPUS_47, "high", (None, None), EFFORT),
        (OPUS_5, None, (OFF, None), ()),
        (OPUS_5, "high", (OFF, None), EFFORT),
        ("claude-fable-5", "high", (SHOWN, "high"), ()),
    ],
)
def test_a_forced_tool_and_thinking_exclude_each_other(
    model: str, effort: str | None, expected: tuple[Any, Any], dropped: tuple[str, ...]
) -> None:
    choice = ToolChoice("tool", name="f")
    request = translate(model=model, tools=[TOOL], tool_choice=choice, reasoning_effort=effort)
    assert thinking(request) == expected
    assert request.dropped == dropped


def test_a_client_s_own_thinking_goes_up_as_it_is() -> None:
    own = {"type": "enabled", "budget_tokens": 70_000, "display": "omitted"}
    request = translate(extra={"thinking": own}, temperature=0.5, reasoning_budget=5)
    assert thinking(request) == (own, None)
    assert json.loads(request.body)["max_tokens"] == 74_096
    assert request.dropped == ("reasoning.max_tokens", "temperature")


ENABLED = {"type": "enabled"}


@pytest.mark.parametrize(
    ("model", "members", "expected", "dropped"),
    [
        (SONNET_45, {}, by_budget(8192), ()),
        (SONNET_45, {"max_tokens": 9000}, by_budget(4500), ()),
        (SONNET_45, {"reasoning_effort": "low"}, by_budget(4096), ()),
        (SONNET_45, {"reasoning_budget": 2000}, by_budget(2000), ()),
        (SONNET_45, {"reasoning_effort": "none"}, by_budget(8192), EFFORT),
        (SONNET_45, {"reasoning_budget": 0}, by_budget(8192), ("reasoning.max_tokens",)),
        (SONNET_45, {"max_tokens": 1000}, (None, None), ("thinking",)),
        (HAIKU_35, {}, (None, None), ("thinking",)),
        (OPUS_47, {}, (SHOWN, "medium"), ()),
        (OPUS_5, {}, (SHOWN, "medium"), ()),
    ],
)
def test_thinking_without_a_budget_is_a_wish_for_medium_effort(
    model: str, members: Json, expected: tuple[Any, Any], dropped: tuple[str, ...]
) -> None:
    for own in (ENABLED, {**ENABLED, "budget_tokens": None}):
        request = translate(model=model, extra={"thinking": own}, **members)
        assert (thinking(request), request.dropped) == (expected, dropped)


def test_what_stands_beside_thinking_without_a_budget_is_kept_or_named() -> None:
    own = {**ENABLED, "display": "omitted", "clear_thinking": False}
    request = translate(extra={"thinking": own})
    assert thinking(request)[0] == {**by_budget(8192)[0], "display": "omitted"}
    assert request.dropped == ("thinking.clear_thinking",)
    forced = translate(extra={"thinking": own}, tools=[TOOL], tool_choice=ToolChoice("required"))
    assert thinking(forced) == (None, None)
    assert forced.dropped == ("thinking", "thinking.clear_thinking", "thinking.display")


def test_an_effort_beside_a_client_s_own_thinking_is_an_effort_where_there_are_efforts() -> None:
    own = {"thinking": {"type": "adaptive"}}
    assert thinking(translate(model=OPUS_47, extra=own, reasoning_effort="max")) == (ADAPTIVE, "max")
    assert translate(model=SONNET_45, extra=own, reasoning_effort="max").dropped == EFFORT
    assert translate(model=OPUS_47, extra=own, reasoning_effort="none").dropped == EFFORT


def test_a_client_s_own_output_config_wins() -> None:
    own = {"output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}}}
    wished = ResponseFormat("json_schema", schema=Raw(b'{"type":"string"}'))
    request = translate(model=OPUS_47, extra=own, reasoning_effort="high", response_format=wished)
    assert json.loads(request.body)["output_config"] == own["output_config"]
    assert request.dropped == ("reasoning_effort", "response_format")


# --- sampling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "given", "expected", "dropped"),
    [
        (SONNET_45, {"temperature": 0.2}, {"temperature": 0.2}, ()),
        (SONNET_45, {"temperature": 0}, {"temperature": 0}, ()),
        (SONNET_45, {"temperature": 1, "top_p": 1}, {}, ()),
        (SONNET_45, {"temperature": 1.7}, {}, ("temperature",)),
        (SONNET_45, {"top_p": 0.9}, {"top_p": 0.9}, ()),
        (SONNET_45, {"temperature": 0.2, "top_p": 0.9}, {"temperature": 0.2}, ("top_p",)),
        (SONNET_45, {"temperature": 1, "top_p": 0.9}, {"top_p": 0.9}, ()),
        (HAIKU_35, {"temperature": 0.2, "top_p": 0.9}, {"temperature": 0.2, "top_p": 0.9}, ()),
        (SONNET_45, {"extra": {"top_k": 5}}, {"top_k": 5}, ()),
        (SONNET_45, {"temperature": 0.2, "reasoning_effort": "low"}, {}, ("temperature",)),
        (SONNET_45, {"top_p": 0.9, "reasoning_effort": "low"}, {}, ("top_p",)),
        (SONNET_45, {"top_p": 0.97, "reasoning_effort": "low"}, {"top_p": 0.97}, ()),
        (SONNET_45, {"extra": {"top_k": 5}, "reasoning_effort": "low"}, {}, ("top_k",)),
        (OPUS_47, {"temperature": 1, "top_p": 1}, {}, ()),
        (OPUS_47, {"temperature": 0, "top_p": 0.9, "extra": {"top_k": 5}}, {}, ("temperature", "top_p", "top_k")),
    ],
)
def test_sampling_is_fitted_to_the_model(model: str, given: Json, expected: Json, dropped: tuple[str, ...]) -> None:
    request = translate(model=model, **given)
    body = json.loads(request.body)
    assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == expected
    assert request.dropped == dropped


# --- the form of the answer -----------------------------------------------------------------------------------------


def test_a_schema_becomes_a_structured_output_byte_for_byte_when_it_fits() -> None:
    schema = b'{"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": false}'
    request = translate(response_format=ResponseFormat("json_schema", name="City", schema=Raw(schema), strict=True))
    expected = {"format": {"type": "json_schema", "schema": json.loads(schema)}}
    assert json.loads(request.body)["output_config"] == expected
    assert schema in request.body
    assert request.dropped == ()


def test_the_description_of_a_schema_is_kept_in_it() -> None:
    wished = ResponseFormat("json_schema", description="A city.", schema=Raw(b'{"type":"string"}'))
    assert wire(response_format=wished)["output_config"]["format"]["schema"] == {
        "description": "A city.",
        "type": "string",
    }


@pytest.mark.parametrize(
    ("model", "schema", "kind"),
    [
        (HAIKU_35, b'{"type":"string"}', UnsupportedParameter),
        (SONNET_45, b'{"type":"object"}', UnsupportedParameter),
        (SONNET_45, b"[]", BadRequest),
        (SONNET_45, b"{", BadRequest),
    ],
)
def test_a_schema_that_cannot_be_kept_is_refused(model: str, schema: bytes, kind: type[BadRequest]) -> None:
    error = refusal(model=model, response_format=ResponseFormat("json_schema", schema=Raw(schema)))
    assert type(error) is kind
    assert error.param == "response_format"


def test_json_mode_is_a_sentence_in_the_system_prompt() -> None:
    body = wire(system("Be brief."), user("Hi"), response_format=ResponseFormat("json_object"))
    assert body["system"][0] == text("Be brief.")
    assert "JSON" in body["system"][1]["text"]
    assert "output_config" not in body


def test_plain_text_is_what_it_writes_anyway() -> None:
    assert wire(response_format=ResponseFormat("text")) == wire()


# --- the rest -------------------------------------------------------------------------------------------------------


def test_stop_sequences_without_a_visible_character_are_named() -> None:
    request = translate(stop=["END", "\n\n", ""])
    assert json.loads(request.body)["stop_sequences"] == ["END"]
    assert request.dropped == ("stop",)
    assert "stop_sequences" not in wire(stop=["\n"])


@pytest.mark.parametrize(
    ("user_name", "extra", "expected", "dropped"),
    [
        ("u-1", {}, "u-1", ()),
        (None, {"safety_identifier": "s-1"}, "s-1", ()),
        ("u-1", {"safety_identifier": "s-1"}, "s-1", ("user",)),
        ("u-1", {"safety_identifier": "u-1"}, "u-1", ()),
        ("u-1", {"metadata": {"user_id": "m-1"}}, "m-1", ("user",)),
        ("u-1", {"metadata": {"user_id": 5}}, "u-1", ("metadata.user_id",)),
        ("u-1", {"metadata": {"topic": "a"}}, "u-1", ("metadata",)),
        ("ann@example.com", {}, None, ("user",)),
        ("u-1", {"safety_identifier": "ann@example.com"}, "u-1", ("safety_identifier",)),
        (None, {"metadata": None}, None, ()),
    ],
)
def test_who_asks_is_told_unless_it_is_a_mail_address(
    user_name: str | None, extra: Json, expected: str | None, dropped: tuple[str, ...]
) -> None:
    request = translate(user=user_name, extra=extra)
    assert json.loads(request.body).get("metadata") == (expected and {"user_id": expected})
    assert request.dropped == dropped


@pytest.mark.parametrize(
    ("tier", "expected", "dropped"),
    [
        ("auto", "auto", ()),
        ("default", "standard_only", ()),
        ("standard_only", "standard_only", ()),
        ("flex", None, ("service_tier",)),
        (None, None, ()),
    ],
)
def test_a_service_tier_is_translated_or_dropped_and_named(
    tier: str | None, expected: str | None, dropped: tuple[str, ...]
) -> None:
    request = translate(extra={"service_tier": tier})
    assert json.loads(request.body).get("service_tier") == expected
    assert request.dropped == dropped


@pytest.mark.parametrize("name", sorted(NATIVE_FIELDS - {"top_k", "thinking", "output_config"}))
def test_anthropic_s_own_fields_go_up_untouched(name: str) -> None:
    value = {"type": "ephemeral", "n": [1, {"a": None}]}
    request = translate(extra={name: value})
    assert json.loads(request.body)[name] == value
    assert request.dropped == ()


def test_betas_become_a_header_beside_those_we_need() -> None:
    request = translate(user(Image(file_id="file_1")), extra={"betas": ["mcp-client-2025-11-20"]})
    assert request.headers == (("anthropic-beta", "files-api-2025-04-14,mcp-client-2025-11-20"),)
    for wrong in ("text", ["a\r\nb"], [""], [1]):
        assert refusal(extra={"betas": wrong}).param == "betas"


@pytest.mark.parametrize(
    "extra",
    [{"metadata": "text"}, {"safety_identifier": 3}, {"service_tier": {}}, {"thinking": "on"}, {"output_config": 1}],
)
def test_a_field_of_the_wrong_type_is_refused_by_its_name(extra: Json) -> None:
    assert refusal(extra=extra).param == next(iter(extra))


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_rule_has_a_harmless_null(name: str) -> None:
    assert translate(extra={name: None}).dropped == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 1),
        ("logprobs", False),
        ("top_logprobs", 0),
        ("logit_bias", {}),
        ("presence_penalty", 0),
        ("frequency_penalty", 0.0),
        ("modalities", ["text"]),
        ("store", False),
        ("verbosity", "medium"),
    ],
)
def test_a_default_written_out_changes_nothing(name: str, value: object) -> None:
    request = translate(extra={name: value})
    assert request.dropped == ()
    assert name not in json.loads(request.body)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("logit_bias", {"50256": -100}),
        ("presence_penalty", 0.5),
        ("frequency_penalty", -1),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy"}),
        ("moderation", {"model": "m"}),
    ],
)
def test_what_would_change_the_answer_is_refused_with_field_and_provider(name: str, value: object) -> None:
    error = refusal(extra={name: value})
    assert isinstance(error, UnsupportedParameter)
    assert error.param == name
    assert name in error.message
    assert "anthropic" in error.message


@pytest.mark.parametrize(
    "name",
    ["seed", "prediction", "store", "prompt_cache_key", "prompt_cache_retention", "verbosity", "something_new"],
)
def test_what_changes_nothing_or_is_unknown_is_dropped_and_named(name: str) -> None:
    request = translate(extra={name: True})
    assert request.dropped == (name,)
    assert name not in json.loads(request.body)


def test_another_house_of_claude_is_named_in_its_own_refusals() -> None:
    with pytest.raises(UnsupportedParameter, match="vertex"):
        to_wire(ChatRequest(model="any", messages=[user("Hi")], extra=raws({"n": 2})), SONNET_45, "vertex")


# --- laws -----------------------------------------------------------------------------------------------------------

words = st.text(max_size=8)
members = st.dictionaries(st.sampled_from(["cache_control", "odd"]), st.just(Raw(b'{"type":"ephemeral"}')), max_size=2)
parts = st.one_of(
    st.builds(Text, words, members),
    st.builds(Refusal, words),
    st.builds(Image, url=words),
    st.builds(Image, data=words, media_type=words | st.none()),
    st.builds(File, data=words, media_type=words | st.just("text/plain"), filename=words | st.none()),
    st.builds(Reasoning, words, words | st.none(), words | st.none()),
    st.builds(ToolCall, words, words, words | st.just('{"a":1}')),
    st.builds(Audio, words, words),
)
results = st.builds(
    lambda call_id, text, is_error: Message(Role.TOOL, [ToolResult(call_id, [Text(text)], is_error)]),
    words,
    words,
    st.booleans(),
)
spoken = st.builds(
    lambda role, given: Message(role, given),
    st.sampled_from(list(Role)).filter(lambda r: r != "tool"),
    st.lists(parts, max_size=3),
)
models = st.sampled_from([SONNET_45, OPUS_46, OPUS_47, OPUS_5, OPUS_55, HAIKU_35, "other"])


@given(
    st.lists(spoken | results, max_size=6),
    models,
    st.none() | st.sampled_from(["none", "minimal", "high", "max"]),
    st.none() | st.integers(0, 200_000),
    st.none() | st.integers(1, 10_000),
    st.none() | st.builds(ToolChoice, st.sampled_from(["auto", "none", "required", "tool"]), st.just("f")),
)
def test_any_chat_is_translated_or_refused(
    chat: list[Message],
    model: str,
    effort: str | None,
    budget: int | None,
    bound: int | None,
    choice: ToolChoice | None,
) -> None:
    request = ChatRequest(
        model="any",
        messages=chat,
        tools=[TOOL],
        tool_choice=choice,
        reasoning_effort=effort,
        reasoning_budget=budget,
        max_tokens=bound,
    )
    try:
        body = json.loads(to_wire(request, model).body)
    except BadRequest:
        return
    check_turns(body["messages"])
    if body.get("thinking", {}).get("type") == "enabled":
        assert 1024 <= body["thinking"]["budget_tokens"] < body["max_tokens"]


def outcome(write: Any, *given: Any) -> Any:
    try:
        return write(*given)
    except BadRequest as refused:
        return type(refused), refused.message, refused.param


@given(
    st.lists(st.builds(Message, st.sampled_from(list(Role)), st.lists(parts, min_size=1, max_size=2)), max_size=5),
    models,
    st.none() | st.floats(0, 2) | st.sampled_from([1.0, 0.7]),
    st.none() | st.integers(1, 10_000),
    st.booleans(),
)
def test_a_conversation_without_options_is_written_as_any_request(
    chat: list[Message], model: str, temperature: float | None, bound: int | None, stream: bool
) -> None:
    request = ChatRequest(model="any", messages=chat, temperature=temperature, max_tokens=bound, stream=stream)
    step_by_step = outcome(lambda: encode_draft(draft_request(request, model, "anthropic")))
    assert outcome(to_wire, request, model) == step_by_step


@pytest.mark.parametrize(
    "option",
    [
        *({"tools": [TOOL]}, {"tool_choice": ToolChoice("none")}, {"parallel_tool_calls": False}, {"top_p": 0.5}),
        *({"stop": ["x"]}, {"reasoning_effort": "high"}, {"reasoning_budget": 2000}, {"user": "u"}),
        *({"response_format": ResponseFormat("json_object")}, {"extra": {"seed": Raw(b"1")}}, {"hosted_tools": []}),
    ],
)
def test_no_option_is_lost_because_most_requests_have_none(option: dict[str, Any]) -> None:
    request = ChatRequest(model="any", messages=[user("Hi")], **option)
    assert to_wire(request, SONNET_45) == encode_draft(draft_request(request, SONNET_45, "anthropic"))


def check_turns(turns: list[Json]) -> None:
    roles = [turn["role"] for turn in turns]
    assert roles
    assert all(before != after for before, after in pairwise(roles))
    for at, role in enumerate(roles):
        if role == "system":
            assert roles[at - 1] == "user"
            assert roles[at + 1 : at + 2] in ([], ["assistant"])
    for turn in turns:
        assert turn["content"]
        assert all(block["text"].strip() for block in turn["content"] if block["type"] == "text")
        kinds = [block["type"] == "tool_result" for block in turn["content"]]
        assert kinds == sorted(kinds, reverse=True)
