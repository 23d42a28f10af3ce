from gateway.config.found import ConfigError, Found, Problem, describe, merge, nest, quote, suggest

FILE = "sluice.yaml line 1"


def tree(value):
    """Plain values as found ones."""
    if isinstance(value, dict):
        return Found({name: tree(item) for name, item in value.items()}, FILE)
    return Found([tree(item) for item in value] if isinstance(value, list) else value, FILE)


def plain(found):
    if isinstance(found.value, dict):
        return {name: plain(item) for name, item in found.value.items()}
    return [plain(item) for item in found.value] if isinstance(found.value, list) else found.value


def test_the_higher_layer_wins_value_by_value():
    problems = []
    merged = merge(tree({"a": {"x": "1", "y": "2"}, "b": "3"}), tree({"a": {"y": "9"}, "c": "4"}), problems)
    assert plain(merged) == {"a": {"x": "1", "y": "9"}, "b": "3", "c": "4"}
    assert problems == []


def test_lists_are_replaced_whole():
    assert plain(merge(tree({"a": ["1", "2"]}), tree({"a": ["3"]}), [])) == {"a": ["3"]}


def test_nothing_overrides_nothing():
    assert plain(merge(tree({"a": "1"}), tree({"a": None}), [])) == {"a": "1"}
    assert plain(merge(tree({"a": None}), tree({"a": "1"}), [])) == {"a": "1"}


def test_a_section_against_a_value_is_a_problem_on_either_side():
    for low, high in (({"a": {"x": "1"}}, {"a": "2"}), ({"a": "2"}, {"a": {"x": "1"}})):
        problems = []
        merge(tree(low), nest(("a",), Found(tree(high["a"]).value, "environment A")), problems)
        assert [(problem.place, problem.source) for problem in problems] == [("a", "environment A")]


def test_nest_keeps_the_source_at_every_level():
    found = nest(("a", "b"), Found("1", "environment A"))
    assert (found.source, found.value["a"].source, found.value["a"].value["b"].value) == ("environment A",) * 2 + ("1",)


def test_a_long_text_is_not_shown_whole():
    assert quote("eightyeighty") == "'eightyeighty'"
    assert quote("sk-proj-abcdefghijklmnop") == "'sk-p...' (24 characters)"


def test_what_was_filled_in_is_not_shown():
    found = Found("sk-abc", FILE, template="${KEY}")
    assert describe(found, is_private=False) == "'${KEY}'"
    assert "sk-abc" not in describe(Found("sk-abc", FILE), is_private=True)


def test_suggestions_name_the_nearest_word_even_when_none_is_near():
    assert suggest("prt", ["host", "port"]) == "did you mean 'port'?"
    assert suggest("zzz", ["host", "port"]).startswith("the nearest known is '")
    assert "host, port" in suggest("zzz", ["host", "port"])


def test_an_error_tells_all_its_problems():
    error = ConfigError([Problem("a.b", FILE, "bad"), Problem("", "sluice.yaml", "worse"), Problem("c", "", "worst")])
    assert str(error).splitlines() == [
        "3 problems in the configuration",
        "  a.b (sluice.yaml line 1): bad",
        "  sluice.yaml: worse",
        "  c: worst",
    ]
    assert str(ConfigError([Problem("a", "", "bad")])).startswith("1 problem in")
