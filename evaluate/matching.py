"""Whether a match means what it says: fitted on all catalogues but one, judged on that one.

Queries that one video is the answer to stand against as many that none is: nonsense, and titles of
other catalogues. Each family counts alike within its half.

Source of the measure: Naeini, Cooper, Hauskrecht: Obtaining Well Calibrated Probabilities Using
Bayesian Binning, AAAI 2015 (expected calibration error).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from tqdm import tqdm

from twinlens.catalog.errors import UnencodableItems, UsageError
from twinlens.encoders.base import ThumbnailEncoder, TitleEncoder
from twinlens.encoders.lenses import TITLE
from twinlens.evaluate.index import index_corpus
from twinlens.evaluate.nonsense import NONSENSE, OFF_CATALOGUE, find_off_catalogue, make_nonsense
from twinlens.evaluate.tasks import Corpus, Task
from twinlens.search.matching import Calibration, Curve, Fit, Floats
from twinlens.search.request import SearchRequest
from twinlens.search.searcher import Searcher

UNANSWERED: Final = (NONSENSE, OFF_CATALOGUE)
# So that the second half of what is ranked by title has nothing to do with the query.
_LEAST_VIDEOS: Final = 100
_BINS: Final = 10
# What the floor may cost of the good first hits of each family.
_LOST: Final = 0.015
_SMOOTHING: Final = 1e-4
_START: Final = (8.0, -4.0, 80.0, -6.0)


class Asked(NamedTuple):
    """A query's first hit: how it fits, and whether it is the video that was meant.

    ``far`` is what its lead was counted from, None where no title of the ranking is its.
    """

    corpus: str
    family: str
    fit: Fit
    is_good: bool
    far: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A catalogue judged by a calibration that the others gave.

    ``error`` is the expected calibration error of first hits. ``lost`` is the share of good first
    hits below its floor, by family; ``answered`` the share of queries without an answer that have a
    first hit above it.
    """

    corpus: str
    queries: int
    error: float
    lost: Mapping[str, float]
    answered: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchReport:
    """The calibration that all catalogues give, and each judged by that of the others."""

    model: str
    calibration: Calibration
    judged: Sequence[Judged]

    def to_toml(self) -> str:
        """Return the calibration as a table of a file of them."""
        return self.calibration.to_toml(self.model)


def measure_matching(
    tasks: Sequence[Task],
    title_encoder: TitleEncoder,
    thumbnail_encoder: ThumbnailEncoder,
    *,
    limit: int,
    seed: int = 0,
    cache: Path | None = None,
    threads: int = 2,
) -> MatchReport:
    """Ask ``tasks``, and of each of their catalogues ``limit`` queries that it has no answer to.

    Raises:
        UsageError: there is one catalogue alone, or a small one, or too little to fit by.
    """
    by_corpus: dict[Corpus, list[Task]] = {}
    for task in tasks:
        if task.texts:
            by_corpus.setdefault(task.corpus, []).append(task)
    if len(by_corpus) < 2:
        raise UsageError("a match is judged on another catalogue: give at least two")
    for corpus in by_corpus:
        if len(corpus.videos) < _LEAST_VIDEOS:
            least = f"at least {_LEAST_VIDEOS}, so that most have nothing to do with a query"
            raise UsageError(f"{corpus.name} has {len(corpus.videos)} videos; it takes {least}")
    asked: list[Asked] = []
    for corpus, of in by_corpus.items():
        here = {video.video_id for video in corpus.videos}
        titles = [
            video.title
            for other in by_corpus
            for video in other.videos
            # Of parallel lines, those in another language have the same id.
            if video.video_id not in here and video.title is not None
        ]
        unanswered = {
            NONSENSE: make_nonsense(titles, limit=limit, seed=seed),
            OFF_CATALOGUE: find_off_catalogue(corpus, titles, limit=limit, seed=seed),
        }
        texts = [text for task in of for text in task.texts.values()]
        texts += [text for made in unanswered.values() for text in made]
        with index_corpus(
            corpus, title_encoder, thumbnail_encoder, cache=cache, threads=threads, texts=texts
        ) as index:
            asked += _ask(index.searcher, corpus, of, unanswered)
    judged = []
    for corpus in by_corpus:
        own = [one for one in asked if one.corpus == corpus.name]
        others = [one for one in asked if one.corpus != corpus.name]
        judged.append(judge(corpus.name, fit_calibration(others), own))
    return MatchReport(model=title_encoder.name, calibration=fit_calibration(asked), judged=judged)


def _ask(
    searcher: Searcher,
    corpus: Corpus,
    tasks: Sequence[Task],
    unanswered: Mapping[str, Sequence[str]],
) -> Iterable[Asked]:
    queries = [
        (task.family, text, task.qrels[query_id])
        for task in tasks
        for query_id, text in task.texts.items()
    ]
    queries += [(family, text, {}) for family, made in unanswered.items() for text in made]
    for family, text, relevant in tqdm(queries, desc=corpus.name, unit=" queries", leave=False):
        try:
            result = searcher.search(SearchRequest(text=text, limit=1))
        except UnencodableItems:
            continue
        for hit in result.hits:
            if hit.fit is not None:
                title = hit.sources.get(TITLE)
                far = None if title is None else title.score - hit.fit.lead
                yield Asked(corpus.name, family, hit.fit, hit.video_id in relevant, far)


def fit_calibration(asked: Sequence[Asked]) -> Calibration:
    """Return the curves under which ``asked`` is likeliest, and the floor.

    Raises:
        UsageError: a package is missing, or some queries have to be good and others not.
    """
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise UsageError("this needs scipy: pip install 'twinlens[evaluate]'") from error
    good = np.array([one.is_good for one in asked], dtype=np.float64)
    if not good.any() or good.all():
        raise UsageError("a match is fitted by queries of which some have an answer, and some none")
    far = float(np.mean([one.far for one in asked if one.far is not None]))
    words, leads = np.array([one.fit for one in asked]).T
    weights = weigh_families(asked)

    def draw(curves: Floats) -> Calibration:
        of_words, of_title = (Curve(*pair) for pair in curves.reshape(2, 2).tolist())
        return Calibration(words=of_words, title=of_title, far=far, floor=0.0)

    def lose(curves: Floats) -> float:
        likely = np.clip(draw(curves).measure_all(words, leads), 1e-6, 1 - 1e-6)
        losses = good * np.log(likely) + (1 - good) * np.log(1 - likely)
        return float(-(weights * losses).sum() + _SMOOTHING * (curves[[0, 1, 3]] ** 2).sum())

    bounds = [(0.1, None), (None, None)] * 2  # curves rise
    calibration = draw(minimize(lose, _START, method="L-BFGS-B", bounds=bounds).x)
    kept = [
        float(np.quantile(of, _LOST)) for of in _measure_good(asked, calibration).values() if of
    ]
    return replace(calibration, floor=max(0.0, min(kept)))


def judge(corpus: str, calibration: Calibration, asked: Sequence[Asked]) -> Judged:
    """Return what a calibration is worth on the queries of a catalogue that had no say in it."""
    matches = calibration.measure_all(*np.array([one.fit for one in asked]).T)
    good = np.array([one.is_good for one in asked], dtype=np.float64)
    lost = {
        family: float(np.mean(np.array(of) < calibration.floor))
        for family, of in _measure_good(asked, calibration).items()
        if of
    }
    answered = {
        family: float(np.mean(matches[of] >= calibration.floor))
        for family in UNANSWERED
        if (of := np.array([one.family == family for one in asked])).any()
    }
    error = measure_calibration_error(matches, good, weigh_families(asked))
    return Judged(corpus=corpus, queries=len(asked), error=error, lost=lost, answered=answered)


def measure_calibration_error(said: Floats, good: Floats, weights: Floats) -> float:
    """Return by how much the said and the seen differ on average, over ten bins of what is said."""
    bins = np.minimum((said * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights * (said - good), _BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def weigh_families(asked: Sequence[Asked]) -> Floats:
    """Return a weight each, together 1: half for queries with an answer, half for those without."""
    sizes = Counter(one.family for one in asked)
    halves = Counter(family in UNANSWERED for family in sizes)
    several = len(halves)
    return np.array(
        [1 / (several * halves[one.family in UNANSWERED] * sizes[one.family]) for one in asked]
    )


def _measure_good(asked: Sequence[Asked], calibration: Calibration) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for one in asked:
        if one.is_good:
            found.setdefault(one.family, []).append(calibration.measure(one.fit))
    return found
