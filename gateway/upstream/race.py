"""The first of several attempts that succeeds, each begun a little after the one before (RFC 8305, section 5)."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeVar

T = TypeVar("T")

STAGGER_S: Final = 0.25


async def first_success(
    attempts: Sequence[Callable[[], Coroutine[Any, Any, T]]],
    discard: Callable[[T], None],
    *,
    stagger_s: float = STAGGER_S,
) -> T:
    """The result of the first attempt to succeed.

    The next one begins when ``stagger_s`` have passed or one before has failed, whichever is first. Attempts that are
    too late are cancelled; what they had already reached goes to ``discard``. With none successful, the first
    attempt's ``OSError`` is raised; any other exception is raised at once.
    """
    if len(attempts) == 1:
        return await attempts[0]()
    waiting = deque(attempts)
    begun: list[asyncio.Task[T]] = []
    running: set[asyncio.Task[T]] = set()
    try:
        while waiting or running:
            if waiting:
                begun.append(asyncio.create_task(waiting.popleft()()))
                running.add(begun[-1])
            timeout = stagger_s if waiting else None
            done, running = await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for task in [each for each in begun if each in done]:
                if not isinstance(task.exception(), OSError):
                    running |= done - {task}
                    return task.result()
        return begun[0].result()
    finally:
        for task in running:
            task.cancel()
            task.add_done_callback(partial(_discard_result, discard))


def _discard_result(discard: Callable[[T], None], task: "asyncio.Task[T]") -> None:
    if not task.cancelled() and task.exception() is None:
        discard(task.result())
