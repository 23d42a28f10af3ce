import contextlib
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("250ms", 0.25),
        ("9ms", 0.009),
        ("0.5ms", 0.0005),
        ("30", 30),
        ("30s", 30),
        ("1.5s", 1.5),
        (" 30 s ", 30),
        ("5m", 300),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("007s", 7),
    ],
)
def test_reads_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("17", 17),
        ("17B", 17),
        ("64KiB", 65_536),
        ("32MiB", 33_554_432),
        ("1.5 GiB", 1_610_612_736),
        ("1.15KB", 1150),
        ("4.35MB", 4_350_000),
        ("2GB", 2_000_000_000),
        ("1.1KiB", 1126),
    ],
)
def test_reads_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


_NEITHER = [
    "",
    " ",
    "s",
    "-1s",
    "+1s",
    "1e3s",
    "1_000s",
    ".5s",
    "5.s",
    "1s 2s",
    "1 x",
    "inf",
    "nan",
    "1\u00a0\u00a0s",
    "\u0663s",
]


@pytest.mark.parametrize("text", [*_NEITHER, "1S", "1KiB", "1H", "1" * 16, "1sec", "1m30s"])
def test_refuses_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write for example"):
        parse_duration(text)


@pytest.mark.parametrize("text", [*_NEITHER, "1kb", "1kib", "1K", "1M", "1TiB", "1s", "1" * 16])
def test_refuses_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write for example"):
        parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (0.0005, "0.5ms"),
        (1e-7, "0.0001ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (60, "1m"),
        (90, "90s"),
        (3600, "1h"),
        (5400, "90m"),
        (86_400, "24h"),
        (1_234_567.5, "1234567.5s"),
        (90.1234567, "90.1234567s"),
    ],
)
def test_writes_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (1, "1B"),
        (1000, "1000B"),
        (1024, "1KiB"),
        (1536, "1536B"),
        (32 * 1024**2, "32MiB"),
        (1024**3, "1GiB"),
    ],
)
def test_writes_sizes(size: int, text: str) -> None:
    assert format_size(size) == text


numbers = st.decimals(0, 999_999_999, places=9).map(lambda d: f"{d:f}") | st.integers(0, 999_999_999).map(str)


@given(numbers, st.sampled_from(["", "ms", "s", "m", "h", "d"]))
@example("1000.000000001", "ms")
@example("0.000000001", "ms")
def test_a_written_duration_reads_back_the_same(number: str, unit: str) -> None:
    seconds = parse_duration(number + unit)
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 10**15 - 1))
def test_a_written_size_reads_back_the_same(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.integers(0, 10**9))
def test_milliseconds_are_exact(number: int) -> None:
    assert parse_duration(f"{number}ms") == float(Decimal(number) / 1000)
    assert parse_duration(f"{number}ms") == number / 1000


@given(st.text())
def test_any_other_text_is_a_value_error(text: str) -> None:
    for parse in (parse_duration, parse_size):
        with contextlib.suppress(ValueError):
            assert parse(text) >= 0
