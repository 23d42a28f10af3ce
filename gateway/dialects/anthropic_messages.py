"""Anthropic messages (``POST /v1/messages``) and token counting (``POST /v1/messages/count_tokens``)."""

from gateway.core.types import ChatRequest, DialectName
from gateway.dialects.anthropic_errors import error_body, error_event
from gateway.dialects.anthropic_messages_answer import CountingEncoder, MessagesEncoder
from gateway.dialects.anthropic_messages_request import (
    decode,
    decode_counting,
    read_counting_envelope,
    read_envelope,
)
from gateway.dialects.contract import Dialect
from gateway.dialects.foreign_thought import without_foreign_blocks


def _encoder(request: ChatRequest, created: int) -> MessagesEncoder:
    return MessagesEncoder(request.model, created)


def _counting_encoder(_request: ChatRequest, _created: int) -> CountingEncoder:
    return CountingEncoder()


DIALECT = Dialect(
    name=DialectName.ANTHROPIC_MESSAGES,
    read_envelope=read_envelope,
    error_body=error_body,
    error_event=error_event,
    decode=decode,
    encoder=_encoder,
    without_foreign_thought=without_foreign_blocks,
    ping=b'event: ping\ndata: {"type": "ping"}\n\n',
)

COUNTING = Dialect(
    name=DialectName.ANTHROPIC_COUNTING,
    read_envelope=read_counting_envelope,
    error_body=error_body,
    error_event=error_event,
    decode=decode_counting,
    encoder=_counting_encoder,
    without_foreign_thought=without_foreign_blocks,
)
