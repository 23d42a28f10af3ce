"""OpenAI chat completions (``POST /v1/chat/completions``): the dialect most clients speak.

What translates is imported when the first request is translated: most traffic goes through as it is.
"""

from gateway.core.types import ChatRequest, DialectName
from gateway.dialects.contract import Dialect, Encoder
from gateway.dialects.foreign_thought import without_foreign_members
from gateway.dialects.openai_chat_envelope import read_envelope
from gateway.dialects.openai_errors import error_body, error_event


def _decode(body: bytes) -> ChatRequest:
    from gateway.dialects.openai_chat_request import decode

    return decode(body)


def _encoder(request: ChatRequest, created: int) -> Encoder:
    from gateway.dialects.openai_chat_answer import ChatEncoder

    return ChatEncoder(request.model, request.include_usage, created)


DIALECT = Dialect(
    name=DialectName.OPENAI_CHAT,
    read_envelope=read_envelope,
    error_body=error_body,
    error_event=error_event,
    decode=_decode,
    without_foreign_thought=without_foreign_members,
    encoder=_encoder,
)
