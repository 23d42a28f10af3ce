"""OpenAI chat completions (``POST /v1/chat/completions``): the dialect most clients speak."""

from gateway.core.types import ChatRequest, DialectName
from gateway.dialects.contract import Dialect
from gateway.dialects.foreign_thought import without_foreign_members
from gateway.dialects.openai_chat_answer import ChatEncoder
from gateway.dialects.openai_chat_request import decode, read_envelope
from gateway.dialects.openai_errors import error_body, error_event


def _encoder(request: ChatRequest, created: int) -> ChatEncoder:
    return ChatEncoder(request.model, request.include_usage, created)


DIALECT = Dialect(
    name=DialectName.OPENAI_CHAT,
    read_envelope=read_envelope,
    error_body=error_body,
    error_event=error_event,
    decode=decode,
    without_foreign_thought=without_foreign_members,
    encoder=_encoder,
)
