"""Metadata that a client hangs on an object: pairs of texts that mean something to nobody else.

Source: OpenAI API reference, ``metadata`` of conversations, batches and responses (2026-11).
"""

from collections.abc import Mapping
from typing import Final

from gateway.core.errors import BadRequest

MAX_METADATA_PAIRS: Final = 16
MAX_METADATA_KEY_CHARS: Final = 64
MAX_METADATA_VALUE_CHARS: Final = 512


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Raises ``BadRequest`` beyond a bound."""
    if len(metadata) > MAX_METADATA_PAIRS:
        raise BadRequest(f"'metadata' may have {MAX_METADATA_PAIRS} pairs at most.", param="metadata")
    for key, value in metadata.items():
        if len(key) > MAX_METADATA_KEY_CHARS:
            raise BadRequest(f"A key of 'metadata' is longer than {MAX_METADATA_KEY_CHARS}.", param="metadata")
        if len(value) > MAX_METADATA_VALUE_CHARS:
            raise BadRequest(f"A value of 'metadata' is longer than {MAX_METADATA_VALUE_CHARS}.", param="metadata")
