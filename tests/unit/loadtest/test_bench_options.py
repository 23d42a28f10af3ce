"""The benchmark's command line, and what its processes inherit."""

import pytest

from loadtest.bench import parse_options
from loadtest.scenarios import SCENARIOS, TARGETS, child_environment


def test_without_options_everything_is_measured() -> None:
    options = parse_options([])
    assert options.targets == TARGETS
    assert options.scenarios == set(SCENARIOS)
    assert options.json_path.parts[-3:] == ("loadtest", "results", "bench.json")


def test_only_some_scenarios_are_measured_on_every_target() -> None:
    options = parse_options(["--only", "plain,open"])
    assert (options.targets, options.scenarios) == (TARGETS, {"plain", "open"})


def test_only_some_targets_are_measured_in_every_scenario_and_in_their_order() -> None:
    options = parse_options(["--only", "sluice,relay"])
    assert (options.targets, options.scenarios) == (("relay", "sluice"), set(SCENARIOS))


def test_the_translated_path_is_a_target_like_the_others() -> None:
    assert parse_options(["--only", "sluice-translated,plain,sluice"]).targets == ("sluice", "sluice-translated")
    assert TARGETS[-1] == "sluice-translated"


@pytest.mark.parametrize("arguments", [["--only", "plane"], ["--rounds", "0"], ["--seconds", "0"], ["--seconds", "x"]])
def test_what_makes_no_sense_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parse_options(arguments)
    assert refused.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_processes_of_the_benchmark_see_no_key_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "HTTPS_PROXY", "SLUICE_CONFIG", "PORT"):
        monkeypatch.setenv(name, "from outside")
    assert "from outside" not in child_environment().values()
