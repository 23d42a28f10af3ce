"""Requests for chat completions."""

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
    HostedTool,
    Image,
    Message,
    ResponseFormat,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    raw_json,
)
from gateway.dialects.openai_chat_request import decode
from providers.openai_like.chat_options import COMPATIBLE, ChatOptions
from providers.openai_like.chat_request import NATIVE_FIELDS, RULES, chat_writer

Json = dict[str, Any]
OPENAI = ChatOptions(title="OpenAI")
OBJECT = ChatOptions(title="OpenRouter", has_reasoning_object=True, has_openai_models=False, takes_unknown=True)
MODEL = "somebodys-model"
SCHEMA = raw_json(
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
)
OPEN = raw_json({"type": "object", "properties": {"a": {"type": "integer"}}})
LOOK = Tool("look", "Looks.", SCHEMA, strict=True)


def chat(**members: Any) -> ChatRequest:
    return ChatRequest(model="asked-for", messages=[Message(Role.USER, [Text("Hi")])], **members)


def send(request: ChatRequest, model: str = MODEL, options: ChatOptions = OPENAI) -> tuple[Json, tuple[str, ...]]:
    wire = chat_writer(options)(request, model)
    assert wire.headers == ()
    return json.loads(wire.body), wire.dropped


def body(model: str = MODEL, options: ChatOptions = OPENAI, **members: Any) -> Json:
    """What goes up beside model and messages, when nothing is dropped."""
    sent, dropped = send(chat(**members), model, options)
    assert dropped == ()
    return {name: value for name, value in sent.items() if name not in ("model", "messages")}


def extra(**fields: Any) -> Json:
    return {name: raw_json(value) for name, value in fields.items()}


# --- the plain members ----------------------------------------------------------------------------------------------


def test_a_bare_chat_is_a_model_and_its_messages() -> None:
    assert send(chat()) == ({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}, ())


def test_limits_and_sampling_go_up_under_the_vendors_names() -> None:
    given_members: Json = {"max_tokens": 100, "temperature": 0.5, "top_p": 0.9, "stop": ["END"], "user": "u-1"}
    sent = {"temperature": 0.5, "top_p": 0.9, "stop": ["END"], "user": "u-1"}
    assert body(**given_members) == {"max_completion_tokens": 100, **sent}
    assert body(**given_members, options=COMPATIBLE) == {"max_tokens": 100, **sent}


def test_a_stream_is_asked_for_with_its_usage() -> None:
    assert body(stream=True) == {"stream": True, "stream_options": {"include_usage": True}}


def test_too_many_stop_sequences_are_refused() -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        send(chat(stop=list("abcde")))
    assert caught.value.param == "stop"
    assert body(stop=list("abcde"), options=COMPATIBLE) == {"stop": list("abcde")}


def test_a_user_longer_than_the_vendor_takes_is_dropped_by_name() -> None:
    assert body(user="u" * 64) == {"user": "u" * 64}
    assert send(chat(user="u" * 65))[1] == ("user",)


# --- tools ----------------------------------------------------------------------------------------------------------


def test_tools_are_functions() -> None:
    schema = json.loads(bytes(SCHEMA))
    assert body(tools=[LOOK, Tool("bare")], parallel_tool_calls=False) == {
        "tools": [
            {
                "type": "function",
                "function": {"name": "look", "description": "Looks.", "parameters": schema, "strict": True},
            },
            {"type": "function", "function": {"name": "bare"}},
        ],
        "parallel_tool_calls": False,
    }


@pytest.mark.parametrize("options", [OPENAI, OBJECT, COMPATIBLE])
def test_a_tool_is_strict_only_where_its_schema_can_be(options: ChatOptions) -> None:
    tools = [LOOK, Tool("open", parameters=OPEN, strict=True), Tool("lax", parameters=OPEN, strict=False), Tool("none")]
    told, dropped = send(chat(tools=tools), options=options)
    assert [tool["function"].get("strict") for tool in told["tools"]] == [True, False, False, None]
    assert dropped == ("tools.strict",)


def test_without_tools_nothing_is_chosen_or_called_in_parallel() -> None:
    assert body(parallel_tool_calls=False, tool_choice=ToolChoice("auto")) == {}
    with pytest.raises(BadRequest) as caught:
        send(chat(tool_choice=ToolChoice("required")))
    assert caught.value.param == "tool_choice"


def test_calls_in_parallel_are_what_the_api_does_anyway() -> None:
    assert "parallel_tool_calls" not in body(tools=[LOOK], parallel_tool_calls=True)


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("none"), "none"),
        (ToolChoice("required"), "required"),
        (ToolChoice("tool", "look"), {"type": "function", "function": {"name": "look"}}),
        (
            ToolChoice("required", allowed=("look",)),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "look"}}],
                },
            },
        ),
    ],
)
def test_choices_of_tools_are_written(choice: ToolChoice, written: object) -> None:
    assert body(tools=[LOOK, Tool("b")], tool_choice=choice)["tool_choice"] == written


def test_allowed_tools_are_the_only_ones_offered_where_there_is_no_such_choice() -> None:
    choice = ToolChoice("required", allowed=("b",))
    sent = body(tools=[LOOK, Tool("b")], tool_choice=choice, options=COMPATIBLE)
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["b"]
    assert sent["tool_choice"] == "required"


def test_a_tool_of_free_text_is_a_function_that_knows_its_grammar() -> None:
    grammar = raw_json({"type": "grammar", "syntax": "lark", "definition": "start: /x+/"})
    sent, dropped = send(chat(tools=[Tool("patch", "Patches.", is_freeform=True, extra={"format": grammar})]))
    function = sent["tools"][0]["function"]
    assert function["description"] == "Patches.\n\nThe input must follow this lark grammar:\nstart: /x+/"
    assert function["parameters"]["required"] == ["input"]
    assert dropped == ("tools.format",)
    sent, _ = send(chat(tools=[Tool("patch", is_freeform=True, extra={"format": raw_json({"type": "text"})})]))
    assert "description" not in sent["tools"][0]["function"]


def test_what_other_vendors_run_or_know_of_a_tool_is_dropped_by_name() -> None:
    hosted = HostedTool("web_search", raw_json({"type": "web_search_20250305"}), DialectName.ANTHROPIC_MESSAGES)
    sent, dropped = send(chat(tools=[Tool("a", extra=extra(defer_loading=True))], hosted_tools=[hosted]))
    assert dropped == ("tools.web_search", "tools.defer_loading")
    assert len(sent["tools"]) == 1


# --- reasoning ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max", "odd"])
def test_an_effort_goes_up_as_it_is_to_models_we_do_not_know(effort: str) -> None:
    assert body(reasoning_effort=effort) == {"reasoning_effort": effort}


@pytest.mark.parametrize(
    ("budget", "effort"),
    [(1, "low"), (4096, "low"), (4097, "medium"), (8192, "medium"), (8193, "high"), (10**6, "high")],
)
def test_a_budget_becomes_an_effort_by_name(budget: int, effort: str) -> None:
    sent, dropped = send(chat(reasoning_budget=budget))
    assert (sent["reasoning_effort"], dropped) == (effort, ("reasoning.max_tokens",))


def test_a_budget_of_nothing_is_no_effort() -> None:
    assert body(reasoning_budget=0) == {"reasoning_effort": "none"}


@pytest.mark.parametrize(
    ("model", "asked", "sent"),
    [
        ("gpt-4o", "high", None),
        ("gpt-5-chat-latest", "high", None),
        ("o3", "none", "low"),
        ("o4-mini", "xhigh", "high"),
        ("gpt-5.2", "minimal", "low"),
        ("gpt-5", "none", "minimal"),
        ("gpt-5-mini-2025-08-07", "max", "high"),
    ],
)
def test_an_effort_a_model_does_not_have_becomes_the_nearest_by_name(model: str, asked: str, sent: str | None) -> None:
    told, dropped = send(chat(reasoning_effort=asked), model)
    assert (told.get("reasoning_effort"), dropped) == (sent, ("reasoning_effort",))


def test_not_to_reason_is_no_loss_on_a_model_that_never_does() -> None:
    assert body("gpt-4.1", reasoning_effort="none") == {}


@pytest.mark.parametrize("model", ["o1", "o3-mini", "gpt-5", "gpt-5-nano"])
def test_reasoning_models_are_not_sampled(model: str) -> None:
    sent, dropped = send(chat(temperature=0.2, top_p=0.9), model)
    assert not sent.keys() & {"temperature", "top_p"}
    assert dropped == ("temperature", "top_p")
    assert body(model, temperature=1.0, top_p=1.0) == {}


def test_newer_ones_are_sampled_while_they_do_not_reason() -> None:
    assert body("gpt-5.2", temperature=0.2, reasoning_effort="none") == {"temperature": 0.2, "reasoning_effort": "none"}
    assert send(chat(temperature=0.2, reasoning_effort="low"), "gpt-5.2")[1] == ("temperature",)


@pytest.mark.parametrize("model", ["gpt-oss-120b", "openai/gpt-5", "gpt-4o", "o3"])
def test_models_of_other_houses_get_what_was_asked_for(model: str) -> None:
    asked: Json = {"reasoning_effort": "none", "temperature": 0.2}
    assert body(model, COMPATIBLE, **asked) == asked
    assert send(chat(**asked), model, OBJECT)[1] == ()


@pytest.mark.parametrize(
    ("members", "reasoning", "dropped"),
    [
        ({"reasoning_effort": "high"}, {"effort": "high"}, ()),
        ({"reasoning_budget": 2000}, {"max_tokens": 2000}, ()),
        ({"reasoning_budget": 0}, {"enabled": False}, ()),
        ({"reasoning_budget": 2000, "reasoning_effort": "low"}, {"max_tokens": 2000}, ("reasoning_effort",)),
        (
            {"reasoning_effort": "low", "extra": extra(reasoning={"summary": "auto"})},
            {"summary": "auto", "effort": "low"},
            (),
        ),
    ],
)
def test_a_vendor_may_want_an_object(members: Json, reasoning: Json, dropped: tuple[str, ...]) -> None:
    sent, told = send(chat(**members), options=OBJECT)
    assert (sent["reasoning"], told) == (reasoning, dropped)


@pytest.mark.parametrize(
    ("model", "asked", "sent", "dropped"),
    [
        ("gpt-5.6-terra", {}, "none", ("reasoning_effort",)),
        ("gpt-5.6", {"reasoning_effort": "low"}, "none", ("reasoning_effort",)),
        ("gpt-6-sol", {"reasoning_budget": 2000}, "none", ("reasoning.max_tokens", "reasoning_effort")),
        ("gpt-5.6", {"reasoning_effort": "none"}, "none", ()),
        ("gpt-5.5", {"reasoning_effort": "high"}, "none", ("reasoning_effort",)),
        ("gpt-5.4-mini", {"reasoning_effort": "high"}, "none", ("reasoning_effort",)),
        ("gpt-5.4", {}, None, ()),
        ("gpt-5.1", {"reasoning_effort": "high"}, "high", ()),
        ("gpt-5-nano", {"reasoning_effort": "high"}, "high", ()),
        ("gpt-4o", {}, None, ()),
        (MODEL, {"reasoning_effort": "high"}, "high", ()),
    ],
)
def test_newer_models_do_not_reason_beside_tools(
    model: str, asked: Json, sent: str | None, dropped: tuple[str, ...]
) -> None:
    told, named = send(chat(tools=[LOOK], stop=["END"], **asked), model)
    assert (told.get("reasoning_effort"), named, told["stop"]) == (sent, dropped, ["END"])
    assert body("gpt-5.6", reasoning_effort="low") == {"reasoning_effort": "low"}
    assert "reasoning_effort" not in send(chat(tools=[LOOK]), "gpt-5.6", COMPATIBLE)[0]


def test_a_temperature_is_taken_where_tools_end_the_reasoning() -> None:
    told, dropped = send(chat(tools=[LOOK], stop=["END"], temperature=0.2), "gpt-5.6")
    assert (told["temperature"], dropped) == (0.2, ("reasoning_effort",))


def test_what_else_was_said_of_reasoning_is_dropped_by_name() -> None:
    assert send(chat(extra=extra(reasoning={"summary": "auto"})))[1] == ("reasoning.summary",)
    with pytest.raises(BadRequest):
        send(chat(extra=extra(reasoning=5)), options=OBJECT)


# --- the form of the answer, and the rest ---------------------------------------------------------------------------


def test_formats_are_written() -> None:
    assert body(response_format=ResponseFormat("text")) == {}
    assert body(response_format=ResponseFormat("json_object")) == {"response_format": {"type": "json_object"}}
    wanted = ResponseFormat("json_schema", "answer", "An answer", SCHEMA, strict=True)
    schema = {"name": "answer", "description": "An answer", "schema": json.loads(bytes(SCHEMA)), "strict": True}
    assert body(response_format=wanted) == {"response_format": {"type": "json_schema", "json_schema": schema}}


def test_a_format_is_strict_only_where_its_schema_can_be() -> None:
    told, dropped = send(chat(response_format=ResponseFormat("json_schema", schema=OPEN, strict=True)))
    assert (told["response_format"]["json_schema"]["strict"], dropped) == (False, ("response_format.strict",))
    told, dropped = send(chat(response_format=ResponseFormat("json_schema", schema=OPEN)))
    assert ("strict" in told["response_format"]["json_schema"], dropped) == (False, ())


def test_a_schema_without_a_name_gets_one() -> None:
    sent = body(response_format=ResponseFormat("json_schema", schema=SCHEMA))
    assert sent["response_format"]["json_schema"]["name"] == "response"


OWN = {"seed": 7, "n": 2, "logit_bias": {"1": 2}, "verbosity": "low", "prompt_cache_key": "k", "store": True}


def test_fields_of_openai_go_up_under_their_names() -> None:
    assert body(extra=extra(**OWN)) == OWN
    assert body(extra=extra(seed=None, store=False)) == {}


@pytest.mark.parametrize(("said", "sent"), [("standard_only", "default"), ("auto", "auto"), ("flex", "flex")])
def test_the_service_tier_of_anthropic_is_understood(said: str, sent: str) -> None:
    assert body(extra=extra(service_tier=said)) == {"service_tier": sent}


def test_a_service_tier_is_a_word() -> None:
    with pytest.raises(BadRequest) as caught:
        send(chat(extra=extra(service_tier=[1])))
    assert caught.value.param == "service_tier"


def test_metadata_belongs_to_stored_answers() -> None:
    metadata = {"a": "b"}
    assert send(chat(extra=extra(metadata=metadata)))[1] == ("metadata",)
    stored = {"metadata": metadata, "store": True}
    assert body(extra=extra(**stored)) == stored
    assert body(extra=extra(metadata=metadata), options=COMPATIBLE) == {"metadata": metadata}


def test_fields_nobody_knows_are_dropped_by_name_or_go_up_where_they_are_taken() -> None:
    odd = {"min_p": 0.1, "top_k": 5}
    assert send(chat(extra=extra(**odd)))[1] == ("min_p", "top_k")
    assert body(extra=extra(**odd), options=COMPATIBLE) == odd


def test_no_field_of_the_client_takes_the_place_of_what_is_written() -> None:
    sent, _ = send(chat(extra=extra(model="other", messages=[], stream=True)), options=COMPATIBLE)
    assert (sent["model"], len(sent["messages"])) == (MODEL, 1)


@pytest.mark.parametrize("options", [OPENAI, COMPATIBLE])
@pytest.mark.parametrize("name", sorted(RULES))
def test_fields_of_other_apis_are_dropped_by_name_or_refused(name: str, options: ChatOptions) -> None:
    request = chat(extra=extra(**{name: "anything"}))
    if RULES[name].drop:
        sent, dropped = send(request, options=options)
        assert dropped == (name,)
        assert name not in sent
        return
    with pytest.raises(UnsupportedParameter) as caught:
        send(request, options=options)
    assert caught.value.param == name


def test_a_rule_is_for_what_is_not_openais() -> None:
    assert not NATIVE_FIELDS & RULES.keys()
    assert body(extra=extra(background=False, truncation="disabled", include=[])) == {}


def test_what_no_json_can_hold_is_refused() -> None:
    with pytest.raises(BadRequest) as caught:
        send(chat(user="\ud800"))
    assert caught.value.param


# --- there and back -------------------------------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
data_parts = st.sampled_from(
    [
        Image(data="iVBO", media_type="image/png"),
        File(data="JVBERi0=", media_type="application/pdf", filename="a"),
        Audio("UQ==", "wav"),
        Image("https://example.com/a", detail="low"),
        File(file_id="f"),
    ]
)
call_turns = st.tuples(words, words, st.text(st.characters(codec="utf-8"), max_size=6)).map(
    lambda said: [
        Message(Role.ASSISTANT, [Text(said[0]), ToolCall("call_1", said[1], '{"a": [1]}')]),
        Message(Role.TOOL, [ToolResult("call_1", [Text(said[2])])]),
    ]
)
plain_turns = st.one_of(
    st.builds(
        Message,
        st.sampled_from([Role.SYSTEM, Role.DEVELOPER, Role.ASSISTANT]),
        st.lists(words.map(Text), min_size=1, max_size=2),
    ),
    st.builds(
        Message,
        st.just(Role.USER),
        st.lists(words.map(Text) | data_parts, min_size=1, max_size=3),
        name=st.none() | words,
    ),
).map(lambda turn: [turn])
whole_requests = st.builds(
    ChatRequest,
    model=st.just(MODEL),
    messages=st.lists(call_turns | plain_turns, min_size=1, max_size=4).map(
        lambda rows: [turn for row in rows for turn in row]
    ),
    stream=st.booleans(),
    tools=st.none() | st.just([LOOK, Tool("b")]),
    max_tokens=st.none() | st.integers(1, 10**6),
    temperature=st.none() | st.floats(0, 2),
    stop=st.none() | st.lists(words, min_size=1, max_size=4),
    reasoning_effort=st.none() | st.sampled_from(["low", "high"]),
    response_format=st.none() | st.just(ResponseFormat("json_schema", "a", "b", SCHEMA, strict=False)),
    user=st.none() | words,
    extra=st.just({}) | st.just(extra(seed=7, verbosity="low")),
)


@given(whole_requests)
def test_nothing_that_openai_has_a_word_for_is_lost(request: ChatRequest) -> None:
    before = repr(request)
    wire = chat_writer(OPENAI)(request, MODEL)
    assert repr(request) == before
    assert wire.dropped == ()
    request.include_usage = request.stream
    assert decode(wire.body) == request
