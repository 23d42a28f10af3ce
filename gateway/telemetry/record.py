"""What is known of one request: filled in as it goes through the pipeline, settled once, and then its log line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET, Struct, UnsetType

from gateway.core.types import Usage

if TYPE_CHECKING:
    from gateway.telemetry.metrics import Series

# Telemetry never shows a text that a client made up; it shows this word or judged ids.
OTHER_MODEL = "other"

_LOGGED_NAMES = {
    "is_stream": "stream",
    "is_disconnected": "disconnected",
    "is_truncated": "truncated",
    "is_probe": "probe",
    "error_code": "error",
}


class Record(Struct, omit_defaults=True, rename=_LOGGED_NAMES):
    """Exactly these members make a log line, so a prompt, a header or a key cannot enter one by accident. Durations are
    in milliseconds, sizes in bytes; ``time`` is RFC 3339 in UTC.

    ``series`` are the counters of the request's target, once it has one; they are taken out before the line is written.
    """

    request_id: str
    time: str = ""
    event: str = ""
    endpoint: str = ""
    status: int = 0
    duration_ms: float = 0.0
    requested_model: str = ""
    provider: str = ""
    model: str = ""
    is_stream: bool = False
    cache: str = ""
    attempts: int = 0
    finish_reason: str | None = None
    usage: Usage | None = None
    upstream_ms: float = 0.0
    upload_ms: float = 0.0
    first_token_ms: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    upstream_request_id: str = ""
    dropped: tuple[str, ...] = ()
    error_code: str = ""
    detail: str = ""
    is_disconnected: bool = False
    is_truncated: bool = False
    is_probe: bool = False
    series: Series | UnsetType = UNSET

    def foreign_text(self) -> str:
        """Everything in it that a client or a provider may have written; the rest is ours."""
        text = f"{self.request_id} {self.requested_model} {self.upstream_request_id} {self.finish_reason} {self.detail}"
        return f"{text} {' '.join(self.dropped)}" if self.dropped else text


def milliseconds(seconds: float) -> float:
    """To a hundredth. ``round`` would take four times as long, and this runs several times a request."""
    return int(seconds * 100_000) / 100
