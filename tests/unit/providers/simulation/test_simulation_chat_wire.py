import json

from tests.kit.simulated import Json, answer, chat, chunks, payloads, streamed_text, text, tool

WEATHER = tool("get_weather", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
TIME = tool("get_time")
COMMON = ["id", "object", "created", "model", "service_tier", "system_fingerprint", "choices"]


def asked(content: str) -> list[Json]:
    return [{"role": "user", "content": content}]


def deltas(stream: list[Json]) -> list[Json]:
    return [choice["delta"] for chunk in stream for choice in chunk["choices"]]


# --- plain --------------------------------------------------------------------------------------------------------


def test_a_plain_answer_has_the_members_of_a_chat_completion() -> None:
    said = answer(chat())
    assert list(said) == [
        "id",
        "object",
        "created",
        "model",
        "choices",
        "usage",
        "service_tier",
        "system_fingerprint",
    ]
    assert said["object"] == "chat.completion"
    assert said["id"].startswith("chatcmpl-")
    (choice,) = said["choices"]
    assert list(choice) == ["index", "message", "logprobs", "finish_reason"]
    assert list(choice["message"]) == ["role", "content", "refusal", "annotations"]
    assert list(said["usage"]["prompt_tokens_details"]) == ["cached_tokens", "audio_tokens"]


def test_calls_stand_in_the_message() -> None:
    message = answer(chat(tools=[WEATHER]))["choices"][0]["message"]
    assert list(message) == ["role", "content", "tool_calls", "refusal", "annotations"]
    (call,) = message["tool_calls"]
    assert list(call) == ["id", "type", "function"]
    assert list(call["function"]) == ["name", "arguments"]


def test_logprobs_cover_every_token_and_its_bytes() -> None:
    script = chat(logprobs=True, top_logprobs=2, simulate={"content": "Héllo the end"})
    content = answer(script)["choices"][0]["logprobs"]["content"]
    assert [one["token"] for one in content] == ["Héllo", " the", " end"]
    assert bytes(content[0]["bytes"]).decode() == "Héllo"
    for one in content:
        assert one["logprob"] <= 0
        assert one["top_logprobs"][0]["token"] == one["token"]
        assert len({top["token"] for top in one["top_logprobs"]}) == 2
        assert one["top_logprobs"][0]["logprob"] > one["top_logprobs"][1]["logprob"]


def test_logprobs_without_alternatives() -> None:
    content = answer(chat(logprobs=True))["choices"][0]["logprobs"]["content"]
    assert {len(one["top_logprobs"]) for one in content} == {0}


# --- streamed -----------------------------------------------------------------------------------------------------


def test_the_sequence_of_chunks_of_a_text() -> None:
    stream = chunks(chat(stream=True, simulate={"content": "Hi there."}))
    assert deltas(stream) == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Hi"},
        {"content": " there"},
        {"content": "."},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in stream] == [None, None, None, None, "stop"]
    assert {tuple(chunk) for chunk in stream} == {tuple(COMMON)}
    assert {chunk["object"] for chunk in stream} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in stream}) == 1
    assert all(list(chunk["choices"][0]) == ["index", "delta", "logprobs", "finish_reason"] for chunk in stream)


def test_usage_comes_last_when_it_is_asked_for_and_null_before() -> None:
    stream = chunks(chat(stream=True, stream_options={"include_usage": True}))
    assert {tuple(chunk) for chunk in stream} == {(*COMMON, "usage")}
    *before, last = stream
    assert {chunk["usage"] for chunk in before} == {None}
    assert last["choices"] == []
    assert last["usage"] == answer(chat())["usage"]


def test_a_single_call_is_announced_with_the_role() -> None:
    first, *rest = deltas(chunks(chat(stream=True, messages=asked("Weather in Rome"), tools=[WEATHER])))
    (call,) = first["tool_calls"]
    assert (first["role"], first["content"]) == ("assistant", None)
    assert list(call) == ["index", "id", "type", "function"]
    assert call["function"] == {"name": "get_weather", "arguments": ""}
    pieces = [delta["tool_calls"][0]["function"]["arguments"] for delta in rest if delta]
    assert len(pieces) > 1
    assert json.loads("".join(pieces)) == {"city": "Rome"}


def test_several_calls_follow_each_other() -> None:
    first, *rest, last = deltas(
        chunks(chat(stream=True, messages=asked("get time get weather"), tools=[WEATHER, TIME]))
    )
    assert (first, last) == ({"role": "assistant", "content": None}, {})
    calls = [delta["tool_calls"][0] for delta in rest]
    assert [call["function"]["name"] for call in calls if "id" in call] == ["get_weather", "get_time"]
    assert [call["index"] for call in calls] == sorted(call["index"] for call in calls)


def test_streamed_calls_are_those_of_the_plain_answer() -> None:
    fields: Json = {"messages": asked("get time get weather"), "tools": [WEATHER, TIME]}
    plain = answer(chat(**fields))["choices"][0]["message"]["tool_calls"]
    pieces: dict[int, str] = {}
    for delta in deltas(chunks(chat(stream=True, **fields))):
        for call in delta.get("tool_calls", ()):
            pieces[call["index"]] = pieces.get(call["index"], "") + call["function"]["arguments"]
    assert [pieces[index] for index in sorted(pieces)] == [call["function"]["arguments"] for call in plain]


def test_choices_are_generated_side_by_side() -> None:
    script = chat(stream=True, n=2)
    stream = chunks(script)
    assert [chunk["choices"][0]["index"] for chunk in stream][:6] == [0, 1, 0, 1, 0, 1]
    assert [streamed_text(script, choice) for choice in (0, 1)] == [text(chat(n=2), choice) for choice in (0, 1)]
    assert [chunk["choices"][0]["finish_reason"] for chunk in stream[-2:]] == ["stop", "stop"]


def test_each_chunk_has_the_logprobs_of_its_token() -> None:
    stream = chunks(chat(stream=True, logprobs=True, top_logprobs=1))
    _, *tokens, _ = [chunk["choices"][0] for chunk in stream]
    assert all(one["logprobs"]["content"][0]["token"] == one["delta"]["content"] for one in tokens)


def test_a_truncated_stream_never_looks_finished() -> None:
    script = chat(stream=True, stream_options={"include_usage": True}, simulate={"truncate_after": 5})
    data = [json.loads(payload) for payload in payloads(script)]
    assert script.is_cut
    assert [chunk["choices"][0]["finish_reason"] for chunk in data] == [None] * 6


def test_a_fault_is_an_error_event_without_an_end() -> None:
    *before, fault = [
        json.loads(one) for one in payloads(chat(stream=True, simulate={"fault_after": 2, "status": None}))
    ]
    assert len(before) == 3
    assert fault["error"]["type"] == "server_error"
