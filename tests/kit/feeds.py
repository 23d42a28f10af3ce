"""Ways to cut bytes: every byte-fed parser must give the same events whatever the cuts."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


def whole(data: bytes) -> list[bytes]:
    return [data]


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def cut_at(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The pieces of ``data`` between the given offsets; empty pieces stay, a parser must bear them."""
    places = [0, *sorted(c % (len(data) + 1) for c in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


def splits(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """Random cuts of ``data``."""
    return st.lists(st.integers(0, max(len(data), 1)), max_size=12).map(lambda cuts: cut_at(data, cuts))


def feed_all(feed: Callable[[bytes], Iterable[T]], pieces: Iterable[bytes]) -> Iterator[T]:
    for piece in pieces:
        yield from feed(piece)
