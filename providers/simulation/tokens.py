"""The simulator's own count of tokens: a rule that anyone can repeat by hand.

A token is, in this order: a run of up to eight letters, digits or underscores, or any other single visible character,
each with one space before it if there is one; or else a run of blanks. The tokens of a text joined are the text.
"""

import re
from collections.abc import Iterable

_TOKEN = re.compile(r" ?\w{1,8}| ?[^\w\s]|\s+")

# A request may be 32 MiB: cutting all of it into tokens would hold the event loop for seconds. What comes after this
# many characters of a request counts as one token for every four characters.
EXACT_CHARS = 64 * 1024
_CHARS_PER_TOKEN = 4


def cut(text: str) -> list[str]:
    """The tokens of ``text``."""
    return _TOKEN.findall(text)


def count(texts: Iterable[str]) -> int:
    """How many tokens all ``texts`` are."""
    tokens, left = 0, EXACT_CHARS
    for text in texts:
        exact = text if len(text) <= left else text[:left]
        left -= len(exact)
        tokens += len(_TOKEN.findall(exact)) + -(-(len(text) - len(exact)) // _CHARS_PER_TOKEN)
    return tokens
