import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.simulation import tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Hello, world!", ["Hello", ",", " world", "!"]),
        ("internationalization", ["internat", "ionaliza", "tion"]),
        ("a  b\n\nc", ["a", "  ", "b", "\n\n", "c"]),
        ("x = 42;", ["x", " =", " 42", ";"]),
        ("Grüße 👋", ["Grüße", " 👋"]),
    ],
)
def test_a_token_is_a_piece_of_a_word_or_one_mark(text: str, expected: list[str]) -> None:
    assert tokens.cut(text) == expected


@given(st.text())
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(tokens.cut(text)) == text


@given(st.text(), st.integers(0, 20))
def test_the_first_tokens_of_a_text_are_the_tokens_of_its_beginning(text: str, number: int) -> None:
    first = tokens.cut(text)[:number]
    assert tokens.cut("".join(first)) == first


@given(st.lists(st.text(max_size=50)))
def test_short_texts_are_counted_exactly(texts: list[str]) -> None:
    assert tokens.count(texts) == sum(len(tokens.cut(text)) for text in texts)


def test_beyond_the_exact_part_four_characters_count_as_a_token() -> None:
    exact = "a " * (tokens.EXACT_CHARS // 2)
    base = tokens.count([exact])
    assert tokens.count([exact + "b" * 400]) == base + 100
    assert tokens.count([exact, "b" * 401]) == base + 101
