"""Anthropic. API reference: platform.claude.com/docs/en/api.

The Messages API itself is read and written in ``providers.claude``, which the other houses of Claude share.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import UpstreamRefused
from gateway.core.secret import Secret
from gateway.core.types import Capability, DialectName, Header, Model
from providers import openai_like
from providers.claude.answer import read_answer
from providers.claude.counting import count_to_wire, read_counting, read_counting_summary
from providers.claude.observer import MessagesStreamObserver, read_messages_summary
from providers.claude.request import to_wire
from providers.claude.stream import MessagesTransducer
from providers.claude.wire import ERROR_STATUS
from providers.contract import Provider, Surface, Translator, bearer

_OAUTH_PREFIX = "sk-ant-oat"
_OAUTH_BETA = "oauth-2025-04-20"
# What a client says about itself and its session, beside all that begins with ``anthropic-``.
_FORWARDED = (
    "anthropic-beta",
    "anthropic-version",
    "anthropic-dangerous-direct-browser-access",
    "x-claude-code-session-id",
)


def auth(key: Secret) -> tuple[Header, ...]:
    """API keys have a header of their own; OAuth tokens (``claude setup-token``) are bearer tokens behind a beta."""
    if key.reveal().startswith(_OAUTH_PREFIX):
        return (*bearer(key), ("anthropic-beta", _OAUTH_BETA))
    return (("x-api-key", key.reveal()),)


class _Details(Struct):
    error_code: str | None = None


class _Error(Struct):
    type: str = ""
    details: _Details | None = None


class _ErrorBody(Struct):
    error: _Error


class _ListedModel(Struct):
    id: str
    display_name: str = ""
    created_at: datetime | None = None


class _ModelList(Struct):
    data: list[_ListedModel]


_read_error_body = msgspec.json.Decoder(_ErrorBody).decode
_read_model_list = msgspec.json.Decoder(_ModelList).decode


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamRefused:
    """``{"type": "error", "error": {type, message, details?}, "request_id"}``. Whether another try may help is what
    ``x-should-retry`` says, else what the status and the type of the error mean ("Errors")."""
    refused = openai_like.read_error(status, headers, body)
    error = _decode_error(body)
    if error.details is not None and error.details.error_code is not None:
        refused.native_code = openai_like.clean_message(error.details.error_code)
    retryable = {status, ERROR_STATUS.get(error.type, status)} & openai_like.RETRYABLE_STATUS
    refused.retryable = openai_like.may_retry(headers, bool(retryable))
    return refused


def _decode_error(body: bytes) -> _Error:
    try:
        return _read_error_body(body).error
    except DECODE_ERRORS:
        return _Error()


def read_models(body: bytes) -> list[Model]:
    """The answer of ``GET /models``. ``ValueError`` when it is none. An unknown date is told as the epoch: our 0."""
    try:
        listed = _read_model_list(body).data
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a model list: {error}") from None
    return [Model(m.id, _unix_time(m.created_at), "anthropic", m.display_name) for m in listed]


def _unix_time(moment: datetime | None) -> int:
    if moment is None:
        return 0
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


PROVIDER = Provider(
    name="anthropic",
    title="Anthropic",
    base_url="https://api.anthropic.com/v1",
    auth=auth,
    headers=(("anthropic-version", "2023-06-01"),),
    surfaces={
        Capability.CHAT: (
            Surface(
                path="/messages",
                dialect=DialectName.ANTHROPIC_MESSAGES,
                is_strict=True,
                translator=Translator(to_wire, read_answer, MessagesTransducer),
                observer=MessagesStreamObserver,
                read_summary=read_messages_summary,
                forwarded_headers=_FORWARDED,
                forwarded_prefixes=("anthropic-",),
            ),
        ),
        Capability.COUNT_TOKENS: (
            Surface(
                path="/messages/count_tokens",
                dialect=DialectName.ANTHROPIC_COUNTING,
                is_strict=True,
                translator=Translator(count_to_wire, read_counting),
                read_summary=read_counting_summary,
                forwarded_headers=_FORWARDED,
                forwarded_prefixes=("anthropic-",),
            ),
        ),
    },
    read_error=read_error,
    # the largest page; Anthropic has about a dozen models
    models_path="/models?limit=1000",
    read_models=read_models,
)
