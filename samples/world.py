"""What is true in a drawn log: hidden qualities of videos, days of fashion, people's tastes.

Times are days since `START`. What adds up to an appeal is in logits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from twinlens.samples.subjects import SUBJECTS
from twinlens.samples.titles import LANGUAGES

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

DAYS: Final = 28
# The drawn catalogue ends when the log does: its latest videos are published meanwhile.
START: Final = datetime(2026, 6, 1, tzinfo=UTC) - timedelta(days=DAYS)
SUBJECT_NAMES: Final = tuple(SUBJECTS)
# Of each region: how many of its people speak English, Sinhala and Tamil.
REGIONS: Final = {
    "GB": (0.85, 0.1, 0.05),
    "IN": (0.4, 0.0, 0.6),
    "LK-N": (0.15, 0.15, 0.7),
    "LK-W": (0.3, 0.65, 0.05),
}
DEVICES: Final = ("desktop", "phone", "tv")
GENDERS: Final = ("f", "m", "x")
_CLICKBAIT_SHARE: Final = 0.1
_SERIES_SHARE: Final = 0.4
_PARTS: Final = 3
_MOST_VISITS: Final = 30
# A day's visits begin in one of six parts of it, in the evening more than at night.
_BY_HOUR: Final = np.tile((0.3, 0.2, 0.6, 0.8, 1.2, 1.5), DAYS)


@dataclass(frozen=True, eq=False, kw_only=True)
class Videos:
    """A catalogue by row, and what only its maker knows; arrays are (videos,).

    ``quality`` lies within ±1. ``parts`` of a series count from 1, 0 is in none; ``previous`` is
    the row of the part before or -1.
    """

    rows: Sequence[Mapping[str, Any]]
    subjects: Ints
    languages: Ints
    channels: Ints
    durations_s: Floats
    published: Floats
    quality: Floats
    clickbait: Mask
    parts: Ints
    previous: Ints

    @classmethod
    def read(cls, rows: Sequence[Mapping[str, Any]]) -> Self:
        """Return the videos of a drawn catalogue; what is hidden follows from their ids."""
        lots = np.array([_draw_lots(row["video_id"]) for row in rows])
        channels = np.unique([row["channel"] for row in rows], return_inverse=True)[1]
        moments = [datetime.fromisoformat(row["published_at"]) for row in rows]
        published = np.array([(moment - START) / timedelta(days=1) for moment in moments])
        # A channel's chosen videos, the oldest first, are parts of series, three by three.
        chosen = np.flatnonzero(lots[:, 2] < _SERIES_SHARE)
        chosen = chosen[np.lexsort((published[chosen], channels[chosen]))]
        first = np.searchsorted(channels[chosen], channels[chosen])
        parts, previous = np.zeros(len(rows), np.int64), np.full(len(rows), -1)
        parts[chosen] = (np.arange(len(chosen)) - first) % _PARTS + 1
        previous[chosen[1:]] = np.where(parts[chosen[1:]] > 1, chosen[:-1], -1)
        return cls(
            rows=rows,
            subjects=np.array([SUBJECT_NAMES.index(row["subject"]) for row in rows]),
            languages=np.array([LANGUAGES.index(row["language"]) for row in rows]),
            channels=channels,
            durations_s=np.array([row["duration_s"] for row in rows], dtype=np.float64),
            published=published,
            quality=2 * lots[:, 0] - 1,
            clickbait=lots[:, 1] < _CLICKBAIT_SHARE,
            parts=parts,
            previous=previous,
        )


def _draw_lots(video_id: str) -> list[float]:
    digest = hashlib.sha256(f"twinlens drawn log/{video_id}".encode()).digest()
    return [int.from_bytes(digest[at : at + 8], "big") / 2**64 for at in (0, 8, 16)]


class Tastes:
    """What kinds of people like, (kinds, subjects) each, and the day on which a subject peaks."""

    def __init__(self, rng: np.random.Generator) -> None:
        count = len(SUBJECT_NAMES)
        self.regions, self.genders, self.decades = (
            rng.normal(0, 0.6, (kinds, count)) for kinds in (len(REGIONS), len(GENDERS), 7)
        )
        self.peaks = DAYS * (rng.permutation(count) + 0.5) / count

    def find_fashion(self, days: Floats) -> Floats:
        """Return how much more each subject appeals on days, (days, subjects)."""
        fashion: Floats = 1.8 * np.exp(-(((days[:, None] - self.peaks) / 3.5) ** 2))
        return fashion


class People:
    """Some people drawn by lot; arrays are (people,) or have a column a subject, channel, language.

    ``eagerness`` is to click, ``patience`` to watch on. ``pages`` are the days on which they ask
    for a page, rising, NaN after the last; ``begins`` marks the first page of a visit.
    """

    def __init__(self, rng: np.random.Generator, count: int, tastes: Tastes, channels: int) -> None:
        self.regions = rng.integers(len(REGIONS), size=count)
        shares = np.cumsum([*REGIONS.values()], axis=1)[self.regions]
        self.languages = (rng.random((count, 1)) > shares[:, :-1]).sum(axis=1)
        self.devices = rng.choice(len(DEVICES), size=count, p=(0.3, 0.55, 0.15))
        self.genders = rng.choice(len(GENDERS), size=count, p=(0.47, 0.47, 0.06))
        self.ages = rng.integers(13, 80, size=count)
        self.logged_in = rng.random(count) < 0.7
        kinds = tastes.regions[self.regions] + tastes.genders[self.genders]
        kinds += tastes.decades[self.ages // 12] + rng.normal(0, 0.7, kinds.shape)
        # Who is not logged in looks around more than for anything of their own.
        self.taste = kinds * np.where(self.logged_in, 1.0, 0.4)[:, None]
        self.loyalty = rng.normal(0, 0.4, (count, channels))
        self.speaks = np.tile((-0.3, -1.5, -1.5), (count, 1))
        self.speaks[np.arange(count), self.languages] = 0.5
        self.eagerness, self.patience = rng.normal(0, 0.4, (2, count))
        # Visits of up to three pages, some 50 minutes from one to the next.
        order = np.argsort(-np.log(_BY_HOUR) - rng.gumbel(size=(count, len(_BY_HOUR))), axis=1)
        begins = order[:, :_MOST_VISITS] + rng.random((count, _MOST_VISITS)) / 2
        begins[np.arange(_MOST_VISITS) >= 2 + rng.geometric(1 / 6, (count, 1))] = np.nan
        pages = begins[:, :, None] + (0.0, 0.2, 0.4)
        pages[rng.random(pages.shape) > (1.0, 0.6, 0.3)] = np.nan
        by_time = np.argsort(pages.reshape(count, -1), axis=1)
        self.pages = np.take_along_axis(pages.reshape(count, -1), by_time, axis=1) * (
            DAYS / len(_BY_HOUR)
        )
        self.begins = by_time % 3 == 0
