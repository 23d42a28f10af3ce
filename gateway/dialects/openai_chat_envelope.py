"""The little of an OpenAI chat-completions request that routing needs. It is read for every request; what reads the
rest is imported when the first request is translated."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.core.limits import MAX_MESSAGES, MAX_MODEL_ID_CHARS
from gateway.dialects.contract import Envelope
from gateway.dialects.fields import AnyObject, Decode, parse_body


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _ChatEnvelope(Envelope, kw_only=True):
    model: Annotated[str, Meta(min_length=1, max_length=MAX_MODEL_ID_CHARS)]
    messages: Annotated[list[AnyObject], Meta(min_length=1, max_length=MAX_MESSAGES)]
    stream_options: _StreamOptions | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage is True


_as_envelope: Decode[_ChatEnvelope] = msgspec.json.Decoder(_ChatEnvelope).decode


def read_envelope(body: bytes) -> Envelope:
    """Model and stream flags. The other members are only checked to be JSON. Raises ``BadRequest``."""
    return parse_body(body, _as_envelope)
