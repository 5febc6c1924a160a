"""Training curves as a PNG, where matplotlib is installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twinlens.encoders.titles.training import Measurement


def draw_curves(history: Sequence[Measurement], path: Path) -> bool:
    """Draw loss and held-out ranks over the steps into ``path``; False without matplotlib."""
    if find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure

    steps = [measured.step for measured in history]
    figure = Figure(figsize=(10, 4), layout="constrained")
    losses, ranks = figure.subplots(1, 2)
    losses.plot(steps, [measured.training_loss for measured in history])
    losses.set(xlabel="step", ylabel="training loss")
    for name in sorted(history[-1].by_script):
        by_step = [measured.by_script[name] for measured in history]
        ranks.plot(steps, by_step, linewidth=0.8, label=name.title())
    mean = [measured.mrr for measured in history]
    ranks.plot(steps, mean, color="black", linewidth=2, label="mean of scripts")
    ranks.set(xlabel="step", ylabel="mean reciprocal rank, held out", ylim=(0, 1))
    figure.legend(loc="outside right upper", fontsize=7)
    for axes in (losses, ranks):
        axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=110)
    return True
