"""The metric table, the counters behind it and their exposition.

The request path touches plain integers: one ``Series`` per endpoint, provider and model is looked up once per target
and kept there. Only a scrape turns them into samples, adds up the workers' and has prometheus-client write the text.

Labels come from closed sets (the endpoint table, configured instances, listed models, status codes); anything else
counts as ``other``. Names starting with ``gen_ai`` follow the OpenTelemetry semantic conventions for generative AI.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from gateway.core.types import Usage
from gateway.telemetry.record import Record

# OpenTelemetry, "GenAI metrics": the bucket boundaries it asks for, and finer ones for what a gateway adds.
SECONDS: Final = (
    0.01,
    0.02,
    0.04,
    0.08,
    0.16,
    0.32,
    0.64,
    1.28,
    2.56,
    5.12,
    10.24,
    20.48,
    40.96,
    81.92,
    163.84,
    327.68,
)
OVERHEAD_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
TOKENS: Final = tuple(float(4**power) for power in range(13))

REQUEST_LABELS: Final = ("endpoint", "provider", "model")
GEN_AI_LABELS: Final = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")


class Metric(Struct, frozen=True):
    """One row of the table. ``merge`` says how workers' values become one: ``sum`` or ``max``."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()
    merge: str = "sum"


METRICS: Final = (
    Metric("sluice_requests", "counter", (*REQUEST_LABELS, "status"), "Requests answered, by HTTP status."),
    Metric("sluice_request_duration_seconds", "histogram", REQUEST_LABELS, "From request head to last byte.", SECONDS),
    Metric(
        "sluice_gateway_overhead_seconds",
        "histogram",
        REQUEST_LABELS,
        "Time spent in the gateway itself: duration without waiting for client or provider.",
        OVERHEAD_SECONDS,
    ),
    Metric(
        "sluice_time_to_first_token_seconds", "histogram", REQUEST_LABELS, "Streams: until the first token.", SECONDS
    ),
    Metric(
        "sluice_tokens",
        "counter",
        (*REQUEST_LABELS, "kind"),
        "Tokens as counted by the provider; kinds other than input and output are shares of these two.",
    ),
    Metric("sluice_upstream_attempts", "counter", ("provider", "outcome"), "Requests sent to providers, by outcome."),
    Metric("sluice_disconnects", "counter", REQUEST_LABELS, "Clients that left before their answer was complete."),
    Metric("sluice_truncated_streams", "counter", REQUEST_LABELS, "Streams that broke off on the provider's side."),
    Metric("sluice_active_streams", "gauge", (), "Streams being relayed now."),
    Metric("sluice_connections", "gauge", (), "Client connections open now."),
    Metric(
        "sluice_refused_connections",
        "counter",
        ("status",),
        "Connections refused without a request: bad or slow head, or too many of them.",
    ),
    Metric("sluice_slow_readers_cut", "counter", (), "Connections cut because the client did not read."),
    Metric(
        "sluice_upstream_connections", "gauge", ("provider", "state"), "Connections to providers: open, idle, waiting."
    ),
    Metric("sluice_loop_lag_seconds", "gauge", (), "How late the event loop ran its last timer.", merge="max"),
    Metric("sluice_objects_lost", "counter", (), "Responses and other objects that could not be stored."),
    Metric("sluice_log_lines_dropped", "counter", (), "Log lines dropped because nobody read them."),
    Metric("gen_ai_server_request_duration_seconds", "histogram", GEN_AI_LABELS, "Request duration.", SECONDS),
    Metric("gen_ai_server_time_to_first_token_seconds", "histogram", GEN_AI_LABELS, "Time to first token.", SECONDS),
    Metric(
        "gen_ai_client_token_usage",
        "histogram",
        (*GEN_AI_LABELS, "gen_ai_token_type"),
        "Tokens of one request.",
        TOKENS,
    ),
)

TOKEN_KINDS: Final = ("input", "output", "cache_read", "cache_write", "reasoning", "input_audio", "output_audio")

# metric name -> label values -> a number, or for histograms the bucket counts followed by the sum
Samples = dict[str, dict[tuple[str, ...], list[float]]]


class Histogram:
    """Counts per bucket; the last one is what no boundary holds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def values(self) -> list[float]:
        return [*self.counts, self.total]


class Series:
    """All counters of one (endpoint, provider, model)."""

    __slots__ = (
        "by_status",
        "disconnects",
        "duration",
        "input_tokens",
        "output_tokens",
        "overhead",
        "shares",
        "truncated",
        "ttft",
    )

    def __init__(self) -> None:
        self.by_status: dict[int, int] = {}
        self.duration = Histogram(SECONDS)
        self.overhead = Histogram(OVERHEAD_SECONDS)
        self.ttft = Histogram(SECONDS)
        self.input_tokens = Histogram(TOKENS)
        self.output_tokens = Histogram(TOKENS)
        self.shares = [0] * (len(TOKEN_KINDS) - 2)  # the kinds behind input and output
        self.disconnects = 0
        self.truncated = 0

    def settle(self, record: Record) -> None:
        status = record.status
        self.by_status[status] = self.by_status.get(status, 0) + 1
        duration_ms = record.duration_ms
        self.duration.observe(duration_ms / 1000)
        # rounding may make it negative, and a sum that shrinks reads as a restart
        self.overhead.observe(max(0.0, duration_ms - record.upstream_ms - record.upload_ms) / 1000)
        if record.first_token_ms:
            self.ttft.observe(record.first_token_ms / 1000)
        if record.usage is not None:
            self._count_tokens(record.usage)
        if record.is_disconnected:
            self.disconnects += 1
        if record.is_truncated:
            self.truncated += 1

    def _count_tokens(self, usage: Usage) -> None:
        self.input_tokens.observe(usage.input_tokens)
        self.output_tokens.observe(usage.output_tokens)
        if usage.cache_read_tokens or usage.cache_write_tokens or usage.reasoning_tokens:
            shares = self.shares
            shares[0] += usage.cache_read_tokens
            shares[1] += usage.cache_write_tokens
            shares[2] += usage.reasoning_tokens
        if usage.input_audio_tokens or usage.output_audio_tokens:
            self.shares[3] += usage.input_audio_tokens
            self.shares[4] += usage.output_audio_tokens

    def tokens(self) -> list[float]:
        """In the order of ``TOKEN_KINDS``."""
        return [self.input_tokens.total, self.output_tokens.total, *self.shares]


class Metrics:
    """Everything one worker counts. ``gauges`` are read at scrape time from whoever owns the number."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, str], Series] = {}
        self.active_streams = 0
        self.loop_lag_s = 0.0

    def series(self, endpoint: str, provider: str, model: str) -> Series:
        """The counters of a target; the caller keeps them."""
        key = (endpoint, provider, model)
        found = self._series.get(key)
        if found is None:
            found = self._series[key] = Series()
        return found

    def samples(self, gauges: Mapping[str, Mapping[tuple[str, ...], float]]) -> Samples:
        """All values of this worker; ``gauges`` adds what other objects know."""
        samples: Samples = {metric.name: {} for metric in METRICS}
        for labels, series in self._series.items():
            _add_series(samples, labels, series)
        samples["sluice_active_streams"][()] = [self.active_streams]
        samples["sluice_loop_lag_seconds"][()] = [self.loop_lag_s]
        for name, values in gauges.items():
            for labelled, value in values.items():
                samples[name][labelled] = [value]
        return samples


def _add_series(samples: Samples, labels: tuple[str, ...], series: Series) -> None:
    for status, count in series.by_status.items():
        samples["sluice_requests"][(*labels, str(status))] = [count]
    for kind, tokens in zip(TOKEN_KINDS, series.tokens(), strict=True):
        if tokens:
            samples["sluice_tokens"][(*labels, kind)] = [tokens]
    samples["sluice_request_duration_seconds"][labels] = series.duration.values()
    samples["sluice_gateway_overhead_seconds"][labels] = series.overhead.values()
    samples["sluice_disconnects"][labels] = [series.disconnects]
    samples["sluice_truncated_streams"][labels] = [series.truncated]
    if not labels[1]:
        return  # no provider was asked: the rest would be rows of zeros
    samples["sluice_time_to_first_token_seconds"][labels] = series.ttft.values()
    samples["gen_ai_server_request_duration_seconds"][labels] = series.duration.values()
    samples["gen_ai_server_time_to_first_token_seconds"][labels] = series.ttft.values()
    samples["gen_ai_client_token_usage"][(*labels, "input")] = series.input_tokens.values()
    samples["gen_ai_client_token_usage"][(*labels, "output")] = series.output_tokens.values()


def merge(parts: Iterable[Samples]) -> Samples:
    """The workers' samples as one."""
    merged: Samples = {metric.name: {} for metric in METRICS}
    for part in parts:
        for metric in METRICS:
            into = merged[metric.name]
            for labels, values in part.get(metric.name, {}).items():
                known = into.get(labels)
                if known is None:
                    into[labels] = list(values)
                elif metric.merge == "max":
                    into[labels] = [max(a, b) for a, b in zip(known, values, strict=True)]
                else:
                    into[labels] = [a + b for a, b in zip(known, values, strict=True)]
    return merged
