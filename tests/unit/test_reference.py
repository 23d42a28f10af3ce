import subprocess
import sys
from pathlib import Path

import pytest

from gateway.core.errors import GatewayError
from gateway.endpoints import ANY, ENDPOINTS
from gateway.reference import TABLES, refresh
from gateway.telemetry.metrics import METRICS
from gateway.telemetry.record import Record

PAGE = Path(__file__).parents[2] / "docs" / "api.md"


def test_the_page_tells_of_the_tables_as_they_are():
    assert PAGE.read_text("utf-8") == refresh(PAGE.read_text("utf-8")), "docs/api.md is old: run `make docs`"


def test_the_page_can_be_refreshed_by_command(tmp_path):
    page = tmp_path / "api.md"
    page.write_text(PAGE.read_text("utf-8").replace("/health/ready", "/healthy"), "utf-8")
    subprocess.run([sys.executable, "-m", "gateway.reference", str(page)], check=True)
    assert page.read_bytes() == PAGE.read_bytes()


def test_a_page_without_its_marks_is_not_touched():
    with pytest.raises(ValueError, match="marks"):
        refresh("nothing")


def test_every_row_is_there():
    written = PAGE.read_text("utf-8")
    for endpoint in ENDPOINTS:
        method = "any method" if endpoint.method == ANY else endpoint.method
        assert f"`{method} {endpoint.path}`" in written
    for metric in METRICS:
        assert metric.name in TABLES["metrics"]()
    for name in Record.__struct_encode_fields__:
        assert name == "series" or f"`{name}`" in TABLES["log"]()
    assert f"`{GatewayError.code}`" in TABLES["errors"]()
