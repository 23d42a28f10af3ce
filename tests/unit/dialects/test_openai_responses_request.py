import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import ChatRequest, ResponseFormat
from gateway.dialects.openai_responses_request import ResponsesEnvelope, ResponsesRequest, decode, read_envelope

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def body(**members: Any) -> bytes:
    return json.dumps({"model": "m", "input": "Hi", **members}).encode()


def request(**members: Any) -> ResponsesRequest:
    return decode(body(**members))


def envelope(**members: Any) -> ResponsesEnvelope:
    return read_envelope(body(**members))


def refused(**members: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        request(**members)
    return caught.value


def plain(extra: dict) -> dict[str, Any]:
    return {name: json.loads(bytes(raw)) for name, raw in extra.items()}


# --- the envelope -------------------------------------------------------------------------------------------------


def test_an_envelope_says_little_by_itself():
    found = envelope()
    assert (found.model, found.stream, found.include_usage) == ("m", None, True)
    assert (found.continues, found.conversation_id, found.is_stored, found.is_background) == (None, None, True, False)
    assert found.state_echo == {}


@pytest.mark.parametrize("conversation", ["conv_1", {"id": "conv_1"}])
def test_an_envelope_tells_the_state_that_a_request_goes_on_from(conversation):
    found = envelope(previous_response_id="resp_1", conversation=conversation, store=False, background=True)
    assert (found.continues, found.conversation_id) == ("resp_1", "conv_1")
    assert (found.is_stored, found.is_background) == (False, True)
    assert plain(found.state_echo) == {"previous_response_id": "resp_1", "conversation": {"id": "conv_1"}}


@pytest.mark.parametrize(
    ("members", "stands_alone"),
    [
        ({}, False),
        ({"store": False}, True),
        ({"store": False, "previous_response_id": "resp_1"}, False),
        ({"store": False, "conversation": "conv_1"}, False),
        ({"store": False, "input": [{"type": "item_reference", "id": "rs_1"}]}, False),
    ],
)
def test_an_envelope_tells_whether_anything_is_remembered(members, stands_alone):
    body = json.dumps({"model": "m", "input": "Hi", **members}).encode()
    assert read_envelope(body).stands_alone(body) is stands_alone


def test_the_input_may_be_kept_elsewhere():
    assert read_envelope(b'{"model":"m","prompt":{"id":"pmpt_1"},"stream":true}').stream is True


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"model": ""}, "model"),
        ({"model": None}, "model"),
        ({"input": 5}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"stream": "yes"}, "stream"),
        ({"store": 1}, "store"),
        ({"background": "no"}, "background"),
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"conversation": {}}, "conversation.id"),
    ],
)
def test_an_envelope_is_checked(members, place):
    with pytest.raises(BadRequest) as caught:
        envelope(**members)
    assert caught.value.param == place


# --- members ------------------------------------------------------------------------------------------------------


def test_a_bare_request_says_nothing_more():
    found = request()
    assert isinstance(found, ChatRequest)
    assert (found.model, found.stream, found.include_usage, found.extra, found.echo) == ("m", False, True, {}, {})
    assert found.tools is found.hosted_tools is found.tool_choice is found.response_format is None


def test_members_with_a_noun_are_read():
    found = request(
        stream=True,
        max_output_tokens=100,
        temperature=0.5,
        top_p=0.9,
        parallel_tool_calls=False,
        reasoning={"effort": "low"},
        user="u",
    )
    assert (found.stream, found.max_tokens, found.temperature, found.top_p) == (True, 100, 0.5, 0.9)
    assert (found.parallel_tool_calls, found.reasoning_effort, found.user) == (False, "low", "u")
    assert found.extra == {}


def test_members_without_a_noun_are_kept_under_their_names():
    members = {
        "metadata": {"a": "b"},
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "service_tier": "flex",
        "truncation": "auto",
        "max_tool_calls": 3,
        "client_metadata": {"x": "y"},
        "seed": 5,
    }
    found = request(**members, text={"verbosity": "low"}, reasoning={"effort": None, "summary": "auto"}, x=None)
    assert plain(found.extra) == {**members, "verbosity": "low", "reasoning": {"summary": "auto"}}
    assert found.reasoning_effort is None


@pytest.mark.parametrize(
    "members",
    [
        {"store": True},
        {"store": False},
        {"background": False},
        {"include": ["reasoning.encrypted_content"]},
        {"include": []},
        {"top_logprobs": 5},
        {"stream_options": {"include_obfuscation": False}},
        {"truncation": "disabled"},
        {"previous_response_id": None, "conversation": None, "prompt": None},
        {"text": {"format": {"type": "text"}}, "reasoning": {}},
    ],
)
def test_what_the_gateway_sees_to_is_not_asked_of_a_provider(members):
    assert request(**members).extra == {}


def test_what_only_a_provider_can_include_is_asked_of_it():
    wanted = ["reasoning.encrypted_content", "web_search_call.action.sources"]
    assert plain(request(include=wanted).extra) == {"include": ["web_search_call.action.sources"]}


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"background": True}, "background"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"text": {"format": {"type": "text", "x": 1}}}, "text.format.x"),
    ],
)
def test_what_nobody_can_do_is_refused_by_name(members, place):
    error = refused(**members)
    assert isinstance(error, UnsupportedParameter)
    assert error.param == place


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"instructions": 5}, "instructions"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"metadata": "x"}, "metadata"),
        ({"service_tier": 5}, "service_tier"),
        ({"truncation": "some"}, "truncation"),
        ({"top_logprobs": -1}, "top_logprobs"),
        ({"include": "x"}, "include"),
        ({"stream_options": 5}, "stream_options"),
        ({"reasoning": {"effort": 5}}, "reasoning.effort"),
        ({"text": {"verbosity": 5}}, "text.verbosity"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "name": "n", "schema": 5}}}, "text.format.schema"),
    ],
)
def test_a_wrong_member_is_named(members, place):
    error = refused(**members)
    assert not isinstance(error, UnsupportedParameter)
    assert error.param == place


def test_each_form_of_answer_is_read():
    assert request(text={"format": {"type": "json_object"}}).response_format == ResponseFormat("json_object")
    schema = {"type": "json_schema", "name": "n", "description": "d", "schema": SCHEMA, "strict": True}
    found = request(text={"format": schema}).response_format
    assert (found.kind, found.name, found.description, found.strict) == ("json_schema", "n", "d", True)
    assert json.loads(bytes(found.schema)) == SCHEMA


def test_what_the_answer_repeats_is_kept_as_sent():
    members = {
        "tools": [{"type": "web_search", "x": None}],
        "instructions": "Be brief.",
        "temperature": 0,
        "store": False,
    }
    found = request(**members, text={"format": {"type": "text"}, "verbosity": "low"}, top_p=None, client_metadata={})
    assert plain(found.echo) == {**members, "text": {"format": {"type": "text"}, "verbosity": "low"}}


# --- any request --------------------------------------------------------------------------------------------------

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FUNCTION = {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
TEMPLATE: dict[str, Any] = {
    "model": "m",
    "instructions": "s",
    "input": [
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "t"},
                {"type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "low"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"},
                {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "t"}],
            "encrypted_content": "e",
        },
        {"role": "assistant", "content": [{"type": "output_text", "text": "t", "annotations": []}]},
        {"type": "function_call", "call_id": "c", "name": "f", "namespace": "ns", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "t"}]},
        {"type": "custom_tool_call", "call_id": "d", "name": "p", "input": "t"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "t"},
        {"type": "additional_tools", "role": "developer", "tools": [FUNCTION]},
        {"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}},
    ],
    "tools": [
        {**FUNCTION, "name": "g"},
        {"type": "custom", "name": "p", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
        {"type": "namespace", "name": "ns", "description": "d", "tools": [FUNCTION]},
        {"type": "web_search"},
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "stream": True,
    "store": False,
    "background": False,
    "include": ["reasoning.encrypted_content"],
    "max_output_tokens": 5,
    "metadata": {"a": "b"},
    "truncation": "auto",
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
    found = decode(json.dumps(TEMPLATE).encode())
    assert [message.role.value for message in found.messages] == [
        *("system", "user", "assistant", "tool", "assistant", "tool", "assistant")
    ]


def is_well_typed(found: ResponsesRequest) -> bool:
    """Reading it back checks every member against its declared type, but for those with a ``Raw``, which msgspec
    cannot read there."""
    plain_messages = [
        msgspec.structs.replace(
            message, parts=[part for part in message.parts if "value" not in part.__struct_fields__]
        )
        for message in found.messages
    ]
    rawless = msgspec.structs.replace(
        found, tools=None, hosted_tools=None, response_format=None, messages=plain_messages
    )
    return msgspec.json.decode(msgspec.json.encode(rawless), type=ResponsesRequest).model == found.model


@given(place=st.sampled_from(places(TEMPLATE)), value=ANY_JSON)
def test_any_json_in_place_of_any_member_gives_a_request_or_a_bad_request(place, value):
    data = json.dumps(put(TEMPLATE, place, value)).encode()
    try:
        found = decode(data)
    except BadRequest:
        return
    assert is_well_typed(found)


@given(st.dictionaries(st.sampled_from([*TEMPLATE, "conversation", "prompt", "user", "seed"]), ANY_JSON))
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
    assert (envelope.continues, envelope.conversation_id, envelope.is_background) == (None, None, False)
