"""What every ranker keeps to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.recommender.drawn_events import NOW, make_event, watch
from tests.recommender.library import VIDEOS, Backwards, LongestTitle
from tests.recommender.test_ranking_model import TRAINED
from twinlens.events.event import EventType
from twinlens.recommender.candidates import Candidate, FeedQuery, Ranker, SourceRank
from twinlens.recommender.person import Person
from twinlens.recommender.ranking_model import WatchTimeRanker
from twinlens.recommender.videos import VideoTable
from twinlens.stores.base import StoredVideo

# A ranker that is added needs a line here.
RANKERS: dict[str, Ranker] = {
    "watch-time": WatchTimeRanker(TRAINED.model, VideoTable.from_videos(VIDEOS)),
    "longest-title": LongestTitle(),
    "backwards": Backwards(),
}
CANDIDATES = [Candidate(one, {"fresh": SourceRank(at + 1, 0.5)}) for at, one in enumerate(VIDEOS)]
PAST = [
    watch("p", "cricket-5"),
    make_event(EventType.IMPRESSION, "p", "cricket-15"),
    make_event(EventType.LIKE, "p", "gone from the catalogue"),
]
QUERY = FeedQuery(person=Person.from_events(PAST, "p"), at=NOW)


@pytest.fixture(params=list(RANKERS))
def ranker(request: pytest.FixtureRequest) -> Ranker:
    return RANKERS[request.param]


def test_each_candidate_has_a_finite_number_and_none_has_none(ranker: Ranker) -> None:
    ranked = ranker.rank(QUERY, CANDIDATES)
    assert ranked.shape == (len(CANDIDATES),)
    assert np.isfinite(ranked).all()
    assert not ranker.predicts_seconds or (ranked >= 0).all()
    assert ranker.rank(QUERY, []).shape == (0,)
    assert ranker.name


def test_the_same_is_ranked_the_same(ranker: Ranker) -> None:
    assert (ranker.rank(QUERY, CANDIDATES) == ranker.rank(QUERY, CANDIDATES)).all()


def test_strangers_and_unknown_videos_are_no_error(ranker: Ranker) -> None:
    unknown = Candidate(StoredVideo("unknown", {"video_id": "unknown", "title": "?"}))
    for query in (replace(QUERY, person=Person()), replace(QUERY, seed_video_id="gone")):
        assert np.isfinite(ranker.rank(query, [unknown, CANDIDATES[0]])).all()
