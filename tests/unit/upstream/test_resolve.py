import asyncio
import gc
import socket
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.limits import MAX_ADDRESSES, MAX_CACHED_HOSTS
from gateway.upstream.resolve import Resolver, interleave, system_lookup
from tests.kit.client import until


class Names:
    """A name server under the test's hand."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: Sequence[str] = addresses
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return self.addresses


async def test_a_name_is_asked_for_once_while_it_is_fresh() -> None:
    names = Names("10.0.0.1")
    resolver = Resolver(names)
    assert await resolver.resolve("a.test") == ["10.0.0.1"]
    names.addresses = ["10.0.0.2"]
    assert await resolver.resolve("a.test") == ["10.0.0.1"]
    assert names.asked == ["a.test"]


async def test_after_its_time_a_name_is_asked_for_again_and_the_change_is_followed() -> None:
    names = Names("10.0.0.1")
    resolver = Resolver(names, ttl_s=0)
    assert await resolver.resolve("a.test") == ["10.0.0.1"]
    names.addresses = ["10.0.0.2"]
    assert await resolver.resolve("a.test") == ["10.0.0.2"]


async def test_the_last_good_answer_serves_while_the_name_server_fails() -> None:
    names = Names("10.0.0.1")
    resolver = Resolver(names, ttl_s=0)
    await resolver.resolve("a.test")
    names.error = socket.gaierror(socket.EAI_AGAIN, "try again")
    assert await resolver.resolve("a.test") == ["10.0.0.1"]
    names.error = None
    names.addresses = []
    assert await resolver.resolve("a.test") == ["10.0.0.1"]
    names.addresses = ["10.0.0.3"]
    assert await resolver.resolve("a.test") == ["10.0.0.3"]


async def test_the_last_good_answer_serves_not_for_ever() -> None:
    names = Names("10.0.0.1")
    resolver = Resolver(names, ttl_s=0, keep_s=-1)
    await resolver.resolve("a.test")
    names.error = socket.gaierror(socket.EAI_AGAIN, "try again")
    with pytest.raises(socket.gaierror, match="try again"):
        await resolver.resolve("a.test")


async def test_a_name_that_never_had_an_address_fails() -> None:
    names = Names()
    with pytest.raises(socket.gaierror, match="no address"):
        await Resolver(names).resolve("a.test")
    names.error = UnicodeError("label too long")
    with pytest.raises(UnicodeError):
        await Resolver(names).resolve("a.test")


async def test_addresses_need_no_name_server() -> None:
    names = Names()
    assert await Resolver(names).resolve("127.0.0.1") == ["127.0.0.1"]
    assert await Resolver(names).resolve("fd00::1") == ["fd00::1"]
    assert names.asked == []


async def test_equal_questions_at_the_same_time_are_one_and_may_be_given_up_one_by_one() -> None:
    names = Names("10.0.0.1")
    names.may_answer.clear()
    resolver = Resolver(names)
    waiting = [asyncio.create_task(resolver.resolve("a.test")) for _ in range(3)]
    await until(lambda: names.asked)
    waiting[0].cancel()
    names.may_answer.set()
    assert await waiting[1] == await waiting[2] == ["10.0.0.1"]
    assert waiting[0].cancelled()
    assert names.asked == ["a.test"]


async def test_a_failure_nobody_waits_for_any_more_is_no_complaint() -> None:
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
    names = Names()
    names.may_answer.clear()
    waiting = asyncio.create_task(Resolver(names).resolve("a.test"))
    await until(lambda: names.asked)
    waiting.cancel()
    names.may_answer.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert waiting.cancelled()
    gc.collect()  # an exception nobody has seen is complained of when its task goes
    assert unhandled == []


async def test_what_is_remembered_is_bounded() -> None:
    names = Names(*(f"10.0.0.{i}" for i in range(40)))
    resolver = Resolver(names)
    for i in range(MAX_CACHED_HOSTS + 1):
        assert len(await resolver.resolve(f"{i}.test")) == MAX_ADDRESSES
    await resolver.resolve(f"{MAX_CACHED_HOSTS}.test")
    assert len(names.asked) == MAX_CACHED_HOSTS + 1
    await resolver.resolve("0.test")
    assert len(names.asked) == MAX_CACHED_HOSTS + 2


async def test_the_system_knows_this_machine() -> None:
    assert {"127.0.0.1", "::1"} & set(await system_lookup("localhost"))


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ([], []),
        (["1.1.1.1"], ["1.1.1.1"]),
        (["::1", "::2", "1.1.1.1", "1.1.1.2"], ["::1", "1.1.1.1", "::2", "1.1.1.2"]),
        (["1.1.1.1", "::1", "::2", "::3"], ["1.1.1.1", "::1", "::2", "::3"]),
        (["1.1.1.1", "1.1.1.1", "::1", "::1"], ["1.1.1.1", "::1"]),
    ],
)
def test_families_take_turns(addresses: list[str], expected: list[str]) -> None:
    assert interleave(addresses) == expected


@settings(deadline=None)
@given(st.lists(st.sampled_from(["1.1.1.1", "1.1.1.2", "1.1.1.3", "::1", "::2", "::3"])))
def test_taking_turns_loses_nobody_and_keeps_the_order_within_a_family(addresses: list[str]) -> None:
    result = interleave(addresses)
    assert sorted(result) == sorted(set(addresses))
    assert result[:1] == addresses[:1]
    for family in (":", "."):
        mine = [address for address in result if family in address]
        assert mine == [address for address in dict.fromkeys(addresses) if family in address]
