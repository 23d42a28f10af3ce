import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.types import DialectName
from gateway.dialects.foreign_thought import (
    Cleaned,
    without_foreign_blocks,
    without_foreign_items,
    without_foreign_members,
)
from gateway.dialects.signatures import Proof, seal

Json = dict[str, Any]

ANTHROPIC, RESPONSES = DialectName.ANTHROPIC_MESSAGES, DialectName.OPENAI_RESPONSES
GEMINI = DialectName.GEMINI_GENERATE_CONTENT
# numbers and escapes that no encoder would write again as they are
ODD = b'{"model":"m" , "temperature":1.0e0,"x":{"b":[1,\t2],"a":"\\u00e9\\/"},"big":12345678901234567890,%b}'


def messages(*turns: Json) -> bytes:
    return ODD % (b'"messages": %b' % json.dumps(turns, indent=1).encode())


def items(*given: Json) -> bytes:
    return ODD % (b'"input": %b' % json.dumps(given, indent=1).encode())


def thinking(origin: DialectName = ANTHROPIC, text: str = "Hm.") -> Json:
    return {"type": "thinking", "thinking": text, "signature": seal(Proof("c2lnbmVk", origin, "rs_1"), ANTHROPIC)}


def redacted(origin: DialectName = ANTHROPIC) -> Json:
    return {"type": "redacted_thinking", "data": seal(Proof("c2VjcmV0", origin), ANTHROPIC)}


def reasoning(origin: DialectName = RESPONSES, *, is_redacted: bool = False) -> Json:
    sealed = seal(Proof("ZW5jcnlwdGVk", origin, is_redacted=is_redacted), RESPONSES)
    return {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": sealed}


USER: Json = {"role": "user", "content": "Hi"}
SAID: Json = {"type": "text", "text": "Hello."}


def said(*blocks: Json) -> Json:
    return {"role": "assistant", "content": [*blocks]}


def same_but(member: str, found: bytes, body: bytes) -> Any:
    """The member, after a look at all others: their bytes are as they were."""
    new, old = json.loads(found), json.loads(body)
    assert list(new) == list(old)
    assert {name: value for name, value in new.items() if name != member} == {
        name: value for name, value in old.items() if name != member
    }
    for untouched in (b"1.0e0", b'{"b":[1,\t2],"a":"\\u00e9\\/"}', b"12345678901234567890"):
        assert untouched in found
    return new[member]


def cut(clean: Callable[[bytes], Cleaned], body: bytes) -> bytes:
    """The request that is left, after a look at what is said of it."""
    found, dropped = clean(body)
    assert dropped == ("reasoning_content",)
    return found


# --- nothing to be removed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        messages(USER, said(thinking(), redacted(), SAID), USER),
        messages({"role": "user", "content": "openai_responses:rs_1:c2ln"}, said(thinking(), SAID)),
        messages({"role": "user", "content": [{"type": "text", "text": "openai_responses:rs_1:c2ln"}]}),
        messages(said({"type": "tool_use", "id": "t", "name": "f", "input": {"signature": "openai_responses::x"}})),
        messages(),
        b'{"messages":"openai_responses:x"}',
        b'{"messages":[5,"openai_responses:x"]}',
        b'{"model":"openai_responses:x"}',
        b'{"messages":[{"role":"user","openai_responses:":1}]}',
        b'"openai_responses:',
        b"",
    ],
)
def test_a_messages_request_without_foreign_proofs_is_the_same_object(body: bytes) -> None:
    assert without_foreign_blocks(body) == (body, ())
    assert without_foreign_blocks(body)[0] is body


@pytest.mark.parametrize(
    "body",
    [
        items(USER, reasoning(), {"type": "message", "role": "assistant", "content": "openai_chat:x"}),
        items({"type": "function_call_output", "call_id": "c", "output": "anthropic_messages:a:b"}),
        items({"type": "reasoning", "summary": [{"type": "summary_text", "text": "anthropic_messages:a:b"}]}),
        b'{"input":"anthropic_messages:a:b"}',
        b'{"input":["anthropic_messages:a:b"]}',
        b'"anthropic_messages:',
    ],
)
def test_a_responses_request_without_foreign_proofs_is_the_same_object(body: bytes) -> None:
    assert without_foreign_items(body) == (body, ())
    assert without_foreign_items(body)[0] is body


@given(st.binary(max_size=60), st.sampled_from([b"", b'"openai_chat:', b'"anthropic_messages.redacted:']))
def test_any_bytes_come_back_as_they_are(body: bytes, mark: bytes) -> None:
    for clean in (without_foreign_blocks, without_foreign_items):
        assert clean(body + mark) == (body + mark, ())


# --- something to be removed ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [RESPONSES, GEMINI, DialectName.OPENAI_CHAT])
def test_blocks_of_another_vendor_are_left_out(origin: DialectName) -> None:
    body = messages(USER, said(thinking(origin), redacted(origin), thinking(), SAID), USER)
    found = same_but("messages", cut(without_foreign_blocks, body), body)
    assert found == [USER, said(thinking(), SAID), USER]


def test_a_message_of_foreign_thought_alone_goes_with_it() -> None:
    body = messages(USER, said(thinking(GEMINI)), USER)
    assert same_but("messages", cut(without_foreign_blocks, body), body) == [USER, USER]


def test_a_text_that_begins_like_a_proof_keeps_nothing_from_being_removed() -> None:
    quoted = {"role": "user", "content": "openai_responses:rs_1:c2ln"}
    body = messages(quoted, said(thinking(GEMINI), SAID))
    assert same_but("messages", cut(without_foreign_blocks, body), body) == [quoted, said(SAID)]


@pytest.mark.parametrize("origin", [ANTHROPIC, GEMINI, DialectName.OPENAI_CHAT])
def test_items_of_another_vendor_are_left_out(origin: DialectName) -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    late = {**reasoning(), "encrypted_content": seal(Proof("c2ln", origin, is_late=True), RESPONSES)}
    body = items(USER, reasoning(origin), reasoning(), reasoning(origin, is_redacted=True), late, call)
    assert same_but("input", cut(without_foreign_items, body), body) == [USER, reasoning(), call]


def test_what_stays_of_a_list_keeps_its_bytes() -> None:
    odd = b'{"role" : "user","content":"\\u00e9 1.0e0"}'
    foreign = json.dumps(said(thinking(GEMINI), SAID)).encode()
    found = cut(without_foreign_blocks, b'{"messages":[%b,%b]}' % (odd, foreign))
    assert odd in found
    assert json.dumps(SAID).encode() in found


_blocks = st.lists(
    st.sampled_from([SAID, thinking(), redacted(), thinking(GEMINI), redacted(RESPONSES), thinking(RESPONSES)]),
    min_size=1,
    max_size=5,
)


@given(st.lists(st.just(USER) | _blocks.map(lambda blocks: said(*blocks)), max_size=4))
def test_exactly_the_foreign_proofs_go(turns: list[Json]) -> None:
    own = [SAID, thinking(), redacted()]
    expected = []
    for turn in turns:
        if turn is not USER:
            turn = said(*(block for block in turn["content"] if block in own))
        if turn["content"]:
            expected.append(turn)
    body = messages(*turns)
    found, dropped = without_foreign_blocks(body)
    assert same_but("messages", found, body) == expected
    assert (found is body) == (expected == turns)
    assert dropped == (() if expected == turns else ("reasoning_content",))
    assert without_foreign_blocks(found)[0] is found


# --- a tool use that has lost its thought -----------------------------------------------------------------------------

USE: Json = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
RESULTS: Json = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "5"}]}
WITH_BUDGET: Json = {"type": "enabled", "budget_tokens": 2048}


def thinks_on(*turns: Json, thinking: Json = WITH_BUDGET, **members: Any) -> tuple[Json, tuple[str, ...]]:
    request = {"model": "m", "thinking": thinking, "messages": turns, **members}
    found, dropped = without_foreign_blocks(json.dumps(request).encode())
    return json.loads(found), dropped


@pytest.mark.parametrize(
    "behind",
    [
        [RESULTS],
        [RESULTS, USER],  # the API takes both as one turn, which begins with the result
        [RESULTS, said(USE), RESULTS],
        [RESULTS, said(thinking(), USE), RESULTS],
        [RESULTS, {"role": "system", "content": "Be brief."}],
        [{"role": "user", "content": [*RESULTS["content"], SAID]}],
    ],
)
def test_a_tool_use_that_lost_its_thought_goes_on_without(behind: list[Json]) -> None:
    found, dropped = thinks_on(USER, said(thinking(GEMINI), USE), *behind)
    assert found["messages"] == [USER, said(USE), *behind]
    assert found["thinking"] == {"type": "disabled"}
    assert dropped == ("reasoning_content", "thinking")


@pytest.mark.parametrize(
    "turns",
    [
        [USER, said(thinking(GEMINI), SAID), USER],
        # the tool use of an earlier question
        [USER, said(thinking(GEMINI), USE), RESULTS, said(SAID), USER],
        [USER, said(thinking(GEMINI), USE), RESULTS, said(SAID), USER, said(thinking(), USE), RESULTS],
        [{"role": "user", "content": [5]}, said(thinking(GEMINI), USE), RESULTS, said(SAID), USER, USER],
    ],
)
def test_thought_lost_before_the_last_question_stops_nothing(turns: list[Json]) -> None:
    found, dropped = thinks_on(*turns)
    assert found["thinking"] == WITH_BUDGET
    assert dropped == ("reasoning_content",)


@pytest.mark.parametrize("asked", [{"type": "adaptive"}, {"type": "disabled"}, None, "enabled", {"type": 5}])
def test_only_a_budget_wants_thought_in_front(asked: Any) -> None:
    found, dropped = thinks_on(USER, said(thinking(GEMINI), USE), RESULTS, thinking=asked)
    assert (found["thinking"], dropped) == (asked, ("reasoning_content",))


def test_a_tool_use_with_its_own_thought_keeps_thinking() -> None:
    found, dropped = thinks_on(USER, said(thinking(), USE), RESULTS)
    assert (found["thinking"], dropped) == (WITH_BUDGET, ())


def test_thoughts_are_not_cleared_where_none_are_thought() -> None:
    """The API refuses that edit without thinking."""
    other = {"type": "clear_tool_uses_20250919"}
    edits = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}, other]}
    found, dropped = thinks_on(USER, said(thinking(GEMINI), USE), RESULTS, context_management=edits)
    assert found["context_management"] == {"edits": [other]}
    assert dropped == ("reasoning_content", "thinking", "context_management.edits")
    for odd in ({"edits": [other]}, {"edits": 5}, 5, None, {}):
        found, dropped = thinks_on(USER, said(thinking(GEMINI), USE), RESULTS, context_management=odd)
        assert (found["context_management"], dropped) == (odd, ("reasoning_content", "thinking"))


# --- chat -------------------------------------------------------------------------------------------------------------


def test_what_the_gateway_adds_to_messages_does_not_reach_a_strict_vendor() -> None:
    blocks = [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]
    answer = {"role": "assistant", "content": "Hello.", "reasoning_content": "Hm.", "thinking_blocks": blocks}
    body = messages(USER, answer, {"role": "assistant", "content": "x", "provider_content": [{"type": "t"}]})
    found = cut(without_foreign_members, body)
    assert same_but("messages", found, body) == [
        USER,
        {"role": "assistant", "content": "Hello."},
        {"role": "assistant", "content": "x"},
    ]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "x", "reasoning_content": "the vendor's own word"},
        {"role": "user", "content": 'what is "thinking_blocks"?'},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "function": {"arguments": '{"provider_content":1}'}}],
        },
    ],
)
def test_what_is_the_vendors_own_stays(message: Json) -> None:
    body = messages(USER, message)
    assert without_foreign_members(body) == (body, ())
    assert without_foreign_members(body)[0] is body
