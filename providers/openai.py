"""OpenAI. API reference: platform.openai.com/docs/api-reference."""

from gateway.core.types import Capability, DialectName
from providers import openai_like
from providers.contract import Provider, Surface

PROVIDER = Provider(
    name="openai",
    title="OpenAI",
    base_url="https://api.openai.com/v1",
    surfaces={
        Capability.CHAT: Surface(
            path="/chat/completions",
            dialect=DialectName.OPENAI_CHAT,
            asks_stream_usage=True,
        ),
        Capability.EMBEDDINGS: Surface(path="/embeddings", dialect=DialectName.OPENAI_EMBEDDINGS),
    },
    read_error=openai_like.read_error,
    models_path="/models",
    read_models=openai_like.read_models,
    observer=openai_like.ChatStreamObserver,
    read_summary=openai_like.read_summary,
)
