"""Which of a vendor's surfaces serves what, and counting tokens."""

import json
from typing import Any

import pytest

from gateway.core.errors import BadRequest
from gateway.core.types import (
    Capability,
    ChatRequest,
    DialectName,
    Fault,
    File,
    Finish,
    FinishReason,
    HostedTool,
    Image,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    Tool,
    ToolResult,
    Usage,
    UsageReport,
    raw_json,
)
from providers import load
from providers.contract import Summary
from providers.openai_like.media import OPENAI_MEDIA, forwarded_surfaces
from providers.openai_like.openai_families import (
    EFFORTS,
    find_family,
    fit_effort,
    speaks_chat,
    speaks_responses,
    takes_tools_in_chat,
)
from providers.openai_like.responses import counting_surface, prefers_responses, responses_surface

OWN = DialectName.OPENAI_RESPONSES
OTHER = DialectName.ANTHROPIC_MESSAGES


def chat(*parts: Part, **members: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=[Message(Role.USER, [Text("Hi"), *parts])], **members)


# --- families of models -----------------------------------------------------------------------------------------------

RESPONSES_ONLY = [
    *("o1-pro", "o3-pro-2025-06-10", "gpt-5-pro", "gpt-5.5-pro-2026-04-23", "openai/gpt-5.2-pro"),
    *("gpt-5-codex", "gpt-5.1-codex-max", "codex-mini-latest", "o3-deep-research", "o4-mini-deep-research-2025-06-26"),
    "computer-use-preview-2025-03-11",
]
CHAT_ONLY = ["gpt-4o-audio-preview", "gpt-4o-mini-search-preview", "gpt-audio", "gpt-5-search-api"]
BOTH = ["gpt-4o", "gpt-5", "gpt-5.1-mini", "o3", "o4-mini", "ft:gpt-4o:org::x", "my-deployment", "gpt-pro-fan"]


def test_each_surface_knows_its_models() -> None:
    assert [model for model in RESPONSES_ONLY + CHAT_ONLY + BOTH if not speaks_chat(model)] == RESPONSES_ONLY
    assert [model for model in RESPONSES_ONLY + CHAT_ONLY + BOTH if not speaks_responses(model)] == CHAT_ONLY


@pytest.mark.parametrize(
    "model", ["gpt-3.5-turbo", "gpt-4.1", "gpt-4o-2024-08-06", "chatgpt-4o-latest", "gpt-5.1-chat"]
)
def test_older_models_do_not_reason(model: str) -> None:
    assert not find_family(model).can_reason


@pytest.mark.parametrize("model", [*RESPONSES_ONLY, "gpt-5", "o3-mini", "gpt-6", "my-deployment", ""])
def test_every_effort_fits_every_family(model: str) -> None:
    family = find_family(model)
    fitted = [fit_effort(effort, family) for effort in EFFORTS]
    assert set(fitted) <= set(family.efforts or EFFORTS)
    assert [EFFORTS.index(effort) for effort in fitted] == sorted(EFFORTS.index(effort) for effort in fitted)
    assert all(fit_effort(effort, family) == effort for effort in family.efforts)


# --- which surface ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        chat(reasoning_effort="low"),
        chat(reasoning_budget=1024),
        chat(Reasoning(signature="p", origin=OWN)),
        chat(Reasoning(redacted="p", origin=OWN)),
        chat(File(url="https://example.com/a.pdf")),
        chat(ToolResult("c", [Image(url="https://example.com/a.png")])),
        chat(tools=[Tool("patch", is_freeform=True)]),
        chat(hosted_tools=[HostedTool("web_search", raw_json({}), OTHER)]),
        chat(hosted_tools=[HostedTool("x", raw_json({}), OWN)]),
    ],
)
def test_responses_serve_what_chat_would_lose_unless_they_would_refuse_it(request_: ChatRequest) -> None:
    assert prefers_responses(request_, "gpt-5")
    request_.extra = {"n": raw_json(1), "seed": raw_json(7)}
    assert prefers_responses(request_, "gpt-5")
    request_.extra = {"n": raw_json(2)}
    assert not prefers_responses(request_, "gpt-5")
    assert prefers_responses(request_, "gpt-5-pro"), "no other surface knows it"
    request_.extra, request_.stop = {}, ["END"]
    assert not prefers_responses(request_, "gpt-5")


@pytest.mark.parametrize(
    "request_",
    [
        chat(),
        chat(reasoning_effort="none"),
        chat(reasoning_budget=0),
        chat(Reasoning("Hm", signature="p")),
        chat(Reasoning("Hm", origin=OWN)),
        chat(File(file_id="file_1"), Image(url="https://example.com/a.png"), ToolResult("c", [Text("r")])),
        chat(tools=[Tool("look")], hosted_tools=[HostedTool("bash", raw_json({}), OTHER)]),
    ],
)
def test_chat_serves_everything_else(request_: ChatRequest) -> None:
    assert not prefers_responses(request_, "gpt-5")


@pytest.mark.parametrize(
    ("model", "members", "prefers"),
    [
        ("gpt-5.6", {}, True),
        ("gpt-5.6-luna-2026-07-01", {}, True),
        ("openai/gpt-6-sol", {}, True),
        ("gpt-5.6", {"reasoning_effort": "none"}, False),
        ("gpt-5.6", {"reasoning_budget": 0}, False),
        ("gpt-5.6", {"stop": ["END"]}, False),
        ("gpt-5.5", {}, True),
        ("gpt-5.5", {"reasoning_effort": "low"}, True),
        ("gpt-5.4", {}, False),
        ("gpt-5.4", {"reasoning_effort": "low"}, True),
        *((model, {}, False) for model in ("gpt-4o", "gpt-5", "gpt-5-nano", "gpt-5.1", "o4-mini", "my-deployment")),
    ],
)
def test_function_tools_go_where_the_model_takes_them(model: str, members: dict[str, Any], prefers: bool) -> None:
    assert prefers_responses(chat(tools=[Tool("look")], **members), model) is prefers
    assert not prefers_responses(chat(), model), "without tools there is no need"


def test_whoever_takes_no_tools_while_reasoning_need_not_reason() -> None:
    families = [find_family(model) for model in (*BOTH, "gpt-4o", "gpt-5.4", "gpt-5.5", "gpt-5.6", "gpt-6")]
    assert all(takes_tools_in_chat(family, "none") for family in families)
    refusing = [family for family in families if not takes_tools_in_chat(family, "low")]
    assert len(refusing) == 4
    assert all("none" in family.efforts for family in refusing)


def test_openai_has_both_and_prefers_responses_only_for_some() -> None:
    responses, completions = load("openai").surfaces[Capability.CHAT]
    assert (responses.dialect, completions.dialect) == (OWN, DialectName.OPENAI_CHAT)
    assert responses.suits is prefers_responses
    assert completions.suits is None
    assert completions.serves is not None
    assert not completions.serves("gpt-5-pro")
    assert "x-codex-" in responses.forwarded_prefixes
    assert set(completions.forwarded_headers) < set(responses.forwarded_headers)


def test_errors_name_the_provider() -> None:
    translator = responses_surface("acme").translator
    assert translator is not None
    with pytest.raises(BadRequest, match="acme"):
        translator.to_wire(chat(stop=["END"]), "gpt-5")


# --- what is forwarded ------------------------------------------------------------------------------------------------


def test_endpoints_forwarded_by_model() -> None:
    found = forwarded_surfaces(*OPENAI_MEDIA, Capability.RERANK)
    assert {capability: surface.path for capability, (surface,) in found.items()} == {
        Capability.COMPLETIONS: "/completions",
        Capability.MODERATIONS: "/moderations",
        Capability.SPEECH: "/audio/speech",
        Capability.IMAGE_GENERATIONS: "/images/generations",
        Capability.COMPACTION: "/responses/compact",
        Capability.TRANSCRIPTIONS: "/audio/transcriptions",
        Capability.TRANSLATIONS: "/audio/translations",
        Capability.IMAGE_EDITS: "/images/edits",
        Capability.IMAGE_VARIATIONS: "/images/variations",
        Capability.RERANK: "/rerank",
    }
    forms = {capability for capability, (surface,) in found.items() if surface.dialect is DialectName.OPENAI_FORM}
    assert forms == {
        Capability.TRANSCRIPTIONS,
        Capability.TRANSLATIONS,
        Capability.IMAGE_EDITS,
        Capability.IMAGE_VARIATIONS,
    }
    assert [c for c, (surface,) in found.items() if surface.observer is not None] == [Capability.COMPLETIONS]
    assert [c for c, (surface,) in found.items() if surface.read_summary is None] == [Capability.SPEECH]
    assert set(OPENAI_MEDIA) < load("openai").surfaces.keys()


def test_what_is_no_such_endpoint_has_no_surface() -> None:
    with pytest.raises(KeyError):
        forwarded_surfaces(Capability.CHAT)


# --- counting ---------------------------------------------------------------------------------------------------------


def test_a_count_is_asked_for_without_what_only_shapes_the_answer() -> None:
    translator = counting_surface("openai").translator
    assert translator is not None
    request = chat(
        tools=[Tool("look")], max_tokens=5, temperature=0.5, stream=True, stop=["END"], user="u", reasoning_effort="low"
    )
    wire = translator.to_wire(request, "gpt-5")
    assert json.loads(wire.body) == {
        "model": "gpt-5",
        "input": [{"role": "user", "content": "Hi"}],
        "tools": [
            {
                "type": "function",
                "name": "look",
                "parameters": {"type": "object", "properties": {}},
                "strict": False,
            }
        ],
        "reasoning": {"effort": "low", "summary": "auto"},
    }
    assert wire.dropped == ()


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (b'{"object":"response.input_tokens","input_tokens":15}', 15),
        (b'{"input_tokens":0}', 0),
        (b'{"input_tokens":-1}', None),
        (b'{"input_tokens":"15"}', None),
        (b"{}", None),
        (b"[]", None),
        (b"", None),
    ],
)
def test_a_count_is_read(body: bytes, count: int | None) -> None:
    surface = counting_surface("openai")
    assert surface.translator is not None
    assert surface.read_summary is not None
    events = surface.translator.read_answer(body)
    if count is None:
        assert [type(event) for event in events] == [Fault]
        return
    assert events == [UsageReport(Usage(input_tokens=count)), Finish(FinishReason.STOP)]
    assert surface.read_summary(body) == Summary(Usage(input_tokens=count))


def test_an_error_in_the_place_of_a_count_is_a_fault() -> None:
    surface = counting_surface("openai")
    assert surface.translator is not None
    assert surface.read_summary is not None
    body = b'{"error":{"message":"Oops","code":"server_error"}}'
    fault = Fault("Oops", 500, native_type="server_error")
    assert surface.translator.read_answer(body) == [fault]
    assert surface.read_summary(body).fault == fault
    with pytest.raises(ValueError, match="no JSON object"):
        surface.read_summary(b"<html>")
