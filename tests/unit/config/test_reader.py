import pytest

from tests.kit.configurations import problems, read


def server(text, **environ):
    return read(f"server: {{{text}}}", **environ).settings.server


def provider(text, **environ):
    return read(f"providers: {{openai: {{api_key: k, {text}}}}}", **environ).settings.providers["openai"]


def test_nothing_written_gives_the_defaults():
    settings = read().settings
    assert (settings.server.host, settings.server.port, settings.server.workers) == ("127.0.0.1", 8080, 1)
    assert settings.server.max_body == 32 * 1024**2
    assert settings.server.drain_timeout == 30.0
    assert settings.auth.master_key is None
    assert settings.metrics.enabled is True
    assert (settings.log.format, settings.log.level) == ("auto", "info")
    assert read("server:\nauth: {master_key: }\nproviders: {}\nlog: ~").settings == settings


def test_values_are_read_by_their_kind():
    found = server("port: 9000, max_body: 1MiB, drain_timeout: 1m, header_timeout: 250ms, body_timeout: 7, host: '::1'")
    assert (found.port, found.max_body, found.drain_timeout, found.header_timeout, found.body_timeout, found.host) == (
        9000, 1024**2, 60.0, 0.25, 7.0, "::1",
    )  # fmt: skip


def test_a_provider_is_read_whole():
    found = provider(
        "api_keys: [l, m], base_url: 'https://h/v1', models: [a/b, 'c:d'], headers: {X-Team: a b},"
        " timeouts: {headers: 5s}, retry: {attempts: 1, base: 0s, cap: 0s},"
        " max_connections: 5, idle_timeout: 0s, proxy: 'http://u:p@h:3128'"
    )
    assert [key.reveal() for key in found.all_keys] == ["k", "l", "m"]
    assert (found.base_url, found.models) == ("https://h/v1", ("a/b", "c:d"))
    assert {name: value.reveal() for name, value in found.headers.items()} == {"X-Team": "a b"}
    assert (found.timeouts.headers, found.timeouts.connect, found.retry.attempts) == (5.0, 5.0, 1)
    assert (found.max_connections, found.idle_timeout, found.proxy.reveal()) == (5, 0.0, "http://u:p@h:3128")


def test_blanks_around_a_value_do_not_count():
    assert provider("api_keys: [' l ']").all_keys[1].reveal() == "l"


def test_a_list_may_be_one_text_and_empty_items_do_not_count():
    assert provider("models: 'a, b,,a'").models == ("a", "b")
    assert provider("models: [a, '', null, '${NO:-}', b]").models == ("a", "b")
    assert provider("models: ").models == ()


# --- problems -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("port: x", "found 'x'; write a whole number from 0 to 65535, for example 8080"),
        ("port: 65536", "found '65536'; write a whole number from 0 to 65535, for example 8080"),
        ("port: {a: 1}", "found a section; write a whole number from 0 to 65535, for example 8080"),
        ("port: [1]", "found a list; write a whole number from 0 to 65535, for example 8080"),
        ("workers: 0", "found '0'; write a whole number from 1 to 256, for example 1"),
        ("max_body: 32MB!", "found '32MB!'; write a size from 1KiB to 1GiB, for example 32MiB"),
        ("max_body: 10B", "found '10B'; write a size from 1KiB to 1GiB, for example 32MiB"),
        ("drain_timeout: 3x", "found '3x'; write a duration from 0s to 8760h, for example 30s"),
        ("drain_timeout: -1s", "found '-1s'; write a duration from 0s to 8760h, for example 30s"),
        ("header_timeout: 0s", "found '0s'; write a duration from 1ms to 8760h, for example 10s"),
        ("header_timeout: 9999h", "found '9999h'; write a duration from 1ms to 8760h, for example 10s"),
        ("host: 'a b'", "found 'a b'; write an IP address or a host name, for example 127.0.0.1"),
        ('host: "a\\nb"', "found 'a\\nb'; write an IP address or a host name, for example 127.0.0.1"),
    ],
)
def test_a_wrong_value_names_its_place_what_was_found_and_what_to_write(text, message):
    name = text.partition(":")[0]
    assert problems(f"server:\n  {text}") == [f"server.{name} (sluice.yaml line 2): {message}"]


@pytest.mark.parametrize(
    ("text", "place"),
    [("server: 5", "server"), ("server: [a]", "server"), ("providers: x", "providers"),
     ("providers: {openai: x}", "providers.openai"),
     ("providers: {openai: {api_key: k, timeouts: 5s}}", "providers.openai.timeouts"),
     ("providers: {openai: {api_key: k, headers: [a]}}", "providers.openai.headers")],
)  # fmt: skip
def test_a_value_in_the_place_of_a_section(text, place):
    found = problems(text)
    assert len(found) == 1
    assert found[0].startswith(f"{place} (sluice.yaml line 1): found a")
    assert "write a section" in found[0]


@pytest.mark.parametrize(
    ("text", "place", "nearest"),
    [("sever: {}", "sever", "server"), ("server: {prt: 1}", "server.prt", "port"),
     ("log: {levle: info}", "log.levle", "level"),
     ("providers: {openai: {api_key: k, apikey: x}}", "providers.openai.apikey", "api_key"),
     ("providers: {openai: {api_key: k, timeouts: {totl: 1s}}}", "providers.openai.timeouts.totl", "total"),
     ("providers: {openai: {api_key: k, retry: {atempts: 1}}}", "providers.openai.retry.atempts", "attempts")],
)  # fmt: skip
def test_an_unknown_key_names_the_nearest_known_one(text, place, nearest):
    assert problems(text) == [f"{place} (sluice.yaml line 1): unknown key; did you mean {nearest!r}?"]


@pytest.mark.parametrize(
    "text",
    ["cache: {}", "virtual_models: {}", "budgets: []", "rate_limits: []", "guardrails: []", "audit: {}",
     "tracing: {}", "providers: {openai: {api_key: k, breaker: {enabled: true}}}"],
)  # fmt: skip
def test_what_is_not_there_yet_is_an_unknown_key_like_any_other(text):
    found = problems(text)
    assert len(found) == 1
    assert "unknown key; the nearest known is" in found[0] or "unknown key; did you mean" in found[0]


@pytest.mark.parametrize("name", ["Openai", "open ai", "a/b", "-a", "a.b", "_a", "a" * 129, "é"])
def test_names_of_instances_are_judged(name):
    found = problems(f"providers: {{'{name}': {{type: openai, api_key: k}}}}")
    assert len(found) == 1
    assert "name" in found[0]


@pytest.mark.parametrize("name", ["X_Team", "X Team", "X.Team", "X:", ""])
def test_names_of_headers_are_judged(name):
    found = problems(f"providers: {{openai: {{api_key: k, headers: {{'{name}': x}}}}}}")
    assert len(found) == 1
    assert "not a header name" in found[0]


@pytest.mark.parametrize("item", ["a b", "/a", "..", "x" * 300, "é"])
def test_model_ids_are_judged(item):
    found = problems(f"providers: {{openai: {{api_key: k, models: [ok, '{item}']}}}}")
    assert len(found) == 1
    assert found[0].startswith("providers.openai.models[1] (sluice.yaml line 1): found ")


def test_every_problem_is_told_at_once():
    text = "server: {port: x, prt: 1, max_body: y}\nlog: {level: loud}\nproviders: {opnai: {api_key: k}, anthropic: }"
    assert [problem.partition(" ")[0] for problem in problems(text, SLUICE_SERVER__WORKERS="many")] == [
        "server.prt", "server.port", "server.max_body", "server.workers", "log.level", "providers.opnai.type",
        "providers.anthropic.api_key",
    ]  # fmt: skip
