from hypothesis import given
from hypothesis import strategies as st

from gateway.config.show import render
from gateway.core.names import is_model_id
from tests.kit.configurations import read

KEY = "sk-0123456789abcdefwxyz"


def line(text, name):
    return next(" ".join(found.split()) for found in text.splitlines() if found.strip().startswith(f"{name}:"))


def test_every_value_is_shown_with_its_source():
    text = render(read("server:\n  workers: 3\n", {"server.host": "::1"}, PORT="9000"))
    assert text.startswith("server:\n")
    assert line(text, "port") == "port: 9000 # environment PORT"
    assert line(text, "workers") == "workers: 3 # sluice.yaml line 2"
    assert line(text, "host") == 'host: "::1" # command line'
    assert line(text, "max_body") == "max_body: 32MiB # default"
    assert line(text, "master_key") == "master_key: null # default"


def test_secrets_are_masked():
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_API_KEY_2": "short", "SLUICE_MASTER_KEY": "hush-0123456789a"}
    file = "providers: {openai: {headers: {X-A: hush hush}, proxy: 'http://me:hush@h:3128'}}"
    text = render(read(file, **environ))
    assert line(text, "api_key") == 'api_key: "***wxyz" # environment OPENAI_API_KEY'
    assert line(text, "api_keys") == 'api_keys: ["***"] # environment OPENAI_API_KEY'
    assert line(text, "proxy").startswith('proxy: "http://***@h:3128"')
    assert line(text, "X-A").startswith('X-A: "***"')
    assert "hush" not in text
    assert KEY not in text
    assert "short" not in text


def test_an_address_is_shown_whole():
    text = render(read(OPENAI_API_KEY=KEY, OPENAI_BASE_URL="http://127.0.0.1:8000"))
    assert line(text, "base_url") == "base_url: http://127.0.0.1:8000/v1 # environment OPENAI_BASE_URL"


def unchanged(text, **environ):
    """Reads, shows, reads again."""
    first = read(text, **environ)
    assert read(render(first)).settings == first.settings


def test_what_is_shown_is_a_file_that_gives_the_same_settings():
    unchanged("")
    unchanged(
        "server: {host: '::1', drain_timeout: 12.345678s, header_timeout: 1.5ms, max_body: 1025B}\n"
        "metrics: {enabled: no}"
    )
    unchanged(
        "providers: {ollama: {models: ['no', null, '1', 'a:b', 'x/y'], base_url: 'http://[::1]:1/v1',"
        " retry: {attempts: 1}}}"
    )
    unchanged("providers: {b: {type: ollama, ca_file: 'a # ${NO:-}$${HOME} \"x\": [y]'}, ollama: }")
    unchanged("providers: {ollama: {base_url: 'https://example.com:8443/v1', timeouts: {headers: 90s, total: 1h}}}")


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(
    lambda t: t.isprintable() and t.strip() == t
)


@given(st.lists(st.text("ab1./:-_@~+no", max_size=8).filter(is_model_id), max_size=4), TEXTS)
def test_any_model_and_any_path_is_shown_so_that_it_reads_back(models, path):
    text = render(read(SLUICE_PROVIDERS__OLLAMA__MODELS=",".join(models), SLUICE_PROVIDERS__OLLAMA__CA_FILE=path))
    found = read(text).settings.providers["ollama"]
    assert found.models == tuple(dict.fromkeys(models))
    assert found.ca_file == path
