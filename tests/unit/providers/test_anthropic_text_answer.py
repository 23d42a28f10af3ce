"""Answers of text alone are read in one step; what comes out is what comes out block by block."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.limits import MAX_TOKEN_COUNT
from gateway.core.types import Finish, FinishReason, Start, TextDelta, Usage, UsageReport
from providers.claude.answer import read_answer, read_any_answer
from providers.claude.text_answer import read_text_answer
from tests.kit import messages_api as api

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from([MAX_TOKEN_COUNT, MAX_TOKEN_COUNT + 1, 10**30, 1.0, -0.0, "", "a\ud800", [], {}, [1], {"a": 1}]),
)
BLOCKS = st.fixed_dictionaries(
    {
        "type": st.just("text") | st.sampled_from(["thinking", "tool_use", "new", None]),
        "text": st.text(max_size=5) | ODD,
    },
    optional={"citations": ODD, "new": ODD},
)
COUNTS = st.dictionaries(
    st.sampled_from(
        [
            *("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
            *("service_tier", "cache_creation"),
        ]
    ),
    st.integers(0, 10**6) | ODD,
)
DETAILED = st.builds(lambda counts, details: counts | {"output_tokens_details": details}, COUNTS, ODD | COUNTS)
ANSWERS = st.fixed_dictionaries(
    {"content": st.lists(BLOCKS, max_size=3) | ODD},
    optional={
        "type": st.just("message") | ODD,
        "id": ODD,
        "model": ODD,
        "stop_reason": st.sampled_from(["end_turn", "max_tokens", "tool_use", "refusal", "stop_sequence", "new"]) | ODD,
        "stop_sequence": ODD,
        "usage": COUNTS | DETAILED | ODD,
        "error": ODD,
        "stop_details": ODD,
        "container": ODD,
        "context_management": ODD,
        "role": ODD,
    },
)


@given(ANSWERS)
@example({"content": [{"type": "text", "text": "a", "citations": []}], "stop_reason": "end_turn"})
@example({"content": [{"type": "text"}], "stop_reason": "", "usage": {"output_tokens_details": {"thinking_tokens": 3}}})
@example({"content": [{"text": "a"}], "stop_reason": "end_turn"})
def test_one_step_gives_what_reading_block_by_block_gives(answer: dict[str, Any]) -> None:
    body = json.dumps(answer).encode()
    told = read_text_answer(body)
    if told is not None:
        assert told == read_any_answer(body)


VALUES = [
    None,
    True,
    0,
    1,
    -1,
    1.0,
    MAX_TOKEN_COUNT,
    MAX_TOKEN_COUNT + 1,
    10**30,
    "",
    "a",
    "\ud800",
    [],
    {},
    [1],
    {"a": 1},
]
MEMBERS = ["id", "type", "model", "content", "stop_reason", "stop_sequence", "usage", "error", "stop_details"]
COUNTED = ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize(
    "path",
    [
        *([name] for name in (*MEMBERS, "container", "context_management")),
        *(["content", 0, name] for name in ("type", "text", "citations", "new")),
        *(["usage", name] for name in (*COUNTED, "output_tokens_details")),
        ["usage", "output_tokens_details", "thinking_tokens"],
    ],
    ids=str,
)
def test_any_value_in_any_member_is_read_alike(path: list[Any], value: Any) -> None:
    counts = dict.fromkeys(COUNTED, 3) | {"output_tokens_details": {"thinking_tokens": 1}}
    answer = json.loads(api.answer({"type": "text", "text": "Hello."}, usage=counts))
    *outer, name = path
    place = answer
    for step in outer:
        place = place[step]
    place[name] = value
    body = json.dumps(answer).encode()
    assert read_text_answer(body) in (None, read_any_answer(body))


@given(st.binary(max_size=40), st.integers(0, 300))
def test_bytes_that_were_damaged_are_read_alike(damage: bytes, at: int) -> None:
    body = api.answer({"type": "text", "text": "Hello."})
    body = body[:at] + damage + body[at + len(damage) :]
    told = read_text_answer(body)
    if told is not None:
        assert told == read_any_answer(body)


@pytest.mark.parametrize(
    "twice",
    [
        *(b'"type":"thinking","type":"text"', b'"type":"text","type":"thinking"', b'"type":"text","text":5,"text":"b"'),
        *(b'"type":"text","citations":[1],"citations":null', b'"type":"text","citations":null,"citations":[1]'),
    ],
)
def test_of_two_members_the_last_counts_either_way(twice: bytes) -> None:
    body = b'{"type":"message","content":[{"text":"a",%b}],"stop_reason":"end_turn"}' % twice
    assert read_text_answer(body) in (None, read_any_answer(body))


def test_texts_and_counts_are_told() -> None:
    usage = {
        "input_tokens": 20,
        "cache_read_input_tokens": 3,
        "cache_creation_input_tokens": 4,
        "output_tokens": 15,
        "output_tokens_details": {"thinking_tokens": 5},
        "service_tier": "standard",
    }
    body = api.answer({"type": "text", "text": "Hel"}, {"type": "text", "text": "lo", "citations": None}, usage=usage)
    assert read_text_answer(body) == [
        Start("msg_1", "claude-sonnet-4-5-20250929"),
        TextDelta("Hel"),
        TextDelta("lo"),
        UsageReport(Usage(27, 15, cache_read_tokens=3, cache_write_tokens=4, reasoning_tokens=5)),
        Finish(FinishReason.STOP, "end_turn"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        api.answer({"type": "text", "text": "a"}, {"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        api.answer({"type": "text", "text": "a"}, stop_reason=None),
        api.answer({"type": "text", "text": "a"}, stop_details={"type": "refusal"}),
        api.answer({"type": "text", "text": "a"}, usage={"input_tokens": "many"}),
        b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
    ],
)
def test_others_are_read_block_by_block(body: bytes) -> None:
    assert read_text_answer(body) is None
    assert read_answer(body) == read_any_answer(body)
