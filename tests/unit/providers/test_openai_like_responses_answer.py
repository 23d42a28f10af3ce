"""Answers of the Responses API as events, plain and streamed."""

import json
from typing import Any

import pytest

from gateway.core.types import (
    DialectName,
    Event,
    Finish,
    FinishReason,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from providers.openai_like.responses_answer import read_answer
from providers.openai_like.responses_transducer import ResponsesTransducer
from tests.kit import responses_api as api
from tests.kit.responses_api import said

PROOF = "gAAAAABqPBGr7nnEI4VIL9-IqFeO9pgvdt1Ka9HR0SFBoMVyCmLOv1ucLR5ImX=="
COUNTED = Usage(input_tokens=20, output_tokens=15, cache_read_tokens=5, reasoning_tokens=7)
CITATION = {"type": "url_citation", "start_index": 0, "end_index": 4, "title": "News", "url": "https://example.com/n"}
FILE_CITATION = {"type": "file_citation", "file_id": "file-1", "filename": "ai.pdf", "index": 4}


def events_of(stream: bytes) -> list[Event]:
    transducer = ResponsesTransducer()
    return [*transducer.feed(stream), *transducer.finish()]


def both(*items: api.Json, **members: Any) -> dict[str, Any]:
    """What an answer of these items says: the same plain and streamed, with every kind of piece."""
    plain = read_answer(api.answer(*items, **members))
    told = said(plain)
    kind = f"response.{members.get('status', 'completed')}"
    rest = {name: value for name, value in members.items() if name != "status"}
    for pieces in (0, 1, 3):
        events = events_of(api.stream(*items, pieces=pieces, type=kind, **rest))
        assert said(events) == told
        assert (events[0], events[-2:]) == (plain[0], plain[-2:])
    only_items = b"".join(
        api.event("response.output_item.done", output_index=at, item=item) for at, item in enumerate(items)
    )
    for body in (only_items, b""):
        assert said(events_of(api.start() + body + api.end(*items, type=kind, **rest))) == told
    return told


# --- what the items say -----------------------------------------------------------------------------------------------


def test_a_word_has_a_beginning_usage_and_an_end() -> None:
    assert events_of(api.stream(api.message("Hello"))) == [
        Start("resp_1", "gpt-5", 1751569118),
        TextDelta("He"),
        TextDelta("llo"),
        UsageReport(COUNTED),
        Finish(FinishReason.STOP, "completed"),
    ]


def test_texts_of_several_messages_and_parts_are_one_text() -> None:
    assert both(api.message("Hel", "lo"), api.message(" world", id="msg_2")) == {"text": "Hello world"}


def test_a_refusal_is_told_as_one() -> None:
    assert both(api.refusal("I cannot help.")) == {"refusal": "I cannot help."}


def test_a_thought_comes_before_its_proof() -> None:
    known: dict[str, Any] = {"origin": DialectName.OPENAI_RESPONSES, "id": "rs_1"}
    stream = api.stream(api.thought("Look", proof=PROOF))
    events = [ReasoningDelta("Lo", **known), ReasoningDelta("ok"), ReasoningDelta(signature=PROOF, **known)]
    assert events_of(stream)[1:4] == events
    plain = [ReasoningDelta("Look", **known), ReasoningDelta(signature=PROOF, **known)]
    assert read_answer(api.answer(api.thought("Look", proof=PROOF)))[1:3] == plain


def test_thoughts_are_counted_and_their_parts_stand_apart() -> None:
    told = both(
        api.thought("First", "then", proof="p0"),
        api.search(),
        api.thought(proof="p1", id="rs_2"),
        api.thought(id="rs_3"),
        api.thought(content=["open"], id="rs_4"),
        api.message("Hi"),
    )
    own = DialectName.OPENAI_RESPONSES
    assert told["thoughts"] == ["First\n\nthen", "", "open"]
    assert told["proofs"] == [(0, "p0", "rs_1", own), (1, "p1", "rs_2", own)]


def test_the_proof_is_that_of_the_whole_item() -> None:
    opened = api.event("response.output_item.added", output_index=0, item=api.thought(proof="half"))
    done = api.event("response.output_item.done", output_index=0, item=api.thought(proof="whole"))
    stream = api.start() + opened + done + api.end(api.thought(proof="whole"))
    assert [proof for _, proof, *_ in said(events_of(stream))["proofs"]] == ["whole"]


def test_calls_keep_their_ids_names_order_and_arguments() -> None:
    broken = api.call('{"a": 1.50', "b", "call_2")
    told = both(api.call(), broken, api.call("{}", "c", "call_3"))
    assert told == {
        "calls": [["call_1", "look", '{"a":[1]}'], ["call_2", "b", '{"a": 1.50'], ["call_3", "c", "{}"]],
    }
    assert read_answer(api.answer(api.call()))[-1] == Finish(FinishReason.TOOL_CALLS, "completed")


def test_a_call_out_of_a_namespace_has_it_in_its_name() -> None:
    assert both({**api.call(), "namespace": "agents"})["calls"] == [["call_1", "agents__look", '{"a":[1]}']]


@pytest.mark.parametrize("text", ["", '*** Begin Patch\n+é "quoted" \\ \u2028\n'])
def test_a_freeform_call_has_one_argument(text: str) -> None:
    [[call_id, name, arguments]] = both(api.freeform(text))["calls"]
    assert (call_id, name, json.loads(arguments)) == ("call_1", "apply_patch", {"input": text})


def test_arguments_that_come_before_the_name_wait_for_it() -> None:
    pieces = [api.event("response.function_call_arguments.delta", output_index=0, delta=d) for d in ('{"a":', "[1]}")]
    stream = api.start() + b"".join(pieces) + api.end(api.call())
    assert events_of(stream)[1] == ToolCallDelta(0, "call_1", "look", '{"a":[1]}')


def test_what_provider_side_tools_did_is_kept() -> None:
    item = {"type": "brand_new_call", "id": "x_1", "content": 5, "arguments": {"odd": True}}
    assert both(api.search(), item)["content"] == [("provider_content", api.search()), ("provider_content", item)]


@pytest.mark.parametrize(
    ("members", "media_type"), [({}, "png"), ({"output_format": "webp"}, "webp"), ({"output_format": "x"}, "png")]
)
def test_a_picture_is_an_image(members: api.Json, media_type: str) -> None:
    url = f"data:image/{media_type};base64,iVBO"
    image = ("images", {"type": "image_url", "image_url": {"url": url}})
    assert both(api.picture("iVBO", **members))["content"] == [image]


def test_a_picture_that_failed_is_kept_as_it_is() -> None:
    item = {**api.picture(""), "result": None, "status": "failed"}
    assert both(item)["content"] == [("provider_content", item)]


def test_citations_say_where_in_the_whole_text_they_stand() -> None:
    told = both(api.message("Hello. "), api.message("News", annotations=[CITATION, FILE_CITATION], id="msg_2"))
    web = {"start_index": 7, "end_index": 11, "title": "News", "url": "https://example.com/n"}
    assert told["content"] == [
        ("annotations", {"type": "url_citation", "url_citation": web}),
        ("annotations", FILE_CITATION),
    ]


# --- how vendors differ -----------------------------------------------------------------------------------------------


def test_items_may_change_their_ids_and_end_late() -> None:
    """OpenRouter closes a thought behind the message and renames everything in the last event."""
    added, *thinking = api.streamed(0, api.thought(content=["Hm"]), pieces=1).split(b"\n\n")[:-1]
    late = b"".join(piece + b"\n\n" for piece in thinking[1:])
    begun = b"".join(piece + b"\n\n" for piece in (added, thinking[0]))
    final = (api.thought(content=["Hm"], id="rs_other"), api.message("4", id="msg_other"))
    stream = api.start() + begun + api.streamed(1, api.message("4")) + late + api.end(*final)
    assert said(events_of(stream)) == {"text": "4", "thoughts": ["Hm"]}


def test_numbers_of_parts_may_begin_later_than_in_the_item() -> None:
    """vLLM counts the thought before a message as its first part."""
    where = {"output_index": 0, "content_index": 1}
    pieces = api.event("response.output_text.delta", delta="Hello", **where)
    done = api.event("response.output_item.done", output_index=0, item=api.message("Hello"))
    assert said(events_of(api.start() + pieces + done + api.end(api.message("Hello")))) == {"text": "Hello"}


def test_two_items_at_one_place_are_two() -> None:
    first, second = api.streamed(0, api.message("a")), api.streamed(0, api.call())
    stream = api.start() + first + second + api.end(api.message("a"), api.call())
    assert said(events_of(stream)) == {"text": "a", "calls": [["call_1", "look", '{"a":[1]}']]}


def test_the_last_event_may_leave_the_items_out() -> None:
    items = (api.thought("Hm", proof="p"), api.freeform("x"))
    body = b"".join(api.streamed(at, item) for at, item in enumerate(items))
    assert said(events_of(api.start() + body + api.end())) == both(*items)


def test_an_item_that_only_the_last_event_has_is_told() -> None:
    stream = api.start() + api.streamed(0, api.message("a")) + api.end(api.message("a"), api.call())
    events = events_of(stream)
    assert said(events) == {"text": "a", "calls": [["call_1", "look", '{"a":[1]}']]}
    assert events[-1] == Finish(FinishReason.TOOL_CALLS, "completed")


@pytest.mark.parametrize("extra", [b": PROCESSING\n\n", b"data: [DONE]\n\n", api.event("response.brand_new", delta={})])
def test_what_says_nothing_is_stepped_over(extra: bytes) -> None:
    stream = extra + api.start() + extra + api.streamed(0, api.message("Hi")) + extra + api.end() + extra
    assert events_of(stream) == events_of(api.stream(api.message("Hi")))


def test_the_name_of_an_event_stands_in_for_its_type() -> None:
    stream = api.stream(api.message("Hi"))
    bare = b"\n\n".join(_without_type(event) for event in stream.split(b"\n\n"))
    assert events_of(bare) == events_of(stream)


def _without_type(event: bytes) -> bytes:
    head, _, payload = event.partition(b"data: ")
    if not payload:
        return event
    members = json.loads(payload)
    del members["type"]
    return head + b"data: " + json.dumps(members).encode()
