"""Where kept objects are: at a provider that offers to keep them, or in the gateway itself."""

from collections.abc import Callable
from time import monotonic
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import BadRequest, NotFound, UpstreamBroken, UpstreamError
from gateway.core.limits import MAX_OBJECT_ANSWER_BYTES
from gateway.core.names import is_instance_name, quote_segment
from gateway.core.object_ids import IdSealer
from gateway.core.types import Capability
from gateway.inquiry import ask, outcome_of, refusal
from gateway.objects.contract import StoredObject
from gateway.request import Request
from gateway.targets import ProviderInstance, Targets

# How a client names the gateway itself where it may name a provider.
GATEWAY = "sluice"


class Told(Struct):
    """What a provider's answer must say of an object for the gateway to remember it, and what it may."""

    id: Annotated[str, Meta(min_length=1)]
    purpose: str = ""


_read_told = msgspec.json.Decoder(Told).decode


def read_told(answer: bytes) -> Told:
    """Raises ``UpstreamBroken`` for what is no such object."""
    try:
        return _read_told(answer)
    except DECODE_ERRORS:
        raise UpstreamBroken("The provider's answer is not the object that it should be.") from None


class Places:
    """Finds the provider that keeps an object, and asks it. Ids of such objects are sealed."""

    def __init__(self, targets: Targets, sealer: IdSealer) -> None:
        self._targets = targets
        self._sealer = sealer

    def named(self, request: Request) -> str | None:
        """The place that the client names in ``X-Sluice-Provider`` or ``?provider=``: a provider, or ``GATEWAY``. None:
        it names none. Raises ``BadRequest`` for one that does not exist."""
        name = request.call.headers.get("X-Sluice-Provider") or request.query().get("provider")
        instances = self._targets.instances
        if name is None or name == GATEWAY or name in instances:
            return name
        shown = repr(name) if is_instance_name(name) else "of that name"
        raise BadRequest(f"There is no provider {shown}; there are {', '.join((*instances, GATEWAY))}.")

    def chosen(self, request: Request, capability: Capability) -> ProviderInstance | None:
        """The provider to keep something new: the one that is named, else the first that keeps such things. None: the
        gateway. Raises ``BadRequest``."""
        name = self.named(request)
        instances = self._targets.instances
        if name is None:
            return next((i for i in instances.values() if capability in i.provider.surfaces), None)
        if name == GATEWAY:
            return None
        if capability not in instances[name].provider.surfaces:
            raise BadRequest(f"Provider {name!r} keeps no {capability.value}; leave it out, or name {GATEWAY!r}.")
        return instances[name]

    def is_wanted(self, request: Request) -> Callable[[StoredObject], bool]:
        """Tells of each object in a list whether it is at the place that the client names, if it names one."""
        name = self.named(request)
        if name is None:
            return lambda _found: True
        home = "" if name == GATEWAY else name
        return lambda found: found.instance == home

    def opened(self, request: Request, shown: str, capability: Capability) -> tuple[ProviderInstance, str] | None:
        """The provider that keeps an object and the object's id there; None when ``shown`` is no id of the caller's."""
        found = self._sealer.open(shown, request.principal.name)
        instance = None if found is None else self._targets.instances.get(found[0])
        if found is None or instance is None or capability not in instance.provider.surfaces:
            return None
        return instance, found[1]

    def path(self, instance: ProviderInstance, capability: Capability, *segments: str) -> str:
        """The provider's path of an object. Raises ``NotFound`` for a segment that cannot be one."""
        base = instance.provider.surfaces[capability][0].path
        try:
            return "/".join((base, *map(quote_segment, segments)))
        except ValueError:
            raise NotFound("There is no object with this id.") from None

    async def ask(
        self,
        request: Request,
        instance: ProviderInstance,
        method: str,
        path: str,
        body: bytes = b"",
        max_bytes: int = MAX_OBJECT_ANSWER_BYTES,
    ) -> bytes:
        """The provider's JSON. Raises ``UpstreamError``, for an error status and beyond ``max_bytes`` too."""
        record = request.record
        record.provider = instance.name
        record.attempts += 1
        started_at = monotonic()
        try:
            relay = await ask(instance, method, path, body, max_bytes)
            if relay.status >= 300:
                raise refusal(instance, relay)
        except UpstreamError as error:
            instance.count(outcome_of(error))
            raise
        finally:
            record.upstream_ms += (monotonic() - started_at) * 1000
        instance.count("ok")
        return relay.body

    def seal(self, request: Request, instance: ProviderInstance, answer: bytes) -> bytes:
        """The provider's JSON with every id in it sealed for the caller."""
        return self._sealer.seal_all(answer, instance.name, request.principal.name)

    def open_all(self, request: Request, instance: ProviderInstance, body: bytes) -> bytes:
        """A request body with the provider's own ids in it. Raises ``NotFound``."""
        return self._sealer.open_all(body, request.principal.name, instance.name)
