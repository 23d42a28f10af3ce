"""Embeddings: ``batchEmbedContents``, one request for each text.

Source: ai.google.dev/api/embeddings (2026-11). Tokens instead of texts are refused: they are another maker's.
"""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import EmbeddingRequest, Event, Finish, FinishReason, UsageReport, Vector
from providers.contract import ProviderRequest
from providers.generate_content.draft import JsonObject
from providers.generate_content.request import encode
from providers.generate_content.wire import WireUsage, broken, read_usage

# Google's own fields, in both of their spellings.
_FIELDS = {"task_type": "taskType", "taskType": "taskType", "title": "title"}


class _Embedding(Struct):
    values: list[float]


class _Answer(Struct, rename="camel"):
    embeddings: list[_Embedding] | None = None
    usage_metadata: WireUsage | None = None


_read_embeddings = msgspec.json.Decoder(_Answer).decode


def to_embedding_wire(request: EmbeddingRequest, model: str) -> ProviderRequest:
    """Raises ``BadRequest`` and ``UnsupportedParameter``."""
    members: JsonObject = {"model": f"models/{model}"}
    if request.dimensions is not None:
        members["outputDimensionality"] = request.dimensions
    dropped = ["user"] if request.user else []
    for name, raw in request.extra.items():
        if bytes(raw) == b"null":
            continue
        if name in _FIELDS:
            members[_FIELDS[name]] = raw
        else:
            dropped.append(name)
    if not request.inputs:
        raise BadRequest("'input' must not be empty", param="input")
    return encode({"requests": [{**members, "content": _write_input(text)} for text in request.inputs]}, dropped)


def _write_input(text: Any) -> JsonObject:
    if not isinstance(text, str):
        raise UnsupportedParameter("gemini takes texts, not tokens", param="input")
    return {"parts": [{"text": text}]}


def read_embeddings(body: bytes) -> list[Event]:
    """A vector for each text, in their order. Most models do not say how many tokens they have read."""
    try:
        answer = _read_embeddings(body)
    except DECODE_ERRORS:
        return [broken("the provider's answer could not be read")]
    if answer.embeddings is None:
        return [broken("the provider's answer has no embeddings")]
    events: list[Event] = [Vector(index, embedding.values) for index, embedding in enumerate(answer.embeddings)]
    usage = read_usage(answer.usage_metadata) if answer.usage_metadata is not None else None
    if usage is not None:
        events.append(UsageReport(usage))
    return [*events, Finish(FinishReason.STOP)]
