import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.types import Capability, DialectName
from gateway.endpoints import ENDPOINTS, Access, Action, Endpoint, find_methods, path_argument

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
    ("GET", "/health", "health"),
    ("GET", "/health/ready", "ready"),
    ("GET", "/metrics", "metrics"),
]


@pytest.mark.parametrize(("method", "path", "name"), PROMISED)
def test_promised_paths_lead_to_their_endpoints(method: str, path: str, name: str) -> None:
    assert find_methods(path)[method] is BY_NAME[name]


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
    assert find_methods(path) == {}


def test_a_path_says_which_methods_it_has() -> None:
    assert set(find_methods("/v1/chat/completions")) == {"POST"}
    assert set(find_methods("/v1/models/x")) == {"GET"}


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
    endpoint = find_methods(path)["GET"]
    assert endpoint is BY_NAME["model"]
    assert path_argument(endpoint, path) == argument


@given(
    st.text(max_size=30)
    | st.sampled_from([e.path for e in ENDPOINTS]).flatmap(lambda p: st.text(max_size=5).map(lambda t: p + t))
)
def test_any_path_is_found_or_not_and_never_an_error(path: str) -> None:
    for endpoint in find_methods(path).values():
        if endpoint.path.endswith("/"):
            assert isinstance(path_argument(endpoint, path), str)
        else:
            assert path in (endpoint.path, endpoint.path.removeprefix("/v1"))


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_every_row_is_complete(endpoint: Endpoint) -> None:
    assert re.fullmatch(r"[a-z][a-z_]*", endpoint.name), "it is a metric label"
    assert endpoint.summary.endswith(".")
    assert endpoint.path.startswith("/v1/") is endpoint.is_v1
    assert (endpoint.capability is not None) is (endpoint.action is Action.FORWARD)
    assert (endpoint.method == "POST") is (endpoint.action is Action.FORWARD)


def test_rows_do_not_hide_each_other() -> None:
    assert len({endpoint.name for endpoint in ENDPOINTS}) == len(ENDPOINTS)
    spellings = [(e.method, p) for e in ENDPOINTS for p in {e.path, e.path.removeprefix("/v1") if e.is_v1 else e.path}]
    assert len(set(spellings)) == len(spellings)
    for endpoint in ENDPOINTS:
        path = endpoint.path + "x" if endpoint.path.endswith("/") else endpoint.path
        assert find_methods(path)[endpoint.method] is endpoint


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
