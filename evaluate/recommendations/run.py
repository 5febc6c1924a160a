"""What the served recommendations find, beside what is simpler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from tqdm import tqdm

from twinlens.catalog.vectors import unit_rows
from twinlens.encoders.lenses import DEFAULT_WEIGHTS, THUMBNAIL, TITLE, WORDS
from twinlens.encoders.words import query_words, words_coverage
from twinlens.evaluate.bootstrap import Mean, mean
from twinlens.evaluate.recommendations.ratings import Person
from twinlens.evaluate.search.metrics import figures
from twinlens.search.fusion import fuse, weigh_rankings
from twinlens.search.request import DEFAULT_RRF_K, RecommendationRequest
from twinlens.search.searcher import Searcher
from twinlens.stores.base import ScoredVideo, VectorQuery, VectorReader

DEPTH: Final = 20
MEASURES: Final = ("nDCG@20", "R@20", "P@20")
DIVERSITIES: Final = (0.2, 0.4, 0.6)
POPULARITY: Final = "popularity"
MEAN_DIRECTION: Final = "mean direction"
LIKED: Final = "liked"
LIKED_AND_DISLIKED: Final = "liked and disliked"
_WINDOW: Final = 200

Ranked = list[str]


@dataclass(frozen=True, slots=True)
class Row:
    """One way to recommend: its means over people.

    ``disliked`` is the mean share, among the first ``DEPTH``, of what the person disliked and the
    request did not say; ``likeness`` the mean cosine of two of them, by each lens.
    """

    name: str
    measures: Mapping[str, Mean]
    disliked: Mean
    likeness: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """All of it by name."""
        return {
            "recommended": self.name,
            **{name: value.to_json() for name, value in self.measures.items()},
            "disliked": self.disliked.to_json(),
            "likeness": {str(name): round(value, 4) for name, value in self.likeness.items()},
        }


def measure(
    searcher: Searcher, reader: VectorReader, people: Sequence[Person], everyone: Sequence[Person]
) -> list[Row]:
    """A row for each way to recommend to ``people``; ``everyone`` is who makes things popular."""
    popular = Counter(video_id for person in everyone for video_id in person.liked)

    def ask(person: Person, *, disliked: bool = True, diversity: float = 0.0) -> Ranked:
        request = RecommendationRequest(
            liked=person.liked,
            disliked=person.disliked if disliked else (),
            limit=DEPTH,
            diversity=diversity,
        )
        return [hit.video_id for hit in searcher.recommend(request).hits]

    ways: dict[str, Callable[[Person], Ranked]] = {
        POPULARITY: lambda person: _popular(popular, person),
        MEAN_DIRECTION: lambda person: _by_mean(reader, person),
        LIKED: lambda person: ask(person, disliked=False),
        LIKED_AND_DISLIKED: ask,
    }
    for diversity in DIVERSITIES:
        name = f"{LIKED_AND_DISLIKED}, diversity {diversity:g}"
        ways[name] = partial(ask, diversity=diversity)
    rows = []
    for name, way in ways.items():
        ranked = {one.name: way(one) for one in tqdm(people, desc=name, leave=False)}
        rows.append(_row(name, ranked, people, reader))
    return rows


def _popular(popular: Counter[str], person: Person) -> Ranked:
    # A person's own likes are known of them, and no reason to recommend the same again.
    known = {*person.liked, *person.disliked}
    ordered = sorted((-count, video_id) for video_id, count in popular.items())
    return [video_id for _, video_id in ordered if video_id not in known][:DEPTH]


def _by_mean(reader: VectorReader, person: Person) -> Ranked:
    """One query by the middle of all that was liked, and its words, fused as a search is."""
    known = {*person.liked, *person.disliked}
    seeds = list(reader.get(person.liked, with_vectors=True).values())
    vectors: dict[str, Any] = {}
    for name in (TITLE, THUMBNAIL):
        of = [seed.vectors[name] for seed in seeds if name in seed.vectors]
        if of:
            vectors[name] = unit_rows(np.mean(np.stack(of), axis=0, dtype=np.float64))[0]
    words = query_words(" ".join(str(seed.payload.get("title", "")) for seed in seeds))
    if words is not None:
        vectors[WORDS] = words
    answers = reader.search(
        [VectorQuery(name, vector, _WINDOW + len(known)) for name, vector in vectors.items()]
    )
    rankings: dict[str, list[ScoredVideo]] = {
        name: [one for one in answer if one.video_id not in known][:_WINDOW]
        for name, answer in zip(vectors, answers, strict=True)
    }
    weights = dict(DEFAULT_WEIGHTS)
    if words is not None and rankings[WORDS]:
        best = rankings[WORDS][0].video_id
        title = str(reader.get([best])[best].payload.get("title", ""))
        weights[WORDS] *= words_coverage(words, title)
    fused = fuse(weigh_rankings(rankings, weights), limit=DEPTH, k=DEFAULT_RRF_K)
    return [one.video_id for one in fused]


def _row(
    name: str, ranked: Mapping[str, Ranked], people: Sequence[Person], reader: VectorReader
) -> Row:
    qrels = {one.name: dict.fromkeys(one.to_find, 1) for one in people}
    per_person = figures(qrels, ranked, MEASURES, depth=DEPTH)
    spared = [len({*ranked[one.name]} & {*one.to_spare}) / DEPTH for one in people]
    return Row(
        name,
        {measure: mean(values) for measure, values in per_person.items()},
        mean(spared),
        _likeness(list(ranked.values()), reader),
    )


def _likeness(lists: Sequence[Ranked], reader: VectorReader) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in (TITLE, THUMBNAIL)}
    for ranked in lists:
        stored = reader.get(ranked, with_vectors=True).values()
        for name in (TITLE, THUMBNAIL):
            rows = [one.vectors[name] for one in stored if name in one.vectors]
            if len(rows) > 1:
                cosines = np.stack(rows) @ np.stack(rows).T
                found[name].append(float(cosines[np.triu_indices(len(rows), 1)].mean()))
    return {name: float(np.mean(values)) for name, values in found.items() if values}
