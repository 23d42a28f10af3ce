"""The surfaces of OpenAI-shaped vendors, at the paths that OpenAI gave them."""

from collections.abc import Callable

from gateway.core.types import DialectName
from providers.contract import Surface, Translator
from providers.openai_like.chat_answer import read_chat_answer
from providers.openai_like.chat_options import ChatOptions
from providers.openai_like.chat_request import chat_writer
from providers.openai_like.chat_transducer import ChatTransducer
from providers.openai_like.stream import ChatStreamObserver
from providers.openai_like.usage import read_summary


def chat_surface(
    options: ChatOptions | None = None,
    forwarded_headers: tuple[str, ...] = (),
    serves: Callable[[str], bool] | None = None,
) -> Surface:
    """Chat completions. Without ``options`` they are OpenAI's; ``forwarded_headers`` are those of a client of the same
    dialect. ``serves(model)`` says which models the endpoint knows, None that it knows all."""
    return Surface(
        path="/chat/completions",
        dialect=DialectName.OPENAI_CHAT,
        translator=Translator(chat_writer(options or ChatOptions()), read_chat_answer, ChatTransducer),
        observer=ChatStreamObserver,
        read_summary=read_summary,
        asks_stream_usage=True,
        forwarded_headers=forwarded_headers,
        serves=serves,
    )


def embeddings_surface() -> Surface:
    return Surface(path="/embeddings", dialect=DialectName.OPENAI_EMBEDDINGS, read_summary=read_summary)
