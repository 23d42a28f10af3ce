import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.environment import prefix_of, type_of
from gateway.config.found import ConfigError
from tests.kit.configurations import outcome, problems, read

KEY = "sk-0123456789abcdefwxyz"


def providers(text="", **environ):
    return read(text, **environ).settings.providers


def keys(provider):
    return [key.reveal() for key in provider.all_keys]


# --- short names ----------------------------------------------------------------------------------------------------


def test_port_and_master_key_have_short_names():
    settings = read(PORT="9000", SLUICE_MASTER_KEY=KEY).settings
    assert settings.server.port == 9000
    assert settings.auth.master_key.reveal() == KEY


def test_the_master_key_of_gomodel_is_accepted_and_ours_wins():
    assert read(GOMODEL_MASTER_KEY=KEY).settings.auth.master_key.reveal() == KEY
    assert read(GOMODEL_MASTER_KEY="other", SLUICE_MASTER_KEY=KEY).settings.auth.master_key.reveal() == KEY


def test_host_is_a_variable_of_shells_and_not_ours():
    assert read(HOST="x86_64-conda-linux-gnu").settings.server.host == "127.0.0.1"


# --- instances ------------------------------------------------------------------------------------------------------


def test_a_key_turns_a_provider_on():
    found = providers(OPENAI_API_KEY=KEY)
    assert list(found) == ["openai"]
    assert found["openai"].type == "openai"
    assert keys(found["openai"]) == [KEY]


def test_address_and_models_belong_to_the_instance():
    found = providers(OPENAI_API_KEY=KEY, OPENAI_BASE_URL="http://h:1/v1", OPENAI_MODELS="a, b,,a")["openai"]
    assert found.base_url == "http://h:1/v1"
    assert found.models == ("a", "b")


def test_a_word_between_makes_another_instance():
    found = providers(OPENAI_API_KEY=KEY, OPENAI_EAST_API_KEY="e", OPENAI_EU_WEST_2_API_KEY="w", OPENAI_2_API_KEY="2")
    assert {name: (p.type, keys(p)) for name, p in found.items()} == {
        "openai": ("openai", [KEY]),
        "openai-2": ("openai", ["2"]),
        "openai-east": ("openai", ["e"]),
        "openai-eu-west-2": ("openai", ["w"]),
    }


def test_further_keys_are_numbered():
    found = providers(OPENAI_API_KEY="a", OPENAI_API_KEY_10="d", OPENAI_API_KEY_2="b", OPENAI_EAST_API_KEY_3="c")
    assert {name: keys(p) for name, p in found.items()} == {"openai": ["a", "b", "d"], "openai-east": ["c"]}


def test_the_longest_type_name_wins():
    found = providers(OPENAI_COMPATIBLE_API_KEY="a", OPENAI_COMPATIBLE_BASE_URL="http://h",
                      OPENAI_COMPATIBLE_X_API_KEY="b",
                      OPENAI_COMPATIBLE_X_BASE_URL="http://h")  # fmt: skip
    assert {name: p.type for name, p in found.items()} == {
        "openai-compatible": "openai_compatible",
        "openai-compatible-x": "openai_compatible",
    }


def test_a_provider_without_a_key_is_turned_on_by_its_address():
    assert list(providers(OLLAMA_BASE_URL="http://h:1", OLLAMA_LAB_BASE_URL="http://l:1")) == ["ollama", "ollama-lab"]


@pytest.mark.parametrize(
    "name",
    ["OPENAI_ORG_ID", "OPENAI_API_BASE", "OPENAI_ADMIN_KEY", "OPENAI_API_KEY_FILE", "ANTHROPIC_AUTH_TOKEN",
     "OPENAI_API_KEYS", "AZURE_OPENAI_API_KEY", "OPENAI_API_KEY_", "openai_api_key", "OPENAI__API_KEY",
     "MY_OPENAI_BASE_URL", "OPENAI_BASE_URL_2", "ANTHROPIC_MODEL",
     "SLUICE_SERVICE_HOST", "SLUICE_PORT", "SLUICE_PORT_8080_TCP"],
)  # fmt: skip
def test_variables_of_other_programs_change_nothing(name):
    effective = read(**{name: "tcp://10.0.0.1:80"})
    assert effective == read()
    assert effective.notes == ()


@pytest.mark.parametrize("name", ["ANTHROPIC_BEDROCK_BASE_URL", "ANTHROPIC_VERTEX_BASE_URL", "OPENAI_EAST_MODELS"])
def test_a_suffixed_instance_needs_its_key_and_what_is_not_used_is_told(name):
    effective = read(**{name: "https://example.com"})
    assert list(effective.settings.providers) == ["simulator"]
    assert len(effective.notes) == 1
    assert effective.notes[0].startswith(
        f"{name} is not used: there is no {name.rpartition('_')[0].removesuffix('_BASE')}_API_KEY"
    )


def test_an_address_alone_asks_for_the_key():
    assert problems(OPENAI_BASE_URL="http://h/v1") == [
        "providers.openai.api_key: Openai needs a key; set OPENAI_API_KEY or write api_key"
    ]


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "OPENAI_MODELS", "PORT", "SLUICE_MASTER_KEY", "SLUICE_LOG__LEVEL"])
@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_variable_is_an_unset_one(name, value):
    assert read(**{name: value}) == read()


# --- beside a file --------------------------------------------------------------------------------------------------


def test_the_environment_wins_over_the_file():
    text = "server: {port: 1, workers: 2}\nproviders: {openai: {api_key: file, models: [a], base_url: 'http://f'}}"
    settings = read(text, PORT="9000", OPENAI_API_KEY="env", OPENAI_MODELS="b").settings
    assert (settings.server.port, settings.server.workers) == (9000, 2)
    provider = settings.providers["openai"]
    assert (keys(provider), provider.models, provider.base_url) == (["env"], ("b",), "http://f")


def test_keys_of_the_environment_replace_all_keys_of_the_file():
    text = "providers: {openai: {api_key: a, api_keys: [b, c]}}"
    assert keys(providers(text, OPENAI_API_KEY="e")["openai"]) == ["e"]
    assert keys(providers(text, OPENAI_API_KEY_2="e")["openai"]) == ["e"]
    assert keys(providers(text)["openai"]) == ["a", "b", "c"]


def test_the_order_of_the_file_comes_first():
    text = "providers: {openai-west: {api_key: w}, anthropic: {api_key: a}}"
    assert list(providers(text, OPENAI_API_KEY="o", ANTHROPIC_API_KEY="x")) == ["openai-west", "anthropic", "openai"]


def test_an_instance_of_the_file_is_found_by_its_prefix():
    assert keys(providers("providers: {openai_east: {api_key: f}}", OPENAI_EAST_API_KEY="e")["openai_east"]) == ["e"]


def test_a_variable_that_the_file_fills_in_turns_nothing_else_on():
    text = "providers: {main: {type: openai, api_key: '${OPENAI_API_KEY}'}}"
    assert {name: keys(p) for name, p in providers(text, OPENAI_API_KEY=KEY).items()} == {"main": [KEY]}


def test_a_variable_that_the_file_fills_in_elsewhere_still_serves_its_own_instance():
    text = "providers: {main: {type: openai, api_key: '${OPENAI_API_KEY}'}, openai: }"
    assert keys(providers(text, OPENAI_API_KEY=KEY)["openai"]) == [KEY]


def test_a_key_does_not_go_to_an_instance_of_another_type():
    text = "providers: {openai-east: {type: anthropic, api_key: a}}"
    found = problems(text, OPENAI_EAST_API_KEY="sk-hush")
    assert found == [
        "providers.openai-east (environment OPENAI_EAST_API_KEY): the variable is for the type 'openai', the instance"
        " is of type 'anthropic'; rename one"
    ]


# --- any setting by its path ----------------------------------------------------------------------------------------


def test_any_setting_has_a_name_made_of_its_path():
    environ = {
        "SLUICE_SERVER__MAX_BODY": "64MiB",
        "SLUICE_METRICS__ENABLED": "no",
        "OPENAI_EAST_API_KEY": KEY,
        "SLUICE_PROVIDERS__OPENAI_EAST__TIMEOUTS__CONNECT": "250ms",
        "SLUICE_PROVIDERS__OLLAMA__MODELS": "a,b",
    }
    settings = read(**environ).settings
    assert settings.server.max_body == 64 * 1024**2
    assert settings.metrics.enabled is False
    assert settings.providers["openai-east"].timeouts.connect == 0.25
    assert settings.providers["ollama"].models == ("a", "b")


def test_the_long_name_wins_over_the_short_one():
    assert read(PORT="1", SLUICE_SERVER__PORT="2").settings.server.port == 2


def test_an_instance_of_the_file_keeps_its_name():
    text = "providers: {openai_east: {api_key: k}}"
    found = providers(text, SLUICE_PROVIDERS__OPENAI_EAST__RETRY__ATTEMPTS="1")
    assert list(found) == ["openai_east"]
    assert found["openai_east"].retry.attempts == 1


def test_an_unknown_path_is_a_problem_like_any_other():
    assert problems(SLUICE_SERVER__WRKERS="3") == [
        "server.wrkers (environment SLUICE_SERVER__WRKERS): unknown key; did you mean 'workers'?"
    ]
    assert len(problems(SLUICE_CACHE__EXACT__ENABLED="true")) == 1
    assert len(problems(SLUICE_SERVER__PORT__X="1")) == 1
    assert len(problems(PORT="1", SLUICE_SERVER__PORT__X="1")) == 1
    assert len(problems(SLUICE___="1")) == 1


# --- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("openai", "openai"),
        ("openai-east", "openai"),
        ("openai_compatible-1", "openai_compatible"),
        ("openaix", None),
        ("x", None),
    ],
)
def test_a_name_tells_its_type(name, found):
    assert type_of(name, ["openai", "openai_compatible"]) == found


def test_prefixes():
    assert prefix_of("openai-east_2") == "OPENAI_EAST_2"


NAMES = st.builds(
    lambda prefix, word, end: prefix + word + end,
    st.sampled_from(
        ["OPENAI", "OPENAI_COMPATIBLE", "OLLAMA", "SIMULATOR", "SLUICE_", "SLUICE_SERVER__", "SLUICE_PROVIDERS__A__"]
    ),
    st.text(alphabet="_A1" + string.ascii_lowercase[:2], max_size=6),
    st.sampled_from(["", "_API_KEY", "_API_KEY_2", "_BASE_URL", "_MODELS", "PORT", "TIMEOUTS__TOTAL"]),
)


@given(st.dictionaries(NAMES, st.text(max_size=12), max_size=6))
def test_any_environment_gives_settings_or_problems(environ):
    found = outcome(**environ)
    assert found.problems if isinstance(found, ConfigError) else found.settings.providers
