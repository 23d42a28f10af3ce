"""Embeddings without a model: a hashed bag of words ("Create embeddings" in OpenAI's API reference).

Each word points to sixteen places of the vector, with a sign each, all from a digest of the word. A text is the sum of
its words at length one. So equal texts have equal vectors, texts that share words are near each other, and texts that
share none are nearly at right angles. Meaning plays no part: "car" and "automobile" are strangers.
"""

import base64
import hashlib
import re
import struct
from collections import Counter
from math import sqrt
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.core.decoding import DECODE_ERRORS
from providers.simulation import tokens
from providers.simulation.directives import Directives
from providers.simulation.refusals import RefusedError, unreadable

DEFAULT_DIMENSIONS = 256
MAX_DIMENSIONS = 3072
MAX_INPUTS = 2048
# one input; OpenAI's models take as many
MAX_INPUT_TOKENS = 8192
# all inputs of one request together, as at OpenAI
MAX_REQUEST_TOKENS = 300_000

_Tokens = list[int]


class EmbeddingsBody(Struct):
    """``input`` is a text or a list of token numbers, or a list of several of one of them."""

    model: str
    input: str | list[str | int | _Tokens]
    dimensions: Annotated[int, Meta(ge=1, le=MAX_DIMENSIONS)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    simulate: Directives | None = None


class Embedding(Struct):
    object: str
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(Struct):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(Struct):
    object: str
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage


_DECODER = msgspec.json.Decoder(EmbeddingsBody)
_ENCODER = msgspec.json.Encoder()


def read_embeddings(body: bytes) -> EmbeddingsBody:
    """Raises ``RefusedError``."""
    try:
        return _DECODER.decode(body)
    except DECODE_ERRORS as error:
        raise unreadable(error) from None


def embed(request: EmbeddingsBody) -> tuple[bytes, int]:
    """The body of the answer and the tokens of the request. Raises ``RefusedError`` for inputs out of bounds."""
    words = [_words(one) for one in _inputs(request.input)]
    total = sum(count for _, count in words)
    if total > MAX_REQUEST_TOKENS:
        raise _refuse(f"maximum request size is {MAX_REQUEST_TOKENS} tokens, this one has {total}")
    dimensions = request.dimensions or DEFAULT_DIMENSIONS
    is_packed = request.encoding_format == "base64"
    data = []
    for index, (bag, _) in enumerate(words):
        numbers = vector(bag, dimensions)
        data.append(Embedding("embedding", index, _packed(numbers) if is_packed else numbers))
    answer = EmbeddingsAnswer("list", data, request.model, EmbeddingsUsage(total, total))
    return _ENCODER.encode(answer), total


def _refuse(why: str) -> RefusedError:
    return RefusedError(f"Invalid 'input': {why}.", param="input", code="invalid_value")


def _inputs(given: str | list[str | int | _Tokens]) -> list[str | _Tokens]:
    if isinstance(given, str):
        inputs: list[str | _Tokens] = [given]
    else:
        kinds = {type(one) for one in given}
        if len(kinds) > 1:
            raise _refuse("expected texts only or token numbers only")
        numbers = [one for one in given if isinstance(one, int)]
        inputs = [numbers] if numbers else [one for one in given if not isinstance(one, int)]
    if not inputs or not all(inputs):
        raise _refuse("expected a text or token numbers that are not empty")
    if len(inputs) > MAX_INPUTS:
        raise _refuse(f"expected at most {MAX_INPUTS} inputs, got {len(inputs)}")
    return inputs


_WORD = re.compile(r"\w{1,64}")


def _words(one: str | _Tokens) -> tuple[Counter[str], int]:
    """The words of one input with how often each occurs, and its tokens."""
    count = tokens.count([one]) if isinstance(one, str) else len(one)
    if count > MAX_INPUT_TOKENS:
        raise _refuse(f"this model's maximum context length is {MAX_INPUT_TOKENS} tokens, one input has {count}")
    if isinstance(one, str):
        return Counter(_WORD.findall(one.lower()) or [one]), count
    return Counter(map(str, one)), count


_PLACES = struct.Struct("<16I")


def vector(words: Counter[str], dimensions: int) -> list[float]:
    """A vector of length one. Repeated words count with the root of their number, short words ("the", "is") less."""
    sums = [0.0] * dimensions
    for word, times in words.items():
        weight = sqrt(times) * min(len(word), 6)
        digest = hashlib.blake2b(word.encode(), digest_size=64).digest()
        for number in _PLACES.unpack(digest):
            sums[(number >> 1) % dimensions] += weight if number & 1 else -weight
    length = sqrt(sum(x * x for x in sums))
    if not length:
        return [1.0] + [0.0] * (dimensions - 1)
    return [round(x / length, 8) for x in sums]


def _packed(numbers: list[float]) -> str:
    """32-bit floats, little-endian, in base64."""
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
