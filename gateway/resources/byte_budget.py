"""How many bytes may be in memory for one purpose at the same time; who wants more than is left waits for a moment."""

import asyncio
from collections import deque

from gateway.core.errors import Overloaded
from gateway.core.limits import MAX_WAITING_FOR_ROOM

# Long enough for a handful of the largest requests before; a client that asks again later is better off than one that
# waits.
WAIT_S = 5.0
RETRY_AFTER_S = 2.0


class Share:
    """Bytes taken from a budget. It is given back once, or never if nothing was taken."""

    def __init__(self, budget: "ByteBudget") -> None:
        self._budget = budget
        self._size = 0

    async def grow(self, size: int) -> None:
        """Take ``size`` bytes more. Raises ``Overloaded`` when they are not to be had soon."""
        await self._budget.take(size)
        self._size += size

    def give_back(self) -> None:
        """To do so again changes nothing."""
        size, self._size = self._size, 0
        self._budget.put_back(size)


class ByteBudget:
    """``total`` bytes for whoever comes first."""

    def __init__(self, total: int) -> None:
        self._left = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque(maxlen=MAX_WAITING_FOR_ROOM)

    def share(self) -> Share:
        """A share of nothing yet."""
        return Share(self)

    async def take(self, size: int) -> None:
        """Behind those who wait already. Raises ``Overloaded``."""
        if size <= self._left and not self._waiting:
            self._left -= size
            return
        if len(self._waiting) == MAX_WAITING_FOR_ROOM:
            raise _no_room()
        place = asyncio.get_running_loop().create_future()
        self._waiting.append((size, place))
        try:
            async with asyncio.timeout(WAIT_S):
                await place
        except BaseException as error:
            if place.cancelled():
                self._waiting.remove((size, place))
                self._serve()
            else:
                self.put_back(size)  # it came in the same moment
            if isinstance(error, TimeoutError):
                raise _no_room() from None
            raise

    def put_back(self, size: int) -> None:
        """Bytes that are not in memory any more."""
        self._left += size
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._left:
            size, place = self._waiting.popleft()
            self._left -= size
            place.set_result(None)


def _no_room() -> Overloaded:
    return Overloaded(
        "The gateway has no room for another long conversation at the moment.", retry_after_s=RETRY_AFTER_S
    )
