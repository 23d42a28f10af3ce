"""The surfaces of OpenAI-shaped vendors, at the paths that OpenAI gave them.

What translates is imported when the first request is translated: most traffic goes through as it is.
"""

from collections.abc import Callable
from functools import partial

from gateway.core.types import ChatRequest, DialectName, Event
from providers.contract import ProviderRequest, Surface, Transducer, Translator
from providers.openai_like.chat_options import ChatOptions
from providers.openai_like.stream import ChatStreamObserver
from providers.openai_like.usage import read_summary


def chat_surface(
    options: ChatOptions | None = None,
    forwarded_headers: tuple[str, ...] = (),
    serves: Callable[[str], bool] | None = None,
    *,
    is_strict: bool = False,
) -> Surface:
    """Chat completions. Without ``options`` they are OpenAI's; ``forwarded_headers`` are those of a client of the same
    dialect. ``serves(model)`` says which models the endpoint knows, None that it knows all; ``is_strict``, that unknown
    members of a message are refused."""
    return Surface(
        path="/chat/completions",
        dialect=DialectName.OPENAI_CHAT,
        translator=Translator(partial(_to_wire, options or ChatOptions()), _read_answer, _transducer),
        observer=ChatStreamObserver,
        read_summary=read_summary,
        asks_stream_usage=True,
        forwarded_headers=forwarded_headers,
        serves=serves,
        is_strict=is_strict,
    )


def embeddings_surface() -> Surface:
    return Surface(path="/embeddings", dialect=DialectName.OPENAI_EMBEDDINGS, read_summary=read_summary)


def _to_wire(options: ChatOptions, request: ChatRequest, model: str) -> ProviderRequest:
    from providers.openai_like.chat_request import chat_writer

    return chat_writer(options)(request, model)


def _read_answer(body: bytes) -> list[Event]:
    from providers.openai_like.chat_answer import read_chat_answer

    return read_chat_answer(body)


def _transducer() -> Transducer:
    from providers.openai_like.chat_transducer import ChatTransducer

    return ChatTransducer()
