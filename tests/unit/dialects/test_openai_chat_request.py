import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.limits import MAX_MESSAGES, MAX_STOP_SEQUENCES, MAX_TOOLS
from gateway.core.types import ChatRequest, ResponseFormat, ToolChoice
from gateway.dialects.openai_chat_envelope import read_envelope
from gateway.dialects.openai_chat_request import decode

HELLO = [{"role": "user", "content": "Hello"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", "messages": HELLO, **members}).encode()


def request(**members: Any) -> ChatRequest:
    return decode(body(**members))


def refused(call=decode, **members: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        call(body(**members))
    return caught.value


def plain(extra: dict[str, msgspec.Raw]) -> dict[str, Any]:
    return {name: json.loads(bytes(raw)) for name, raw in extra.items()}


# --- the envelope -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({}, ("m", None, False)),
        ({"stream": False}, ("m", False, False)),
        ({"stream": None, "stream_options": None}, ("m", None, False)),
        ({"stream": True}, ("m", True, False)),
        ({"stream": True, "stream_options": {"include_usage": True, "new": 1}}, ("m", True, True)),
        ({"stream_options": {"include_usage": None}}, ("m", None, False)),
        ({"model": "openai/gpt-4o-mini", "temperature": "not ours to judge"}, ("openai/gpt-4o-mini", None, False)),
    ],
)
def test_the_envelope_tells_model_and_stream(members, told):
    envelope = read_envelope(body(**members))
    assert (envelope.model, envelope.stream, envelope.include_usage) == told


BAD_ENVELOPES = [
    ({"model": None}, "model", "'model' is required."),
    ({"model": 5}, "model", "'model' must be a string, not an integer."),
    ({"model": ""}, "model", "'model' must not be empty."),
    ({"model": "x" * 300}, "model", "'model' must be a string of length <= 256."),
    ({"messages": None}, "messages", "'messages' is required."),
    ({"messages": "Hello"}, "messages", "'messages' must be a list, not a string."),
    ({"messages": []}, "messages", "'messages' must not be empty."),
    ({"messages": [*HELLO, "Hello"]}, "messages[1]", "'messages[1]' must be an object, not a string."),
    ({"stream": "true"}, "stream", "'stream' must be true or false, not a string."),
    ({"stream": 1}, "stream", "'stream' must be true or false, not an integer."),
    ({"stream_options": True}, "stream_options", "'stream_options' must be an object, not a boolean."),
    (
        {"stream_options": {"include_usage": "yes"}},
        "stream_options.include_usage",
        "'stream_options.include_usage' must be true or false, not a string.",
    ),
]


@pytest.mark.parametrize("read", [read_envelope, decode])
@pytest.mark.parametrize(("members", "param", "message"), BAD_ENVELOPES)
def test_what_routing_needs_is_refused_by_name(read, members, param, message):
    error = refused(read, **members)
    assert (error.param, error.message) == (param, message)


@pytest.mark.parametrize("read", [read_envelope, decode])
def test_members_may_not_be_missing(read):
    for name in ("model", "messages"):
        members = json.loads(body())
        del members[name]
        with pytest.raises(BadRequest, match="is required") as caught:
            read(json.dumps(members).encode())
        assert caught.value.param == name


@pytest.mark.parametrize("read", [read_envelope, decode])
@pytest.mark.parametrize("data", [b"", b"null", b"[]", b'"x"', b'{"model":"m"', b"\xff", body() + b"x"])
def test_a_body_that_is_no_object_is_refused(read, data):
    with pytest.raises(BadRequest, match="The request body"):
        read(data)


@pytest.mark.parametrize("read", [read_envelope, decode])
def test_messages_are_bounded(read):
    error = refused(read, messages=HELLO * (MAX_MESSAGES + 1))
    assert error.param == "messages"


# --- plain members ------------------------------------------------------------------------------------------------


def test_every_member_with_a_noun_is_read():
    found = request(
        stream=True,
        stream_options={"include_usage": True},
        parallel_tool_calls=False,
        max_tokens=10,
        temperature=1,
        top_p=0.5,
        stop=["a", "b"],
        reasoning_effort="high",
        user="u1",
    )
    assert (found.stream, found.include_usage, found.parallel_tool_calls) == (True, True, False)
    assert (found.max_tokens, found.temperature, found.top_p) == (10, 1.0, 0.5)
    assert (found.stop, found.reasoning_effort, found.user) == (["a", "b"], "high", "u1")
    assert found.extra == {}


def test_everything_else_is_kept_by_name_and_byte_for_byte():
    data = body()[:-1] + b',"n":2,"seed":1014,"logit_bias":{"50256": -100},"new":"\\u00e9"}'
    assert {name: bytes(raw) for name, raw in decode(data).extra.items()} == {
        "n": b"2",
        "seed": b"1014",
        "logit_bias": b'{"50256": -100}',
        "new": b'"\\u00e9"',
    }


OPTIONAL = [
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "stop",
    "reasoning_effort",
    "reasoning",
    "response_format",
    "user",
    "functions",
    "function_call",
    "seed",
    "n",
]


def test_null_means_absent_for_every_optional_member():
    found = request(**dict.fromkeys(OPTIONAL))
    assert msgspec.json.encode(found) == msgspec.json.encode(request())


@pytest.mark.parametrize(
    ("members", "max_tokens"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": None}, 5),
    ],
)
def test_max_completion_tokens_wins(members, max_tokens):
    found = request(**members)
    assert (found.max_tokens, found.extra) == (max_tokens, {})


@pytest.mark.parametrize(("stop", "found"), [("a", ["a"]), (["a"], ["a"]), ([], None), (None, None)])
def test_stop_is_a_list_or_one_string(stop, found):
    assert request(stop=stop).stop == found


@pytest.mark.parametrize(
    ("members", "effort", "budget", "extra"),
    [
        ({"reasoning": {"effort": "low"}}, "low", None, {}),
        ({"reasoning": {"max_tokens": 2000, "exclude": False}}, None, 2000, {}),
        ({"reasoning": {"max_tokens": 0}}, None, 0, {}),
        ({"reasoning": {"enabled": True}}, "medium", None, {}),
        ({"reasoning": {"enabled": True, "max_tokens": 9}}, None, 9, {}),
        ({"reasoning": {"enabled": False, "effort": "high"}}, "none", None, {}),
        ({"reasoning_effort": "high", "reasoning": {"effort": "low"}}, "high", None, {}),
        ({"reasoning": {"exclude": True, "summary": "auto"}}, None, None, {"exclude": True, "summary": "auto"}),
    ],
)
def test_reasoning_may_be_an_object(members, effort, budget, extra):
    found = request(**members)
    assert (found.reasoning_effort, found.reasoning_budget) == (effort, budget)
    assert plain(found.extra) == ({"reasoning": extra} if extra else {})


def test_stream_options_that_change_nothing_are_not_carried_on():
    assert request(stream_options={"include_obfuscation": False}).extra == {}
    assert plain(request(stream_options={"include_usage": True, "new": 1}).extra) == {"stream_options": {"new": 1}}


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": []}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": "5"}, "max_completion_tokens"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a", 5]}, "stop[1]"),
        ({"stop": ["a"] * (MAX_STOP_SEQUENCES + 1)}, "stop"),
        ({"user": {"id": 1}}, "user"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"reasoning_effort": 3}, "reasoning_effort"),
        ({"reasoning": "high"}, "reasoning"),
        ({"reasoning": {"max_tokens": "x"}}, "reasoning.max_tokens"),
        ({"stream_options": {"include_obfuscation": 1}}, "stream_options.include_obfuscation"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters"),
        ({"tools": [{"function": {"name": "f", "strict": "yes"}}]}, "tools[0].function.strict"),
        ({"tools": [{"function": {"name": "f"}}] * (MAX_TOOLS + 1)}, "tools"),
        ({"functions": [{}]}, "functions[0].name"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": 5}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"tool_choice": {"type": "function", "function": {"name": None}}}, "tool_choice.function.name"),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "any", "tools": []}}},
            "tool_choice.allowed_tools.mode",
        ),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{}]}}},
            "tool_choice.allowed_tools.tools[0].function",
        ),
        ({"function_call": {}}, "function_call.name"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format.json_schema.schema",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": "x"}}},
            "response_format.json_schema.schema",
        ),
    ],
)
def test_a_wrong_member_is_named(members, param):
    error = refused(**members)
    assert error.param == param
    assert error.message.startswith(f"'{param}' ")
    assert not isinstance(error, UnsupportedParameter)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "x"}}}, "tool_choice.type"),
        ({"response_format": {"type": "grammar", "grammar": "x"}}, "response_format.type"),
        ({"response_format": {"type": "json_object", "schema": {}}}, "response_format.schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}, "new": 1}}},
            "response_format.json_schema.new",
        ),
    ],
)
def test_what_cannot_be_translated_is_refused_as_unsupported(members, param):
    error = refused(**members)
    assert isinstance(error, UnsupportedParameter)
    assert error.param == param


# --- tools --------------------------------------------------------------------------------------------------------


def test_a_tool_keeps_its_schema_and_unknown_members():
    tool = {
        "type": "function",
        "function": {"name": "weather", "description": "", "parameters": WEATHER, "strict": True, "examples": [1]},
        "cache_control": {"type": "ephemeral"},
    }
    [found] = request(tools=[tool]).tools
    assert (found.name, found.description, found.strict) == ("weather", "", True)
    assert json.loads(bytes(found.parameters)) == WEATHER
    assert plain(found.extra) == {"examples": [1], "cache_control": {"type": "ephemeral"}}


def test_a_tool_needs_only_a_name():
    [found] = request(tools=[{"function": {"name": "now", "parameters": None}}]).tools
    assert (found.name, found.parameters, found.extra) == ("now", None, {})


def test_the_functions_of_2023_are_tools():
    [found] = request(functions=[{"name": "weather", "parameters": WEATHER}]).tools
    assert (found.name, json.loads(bytes(found.parameters))) == ("weather", WEATHER)


def test_no_tools_is_as_good_as_none():
    assert request(tools=[]).tools is None


@pytest.mark.parametrize(
    ("given_choice", "found"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ("any", ToolChoice("required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("tool", name="f")),
        ({"function": {"name": "f"}}, ToolChoice("tool", name="f")),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
            ToolChoice("required", allowed=("f",)),
        ),
    ],
)
def test_each_spelling_of_a_tool_choice_is_understood(given_choice, found):
    assert request(tool_choice=given_choice).tool_choice == found


@pytest.mark.parametrize(
    ("given_choice", "found"), [("auto", ToolChoice("auto")), ({"name": "f"}, ToolChoice("tool", name="f"))]
)
def test_the_function_call_of_2023_is_a_tool_choice(given_choice, found):
    assert request(function_call=given_choice).tool_choice == found


def test_old_and_new_tools_do_not_mix():
    tool = {"function": {"name": "f"}}
    assert refused(tools=[tool], functions=[{"name": "f"}]).param == "functions"
    assert refused(tool_choice="auto", function_call="auto").param == "function_call"


# --- response format ----------------------------------------------------------------------------------------------


def test_each_kind_of_response_format_is_read():
    assert request(response_format={"type": "text"}).response_format == ResponseFormat("text")
    assert request(response_format={"type": "json_object"}).response_format == ResponseFormat("json_object")
    schema = {"name": "Weather", "description": "d", "schema": WEATHER, "strict": True}
    found = request(response_format={"type": "json_schema", "json_schema": schema}).response_format
    assert (found.kind, found.name, found.description, found.strict) == ("json_schema", "Weather", "d", True)
    assert json.loads(bytes(found.schema)) == WEATHER


def test_a_schema_may_come_without_name_and_strict():
    given_schema = {"schema": WEATHER, "strict": None}
    found = request(response_format={"type": "json_schema", "json_schema": given_schema}).response_format
    assert (found.name, found.strict) == (None, None)


# --- any request --------------------------------------------------------------------------------------------------

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FUNCTION = {"name": "f", "description": "d", "parameters": WEATHER, "strict": True}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TEMPLATE: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "name": "n",
            "content": [
                {"type": "text", "text": "t"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "reasoning_content": "r",
            "thinking_blocks": [{"type": "thinking", "thinking": "r", "signature": "s"}],
            "tool_calls": [CALL],
        },
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "t"}]},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "t"},
    ],
    "stream": True,
    "stream_options": {"include_usage": True},
    "tools": [{"type": "function", "function": FUNCTION}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "max_tokens": 5,
    "temperature": 0.5,
    "stop": ["a"],
    "reasoning": {"effort": "low", "max_tokens": 5, "enabled": True, "exclude": False},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": WEATHER, "strict": True}},
    "user": "u",
    "seed": 5,
}


def places(value: Any, path: tuple = ()) -> list[tuple]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in places(inner, (*path, key)))]


def put(value: Any, path: tuple, new: Any) -> Any:
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


def test_the_template_is_a_good_request():
    assert len(decode(json.dumps(TEMPLATE).encode()).messages) == len(TEMPLATE["messages"])


def is_well_typed(found: ChatRequest) -> bool:
    """Reading it back checks every member against its declared type, but for those of type ``Raw | None``, which
    msgspec cannot read."""
    rawless = msgspec.structs.replace(found, tools=None, response_format=None)
    return msgspec.json.decode(msgspec.json.encode(rawless), type=ChatRequest).model == found.model


@given(place=st.sampled_from(places(TEMPLATE)), value=ANY_JSON)
def test_any_json_in_place_of_any_member_gives_a_request_or_a_bad_request(place, value):
    data = json.dumps(put(TEMPLATE, place, value)).encode()
    try:
        found = decode(data)
    except BadRequest:
        return
    assert is_well_typed(found)


@given(st.dictionaries(st.sampled_from([*OPTIONAL, "model", "messages"]), ANY_JSON))
def test_any_members_give_a_request_or_a_bad_request(members):
    try:
        found = decode(body(**members))
    except BadRequest:
        return
    assert is_well_typed(found)


@given(st.binary())
def test_any_bytes_give_an_envelope_or_a_bad_request(data):
    for read in (read_envelope, decode):
        with pytest.raises(BadRequest):
            read(data)


@given(place=st.sampled_from(places(TEMPLATE)), value=ANY_JSON)
def test_the_envelope_judges_like_the_decoder(place, value):
    data = json.dumps(put(TEMPLATE, place, value)).encode()
    try:
        found = decode(data)
    except BadRequest:
        return
    envelope = read_envelope(data)
    told = (envelope.model, envelope.stream is True, envelope.include_usage)
    assert told == (found.model, found.stream, found.include_usage)
