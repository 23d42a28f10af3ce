"""What is being added to conversations: an answer is with its client before it is in the store, and whoever asks next
in this process must find it there."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.core.errors import GatewayError, place_of
from gateway.telemetry.logs import Log

# How long the next request, or a gateway that stops, waits for an answer that is still to be added. To write one takes
# milliseconds; one that its provider has must be fetched first.
WAIT_S = 10.0
# What another process has answered a moment ago it adds by itself, and nobody here can see how far it is: to write it
# takes a few milliseconds.
OTHERS_S = 0.05


class Additions:
    """Work on conversations, for each of them one piece after the other. With ``is_shared`` other processes add to them
    too."""

    def __init__(self, log: Log, *, is_shared: bool = False) -> None:
        self._log = log
        self._is_shared = is_shared
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: dict[str, asyncio.Task[None]] = {}  # by conversation, while there is work

    def add(self, conversation: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work`` behind what is being added to the conversation already. What goes wrong is told in the log."""
        before = self._last.get(conversation)
        task = self._last[conversation] = asyncio.create_task(self._run(conversation, work, before))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(
        self, conversation: str, work: Callable[[], Awaitable[None]], before: asyncio.Task[None] | None
    ) -> None:
        try:
            if before is not None:
                await asyncio.wait((before,))
            await work()
        except Exception as error:
            reason = error.for_log() if isinstance(error, GatewayError) else place_of(error)
            self._log.say("conversation not continued", id=conversation, error=reason)
        finally:
            if self._last.get(conversation) is asyncio.current_task():
                del self._last[conversation]

    async def wait(self, conversation: str) -> None:
        """Until the conversation has everything that was to be added to it by now, or that takes too long."""
        last = self._last.get(conversation)
        if last is not None:
            await asyncio.wait((last,), timeout=WAIT_S)
        if self._is_shared:
            await asyncio.sleep(OTHERS_S)

    async def settle(self) -> None:
        """The same for all conversations; what takes too long is given up."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(set(self._tasks), timeout=WAIT_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
