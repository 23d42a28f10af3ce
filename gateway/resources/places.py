"""Where kept objects are: at a provider that offers to keep them, or in the gateway itself."""

from time import monotonic

from gateway.core.errors import BadRequest
from gateway.core.names import is_instance_name, quote_segment
from gateway.core.object_ids import IdSealer
from gateway.core.types import Capability
from gateway.inquiry import ask, refusal
from gateway.request import Request
from gateway.targets import ProviderInstance, Targets

# How a client names the gateway itself where it may name a provider.
GATEWAY = "sluice"


class Places:
    """Finds the provider that keeps an object, and asks it. Ids of such objects are sealed."""

    def __init__(self, targets: Targets, sealer: IdSealer) -> None:
        self._targets = targets
        self._sealer = sealer

    def is_named(self, request: Request) -> bool:
        """Does the client say where something new is to be kept?"""
        return "X-Sluice-Provider" in request.call.headers or "provider" in request.query()

    def chosen(self, request: Request, capability: Capability) -> ProviderInstance | None:
        """The provider to keep something new: the one the client names in ``X-Sluice-Provider`` or ``?provider=``, else
        the first that keeps such things. None: the gateway. Raises ``BadRequest``."""
        name = request.call.headers.get("X-Sluice-Provider") or request.query().get("provider")
        instances = self._targets.instances
        if name is None:
            return next((i for i in instances.values() if capability in i.provider.surfaces), None)
        if name == GATEWAY:
            return None
        instance = instances.get(name)
        if instance is None:
            shown = repr(name) if is_instance_name(name) else "of that name"
            raise BadRequest(f"There is no provider {shown}; there are {', '.join((*instances, GATEWAY))}.")
        if capability not in instance.provider.surfaces:
            raise BadRequest(f"Provider {name!r} keeps no {capability.value}; leave it out, or name {GATEWAY!r}.")
        return instance

    def opened(self, request: Request, shown: str, capability: Capability) -> tuple[ProviderInstance, str] | None:
        """The provider that keeps an object and the object's id there; None when ``shown`` is no id of the caller's."""
        found = self._sealer.open(shown, request.principal.name)
        instance = None if found is None else self._targets.instances.get(found[0])
        if found is None or instance is None or capability not in instance.provider.surfaces:
            return None
        return instance, found[1]

    def path(self, instance: ProviderInstance, capability: Capability, *segments: str) -> str:
        """The provider's path of an object. ``ValueError`` for a segment that cannot be one."""
        base = instance.provider.surfaces[capability][0].path
        return "/".join((base, *map(quote_segment, segments)))

    async def ask(
        self, request: Request, instance: ProviderInstance, method: str, path: str, body: bytes = b""
    ) -> bytes:
        """The provider's JSON. Raises ``UpstreamError``, for an error status too."""
        record = request.record
        record.provider = instance.name
        record.attempts += 1
        started_at = monotonic()
        try:
            relay = await ask(instance, method, path, body)
        finally:
            record.upstream_ms += (monotonic() - started_at) * 1000
        if relay.status >= 300:
            raise refusal(instance, relay)
        return relay.body

    def seal(self, request: Request, instance: ProviderInstance, answer: bytes) -> bytes:
        """The provider's JSON with every id in it sealed for the caller."""
        return self._sealer.seal_all(answer, instance.name, request.principal.name)

    def open_all(self, request: Request, instance: ProviderInstance, body: bytes) -> bytes:
        """A request body with the provider's own ids in it. Raises ``NotFound``."""
        return self._sealer.open_all(body, request.principal.name, instance.name)
