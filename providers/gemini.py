"""Google Gemini. API reference: ai.google.dev/api.

generateContent itself is read and written in ``providers.generate_content``, which Google's other houses share.
"""

import msgspec
from msgspec import Struct

from gateway.core.secret import Secret
from gateway.core.types import Capability, DialectName, Header, Model
from providers.contract import Provider, Surface, Translator
from providers.generate_content.answer import read_answer
from providers.generate_content.counting import read_counted, to_counting_wire
from providers.generate_content.embeddings import read_embeddings, to_embedding_wire
from providers.generate_content.errors import read_error
from providers.generate_content.request import to_wire
from providers.generate_content.stream import GenerateContentTransducer

_DIALECT = DialectName.GEMINI_GENERATE_CONTENT
# Enough for any name; every client that lists models gets the texts of every model.
_MAX_NAME_CHARS = 128


def auth(key: Secret) -> tuple[Header, ...]:
    """A header and not the query, which ends up in logs."""
    return (("x-goog-api-key", key.reveal()),)


class _ListedModel(Struct, rename="camel"):
    name: str
    display_name: str | None = None


class _ModelList(Struct):
    models: list[_ListedModel]


_read_model_list = msgspec.json.Decoder(_ModelList).decode


def read_models(body: bytes) -> list[Model]:
    """The answer of ``GET /v1beta/models``; ``models/gemini-2.5-pro`` is told as ``gemini-2.5-pro``. ``ValueError``
    when it is none."""
    try:
        listed = _read_model_list(body).models
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a model list: {error}") from None
    return [
        Model(m.name.removeprefix("models/"), owned_by="google", display_name=(m.display_name or "")[:_MAX_NAME_CHARS])
        for m in listed
    ]


PROVIDER = Provider(
    name="gemini",
    title="Google Gemini",
    base_url="https://generativelanguage.googleapis.com",
    auth=auth,
    surfaces={
        Capability.CHAT: (
            Surface(
                path="/v1beta/models/{model}:generateContent",
                stream_path="/v1beta/models/{model}:streamGenerateContent?alt=sse",
                dialect=_DIALECT,
                translator=Translator(to_wire, read_answer, GenerateContentTransducer),
            ),
        ),
        Capability.EMBEDDINGS: (
            Surface(
                path="/v1beta/models/{model}:batchEmbedContents",
                dialect=_DIALECT,
                translator=Translator(to_embedding_wire, read_embeddings),
            ),
        ),
        Capability.COUNT_TOKENS: (
            Surface(
                path="/v1beta/models/{model}:countTokens",
                dialect=_DIALECT,
                translator=Translator(to_counting_wire, read_counted),
            ),
        ),
    },
    read_error=read_error,
    # the largest page; Google has about a hundred models
    models_path="/v1beta/models?pageSize=1000",
    read_models=read_models,
)
