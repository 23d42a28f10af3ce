import json
import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.found import ConfigError
from gateway.config.load import explain, load
from gateway.config.schema import Shape, fields_of
from gateway.config.settings import ProviderSettings, Settings
from gateway.core.limits import MAX_CONFIG_FILE_BYTES
from providers import FALLBACK, provider_types
from tests.kit.configurations import Catalog, outcome, problems, read


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "sluice.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def first_problem(path, **environ):
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    return str(caught.value.problems[0])


# --- layers ---------------------------------------------------------------------------------------------------------


def test_with_nothing_configured_the_simulator_answers():
    assert {name: p.type for name, p in load(None, {}).providers.items()} == {FALLBACK: FALLBACK}
    assert FALLBACK in provider_types()
    assert list(read("providers: {openai: {api_key: k}}").settings.providers) == ["openai"]
    assert list(read("providers:\n  simulator:").settings.providers) == ["simulator"]


def test_a_file_is_named_by_argument_or_variable_and_the_argument_wins(file, tmp_path):
    path = file("server: {port: 1}")
    other = tmp_path / "other.yaml"
    other.write_text("server: {port: 2}")
    assert load(path, {}).server.port == 1
    assert load(None, {"SLUICE_CONFIG": path}).server.port == 1
    assert load(path, {"SLUICE_CONFIG": str(other)}).server.port == 1
    assert load(None, {"SLUICE_CONFIG": " "}).server.port == 8080


def test_the_command_line_wins_over_everything():
    effective = read("server: {port: 1}", {"server.port": "3"}, PORT="2", SLUICE_SERVER__PORT="2")
    assert effective.settings.server.port == 3
    assert effective.sources["server.port"] == "command line"


def test_every_setting_tells_where_it_was_written():
    effective = read("log: {level: debug}\nproviders:\n  openai: {api_key: k}", PORT="1")
    assert effective.sources["server.port"] == "environment PORT"
    assert effective.sources["log.level"] == "sluice.yaml line 1"
    assert effective.sources["providers.openai.api_key"] == "sluice.yaml line 3"
    assert effective.sources["providers.openai.type"] == "default"
    assert "server.host" not in effective.sources


def test_two_instances_of_one_type():
    text = "providers: {a: {type: openai, api_key: k, base_url: 'http://a'}, b: {type: openai, api_key: l}}"
    found = read(text).settings.providers
    assert [(name, p.type, p.base_url) for name, p in found.items()] == [
        ("a", "openai", "http://a/v1"),
        ("b", "openai", None),
    ]


@pytest.mark.parametrize(
    ("given", "complete"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/v1"),
        ("https://h/anthropic", "https://h/anthropic"),
        ("https://h/v1", "https://h/v1"),
    ],
)
def test_an_address_without_a_path_gets_the_one_of_the_vendor(given, complete):
    found = read(ANTHROPIC_API_KEY="k", ANTHROPIC_BASE_URL=given)
    assert found.settings.providers["anthropic"].base_url == complete
    assert found.sources["providers.anthropic.base_url"] == "environment ANTHROPIC_BASE_URL"


def test_where_the_vendor_has_no_address_or_no_path_none_is_added():
    environ = {"OPENAI_COMPATIBLE_BASE_URL": "http://localhost:1", "OLLAMA_BASE_URL": "http://localhost:2"}
    found = read(**environ).settings.providers
    assert [p.base_url for p in found.values()] == ["http://localhost:2", "http://localhost:1"]


# --- the disk -------------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there(tmp_path):
    path = str(tmp_path / "none.yaml")
    assert first_problem(path) == f"{path}: cannot be read: No such file or directory"


def test_a_folder_is_no_file(tmp_path):
    assert "cannot be read" in first_problem(str(tmp_path))


def test_a_file_that_is_not_utf8(file):
    assert first_problem(file(b"a: \xff")).endswith(": not UTF-8 (byte 3)")


def test_a_byte_order_mark_does_not_matter(file):
    assert load(file(b"\xef\xbb\xbfserver: {port: 1}"), {}).server.port == 1


def test_a_file_has_a_largest_size(file):
    assert "larger than 1024 KiB" in first_problem(file(b"#" * (MAX_CONFIG_FILE_BYTES + 1)))
    assert load(file(b"#" * MAX_CONFIG_FILE_BYTES), {}) == load(None, {})


def test_a_ca_file_must_hold_certificates(file, tmp_path):
    certificates = tmp_path / "ca.pem"
    text = f"providers: {{openai: {{api_key: k, ca_file: '{certificates}'}}}}"
    assert "holds PEM certificates" in first_problem(file(text))
    certificates.write_text("no certificate")
    assert first_problem(file(text)).startswith("providers.openai.ca_file (")
    certificates.write_text("-----BEGIN CERTIFICATE-----\n")
    assert load(file(text), {}).providers["openai"].ca_file == str(certificates)


def test_without_a_file_neither_yaml_nor_difflib_is_imported():
    code = (
        "import sys; from gateway.config.load import load; load(None, {'PORT': '1'});"
        "print([m for m in ('yaml', 'difflib', 'asyncio', 'aiohttp') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# --- any value in any place -----------------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.dates(),
    st.sampled_from(["30s", "32MiB", "true", "k", "", "${A}", "${NO}", "${NO:-1}", "https://h/v1", "::1", "openai"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=6) | st.sampled_from(["type", "api_key"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def every_place(struct=Settings, path=()):
    for name, field in fields_of(struct).items():
        yield (*path, name)
        if field.struct is not None:
            inner = (*path, name, "openai") if field.shape is Shape.SECTIONS else (*path, name)
            yield from {inner}
            yield from every_place(field.struct, inner)


PLACES = sorted(set(every_place()))


def document(path, value):
    for name in reversed(path):
        value = {name: value}
    return json.dumps(value, default=str)


@given(st.sampled_from(PLACES), VALUES)
def test_any_value_in_the_place_of_any_setting_gives_settings_or_problems(path, value):
    found = outcome(document(path, value), A="a", OPENAI_API_KEY="k")
    if isinstance(found, ConfigError):
        assert found.problems
        assert all(problem.place or problem.source for problem in found.problems)
    else:
        assert isinstance(found.settings, Settings)


SECRET = "hush-0123456789abcdef-hush"
PRIVATE = {"api_key", "api_keys", "master_key", "proxy", "headers", "base_url"}
SECRET_PLACES = [path for path in PLACES if path[-1] in PRIVATE and "timeouts" not in path]
WRAPPINGS = [
    lambda secret: secret, lambda secret: [secret], lambda secret: {"a": secret}, lambda secret: f"{secret} {secret}",
    lambda secret: [[secret]], lambda secret: f"https://me:{secret}@h", lambda secret: f"{secret}\n",
    lambda secret: {"X-A": secret},
    lambda secret: {"X-A": [secret]},
]  # fmt: skip


@pytest.mark.parametrize("wrap", WRAPPINGS)
@pytest.mark.parametrize("path", SECRET_PLACES, ids=".".join)
def test_no_secret_is_in_a_problem_or_a_representation(path, wrap):
    text = document(path, wrap(SECRET))
    assert "hush" not in "".join(problems(text))
    found = outcome(text, OPENAI_API_KEY=SECRET, SLUICE_MASTER_KEY=SECRET)
    assert "hush" not in f"{found} {found!r}"


@pytest.mark.parametrize("path", PLACES, ids=".".join)
def test_what_a_variable_fills_in_is_in_no_problem_wherever_it_stands(path):
    for value in ("${KEY}", ["${KEY}"], {"a": "${KEY}"}, "x ${KEY}"):
        assert SECRET not in "".join(problems(document(path, value), KEY=SECRET, OPENAI_API_KEY="k"))


@given(st.integers())
def test_the_order_of_variables_does_not_matter(seed):
    environ = {
        "OPENAI_API_KEY": "a",
        "OPENAI_EAST_API_KEY": "b",
        "OLLAMA_BASE_URL": "http://h",
        "PORT": "1",
        "SLUICE_LOG__LEVEL": "debug",
    }
    names = list(environ)
    random.Random(seed).shuffle(names)
    shuffled = explain(None, {name: environ[name] for name in names}, catalog=Catalog()).settings
    assert shuffled == explain(None, environ, catalog=Catalog()).settings
    assert list(shuffled.providers) == ["ollama", "openai", "openai-east"]


def test_the_defaults_of_a_provider_are_those_of_its_struct():
    found = read("providers: {openai: {api_key: k}}").settings.providers["openai"]
    assert found == ProviderSettings(type="openai", api_key=found.api_key)
