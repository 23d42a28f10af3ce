import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.types import Capability, DialectName
from gateway.endpoints import ANY, ENDPOINTS, METHODS, Access, Action, Endpoint, find, spellings, suggestion, unquoted

BY_NAME = {endpoint.name: endpoint for endpoint in ENDPOINTS}

# The paths that clients were promised.
PROMISED = [
    ("POST", "/v1/chat/completions", "chat"),
    ("POST", "/chat/completions", "chat"),
    ("POST", "/v1/embeddings", "embeddings"),
    ("POST", "/embeddings", "embeddings"),
    ("GET", "/v1/models", "models"),
    ("GET", "/models", "models"),
    ("GET", "/v1/models/gpt-4o", "model"),
    ("GET", "/models/gpt-4o", "model"),
    ("GET", "/v1/models/openai/gpt-4o", "model"),
    ("GET", "/v1/models/openai%2Fgpt-4o", "model"),
    ("POST", "/v1/responses", "responses"),
    ("POST", "/responses", "responses"),
    ("GET", "/v1/responses/resp_1", "get_response"),
    ("DELETE", "/v1/responses/resp_1", "delete_response"),
    ("POST", "/v1/responses/resp_1/cancel", "cancel_response"),
    ("GET", "/v1/responses/resp_1/input_items", "list_input_items"),
    ("POST", "/v1/messages", "messages"),
    ("POST", "/messages", "messages"),
    ("POST", "/v1/messages/count_tokens", "count_tokens"),
    ("POST", "/v1/conversations", "create_conversation"),
    ("POST", "/v1/conversations/c", "update_conversation"),
    ("DELETE", "/v1/conversations/c/items/i", "delete_item"),
    ("POST", "/v1/files", "upload_file"),
    ("GET", "/v1/files/f/content", "get_file_content"),
    ("POST", "/v1/batches", "create_batch"),
    ("POST", "/v1/batches/b/cancel", "cancel_batch"),
    ("POST", "/v1/audio/transcriptions", "transcriptions"),
    ("POST", "/v1/rerank", "rerank"),
    ("GET", "/p/openai/v1/models", "passthrough"),
    ("DELETE", "/p/openai/v1/x/y", "passthrough"),
    ("GET", "/health", "health"),
    ("GET", "/health/ready", "ready"),
    ("GET", "/metrics", "metrics"),
]


@pytest.mark.parametrize(("method", "path", "name"), PROMISED)
def test_promised_paths_lead_to_their_endpoints(method: str, path: str, name: str) -> None:
    assert find(path).methods[method] is BY_NAME[name]


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "//", "/v1", "/v1/", "/v2/models", "/v1/chat", "/v1/chat/completion", "/v1/chat/completions/"),
        *(
            "/v1/chat/completions/x",
            "/V1/models",
            "/v1/Models",
            "/v1//models",
            "//v1/models",
            "/v1/models/",
            "/models/",
        ),
        *(
            "/v1/health",
            "/v1/metrics",
            "/v1/v1/models",
            "/health/",
            "/health/live",
            "/metrics/",
            "/metricsx",
            "/v1/modelsx",
        ),
        *(
            "v1/models",
            "/v1/models?x",
            "/v1/models#x",
            "/v1/./models",
            "/v1/../metrics",
            "/%761/models",
            "/v1/models%2F",
        ),
    ],
)
def test_other_paths_lead_nowhere(path: str) -> None:
    assert find(path).methods == {}


def test_a_path_says_which_methods_it_has() -> None:
    assert set(find("/v1/chat/completions").methods) == {"POST"}
    assert set(find("/v1/models/x").methods) == {"GET"}
    assert set(find("/v1/responses/x").methods) == {"GET", "DELETE"}
    assert set(find("/p/x/y").methods) == set(METHODS)


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("/v1/responses/resp_1/input_items", ("resp_1",)),
        ("/conversations/conv_1/items/msg_2", ("conv_1", "msg_2")),
        ("/v1/files/a%2Fb/content", ("a%2Fb",)),
        ("/p/openai/v1/files/x", ("openai", "v1/files/x")),
        ("/p/openai/v1/", ("openai", "v1/")),
        ("/p/openai/a%2F..%2Fb", ("openai", "a%2F..%2Fb")),
    ],
)
def test_arguments_come_as_they_stand_in_the_path(path: str, arguments: tuple[str, ...]) -> None:
    assert find(path).arguments == arguments


@pytest.mark.parametrize(
    "path",
    [
        "/v1/responses/",
        "/v1/responses/a/b",
        "/v1/files//content",
        "/p/",
        "/p/openai",
        "/p/openai/",
        "/p//x",
        "/v1/p/openai/x",
    ],
)
def test_an_argument_is_one_segment_and_not_empty(path: str) -> None:
    assert find(path).methods == {}


@pytest.mark.parametrize(
    ("path", "argument"),
    [
        ("/v1/models/gpt-4o", "gpt-4o"),
        ("/models/gpt-4o", "gpt-4o"),
        ("/v1/models/openai/gpt-4o", "openai/gpt-4o"),
        ("/v1/models/openai%2Fgpt-4o", "openai/gpt-4o"),  # how the OpenAI SDK sends it
        ("/models/openai%2fgpt-4o", "openai/gpt-4o"),
        ("/v1/models/accounts%2Fx%2Fmodels%2Fy", "accounts/x/models/y"),
        ("/v1/models/a/models/b", "a/models/b"),
        ("/models/v1/models/b", "v1/models/b"),
        ("/models/models/models/", "models/models/"),
        ("/v1/models//models/x", "/models/x"),
        ("/v1/models/a%3Ab", "a:b"),
        ("/v1/models/a%252Fb", "a%2Fb"),  # decoded once and not twice
        ("/v1/models/%ff", "\ufffd"),
        ("/v1/models/%", "%"),
    ],
)
def test_the_argument_is_what_stands_behind_the_path(path: str, argument: str) -> None:
    found = find(path)
    assert found.methods["GET"] is BY_NAME["model"]
    assert unquoted(found.arguments[0]) == argument


@given(
    st.text(max_size=30)
    | st.sampled_from([e.path for e in ENDPOINTS]).flatmap(lambda p: st.text(max_size=5).map(lambda t: p + t))
)
def test_any_path_is_found_or_not_and_never_an_error(path: str) -> None:
    found = find(path)
    for endpoint in found.methods.values():
        assert len(found.arguments) == endpoint.path.count("{")
        assert found.arguments or path in spellings(endpoint)
        assert all(isinstance(unquoted(argument), str) for argument in found.arguments)
    assert suggestion(path)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_every_row_is_complete(endpoint: Endpoint) -> None:
    assert re.fullmatch(r"[a-z][a-z_]*", endpoint.name), "it is a metric label"
    assert endpoint.summary.endswith(".")
    assert endpoint.path.startswith("/v1/") is endpoint.is_v1
    assert endpoint.method in (*METHODS, ANY)
    if endpoint.action in (Action.FORWARD, Action.FORWARD_FORM, Action.COUNT_TOKENS):
        assert endpoint.capability is not None
        assert endpoint.method == "POST"


def test_every_action_is_somebodys() -> None:
    assert {endpoint.action for endpoint in ENDPOINTS} == set(Action)


def test_rows_do_not_hide_each_other() -> None:
    assert len({endpoint.name for endpoint in ENDPOINTS}) == len(ENDPOINTS)
    pairs = [(e.method, p) for e in ENDPOINTS for p in spellings(e)]
    assert len(set(pairs)) == len(pairs)
    for endpoint in ENDPOINTS:
        for path in spellings(endpoint):
            method = "PUT" if endpoint.method == ANY else endpoint.method
            concrete = re.sub(r"\{\w+\.{3}\}", "x/y", re.sub(r"\{\w+\}", "x", path))
            assert find(concrete).methods[method] is endpoint


def test_only_what_tells_nothing_is_open_to_everybody() -> None:
    assert {endpoint.name for endpoint in ENDPOINTS if endpoint.access is Access.PUBLIC} == {
        "health",
        "ready",
        "metrics",
    }


def test_capabilities_speak_their_dialect() -> None:
    assert BY_NAME["chat"].capability is Capability.CHAT
    assert BY_NAME["chat"].dialect is DialectName.OPENAI_CHAT
    assert BY_NAME["embeddings"].capability is Capability.EMBEDDINGS
    assert BY_NAME["embeddings"].dialect is DialectName.OPENAI_EMBEDDINGS
