"""The tables of ``docs/api.md``, printed from the code's own tables. ``make docs`` writes them into the page."""

from collections.abc import Iterable, Iterator

import msgspec

from gateway.config.reference import refresh_files, replace_between
from gateway.core import errors
from gateway.endpoints import ANY, ENDPOINTS
from gateway.telemetry.metrics import METRICS
from gateway.telemetry.record import Record


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def endpoints() -> str:
    rows = [
        (f"`{'any method' if e.method == ANY else e.method} {e.path}`", e.access.value, e.summary) for e in ENDPOINTS
    ]
    return _table(("endpoint", "access", "what it does"), rows)


def error_codes() -> str:
    rows = [
        (f"`{kind.code}`", str(kind.status), kind.source, _first_sentence(kind.__doc__))
        for kind in _family(errors.GatewayError)
        if "code" in vars(kind) and kind not in (errors.GatewayError, errors.UpstreamError)
    ]
    return _table(("code", "status", "source", "meaning"), rows)


def _family(kind: type[errors.GatewayError]) -> Iterator[type[errors.GatewayError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


def _first_sentence(text: str | None) -> str:
    return " ".join((text or "").split()).split(". ")[0].rstrip(".") + "."


def log_fields() -> str:
    rows = [(f"`{field.encode_name}`", _FIELDS[field.encode_name]) for field in _logged()]
    return _table(("field", "meaning"), rows)


def _logged() -> list[msgspec.structs.FieldInfo]:
    # annotations of a Struct under ``if TYPE_CHECKING`` cannot be resolved; names are all that is needed
    names = zip(Record.__struct_fields__, Record.__struct_encode_fields__, strict=True)
    return [msgspec.structs.FieldInfo(name, encoded, str) for name, encoded in names if name != "series"]


_FIELDS = {
    "request_id": "`X-Request-ID` of the answer",
    "time": "when the answer was complete, RFC 3339 in UTC",
    "event": "`request`; lines about the gateway itself have `gateway` and a `message`",
    "endpoint": "the endpoint's name",
    "status": "HTTP status; 499 when the client left before its answer was complete",
    "duration_ms": "from the request head to the last byte, in milliseconds",
    "requested_model": "the model id as the client wrote it",
    "provider": "the instance that answered",
    "model": "the model id in the provider's words",
    "stream": "true for a streamed answer",
    "cache": "the cache's verdict",
    "attempts": "how often the provider was asked",
    "finish_reason": "why the answer ended, as the client was told",
    "usage": "tokens: `input_tokens`, `output_tokens` and, where not zero, their shares",
    "upstream_ms": "of the duration, the time spent waiting for the provider and between attempts",
    "upload_ms": "of the duration, the time spent waiting for a request body that came in pieces",
    "first_token_ms": "streams: until the first token",
    "bytes_in": "size of the request body",
    "bytes_out": "size of the answer's body",
    "upstream_request_id": "the provider's own id of the request, for its support",
    "dropped": "what was left out of request and answer, named as in `X-Sluice-Dropped`",
    "error": "the error's code",
    "detail": "what only the operator may see of it; never a prompt, never a key",
    "disconnected": "true when the client left",
    "truncated": "true when the stream broke off",
    "probe": "true for health checks and scrapes",
}


def metrics() -> str:
    rows = [
        (f"`{m.name}{'_total' if m.kind == 'counter' else ''}`", m.kind, ", ".join(f"`{x}`" for x in m.labels), m.help)
        for m in METRICS
    ]
    return _table(("metric", "kind", "labels", "meaning"), rows)


TABLES = {"endpoints": endpoints, "errors": error_codes, "log": log_fields, "metrics": metrics}


def refresh(page: str) -> str:
    """``page`` with each table between its marks written anew. ``ValueError`` without the marks."""
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: written by `make docs` -->\n", f"<!-- end of {name} -->\n"
        page = replace_between(page, begin, end, f"{table()}\n")
    return page


if __name__ == "__main__":
    refresh_files(refresh)
