import pytest

from gateway.config.judge import is_loopback
from tests.kit.configurations import problems, read

LONG = "0123456789abcdef"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.1.2", "::1", "localhost", "LOCALHOST"])
def test_a_loopback_bind_needs_no_master_key(host):
    assert is_loopback(host)
    assert read(SLUICE_SERVER__HOST=host).settings.server.host == host


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.example.com", "127.1", "::2", "0", "fe80::1"]
)
def test_everything_else_is_public_and_needs_a_master_key(host):
    assert not is_loopback(host)
    found = problems(SLUICE_SERVER__HOST=host)
    assert len(found) == 1
    assert found[0].startswith("server.host (environment SLUICE_SERVER__HOST): ")
    assert "SLUICE_MASTER_KEY" in found[0]
    assert "127.0.0.1" in found[0]
    assert read(SLUICE_SERVER__HOST=host, SLUICE_MASTER_KEY=LONG).settings.server.host == host


def test_a_public_bind_on_the_command_line_needs_one_too():
    assert len(problems("", {"server.host": "0.0.0.0"})) == 1
    assert problems("", {"server.host": "127.0.0.1"}, SLUICE_SERVER__HOST="0.0.0.0") == []


def test_a_short_master_key_is_refused_in_public_only():
    found = problems("server: {host: 0.0.0.0}\nauth: {master_key: short-hush}")
    assert len(found) == 1
    assert found[0].startswith("auth.master_key (sluice.yaml line 2): too short")
    assert "hush" not in found[0]
    assert problems("auth: {master_key: short}") == []


@pytest.mark.parametrize(
    "text",
    ["auth: {master_key: 'a b'}", "auth: {master_key: [a]}", "auth: {master_key: '${NO}'}", "auth: 5", "auth: ["],
)
def test_a_master_key_that_cannot_be_read_is_not_called_missing(text):
    found = problems(text, SLUICE_SERVER__HOST="0.0.0.0")
    assert len(found) == 1
    assert "no master key" not in found[0]


# --- providers ------------------------------------------------------------------------------------------------------


def test_an_unknown_type_names_the_nearest():
    assert problems("providers:\n  opnai: {api_key: k}") == [
        "providers.opnai.type (sluice.yaml line 2): there is no such provider type; did you mean 'openai'?"
    ]
    assert problems("providers:\n  a: {type: 'antropic', api_key: k}") == [
        "providers.a.type (sluice.yaml line 2): there is no such provider type; did you mean 'anthropic'?"
    ]


@pytest.mark.parametrize(
    ("name", "type_name", "advice"),
    [
        ("openai", "openai", "set OPENAI_API_KEY or write api_key"),
        ("openai-east", "openai", "set OPENAI_EAST_API_KEY or write api_key"),
        ("main", "openai", 'write api_key: "${OPENAI_API_KEY}"'),
    ],
)
def test_a_missing_key_names_the_variable(name, type_name, advice):
    assert problems(f"providers:\n  {name}: {{type: {type_name}}}") == [
        f"providers.{name}.api_key (sluice.yaml line 2): Openai needs a key; {advice}"
    ]


@pytest.mark.parametrize("keys", ["api_key: 'a b'", "api_keys: ['a b']", "api_key: {a: b}", "api_key: '${NO}'"])
def test_a_key_that_cannot_be_read_is_not_called_missing(keys):
    assert len(problems(f"providers: {{openai: {{{keys}}}}}")) == 1


def test_a_provider_without_an_address_of_its_own_asks_for_one():
    assert problems(OPENAI_COMPATIBLE_API_KEY="k") == [
        "providers.openai-compatible.base_url: Openai_Compatible has no address of its own; set"
        " OPENAI_COMPATIBLE_BASE_URL or write base_url"
    ]


@pytest.mark.parametrize("url", ["https://h/v1/chat/completions", "https://h/chat/completions/"])
def test_a_base_url_ends_before_the_path_of_the_surface(url):
    assert problems(OPENAI_API_KEY="k", OPENAI_BASE_URL=url) == [
        "providers.openai.base_url (environment OPENAI_BASE_URL): Sluice adds /chat/completions itself; leave it out"
    ]


def test_an_instance_of_the_file_that_leads_elsewhere_may_do_without_a_key():
    assert problems("providers: {openai: {base_url: 'http://127.0.0.1:8000/v1'}}") == []
    assert len(problems("providers: {openai: {base_url: 'https://api.example.com/other'}}")) == 1
    assert len(problems("providers: {openai: {base_url: 'no address'}}")) == 1


@pytest.mark.parametrize("url", ["http://h/v1", "http://10.0.0.1:8000"])
def test_an_unencrypted_way_to_another_machine_is_told(url):
    assert read(OPENAI_API_KEY="k", OPENAI_BASE_URL=url).notes == (
        "providers.openai.base_url: with http:// keys and prompts travel unencrypted to another machine",
    )


@pytest.mark.parametrize("url", ["https://h/v1", "http://127.0.0.1:8000", "http://localhost:1", "http://[::1]:1/v1"])
def test_an_encrypted_way_or_one_within_the_machine_is_not_worth_a_note(url):
    assert read(OPENAI_API_KEY="k", OPENAI_BASE_URL=url).notes == ()


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/v1", "http://localhost:8080", "http://[::1]:8080/v1"])
def test_a_provider_at_our_own_address_would_be_a_loop(url):
    found = problems(OPENAI_API_KEY="k", OPENAI_BASE_URL=url)
    assert len(found) == 1
    assert found[0].startswith(
        "providers.openai.base_url (environment OPENAI_BASE_URL): this is where Sluice itself listens"
    )


@pytest.mark.parametrize("url", ["http://127.0.0.1:8081/v1", "http://10.0.0.1:8080/v1", "https://localhost/v1"])
def test_a_neighbour_is_no_loop(url):
    assert problems(OPENAI_API_KEY="k", OPENAI_BASE_URL=url) == []


@pytest.mark.parametrize(
    "name", ["Host", "Content-Length", "transfer-encoding", "Authorization", "X-Api-Key", "Connection"]
)
def test_headers_that_are_ours_are_refused(name):
    found = problems(f"providers: {{openai: {{api_key: k, headers: {{{name}: x}}}}}}")
    assert len(found) == 1
    assert "Sluice sets this header itself" in found[0]


def test_the_cap_of_a_retry_is_not_below_its_base():
    found = problems("providers: {openai: {api_key: k, retry: {base: 9s}}}")
    assert len(found) == 1
    assert found[0].startswith("providers.openai.retry.cap (sluice.yaml line 1): less than")


def test_two_instances_do_not_share_their_variables():
    found = problems("providers: {openai-east: {api_key: a}, openai_east: {api_key: b}}")
    assert found == [
        "providers.openai_east (sluice.yaml line 1): 'openai-east' has the same variables, OPENAI_EAST_...; rename one"
    ]


def test_a_proxy_of_the_environment_that_cannot_be_used_is_told_before_the_start():
    found = problems(OPENAI_API_KEY="k", HTTPS_PROXY="socks5://me:hush@h:1")
    assert len(found) == 1
    assert found[0].startswith("providers.openai.proxy: the proxy that the environment prescribes cannot be used")
    assert "hush" not in found[0]
    own = "providers: {openai: {api_key: k, proxy: 'http://h:1'}}"
    assert problems(own, HTTPS_PROXY="socks5://h:1") == []


def test_without_a_network_no_proxy_is_judged():
    assert problems(ALL_PROXY="socks5://h:1") == []
