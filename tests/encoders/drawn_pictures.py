"""Pictures drawn for tests: colours that change slowly, with boxes in front."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw


def drawn_picture(seed: int, *, size: tuple[int, int] = (320, 180)) -> Image.Image:
    """A picture unlike those of other seeds, bright at its rim; the same for the same seed."""
    rng = np.random.default_rng(seed)
    width, height = size
    ground = Image.fromarray(rng.integers(60, 256, (3, 4, 3), dtype=np.uint8))
    picture = ground.resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for _ in range(6):
        left, top = int(rng.integers(width)), int(rng.integers(height))
        right = left + int(rng.integers(width // 8, width // 2))
        bottom = top + int(rng.integers(height // 8, height // 2))
        colour = tuple(int(level) for level in rng.integers(0, 256, 3))
        if rng.random() < 0.5:
            pen.rectangle((left, top, right, bottom), fill=colour)
        else:
            pen.ellipse((left, top, right, bottom), fill=colour)
    pen.rectangle((0, 0, width - 1, height - 1), outline=(230, 230, 230), width=3)
    return picture
