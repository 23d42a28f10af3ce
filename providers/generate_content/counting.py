"""Counting the tokens of a request that is not sent: ``countTokens``.

Source: ai.google.dev/api/tokens (2026-11).
"""

import msgspec
from msgspec import Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.types import ChatRequest, Event, Finish, FinishReason, Usage, UsageReport
from providers.contract import ProviderRequest
from providers.generate_content.draft import House
from providers.generate_content.request import GEMINI, draft_request, encode
from providers.generate_content.wire import NULL, broken, read_count

# What of a request is read by the model; the rest only steers the answer.
_COUNTED = ("contents", "systemInstruction", "tools", "toolConfig", "cachedContent")


class _Counted(Struct, rename="camel"):
    total_tokens: msgspec.Raw = NULL


_read_counted = msgspec.json.Decoder(_Counted).decode


def to_counting_wire(request: ChatRequest, model: str, house: House = GEMINI) -> ProviderRequest:
    """Raises ``BadRequest`` and ``UnsupportedParameter``, as the request itself would."""
    draft = draft_request(request, model, house)
    counted = {name: draft.body[name] for name in _COUNTED if name in draft.body}
    return encode({"generateContentRequest": {"model": f"models/{model}", **counted}}, draft.dropped)


def read_counted(body: bytes) -> list[Event]:
    """``{"totalTokens": 9}`` as the usage of an input."""
    try:
        total = read_count(_read_counted(body).total_tokens)
    except DECODE_ERRORS:
        total = None
    if total is None:
        return [broken("the provider's count of tokens could not be read")]
    return [UsageReport(Usage(input_tokens=total)), Finish(FinishReason.STOP)]
