"""Running one asynchronous test on asyncio's own loop and on uvloop."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

LOOPS = (
    pytest.param(asyncio.new_event_loop, id="asyncio"),
    pytest.param(uvloop.new_event_loop, id="uvloop"),
)
LOOP = inspect.Parameter("loop_factory", inspect.Parameter.KEYWORD_ONLY)


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test once for each loop. It fails, too, when anything reaches the loop's exception handler."""

    def run(*, loop_factory: Callable[[], asyncio.AbstractEventLoop], **fixtures: Any) -> None:
        unhandled: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.get_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
            runner.run(test(**fixtures))
        assert unhandled == []

    signature = inspect.signature(test)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), LOOP])  # type: ignore[attr-defined]
    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    run.__module__ = test.__module__
    # marks set below the decorator stay on the test that pytest sees
    run.pytestmark = list(getattr(test, "pytestmark", []))  # type: ignore[attr-defined]
    marked: Callable[..., None] = pytest.mark.parametrize("loop_factory", LOOPS)(run)
    return marked


def collect_unhandled() -> list[dict[str, Any]]:
    """From here on what reaches the running loop's exception handler is kept in the returned list and is no failure."""
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
    return unhandled
