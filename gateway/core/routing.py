"""Which provider instance answers for a model id.

``instance/model`` always names one instance. A bare id goes to the first instance, in the order of configuration, that
has the model. An instance whose list is not known yet cannot have it; ``ModelIndex.is_complete`` says whether that may
still change.
"""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from gateway.core.errors import EndpointNotSupported, ModelNotFound
from gateway.core.names import is_model_id
from gateway.core.types import Capability, Model

# (id to ask for, instance, model)
Row = tuple[str, str, Model]


class Instance(Struct, frozen=True):
    """A configured provider as routing sees it. ``models`` is None while its list is not known; with ``is_fixed`` the
    list was configured and nothing beside it is offered."""

    name: str
    capabilities: frozenset[Capability]
    models: tuple[Model, ...] | None = None
    is_fixed: bool = False


class Route(Struct, frozen=True):
    """Where a request goes: ``model`` is the id in the provider's words. ``is_listed`` tells whether some list names
    it, so that only ids from closed sets become metric labels."""

    instance: str
    model: str
    is_listed: bool


class ModelIndex:
    """All models of all instances. Immutable: discovery builds a new one."""

    def __init__(self, instances: Iterable[Instance]) -> None:
        self._instances: Mapping[str, Instance] = {instance.name: instance for instance in instances}
        self._by_id: dict[str, list[Instance]] = {}
        self._models: dict[str, dict[str, Model]] = {}
        for instance in self._instances.values():
            # an id listed twice is one model
            self._models[instance.name] = {model.id: model for model in instance.models or ()}
            for model_id in self._models[instance.name]:
                self._by_id.setdefault(model_id, []).append(instance)
        self._listing: tuple[Row, ...] | None = None
        self.is_complete = all(instance.models is not None for instance in self._instances.values())

    def resolve(self, requested: str, capability: Capability) -> Route:
        """Raises ``ModelNotFound``, or ``EndpointNotSupported`` when the model's provider has no such endpoint."""
        is_possible = is_model_id(requested)
        route = (self._qualified(requested) or self._bare(requested, capability)) if is_possible else None
        if route is None:
            raise self.unknown(requested)
        if capability not in self._instances[route.instance].capabilities:
            raise EndpointNotSupported(f"Provider {route.instance!r} does not offer {capability.value}.", param="model")
        return route

    def _qualified(self, requested: str) -> Route | None:
        name, slash, model = requested.partition("/")
        instance = self._instances.get(name)
        if not slash or instance is None:
            return None
        is_listed = model in self._models[name]
        return Route(name, model, is_listed) if is_listed or not instance.is_fixed else None

    def _bare(self, requested: str, capability: Capability) -> Route | None:
        owners = self._by_id.get(requested, ())
        owner = next((o for o in owners if capability in o.capabilities), None) or next(iter(owners), None)
        if owner is not None:
            return Route(owner.name, requested, is_listed=True)
        # the only provider, and it has not said what it has: it may know the id, and its own 404 is as good as ours.
        # Beside others the id may be theirs, and a prompt must not go to whoever happens to be silent.
        only = next(iter(self._instances.values())) if len(self._instances) == 1 else None
        return Route(only.name, requested, is_listed=False) if only is not None and only.models is None else None

    def unknown(self, requested: str) -> ModelNotFound:
        """The refusal of an id that nobody has; an impossible one is not repeated."""
        if not is_model_id(requested):
            return ModelNotFound("The model id is empty, too long or has characters no model id has.", param="model")
        return ModelNotFound(f"The model {requested!r} does not exist; {self._hint(requested)}.", param="model")

    def _hint(self, requested: str) -> str:
        named = self._instances.get(requested.partition("/")[0])
        silent = [instance.name for instance in self._instances.values() if instance.models is None]
        if named is not None and named.is_fixed:
            return f"{named.name!r} offers the models that are configured for it, GET /v1/models lists them"
        if named is None and silent:
            return f"{silent[0]!r} has not told its models yet, {silent[0]}/<model> asks it all the same"
        return "GET /v1/models lists what there is"

    def listing(self) -> tuple[Row, ...]:
        """Every model: the bare id where it leads to this very instance, the qualified id always. Made when first asked
        for, and once: it may have thousands of rows."""
        if self._listing is None:
            self._listing = tuple(self._rows())
        return self._listing

    def _rows(self) -> Iterator[Row]:
        for name, models in self._models.items():
            for model in models.values():
                if self.find(model.id) == (name, model):
                    yield model.id, name, model
                yield f"{name}/{model.id}", name, model

    def find(self, requested: str) -> tuple[str, Model] | None:
        """``(instance, model)`` of a listed id, bare or qualified. As in ``resolve``, an id that begins with an
        instance's name is a qualified one, even where another provider lists it whole."""
        route = self._qualified(requested)
        if route is None and (owners := self._by_id.get(requested)):
            route = Route(owners[0].name, requested, is_listed=True)
        if route is None or not route.is_listed:
            return None
        return route.instance, self._models[route.instance][route.model]
