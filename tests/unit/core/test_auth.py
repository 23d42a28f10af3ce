import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.core import auth
from gateway.core.auth import ANYONE, MASTER, KeyRing, digest, read_key
from gateway.core.errors import Unauthorized
from gateway.core.secret import Secret

KEY = "sk-sluice-1f2e3d4c5b6a79880011223344556677"
RING = KeyRing(Secret(KEY))


def opens(**headers: str) -> bool:
    try:
        principal = RING.identify(CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()}))
    except Unauthorized as refused:
        assert (refused.status, refused.code) == (401, "invalid_api_key")  # noqa: PT017 - both ends are right
        return False
    assert principal is MASTER
    return True


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer   {}", "Bearer {} ", "Bearer {}\t"])
def test_the_key_opens_as_a_bearer_token(header: str) -> None:
    assert opens(Authorization=header.format(KEY))


@pytest.mark.parametrize("name", ["x_api_key", "X_Api_Key", "X_API_KEY"])
def test_the_key_opens_in_its_own_header(name: str) -> None:
    assert opens(**{name: KEY})


@pytest.mark.parametrize(
    "header",
    [
        *(
            "",
            "Bearer",
            "Bearer ",
            KEY,
            f"Basic {KEY}",
            f"Bearer{KEY}",
            f"Bearer\t{KEY}",
            f"Token {KEY}",
            f"Bearer: {KEY}",
        ),
        *(
            f'Bearer "{KEY}"',
            f"Bearer {KEY}, Bearer {KEY}",
            f"Bearer Bearer {KEY}",
            f"Bearer {KEY} x",
            f"Bearer x {KEY}",
        ),
        *(
            f"Bearer {KEY}\u00a0",
            f"Bearer {KEY}\x1f",
            f"Bearer {KEY}\u2003",
            f"Bearer {KEY}\x85",
            f"\u00a0Bearer {KEY}",
        ),
    ],
)
def test_nothing_that_only_looks_like_it_opens(header: str) -> None:
    assert not opens(Authorization=header)


def test_a_bearer_decides_when_both_headers_are_sent() -> None:
    assert opens(Authorization=f"Bearer {KEY}", x_api_key="wrong")
    assert not opens(Authorization="Bearer wrong", x_api_key=KEY)


def test_another_scheme_is_meant_for_a_proxy_and_does_not_hide_the_key() -> None:
    assert opens(Authorization="Basic dXNlcjpwYXNz", x_api_key=KEY)
    assert not opens(Authorization=f"Basic {KEY}", x_api_key="wrong")
    assert not opens(Authorization=f"Basic {KEY}")


def mutations() -> list[str]:
    flipped = [KEY[:i] + chr(ord(KEY[i]) ^ 1) + KEY[i + 1 :] for i in range(len(KEY))]
    cut = [KEY[:i] for i in range(1, len(KEY))] + [KEY[i:] for i in range(1, len(KEY))]
    return [
        *(*flipped, *cut, KEY.upper(), KEY.swapcase(), KEY + KEY, KEY + "x", "x" + KEY, f"'{KEY}'", KEY[::-1]),
        *(
            KEY + "\0",
            "\0" + KEY,
            KEY + "=",
            KEY + "' OR '1'='1",
            "' OR 1=1 --",
            "*",
            "%",
            "_" * len(KEY),
            "None",
            "null",
        ),
        *(
            KEY.replace("-", "\u2010"),
            KEY.replace("1", "\u0661"),
            KEY + "\u0301",
            KEY + "\udcff",
            "\ud800",
            "x" * 1_000_000,
        ),
        *(digest(KEY).hex(), str(digest(KEY)), "***", "Secret('***')"),
    ]


@pytest.mark.parametrize("guess", mutations(), ids=lambda guess: ascii(guess[:60]))
def test_no_mutation_of_the_key_opens(guess: str) -> None:
    assert not opens(Authorization=f"Bearer {guess}")
    assert not opens(x_api_key=guess)


@given(st.text(st.characters(codec=None), max_size=60))
def test_no_text_opens_but_the_key(guess: str) -> None:
    assert opens(x_api_key=guess) is (guess == KEY)


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_two_keys_have_one_digest_only_when_they_are_one(first: str, second: str) -> None:
    assert (digest(first) == digest(second)) is (first == second)


def test_a_digest_is_plain_sha_256() -> None:
    assert digest("k\u00e9y") == hashlib.sha256("k\u00e9y".encode()).digest()


def test_header_bytes_that_are_no_text_compare_as_the_key_they_are() -> None:
    """aiohttp decodes headers with ``surrogateescape``, and so does Python the environment."""
    odd = b"key-\xff\xfe-tail".decode("utf-8", "surrogateescape")
    ring = KeyRing(Secret(odd))
    assert ring.identify({"x-api-key": odd}) is MASTER
    with pytest.raises(Unauthorized):
        ring.identify({"x-api-key": odd.replace("\udcfe", "\udcff")})


@given(st.binary(max_size=40))
def test_any_header_value_is_judged_without_an_error_of_ours(value: bytes) -> None:
    text = value.decode("utf-8", "surrogateescape")
    for headers in ({"Authorization": text}, {"Authorization": f"Bearer {text}"}, {"x-api-key": text}):
        with pytest.raises(Unauthorized) as refused:
            RING.identify(headers)
        assert KEY not in refused.value.message


def test_without_a_master_key_everybody_is_let_in() -> None:
    ring = KeyRing(None)
    for headers in ({}, {"Authorization": "Bearer anything"}, {"x-api-key": ""}):
        assert ring.identify(headers) is ANYONE


def test_an_empty_master_key_is_none_that_could_be_asked_for() -> None:
    with pytest.raises(ValueError, match="empty"):
        KeyRing(Secret(""))


def test_only_digests_are_compared_and_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return False

    monkeypatch.setattr(auth.hmac, "compare_digest", compare)
    with pytest.raises(Unauthorized):
        RING.identify({"x-api-key": KEY})
    assert compared == [(hashlib.sha256(KEY.encode()).digest(),) * 2]
    assert hmac.compare_digest is compare


def test_the_ring_does_not_hold_or_print_the_key() -> None:
    held = [getattr(RING, name) for name in vars(RING)]
    assert KEY not in repr(RING)
    assert all(KEY not in str(value) and KEY.encode() not in bytes(str(value), "utf-8") for value in held)
    assert KEY not in repr(RING.identify({"x-api-key": KEY}))


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, ""),
        ({"Authorization": "Bearer a"}, "a"),
        ({"Authorization": "Bearer a b"}, "a b"),
        ({"x-api-key": "a"}, "a"),
        ({"Authorization": "Bearer a", "x-api-key": "b"}, "a"),
        ({"Authorization": "", "x-api-key": "b"}, "b"),
        ({"Authorization": "Basic a", "x-api-key": "b"}, "b"),
    ],
)
def test_where_a_key_is_read_from(headers: dict[str, str], key: str) -> None:
    assert read_key(headers) == key
