import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import object_ids
from gateway.core.errors import NotFound, UpstreamBroken
from gateway.core.limits import (
    MAX_INSTANCE_NAME_CHARS,
    MAX_JSON_CONTAINERS,
    MAX_JSON_MEMBERS,
    MAX_LISTED_OBJECTS,
    MAX_NATIVE_ID_CHARS,
)
from gateway.core.names import is_instance_name, is_path_segment
from gateway.core.object_ids import ID_MEMBERS, IdSealer, sealing_secret
from gateway.core.secret import Secret

SEALER = IdSealer(b"k" * 32)

natives = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.from_regex(
    r"[A-Za-z0-9._:/-]{1,80}", fullmatch=True
)
instances = st.from_regex(r"[a-z][a-z0-9_-]{0,20}[a-z0-9]", fullmatch=True).filter(is_instance_name)
owners = st.text(max_size=10)


@given(natives, instances, owners)
def test_what_was_sealed_is_opened_by_its_owner(native: str, instance: str, owner: str) -> None:
    shown = SEALER.seal(native, instance, owner)
    assert is_path_segment(shown)
    assert SEALER.open(shown, owner) == (instance, native)


@given(natives, instances, owners, owners)
def test_nobody_else_opens_it(native: str, instance: str, owner: str, other: str) -> None:
    shown = SEALER.seal(native, instance, owner)
    assert (SEALER.open(shown, other) is None) is (other != owner)
    assert IdSealer(b"another secret").open(shown, owner) is None


@given(natives, instances, owners, st.data())
def test_no_other_id_opens(native: str, instance: str, owner: str, data: st.DataObject) -> None:
    shown = SEALER.seal(native, instance, owner)
    at = data.draw(st.integers(0, len(shown) - 1))
    char = data.draw(st.sampled_from("aB3._:~-/"))
    forged = shown[:at] + char + shown[at + 1 :]
    assert forged == shown or SEALER.open(forged, owner) is None


@given(st.text(max_size=80))
def test_any_text_is_judged(text: str) -> None:
    assert SEALER.open(text, "a") is None


def test_a_shown_id_begins_with_the_native_one() -> None:
    assert SEALER.seal("file-abc", "east", "a").startswith("file-abc.east.slu")
    assert SEALER.seal("files/abc~", "east", "a").startswith("files~2Fabc~7E.east.slu")


def test_dots_belong_to_the_native_id() -> None:
    assert SEALER.open(SEALER.seal("a.b.sluc", "west", "o"), "o") == ("west", "a.b.sluc")


def test_owner_instance_and_id_cannot_flow_into_each_other() -> None:
    assert SEALER.seal("x", "ab", "c")[-20:] != SEALER.seal("x", "b", "ca")[-20:]


@pytest.mark.parametrize("native", ["", "x" * (MAX_NATIVE_ID_CHARS + 1), "/" * MAX_NATIVE_ID_CHARS, "\ud800"])
def test_what_cannot_be_an_id_is_the_providers_fault(native: str) -> None:
    with pytest.raises(UpstreamBroken):
        SEALER.seal(native, "east", "a")


def test_the_longest_names_fit() -> None:
    shown = SEALER.seal("x" * MAX_NATIVE_ID_CHARS, "i" * MAX_INSTANCE_NAME_CHARS, "a")
    assert SEALER.open(shown, "a") == ("i" * MAX_INSTANCE_NAME_CHARS, "x" * MAX_NATIVE_ID_CHARS)
    opened = SEALER.open_all(b'{"id":"%b"}' % shown.encode(), "a", "i" * MAX_INSTANCE_NAME_CHARS)
    assert opened == b'{"id":"' + b"x" * 160 + b'"}'


def test_the_secret_follows_the_master_key() -> None:
    one, other = sealing_secret(Secret("one")), sealing_secret(Secret("other"))
    assert len({one, other, sealing_secret(None)}) == 3
    assert one == sealing_secret(Secret("one"))
    assert b"one" not in one


# --- whole bodies -------------------------------------------------------------------------------------------------


def test_every_sealed_id_of_a_body_is_opened_and_nothing_else_changes() -> None:
    a, b = SEALER.seal("file-a", "east", "o"), SEALER.seal("files/b", "east", "o")
    body = (
        f'{{ "file_id":"{a}","file_ids":[ "{b}","{a}" ],"t":"see {a}", "n": 1.50,"slu":".slurp"}}\n{{"id" : "{a}"}}\n'
    )
    opened = (
        f'{{ "file_id":"file-a","file_ids":[ "files/b","file-a" ],"t":"see {a}", "n": 1.50,"slu":".slurp"}}\n'
        '{"id" : "file-a"}\n'
    )
    assert SEALER.open_all(body.encode(), "o", "east") == opened.encode()


def test_an_id_that_is_text_stays() -> None:
    a = SEALER.seal("file-a", "east", "o")
    body = json.dumps(
        {"content": a, "output": [a], "text": json.dumps({"file_id": a}), "file_ids": {"x": [a]}}
    ).encode()
    assert SEALER.open_all(body, "o", "east") == body
    assert SEALER.open_all(body, "o", "west") == body


@pytest.mark.parametrize("body", [b"", b"{}", b'{"a":"b.slu"}', b'"a.b.slu' + b"x" * 19 + b'"', b'".slu' * 1000])
def test_what_only_looks_like_one_stays(body: bytes) -> None:
    assert SEALER.open_all(body, "o", "east") is body or SEALER.open_all(body, "o", "east") == body


@pytest.mark.parametrize(("owner", "instance"), [("other", "east"), ("o", "west")])
def test_ids_of_others_and_of_elsewhere_do_not_exist(owner: str, instance: str) -> None:
    body = json.dumps({"file_id": SEALER.seal("file-a", "east", "o")}).encode()
    with pytest.raises(NotFound):
        SEALER.open_all(body, owner, instance)


def test_a_forged_id_does_not_exist() -> None:
    with pytest.raises(NotFound, match=r"file-b\.east\.slu"):
        SEALER.open_all(b'{"file_id":"file-b.east.slu%b"}' % (b"A" * 20), "o", "east")


@given(
    st.binary(max_size=200),
    st.lists(st.sampled_from([b'"', b'"id":', b".slu", b"a.b.slu" + b"A" * 20, b"."]), max_size=8),
)
def test_any_body_is_opened_or_refused(junk: bytes, parts: list[bytes]) -> None:
    body = junk[:50] + b"".join(parts) + junk[50:]
    try:
        assert SEALER.open_all(body, "o", "east") == body
    except NotFound:
        assert b".slu" in body


def test_an_answers_ids_are_sealed_in_place() -> None:
    answer = (
        b'{"object":"batch", "id":"batch_1","input_file_id":"file-1","output_file_id":null,"x":{"id":"kept"},"n":1.50}'
    )
    sealed = SEALER.seal_all(answer, "east", "o")
    fields = msgspec.json.decode(sealed, type=dict[str, msgspec.Raw])
    assert list(fields) == ["object", "id", "input_file_id", "output_file_id", "x", "n"]
    assert bytes(fields["n"]) == b"1.50"
    read = json.loads(sealed)
    assert (read["x"], read["output_file_id"]) == ({"id": "kept"}, None)
    assert SEALER.open(read["id"], "o") == ("east", "batch_1")
    assert SEALER.open(read["input_file_id"], "o") == ("east", "file-1")
    assert SEALER.open_all(sealed, "o", "east").replace(b" ", b"") == answer.replace(b" ", b"")


def test_a_lists_ids_are_sealed_too() -> None:
    answer = {"object": "list", "data": [{"id": "a", "z": [1]}, {"id": "b"}, 7], "first_id": "a", "last_id": "b"}
    sealed = json.loads(SEALER.seal_all(json.dumps(answer).encode(), "east", "o"))
    shown = [SEALER.seal(native, "east", "o") for native in "ab"]
    assert sealed == {
        "object": "list",
        "data": [{"id": shown[0], "z": [1]}, {"id": shown[1]}, 7],
        "first_id": shown[0],
        "last_id": shown[1],
    }


def test_only_the_named_members_are_sealed() -> None:
    body = b'{"id":"a","file_id":"b"}'
    assert json.loads(SEALER.seal_all(body, "east", "o", frozenset(("file_id",))))["id"] == "a"


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"[1]", b'{"id":"\xff"}', b'{"id":"a\\ud800"}', b'{"data":' + b"[" * 5000 + b"]" * 5000 + b"}"],
)
def test_what_cannot_be_read_stays(body: bytes) -> None:
    try:
        assert SEALER.seal_all(body, "east", "o") == body
    except UpstreamBroken:
        assert b"ud800" in body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ID_MEMBERS, "data", "x"]), inner),
    max_leaves=12,
)


@given(json_values)
def test_any_answer_is_sealed_and_opened_again(value: object) -> None:
    body = msgspec.json.encode(value)
    assert json.loads(SEALER.open_all(SEALER.seal_all(body, "east", "o"), "o", "east")) == value


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"x","data":[' + b",".join([b"{}"] * (MAX_JSON_CONTAINERS + 1)) + b"]}",
        b"{" + b",".join(b'"%d":1' % n for n in range(MAX_JSON_MEMBERS + 1)) + b"}",
    ],
    ids=["containers", "members"],
)
def test_an_answer_of_too_many_parts_is_never_decoded(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    monkeypatch.setattr(object_ids, "_read_members", decoded.append)
    with pytest.raises(UpstreamBroken):
        SEALER.seal_all(body, "east", "o")
    assert decoded == []


def test_a_list_has_only_so_many_objects() -> None:
    most = b'{"data":[' + b",".join([b'{"id":"x"}'] * MAX_LISTED_OBJECTS)
    assert SEALER.seal_all(most + b"]}", "east", "o").count(b".slu") == MAX_LISTED_OBJECTS
    with pytest.raises(UpstreamBroken):
        SEALER.seal_all(most + b",1]}", "east", "o")
