"""What is known of one request: filled in as it goes through the pipeline, settled once at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from gateway.core.types import Usage

if TYPE_CHECKING:
    from gateway.telemetry.metrics import Series

# Telemetry never shows a text that a client made up; it shows this word or judged ids.
OTHER_MODEL = "other"


class Record(Struct):
    """Times are seconds of the monotonic clock; durations are derived from them when the request is settled.

    ``is_probe`` marks a health check or a scrape: counted, and logged only when something is wrong. ``series`` are the
    counters of its target, once it has one.
    """

    request_id: str
    started_at: float
    ended_at: float = 0.0
    endpoint: str = "unknown"
    is_probe: bool = False
    is_stream: bool = False
    requested_model: str = ""
    provider: str = ""
    model: str = ""
    status: int = 0
    cache: str = "bypass"
    attempts: int = 0
    usage: Usage | None = None
    finish_reason: str | None = None
    first_token_at: float = 0.0
    upstream_s: float = 0.0
    upstream_request_id: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    dropped: tuple[str, ...] = ()
    error_code: str = ""
    detail: str = ""
    is_disconnected: bool = False
    is_truncated: bool = False
    series: Series | None = None
