"""Batches in OpenAI's shape, as the gateway runs them itself: what is asked, how it proceeds, what comes out.

    validating ─> in_progress ─> finalizing ─> completed
        │  └────────────┴──────────┴─────────> expired, failed
        └── any of these ──> cancelling ─────> cancelled

An input file has one request a line; results and errors are files of lines too. See the batch guide and the reference
pages "Create batch" and "The request input / output object" of OpenAI's API. Unlike there, one batch may ask several
models, and ``/v1/messages`` is an endpoint like the others.
"""

from typing import Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from gateway.core.errors import BadRequest
from gateway.core.jsonguard import guarded
from gateway.core.metadata import check_metadata

BATCH_ENDPOINTS: Final = (
    "/v1/chat/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
)
WINDOW_S: Final = 24 * 3600
# What OpenAI allows for the files a batch writes, in seconds.
MIN_OUTPUT_TTL_S: Final = 3600
MAX_OUTPUT_TTL_S: Final = 30 * 86400

Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
UNFINISHED: Final = ("validating", "in_progress", "finalizing", "cancelling")

_NEXT: dict[str, tuple[str, ...]] = {
    "validating": ("in_progress", "failed", "expired", "cancelling"),
    "in_progress": ("finalizing", "failed", "expired", "cancelling"),
    "finalizing": ("completed", "failed", "expired", "cancelling"),
    "cancelling": ("cancelled",),
}


# --- what a client orders -----------------------------------------------------------------------------------------


class OutputExpiry(Struct, frozen=True):
    """When the files that a batch writes are no longer wanted: so many seconds after they were written."""

    anchor: Literal["created_at"]
    seconds: int


class _Order(Struct):
    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[str, str] | None = None
    output_expires_after: OutputExpiry | None = None


class BatchOrder(Struct, frozen=True):
    """The body of "Create batch". ``output_ttl_s`` is how long the written files are wanted, None for the default;
    ``unknown`` are fields that have no meaning here."""

    input_file_id: str
    endpoint: str
    metadata: dict[str, str] | None
    output_ttl_s: int | None
    unknown: tuple[str, ...]


_read_order = msgspec.json.Decoder(_Order).decode
_read_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_order(body: bytes) -> BatchOrder:
    """Reads what a client sends to create a batch. Raises ``BadRequest`` that names the field."""
    order = guarded(body, _read_order)
    if order.endpoint not in BATCH_ENDPOINTS:
        raise BadRequest(f"'endpoint' must be one of {', '.join(BATCH_ENDPOINTS)}.", param="endpoint")
    if order.completion_window != "24h":
        raise BadRequest("'completion_window' must be '24h'.", param="completion_window")
    check_metadata(order.metadata or {})
    expiry = order.output_expires_after
    if expiry is not None and not MIN_OUTPUT_TTL_S <= expiry.seconds <= MAX_OUTPUT_TTL_S:
        name = "output_expires_after.seconds"
        raise BadRequest(f"'{name}' must be from {MIN_OUTPUT_TTL_S} to {MAX_OUTPUT_TTL_S}.", param=name)
    unknown = tuple(name for name in _read_members(body) if name not in _Order.__struct_fields__)
    ttl_s = expiry.seconds if expiry is not None else None
    return BatchOrder(order.input_file_id, order.endpoint, order.metadata, ttl_s, unknown)


# --- the batch object ---------------------------------------------------------------------------------------------


class BatchError(Struct, frozen=True):
    """What is wrong with an input file. ``line`` counts from 1; None when it is about the file as a whole."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class BatchErrors(Struct, frozen=True, kw_only=True):
    object: Literal["list"] = "list"
    data: tuple[BatchError, ...]


class RequestCounts(Struct, frozen=True):
    total: int = 0
    completed: int = 0
    failed: int = 0


class Batch(Struct, frozen=True, kw_only=True):
    """The batch object; encoded, it is what clients read. Times are whole Unix seconds."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    errors: BatchErrors | None = None
    input_file_id: str
    completion_window: str = "24h"
    status: Status = "validating"
    output_file_id: str | None = None
    error_file_id: str | None = None
    created_at: int
    in_progress_at: int | None = None
    expires_at: int
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: RequestCounts = RequestCounts()
    metadata: dict[str, str] | None = None
    output_expires_after: OutputExpiry | UnsetType = UNSET

    @property
    def output_ttl_s(self) -> int | None:
        """How long the written files are wanted; None: until somebody deletes them."""
        return None if self.output_expires_after is UNSET else self.output_expires_after.seconds

    @property
    def is_final(self) -> bool:
        return self.status not in _NEXT

    def is_overdue(self, now: int) -> bool:
        """Must it end as expired? (What is being cancelled ends as cancelled.)"""
        return now >= self.expires_at and not self.is_final and self.status != "cancelling"


encode_batch = msgspec.json.Encoder().encode
decode_batch = msgspec.json.Decoder(Batch).decode


def create(order: BatchOrder, batch_id: str, now: int) -> Batch:
    return Batch(
        id=batch_id,
        endpoint=order.endpoint,
        input_file_id=order.input_file_id,
        metadata=order.metadata,
        output_expires_after=UNSET if order.output_ttl_s is None else OutputExpiry("created_at", order.output_ttl_s),
        created_at=now,
        expires_at=now + WINDOW_S,
    )


def _move(batch: Batch, status: Status, now: int) -> Batch:
    if status not in _NEXT.get(batch.status, ()):
        raise ValueError(f"a batch that is {batch.status} cannot become {status}")
    return replace(batch, status=status, **{f"{status}_at": now})


def start(batch: Batch, total: int, now: int) -> Batch:
    """The input file is in order and has ``total`` requests."""
    return replace(_move(batch, "in_progress", now), request_counts=RequestCounts(total))


def fail(batch: Batch, errors: tuple[BatchError, ...], now: int) -> Batch:
    """The batch cannot be run, for instance because of its input file."""
    return replace(_move(batch, "failed", now), errors=BatchErrors(data=errors))


def count(batch: Batch, completed: int, failed: int) -> Batch:
    """So many requests are done so far. ``ValueError`` when that is more than there are."""
    total = batch.request_counts.total
    if min(completed, failed) < 0 or completed + failed > total:
        raise ValueError(f"{completed} completed and {failed} failed requests of {total}")
    return replace(batch, request_counts=RequestCounts(total, completed, failed))


def finalize(batch: Batch, now: int) -> Batch:
    """All requests are done; their results are being written."""
    return _move(batch, "finalizing", now)


def cancel(batch: Batch, now: int) -> Batch:
    """A client wants no more; to ask again changes nothing. Raises ``BadRequest`` when it has ended otherwise."""
    if batch.status in ("cancelling", "cancelled"):
        return batch
    if batch.is_final:
        raise BadRequest(f"Cannot cancel a batch with status '{batch.status}'.")
    return _move(batch, "cancelling", now)


def end(
    batch: Batch,
    status: Literal["completed", "cancelled", "expired"],
    now: int,
    output_file_id: str | None,
    error_file_id: str | None,
) -> Batch:
    """The batch is over. A file that has no line does not exist and is None."""
    return replace(_move(batch, status, now), output_file_id=output_file_id, error_file_id=error_file_id)
