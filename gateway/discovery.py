"""Asks providers which models they have: in the background, one at a time each, never in the way of a request.

A provider with a configured list is not asked. One that does not answer is asked again, sooner at first; until it has
answered once, only qualified ids reach it.
"""

import asyncio
import contextlib

from gateway.core.errors import GatewayError, UpstreamBroken, place_of
from gateway.core.limits import MAX_LISTED_MODELS
from gateway.core.names import is_model_id
from gateway.inquiry import ask
from gateway.targets import ProviderInstance, Targets
from gateway.telemetry.logs import Log

# Providers add models a few times a month.
REFRESH_S = 3600.0
# A provider that is down is asked again after this, doubling up to the refresh time.
FIRST_RETRY_S = 5.0
# A list that takes longer is asked for again later.
ANSWER_S = 30.0
# How long a request for an unknown bare id waits for providers that have not answered yet.
FIRST_ANSWER_WAIT_S = 3.0


class Discovery:
    """Keeps ``targets`` supplied with model lists."""

    def __init__(self, targets: Targets, log: Log) -> None:
        self._targets = targets
        self._log = log
        self._tasks: list[asyncio.Task[None]] = []
        self._unasked = 0
        self._all_asked = asyncio.Event()

    def start(self) -> None:
        for instance in self._targets.instances.values():
            if instance.provider.models_path is not None and not instance.configured_models:
                self._unasked += 1
                self._tasks.append(asyncio.create_task(self._keep_asking(instance)))
        if not self._tasks:
            self._all_asked.set()

    async def wait_for_first_answers(self) -> None:
        """Returns once every provider has answered or failed once, at the latest after ``FIRST_ANSWER_WAIT_S``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_ANSWER_WAIT_S):
                await self._all_asked.wait()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep_asking(self, instance: ProviderInstance) -> None:
        is_first, retry_s = True, FIRST_RETRY_S
        while True:
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self._ask(instance)
                wait_s, retry_s = REFRESH_S, FIRST_RETRY_S
            except Exception as error:
                reason = error.message if isinstance(error, GatewayError) else place_of(error)
                detail = error.detail if isinstance(error, GatewayError) else ""
                self._log.say("model list not available", provider=instance.name, error=reason, detail=detail)
                wait_s, retry_s = retry_s, min(retry_s * 2, REFRESH_S)
            if is_first:
                is_first = False
                self._unasked -= 1
                if self._unasked == 0:
                    self._all_asked.set()
            await asyncio.sleep(wait_s)

    async def _ask(self, instance: ProviderInstance) -> None:
        """Raises ``GatewayError``."""
        provider = instance.provider
        assert provider.models_path is not None
        assert provider.read_models is not None
        relay = await ask(instance, "GET", provider.models_path)
        if relay.status != 200:
            raise UpstreamBroken(f"the provider answered {relay.status}")
        try:
            models = provider.read_models(relay.body)
        except ValueError as error:
            raise UpstreamBroken(str(error)) from None
        self._targets.update(instance.name, [m for m in models if is_model_id(m.id)][:MAX_LISTED_MODELS])
