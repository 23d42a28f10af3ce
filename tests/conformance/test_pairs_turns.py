"""The second turn: an answer goes back in the client's dialect, to the vendor that gave it and to every other one.

Proofs of thought must reach their own vendor byte for byte and in their place, and no other. ``went_back`` reads what a
wire request says of the model's turn, ``expected`` what the vendor has said.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.types import ChatRequest, DialectName
from tests.kit.heard import fold
from tests.kit.pairs import (
    QUESTION,
    RESULT,
    SIDES,
    Side,
    decode,
    every_client,
    every_side,
    first_turn,
    next_turn,
    plain,
    streamed,
)
from tests.kit.rich_answers import RICH
from tests.kit.said import (
    CHAT,
    GEMINI,
    MESSAGES,
    RESPONSES,
    Answer,
    Called,
    Refused,
    Said,
    Speech,
    Thought,
    as_told,
    chat_details,
    gemini_parts,
    tell,
)

Json = dict[str, Any]
Row = list[tuple[str | None, ...]]

every_answer = pytest.mark.parametrize("case", RICH)
# what Google lets pass where a call has no signature
UNSIGNED = "skip_thought_signature_validator"


def answers(client: DialectName, side: Side, case: str) -> Iterator[Json]:
    """The answer as the client holds it: plain, and folded from a stream."""
    body, stream = tell(RICH[case], side.dialect)
    request = decode(client, first_turn(client, stream=True))
    yield plain(client, side, body, request)
    folded = fold(client, streamed(client, side, stream, request))
    assert folded is not None
    yield folded


# --- what goes back -------------------------------------------------------------------------------------------------


def went_back(dialect: DialectName, wire: Json) -> Row:
    """The model's turn as the vendor is told it: words, calls by their id, thoughts with their proof."""
    if dialect is MESSAGES:
        blocks = [block for turn in wire["messages"] if turn["role"] == "assistant" for block in turn["content"]]
        return _joined([_block(block) for block in blocks])
    if dialect is RESPONSES:
        return _joined([row for item in wire["input"] if (row := _item(item)) is not None])
    parts = [part for turn in wire["contents"] if turn["role"] == "model" for part in turn["parts"]]
    return [_part(part) for part in parts if not part.get("thought")]


def _block(block: Json) -> tuple[str | None, ...]:
    if block["type"] == "thinking":
        return ("thought", block["thinking"], block["signature"])
    if block["type"] == "redacted_thinking":
        return ("withheld", block["data"])
    return ("call", block["id"]) if block["type"] == "tool_use" else ("text", block["text"])


def _item(item: Json) -> tuple[str | None, ...] | None:
    if item.get("type") == "reasoning":
        text = "".join(part["text"] for part in item["summary"])
        return ("thought", text, item["encrypted_content"], item["id"])
    if item.get("type") == "function_call":
        return ("call", item["call_id"])
    if item.get("role") != "assistant":
        return None
    content = item["content"]
    parts = [{"text": content}] if isinstance(content, str) else content
    return ("text", "".join(part.get("text", part.get("refusal")) for part in parts))


def _part(part: Json) -> tuple[str | None, ...]:
    what = ("call", part["functionCall"]["id"]) if "functionCall" in part else ("text", part["text"])
    return (*what, part.get("thoughtSignature"))


def _joined(rows: Row) -> Row:
    """Words that follow each other are one text."""
    joined: Row = []
    for row in rows:
        if joined and row[0] == joined[-1][0] == "text":
            joined[-1] = ("text", f"{joined[-1][1]}{row[1]}")
        else:
            joined.append(row)
    return joined


def expected(side: Side, told: Answer, client: DialectName) -> Row:
    """An OpenAI chat message has no place for calls but behind all words. The thoughts before them stay in theirs."""
    if side.dialect is GEMINI:
        rows = [_part(part) for part in gemini_parts(told.parts) if not part.get("thought")]
        first_call = next((place for place, row in enumerate(rows) if row[0] == "call"), None)
        if first_call is not None and rows[first_call][2] is None:
            rows[first_call] = (*rows[first_call][:2], UNSIGNED)
        return sorted(rows, key=lambda row: row[0] == "call") if client is CHAT else rows
    is_chat = client is CHAT
    parts = sorted(told.parts, key=lambda part: isinstance(part, Called)) if is_chat else told.parts
    return _joined([row for part in parts if (row := _expected(side, part)) is not None])


def _expected(side: Side, part: Said) -> tuple[str | None, ...] | None:
    if isinstance(part, Called):
        return ("call", part.id)
    if not isinstance(part, Thought):
        return ("text", part.text)
    if part.is_redacted:
        return ("withheld", part.proof)
    if not part.proof:
        return None
    return (
        ("thought", part.text, part.proof, part.id) if side.dialect is RESPONSES else ("thought", part.text, part.proof)
    )


# --- laws -----------------------------------------------------------------------------------------------------------


@every_client
@every_side
@every_answer
def test_proofs_go_home_whole_and_in_their_place(client: DialectName, side: Side, case: str) -> None:
    told = as_told(RICH[case], side.dialect)
    for answer in answers(client, side, case):
        wire = side.ask(decode(client, next_turn(client, answer)))
        sent = json.loads(wire.body)
        if side.dialect is CHAT:
            check_details(side, told, sent, wire.dropped)
            continue
        assert went_back(side.dialect, sent) == expected(side, told, client)
        # thought without a proof cannot go back
        is_bare = any(isinstance(part, Thought) and not part.proof for part in told.parts)
        assert "reasoning_content" in wire.dropped or not is_bare


def check_details(side: Side, told: Answer, sent: Json, dropped: tuple[str, ...]) -> None:
    turns = [turn for turn in sent["messages"] if turn["role"] == "assistant"]
    details = [detail for turn in turns for detail in turn.get("reasoning_details", ()) if _is_proven(detail)]
    if side.takes_proofs and turns and told.proofs:
        assert details == chat_details(told)
    else:
        assert details == []
        assert not told.proofs or "reasoning_content" in dropped


def _is_proven(detail: Json) -> bool:
    return "signature" in detail or "data" in detail


@every_client
@every_side
@every_answer
def test_another_vendor_gets_no_proof_and_the_client_is_told(client: DialectName, side: Side, case: str) -> None:
    told = as_told(RICH[case], side.dialect)
    for answer in answers(client, side, case):
        request = decode(client, next_turn(client, answer))
        for other in SIDES:
            wire = other.ask(request)
            check_said(other, wire.body, told)
            if other.dialect is not side.dialect:
                assert not [proof for proof in told.proofs if proof.encode() in wire.body]
                assert not told.proofs or "reasoning_content" in wire.dropped


@every_client
@every_side
@every_answer
def test_a_turn_that_a_framework_rebuilt_is_taken_everywhere(client: DialectName, side: Side, case: str) -> None:
    told = as_told(RICH[case], side.dialect)
    for answer in answers(client, side, case):
        request = decode(client, next_turn(client, answer, is_rebuilt=True))
        for other in SIDES:
            body = other.ask(request).body
            check_said(other, body, told)
            assert not [proof for proof in told.proofs if proof.encode() in body]


def check_said(side: Side, body: bytes, told: Answer) -> None:
    """Words, calls and results are there, whoever is asked."""
    sent = json.loads(body)
    strings = list(_strings(sent))
    arguments = list(_arguments(sent))
    said = [part.text for part in told.parts if isinstance(part, Speech | Refused)]
    for words in (QUESTION, *said, RESULT if told.calls else QUESTION):
        assert words in strings or words in "".join(strings)
    for call in told.calls:
        # once in the call, once in its result
        assert strings.count(call.id) == 2
        assert json.loads(call.arguments) in arguments


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from _strings(child)


def _arguments(value: Any) -> Iterator[Any]:
    """Objects, and what stands as the text of one: SDKs that hold arguments as an object spell them anew."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, str) and value.startswith("{"):
        yield json.loads(value)
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from _arguments(child)


# --- a proof within a text --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [[], [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "Y2FsbA=="}]])
def test_a_text_that_is_signed_in_its_middle_stays_one(ending: list[Json]) -> None:
    """As Gemini streams it. A response tells one message, and the signatures return to the parts that had them."""
    side = next(side for side in SIDES if side.dialect is GEMINI)
    pieces: list[Json] = [{"text": "Hel"}, {"text": "lo", "thoughtSignature": "dGV4dA=="}, *ending]
    chunks = [{"candidates": [{"content": {"role": "model", "parts": [piece]}}]} for piece in pieces]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"
    stream = [b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks]
    whole = {"candidates": [{"content": {"role": "model", "parts": pieces}, "finishReason": "STOP"}]}
    request = decode(RESPONSES, first_turn(RESPONSES, stream=True))
    folded = fold(RESPONSES, streamed(RESPONSES, side, stream, request))
    for answer in (folded, plain(RESPONSES, side, json.dumps(whole).encode(), request)):
        assert answer is not None
        [message] = [item for item in answer["output"] if item["type"] == "message"]
        assert message["content"][0]["text"] == "Hello"
        sent = json.loads(side.ask(decode(RESPONSES, next_turn(RESPONSES, answer))).body)
        [told] = [content["parts"] for content in sent["contents"] if content["role"] == "model"]
        assert [(part.get("text"), part["thoughtSignature"]) for part in told] == [
            ("Hello", "dGV4dA=="),
            *((None, part["thoughtSignature"]) for part in ending),
        ]


# --- the place of a thought in the text -------------------------------------------------------------------------------


def test_a_chat_says_where_in_the_text_a_thought_stands() -> None:
    side = next(side for side in SIDES if side.dialect is MESSAGES)
    for answer in answers(CHAT, side, "thought between words"):
        assert [block.get("text_before", "absent") for block in blocks_of(answer)] == ["absent", 6, 13, 13]
    for answer in answers(CHAT, side, "proven thought"):
        assert [list(block) for block in blocks_of(answer)] == [["type", "thinking", "signature"]]


def blocks_of(answer: Json) -> list[Json]:
    blocks: list[Json] = answer["choices"][0]["message"]["thinking_blocks"]
    return blocks


thoughts = st.builds(Thought, st.text("ab\n", max_size=3), st.sampled_from(["c2ln", "c2lnMg=="]), st.booleans())
speeches = st.builds(Speech, st.text("xé\U0001f600", min_size=1, max_size=4))


@given(st.lists(thoughts | speeches, min_size=1, max_size=7))
def test_thoughts_and_words_in_any_order_go_back_so(parts: list[Said]) -> None:
    side = next(side for side in SIDES if side.dialect is MESSAGES)
    parts = [replace(part, text="") if isinstance(part, Thought) and part.is_redacted else part for part in parts]
    told = Answer((*parts, Speech("So.")))
    body, stream = tell(told, MESSAGES)
    request = decode(CHAT, first_turn(CHAT, stream=True))
    folded = fold(CHAT, streamed(CHAT, side, stream, request))
    for answer in (folded, plain(CHAT, side, body, request)):
        assert answer is not None
        sent = json.loads(side.ask(decode(CHAT, next_turn(CHAT, answer))).body)
        assert went_back(MESSAGES, sent) == expected(side, told, CHAT)


@pytest.mark.parametrize("places", [[6, 5], [1, 10**30], [1, 14], ["x", None], [True, 1.5], [-1, {}]])
def test_places_that_cannot_be_are_none(places: list[Any]) -> None:
    """A client may have changed the text."""
    side = next(side for side in SIDES if side.dialect is MESSAGES)
    answer = next(answers(CHAT, side, "thought between words"))
    del blocks_of(answer)[2:]
    for block, place in zip(blocks_of(answer), places, strict=True):
        block["text_before"] = place
    sent = json.loads(side.ask(decode(CHAT, next_turn(CHAT, answer))).body)
    assert [row[0] for row in went_back(MESSAGES, sent)] == ["thought", "thought", "text", "call", "call"]


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        ([{"type": "text", "text": "Hello"}], ["text", "thought", "text"]),
        ([{"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}], ["thought", "text"]),
        ([{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}], ["thought", "text"]),
        ("Hel", ["text", "thought"]),
        ("He", ["thought", "text"]),
        ("", ["thought"]),
        (None, ["thought"]),
    ],
)
def test_a_place_is_one_in_a_text_that_is_whole(content: Any, kinds: list[str]) -> None:
    side = next(side for side in SIDES if side.dialect is MESSAGES)
    block = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln", "text_before": 3}
    answer = {"role": "assistant", "content": content, "thinking_blocks": [block]}
    turns = [*first_turn(CHAT)["messages"], answer, {"role": "user", "content": "Go on."}]
    sent = json.loads(side.ask(decode(CHAT, first_turn(CHAT, messages=turns))).body)
    assert [row[0] for row in went_back(MESSAGES, sent)] == kinds


def test_a_signature_within_a_text_returns_to_its_part_from_a_chat() -> None:
    side = next(side for side in SIDES if side.dialect is GEMINI)
    parts: list[Json] = [{"text": "Hel"}, {"text": "lo", "thoughtSignature": "dGV4dA=="}]
    whole = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}
    request = decode(CHAT, first_turn(CHAT))
    message = plain(CHAT, side, json.dumps(whole).encode(), request)["choices"][0]["message"]
    assert message["content"] == "Hello"
    turns = [*first_turn(CHAT)["messages"], message, {"role": "user", "content": "Go on."}]
    sent = json.loads(side.ask(decode(CHAT, first_turn(CHAT, messages=turns))).body)
    assert [content["parts"] for content in sent["contents"] if content["role"] == "model"] == [parts]


# --- a model is changed twice ---------------------------------------------------------------------------------------


@every_client
@pytest.mark.parametrize("home", [side for side in SIDES if side.takes_proofs], ids=lambda side: side.provider)
def test_a_proof_survives_a_turn_of_another_vendor(client: DialectName, home: Side) -> None:
    """The client holds what both have said: the first vendor still gets its own."""
    first = next(answers(client, home, "proven thought"))
    proof = RICH["proven thought"].proofs[0]
    for other in SIDES:
        second = next(answers(client, other, "withheld thought"))
        body = next_turn(client, first)
        place = "input" if client is RESPONSES else "messages"
        body[place] += next_turn(client, second)[place][1:]
        request: ChatRequest = decode(client, body)
        there, back = other.ask(request), home.ask(request)
        assert proof in "".join(_strings(json.loads(back.body)))
        if other.dialect is not home.dialect:
            assert proof not in "".join(_strings(json.loads(there.body)))


def test_the_kit_can_tell_a_lost_proof() -> None:
    side = next(side for side in SIDES if side.dialect is MESSAGES)
    answer = next(answers(MESSAGES, side, "proven thought"))
    answer["content"] = [block for block in answer["content"] if block["type"] != "thinking"]
    sent = json.loads(side.ask(decode(MESSAGES, next_turn(MESSAGES, answer))).body)
    assert went_back(MESSAGES, sent) != expected(side, RICH["proven thought"], MESSAGES)
