import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from openai.types.responses import ResponseItemList

from gateway.core.errors import BadRequest
from gateway.core.types import Role
from gateway.dialects.openai_responses_request import decode
from gateway.dialects.openai_responses_state import (
    MAX_PAGE_ITEMS,
    as_listed,
    find_items,
    has_references,
    input_items,
    item_page,
    output_items,
    references,
    response_of,
    with_input,
    with_prior_items,
)

USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "Rain"}


def plain(items: list[Raw]) -> list[Any]:
    return [json.loads(bytes(item)) for item in items]


def raw(*items: Any) -> list[Raw]:
    return [Raw(json.dumps(item).encode()) for item in items]


# --- going on -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_input", "found"), [("Hi", [USER]), ([CALL, OUTPUT], [CALL, OUTPUT]), ([], []), (None, [])]
)
def test_the_input_is_a_list_of_items(given_input, found):
    assert plain(input_items(json.dumps({"input": given_input}).encode())) == found
    assert input_items(b"{}") == []


@pytest.mark.parametrize("body", [b"", b"[]", b'{"input":5}', b'{"input":{}}', b'{"input":"\xff"}'])
def test_a_wrong_input_is_refused(body):
    for read in (input_items, lambda data: with_prior_items(data, [])):
        with pytest.raises(BadRequest):
            read(body)


def test_the_output_is_a_list_of_items():
    assert plain(output_items(json.dumps({"id": "resp_1", "output": [CALL]}).encode())) == [CALL]


@pytest.mark.parametrize("response", [b"", b"[]", b"{}", b'{"output":null}', b'{"output":"x"}', b"[" * 100_000])
def test_what_is_no_response_has_no_output(response):
    with pytest.raises(ValueError, match="not a response object"):
        output_items(response)


def test_earlier_items_stand_before_the_input():
    body = b'{"model": "m", "previous_response_id": "resp_1", "input": [{"role":"user", "content":"b"}], "top_p":1.0}'
    items = [Raw(b'{"role": "user",  "content":"a"}')]
    expected = b'{"model":"m","input":[{"role": "user",  "content":"a"},{"role":"user", "content":"b"}],"top_p":1.0}'
    assert with_prior_items(body, items) == expected


@pytest.mark.parametrize("members", [{}, {"input": "Hi"}, {"input": None}])
def test_a_request_that_goes_on_can_be_decoded(members):
    request = {"model": "m", "conversation": {"id": "conv_1"}, "previous_response_id": "resp_1", **members}
    whole = with_prior_items(json.dumps(request).encode(), raw(USER, CALL, OUTPUT))
    roles = [message.role for message in decode(whole).messages]
    own = [Role.USER] if members.get("input") else []
    assert roles == [Role.USER, Role.ASSISTANT, Role.TOOL, *own]


MEMBERS = st.dictionaries(
    st.text(max_size=5), st.integers() | st.text(max_size=5) | st.lists(st.booleans()), max_size=4
)


@given(MEMBERS, st.lists(st.just(USER), max_size=2))
def test_all_other_members_stay_as_they_are(members, items):
    members.pop("input", None)
    found = json.loads(with_prior_items(json.dumps({**members, "input": [CALL]}).encode(), raw(*items)))
    assert found == {**members, "input": [*items, CALL]}


# --- items by their ids -------------------------------------------------------------------------------------------

WORD = "abcdefghijklmnopqrstuvw2"


def named(item_id: Any, kind: Any = "item_reference") -> Any:
    return {"type": kind, "id": item_id}


def test_references_are_told_from_other_items():
    items = raw(named("a"), USER, named("b", "message"), named(5), named("", "item_reference"), named("c"), "x", None)
    text = {"role": "user", "content": 'say "item_reference"'}
    assert references([*items, *raw(text, {"id": "d"}), Raw(b'{"item_reference"')]) == {0: "a", 5: "c"}
    assert has_references(json.dumps({"input": [named("a")]}).encode())
    assert not has_references(json.dumps({"input": [USER]}).encode())


@pytest.mark.parametrize(
    ("item_id", "found"),
    [
        *((f"{kind}_{WORD}_{place}", f"resp_{WORD}") for kind, place in (("rs", "0"), ("msg", "12"), ("fc", "in3"))),
        *(
            (name, None)
            for name in ("", "rs_1", f"rs_{WORD}", f"rs_{WORD}_", f"rs_{WORD}_x", f"{WORD}_0", "rs_" + 60 * "a")
        ),
        *((name, None) for name in (f"rs_{WORD[1:]}_0", f"RS_{WORD}_0", f"rs_{WORD}_0\n", f"rs_../{WORD[3:]}_0")),
    ],
)
def test_an_items_id_tells_its_response(item_id, found):
    assert response_of(item_id) == found


def test_items_are_found_as_they_came():
    response = json.dumps({"id": f"resp_{WORD}", "output": [{**CALL, "id": "fc_2"}]}).encode()
    asked = raw(USER, CALL, OUTPUT, 5)
    wanted = {f"msg_{WORD}_in0", "fc_1", "fc_2", "fc_3", f"fco_{WORD}_in2", f"msg_{WORD}_in3", "", f"rs_{WORD}_in0"}
    found = find_items(wanted - {""}, asked, response, f"resp_{WORD}")
    assert {name: json.loads(bytes(item)) for name, item in found.items()} == {
        f"msg_{WORD}_in0": {"id": f"msg_{WORD}_in0", "status": "completed", **USER},
        "fc_1": CALL,
        "fc_2": {**CALL, "id": "fc_2"},
        f"fco_{WORD}_in2": {"id": f"fco_{WORD}_in2", **OUTPUT},
    }
    # what was answered stands above what a client has sent under its name
    again = find_items({"fc_2"}, raw({**CALL, "id": "fc_2", "name": "g"}), response, f"resp_{WORD}")
    assert json.loads(bytes(again["fc_2"]))["name"] == "f"


def test_another_input_leaves_the_rest_as_it_is():
    body = b'{"model":"m",\n"input":[{"a":1}],"x":1.0e0,"previous_response_id":"r"}'
    assert with_input(body, raw(CALL)) == (
        b'{"model":"m","input":[%b],"x":1.0e0,"previous_response_id":"r"}' % json.dumps(CALL).encode()
    )


# --- listing ------------------------------------------------------------------------------------------------------


def test_listed_items_have_ids_that_stay_the_same():
    items = raw(
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ho", "id": None},
        {**USER, "id": "msg_own", "status": "incomplete"},
        CALL,
        OUTPUT,
        {"type": "item_of_next_year"},
    )
    found = as_listed(items, "resp_ab")
    assert found == as_listed(items, "resp_ab")
    said = {"type": "output_text", "annotations": [], "text": "Ho"}
    assert plain(found) == [
        {"id": "msg_ab_in0", "status": "completed", **USER},
        {"id": "msg_ab_in1", "type": "message", "status": "completed", "role": "assistant", "content": [said]},
        {**USER, "id": "msg_own", "status": "incomplete"},
        CALL,
        {**OUTPUT, "id": "fco_ab_in4"},
        {"type": "item_of_next_year", "id": "item_ab_in5"},
    ]


@given(st.lists(st.sampled_from([b"5", b"{}", b'{"type":5}', b'{"id":5,"type":"x"}', b'{"content":"', b"null", b""])))
def test_any_items_can_be_listed(items):
    assert len(as_listed([Raw(item) for item in items], "resp_1")) == len(items)


def page(items: list[Raw], **members: Any) -> dict[str, Any]:
    found = json.loads(item_page(items, **members))
    ResponseItemList.model_validate(found)
    return found


def ids(found: dict[str, Any]) -> list[str]:
    return [item["id"] for item in found["data"]]


LISTED = as_listed(raw(*[USER] * 5), "resp_1")
NAMES = [f"msg_1_in{place}" for place in range(5)]


def test_the_newest_item_comes_first_unless_asked_otherwise():
    assert ids(page(LISTED)) == NAMES[::-1]
    assert ids(page(LISTED, order="asc")) == NAMES


def test_a_page_names_its_ends():
    found = page(LISTED, order="asc", limit=2, after="msg_1_in1")
    assert (ids(found), found["first_id"], found["last_id"]) == (NAMES[2:4], *NAMES[2:4])
    assert (found["object"], found["has_more"]) == ("list", True)
    assert page(LISTED, order="asc", after="msg_1_in3")["has_more"] is False


def test_an_empty_page_names_none():
    assert json.loads(item_page([])) == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


@given(st.integers(1, 6), st.sampled_from(["asc", "desc"]))
def test_pages_add_up_to_the_list(limit, order):
    seen: list[str] = []
    after = None
    while True:
        found = page(LISTED, limit=limit, order=order, after=after)
        seen += ids(found)
        after = found["last_id"]
        if not found["has_more"]:
            break
    assert seen == (NAMES if order == "asc" else NAMES[::-1])


@pytest.mark.parametrize(
    "members", [{"order": "up"}, {"limit": 0}, {"limit": MAX_PAGE_ITEMS + 1}, {"after": "msg_9"}, {"after": ""}]
)
def test_a_page_that_cannot_be_is_refused(members):
    with pytest.raises(BadRequest) as caught:
        item_page(LISTED, **members)
    assert caught.value.param == next(iter(members))
