"""Every dialect that clients speak, each loaded when the first client speaks it: together they are two megabytes."""

from collections.abc import Callable, Mapping

from gateway.core.types import DialectName
from gateway.dialects import openai_chat
from gateway.dialects.contract import Dialect


def _openai_responses() -> Dialect:
    from gateway.dialects.openai_responses import DIALECT

    return DIALECT


def _openai_counting() -> Dialect:
    from gateway.dialects.openai_responses import COUNTING

    return COUNTING


def _openai_embeddings() -> Dialect:
    from gateway.dialects.openai_embeddings import DIALECT

    return DIALECT


def _openai_json() -> Dialect:
    from gateway.dialects.openai_json import DIALECT

    return DIALECT


def _openai_form() -> Dialect:
    from gateway.dialects.openai_form import DIALECT

    return DIALECT


def _anthropic_messages() -> Dialect:
    from gateway.dialects.anthropic_messages import DIALECT

    return DIALECT


def _anthropic_counting() -> Dialect:
    from gateway.dialects.anthropic_messages import COUNTING

    return COUNTING


_LOADERS: dict[DialectName, Callable[[], Dialect]] = {
    DialectName.OPENAI_CHAT: lambda: openai_chat.DIALECT,
    DialectName.OPENAI_RESPONSES: _openai_responses,
    DialectName.OPENAI_COUNTING: _openai_counting,
    DialectName.OPENAI_EMBEDDINGS: _openai_embeddings,
    DialectName.OPENAI_JSON: _openai_json,
    DialectName.OPENAI_FORM: _openai_form,
    DialectName.ANTHROPIC_MESSAGES: _anthropic_messages,
    DialectName.ANTHROPIC_COUNTING: _anthropic_counting,
}

# Headers that give a client's dialect away where the path does not.
TELLING_HEADERS = {"anthropic-version": DialectName.ANTHROPIC_MESSAGES}


class _Dialects(dict[DialectName, Dialect]):
    """Loads what is missing. ``KeyError`` for a language that only providers speak."""

    def __missing__(self, name: DialectName) -> Dialect:
        dialect = self[name] = _LOADERS[name]()
        return dialect


def spoken_dialects() -> Mapping[DialectName, Dialect]:
    """By name; a dialect is imported when it is first asked for."""
    return _Dialects()
