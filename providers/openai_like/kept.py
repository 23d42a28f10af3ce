"""What OpenAI keeps for its clients, and where: the endpoints whose objects are asked for by their ids."""

from gateway.core.types import Capability, DialectName
from providers.contract import Surface

_PATHS = {
    Capability.STORED_RESPONSES: "/responses",
    Capability.CONVERSATIONS: "/conversations",
    Capability.FILES: "/files",
    Capability.BATCHES: "/batches",
}


def kept_surfaces() -> dict[Capability, tuple[Surface, ...]]:
    """All four, for a vendor whose API has them as OpenAI's has."""
    return {capability: (Surface(path=path, dialect=DialectName.OPENAI_JSON),) for capability, path in _PATHS.items()}
