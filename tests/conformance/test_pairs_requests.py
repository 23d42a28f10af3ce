"""Every field of every client dialect at every provider: it arrives, or it is named in ``dropped``, or it is refused.

Two ways to find what is lost without a word. One field alone on a plain request, with a mark in its value that must
arrive; and a request with something in every field, of which one place after the other is left out, which must be seen.
"""

import itertools
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.errors import BadRequest, UnsupportedParameter
from gateway.core.types import DialectName
from providers.contract import ProviderRequest
from tests.kit.pairs import SCHEMA, SIDES, Side, decode, every_client, every_side, first_turn
from tests.kit.rich_requests import RICH, Path, paths, replaced, text, without

Json = dict[str, Any]
CHAT = DialectName.OPENAI_CHAT
RESPONSES = DialectName.OPENAI_RESPONSES
MESSAGES = DialectName.ANTHROPIC_MESSAGES
GEMINI = DialectName.GEMINI_GENERATE_CONTENT

# the side's own, and one that it does not know
MODELS = ("", "vendor-model-1.5")
every_model = pytest.mark.parametrize("model", MODELS, ids=["known", "unknown"])


def ask(client: DialectName, side: Side, body: Json, model: str = "") -> ProviderRequest | None:
    """What goes up; None for what is refused, which must be told by name."""
    try:
        return side.ask(decode(client, body), model)
    except BadRequest as refused:
        assert refused.status == 400  # noqa: PT017 - both ends are right
        assert refused.param or "not valid JSON" in refused.message  # noqa: PT017
        return None


def is_same(one: ProviderRequest, other: ProviderRequest) -> bool:
    return (one.body, one.headers) == (other.body, other.headers)


# --- one field ------------------------------------------------------------------------------------------------------

MARK = "mark-word"
# Fields of any vendor, which clients send in any dialect.
FIELDS: Json = {
    "temperature": 0.25,
    "top_p": 0.75,
    "seed": 7001,
    "top_k": 41,
    "min_p": 0.05,
    "n": 2,
    "logprobs": True,
    "logit_bias": {"50256": -17},
    "presence_penalty": 0.6,
    "frequency_penalty": 0.7,
    "metadata": {"key": MARK},
    "user": MARK,
    "service_tier": "flex",
    "verbosity": "low",
    "prompt_cache_key": MARK,
    "prompt_cache_retention": MARK,
    "safety_identifier": MARK,
    "prediction": {"type": "content", "content": MARK},
    "modalities": ["text", "audio"],
    "audio": {"voice": MARK},
    "moderation": {"model": MARK},
    "reasoning_effort": "low",
    "parallel_tool_calls": False,
    "web_search_options": {"search_context_size": "low"},
    "mcp_servers": [{"url": MARK}],
    "container": MARK,
    "context_management": {"edits": [{"type": MARK}]},
    "output_config": {"effort": "medium"},
    "betas": [MARK],
    "cache_control": {"type": "ephemeral"},
    "speed": "fast",
    "inference_geo": MARK,
    "thread": {"type": "create"},
    "safety_settings": [{"category": MARK}],
    "cached_content": MARK,
    "labels": {"a": MARK},
    "thinking_config": {"thinkingBudget": 777},
    "extra_body": {"google": {"thinking_config": {"thinkingBudget": 777}}},
    "provider": {"order": [MARK]},
    "plugins": [{"id": MARK}],
    "previous_response_id": MARK,
    "conversation": MARK,
    "prompt": {"id": MARK},
    "background": True,
    "truncation": "auto",
    "max_tool_calls": 17,
    "client_metadata": {"a": MARK},
    "some_day": {"new": MARK},
}
FIELDS_OF: dict[DialectName, Json] = {
    CHAT: {
        "stop": [MARK],
        "max_tokens": 777,
        "max_completion_tokens": 778,
        "reasoning": {"effort": "low"},
        "response_format": {"type": "json_object"},
        "tool_choice": "required",
        "store": True,
        "stream": True,
    },
    RESPONSES: {
        "instructions": MARK,
        "max_output_tokens": 777,
        "reasoning": {"effort": "low", "summary": "detailed"},
        "text": {"format": {"type": "json_object"}},
        "tool_choice": "required",
        "include": ["file_search_call.results"],
        "stream": True,
    },
    MESSAGES: {
        "system": MARK,
        "max_tokens": 777,
        "stop_sequences": [MARK],
        "metadata": {"user_id": MARK},
        "thinking": {"type": "enabled", "budget_tokens": 2222},
        "tool_choice": {"type": "any"},
        "output_format": {"type": "json_schema", "schema": SCHEMA},
        "stream": True,
    },
}
CASES = [(client, name, value) for client in FIELDS_OF for name, value in (FIELDS | FIELDS_OF[client]).items()]


@every_side
@every_model
@pytest.mark.parametrize(("client", "name", "value"), CASES, ids=[f"{c}-{name}" for c, name, _ in CASES])
def test_a_field_arrives_or_is_named_or_refused(
    side: Side, model: str, client: DialectName, name: str, value: Any
) -> None:
    plain = {k: v for k, v in first_turn(client).items() if k not in ("reasoning", "reasoning_effort", "thinking")}
    before, after = ask(client, side, plain, model), ask(client, side, {**plain, name: value}, model)
    assert before is not None
    if after is None or set(after.dropped) - set(before.dropped):
        return
    if name == "stream" and side.dialect is GEMINI:
        # the path says it
        assert side.surface.stream_path
        return
    if MARK in json.dumps(value):
        assert MARK in after.body.decode() + str(after.headers)
    assert not is_same(before, after), f"{name} is lost without a word"


@every_client
@every_side
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mcp_servers", [{"type": "url", "url": "https://example.com", "name": "x"}]),
        ("previous_response_id", "resp_1"),
        ("conversation", {"id": "conv_1"}),
        ("prompt", {"id": "pmpt_1"}),
        ("background", True),
    ],
)
def test_what_only_its_own_vendor_keeps_is_refused(client: DialectName, side: Side, name: str, value: Any) -> None:
    if name == "mcp_servers" and side.dialect is MESSAGES:
        return  # its own
    with pytest.raises(UnsupportedParameter) as refused:
        side.ask(decode(client, {**first_turn(client), name: value}))
    assert refused.value.param == name


# --- every place of a rich request ----------------------------------------------------------------------------------


class Excuse(NamedTuple):
    """Why a place of a request may be left out without a trace. ``ending`` is the end of its path."""

    ending: str
    reason: str
    dialect: DialectName | None = None  # of the provider; None: of any

    def covers(self, path: Path, side: Side) -> bool:
        return self.dialect in (None, side.dialect) and f".{text(path)}".endswith(f".{self.ending}")


EXCUSES = (
    Excuse("type", "says what is the default, or what the object is anyway"),
    Excuse("stream", "the path says it", GEMINI),
    Excuse("reasoning", "hides thought that is not told anyway where no model thinks", GEMINI),
    Excuse("stream_options", "the gateway sees to it"),
    Excuse("stream_options.include_usage", "the gateway sees to it"),
    Excuse("stream_options.include_obfuscation", "no event of the gateway's is padded"),
    Excuse("store", "false: nothing is kept unless a client asks for it"),
    Excuse("include.0", "encrypted thought is always asked for"),
    Excuse("tool_choice", "auto, the default"),
    Excuse("tools.1", "a function that the choice forbids"),
    Excuse("tools.1.name", "the name of a vendor's own tool"),
    Excuse("json_schema.name", "a label"),
    Excuse("format.name", "a label"),
    Excuse("json_schema.strict", "true, and the answer is held to the schema in any case"),
    Excuse("format.strict", "true, and the answer is held to the schema in any case"),
    Excuse("id", "the book-keeping of an API that keeps items"),
    Excuse("status", "the book-keeping of an API that keeps items"),
    Excuse("annotations", "empty"),
)
# What a refusal calls a field of the client, where that has another word.
_WORDS = {
    "stop": {MESSAGES: "stop_sequences"},
    "response_format": {MESSAGES: "output_config", RESPONSES: "text"},
}


def accepted(client: DialectName, side: Side, model: str) -> tuple[Json, ProviderRequest]:
    """The rich request without the fields that this provider refuses."""
    body = dict(RICH[client])
    while True:
        try:
            return body, side.ask(decode(client, body), model)
        except BadRequest as refused:
            assert refused.param is not None  # noqa: PT017
            del body[_WORDS.get(refused.param, {}).get(client, refused.param)]


@every_client
@every_side
@every_model
def test_no_place_of_a_request_is_lost_without_a_word(client: DialectName, side: Side, model: str) -> None:
    body, wire = accepted(client, side, model)
    assert len(body) >= len(RICH[client]) - 2
    tried = {path: ask(client, side, without(body, path), model) for path in paths(body) if path}
    lost = {path for path, less in tried.items() if less is not None and is_same(less, wire)}
    silent = [path for path in lost if not is_accounted(side, path, lost, tried, wire)]
    assert sorted(map(text, silent)) == []


def is_accounted(
    side: Side, path: Path, lost: set[Path], tried: dict[Path, ProviderRequest | None], wire: ProviderRequest
) -> bool:
    less = tried[path]
    if less is None or less.dropped != wire.dropped:
        return True
    # within something that is lost as a whole, which is judged by itself
    if any(path[:length] in lost for length in range(1, len(path))):
        return True
    names = {name.rpartition(".")[2] for name in wire.dropped} | {name.partition(".")[0] for name in wire.dropped}
    if path[0] in wire.dropped or path[-1] in names:
        return True
    is_thought = "reasoning_content" in wire.dropped and path[0] in ("messages", "input")
    if is_thought and (path[-1] in ("id", "summary", "signature") or path[-2:] in (("content", 0), ("content", 1))):
        return True
    return any(excuse.covers(path, side) for excuse in EXCUSES)


# --- any value in any place -----------------------------------------------------------------------------------------

ODD = [
    *(None, True, 0, -1, 2**70, 1.5, 1e300, "", "x", "\ud800", "\0", [], [[]], [None], [{}], {}, {"type": "x"}),
    *({"type": "text"}, {"type": "text", "text": 5}, {"type": 1}, [{"type": "text", "text": "x"}]),
    *("data:,x", "data:image/png;base64,xx", "https://x", {"role": "user", "content": "x"}, "auto", "none", "required"),
    *({"type": "thinking", "thinking": "x"}, {"type": "function", "function": {"name": "f"}}, {"url": "x"}),
]
values = st.sampled_from(ODD) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@every_client
@given(st.data())
@settings(max_examples=200)
def test_any_value_in_any_place_is_translated_or_refused(client: DialectName, data: st.DataObject) -> None:
    # what some provider refuses would hide the rest
    refused = data.draw(st.sampled_from([(), ("stop", "stop_sequences"), ("text", "output_config", "response_format")]))
    body = {name: value for name, value in RICH[client].items() if name not in refused}
    path = data.draw(st.sampled_from([path for path in paths(body) if path]))
    spoilt = replaced(body, path, data.draw(values))
    model = data.draw(st.sampled_from(MODELS))
    for side in SIDES:
        ask(client, side, spoilt, model)


@every_client
@every_side
def test_every_odd_value_in_every_field_is_translated_or_refused(client: DialectName, side: Side) -> None:
    plain = first_turn(client)
    for name in {**RICH[client], **FIELDS, **FIELDS_OF[client]}:
        for value in ODD:
            ask(client, side, {**plain, name: value})


def test_the_kit_can_tell_a_loss() -> None:
    side, path, empty = SIDES[0], ("user",), ProviderRequest(b"{}")
    assert not is_accounted(side, path, {path}, {path: empty}, empty)
    assert is_accounted(side, path, {path}, {path: empty}, ProviderRequest(b"{}", dropped=("user",)))
    excused = ("tools", 0, "type")
    assert is_accounted(side, excused, {excused}, {excused: empty}, empty)


def test_every_excuse_is_needed() -> None:
    used = set(_used_excuses())
    assert [excuse.ending for excuse in EXCUSES if excuse not in used] == []


def _used_excuses() -> Iterator[Excuse]:
    one_of_each = {side.dialect: side for side in SIDES}.values()
    for client in RICH:
        for side, model in itertools.product(one_of_each, MODELS):
            body, wire = accepted(client, side, model)
            for path in paths(body):
                less = ask(client, side, without(body, path), model) if path else None
                if less is not None and is_same(less, wire) and less.dropped == wire.dropped:
                    yield from (excuse for excuse in EXCUSES if excuse.covers(path, side))
