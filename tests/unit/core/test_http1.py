import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.http1 import build_connect_head, build_request_head

HOST = ("Host", "provider.test")


def test_the_head_has_no_end_yet() -> None:
    head = build_request_head("POST", "/v1/chat?a=b", [HOST, ("Authorization", "Bearer sk-1"), ("X-Empty", "")])
    assert head == (b"POST /v1/chat?a=b HTTP/1.1\r\nHost: provider.test\r\nAuthorization: Bearer sk-1\r\nX-Empty: \r\n")


def test_an_absolute_target_is_for_a_proxy() -> None:
    head = build_request_head("GET", "http://provider.test:8000/v1", [HOST])
    assert head.startswith(b"GET http://provider.test:8000/v1 HTTP/1.1\r\n")


def test_text_that_came_in_as_bytes_goes_out_as_the_same_bytes() -> None:
    for sent in (b"caf\xe9", "café \U0001f375".encode(), b"\xff\xfe"):
        head = build_request_head("POST", "/", [HOST, ("X-Name", sent.decode("utf-8", "surrogateescape"))])
        assert head.endswith(b"X-Name: " + sent + b"\r\n")


def test_a_tab_is_no_control_character_here() -> None:
    assert b"A: b\tc\r\n" in build_request_head("POST", "/", [HOST, ("A", "b\tc")])


@pytest.mark.parametrize("method", ["head", "CONNECT", "TRACE", "post", "", "POST ", "POST / HTTP/1.1\r\nX: y\r\n"])
def test_methods_that_are_not_ours(method: str) -> None:
    with pytest.raises(ValueError, match="method"):
        build_request_head(method, "/", [HOST])


@pytest.mark.parametrize(
    "target", ["", "v1", "*", "/a b", "/a\tb", "/a\r\nX: y", "/a\n", "/caf\xe9", "/\x00", "/\x7f", "/a#b", "ftp://x/"]
)
def test_targets_that_could_break_the_request_line(target: str) -> None:
    with pytest.raises(ValueError, match="target"):
        build_request_head("POST", target, [HOST])


@pytest.mark.parametrize("name", ["", " ", "A B", "A:", "A\r\n", "A\x00", "A\t", "caf\xe9", "(A)", "A\n"])
def test_names_that_are_no_token(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        build_request_head("POST", "/", [HOST, (name, "x")])


@pytest.mark.parametrize(
    "name",
    ["Content-Length", "content-length", "Transfer-Encoding", "Connection", "TE", "Upgrade", "Expect", "Trailer"],
)
def test_names_that_belong_to_the_connection(name: str) -> None:
    with pytest.raises(ValueError, match="belongs to the connection"):
        build_request_head("POST", "/", [HOST, (name, "0")])


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\n", "a\r", "\x00", "a\x0bb", "\x1f", "\x7f", "é\n"])
def test_values_with_control_characters_are_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(ValueError, match="X-Secret") as caught:
        build_request_head("POST", "/", [HOST, ("X-Secret", f"sk-secret{value}")])
    assert "sk-secret" not in str(caught.value)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        build_request_head("POST", "/", [HOST, ("A", "\ud800")])


@pytest.mark.parametrize("headers", [[], [HOST, HOST], [HOST, ("host", "b")]])
def test_exactly_one_host(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError, match="exactly one Host"):
        build_request_head("POST", "/", headers)


class Parsed:
    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.url = b""
        self.count = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_message_complete(self) -> None:
        self.count += 1


@settings(deadline=None)
@given(
    st.text(max_size=20).map(lambda text: "/" + text),
    st.lists(st.tuples(st.text(max_size=12), st.text(max_size=20)), max_size=4),
)
def test_whatever_is_put_in_comes_out_as_exactly_one_request(target: str, headers: list[tuple[str, str]]) -> None:
    try:
        head = build_request_head("POST", target, [HOST, *headers])
    except ValueError:
        return
    parsed = Parsed()
    httptools.HttpRequestParser(parsed).feed_data(head + b"Content-Length: 0\r\n\r\n")
    assert parsed.count == 1
    assert parsed.url.decode() == target
    assert [name.decode() for name, _ in parsed.headers[1:-1]] == [name for name, _ in headers]
    sent = [value.encode("utf-8", "surrogateescape").strip(b" \t") for _, value in headers]
    assert [value.strip(b" \t") for _, value in parsed.headers[1:-1]] == sent


def test_asking_for_a_tunnel() -> None:
    assert build_connect_head("[::1]:443", None) == b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"
    with_credentials = build_connect_head("a.test:443", "Basic eDp5")
    assert with_credentials.endswith(b"\r\nProxy-Authorization: Basic eDp5\r\n\r\n")


@pytest.mark.parametrize(("authority", "authorization"), [("a b:443", None), ("a\r\n:443", None), ("a:443", "x\r\ny")])
def test_a_tunnel_head_cannot_be_broken(authority: str, authorization: str | None) -> None:
    with pytest.raises(ValueError, match="tunnel"):
        build_connect_head(authority, authorization)
