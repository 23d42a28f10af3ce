import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import EndpointNotSupported, GatewayError, ModelNotFound
from gateway.core.names import is_model_id
from gateway.core.routing import Instance, ModelIndex, Route
from gateway.core.types import Capability, Model

CHAT, EMBEDDINGS = Capability.CHAT, Capability.EMBEDDINGS
BOTH = frozenset((CHAT, EMBEDDINGS))


def instance(name: str, *models: str, offers: frozenset[Capability] = BOTH, is_fixed: bool = False) -> Instance:
    return Instance(name, offers, tuple(Model(id=model, owned_by=name) for model in models), is_fixed)


def silent(name: str, offers: frozenset[Capability] = BOTH) -> Instance:
    """A provider that has not told its models yet."""
    return Instance(name, offers)


def resolve(requested: str, *instances: Instance, capability: Capability = CHAT) -> Route:
    return ModelIndex(instances).resolve(requested, capability)


# --- resolving ------------------------------------------------------------------------------------------------------


def test_a_qualified_id_names_its_instance() -> None:
    both = instance("a", "m"), instance("b", "m")
    assert resolve("b/m", *both) == Route("b", "m", is_listed=True)
    assert resolve("a/m", *both) == Route("a", "m", is_listed=True)


def test_a_bare_id_goes_to_the_first_instance_in_the_order_of_configuration() -> None:
    first, second = instance("z", "x", "m"), instance("a", "m", "y")
    assert resolve("m", first, second) == Route("z", "m", is_listed=True)
    assert resolve("m", second, first) == Route("a", "m", is_listed=True)
    assert resolve("y", first, second).instance == "a"


def test_a_bare_id_goes_to_the_first_instance_that_offers_what_is_asked() -> None:
    only_chat = instance("chat", "m", offers=frozenset((CHAT,)))
    only_embeddings = instance("embed", "m", offers=frozenset((EMBEDDINGS,)))
    assert resolve("m", only_embeddings, only_chat, capability=CHAT).instance == "chat"
    assert resolve("m", only_chat, only_embeddings, capability=EMBEDDINGS).instance == "embed"


def test_an_endpoint_the_models_provider_lacks_is_told_apart_from_a_missing_model() -> None:
    only_chat = instance("a", "m", offers=frozenset((CHAT,)))
    for requested in ("m", "a/m", "a/unlisted"):
        with pytest.raises(EndpointNotSupported, match="'a' does not offer embeddings") as refused:
            resolve(requested, only_chat, capability=EMBEDDINGS)
        assert refused.value.param == "model"


def test_ids_with_slashes_are_found_bare_and_qualified() -> None:
    router = instance("router", "meta/llama-3", "openai/gpt-4o")
    assert resolve("meta/llama-3", router) == Route("router", "meta/llama-3", is_listed=True)
    assert resolve("router/meta/llama-3", router) == Route("router", "meta/llama-3", is_listed=True)


def test_an_instance_in_front_of_an_id_wins_over_another_instances_id() -> None:
    openai, router = instance("openai", "gpt-4o"), instance("router", "openai/gpt-4o", "openai/o9")
    for order in ((openai, router), (router, openai)):
        assert resolve("openai/gpt-4o", *order) == Route("openai", "gpt-4o", is_listed=True)
        assert resolve("openai/o9", *order) == Route("openai", "o9", is_listed=False)
        assert resolve("router/openai/gpt-4o", *order) == Route("router", "openai/gpt-4o", is_listed=True)


def test_a_fixed_list_offers_nothing_beside_it() -> None:
    fixed = instance("a", "m", is_fixed=True)
    assert resolve("a/m", fixed) == Route("a", "m", is_listed=True)
    with pytest.raises(ModelNotFound):
        resolve("a/other", fixed)
    # so that a router's id of the same look is reached
    assert resolve("a/other", fixed, instance("router", "a/other")) == Route("router", "a/other", is_listed=True)


def test_an_open_list_does_not_stop_a_qualified_id() -> None:
    assert resolve("a/brand-new", instance("a", "m")) == Route("a", "brand-new", is_listed=False)
    assert resolve("a/brand-new", silent("a")) == Route("a", "brand-new", is_listed=False)


def test_an_unknown_bare_id_goes_to_the_only_provider_while_it_is_silent() -> None:
    assert resolve("m", silent("a")) == Route("a", "m", is_listed=False)
    with pytest.raises(ModelNotFound):
        resolve("m", instance("a", "x"))


@pytest.mark.parametrize("others", [(instance("a", "x"),), (silent("a"),), (instance("a", "x"), silent("c"))])
def test_an_unknown_bare_id_is_not_given_to_whoever_is_silent_beside_others(others: tuple[Instance, ...]) -> None:
    for order in ((*others, silent("b")), (silent("b"), *others)):
        with pytest.raises(ModelNotFound, match="has not told its models yet"):
            resolve("m", *order)


def test_a_silent_provider_does_not_hide_what_another_has_listed() -> None:
    assert resolve("x", silent("b"), instance("a", "x")) == Route("a", "x", is_listed=True)


@pytest.mark.parametrize("requested", ["nope", "nobody/m", "a/m/", "m ", "M"])
def test_an_unknown_model_is_not_found(requested: str) -> None:
    with pytest.raises(ModelNotFound) as refused:
        resolve(requested, instance("a", "m", is_fixed=True), instance("b", "m"))
    assert (refused.value.status, refused.value.code, refused.value.param) == (404, "model_not_found", "model")


def test_a_judged_unknown_id_is_repeated_and_another_is_not() -> None:
    index = ModelIndex([instance("a", "m")])
    assert "'gpt-9'" in index.unknown("gpt-9").message
    assert "GET /v1/models" in index.unknown("gpt-9").message
    for impossible in ("", "a\r\nX: 1", "x" * 10_000, "\x1b[2J", "../admin"):
        message = index.unknown(impossible).message
        assert not impossible or impossible not in message
        assert len(message) < 200


# What a model id must never carry into a URL, a header or a log, from the table of JSON edges and of bad segments.
IMPOSSIBLE = [
    "",
    "a\r\nX: 1",
    "m\0",
    "m\n",
    "../admin",
    "a/../b",
    "a//b",
    "/m",
    "m?x=1",
    "m#f",
    "m%2e",
    "m;v",
    "é",
    "m" * 257,
]


@pytest.mark.parametrize("requested", IMPOSSIBLE)
def test_impossible_ids_reach_nobody(requested: str) -> None:
    for offered in ([instance("a", "m")], [silent("a")], [instance("a", requested)]):
        for name in (requested, f"a/{requested}"):
            with pytest.raises(ModelNotFound):
                ModelIndex(offered).resolve(name, CHAT)


def test_without_instances_nothing_is_found() -> None:
    index = ModelIndex([])
    assert index.is_complete
    assert index.listing() == ()
    assert index.find("m") is None
    with pytest.raises(ModelNotFound):
        index.resolve("m", CHAT)


def test_completeness_says_whether_anything_may_still_change() -> None:
    assert ModelIndex([instance("a", "m"), instance("b")]).is_complete
    assert not ModelIndex([instance("a", "m"), silent("b")]).is_complete


# --- listing --------------------------------------------------------------------------------------------------------


def ids(*instances: Instance) -> list[str]:
    return [requested for requested, _, _ in ModelIndex(instances).listing()]


def test_every_model_is_listed_qualified_and_bare_where_the_bare_id_leads_to_it() -> None:
    assert ids(instance("a", "x", "m"), instance("b", "m", "y")) == ["x", "a/x", "m", "a/m", "b/m", "y", "b/y"]


def test_the_list_is_made_once() -> None:
    index = ModelIndex([instance("a", "m")])
    assert index.listing() is index.listing()


def test_an_id_that_its_provider_lists_twice_is_one_model() -> None:
    assert ids(instance("a", "m", "x", "m")) == ["m", "a/m", "x", "a/x"]


def test_a_bare_id_that_leads_to_another_instance_is_not_listed() -> None:
    openai, router = instance("openai", "gpt-4o"), instance("router", "openai/gpt-4o", "openai/o9")
    for order in ((openai, router), (router, openai)):
        listed = ids(*order)
        assert listed.count("openai/gpt-4o") == 1
        assert "openai/o9" not in listed
        assert "router/openai/o9" in listed
        index = ModelIndex(order)
        assert index.find("openai/gpt-4o") == ("openai", Model(id="gpt-4o", owned_by="openai"))
        assert index.find("openai/o9") is None


def test_what_is_found_is_the_listed_model() -> None:
    index = ModelIndex([instance("a", "m"), instance("b", "m", "y")])
    assert index.find("m") == ("a", Model(id="m", owned_by="a"))
    assert index.find("b/m") == ("b", Model(id="m", owned_by="b"))
    for unknown in ("nope", "a/nope", "c/m", "", "/", "a/", "/m"):
        assert index.find(unknown) is None


segments = st.sampled_from(["a", "b", "m", "gpt-4o"])
model_ids = st.lists(segments, min_size=1, max_size=3).map("/".join)
instances = st.builds(
    lambda name, models, offers, is_fixed: Instance(
        name,
        offers,
        None if models is None else tuple(Model(id=m, owned_by=name) for m in models),
        is_fixed and bool(models),
    ),
    st.sampled_from(["a", "b", "router"]),
    st.none() | st.lists(model_ids, max_size=4),
    st.sampled_from([BOTH, frozenset((CHAT,)), frozenset((EMBEDDINGS,))]),
    st.booleans(),
)


@given(st.lists(instances, max_size=3, unique_by=lambda i: i.name))
def test_every_listed_id_is_listed_once_and_leads_where_the_list_says(configured: list[Instance]) -> None:
    index = ModelIndex(configured)
    rows = index.listing()
    assert len({requested for requested, _, _ in rows}) == len(rows)
    for requested, name, model in rows:
        assert index.find(requested) == (name, model)
        offered = next(i.capabilities for i in configured if i.name == name)
        route = index.resolve(requested, next(iter(offered)))
        if requested != model.id:
            assert route == Route(name, model.id, is_listed=True)
        assert route.is_listed


@given(st.lists(instances, max_size=3, unique_by=lambda i: i.name), model_ids | st.text(max_size=8))
def test_resolving_anything_is_a_route_to_a_configured_instance_or_a_refusal(
    configured: list[Instance], asked: str
) -> None:
    try:
        route = ModelIndex(configured).resolve(asked, CHAT)
    except GatewayError as refused:
        assert refused.param == "model"  # noqa: PT017 - both ends are right
        return
    chosen = next(i for i in configured if i.name == route.instance)
    assert CHAT in chosen.capabilities
    assert asked in (route.model, f"{route.instance}/{route.model}")
    assert is_model_id(route.model)
    assert route.is_listed == (route.model in {m.id for m in chosen.models or ()})
    assert route.is_listed or not chosen.is_fixed
