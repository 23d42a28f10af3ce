"""What a running gateway tells about itself: one log line a request, metrics with closed labels, and its health."""

import re
from collections.abc import Callable, Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.kit import chat_api, messages_api
from tests.kit.forwarded import CLIENT_HEADERS, MASTER, ask
from tests.kit.gateway import Gateway, chat, free_port, request
from tests.kit.upstream import SILENCE, Answer, Gate, ScriptedUpstream, config_for, raw, reply, stream

SECRET_WORDS = "the prompt is nobody's business"


def config(upstream: ScriptedUpstream) -> str:
    return config_for(
        upstream,
        openai={"models": ["gpt-test", "text-embedding-test"]},
        anthropic={"models": ["claude-sonnet-4-5"]},
        openai_open={"retry": {"attempts": 2, "base": "1ms"}},
        openai_dead={"models": ["gpt-dead"], "base_url": f"http://127.0.0.1:{next(free_port())}/v1"},
        openai_hasty={"models": ["gpt-hasty"], "timeouts": {"headers": "100ms"}},
    )


@pytest.fixture
def gateway(upstream: ScriptedUpstream) -> Iterator[Gateway]:
    """A fresh one for each test: its counters begin at zero."""
    upstream.list_models("gpt-listed")
    with Gateway(config(upstream), SLUICE_MASTER_KEY=MASTER) as gateway:
        yield gateway


# --- the log ----------------------------------------------------------------------------------------------------------

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_a_plain_request_leaves_one_line(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.completion(), headers=[("X-Request-ID", "req_up")]))
    response = ask(gateway, model="openai/gpt-test", headers={"X-Request-ID": "trace-1"})
    (line,) = gateway.requests()
    assert TIME.fullmatch(line.pop("time"))
    assert line.pop("duration_ms") >= line.pop("upstream_ms") > 0
    assert line.pop("bytes_in") > line.pop("bytes_out") - len(response.body) == 0
    assert line == {
        "event": "request",
        "request_id": "trace-1",
        "endpoint": "chat",
        "status": 200,
        "requested_model": "openai/gpt-test",
        "provider": "openai",
        "model": "gpt-test",
        "cache": "bypass",
        "attempts": 1,
        "finish_reason": "stop",
        "usage": {"input_tokens": 19, "output_tokens": 10},
        "upstream_request_id": "req_up",
    }


def test_a_stream_leaves_one_line_when_it_is_over(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = Gate()
    upstream.answer(stream(chat_api.role() + chat_api.text("first"), gate, chat_api.delta("stop") + chat_api.DONE))
    with gateway.connect() as client:
        client.send(chat(headers=CLIENT_HEADERS, model="gpt-test", stream=True))
        client.until(b"first")
        assert gateway.requests() == []
        gate.open()
        response = client.response()
    (line,) = gateway.requests()
    assert line["stream"] is True
    assert 0 < line["first_token_ms"] < line["duration_ms"]
    assert line["bytes_out"] == len(response.body)
    assert line["finish_reason"] == "stop"
    assert "usage" not in line, "the provider did not count"


def test_tokens_are_logged_by_kind(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 200,
        "cache_creation_input_tokens": 30,
        "output_tokens": 40,
        "output_tokens_details": {"thinking_tokens": 25},
    }
    upstream.answer(reply(messages_api.answer({"type": "text", "text": "Hi"}, usage=usage)))
    ask(gateway, model="claude-sonnet-4-5", seed=1)
    (line,) = gateway.requests()
    assert line["usage"] == {
        "input_tokens": 240,
        "output_tokens": 40,
        "cache_read_tokens": 200,
        "cache_write_tokens": 30,
        "reasoning_tokens": 25,
    }
    assert line["dropped"] == ["seed"]


def test_a_failure_says_what_it_was(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.error("Bad.", "invalid_request_error"), 400))
    ask(gateway)
    ask(gateway, model="gpt-dead")
    ask(gateway, model="nothing")
    gateway.chat()
    gateway.post("/v1/chat/completions", b"{", **CLIENT_HEADERS)
    gateway.get("/v1/nowhere", **CLIENT_HEADERS)
    lines = gateway.requests()
    assert [(line["status"], line["error"], line.get("endpoint")) for line in lines] == [
        (400, "upstream_refused", "chat"),
        (502, "upstream_unreachable", "chat"),
        (404, "model_not_found", "chat"),
        (401, "invalid_api_key", "chat"),
        (400, "invalid_request", "chat"),
        (404, "not_found", None),
    ]
    assert lines[1]["detail"], "the operator is told more than the client"


def test_neither_prompts_nor_answers_nor_keys_are_logged(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.completion(SECRET_WORDS)), stream(chat_api.whole_stream(SECRET_WORDS)))
    question = [{"role": "user", "content": SECRET_WORDS}]
    ask(gateway, messages=question)
    ask(gateway, messages=question, stream=True)
    ask(gateway, messages=SECRET_WORDS)
    ask(gateway, model=SECRET_WORDS)
    gateway.chat(headers={"Authorization": f"Bearer {SECRET_WORDS}"})
    gateway.get(f"/v1/{MASTER}?key={MASTER}", **CLIENT_HEADERS)
    assert len(gateway.requests()) == 6
    assert SECRET_WORDS not in gateway.log_text()
    assert MASTER not in gateway.log_text()


@pytest.mark.parametrize("name", ["a\nb", '"}', "\x1b[31mred", "\u2028", "\x85"])
def test_nothing_a_client_names_can_break_a_line(gateway: Gateway, upstream: ScriptedUpstream, name: str) -> None:
    upstream.answer(reply(messages_api.answer({"type": "text", "text": "Hi"})))
    assert ask(gateway, model="claude-sonnet-4-5", **{name: 1}).status == 200
    (line,) = gateway.requests()
    assert len(line["dropped"]) == 1
    assert gateway.log_text().isascii()
    assert all(character.isprintable() or character == "\n" for character in gateway.log_text())


def test_the_log_can_be_read_by_people(upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.completion()), stream(chat_api.role() + chat_api.text("Hi")))
    with Gateway(config(upstream), SLUICE_LOG__FORMAT="text") as gateway:
        gateway.chat(model="gpt-test", headers={"X-Request-ID": "one"})
        gateway.chat(model="gpt-test", stream=True, headers={"X-Request-ID": "two"})
        gateway.chat(model="nothing", headers={"X-Request-ID": "three"})
    lines = [line for line in gateway.log_text().splitlines() if re.search(r" (one|two|three)$", line)]
    assert len(lines) == 3
    first, second, third = lines
    start = r"\S+Z 200 chat openai/gpt-test \d+\.\d ms \(\d+\.\d upstream\)"
    assert re.fullmatch(rf"{start} 19\+10 tokens \d+>\d+ B cache=bypass one", first)
    assert re.fullmatch(rf"{start} \d+>\d+ B cache=bypass stream truncated upstream_broken \(.+\) two", second)
    assert re.fullmatch(r"\S+Z 404 chat nothing \d+\.\d ms \d+>\d+ B model_not_found \(.+\) three", third)


@pytest.mark.parametrize(("level", "expected"), [("info", 3), ("warning", 2), ("error", 1)])
def test_a_level_leaves_out_what_went_well(upstream: ScriptedUpstream, level: str, expected: int) -> None:
    upstream.answer(reply(chat_api.completion()))
    with Gateway(config(upstream), SLUICE_LOG__LEVEL=level) as gateway:
        gateway.chat(model="gpt-test")
        gateway.chat(model="nothing")
        gateway.chat(model="gpt-dead")
        gateway.get("/health")
        assert len(gateway.requests()) == expected


# --- metrics ----------------------------------------------------------------------------------------------------------


class Scrape:
    """All samples of ``/metrics``."""

    def __init__(self, gateway: Gateway) -> None:
        response = gateway.get("/metrics")
        assert response.status == 200
        assert response.headers["content-type"].startswith("text/plain; version=")
        self.families = list(text_string_to_metric_families(response.body.decode()))
        self.samples = [sample for family in self.families for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        return sum(
            sample.value for sample in self.samples if sample.name == name and labels.items() <= sample.labels.items()
        )

    def series(self) -> set[tuple[str, frozenset[tuple[str, str]]]]:
        return {(sample.name, frozenset(sample.labels.items())) for sample in self.samples}


def test_the_metrics_have_the_names_that_dashboards_use(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.completion()))
    ask(gateway)
    kinds = {family.name: family.type for family in Scrape(gateway).families}
    assert kinds == {
        "sluice_requests": "counter",
        "sluice_request_duration_seconds": "histogram",
        "sluice_gateway_overhead_seconds": "histogram",
        "sluice_time_to_first_token_seconds": "histogram",
        "sluice_tokens": "counter",
        "sluice_upstream_attempts": "counter",
        "sluice_disconnects": "counter",
        "sluice_truncated_streams": "counter",
        "sluice_active_streams": "gauge",
        "sluice_connections": "gauge",
        "sluice_refused_connections": "counter",
        "sluice_slow_readers_cut": "counter",
        "sluice_upstream_connections": "gauge",
        "sluice_loop_lag_seconds": "gauge",
        "sluice_objects_lost": "counter",
        "sluice_log_lines_dropped": "counter",
        "gen_ai_server_request_duration_seconds": "histogram",
        "gen_ai_server_time_to_first_token_seconds": "histogram",
        "gen_ai_client_token_usage": "histogram",
    }


def test_requests_are_counted_by_where_they_went_and_how_they_ended(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.answer(reply(chat_api.completion()), reply(chat_api.error(), 500), reply(chat_api.completion()))
    for _ in range(3):
        ask(gateway)
    ask(gateway, model="nothing")
    scrape = Scrape(gateway)
    target = {"endpoint": "chat", "provider": "openai", "model": "gpt-test"}
    assert scrape.value("sluice_requests_total", **target, status="200") == 2
    assert scrape.value("sluice_requests_total", **target, status="500") == 1
    assert scrape.value("sluice_requests_total", endpoint="chat", provider="", model="", status="404") == 1
    assert scrape.value("sluice_request_duration_seconds_count", **target) == 3
    assert scrape.value("sluice_gateway_overhead_seconds_count", **target) == 3
    duration = scrape.value("sluice_request_duration_seconds_sum", **target)
    assert 0 < scrape.value("sluice_gateway_overhead_seconds_sum", **target) < duration
    assert scrape.value("sluice_time_to_first_token_seconds_count", **target) == 0


def test_a_second_scrape_counts_the_first(gateway: Gateway) -> None:
    Scrape(gateway)
    assert Scrape(gateway).value("sluice_requests_total", endpoint="metrics", status="200") == 1


def test_tokens_are_counted_by_kind(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 200, "cache_creation_input_tokens": 30, "output_tokens": 40}
    upstream.answer(reply(messages_api.answer({"type": "text", "text": "Hi"}, usage=usage)))
    for _ in range(2):
        ask(gateway, model="claude-sonnet-4-5")
    scrape = Scrape(gateway)
    kinds = {s.labels["kind"]: s.value for s in scrape.samples if s.name == "sluice_tokens_total"}
    assert kinds == {"input": 480, "output": 80, "cache_read": 400, "cache_write": 60}
    assert scrape.value("gen_ai_client_token_usage_sum", gen_ai_token_type="input") == 480
    assert scrape.value("gen_ai_client_token_usage_count", gen_ai_token_type="output") == 2


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        ("gpt-test", stream(chat_api.whole_stream("Hi"))),
        ("claude-sonnet-4-5", stream(messages_api.start() + messages_api.text(0, "Hi") + messages_api.end())),
    ],
)
def test_the_time_to_the_first_token_is_measured_for_streams(
    gateway: Gateway, upstream: ScriptedUpstream, model: str, answer: Answer
) -> None:
    upstream.answer(answer)
    ask(gateway, model=model, stream=True)
    scrape = Scrape(gateway)
    assert scrape.value("sluice_time_to_first_token_seconds_count", model=model) == 1
    assert scrape.value("gen_ai_server_time_to_first_token_seconds_count", gen_ai_request_model=model) == 1
    first = scrape.value("sluice_time_to_first_token_seconds_sum", model=model)
    assert 0 < first <= scrape.value("sluice_request_duration_seconds_sum", model=model)


def test_attempts_are_counted_by_outcome(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.error(), 503), reply(chat_api.completion()), reply(chat_api.error(), 429))
    ask(gateway, model="openai-open/gpt-listed")
    ask(gateway)
    ask(gateway, model="gpt-dead")
    upstream.answer(raw(SILENCE))
    ask(gateway, model="gpt-hasty")
    scrape = Scrape(gateway)
    attempts = {
        (s.labels["provider"], s.labels["outcome"]): s.value
        for s in scrape.samples
        if s.name == "sluice_upstream_attempts_total"
    }
    assert attempts == {
        ("openai-open", "status_503"): 1,
        ("openai-open", "ok"): 1,
        ("openai", "status_429"): 1,
        ("openai-dead", "upstream_unreachable"): 1,
        ("openai-hasty", "timeout_headers"): 1,
    }


def test_streams_are_counted_while_they_run(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    gate = Gate()
    upstream.answer(stream(chat_api.role() + chat_api.text("first"), gate, chat_api.delta("stop") + chat_api.DONE))
    with gateway.connect() as client:
        client.send(chat(headers=CLIENT_HEADERS, model="gpt-test", stream=True))
        client.until(b"first")
        scrape = Scrape(gateway)
        gate.open()
        client.response()
    assert scrape.value("sluice_active_streams") == 1
    assert scrape.value("sluice_upstream_connections", provider="openai", state="open") == 1
    assert scrape.value("sluice_upstream_connections", provider="openai", state="idle") == 0
    assert scrape.value("sluice_connections") == 2, "the stream's and the scrape's"
    after = Scrape(gateway)
    assert after.value("sluice_active_streams") == 0
    assert after.value("sluice_upstream_connections", provider="openai", state="idle") == 1


def test_clients_that_leave_and_streams_that_break_are_counted(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(stream(chat_api.role() + chat_api.text("first"), SILENCE))
    with gateway.connect() as client:
        client.send(chat(headers={**CLIENT_HEADERS, "X-Request-ID": "leaver"}, model="gpt-test", stream=True))
        client.until(b"first")
    gateway.wait_for_line(lambda line: line.get("request_id") == "leaver")
    upstream.answer(stream(chat_api.role() + chat_api.text("first")))
    ask(gateway, stream=True)
    scrape = Scrape(gateway)
    assert scrape.value("sluice_disconnects_total", provider="openai", model="gpt-test") == 1
    assert scrape.value("sluice_truncated_streams_total", provider="openai", model="gpt-test") == 1
    assert scrape.value("sluice_requests_total", status="499") == 1
    assert scrape.value("sluice_active_streams") == 0


def _unknown_models(gateway: Gateway, number: int) -> None:
    ask(gateway, model=f"unknown-{number}")


def _unlisted_models(gateway: Gateway, number: int) -> None:
    ask(gateway, model=f"openai-open/unlisted-{number}")


def _unknown_providers(gateway: Gateway, number: int) -> None:
    ask(gateway, model=f"provider-{number}/gpt-test")


def _unknown_paths(gateway: Gateway, number: int) -> None:
    gateway.get(f"/v1/path-{number}", **CLIENT_HEADERS)


def _unknown_methods(gateway: Gateway, number: int) -> None:
    gateway.ask(request(("PUT", "PATCH", "DELETE")[number % 3], f"/v1/models/{number}", **CLIENT_HEADERS))


@pytest.mark.parametrize(
    "do", [_unknown_models, _unlisted_models, _unknown_providers, _unknown_paths, _unknown_methods]
)
def test_what_clients_make_up_does_not_make_series(
    gateway: Gateway, upstream: ScriptedUpstream, do: Callable[[Gateway, int], None]
) -> None:
    upstream.answer(reply(chat_api.completion()))
    Scrape(gateway)
    do(gateway, 0)
    before = Scrape(gateway).series()
    for number in range(1, 101):
        do(gateway, number)
    assert Scrape(gateway).series() == before


def test_an_unlisted_model_counts_as_other(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.completion()))
    ask(gateway, model="nothing")  # waits for the list
    ask(gateway, model="openai-open/unlisted")
    ask(gateway, model="openai-open/gpt-listed")
    scrape = Scrape(gateway)
    assert scrape.value("sluice_requests_total", provider="openai-open", model="other") == 1
    assert scrape.value("sluice_requests_total", provider="openai-open", model="gpt-listed") == 1
    logged = [line["model"] for line in gateway.requests() if line.get("provider")]
    assert logged == ["unlisted", "gpt-listed"], "a log line may name what a label may not"


def test_every_label_is_from_a_closed_set(gateway: Gateway, upstream: ScriptedUpstream) -> None:
    upstream.answer(reply(chat_api.completion()))
    ask(gateway, model="openai-open/unlisted")
    ask(gateway)
    gateway.get("/anything")
    labels: dict[str, set[str]] = {}
    for sample in Scrape(gateway).samples:
        for name, value in sample.labels.items():
            labels.setdefault(name, set()).add(value)
    instances = {"", "openai", "anthropic", "openai-open", "openai-dead", "openai-hasty"}
    assert labels["provider"] <= instances
    assert labels["gen_ai_provider_name"] <= instances
    assert labels["model"] == {"", "gpt-test", "other"}
    assert labels["gen_ai_request_model"] == {"gpt-test", "other"}
    assert labels["endpoint"] == {"chat", "unknown"}
    assert set(labels) == {
        *("endpoint", "provider", "model", "status", "kind", "outcome", "state", "le"),
        *("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"),
    }


def test_metrics_can_be_switched_off(upstream: ScriptedUpstream) -> None:
    with Gateway(config(upstream), SLUICE_METRICS__ENABLED="false") as gateway:
        response = gateway.get("/metrics")
        assert response.status == 404
        assert response.error["code"] == "not_found"


# --- health -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "status"), [("/health", "ok"), ("/health/ready", "ready")])
def test_health_needs_no_key_and_tells_little(gateway: Gateway, path: str, status: str) -> None:
    response = gateway.get(path)
    assert response.status == 200
    assert response.json == {"status": status}
    assert gateway.ask(request("POST", path, b"{}")).status == 405


def test_a_probe_can_ask_for_the_head_alone(gateway: Gateway) -> None:
    with gateway.connect() as client:
        response = client.send(request("HEAD", "/health")).response(to_head=True)
        assert response.status == 200
        assert response.headers["content-length"] == str(len(b'{"status":"ok"}'))
        assert client.send(request("GET", "/health")).response().status == 200
