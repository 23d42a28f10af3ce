"""What Sluice costs above the least a relay can cost: the runner behind ``make bench``.

    python -m loadtest.bench [--seconds 3] [--rounds 5] [--only plain,stream] [--json PATH]

Three targets answer the same requests in turn, round after round: the fixed upstream itself (direct), the bare relay,
and Sluice as an operator would run it. Everything listens on and talks to 127.0.0.1. This is a measurement and no
test: missed targets exit 0; errors, wrong statuses and streams without their end exit 1. See README.md beside it.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from loadtest import report
from loadtest.process import BenchError, Server, free_port, raise_open_file_limit, split_cpus
from loadtest.scenarios import (
    ROOT,
    SCENARIOS,
    SPARE_FILES,
    START_LIMIT_S,
    STREAMS,
    TARGETS,
    Bench,
    Options,
    child_environment,
)


def describe_run(options: Options, cpus: tuple[set[int], set[int]] | None, streams: int) -> list[str]:
    """What was run where, in words; printed above the figures and kept with them."""
    generator = "wrk" if shutil.which("wrk") else "our own client (wrk is not installed), so the rates are the client's"
    where = "nothing is pinned: this system or its single CPU does not allow it"
    if cpus:
        ours, others = (", ".join(map(str, sorted(some))) for some in cpus)
        where = f"pinned: relay and gateway to CPU {ours}; upstream, clients and runner to CPU {others}"
    usage = "not asked for by the client" if options.hide_usage else "asked for by the client"
    lines = [
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, {describe_python(options.python)}",
        where,
        f"rounds: {options.rounds}",
    ]
    if "plain" in options.scenarios:
        lines.append(f"plain: {options.connections} connections, {options.seconds} s, by {generator}")
    if "stream" in options.scenarios:
        lines.append(f"streams: {STREAMS} at once, 50 chunks 2 ms apart, {options.seconds} s, usage {usage}")
    if "open" in options.scenarios and streams < options.open_streams:
        lines.append(f"{streams} open streams instead of {options.open_streams}: the limit of open files is low")
    return lines


def describe_python(python: str) -> str:
    """The versions that are measured: of the interpreter that runs the targets, which need not be this one."""
    ask = (
        "import platform; from importlib.metadata import version as v;"
        "print('Python', platform.python_version() + ', uvloop', v('uvloop') + ', httptools', v('httptools'))"
    )
    answer = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise BenchError(f"{python} cannot run the benchmark:\n{answer.stderr[-1000:]}")
    return answer.stdout.strip()


def parse_options(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.bench", description="What Sluice costs above a bare relay."
    )
    venv = ROOT / ".venv" / "bin" / "python"
    words = ", ".join((*SCENARIOS, *TARGETS))
    parser.add_argument("--seconds", type=int, default=3, help="length of one load run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help=f"some of: {words}; a kind not mentioned is run whole")
    parser.add_argument("--connections", type=int, default=32, help="for plain chats")
    parser.add_argument("--open-streams", type=int, default=4000)
    parser.add_argument("--hide-usage", action="store_true", help="clients do not ask for usage, the gateway must")
    parser.add_argument("--json", type=Path, default=ROOT / "loadtest" / "results" / "bench.json")
    parser.add_argument("--python", default=str(venv) if venv.exists() else sys.executable)
    given = parser.parse_args(arguments)
    only = set(filter(None, given.only.split(",")))
    if unknown := only - {*SCENARIOS, *TARGETS}:
        parser.error(f"--only knows {words}; not {', '.join(sorted(unknown))}")
    if given.rounds < 1 or given.seconds < 1 or given.connections < 1 or given.open_streams < 1:
        parser.error("--rounds, --seconds, --connections and --open-streams must be positive")
    return Options(
        seconds=given.seconds,
        rounds=given.rounds,
        targets=tuple(t for t in TARGETS if t in only) or TARGETS,
        scenarios=frozenset(only & set(SCENARIOS)) or frozenset(SCENARIOS),
        connections=given.connections,
        open_streams=given.open_streams,
        hide_usage=given.hide_usage,
        json_path=given.json,
        python=given.python,
    )


def run(options: Options) -> int:
    streams = min(options.open_streams, (raise_open_file_limit() - SPARE_FILES) // 2)  # a relay has two ends a stream
    cpus = split_cpus()
    gateway_cpus, other_cpus = cpus or (None, None)
    described = describe_run(options, cpus, streams)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-bench-")))
        upstream = stack.enter_context(upstream_server(options, directory, other_cpus))
        upstream.wait_until_healthy(START_LIMIT_S)
        if other_cpus:  # the runner and, by inheritance, every load generator stay off the gateway's CPU
            os.sched_setaffinity(0, other_cpus)
        bench = Bench(options, directory=directory, upstream=upstream, gateway_cpus=gateway_cpus, streams=streams)
        rounds = bench.run()
    print("\n".join(described), end="\n\n")
    print(report.render_page(rounds, options.targets, bench.notes))
    write_json(options.json_path, described, bench, report.as_json(rounds, options.targets))
    for failure in bench.failures:
        print(f"BROKEN: {failure}", file=sys.stderr)
    return 1 if bench.failures else 0


def upstream_server(options: Options, directory: Path, cpus: set[int] | None) -> Server:
    port = free_port()
    command = [options.python, "-m", "loadtest.upstream", str(port)]
    return Server(command, port=port, env=child_environment(), directory=directory / "upstream", cpus=cpus)


def write_json(path: Path, described: list[str], bench: Bench, figures: dict[str, object]) -> None:
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    whole = {"at": when, "run": described, "notes": bench.notes, "failures": bench.failures, **figures}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=2) + "\n")
    print(f"\nwritten to {path}")


def stop_on_term(*_: object) -> NoReturn:
    """SIGTERM unwinds like Ctrl-C, so that whatever was started is stopped."""
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, stop_on_term)
    try:
        return run(parse_options(sys.argv[1:]))
    except BenchError as broken:
        print(f"\nBROKEN: {broken}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
