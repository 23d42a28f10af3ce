import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.limits import MAX_MESSAGE_PARTS
from gateway.core.types import (
    DialectName,
    File,
    Image,
    Message,
    Opaque,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.dialects.anthropic_messages_content import ORIGINAL_BLOCK
from gateway.dialects.anthropic_messages_request import decode
from gateway.dialects.signatures import Proof, seal

ANTHROPIC = DialectName.ANTHROPIC_MESSAGES
CACHED = {"cache_control": {"type": "ephemeral"}}


def messages(*given: Any, **members: Any) -> list[Message]:
    return decode(json.dumps({"model": "m", "max_tokens": 9, "messages": given, **members}).encode()).messages


def parts(*content: dict[str, Any], role: str = "user") -> list:
    [message] = messages({"role": role, "content": list(content)})
    return message.parts


def result(content: Any, **members: Any) -> ToolResult:
    [part] = parts({"type": "tool_result", "tool_use_id": "c0", "content": content, **members})
    return part


def refused(*given: Any, **members: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        messages(*given, **members)
    return caught.value


def plain(extra: dict) -> dict[str, Any]:
    return {name: json.loads(bytes(raw)) for name, raw in extra.items()}


def text_of(file: File) -> str:
    return base64.b64decode(file.data or "").decode()


# --- roles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
@pytest.mark.parametrize("content", ["Hi", [{"type": "text", "text": "Hi"}]])
def test_a_string_is_one_text(role, content):
    assert messages({"role": role, "content": content}) == [Message(Role(role), [Text("Hi")])]


def test_the_system_prompt_comes_first_with_its_marks():
    system = [
        {"type": "text", "text": "x-anthropic-billing-header: a"},
        {"type": "text", "text": "Be brief.", **CACHED},
    ]
    [found, _] = messages({"role": "user", "content": "Hi"}, system=system)
    assert (found.role, [part.text for part in found.parts]) == (
        Role.SYSTEM,
        ["x-anthropic-billing-header: a", "Be brief."],
    )
    assert plain(found.parts[1].extra) == CACHED
    assert messages({"role": "user", "content": "Hi"}, system="S")[0] == Message(Role.SYSTEM, [Text("S")])


@pytest.mark.parametrize("system", ["", [], [{"type": "text", "text": ""}]])
def test_an_empty_system_prompt_is_none(system):
    assert messages({"role": "user", "content": "Hi"}, system=system) == [Message(Role.USER, [Text("Hi")])]


def test_a_system_message_keeps_its_place():
    change = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "f"}}
    found = messages(
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": [{"type": "text", "text": "Now in French."}, change], "output_config": {"a": 1}},
        {"role": "assistant", "content": "Salut"},
    )
    assert [message.role for message in found] == [Role.USER, Role.SYSTEM, Role.ASSISTANT]
    [text, opaque] = found[1].parts
    assert text == Text("Now in French.")
    assert (opaque.kind, json.loads(bytes(opaque.value))) == ("tool_addition", change)
    assert plain(found[1].extra) == {"output_config": {"a": 1}}


def test_results_come_first_and_one_to_a_turn():
    found = messages(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>"},
                {"type": "tool_result", "tool_use_id": "c0", "content": "1", "is_error": False, **CACHED},
                {
                    "type": "tool_result",
                    "tool_use_id": "c1",
                    "content": [{"type": "text", "text": "2"}],
                    "is_error": True,
                },
                {"type": "text", "text": "Go on"},
            ],
            "new": 1,
        }
    )
    one, two, spoken = found
    assert [message.role for message in found] == [Role.TOOL, Role.TOOL, Role.USER]
    assert (one.parts[0].call_id, one.parts[0].parts, one.parts[0].is_error) == ("c0", [Text("1")], False)
    assert plain(one.parts[0].extra) == CACHED
    assert two.parts == [ToolResult("c1", [Text("2")], is_error=True)]
    assert spoken.parts == [Text("<system-reminder>"), Text("Go on")]
    assert plain(spoken.extra) == {"new": 1}


def test_a_turn_of_results_alone_has_no_user_turn():
    [found] = messages({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c0"}]})
    assert found == Message(Role.TOOL, [ToolResult("c0", [])])


@pytest.mark.parametrize("content", [None, "", [], [{"type": "text", "text": ""}]])
def test_an_assistant_may_have_said_nothing(content):
    assert messages({"role": "assistant", "content": content}) == [Message(Role.ASSISTANT, [])]


@pytest.mark.parametrize(
    ("given_message", "param"),
    [
        ({"role": "tool", "content": "x"}, "messages[0].role"),
        ({"content": "x"}, "messages[0].role"),
        ({"role": "user"}, "messages[0].content"),
        ({"role": "user", "content": []}, "messages[0].content"),
        ({"role": "user", "content": 5}, "messages[0].content"),
        ({"role": "user", "content": ["x"]}, "messages[0].content[0]"),
        ({"role": "user", "content": [{}]}, "messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text"),
        ({"role": "user", "content": [{"type": "text", "text": "x"}] * (MAX_MESSAGE_PARTS + 1)}, "messages[0].content"),
        ({"role": "user", "content": [{"type": "tool_use", "id": "c", "name": "f"}]}, "messages[0].content[0].type"),
        ({"role": "assistant", "content": [{"type": "tool_result"}]}, "messages[0].content[0].type"),
        (
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f"}]},
            "messages[0].content[0].input",
        ),
        (
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": "{}"}]},
            "messages[0].content[0].input",
        ),
        ({"role": "assistant", "content": [{"type": "thinking"}]}, "messages[0].content[0].thinking"),
        ({"role": "assistant", "content": [{"type": "redacted_thinking"}]}, "messages[0].content[0].data"),
        (
            {"role": "assistant", "content": [{"type": "text", "text": "x", "citations": 5}]},
            "messages[0].content[0].citations",
        ),
        ({"role": "user", "content": [{"type": "image"}]}, "messages[0].content[0].source"),
        (
            {"role": "user", "content": [{"type": "image", "source": {"type": "base64"}}]},
            "messages[0].content[0].source.media_type",
        ),
        (
            {"role": "user", "content": [{"type": "document", "source": {"type": "url"}}]},
            "messages[0].content[0].source.url",
        ),
        (
            {"role": "user", "content": [{"type": "document", "source": {"type": "content", "content": []}}]},
            "messages[0].content[0].source.content",
        ),
        ({"role": "user", "content": [{"type": "search_result", "title": "t"}]}, "messages[0].content[0].source"),
        ({"role": "user", "content": [{"type": "tool_result", "content": "x"}]}, "messages[0].content[0].tool_use_id"),
        (
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "image"}]}]},
            "messages[0].content[0].content[0].source",
        ),
    ],
)
def test_a_wrong_block_is_named(given_message, param):
    assert refused(given_message).param == param


def test_unknown_sources_are_unsupported():
    for kind in ("image", "document"):
        error = refused({"role": "user", "content": [{"type": kind, "source": {"type": "hologram"}}]})
        assert isinstance(error, UnsupportedParameter)


# --- media --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "found"),
    [
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
            Image(data="iVBORw0KGgo=", media_type="image/png"),
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            Image(url="https://example.com/a.png"),
        ),
        ({"type": "image", "source": {"type": "file", "file_id": "file_1"}}, Image(file_id="file_1")),
        (
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                "title": "a.pdf",
            },
            File(data="JVBERi0=", media_type="application/pdf", filename="a.pdf"),
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
            File(url="https://example.com/a.pdf"),
        ),
        ({"type": "document", "source": {"type": "file", "file_id": "file_1"}, "title": None}, File(file_id="file_1")),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"}},
            File(data="R3LDvMOfZQ==", media_type="text/plain"),
        ),
        (
            {"type": "document", "source": {"type": "content", "content": "abc"}},
            File(data="YWJj", media_type="text/plain"),
        ),
    ],
)
def test_each_medium_becomes_its_own_part(block, found):
    assert parts(block) == [found]
    assert result([block]).parts == [found]


def test_what_a_medium_has_beside_its_source_is_kept():
    source = {"type": "url", "url": "https://example.com/a.pdf"}
    [found] = parts({"type": "document", "source": source, "context": "c", "citations": {"enabled": True}, **CACHED})
    assert plain(found.extra) == {"context": "c", "citations": {"enabled": True}, **CACHED}
    [found] = parts({"type": "image", "source": source, "transformations": {"a": 1}})
    assert plain(found.extra) == {"transformations": {"a": 1}}


def test_a_document_in_pieces_is_one_text_that_can_be_restored():
    pieces = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    block = {"type": "document", "title": "t", "source": {"type": "content", "content": pieces}, **CACHED}
    [found] = parts(block)
    assert (text_of(found), found.media_type, found.filename) == ("one\ntwo", "text/plain", "t")
    assert plain(found.extra) == {ORIGINAL_BLOCK: block}


def test_a_document_with_pictures_is_its_texts_and_pictures():
    picture = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    pieces = [
        {"type": "text", "text": "one"},
        {"type": "text", "text": "two"},
        picture,
        {"type": "text", "text": "end"},
    ]
    one, image, end = parts(
        {"type": "document", "title": "t", "source": {"type": "content", "content": pieces}, **CACHED}
    )
    assert (text_of(one), one.filename, one.extra) == ("one\ntwo", "t", {})
    assert image == Image(url="https://example.com/a.png")
    assert (text_of(end), plain(end.extra)) == ("end", CACHED)


def test_a_search_result_is_readable_and_can_be_restored():
    block = {
        "type": "search_result",
        "source": "https://example.com/a",
        "title": "T",
        "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
        "citations": {"enabled": True},
    }
    for [found] in (parts(block), result([block]).parts):
        assert found.text == "T\nhttps://example.com/a\n\none\ntwo"
        assert plain(found.extra) == {ORIGINAL_BLOCK: block}


def test_what_only_anthropic_knows_of_a_result_is_told_as_its_json():
    block = {"type": "tool_reference", "tool_name": "Wéather"}
    [found] = result([block]).parts
    assert json.loads(found.text) == block
    assert plain(found.extra) == {ORIGINAL_BLOCK: block}


@pytest.mark.parametrize("role", ["user", "assistant"])
@pytest.mark.parametrize("kind", ["server_tool_use", "web_search_tool_result", "container_upload", "compaction", "new"])
def test_kinds_of_block_without_a_noun_stay_as_they_are(role, kind):
    block = {"id": "x", "type": kind, "input": {"a": 1.0}, "none": None}
    [found] = parts(block, role=role)
    assert isinstance(found, Opaque)
    assert (found.kind, found.origin, json.loads(bytes(found.value))) == (kind, ANTHROPIC, block)


# --- thought and calls --------------------------------------------------------------------------------------------


def test_thought_goes_back_byte_for_byte_and_in_its_place():
    found = parts(
        {"type": "thinking", "thinking": "hm", "signature": "EpAD+/="},
        {"type": "redacted_thinking", "data": "EqkE"},
        {"type": "thinking", "thinking": "", "signature": "sig"},
        {"type": "thinking", "thinking": "unsigned", "signature": ""},
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "text", "text": "Hi"},
        role="assistant",
    )
    assert found == [
        Reasoning("hm", signature="EpAD+/="),
        Reasoning(redacted="EqkE"),
        Reasoning("", signature="sig"),
        Reasoning("unsigned"),
        Text("Hi"),
    ]


@pytest.mark.parametrize("origin", list(DialectName))
@pytest.mark.parametrize("thought_id", [None, "rs_1"])
def test_proofs_of_other_vendors_go_back_to_their_origin(origin, thought_id):
    if origin is ANTHROPIC:
        thought_id = None  # its own proofs have no id
    sealed = seal(Proof("p:1", origin, thought_id), ANTHROPIC)
    [found] = parts({"type": "thinking", "thinking": "t", "signature": sealed}, role="assistant")
    assert found == Reasoning("t", signature="p:1", origin=origin, id=thought_id)
    [found] = parts({"type": "redacted_thinking", "data": sealed}, role="assistant")
    assert found == Reasoning(redacted="p:1", origin=origin, id=thought_id)


def test_withheld_thought_in_a_signature_is_withheld_thought():
    sealed = seal(Proof("p", DialectName.OPENAI_RESPONSES, is_redacted=True), ANTHROPIC)
    [found] = parts({"type": "thinking", "thinking": "", "signature": sealed}, role="assistant")
    assert found == Reasoning(redacted="p", origin=DialectName.OPENAI_RESPONSES)


def test_the_input_of_a_call_is_kept_to_the_byte():
    call = b'{"type":"tool_use","id":"c1","name":"f","input":{ "b" : 1.0,\t"a":"\\u00e9"},"caller":{"type": "direct"}}'
    body = b'{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[%b]}]}' % call
    [message] = decode(body).messages
    assert message.parts == [ToolCall("c1", "f", '{ "b" : 1.0,\t"a":"\\u00e9"}')]


def test_what_a_call_has_beside_its_input_is_kept():
    caller = {"type": "code_execution_20260120", "tool_id": "srvtoolu_1"}
    [found] = parts(
        {"type": "tool_use", "id": "c", "name": "f", "input": {}, "caller": caller, **CACHED}, role="assistant"
    )
    assert plain(found.extra) == {"caller": caller, **CACHED}


def test_citations_without_a_proof_are_left_out():
    ours = {"type": "web_search_result_location", "url": "u", "title": "t", "cited_text": "", "encrypted_index": ""}
    own = {**ours, "encrypted_index": "Eo8B"}
    place = {"type": "char_location", "cited_text": "x", "document_index": 0}
    for citations, kept in (([ours, own, place], {"citations": [own, place]}), ([ours], {}), ([], {}), (None, {})):
        [found] = parts({"type": "text", "text": "x", "citations": citations}, role="assistant")
        assert plain(found.extra) == kept


# --- any block ----------------------------------------------------------------------------------------------------

TEXTS = st.text(max_size=8)
BLOCKS = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, TEXTS),
    st.builds(lambda text, sig: {"type": "thinking", "thinking": text, "signature": sig}, TEXTS, TEXTS),
    st.builds(lambda text: {"type": "redacted_thinking", "data": text}, TEXTS),
    st.builds(
        lambda i, given: {"type": "tool_use", "id": i, "name": "f", "input": given},
        TEXTS,
        st.dictionaries(TEXTS, TEXTS),
    ),
    st.builds(lambda value: {"type": "server_tool_use", "id": value}, TEXTS),
)


@given(st.lists(BLOCKS, max_size=6))
def test_nothing_an_assistant_said_is_lost(blocks):
    """What each block says is found again, in its order; only blocks that say nothing are not."""
    found = parts(*blocks, role="assistant")
    told = []
    for part in found:
        if isinstance(part, Text):
            told.append(part.text)
        elif isinstance(part, Reasoning):
            proof = part.signature if part.redacted is None else part.redacted
            told.append((part.text, seal(Proof(proof or "", part.origin, part.id), ANTHROPIC)))
        elif isinstance(part, ToolCall):
            told.append((part.id, json.loads(part.arguments)))
        else:
            told.append(json.loads(bytes(part.value)))
    expected = []
    for block in blocks:
        if block["type"] == "text":
            expected += [block["text"]] if block["text"] else []
        elif block["type"] == "thinking":
            expected += [(block["thinking"], block["signature"])] if block["thinking"] or block["signature"] else []
        elif block["type"] == "redacted_thinking":
            expected.append(("", block["data"]))
        else:
            expected.append((block["id"], block["input"]) if block["type"] == "tool_use" else block)
    assert told == expected
