import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from openai.types.responses.response_output_item import ImageGenerationCall

from gateway.core.limits import MAX_HELD_ANSWER_CHARS
from gateway.core.types import ContentDelta, Finish, FinishReason, TextDelta, ToolCallDelta
from gateway.dialects.openai_responses_whole import read_hosted, read_picture
from tests.kit.response_objects import CALLS, START, STEM, STOP, answer, brief, encoder, output, sent, told

Json = dict[str, Any]

PLACE = {"item_id": f"ig_{STEM}_1", "output_index": 1}


def image(url: str) -> ContentDelta:
    return ContentDelta("images", Raw(json.dumps({"type": "image_url", "image_url": {"url": url}}).encode()))


def hosted(item: object) -> ContentDelta:
    return ContentDelta("provider_content", Raw(json.dumps(item, indent=1).encode()))


PNG = image("data:image/png;base64,iVBORw0K")


# --- pictures -----------------------------------------------------------------------------------------------------


def test_a_picture_is_an_item_between_the_words_around_it():
    found = told(TextDelta("a"), PNG, TextDelta("b"), STOP)
    item = {"id": PLACE["item_id"], "type": "image_generation_call"}
    begun = {**item, "status": "in_progress", "result": None}
    done = {**item, "status": "completed", "output_format": "png", "result": "iVBORw0K"}
    events = [{name: value for name, value in event.items() if name != "sequence_number"} for event in found]
    at = events.index({"type": "response.output_item.added", "output_index": 1, "item": begun})
    assert events[at + 1 : at + 3] == [
        {"type": "response.image_generation_call.completed", **PLACE},
        {"type": "response.output_item.done", "output_index": 1, "item": done},
    ]
    ImageGenerationCall.model_validate(done, strict=True)
    assert [item["type"] for item in found[-1]["response"]["output"]] == ["message", item["type"], "message"]
    assert found[-1]["response"]["output"][1] == done


def test_a_picture_alone_is_an_answer():
    [item] = output(PNG, STOP)
    assert (item["type"], item["result"]) == ("image_generation_call", "iVBORw0K")


def test_a_picture_leaves_calls_open():
    call, picture = output(ToolCallDelta(0, "c", "f", "{"), PNG, ToolCallDelta(0, arguments="}"), CALLS)
    assert (call["arguments"], picture["id"]) == ("{}", PLACE["item_id"])


@pytest.mark.parametrize(
    ("media_type", "word"),
    [("image/jpeg", "jpeg"), ("image/webp", "webp"), ("IMAGE/GIF", "gif"), ("image/svg+xml", "svg")],
)
def test_its_kind_is_told(media_type, word):
    [item] = output(image(f"data:{media_type};base64,iVBORw0K"), STOP)
    assert item["output_format"] == word


@pytest.mark.parametrize(
    "url",
    ["https://example.com/a.png", "data:image/png;base64,?", "data:image/bmp;base64,Qk0K", "data:text/plain,a", ""],
)
def test_what_is_no_such_picture_is_not_told(url):
    encode = encoder()
    [item] = json.loads(encode.body([START, TextDelta("a"), image(url), STOP]))["output"]
    assert (item["type"], encode.dropped) == ("message", ["answer.images"])


# --- the work of OpenAI's own tools -------------------------------------------------------------------------------

SEARCH = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "q", "queries": ["q"], "sources": []},
}
CODE = {
    "id": "ci_1",
    "type": "code_interpreter_call",
    "status": "completed",
    "code": "1+1",
    "container_id": "cntr_1",
    "outputs": [{"type": "logs", "logs": "2"}],
}
FILES = {"id": "fs_1", "type": "file_search_call", "status": "completed", "queries": ["q"], "results": None}


@pytest.mark.parametrize("item", [SEARCH, CODE, FILES])
def test_a_completed_item_is_that_item_again(item):
    found = told(hosted(item), TextDelta("a"), STOP)
    assert brief(found[:3] + found[-1:]) == [("output_item.added", {**item, "status": "in_progress"})]
    completed = {"type": f"response.{item['type']}.completed", "item_id": item["id"], "output_index": 0}
    assert found[3] == {**completed, "sequence_number": 3}
    assert (found[4]["type"], found[4]["item"]) == ("response.output_item.done", item)
    assert answer(hosted(item), TextDelta("a"), STOP)["output"][0] == item


@pytest.mark.parametrize(
    "item",
    [
        {**SEARCH, "status": "failed"},
        {"id": "mcp_1", "type": "mcp_call", "arguments": "{}", "name": "f", "server_label": "s", "output": "o"},
        {"id": "mcpl_1", "type": "mcp_list_tools", "server_label": "s", "tools": []},
        {"id": "mcpr_1", "type": "mcp_approval_request", "arguments": "{}", "name": "f", "server_label": "s"},
        {"id": "ig_1", "type": "image_generation_call", "status": "failed", "result": None},
        {"id": "cmp_1", "type": "compaction", "encrypted_content": "gAAA"},
    ],
)
def test_any_other_item_is_there_at_once(item):
    found = told(hosted(item), TextDelta("a"), STOP)
    assert [event["type"] for event in found[2:4]] == ["response.output_item.added", "response.output_item.done"]
    assert found[2]["item"] == found[3]["item"] == found[-1]["response"]["output"][0] == item


def test_items_keep_their_place():
    found = output(TextDelta("a"), hosted(SEARCH), TextDelta("b"), hosted(CODE), TextDelta("c"), STOP)
    assert [item.get("content", [{"text": item["id"]}])[0]["text"] for item in found] == ["a", "ws_1", "b", "ci_1", "c"]


def test_no_two_items_have_the_same_id():
    first, second, _ = output(hosted(SEARCH), hosted(SEARCH), TextDelta("a"), STOP)
    assert (first["id"], second["id"]) == ("ws_1", f"item_{STEM}_1")
    assert second == {**first, "id": second["id"]}


def test_a_cut_answer_has_its_whole_items_whole():
    found = output(TextDelta("a"), hosted(SEARCH), Finish(FinishReason.LENGTH))
    assert [item["status"] for item in found] == ["completed", "completed"]


@pytest.mark.parametrize(
    "event",
    [
        image("data:image/png;base64," + "A" * 4 * (MAX_HELD_ANSWER_CHARS // 4 + 1)),
        hosted({**CODE, "code": "x" * MAX_HELD_ANSWER_CHARS}),
    ],
)
def test_items_too_large_to_hold_break_the_stream_off(event):
    assert sent(encoder().stream([START, event, STOP]))[-1]["type"] == "response.failed"
    assert answer(event, TextDelta("a"), STOP)["status"] == "completed"


# --- readers ------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=60) | st.sampled_from([b"[" * 2000, b'{"type":"web_search_call","id":"\\ud800"}']))
def test_readers_never_raise(value):
    assert read_picture(Raw(value)) is None
    assert read_hosted(Raw(value)) is None
