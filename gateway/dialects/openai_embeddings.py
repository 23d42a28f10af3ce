"""OpenAI embeddings (``POST /v1/embeddings``): read only as far as routing needs, carried as bytes."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from gateway.core.errors import BadRequest
from gateway.core.limits import MAX_MODEL_ID_CHARS
from gateway.core.types import DialectName
from gateway.dialects.contract import Dialect, Envelope
from gateway.dialects.fields import Decode, FieldError, parse
from gateway.dialects.openai_errors import error_body, error_event


class _EmbeddingsEnvelope(Envelope, kw_only=True):
    model: Annotated[str, Meta(min_length=1, max_length=MAX_MODEL_ID_CHARS)]
    input: Raw


_as_envelope: Decode[_EmbeddingsEnvelope] = msgspec.json.Decoder(_EmbeddingsEnvelope).decode


def read_envelope(body: bytes) -> Envelope:
    """The model. ``input`` may be a string, a list of strings or of tokens; it is checked to be one of these at a
    glance. Raises ``BadRequest``."""
    try:
        given = parse(body, _as_envelope)
    except FieldError as invalid:
        raise invalid.as_bad_request() from None
    if not bytes(given.input).startswith((b'"', b"[")):
        raise BadRequest("'input' must be a string or a list.", param="input")
    # embeddings do not stream; a field of that name means nothing here
    given.stream = None
    return given


DIALECT = Dialect(
    name=DialectName.OPENAI_EMBEDDINGS,
    read_envelope=read_envelope,
    error_body=error_body,
    error_event=error_event,
)
