"""Requests of texts and a few options are decoded in one step; what comes out is what comes out field by field."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest
from gateway.core.types import ChatRequest, Message, Role, Text
from gateway.dialects.fields import read_body
from gateway.dialects.openai_chat_request import decode, read_fields, read_plain

ROLES = ["system", "developer", "user", "assistant", "tool", "function", "", None, 5]
TEXTS = st.text() | st.sampled_from(["", "\ud800", None, 5, [], [{"type": "text", "text": "a"}]])
LIKELY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 5),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from([10**20, 1.0, {}, {"include_usage": True}, {"include_usage": None, "include_obfuscation": False}]),
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(ROLES[:4]) | st.sampled_from(ROLES), "content": st.text(min_size=1) | TEXTS},
        optional={"name": st.none() | st.text(max_size=3), "refusal": st.none()},
    ),
    max_size=4,
)
OPTIONS = ["stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens", "user"]
REQUESTS = st.fixed_dictionaries(
    {"model": st.just("m") | LIKELY, "messages": MESSAGES | LIKELY},
    optional=dict.fromkeys([*OPTIONS, "stop", "seed", "tools"], LIKELY),
)
PLAIN = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def general(body: bytes) -> ChatRequest:
    return read_body(body, read_fields)


@pytest.mark.parametrize("dump", [json.dumps, lambda value: json.dumps(value, ensure_ascii=False, indent=1)])
@given(value=REQUESTS)
@example(value=PLAIN | {"max_tokens": 5, "max_completion_tokens": None})
@example(value=PLAIN | {"max_tokens": 5, "max_completion_tokens": 7, "stream": True, "stream_options": None})
@example(value=PLAIN | {"temperature": 1, "top_p": 0, "user": "", "stream_options": {"include_usage": True}})
def test_one_step_gives_what_reading_field_by_field_gives(dump: Any, value: dict[str, Any]) -> None:
    body = dump(value).encode(errors="surrogatepass")
    plain = read_plain(body)
    if plain is not None:
        assert plain == general(body)


VALUES = [None, True, 0, 1, -1, 2.5, 1.0, 10**20, "", "user", "tool", "\ud800", [], {}, [1], {"include_usage": True}]


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("name", ["model", "messages", *OPTIONS, "role", "content", "name"])
def test_any_value_in_any_member_is_read_alike(name: str, value: Any) -> None:
    turn = {"role": "user", "content": "Hi"}
    members = {"messages": [turn | {name: value}]} if name in ("role", "content", "name") else {name: value}
    body = json.dumps(PLAIN | members).encode()
    plain = read_plain(body)
    if plain is not None:
        assert plain == general(body)


@given(st.binary(max_size=40), st.integers(0, 60))
def test_bytes_that_were_damaged_are_read_alike(damage: bytes, at: int) -> None:
    body = json.dumps(PLAIN).encode()
    body = body[:at] + damage + body[at + len(damage) :]
    plain = read_plain(body)
    if plain is not None:
        assert plain == general(body)


def test_of_two_members_the_last_counts_either_way() -> None:
    body = b'{"model":"a","messages":[{"role":"user","content":"x","content":"y"}],"model":"b","user":"u","user":null}'
    assert read_plain(body) == general(body) == ChatRequest(model="b", messages=[Message(Role.USER, [Text("y")])])


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"temperature": 0.2, "top_p": 1, "max_completion_tokens": 100, "user": "u"},
        {"messages": [{"role": role, "content": "a"} for role in ("system", "developer", "user", "assistant")]},
    ],
)
def test_common_requests_take_one_step(members: dict[str, Any]) -> None:
    assert read_plain(json.dumps(PLAIN | members).encode()) is not None


@pytest.mark.parametrize(
    "members",
    [
        *({"tools": []}, {"seed": 1}, {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}),
        # nothing was said, so there is no part
        {"messages": [*PLAIN["messages"], {"role": "assistant", "content": ""}]},
    ],
)
def test_others_are_read_field_by_field(members: dict[str, Any]) -> None:
    body = json.dumps(PLAIN | members).encode()
    assert read_plain(body) is None
    assert decode(body) == general(body)


def test_a_fault_is_named_as_ever() -> None:
    with pytest.raises(BadRequest, match="'messages' must not be empty"):
        decode(b'{"model":"m","messages":[]}')
