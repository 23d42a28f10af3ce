"""The table of everything that can be called: read by the server, the docs and the tests."""

import difflib
import enum
import re
from urllib.parse import unquote

from msgspec import Struct

from gateway.core.types import Capability, DialectName


class Access(enum.StrEnum):
    """Who may call. ``PUBLIC`` answers without a key: health checks and scrapers rarely carry one."""

    PUBLIC = "public"
    INFERENCE = "inference"


class Action(enum.StrEnum):
    """What the gateway does with the call."""

    FORWARD = "forward"  # JSON with a model in it
    FORWARD_FORM = "forward_form"  # a form with a model in it
    COUNT_TOKENS = "count_tokens"
    PASS_THROUGH = "pass_through"  # noqa: S105 - no password
    LIST_MODELS = "list_models"
    GET_MODEL = "get_model"
    GET_RESPONSE = "get_response"
    DELETE_RESPONSE = "delete_response"
    CANCEL_RESPONSE = "cancel_response"
    LIST_INPUT_ITEMS = "list_input_items"
    CREATE_CONVERSATION = "create_conversation"
    GET_CONVERSATION = "get_conversation"
    UPDATE_CONVERSATION = "update_conversation"
    DELETE_CONVERSATION = "delete_conversation"
    ADD_ITEMS = "add_items"
    LIST_ITEMS = "list_items"
    GET_ITEM = "get_item"
    DELETE_ITEM = "delete_item"
    UPLOAD_FILE = "upload_file"
    LIST_FILES = "list_files"
    GET_FILE = "get_file"
    DELETE_FILE = "delete_file"
    GET_FILE_CONTENT = "get_file_content"
    CREATE_BATCH = "create_batch"
    LIST_BATCHES = "list_batches"
    GET_BATCH = "get_batch"
    CANCEL_BATCH = "cancel_batch"
    LIVE = "live"
    READY = "ready"
    METRICS = "metrics"


# A method that stands for all of them.
ANY = "ANY"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Endpoint(Struct, frozen=True, kw_only=True):
    """One row. ``{name}`` in ``path`` is one segment, ``{name...}`` all the rest; both become arguments. With ``is_v1``
    the path works without ``/v1`` too. ``name`` is the endpoint's label in logs and metrics."""

    name: str
    method: str
    path: str
    action: Action
    access: Access = Access.INFERENCE
    dialect: DialectName = DialectName.OPENAI_CHAT
    capability: Capability | None = None
    is_v1: bool = True
    summary: str = ""


class Found(Struct, frozen=True):
    """The endpoints of one path by method, none when nobody answers there; and what the path says, still quoted."""

    methods: dict[str, Endpoint] = {}
    arguments: tuple[str, ...] = ()


def _forward(
    name: str, path: str, dialect: DialectName, capability: Capability, summary: str, action: Action = Action.FORWARD
) -> Endpoint:
    return Endpoint(
        name=name, method="POST", path=path, action=action, dialect=dialect, capability=capability, summary=summary
    )


def _json(name: str, path: str, capability: Capability, summary: str) -> Endpoint:
    return _forward(name, path, DialectName.OPENAI_JSON, capability, summary)


def _form(name: str, path: str, capability: Capability, summary: str) -> Endpoint:
    return _forward(name, path, DialectName.OPENAI_FORM, capability, summary, Action.FORWARD_FORM)


def _kept(method: str, path: str, action: Action, capability: Capability, summary: str) -> Endpoint:
    """An object that a provider or the gateway keeps for the client; the action's word is the row's name too."""
    return Endpoint(name=action.value, method=method, path=path, action=action, capability=capability, summary=summary)


_RESPONSES = Capability.STORED_RESPONSES
_CONVERSATIONS = Capability.CONVERSATIONS
_FILES = Capability.FILES
_BATCHES = Capability.BATCHES

ENDPOINTS = (
    _forward(
        "chat",
        "/v1/chat/completions",
        DialectName.OPENAI_CHAT,
        Capability.CHAT,
        "Chat completions, streamed or not.",
    ),
    _forward(
        "responses",
        "/v1/responses",
        DialectName.OPENAI_RESPONSES,
        Capability.CHAT,
        "Responses, streamed or not, stored or not.",
    ),
    _forward(
        "messages",
        "/v1/messages",
        DialectName.ANTHROPIC_MESSAGES,
        Capability.CHAT,
        "Messages, streamed or not.",
    ),
    _forward(
        "count_tokens",
        "/v1/messages/count_tokens",
        DialectName.ANTHROPIC_COUNTING,
        Capability.COUNT_TOKENS,
        "The input tokens of a message: the provider's count, or an estimate that says so.",
        Action.COUNT_TOKENS,
    ),
    _forward(
        "count_input_tokens",
        "/v1/responses/input_tokens",
        DialectName.OPENAI_COUNTING,
        Capability.COUNT_TOKENS,
        "The same for a response.",
        Action.COUNT_TOKENS,
    ),
    _forward(
        "embeddings",
        "/v1/embeddings",
        DialectName.OPENAI_EMBEDDINGS,
        Capability.EMBEDDINGS,
        "Embeddings of texts or tokens, as numbers or base64.",
    ),
    _kept("GET", "/v1/responses/{id}", Action.GET_RESPONSE, _RESPONSES, "A stored response."),
    _kept("DELETE", "/v1/responses/{id}", Action.DELETE_RESPONSE, _RESPONSES, "Forget a stored response."),
    _kept(
        "POST",
        "/v1/responses/{id}/cancel",
        Action.CANCEL_RESPONSE,
        _RESPONSES,
        "Stop a response that runs in the background at its provider.",
    ),
    _kept(
        "GET",
        "/v1/responses/{id}/input_items",
        Action.LIST_INPUT_ITEMS,
        _RESPONSES,
        "What a stored response was asked.",
    ),
    _kept("POST", "/v1/conversations", Action.CREATE_CONVERSATION, _CONVERSATIONS, "Begin a conversation."),
    _kept("GET", "/v1/conversations/{id}", Action.GET_CONVERSATION, _CONVERSATIONS, "A conversation."),
    _kept("POST", "/v1/conversations/{id}", Action.UPDATE_CONVERSATION, _CONVERSATIONS, "Change its metadata."),
    _kept("DELETE", "/v1/conversations/{id}", Action.DELETE_CONVERSATION, _CONVERSATIONS, "Forget a conversation."),
    _kept("POST", "/v1/conversations/{id}/items", Action.ADD_ITEMS, _CONVERSATIONS, "Add items to a conversation."),
    _kept("GET", "/v1/conversations/{id}/items", Action.LIST_ITEMS, _CONVERSATIONS, "The items of a conversation."),
    _kept("GET", "/v1/conversations/{id}/items/{item}", Action.GET_ITEM, _CONVERSATIONS, "One item."),
    _kept("DELETE", "/v1/conversations/{id}/items/{item}", Action.DELETE_ITEM, _CONVERSATIONS, "Take an item out."),
    _kept("POST", "/v1/files", Action.UPLOAD_FILE, _FILES, "Upload a file; its bytes are streamed through."),
    _kept("GET", "/v1/files", Action.LIST_FILES, _FILES, "The caller's files."),
    _kept("GET", "/v1/files/{id}", Action.GET_FILE, _FILES, "What is known of a file."),
    _kept("DELETE", "/v1/files/{id}", Action.DELETE_FILE, _FILES, "Delete a file."),
    _kept("GET", "/v1/files/{id}/content", Action.GET_FILE_CONTENT, _FILES, "A file's content."),
    _kept("POST", "/v1/batches", Action.CREATE_BATCH, _BATCHES, "Run a file of requests."),
    _kept("GET", "/v1/batches", Action.LIST_BATCHES, _BATCHES, "The caller's batches."),
    _kept("GET", "/v1/batches/{id}", Action.GET_BATCH, _BATCHES, "A batch and how far it is."),
    _kept("POST", "/v1/batches/{id}/cancel", Action.CANCEL_BATCH, _BATCHES, "Stop a batch."),
    _json("completions", "/v1/completions", Capability.COMPLETIONS, "Legacy text completions, forwarded by model."),
    _json("moderations", "/v1/moderations", Capability.MODERATIONS, "Moderations, forwarded by model."),
    _json("speech", "/v1/audio/speech", Capability.SPEECH, "Text to speech, forwarded by model."),
    _form(
        "transcriptions",
        "/v1/audio/transcriptions",
        Capability.TRANSCRIPTIONS,
        "Speech to text, forwarded by model.",
    ),
    _form("translations", "/v1/audio/translations", Capability.TRANSLATIONS, "Speech to English text, by model."),
    _json("images", "/v1/images/generations", Capability.IMAGE_GENERATIONS, "Images from text, forwarded by model."),
    _form("image_edits", "/v1/images/edits", Capability.IMAGE_EDITS, "Images from images, forwarded by model."),
    _form("image_variations", "/v1/images/variations", Capability.IMAGE_VARIATIONS, "Image variations, by model."),
    _json("compact", "/v1/responses/compact", Capability.COMPACTION, "Shorten a long conversation, by model."),
    _json("rerank", "/v1/rerank", Capability.RERANK, "Documents in the order of their relevance, by model."),
    Endpoint(
        name="models",
        method="GET",
        path="/v1/models",
        action=Action.LIST_MODELS,
        summary="Every model that can be asked for, in the shape of the client's dialect.",
    ),
    Endpoint(name="model", method="GET", path="/v1/models/{model...}", action=Action.GET_MODEL, summary="One model."),
    Endpoint(
        name="passthrough",
        method=ANY,
        path="/p/{instance}/{path...}",
        action=Action.PASS_THROUGH,
        is_v1=False,
        summary="Anything at a provider's own API: nothing is rewritten but credentials and hop-by-hop headers.",
    ),
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


def spellings(endpoint: Endpoint) -> tuple[str, ...]:
    """The paths of an endpoint: with ``/v1`` and without."""
    return (endpoint.path, endpoint.path.removeprefix("/v1")) if endpoint.is_v1 else (endpoint.path,)


def _routes() -> dict[str, Found]:
    """path -> what is there, with both spellings of each path."""
    routes: dict[str, Found] = {}
    for endpoint in ENDPOINTS:
        for path in spellings(endpoint):
            methods = routes.setdefault(path, Found({})).methods
            methods |= dict.fromkeys(METHODS if endpoint.method == ANY else (endpoint.method,), endpoint)
    return routes


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "([^/]+)", re.sub(r"\\\{\w+(\\\.){3}\\\}", "(.+)", re.escape(path))))


_ROUTES = _routes()
_PATTERNS = tuple((_pattern(path), found.methods) for path, found in _ROUTES.items() if "{" in path)
_NOTHING = Found()


def find(path: str) -> Found:
    """What there is at a path as it stands in a request line, without its query."""
    found = _ROUTES.get(path)
    if found is not None and "{" not in path:
        return found
    for pattern, methods in _PATTERNS:
        if match := pattern.fullmatch(path):
            return Found(methods, match.groups())
    return _NOTHING


def unquoted(argument: str) -> str:
    """An argument of a path, decoded once: SDKs write the slash of an id as ``%2F``."""
    return unquote(argument)


def suggestion(path: str) -> str:
    """What to say to a client that asked for a path which is none."""
    paths = [known for known in _ROUTES if "{" not in known]
    bare = path.rstrip("/").lower()
    close = [bare] if bare in paths else difflib.get_close_matches(bare[:200], paths, n=1)
    return f"did you mean {close[0]}" if close else f"there are {', '.join(dict.fromkeys(e.path for e in ENDPOINTS))}"
