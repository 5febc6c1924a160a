"""A small catalogue with titles and pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from twinlens.catalog.video import Video
from twinlens.evaluate.tasks import Corpus

TITLES = ["red bus", "blue bus", "green tram", "red tram at night", "a boat", "old red kite"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the index of the catalogue is made once for all."""
    return tmp_path_factory.mktemp("indexes")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    videos = []
    for at, title in enumerate(TITLES):
        picture = folder / f"{at}.png"
        Image.new("RGB", (32, 32), (250 - 40 * at, 40 * at, 90)).save(picture)
        videos.append(Video(video_id=f"v{at}", title=title, thumbnail=picture))
    return Corpus("small", videos)
