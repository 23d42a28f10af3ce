import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.document import Document, variables_in
from gateway.config.found import Found
from gateway.core.limits import MAX_CONFIG_VALUES


def read(text, **environ):
    document = Document("s.yaml", environ)
    return document.read(text), [str(problem) for problem in document.problems]


def plain(found):
    if isinstance(found.value, dict):
        return {name: plain(item) for name, item in found.value.items()}
    return [plain(item) for item in found.value] if isinstance(found.value, list) else found.value


def values(text, **environ):
    found, problems = read(text, **environ)
    assert problems == []
    return plain(found)


def test_scalars_stay_the_text_they_are():
    assert values("{a: no, b: 0123, c: 1:30, d: 2024-01-01, e: 1.10, f: 1e3}") == {
        "a": "no",
        "b": "0123",
        "c": "1:30",
        "d": "2024-01-01",
        "e": "1.10",
        "f": "1e3",
    }


def test_what_is_not_written_is_nothing():
    assert values("{a: null, b: ~, c: , d: 'null'}") == {"a": None, "b": None, "c": None, "d": "null"}


@pytest.mark.parametrize("text", ["", "  \n", "# only a comment\n", "---\n", "null"])
def test_an_empty_file_says_nothing(text):
    assert values(text) == {}


def test_json_is_yaml():
    assert values('{"a": {"b": [1, true, "x"]}}') == {"a": {"b": ["1", "true", "x"]}}


def test_every_value_knows_its_line():
    found, _ = read("a:\n  b: 1\n  c:\n    - 2\n")
    assert found.value["a"].source == "s.yaml line 1"
    assert found.value["a"].value["c"].source == "s.yaml line 3"
    assert found.value["a"].value["c"].value[0].source == "s.yaml line 4"


def test_aliases_and_merged_sections_are_followed():
    text = "a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\nd: {<<: [{x: 7}, *a]}"
    assert values(text) == {
        "a": {"x": "1", "y": "2"},
        "b": {"x": "1", "y": "2"},
        "c": {"y": "3", "x": "1"},
        "d": {"x": "7", "y": "2"},
    }


# --- what is refused ------------------------------------------------------------------------------------------------


def test_a_key_that_is_written_twice_names_both_lines():
    _, problems = read("a:\n  b: 1\n  c: 2\n  b: 3\n")
    assert problems == ["a.b (s.yaml line 4): written twice; the first is in s.yaml line 2"]


@pytest.mark.parametrize(
    "text", ["a: !secret x", "a: !!python/object/apply:os.system [ls]", "a: !!binary aGk=", "!x {}"]
)
def test_tags_have_no_meaning(text):
    found, problems = read(text)
    assert len(problems) == 1
    assert "tag" in problems[0]
    assert plain(found) in ({"a": None}, {})


@pytest.mark.parametrize("text", ["[a]", "just words", "- a: 1"])
def test_a_file_is_a_table_of_sections(text):
    found, problems = read(text)
    assert plain(found) == {}
    assert len(problems) == 1
    assert "write sections" in problems[0]


@pytest.mark.parametrize(
    "text", ["a: [", "a: b: c", "{", "a: 'x", "\ta: 1", "a: *nowhere", "a: \x00", "a: 1\n---\nb: 2"]
)
def test_what_is_not_yaml_is_one_problem(text):
    found, problems = read(text)
    assert plain(found) == {}
    assert len(problems) == 1
    assert "not YAML" in problems[0]


@pytest.mark.parametrize("text", ["a: *hush-key", "key: [*hush-key]", "a: !hush!key x", "a: 'hush-key", "a: %hush-key"])
def test_a_syntax_error_repeats_nothing_of_the_file(text):
    _, problems = read(text)
    assert len(problems) == 1
    assert "hush" not in problems[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1\n b", "line 2: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: {1\n b: c: d", "line 2: not YAML: expected ',' or '}', but got ':'"),
        ("\ta: 1", "line 1: not YAML: found character '\\t' that cannot start any token"),
        ("a: *'hush", """line 1: not YAML: expected alphabetic or numeric character, but found "'\""""),
        ("a: *hush", "line 1: not YAML: found undefined alias ..."),
    ],
)
def test_a_syntax_error_keeps_the_words_that_explain_it(text, problem):
    assert read(text)[1] == [f"s.yaml {problem}"]


@pytest.mark.parametrize("text", ["? [a]\n: 1", "? {a: 1}\n: 1", '"a\\nb": 1', "a" * 129 + ": 1", '"\\ud800": 1'])
def test_names_are_short_plain_text(text):
    _, problems = read(text)
    assert len(problems) == 1
    assert "a name is plain text" in problems[0]


def test_merging_what_is_no_section_is_a_problem():
    _, problems = read("a: {<<: [x]}")
    assert len(problems) == 1
    assert '"<<" takes a section' in problems[0]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a, *a]",
        "a: &a {<<: *a, b: *a}",
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)),
        "a: " + "[" * 500 + "]" * 500,
        "a: " + "[" * 3_000,
        f"a: &a [{'x,' * 200}]\nb: [{'*a,' * (MAX_CONFIG_VALUES // 200)}]",
    ],
)
def test_size_and_depth_are_bounded_with_aliases_filled_in(text):
    _, problems = read(text)
    assert len(problems) == 1
    assert "too large" in problems[0] or "deeper" in problems[0]


# --- ${VAR} ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "1"),
        ("x${A}y${A}", "x1y1"),
        ("${A:-d}", "1"),
        ("${EMPTY:-d}", "d"),
        ("${NO:-d}", "d"),
        ("${NO:-}", ""),
        ("${NO:-a:-b}", "a:-b"),
        ("$${A}", "${A}"),
        ("$A $ {A} }", "$A $ {A} }"),
    ],
)
def test_variables_are_filled_in(text, value):
    assert values(f"a: '{text}'", A="1", EMPTY="") == {"a": value}


def test_what_is_filled_in_is_not_looked_at_again():
    assert values("{a: '${A}'}", A="${B}, [x]: y") == {"a": "${B}, [x]: y"}


@pytest.mark.parametrize("text", ["${NO}", "${EMPTY}"])
def test_a_variable_that_is_not_set_is_named(text):
    _, problems = read(f"a: {{b: ['{text}']}}", EMPTY="")
    assert len(problems) == 1
    assert problems[0].startswith("a.b[0] (s.yaml line 1): ")
    assert text[2:-1] in problems[0]


@pytest.mark.parametrize(
    "text",
    [
        "auth: {master_key: '${NO}'}",
        "providers: {east: {api_key: 'x${NO}'}}",
        "providers: {east: {api_keys: ['${NO}']}}",
        "providers: {east: {headers: {X-A: '${NO}'}}}",
    ],
)
def test_nobody_is_told_to_write_a_secret_into_the_file(text):
    _, problems = read(text)
    assert len(problems) == 1
    assert problems[0].endswith(": NO is not set; set it in the environment")


@pytest.mark.parametrize("text", ["providers: {east: {ca_file: '${NO}'}}", "server: {port: '${NO}'}", "a: '${NO}'"])
def test_for_everything_else_a_default_is_a_remedy(text):
    _, problems = read(text)
    assert len(problems) == 1
    assert problems[0].endswith(": NO is not set; set it in the environment or write ${NO:-default}")


@pytest.mark.parametrize("text", ["${", "${A", "${}", "${1A}", "${A-b}", "${A:-${B}}", "${A B}"])
def test_a_broken_reference_is_a_problem(text):
    _, problems = read(f"a: '{text}'", A="1", B="2")
    assert len(problems) == 1
    assert "write ${NAME}" in problems[0]


def test_the_template_is_kept_beside_what_was_filled_in():
    found, _ = read("a: 'x-${A}'\nb: x", A="1")
    assert found.value["a"] == Found("x-1", "s.yaml line 1", template="x-${A}")
    assert found.value["b"].template is None


def test_references_are_remembered_whether_set_or_not():
    document = Document("s.yaml", {"A": "1"})
    document.read("{a: '${A}', b: '${B:-x}', c: '$${C}'}")
    assert document.references == {"A", "B"}


def test_a_value_tells_the_variables_that_filled_it_in():
    found, _ = read("a: {b: ['x${A}${B:-d}', y], c: '$${C}'}\nd: '${D}'", A="1", C="3", D="4")
    assert variables_in(found.value["a"]) == {"A", "B"}
    assert variables_in(found.value["d"]) == {"D"}
    assert variables_in(found.value["a"].value["c"]) == set()


# --- any bytes ------------------------------------------------------------------------------------------------------

YAML_LIKE = st.text(alphabet="ab:-?[]{},&*!|>'\"%@`#<~$ \n\t\\0x\x00\ud800é", max_size=60)


@given(st.one_of(YAML_LIKE, st.text(max_size=60)))
def test_any_text_gives_sections_or_problems(text):
    found, problems = read(text)
    assert isinstance(found.value, dict)
    assert found.value == {} or not any(problem.startswith("s.yaml") and "not YAML" in problem for problem in problems)
