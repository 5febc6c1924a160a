"""The first stage of the sweep as a picture: the words' weight, for each rank constant."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from twinlens.catalog.errors import UsageError
from twinlens.encoders.lenses import WORDS
from twinlens.evaluate.fusion.collected import JUDGED_BY
from twinlens.evaluate.fusion.sweep import Stage

_MEAN: Final = "mean of families"


def draw(stage: Stage, path: Path) -> None:
    """Write a PNG to ``path``: a panel per family, a line per rank constant.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("--plot needs matplotlib: pip install 'twinlens[evaluate]'") from error
    panels = [*stage.trials[0].families, _MEAN]
    figure = Figure(figsize=(1 + 3.6 * len(panels), 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for at, k in enumerate(dict.fromkeys(trial.setting.k for trial in stage.trials)):
            of = [trial for trial in stage.trials if trial.setting.k == k]
            axes.plot(
                [trial.setting.weights[WORDS] for trial in of],
                [trial.value if panel == _MEAN else trial.families[panel] for trial in of],
                marker="osD^vPX*"[at % 8],
                markersize=4,
                label=f"k = {k:g}",
            )
        axes.set_title(panel, fontsize=10)
        axes.set_xlabel("weight of the words, where the title's is 1")
        axes.grid(color="0.9")
    figure.axes[0].set_ylabel(JUDGED_BY)
    figure.axes[0].legend(fontsize=8)
    figure.savefig(path, format="png", dpi=120)
