import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.config import kinds
from gateway.core.secret import Secret

EVERY_KIND = [*kinds.KINDS.values(), kinds.choice(("auto", "json"))]


def is_read(kind, text):
    try:
        kind.read(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("text", ["true", "yes", "on", "1", "True", "ON"])
def test_flags_that_are_true(text):
    assert kinds.FLAG.read(text) is True


@pytest.mark.parametrize("text", ["false", "no", "off", "0", "FALSE"])
def test_flags_that_are_false(text):
    assert kinds.FLAG.read(text) is False


@pytest.mark.parametrize("text", ["127.0.0.1", "0.0.0.0", "::", "::1", "localhost", "my_host.example.com"])
def test_host_names_and_addresses_are_hosts(text):
    assert kinds.HOST.read(text) == text


@pytest.mark.parametrize("text", ["127.0.0.1:80", "[::1]", "a b", "http://x", "*", ":", "a" * 300])
def test_what_is_no_host(text):
    assert not is_read(kinds.HOST, text)


@pytest.mark.parametrize("text", ["http://h", "https://h:8443/v1/", "http://[::1]:9/v1"])
def test_an_http_url_is_an_address_with_or_without_port_and_path(text):
    assert kinds.ADDRESS.read(text) == text


@pytest.mark.parametrize(
    "text", ["h:80", "ftp://h", "http://", "http://u:p@h", "http://h?q", "http://h#f", "http://h:0"]
)
def test_what_is_no_address(text):
    assert not is_read(kinds.ADDRESS, text)


@pytest.mark.parametrize("text", ["a b", "a\tb", "ä", "a\x7f"])
def test_a_secret_has_no_blanks_and_nothing_beyond_ascii(text):
    assert not is_read(kinds.SECRET, text)


def test_the_end_of_a_long_secret_is_shown_and_nothing_of_a_short_one():
    assert kinds.mask(Secret("sk-0123456789abcdefwxyz")) == "***wxyz"
    assert kinds.mask(Secret("0123456789abcdefwxy")) == "***"


def test_a_proxy_is_shown_without_its_login():
    assert kinds.PROXY.write(kinds.PROXY.read("http://me:p@ss@proxy:3128")) == "http://***@proxy:3128"
    assert kinds.PROXY.write(kinds.PROXY.read("http://proxy:3128")) == "http://proxy:3128"
    assert kinds.PROXY.write(kinds.PROXY.read("me:pw@proxy:3128")) == "***@proxy:3128"


@pytest.mark.parametrize("text", ["", "-", "1.5", "1e3", "0x10", "٣", "1" * 16, "1_000"])
def test_what_is_no_whole_number(text):
    assert not is_read(kinds.WHOLE, text)


@given(st.sampled_from(EVERY_KIND), st.text(max_size=40))
def test_any_text_is_read_or_a_value_error_and_what_was_read_can_be_written(kind, text):
    try:
        value = kind.read(text)
    except ValueError:
        return
    assert isinstance(kind.write(value), str)


UNITS = st.sampled_from(["", "ms", "s", "m", "h", "B", "KiB", "MiB", "KB"])
QUANTITIES = st.builds(lambda number, unit: f"{number}{unit}", st.integers(0, 10**6), UNITS)


@given(st.sampled_from([kinds.WHOLE, kinds.DURATION, kinds.SIZE]), QUANTITIES)
def test_numbers_are_read_back_as_they_were_written(kind, text):
    assume(is_read(kind, text))
    value = kind.read(text)
    assert kind.read(kind.write(value)) == pytest.approx(value, abs=1e-9)
