"""OpenAI-shaped endpoints that the gateway forwards by their model alone: completions, moderations, speech, images and
the ``rerank`` that others added to them. Nothing but the model is read."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.core.limits import MAX_MODEL_ID_CHARS
from gateway.core.types import DialectName
from gateway.dialects.contract import Dialect, Envelope
from gateway.dialects.fields import Decode, parse_body
from gateway.dialects.openai_errors import error_body, error_event


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _JsonEnvelope(Envelope, kw_only=True):
    model: Annotated[str, Meta(min_length=1, max_length=MAX_MODEL_ID_CHARS)]
    stream_options: _StreamOptions | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage is True


_as_envelope: Decode[_JsonEnvelope] = msgspec.json.Decoder(_JsonEnvelope).decode


def read_envelope(body: bytes) -> Envelope:
    """Model and stream flags; the other members are only checked to be JSON. Raises ``BadRequest``."""
    return parse_body(body, _as_envelope)


DIALECT = Dialect(
    name=DialectName.OPENAI_JSON,
    read_envelope=read_envelope,
    error_body=error_body,
    error_event=error_event,
)
