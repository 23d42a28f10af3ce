"""What the benchmark makes of its measurements: percentiles, medians, ratios, targets, the printed page. All pure."""

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

YARDSTICK = "relay"
SUBJECT = "sluice"
TRANSLATED = "sluice-translated"

Row = Mapping[str, float]
"""The figures of one target in one round, by the names in ``FIGURES``. What was not measured is absent."""


# --- one load run ---------------------------------------------------------------------------------------------------


class Load(msgspec.Struct, kw_only=True):
    """What a load generator saw: our own client prints it as one JSON line, wrk's report is read into it.

    ``requests`` counts whole, verified answers. ``seconds`` is the time they took together. ``errors`` maps a reason
    to how often it happened. ``chunks`` (server-sent events before ``[DONE]``) and the times to the first of them are
    filled for streams only; ``all_open_s`` only when streams are held: how long all were open at the same time.
    """

    requests: int
    seconds: float
    errors: dict[str, int] = {}
    p50_ms: float
    p99_ms: float
    chunks: int = 0
    first_p50_ms: float = 0.0
    first_p99_ms: float = 0.0
    all_open_s: float = 0.0


_WRK_LINE = re.compile(r"^bench (\{.*\})$", re.MULTILINE)
_WRK_ERRORS = ("connect", "read", "write", "status", "timeout")


def parse_wrk(output: str) -> Load:
    """Reads the line that ``wrk.lua`` prints when wrk is done. ValueError when it is not there."""
    found = _WRK_LINE.search(output)
    if found is None:
        raise ValueError(f"wrk printed no result line: {output[-300:]!r}")
    said: dict[str, int] = msgspec.json.decode(found[1], type=dict[str, int])
    return Load(
        requests=said["requests"] - said["status"],  # the other errors never became a counted answer
        seconds=said["duration_us"] / 1e6,
        errors={f"wrk: {kind}": said[kind] for kind in _WRK_ERRORS if said[kind]},
        p50_ms=said["p50_us"] / 1e3,
        p99_ms=said["p99_us"] / 1e3,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least ``percent`` of all do not exceed (nearest rank). 0 for no values."""
    if not values:
        return 0.0
    rank = math.ceil(percent / 100 * len(values))
    return sorted(values)[max(rank, 1) - 1]


# --- what is reported -----------------------------------------------------------------------------------------------


class Figure(NamedTuple):
    label: str
    format: str


FIGURES: Mapping[str, Figure] = {
    "plain_rps": Figure("plain chat: requests/s", "{:,.0f}"),
    "plain_cpu_us": Figure("plain chat: CPU us/request", "{:.1f}"),
    "plain_busy": Figure("plain chat: share of one core used", "{:.0%}"),
    "plain_p50_ms": Figure("plain chat: latency p50, ms", "{:.2f}"),
    "plain_p99_ms": Figure("plain chat: latency p99, ms", "{:.2f}"),
    "stream_chunks_per_s": Figure("streams: chunks/s", "{:,.0f}"),
    "stream_cpu_us": Figure("streams: CPU us/chunk", "{:.2f}"),
    "stream_busy": Figure("streams: share of one core used", "{:.0%}"),
    "stream_first_p50_ms": Figure("streams: first chunk p50, ms", "{:.2f}"),
    "stream_first_p99_ms": Figure("streams: first chunk p99, ms", "{:.2f}"),
    "stream_p50_ms": Figure("streams: whole stream p50, ms", "{:.1f}"),
    "first_health_s": Figure("start to first 200 of /health, s", "{:.3f}"),
    "first_chat_s": Figure("start to first 200 of a chat, s", "{:.3f}"),
    "rss_idle_mb": Figure("resident memory idle, MB", "{:.1f}"),
    "rss_load_mb": Figure("resident memory under load, MB", "{:.1f}"),
    "open_streams": Figure("open streams held at once", "{:,.0f}"),
    "open_stream_kb": Figure("user memory per open stream, KB", "{:.2f}"),
}

# What translating may cost above forwarding the bytes, in the unit of the figure.
TRANSLATION_LIMITS: Mapping[str, float] = {"plain_cpu_us": 25.0, "stream_cpu_us": 8.0}

RATIOS = ("plain_cpu_us", "stream_cpu_us", "plain_rps", "plain_p50_ms", "plain_p99_ms", "rss_idle_mb", "open_stream_kb")


class Target(NamedTuple):
    """An upper limit for a figure of Sluice: as a multiple of the bare relay's, or as it stands."""

    key: str
    limit: float
    is_ratio: bool


TARGETS = (
    Target("plain_cpu_us", 2.2, is_ratio=True),
    Target("stream_cpu_us", 1.6, is_ratio=True),
    Target("rss_idle_mb", 46.0, is_ratio=False),
    Target("open_stream_kb", 12.0, is_ratio=False),
    Target("first_chat_s", 0.5, is_ratio=False),
)


class Spread(NamedTuple):
    median: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread | None:
    """None when nothing was measured."""
    known = list(values)
    return Spread(statistics.median(known), min(known), max(known)) if known else None


def summarize(rounds: Sequence[Mapping[str, Row]], target: str) -> dict[str, Spread]:
    """Every figure of ``target`` over all rounds."""
    measured = {key: spread(r[target][key] for r in rounds if key in r.get(target, {})) for key in FIGURES}
    return {key: s for key, s in measured.items() if s is not None}


def compare(rounds: Sequence[Mapping[str, Row]], target: str = SUBJECT) -> dict[str, Spread]:
    """``target`` over the bare relay, one ratio per round and figure, spread over the rounds.

    Both numbers of a ratio come from the same round, minutes apart at most: what slows the machine slows both.
    A ratio to nothing (0, as memory per stream can come out on a small run) does not exist.
    """
    ratios: dict[str, Spread] = {}
    for key in RATIOS:
        found = spread(ours / bare for ours, bare in _pairs(rounds, key, target, YARDSTICK) if bare > 0)
        if found is not None:
            ratios[key] = found
    return ratios


def translation_costs(rounds: Sequence[Mapping[str, Row]]) -> dict[str, Spread]:
    """What the translated path takes more than the byte path of the same round, in the unit of the figure."""
    costs = {
        key: spread(translated - forwarded for translated, forwarded in _pairs(rounds, key, TRANSLATED, SUBJECT))
        for key in TRANSLATION_LIMITS
    }
    return {key: cost for key, cost in costs.items() if cost is not None}


def _pairs(rounds: Sequence[Mapping[str, Row]], key: str, one: str, other: str) -> list[tuple[float, float]]:
    """A figure of two targets, from every round that has measured it of both."""
    found = [(r.get(one, {}).get(key), r.get(other, {}).get(key)) for r in rounds]
    return [(a, b) for a, b in found if a is not None and b is not None]


class Verdict(msgspec.Struct, frozen=True):
    figure: str
    limit: str
    measured: str
    is_met: bool | None
    """None: not measured in this run."""


def judge(rounds: Sequence[Mapping[str, Row]]) -> list[Verdict]:
    ratios, absolute = compare(rounds), summarize(rounds, SUBJECT)
    return [_judge_one(target, (ratios if target.is_ratio else absolute).get(target.key)) for target in TARGETS]


def judge_translation(rounds: Sequence[Mapping[str, Row]]) -> list[Verdict]:
    costs = translation_costs(rounds)
    return [_judge_cost(key, limit, costs.get(key)) for key, limit in TRANSLATION_LIMITS.items()]


def _judge_cost(key: str, limit: float, measured: Spread | None) -> Verdict:
    def show(value: float) -> str:
        return f"{FIGURES[key].format.format(value)} us more"

    return Verdict(
        figure=f"translation, {FIGURES[key].label}",
        limit=f"<= {show(limit)}",
        measured="-" if measured is None else show(measured.median),
        is_met=None if measured is None else measured.median <= limit,
    )


def judge_all(rounds: Sequence[Mapping[str, Row]], targets: Sequence[str]) -> list[Verdict]:
    """Of those that took part: Sluice alone, and what translating costs where both paths ran."""
    verdicts = judge(rounds) if SUBJECT in targets else []
    return verdicts + (judge_translation(rounds) if {SUBJECT, TRANSLATED} <= set(targets) else [])


def _judge_one(target: Target, measured: Spread | None) -> Verdict:
    def show(value: float) -> str:
        return f"{value:.2f} x relay" if target.is_ratio else FIGURES[target.key].format.format(value)

    return Verdict(
        figure=FIGURES[target.key].label,
        limit=f"<= {show(target.limit)}",
        measured="-" if measured is None else show(measured.median),
        is_met=None if measured is None else measured.median <= target.limit,
    )


# --- the page -------------------------------------------------------------------------------------------------------


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as they need; the first is set left, the others right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]

    def render(line: Sequence[str]) -> str:
        cells = [line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))]
        return "  ".join(cells).rstrip()

    return "\n".join([render(lines[0]), "-" * (sum(widths) + 2 * len(widths) - 2), *map(render, lines[1:])])


def render_ratios(rounds: Sequence[Mapping[str, Row]], target: str, title: str) -> str:
    rows = [
        (FIGURES[key].label, f"{s.median:.2f} x", f"{s.low:.2f}", f"{s.high:.2f}")
        for key, s in compare(rounds, target).items()
    ]
    return table((title, "median", "lowest", "highest"), rows) if rows else ""


def render_translation(rounds: Sequence[Mapping[str, Row]]) -> str:
    def show(key: str, value: float) -> str:
        return FIGURES[key].format.format(value)

    rows = [
        (FIGURES[key].label, *(show(key, value) for value in cost), show(key, TRANSLATION_LIMITS[key]))
        for key, cost in translation_costs(rounds).items()
    ]
    return table(("Translation over the byte path", "median", "lowest", "highest", "limit"), rows) if rows else ""


def render_targets(verdicts: Sequence[Verdict]) -> str:
    words: Mapping[bool | None, str] = {True: "met", False: "MISSED", None: "not measured"}
    rows = [(v.figure, v.limit, v.measured, words[v.is_met]) for v in verdicts]
    return table(("target", "limit", "measured", ""), rows) if rows else ""


def render_absolute(rounds: Sequence[Mapping[str, Row]], targets: Sequence[str]) -> str:
    found = {target: summarize(rounds, target) for target in targets}

    def cell(target: str, key: str) -> str:
        return FIGURES[key].format.format(found[target][key].median) if key in found[target] else "-"

    keys = [key for key in FIGURES if any(key in figures for figures in found.values())]
    rows = [(FIGURES[key].label, *(cell(target, key) for target in targets)) for key in keys]
    return table(("medians", *targets), rows)


def render_page(rounds: Sequence[Mapping[str, Row]], targets: Sequence[str], notes: Sequence[str]) -> str:
    """The whole report: ratios first, because they hold from machine to machine; then targets, figures and notes."""
    parts = [
        render_ratios(rounds, SUBJECT, "Sluice over the bare relay"),
        render_ratios(rounds, TRANSLATED, "Translating, over the bare relay"),
        render_translation(rounds),
        render_targets(judge_all(rounds, targets)),
        render_absolute(rounds, targets),
        "\n".join(f"- {note}" for note in notes),
    ]
    return "\n\n".join(part for part in parts if part)


def as_json(rounds: Sequence[Mapping[str, Row]], targets: Sequence[str]) -> dict[str, Any]:
    """The same as the page, for machines: every round, and what was made of them."""

    def dump(found: Mapping[str, Spread]) -> dict[str, Any]:
        return {key: s._asdict() for key, s in found.items()}

    return {
        "ratios_to_bare_relay": dump(compare(rounds)),
        "ratios_to_bare_relay_translated": dump(compare(rounds, TRANSLATED)),
        "translation_over_byte_path": {
            key: {**cost._asdict(), "limit": TRANSLATION_LIMITS[key]} for key, cost in translation_costs(rounds).items()
        },
        "targets": [msgspec.to_builtins(verdict) for verdict in judge_all(rounds, targets)],
        "figures": {target: dump(summarize(rounds, target)) for target in targets},
        "rounds": [{target: dict(row) for target, row in r.items()} for r in rounds],
    }
