"""OpenRouter. API reference: openrouter.ai/docs/api-reference.

One API in front of many makers. It is OpenAI's chat with more in it: ``reasoning`` as an object, thought that goes back
as ``reasoning_details``, ``cache_control`` on texts, documents by URL, and fields of its own (``provider``, ``models``,
``plugins``, ``top_k``). What a model does not take is left out there and not refused, so nothing is left out here. A
server tool of another vendor has no counterpart: the web plugin searches for every request, and not when the model
wants to.
"""

from gateway.core.types import Capability
from providers import openai_like
from providers.contract import Provider

OPTIONS = openai_like.ChatOptions(
    title="OpenRouter",
    max_tokens_field="max_tokens",
    max_stops=None,
    max_user_chars=128,
    max_call_id_chars=None,
    has_allowed_tools=False,
    has_reasoning_object=True,
    has_openai_models=False,
    takes_file_urls=True,
    takes_unknown=True,
    part_members=frozenset(("cache_control", "prompt_cache_breakpoint")),
    replay=openai_like.Replay.DETAILS,
)

# How an app names itself for OpenRouter's rankings ("App attribution").
_ATTRIBUTION = ("http-referer", "x-openrouter-title", "x-title")

PROVIDER = Provider(
    name="openrouter",
    title="OpenRouter",
    base_url="https://openrouter.ai/api/v1",
    surfaces={
        Capability.CHAT: (openai_like.chat_surface(OPTIONS, _ATTRIBUTION),),
        Capability.EMBEDDINGS: (openai_like.embeddings_surface(),),
    },
    read_error=openai_like.read_error,
    models_path="/models",
    read_models=openai_like.read_models,
)
