"""OpenAI Responses (``POST /v1/responses``): what OpenAI's own SDKs, agents and the Codex CLI speak."""

from typing import ClassVar

import msgspec

from gateway.core.errors import GatewayError
from gateway.core.sse import encode_event
from gateway.core.types import DialectName, Event, UsageReport
from gateway.dialects.contract import Dialect, Envelope
from gateway.dialects.foreign_thought import without_foreign_items
from gateway.dialects.openai_errors import error_body
from gateway.dialects.openai_responses_answer import ResponsesEncoder
from gateway.dialects.openai_responses_request import (
    ResponsesEnvelope,
    ResponsesRequest,
    decode,
    read_counting_envelope,
    read_envelope,
)


def error_event(error: GatewayError) -> bytes:
    """An error that ends a stream ("Streaming events", ``error``). Its members stand where the reference has them, and
    once more in ``error``: the official SDKs raise only on that, and the Vercel SDK reads only that. The number of the
    event is not known here."""
    inner = msgspec.json.decode(error_body(error))["error"]
    members = {name: inner[name] for name in ("code", "message", "param")}
    return encode_event(
        msgspec.json.encode({"type": "error", **members, "sequence_number": 0, "error": inner}), "error"
    )


def _prepare(request: ResponsesRequest, envelope: Envelope, unique: str) -> None:
    assert isinstance(envelope, ResponsesEnvelope)
    request.response_id = f"resp_{unique}"
    request.echo |= envelope.state_echo


DIALECT = Dialect(
    name=DialectName.OPENAI_RESPONSES,
    read_envelope=read_envelope,
    error_body=error_body,
    error_event=error_event,
    decode=decode,
    encoder=ResponsesEncoder,
    prepare=_prepare,
    without_foreign_thought=without_foreign_items,
    tells_failure=True,
)


class CountingEncoder:
    """Writes the answer of token counting ("Get input token counts"), which is never streamed."""

    kept: ClassVar[None] = None
    dropped: ClassVar[tuple[str, ...]] = ()
    __slots__ = ()

    def stream(self, events: list[Event]) -> bytes:
        return b""

    def body(self, events: list[Event]) -> bytes:
        """The tokens of the last report; 0 without one."""
        counts = [event.usage.input_tokens for event in events if isinstance(event, UsageReport)]
        return msgspec.json.encode({"object": "response.input_tokens", "input_tokens": counts[-1] if counts else 0})


def _counting_encoder(_request: ResponsesRequest, _created: int) -> CountingEncoder:
    return CountingEncoder()


COUNTING = Dialect(
    name=DialectName.OPENAI_COUNTING,
    read_envelope=read_counting_envelope,
    error_body=error_body,
    error_event=error_event,
    decode=decode,
    encoder=_counting_encoder,
    without_foreign_thought=without_foreign_items,
)
