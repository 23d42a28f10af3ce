"""From an answer's bytes to a ``Script``: when each piece is sent, and where the answer breaks if it is to break."""

from collections.abc import Iterable

from msgspec import Struct

from providers.contract import Script
from providers.simulation.directives import SILENCE_S, Directives, failure
from providers.simulation.refusals import RefusedError, render_error

Piece = tuple[float, bytes]

# Events that are due at the same moment share one piece: 64 of them are about 16 KiB, what a socket read brings.
EVENTS_PER_PIECE = 64
# ``chunk_bytes: 1`` on a long answer would be millions of pieces; the rest then comes as one. An ordinary streamed
# answer is some 15,000 bytes.
MAX_PIECES = 64 * 1024


class Stream(Struct):
    """A streamed answer as server-sent events: ``events`` carries a token each, ``opening`` and ``closing`` carry none.
    ``silent_tokens`` are generated before the first of them (reasoning)."""

    opening: list[bytes]
    events: list[bytes]
    closing: list[bytes]
    silent_tokens: int = 0


def plain_script(body: bytes, tokens: int, directives: Directives, headers: Iterable[tuple[bytes, bytes]]) -> Script:
    """``body`` sent whole when all its ``tokens`` would have been written."""
    speed = directives.tokens_per_second
    delay_s = directives.latency_s + (tokens / speed if speed else 0.0)
    if not directives.breaks_midway:
        return _script("application/json", [(0.0, body)], delay_s, directives, headers)
    if directives.fault_after is not None:
        # a plain answer has no middle for an error to stand in
        raise failure(directives)
    reached = directives.truncate_after if directives.truncate_after is not None else directives.stall_after or 0
    sent = body[: len(body) * reached // (tokens + 1)] if reached <= tokens else body[:-1]
    return _script("application/json", [(0.0, sent)], delay_s, directives, headers)


def stream_script(stream: Stream, directives: Directives, headers: Iterable[tuple[bytes, bytes]]) -> Script:
    """The events of ``stream`` one after the other at the speed asked for."""
    pause_s = 1 / directives.tokens_per_second if directives.tokens_per_second else 0.0
    first_pause_s = pause_s * (1 + stream.silent_tokens)
    events, closing = stream.events, stream.closing
    if directives.breaks_midway:
        events, closing = _broken(stream, directives)
    if pause_s:
        pieces = [(0.0, b"".join(stream.opening))]
        pieces += [(pause_s if i else first_pause_s, event) for i, event in enumerate(events)]
        pieces.append((0.0, b"".join(closing)))
    else:
        pieces = _joined([*stream.opening, *events, *closing])
    return _script("text/event-stream; charset=utf-8", pieces, directives.latency_s, directives, headers)


def refusal_script(refused: RefusedError, headers: Iterable[tuple[bytes, bytes]]) -> Script:
    return Script(
        status=refused.status,
        content_type="application/json",
        chunks=[(0.0, render_error(refused.error))],
        delay_s=refused.delay_s,
        headers=(*headers, *refused.headers),
    )


def _broken(stream: Stream, directives: Directives) -> tuple[list[bytes], list[bytes]]:
    """The events up to the break, and the error event that may take the place of the end."""
    if directives.fault_after is not None:
        fault = b"data: " + render_error(failure(directives).error) + b"\n\n"
        return stream.events[: directives.fault_after], [fault]
    reached = directives.truncate_after if directives.truncate_after is not None else directives.stall_after
    return stream.events[:reached], []


def _joined(events: list[bytes]) -> list[Piece]:
    if len(events) <= EVENTS_PER_PIECE:
        return [(0.0, b"".join(events))]
    starts = range(0, len(events), EVENTS_PER_PIECE)
    return [(0.0, b"".join(events[start : start + EVENTS_PER_PIECE])) for start in starts]


def _script(
    content_type: str,
    pieces: list[Piece],
    delay_s: float,
    directives: Directives,
    headers: Iterable[tuple[bytes, bytes]],
) -> Script:
    if directives.chunk_bytes:
        pieces = _recut(pieces, directives.chunk_bytes)
    is_stalled = directives.stall_after is not None
    if is_stalled:
        pieces.append((SILENCE_S, b""))
    return Script(
        status=200,
        content_type=content_type,
        chunks=pieces,
        delay_s=delay_s,
        is_cut=is_stalled or directives.truncate_after is not None,
        headers=tuple(headers),
    )


def _recut(pieces: list[Piece], size: int) -> list[Piece]:
    """The same bytes in pieces of ``size``; the first of each old piece keeps its delay."""
    recut: list[Piece] = []
    for delay_s, data in pieces:
        room = max(MAX_PIECES - len(recut), 1)
        whole = data[: size * room]
        recut += [(delay_s if i == 0 else 0.0, whole[i : i + size]) for i in range(0, len(whole), size)]
        if len(whole) < len(data):
            recut.append((0.0, data[len(whole) :]))
    return recut
