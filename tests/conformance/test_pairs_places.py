"""Where things stand at each vendor: system prompts, forms of the answer, pictures, documents, choices, results."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.core.errors import BadRequest
from gateway.core.types import DialectName
from tests.kit.pairs import SCHEMA, SIDES, Side, decode, every_client, every_side, first_turn
from tests.kit.rich_requests import PDF, PIXEL

Json = dict[str, Any]
CHAT = DialectName.OPENAI_CHAT
RESPONSES = DialectName.OPENAI_RESPONSES
MESSAGES = DialectName.ANTHROPIC_MESSAGES
GEMINI = DialectName.GEMINI_GENERATE_CONTENT


def sent(client: DialectName, side: Side, body: Json) -> Json:
    wire: Json = json.loads(side.ask(decode(client, body)).body)
    return wire


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from strings(child)


def turns(client: DialectName, *messages: Json, **members: Any) -> Json:
    place = "input" if client is RESPONSES else "messages"
    body = {name: value for name, value in first_turn(client).items() if name not in ("reasoning", "reasoning_effort")}
    body.pop("thinking", None)
    return {**body, place: list(messages), **members}


# --- system prompts -------------------------------------------------------------------------------------------------


def with_system(client: DialectName, word: str) -> Json:
    question = {"role": "user", "content": "Hi"}
    if client is CHAT:
        return turns(client, {"role": "system", "content": word}, question)
    return turns(client, question, **{"instructions" if client is RESPONSES else "system": word})


SYSTEM_PLACES: dict[DialectName, Callable[[Json], Any]] = {
    CHAT: lambda wire: [turn["content"] for turn in wire["messages"][:1] if turn["role"] in ("system", "developer")],
    RESPONSES: lambda wire: [turn["content"] for turn in wire["input"][:1] if turn["role"] in ("system", "developer")],
    MESSAGES: lambda wire: wire["system"],
    GEMINI: lambda wire: wire["systemInstruction"],
}


@every_client
@every_side
def test_a_system_prompt_stands_in_its_place(client: DialectName, side: Side) -> None:
    wire = sent(client, side, with_system(client, "system-word"))
    assert "system-word" in strings(SYSTEM_PLACES[side.dialect](wire))
    assert list(strings(wire)).count("system-word") == 1


@every_client
@every_side
def test_a_later_system_message_is_not_lost(client: DialectName, side: Side) -> None:
    late = {"role": "system", "content": "late-word"}
    body = turns(
        client,
        {"role": "user", "content": "first-word"},
        late,
        {"role": "assistant", "content": "said-word"},
        {"role": "user", "content": "last-word"},
    )
    found = [word for word in strings(sent(client, side, body)) if word.endswith("-word")]
    assert sorted(found) == ["first-word", "last-word", "late-word", "said-word"]
    assert [word for word in found if word != "late-word"] == ["first-word", "said-word", "last-word"]


@pytest.mark.parametrize("client", [CHAT, RESPONSES], ids=str)
@every_side
def test_a_developer_message_is_a_system_prompt(client: DialectName, side: Side) -> None:
    body = turns(client, {"role": "developer", "content": "dev-word"}, {"role": "user", "content": "Hi"})
    assert "dev-word" in strings(SYSTEM_PLACES[side.dialect](sent(client, side, body)))


@every_side
def test_a_block_that_nobody_knows_in_a_system_prompt_is_named(side: Side) -> None:
    system = [{"type": "text", "text": "system-word"}, {"type": "notice", "level": 3}]
    wire = side.ask(decode(MESSAGES, turns(MESSAGES, {"role": "user", "content": "Hi"}, system=system)))
    assert "system-word" in strings(SYSTEM_PLACES[side.dialect](json.loads(wire.body)))
    assert ("content.notice" in wire.dropped) is (side.dialect is not MESSAGES)


# --- the form of the answer -----------------------------------------------------------------------------------------


def with_format(client: DialectName) -> Json:
    asked = {"type": "json_schema", "name": "label", "schema": SCHEMA, "strict": True}
    question = {"role": "user", "content": "Hi"}
    if client is CHAT:
        schema = {name: value for name, value in asked.items() if name != "type"}
        return turns(client, question, response_format={"type": "json_schema", "json_schema": schema})
    if client is RESPONSES:
        return turns(client, question, text={"format": asked})
    return turns(client, question, output_config={"format": {"type": "json_schema", "schema": SCHEMA}})


FORMAT_PLACES: dict[DialectName, Callable[[Json], Any]] = {
    CHAT: lambda wire: wire["response_format"]["json_schema"]["schema"],
    RESPONSES: lambda wire: wire["text"]["format"]["schema"],
    MESSAGES: lambda wire: wire["output_config"]["format"]["schema"],
    GEMINI: lambda wire: wire["generationConfig"]["responseJsonSchema"],
}


@every_client
@every_side
def test_a_structured_answer_is_asked_for_in_the_vendors_own_form(client: DialectName, side: Side) -> None:
    wire = sent(client, side, with_format(client))
    assert FORMAT_PLACES[side.dialect](wire) == SCHEMA
    if side.dialect is GEMINI:
        assert wire["generationConfig"]["responseMimeType"] == "application/json"


# --- pictures and documents -----------------------------------------------------------------------------------------

IMAGE_URL, FILE_URL = "https://example.com/a.png", "https://example.com/a.pdf"
PIXEL_URI, PDF_URI = f"data:image/png;base64,{PIXEL}", f"data:application/pdf;base64,{PDF}"
_SOURCE_PIXEL = {"type": "base64", "media_type": "image/png", "data": PIXEL}
_SOURCE_PDF = {"type": "base64", "media_type": "application/pdf", "data": PDF}

# what each client says it with, and the vendors that have no place for it
MEDIA: dict[str, tuple[str, dict[DialectName, Json], tuple[DialectName, ...]]] = {
    "image by url": (
        IMAGE_URL,
        {
            CHAT: {"type": "image_url", "image_url": {"url": IMAGE_URL}},
            RESPONSES: {"type": "input_image", "image_url": IMAGE_URL},
            MESSAGES: {"type": "image", "source": {"type": "url", "url": IMAGE_URL}},
        },
        (),
    ),
    "image by data": (
        PIXEL,
        {
            CHAT: {"type": "image_url", "image_url": {"url": PIXEL_URI}},
            RESPONSES: {"type": "input_image", "image_url": PIXEL_URI},
            MESSAGES: {"type": "image", "source": _SOURCE_PIXEL},
        },
        (),
    ),
    "image by file": (
        "file_1",
        {
            RESPONSES: {"type": "input_image", "file_id": "file_1"},
            MESSAGES: {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        },
        (CHAT, GEMINI),
    ),
    "document by url": (
        FILE_URL,
        {
            RESPONSES: {"type": "input_file", "file_url": FILE_URL},
            MESSAGES: {"type": "document", "source": {"type": "url", "url": FILE_URL}},
        },
        (CHAT,),
    ),
    "document by data": (
        PDF,
        {
            CHAT: {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF_URI}},
            RESPONSES: {"type": "input_file", "filename": "a.pdf", "file_data": PDF_URI},
            MESSAGES: {"type": "document", "source": _SOURCE_PDF},
        },
        (),
    ),
    "document by file": (
        "file_1",
        {
            CHAT: {"type": "file", "file": {"file_id": "file_1"}},
            RESPONSES: {"type": "input_file", "file_id": "file_1"},
            MESSAGES: {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        },
        (GEMINI,),
    ),
}


def _text(client: DialectName, words: str) -> Json:
    return {"type": "input_text" if client is RESPONSES else "text", "text": words}


@every_client
@every_side
@pytest.mark.parametrize("case", MEDIA)
def test_pictures_and_documents_arrive_or_are_refused(client: DialectName, side: Side, case: str) -> None:
    mark, parts, unknown_at = MEDIA[case]
    if client not in parts:
        return
    content = [_text(client, "before-word"), parts[client], _text(client, "after-word")]
    body = turns(client, {"role": "user", "content": content})
    try:
        wire = sent(client, side, body)
    except BadRequest as refused:
        assert side.dialect in unknown_at
        assert refused.param == "messages[0].content"  # noqa: PT017
        return
    found = [word for word in strings(wire) if word.endswith("-word") or mark in word]
    assert [mark if mark in word else word for word in found] == ["before-word", mark, "after-word"]


def with_result(client: DialectName) -> Json:
    """Two calls; the first gave a picture, the second failed where a client can say so."""
    question = {"role": "user", "content": "ask-word"}
    content = [_text(client, "result-word"), MEDIA["image by data"][1][client]]
    if client is CHAT:
        calls = [
            {"id": f"call_{n}", "type": "function", "function": {"name": "look", "arguments": "{}"}} for n in (1, 2)
        ]
        results = [
            {"role": "tool", "tool_call_id": "call_1", "content": content},
            {"role": "tool", "tool_call_id": "call_2", "content": "bad-word"},
        ]
        return turns(client, question, {"role": "assistant", "content": None, "tool_calls": calls}, *results)
    if client is RESPONSES:
        items = [{"type": "function_call", "call_id": f"call_{n}", "name": "look", "arguments": "{}"} for n in (1, 2)]
        results = [
            {"type": "function_call_output", "call_id": "call_1", "output": content},
            {"type": "function_call_output", "call_id": "call_2", "output": "bad-word"},
        ]
        return turns(client, question, *items, *results)
    blocks = [{"type": "tool_use", "id": f"call_{n}", "name": "look", "input": {}} for n in (1, 2)]
    results = [
        {"type": "tool_result", "tool_use_id": "call_1", "content": content},
        {"type": "tool_result", "tool_use_id": "call_2", "content": "bad-word", "is_error": True},
    ]
    return turns(client, question, {"role": "assistant", "content": blocks}, {"role": "user", "content": results})


def _results(side: Side, wire: Json) -> list[tuple[str, Any]]:
    """(id, result) of every result, in order."""
    if side.dialect is CHAT:
        return [(turn["tool_call_id"], turn) for turn in wire["messages"] if turn["role"] == "tool"]
    if side.dialect is RESPONSES:
        return [(item["call_id"], item) for item in wire["input"] if item.get("type") == "function_call_output"]
    if side.dialect is MESSAGES:
        blocks = [block for turn in wire["messages"] for block in turn["content"]]
        return [(block["tool_use_id"], block) for block in blocks if block["type"] == "tool_result"]
    parts = [
        part["functionResponse"] for turn in wire["contents"] for part in turn["parts"] if "functionResponse" in part
    ]
    return [(part["id"], part) for part in parts]


@every_client
@every_side
def test_a_picture_in_a_result_arrives_with_it(client: DialectName, side: Side) -> None:
    wire = sent(client, side, with_result(client))
    (first_id, first), (second_id, second) = _results(side, wire)
    assert (first_id, second_id) == ("call_1", "call_2")
    assert "result-word" in strings(first)
    assert "bad-word" in "".join(strings(second))
    pictures = [word for word in strings(wire) if PIXEL in word]
    assert len(pictures) == 1
    if side.dialect is CHAT:
        # a result is text there; the picture stands in the user's turn behind, under the id of its call
        assert wire["messages"][-1]["role"] == "user"
        assert pictures[0] in strings(wire["messages"][-1])
        assert any("call_1" in word for word in strings(wire["messages"][-1]))
    else:
        assert pictures[0] in strings(first)


@every_side
def test_a_failed_call_is_told_as_such(side: Side) -> None:
    wire = sent(MESSAGES, side, with_result(MESSAGES))
    (_, _), (_, failed) = _results(side, wire)
    if side.dialect is MESSAGES:
        assert failed["is_error"] is True
    elif side.dialect is GEMINI:
        assert failed["response"] == {"error": "bad-word"}
    else:
        assert "Error: bad-word" in strings(failed)


# --- choices --------------------------------------------------------------------------------------------------------

CHOICES: dict[str, dict[DialectName, Any]] = {
    "auto": {CHAT: "auto", RESPONSES: "auto", MESSAGES: {"type": "auto"}, GEMINI: {"mode": "AUTO"}},
    "none": {CHAT: "none", RESPONSES: "none", MESSAGES: {"type": "none"}, GEMINI: {"mode": "NONE"}},
    "required": {CHAT: "required", RESPONSES: "required", MESSAGES: {"type": "any"}, GEMINI: {"mode": "ANY"}},
    "by name": {
        CHAT: {"type": "function", "function": {"name": "look"}},
        RESPONSES: {"type": "function", "name": "look"},
        MESSAGES: {"type": "tool", "name": "look"},
        GEMINI: {"mode": "ANY", "allowedFunctionNames": ["look"]},
    },
}


@every_client
@every_side
@pytest.mark.parametrize("case", CHOICES)
def test_the_choice_of_a_tool_is_the_vendors_own(client: DialectName, side: Side, case: str) -> None:
    words = CHOICES[case]
    wire = sent(client, side, turns(client, {"role": "user", "content": "Hi"}, tool_choice=words[client]))
    found = wire["toolConfig"]["functionCallingConfig"] if side.dialect is GEMINI else wire["tool_choice"]
    assert found == words[side.dialect]


@every_client
@every_side
def test_calls_one_after_the_other_are_asked_for_or_named(client: DialectName, side: Side) -> None:
    question = {"role": "user", "content": "Hi"}
    wish: Json = {"parallel_tool_calls": False}
    if client is MESSAGES:
        wish = {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    request = side.ask(decode(client, turns(client, question, **wish)))
    wire = json.loads(request.body)
    if side.dialect is GEMINI:
        assert "parallel_tool_calls" in request.dropped
    elif side.dialect is MESSAGES:
        assert wire["tool_choice"]["disable_parallel_tool_use"] is True
    else:
        assert wire["parallel_tool_calls"] is False


@every_client
@every_side
def test_sampling_arrives_as_it_is(client: DialectName, side: Side) -> None:
    samplers = {"temperature": 0.25} if side.dialect is MESSAGES else {"temperature": 0.25, "top_p": 0.75}
    wire = sent(client, side, turns(client, {"role": "user", "content": "Hi"}, **samplers))
    found = wire["generationConfig"] if side.dialect is GEMINI else wire
    assert {"temperature": found["temperature"], "top_p": found.get("topP", found.get("top_p"))} == {
        "top_p": None,
        **samplers,
    }


def test_every_place_is_known() -> None:
    dialects = {side.dialect for side in SIDES}
    assert dialects == SYSTEM_PLACES.keys() == FORMAT_PLACES.keys()
