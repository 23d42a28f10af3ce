import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.proxy import Proxy, is_excluded, parse_proxy, proxy_for
from gateway.core.secret import Secret

HTTP, HTTPS, ALL = Proxy("http.test", 3128), Proxy("https.test", 3128), Proxy("all.test", 3128)
VARIABLES = {
    "HTTP_PROXY": "http://http.test:3128",
    "HTTPS_PROXY": "http://https.test:3128",
    "ALL_PROXY": "http://all.test:3128",
}


def only(*names: str, **more: str) -> dict[str, str]:
    return {name: VARIABLES[name] for name in names} | more


@pytest.mark.parametrize(
    ("url", "environ", "proxy"),
    [
        ("https://a.test", {}, None),
        ("https://a.test", only("HTTP_PROXY"), None),
        ("http://a.test", only("HTTPS_PROXY"), None),
        ("https://a.test", only("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), HTTPS),
        ("http://a.test", only("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), HTTP),
        ("https://a.test", only("HTTP_PROXY", "ALL_PROXY"), ALL),
        ("http://a.test", only("ALL_PROXY"), ALL),
        ("https://a.test", only("HTTPS_PROXY", https_proxy="lower.test:1"), Proxy("lower.test", 1)),
        ("https://a.test", only("HTTPS_PROXY", https_proxy=""), HTTPS),
        ("https://a.test", {"HTTPS_PROXY": "  ", "ALL_PROXY": " http://all.test:3128 "}, ALL),
        ("https://a.test", only("HTTPS_PROXY", NO_PROXY="a.test"), None),
        ("https://a.test", only("HTTPS_PROXY", no_proxy="b.test"), HTTPS),
        ("https://a.test", only("HTTPS_PROXY", NO_PROXY="a.test", no_proxy="b.test"), HTTPS),
        ("https://a.test", only("ALL_PROXY", NO_PROXY="*"), None),
        ("http://localhost:11434", only("HTTP_PROXY"), None),
        ("http://127.0.0.1:11434", only("HTTP_PROXY"), None),
        ("http://[::1]:11434", only("HTTP_PROXY"), None),
        ("http://10.0.0.1", only("HTTP_PROXY"), HTTP),
    ],
)
def test_the_environment_decides(url: str, environ: dict[str, str], proxy: Proxy | None) -> None:
    assert proxy_for(url, environ) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "is_direct"),
    [
        ("", "a.test", 443, False),
        ("a.test", "a.test", 443, True),
        ("a.test", "b.a.test", 443, True),
        ("a.test", "ba.test", 443, False),
        ("a.test", "a.test.evil", 443, False),
        (".a.test", "a.test", 443, True),
        (".a.test", "b.a.test", 443, True),
        ("*.a.test", "b.a.test", 443, True),
        ("*.a.test", "c.test", 443, False),
        ("A.Test", "a.test", 443, True),
        ("x.test, a.test", "a.test", 443, True),
        ("x.test a.test", "a.test", 443, True),
        (" ,,a.test,", "a.test", 443, True),
        ("*", "a.test", 443, True),
        ("a.*", "a.test", 443, False),
        (".", "a.test", 443, False),
        ("*.", "a.test", 443, False),
        ("a.test:443", "a.test", 443, True),
        ("a.test:8443", "a.test", 443, False),
        ("a.test:443", "b.a.test", 443, True),
        ("a.test:", "a.test", 443, False),
        ("a.test:x", "a.test", 443, False),
        ("10.0.0.1", "10.0.0.1", 80, True),
        ("10.0.0.1", "10.0.0.11", 80, False),
        ("10.0.0.1:80", "10.0.0.1", 80, True),
        ("10.0.0.1:81", "10.0.0.1", 80, False),
        (".0.0.1", "10.0.0.1", 80, False),
        ("10.0.0.0/8", "10.200.3.4", 80, True),
        ("10.0.0.7/8", "10.200.3.4", 80, True),
        ("10.0.0.0/8", "11.0.0.1", 80, False),
        ("10.0.0.0/8", "a.test", 80, False),
        ("10.0.0.0/99", "10.0.0.1", 80, False),
        ("nonsense/8", "10.0.0.1", 80, False),
        ("fd00::/8", "fd12::1", 80, True),
        ("fd00::/8", "10.0.0.1", 80, False),
        ("fd00::1", "fd00::1", 80, True),
        ("FD00:0::1", "fd00::1", 80, True),
        ("[fd00::1]", "fd00::1", 80, True),
        ("[fd00::1]:80", "fd00::1", 80, True),
        ("[fd00::1]:81", "fd00::1", 80, False),
    ],
)
def test_what_goes_directly(no_proxy: str, host: str, port: int, is_direct: bool) -> None:
    assert is_excluded(host, port, no_proxy) is is_direct


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://p.test:3128", Proxy("p.test", 3128)),
        ("p.test:3128", Proxy("p.test", 3128)),
        ("p.test", Proxy("p.test", 80)),
        ("http://p.test/", Proxy("p.test", 80)),
        ("HTTPS://P.test", Proxy("p.test", 443, is_tls=True)),
        ("http://[::1]:8080", Proxy("::1", 8080)),
        ("http://user:p%40ss@p.test:1", Proxy("p.test", 1, authorization=Secret("Basic dXNlcjpwQHNz"))),
        ("http://user:p@ss@p.test:1", Proxy("p.test", 1, authorization=Secret("Basic dXNlcjpwQHNz"))),
        ("user@p.test:1", Proxy("p.test", 1, authorization=Secret("Basic dXNlcjo="))),
    ],
)
def test_a_proxy_url_gives_host_port_tls_and_login(url: str, proxy: Proxy) -> None:
    assert parse_proxy(url) == proxy


@pytest.mark.parametrize(
    "url",
    ["", "socks5://u:secret@p.test:1080", "http://", "http://u:secret@", "http://p.test:0", "http://u:secret@p test"],
)
def test_what_is_no_proxy_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_proxy(url)
    assert "secret" not in str(caught.value)


def test_a_bad_proxy_in_the_environment_is_told_only_when_it_is_needed() -> None:
    environ = {"HTTPS_PROXY": "socks5://p.test", "NO_PROXY": "a.test"}
    assert proxy_for("https://a.test", environ) is None
    with pytest.raises(ValueError, match="SOCKS"):
        proxy_for("https://b.test", environ)


def test_a_proxy_does_not_show_its_password() -> None:
    assert "dXNlcjpw" not in repr(parse_proxy("http://user:pass@p.test"))


@settings(deadline=None)
@given(st.text(), st.sampled_from(["a.test", "10.0.0.1", "fd00::1"]))
def test_no_list_of_exclusions_raises(no_proxy: str, host: str) -> None:
    assert is_excluded(host, 443, no_proxy) in (True, False)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_proxy_or_a_value_error(text: str) -> None:
    try:
        proxy = parse_proxy(text)
    except ValueError:
        return
    assert proxy.host
