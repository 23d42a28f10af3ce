import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.limits import MAX_MESSAGES, MAX_STOP_SEQUENCES, MAX_TOOLS
from gateway.core.types import ChatRequest, DialectName, HostedTool, ResponseFormat, ToolChoice
from gateway.dialects.anthropic_errors import error_body
from gateway.dialects.anthropic_messages_request import (
    decode,
    decode_counting,
    read_counting_envelope,
    read_envelope,
)

HELLO = [{"role": "user", "content": "Hello"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FORMAT = {"type": "json_schema", "schema": WEATHER}


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 100, "messages": HELLO, **members}).encode()


def request(**members: Any) -> ChatRequest:
    return decode(body(**members))


def refused(call=decode, **members: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        call(body(**members))
    return caught.value


def plain(extra: dict) -> dict[str, Any]:
    return {name: json.loads(bytes(raw)) for name, raw in extra.items()}


# --- the envelope -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({}, ("m", None)),
        ({"stream": False}, ("m", False)),
        ({"stream": None}, ("m", None)),
        ({"stream": True}, ("m", True)),
        ({"model": "openai/gpt-5", "max_tokens": "not ours to judge"}, ("openai/gpt-5", None)),
    ],
)
def test_the_envelope_tells_model_and_stream(members, told):
    envelope = read_envelope(body(**members))
    assert (envelope.model, envelope.stream) == told
    assert read_counting_envelope(body(**members)).stream is None


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
]


@pytest.mark.parametrize("read", [read_envelope, read_counting_envelope, decode, decode_counting])
@pytest.mark.parametrize(("members", "param", "message"), BAD_ENVELOPES)
def test_what_routing_needs_is_refused_by_name(read, members, param, message):
    error = refused(read, **members)
    assert (error.param, error.message) == (param, message)


@pytest.mark.parametrize("read", [read_envelope, decode, decode_counting])
@pytest.mark.parametrize("data", [b"", b"null", b"[]", b'"x"', b'{"model":"m"', b"\xff", body() + b"x"])
def test_a_body_that_is_no_object_is_refused(read, data):
    with pytest.raises(BadRequest, match="The request body"):
        read(data)


@pytest.mark.parametrize("read", [read_envelope, decode])
def test_messages_are_bounded(read):
    assert refused(read, messages=HELLO * (MAX_MESSAGES + 1)).param == "messages"


# --- plain members ------------------------------------------------------------------------------------------------


def test_every_member_with_a_noun_is_read():
    found = request(
        stream=True, temperature=1, top_p=0.5, stop_sequences=["a", "b"], metadata={"user_id": '{"session_id":"s"}'}
    )
    assert (found.model, found.max_tokens, found.stream, found.include_usage) == ("m", 100, True, True)
    assert (found.temperature, found.top_p, found.stop) == (1, 0.5, ["a", "b"])
    assert found.user == '{"session_id":"s"}'
    assert found.extra == {}


def test_the_rest_is_kept_by_its_name():
    members = {
        "top_k": 5,
        "cache_control": {"type": "ephemeral"},
        "container": "c1",
        "mcp_servers": [{"type": "url", "url": "https://example.com", "name": "x"}],
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "speed": "fast",
        "inference_geo": "eu",
        "service_tier": "auto",
        "never_heard_of": {"a": [1.0, None]},
    }
    assert plain(request(**members, container_id=None, metadata={"team": "t"}).extra) == {
        **members,
        "metadata": {"team": "t"},
    }


def test_a_service_tier_is_told_in_openais_words():
    assert plain(request(service_tier="standard_only").extra) == {"service_tier": "default"}


def test_nulls_are_as_good_as_nothing():
    names = ("system", "tools", "tool_choice", "thinking", "output_config", "metadata", "stream", "stop_sequences")
    assert request(**dict.fromkeys((*names, "thread", "temperature"))) == request()


def test_an_answer_needs_a_bound_and_a_count_does_not():
    error = refused(max_tokens=None)
    assert (error.param, error.message) == ("max_tokens", "'max_tokens' is required.")
    assert decode_counting(body(max_tokens=None)).max_tokens is None


def test_a_count_is_never_streamed():
    found = decode_counting(body(stream=True))
    assert (found.stream, found.include_usage) == (False, False)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stop_sequences": ["x"] * (MAX_STOP_SEQUENCES + 1)}, "stop_sequences"),
        ({"metadata": "me"}, "metadata"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id"),
        ({"service_tier": 5}, "service_tier"),
        ({"system": 5}, "system"),
        ({"system": [{"type": "text"}]}, "system[0].text"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "f", "input_schema": []}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "f", "input_schema": {}, "strict": 1}]}, "tools[0].strict"),
        ({"tools": [{"name": "f", "input_schema": {}}] * (MAX_TOOLS + 1)}, "tools"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "auto", "weight": 1}}, "tool_choice.weight"),
        ({"thinking": True}, "thinking"),
        ({"thinking": {}}, "thinking.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": -1}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": 3}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"output_config": {"format": {**FORMAT, "new": 1}}}, "output_config.format.new"),
        ({"output_config": {"format": FORMAT}, "output_format": FORMAT}, "output_format"),
    ],
)
def test_a_wrong_member_is_named(members, param):
    assert refused(**members).param == param


# --- threads ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", [decode, decode_counting])
@pytest.mark.parametrize("thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}, 5])
def test_a_thread_is_refused_so_that_clients_send_the_turn_in_full(call, thread):
    # a turn that continues a thread has only what is new: a result without its call, and no bound
    error = refused(call, thread=thread, messages=[{"role": "user"}], max_tokens=None)
    assert isinstance(error, UnsupportedParameter)
    assert error.status == 400
    found = json.loads(error_body(error))
    assert found["error"].pop("message")
    details = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    assert found == {"type": "error", "error": {"type": "invalid_request_error", "details": details}}


@pytest.mark.parametrize(("thread", "is_bound"), [(b"null", False), (b'{"type":"create"}', True), (b"5", True)])
def test_every_turn_of_a_thread_belongs_to_one_account(thread, is_bound):
    body = b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"thread": %b }' % thread
    assert read_envelope(body).is_bound is read_counting_envelope(body).is_bound is is_bound
    assert not read_envelope(b'{"model":"m","messages":[{}]}').is_bound


# --- thinking and output ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thinking", "output", "told", "extra"),
    [
        (None, None, (None, None), {}),
        (None, {"effort": "low"}, ("low", None), {}),
        ({"type": "enabled", "budget_tokens": 2048}, None, (None, 2048), {}),
        ({"type": "enabled", "budget_tokens": 2048}, {"effort": "max"}, ("max", 2048), {}),
        ({"type": "adaptive"}, None, ("high", None), {}),
        ({"type": "adaptive"}, {"effort": "xhigh"}, ("xhigh", None), {}),
        (
            {"type": "adaptive", "display": "omitted"},
            {"effort": "low", "task_budget": 5},
            ("low", None),
            {"thinking": {"display": "omitted"}, "output_config": {"task_budget": 5}},
        ),
        ({"type": "disabled"}, None, ("none", None), {}),
        # it is then no longer about thinking
        ({"type": "disabled"}, {"effort": "low"}, ("none", None), {"output_config": {"effort": "low"}}),
        ({"type": "between_tools"}, None, (None, None), {"thinking": {"type": "between_tools"}}),
    ],
)
def test_thinking_is_an_effort_or_a_budget(thinking, output, told, extra):
    found = request(thinking=thinking, output_config=output)
    assert (found.reasoning_effort, found.reasoning_budget) == told
    assert plain(found.extra) == extra


@pytest.mark.parametrize("members", [{"output_config": {"format": FORMAT}}, {"output_format": FORMAT}])
def test_a_format_is_a_schema(members):
    found = request(**members)
    assert isinstance(found.response_format, ResponseFormat)
    assert (found.response_format.kind, found.response_format.name) == ("json_schema", None)
    assert found.response_format.strict is True, "the model is held to it"
    assert json.loads(bytes(found.response_format.schema)) == WEATHER
    assert found.extra == {}


# --- tools --------------------------------------------------------------------------------------------------------


def test_a_tool_of_the_clients_is_a_function():
    tool = {"name": "f", "description": "d", "input_schema": WEATHER, "strict": True}
    members = {
        "cache_control": {"type": "ephemeral"},
        "defer_loading": True,
        "eager_input_streaming": False,
        "input_examples": [{"city": "Oslo"}],
    }
    found = request(tools=[{"type": "custom", **tool, **members}, {**tool, "name": "g", "strict": None}])
    assert found.hosted_tools is None
    one, other = found.tools or []
    assert (one.name, one.description, one.strict, plain(one.extra)) == ("f", "d", True, members)
    assert json.loads(bytes(one.parameters)) == WEATHER
    assert (other.name, other.strict, other.extra) == ("g", None, {})


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("web_search_20250305", "web_search"),
        ("web_search_20260318", "web_search"),
        ("web_fetch_20250910", "web_fetch"),
        ("code_execution_20260521", "code_execution"),
        ("bash_20250124", "bash"),
        ("text_editor_20250728", "text_editor"),
        ("computer_20250124", "computer"),
        ("memory_20250818", "memory"),
        ("mcp_toolset", "mcp_toolset"),
    ],
)
def test_a_tool_of_anthropics_keeps_its_definition(kind, name):
    definition = {"name": "x", "type": kind, "max_uses": 2, "cache_control": None}
    found = request(tools=[definition])
    assert found.tools is None
    [tool] = found.hosted_tools or []
    assert isinstance(tool, HostedTool)
    assert (tool.kind, tool.origin) == (name, DialectName.ANTHROPIC_MESSAGES)
    assert json.loads(bytes(tool.value)) == definition


def test_no_tools_are_as_good_as_none():
    assert (request(tools=[]).tools, request(tools=[]).hosted_tools) == (None, None)


@pytest.mark.parametrize(
    ("choice", "found", "parallel"),
    [
        ({"type": "auto"}, ToolChoice("auto"), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("required"), False),
        ({"type": "auto", "disable_parallel_tool_use": False}, ToolChoice("auto"), None),
        ({"type": "tool", "name": "f"}, ToolChoice("tool", name="f"), None),
        ({"type": "none"}, ToolChoice("none"), None),
    ],
)
def test_a_choice_of_tools_is_told_in_our_words(choice, found, parallel):
    decoded = request(tool_choice=choice)
    assert (decoded.tool_choice, decoded.parallel_tool_calls) == (found, parallel)


# --- any body -----------------------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
WORDS = (
    "auto tool any enabled adaptive disabled json_schema text image document base64 url content search_result tool_use "
    "tool_result thinking redacted_thinking user system assistant create gemini_generate_content:x:y "
    "openai_responses.redacted::z"
)
NAMES = (
    "type name text source content role data media_type url title thinking signature id input tool_use_id is_error "
    "citations cache_control effort format schema user_id budget_tokens input_schema caller new"
)
FIELDS = (
    "model messages system max_tokens temperature top_p stop_sequences stream metadata tools tool_choice thinking "
    "output_config output_format service_tier thread top_k"
)
NAME, FIELD = st.sampled_from(NAMES.split()), st.sampled_from(FIELDS.split())
JSON = st.recursive(
    SCALARS | st.sampled_from(WORDS.split()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAME, inner, max_size=5),
    max_leaves=12,
)


def outcome(read, data: bytes) -> ChatRequest | BadRequest:
    try:
        return read(data)
    except BadRequest as error:
        return error


@given(st.dictionaries(FIELD, JSON | st.lists(st.dictionaries(NAME, JSON, max_size=5), max_size=3), max_size=6))
def test_any_json_in_any_field_is_read_or_refused(members):
    for read in (decode, decode_counting):
        found = outcome(read, body(**members))
        assert isinstance(found, ChatRequest) or found.message.endswith(".")


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data):
    for read in (decode, read_envelope):
        for given_body in (data, body().replace(b"Hello", data)):
            outcome(read, given_body)


def test_deep_nesting_is_refused():
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    for read in (decode, read_envelope):
        with pytest.raises(BadRequest):
            read(body(system=5).replace(b"5", deep))
