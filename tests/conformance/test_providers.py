"""What every provider promises. A file in ``providers/`` falls under this by existing; nothing here names one.

The laws are those of ``providers/contract.py``. Answers of translated dialects are in ``tests.kit.answers``: whoever
adds a dialect adds a sample of it, so that the laws are tried on more than noise.
"""

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import providers
from gateway.core.errors import BadRequest, UpstreamRefused
from gateway.core.names import is_header_name, is_header_value, is_instance_name, is_model_id
from gateway.core.secret import Secret
from gateway.core.types import (
    Audio,
    Capability,
    ChatRequest,
    DialectName,
    Event,
    Fault,
    File,
    Finish,
    Image,
    Message,
    Model,
    Part,
    Reasoning,
    Refusal,
    ResponseFormat,
    Role,
    Start,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolResult,
    UsageReport,
    raw_json,
)
from providers import load, provider_types
from providers.contract import Provider, ProviderRequest, StreamObserver, Summary, Surface, Transducer, Translator
from tests.kit.answers import ANSWERS
from tests.kit.feeds import byte_by_byte, splits, whole

TYPES = provider_types()
# what answers in streams, and those of them that clients speak too
CLIENT_STREAMED = (DialectName.OPENAI_CHAT, DialectName.OPENAI_RESPONSES, DialectName.ANTHROPIC_MESSAGES)
STREAMED = (*CLIENT_STREAMED, DialectName.GEMINI_GENERATE_CONTENT)

every_provider = pytest.mark.parametrize("name", TYPES)


def surfaces(name: str) -> list[tuple[Capability, Surface]]:
    return [(capability, surface) for capability, several in load(name).surfaces.items() for surface in several]


def translators(name: str) -> list[Translator]:
    """Of chats: embeddings and counting take other requests, and are tried where they are made."""
    return [translator for _, translator in translated(name)]


def chat_observer(name: str) -> Callable[[bool], StreamObserver] | None:
    """Of the surface that speaks OpenAI chat, if there is one."""
    found = [surface for _, surface in surfaces(name) if surface.dialect is DialectName.OPENAI_CHAT]
    return found[0].observer if found else None


# --- the folder -----------------------------------------------------------------------------------------------------


def test_the_kit_tries_every_file_in_the_folder() -> None:
    files = {path.stem for path in Path(providers.__file__).parent.glob("*.py")}
    assert set(TYPES) == {f for f in files if f not in ("__init__", "contract") and not f.endswith("_like")}
    assert {"openai", "anthropic", "simulator"} <= set(TYPES)
    assert list(TYPES) == sorted(TYPES)
    assert providers.FALLBACK in TYPES


@pytest.mark.parametrize(
    "unknown", ["", "nope", "contract", "openai_like", "__init__", "claude", "OpenAI", "../openai", "openai.x"]
)
def test_what_is_no_provider_cannot_be_loaded(unknown: str) -> None:
    with pytest.raises(KeyError):
        load(unknown)


def test_loading_one_provider_imports_no_other() -> None:
    script = (
        "import sys, providers; names = set(providers.provider_types());"
        "assert not [n for n in names if f'providers.{n}' in sys.modules];"
        "providers.load('openai');"
        "print(sorted(n for n in names if f'providers.{n}' in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "['openai']"


# --- the record -----------------------------------------------------------------------------------------------------


@every_provider
def test_the_record_bears_the_name_of_its_file(name: str) -> None:
    provider = load(name)
    assert provider.name == name
    assert is_instance_name(name)
    assert provider.title.strip() == provider.title != ""
    assert provider.title.isprintable()


@every_provider
def test_the_base_url_is_a_place_to_append_paths_to(name: str) -> None:
    provider = load(name)
    if not provider.base_url:
        assert provider.simulate is not None or not provider.needs_key, "its address has to be configured"
        return
    assert provider.simulate is None
    url = urlsplit(provider.base_url)
    is_beside_us = url.scheme == "http" and url.hostname in ("127.0.0.1", "localhost")
    assert url.scheme == "https" or is_beside_us, "credentials do not travel in the clear"
    assert url.hostname
    assert (url.username, url.query, url.fragment) == (None, "", "")
    assert not provider.base_url.endswith("/")
    assert provider.base_url.isascii()


@every_provider
def test_surfaces_are_complete(name: str) -> None:
    provider = load(name)
    assert provider.surfaces
    for capability, surface in surfaces(name):
        assert isinstance(capability, Capability)
        assert isinstance(surface.dialect, DialectName)
        for path in (surface.path, surface.stream_path or surface.path):
            assert re.fullmatch(r"(/([A-Za-z0-9._~:-]|\{model\})+)+(\?[a-z]+=[a-z]+)?", path)
        if capability is not Capability.CHAT:
            continue
        if surface.dialect in STREAMED and surface.translator is not None:
            assert surface.translator.transducer is not None
        if surface.dialect in CLIENT_STREAMED:
            assert surface.observer is not None, "a stream that nobody watches has no usage and no faults"
            assert surface.read_summary is not None
        assert surface.translator is not None or surface.dialect is not DialectName.GEMINI_GENERATE_CONTENT, (
            "no client speaks it"
        )


@every_provider
def test_only_a_chat_of_openais_dialect_is_asked_for_the_usage_of_a_stream(name: str) -> None:
    for capability, surface in surfaces(name):
        is_asked = surface.dialect is DialectName.OPENAI_CHAT or capability is Capability.COMPLETIONS
        assert is_asked or not surface.asks_stream_usage


NEVER_FORWARDED = {
    *("authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "host", "connection"),
    *("content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive", "accept-encoding"),
}


@every_provider
def test_headers_are_safe_to_send(name: str) -> None:
    provider = load(name)
    for header, value in provider.headers:
        assert is_header_name(header)
        assert is_header_value(value)
        assert value
        assert header.lower() not in NEVER_FORWARDED
    for _, surface in surfaces(name):
        for header in surface.forwarded_headers:
            assert is_header_name(header)
            assert header == header.lower()
            assert header not in NEVER_FORWARDED, "credentials and framing of the client stay here"


@every_provider
@pytest.mark.parametrize(
    "key", ["k", "sk-0123456789abcdef", "sk-ant-api03-abc", "sk-ant-oat01-abc", "AIzaSyAbc_-", "a:b", "0" * 400]
)
def test_the_key_goes_up_in_exactly_one_header(name: str, key: str) -> None:
    marked = f"{key}-QQ7-mark"
    headers = load(name).auth(Secret(marked))
    assert [header for header, value in headers if "QQ7" in value], "it authenticates nobody"
    assert len([header for header, value in headers if "QQ7" in value]) == 1
    for header, value in headers:
        assert is_header_name(header)
        assert is_header_value(value)
        assert "QQ7" not in value or marked in value


@every_provider
def test_models_are_asked_for_or_listed_or_configured(name: str) -> None:
    provider = load(name)
    assert (provider.models_path is None) is (provider.read_models is None)
    assert provider.models_path is None or re.fullmatch(
        r"(/[A-Za-z0-9._~-]+)+(\?[A-Za-z0-9._~=&-]+)?", provider.models_path
    )
    assert all(is_model_id(model.id) for model in provider.models)
    assert len({model.id for model in provider.models}) == len(provider.models)


@every_provider
def test_a_provider_inside_the_gateway_needs_neither_key_nor_network(name: str) -> None:
    provider = load(name)
    assert (provider.simulate is None) is provider.needs_key or provider.simulate is None
    if provider.simulate is not None:
        assert not provider.needs_key
        assert provider.models


@every_provider
def test_the_record_cannot_be_changed(name: str) -> None:
    with pytest.raises(AttributeError):
        load(name).base_url = "https://elsewhere.example"  # type: ignore[misc]


# --- errors ---------------------------------------------------------------------------------------------------------

KEY = "sk-proj-Q7w8E9r0T1y2U3i4O5p6"
ERROR_BODIES: list[Any] = [
    *(
        {},
        [],
        None,
        "text",
        5,
        {"error": None},
        {"error": {}},
        {"error": {"message": ""}},
        {"error": {"message": None}},
    ),
    {"error": {"message": "Bad", "type": "invalid_request_error", "param": "n", "code": "x"}},
    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"},
    {"type": "error", "error": {"type": ["odd"], "message": {"odd": 1}, "details": "odd"}},
    [{"error": {"code": 429, "message": "Quota", "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "7s"}]}}],
    {"code": "Some resource", "error": "Too many"},
    {"object": "error", "message": {"detail": [{"msg": "x"}]}, "code": 1500},
    {"message": "m", "id": 1},
    {"detail": [{"loc": ["body"], "msg": "x"}]},
    {"__type": "ThrottlingException", "Message": "slow"},
]
RAW_BODIES = [
    b"",
    b"\0",
    b"<html>502</html>",
    b"\xff\xfe",
    b"{",
    b'{"error":{"message":"\xff"}}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
]
HEADERS = [
    {},
    {"content-type": "application/json", "retry-after": "7", "x-should-retry": "true"},
    {
        "content-type": "text/plain",
        "retry-after": "soon\r\nX: 1",
        "retry-after-ms": "1e999",
        "x-should-retry": "maybe\n",
    },
    {"content-type": "", "retry-after": "", "x-amzn-errortype": "ThrottlingException:http://x/"},
]
STATUSES = [400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529, 599]


def check_refusal(refused: object, status: int) -> None:
    assert type(refused) is UpstreamRefused
    assert refused.status == refused.upstream_status == status
    assert refused.message.strip()
    assert len(refused.message) < 5000
    assert all(c.isprintable() or c == "\n" for c in refused.message)
    assert refused.retry_after_s is None or 0 <= refused.retry_after_s < 1e7
    assert all(is_header_name(header) and is_header_value(value) for header, value in refused.headers)
    assert is_header_value(refused.content_type)
    assert refused.param is None or refused.param


@every_provider
@pytest.mark.parametrize("headers", HEADERS, ids=range(len(HEADERS)))
def test_every_error_answer_is_a_refusal_with_its_status(name: str, headers: dict[str, str]) -> None:
    read_error = load(name).read_error
    for body in (*RAW_BODIES, *(json.dumps(body).encode() for body in ERROR_BODIES)):
        for status in STATUSES:
            check_refusal(read_error(status, headers, body), status)


@every_provider
def test_an_error_that_says_why_is_told(name: str) -> None:
    for body in ERROR_BODIES[9:11]:
        refused = load(name).read_error(400, {}, json.dumps(body).encode())
        assert refused.message == body["error"]["message"]


@every_provider
def test_what_may_pass_by_itself_is_retried_and_what_is_wrong_is_not(name: str) -> None:
    read_error = load(name).read_error
    assert all(read_error(status, {}, b"{}").retryable for status in (429, 500, 502, 503, 504))
    assert not any(read_error(status, {}, b"{}").retryable for status in (400, 401, 403, 404, 413, 422))


@every_provider
def test_a_key_in_an_error_goes_no_further(name: str) -> None:
    for said in (f"Incorrect API key provided: {KEY}.", f"'{KEY}'", f"a\n{KEY}", f"<{KEY}>"):
        for body in (
            {"error": {"message": said, "type": said, "code": said, "param": said}},
            {"message": said},
            {"error": said},
        ):
            refused = load(name).read_error(401, {}, json.dumps(body).encode())
            shown = [
                refused.message,
                refused.native_type,
                refused.native_code,
                refused.param,
                refused.body,
                repr(refused),
            ]
            assert "Q7w8E9" not in str(shown)


# --- arbitrary JSON -------------------------------------------------------------------------------------------------

MEMBERS = [
    *(
        "error",
        "message",
        "type",
        "code",
        "param",
        "detail",
        "data",
        "id",
        "created",
        "name",
        "content",
        "text",
        "role",
    ),
    *("choices", "delta", "finish_reason", "usage", "model", "index", "content_block", "stop_reason", "input_tokens"),
    *("output_tokens", "prompt_tokens", "thinking", "signature", "partial_json", "input", "display_name", "created_at"),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=10,
)
json_bodies = json_values.map(lambda value: json.dumps(value).encode())


def paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield here
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from paths(child, (*here, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def spoilt(value: Any) -> st.SearchStrategy[Any]:
    """``value`` with something else in one place."""
    return st.builds(partial(replaced, value), st.sampled_from(list(paths(value))), json_values)


@every_provider
@given(
    st.sampled_from(STATUSES),
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "content-type", "x-should-retry"]), st.text(max_size=8)
    ),
    st.binary(max_size=40) | json_bodies,
)
@settings(max_examples=50)
def test_any_error_answer_is_a_refusal(name: str, status: int, headers: dict[str, str], body: bytes) -> None:
    check_refusal(load(name).read_error(status, headers, body), status)


MODEL_LISTS: list[Any] = [
    {
        "object": "list",
        "data": [{"id": "m-1", "object": "model", "created": 1715367049, "owned_by": "x"}],
        "has_more": False,
    },
    {
        "data": [{"id": "m-1", "type": "model", "display_name": "M", "created_at": "2025-01-31T00:00:00Z"}],
        "last_id": "m-1",
    },
    {"models": [{"name": "models/m-1", "displayName": "M", "supportedGenerationMethods": ["generateContent"]}]},
]


@every_provider
@given(
    st.binary(max_size=40)
    | json_bodies
    | st.sampled_from(MODEL_LISTS).flatmap(spoilt).map(lambda v: json.dumps(v).encode())
)
@settings(max_examples=80)
def test_any_list_of_models_is_read_or_a_value_error(name: str, body: bytes) -> None:
    read_models = load(name).read_models
    if read_models is None:
        return
    try:
        models = read_models(body)
    except ValueError:
        return
    assert all(isinstance(model, Model) and isinstance(model.id, str) for model in models)
    assert msgspec.json.encode(models)


@every_provider
def test_a_list_of_models_is_read(name: str) -> None:
    read_models = load(name).read_models
    if read_models is not None:
        assert any(_ids(read_models, body) == ["m-1"] for body in MODEL_LISTS)


def _ids(read_models: Any, body: Any) -> list[str]:
    try:
        return [model.id for model in read_models(json.dumps(body).encode())]
    except ValueError:
        return []


# --- watching -------------------------------------------------------------------------------------------------------

OPENAI_EVENTS = [
    b": ping\n\n",
    b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}\n\n',
    b"data: [DONE]\n\n",
]
noise = st.lists(
    st.sampled_from(
        [b"\n", b"\r\n", b"\r", b"data: ", b"event: error\n", b"data: {}\n\n", b"\xef\xbb\xbf", b"{", b"[DONE]"]
    )
    | st.sampled_from([*OPENAI_EVENTS, b'data: {"error":{"message":"m"}}\n\n', b"data: null\n\n", b"data: [1]\n\n"])
    | st.binary(max_size=5),
    max_size=12,
).map(b"".join)


def in_pieces(streams: st.SearchStrategy[bytes]) -> st.SearchStrategy[tuple[bytes, list[bytes]]]:
    return streams.flatmap(lambda stream: st.tuples(st.just(stream), splits(stream)))


def watched(observer: StreamObserver, pieces: list[bytes]) -> tuple[bytes, tuple[object, ...]]:
    out = b"".join([*(observer.feed(piece) for piece in pieces), observer.finish()])
    state = (
        observer.usage,
        observer.finish_reason,
        observer.has_token,
        observer.is_complete,
        observer.fault,
        observer.is_fault_told,
    )
    return out, state


@every_provider
def test_a_whole_stream_is_forwarded_as_it_is_and_understood(name: str) -> None:
    observe = chat_observer(name)
    if observe is None:
        return
    stream = b"".join(OPENAI_EVENTS)
    for pieces in (whole(stream), byte_by_byte(stream)):
        out, (usage, finish_reason, has_token, is_complete, fault, _) = watched(observe(False), pieces)
        assert out == stream
        assert usage is not None
        assert (usage.input_tokens, usage.output_tokens) == (3, 4)  # type: ignore[attr-defined]
        assert (finish_reason, has_token, is_complete, fault) == ("stop", True, True, None)
        out, (usage, *_) = watched(observe(True), pieces)
        assert out == stream.replace(OPENAI_EVENTS[4], b"")
        assert usage is not None


@every_provider
def test_a_stream_that_breaks_off_is_never_complete(name: str) -> None:
    observe = chat_observer(name)
    if observe is None:
        return
    stream = b"".join(OPENAI_EVENTS[:3])
    for length in range(len(stream) + 1):
        observer = observe(True)
        out, (_, _, _, is_complete, fault, is_told) = watched(observer, [stream[:length]])
        assert fault is not None
        assert not is_complete
        assert not is_told
        assert stream.startswith(out)
        assert out == b"" or out.endswith(b"\n\n")


@every_provider
@given(in_pieces(noise), st.booleans())
@settings(max_examples=60)
def test_watching_any_stream_depends_on_no_cut_and_changes_nothing(
    name: str, case: tuple[bytes, list[bytes]], strip: bool
) -> None:
    observe = chat_observer(name)
    if observe is None:
        return
    stream, pieces = case
    out, state = watched(observe(strip), whole(stream))
    assert watched(observe(strip), pieces) == (out, state)
    assert watched(observe(strip), byte_by_byte(stream)) == (out, state)
    assert strip or stream.startswith(out)
    *_, is_complete, fault, is_told = state
    assert is_complete or fault is not None or state[1] is not None
    assert fault is not None or not is_told


@every_provider
@given(st.binary(max_size=40) | json_bodies)
@settings(max_examples=60)
def test_any_plain_answer_is_summed_up_or_a_value_error(name: str, body: bytes) -> None:
    for _, surface in surfaces(name):
        if surface.read_summary is not None:
            with contextlib.suppress(ValueError):
                assert isinstance(surface.read_summary(body), Summary)


# --- translating answers --------------------------------------------------------------------------------------------


def translated(name: str) -> list[tuple[Surface, Translator]]:
    return [
        (surface, surface.translator)
        for capability, surface in surfaces(name)
        if surface.translator is not None and capability is Capability.CHAT
    ]


def check_events(events: list[Event]) -> None:
    """The laws of an answer, whole or broken."""
    assert isinstance(events[-1], Finish | Fault)
    assert not any(isinstance(event, Finish | Fault) for event in events[:-1])
    assert not any(isinstance(event, Start) for event in events[1:])
    if isinstance(events[-1], Fault):
        assert events[-1].message.strip()
        assert 400 <= events[-1].status <= 599
    seen: dict[int, set[int]] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            positions = seen.setdefault(event.choice, set())
            is_first = event.position not in positions
            assert event.position == len(positions) if is_first else event.position in positions
            assert (event.id is not None) is is_first
            assert (event.name is not None) is is_first
            positions.add(event.position)
        if isinstance(event, UsageReport):
            assert event.usage.input_tokens >= 0
            assert event.usage.output_tokens >= 0


def transduced(transducer: Transducer, pieces: list[bytes]) -> tuple[list[Event], object]:
    events = [event for piece in pieces for event in transducer.feed(piece)]
    return [*events, *transducer.finish()], transducer.usage


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def calls_of(events: list[Event]) -> dict[int, Any]:
    calls: dict[int, str] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            calls[event.position] = calls.get(event.position, "") + event.arguments
    return {position: json.loads(arguments) for position, arguments in calls.items()}


@every_provider
def test_every_translated_dialect_has_a_sample(name: str) -> None:
    for surface, _ in translated(name):
        assert surface.dialect in ANSWERS


@every_provider
def test_an_answer_says_the_same_plain_and_streamed(name: str) -> None:
    for surface, translator in translated(name):
        answer, stream = ANSWERS[surface.dialect]
        plain = translator.read_answer(json.dumps(answer).encode())
        streamed, usage = transduced(translator.transducer(), stream)
        for events in (plain, streamed):
            check_events(events)
            assert isinstance(events[-1], Finish)
            assert text_of(events) == "Hello"
            assert calls_of(events) == {0: {"a": [1]}}
            reported = [event.usage for event in events if isinstance(event, UsageReport)][-1]
            assert (reported.input_tokens, reported.output_tokens) == (3, 4)
        assert usage == reported


@every_provider
def test_a_translated_stream_that_breaks_off_ends_in_a_fault(name: str) -> None:
    for surface, translator in translated(name):
        stream = b"".join(ANSWERS[surface.dialect][1])
        complete, _ = transduced(translator.transducer(), whole(stream))
        for length in range(len(stream)):
            events, _ = transduced(translator.transducer(), [stream[:length]])
            check_events(events)
            if isinstance(events[-1], Finish):
                assert events == complete, "only what nothing is missing of may finish"
            assert text_of(complete).startswith(text_of(events))


@every_provider
def test_a_translated_stream_out_of_order_keeps_the_laws(name: str) -> None:
    for surface, translator in translated(name):
        parts = ANSWERS[surface.dialect][1]
        rows = [*permutations(parts), *([*parts[:i], *parts[i + 1 :]] for i in range(len(parts))), parts + parts]
        for row in rows:
            events, _ = transduced(translator.transducer(), list(row))
            check_events(events)


@every_provider
def test_usage_is_known_at_every_byte(name: str) -> None:
    for surface, translator in translated(name):
        transducer = translator.transducer()
        best = None
        for byte in byte_by_byte(b"".join(ANSWERS[surface.dialect][1])):
            for event in transducer.feed(byte):
                best = event.usage if isinstance(event, UsageReport) else best
            assert best is None or transducer.usage is not None
        transducer.finish()
        assert transducer.usage is not None


def streams_of(dialect: DialectName) -> st.SearchStrategy[bytes]:
    """Streams of a dialect with events lost, doubled, out of order, spoilt or mixed with noise."""
    events = [event for part in ANSWERS[dialect][1] for event in part.split(b"\n\n") if event]
    spoilt_events = st.sampled_from([event for event in events if b"data: {" in event]).flatmap(_spoilt_event)
    broken = st.lists(st.sampled_from(events) | spoilt_events, max_size=12).map(lambda e: b"\n\n".join(e) + b"\n\n")
    nearly = st.tuples(st.integers(0, len(events) - 1), spoilt_events).map(
        lambda cut: b"\n\n".join([*events[: cut[0]], cut[1], *events[cut[0] + 1 :]]) + b"\n\n"
    )
    return broken | nearly | noise | st.binary(max_size=60)


def _spoilt_event(event: bytes) -> st.SearchStrategy[bytes]:
    head, _, payload = event.partition(b"data: ")
    return spoilt(json.loads(payload)).map(lambda value: head + b"data: " + json.dumps(value).encode())


@every_provider
@given(st.data())
@settings(max_examples=150)
def test_any_stream_is_an_answer_or_a_fault_whatever_the_cuts(name: str, data: st.DataObject) -> None:
    for surface, translator in translated(name):
        stream, pieces = data.draw(in_pieces(streams_of(surface.dialect)))
        events, usage = transduced(translator.transducer(), whole(stream))
        check_events(events)
        assert transduced(translator.transducer(), pieces) == (events, usage)
        assert transduced(translator.transducer(), byte_by_byte(stream)) == (events, usage)
        assert msgspec.json.encode(events)


@every_provider
@given(st.data())
@settings(max_examples=150)
def test_any_plain_answer_is_an_answer_or_a_fault(name: str, data: st.DataObject) -> None:
    for surface, translator in translated(name):
        sample = ANSWERS[surface.dialect][0]
        body = data.draw(
            st.binary(max_size=40) | json_bodies | spoilt(sample).map(lambda value: json.dumps(value).encode())
        )
        events = translator.read_answer(body)
        check_events(events)
        assert msgspec.json.encode(events)


@every_provider
@pytest.mark.parametrize("body", RAW_BODIES, ids=range(len(RAW_BODIES)))
def test_a_plain_answer_that_is_none_is_a_fault(name: str, body: bytes) -> None:
    for translator in translators(name):
        (fault,) = translator.read_answer(body)
        assert isinstance(fault, Fault)


# --- translating requests -------------------------------------------------------------------------------------------

MODEL = "vendor-model-1.5"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = raw_json(
    {
        "type": "object",
        "properties": {"place": {"type": "string"}},
        "required": ["place"],
        "additionalProperties": False,
    }
)
LOOK = Tool("look", "Looks.", SCHEMA)


def user(*parts: Part | str) -> Message:
    return Message(Role.USER, [Text(part) if isinstance(part, str) else part for part in parts])


def assistant(*parts: Part | str) -> Message:
    return Message(Role.ASSISTANT, [Text(part) if isinstance(part, str) else part for part in parts])


def system(text: str, role: Role = Role.SYSTEM) -> Message:
    return Message(role, [Text(text)])


def result(call_id: str, *parts: Text | Image | File, is_error: bool = False) -> Message:
    return Message(Role.TOOL, [ToolResult(call_id, list(parts), is_error)])


def chat(*messages: Message, **members: Any) -> ChatRequest:
    return ChatRequest(model="asked-for", messages=list(messages) or [user("Say hello-word")], **members)


CALL = ToolCall("call_1", "look", '{"place":"here"}')
REQUESTS = {
    "a word": chat(),
    "system": chat(system("Be system-word"), user("user-word")),
    "developer": chat(system("Be developer-word", Role.DEVELOPER), user("user-word")),
    "system in between": chat(user("first-word"), assistant("mid-word"), system("late-word"), user("last-word")),
    "only system": chat(system("lonely-word")),
    "many turns": chat(
        user("one-word"), assistant("two-word"), user("three-word"), assistant("four-word"), user("five-word")
    ),
    "the same role twice": chat(
        user("one-word"), user("two-word"), assistant("a-word"), assistant("b-word"), user("c-word")
    ),
    "assistant first": chat(assistant("before-word"), user("after-word")),
    "assistant last": chat(user("ask-word"), assistant("begin-word")),
    "assistant last with a blank": chat(user("ask-word"), assistant("begin-word ")),
    "parts": chat(user("one-word", "two-word", "three-word")),
    "empty text": chat(user("")),
    "no parts": chat(user(), assistant(), user("here-word")),
    "any script": chat(user("漢字-word \U0001f600 \u202e é \0 \u2028")),
    "names": chat(Message(Role.USER, [Text("named-word")], name="Ada")),
    "image by url": chat(user("see-word", Image(url="https://example.com/a.png", detail="high"))),
    "image by data": chat(user("see-word", Image(data=PIXEL, media_type="image/png"))),
    "image of an odd type": chat(user("see-word", Image(data=PIXEL, media_type="image/x-icon"))),
    "image by file": chat(user("see-word", Image(file_id="file_1"))),
    "file by data": chat(user("read-word", File(data="JVBERi0=", media_type="application/pdf", filename="a.pdf"))),
    "text file by data": chat(user("read-word", File(data="aGk=", media_type="text/plain", filename="a.txt"))),
    "file by url": chat(user("read-word", File(url="https://example.com/a.pdf"))),
    "file by id": chat(user("read-word", File(file_id="file_1"))),
    "audio": chat(user("hear-word", Audio("UklGRg==", "wav"))),
    "tools": chat(tools=[LOOK, Tool("plain"), Tool("strict", None, SCHEMA, strict=True)]),
    "no tools": chat(tools=[]),
    "tools, one after the other": chat(tools=[LOOK], parallel_tool_calls=False),
    **{
        f"tool choice {mode}": chat(tools=[LOOK], tool_choice=ToolChoice(mode)) for mode in ("auto", "none", "required")
    },
    "tool choice by name": chat(tools=[LOOK], tool_choice=ToolChoice("tool", "look")),
    "tool choice by another name": chat(tools=[LOOK], tool_choice=ToolChoice("tool", "nobody")),
    "tool choice among some": chat(tools=[LOOK, Tool("b")], tool_choice=ToolChoice("auto", allowed=("look",))),
    "tool choice without tools": chat(tool_choice=ToolChoice("required")),
    "tool call and result": chat(
        user("ask-word"), assistant("try-word", CALL), result("call_1", Text("found-word")), tools=[LOOK]
    ),
    "two calls": chat(
        user("ask-word"),
        assistant(CALL, ToolCall("call_2", "look", "")),
        result("call_2", Text("two-word")),
        result("call_1", Text("one-word")),
        tools=[LOOK],
    ),
    "a failed call": chat(
        user("ask-word"), assistant(CALL), result("call_1", Text("bad-word"), is_error=True), tools=[LOOK]
    ),
    "an empty result": chat(user("ask-word"), assistant(CALL), result("call_1"), tools=[LOOK]),
    "a result with a picture": chat(
        user("ask-word"),
        assistant(CALL),
        result("call_1", Text("r-word"), Image(data=PIXEL, media_type="image/png")),
        tools=[LOOK],
    ),
    "a result and a word": chat(
        user("ask-word"), assistant(CALL), result("call_1", Text("r-word")), user("so-word"), tools=[LOOK]
    ),
    "a result nobody asked for": chat(user("ask-word"), result("call_9", Text("stray-word"))),
    "a call without a result": chat(user("ask-word"), assistant(CALL), user("never-word"), tools=[LOOK]),
    "a call with broken arguments": chat(
        user("ask-word"), assistant(ToolCall("call_1", "look", '{"a":')), result("call_1", Text("r-word"))
    ),
    "a call with a list": chat(
        user("ask-word"), assistant(ToolCall("call_1", "look", "[1]")), result("call_1", Text("r-word"))
    ),
    "a call without tools": chat(user("ask-word"), assistant(CALL), result("call_1", Text("r-word"))),
    "a refusal": chat(user("ask-word"), assistant(Refusal("no-word")), user("why-word")),
    "signed reasoning": chat(
        user("ask-word"),
        assistant(Reasoning("secret", "c2ln"), "said-word", CALL),
        result("call_1", Text("r-word")),
        tools=[LOOK],
    ),
    "redacted reasoning": chat(
        user("ask-word"), assistant(Reasoning(redacted="b3BhcXVl"), "said-word"), user("go-word")
    ),
    "unsigned reasoning": chat(user("ask-word"), assistant(Reasoning("bare"), "said-word"), user("go-word")),
    **{
        f"effort {level}": chat(reasoning_effort=level)
        for level in ("none", "minimal", "low", "medium", "high", "xhigh", "max", "odd")
    },
    **{
        f"budget {budget}": chat(reasoning_budget=budget, max_tokens=5000) for budget in (0, 1, 1024, 4999, 5000, 10**9)
    },
    "sampling": chat(temperature=0.5, top_p=0.9, max_tokens=100),
    "hot": chat(temperature=2.0),
    "zero": chat(temperature=0.0, top_p=0.0),
    "odd sampling": chat(temperature=-1.0, top_p=7.0),
    "one token": chat(max_tokens=1),
    "a billion tokens": chat(max_tokens=10**9),
    "stop": chat(stop=["END", "\n\n"]),
    "blank stop": chat(stop=["\n", " ", ""]),
    "many stops": chat(stop=[f"s{n}" for n in range(64)]),
    "text format": chat(response_format=ResponseFormat("text")),
    "json": chat(response_format=ResponseFormat("json_object")),
    "json schema": chat(response_format=ResponseFormat("json_schema", "answer", "An answer", SCHEMA, strict=True)),
    "open json schema": chat(
        response_format=ResponseFormat("json_schema", "answer", None, raw_json({"type": "object"}))
    ),
    "json schema without a schema": chat(response_format=ResponseFormat("json_schema", "answer")),
    "user": chat(user="user-7"),
    "mail as user": chat(user="ada@example.com"),
    "stream": chat(stream=True, include_usage=True),
    "n": chat(extra={"n": raw_json(2)}),
    "one n": chat(extra={"n": raw_json(1)}),
    "logprobs": chat(extra={"logprobs": raw_json(True), "top_logprobs": raw_json(3)}),
    "seed": chat(extra={"seed": raw_json(7), "store": raw_json(False), "metadata": raw_json({"a": "b"})}),
    "unheard of": chat(extra={"brand_new_field": raw_json({"a": [1]}), "a\r\nX: 1": raw_json(1)}),
    "extras of parts": chat(
        Message(
            Role.USER, [Text("x-word", {"cache_control": raw_json({"type": "ephemeral"})})], extra={"odd": raw_json(1)}
        )
    ),
    "extras of tools": chat(
        tools=[
            Tool("look", None, SCHEMA, extra={"cache_control": raw_json({"type": "ephemeral"}), "a\nb": raw_json(1)})
        ]
    ),
}
RESULT_PARTS = (Text, Image, File)


def strings_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield key
            yield from strings_in(child)
    elif isinstance(value, list):
        for child in value:
            yield from strings_in(child)


SURFACES_OF_CHAT = [pair for name in TYPES for pair in translated(name)]


def attempt(translator: Translator, request: ChatRequest) -> ProviderRequest | None:
    """The request in the provider's words, None when it is refused; the laws of both are checked."""
    before = repr(request)
    try:
        wire = translator.to_wire(request, MODEL)
    except BadRequest as refused:
        assert refused.status == 400  # noqa: PT017 - both ends are right
        assert refused.message.strip()  # noqa: PT017
        assert refused.param, refused.message  # noqa: PT017
        return None
    finally:
        assert repr(request) == before, "a second attempt needs the request as it was"
    assert isinstance(json.loads(wire.body), dict)
    is_in_path = any("{model}" in surface.path for surface, other in SURFACES_OF_CHAT if other is translator)
    assert is_in_path or MODEL in strings_in(json.loads(wire.body))
    assert request.model not in strings_in(json.loads(wire.body)), (
        "the client's name of the model is not the provider's"
    )
    for header, value in wire.headers:
        assert is_header_name(header)
        assert is_header_value(value)
        assert header.lower() not in NEVER_FORWARDED
    assert is_header_value(", ".join(wire.dropped))
    assert translator.to_wire(request, MODEL) == wire
    return wire


@every_provider
@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_is_translated_or_refused_by_name(name: str, case: str) -> None:
    for translator in translators(name):
        wire = attempt(translator, REQUESTS[case])
        if wire is not None:
            sent = " ".join(strings_in(json.loads(wire.body)))
            for message in REQUESTS[case].messages:
                for part in message.parts:
                    for word in re.findall(r"\w+-word", " ".join(strings_in(json.loads(msgspec.json.encode(part))))):
                        assert word in sent, f"{word} was lost without a word"


# What any chat model can do: whoever refuses one of these is no chat provider.
PLAIN_CASES = [
    "a word",
    "system",
    "developer",
    "many turns",
    "parts",
    "any script",
    "sampling",
    "one token",
    "stream",
    "one n",
    "user",
]


@every_provider
@pytest.mark.parametrize("case", PLAIN_CASES)
def test_plain_chats_are_never_refused(name: str, case: str) -> None:
    for translator in translators(name):
        assert attempt(translator, REQUESTS[case]) is not None


texts = st.text(max_size=8)
extras = st.dictionaries(st.sampled_from(MEMBERS) | texts, json_values.map(raw_json), max_size=2)
images = st.builds(Image, url=texts) | st.builds(Image, data=texts, media_type=texts) | st.builds(Image, file_id=texts)
files = (
    st.builds(File, data=texts, media_type=texts, filename=st.none() | texts)
    | st.builds(File, file_id=texts)
    | st.builds(File, url=texts)
)
calls = st.builds(
    ToolCall,
    st.sampled_from(["call_1", "call_2"]) | texts,
    texts,
    st.sampled_from(["", "{}", "[]", "{", '{"a":1}']) | texts,
)
plain_parts = st.builds(Text, texts, extras)
results = st.builds(
    ToolResult,
    st.sampled_from(["call_1", "call_2"]) | texts,
    st.lists(plain_parts | images | files, max_size=2),
    st.booleans(),
    extras,
)
thoughts = st.builds(Reasoning, texts, st.none() | texts, st.none() | texts)
messages = st.one_of(
    st.builds(
        Message,
        st.just(Role.USER),
        st.lists(plain_parts | images | files | st.builds(Audio, texts, texts), max_size=3),
        extra=extras,
    ),
    st.builds(
        Message,
        st.just(Role.ASSISTANT),
        st.lists(plain_parts | calls | thoughts | st.builds(Refusal, texts), max_size=3),
        extra=extras,
    ),
    st.builds(
        Message, st.sampled_from([Role.SYSTEM, Role.DEVELOPER]), st.lists(plain_parts, max_size=2), st.none() | texts
    ),
    st.builds(Message, st.just(Role.TOOL), results.map(lambda part: [part])),
)
tools = st.builds(
    Tool, texts, st.none() | texts, st.none() | json_values.map(raw_json), st.none() | st.booleans(), extras
)
requests = st.builds(
    ChatRequest,
    model=st.just("asked-for"),
    messages=st.lists(messages, max_size=5),
    stream=st.booleans(),
    tools=st.none() | st.lists(tools, max_size=2),
    tool_choice=st.none()
    | st.builds(ToolChoice, st.sampled_from(["auto", "none", "required", "tool"]), st.none() | texts),
    parallel_tool_calls=st.none() | st.booleans(),
    max_tokens=st.none() | st.integers(1, 10**12),
    temperature=st.none() | st.floats(-10, 10),
    top_p=st.none() | st.floats(-10, 10),
    stop=st.none() | st.lists(texts, max_size=3),
    reasoning_effort=st.none() | st.sampled_from(["none", "low", "high", "x"]),
    reasoning_budget=st.none() | st.integers(0, 10**6),
    response_format=st.none()
    | st.builds(
        ResponseFormat,
        st.sampled_from(["text", "json_object", "json_schema"]),
        schema=st.none() | json_values.map(raw_json),
    ),
    user=st.none() | texts,
    extra=st.dictionaries(
        st.sampled_from(
            [
                "n",
                "seed",
                "metadata",
                "service_tier",
                "betas",
                "thinking",
                "web_search_options",
                "stream_options",
                "top_k",
            ]
        )
        | texts,
        json_values.map(raw_json),
        max_size=3,
    ),
)


@every_provider
@given(request=requests)
@settings(max_examples=150)
def test_any_request_is_translated_or_refused_by_name(name: str, request: ChatRequest) -> None:
    for translator in translators(name):
        attempt(translator, request)


# --- a provider inside the gateway ----------------------------------------------------------------------------------

IN_PROCESS = [name for name in TYPES if load(name).simulate is not None]


@pytest.mark.parametrize("name", IN_PROCESS)
@given(st.data(), st.binary(max_size=30) | json_bodies)
@settings(max_examples=60)
def test_any_request_to_a_provider_inside_the_gateway_is_answered(name: str, data: st.DataObject, body: bytes) -> None:
    provider = load(name)
    capability = data.draw(st.sampled_from(list(provider.surfaces)))
    assert provider.simulate is not None
    script = provider.simulate(capability, body)
    assert provider.simulate(capability, body) == script, "the same request has the same answer"
    assert 200 <= script.status <= 599
    assert is_header_value(script.content_type)
    assert script.delay_s >= 0
    assert all(delay_s >= 0 for delay_s, _ in script.chunks)
    if script.status >= 400:
        check_refusal(
            provider.read_error(script.status, {}, b"".join(data for _, data in script.chunks)), script.status
        )


@pytest.mark.parametrize("name", IN_PROCESS)
def test_a_provider_inside_the_gateway_answers_each_of_its_models(name: str) -> None:
    provider: Provider = load(name)
    assert provider.simulate is not None
    for model in provider.models:
        statuses = []
        for capability, (surface, *_) in provider.surfaces.items():
            assert surface.read_summary is not None
            asked = {"model": model.id, "messages": [{"role": "user", "content": "hi"}], "input": "hi"}
            plain = provider.simulate(capability, json.dumps(asked).encode())
            statuses.append(plain.status)
            if plain.status == 200:
                assert surface.read_summary(b"".join(data for _, data in plain.chunks)).usage is not None
            streamed = provider.simulate(capability, json.dumps(asked | {"stream": True}).encode())
            if capability is Capability.CHAT and streamed.status == 200:
                assert surface.observer is not None
                _, state = watched(surface.observer(False), [data for _, data in streamed.chunks])
                assert state[1:4] == ("stop", True, True)
        assert 200 in statuses
