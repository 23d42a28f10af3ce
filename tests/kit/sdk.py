"""The official Python clients, blocking and asynchronous, behind one way to call them: each test holds for both.

sdk.call(lambda client: client.chat.completions.create(...))
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol


class Sdk(Protocol):
    def call(self, make: Callable[[Any], Any]) -> Any:
        """What the call that ``make`` begins comes to."""

    def each(self, make: Callable[[Any], Any], seen: list[Any]) -> None:
        """Puts into ``seen`` every element of the stream that ``make`` begins, as it comes."""

    def helper(self, make: Callable[[Any], Any], final: str) -> tuple[list[Any], Any]:
        """All events of a stream helper, and what its method ``final`` gives at the end."""


class BlockingSdk:
    def __init__(self, client: Callable[..., Any], **options: Any) -> None:
        self._client = client
        self._options = options

    def call(self, make: Callable[[Any], Any]) -> Any:
        with self._client(**self._options) as client:
            return make(client)

    def each(self, make: Callable[[Any], Any], seen: list[Any]) -> None:
        with self._client(**self._options) as client, make(client) as stream:
            for element in stream:
                seen.append(element)

    def helper(self, make: Callable[[Any], Any], final: str) -> tuple[list[Any], Any]:
        with self._client(**self._options) as client, make(client) as stream:
            return list(stream), getattr(stream, final)()


class AsyncSdk:
    def __init__(self, client: Callable[..., Any], **options: Any) -> None:
        self._client = client
        self._options = options

    def _run(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            async with self._client(**self._options) as client:
                return await work(client)

        return asyncio.run(run())

    def call(self, make: Callable[[Any], Any]) -> Any:
        async def work(client: Any) -> Any:
            return await make(client)

        return self._run(work)

    def each(self, make: Callable[[Any], Any], seen: list[Any]) -> None:
        async def work(client: Any) -> None:
            async with await make(client) as stream:
                async for element in stream:
                    seen.append(element)

        self._run(work)

    def helper(self, make: Callable[[Any], Any], final: str) -> tuple[list[Any], Any]:
        async def work(client: Any) -> tuple[list[Any], Any]:
            async with make(client) as stream:
                return [event async for event in stream], await getattr(stream, final)()

        found: tuple[list[Any], Any] = self._run(work)
        return found
