"""What an index for load is made of: real titles and pictures, and as many more as are asked for.

Nobody has 100,000 titles to ship, and a title that comes twice word for word makes an inverted
index and a graph easier than they are. So the real ones are repeated with words exchanged for
others of the same catalogue.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np

from twinlens.catalog.errors import PictureRejected, UsageError
from twinlens.catalog.images import image_extension
from twinlens.catalog.sources import Reject, open_source, read_thumbnail
from twinlens.catalog.video import Video

# The chance that a word of a repeated title is exchanged for another.
_EXCHANGED: Final = 0.35
_SCRIPTS: Final = (("si", re.compile(r"[\u0d80-\u0dff]")), ("ta", re.compile(r"[\u0b80-\u0bff]")))

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture; ``file`` is its content's name in a data directory."""

    file: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Material:
    """Real videos with titles, by the catalogue they are from, and real pictures.

    ``own_picture`` gives the number of a video's picture by the catalogue's and the video's number,
    where the video has one.
    """

    catalogues: Sequence[Sequence[Video]]
    pictures: Sequence[Picture]
    own_picture: dict[tuple[int, int], int]
    digest: str

    @property
    def titles(self) -> int:
        """How many real titles there are."""
        return sum(len(videos) for videos in self.catalogues)


def read_material(sources: Sequence[str]) -> Material:
    """What the sources hold, each anything that ``twinlens index`` takes.

    Raises:
        SourceError: there is no such source, or it lacks what is needed.
        UsageError: no title or no picture in all of them.
    """
    catalogues: list[list[Video]] = []
    pictures: dict[str, Picture] = {}
    places: dict[str, int] = {}
    own: dict[tuple[int, int], int] = {}
    for source in sources:
        videos: list[Video] = []
        for row in open_source(source):
            if isinstance(row, Reject):
                continue
            picture = _picture(row.video)
            if picture is not None:
                pictures.setdefault(picture.file, picture)
                places.setdefault(picture.file, len(places))
            if row.video.title is not None and row.video.title.strip():
                if picture is not None:
                    own[len(catalogues), len(videos)] = places[picture.file]
                videos.append(replace(row.video, thumbnail=None, thumbnail_url=None))
        logger.info("%s: %d titles, %d pictures so far", source, len(videos), len(pictures))
        if videos:
            catalogues.append(videos)
    if not catalogues or not pictures:
        raise UsageError("the catalogues hold no title or no picture; name some that have both")
    digest = hashlib.sha256()
    for videos in catalogues:
        for video in videos:
            digest.update(f"{video.video_id}\0{video.title}\n".encode("utf-8", "surrogatepass"))
    for file in pictures:
        digest.update(file.encode())
    return Material(catalogues, list(pictures.values()), own, digest.hexdigest()[:16])


def drawn_videos(material: Material, count: int, *, seed: int) -> Iterator[tuple[Video, int]]:
    """``count`` videos with ids of their own and titles that differ, each with a picture's number.

    The real ones come first, in an order drawn by lot, and again and again after that, with words
    exchanged, another picture, and other numbers and dates.
    """
    rng = np.random.default_rng(seed)
    words = [
        [word for video in videos for word in str(video.title).split()]
        for videos in material.catalogues
    ]
    real = [
        (catalogue, number)
        for catalogue, videos in enumerate(material.catalogues)
        for number in range(len(videos))
    ]
    titles: set[str] = set()
    made = 0
    for again in range(count):
        for place in rng.permutation(len(real)):
            if made == count:
                return
            catalogue, number = real[place]
            video = material.catalogues[catalogue][number]
            title = str(video.title)
            own = material.own_picture.get((catalogue, number))
            if again or title in titles:
                title = _changed(title, words[catalogue], titles, rng)
            picture = (
                own if own is not None and not again else int(rng.integers(len(material.pictures)))
            )
            titles.add(title)
            yield _drawn(video, title, made, again, rng), picture
            made += 1


def _picture(video: Video) -> Picture | None:
    try:
        data = read_thumbnail(video)
        if data is None:
            return None
        return Picture(f"{hashlib.sha256(data).hexdigest()}.{image_extension(data)}", data)
    except PictureRejected as error:
        logger.warning("left out: %s", error)
        return None


def _changed(title: str, words: Sequence[str], taken: set[str], rng: np.random.Generator) -> str:
    """A title that is not taken: some words exchanged, one added where that isn't enough."""
    own = title.split()
    for _ in range(4):
        drawn = [
            words[int(rng.integers(len(words)))] if rng.random() < _EXCHANGED else word
            for word in own
        ]
        if (changed := " ".join(drawn)) not in taken:
            return changed
    number = 2
    while (numbered := f"{title} {number}") in taken:
        number += 1
    return numbered


def _drawn(video: Video, title: str, number: int, again: int, rng: np.random.Generator) -> Video:
    language = video.text("language") or next(
        (code for code, script in _SCRIPTS if script.search(title)), "en"
    )
    factor = float(rng.lognormal(0, 1)) if again else 1.0
    values = {**video.values, "language": language}
    published_at = video.moment("published_at")
    if published_at is not None:
        hours = int(rng.integers(1, 20_000)) if again else 0
        values["published_at"] = published_at - timedelta(hours=hours)
    duration_s, view_count = video.number("duration_s"), video.number("view_count")
    if duration_s is not None:
        values["duration_s"] = round(duration_s * min(factor, 10.0), 1)
    if view_count is not None:
        values["view_count"] = int(view_count * factor)
    return replace(video, video_id=f"load-{number:07d}", title=title, values=values)


def keep_pictures(pictures: Sequence[Picture], directory: Path) -> None:
    """Write every picture under its content's name."""
    directory.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        file = directory / picture.file
        if not file.exists():
            file.write_bytes(picture.data)
