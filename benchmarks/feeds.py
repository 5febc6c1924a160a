"""What a feed takes, over drawn videos and events: for a stranger, a person, and a person again.

The videos have drawn vectors of 64 numbers by two lenses, and payloads of half a kilobyte, in the
embedded engine; the events are in SQLite. A model of both networks has seen them once. The whole
application is asked, without a socket. A person again is one whose likes are known from the time
before: what remains is the time outside of like-history.

Example:
    python -m twinlens.benchmarks.feeds --videos 100000 --keep drawn --json feeds.json
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import pyarrow as pa

from twinlens.backend.access import Policy
from twinlens.backend.app import create_app
from twinlens.benchmarks.searching import measure_in_turns, report
from twinlens.catalog.vectors import FloatMatrix, unit_rows
from twinlens.encoders.lenses import THUMBNAIL, TITLE, make_own_lenses
from twinlens.events.event import Event, EventType
from twinlens.events.sqlite_log import EVENTS_FILE, SqliteEventLog
from twinlens.recommender.candidate_model import LearnedSource
from twinlens.recommender.candidate_training import TrainingOptions, export_model, train_candidates
from twinlens.recommender.feed import FeedModel
from twinlens.recommender.interactions import Interactions
from twinlens.recommender.pages import Feeds
from twinlens.recommender.popularity import Popularity
from twinlens.recommender.ranking_model import WatchTimeRanker
from twinlens.recommender.ranking_training import RankingExamples, RankingOptions, train_ranker
from twinlens.recommender.videos import VideoTable
from twinlens.search.published import PublishedIndex
from twinlens.stores.base import StoredVideo
from twinlens.stores.edge import EdgeReader, EdgeStore
from twinlens.stores.generations import DataDir, LensRecord, Manifest

_DIM: Final = 64
_BATCH: Final = 2_000
_PEOPLE: Final = 2_000
_WATCHES: Final = 30
_KEY: Final = "a-key-of-the-benchmark"
_NOW: Final = datetime.now(UTC).replace(microsecond=0)


class _Drawn:
    """An encoder whose vectors the videos have already; it is never asked for others."""

    dim = _DIM
    fingerprint = "0000000000000000"
    input_size = (8, 8)

    def __init__(self, name: str) -> None:
        self.name = name

    def encode(self, items: Sequence[Any]) -> FloatMatrix:
        """Return the same direction for each."""
        return unit_rows(np.ones((len(items), _DIM), dtype=np.float32))

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """See ``encode``."""
        return self.encode(texts)


@click.command()
@click.option("--videos", type=click.IntRange(1_000), default=100_000, show_default=True)
@click.option("--queries", type=click.IntRange(1), default=100, show_default=True)
@click.option("--rounds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Where the drawn videos are kept.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write samples, too.")
@click.option("--without-model", is_flag=True, help="By the sources that need no training.")
def main(
    videos: int,
    queries: int,
    rounds: int,
    keep: Path | None,
    json_path: Path | None,
    without_model: bool,
) -> None:
    """Measure feeds over drawn videos."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="twinlens-feeds-")))
        store = (keep or scratch) / f"{videos}"
        if not store.exists():
            draw_videos(store, videos)
        log = stack.enter_context(closing(SqliteEventLog(scratch / EVENTS_FILE)))
        draw_events(log, videos)
        popularity = Popularity(log)
        popularity.refresh()
        popularity.follow()
        stack.callback(popularity.close)
        model = None if without_model else train_model(store, log)
        client = open_app(stack, store, scratch, log, popularity, videos, model)
        gc.freeze()  # as a worker does
        people = iter(range(10**9))

        def ask(person_ids: Sequence[str]) -> list[tuple[float, Mapping[str, float]]]:
            answers: list[tuple[float, Mapping[str, float]]] = []
            for one in person_ids:
                started, worked = time.perf_counter(), time.thread_time()
                answer = client.post(
                    "/api/v1/feed", json={"person_id": one}, headers={"X-API-Key": _KEY}
                )
                waited_ms = (time.perf_counter() - started) * 1000
                worked_ms = (time.thread_time() - worked) * 1000
                told = answer.get_json()["timings_ms"]
                answers.append((waited_ms, {"a core's time": worked_ms, **told}))
            return answers

        def strangers() -> Mapping[str, float]:
            return summarise("stranger", ask([f"new-{next(people)}" for _ in range(queries)]))

        def first_and_again() -> Mapping[str, float]:
            asked = [f"p{next(people) % _PEOPLE}" for _ in range(queries)]
            first = summarise("person", ask(asked))
            return {**first, **summarise("person again", ask(asked))}

        samples = measure_in_turns(
            {"strangers": strangers, "people": first_and_again}, rounds=rounds
        )
    report(json_path, "milliseconds", samples, {}, videos=videos, samples_ms=samples)


def summarise(
    kind: str, answers: Sequence[tuple[float, Mapping[str, float]]]
) -> Mapping[str, float]:
    """Return the medians of what was waited and of each stage, and what one of twenty waited."""
    waited = [one for one, _ in answers]
    found = {
        f"{kind}: p50": float(np.median(waited)),
        f"{kind}: p95": float(np.quantile(waited, 0.95)),
    }
    for stage in answers[0][1]:
        found[f"{kind}: {stage}"] = float(np.median([one[stage] for _, one in answers]))
    return found


def draw_videos(path: Path, count: int) -> None:
    """Write so many videos of a hundredth as many channels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with closing(EdgeStore.create(path, {TITLE: _DIM, THUMBNAIL: _DIM})) as store:
        for start in range(0, count, _BATCH):
            rows = range(start, min(start + _BATCH, count))
            titles, pictures = (unit_rows(rng.standard_normal((len(rows), _DIM))) for _ in range(2))
            store.upsert(
                [
                    StoredVideo(
                        make_video_id(row),
                        make_payload(row, count),
                        {TITLE: titles[at], THUMBNAIL: pictures[at]},
                    )
                    for at, row in enumerate(rows)
                ]
            )
        store.optimize()
        store.flush()


def make_video_id(row: int) -> str:
    """Return the id of a drawn video."""
    return f"video-{row:08d}"


def make_payload(row: int, count: int) -> dict[str, Any]:
    """Return what is stored of a drawn video; the first are the newest."""
    published = _NOW - timedelta(minutes=5 * (row + 1))
    return {
        "video_id": make_video_id(row),
        "title": f"The title of a video that was drawn as number {row} of many",
        "channel": f"channel {row % max(1, count // 100)}",
        "category": f"category {row % 20}",
        "language": ("si", "ta", "en")[row % 3],
        "tags": [f"tag {row % 100}", f"tag {row % 37}", f"tag {row % 1009}"],
        "published_at": published.isoformat().replace("+00:00", "Z"),
        "duration_s": float(60 + row % 600),
        "view_count": 10**6 // (1 + row % 9973),
        "url": f"https://example.org/watch?v={row}",
    }


def draw_events(log: SqliteEventLog, videos: int) -> None:
    """Let people watch, few videos much and many little, and be shown what they don't watch."""
    rng = np.random.default_rng(1)
    for person in range(_PEOPLE):
        rows = np.minimum(rng.zipf(1.3, 2 * _WATCHES) * 17, videos) - 1
        log.append(list(_make_past(person, rows.tolist())))


def _make_past(person: int, rows: Sequence[int]) -> Iterator[Event]:
    for at, row in enumerate(rows):
        kinds = [EventType.IMPRESSION]
        if at % 2 == 0:
            kinds += [EventType.CLICK, EventType.WATCH]
        for kind in kinds:
            yield Event(
                type=kind,
                event_id=f"{person}-{at}-{kind}",
                person_id=f"p{person}",
                at=_NOW - timedelta(hours=len(rows) - at),
                video_id=make_video_id(row),
                watched_s=60.0 if kind is EventType.WATCH else None,
                feed_id=f"f{at // 2}",
                language=("si", "ta", "en")[person % 3],
            )


def train_model(store: Path, log: SqliteEventLog) -> FeedModel:
    """Return a model of both networks, which one pass over the drawn events has taught little."""
    with closing(EdgeReader.open(store)) as reader:
        videos = VideoTable.read(reader)
    events = pa.concat_tables([table for table, _ in log.scan()]).unify_dictionaries()
    known = Interactions.from_events(events, videos)
    candidates = train_candidates(known, videos, TrainingOptions(epochs=1))
    examples = RankingExamples.make(events, videos)
    ranking = train_ranker(examples, RankingOptions(epochs=1, caps=(1.0,)))
    return FeedModel(
        name="drawn",
        trained_at=_NOW,
        source=LearnedSource(export_model(candidates, videos), videos),
        ranker=WatchTimeRanker(ranking.model, videos),
    )


def open_app(
    stack: ExitStack,
    store: Path,
    scratch: Path,
    log: SqliteEventLog,
    popularity: Popularity,
    videos: int,
    model: FeedModel | None,
) -> Any:
    """Return a client of the application over the drawn videos."""
    lenses = {
        name: lens
        for name, lens in make_own_lenses(_Drawn("title"), _Drawn("thumbnail")).items()
        if lens.dim is not None
    }
    data = DataDir(scratch)
    data.locate_generation("drawn").mkdir(parents=True)
    data.publish(
        Manifest(
            generation="drawn",
            engine="embedded",
            created_at=_NOW.isoformat(),
            source="drawn",
            counts={"videos": videos, TITLE: videos, THUMBNAIL: videos},
            lenses={
                name: LensRecord(lens.model, lens.fingerprint, lens.dim)
                for name, lens in lenses.items()
            },
            versions={},
            collection=None,
            timings_s={},
        )
    )
    index = PublishedIndex(
        data, open_reader=lambda _: EdgeReader.open(store), open_lenses=lambda *_: lenses
    )
    stack.callback(index.close)
    app = create_app(
        index,
        thumbnails=data.thumbnails,
        policy=Policy(admin_keys=(_KEY,)),
        events=log,
        feeds=Feeds(log=log, popularity=popularity, open_model=lambda _: model),
    )
    return app.test_client()


if __name__ == "__main__":
    main()
