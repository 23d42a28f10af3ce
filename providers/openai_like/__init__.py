"""What every OpenAI-shaped provider shares: watching its answers, reading its errors and its model list."""

from providers.openai_like.chat_options import COMPATIBLE, ChatOptions, Replay
from providers.openai_like.errors import RETRYABLE_STATUS, clean_message, may_retry, read_error
from providers.openai_like.models import read_models
from providers.openai_like.stream import ChatStreamObserver
from providers.openai_like.surfaces import chat_surface, embeddings_surface
from providers.openai_like.usage import read_summary, read_usage

__all__ = [
    "COMPATIBLE",
    "RETRYABLE_STATUS",
    "ChatOptions",
    "ChatStreamObserver",
    "Replay",
    "chat_surface",
    "clean_message",
    "embeddings_surface",
    "may_retry",
    "read_error",
    "read_models",
    "read_summary",
    "read_usage",
]
