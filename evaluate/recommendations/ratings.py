"""People's ratings, each person's split into what is known of them and what is to be found."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from twinlens.backend.schemas.requests import MAX_SEEDS
from twinlens.catalog.errors import UsageError

LIKED_FROM: Final = 4.0
DISLIKED_TO: Final = 2.5
LEAST_LIKED: Final = 10
_COLUMNS: Final = ("user_id", "video_id", "rating")


@dataclass(frozen=True, slots=True)
class Person:
    """Video ids: half of what someone liked and disliked, known, and the other half, unknown."""

    name: str
    liked: Sequence[str]
    disliked: Sequence[str]
    to_find: Sequence[str]
    to_spare: Sequence[str]


def read_people(path: Path, video_ids: Collection[str], *, seed: int) -> list[Person]:
    """The people in ``path``, CSV or CSV.gz, who like at least ``LEAST_LIKED`` of ``video_ids``.

    A rating of at least ``LIKED_FROM`` is a like, one of at most ``DISLIKED_TO`` a dislike. Which
    half is known is drawn by lot; at most as many videos as a request may name.

    Raises:
        UsageError: a column is missing, a rating is no number, or nobody likes enough.
    """
    by_person: dict[str, dict[str, float]] = {}
    # ``open``, of a path with text that csv reads, has no mode for both.
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        missing = [name for name in _COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise UsageError(f"{path}: no column {missing[0]!r}; it has {rows.fieldnames}")
        for row in rows:
            try:
                rating = float(row["rating"])
            except (TypeError, ValueError) as error:
                raise UsageError(f"{path}, line {rows.line_num}: the rating: {error}") from error
            if row["video_id"] in video_ids:
                by_person.setdefault(row["user_id"], {})[row["video_id"]] = rating
    rng = np.random.default_rng(seed)
    people = []
    for name, ratings in sorted(by_person.items()):
        liked = sorted(one for one, rating in ratings.items() if rating >= LIKED_FROM)
        disliked = sorted(one for one, rating in ratings.items() if rating <= DISLIKED_TO)
        if len(liked) >= LEAST_LIKED:
            known, to_find = _halves(liked, rng)
            avoided, to_spare = _halves(disliked, rng)
            people.append(Person(name, known, avoided, to_find, to_spare))
    if not people:
        raise UsageError(f"{path}: nobody likes {LEAST_LIKED} or more of these videos")
    return people


def _halves(of: Sequence[str], rng: np.random.Generator) -> tuple[list[str], list[str]]:
    drawn = [of[at] for at in rng.permutation(len(of))]
    half = len(drawn) // 2
    return drawn[:half][:MAX_SEEDS], drawn[half:]
