"""Plain answers of generateContent, shaped after recorded ones."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.types import (
    ContentDelta,
    DialectName,
    Event,
    Fault,
    Finish,
    FinishReason,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from providers.generate_content.answer import read_answer

GEMINI = DialectName.GEMINI_GENERATE_CONTENT


def thought(text: str = "", block: int = 0, signature: str | None = None, choice: int = 0) -> ReasoningDelta:
    return ReasoningDelta(text, block, signature, origin=GEMINI, choice=choice)


def answer(*parts: Any, finish: str | None = "STOP", usage: Any = None, **candidate: Any) -> bytes:
    content = {"role": "model", "parts": list(parts)}
    written: dict[str, Any] = {"candidates": [{"content": content, "finishReason": finish, "index": 0, **candidate}]}
    written |= {"modelVersion": "gemini-3.5-flash", "responseId": "gr-FaqitL6ulnsEP7ZrXyAY"}
    return json.dumps(written | ({"usageMetadata": usage} if usage else {})).encode()


def content_of(*parts: Any, **candidate: Any) -> list[Event]:
    """Without the frame that every answer has."""
    events = read_answer(answer(*parts, **candidate))
    return [e for e in events if not isinstance(e, Start | UsageReport | Finish)]


def kept(events: list[Event]) -> list[tuple[str, Any]]:
    return [(e.field, json.loads(bytes(e.value))) for e in events if isinstance(e, ContentDelta)]


def last(*parts: Any, **candidate: Any) -> Event:
    return read_answer(answer(*parts, **candidate))[-1]


def test_a_text_is_told_with_its_frame() -> None:
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 8, "totalTokenCount": 93, "thoughtsTokenCount": 76}
    assert read_answer(b"\n  " + answer({"text": "Hello."}, usage=usage) + b"\n\n") == [
        Start("gr-FaqitL6ulnsEP7ZrXyAY", "gemini-3.5-flash"),
        TextDelta("Hello."),
        UsageReport(Usage(input_tokens=9, output_tokens=84, reasoning_tokens=76)),
        Finish(FinishReason.STOP, "STOP"),
    ]


def test_a_thought_is_ended_by_the_signature_of_what_follows() -> None:
    parts = [{"text": "Simple.", "thought": True}, {"text": "1 + 1 = 2.", "thoughtSignature": "EpcC"}]
    assert content_of(*parts) == [thought("Simple."), thought(signature="EpcC"), TextDelta("1 + 1 = 2.")]


def test_calls_bear_their_signatures_and_arguments() -> None:
    parts = [
        {"functionCall": {"name": "add", "args": {"a": 2, "b": [1.0]}, "id": "8hd01vsf"}, "thoughtSignature": "EsIN"},
        {"functionCall": {"name": "now", "args": {}, "id": "k0srpqrc"}},
        {"functionCall": {"name": "bare"}},
    ]
    assert content_of(*parts) == [
        thought(signature="EsIN"),
        ToolCallDelta(0, "8hd01vsf", "add", '{"a":2,"b":[1.0]}'),
        ToolCallDelta(1, "k0srpqrc", "now", "{}"),
        ToolCallDelta(2, "call_gr-FaqitL6ulnsEP7ZrXyAY_2", "bare", "{}"),
    ]
    assert last(*parts) == Finish(FinishReason.TOOL_CALLS, "STOP")


def test_thoughts_between_parts_are_blocks_of_their_own() -> None:
    parts = [
        {"text": "first", "thought": True},
        {"text": "said"},
        {"text": "second", "thought": True},
        {"functionCall": {"name": "f", "id": "1"}, "thoughtSignature": "s2"},
        {"text": "", "thoughtSignature": "s3"},
    ]
    assert [e for e in content_of(*parts) if isinstance(e, ReasoningDelta)] == [
        thought("first"),
        thought("second", 1),
        thought(block=1, signature="s2"),
        thought(block=2, signature="s3"),
    ]


def test_ids_are_made_where_there_are_none_and_differ_between_candidates() -> None:
    call = {"content": {"parts": [{"functionCall": {"name": "f"}}]}, "finishReason": "STOP"}
    body = {"candidates": [call, {**call, "index": 1}], "responseId": "a b/c"}
    ids = [e.id for e in read_answer(json.dumps(body).encode()) if isinstance(e, ToolCallDelta)]
    assert ids == ["call_abc_0", "call_abc_1_0"]


def test_candidates_are_choices() -> None:
    two = {"content": {"parts": [{"text": "two"}]}, "finishReason": "MAX_TOKENS", "index": 1}
    one = {"content": {"parts": [{"text": "one"}]}, "finishReason": "STOP"}
    events = read_answer(json.dumps({"candidates": [two, one]}).encode())
    assert events[1:] == [TextDelta("two", 1), TextDelta("one", 0), Finish(FinishReason.STOP, "STOP")]


def test_pictures_are_data_uris() -> None:
    blob = {"inlineData": {"mimeType": "image/png", "data": "iVBO"}, "thoughtSignature": "s1"}
    events = content_of({"text": "See:"}, blob)
    assert events[1] == thought(signature="s1")
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}
    assert kept(events) == [("images", picture)]


def test_parts_of_googles_own_are_kept_with_their_signature() -> None:
    parts = [
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}, "thoughtSignature": "s1"},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
        {"inlineData": {"mimeType": "audio/pcm", "data": "AAAA"}},
        {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "id": "x"}},
    ]
    events = content_of(*parts)
    assert kept(events) == [("provider_content", part) for part in parts]
    assert len(events) == 4


def test_a_part_that_says_nothing_is_stepped_over() -> None:
    assert content_of({}, {"text": ""}, {"thought": True}, {"text": None}) == []


def test_probabilities_are_told_as_openai_does() -> None:
    result = {
        "chosenCandidates": [{"token": "Hé", "logProbability": -0.5, "tokenId": 9}],
        "topCandidates": [{"candidates": [{"token": "Hé", "logProbability": -0.5}, {"token": '"'}]}],
    }
    spelled = {"token": "Hé", "logprob": -0.5, "bytes": [72, 195, 169]}
    tops = [spelled, {"token": '"', "logprob": None, "bytes": [34]}]
    told = kept(content_of({"text": "Hé"}, logprobsResult=result))
    assert told == [("logprobs", {**spelled, "top_logprobs": tops})]


# --- citations ------------------------------------------------------------------------------------------------------


def url_citation(start: int, end: int, title: str, url: str) -> dict[str, Any]:
    return {
        "type": "url_citation",
        "url_citation": {"start_index": start, "end_index": end, "title": title, "url": url},
    }


CHUNKS = [{"web": {"uri": "https://a.example", "title": "A"}}, {"web": {"uri": "https://b.example", "title": "B"}}]


def test_bytes_of_the_text_become_characters() -> None:
    grounding = {
        "groundingChunks": CHUNKS,
        "groundingSupports": [
            {"segment": {"endIndex": 6, "text": "Zürö"}, "groundingChunkIndices": [0]},
            {"segment": {"startIndex": 7, "endIndex": 9, "text": "is"}, "groundingChunkIndices": [0, 1, 7]},
        ],
        "webSearchQueries": ["zürich"],
        "searchEntryPoint": {"renderedContent": "<div>"},
    }
    assert kept(content_of({"text": "Zürö is"}, groundingMetadata=grounding)) == [
        ("annotations", url_citation(0, 4, "A", "https://a.example")),
        ("annotations", url_citation(5, 7, "A", "https://a.example")),
        ("annotations", url_citation(5, 7, "B", "https://b.example")),
        (
            "provider_content",
            {
                "groundingMetadata": {
                    "webSearchQueries": ["zürich"],
                    "searchEntryPoint": {"renderedContent": "<div>"},
                }
            },
        ),
    ]


def test_the_cited_words_decide_where_the_place_is_that_of_a_part() -> None:
    grounding = {
        "groundingChunks": CHUNKS[:1],
        "groundingSupports": [
            {"segment": {"partIndex": 1, "endIndex": 5, "text": "there"}, "groundingChunkIndices": [0]},
            {"segment": {"startIndex": 1, "endIndex": 3, "text": "never said"}, "groundingChunkIndices": [0]},
        ],
    }
    told = kept(content_of({"text": "hello "}, {"text": "there"}, groundingMetadata=grounding))
    assert [value["url_citation"]["start_index"] for _, value in told] == [6, 1]


def test_sources_without_a_place_stand_at_the_end_and_nothing_is_told_twice() -> None:
    again = {"groundingSupports": [], "groundingChunks": [CHUNKS[1], CHUNKS[1]]}
    told = kept(content_of({"text": "hello"}, groundingMetadata=again))
    assert told == [("annotations", url_citation(5, 5, "B", "https://b.example"))]


def test_documents_of_the_client_are_cited_in_googles_words() -> None:
    chunk = {"retrievedContext": {"text": "Paris is the capital.", "fileSearchStore": "fileSearchStores/x"}}
    grounding = {
        "groundingChunks": [chunk],
        "groundingSupports": [{"segment": {"endIndex": 5, "text": "Paris"}, "groundingChunkIndices": [0]}],
    }
    told = kept(content_of({"text": "Paris."}, groundingMetadata=grounding))
    assert told == [("citations", {**chunk, "start_index": 0, "end_index": 5})]


def test_recited_text_names_its_source() -> None:
    metadata = {"citationSources": [{"startIndex": 1, "endIndex": 3, "uri": "https://a.example", "license": "mit"}]}
    told = kept(content_of({"text": "hello"}, citationMetadata=metadata))
    assert told == [("annotations", {**url_citation(1, 3, "", "https://a.example"), "license": "mit"})]
    later = {"citations": [{"startIndex": 30, "endIndex": 179, "uri": "https://a.example", "license": ""}]}
    told = kept(content_of({"text": "hello"}, citationMetadata=later))
    assert told == [("annotations", url_citation(5, 5, "", "https://a.example"))]


def test_what_was_read_of_the_web_is_kept() -> None:
    metadata = {"urlMetadata": [{"retrievedUrl": "https://a.example"}]}
    told = kept(content_of({"text": "x"}, urlContextMetadata=metadata))
    assert told == [("provider_content", {"urlContextMetadata": metadata})]


@given(st.text(max_size=12), st.data())
def test_places_in_any_text_are_characters(text: str, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(first, len(text)))
    try:
        start_byte, end_byte = len(text[:first].encode()), len(text[:end].encode())
    except UnicodeEncodeError:
        return
    support = {"segment": {"startIndex": start_byte, "endIndex": end_byte}, "groundingChunkIndices": [0]}
    grounding = {"groundingChunks": CHUNKS[:1], "groundingSupports": [support]}
    (_, told) = kept(content_of({"text": text}, groundingMetadata=grounding))[-1]
    assert (told["url_citation"]["start_index"], told["url_citation"]["end_index"]) == (first, end)


# --- how it ends ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("RECITATION", FinishReason.CONTENT_FILTER),
        ("LANGUAGE", FinishReason.CONTENT_FILTER),
        ("BLOCKLIST", FinishReason.CONTENT_FILTER),
        ("PROHIBITED_CONTENT", FinishReason.CONTENT_FILTER),
        ("SPII", FinishReason.CONTENT_FILTER),
        ("IMAGE_SAFETY", FinishReason.CONTENT_FILTER),
        ("OTHER", FinishReason.STOP),
        ("MALFORMED_FUNCTION_CALL", FinishReason.STOP),
        ("BRAND_NEW", FinishReason.STOP),
    ],
)
def test_every_end_has_a_word(native: str, reason: FinishReason) -> None:
    assert last({"text": "x"}, finish=native) == Finish(reason, native)


def test_an_answer_without_content_is_an_answer() -> None:
    body = {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS", "index": 0}]}
    assert read_answer(json.dumps(body).encode()) == [Start("", ""), Finish(FinishReason.LENGTH, "MAX_TOKENS")]
    assert last(finish="STOP") == Finish(FinishReason.STOP, "STOP")


@pytest.mark.parametrize("native", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "NO_IMAGE", "OTHER"])
def test_a_model_that_failed_before_its_first_word_has_not_answered(native: str) -> None:
    fault = last({"text": "hm", "thought": True}, finish=native, finishMessage="Malformed call: look(")
    assert fault == Fault("Malformed call: look(", 502, native_type=native)
    assert last(finish=native) == Fault(f"the model could not answer ({native})", 502, native_type=native)


def test_a_blocked_prompt_is_a_filter() -> None:
    body = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 4}}
    assert read_answer(json.dumps(body).encode()) == [
        Start("", ""),
        UsageReport(Usage(input_tokens=4)),
        Finish(FinishReason.CONTENT_FILTER, "PROHIBITED_CONTENT"),
    ]


@pytest.mark.parametrize("finish", [None, "", "FINISH_REASON_UNSPECIFIED"])
def test_an_answer_without_an_end_is_broken(finish: str | None) -> None:
    fault = last({"text": "x"}, finish=finish)
    assert isinstance(fault, Fault)
    assert fault.kind == "upstream_broken"


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        ({"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}, Fault("Overloaded.", 503)),
        ({"message": "Slow down", "status": "RESOURCE_EXHAUSTED"}, Fault("Slow down", 429)),
        ({"code": 7, "message": ["odd"]}, Fault("the provider reported an error", 502)),
        ("odd", Fault("the provider reported an error", 502)),
    ],
)
def test_an_error_in_the_place_of_an_answer(error: Any, fault: Fault) -> None:
    (told,) = read_answer(json.dumps({"error": error}).encode())
    assert isinstance(told, Fault)
    assert (told.message, told.status) == (fault.message, fault.status)
    assert told.native_type


# --- usage ----------------------------------------------------------------------------------------------------------


def usage_of(**counts: Any) -> Usage | None:
    reports = [e.usage for e in read_answer(answer({"text": "x"}, usage=counts)) if isinstance(e, UsageReport)]
    return reports[-1] if reports else None


def test_thoughts_and_tools_are_counted_in() -> None:
    assert usage_of(
        promptTokenCount=17713,
        toolUsePromptTokenCount=371,
        cachedContentTokenCount=17379,
        candidatesTokenCount=68,
        thoughtsTokenCount=821,
        promptTokensDetails=[{"modality": "TEXT", "tokenCount": 16}, {"modality": "AUDIO", "tokenCount": 1917}],
        candidatesTokensDetails=[{"modality": "AUDIO", "tokenCount": 5}],
    ) == Usage(
        input_tokens=18084,
        output_tokens=889,
        cache_read_tokens=17379,
        reasoning_tokens=821,
        input_audio_tokens=1917,
        output_audio_tokens=5,
    )


@pytest.mark.parametrize("odd", ["9", -1, 1.5, 10**16, [], None])
def test_a_count_that_is_none_hides_no_other(odd: Any) -> None:
    assert usage_of(promptTokenCount=odd, candidatesTokenCount=8, promptTokensDetails=odd) == Usage(output_tokens=8)


def test_metadata_without_counts_are_no_usage() -> None:
    assert usage_of(trafficType="ON_DEMAND") is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("candidates", "content", "parts", "text", "functionCall", "args", "finishReason", "error"),
                    *("groundingMetadata", "groundingChunks", "groundingSupports", "segment", "usageMetadata", "index"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(st.binary(max_size=40) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_answer_or_a_fault(body: bytes) -> None:
    events = read_answer(body)
    assert isinstance(events[-1], Finish | Fault)
    assert not any(isinstance(event, Finish | Fault) for event in events[:-1])


@given(json_values, json_values, json_values)
def test_any_json_inside_an_answer_is_read_or_a_fault(part: Any, metadata: Any, cited: Any) -> None:
    for parts in ([part], [{"text": "x"}, {"functionCall": part}, {"inlineData": part}]):
        events = read_answer(answer(*parts, groundingMetadata=metadata, citationMetadata=cited, logprobsResult=part))
        assert isinstance(events[-1], Finish | Fault)
