import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.types import Capability
from providers.contract import Script
from providers.simulation.directives import Directives
from providers.simulator import CHAT_MODELS, EMBEDDING_MODELS, PROVIDER, simulate
from tests.kit.simulated import Json, answer, calls, chat, chunks, embeddings, error, sent, streamed_text, text, tool

(CHAT,) = PROVIDER.surfaces[Capability.CHAT]


def test_the_record_offers_three_models_without_a_key() -> None:
    assert [model.id for model in PROVIDER.models] == ["sim-small", "sim-large", "sim-embed"]
    assert set(PROVIDER.surfaces) == {Capability.CHAT, Capability.EMBEDDINGS}
    assert PROVIDER.simulate is simulate
    assert not PROVIDER.needs_key


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"tools": [tool("f")], "n": 2}, {"simulate": {"latency": 1}}])
def test_the_same_request_has_the_same_answer_to_the_byte(fields: Json) -> None:
    assert chat(**fields) == chat(**fields)


def test_another_request_has_another_id() -> None:
    one, other = answer(chat(user="a")), answer(chat(user="b"))
    assert one["id"] != other["id"]
    assert one["choices"] == other["choices"]


def test_every_answer_has_a_request_id_and_a_content_type() -> None:
    for script in (chat(), chat(stream=True), chat(n=0), embeddings()):
        ((name, value),) = script.headers
        assert (name, value[:4], len(value)) == (b"x-request-id", b"req_", 36)
    assert chat().content_type == chat(n=0).content_type == "application/json"
    assert chat(stream=True).content_type.startswith("text/event-stream")


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (chat(model="sim-huge"), 404, "model_not_found"),
        (chat(model="sim-embed"), 400, "model_not_supported"),
        (embeddings(model="sim-small"), 400, "model_not_supported"),
        (embeddings(model="gpt"), 404, "model_not_found"),
        (simulate(Capability.CHAT, b"{}"), 400, "missing_required_parameter"),
        (simulate(Capability.CHAT, b""), 400, None),
        (simulate(Capability.EMBEDDINGS, b'{"model": "\xff"}'), 400, None),
        (simulate(Capability.CHAT, b"[" * 100_000), 400, "invalid_type"),
    ],
)
def test_wrong_requests_get_the_status_a_provider_would_give(script: Script, status: int, code: str | None) -> None:
    assert script.status == status
    assert error(script)["code"] == code


# --- what our own readers make of it ------------------------------------------------------------------------------


def test_the_record_reads_its_own_answers() -> None:
    assert CHAT.read_summary is not None
    summary = CHAT.read_summary(sent(chat()))
    assert summary.usage is not None
    assert summary.usage.output_tokens == answer(chat())["usage"]["completion_tokens"]
    assert summary.finish_reason == "stop"


def test_the_record_watches_its_own_streams() -> None:
    assert CHAT.observer is not None
    script = chat(stream=True, stream_options={"include_usage": True})
    observer = CHAT.observer(False)
    assert observer.feed(sent(script)) + observer.finish() == sent(script)
    assert (observer.is_complete, observer.has_token, observer.fault) == (True, True, None)
    assert observer.usage is not None
    assert observer.usage.input_tokens == answer(chat())["usage"]["prompt_tokens"]


@pytest.mark.parametrize("directives", [{"truncate_after": 3}, {"fault_after": 3}])
def test_the_record_notices_a_broken_stream(directives: Json) -> None:
    assert CHAT.observer is not None
    observer = CHAT.observer(False)
    observer.feed(sent(chat(stream=True, simulate=directives)))
    observer.finish()
    assert observer.fault is not None
    assert not observer.is_complete


def test_the_record_reads_its_own_errors() -> None:
    script = chat(simulate={"status": 429, "retry_after": 7})
    headers = {name.decode().lower(): value.decode() for name, value in script.headers}
    refused = PROVIDER.read_error(script.status, headers, sent(script))
    assert (refused.upstream_status, refused.retry_after_s, refused.retryable) == (429, 7.0, True)
    assert refused.native_code == "rate_limit_exceeded"


# --- any request --------------------------------------------------------------------------------------------------

_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_content = st.text(max_size=30) | st.lists(
    st.sampled_from(
        [
            {"type": "text", "text": "Hello Bob"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "file", "file": {}},
            {"type": "video"},
        ]
    ),
    max_size=3,
)
_messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]), "content": _content}
    ),
    max_size=4,
)
_tools = st.lists(
    st.sampled_from([tool("look_up", {"type": "object", "properties": {"q": {}}, "required": ["q"]}), tool("now")]),
    min_size=1,
    max_size=2,
)
_directives = st.fixed_dictionaries(
    {},
    optional={
        "latency": st.sampled_from(["5ms", 1, "soon"]),
        "tokens_per_second": st.floats(1, 1000),
        "content": st.text(max_size=20),
        "output_tokens": st.integers(1, 50),
        "chunk_bytes": st.integers(1, 100),
        "status": st.sampled_from([429, 500]),
        "truncate_after": st.integers(0, 20),
        "stall_after": st.integers(0, 20),
        "fault_after": st.integers(0, 20),
        "fail_rate": st.floats(0, 1),
        "retry_after": st.integers(0, 5),
    },
)
_fields: dict[str, st.SearchStrategy[Any]] = {
    "n": st.integers(1, 3),
    "max_tokens": st.integers(1, 60),
    "stop": st.text(max_size=2) | st.lists(st.text(max_size=2), max_size=4),
    "seed": st.integers(),
    "logprobs": st.booleans(),
    "top_logprobs": st.integers(0, 5),
    "tools": _tools,
    "tool_choice": st.sampled_from(["auto", "none", "required"]),
    "parallel_tool_calls": st.booleans(),
    "response_format": st.sampled_from(
        [{"type": "text"}, {"type": "json_schema", "json_schema": {"name": "a", "schema": {"required": ["b"]}}}]
    ),
    "reasoning_effort": st.sampled_from(["low", "high"]),
}
_requests = st.fixed_dictionaries(
    {"model": st.sampled_from(CHAT_MODELS), "messages": _messages},
    optional={**_fields, "simulate": _directives, "stream": st.booleans(), "stream_options": _json},
)
_valid = st.fixed_dictionaries(
    {"messages": st.text(max_size=60).map(lambda content: [{"role": "user", "content": content}])}, optional=_fields
).filter(lambda fields: ("tools" in fields or "tool_choice" not in fields) and "top_logprobs" not in fields)


@settings(max_examples=300)
@given(st.one_of(_requests, _json, st.dictionaries(st.sampled_from([*_fields, "model", "messages", "input"]), _json)))
def test_any_json_gets_an_answer(body: Any) -> None:
    raw = json.dumps(body).encode()
    for capability in Capability:
        script = simulate(capability, raw)
        assert 200 <= script.status <= 599
        assert all(delay >= 0 for delay, _ in script.chunks)
        assert script.status == 200 or error(script)["message"]


@given(st.binary(max_size=40))
def test_any_bytes_get_an_answer(body: bytes) -> None:
    for capability in Capability:
        assert simulate(capability, body).status == (400 if capability in PROVIDER.surfaces else 404)


@pytest.mark.parametrize("capability", sorted(set(Capability) - set(PROVIDER.surfaces)))
def test_an_endpoint_it_has_not_is_refused_like_a_providers(capability: Capability) -> None:
    script = simulate(capability, b'{"model":"sim-small"}')
    assert script.status == 404
    assert error(script)["code"] == "unknown_url"


@settings(max_examples=150)
@given(_valid)
def test_streamed_and_plain_answers_agree(fields: Json) -> None:
    plain = chat(**fields)
    streamed = chat(**fields, stream=True, stream_options={"include_usage": True})
    said = answer(plain)
    assert chunks(streamed)[-1]["usage"] == said["usage"]
    finished = [c for chunk in chunks(streamed) for c in chunk["choices"] if c["finish_reason"]]
    assert [(c["index"], c["finish_reason"]) for c in finished] == [
        (c["index"], c["finish_reason"]) for c in said["choices"]
    ]
    for choice in said["choices"]:
        assert streamed_text(streamed, choice["index"]) == (choice["message"]["content"] or "")


@settings(max_examples=30)
@given(_valid, st.integers(1, 40))
def test_network_boundaries_change_nothing_that_is_said(fields: Json, size: int) -> None:
    ragged = chat(**fields, stream=True, simulate={"chunk_bytes": size})
    assert streamed_text(ragged) == streamed_text(chat(**fields, stream=True))


@given(st.sampled_from(EMBEDDING_MODELS), st.text(min_size=1, max_size=30), st.integers(1, 64))
def test_an_embedding_depends_on_the_text_alone(model: str, content: str, dimensions: int) -> None:
    one = answer(embeddings(model=model, input=content, dimensions=dimensions, user="a"))
    other = answer(embeddings(model=model, input=[content], dimensions=dimensions, user="b"))
    assert one == other


def test_the_text_does_not_depend_on_how_it_is_sent() -> None:
    assert text(chat()) == streamed_text(chat(stream=True)) == text(chat(user="somebody"))


# --- its page -----------------------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text()


def test_every_directive_has_a_row_on_the_page() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ", PAGE, re.MULTILINE)
    assert sorted(set(rows) & set(Directives.__struct_fields__)) == sorted(Directives.__struct_fields__)


def test_every_example_of_the_page_does_what_it_says() -> None:
    bodies = [json.loads(body) for body in re.findall(r"-d '(.*?)'", PAGE, re.DOTALL)]
    scripts = [simulate(Capability.CHAT, json.dumps(body).encode()) for body in bodies]
    assert [script.status for script in scripts] == [200, 200, 429, 200, 200]
    ((_, arguments),) = calls(scripts[1])
    assert arguments == {"city": "New York", "days": 3}
    assert scripts[3].is_cut
    assert len(scripts[4].chunks) == 1 + 200 + 1
