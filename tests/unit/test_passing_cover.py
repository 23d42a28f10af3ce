from hypothesis import given
from hypothesis import strategies as st

from gateway.passing import Cover
from tests.kit.feeds import splits

SECRETS = (b"sk-secret-1", b"sk-sk-other")
TEXT = b"no sk-s secret sk-secret-1sk-secret-1 sk-sk-sk-other sk-sk-secret-1 sk-secret-"
COVERED = b"no sk-s secret ********************** sk-*********** sk-*********** sk-secret-"


def covered(pieces: list[bytes]) -> bytes:
    cover = Cover(SECRETS)
    return b"".join(map(cover.feed, pieces)) + cover.finish()


@given(splits(TEXT))
def test_secrets_are_covered_wherever_they_are_cut(pieces: list[bytes]) -> None:
    assert covered(pieces) == COVERED
    assert len(COVERED) == len(TEXT)


@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"sk-", b"secret-1", *SECRETS]), max_size=12))
def test_no_secret_is_left_and_no_length_is_changed(pieces: list[bytes]) -> None:
    shown = covered(pieces)
    assert len(shown) == len(b"".join(pieces))
    assert not any(secret in shown for secret in SECRETS)


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_what_cannot_become_a_secret_is_not_held(pieces: list[bytes]) -> None:
    cover = Cover(SECRETS)
    for piece in pieces:
        shown = cover.feed(piece + b"\n")
        assert shown.endswith(b"\n")
