"""What a training run came to, as PNG: curves where matplotlib is installed, and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:
    from twinlens.encoders.training_run import MeasuredT


def draw_curves(
    history: Sequence[MeasuredT],
    path: Path,
    *,
    losses: Mapping[str, Callable[[MeasuredT], float]],
    shares: Mapping[str, Callable[[MeasuredT], float]],
) -> bool:
    """Draw losses and shares, 0 to 1, over the steps into ``path``; False without matplotlib.

    Each has a name for the legend, and what takes it of a validation.
    """
    if find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure

    steps = [measured.step for measured in history]
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, lines, about in zip(
        figure.subplots(1, 2), (losses, shares), ("loss", "of held-out items"), strict=True
    ):
        for name, take in lines.items():
            axes.plot(steps, [take(measured) for measured in history], linewidth=1, label=name)
        axes.set(xlabel="step", ylabel=about)
        axes.grid(visible=True, alpha=0.3)
    axes.set_ylim(0, 1)
    figure.legend(loc="outside right upper", fontsize=7)
    figure.savefig(path, dpi=110)
    return True


def draw_sheet(sheet: npt.NDArray[np.uint8], path: Path) -> None:
    """Draw pictures uint8 (rows, n, H, W, 3) as a table into ``path``: before and after."""
    rows, columns, height, width, colours = sheet.shape
    table = sheet.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, colours)
    Image.fromarray(table).save(path)
