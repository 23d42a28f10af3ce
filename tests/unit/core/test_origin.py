import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.origin import Origin, complete_base_url, parse_origin


@pytest.mark.parametrize(
    ("url", "origin", "host_header"),
    [
        ("https://api.test/v1", Origin("https", "api.test", 443, "/v1"), "api.test"),
        ("https://api.test/v1/", Origin("https", "api.test", 443, "/v1"), "api.test"),
        ("https://api.test", Origin("https", "api.test", 443), "api.test"),
        ("https://api.test/", Origin("https", "api.test", 443), "api.test"),
        ("HTTP://API.Test:80/A", Origin("http", "api.test", 80, "/A"), "api.test"),
        ("http://api.test:443", Origin("http", "api.test", 443), "api.test:443"),
        ("https://api.test:8443/x", Origin("https", "api.test", 8443, "/x"), "api.test:8443"),
        ("http://127.0.0.1:11434", Origin("http", "127.0.0.1", 11434), "127.0.0.1:11434"),
        ("http://[::1]:8000/v1", Origin("http", "::1", 8000, "/v1"), "[::1]:8000"),
        ("https://[2001:DB8:0::1]", Origin("https", "2001:db8::1", 443), "[2001:db8::1]"),
        ("http://my_service.internal.", Origin("http", "my_service.internal.", 80), "my_service.internal."),
        ("https://a.test/x/%20y;z=1/@:", Origin("https", "a.test", 443, "/x/%20y;z=1/@:"), "a.test"),
    ],
)
def test_valid_base_urls(url: str, origin: Origin, host_header: str) -> None:
    assert parse_origin(url) == origin
    assert origin.host_header == host_header


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "begins with"),
        ("api.test", "begins with"),
        ("api.test:443/v1", "begins with"),
        ("//api.test", "begins with"),
        ("ftp://api.test", "begins with"),
        ("https:/api.test", "begins with"),
        (" https://api.test", "begins with"),
        ("https://user@api.test", "password"),
        ("https://user:sk-secret@api.test", "password"),
        ("https://api.test?key=sk-secret", "query"),
        ("https://api.test/v1?", "query"),
        ("https://api.test/v1#sk-secret", "fragment"),
        ("https://", "host"),
        ("https:///v1", "host"),
        ("https://:443", "host"),
        ("https://caf\xe9.test", "host"),
        ("https://a.test:", "host"),
        ("https://a.test:44x", "host"),
        ("https://a.test:123456", "host"),
        ("https://::1", "host"),
        ("https://[::1", "host"),
        ("https://[fe80::1%25eth0]", "host"),
        ("https://[1.2.3.4]", "IPv6"),
        ("https://[:::]", "IPv6"),
        ("https://a.test:0", "port"),
        ("https://a.test:65536", "port"),
        (f"https://{'a' * 254}", "at most"),
        ("https://a.test/a b", "percent-encoded"),
        ("https://a.test/a\r\nb", "percent-encoded"),
        ("https://a.test/caf\xe9", "percent-encoded"),
        ("https://a.test\\b", "percent-encoded"),
        ("https://a.test\t/b", "percent-encoded"),
    ],
)
def test_what_is_no_base_url(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        parse_origin(url)
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "default", "complete"),
    [
        ("http://h", "https://vendor.test/v1", "http://h/v1"),
        ("http://h/", "https://vendor.test/v1", "http://h/v1"),
        ("http://[::1]:8000//", "https://vendor.test/api/v2/", "http://[::1]:8000/api/v2"),
        ("http://h/v2/", "https://vendor.test/v1", "http://h/v2/"),
        ("http://h", "https://vendor.test", "http://h"),
        ("http://h", "", "http://h"),
    ],
)
def test_a_base_url_without_a_path_gets_the_path_of_the_default(given: str, default: str, complete: str) -> None:
    assert complete_base_url(given, default) == complete


def test_the_forms_of_one_origin() -> None:
    origin = parse_origin("http://[::1]:8000/v1")
    assert origin.authority == "[::1]:8000"
    assert origin.root == "http://[::1]:8000"
    assert not origin.is_tls
    assert parse_origin("https://a.test/v1").root == "https://a.test"
    assert parse_origin("https://a.test/v1").authority == "a.test:443"
    assert parse_origin("https://a.test").is_tls


@settings(deadline=None)
@given(st.text())
def test_any_text_is_an_origin_or_a_value_error(text: str) -> None:
    for url in (text, f"https://{text}", f"http://a.test{text}"):
        try:
            origin = parse_origin(url)
        except ValueError:
            continue
        assert parse_origin(f"{origin.root}{origin.base_path}") == origin
        assert origin.root.isascii()
        assert origin.root.isprintable()
