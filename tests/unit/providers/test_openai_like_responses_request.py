"""Requests for the Responses API: messages, thoughts and bounds."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import (
    Audio,
    ChatRequest,
    DialectName,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    ResponseFormat,
    Role,
    Text,
    ToolCall,
    ToolResult,
    raw_json,
)
from providers.openai_like.responses_request import to_wire

OWN = DialectName.OPENAI_RESPONSES
OTHER = DialectName.ANTHROPIC_MESSAGES
SCHEMA = raw_json({"type": "object", "properties": {}, "additionalProperties": False})


def turn(role: Role, *parts: Part | str, **members: Any) -> Message:
    return Message(role, [Text(part) if isinstance(part, str) else part for part in parts], **members)


def user(*parts: Part | str, **members: Any) -> Message:
    return turn(Role.USER, *parts, **members)


def assistant(*parts: Part | str, **members: Any) -> Message:
    return turn(Role.ASSISTANT, *parts, **members)


def written(*messages: Message, model: str = "gpt-5", **members: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body, and the names of what was dropped."""
    request = ChatRequest(model="asked-for", messages=list(messages) or [user("Hi")], **members)
    wire = to_wire(request, model)
    return json.loads(wire.body), wire.dropped


def items(*messages: Message) -> list[Any]:
    """The input of a request that loses nothing."""
    body, dropped = written(*messages)
    assert dropped == ()
    return body["input"]


# --- messages ---------------------------------------------------------------------------------------------------------


def test_a_plain_request_stores_nothing_and_asks_for_encrypted_thoughts() -> None:
    assert written() == (
        {
            "model": "gpt-5",
            "input": [{"role": "user", "content": "Hi"}],
            "include": ["reasoning.encrypted_content"],
            "store": False,
        },
        (),
    )


def test_every_message_stays_in_its_place() -> None:
    roles = (Role.SYSTEM, Role.DEVELOPER, Role.USER, Role.ASSISTANT, Role.SYSTEM, Role.USER)
    assert items(*(turn(role, f"m{n}") for n, role in enumerate(roles))) == [
        {"role": role.value, "content": f"m{n}"} for n, role in enumerate(roles)
    ]


def test_user_content() -> None:
    parts: list[Part] = [
        Text("look"),
        Image(url="https://example.com/a.png", detail="high"),
        Image(data="iVBO", media_type="image/png"),
        Image(file_id="file_1"),
        File(url="https://example.com/a.pdf"),
        File(file_id="file_2"),
        File(data="JVBE", media_type="application/pdf"),
        File(data="aGk=", media_type="text/plain", filename="notes.txt"),
        File(data="iVBO", media_type="image/png", filename="a.png"),
        Audio("UklG", "wav"),
    ]
    assert items(user(*parts)) == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "high"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBO"},
                {"type": "input_image", "file_id": "file_1"},
                {"type": "input_file", "file_url": "https://example.com/a.pdf"},
                {"type": "input_file", "file_id": "file_2"},
                {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"},
                {"type": "input_file", "filename": "notes.txt", "file_data": "data:text/plain;base64,aGk="},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBO"},
                {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
            ],
        }
    ]


@pytest.mark.parametrize("part", [File(), Image(), File(data="aGk="), Image(data="aGk=", media_type="")])
def test_content_that_is_nowhere_is_refused_by_name(part: Part) -> None:
    with pytest.raises(BadRequest) as refused:
        written(user("a"), user("b", part))
    assert refused.value.param == "messages[1].content"


def test_an_assistant_turn_is_parted_by_calls_and_thoughts() -> None:
    thought = Reasoning("Hm", signature="cHJvb2Y=", origin=OWN, id="rs_1")
    call = ToolCall("call_1", "look", '{"a": 1.50')
    bare = Reasoning(redacted="b3BhcXVl", origin=OWN)
    assert items(
        user("Hi"),
        assistant(thought, "I look.", call, bare, "Found", Refusal("No."), extra={"phase": raw_json("commentary")}),
        turn(Role.TOOL, ToolResult("call_1", [Text("It is so")])),
    ) == [
        {"role": "user", "content": "Hi"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm"}],
            "encrypted_content": "cHJvb2Y=",
        },
        {"role": "assistant", "content": "I look.", "phase": "commentary"},
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"a": 1.50'},
        {"type": "reasoning", "summary": [], "encrypted_content": "b3BhcXVl"},
        {
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Found"}, {"type": "refusal", "refusal": "No."}],
            "phase": "commentary",
        },
        {"type": "function_call_output", "call_id": "call_1", "output": "It is so"},
    ]


@pytest.mark.parametrize(
    ("thought", "model"),
    [
        (Reasoning("Hm", signature="c2ln"), "gpt-5"),
        (Reasoning("Hm", origin=OWN, id="rs_1"), "gpt-5"),
        (Reasoning("Hm", signature="c2ln", origin=OWN), "gpt-4o"),
    ],
)
def test_a_thought_goes_back_only_with_the_apis_own_proof(thought: Reasoning, model: str) -> None:
    body, dropped = written(user("Hi"), assistant(thought, thought, "said"), model=model)
    assert body["input"][1:] == [{"role": "assistant", "content": "said"}]
    assert dropped == ("reasoning_content",)


def test_results_may_hold_pictures_and_documents() -> None:
    parts = [Text("a"), Text("b"), Image(url="https://example.com/a.png"), File(url="https://example.com/a.pdf")]
    assert items(turn(Role.TOOL, ToolResult("call_1", parts)))[0]["output"] == [
        {"type": "input_text", "text": "a"},
        {"type": "input_text", "text": "b"},
        {"type": "input_image", "image_url": "https://example.com/a.png"},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
    ]
    assert items(turn(Role.TOOL, ToolResult("call_1", [])))[0]["output"] == ""


@pytest.mark.parametrize(
    ("parts", "output"),
    [
        ([Text("no such file")], "Error: no such file"),
        ([Text("Error: no")], "Error: no"),
        ([], "Error"),
    ],
)
def test_a_failed_result_says_so(parts: list[Any], output: str) -> None:
    assert items(turn(Role.TOOL, ToolResult("call_1", parts, is_error=True)))[0]["output"] == output


def test_ids_of_calls_fit_and_stay_apart() -> None:
    long = "call_" + "x" * 90
    messages = [
        assistant(*(ToolCall(call_id, "f", "{}") for call_id in ("a" * 64, f"{long}1", f"{long}2", ""))),
        *(turn(Role.TOOL, ToolResult(call_id, [Text("r")])) for call_id in ("a" * 64, f"{long}1", f"{long}2", "")),
    ]
    ids = [item["call_id"] for item in items(*messages)]
    assert ids[:4] == ids[4:]
    assert ids[0] == "a" * 64
    assert len(set(ids)) == 4
    assert all(0 < len(call_id) <= 64 for call_id in ids)


def test_own_items_of_provider_side_tools_go_back_as_they_are() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    own = Opaque("web_search_call", raw_json(search), OWN)
    part = {"type": "input_video", "video_url": "x"}
    foreign = Opaque("server_tool_use", raw_json({"type": "server_tool_use"}), OTHER)
    body, dropped = written(
        user(Opaque("input_video", raw_json(part), OWN)), assistant("a", own, "b", foreign), user("c")
    )
    assert body["input"] == [
        {"role": "user", "content": [part]},
        {"role": "assistant", "content": "a"},
        search,
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    assert dropped == ("content.server_tool_use",)


def test_content_that_an_assistant_cannot_have_said_is_refused() -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        written(assistant(Image(url="https://example.com/a.png")))
    assert refused.value.param == "messages[0].content"


def test_what_has_no_place_is_named_unless_it_is_empty() -> None:
    mark = {"cache_control": raw_json({"type": "ephemeral"})}
    empty = {"annotations": raw_json([]), "audio": raw_json(None)}
    _, dropped = written(
        user(Text("a", mark), File(url="https://e.com", filename="a.pdf"), name="Ada"),
        assistant(ToolCall("c", "f", "{}", mark), extra=empty),
        turn(Role.TOOL, ToolResult("c", [], extra=mark), name="f"),
        extra={"top_k": raw_json(5)},
    )
    assert dropped == (
        "top_k",
        "content.cache_control",
        "file.filename",
        "messages.name",
        "tool_calls.cache_control",
        "messages.cache_control",
    )


# --- reasoning and sampling -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "asked", "effort", "dropped"),
    [
        ("gpt-5", {"reasoning_effort": "low"}, "low", ()),
        ("gpt-5", {"reasoning_effort": "none"}, "minimal", ("reasoning_effort",)),
        ("gpt-5.1", {"reasoning_effort": "none"}, "none", ()),
        ("gpt-5.1", {"reasoning_effort": "max"}, "high", ("reasoning_effort",)),
        ("gpt-6-cyber", {"reasoning_effort": "max"}, "max", ()),
        ("o3-pro-2025-06-10", {"reasoning_effort": "minimal"}, "low", ("reasoning_effort",)),
        ("gpt-5-pro", {"reasoning_effort": "low"}, "high", ("reasoning_effort",)),
        ("grok-4.3", {"reasoning_effort": "max"}, "max", ()),
        ("gpt-5", {"reasoning_budget": 1024}, "low", ("reasoning.max_tokens",)),
        ("gpt-5.2", {"reasoning_budget": 31_999}, "xhigh", ("reasoning.max_tokens",)),
        ("gpt-5", {"reasoning_budget": 10**6}, "high", ("reasoning.max_tokens",)),
        ("gpt-5.2", {"reasoning_budget": 0}, "none", ()),
        ("gpt-5", {"reasoning_budget": 0, "reasoning_effort": "high"}, "high", ()),
    ],
)
def test_the_effort_is_one_that_the_model_takes(
    model: str, asked: dict[str, Any], effort: str, dropped: tuple[str, ...]
) -> None:
    body, named = written(model=model, **asked)
    assert body["reasoning"] == {"effort": effort} | ({} if effort == "none" else {"summary": "auto"})
    assert ("include" in body) is (effort != "none")
    assert named == dropped


@pytest.mark.parametrize("model", ["gpt-4o", "openai/gpt-4.1-mini", "gpt-5-chat-latest"])
def test_models_that_cannot_reason_are_not_asked_to(model: str) -> None:
    for asked in ({"reasoning_effort": "high"}, {"reasoning_budget": 0}, {}):
        body, dropped = written(model=model, temperature=0.5, **asked)
        assert not {"reasoning", "include"} & body.keys()
        assert body["temperature"] == 0.5
        assert dropped == (("reasoning_effort",) if "reasoning_effort" in asked else ())


def test_of_models_that_are_not_known_nothing_is_asked_unasked() -> None:
    assert "include" not in written(model="my-deployment")[0]
    assert "include" in written(model="my-deployment", reasoning_effort="low")[0]


def test_an_effort_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        written(reasoning_effort="odd")
    assert refused.value.param == "reasoning_effort"


@pytest.mark.parametrize(
    ("model", "members", "is_taken"),
    [
        ("gpt-5", {}, False),
        ("o4-mini", {}, False),
        ("gpt-5.2", {}, True),
        ("gpt-5.2", {"reasoning_effort": "none"}, True),
        ("gpt-5.2", {"reasoning_effort": "low"}, False),
        ("my-deployment", {}, True),
        ("my-deployment", {"reasoning_effort": "low"}, False),
    ],
)
def test_a_model_that_reasons_takes_no_temperature(model: str, members: dict[str, Any], is_taken: bool) -> None:
    body, dropped = written(model=model, temperature=0.2, top_p=0.9, **members)
    assert {n: body[n] for n in ("temperature", "top_p") if n in body} == (
        {"temperature": 0.2, "top_p": 0.9} if is_taken else {}
    )
    assert dropped == (() if is_taken else ("temperature", "top_p"))
    assert written(model=model, temperature=1, **members)[1] == ()


# --- everything else --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "sent", "dropped"), [(1, 16, ("max_tokens",)), (16, 16, ()), (10**6, 10**6, ())])
def test_a_bound_is_no_less_than_the_api_takes(asked: int, sent: int, dropped: tuple[str, ...]) -> None:
    body, named = written(max_tokens=asked)
    assert (body["max_output_tokens"], named) == (sent, dropped)


def test_the_form_of_the_answer() -> None:
    wanted = ResponseFormat("json_schema", "person", "A person", SCHEMA, strict=True)
    body, _ = written(response_format=wanted, extra={"verbosity": raw_json("low")})
    assert body["text"] == {
        "format": {
            "type": "json_schema",
            "name": "person",
            "description": "A person",
            "schema": {"type": "object", "properties": {}, "additionalProperties": False},
            "strict": True,
        },
        "verbosity": "low",
    }
    bare = written(response_format=ResponseFormat("json_schema", schema=SCHEMA))[0]["text"]["format"]
    assert (bare["name"], bare["strict"]) == ("answer", False)
    assert written(response_format=ResponseFormat("json_object"))[0]["text"] == {"format": {"type": "json_object"}}
    assert "text" not in written(response_format=ResponseFormat("text"))[0]


def test_a_format_is_strict_only_where_its_schema_can_be() -> None:
    wanted = ResponseFormat("json_schema", schema=raw_json({"type": "object", "properties": {}}), strict=True)
    body, dropped = written(response_format=wanted)
    assert (body["text"]["format"]["strict"], dropped) == (False, ("response_format.strict",))


def test_fields_of_the_same_meaning_go_up() -> None:
    extra = {
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "store": True,
        "service_tier": "standard_only",
        "truncation": "auto",
    }
    body, dropped = written(extra={name: raw_json(value) for name, value in extra.items()}, user="u", stream=True)
    assert dropped == ()
    assert body | {**extra, "service_tier": "default", "user": "u", "stream": True} == body


def test_a_name_that_is_too_long_becomes_another_that_is_as_good() -> None:
    names = [written(user=text)[0]["user"] for text in ("u" * 64, "u" * 65, "u" * 65, "v" * 65)]
    assert names[0] == "u" * 64
    assert names[1] == names[2] != names[3]
    assert all(len(name) == 64 for name in names)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("top_logprobs", 3),
        ("logit_bias", {"50256": -100}),
        ("presence_penalty", 0.5),
        ("frequency_penalty", -1),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy"}),
        ("verbosity", 5),
        ("service_tier", []),
        ("web_search_options", 5),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(BadRequest) as refused:
        written(extra={field: raw_json(value)})
    assert refused.value.param == field


def test_stop_sequences_are_refused() -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        written(stop=["END"])
    assert refused.value.param == "stop"
    assert "stop" not in written(stop=[])[0]


def test_defaults_change_nothing_and_are_not_named() -> None:
    harmless = {"n": 1, "logprobs": False, "top_logprobs": 0, "logit_bias": {}, "presence_penalty": 0, "audio": None}
    body, dropped = written(extra={name: raw_json(value) for name, value in harmless.items()})
    assert (body, dropped) == written()


def test_no_promise_is_broken_by_dropping_a_seed() -> None:
    assert written(extra={"seed": raw_json(7)})[1] == ("seed",)


# --- whatever comes ---------------------------------------------------------------------------------------------------

texts = st.text(max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts, lambda v: st.lists(v) | st.dictionaries(texts, v), max_leaves=5
)
FIELDS = ["metadata", "verbosity", "service_tier", "web_search_options", "n", "store", "max_tool_calls"]
extras = st.dictionaries(st.sampled_from(FIELDS), json_values.map(raw_json), max_size=3)


@given(extras)
@settings(max_examples=100)
def test_any_value_in_any_field_is_written_or_refused_by_name(extra: dict[str, Any]) -> None:
    try:
        body, _ = written(extra=extra)
    except BadRequest as refused:
        assert refused.param in extra  # noqa: PT017 - both ends are right
        return
    assert body["model"] == "gpt-5"


@given(st.lists(st.tuples(st.sampled_from([Role.USER, Role.ASSISTANT, Role.SYSTEM]), st.lists(texts)), max_size=5))
@settings(max_examples=100)
def test_every_text_arrives_under_its_role_and_in_order(turns: list[tuple[Role, list[str]]]) -> None:
    body, _ = written(user("first"), *(turn(role, *parts) for role, parts in turns))
    found = []
    for item in body["input"][1:]:
        content = item["content"]
        found += [(item["role"], text) for text in ([content] if isinstance(content, str) else _texts(content))]
    assert found == [(role.value, text) for role, parts in turns for text in parts]


def _texts(content: list[dict[str, str]]) -> list[str]:
    return [part["text"] for part in content]
