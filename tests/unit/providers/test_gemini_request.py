"""Requests of generateContent: tools, sampling, the form of the answer, and what has no place."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import (
    ChatRequest,
    DialectName,
    HostedTool,
    Message,
    ResponseFormat,
    Role,
    Text,
    Tool,
    ToolChoice,
    raw_json,
)
from providers.contract import ProviderRequest
from providers.generate_content.draft import House
from providers.generate_content.request import to_wire

NEW, OLD = "gemini-3.5-flash", "gemini-2.5-flash"
SCHEMA = raw_json({"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]})
LOOK = Tool("look", "Looks.", SCHEMA)
DECLARED = {"name": "look", "description": "Looks.", "parametersJsonSchema": json.loads(bytes(SCHEMA))}


def wire(to: str = NEW, house: House | None = None, **members: Any) -> ProviderRequest:
    request = ChatRequest(model="asked-for", messages=[Message(Role.USER, [Text("hi")])], **members)
    return to_wire(request, to, house) if house else to_wire(request, to)


def body(to: str = NEW, **members: Any) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(wire(to, **members).body)
    del written["contents"]
    return written


def config(to: str = NEW, **members: Any) -> Any:
    return body(to, **members).get("generationConfig", {})


def extra(**fields: Any) -> dict[str, Raw]:
    return {name: raw_json(value) for name, value in fields.items()}


def test_the_model_and_the_stream_are_said_by_the_path() -> None:
    written = wire(stream=True, include_usage=True)
    assert json.loads(written.body) == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    assert (written.headers, written.dropped) == ((), ())


# --- tools ----------------------------------------------------------------------------------------------------------


def test_functions_are_declared_with_their_json_schema() -> None:
    assert body(tools=[LOOK, Tool("plain")])["tools"] == [{"functionDeclarations": [DECLARED, {"name": "plain"}]}]


def test_parameters_are_an_object_even_where_they_do_not_say_so() -> None:
    tool = Tool("look", parameters=raw_json({"properties": {}}))
    assert body(tools=[tool])["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == {
        "type": "object",
        "properties": {},
    }


def test_a_free_text_tool_takes_one_text() -> None:
    (declared,) = body(tools=[Tool("patch", is_freeform=True)])["tools"][0]["functionDeclarations"]
    assert declared["parametersJsonSchema"]["required"] == ["input"]


def test_what_a_declaration_cannot_say_is_named() -> None:
    strict = Tool("look", None, raw_json({"type": "object", "minProperties": 1}), strict=True, extra=extra(x=1))
    assert wire(tools=[strict]).dropped == ("tools.parameters.minProperties", "tools.strict", "tools.x")


def test_parameters_that_are_no_schema_are_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        body(tools=[Tool("look", parameters=raw_json([1]))])
    assert refused.value.param == "tools"


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("tool", "look"), {"mode": "ANY", "allowedFunctionNames": ["look"]}),
        (ToolChoice("required", allowed=("look",)), {"mode": "ANY", "allowedFunctionNames": ["look"]}),
    ],
)
def test_a_choice_of_tools(choice: ToolChoice, written: dict[str, Any]) -> None:
    assert body(tools=[LOOK, Tool("b")], tool_choice=choice)["toolConfig"] == {"functionCallingConfig": written}
    assert "toolConfig" not in body(tools=[LOOK])


def test_a_free_choice_among_some_offers_only_these() -> None:
    among = body(tools=[LOOK, Tool("b")], tool_choice=ToolChoice("auto", allowed=("look",)))
    assert among["tools"] == [{"functionDeclarations": [DECLARED]}]


def test_a_forced_choice_of_nothing_is_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        body(tool_choice=ToolChoice("required"))
    assert refused.value.param == "tool_choice"


def test_calls_one_after_the_other_cannot_be_asked_for() -> None:
    assert wire(tools=[LOOK], parallel_tool_calls=False).dropped == ("parallel_tool_calls",)
    assert wire(tools=[LOOK], parallel_tool_calls=True).dropped == ()


def hosted(kind: str, origin: DialectName = DialectName.ANTHROPIC_MESSAGES, **members: Any) -> HostedTool:
    return HostedTool(kind, raw_json({"type": kind, "name": kind, **members}), origin)


def test_hosted_tools_are_googles() -> None:
    tools = [hosted("web_search", max_uses=3), hosted("web_fetch"), hosted("code_execution"), hosted("computer")]
    written = wire(hosted_tools=tools)
    assert json.loads(written.body)["tools"] == [{"googleSearch": {}}, {"urlContext": {}}, {"codeExecution": {}}]
    assert written.dropped == ("tools.web_search.max_uses", "tools.computer")
    own = HostedTool("googleMaps", raw_json({"googleMaps": {"x": 1}}), DialectName.GEMINI_GENERATE_CONTENT)
    assert body(hosted_tools=[own])["tools"] == [{"googleMaps": {"x": 1}}]


def test_a_search_that_must_not_be_live_is_left_out() -> None:
    def search(**members: Any) -> HostedTool:
        return hosted("web_search", DialectName.OPENAI_RESPONSES, **members)

    cached = wire(hosted_tools=[search(external_web_access=False, search_context_size="low")], tools=[LOOK])
    assert json.loads(cached.body)["tools"] == [{"functionDeclarations": [DECLARED]}]
    assert cached.dropped == ("tools.web_search",)
    for live in ({"external_web_access": True}, {"external_web_access": None}, {}):
        written = wire(hosted_tools=[search(**live)])
        assert (json.loads(written.body)["tools"], written.dropped) == ([{"googleSearch": {}}], ())


def test_functions_beside_googles_tools_need_a_flag_and_a_new_model() -> None:
    both = {"tools": [LOOK], "hosted_tools": [hosted("web_search")]}
    assert body(NEW, **both) == {
        "tools": [{"googleSearch": {}}, {"functionDeclarations": [DECLARED]}],
        "toolConfig": {"includeServerSideToolInvocations": True},
    }
    assert body(OLD, **both) == {"tools": [{"functionDeclarations": [DECLARED]}]}
    assert wire(OLD, **both).dropped == ("tools.web_search",)


def test_web_search_options_are_a_search() -> None:
    options = extra(web_search_options={"search_context_size": "low"})
    assert body(extra=options) == {"tools": [{"googleSearch": {}}]}
    assert wire(extra=options).dropped == ("web_search_options.search_context_size",)
    assert body(extra=options, hosted_tools=[hosted("web_search")])["tools"] == [{"googleSearch": {}}]
    assert wire(OLD, tools=[LOOK], extra=options).dropped == ("web_search_options",)


# --- sampling -------------------------------------------------------------------------------------------------------


def test_sampling() -> None:
    fields = extra(top_k=40, seed=7, presence_penalty=0.5, frequency_penalty=-1, n=2, logprobs=True, top_logprobs=3)
    assert config(max_tokens=100, temperature=0.0, top_p=0.9, stop=["END"], extra=fields) == {
        "maxOutputTokens": 100,
        "temperature": 0.0,
        "topP": 0.9,
        "topK": 40,
        "candidateCount": 2,
        "presencePenalty": 0.5,
        "frequencyPenalty": -1.0,
        "seed": 7,
        "stopSequences": ["END"],
        "responseLogprobs": True,
        "logprobs": 3,
    }


def test_what_changes_nothing_is_not_sent() -> None:
    fields = extra(n=1, presence_penalty=0, frequency_penalty=0.0, logprobs=False, logit_bias={}, store=False)
    assert body(extra=fields) == {}
    assert wire(extra=fields).dropped == ()


def test_a_seed_beyond_32_bits_is_dropped_and_named() -> None:
    assert (config(extra=extra(seed=2**31)), wire(extra=extra(seed=2**31)).dropped) == ({}, ("seed",))
    assert config(extra=extra(seed=-(2**31))) == {"seed": -(2**31)}


def test_five_stops_and_no_more() -> None:
    assert config(stop=["a", "b", "c", "d", "e", ""])["stopSequences"] == ["a", "b", "c", "d", "e"]
    assert wire(stop=["a", ""]).dropped == ("stop",)
    with pytest.raises(UnsupportedParameter, match="at most 5") as refused:
        body(stop=["a", "b", "c", "d", "e", "f"])
    assert refused.value.param == "stop"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", "x"),
        ("seed", 1.5),
        ("top_k", []),
        ("n", 0),
        ("n", "2"),
        ("presence_penalty", {}),
        ("logprobs", 1),
        ("top_logprobs", "3"),
        ("top_logprobs", 3),
        ("service_tier", 5),
        ("reasoning", []),
        ("web_search_options", 1),
        ("modalities", "text"),
        ("modalities", [1]),
    ],
)
def test_a_field_of_the_wrong_kind_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(BadRequest) as refused:
        body(extra={name: raw_json(value)})
    assert refused.value.param == name


# --- the form of the answer -----------------------------------------------------------------------------------------


def test_json_with_and_without_a_schema() -> None:
    assert config(response_format=ResponseFormat("text")) == {}
    assert config(response_format=ResponseFormat("json_object")) == {"responseMimeType": "application/json"}
    wanted = ResponseFormat("json_schema", "answer", "An answer", SCHEMA, strict=True)
    assert config(response_format=wanted) == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"description": "An answer", **json.loads(bytes(SCHEMA))},
    }


def test_rules_that_are_not_enforced_are_named() -> None:
    wanted = ResponseFormat("json_schema", schema=raw_json({"type": "object", "minProperties": 1}))
    assert wire(response_format=wanted).dropped == ("response_format.minProperties",)


def test_older_models_answer_in_json_only_without_functions() -> None:
    wanted = ResponseFormat("json_schema", schema=SCHEMA)
    assert "responseJsonSchema" in config(OLD, response_format=wanted)
    assert "responseJsonSchema" in config(NEW, response_format=wanted, tools=[LOOK])
    with pytest.raises(UnsupportedParameter) as refused:
        body(OLD, response_format=wanted, tools=[LOOK])
    assert refused.value.param == "response_format"
    asked = body(OLD, response_format=ResponseFormat("json_object"), tools=[LOOK])
    assert "JSON object" in asked["systemInstruction"]["parts"][0]["text"]
    assert "generationConfig" not in asked


def test_a_schema_that_is_none_is_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        body(response_format=ResponseFormat("json_schema", schema=raw_json([])))
    assert refused.value.param == "response_format"


def test_pictures_can_be_asked_for_and_sounds_cannot() -> None:
    assert config(extra=extra(modalities=["text"])) == {}
    assert config(extra=extra(modalities=["text", "image"])) == {"responseModalities": ["TEXT", "IMAGE"]}
    with pytest.raises(UnsupportedParameter) as refused:
        body(extra=extra(modalities=["text", "audio"]))
    assert refused.value.param == "modalities"


# --- the rest -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tier", "written", "dropped"),
    [
        ("auto", {}, ()),
        ("default", {"serviceTier": "standard"}, ()),
        ("flex", {"serviceTier": "flex"}, ()),
        ("priority", {"serviceTier": "priority"}, ()),
        ("scale", {}, ("service_tier",)),
    ],
)
def test_a_tier_of_service(tier: str, written: dict[str, str], dropped: tuple[str, ...]) -> None:
    assert body(extra=extra(service_tier=tier)) == written
    assert wire(extra=extra(service_tier=tier)).dropped == dropped


SAFETY = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]


def test_googles_own_fields_go_up_under_both_spellings() -> None:
    assert body(extra=extra(safety_settings=SAFETY, cached_content="cachedContents/x")) == {
        "safetySettings": SAFETY,
        "cachedContent": "cachedContents/x",
    }
    assert body(extra=extra(safetySettings=SAFETY)) == {"safetySettings": SAFETY}
    assert config(extra=extra(image_config={"aspectRatio": "1:1"})) == {"imageConfig": {"aspectRatio": "1:1"}}


def test_googles_own_fields_are_found_where_its_openai_endpoint_has_them() -> None:
    assert body(extra=extra(extra_body={"google": {"cached_content": "cachedContents/x"}})) == {
        "cachedContent": "cachedContents/x"
    }
    assert wire(extra=extra(extra_body={"other": 1})).dropped == ("extra_body",)


def test_houses_differ() -> None:
    fields = extra(labels={"team": "a"}, service_tier="flex")
    assert wire(extra=fields).dropped == ("labels",)
    other = wire(house=House("vertex", has_labels=True, has_service_tier=False), extra=fields)
    assert json.loads(other.body)["labels"] == {"team": "a"}
    assert other.dropped == ("service_tier",)


def test_what_only_costs_or_is_stored_is_dropped_and_named() -> None:
    fields = extra(prompt_cache_key="k", metadata={"a": 1}, verbosity="low", brand_new=1, safety_identifier="s")
    names = {"prompt_cache_key", "metadata", "verbosity", "brand_new", "safety_identifier", "user"}
    assert set(wire(user="ada", extra=fields).dropped) == names


@pytest.mark.parametrize("name", ["logit_bias", "audio", "moderation"])
def test_what_would_change_the_answer_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        body(extra={name: raw_json({"1": 2})})
    assert refused.value.param == name


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    *("n", "seed", "top_k", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "modalities"),
    *("service_tier", "reasoning", "web_search_options", "safety_settings", "thinking_config", "extra_body", "labels"),
]


@given(
    st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), json_values.map(raw_json), max_size=4),
    st.none() | json_values.map(raw_json),
    st.sampled_from([NEW, OLD, "gemma-3-4b-it"]),
)
@settings(max_examples=150)
def test_any_json_in_any_field_is_translated_or_refused_by_name(
    fields: dict[str, Raw], schema: Raw | None, to: str
) -> None:
    tools = [Tool("look", parameters=schema)]
    wanted = ResponseFormat("json_schema", schema=schema)
    hosted_tools = [HostedTool("web_search", schema or Raw(b"{}"), DialectName.OPENAI_RESPONSES)]
    for members in ({"tools": tools}, {"response_format": wanted}, {"hosted_tools": hosted_tools}):
        try:
            assert isinstance(json.loads(wire(to, extra=fields, **members).body), dict)
        except BadRequest as refused:
            assert refused.status == 400  # noqa: PT017 - both ends are right
            assert refused.param  # noqa: PT017
