"""Where requests can go: configured provider instances, and for each model the prepared parts of a request to it.

A ``Target`` is made once per model and kept: head bytes with credentials, response header lines, counters. A request on
the hot path then only looks it up.
"""

from collections.abc import Container, Sequence
from urllib.parse import quote

import msgspec
from msgspec import Struct

from gateway.core.decoding import DECODE_ERRORS
from gateway.core.errors import EndpointNotSupported, UpstreamRefused
from gateway.core.retry import RetryPolicy
from gateway.core.routing import Instance, ModelIndex
from gateway.core.secret import Secret
from gateway.core.types import Capability, ChatRequest, DialectName, Model
from gateway.endpoints import Endpoint
from gateway.telemetry.metrics import Metrics, Series
from gateway.telemetry.record import OTHER_MODEL
from gateway.upstream.contract import Upstream
from providers.contract import Provider, Surface

# Some sites turn away whoever does not say who they are, and an answer that is forwarded must come unpacked.
_OWN_HEADERS = {"user-agent": "sluice", "accept-encoding": "identity"}

# What the gateway answers itself where the provider does not.
_ESTIMATED = (Capability.COUNT_TOKENS,)

# Targets of unlisted models are made from client text; they are kept only up to this many.
MAX_TARGETS = 4096


class ProviderInstance(Struct, kw_only=True, eq=False):
    """A configured provider: its record, its connections and its credentials."""

    name: str
    provider: Provider
    upstream: Upstream
    retry: RetryPolicy
    keys: tuple[Secret, ...] = ()
    headers: tuple[tuple[str, Secret], ...] = ()
    configured_models: tuple[str, ...] = ()
    # the path of the base URL, behind which all its paths stand
    base_path: str = ""
    turn: int = 0
    # how requests to it have ended: "ok", "status_429", "timeout_stall", ...
    outcomes: dict[str, int] = {}
    # what must not be seen in anything this provider says; longest first, one may be the beginning of another
    secrets: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        values = {secret.reveal().encode() for secret in (*self.keys, *(value for _, value in self.headers))}
        self.secrets = tuple(sorted((v for v in values if len(v) >= 4), key=len, reverse=True))

    def request_heads(self, method: str, path: str, without: Container[str] = ()) -> tuple[bytes, ...]:
        """One request head per key; one without credentials when there is no key. ``without`` names headers that are
        added per request instead."""
        static = [(name, value) for name, value in self.static_headers().items() if name not in without]
        if method == "POST" and "content-type" not in without:
            static.append(("content-type", "application/json"))
        credentials = [self.provider.auth(key) for key in self.keys] or [()]
        return tuple(self.upstream.request_head(method, path, [*auth, *static]) for auth in credentials)

    def static_headers(self) -> dict[str, str]:
        """What every request carries, by lower-case name. The operator's word stands above the provider's and ours."""
        given = [*self.provider.headers, *((name, value.reveal()) for name, value in self.headers)]
        return _OWN_HEADERS | {name.lower(): value for name, value in given}

    def relative_path(self, path: str) -> str:
        """``path`` behind the base URL. Clients write the base URL's own path once more, as in ``/p/openai/v1/...``."""
        return path.removeprefix(self.base_path) if path.startswith(f"{self.base_path}/") else path

    def next_turn(self) -> int:
        """Keys take turns."""
        self.turn += 1
        return self.turn

    def count(self, outcome: str) -> None:
        """One request to the provider has ended."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def scrub(self, text: bytes) -> bytes:
        """``text`` without the credentials: some providers repeat them in their errors."""
        for secret in self.secrets:
            text = text.replace(secret, b"***")
        return text

    def scrub_text(self, text: str) -> str:
        return self.scrub(text.encode("utf-8", "replace")).decode("utf-8", "replace")

    def scrub_json(self, body: bytes) -> bytes:
        """An error body without the credentials, however JSON may spell them. It is rewritten only when an escape hides
        one, and empty when it is escaped and yet no JSON."""
        text = self.scrub(body)
        if b"\\" not in text:
            return text
        try:
            plain = msgspec.json.encode(msgspec.json.decode(text))
        except DECODE_ERRORS:
            return b""
        clean = self.scrub(plain)
        return text if clean == plain else clean

    def scrub_event(self, event: bytes) -> bytes:
        """Server-sent events that tell an error: as ``scrub_json``, line by line."""
        if b"\\" not in event:
            return self.scrub(event)
        lines = []
        for line in event.split(b"\n"):
            bare = self.scrub(line)
            payload = bare[5:].strip() if bare.startswith(b"data:") else b""
            clean = self.scrub_json(payload)
            lines.append(bare if clean == payload else b"data: " + clean)
        return b"\n".join(lines)

    def scrub_error(self, error: UpstreamRefused) -> UpstreamRefused:
        """The same for what was read out of it."""
        error.message = self.scrub_text(error.message)
        error.native_type = self.scrub_text(error.native_type)
        error.native_code = None if error.native_code is None else self.scrub_text(error.native_code)
        error.param = None if error.param is None else self.scrub_text(error.param)
        error.headers = tuple((name, self.scrub_text(value)) for name, value in error.headers)
        return error


class Door:
    """One surface of one instance, ready to be asked for one model: the request heads, with credentials in them."""

    __slots__ = ("_heads", "_stream_heads", "_turn", "default_head", "default_headers", "surface")

    def __init__(self, instance: ProviderInstance, surface: Surface, model: str) -> None:
        self.surface = surface
        self._turn = instance.next_turn
        self._heads = _heads(instance, surface, surface.path, model)
        self._stream_heads = self._heads
        if surface.stream_path:
            self._stream_heads = _heads(instance, surface, surface.stream_path, model)
        forwarded = surface.forwarded_headers
        self.default_headers = {n: value for n, value in instance.static_headers().items() if n in forwarded}
        # sent as they are where the client has none of its own
        self.default_head = "".join(f"{n}: {value}\r\n" for n, value in self.default_headers.items()).encode("ascii")

    def head(self, is_stream: bool, is_bound: bool) -> bytes:
        """``is_bound``: with the first of several keys, not with the next in turn."""
        heads = self._stream_heads if is_stream else self._heads
        return heads[0] if is_bound or len(heads) == 1 else heads[self._turn() % len(heads)]


def _heads(instance: ProviderInstance, surface: Surface, path: str, model: str) -> tuple[bytes, ...]:
    # what a model id may hold beside these would mean something else in a path
    path = path.replace("{model}", quote(model, safe="/:@~+"))
    return instance.request_heads("POST", path, without=surface.forwarded_headers)


class Target:
    """One model of one instance for clients of one dialect. ``native`` is the surface that speaks this dialect, and
    without one ``translating`` are those that a translator leads to, best first."""

    __slots__ = ("instance", "model", "native", "reply_headers", "series", "translating")

    def __init__(
        self, instance: ProviderInstance, surfaces: Sequence[Surface], dialect: DialectName, model: str, series: Series
    ) -> None:
        self.instance = instance
        self.model = model
        self.series = series
        able = [surface for surface in surfaces if surface.serves is None or surface.serves(model)]
        native = next((surface for surface in able if surface.dialect is dialect), None)
        self.native = None if native is None else Door(instance, native, model)
        self.translating = tuple(
            Door(instance, surface, model)
            for surface in (able if native is None else ())
            if surface.translator is not None
        )
        self.reply_headers = f"X-Sluice-Provider: {instance.name}\r\nX-Sluice-Model: {model}\r\n".encode()

    def door_for(self, request: object) -> Door | None:
        """The translating surface for a request; only the preferences of chat surfaces look into it."""
        for door in self.translating:
            suits = door.surface.suits
            if suits is None or not isinstance(request, ChatRequest) or suits(request, self.model):
                return door
        return None


class Targets:
    """Finds the target of a requested model. ``update`` replaces what an instance offers."""

    def __init__(self, instances: Sequence[ProviderInstance], metrics: Metrics) -> None:
        self.instances = {instance.name: instance for instance in instances}
        self._metrics = metrics
        self._models: dict[str, tuple[Model, ...] | None] = {i.name: _known_models(i) for i in instances}
        self._cache: dict[tuple[str, str], Target] = {}
        self.index = self._build_index()

    def _build_index(self) -> ModelIndex:
        return ModelIndex(
            Instance(
                name,
                # tokens can be estimated for every chat
                frozenset((*instance.provider.surfaces, *_ESTIMATED)),
                self._models[name],
                is_fixed=bool(instance.configured_models or instance.provider.models),
            )
            for name, instance in self.instances.items()
        )

    def update(self, instance: str, models: Sequence[Model]) -> None:
        """The provider has told its models."""
        self._models[instance] = tuple(models)
        self.index = self._build_index()
        self._cache.clear()

    def find(self, requested: str, endpoint: Endpoint) -> Target:
        """Raises ``ModelNotFound`` or ``EndpointNotSupported``."""
        target = self._cache.get((endpoint.name, requested))
        if target is None:
            target = self._make(requested, endpoint)
        return target

    def _make(self, requested: str, endpoint: Endpoint) -> Target:
        capability = endpoint.capability
        assert capability is not None  # whoever asks for a target has an endpoint that needs one
        route = self.index.resolve(requested, capability)
        instance = self.instances[route.instance]
        label = route.model if route.is_listed else OTHER_MODEL
        series = self._metrics.series(endpoint.name, instance.name, label)
        surfaces = instance.provider.surfaces.get(capability, ())
        target = Target(instance, surfaces, endpoint.dialect, route.model, series)
        if target.native is None and not target.translating and capability not in _ESTIMATED:
            raise EndpointNotSupported(
                f"Provider {instance.name!r} does not offer {endpoint.path} for {route.model!r}.", param="model"
            )
        if len(self._cache) < MAX_TARGETS:
            self._cache[endpoint.name, requested] = target
        return target


def _known_models(instance: ProviderInstance) -> tuple[Model, ...] | None:
    if instance.configured_models:
        return tuple(Model(id=name, owned_by=instance.name) for name in instance.configured_models)
    return instance.provider.models or (None if instance.provider.models_path else ())
