"""What the benchmark makes of its measurements, on measurements made up here. No load is run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest import report
from loadtest.report import Load

ROUNDS = [
    {
        "direct": {"plain_rps": 60_000.0},
        "relay": {"plain_cpu_us": 20.0, "stream_cpu_us": 10.0, "rss_idle_mb": 24.0, "first_chat_s": 0.06},
        "sluice": {"plain_cpu_us": 40.0, "stream_cpu_us": 17.0, "rss_idle_mb": 44.0, "first_chat_s": 0.41},
    },
    {
        "direct": {"plain_rps": 62_000.0},
        "relay": {"plain_cpu_us": 30.0, "stream_cpu_us": 10.0, "rss_idle_mb": 24.0, "first_chat_s": 0.08},
        "sluice": {"plain_cpu_us": 63.0, "stream_cpu_us": 16.5, "rss_idle_mb": 46.0, "first_chat_s": 0.50},
    },
    {
        "direct": {"plain_rps": 58_000.0},
        "relay": {"plain_cpu_us": 20.0, "stream_cpu_us": 10.0, "rss_idle_mb": 24.0, "first_chat_s": 0.07},
        "sluice": {"plain_cpu_us": 50.0, "stream_cpu_us": 15.0, "rss_idle_mb": 45.0, "first_chat_s": 0.70},
    },
]
TARGETS = ("direct", "relay", "sluice")

BOTH_PATHS = [
    {**before, "sluice-translated": {"plain_cpu_us": plain, "stream_cpu_us": stream}}
    for before, plain, stream in zip(ROUNDS, (64.0, 89.0, 70.0), (24.5, 25.0, 23.5), strict=True)
]
ALL_TARGETS = (*TARGETS, "sluice-translated")


# --- percentiles ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(50, 50.0), (99, 99.0), (100, 100.0), (0, 1.0), (0.1, 1.0), (99.1, 100.0)],
)
def test_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    hundred = [float(n) for n in range(100, 0, -1)]
    assert report.percentile(hundred, percent) == expected


def test_percentile_of_one_value_is_that_value_and_of_none_is_zero() -> None:
    assert report.percentile([7.0], 99) == 7.0
    assert report.percentile([], 99) == 0.0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_percentile_is_a_value_that_enough_values_do_not_exceed(values: list[float], percent: float) -> None:
    found = report.percentile(values, percent)
    assert found in values
    assert sum(v <= found for v in values) >= percent / 100 * len(values) - 1e-9


# --- wrk ------------------------------------------------------------------------------------------------------------

WRK = """Running 3s test @ http://127.0.0.1:8080
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   507.11us  104.84us   2.35ms   80.19%
    Req/Sec    63.21k     2.73k   66.50k    83.87%
  {requests} requests in 3.10s, 120.07MB read
bench {line}
"""


def wrk_output(**changes: int) -> str:
    said = {"requests": 182103, "duration_us": 3100000, "connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0}
    said |= {"p50_us": 484, "p99_us": 1026} | changes
    return WRK.format(requests=said["requests"], line=json.dumps(said))


def test_a_clean_wrk_run_is_read() -> None:
    assert report.parse_wrk(wrk_output()) == Load(requests=182103, seconds=3.1, p50_ms=0.484, p99_ms=1.026)


def test_wrong_statuses_are_errors_and_no_successes() -> None:
    load = report.parse_wrk(wrk_output(requests=1000, status=40, read=3))
    assert load.requests == 960
    assert load.errors == {"wrk: status": 40, "wrk: read": 3}


@pytest.mark.parametrize("output", ["", "unable to connect to 127.0.0.1:1 Connection refused\n", "bench \n"])
def test_wrk_without_a_result_line_is_no_result(output: str) -> None:
    with pytest.raises(ValueError, match="no result line"):
        report.parse_wrk(output)


# --- medians and ratios ---------------------------------------------------------------------------------------------


def test_figures_are_medians_with_their_extremes() -> None:
    assert report.summarize(ROUNDS, "sluice")["plain_cpu_us"] == report.Spread(50.0, 40.0, 63.0)


def test_an_even_number_of_rounds_has_the_mean_of_the_middle_two() -> None:
    assert report.summarize(ROUNDS[:2], "direct")["plain_rps"].median == 61_000.0


def test_what_was_not_measured_is_not_reported() -> None:
    assert set(report.summarize(ROUNDS, "direct")) == {"plain_rps"}
    assert report.summarize(ROUNDS, "nobody") == {}


def test_a_figure_measured_in_one_round_only_is_reported() -> None:
    rounds = [*ROUNDS, {"relay": {"open_stream_kb": 5.0}, "sluice": {"open_stream_kb": 9.0}}]
    assert report.summarize(rounds, "sluice")["open_stream_kb"] == report.Spread(9.0, 9.0, 9.0)
    assert report.compare(rounds)["open_stream_kb"].median == pytest.approx(1.8)


def test_ratios_are_taken_within_a_round_and_not_between_medians() -> None:
    ratio = report.compare(ROUNDS)["plain_cpu_us"]
    assert ratio == pytest.approx((2.1, 2.0, 2.5))
    assert ratio.median != 50.0 / 20.0  # what the medians of each would give


def test_there_is_no_ratio_to_nothing() -> None:
    rounds = [{"relay": {"open_stream_kb": 0.0}, "sluice": {"open_stream_kb": 3.0}}]
    assert report.compare(rounds) == {}


def test_there_is_no_ratio_without_the_yardstick() -> None:
    assert report.compare([{"sluice": {"plain_cpu_us": 40.0}}]) == {}


# --- targets --------------------------------------------------------------------------------------------------------


def verdicts() -> dict[str, report.Verdict]:
    return {v.figure: v for v in report.judge(ROUNDS)}


def test_a_ratio_within_its_limit_is_met() -> None:
    assert verdicts()["plain chat: CPU us/request"] == report.Verdict(
        figure="plain chat: CPU us/request", limit="<= 2.20 x relay", measured="2.10 x relay", is_met=True
    )


def test_a_ratio_over_its_limit_is_missed() -> None:
    assert verdicts()["streams: CPU us/chunk"].is_met is False


def test_an_absolute_figure_at_its_limit_is_met() -> None:
    start = verdicts()["start to first 200 of a chat, s"]
    assert (start.limit, start.measured, start.is_met) == ("<= 0.500", "0.500", True)


def test_a_figure_that_was_not_measured_is_neither_met_nor_missed() -> None:
    memory = verdicts()["user memory per open stream, KB"]
    assert (memory.measured, memory.is_met) == ("-", None)


def test_every_target_and_ratio_is_of_a_known_figure() -> None:
    assert {t.key for t in report.TARGETS} | set(report.RATIOS) <= set(report.FIGURES)
    assert {t.key for t in report.TARGETS if t.is_ratio} <= set(report.RATIOS)


# --- translation ----------------------------------------------------------------------------------------------------


def test_what_translating_costs_is_the_difference_to_the_byte_path_of_the_same_round() -> None:
    costs = report.translation_costs(BOTH_PATHS)
    assert set(costs) == set(report.TRANSLATION_LIMITS)
    assert costs["plain_cpu_us"] == report.Spread(24.0, 20.0, 26.0)
    assert costs["plain_cpu_us"].median != 70.0 - 50.0  # what the medians of each would give
    assert costs["stream_cpu_us"] == report.Spread(8.5, 7.5, 8.5)


def test_a_round_without_one_of_the_paths_says_nothing_of_the_cost() -> None:
    rounds = [*BOTH_PATHS, {"sluice-translated": {"plain_cpu_us": 500.0}}, {"sluice": {"plain_cpu_us": 1.0}}]
    assert report.translation_costs(rounds) == report.translation_costs(BOTH_PATHS)
    assert report.translation_costs(ROUNDS) == {}


def test_translating_is_compared_with_the_bare_relay_too() -> None:
    assert report.compare(BOTH_PATHS, "sluice-translated")["plain_cpu_us"] == pytest.approx((3.2, 89 / 30, 3.5))


def test_the_cost_of_translating_is_held_to_its_limits() -> None:
    plain, stream = report.judge_translation(BOTH_PATHS)
    assert plain == report.Verdict(
        figure="translation, plain chat: CPU us/request",
        limit="<= 25.0 us more",
        measured="24.0 us more",
        is_met=True,
    )
    assert (stream.limit, stream.measured, stream.is_met) == ("<= 8.00 us more", "8.50 us more", False)


def test_a_cost_at_its_limit_is_met_and_one_not_measured_is_neither() -> None:
    rounds = [{"sluice": {"plain_cpu_us": 40.0}, "sluice-translated": {"plain_cpu_us": 65.0}}]
    assert [(v.measured, v.is_met) for v in report.judge_translation(rounds)] == [("25.0 us more", True), ("-", None)]


@pytest.mark.parametrize(
    ("targets", "count"),
    [(("relay",), 0), (("relay", "sluice-translated"), 0), (TARGETS, len(report.TARGETS)), (ALL_TARGETS, 7)],
)
def test_only_who_took_part_is_judged(targets: tuple[str, ...], count: int) -> None:
    assert len(report.judge_all(BOTH_PATHS, targets)) == count


def test_every_limit_of_translation_is_of_a_known_figure() -> None:
    assert set(report.TRANSLATION_LIMITS) <= set(report.FIGURES)


# --- the page -------------------------------------------------------------------------------------------------------


def test_a_table_aligns_its_columns() -> None:
    assert report.table(("what", "a", "bb"), [("long name", "1", "2"), ("x", "1,000", "-")]).splitlines() == [
        "what           a  bb",
        "--------------------",
        "long name      1   2",
        "x          1,000   -",
    ]


def test_the_page_has_ratios_first_then_targets_then_figures_then_notes() -> None:
    page = report.render_page(ROUNDS, TARGETS, ["something odd"])
    parts = [page.index(p) for p in ("Sluice over the bare relay", "limit", "medians", "- something odd")]
    assert parts == sorted(parts)
    assert "2.10 x    2.00     2.50" in page
    assert "MISSED" in page


def test_without_sluice_the_page_has_figures_only() -> None:
    rounds = [{name: row for name, row in r.items() if name != "sluice"} for r in ROUNDS]
    page = report.render_page(rounds, ("direct", "relay"), [])
    assert page.startswith("medians")
    assert "sluice" not in page
    assert "60,000" in page


def test_the_page_shows_what_translating_costs_beside_its_limit() -> None:
    page = report.render_page(BOTH_PATHS, ALL_TARGETS, [])
    table = page.partition("over the byte path")[2].partition("\n\n")[0]
    lines = {line.split("  ")[0]: line.split() for line in table.splitlines()}
    assert lines["plain chat: CPU us/request"][-4:] == ["24.0", "20.0", "26.0", "25.0"]
    assert lines["streams: CPU us/chunk"][-4:] == ["8.50", "7.50", "8.50", "8.00"]
    assert "Translating, over the bare relay" in page
    assert "translation, streams: CPU us/chunk" in page


def test_without_the_translated_target_the_page_does_not_mention_it() -> None:
    assert "ranslat" not in report.render_page(ROUNDS, TARGETS, [])


def test_the_json_has_the_cost_of_translating_with_its_limit() -> None:
    whole = json.loads(json.dumps(report.as_json(BOTH_PATHS, ALL_TARGETS)))
    assert whole["translation_over_byte_path"]["plain_cpu_us"] == {
        "median": 24.0,
        "low": 20.0,
        "high": 26.0,
        "limit": 25.0,
    }
    assert whole["ratios_to_bare_relay_translated"]["plain_cpu_us"]["median"] == pytest.approx(3.2)
    assert [t["is_met"] for t in whole["targets"]][-2:] == [True, False]
    assert report.as_json(ROUNDS, TARGETS)["translation_over_byte_path"] == {}


def test_the_json_says_the_same_and_keeps_every_round() -> None:
    whole = json.loads(json.dumps(report.as_json(ROUNDS, TARGETS)))
    assert whole["ratios_to_bare_relay"]["plain_cpu_us"]["median"] == pytest.approx(2.1)
    assert whole["figures"]["sluice"]["rss_idle_mb"] == {"median": 45.0, "low": 44.0, "high": 46.0}
    assert [t["is_met"] for t in whole["targets"]] == [True, False, True, None, True]
    assert whole["rounds"] == ROUNDS
    assert report.as_json(ROUNDS, ("direct", "relay"))["targets"] == []
