"""Thirty-one small videos, or more of them, with the encoders that index them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from PIL import Image

from tests.fakes import ColourEncoder, WordEncoder
from tests.stores.catalogue import manifest
from twinlens.catalog.fields import FIELDS, FieldKind, FieldValue
from twinlens.catalog.video import Video, to_payload
from twinlens.encoders.lens import Lenses
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS, WordsLens, make_own_lenses
from twinlens.search.matching import open_calibration
from twinlens.search.suggestion_file import write_suggestions
from twinlens.stores.base import StoredVideo
from twinlens.stores.browsing import count_facet
from twinlens.stores.document_frequencies import FrequencyCounter, write_frequencies
from twinlens.stores.generations import (
    CALIBRATIONS_FILE,
    FREQUENCIES_FORMAT,
    SUGGESTIONS_FILE,
    DataDir,
    LensRecord,
    Manifest,
)

COLOURS = {"beach": (235, 200, 60), "kitchen": (200, 60, 60), "cricket": (40, 180, 60)}
# Whatever a path could trip over, of what the indexer takes.
ODD_ID = "a\\b?c=d&e#f;g+h %2F%25 ක්‍රිකට් \u00e9😀"
ODD_TITLE = "<b>odd</b> & ක්‍රිකට් தமிழ்"


def picture_bytes(colour: tuple[int, int, int], *, shade: int = 0, kind: str = "PNG") -> bytes:
    picture = Image.new("RGB", (48, 36), colour)
    picture.paste(Image.new("RGB", (12, 36), (shade * 7 % 256, 20, shade * 3 % 256)))
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


# What kitchen-4 looks like.
RED = picture_bytes(COLOURS["kitchen"], shade=4)


def file_name_of(picture: bytes) -> str:
    return hashlib.sha256(picture).hexdigest() + ".png"


def values_by_kind(number: int) -> dict[str, FieldValue]:
    """Some value for every field there may be, that of ``number``; none for texts."""
    of_kind: dict[FieldKind, FieldValue] = {
        FieldKind.KEYWORD: f"n{number % 3}",
        FieldKind.KEYWORDS: (f"n{number}",),
        FieldKind.MOMENT: datetime(2020 + number % 5, 1, 1, tzinfo=UTC),
        FieldKind.COUNT: 100 * number,
        FieldKind.DURATION: 60.0 * (number + 1),
    }
    return {row.name: of_kind[row.kind] for row in FIELDS if row.kind in of_kind}


@dataclass
class Catalogue:
    """Videos as they are indexed, with the encoders that index them."""

    titles: WordEncoder = field(default_factory=WordEncoder)
    thumbnails: ColourEncoder = field(default_factory=ColourEncoder)
    per_subject: int = 10
    # The ids of the first of them, where something else names ids.
    first_ids: Sequence[str] = ()

    @property
    def lenses(self) -> Lenses:
        return make_own_lenses(self.titles, self.thumbnails)

    def videos(self) -> list[Video]:
        made = [
            Video(
                video_id=f"{subject}-{number}",
                title=f"{subject} film number {number}",
                thumbnail=picture_bytes(colour, shade=number),
                values=values_by_kind(number)
                | {
                    "channel": f"{subject} channel",
                    "category": subject,
                    "language": ("en", "si", "ta")[number % 3],
                    "tags": (subject, f"n{number}"),
                },
            )
            for subject, colour in COLOURS.items()
            for number in range(self.per_subject)
        ]
        for number, video_id in enumerate(self.first_ids):
            made[number] = replace(made[number], video_id=video_id)
        return [*made, Video(video_id=ODD_ID, title=ODD_TITLE)]

    def stored(self, videos: Sequence[Video] | None = None) -> list[StoredVideo]:
        found = []
        for video in self.videos() if videos is None else videos:
            vectors = {TITLE: self.titles.encode([video.title or ""])[0]}
            thumbnail_file = None
            if isinstance(video.thumbnail, bytes):
                with Image.open(io.BytesIO(video.thumbnail)) as picture:
                    vectors[THUMBNAIL] = self.thumbnails.encode([picture])[0]
                thumbnail_file = file_name_of(video.thumbnail)
            payload = to_payload(video, thumbnail_file=thumbnail_file)
            [words] = WordsLens().encode([WordsLens().item(video, None)])
            sparse = {} if words is None else {WORDS: words}
            found.append(StoredVideo(video.video_id, payload, vectors, sparse))
        return found

    def manifest(self, generation: str) -> Manifest:
        videos = self.videos()
        every, pictured = len(videos), sum(one.thumbnail is not None for one in videos)
        return replace(
            manifest("embedded", None),
            generation=generation,
            lenses={
                name: LensRecord(lens.model, lens.fingerprint, lens.dim)
                for name, lens in self.lenses.items()
            },
            counts={"videos": every, "title": every, "thumbnail": pictured, "words": every},
        )

    def publish(self, data: DataDir, generation: str) -> Manifest:
        data.locate_generation(generation).mkdir(parents=True, exist_ok=True)
        data.thumbnails.mkdir(exist_ok=True)
        for video in self.videos():
            if isinstance(video.thumbnail, bytes):
                (data.thumbnails / file_name_of(video.thumbnail)).write_bytes(video.thumbnail)
        stored = self.stored()
        folder = data.locate_generation(generation)
        write_suggestions(folder / SUGGESTIONS_FILE, [one.payload for one in stored])
        counter = FrequencyCounter([WORDS])
        counter.add(stored)
        write_frequencies(folder, counter.finish())
        # By words alone, as if that had been fitted for these encoders: they know no meaning.
        by_words = open_calibration({}, data.path)
        calibrations = by_words.to_toml(self.titles.name)
        (data.path / CALIBRATIONS_FILE).write_text(calibrations, encoding="utf-8")
        manifest = replace(self.manifest(generation), frequencies=FREQUENCIES_FORMAT)
        data.publish(manifest)
        return manifest


FACETS = [row.name for row in FIELDS.facets]


def count_facets(videos: Sequence[StoredVideo]) -> dict[str, dict[str, Any]]:
    """The facets of all fields over ``videos``, as an answer has them."""
    facets: dict[str, dict[str, Any]] = {}
    for name in FACETS:
        if FIELDS[name] in FIELDS.counted:
            counts = count_facet(videos, name, limit=100, filter=None, fields=FIELDS)
            facets[name] = {"values": [{"value": v, "count": n} for v, n in counts]}
        else:
            values = [one.payload[name] for one in videos if name in one.payload]
            facets[name] = {"min": min(values, default=None), "max": max(values, default=None)}
    return facets
