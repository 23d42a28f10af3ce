"""One structured line per request, and the few lines of the gateway's own life.

A line is a ``Record``: only its members can be logged, so a prompt, a header or a key cannot enter by accident.
As a second fence every line is searched for the configured secrets. What others have written (an error's text, a
dropped field's name) cannot break a line or speak to a terminal. Lines are written in batches by a thread: a reader
that is slow to take them never holds up a request. When it does not take them at all, lines are dropped and counted.
"""

import json
import os
import queue
import select
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from gateway.core.secret import Secret
from gateway.telemetry.record import Record

# A minute of logs at several thousand requests a second; beyond it a reader has stopped reading.
MAX_PENDING_BYTES = 16 * 1024 * 1024
BATCH_S = 0.05
# Handing a batch to the thread costs as much as formatting a hundred lines, so it is done rarely under load.
BATCH_LINES = 1024


_encode = msgspec.json.Encoder().encode


def format_json(line: Record | Mapping[str, object] | str) -> bytes:
    try:
        encoded = _encode(line)
    except UnicodeEncodeError:  # a lone surrogate
        return _escaped_json(line)
    # JSON escapes control characters below space only; line separators and terminal codes exist above ASCII too
    return encoded + b"\n" if encoded.isascii() and b"\x7f" not in encoded else _escaped_json(line)


def _escaped_json(line: Record | Mapping[str, object] | str) -> bytes:
    return json.dumps(msgspec.to_builtins(line), separators=(",", ":")).replace("\x7f", "\\u007f").encode() + b"\n"


def format_text(line: Record) -> bytes:
    """The same for people at a terminal: what they look for first, then the rest by name."""
    target = f"{line.provider}/{line.model}" if line.provider else line.requested_model or "-"
    waited = f" ({line.upstream_ms:.1f} upstream)" if line.upstream_ms else ""
    tried = f" attempts={line.attempts}" if line.attempts > 1 else ""
    cached = f" cache={line.cache}" if line.cache else ""
    tokens = f" {line.usage.input_tokens}+{line.usage.output_tokens} tokens" if line.usage is not None else ""
    flags = "".join(f" {name}" for name in ("stream", "disconnected", "truncated") if getattr(line, f"is_{name}"))
    trouble = f" {line.error_code}" + (f" ({line.detail})" if line.detail else "") if line.error_code else ""
    return _one_line(
        f"{line.time[11:]} {line.status} {line.endpoint or '-'} {target} {line.duration_ms:.1f} ms{waited}{tokens}"
        f" {line.bytes_in}>{line.bytes_out} B{cached}{tried}{flags}{trouble} {line.request_id}"
    )


def _one_line(text: str) -> bytes:
    """``text`` and a line end; what is not printable (line ends, terminal codes, lone surrogates) becomes an escape."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text.encode() + b"\n"


class WallClock:
    """RFC 3339 times in UTC; the part down to the second is formatted once a second."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._second = -1
        self._prefix = ""

    def text(self) -> str:
        now = self._now()
        second = int(now)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        return f"{self._prefix}{int((now - second) * 1000):03d}Z"


class Log:
    """Writes lines to a file descriptor. ``schedule(delay_s, flush)`` is the event loop's ``call_later``."""

    def __init__(
        self,
        fd: int,
        *,
        as_json: bool,
        level: str = "info",
        secrets: Iterable[Secret] = (),
        schedule: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._fd = fd
        self._as_json = as_json
        # the lowest status whose request line is written, and the same for probes, which come every few seconds
        self._from_status = {"debug": 0, "info": 0, "warning": 400, "error": 500}[level]
        self._from_probe_status = {"debug": 0, "info": 400, "warning": 400, "error": 500}[level]
        self._format = format_json if as_json else format_text
        # longest first: one may be the beginning of another
        self._secrets = sorted({s.reveal() for s in secrets if len(s.reveal()) >= 4}, key=len, reverse=True)
        self._spellings = [spelling for secret in self._secrets for spelling in _spellings(secret, as_json)]
        self._schedule = schedule
        self._clock = WallClock()
        self._lines: list[bytes] = []
        # each is written by one thread only
        self._queued_bytes = self._refused_lines = 0
        self._written_bytes = self._unread_lines = 0
        self._batches: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_batches, name="sluice-log", daemon=True)
        self._thread.start()

    def request(self, record: Record) -> None:
        """The line of a settled request. Probes (health checks, scrapes) come every few seconds and are written only
        when something is wrong."""
        from_status = self._from_probe_status if record.is_probe else self._from_status
        if record.status < from_status and not record.is_truncated:
            return
        record.time = self._clock.text()
        record.event = "request"
        line = self._format(record)
        foreign = record.foreign_text()
        for secret in self._secrets:
            if secret in foreign:
                line = self._without_secrets(line)
                break
        self._add(line)

    def say(self, message: str, **fields: str | float | bool) -> None:
        """A line about the gateway itself."""
        if self._as_json:
            line = format_json({"time": self._clock.text(), "event": "gateway", "message": message, **fields})
        else:
            details = "".join(f" {name}={value}" for name, value in fields.items())
            line = _one_line(f"{self._clock.text()[11:]} {message}{details}")
        self._add(self._without_secrets(line))

    @property
    def dropped_lines(self) -> int:
        """Lines that nobody will read: refused while too many were waiting, or not taken by the descriptor."""
        return self._refused_lines + self._unread_lines

    def _add(self, line: bytes) -> None:
        if self._queued_bytes - self._written_bytes > MAX_PENDING_BYTES:
            self._refused_lines += 1
            return
        self._queued_bytes += len(line)
        lines = self._lines
        if not lines:
            self._schedule(BATCH_S, self.flush)
        lines.append(line)
        if len(lines) >= BATCH_LINES:
            self.flush()

    def flush(self) -> None:
        """Hand what was said to the writing thread."""
        lines = self._lines
        if not lines:
            return
        self._batches.put(b"".join(lines))
        lines.clear()

    def close(self) -> None:
        """Write what is left; waits for a reader no longer than a second."""
        self.flush()
        self._batches.put(None)
        self._thread.join(1.0)

    def _without_secrets(self, line: bytes) -> bytes:
        if not any(spelling in line for spelling in self._spellings):
            return line
        if self._as_json:
            # a secret like 1234 or true must not be cut out of a number or a word of JSON
            return format_json({name: self._masked(value) for name, value in json.loads(line).items()})
        for spelling in self._spellings:
            line = line.replace(spelling, b"***")
        return line

    def _masked(self, value: object) -> object:
        if isinstance(value, list):
            return [self._masked(element) for element in value]
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, "***")
        return value

    def _write_batches(self) -> None:
        while (batch := self._batches.get()) is not None:
            self._write(batch)
            self._written_bytes += len(batch)

    def _write(self, batch: bytes) -> None:
        while batch:
            try:
                batch = batch[os.write(self._fd, batch) :]
            except BlockingIOError:  # whoever shares the descriptor has made it so
                writable = select.poll()
                writable.register(self._fd, select.POLLOUT)
                writable.poll()
            except OSError:
                # a closed pipe must not end the gateway: whoever read the log is gone, its requests are not
                self._unread_lines += batch.count(b"\n")
                return


def _spellings(secret: str, as_json: bool) -> set[bytes]:
    """How a secret looks in a line."""
    if as_json:
        return {format_json(secret)[1:-2], _escaped_json(secret)[1:-2]}
    return {_one_line(secret)[:-1]}
