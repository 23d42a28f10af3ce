import runpy
import subprocess
import sys
import types

import pytest

from gateway import __version__
from gateway.cli import main


@pytest.fixture
def served(monkeypatch):
    """What ``gateway.app.run`` was given."""
    given = []

    def run(settings):
        given.append(settings)
        return 7

    app = types.ModuleType("gateway.app")
    app.run = run
    monkeypatch.setitem(sys.modules, "gateway.app", app)
    return given


def test_without_a_command_help_is_printed_and_the_exit_code_is_2(capsys):
    assert main([], {}) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert all(name in printed.err for name in ("serve", "check-config", "providers", "version"))


def test_an_unknown_command_is_a_misuse(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["sreve"], {})
    assert caught.value.code == 2
    assert "sreve" in capsys.readouterr().err


def test_version_prints_name_and_version(capsys):
    assert main(["version"], {}) == 0
    assert capsys.readouterr().out == f"sluice {__version__}\n"


# --- serve ----------------------------------------------------------------------------------------------------------


def test_serve_hands_the_settings_over_and_returns_the_exit_code(served, tmp_path):
    file = tmp_path / "sluice.yaml"
    file.write_text("server: {port: 1, workers: 1}")
    arguments = ["serve", "--config", str(file), "--host", "::1", "--port", "9000", "--workers", "2"]
    assert main(arguments, {"PORT": "5"}) == 7
    assert (served[0].server.host, served[0].server.port, served[0].server.workers) == ("::1", 9000, 2)


def test_serve_needs_no_arguments(served):
    assert main(["serve"], {"PORT": "5"}) == 7
    assert served[0].server.port == 5


def test_serve_refuses_to_start_with_every_problem(served, capsys):
    assert main(["serve", "--host", "0.0.0.0", "--port", "x"], {}) == 1
    printed = capsys.readouterr()
    assert "sluice: 2 problems in the configuration" in printed.err
    assert "server.host (command line): other machines can reach this address" in printed.err
    assert "server.port (command line): found 'x'" in printed.err
    assert served == []


def test_variables_that_were_not_used_are_told(served, capsys):
    assert main(["serve"], {"OPENAI_EAST_BASE_URL": "http://h"}) == 7
    assert capsys.readouterr().err.startswith("sluice: OPENAI_EAST_BASE_URL is not used")


def test_a_failure_of_the_system_is_one_line(served, monkeypatch, capsys):
    def run(settings):
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(sys.modules["gateway.app"], "run", run)
    assert main(["serve"], {}) == 1
    assert capsys.readouterr().err == "sluice: [Errno 98] Address already in use\n"


def test_an_interrupt_is_no_traceback(served, monkeypatch):
    def run(settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["gateway.app"], "run", run)
    assert main(["serve"], {}) == 130


# --- the others -----------------------------------------------------------------------------------------------------


def test_check_config_prints_the_effective_settings(tmp_path, capsys):
    file = tmp_path / "sluice.yaml"
    file.write_text("auth: {master_key: '${SLUICE_MASTER_KEY}'}")
    assert main(["check-config", str(file)], {"SLUICE_MASTER_KEY": "sk-0123456789abcdefwxyz"}) == 0
    printed = capsys.readouterr()
    assert 'master_key: "***wxyz"' in printed.out
    assert "0123456789" not in printed.out
    assert printed.err == ""


def test_check_config_prints_all_problems_and_fails(tmp_path, capsys):
    file = tmp_path / "sluice.yaml"
    file.write_text("sever: {}\nlog: {level: loud}")
    assert main(["check-config"], {"SLUICE_CONFIG": str(file)}) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "did you mean 'server'?" in printed.err
    assert "write one of debug, info, warning, error" in printed.err


def test_providers_lists_types_and_instances(capsys):
    assert main(["providers"], {"OPENAI_API_KEY": "k", "OPENAI_EAST_API_KEY": "k"}) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "TYPE TITLE INSTANCES VARIABLE"
    assert "openai OpenAI openai, openai-east OPENAI_API_KEY" in lines
    assert "simulator Simulator - - (answers when no other is configured)" in lines


def test_the_module_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sluice", "version"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("gateway", run_name="__main__")
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("sluice ")


def test_a_command_imports_only_what_it_needs():
    code = (
        "import sys; from gateway.cli import main; main(['version']);"
        "print([m for m in ('yaml', 'asyncio', 'aiohttp', 'uvloop', 'providers.openai') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"
