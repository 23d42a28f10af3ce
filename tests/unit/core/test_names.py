import ipaddress
import posixpath
import string
from urllib.parse import unquote, urljoin

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core import names
from gateway.core.limits import (
    MAX_HOST_CHARS,
    MAX_INSTANCE_NAME_CHARS,
    MAX_MODEL_ID_CHARS,
    MAX_PATH_SEGMENT_CHARS,
    MAX_REQUEST_ID_CHARS,
)

# What must never pass any judge but that of header values, in any place.
_POISON = ["\n", "\r", "\r\n", "\0", "\x7f", "\u00e9", "\u202e", "\uff0e", "\udcff", " ", '"', "\\", "<", "%"]

MODEL_IDS = {
    "good": [
        *("gpt-4o-mini", "gpt-4.1", "o3", "gemini-2.5-flash", "claude-haiku-4-5", "text-embedding-3-small"),
        *("accounts/fireworks/models/llama-v3", "us.anthropic.claude-3-5-sonnet-20241022-v2:0", "@cf/meta/llama-3-8b"),
        *("ft:gpt-4o-mini:org::id", "hf.co/x/y:Q4_K_M", "claude-3-5-sonnet@20240620", "mimo-v2[1m]", "~x/latest"),
        *(
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x-v1:0",
            "qwen2.5+tools",
            "a",
            "a.",
            "...",
            "..a",
        ),
        *("openai/gpt-4o", "models/gemini-2.0", "x" * MAX_MODEL_ID_CHARS),
    ],
    "bad": [
        *("", "/", "/a", "a/", "a//b", "//", ".", "..", "./a", "../a", "a/..", "a/../b", "a/./b", "a/.", "..//"),
        *("a b", " a", "a ", "a?b", "a#b", "a&b", "a;b", "a%2fb", "%2e%2e", "a\\b", "a'b", 'a"b', "a\tb", "a\n", "a|b"),
        *("a<b", "a`b", "{a}", "a*", "$a", "a=b", "a,b", "\uff47pt", "x" * (MAX_MODEL_ID_CHARS + 1)),
    ],
}
PATH_SEGMENTS = {
    "good": [
        "file-abc123",
        "batch_1",
        "resp_68a",
        "msg_01:x",
        "a.b",
        "...",
        "~a",
        "a=b,c+d@e",
        "x" * MAX_PATH_SEGMENT_CHARS,
    ],
    "bad": ["", ".", "..", "a/b", "a;b", "a?b", "a#b", "a%2f", "a&b", "x" * (MAX_PATH_SEGMENT_CHARS + 1)],
}
REQUEST_IDS = {
    "good": [
        *("a", "0f8fad5b-d9cb-469f-a165-70867728950e", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        *("|abc.1.", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1", "YWJj+/==", "x" * MAX_REQUEST_ID_CHARS),
    ],
    "bad": ["", "a b", "a,b", "<script>", "{}", "$(x)", "`x`", "x" * (MAX_REQUEST_ID_CHARS + 1)],
}
HEADER_NAMES = {
    "good": ["Host", "x-api-key", "X_A", "a", "1", "!#$%&'*+-.^_`|~"],
    "bad": ["", "a:", ":a", "a(b)", "a,b", "a/b", "a;b", "a=b", "a@b", "[a]", "{a}", "a\tb"],
}
HEADER_VALUES = {
    "good": ["", "a", "Bearer x.y", 'a, "b"; c=\\d', "a\tb", "a  b", "%", "<>", "text/event-stream"],
    "bad": [" ", " a", "a ", "\ta", "a\t", "a\nb", "a\r\n b", "a\0", "a\x7f", "a\u00e9", "a\n", "a\x0b"],
}
INSTANCE_NAMES = {
    "good": ["openai", "openai-east", "my_vllm", "a", "a1", "x" * MAX_INSTANCE_NAME_CHARS],
    "bad": ["", "OpenAI", "1a", "-a", "a-", "a_", "_a", "a/b", "a.b", "a:b", "x" * (MAX_INSTANCE_NAME_CHARS + 1)],
}
HOSTS = {
    "good": [
        *("a", "localhost:8080", "api.example.com", "API.EXAMPLE.COM.", "ai_gateway", "xn--bcher-kva.example", "a:0"),
        *(
            "127.0.0.1",
            "127.0.0.1:65535",
            "[::1]",
            "[::1]:8080",
            "[2001:db8::ffff:192.0.2.1]",
            "a" * 63,
            "a." * 126 + "a",
        ),
    ],
    "bad": [
        *(
            "",
            ":80",
            "a:",
            "a:b",
            "a:-1",
            "a:65536",
            "a:000080",
            "a:80:80",
            "a/b",
            "a/../b",
            "a?b",
            "a#b",
            "u@a",
            "u:p@a",
        ),
        *("a..b", ".a", ".", "..", "a,b", "a;b", "http://a", "*", "(a)", "a" * 64, "a." * 150, "a|b", "a%00"),
        *(
            "::1",
            "[::1",
            "::1]",
            "[]",
            "[:]",
            "[1:2:3]",
            "[::1]x",
            "[::1]:",
            "[fe80::1%25eth0]",
            "[v1.x]",
            "[127.0.0.1]",
        ),
    ],
}
JUDGES = {
    names.is_model_id: MODEL_IDS,
    names.is_path_segment: PATH_SEGMENTS,
    names.is_request_id: REQUEST_IDS,
    names.is_header_name: HEADER_NAMES,
    names.is_header_value: HEADER_VALUES,
    names.is_instance_name: INSTANCE_NAMES,
    names.is_host: HOSTS,
}
CASES = [
    pytest.param(judge, text, verdict == "good", id=f"{judge.__name__}-{text[:40]!a}")
    for judge, table in JUDGES.items()
    for verdict, texts in table.items()
    for text in texts
]


@pytest.mark.parametrize(("judge", "text", "verdict"), CASES)
def test_judges_as_the_lists_say(judge, text: str, verdict: bool) -> None:
    assert judge(text) is verdict


@pytest.mark.parametrize("judge", [j for j in JUDGES if j is not names.is_header_value])
@pytest.mark.parametrize("poison", _POISON)
def test_nothing_dangerous_passes_anywhere(judge, poison: str) -> None:
    if judge is names.is_header_name and poison == "%":
        assert judge("a%b"), "a percent sign is a token character"
        return
    assert judge("ab")
    assert [judge(text) for text in (poison, "a" + poison, poison + "b", f"a{poison}b")] == [False] * 4


@pytest.mark.parametrize("judge", list(JUDGES))
def test_length_alone_is_no_burden(judge) -> None:
    """Texts built to make a pattern backtrack; were it exponential or quadratic, this would not end."""
    for unit in ("a", "a.", "a/", ".", "a-", ":", "a ", "[", "0", "a/."):
        assert judge(unit * 50_000 + "\n") is False


@given(st.text(alphabet=string.ascii_letters + string.digits + "._:/@+~[]-%\\?# ", max_size=30))
@example("a/../b")
@example("..%2f")
def test_a_model_id_cannot_leave_its_place_in_a_url(text: str) -> None:
    if names.is_model_id(text):
        path = f"/v1/models/{text}/x"
        assert urljoin("http://host/", path) == f"http://host{path}"
        assert unquote(text) == text
        segments = text.split("/")
        assert all(segments)
        assert not {".", ".."} & set(segments)


@given(st.text(max_size=12) | st.binary(max_size=12).map(lambda b: b.decode("latin-1")))
def test_header_judges_agree_with_the_grammar(text: str) -> None:
    tchars = set("!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters)
    assert names.is_header_name(text) is (text != "" and set(text) <= tchars)
    visible = {chr(c) for c in range(0x21, 0x7F)}
    is_value = set(text) <= visible | {" ", "\t"} and text == text.strip(" \t")
    assert names.is_header_value(text) is is_value


@given(st.ip_addresses(), st.none() | st.integers(0, 65535))
def test_every_address_is_a_host(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int | None) -> None:
    literal = f"[{address}]" if address.version == 6 else str(address)
    host = literal if port is None else f"{literal}:{port}"
    # scope ids name an interface of this machine and mean nothing to another one
    is_scoped = "%" in literal
    assert names.is_host(host) is not is_scoped


def test_a_host_of_the_longest_name_and_port_passes() -> None:
    longest = ".".join(["a" * 63] * 3 + ["b" * 61]) + ".:65535"
    assert len(longest) == MAX_HOST_CHARS
    assert names.is_host(longest)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@example("a/b")
@example("%2e%2e")
@example("...")
@example("a b\r\n")
def test_a_quoted_segment_is_one_segment_and_decodes_to_itself(text: str) -> None:
    if text in (".", ".."):
        return
    quoted = names.quote_segment(text)
    assert set(quoted) <= set(string.ascii_letters + string.digits + "-._~%")
    assert unquote(quoted, errors="strict") == text
    assert urljoin("http://host/a/", f"/b/{quoted}/c") == f"http://host/b/{quoted}/c"


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("gpt-4o_x.y~", "gpt-4o_x.y~"), ("a/b", "a%2Fb"), ("a:b@c", "a%3Ab%40c"), ("\u00e9", "%C3%A9"), (" ", "%20")],
)
def test_quotes_everything_but_unreserved(text: str, quoted: str) -> None:
    assert names.quote_segment(text) == quoted


@pytest.mark.parametrize("text", ["", ".", "..", "\udcff"])
def test_refuses_to_quote_what_stays_dangerous(text: str) -> None:
    with pytest.raises(ValueError, match=r"path segment|surrogates"):
        names.quote_segment(text)


# --- paths that are passed through --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("v1/files", "v1/files/", "v1/files/file-abc/content", "v1beta/models/gemini-pro:generateContent"),
        *("a%20b", "caf%C3%A9", "v1/a;b", "~user/x", "a.b/..c", "...", "v1/x@y", "a=b,c"),
    ],
)
def test_paths_that_mean_the_same_to_everybody_are_plain(path: str) -> None:
    assert names.is_plain_path(path)


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "//", "a//b", "/a", "a///", ".", "..", "a/..", "../a", "a/./b", "a/../b"),
        *(
            "%2e",
            "%2E%2e",
            ".%2e",
            "a/%2e%2e/b",
            "a%2fb",
            "a%2Fb",
            "a%5cb",
            "a\\b",
            "a%252fb",
            "a%25",
            "%",
            "a%2",
            "a%zz",
        ),
        *("a%00b", "a%0ab", "a%7fb", "..;/x", "..;x/y", ".;x", "%2e%2e;x"),
    ],
)
def test_paths_that_could_lead_elsewhere_are_not_plain(path: str) -> None:
    assert not names.is_plain_path(path)


@given(st.text(alphabet="ab./%2eEfF5cC\\;", max_size=12))
def test_no_plain_path_leaves_its_place(path: str) -> None:
    if names.is_plain_path(path):
        once = unquote(path)
        for seen in (path, once, unquote(once)):
            assert posixpath.normpath("/base/" + seen).startswith("/base/")
            assert "//" not in seen
            assert "\\" not in seen
