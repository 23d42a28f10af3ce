import json
from typing import Any

import pytest

from providers.simulation import tokens
from tests.kit.simulated import Json, answer, calls, chat, error, text, tool

WEATHER = tool(
    "get_weather",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    description="Now",
)
TIME = tool("get_time")
RESULT = [
    {"role": "user", "content": "What is the weather in Paris?"},
    {
        "role": "assistant",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "22 degrees\nand sunny"},
]


def user(content: Any) -> list[Json]:
    return [{"role": "user", "content": content}]


def finish(script: Any) -> str:
    reason = answer(script)["choices"][0]["finish_reason"]
    assert isinstance(reason, str)
    return reason


def usage(script: Any) -> tuple[int, int, int]:
    reported = answer(script)["usage"]
    assert reported["total_tokens"] == reported["prompt_tokens"] + reported["completion_tokens"]
    details = reported["completion_tokens_details"]
    return reported["prompt_tokens"], reported["completion_tokens"], details["reasoning_tokens"]


# --- text ---------------------------------------------------------------------------------------------------------


def test_quotes_the_last_question() -> None:
    messages = [*user("first"), {"role": "assistant", "content": "yes?"}, *user("What about\n  the second?")]
    said = text(chat(messages=messages))
    assert '"What about the second?"' in said
    assert "1 earlier question" in said


def test_says_what_else_it_saw() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    recording = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    document = {"type": "file", "file": {"file_id": "file-1"}}
    parts = [{"type": "text", "text": "Look"}, picture, picture, recording, document]
    said = text(chat(messages=[{"role": "system", "content": "Be brief"}, *user(parts)]))
    assert "your instructions, 2 images, 1 file, 1 recording" in said


def test_the_large_model_says_more() -> None:
    small, large = chat(), chat(model="sim-large")
    assert len(text(large)) > 2 * len(text(small))
    assert answer(large)["model"] == "sim-large"


def test_seed_and_choice_vary_the_text() -> None:
    assert len({text(chat(seed=seed)) for seed in range(20)}) > 1
    both = chat(n=2)
    assert text(both, 0) != text(both, 1)


def test_a_long_question_is_quoted_in_part() -> None:
    said = text(chat(messages=user("word " * 5000)))
    assert "word ..." in said
    assert len(said) < 500


def test_the_content_asked_for_is_the_answer() -> None:
    assert text(chat(simulate={"content": "Exactly this."})) == "Exactly this."


@pytest.mark.parametrize("length", [1, 7, 48, 500, 8192])
def test_the_length_asked_for_is_met(length: int) -> None:
    script = chat(simulate={"output_tokens": length})
    assert usage(script)[1] == length
    assert len(tokens.cut(text(script))) == length
    assert finish(script) == "stop"


# --- limits -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_token_limit_cuts_the_text(field: str) -> None:
    whole, cut = chat(), chat(**{field: 5})
    assert finish(cut) == "length"
    assert usage(cut)[1] == 5
    assert text(whole).startswith(text(cut))


def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    assert text(chat(max_tokens=4000)) == text(chat())
    assert finish(chat(max_tokens=4000)) == "stop"


def test_all_choices_share_the_largest_output() -> None:
    script = chat(n=128, simulate={"content": "word " * 1000})
    assert usage(script)[1] == 8192
    assert finish(script) == "length"


@pytest.mark.parametrize("stop", ["c", ["zzz", "c", ""]])
def test_a_stop_sequence_ends_the_text_before_it(stop: Any) -> None:
    script = chat(stop=stop, simulate={"content": "a b c d"})
    assert text(script) == "a b "
    assert finish(script) == "stop"


# --- counting -----------------------------------------------------------------------------------------------------


def test_prompt_tokens_follow_the_documented_rule() -> None:
    assert usage(chat(messages=user("one two")))[0] == 2 + 4 + 3
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    assert usage(chat(messages=user([{"type": "text", "text": "one"}, picture])))[0] == 1 + 4 + 3 + 85
    parameters = json.dumps({"type": "object"})
    expected = 1 + 4 + 3 + 8 + len(tokens.cut("get_time")) + len(tokens.cut(parameters))
    assert usage(chat(messages=user("one"), tools=[tool("get_time", {"type": "object"})]))[0] == expected


def test_a_call_counts_its_name_once_and_its_arguments() -> None:
    script = chat(messages=user("Weather in Paris?"), tools=[WEATHER])
    assert usage(script)[1] == 1 + len(tokens.cut('{"city":"Paris"}'))


def test_usage_covers_all_choices() -> None:
    script = chat(n=3)
    assert usage(script)[1] == sum(len(tokens.cut(text(script, choice))) for choice in range(3))


def test_reasoning_is_counted_and_not_shown() -> None:
    plain, thoughtful = chat(), chat(reasoning_effort="high")
    assert text(plain) == text(thoughtful)
    assert usage(thoughtful) == (usage(plain)[0], usage(plain)[1] + 128, 128)


def test_a_limit_may_be_spent_on_reasoning_alone() -> None:
    script = chat(reasoning_effort="high", max_completion_tokens=100)
    assert (text(script), finish(script)) == ("", "length")
    assert usage(script)[1:] == (100, 100)


# --- tools --------------------------------------------------------------------------------------------------------


def test_the_first_tool_is_called_with_words_of_the_question() -> None:
    script = chat(messages=user("How warm is it in Paris?"), tools=[WEATHER, TIME])
    assert calls(script) == [("get_weather", {"city": "Paris"})]
    message = answer(script)["choices"][0]["message"]
    assert message["content"] is None
    assert finish(script) == "tool_calls"


@pytest.mark.parametrize(
    ("question", "fields", "expected"),
    [
        ("Use get_time", {}, ["get_time"]),
        ("Get weather and get time", {}, ["get_weather", "get_time"]),
        ("Get weather and get time", {"parallel_tool_calls": False}, ["get_weather"]),
        ("Hello", {"tool_choice": "required"}, ["get_weather"]),
        ("Use get_weather", {"tool_choice": {"type": "function", "function": {"name": "get_time"}}}, ["get_time"]),
        (
            "Use get_weather",
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [{"type": "function", "function": {"name": "get_time"}}],
                    },
                }
            },
            ["get_time"],
        ),
        ("Hello", {"tool_choice": "required", "simulate": {"content": "no"}}, ["get_weather"]),
    ],
)
def test_which_tools_are_called(question: str, fields: Json, expected: list[str]) -> None:
    script = chat(messages=user(question), tools=[WEATHER, TIME], **fields)
    assert [name for name, _ in calls(script)] == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": user("Use get_time"), "tool_choice": "none"},
        {"messages": user("Use get_time"), "simulate": {"content": "no"}},
        {"messages": RESULT},
        {"messages": [*user("Use get_time"), {"role": "assistant", "content": "I will"}]},
    ],
)
def test_when_no_tool_is_called(fields: Json) -> None:
    script = chat(tools=[WEATHER, TIME], **fields)
    assert "tool_calls" not in answer(script)["choices"][0]["message"]
    assert finish(script) == "stop"


def test_a_tool_result_is_quoted() -> None:
    assert 'The tool get_weather returned "22 degrees and sunny".' in text(chat(messages=RESULT, tools=[WEATHER]))


def test_a_tool_is_called_again_when_it_must_be() -> None:
    script = chat(messages=RESULT, tools=[WEATHER], tool_choice="required")
    assert calls(script) == [("get_weather", {"city": "Paris"})]


def test_calls_have_different_ids() -> None:
    script = chat(messages=user("get time, get weather"), tools=[WEATHER, TIME], n=2)
    ids = [call["id"] for choice in answer(script)["choices"] for call in choice["message"]["tool_calls"]]
    assert len(set(ids)) == 4
    assert all(one.startswith("call_") for one in ids)


@pytest.mark.parametrize(
    ("limit", "arguments"),
    [
        (1, [""]),
        (4, ['{"city']),
        (10, ['{"city":"Paris"}']),
        (11, ['{"city":"Paris"}', ""]),
        (12, ['{"city":"Paris"}', "{"]),
    ],
)
def test_a_token_limit_cuts_the_calls(limit: int, arguments: list[str]) -> None:
    script = chat(messages=user("get time, get weather in Paris"), tools=[WEATHER, TIME], max_tokens=limit)
    message = answer(script)["choices"][0]["message"]
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == arguments
    assert finish(script) == "length"
    assert usage(script)[1] == limit


# --- JSON ---------------------------------------------------------------------------------------------------------


def test_json_mode_answers_with_an_object() -> None:
    script = chat(messages=user("Answer in JSON, please"), response_format={"type": "json_object"})
    said = json.loads(text(script))
    assert said["asked"] == "Answer in JSON, please"
    assert said["is_simulated"] is True
    assert "no model was called" in said["answer"]


def test_a_schema_is_answered_with_an_instance() -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": schema}}
    assert json.loads(text(chat(messages=user("This is Ada, she is 36"), response_format=wanted))) == {
        "name": "Ada",
        "age": 36,
    }


def test_a_schema_without_values_is_refused() -> None:
    schema = {"type": "object", "properties": {"a": {"enum": []}}, "required": ["a"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "empty", "schema": schema}}
    refused = error(chat(response_format=wanted))
    assert "Invalid schema for response_format 'empty'" in refused["message"]
