"""Numbers as a person reads them: three figures, and the unit beside them."""

from __future__ import annotations

from twinlens.evaluate.intervals import Interval

_BYTES_A_STEP = 1024


def number(value: float) -> str:
    """Three figures, or all whole ones: ``0.0123``, ``1.20``, ``1,234``; an integer as it is."""
    if isinstance(value, int) or value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    # Not the exponents that "g" has for what is very small, nor the dot that "#" leaves.
    return f"{value:#.3g}".rstrip(".") if abs(value) >= 1e-4 else f"{value:.6f}"


def spread(interval: Interval) -> str:
    """A median with its interval: ``37 [30, 40]``; alone where it has none, as one round has."""
    if interval.low == interval.high:
        return number(interval.median)
    return f"{number(interval.median)} [{number(interval.low)}, {number(interval.high)}]"


def size(size_bytes: float) -> str:
    """So many bytes: ``512 KiB``, ``1.5 GiB``."""
    value = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB"):
        if abs(value) < _BYTES_A_STEP:
            return f"{number(value)} {unit}"
        value /= _BYTES_A_STEP
    return f"{number(value)} GiB"


def times_faster(times: Interval, than: str) -> str:
    """``37 [30, 40] times faster than the flat scan``, or slower, or as fast within noise.

    Of what has no interval nobody knows the noise, and it says so.
    """
    if times.low == times.high:
        return f"{number(times.median)} times as fast as {than} (of one round, so of unknown noise)"
    if times.low <= 1 <= times.high:
        return f"as fast as {than} within noise ({spread(times)} times)"
    if times.median > 1:
        return f"{spread(times)} times faster than {than}"
    slower = Interval(1 / times.median, 1 / times.high, 1 / times.low)
    return f"{spread(slower)} times slower than {than}"


def listed(words: list[str]) -> str:
    """``one``, ``one and two``, ``one, two and three``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
