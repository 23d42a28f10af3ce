"""The endpoints of OpenAI-shaped vendors that are forwarded by their model alone, at the paths that OpenAI gave them.

Source: OpenAI API reference, "Completions", "Moderations", "Audio" and "Images" (2026-11).
"""

from collections.abc import Mapping

from gateway.core.types import Capability, DialectName
from providers.contract import Surface
from providers.openai_like.stream import ChatStreamObserver
from providers.openai_like.usage import read_summary

_JSON_PATHS = {
    Capability.MODERATIONS: "/moderations",
    Capability.SPEECH: "/audio/speech",
    Capability.IMAGE_GENERATIONS: "/images/generations",
    Capability.RERANK: "/rerank",
    Capability.COMPACTION: "/responses/compact",
}
_FORM_PATHS = {
    Capability.TRANSCRIPTIONS: "/audio/transcriptions",
    Capability.TRANSLATIONS: "/audio/translations",
    Capability.IMAGE_EDITS: "/images/edits",
    Capability.IMAGE_VARIATIONS: "/images/variations",
}
# What OpenAI itself offers of them.
OPENAI_MEDIA = (
    Capability.COMPLETIONS,
    Capability.MODERATIONS,
    Capability.SPEECH,
    Capability.IMAGE_GENERATIONS,
    Capability.COMPACTION,
    *_FORM_PATHS,
)


def forwarded_surfaces(*capabilities: Capability) -> Mapping[Capability, tuple[Surface, ...]]:
    """The surfaces for those of these endpoints that a vendor has. ``KeyError`` for a capability that is none."""
    return {capability: (_surface(capability),) for capability in capabilities}


def _surface(capability: Capability) -> Surface:
    if capability is Capability.COMPLETIONS:
        return Surface(
            path="/completions",
            dialect=DialectName.OPENAI_JSON,
            observer=ChatStreamObserver,
            read_summary=read_summary,
            asks_stream_usage=True,
        )
    form = _FORM_PATHS.get(capability)
    if form is not None:
        # the type of a form says where its parts end
        return Surface(
            path=form, dialect=DialectName.OPENAI_FORM, read_summary=read_summary, forwarded_headers=("content-type",)
        )
    # speech is sound, without a word on what it cost
    summary = None if capability is Capability.SPEECH else read_summary
    return Surface(path=_JSON_PATHS[capability], dialect=DialectName.OPENAI_JSON, read_summary=summary)
