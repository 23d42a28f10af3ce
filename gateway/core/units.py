"""Durations and sizes as people write them: ``30s``, ``250ms``, ``32MiB``."""

import re
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

Seconds = Annotated[float, Meta(ge=0, extra={"unit": "duration"})]
# a deadline of nothing would end everything at once
PositiveSeconds = Annotated[float, Meta(ge=0.001, extra={"unit": "duration"})]
ByteCount = Annotated[int, Meta(ge=0, extra={"unit": "size"})]

# Decimal, because 9 * 0.001 is not 0.009 and 1.15 * 1000 is not 1150 in binary fractions.
_DURATION_UNITS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_SIZE_UNITS = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,20})?)\s?([A-Za-z]*)")


def parse_duration(text: str) -> float:
    """Seconds of ``text``: a number with ms, s, m, h or d (a bare number is seconds). ``ValueError`` otherwise."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or (match[2] or "s") not in _DURATION_UNITS:
        raise ValueError(f"{text!r} is not a duration; write for example 250ms, 30s, 5m or 1h")
    return float(Decimal(match[1]) * _DURATION_UNITS[match[2] or "s"])


def parse_size(text: str) -> int:
    """Whole bytes of ``text``: a number with B, KiB, MiB, GiB, KB, MB or GB (a bare number is bytes). ``ValueError``
    otherwise."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or (match[2] or "B") not in _SIZE_UNITS:
        raise ValueError(f"{text!r} is not a size; write for example 64KiB, 32MiB or 1GiB")
    return int(Decimal(match[1]) * _SIZE_UNITS[match[2] or "B"])


def format_duration(seconds: float) -> str:
    """The shortest exact spelling that ``parse_duration`` reads back."""
    for unit, size in (("h", 3600.0), ("m", 60.0), ("s", 1.0)):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    exact = Decimal(repr(seconds))
    return f"{_plain(exact * 1000)}ms" if 0 < seconds < 1 else f"{_plain(exact)}s"


def _plain(number: Decimal) -> str:
    """Digits without an exponent and without idle zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_size(size: int) -> str:
    """The shortest exact spelling that ``parse_size`` reads back."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _SIZE_UNITS[unit] == 0:
            return f"{size // _SIZE_UNITS[unit]}{unit}"
    return f"{size}B"
