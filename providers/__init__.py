"""One file, one provider. A file in this folder with a ``PROVIDER`` record is a provider; nothing else names it."""

import importlib
import pkgutil
from functools import cache

from providers.contract import Provider

# The provider that answers when none is configured.
FALLBACK = "simulator"


def _is_provider(module: str) -> bool:
    """Beside the providers live the contract and the wire shapes that several of them share (``openai_like``)."""
    return module != "contract" and not module.endswith("_like")


@cache
def provider_types() -> tuple[str, ...]:
    """The names of all providers, sorted; nothing is imported."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.ispkg and _is_provider(m.name)))


def load(type_name: str) -> Provider:
    """The record of one provider; only its file is imported. ``KeyError`` for an unknown name."""
    if type_name not in provider_types():
        raise KeyError(type_name)
    provider: Provider = importlib.import_module(f"providers.{type_name}").PROVIDER
    return provider
