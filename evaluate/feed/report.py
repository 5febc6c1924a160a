"""The figures of a log, as text and for pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from twinlens.evaluate.feed.protocols import LEARNED, Row
from twinlens.evaluate.measures import Mean
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


def format_ranking(figures: Mapping[str, Any]) -> str:
    """Format a line a ranker: its figures, and by how much the network's loss is below its own."""
    heads = ["per-user loss", "AUC of click", "predicted / observed", "network below"]
    lines = [_format_line("mean over seeds [95 %]", heads)]
    for name, row in figures["rankers"].items():
        ratio, below = row.get("predicted_over_observed"), figures["network_below"].get(name)
        cells = [
            f"{row['per_user_loss']:.3f}",
            f"{row['auc_of_click']:.3f}",
            "" if ratio is None else f"{ratio:.2f}",
            ""
            if below is None
            else f"{below['value']:+.3f} [{below['low']:+.3f}, {below['high']:+.3f}]",
        ]
        lines.append(_format_line(name, cells))
    for row in figures.get("table_1", ()):
        papers = f", the paper's {row['paper']:.3f}" if row["paper"] else ""
        lines.append(_format_line(f"  {row['hidden']}", [f"{row['per_user_loss']:.3f}{papers}"]))
    return "\n".join(lines)


def make_ranking_panels(figures: Mapping[str, Any]) -> Panels:
    """Make a panel of calibration, one of the loss of each ranker, and one of the paper's table."""
    panels: dict[str, dict[str, dict[str, Mean]]] = {
        "seconds by decile of those predicted": {
            str(at + 1): {
                "predicted": _to_point(row["predicted_s"]),
                "observed": Mean(**row["observed_s"]),
            }
            for at, row in enumerate(figures["calibration"])
        },
        "per-user loss": {
            name: {"here": _to_loss(row)} for name, row in figures["rankers"].items()
        },
    }
    if "table_1" in figures:
        panels["per-user loss by hidden layers"] = {
            row["hidden"]: {
                "here": _to_loss(row),
                **({"Covington et al. 2016": _to_point(row["paper"])} if row["paper"] else {}),
            }
            for row in figures["table_1"]
        }
    return panels


def _to_loss(row: Mapping[str, Any]) -> Mean:
    return Mean(row["per_user_loss"], *row["interval"])


def _to_point(value: float) -> Mean:
    return Mean(value, value, value)


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
