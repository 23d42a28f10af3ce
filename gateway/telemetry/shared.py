"""Samples of several workers as one scrape: each worker leaves its own in a file, whoever is scraped adds them up.

A file is at most half a second old. A worker that was replaced starts at zero, which Prometheus reads as a counter reset.
"""

import contextlib
from pathlib import Path

import msgspec

from gateway.telemetry.metrics import Samples, merge

# JSON objects have string keys; a list of pairs keeps label tuples.
_Stored = dict[str, list[tuple[tuple[str, ...], list[float]]]]
_decode = msgspec.msgpack.Decoder(_Stored).decode


class SharedSamples:
    """One worker's view of the folder all workers share."""

    def __init__(self, folder: Path, worker: int) -> None:
        self._folder = folder
        self._own = folder / f"{worker}.samples"

    def publish(self, samples: Samples) -> None:
        stored = {name: list(values.items()) for name, values in samples.items()}
        fresh = self._own.with_suffix(".new")
        fresh.write_bytes(msgspec.msgpack.encode(stored))
        fresh.replace(self._own)  # readers see the old file or the new one, never half of one

    def merged_with(self, own: Samples) -> Samples:
        """``own`` samples of this moment and the other workers' last ones."""
        parts = [own]
        for path in self._folder.glob("*.samples"):
            if path != self._own:
                with contextlib.suppress(OSError, msgspec.MsgspecError):
                    parts.append({name: dict(values) for name, values in _decode(path.read_bytes()).items()})
        return merge(parts)
