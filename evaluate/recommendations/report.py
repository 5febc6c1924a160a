"""The figures for a person."""

from __future__ import annotations

from collections.abc import Sequence

from twinlens.evaluate.recommendations.run import DEPTH, MEASURES, Row

_NAME_WIDTH = 36
_WIDTH = 23


def table(rows: Sequence[Row]) -> str:
    """A line for each way to recommend."""
    lenses = sorted({lens for row in rows for lens in row.likeness})
    heads = [*MEASURES, f"disliked in {DEPTH}", *(f"alike by {lens}" for lens in lenses)]
    lines = [" " * _NAME_WIDTH + "".join(f"{head:>{_WIDTH}}" for head in heads)]
    for row in rows:
        values = [*(str(row.measures[name]) for name in MEASURES), str(row.disliked)]
        values += [f"{row.likeness.get(lens, float('nan')):.3f}" for lens in lenses]
        lines.append(f"{row.name:<{_NAME_WIDTH}}" + "".join(f"{one:>{_WIDTH}}" for one in values))
    return "\n".join(lines)
