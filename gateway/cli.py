"""The command ``sluice``: reads its arguments, then does one thing. What a command needs it imports when it runs."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from gateway import __version__
from gateway.config.found import ConfigError
from gateway.config.load import Effective, explain
from providers.contract import Provider

OK, FAILED, MISUSED = 0, 1, 2


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Runs one command and returns its exit code: 0 done, 1 failed (the reason is on standard error), 2 misused."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return MISUSED
    command: Callable[[argparse.Namespace, Mapping[str, str]], int] = options.command
    try:
        return command(options, environ)
    except (ConfigError, OSError) as error:
        _complain(f"sluice: {error}")
        return FAILED
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT, what a shell reports


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sluice", description="One API in front of many model providers.")
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    serve = commands.add_parser("serve", help="start the gateway", description="Start the gateway.")
    serve.add_argument("--config", metavar="FILE", help="the configuration; SLUICE_CONFIG otherwise")
    serve.add_argument("--host", metavar="H", help="address to listen on")
    serve.add_argument("--port", metavar="N", help="port to listen on")
    serve.add_argument("--workers", metavar="N", help="processes that share the port")
    serve.set_defaults(command=_serve)

    text = "print the effective settings, or every problem they have"
    check = commands.add_parser("check-config", help=text, description=text.capitalize() + ".")
    check.add_argument("config", metavar="FILE", nargs="?", help="the configuration; SLUICE_CONFIG otherwise")
    check.set_defaults(command=_check_config)

    text = "list the provider types and their configured instances"
    providers = commands.add_parser("providers", help=text, description=text.capitalize() + ".")
    providers.add_argument("--config", metavar="FILE", help="the configuration; SLUICE_CONFIG otherwise")
    providers.set_defaults(command=_providers)

    version = commands.add_parser("version", help="print the version", description="Print the version.")
    version.set_defaults(command=_version)
    return parser


def _serve(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from gateway.app import run

    given = {f"server.{name}": getattr(options, name) for name in ("host", "port", "workers")}
    effective = explain(options.config, environ, {place: text for place, text in given.items() if text is not None})
    _tell_notes(effective)
    return run(effective.settings)


def _check_config(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from gateway.config.show import render

    effective = explain(options.config, environ)
    sys.stdout.write(render(effective))
    _tell_notes(effective)
    return OK


def _providers(options: argparse.Namespace, environ: Mapping[str, str]) -> int:
    import providers

    effective = explain(options.config, environ)
    configured: dict[str, list[str]] = {}
    for name, instance in effective.settings.providers.items():
        configured.setdefault(instance.type, []).append(name)
    rows = [("TYPE", "TITLE", "INSTANCES", "VARIABLE")]
    for name in providers.provider_types():
        record = providers.load(name)
        rows.append((name, record.title, ", ".join(configured.get(name, [])) or "-", _turned_on_by(record)))
    sys.stdout.write(_aligned(rows))
    return OK


def _turned_on_by(record: Provider) -> str:
    if record.simulate is not None:
        return "- (answers when no other is configured)"
    return f"{record.name.upper()}_API_KEY" if record.needs_key else f"{record.name.upper()}_BASE_URL"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _version(_options: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    sys.stdout.write(f"sluice {__version__}\n")
    return OK


def _tell_notes(effective: Effective) -> None:
    for note in effective.notes:
        _complain(f"sluice: {note}")


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")
