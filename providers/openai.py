"""OpenAI. API reference: platform.openai.com/docs/api-reference."""

from gateway.core.types import Capability
from providers import openai_like
from providers.contract import Provider
from providers.openai_like.kept import kept_surfaces
from providers.openai_like.media import OPENAI_MEDIA, forwarded_surfaces
from providers.openai_like.openai_families import speaks_chat
from providers.openai_like.responses import CHAT_HEADERS, counting_surface, responses_surface

PROVIDER = Provider(
    name="openai",
    title="OpenAI",
    base_url="https://api.openai.com/v1",
    surfaces={
        Capability.CHAT: (
            responses_surface("openai"),
            openai_like.chat_surface(
                openai_like.ChatOptions(title="OpenAI"), CHAT_HEADERS, speaks_chat, is_strict=True
            ),
        ),
        Capability.COUNT_TOKENS: (counting_surface("openai"),),
        Capability.EMBEDDINGS: (openai_like.embeddings_surface(),),
        **forwarded_surfaces(*OPENAI_MEDIA),
        **kept_surfaces(),
    },
    read_error=openai_like.read_error,
    models_path="/models",
    read_models=openai_like.read_models,
)
