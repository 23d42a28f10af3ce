"""The table of everything that can be called: read by the server, the docs and the tests."""

import difflib
import enum
from urllib.parse import unquote

from msgspec import Struct

from gateway.core.types import Capability, DialectName


class Access(enum.StrEnum):
    """Who may call. ``PUBLIC`` answers without a key: health checks and scrapers rarely carry one."""

    PUBLIC = "public"
    INFERENCE = "inference"


class Action(enum.StrEnum):
    """What the pipeline does with the call."""

    FORWARD = "forward"
    LIST_MODELS = "list_models"
    GET_MODEL = "get_model"
    LIVE = "live"
    READY = "ready"
    METRICS = "metrics"


class Endpoint(Struct, frozen=True, kw_only=True):
    """One row. A ``path`` that ends in a slash takes the rest of the path as an argument. With ``is_v1`` the path works
    without ``/v1`` too. ``name`` is the endpoint's label in logs and metrics."""

    name: str
    method: str
    path: str
    action: Action
    access: Access = Access.INFERENCE
    dialect: DialectName = DialectName.OPENAI_CHAT
    capability: Capability | None = None
    is_v1: bool = True
    summary: str = ""


ENDPOINTS = (
    Endpoint(
        name="chat",
        method="POST",
        path="/v1/chat/completions",
        action=Action.FORWARD,
        capability=Capability.CHAT,
        summary="Chat completions, streamed or not.",
    ),
    Endpoint(
        name="embeddings",
        method="POST",
        path="/v1/embeddings",
        action=Action.FORWARD,
        dialect=DialectName.OPENAI_EMBEDDINGS,
        capability=Capability.EMBEDDINGS,
        summary="Embeddings, for providers that speak OpenAI's shape.",
    ),
    Endpoint(
        name="models",
        method="GET",
        path="/v1/models",
        action=Action.LIST_MODELS,
        summary="Every model that can be asked for.",
    ),
    Endpoint(name="model", method="GET", path="/v1/models/", action=Action.GET_MODEL, summary="One model."),
    Endpoint(
        name="health",
        method="GET",
        path="/health",
        action=Action.LIVE,
        access=Access.PUBLIC,
        is_v1=False,
        summary="200 while the process lives.",
    ),
    Endpoint(
        name="ready",
        method="GET",
        path="/health/ready",
        action=Action.READY,
        access=Access.PUBLIC,
        is_v1=False,
        summary="200 while new requests are taken. A draining gateway refuses new connections; only a request that "
        "had already begun sees 503.",
    ),
    Endpoint(
        name="metrics",
        method="GET",
        path="/metrics",
        action=Action.METRICS,
        access=Access.PUBLIC,
        is_v1=False,
        summary="Prometheus text.",
    ),
)


def _routes() -> dict[str, dict[str, Endpoint]]:
    """path -> method -> endpoint, with both spellings of each path."""
    routes: dict[str, dict[str, Endpoint]] = {}
    for endpoint in ENDPOINTS:
        for path in (endpoint.path, endpoint.path.removeprefix("/v1")) if endpoint.is_v1 else (endpoint.path,):
            routes.setdefault(path, {})[endpoint.method] = endpoint
    return routes


_ROUTES = _routes()
_PREFIXES = tuple(path for path in _ROUTES if path.endswith("/"))


def find_methods(path: str) -> dict[str, Endpoint]:
    """The endpoints of a path by method; empty when there is none."""
    methods = _ROUTES.get(path)
    if methods is None:
        prefix = next((p for p in _PREFIXES if path.startswith(p) and len(path) > len(p)), None)
        return _ROUTES[prefix] if prefix else {}
    return {} if path.endswith("/") else methods


def suggestion(path: str) -> str:
    """What to say to a client that asked for a path which is none."""
    paths = [known for known in _ROUTES if not known.endswith("/")]
    bare = path.rstrip("/").lower()
    close = [bare] if bare in paths else difflib.get_close_matches(bare[:200], paths, n=1)
    return f"did you mean {close[0]}" if close else f"there are {', '.join(e.path for e in ENDPOINTS)}"


def path_argument(endpoint: Endpoint, path: str) -> str:
    """What stands behind the path of a prefix endpoint, percent-decoded: SDKs write the slash of an id as ``%2F``."""
    prefix = endpoint.path if path.startswith(endpoint.path) else endpoint.path.removeprefix("/v1")
    return unquote(path.removeprefix(prefix))
