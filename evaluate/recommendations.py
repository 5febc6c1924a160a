"""Recommendations measured on people's ratings: half of what each liked is told, half is sought."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from tqdm import tqdm

from twinlens.catalog.errors import UsageError
from twinlens.catalog.sources.csv_table import CsvTable
from twinlens.catalog.sources.rows import BadRecord, NoVideo
from twinlens.catalog.sources.tables import find_bad_cell
from twinlens.encoders.lenses import find_lenses
from twinlens.evaluate.measures import Mean, bootstrap_mean, measure_rankings
from twinlens.search.published import Snapshot
from twinlens.search.request import RecommendationRequest
from twinlens.stores.base import VectorReader

DEPTH: Final = 20
MEASURES: Final = ("nDCG@20", "R@20", "P@20")
DIVERSITIES: Final = (0.2, 0.4, 0.6)
POPULARITY: Final = "popularity"
LIKED: Final = "liked"
LIKED_AND_DISLIKED: Final = "liked and disliked"
LIKED_FROM: Final = 4.0
DISLIKED_TO: Final = 2.5
LEAST_LIKED: Final = 10
# As many as a request may name.
MOST_KNOWN: Final = 100
_COLUMNS: Final = ("user_id", "video_id", "rating")


class Person(NamedTuple):
    """Video ids: half of what someone liked and disliked, known, and the other half, unknown."""

    name: str
    liked: Sequence[str]
    disliked: Sequence[str]
    to_find: Sequence[str]
    to_spare: Sequence[str]


class Way(NamedTuple):
    """One way to recommend: its means over people.

    ``disliked`` is the mean share, among the first ``DEPTH``, of what the person disliked and the
    request did not say; ``likeness`` the mean cosine of two of them, by each lens.
    """

    recommended: str
    measures: Mapping[str, Mean]
    disliked: Mean
    likeness: Mapping[str, float]


def read_people(path: Path, video_ids: Collection[str], *, seed: int) -> list[Person]:
    """Read those in ``path``, CSV or CSV.gz, who like at least ``LEAST_LIKED`` of ``video_ids``.

    A rating of at least ``LIKED_FROM`` is a like, one of at most ``DISLIKED_TO`` a dislike. Which
    half is known is drawn by lot; of it at most ``MOST_KNOWN``.

    Raises:
        SourceError: it can't be read, or is empty.
        UsageError: a column is missing, a rating is no number, or nobody likes enough.
    """
    table = CsvTable(path)
    columns = table.read_column_names()
    for name in _COLUMNS:
        if name not in columns:
            raise UsageError(f"{path}: no column {name!r}; it has {columns}")
    by_person: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for record in table.read_records(_COLUMNS):
        where = f"{path}, row {record.row}"
        if isinstance(record, NoVideo):  # the header once more
            continue
        if isinstance(record, BadRecord):
            raise UsageError(f"{where}: {record.detail}")
        if (wrong := find_bad_cell(record)) is not None:
            raise UsageError(f"{where}: {wrong}")
        name, video_id, given = (str(record.cells[column]) for column in _COLUMNS)
        try:
            rating = float(given)
        except ValueError as error:
            raise UsageError(f"{where}: the rating: {error}") from error
        if video_id in video_ids:
            by_person[name][video_id] = rating
    rng = np.random.default_rng(seed)
    people = []
    for name, ratings in sorted(by_person.items()):
        liked = sorted(one for one, rating in ratings.items() if rating >= LIKED_FROM)
        disliked = sorted(one for one, rating in ratings.items() if rating <= DISLIKED_TO)
        if len(liked) >= LEAST_LIKED:
            known, to_find = _halve(liked, rng)
            avoided, to_spare = _halve(disliked, rng)
            people.append(Person(name, known, avoided, to_find, to_spare))
    if not people:
        raise UsageError(f"{path}: nobody likes {LEAST_LIKED} or more of these videos")
    return people


def draw_people(everyone: Sequence[Person], *, limit: int, seed: int) -> list[Person]:
    """At most ``limit`` people, drawn by lot, in the order given."""
    drawn = np.random.default_rng(seed).permutation(len(everyone))[:limit]
    return [everyone[at] for at in sorted(drawn)]


def measure_recommendations(
    snapshot: Snapshot, people: Sequence[Person], everyone: Sequence[Person]
) -> list[Way]:
    """Measure what the server recommends to ``people``, beside what most people like.

    ``everyone`` says by their likes what is popular.

    Raises:
        UsageError: ``ir-measures`` is not installed.
    """
    popular = Counter(video_id for person in everyone for video_id in person.liked)

    plain = RecommendationRequest(liked=(), limit=DEPTH)
    diverse = {one: replace(plain, diversity=one) for one in DIVERSITIES}
    ways = {LIKED: plain, LIKED_AND_DISLIKED: plain}
    ways |= {f"{LIKED_AND_DISLIKED}, diversity {one:g}": of for one, of in diverse.items()}

    def recommend(way: str, person: Person) -> list[str]:
        if way == POPULARITY:
            return recommend_popular(popular, person)
        avoided = () if way == LIKED else person.disliked
        request = replace(ways[way], liked=person.liked, disliked=avoided)
        return [hit.video_id for hit in snapshot.searcher.recommend(request).hits]

    qrels = {one.name: dict.fromkeys(one.to_find, 1) for one in people}
    found = []
    for name in (POPULARITY, *ways):
        ranked = {one.name: recommend(name, one) for one in tqdm(people, desc=name, leave=False)}
        per_person = measure_rankings(qrels, ranked, MEASURES, depth=DEPTH)
        avoided = [len({*ranked[one.name]} & {*one.to_spare}) / DEPTH for one in people]
        means = {measure: bootstrap_mean(values) for measure, values in per_person.items()}
        likeness = _compare_hits(list(ranked.values()), snapshot.reader)
        found.append(Way(name, means, bootstrap_mean(avoided), likeness))
    return found


def recommend_popular(popular: Mapping[str, int], person: Person) -> list[str]:
    """Return the ``DEPTH`` videos that most people like, but for those known of ``person``."""
    known = {*person.liked, *person.disliked}
    ordered = sorted((-count, video_id) for video_id, count in popular.items())
    return [video_id for _, video_id in ordered if video_id not in known][:DEPTH]


def _compare_hits(lists: Sequence[Sequence[str]], reader: VectorReader) -> dict[str, float]:
    """Return the mean cosine of two videos of one list, by each lens."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for ranked in lists:
        stored = reader.get(ranked, with_vectors=True).values()
        for name in find_lenses():
            rows = [one.vectors[name] for one in stored if name in one.vectors]
            if len(rows) > 1:
                cosines = np.stack(rows) @ np.stack(rows).T
                found[name].append(float(cosines[np.triu_indices(len(rows), 1)].mean()))
    return {name: float(np.mean(values)) for name, values in found.items()}


def _halve(of: Sequence[str], rng: np.random.Generator) -> tuple[list[str], list[str]]:
    drawn = [of[at] for at in rng.permutation(len(of))]
    half = len(drawn) // 2
    return drawn[:half][:MOST_KNOWN], drawn[half:]
