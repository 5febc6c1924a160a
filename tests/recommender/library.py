"""A hundred and twenty small videos of thirty channels, open for feeds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np

from tests.backend.catalogue import Catalogue
from tests.fakes import MemoryReader, sparse_words
from tests.recommender.drawn_events import NOW, watch
from twinlens.catalog.vectors import Vector
from twinlens.encoders.lenses import TITLE
from twinlens.events.tables import to_table
from twinlens.recommender.candidate_model import CandidateModel
from twinlens.recommender.candidate_training import TrainingOptions, export_model, train_candidates
from twinlens.recommender.candidates import Candidate, FeedQuery
from twinlens.recommender.interactions import Interactions
from twinlens.recommender.videos import VideoTable
from twinlens.search.browser import Browser
from twinlens.search.published import Snapshot
from twinlens.search.searcher import Searcher
from twinlens.stores.base import ScoredVideo, StoredVideo

TOPICS = ("cricket", "kitchen", "beach", "music", "news")
FUTURE = "future-0"


def make_video(number: int) -> StoredVideo:
    topic = TOPICS[number % len(TOPICS)]
    payload: dict[str, Any] = {
        "video_id": f"{topic}-{number}",
        "title": f"{topic} film number {number}",
        "channel": f"channel {number % 30}",
        "category": topic,
        "language": ("en", "si", "ta")[number % 3],
        "tags": [topic],
        "view_count": (number * 37) % 1000,
        "duration_s": 100.0,
    }
    if number % 10:
        moment = NOW - timedelta(days=number)
        payload["published_at"] = moment.isoformat().replace("+00:00", "Z")
    return _embed(payload)


def make_future_video() -> StoredVideo:
    moment = (NOW + timedelta(days=2)).isoformat().replace("+00:00", "Z")
    payload = {
        "video_id": FUTURE,
        "title": "cricket film of the day after tomorrow",
        "channel": "channel 0",
        "category": "cricket",
        "language": "en",
        "tags": ["cricket"],
        "view_count": 10**9,
        "duration_s": 100.0,
        "published_at": moment,
    }
    return _embed(payload)


def _embed(payload: dict[str, Any]) -> StoredVideo:
    vector = CATALOGUE.titles.encode([payload["title"]])[0]
    title = payload["title"]
    return StoredVideo(payload["video_id"], payload, {TITLE: vector}, sparse_words(title))


CATALOGUE = Catalogue()
VIDEOS: Sequence[StoredVideo] = [*map(make_video, range(120)), make_future_video()]
BY_ID = {video.video_id: video for video in VIDEOS}


def open_library(videos: Sequence[StoredVideo] = VIDEOS, *, generation: str = "g1") -> Snapshot:
    """A generation of these videos."""
    reader = MemoryReader(videos)
    return Snapshot(
        manifest=CATALOGUE.manifest(generation),
        lenses=CATALOGUE.lenses,
        reader=reader,
        searcher=Searcher(reader, generation=generation, lenses=CATALOGUE.lenses),
        browser=Browser(reader, generation=generation),
        suggestions=None,
    )


@cache
def train_library_model() -> CandidateModel:
    """A small network that has learned from some people."""
    videos = VideoTable.from_videos(VIDEOS)
    past = [
        watch(f"p{person}", VIDEOS[(person * 7 + number * 5) % 100].video_id)
        for person in range(20)
        for number in range(6)
    ]
    known = Interactions.from_events(to_table(past), videos)
    options = TrainingOptions(epochs=1, dim=4, hidden=(), negatives=8)
    return export_model(train_candidates(known, videos, options), videos)


class LongestTitle:
    """A ranker of its own kind: a second for each letter of the title."""

    name = "longest-title"
    predicts_seconds = True

    def rank(self, query: FeedQuery, candidates: Sequence[Candidate]) -> Vector:
        lengths = [len(one.video.payload["title"]) for one in candidates]
        return np.array(lengths, dtype=np.float32)


class Backwards:
    """A ranker whose scores are no seconds, and below 0."""

    name = "backwards"
    predicts_seconds = False

    def rank(self, query: FeedQuery, candidates: Sequence[Candidate]) -> Vector:
        return -np.arange(len(candidates), 0, -1, dtype=np.float32)


class Alphabetical:
    """A source of its own kind: all videos by their ids."""

    name = "alphabetical"

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def find(self, query: FeedQuery, *, limit: int) -> Sequence[ScoredVideo]:
        videos = self._snapshot.reader.browse(limit=1000, filter=query.filter)
        names = sorted(one.video_id for one in videos if one.video_id not in query.exclude)
        return [ScoredVideo(name, -float(at)) for at, name in enumerate(names[:limit])]
