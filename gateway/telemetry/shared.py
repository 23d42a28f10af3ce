"""Samples of several workers as one scrape: each worker leaves its own in a file, whoever is scraped adds them up.

A file is at most half a second old. A worker that was replaced starts at zero, which Prometheus reads as a counter
reset.
"""

import contextlib
from pathlib import Path

import msgspec

from gateway.telemetry.metrics import METRICS, Metric, Samples, merge

# JSON objects have string keys; a list of pairs keeps label tuples.
_Stored = dict[str, list[tuple[tuple[str, ...], list[float]]]]
_decode = msgspec.msgpack.Decoder(_Stored).decode
_TABLE = {metric.name: metric for metric in METRICS}


class SharedSamples:
    """One worker's view of the folder all workers share."""

    def __init__(self, folder: Path, worker: int) -> None:
        self._folder = folder
        self._own = folder / f"{worker}.samples"

    def publish(self, samples: Samples) -> None:
        stored = {name: list(values.items()) for name, values in samples.items()}
        fresh = self._own.with_suffix(".new")
        # a full disk makes this worker's share of the next scrape old, and must make nothing worse
        with contextlib.suppress(OSError):
            fresh.write_bytes(msgspec.msgpack.encode(stored))
            fresh.replace(self._own)  # readers see the old file or the new one, never half of one

    def merged_with(self, own: Samples) -> Samples:
        """``own`` samples of this moment and the other workers' last ones."""
        parts = [own]
        for path in self._folder.glob("*.samples"):
            if path != self._own:
                with contextlib.suppress(OSError, msgspec.MsgspecError, ValueError):
                    parts.append(_read(path.read_bytes()))
        return merge(parts)


def _read(stored: bytes) -> Samples:
    """Raises ``ValueError`` or ``MsgspecError`` for what no worker with this metric table has written."""
    samples = {name: dict(values) for name, values in _decode(stored).items()}
    if not all(name in _TABLE and _fits(_TABLE[name], values) for name, values in samples.items()):
        raise ValueError("the samples do not fit the metric table")
    return samples


def _fits(metric: Metric, values: dict[tuple[str, ...], list[float]]) -> bool:
    numbers = len(metric.buckets) + 2 if metric.kind == "histogram" else 1
    return all(len(labels) == len(metric.labels) and len(value) == numbers for labels, value in values.items())
