import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import UnsupportedParameter
from gateway.core.limits import MAX_NAMED_FIELDS
from gateway.core.names import is_header_value
from gateway.core.secret import Secret
from gateway.core.types import Extra, raw_json
from providers.contract import ProviderRequest, Rule, apply_rules, bearer

RULES = {
    rule.field: rule
    for rule in (
        Rule("seed", drop=True),
        Rule("n", harmless=(b"null", b"1"), because="it writes one answer"),
        Rule("logprobs", harmless=(b"null", b"false")),
    )
}


def extra(**fields: object) -> Extra:
    return {name: raw_json(value) for name, value in fields.items()}


def test_nothing_extra_drops_nothing() -> None:
    assert apply_rules(RULES, {}, "X") == []


def test_a_value_that_changes_nothing_is_left_out_without_a_word() -> None:
    assert apply_rules(RULES, extra(n=1, logprobs=False, seed=None), "X") == []


def test_a_null_is_harmless_unless_a_rule_says_otherwise() -> None:
    assert apply_rules(RULES, extra(seed=None, n=None, logprobs=None), "X") == []
    assert apply_rules({"a": Rule("a", drop=True, harmless=())}, extra(a=None), "X") == ["a"]


def test_a_field_whose_loss_is_harmless_is_dropped_and_named() -> None:
    assert apply_rules(RULES, extra(seed=7), "X") == ["seed"]


def test_a_field_nobody_knows_is_dropped_and_named() -> None:
    assert apply_rules(RULES, extra(brand_new=None, seed=1, other=[1]), "X") == ["brand_new", "seed", "other"]


OPTIONS = {
    rule.field: rule
    for rule in (
        Rule("reasoning", drop=True, harmless=(b"null", b"{}")),
        Rule("reasoning.summary", drop=True, harmless=(b"null", b'"auto"')),
        Rule("reasoning.mode", because="it has none"),
        Rule("metadata", drop=True),
    )
}


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"reasoning": {"summary": "auto", "context": "all_turns"}}, ["reasoning.context"]),
        ({"reasoning": {"summary": "detailed", "context": 1}}, ["reasoning.summary", "reasoning.context"]),
        ({"reasoning": {"summary": "auto"}}, []),
        ({"thinking": {"display": "omitted"}, "text": {"x": {"y": 1}}}, ["thinking.display", "text.x"]),
        # nothing of it was read
        ({"thinking": {"type": "novel", "display": "omitted"}}, ["thinking"]),
        ({"thinking": {}, "text": 5, "output_config": "a"}, ["thinking", "text", "output_config"]),
        # what a client keeps there is its own
        ({"metadata": {"topic": "a"}, "other": {"a": 1}}, ["metadata", "other"]),
    ],
)
def test_options_are_named_by_their_path(fields: dict[str, object], names: list[str]) -> None:
    assert apply_rules(OPTIONS, extra(**fields), "X") == names


def test_an_option_may_be_refused() -> None:
    with pytest.raises(UnsupportedParameter, match=r"'reasoning\.mode': it has none"):
        apply_rules(OPTIONS, extra(reasoning={"context": 1, "mode": "x"}), "X")


@pytest.mark.parametrize("value", [2, "1", True, 1.5, [1], {}])
def test_a_field_whose_loss_changes_the_answer_is_refused_by_name(value: object) -> None:
    with pytest.raises(UnsupportedParameter) as refused:
        apply_rules(RULES, extra(seed=7, n=value), "Anthropic")
    assert refused.value.message == "Anthropic does not support 'n': it writes one answer"
    assert (refused.value.param, refused.value.status) == ("n", 400)


def test_a_refusal_without_a_reason_ends_with_the_field() -> None:
    with pytest.raises(UnsupportedParameter, match=r"^X does not support 'logprobs'$"):
        apply_rules(RULES, extra(logprobs=True), "X")


@pytest.mark.parametrize("spelled", [b" 1", b"1 ", b"\t1\n"])
def test_white_space_around_a_value_does_not_matter(spelled: bytes) -> None:
    assert apply_rules(RULES, {"n": type(raw_json(1))(spelled)}, "X") == []


@given(
    st.dictionaries(st.text(max_size=6) | st.sampled_from(list(RULES)), st.integers(0, 2) | st.none() | st.booleans())
)
def test_every_field_is_harmless_named_or_refused(fields: dict[str, object]) -> None:
    raw = {name: raw_json(value) for name, value in fields.items()}
    try:
        dropped = apply_rules(RULES, raw, "X")
    except UnsupportedParameter as refused:
        assert refused.param in RULES  # noqa: PT017 - both ends are right
        return
    silent = set(fields) - set(dropped)
    assert all(bytes(raw[name]) in RULES[name].harmless for name in silent)


# --- names of dropped fields ----------------------------------------------------------------------------------------


def test_plain_names_are_told_as_they_are() -> None:
    names = ("seed", "messages.name", "tools[0].function", "response_format", "logit-bias", "a" * 128)
    assert ProviderRequest(b"{}", dropped=names).dropped == names


@pytest.mark.parametrize(
    "name", ["a\r\nSet-Cookie: x=1", "a\n", "", " ", "a,b", "é", "\x1b[2J", "a" * 129, "a\0", "\ud800", "a b"]
)
def test_a_name_that_could_break_a_header_or_a_line_is_not_repeated(name: str) -> None:
    assert ProviderRequest(b"{}", dropped=("seed", name)).dropped == ("seed", "?")


@given(st.lists(st.text(st.characters(codec=None), max_size=200), max_size=100))
def test_any_names_make_one_header_of_bounded_length(names: list[str]) -> None:
    header = ", ".join(ProviderRequest(b"{}", dropped=tuple(names)).dropped)
    assert is_header_value(header)
    assert len(header) <= (MAX_NAMED_FIELDS + 1) * 130


def test_a_long_list_ends_in_a_number() -> None:
    dropped = ProviderRequest(b"{}", dropped=tuple(f"f{n}" for n in range(MAX_NAMED_FIELDS + 7))).dropped
    assert dropped[:2] == ("f0", "f1")
    assert dropped[MAX_NAMED_FIELDS:] == ("7 more",)


def test_a_bearer_token_is_one_header() -> None:
    assert bearer(Secret("k")) == (("Authorization", "Bearer k"),)
