import asyncio

import pytest

from gateway.core.errors import Overloaded
from gateway.core.limits import MAX_WAITING_FOR_ROOM
from gateway.resources import byte_budget as module
from gateway.resources.byte_budget import ByteBudget


async def waiting(budget: ByteBudget, size: int) -> "asyncio.Task[None]":
    task = asyncio.create_task(budget.take(size))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_who_comes_first_is_served_first() -> None:
    budget = ByteBudget(10)
    await budget.take(8)
    large, small = await waiting(budget, 9), await waiting(budget, 1)
    assert not large.done()
    assert not small.done(), "a small one does not overtake for ever"
    budget.put_back(8)
    await asyncio.gather(large, small)
    third = await waiting(budget, 1)
    assert not third.done()
    budget.put_back(1)
    await third


async def test_a_share_grows_and_is_given_back_once() -> None:
    budget = ByteBudget(10)
    share = budget.share()
    await share.grow(4)
    await share.grow(6)
    task = await waiting(budget, 10)
    assert not task.done()
    share.give_back()
    share.give_back()
    await task
    other = await waiting(budget, 1)
    assert not other.done()
    other.cancel()


async def test_who_waits_too_long_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.01)
    budget = ByteBudget(10)
    await budget.take(10)
    share = budget.share()
    with pytest.raises(Overloaded) as refused:
        await share.grow(1)
    assert refused.value.retry_after_s
    share.give_back()
    budget.put_back(10)
    await budget.take(10)


async def test_who_leaves_lets_the_next_one_in() -> None:
    budget = ByteBudget(10)
    await budget.take(8)
    large, small = await waiting(budget, 9), await waiting(budget, 2)
    large.cancel()
    await small
    with pytest.raises(asyncio.CancelledError):
        await large


async def test_who_leaves_in_the_moment_it_is_served_takes_nothing() -> None:
    budget = ByteBudget(10)
    await budget.take(10)
    task = await waiting(budget, 10)
    budget.put_back(10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(budget.take(10), 1)


async def test_only_so_many_wait() -> None:
    budget = ByteBudget(1)
    await budget.take(1)
    tasks = [await waiting(budget, 1) for _ in range(MAX_WAITING_FOR_ROOM)]
    with pytest.raises(Overloaded):
        await budget.take(1)
    for task in tasks:
        budget.put_back(1)
        await task
