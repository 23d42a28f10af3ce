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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANTHROPIC_MODELS", "a,b"),
        ("OPENAI_BASE_URL", "https://api.example.com"),
        ("OPENAI_BASE_URL", "https://API.example.com:8443/other"),
        ("OPENAI_BASE_URL", "no address"),
    ],
)
def test_without_a_key_what_leads_to_the_vendor_is_not_used_and_told(name, value):
    effective = read(**{name: value})
    assert list(effective.settings.providers) == ["simulator"]
    prefix = name.partition("_")[0]
    assert effective.notes == (f"{name} is not used: there is no {prefix}_API_KEY, so no instance {prefix.lower()!r}",)


def test_a_server_elsewhere_may_need_no_key():
    found = read(OPENAI_BASE_URL="http://127.0.0.1:8000/v1", OPENAI_MODELS="llama")
    assert {name: (p.base_url, p.models, p.all_keys) for name, p in found.settings.providers.items()} == {
        "openai": ("http://127.0.0.1:8000/v1", ("llama",), ())
    }
    assert found.notes == ()
    assert list(providers(OPENAI_COMPATIBLE_BASE_URL="http://127.0.0.1:8000")) == ["openai-compatible"]


@pytest.mark.parametrize("url", ["http://localhost:9000", "http://127.0.0.1:9000/v1"])
def test_the_address_that_clients_have_of_us_is_no_provider(url):
    effective = read("", {"server.port": "9000"}, ANTHROPIC_BASE_URL=url)
    assert list(effective.settings.providers) == ["simulator"]
    assert effective.notes == ("ANTHROPIC_BASE_URL is not used: this is where Sluice itself listens",)
    assert list(read("", {"server.port": "9001"}, ANTHROPIC_BASE_URL=url).settings.providers) == ["anthropic"]


def test_an_address_of_us_hides_no_mistake_of_the_file():
    plain = problems("providers: x")
    assert len(plain) == 1
    assert plain[0] in problems("providers: x", ANTHROPIC_BASE_URL="http://localhost:8080")


@pytest.mark.parametrize("prefix", ["OPENAI", "OPENAI_EAST"])
def test_a_key_may_be_written_by_its_path(prefix):
    found = read(**{f"SLUICE_PROVIDERS__{prefix}__API_KEY": "k", f"{prefix}_MODELS": "a"})
    assert [(keys(p), p.models) for p in found.settings.providers.values()] == [(["k"], ("a",))]
    assert found.notes == ()


def test_instances_stand_in_alphabetical_order():
    environ = {f"{name}_API_KEY": "k" for name in ("OPENAI_ACME", "OPENAI", "OPENAI_2", "ANTHROPIC")}
    assert list(providers(**environ)) == ["anthropic", "openai", "openai-2", "openai-acme"]


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
    assert (keys(provider), provider.models, provider.base_url) == (["env"], ("b",), "http://f/v1")


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


KEYS_OF_THE_FILE = (
    'providers: {anthropic: {api_keys: ["${ANTHROPIC_API_KEY}", "${SECOND_ANTHROPIC_KEY:-}"]}}',
    'providers: {anthropic: {api_key: "${ANTHROPIC_API_KEY}", api_keys: "${SECOND_ANTHROPIC_KEY:-}"}}',
)


@pytest.mark.parametrize("text", KEYS_OF_THE_FILE)
def test_keys_that_the_file_fills_in_itself_stay_as_it_says(text):
    assert keys(providers(text, ANTHROPIC_API_KEY="a", SECOND_ANTHROPIC_KEY="b")["anthropic"]) == ["a", "b"]
    assert keys(providers(text, ANTHROPIC_API_KEY="a")["anthropic"]) == ["a"]


@pytest.mark.parametrize("text", KEYS_OF_THE_FILE)
def test_a_key_beside_those_that_the_file_fills_in_is_told(text):
    effective = read(text, ANTHROPIC_API_KEY="a", SECOND_ANTHROPIC_KEY="b", ANTHROPIC_API_KEY_2="c")
    assert keys(effective.settings.providers["anthropic"]) == ["a", "b"]
    assert effective.notes == ("ANTHROPIC_API_KEY_2 is not used: the file fills in the keys of 'anthropic' itself",)


def test_models_that_the_file_fills_in_itself_stay_as_it_says():
    text = "providers: {openai: {models: ['${OPENAI_MODELS}', b]}}"
    assert providers(text, OPENAI_API_KEY="k", OPENAI_MODELS="a")["openai"].models == ("a", "b")


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


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("SLUICE_PORT", "SLUICE_SERVER__PORT"),
        ("SLUICE_SERVER_PORT", "SLUICE_SERVER__PORT"),
        ("SLUICE_HOST", "SLUICE_SERVER__HOST"),
        ("SLUICE_WORKERS", "SLUICE_SERVER__WORKERS"),
        ("SLUICE_MASTERKEY", "SLUICE_MASTER_KEY"),
        ("SLUICE_CONFIG_FILE", "SLUICE_CONFIG"),
        ("SLUICE_PROVIDERS_OPENAI_API_KEY", "SLUICE_PROVIDERS__<NAME>__API_KEY"),
    ],
)
def test_a_misspelt_variable_of_ours_is_a_problem(name, nearest):
    assert problems(**{name: "8000"}) == [f"environment {name}: unknown variable; the nearest known is {nearest}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLUICE_SERVICE_HOST", "10.0.0.1"),
        ("SLUICE_SERVICE_PORT", "8080"),
        ("SLUICE_SERVICE_PORT_HTTP", "8080"),
        ("SLUICE_PORT", "tcp://10.0.0.1:8080"),
        ("SLUICE_PORT", "udp://10.0.0.1:53"),
        ("SLUICE_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("SLUICE_PORT_8080_TCP_PROTO", "tcp"),
        ("SLUICE_PORT_8080_TCP_PORT", "8080"),
        ("SLUICE_PORT_53_UDP_ADDR", "10.0.0.1"),
        ("SLUICE_GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("SLUICE_GATEWAY_PORT", "tcp://10.0.0.1:8080"),
        ("SLUICE_CONFIG", "sluice.yaml"),
    ],
)
def test_what_kubernetes_says_of_a_service_called_sluice_changes_nothing(name, value):
    assert read(**{name: value}) == read()


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


def test_a_name_becomes_a_prefix_of_variables():
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
