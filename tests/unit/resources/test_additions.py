import asyncio
from typing import Any

import pytest

from gateway.core.errors import StorageUnavailable
from gateway.resources.additions import OTHERS_S, Additions


class Told:
    """A log that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def say(self, message: str, **members: Any) -> None:
        self.lines.append((message, members))


def make() -> tuple[Additions, Told]:
    log = Told()
    return Additions(log), log  # type: ignore[arg-type]


async def test_work_on_one_conversation_is_done_in_its_order() -> None:
    additions, _ = make()
    done: list[int] = []
    gate = asyncio.Event()

    async def slow() -> None:
        await gate.wait()
        done.append(1)

    async def quick(number: int) -> None:
        done.append(number)

    additions.add("a", slow)
    additions.add("a", lambda: quick(2))
    additions.add("b", lambda: quick(3))
    await additions.wait("b")
    assert done == [3]
    await additions.wait("unknown")
    gate.set()
    await additions.wait("a")
    assert done == [3, 1, 2]
    assert not additions._last


async def test_what_goes_wrong_is_told_and_holds_nobody_up() -> None:
    additions, log = make()
    done = []

    async def fail(error: Exception) -> None:
        raise error

    async def work() -> None:
        done.append(1)

    additions.add("a", lambda: fail(StorageUnavailable("public", detail="for the log")))
    additions.add("a", lambda: fail(ZeroDivisionError("secret")))
    additions.add("a", work)
    await additions.wait("a")
    assert done == [1]
    assert [(message, members["id"]) for message, members in log.lines] == [("conversation not continued", "a")] * 2
    assert log.lines[0][1]["error"] == "for the log"
    assert "ZeroDivisionError" in log.lines[1][1]["error"]
    assert "secret" not in log.lines[1][1]["error"]


async def test_what_other_processes_add_is_given_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = []

    async def sleep(delay_s: float) -> None:
        slept.append(delay_s)

    monkeypatch.setattr("gateway.resources.additions.asyncio.sleep", sleep)
    await Additions(Told()).wait("a")  # type: ignore[arg-type]
    assert slept == []
    await Additions(Told(), is_shared=True).wait("a")  # type: ignore[arg-type]
    assert slept == [OTHERS_S]


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.resources.additions.WAIT_S", 0.01)
    additions, _ = make()
    was_cancelled = []

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            was_cancelled.append(1)
            raise

    async def never() -> None:
        raise AssertionError

    additions.add("a", endless)
    additions.add("a", never)
    await additions.wait("a")
    await additions.settle()
    assert was_cancelled == [1]
    assert not additions._last
    await additions.settle()
