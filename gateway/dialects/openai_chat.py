"""OpenAI chat completions (``POST /v1/chat/completions``): the dialect most clients speak.

What translates is imported when the first request is translated: most traffic goes through as it is.
"""

from collections.abc import Callable
from functools import cache

from gateway.core.types import ChatRequest, DialectName
from gateway.dialects.contract import Dialect, Encoder
from gateway.dialects.foreign_thought import without_foreign_members
from gateway.dialects.openai_chat_envelope import read_envelope
from gateway.dialects.openai_errors import error_body, error_event


@cache
def _decoder() -> Callable[[bytes], ChatRequest]:
    from gateway.dialects.openai_chat_request import decode

    return decode


@cache
def _new_encoder() -> Callable[[str, bool, int], Encoder]:
    from gateway.dialects.openai_chat_answer import ChatEncoder

    return ChatEncoder


def _decode(body: bytes) -> ChatRequest:
    return _decoder()(body)


def _encoder(request: ChatRequest, created: int) -> Encoder:
    return _new_encoder()(request.model, request.include_usage, created)


DIALECT = Dialect(
    name=DialectName.OPENAI_CHAT,
    read_envelope=read_envelope,
    error_body=error_body,
    error_event=error_event,
    decode=_decode,
    without_foreign_thought=without_foreign_members,
    encoder=_encoder,
)
