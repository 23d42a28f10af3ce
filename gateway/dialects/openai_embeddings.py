"""OpenAI embeddings (``POST /v1/embeddings``).

A client of an OpenAI-shaped provider gets through as bytes, read only as far as routing needs. For other providers the
request becomes an ``EmbeddingRequest`` and their vectors OpenAI's list.

Source: OpenAI API reference, "Create embeddings" and "The embedding object" (2026-11). Vectors in base64 are
little-endian float32, as OpenAI's own clients ask for and decode them.
"""

import base64
import struct
from functools import partial
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Raw

from gateway.core.errors import BadRequest
from gateway.core.limits import MAX_EMBEDDING_INPUTS, MAX_MODEL_ID_CHARS
from gateway.core.types import DialectName, EmbeddingRequest, Event, Usage, UsageReport, Vector
from gateway.dialects.contract import Dialect, Envelope
from gateway.dialects.fields import (
    Decode,
    FieldError,
    Fields,
    as_count,
    as_text,
    parse_body,
    read_body,
    require,
    rest,
    shown,
    take,
)
from gateway.dialects.openai_errors import error_body, error_event

# Where float32 ends. What a vector holds is between -1 and 1; this only keeps a wrong one from being an error of ours.
_MAX_FLOAT32 = 3.4028234663852886e38

_Model = Annotated[str, Meta(min_length=1, max_length=MAX_MODEL_ID_CHARS)]
_Inputs = Meta(min_length=1, max_length=MAX_EMBEDDING_INPUTS)
_Token = Annotated[int, Meta(ge=0)]
_Tokens = Annotated[list[_Token], Meta(min_length=1)]

_as_model: Decode[str] = msgspec.json.Decoder(_Model).decode
_as_first: Decode[list[Raw]] = msgspec.json.Decoder(Annotated[list[Raw], Meta(min_length=1)]).decode
_as_texts: Decode[list[str]] = msgspec.json.Decoder(Annotated[list[str], _Inputs]).decode
_as_tokens: Decode[list[int]] = msgspec.json.Decoder(_Tokens).decode
_as_token_lists: Decode[list[list[int]]] = msgspec.json.Decoder(Annotated[list[_Tokens], _Inputs]).decode
_encode = msgspec.json.Encoder().encode


# --- the request --------------------------------------------------------------------------------------------------


class _EmbeddingsEnvelope(Envelope, kw_only=True):
    model: _Model
    input: Raw


_as_envelope: Decode[_EmbeddingsEnvelope] = msgspec.json.Decoder(_EmbeddingsEnvelope).decode


def read_envelope(body: bytes) -> Envelope:
    """The model. ``input`` may be a string, a list of strings or of tokens; it is checked to be one of these at a
    glance. Raises ``BadRequest``."""
    given = parse_body(body, _as_envelope)
    if not bytes(given.input).startswith((b'"', b"[")):
        raise BadRequest("'input' must be a string or a list.", param="input")
    # embeddings do not stream; a field of that name means nothing here
    given.stream = None
    return given


def decode(body: bytes) -> EmbeddingRequest:
    """The whole request. Raises ``BadRequest``."""
    return read_body(body, _read_request)


def _read_request(fields: Fields) -> EmbeddingRequest:
    # a field of that name means nothing here
    fields.pop("stream", None)
    return EmbeddingRequest(
        model=require(fields, "model", _as_model),
        inputs=require(fields, "input", _read_input),
        is_base64=_read_format(fields),
        dimensions=take(fields, "dimensions", as_count),
        user=take(fields, "user", as_text),
        extra=rest(fields),
    )


def _read_input(raw: bytes | Raw) -> list[str] | list[list[int]]:
    """A text or a list of them, tokens or a list of lists of them: the first item tells which."""
    if bytes(memoryview(raw)[:1]) == b'"':
        return [as_text(raw)]
    first = bytes(memoryview(_as_first(raw)[0])[:1])
    if first == b'"':
        return _as_texts(raw)
    return _as_token_lists(raw) if first == b"[" else [_as_tokens(raw)]


def _read_format(fields: Fields) -> bool:
    """Is it base64?"""
    wanted = take(fields, "encoding_format", as_text) or "float"
    if wanted not in ("float", "base64"):
        raise FieldError(f"must be float or base64, not {shown(wanted)}", "encoding_format")
    return wanted == "base64"


# --- the answer ---------------------------------------------------------------------------------------------------


class EmbeddingsEncoder:
    """Writes one answer; embeddings do not stream."""

    __slots__ = ("_is_base64", "_model")

    # an answer cannot be asked for again
    kept: ClassVar[None] = None
    dropped: ClassVar[tuple[str, ...]] = ()

    def __init__(self, request: EmbeddingRequest) -> None:
        self._model = request.model
        self._is_base64 = request.is_base64

    def stream(self, events: list[Event]) -> bytes:
        return self.body(events)

    def body(self, events: list[Event]) -> bytes:
        vectors = sorted((event for event in events if isinstance(event, Vector)), key=lambda vector: vector.index)
        usage = next((event.usage for event in reversed(events) if isinstance(event, UsageReport)), Usage())
        write = _write_base64 if self._is_base64 else list
        data = [{"object": "embedding", "index": v.index, "embedding": write(v.values)} for v in vectors]
        counts = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens + usage.output_tokens}
        return _encode({"object": "list", "data": data, "model": self._model, "usage": counts})


def _write_base64(values: list[float]) -> str:
    pack = partial(struct.pack, f"<{len(values)}f")
    try:
        packed = pack(*values)
    except OverflowError:
        packed = pack(*(max(-_MAX_FLOAT32, min(_MAX_FLOAT32, value)) for value in values))
    return base64.b64encode(packed).decode()


def _encoder(request: EmbeddingRequest, _created: int) -> EmbeddingsEncoder:
    return EmbeddingsEncoder(request)


DIALECT = Dialect(
    name=DialectName.OPENAI_EMBEDDINGS,
    read_envelope=read_envelope,
    error_body=error_body,
    error_event=error_event,
    decode=decode,
    encoder=_encoder,
)
