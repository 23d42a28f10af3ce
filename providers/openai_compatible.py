"""Any server that speaks OpenAI's language and has no file of its own here: vLLM, llama.cpp, LM Studio and the like.

It has no address of its own, and may need no key. What only OpenAI has (stored responses, files, batches) the gateway
does itself; everything else is asked for at the usual paths, and a server that lacks one answers 404.
"""

from gateway.core.types import Capability
from providers import openai_like
from providers.contract import Provider
from providers.openai_like.media import OPENAI_MEDIA, forwarded_surfaces

_MEDIA = tuple(capability for capability in OPENAI_MEDIA if capability is not Capability.COMPACTION)

PROVIDER = Provider(
    name="openai_compatible",
    title="OpenAI-compatible server",
    base_url="",
    surfaces={
        Capability.CHAT: (openai_like.chat_surface(openai_like.COMPATIBLE),),
        Capability.EMBEDDINGS: (openai_like.embeddings_surface(),),
        **forwarded_surfaces(*_MEDIA, Capability.RERANK),
    },
    read_error=openai_like.read_error,
    needs_key=False,
    models_path="/models",
    read_models=openai_like.read_models,
)
