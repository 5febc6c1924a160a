"""The figures of a log, as text and for pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from twinlens.evaluate.feed.protocols import LEARNED, Row
from twinlens.evaluate.report import Panels

_NAME_WIDTH: Final = 32
_WIDTH: Final = 23


def format_rows(rows: Sequence[Row]) -> str:
    """Format a line a way, with 95 % intervals; and by how much the learned one is above each."""
    return "\n".join(_list_lines(rows))


def _list_lines(rows: Sequence[Row]) -> Iterator[str]:
    measures = list(rows[0].figures)
    yield _format_line("mean [95 %]", measures)
    for row in rows:
        yield _format_line(row.name, [str(of) for of in row.figures.values()])
    yield "learned above (paired)"
    for row in rows:
        if row.name != LEARNED:
            cells = [
                f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
                for value, low, high in row.learned_above.values()
            ]
            yield _format_line(f"  {row.name}", cells)


def _format_line(first: str, cells: Sequence[str]) -> str:
    return f"{first:<{_NAME_WIDTH}}{''.join(f'{cell:>{_WIDTH}}' for cell in cells)}".rstrip()


def make_panels(rows: Sequence[Row]) -> Panels:
    """Make a panel of all measures, a row each; and one of how far the learned one is above."""
    measures = list(rows[0].figures)
    others = [row for row in rows if row.name != LEARNED]
    return {
        "found": {one: {row.name: row.figures[one] for row in rows} for one in measures},
        "learned above each, paired": {
            one: {row.name: row.learned_above[one] for row in others} for one in measures
        },
    }
