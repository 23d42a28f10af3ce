import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.dialects.fields import (
    FieldError,
    Fields,
    as_count,
    as_flag,
    as_number,
    as_object,
    as_text,
    as_text_or_object,
    each,
    nested,
    parse,
    put_back,
    require,
    rest,
    shown,
    take,
    take_each,
    unsupported,
)


class _Inner(Struct):
    depth: int


class _Outer(Struct):
    name: str
    inner: _Inner | None = None
    items: list[_Inner] = []


as_outer = msgspec.json.Decoder(_Outer).decode
as_list = msgspec.json.Decoder(list[Fields]).decode


def fields(**members: object) -> Fields:
    return {name: Raw(msgspec.json.encode(value)) for name, value in members.items()}


def told(call, *arguments) -> BadRequest:
    """The public error that ``call(*arguments)`` ends in."""
    with pytest.raises(FieldError) as caught:
        call(*arguments)
    return caught.value.as_bad_request()


@pytest.mark.parametrize(
    ("decode", "value", "message"),
    [
        (as_flag, "yes", "'x' must be true or false, not a string."),
        (as_text, 5, "'x' must be a string, not an integer."),
        (as_text, True, "'x' must be a string, not a boolean."),
        (as_text, [], "'x' must be a string, not a list."),
        (as_number, "0.5", "'x' must be a number, not a string."),
        (as_count, 1.5, "'x' must be an integer, not a number."),
        (as_count, 0, "'x' must be an integer >= 1."),
        (as_object, [], "'x' must be an object, not a list."),
        (as_text_or_object, 1, "'x' must be a string or an object, not an integer."),
    ],
)
def test_a_wrong_type_is_told_in_words_that_name_the_field(decode, value, message):
    error = told(take, fields(x=value), "x", decode)
    assert (error.message, error.param) == (message, "x")


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (b"{}", "'name' is required.", "name"),
        (b'{"name":null}', "'name' is required.", "name"),
        (b'{"name":"a","inner":{}}', "'inner.depth' is required.", "inner.depth"),
        (
            b'{"name":"a","items":[{"depth":1},{"depth":"2"}]}',
            "'items[1].depth' must be an integer, not a string.",
            "items[1].depth",
        ),
        (b"[]", "The request body must be an object, not a list.", None),
    ],
)
def test_the_decoders_own_paths_are_translated(body, message, param):
    error = told(parse, body, as_outer)
    assert (error.message, error.param) == (message, param)


@pytest.mark.parametrize("body", [b"", b"{", b'{"name":"a"}}', b'{"name":"\xff"}', b'{"name":"\\ud800"}'])
def test_what_is_no_json_is_a_bad_request(body):
    error = told(parse, body, as_outer)
    assert error.message.startswith("The request body is")
    assert error.param is None


def test_depth_beyond_the_stack_is_a_bad_request():
    assert (
        told(parse, b'{"name":"a","new":' + b"[" * 200_000, as_outer).message
        == "The request body is nested too deeply."
    )


def test_a_number_out_of_range_is_named():
    assert "'x'" in told(take, {"x": Raw(b"1e999")}, "x", as_number).message


def test_null_and_absent_are_the_same():
    given_fields = fields(x=None)
    assert take(given_fields, "x", as_text) is None
    assert take(given_fields, "y", as_text) is None
    assert given_fields == {}
    assert told(require, fields(x=None), "x", as_text).message == "'x' is required."


def test_a_path_is_put_together_on_the_way_out():
    body = fields(messages=[{"content": []}, {"content": [{"url": "a"}, {"url": 5}]}])

    def read_part(part):
        return require(part, "url", as_text)

    def read_message(message):
        return nested(message, "content", as_list, lambda parts: each(parts, read_part))

    error = told(take_each, body, "messages", as_list, read_message)
    assert error.param == "messages[1].content[1].url"


def test_rest_is_what_nobody_took_without_nulls():
    given_fields = fields(a=1, b=None, c={"d": None})
    take(given_fields, "a", as_number)
    assert {name: bytes(raw) for name, raw in rest(given_fields).items()} == {"c": b'{"d":null}'}


def test_what_is_left_of_a_nested_object_is_put_back_as_a_field():
    given_fields = fields(options={"known": 1, "new": [2], "empty": None}, settled={"known": 1})
    for name in ("options", "settled"):
        inner = require(given_fields, name, as_object)
        take(inner, "known", as_number)
        put_back(given_fields, name, inner)
    assert {name: bytes(raw) for name, raw in given_fields.items()} == {"options": b'{"new":[2]}'}


def test_an_unknown_word_becomes_an_unsupported_parameter():
    error = unsupported("video", ("text", "image")).within("content[0]").as_bad_request()
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "content[0].type"
    assert error.message == "'content[0].type' must be text or image; 'video' cannot be translated."


def test_a_clients_word_is_cut_before_it_is_shown():
    assert len(shown("x" * 10_000)) < 60


@given(st.binary())
def test_any_bytes_are_read_or_refused(body):
    try:
        found = parse(body, as_outer)
    except FieldError:
        return
    assert isinstance(found, _Outer)
