import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config.reference import BEGIN, reference, refresh
from tests.kit.configurations import read

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def test_the_page_tells_of_the_settings_as_they_are():
    assert PAGE.read_text("utf-8") == refresh(PAGE.read_text("utf-8")), "docs/configuration.md is old: run `make docs`"


def test_the_page_can_be_refreshed_by_command(tmp_path):
    page = tmp_path / "configuration.md"
    page.write_text(PAGE.read_text("utf-8").replace("`8080`", "`80`"), "utf-8")
    subprocess.run([sys.executable, "-m", "gateway.config.reference", str(page)], check=True)
    assert page.read_bytes() == PAGE.read_bytes()


def test_a_page_without_its_marks_is_not_touched():
    with pytest.raises(ValueError, match="marks"):
        refresh("nothing")
    with pytest.raises(ValueError, match="marks"):
        refresh(BEGIN)


def test_rows_say_kind_default_variable_and_meaning():
    rows = reference().splitlines()
    assert (
        "| `port` | whole number, from 0 to 65535 | `8080` | `PORT` | Port to listen on; 0 takes any free one. |"
        in rows
    )
    assert any(
        row.startswith("| `master_key` | secret |  | `SLUICE_MASTER_KEY`, `GOMODEL_MASTER_KEY` |") for row in rows
    )
    assert any(
        row.startswith("| `timeouts.stall` | duration | `1m` | `SLUICE_PROVIDERS__<NAME>__TIMEOUTS__STALL` |")
        for row in rows
    )
    assert any(row.startswith("| `models` | list: model id |  | `<TYPE>_MODELS` |") for row in rows)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_page_are_true(example):
    names = dict.fromkeys(re.findall(r"\$\{([A-Z_]+)\}", example), "0123456789abcdef")
    found = read(example, **names).settings
    assert all(provider.all_keys for provider in found.providers.values())


def test_the_page_has_examples():
    assert len(EXAMPLES) == 2
