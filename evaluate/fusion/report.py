"""What the sweep found, for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from twinlens.evaluate.fusion.collected import JUDGED_BY
from twinlens.evaluate.fusion.held_out import COMPARED, Comparison, over_families
from twinlens.evaluate.fusion.sweep import Stage, Trial
from twinlens.evaluate.search.report import short

_SHOWN: Final = 8


def table(
    stages: Mapping[str, Sequence[Stage]],
    defaults: Mapping[str, Trial],
    comparisons: Sequence[Comparison],
) -> str:
    """The best trials of every stage, the choice, and how it does on held-out queries.

    ``stages`` and ``defaults`` are by kind of search.
    """
    lines: list[str] = []
    for kind, found in stages.items():
        lines += [f"{kind}: mean {JUDGED_BY} over families, on the queries to choose by"]
        for stage in found:
            lines += _stage(stage, defaults[kind])
        lines += [f"  chosen: {found[-1].best.setting}", ""]
    lines += ["held-out queries, as served: default, and the choice's difference [95 %]"]
    for family, figures in over_families(comparisons).items():
        lines += [
            f"  {family:<20} {name:<8} {default.value:.3f}  {difference.value:+.4f} "
            f"[{difference.low:+.4f}, {difference.high:+.4f}]"
            for name, (default, difference) in figures.items()
        ]
    for one in comparisons:
        shown = "  ".join(
            f"{name} {one.default[name].mean():.3f} -> {one.chosen[name].mean():.3f}"
            for name in COMPARED
        )
        lines.append(f"    {one.task.name}, {short(one.model)}: {shown}")
    return "\n".join(lines)


def _stage(stage: Stage, default: Trial) -> Iterator[str]:
    yield f"  {stage.varied}: {len(stage.trials)} settings, the best {_SHOWN} and the default"
    best = sorted(stage.trials, key=lambda trial: -trial.value)[:_SHOWN]
    for trial in [*best, default]:
        families = ", ".join(f"{name} {value:.4f}" for name, value in trial.families.items())
        yield f"    {trial.value:.4f} ({families})  {trial.setting}"
