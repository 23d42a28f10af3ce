import contextlib
import email.parser
import email.policy

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.core import multipart
from gateway.core.errors import BadRequest, ClientError, TooLarge
from gateway.core.limits import MAX_FORM_HEAD_BYTES, MAX_FORM_PARTS, MAX_FORM_VALUE_BYTES
from gateway.core.multipart import (
    Data,
    End,
    FieldEnd,
    FieldStart,
    FormParser,
    PartEvent,
    boundary_of,
    read_fields,
    replace_field,
)
from tests.kit.feeds import byte_by_byte, feed_all, splits, whole

TYPE = "multipart/form-data; boundary=XX"
Part = tuple[str, str | None, str, bytes]


def build(parts: list[Part], boundary: str = "XX") -> bytes:
    """A form as browsers and SDKs write it."""
    out = b""
    for name, filename, content_type, content in parts:
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        out += f'; filename="{filename}"'.encode() if filename is not None else b""
        out += f"\r\nContent-Type: {content_type}".encode() if content_type else b""
        out += b"\r\n\r\n" + content + b"\r\n"
    return out + f"--{boundary}--\r\n".encode()


def parts_of(pieces: list[bytes], boundary: bytes = b"XX") -> list[Part]:
    parser = FormParser(boundary)
    events = list(feed_all(parser.feed, pieces))
    parser.finish()
    return joined(events)


def joined(events: list[PartEvent]) -> list[Part]:
    """The parts, after a look at the order and the offsets of the events."""
    parts: list[Part] = []
    start: FieldStart | None = None
    content = b""
    assert isinstance(events[-1], End)
    for event in events[:-1]:
        if isinstance(event, FieldStart):
            assert start is None
            start, content = event, b""
        elif isinstance(event, Data):
            assert event.data
            content += event.data
        else:
            assert isinstance(event, FieldEnd)
            assert start is not None
            assert event.offset - start.offset == len(content)
            parts.append((start.name, start.filename, start.content_type, content))
            start = None
    assert start is None
    return parts


names = st.text(
    st.characters(codec="utf-8", exclude_characters='"\\', exclude_categories=["Cc"]), min_size=1, max_size=8
)
contents = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"X", b"\r\n--X", b"ab"])).map(b"".join)
parts = st.tuples(names, st.none() | names, st.sampled_from(["", "audio/wav", "text/plain; charset=utf-8"]), contents)
forms = st.lists(parts, max_size=5)


def is_plain(form: list[Part]) -> bool:
    return not any(b"--XX" in content for *_, content in form)


@given(forms.filter(is_plain), st.data())
def test_what_was_written_is_read_however_it_is_cut(form: list[Part], data: st.DataObject) -> None:
    body = build(form)
    for pieces in (whole(body), byte_by_byte(body), data.draw(splits(body))):
        assert parts_of(pieces) == form


FRAGMENTS = [
    *(b"--XX", b"\r\n--XX", b"--XX--", b"\r\n", b"\n", b"\r", b"--", b" ", b'Content-Disposition: form-data; name="a"'),
    *(b"\r\n\r\n", b"; filename=x", b"Content-Type: a/b", b"x", b"\xff", b"X", b'"', b";"),
]
BEGINNING = b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
streams = st.lists(st.sampled_from(FRAGMENTS), max_size=20).map(b"".join)


def outcome(pieces: list[bytes]) -> list[Part] | type[ClientError]:
    try:
        return parts_of(pieces)
    except ClientError as error:
        return type(error)


@given(streams.flatmap(lambda tail: st.sampled_from([tail, BEGINNING + tail])), st.data())
def test_any_bytes_in_any_cut_give_the_same_fields_or_the_same_error(body: bytes, data: st.DataObject) -> None:
    expected = outcome(whole(body))
    assert outcome(byte_by_byte(body)) == expected
    assert outcome(data.draw(splits(body))) == expected


@given(st.binary(max_size=100))
def test_random_bytes_are_no_form(body: bytes) -> None:
    assume(not body.startswith((b"--XX", b"\r\n--XX")))
    assert outcome([body]) is BadRequest


@given(forms.filter(is_plain))
def test_pythons_mail_parser_reads_the_same(form: list[Part]) -> None:
    # mail ends lines in three ways and writes odd names and parameters in other words
    form = [
        (f"n{at}", filename and "f", kind and "audio/wav", content.translate(None, b"\r\n-"))
        for at, (_, filename, kind, content) in enumerate(form)
    ]
    assume(form)
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        f"Content-Type: {TYPE}\r\n\r\n".encode() + build(form)
    )
    read = [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get("content-type", ""),
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    ]
    assert parts_of([build(form)]) == read


def test_a_real_form() -> None:
    body = (
        b'--b1\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        b'--b1\r\nContent-Disposition: form-data; name="file"; filename="in.jsonl"\r\n'
        b'Content-Type: application/octet-stream\r\n\r\n{"a":1}\n\r\n--b1--\r\n'
    )
    assert parts_of([body], b"b1") == [
        ("purpose", None, "", b"batch"),
        ("file", "in.jsonl", "application/octet-stream", b'{"a":1}\n'),
    ]


def test_a_form_may_be_empty_begin_with_a_line_end_and_have_something_behind_it() -> None:
    assert parts_of([b"--XX--"]) == []
    assert parts_of([b"\r\n--XX--\r\nwhatever\r\n--XX\r\n"]) == []


def test_blanks_may_follow_a_boundary() -> None:
    assert parts_of([build([("a", None, "", b"1")]).replace(b"--XX\r\n", b"--XX \t\r\n")]) == [("a", None, "", b"1")]


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('form-data; name="a"; filename="x y.txt"', "x y.txt"),
        ("form-data; name=a; filename=x.txt", "x.txt"),
        ('FORM-DATA;name="a";FileName="x;=.txt"', "x;=.txt"),
        (r'form-data; name="a"; filename="a\"b\\c"', r'a"b\c'),
        (r'form-data; name="a"; filename="C:\dir\x.txt"', r"C:\dir\x.txt"),
        ("form-data; name=a; filename*=UTF-8''%E2%82%AC.txt", "€.txt"),
        ("form-data; name=a; filename=x; filename*=utf-8'en'y", "y"),
        ('form-data; name="a"; filename="é.txt"; size=3;', "é.txt"),
        ('form-data; name="a"; filename=""', ""),
        ('form-data; name="a"', None),
    ],
)
def test_file_names_as_clients_write_them(disposition: str, filename: str | None) -> None:
    body = f"--XX\r\nContent-Disposition: {disposition}\r\n\r\n1\r\n--XX--".encode()
    assert parts_of([body]) == [("a", filename, "", b"1")]


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"Content-Type: text/plain",
        b"Content-Disposition: attachment; name=a",
        b"Content-Disposition: form-data",
        b'Content-Disposition: form-data; name=""',
        b"Content-Disposition: form-data; name=a; name=b",
        b"Content-Disposition: form-data; name=a; name*=utf-8''b",
        b'Content-Disposition: form-data; name="a',
        b"Content-Disposition: form-data; name=a b",
        b"Content-Disposition: form-data; name=a; filename*=latin-1''x",
        b"Content-Disposition: form-data; name=a; filename*=utf-8''%FF",
        b"Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
        b"Content-Disposition: form-data; name=a\r\n continued",
        b"Content-Disposition: form-data; name=a\nX: y",
        b"Content-Disposition : form-data; name=a",
        b"Content-Disposition: form-data; name=a\r\nno colon",
        b"Content-Disposition: form-data; name=\xff",
        b"Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64",
    ],
)
def test_heads_that_two_readers_might_read_differently_are_refused(head: bytes) -> None:
    assert outcome([b"--XX\r\n" + head + b"\r\n\r\n1\r\n--XX--"]) is BadRequest


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--XX",
        b"XX--XX--",
        b"\n--XX--",
        b"--XXY--",
        b"--XX \r--",
        b"--XX\nContent-Disposition: form-data; name=a\n\n1\n--XX--",
        BEGINNING + b"1",
        BEGINNING + b"1\r\n--XX",
        BEGINNING + b"1\n--XX--",
        BEGINNING + b"\n--XX--",
        BEGINNING + b"--XX--",
        BEGINNING + b"1\r\n--XXY\r\n",
        b"--XX" + b" " * MAX_FORM_HEAD_BYTES + b"\r\n",
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    assert outcome([body]) is BadRequest


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    full = [("a", None, "", b"1")] * MAX_FORM_PARTS
    assert outcome([build(full)]) == full
    assert outcome([build([*full, *full[:1]])]) is TooLarge
    assert outcome([b"--XX\r\nX: " + b"y" * MAX_FORM_HEAD_BYTES]) is TooLarge
    large = b"v" * (MAX_FORM_VALUE_BYTES + 1)
    assert outcome([build([("a", None, "", large[:-1])])]) == [("a", None, "", large[:-1])]
    assert outcome([build([("a", None, "", large)])]) is TooLarge
    assert outcome([build([("a", "f", "", large)])]) == [("a", "f", "", large)]
    monkeypatch.setattr(multipart, "MAX_FORM_VALUE_BYTES", 3)
    assert outcome(byte_by_byte(build([("a", None, "", b"1234")]))) is TooLarge


def test_a_file_passes_without_being_held() -> None:
    parser = FormParser(b"XX")
    parser.feed(b"--XX\r\nContent-Disposition: form-data; name=a; filename=f\r\n\r\n")
    for _ in range(50):
        (event,) = parser.feed(b"x" * 1000)
        assert isinstance(event, Data)
        assert len(parser._pending) < 10


# --- the boundary -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data;charset=utf-8; Boundary="a b?c"', b"a b?c"),
        (
            "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
            b"----WebKitFormBoundary7MA4YWxkTrZu0gW",
        ),
        ("multipart/form-data; boundary=abc;", b"abc"),
        (f"multipart/form-data; boundary={'x' * 70}", b"x" * 70),
    ],
)
def test_the_boundary_is_found(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/json",
        "multipart/mixed; boundary=a",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        'multipart/form-data; boundary="a "',
        'multipart/form-data; boundary="a\r\nb"',
        'multipart/form-data; boundary="a',
        "multipart/form-data; boundary=é",
        "multipart/form-data; boundary=a; boundary=b",
        f"multipart/form-data; boundary={'x' * 71}",
    ],
)
def test_a_boundary_that_is_none_is_refused(content_type: str) -> None:
    with pytest.raises(BadRequest):
        boundary_of(content_type)


@given(st.text(max_size=40))
def test_any_content_type_is_judged(text: str) -> None:
    for content_type in (text, f"multipart/form-data;{text}"):
        with contextlib.suppress(BadRequest):
            assert boundary_of(content_type)


# --- whole forms --------------------------------------------------------------------------------------------------

FORM: list[Part] = [
    ("file", "a.wav", "audio/wav", b'\x00\r\n--X\r\nname="model"'),
    ("model", None, "", b"east/whisper-1"),
    ("timestamp_granularities[]", None, "", b"word"),
    ("timestamp_granularities[]", None, "", b"segment"),
]


def test_fields_are_read_by_name() -> None:
    assert read_fields(build(FORM), TYPE, ("model", "language")) == {"model": "east/whisper-1"}


def test_one_field_is_replaced_and_every_other_byte_stays() -> None:
    body = build(FORM)
    assert replace_field(body, TYPE, "model", "w") == body.replace(b"east/whisper-1", b"w")
    assert replace_field(body, TYPE, "model", "") == body.replace(b"east/whisper-1", b"")


@given(forms.filter(is_plain), contents.filter(lambda c: b"XX" not in c))
def test_a_replaced_field_is_read_back(form: list[Part], value: bytes) -> None:
    form = [part for part in form if part[0] != "model"]
    body = replace_field(build([*form, ("model", None, "", b"old"), *form]), TYPE, "model", value.decode())
    assert parts_of([body]) == [*form, ("model", None, "", value), *form]


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (FORM, "timestamp_granularities[]"),
        (FORM, "file"),
        ([("model", None, "", b"\xff")], "model"),
    ],
)
def test_a_field_that_cannot_be_read_as_one_text_is_named(form: list[Part], name: str) -> None:
    with pytest.raises(BadRequest) as raised:
        read_fields(build(form), TYPE, (name,))
    assert raised.value.param == name


def test_only_a_field_that_is_there_is_replaced_and_never_with_the_boundary() -> None:
    for name, value in (("language", "en"), ("model", "--XX--")):
        with pytest.raises(BadRequest) as raised:
            replace_field(build(FORM), TYPE, name, value)
        assert raised.value.param == name


def test_half_a_form_is_not_read() -> None:
    with pytest.raises(BadRequest):
        read_fields(build(FORM)[:-6], TYPE, ("model",))
