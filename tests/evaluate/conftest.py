"""A small catalogue with titles and pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from twinlens.catalog.video import Video
from twinlens.evaluate.tasks import Corpus

TITLES = ["red bus", "blue bus", "green tram", "red tram at night", "a boat", "old red kite"]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    videos = []
    for at, title in enumerate(TITLES):
        picture = tmp_path / f"{at}.png"
        Image.new("RGB", (32, 32), (250 - 40 * at, 40 * at, 90)).save(picture)
        videos.append(Video(video_id=f"v{at}", title=title, thumbnail=picture))
    return Corpus("small", videos)
