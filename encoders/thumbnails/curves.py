"""Training curves as a PNG, where matplotlib is installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from encoders.thumbnails.training import Measurement


def draw_curves(history: Sequence[Measurement], path: Path) -> bool:
    """Draw losses and recall@1 over the steps into ``path``; False where matplotlib is missing."""
    if find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure

    steps = [measured.step for measured in history]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, recall = figure.subplots(1, 2)
    losses.plot(steps, [measured.training_loss for measured in history], label="training")
    losses.plot(steps, [measured.loss for measured in history], label="held out")
    losses.set(xlabel="step", ylabel="loss")
    losses.legend()
    recall.plot(steps, [measured.recall_at_1 for measured in history], color="tab:green")
    recall.set(xlabel="step", ylabel="recall@1 of held-out pictures", ylim=(0, 1))
    for axes in (losses, recall):
        axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=110)
    return True
