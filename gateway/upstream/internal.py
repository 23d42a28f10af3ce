"""An upstream without a network: it plays the scripts of a provider that lives inside the gateway.

    send ──> WAITING for the head ──> PLAYING chunks ──> ended, or cut
                  └────────────────────────┴── a deadline passed: failed

A script is a list of delays and bytes, so nothing here waits but one timer for the nearest of two moments: the next
chunk and the next deadline. Chunks that are due at once follow each other through the loop one by one, so that a long
answer does not keep others waiting and a receiver may pause or leave between any two.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from gateway.core.deadlines import Deadlines, Timeouts
from gateway.core.errors import UpstreamBroken, UpstreamError, UpstreamTimeout
from gateway.core.http1 import build_request_head
from gateway.core.limits import MAX_SIMULATED_UPLOAD_BYTES
from gateway.core.types import Capability
from gateway.upstream.contract import PoolStatistics, RawHeaders, Receiver, shutting_down
from gateway.upstream.exchange import NOBODY
from providers.contract import Script, Surface

Surfaces = Mapping[Capability, tuple[Surface, ...]]
Simulate = Callable[[Capability, bytes], Script]

_NOTHING: Final = Script(status=0, content_type="", chunks=[])
_NO_SUCH_PATH: Final = Script(
    status=404, content_type="text/plain", chunks=[(0.0, b"There is nothing at this path.\n")]
)
_TOO_LARGE: Final = Script(status=413, content_type="text/plain", chunks=[(0.0, b"The upload is too large.\n")])


class InternalUpstream:
    """See ``contract.Upstream``. The capability asked for is known by the path of the request, as on a real server."""

    def __init__(
        self, simulate: Simulate, surfaces: Mapping[Capability, tuple[Surface, ...]], timeouts: Timeouts
    ) -> None:
        self._simulate = simulate
        self._capabilities = {
            surface.path.encode(): capability for capability, several in surfaces.items() for surface in several
        }
        self._timeouts = timeouts
        self._playing: set[Playback | InternalUpload] = set()

    def request_head(self, method: str, path: str, headers: Sequence[tuple[str, str]]) -> bytes:
        return build_request_head(method, path, [("Host", "internal"), *headers])

    def send(self, head: bytes, body: bytes, receiver: Receiver, *, streamed: bool) -> "Playback":
        defect = None
        try:
            script = self._script(head, body)
        except Exception as error:
            script, defect = _NOTHING, _defect(error)
        return self._play(script, defect, receiver, streamed)

    def send_stream(
        self, head: bytes, length: int | None, receiver: Receiver, *, streamed: bool = False
    ) -> "InternalUpload":
        def play(body: bytes | None, reader: Receiver) -> Playback:
            if body is None:
                return self._play(_TOO_LARGE, None, reader, streamed)
            return self.send(head, body, reader, streamed=streamed)

        return InternalUpload(play, length, receiver, self._playing)

    def _play(self, script: Script, defect: UpstreamError | None, receiver: Receiver, streamed: bool) -> "Playback":
        loop = asyncio.get_running_loop()
        now = loop.time()
        deadlines = Deadlines(self._timeouts, streamed, now, now)
        return Playback(loop, script, defect, receiver, deadlines, self._playing)

    def _script(self, head: bytes, body: bytes) -> Script:
        method, target, _ = head.split(b" ", 2)
        capability = self._capabilities.get(target.partition(b"?")[0])
        script = _NO_SUCH_PATH if capability is None else self._simulate(capability, body)
        return replace(script, chunks=[]) if method == b"HEAD" else script

    def statistics(self) -> PoolStatistics:
        return PoolStatistics(open=len(self._playing))

    async def close(self) -> None:
        for playback in list(self._playing):
            playback.fail(shutting_down())


class Playback:
    """One script being played to one receiver. See ``contract.Exchange``."""

    __slots__ = (
        "_deadlines",
        "_defect",
        "_has_begun",
        "_is_over",
        "_is_paused",
        "_loop",
        "_next_at",
        "_playing",
        "_position",
        "_receiver",
        "_script",
        "_timer",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        script: Script,
        defect: UpstreamError | None,
        receiver: Receiver,
        deadlines: Deadlines,
        playing: "set[Playback | InternalUpload]",
    ) -> None:
        """Begins at once, but tells nothing before the caller of ``send`` holds the exchange. ``defect`` is told in
        place of the script."""
        self._loop = loop
        self._script = script
        self._defect = defect
        self._receiver: Receiver = receiver
        self._deadlines = deadlines
        self._playing = playing
        self._playing.add(self)
        self._timer: asyncio.Handle | None = None
        self._position = 0
        self._has_begun = self._is_paused = self._is_over = False
        self._next_at = deadlines.began_at + script.delay_s
        deadlines.sent(deadlines.began_at)
        self._set_timer()

    # --- the exchange ---

    def pause_reading(self) -> None:
        if not self._is_over and not self._is_paused:
            self._is_paused = True
            self._deadlines.paused()
            self._set_timer()

    def resume_reading(self) -> None:
        if not self._is_over and self._is_paused:
            self._is_paused = False
            self._deadlines.resumed(self._loop.time())
            self._set_timer()

    def token_seen(self) -> None:
        self._deadlines.token(self._loop.time())
        if self._timer is not None:
            self._set_timer()

    def cancel(self) -> None:
        self._is_over = True
        self._clear_timer()
        self._playing.discard(self)
        self._receiver = NOBODY

    # --- time ---

    def _clear_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        """Wake up for what comes first: the next step of the script, or a deadline."""
        self._clear_timer()
        now = self._loop.time()
        is_held = self._is_paused and self._has_begun
        if self._next_at <= now and not is_held:
            self._timer = self._loop.call_soon(self._step)
            return
        self._deadlines.passed(now)
        if is_held or self._next_at > self._deadlines.at:
            self._timer = self._loop.call_at(self._deadlines.at, self._judge_deadline)
        else:
            self._timer = self._loop.call_at(self._next_at, self._step)

    def _judge_deadline(self) -> None:
        phase = self._deadlines.passed(self._loop.time())
        if phase is None:
            self._set_timer()
        else:
            self.fail(UpstreamTimeout(f"The provider's answer took too long ({phase.value}).", phase=phase.value))

    # --- playing ---

    def _step(self) -> None:
        self._timer = None
        try:
            if self._has_begun:
                self._send_next()
            else:
                self._begin()
        except Exception as error:
            self.fail(_defect(error))
            raise
        if not self._is_over:
            self._set_timer()

    def _begin(self) -> None:
        """Tell the head, and in the same breath the first chunk when nothing lies between them."""
        if self._defect is not None:
            self.fail(self._defect)
            return
        script = self._script
        self._has_begun = True
        self._deadlines.answered(self._loop.time())
        self._await_chunk()
        headers = ((b"Content-Type", script.content_type.encode()), *script.headers)
        self._receiver.response_started(script.status, headers)
        is_due = not script.chunks or script.chunks[0][0] <= 0
        if is_due and not self._is_over and not self._is_paused:
            self._send_next()

    def _await_chunk(self) -> None:
        """The script's own clock runs on while a chunk is late, so that its speed holds over the whole answer."""
        if self._position < len(self._script.chunks):
            self._next_at += self._script.chunks[self._position][0]

    def _send_next(self) -> None:
        chunks = self._script.chunks
        if self._position < len(chunks):
            data = chunks[self._position][1]
            self._position += 1
            self._await_chunk()
            if data:
                self._deadlines.progressed_at = self._loop.time()
                self._receiver.data_received(data)
        if self._position >= len(chunks) and not self._is_over:
            self._end()

    def _end(self) -> None:
        if self._script.is_cut:
            self.fail(UpstreamBroken("The provider's connection closed before the answer was complete."))
            return
        receiver = self._receiver
        self.cancel()
        receiver.response_ended()

    def fail(self, error: UpstreamError) -> None:
        """The answer is over with ``error``, unless it is over already."""
        if not self._is_over:
            receiver = self._receiver
            self.cancel()
            receiver.response_failed(error)


class InternalUpload:
    """Collects an upload's body and plays the answer when it is whole. See ``contract.UploadExchange``.

    ``play`` gives the answer to a body, or to ``None`` when it is larger than what is collected. What the playback
    tells goes through here, because the upload ends with it.
    """

    def __init__(
        self,
        play: Callable[[bytes | None, Receiver], Playback],
        length: int | None,
        receiver: Receiver,
        playing: "set[Playback | InternalUpload]",
    ) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._play = play
        self._length = length
        self._receiver = receiver
        self._playing = playing
        self._playing.add(self)
        self._body = bytearray()
        self._playback: Playback | None = None
        self._is_paused = False

    # --- the body ---

    def write(self, data: bytes) -> None:
        if self.closed.done() or not data:
            return
        self._body += data
        if self._playback is not None or (self._length is not None and len(self._body) > self._length):
            self._fail_length()
        elif len(self._body) > MAX_SIMULATED_UPLOAD_BYTES:
            self._begin(None)
            self._close()

    def end(self) -> None:
        if self.closed.done() or self._playback is not None:
            return
        if self._length is not None and len(self._body) < self._length:
            self._fail_length()
        else:
            self._begin(bytes(self._body))

    async def drain(self) -> None:
        """Nobody has to be waited for."""

    def _begin(self, body: bytes | None) -> None:
        self._playing.discard(self)
        self._body.clear()
        self._playback = self._play(body, self)
        if self._is_paused:
            self._playback.pause_reading()

    # --- the exchange ---

    def pause_reading(self) -> None:
        self._is_paused = True
        if self._playback is not None:
            self._playback.pause_reading()

    def resume_reading(self) -> None:
        self._is_paused = False
        if self._playback is not None:
            self._playback.resume_reading()

    def token_seen(self) -> None:
        if self._playback is not None:
            self._playback.token_seen()

    def cancel(self) -> None:
        self._leave()
        if self._playback is not None:
            self._playback.cancel()

    def fail(self, error: UpstreamError) -> None:
        """The exchange is over with ``error``, unless it is over already."""
        receiver = self._receiver
        self.cancel()
        receiver.response_failed(error)

    def _fail_length(self) -> None:
        error = UpstreamBroken("The request body was not as long as announced.")
        error.retryable = False
        self.fail(error)

    def _leave(self) -> Receiver:
        """The exchange is over; who is still to be told."""
        receiver, self._receiver = self._receiver, NOBODY
        self._playing.discard(self)
        self._body.clear()
        self._close()
        return receiver

    def _close(self) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    # --- told by the playback ---

    def response_started(self, status: int, headers: RawHeaders) -> None:
        self._receiver.response_started(status, headers)

    def data_received(self, data: bytes) -> None:
        self._receiver.data_received(data)

    def response_ended(self) -> None:
        self._leave().response_ended()

    def response_failed(self, error: UpstreamError) -> None:
        self._leave().response_failed(error)


def _defect(cause: Exception) -> UpstreamBroken:
    """The script or the receiver raised: that is ours, and asking again would end the same way."""
    error = UpstreamBroken("The gateway could not process the provider's response.", detail=repr(cause))
    error.retryable = False
    return error
