import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.upstream.race import first_success
from tests.kit.client import until

Attempt = Callable[[], Coroutine[Any, Any, str]]
NEVER = 1000.0


class Attempts:
    """Attempts that end when the test says so."""

    def __init__(self, *names: str) -> None:
        self.begun: list[str] = []
        self.cancelled: list[str] = []
        self.discarded: list[str] = []
        self.ends: dict[str, asyncio.Future[str]] = {}
        self.race: list[Attempt] = [self._attempt(name) for name in names]

    def _attempt(self, name: str) -> Attempt:
        async def attempt() -> str:
            self.begun.append(name)
            self.ends[name] = asyncio.get_running_loop().create_future()
            try:
                return await self.ends[name]
            except asyncio.CancelledError:
                self.cancelled.append(name)
                raise

        return attempt

    def run(self, stagger_s: float = NEVER) -> "asyncio.Task[str]":
        return asyncio.create_task(first_success(self.race, self.discarded.append, stagger_s=stagger_s))

    async def until_begun(self, count: int) -> None:
        await until(lambda: len(self.begun) == count)


async def test_the_first_attempt_wins_alone() -> None:
    attempts = Attempts("a", "b")
    race = attempts.run()
    await attempts.until_begun(1)
    attempts.ends["a"].set_result("A")
    assert await race == "A"
    assert attempts.begun == ["a"]


async def test_a_failure_begins_the_next_at_once() -> None:
    attempts = Attempts("a", "b")
    race = attempts.run()
    await attempts.until_begun(1)
    attempts.ends["a"].set_exception(OSError("refused"))
    await attempts.until_begun(2)
    attempts.ends["b"].set_result("B")
    assert await race == "B"


async def test_a_slow_attempt_runs_on_beside_the_next_and_may_still_win() -> None:
    attempts = Attempts("a", "b", "c")
    race = attempts.run(stagger_s=0)
    await attempts.until_begun(3)
    attempts.ends["a"].set_result("A")
    assert await race == "A"
    await asyncio.sleep(0)
    assert sorted(attempts.cancelled) == ["b", "c"]


async def test_what_a_second_winner_reached_is_discarded() -> None:
    attempts = Attempts("a", "b")
    race = attempts.run(stagger_s=0)
    await attempts.until_begun(2)
    for name, end in attempts.ends.items():
        end.set_result(name.upper())
    winner = await race
    await asyncio.sleep(0)
    assert sorted([winner, *attempts.discarded]) == ["A", "B"]


async def test_all_failed_tells_the_failure_of_the_first() -> None:
    attempts = Attempts("a", "b")
    race = attempts.run(stagger_s=0)
    await attempts.until_begun(2)
    attempts.ends["b"].set_exception(OSError("second address"))
    await asyncio.sleep(0)
    attempts.ends["a"].set_exception(OSError("first address"))
    with pytest.raises(OSError, match="first address"):
        await race


async def test_a_defect_is_not_taken_for_a_failed_attempt() -> None:
    attempts = Attempts("a", "b")
    race = attempts.run(stagger_s=0)
    await attempts.until_begun(2)
    attempts.ends["a"].set_exception(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await race
    await asyncio.sleep(0)
    assert attempts.cancelled == ["b"]


@pytest.mark.parametrize("names", ["a", "abc"])
async def test_cancelling_the_race_cancels_every_attempt(names: str) -> None:
    attempts = Attempts(*names)
    race = attempts.run(stagger_s=0)
    await attempts.until_begun(len(names))
    race.cancel()
    with pytest.raises(asyncio.CancelledError):
        await race
    await asyncio.sleep(0)
    assert sorted(attempts.cancelled) == sorted(names)


async def test_what_was_reached_while_the_race_was_cancelled_is_discarded() -> None:
    attempts = Attempts("a", "b")
    race = attempts.run(stagger_s=0)
    await attempts.until_begun(2)
    attempts.ends["a"].set_result("A")
    race.cancel()
    with pytest.raises(asyncio.CancelledError):
        await race
    await asyncio.sleep(0)
    assert attempts.discarded == ["A"]
