"""A source that changes from run to run, and what an index of it must hold."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

from tests.indexer.conftest import Catalogue, jpeg

# Of a hundred videos at each change: titles that change, pictures that change, videos that come and
# that go. So few leave that no run is stopped for what would be lost.
RETITLED, REPICTURED, COME, GONE = 10, 5, 3, 3


@dataclass(frozen=True)
class Expected:
    """What a video has to be: its title, and the SHA-256 of its picture."""

    title: str
    picture: str | None


class ChangingSource:
    """A source of ``videos`` videos, every third with a picture, changed by chance."""

    def __init__(self, path: Path, rng: random.Random, videos: int) -> None:
        self._catalogue, self._rng, self._made = Catalogue(path), rng, 0
        self.videos: dict[str, Expected] = {}
        for _ in range(videos):
            self._add()

    def write(self) -> str:
        """Where it is, with all changes."""
        return self._catalogue.write()

    def change(self) -> None:
        """Some titles and pictures change, some videos come, and some go."""
        few = len(self.videos) // 100
        for video_id in self._pick(RETITLED * few):
            self._set(video_id)
        for video_id in self._pick(REPICTURED * few):
            self._set(video_id, picture=self._draw())
        for video_id in self._pick(GONE * few):
            del self.videos[video_id], self._catalogue.rows[video_id]
        for _ in range(COME * few):
            self._add()

    def _pick(self, count: int) -> list[str]:
        return self._rng.sample(sorted(self.videos), count)

    def _add(self) -> None:
        self._set(f"video{self._made}", picture=self._draw() if self._made % 3 == 0 else None)

    def _set(self, video_id: str, *, picture: bytes | None = None) -> None:
        """Give the video a title that none has had, and the picture, or the one that it has."""
        self._made += 1
        title = f"Episode {self._made} of {video_id}"
        was = self.videos.get(video_id, Expected("", None))
        name = self._catalogue.rows.get(video_id, {}).get("file_name")
        self._catalogue.add(video_id, title=title, picture=picture)
        if picture is not None:
            self.videos[video_id] = Expected(title, hashlib.sha256(picture).hexdigest())
            return
        self.videos[video_id] = Expected(title, was.picture)
        if name is not None:
            self._catalogue.rows[video_id]["file_name"] = name

    def _draw(self) -> bytes:
        return jpeg((self._rng.randrange(256), self._rng.randrange(256), self._rng.randrange(256)))
