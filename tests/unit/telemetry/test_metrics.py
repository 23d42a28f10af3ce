import re
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from gateway.core.types import Usage
from gateway.telemetry.exposition import render
from gateway.telemetry.metrics import METRICS, SECONDS, TOKEN_KINDS, TOKENS, Histogram, Metrics, Samples, merge
from gateway.telemetry.record import Record
from gateway.telemetry.shared import SharedSamples

TABLE = {metric.name: metric for metric in METRICS}

# What other objects of the gateway know and give at scrape time.
GAUGES: dict[str, dict[tuple[str, ...], float]] = {
    "sluice_upstream_attempts": {("openai", "ok"): 3, ("openai", "status_429"): 1},
    "sluice_connections": {(): 5},
    "sluice_refused_connections": {("431",): 2},
    "sluice_slow_readers_cut": {(): 1},
    "sluice_upstream_connections": {("openai", "open"): 3, ("openai", "idle"): 2, ("openai", "waiting"): 0},
    "sluice_objects_lost": {(): 2},
    "sluice_log_lines_dropped": {(): 0},
}


def record(**members: Any) -> Record:
    return Record(**{"request_id": "req_1", "endpoint": "chat", "status": 200, "duration_ms": 125.0} | members)


def settled(*records: Record, target: tuple[str, str, str] = ("chat", "openai", "gpt-4o")) -> Metrics:
    metrics = Metrics()
    for each in records:
        metrics.series(*target).settle(each)
    return metrics


# All in binary fractions, so that sums are exact in any order.
BUSY = record(
    upstream_ms=62.5,
    first_token_ms=31.25,
    usage=Usage(100, 40, 30, 20, 10, 5, 4),
    is_disconnected=True,
    is_truncated=True,
)


def families(samples: Samples) -> dict[str, Family]:
    body, content_type = render(samples)
    assert content_type.startswith("text/plain")
    return {family.name: family for family in text_string_to_metric_families(body.decode())}


# --- the table ------------------------------------------------------------------------------------------------------


def test_names_are_the_ones_that_dashboards_were_promised() -> None:
    assert len(TABLE) == len(METRICS)
    for name in TABLE:
        assert re.fullmatch(r"(sluice|gen_ai)_[a-z][a-z_]*[a-z]", name)
        assert not name.endswith(("_total", "_count", "_sum", "_bucket", "_info")), "the exposition adds these"


@pytest.mark.parametrize("name", TABLE)
def test_every_row_makes_sense(name: str) -> None:
    metric = TABLE[name]
    assert metric.kind in ("counter", "gauge", "histogram")
    assert metric.merge in ("sum", "max")
    assert metric.help.endswith(".")
    assert "\n" not in metric.help
    assert all(re.fullmatch(r"[a-z][a-z_]*", label) and label not in ("le", "quantile") for label in metric.labels)
    assert len(set(metric.labels)) == len(metric.labels)
    assert bool(metric.buckets) is (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert not name.endswith("_seconds") or metric.kind in ("histogram", "gauge")


def test_every_row_gets_samples_that_fit_its_labels() -> None:
    samples = settled(BUSY).samples(GAUGES)
    assert samples.keys() == TABLE.keys()
    for name, metric in TABLE.items():
        assert samples[name], f"{name} has no sample"
        for labels, numbers in samples[name].items():
            assert len(labels) == len(metric.labels)
            assert len(numbers) == (len(metric.buckets) + 2 if metric.kind == "histogram" else 1)


def test_a_gauge_that_is_not_in_the_table_is_a_defect() -> None:
    with pytest.raises(KeyError):
        Metrics().samples({"sluice_typo": {(): 1}})


# --- counting -------------------------------------------------------------------------------------------------------


def value(samples: Samples, name: str, *labels: str) -> list[float]:
    return samples[name][labels]


def test_a_request_is_counted_in_every_way() -> None:
    samples = settled(BUSY, BUSY, record(status=429)).samples(GAUGES)
    target = ("chat", "openai", "gpt-4o")
    assert value(samples, "sluice_requests", *target, "200") == [2]
    assert value(samples, "sluice_requests", *target, "429") == [1]
    assert value(samples, "sluice_disconnects", *target) == [2]
    assert value(samples, "sluice_truncated_streams", *target) == [2]
    tokens = {kind: value(samples, "sluice_tokens", *target, kind) for kind in TOKEN_KINDS}
    assert tokens == {
        "input": [200],
        "output": [80],
        "cache_read": [60],
        "cache_write": [40],
        "reasoning": [20],
        "input_audio": [10],
        "output_audio": [8],
    }
    for name, total, count in (
        ("sluice_request_duration_seconds", 0.375, 3),
        ("sluice_gateway_overhead_seconds", 0.25, 3),
        ("sluice_time_to_first_token_seconds", 0.0625, 2),
        ("gen_ai_server_request_duration_seconds", 0.375, 3),
        ("gen_ai_server_time_to_first_token_seconds", 0.0625, 2),
    ):
        assert value(samples, name, *target)[-1] == total
        assert sum(value(samples, name, *target)[:-1]) == count
    assert value(samples, "gen_ai_client_token_usage", *target, "input")[-1] == 200
    assert value(samples, "gen_ai_client_token_usage", *target, "output")[-1] == 80


@pytest.mark.parametrize("kind", TOKEN_KINDS)
def test_each_kind_of_token_is_counted_by_itself(kind: str) -> None:
    samples = settled(record(usage=Usage(**{f"{kind}_tokens": 7}))).samples({})
    assert samples["sluice_tokens"] == {("chat", "openai", "gpt-4o", kind): [7]}


def test_what_was_refused_before_a_target_was_found_is_a_request_and_nothing_of_a_model() -> None:
    samples = settled(record(status=401), target=("chat", "", "")).samples({})
    assert value(samples, "sluice_requests", "chat", "", "", "401") == [1]
    assert not [name for name, values in samples.items() if name.startswith("gen_ai") and values]


def test_without_a_first_token_and_usage_nothing_is_counted_for_them() -> None:
    samples = settled(record()).samples({})
    assert sum(value(samples, "sluice_time_to_first_token_seconds", "chat", "openai", "gpt-4o")) == 0
    assert samples["sluice_tokens"] == {}


def test_a_series_is_made_once_for_its_labels() -> None:
    metrics = Metrics()
    assert metrics.series("chat", "a", "m") is metrics.series("chat", "a", "m")
    assert metrics.series("chat", "a", "m") is not metrics.series("chat", "b", "m")


def test_gauges_tell_the_moment_of_the_scrape() -> None:
    metrics = Metrics()
    metrics.active_streams, metrics.loop_lag_s = 3, 0.25
    assert metrics.samples({})["sluice_active_streams"] == {(): [3]}
    metrics.active_streams -= 1
    assert metrics.samples({})["sluice_active_streams"] == {(): [2]}
    assert metrics.samples({})["sluice_loop_lag_seconds"] == {(): [0.25]}


@given(st.lists(st.floats(0, 500), max_size=30))
def test_a_histogram_counts_each_value_once_and_where_it_belongs(values: list[float]) -> None:
    histogram = Histogram(SECONDS)
    for each in values:
        histogram.observe(each)
    *counts, total = histogram.values()
    assert sum(counts) == len(values)
    assert total == pytest.approx(sum(values))
    for bound, below in zip(SECONDS, accumulate(counts), strict=False):
        assert below == sum(each <= bound for each in values)


@pytest.mark.parametrize("bounds", [SECONDS, TOKENS])
def test_a_value_on_a_boundary_is_below_it(bounds: tuple[float, ...]) -> None:
    for place, bound in enumerate(bounds):
        histogram = Histogram(bounds)
        histogram.observe(bound)
        assert histogram.counts.index(1) == place
    histogram = Histogram(bounds)
    histogram.observe(bounds[-1] * 2)
    assert histogram.counts[-1] == 1


@given(st.lists(st.tuples(st.floats(0, 1e5), st.lists(st.floats(0, 1), max_size=3)), max_size=10))
def test_sums_never_shrink_whatever_rounding_does(requests: list[tuple[float, list[float]]]) -> None:
    metrics = Metrics()
    series = metrics.series("chat", "a", "m")
    before = 0.0
    for duration_ms, shares in requests:
        # attempts add up to the whole duration, and floats to a little more
        upstream_ms = sum(duration_ms * share / (sum(shares) or 1.0) for share in shares)
        series.settle(record(duration_ms=duration_ms, upstream_ms=upstream_ms))
        assert series.overhead.total >= before
        before = series.overhead.total


# --- exposition -----------------------------------------------------------------------------------------------------


def test_a_scrape_reads_back_as_the_samples() -> None:
    samples = settled(BUSY, record(status=503, duration_ms=9_999_999)).samples(GAUGES)
    exposed = families(samples)
    assert exposed.keys() == TABLE.keys()
    for name, metric in TABLE.items():
        family = exposed[name]
        assert family.type == metric.kind
        assert family.documentation == metric.help
        for labels, numbers in samples[name].items():
            labelled = dict(zip(metric.labels, labels, strict=True))
            if metric.kind != "histogram":
                suffix = "_total" if metric.kind == "counter" else ""
                assert [s.value for s in family.samples if s.name == name + suffix and s.labels == labelled] == numbers
                continue
            rows = {
                s.labels["le"]: s.value
                for s in family.samples
                if s.labels.get("le") and s.labels | labelled == s.labels
            }
            assert list(map(float, rows)) == [*metric.buckets, float("inf")]
            assert list(rows.values()) == list(accumulate(numbers[:-1]))
            ends = {s.name: s.value for s in family.samples if s.labels == labelled}
            assert ends == {f"{name}_count": sum(numbers[:-1]), f"{name}_sum": numbers[-1]}


def test_samples_carry_the_labels_of_the_table_and_no_others() -> None:
    for name, family in families(settled(BUSY).samples(GAUGES)).items():
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(TABLE[name].labels)


def test_an_idle_gateway_exposes_every_family_and_no_made_up_rows() -> None:
    exposed = families(Metrics().samples({}))
    assert exposed.keys() == TABLE.keys()
    assert {name for name, family in exposed.items() if family.samples} == {
        "sluice_active_streams",
        "sluice_loop_lag_seconds",
    }


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12))
def test_a_label_of_any_text_reads_back(text: str) -> None:
    exposed = families(settled(record(), target=("chat", "a", text)).samples({}))
    assert exposed["sluice_requests"].samples[0].labels["model"] == text


# --- several workers ------------------------------------------------------------------------------------------------


def test_workers_add_up_and_the_worst_lag_counts() -> None:
    first, second = settled(BUSY), settled(BUSY, record(status=500), target=("chat", "openai", "other"))
    first.active_streams, second.active_streams = 2, 3
    first.loop_lag_s, second.loop_lag_s = 0.5, 0.1
    merged = merge([first.samples(GAUGES), second.samples(GAUGES)])
    assert merged["sluice_active_streams"] == {(): [5]}
    assert merged["sluice_loop_lag_seconds"] == {(): [0.5]}
    assert merged["sluice_connections"] == {(): [10]}
    assert merged["sluice_requests"] == {
        ("chat", "openai", "gpt-4o", "200"): [1],
        ("chat", "openai", "other", "200"): [1],
        ("chat", "openai", "other", "500"): [1],
    }
    alone = first.samples({})["sluice_request_duration_seconds"]
    assert (
        merged["sluice_request_duration_seconds"][("chat", "openai", "gpt-4o")] == alone[("chat", "openai", "gpt-4o")]
    )


records = st.builds(
    record,
    status=st.sampled_from([200, 400, 500]),
    duration_ms=st.integers(0, 10**6),
    usage=st.none() | st.builds(Usage, st.integers(0, 10**6), st.integers(0, 10**6)),
)
workers = st.lists(st.lists(records, max_size=4), min_size=1, max_size=4)


@given(workers, st.randoms(use_true_random=False))
def test_the_order_of_workers_does_not_matter_and_they_count_like_one(
    requests: list[list[Record]], random: Any
) -> None:
    parts = [settled(*each).samples({}) for each in requests]
    merged = merge(parts)
    random.shuffle(parts)
    again = merge(parts)
    one = settled(*(each for worker in requests for each in worker)).samples({})
    for name in TABLE:
        if name in ("sluice_active_streams", "sluice_loop_lag_seconds"):
            continue
        for labels, numbers in one[name].items():
            assert merged[name][labels] == pytest.approx(numbers)
            assert again[name][labels] == pytest.approx(numbers)


def test_merging_changes_none_of_its_parts() -> None:
    part = settled(BUSY).samples(GAUGES)
    before = msgspec.msgpack.encode({name: list(values.items()) for name, values in part.items()})
    merge([part, part, part])
    assert msgspec.msgpack.encode({name: list(values.items()) for name, values in part.items()}) == before


def test_what_workers_publish_comes_back_added_up(tmp_path: Path) -> None:
    shared = [SharedSamples(tmp_path, worker) for worker in range(3)]
    samples = [settled(*[BUSY] * (worker + 1)).samples(GAUGES) for worker in range(3)]
    for worker in range(3):
        shared[worker].publish(samples[worker])
    for worker in range(3):
        assert shared[worker].merged_with(samples[worker]) == merge(samples)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.samples", "1.samples", "2.samples"]


def test_a_worker_counts_itself_once_and_as_it_is_now(tmp_path: Path) -> None:
    shared = SharedSamples(tmp_path, 0)
    shared.publish(settled(BUSY).samples({}))
    now = settled(BUSY, BUSY).samples({})
    assert shared.merged_with(now) == now


def test_publishing_again_replaces(tmp_path: Path) -> None:
    other = SharedSamples(tmp_path, 1)
    for count in (3, 1):
        other.publish(settled(*[BUSY] * count).samples({}))
    merged = SharedSamples(tmp_path, 0).merged_with(Metrics().samples({}))
    assert merged["sluice_requests"] == {("chat", "openai", "gpt-4o", "200"): [1]}


def test_a_folder_that_is_gone_leaves_the_own_samples(tmp_path: Path) -> None:
    own = settled(BUSY).samples({})
    assert SharedSamples(tmp_path / "gone", 0).merged_with(own) == own


def test_labels_of_any_text_survive_the_round_trip(tmp_path: Path) -> None:
    samples = settled(BUSY, target=("chat", "a", 'q"\n\\é')).samples({})
    SharedSamples(tmp_path, 1).publish(samples)
    assert SharedSamples(tmp_path, 0).merged_with({name: {} for name in TABLE}) == samples


def stored(samples: Any) -> bytes:
    return msgspec.msgpack.encode(samples)


CORRUPT = [
    *(
        b"",
        b"\0",
        b"\xc1",
        b"not msgpack",
        b"\xff" * 100,
        stored([]),
        stored({"sluice_requests": 5}),
        stored({"x": {}}),
    ),
    stored({"sluice_no_such_metric": [[[], [1.0]]]}),
    stored({"sluice_connections": [[[], []]]}),
    stored({"sluice_connections": [[[], [1.0, 2.0]]]}),
    stored({"sluice_connections": [[["a"], [1.0]]]}),
    stored({"sluice_requests": [[["chat", "a"], [1.0]]]}),
    stored({"sluice_request_duration_seconds": [[["chat", "a", "m"], [1.0, 2.0]]]}),
    stored({"sluice_connections": [[[], ["1"]]]}),
    b"\x81\xb2sluice_connections\x91\x92\x91\xa1\xff\x91\xcb" + b"\0" * 8,  # a label that is no UTF-8
]


@pytest.mark.parametrize("content", CORRUPT, ids=lambda content: repr(content[:40]))
def test_a_corrupt_file_is_ignored(content: bytes, tmp_path: Path) -> None:
    samples = settled(BUSY).samples(GAUGES)
    SharedSamples(tmp_path, 1).publish(samples)
    (tmp_path / "2.samples").write_bytes(content)
    (tmp_path / "3.samples").mkdir()
    merged = SharedSamples(tmp_path, 0).merged_with(samples)
    assert merged == merge([samples, samples])
    assert families(merged)


@given(data=st.data())
def test_a_file_cut_or_changed_anywhere_never_fails_a_scrape(data: st.DataObject, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.getbasetemp() / "cut"
    folder.mkdir(exist_ok=True)
    samples = settled(BUSY).samples(GAUGES)
    SharedSamples(folder, 1).publish(samples)
    content = bytearray((folder / "1.samples").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    (folder / "1.samples").write_bytes(
        content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    )
    assert families(SharedSamples(folder, 0).merged_with(samples)).keys() == TABLE.keys()
