"""What a training run came to, as PNG: curves where matplotlib is installed, and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    from twinlens.encoders.thumbnails.training import Measurement


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


def draw_sheet(sheet: npt.NDArray[np.uint8], path: Path) -> None:
    """Draw pictures uint8 (rows, n, H, W, 3) as a table into ``path``: before and after."""
    rows, columns, height, width, colours = sheet.shape
    table = sheet.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, colours)
    Image.fromarray(table).save(path)
