"""llm-comply against a running gateway: what ``make comply`` runs.

Each of the client dialects is judged in front of each vendor, and of the simulator. llm-comply leaves checks out by
words in the name of the model (``gpt-5``, ``claude-sonnet-4``); the instances here have names with these words, so that
nothing is left out.
"""

# ruff: noqa: T201 - its report is what it is for

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.kit.vendors.world import KEY, World

PATIENCE_S = 120
FORMATS = ("openai-chat", "open-responses", "anthropic")
VENDORS = ("openai", "anthropic", "gemini", "openrouter")
# read by llm-comply as models that reason
NAMES = {vendor: f"{vendor}-o1-claude-4" for vendor in VENDORS}

# What the simulator has not: it does not reason.
LEFT_OUT = {("simulator", check) for check in ("chat-reasoning-summary", "reasoning-summary", "anth-thinking-display")}


def judge(command: Path, url: str, form: str, model: str) -> list[dict[str, Any]]:
    """The results of one run, a dictionary for each check."""
    done = subprocess.run(
        [command, "--json", "--format", form, "-u", f"{url}/v1", "-k", KEY, "-m", model],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    try:
        results: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    except (ValueError, KeyError):
        raise SystemExit(f"llm-comply gave no results:\n{done.stdout}\n{done.stderr}") from None
    return results


def problems(target: str, results: list[dict[str, Any]]) -> list[str]:
    """What is not as it should be, in words."""
    found = []
    for result in results:
        status = result["status"]
        expected = "skipped" if (target, result["id"]) in LEFT_OUT else "passed"
        if status != expected:
            told = "; ".join(result.get("errors", ()))
            found.append(f"{result['id']} {status}, not {expected}: {told}")
    return found


def main() -> int:
    command = Path(sys.argv[1])
    count, failures = 0, []
    with tempfile.TemporaryDirectory() as folder, World(Path(folder), NAMES) as world:
        models = {"simulator": "sim-small", **{name: route.model for name, route in world.routes.items()}}
        for target, model in models.items():
            for form in FORMATS:
                results = judge(command, world.url, form, model)
                found = problems(target, results)
                count += len(results)
                failures += found
                print(f"{'FAILED' if found else 'ok':6} {form:14} {target:10} {len(results)} checks")
                for problem in found:
                    print(f"       {problem}")
    print(f"llm-comply: {count} checks, {len(failures)} not as expected")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
