"""Bodies that one JSON parser reads differently from the next, bodies made to be slow, and the two edits we make."""

import json
import string
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.errors import BadRequest
from gateway.core.jsonguard import guarded, replace_model, request_stream_usage, top_level_members
from gateway.core.limits import MAX_JSON_CONTAINERS, MAX_JSON_DEPTH, MAX_JSON_MEMBERS, MAX_JSON_NUMBER_CHARS

MIB = 1024 * 1024


class Body(msgspec.Struct):
    model: str
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None


read = msgspec.json.Decoder(Body).decode


def refusal(body: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as refused:
        guarded(body, read)
    return refused.value


def accepts(body: bytes) -> bool:
    return guarded(body, read).model == "m"


def spelled(name: str, escaped: int) -> bytes:
    """``name`` as a JSON string with its letter number ``escaped`` written as an escape."""
    letters = [f"\\u{ord(c):04x}" if i == escaped else c for i, c in enumerate(name)]
    return f'"{"".join(letters)}"'.encode()


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        *(b" ", b"{", b"}", b'{"model":"m"', b'{"model":"m",}', b'{"model":"m"}}', b'{"model":"m"} x'),
        *(b'{"model":"m"}\0', b'\xef\xbb\xbf{"model":"m"}', b"{'model':'m'}", b'{"model":"m"/**/}', b"{model:1}"),
        *(b'{"model":"m","a":NaN}', b'{"model":"m","a":Infinity}', b'{"model":"m","a":01}', b'{"model":"m","a":+1}'),
        *(b'{"model":"m","a":.5}', b'{"model":"m","a":1.}', b'{"model":"m","a":0x10}', b'{"model":"m","a":[1,]}'),
        *(
            b'{"model":"m","a":"\x01"}',
            b'{"model":"m","a":"\n"}',
            rb'{"model":"m","a":"\q"}',
            rb'{"model":"m","a":"\u12"}',
        ),
        *(
            rb'{"model":"m","a":"\ud800"}',
            rb'{"model":"m","\udc00":1}',
            rb'{"model":"\ud800"}',
            b'{"model":"m","a":"\\"}',
        ),
    ],
)
def test_what_is_not_json_is_a_bad_request(body: bytes) -> None:
    assert "not valid JSON" in refusal(body).message


def test_an_empty_body_is_told_as_one() -> None:
    assert refusal(b"").message == "The request body is empty; it must be a JSON object."


@pytest.mark.parametrize(
    "body",
    [b"null", b"true", b"1", b'"model"', b"[", b"[]", b'["model"]', b"{}", b'{"model":1}', b'{"model":null}'],
)
def test_another_type_is_a_bad_request(body: bytes) -> None:
    assert "wrong type" in refusal(body).message


# Invalid in its own way each: Latin-1, cut short, an overlong slash, a surrogate, beyond Unicode, a continuation.
INVALID_UTF8 = [b"\xe9", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xff", b"\xfe"]


@pytest.mark.parametrize("junk", INVALID_UTF8)
@pytest.mark.parametrize(
    "template",
    [
        b'{"model":"%b"}',  # a field that is read
        b'{"model":"m","unknown":"%b"}',  # one that is skipped, which the decoder does not look into
        b'{"model":"m","unknown":{"a":["%b"]}}',
        b'{"model":"m","%b":1}',
        b'{"model":"m","stream_options":{"%b":"x"}}',
        b'{"model":"m"}%b',
        b'%b{"model":"m"}',
    ],
)
def test_invalid_utf8_is_refused_wherever_it_stands(template: bytes, junk: bytes) -> None:
    body = template % junk
    assert refusal(body).message == f"The request body is not valid UTF-8 at byte {template.index(b'%b')}."


def test_valid_utf8_passes_untouched() -> None:
    assert accepts('{"model":"m","a":"é 漢 \U0001f600 \u2028","ключ":1}'.encode())


# --- depth ----------------------------------------------------------------------------------------------------------

# Text that is full of brackets and of what could end a string too early or too late.
DECOYS = [
    *(
        "[" * 100,
        "}" * 100,
        '\\"[[[[',
        "\\\\",
        '\\\\\\"[{',
        "\\\\\\\\",
        "\\u005b\\u007b" * 50,
        '\\"',
        "\\n[",
        "[[\\\\\\\\",
    ),
]


def nested(depth: int, opening: str, decoy: str = "") -> bytes:
    """An object of this depth in all. ``opening`` says which brackets take turns; ``decoy`` stands at every level."""
    inner = f'"{decoy}"'
    for level in range(depth - 1):
        if opening[level % len(opening)] == "[":
            inner = f'["{decoy}",{inner},"{decoy}"]'
        else:
            inner = f'{{"a{decoy}":"{decoy}","b":{inner}}}'
    return f'{{"model":"m","deep":{inner}}}'.encode()


@pytest.mark.parametrize("decoy", ["", *DECOYS])
@pytest.mark.parametrize("opening", ["[", "{", "[{", "{[", "[[{", "{{["])
def test_depth_is_counted_exactly_whatever_the_brackets_and_the_strings(opening: str, decoy: str) -> None:
    assert accepts(nested(MAX_JSON_DEPTH, opening, decoy))
    assert "nested deeper than 64" in refusal(nested(MAX_JSON_DEPTH + 1, opening, decoy)).message


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
@pytest.mark.parametrize("depth", [500, 1_000, 5_000, 100_000])
def test_depth_far_beyond_the_stack_is_the_same_refusal(opening: bytes, closing: bytes, depth: int) -> None:
    for inner in (b"1", b""):  # also where the innermost makes it no JSON at all
        message = refusal(b'{"model":"m","a":%b%b%b}' % (opening * depth, inner, closing * depth)).message
        assert "nested deeper than 64" in message or (not inner and "not valid JSON" in message)


def test_depth_in_a_member_that_is_read_is_refused() -> None:
    assert (
        "nested deeper" in refusal(b'{"model":"m","stream_options":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}").message
    )


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert accepts(b'{"model":"m","a":[' + b",".join([b"[{},[]]"] * 10_000) + b"]}")


def test_lists_and_objects_are_counted_exactly_and_not_in_strings() -> None:
    def filled(count: int, text: bytes) -> bytes:
        return b'{"model":"m","%b":[%b]}' % (text, b",".join([b"[]", b"{}"] * (count // 2 - 1)))

    assert accepts(filled(MAX_JSON_CONTAINERS, b""))
    assert accepts(filled(MAX_JSON_CONTAINERS, b"[{" * 1000))
    assert "more than 250000 lists" in refusal(filled(MAX_JSON_CONTAINERS + 2, b"")).message


@pytest.mark.parametrize("is_nested", [False, True])
def test_members_are_counted_exactly_and_not_in_strings(is_nested: bool) -> None:
    def filled(count: int, text: bytes) -> bytes:
        members = b",".join(b'"%x":1' % number for number in range(count - 2 - is_nested))
        return b'{"model":"m","%b":%b}' % (text, (b'0,"a":{%b}' if is_nested else b"0,%b") % members)

    assert accepts(filled(MAX_JSON_MEMBERS, b"::" * 1000))
    assert "more than 250000 members" in refusal(filled(MAX_JSON_MEMBERS + 1, b"")).message


def brackets(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(brackets, value.values()), default=0)
    return 1 + max(map(brackets, value), default=0) if isinstance(value, list) else 0


@given(
    st.recursive(
        # with every escape that JSON has
        st.text(alphabet='[]{}"\\/\b\f\n\r\t\u00e9,:a') | st.none(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet='[{"\\\n', max_size=3), inner, max_size=3)
        ),
        max_leaves=40,
    ),
    st.integers(0, 70),
)
def test_depth_agrees_with_counting_it_on_the_decoded_value(value: object, extra: int) -> None:
    for level in range(extra):
        value = [value] if level % 2 else {"x]": value}
    body = json.dumps({"model": "m", "a": value}).encode()
    if brackets(json.loads(body)) > MAX_JSON_DEPTH:
        refusal(body)
    else:
        assert accepts(body)


@pytest.mark.parametrize("text", [b"", b"x" * 5000])
@pytest.mark.parametrize("lists", [0, 1, 32, 63])
def test_few_brackets_are_counted_of_both_kinds(lists: int, text: bytes) -> None:
    def nested_in(lists: int, objects: int) -> bytes:
        opening, closing = b"[" * lists + b'{"a":' * objects, b"}" * objects + b"]" * lists
        return b'{"model":"m","a":%b"%b"%b}' % (opening, text, closing)

    # one object is the body
    assert accepts(nested_in(lists, MAX_JSON_DEPTH - 1 - lists))
    assert "nested deeper" in refusal(nested_in(lists + 1, MAX_JSON_DEPTH - 1 - lists)).message


# --- numbers --------------------------------------------------------------------------------------------------------

LONGEST = [
    "1" * MAX_JSON_NUMBER_CHARS,
    "-" + "9" * (MAX_JSON_NUMBER_CHARS - 1),
    "0." + "3" * (MAX_JSON_NUMBER_CHARS - 2),
    "1e" + "1" * (MAX_JSON_NUMBER_CHARS - 2),
    "1.5E+" + "0" * (MAX_JSON_NUMBER_CHARS - 5),
    "-1.25e-" + "7" * (MAX_JSON_NUMBER_CHARS - 7),
]


@pytest.mark.parametrize("number", LONGEST)
@pytest.mark.parametrize(
    "template", ['{"model":"m","a":%s}', '{"a":[%s,%s],"model":"m"}', '{"a":{"b": %s },"model":"m"}']
)
def test_numbers_of_40_characters_pass_and_of_41_do_not(template: str, number: str) -> None:
    def filled(text: str) -> bytes:
        return template.replace("%s", text).encode()

    assert len(number) == MAX_JSON_NUMBER_CHARS
    assert accepts(filled(number))
    assert "more than 40 characters" in refusal(filled(number + "1")).message


@pytest.mark.parametrize("offset", range(10))
def test_a_long_number_is_found_wherever_it_stands(offset: int) -> None:
    refusal(b'{"model":"m","p":"%b","a":%b}' % (b"x" * offset, b"7" * (MAX_JSON_NUMBER_CHARS + 1)))


@pytest.mark.parametrize("number", ["7" * 5_000, "1e999999" + "9" * 40, "-0." + "0" * 100_000])
def test_numbers_that_grow_big_integers_are_refused(number: str) -> None:
    refusal(f'{{"model":"m","a":{number}}}'.encode())


@pytest.mark.parametrize("decoy", ["", '\\"', "\\\\", "\\\\\\\\"])
def test_digits_in_strings_are_no_number(decoy: str) -> None:
    digits = f"{decoy}{'1' * 5_000}{decoy}"
    assert accepts(f'{{"model":"m","a":"{digits}","{digits}":[1,"{digits}",2],"e":"{digits}"}}'.encode())


def test_numbers_do_not_add_up_across_what_divides_them() -> None:
    assert accepts(
        b'{"model":"m","a":[' + b",".join([b"1" * 39] * 50) + b'],"b":' + b"2" * 40 + b',"":' + b"3" * 40 + b"}"
    )


# --- duplicates -----------------------------------------------------------------------------------------------------

ROUTING = {"model": b'"m"', "stream": b"true", "stream_options": b'{"include_usage":true}'}


def all_spellings(name: str) -> list[bytes]:
    return [f'"{name}"'.encode(), *(spelled(name, i) for i in range(len(name)))]


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [(n, a, b) for n in ROUTING for a in (f'"{n}"'.encode(), spelled(n, 0)) for b in all_spellings(n)],
)
def test_a_routing_member_twice_is_refused_however_it_is_spelled(name: str, first: bytes, second: bytes) -> None:
    value = ROUTING[name]
    rest = b"" if name == "model" else b'"model":"m",'
    for between in (b"", b'"a":1,', b'"a":{"model":"x","stream":0},', b'"a":"\\"model\\"",'):
        body = b"{ %b%b : %b,%b%b:%b}" % (rest, first, value, between, second, value)
        assert refusal(body).param == name


def test_upper_case_escapes_hide_nothing() -> None:
    assert refusal(rb'{"model":"m","\u006D\u006F\u0064\u0065\u006C":"x"}').param == "model"
    assert (
        refusal(rb'{"model":"m","stream":true,"stream\u005Foptions":{},"stream\u005foptions":{}}').param
        == "stream_options"
    )


NESTED_MEMBERS = [
    b'"tools":[{"function":{"parameters":{"properties":{"model":{},"stream":{},"stream_options":{}}}}}]',
    b'"a":{"model":"x","b":{"model":"y","model":"z"}},"c":[{"stream":1,"stream":2}]',
    rb'"a":{"mode\u006c":"x","\u006dodel":"y"},"b":"\u006d"',
    b'"a":"model","b":["model","stream","stream_options"],"c":"\\"model\\":\\"x\\""',
    b'"model2":"x","xmodel":"y","Model":"z","model ":"w","streams":1,"stream_option":2',
    rb'"a\"model":"x","b\\":"model"',
]


@pytest.mark.parametrize("member", NESTED_MEMBERS)
def test_the_same_names_elsewhere_are_nobodys_business(member: bytes) -> None:
    body = b'{%b,"model":"m","stream":true,"stream_options":{},"z":{%b}}' % (member, member)
    assert accepts(body)
    assert refusal(body[:-1] + b',"model":"m"}').param == "model"
    assert refusal(body[:-1] + b"," + spelled("model", 2) + b':"m"}').param == "model"


def test_members_that_decide_nothing_may_stand_twice() -> None:
    assert accepts(rb'{"user":"a","model":"m","user":"b","us\u0065r":"c"}')


def test_stream_and_stream_options_are_two_members() -> None:
    assert accepts(b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}')


@given(st.data())
def test_duplicates_agree_with_a_parser_that_keeps_pairs(data: st.DataObject) -> None:
    names = st.sampled_from(
        [*all_spellings("model"), *all_spellings("stream"), b'"a"', b'"\\"model\\""', b'"stream_options"']
    )
    values = st.sampled_from(
        [b"null", b'"m"', b'{"model":1,"model":2}', b'["model","stream"]', b'"\\u006dodel"', b'"\\\\"']
    )
    pairs = data.draw(st.lists(st.tuples(names, values), max_size=6))
    pairs.append((b'"model"', b'"m"'))
    # what is long is also measured; where there is white space the measure says nothing
    pairs += data.draw(st.sampled_from([[], [(b'"long"', b'"%b"' % (b"x" * 5000))]]))
    comma, blank = data.draw(st.sampled_from([b",", b", "])), data.draw(st.sampled_from([b"", b" "]))
    body = b"{" + comma.join(name + b":" + blank + value for name, value in pairs) + b"}"
    plain = [json.loads(name) for name, _ in pairs]
    is_duplicate = any(plain.count(name) > 1 for name in ("model", "stream", "stream_options"))
    accept_all = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    if is_duplicate:
        with pytest.raises(BadRequest):
            guarded(body, accept_all)
    else:
        assert guarded(body, accept_all)


# --- any bytes, and bytes made to hurt ------------------------------------------------------------------------------

FRAGMENTS = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b'"model"', b'"m"', b'"stream"', b"true", b"null", b"1e9", b" "),
    *(b'"model":"m"', b'{"model":"m"', rb"\u006d", rb"\ud800", b"\xff", "é".encode(), b'"a":', b"9" * 41, b"[" * 70),
]


@given(st.binary(max_size=60) | st.lists(st.sampled_from(FRAGMENTS), max_size=25).map(b"".join))
@example(b'{"model":"m","stream_options":{"include_usage":true,"include_usage":false}}')
def test_any_bytes_give_a_value_or_a_bad_request(body: bytes) -> None:
    try:
        value = guarded(body, read)
    except BadRequest as refused:
        assert refused.message  # noqa: PT017 - both ends are right
    else:
        assert json.loads(body)["model"] == value.model


@pytest.mark.parametrize(
    "filling",
    [
        b'"' + b"\\\\" * (2 * MIB) + b'"',
        b'"' + b'\\"' * (2 * MIB) + b'"',
        b'"' + rb"\u006d" * (MIB // 2) + b'"',
        b'"' + rb"\u00" b"41" * (MIB // 2) + b'"',
        b'"' + b"1" * (4 * MIB) + b'"',
        b"[" + b",".join([b"1" * 40] * (MIB // 16)) + b"]",
        b"[" + b",".join([b"1" * 39 + b" "] * (MIB // 16)) + b',"' + b"1" * 41 + b'"]',
        b"[" + b",".join([b"[]"] * (MAX_JSON_CONTAINERS - 4)) + b"]",
        b"[" + b",".join([b"[" * 62 + b"]" * 62] * (MAX_JSON_CONTAINERS // 64)) + b"]",
        b"[" + b",".join([b'{"model":"x"}'] * (MAX_JSON_MEMBERS - 8)) + b"]",
        b"[" + b",".join([b'"model"'] * (MIB // 2)) + b"]",
        b'{"a":1' + b"".join(b',"k%d":"model"' % i for i in range(MAX_JSON_MEMBERS - 8)) + b"}",
        b'"' + b"model" * MIB + b'"',
        b" " * (4 * MIB) + b"1",
    ],
    ids=lambda filling: repr(filling[:12]),
)
def test_four_megabytes_made_to_be_slow_are_read_and_edited(filling: bytes) -> None:
    # a step that is quadratic in any of these would run for hours
    for body in (b'{"model":"m","a":%b}' % filling, b'{"a":%b,"mode\\u006c":"m","b":{"model":"x"}}' % filling):
        assert guarded(body, read).model == "m"
        assert len(replace_model(body, "other")) == len(body) + 4
        assert len(request_stream_usage(body)) > len(body)


def test_a_megabyte_of_top_level_members_is_scanned_once() -> None:
    members = b"".join(b',"k%d":{"model":%d}' % (i, i) for i in range(MIB // 16))
    assert len(members) > MIB
    assert accepts(b'{"model":"m"%b}' % members)
    assert refusal(b'{"model":"m"%b,"model":"m"}' % members).param == "model"


# --- the edits ------------------------------------------------------------------------------------------------------

names = st.text(max_size=6) | st.sampled_from(["model", "stream", "stream_options", "a", '"model"', "\\"])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=8)
    | st.sampled_from(["model", '"model":"x"']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
models = st.text(alphabet=string.ascii_letters + string.digits + "./:-_@", min_size=1, max_size=20) | st.text(
    max_size=5
)
others = st.dictionaries(names.filter(lambda n: n not in ("model", "stream_options")), values, max_size=4)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body as some client may write it: any order, any white space, letters of names escaped at will."""
    members = [*draw(others).items(), ("model", draw(models))]
    if draw(st.booleans()):
        options = st.none() | st.dictionaries(st.sampled_from(["include_usage", "x", "model"]), values, max_size=3)
        members.append(("stream_options", draw(options)))
    blank = st.sampled_from(["", " ", "\n", "\t\r\n "])
    written = []
    for name, value in draw(st.permutations(members)):
        quoted = json.dumps(name, ensure_ascii=draw(st.booleans()))
        if name in ("model", "stream_options") and draw(st.integers(0, 3)) == 0:
            quoted = spelled(name, draw(st.integers(0, 4))).decode()
        dumped = json.dumps(
            value, ensure_ascii=draw(st.booleans()), separators=draw(st.sampled_from([(",", ":"), (", ", " : ")]))
        )
        if name == "model" and draw(st.integers(0, 3)) == 0:
            dumped = '"' + "".join(f"\\u{ord(c):04X}" if ord(c) < 0x10000 else c for c in value) + '"'
        written.append(f"{draw(blank)}{quoted}{draw(blank)}:{draw(blank)}{dumped}{draw(blank)}")
    return f"{draw(blank)}{{{','.join(written)}}}{draw(blank)}".encode()


def is_routing_safe(body: bytes) -> bool:
    try:
        guarded(body, read)
    except BadRequest:
        return False
    return True


def pieces_around(body: bytes, name: str) -> tuple[bytes, bytes]:
    """What stands before and after the value of a top-level member, by a slow scan of our own."""
    decoder = json.JSONDecoder()
    text = body.decode()
    position = text.index("{") + 1
    while True:
        position += len(text[position:]) - len(text[position:].lstrip(" \t\r\n,"))
        found, position = decoder.raw_decode(text, position)
        position = text.index(":", position) + 1
        position += len(text[position:]) - len(text[position:].lstrip(" \t\r\n"))
        _, end = decoder.raw_decode(text, position)
        if found == name:
            return text[:position].encode(), text[end:].encode()
        position = end


@given(bodies().filter(is_routing_safe), models)
@example(b'{"metadata":{"model":"a"},"model":"x"}', "x")
@example(rb'{"mod\u0065l":"x","tools":[{"model":"y"}]}', "x")
@example(rb'{"a":{"model":"q"},"model":"o\/p","b":{"model":"r"}}', "n")
@example(b'{"a\\"model":"x","model":"m"}', "n")
def test_replacing_the_model_changes_its_value_and_no_other_byte(body: bytes, model: str) -> None:
    replaced = replace_model(body, model)
    assert json.loads(replaced) == json.loads(body) | {"model": model}
    if replaced != body:
        before, after = pieces_around(body, "model")
        assert replaced.startswith(before)
        assert replaced.endswith(after)
        assert json.loads(replaced[len(before) : len(replaced) - len(after)]) == model


@given(bodies().filter(is_routing_safe))
@example(b'{"model":"m","a":{"stream_options":{"include_usage":false}}}')
@example(rb'{"model":"m","stream\u005foptions":null}')
@example(b' \n{ "stream_options" : { "include_usage":false, "x":[1, 2] } , "model":"m"}')
def test_asking_for_usage_changes_the_stream_options_and_no_other_byte(body: bytes) -> None:
    asked = request_stream_usage(body)
    given_options = json.loads(body).get("stream_options") or {}
    assert json.loads(asked) == json.loads(body) | {"stream_options": given_options | {"include_usage": True}}
    if "stream_options" in json.loads(body):
        before, after = pieces_around(body, "stream_options")
        assert asked.startswith(before.rstrip())
        assert asked.endswith(after.lstrip())
    else:
        brace = body.index(b"{") + 1
        assert asked.startswith(body[:brace])
        assert asked.endswith(body[brace:])
    # asked for once, whatever is read first
    assert guarded(asked, read).stream_options == given_options | {"include_usage": True}


@given(bodies().filter(is_routing_safe), models)
def test_both_edits_may_be_made_in_either_order(body: bytes, model: str) -> None:
    both = request_stream_usage(replace_model(body, model))
    assert json.loads(both) == json.loads(replace_model(request_stream_usage(body), model))


def test_the_model_is_replaced_where_it_stands() -> None:
    body = b'{"messages":[{"content":"\\"model\\": \\"x\\"", "model":"y"}],\t"model" :\n"m" , "tools":[{"model":"z"}]}'
    assert replace_model(body, "o/n") == body.replace(b'"m"', b'"o/n"')


def test_usage_is_asked_for_in_front_when_there_were_no_options() -> None:
    assert request_stream_usage(b'{"model":"m"}') == b'{"stream_options":{"include_usage":true},"model":"m"}'


@given(bodies())
def test_the_scan_finds_every_top_level_member(body: bytes) -> None:
    members = top_level_members(body)
    pairs = json.loads(body, object_pairs_hook=list)
    assert [name for name, _, _ in members] == [name for name, _ in pairs]
    assert [json.loads(body[a:b]) for _, a, b in members] == [json.loads(body[a:b].strip()) for _, a, b in members]
    assert {name: json.loads(body[a:b]) for name, a, b in members} == json.loads(body)
