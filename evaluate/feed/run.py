"""One measurement of a log: baselines, the learned candidates, and these without an input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import pyarrow as pa
import torch
from tqdm import tqdm

from twinlens.catalog.sources import Reject, open_source
from twinlens.catalog.video import to_payload
from twinlens.encoders.load import load_thumbnail_encoder, load_title_encoder
from twinlens.evaluate.feed.learned import ABLATIONS, measure_learned
from twinlens.evaluate.feed.protocols import LEARNED, Row, ask, compare, measure_baselines
from twinlens.evaluate.index import index_corpus
from twinlens.evaluate.tasks import read_corpus
from twinlens.recommender.candidate_training import TrainingOptions, check_enough
from twinlens.recommender.interactions import Interactions
from twinlens.recommender.videos import VideoTable
from twinlens.stores.base import StoredVideo


class FeedReport(NamedTuple):
    """The figures of a log; ``training`` is how the learned candidates came about."""

    people: int
    watches: int
    videos: int
    unknown_videos: int
    training: Mapping[str, Any]
    rows: Sequence[Row]


def measure_feed(
    events: Sequence[pa.Table], people: pa.Table | None, asked: Mapping[str, Any]
) -> FeedReport:
    """Measure candidates on a log. ``asked`` are the options of ``twinlens evaluate feed``.

    Raises:
        UsageError: there is nothing to learn from, or to find.
    """
    torch.set_num_threads(asked["threads"])
    with ExitStack() as stack:
        videos = _read_videos(events, asked, stack)
    known = Interactions.from_events(events, videos, people)
    check_enough(known)
    question = ask(asked["protocol"], known, len(videos), days=asked["days"], seed=asked["seed"])
    found = measure_baselines(question, videos)
    given = {"seed": asked["seed"], "epochs": asked["epochs"]}
    options = TrainingOptions(**{name: of for name, of in given.items() if of is not None})
    training: dict[str, Any] = {}
    for ablation in (None, *(ABLATIONS if asked["ablate"] else ())):
        name = ablation or LEARNED
        with tqdm(desc=name, unit=" steps", leave=False) as bar:

            def on_step(done: int, total: int, told: str, bar: Any = bar) -> None:
                bar.total = total
                bar.update(done - bar.n)
                bar.set_postfix_str(told, refresh=False)

            found[name], trained = measure_learned(
                question, videos, options, ablation=ablation, on_step=on_step
            )
        training[name] = trained.summarize()
    return FeedReport(
        len(question.labels),
        len(known),
        len(videos),
        known.unknown_videos,
        training,
        compare(found),
    )


def _read_videos(
    events: Sequence[pa.Table], asked: Mapping[str, Any], stack: ExitStack
) -> VideoTable:
    """Return the catalogue: indexed where it has titles or pictures, else as its rows say.

    Without one it is what the log names.
    """
    spec = asked["videos_path"]
    if spec is None:
        named = {one for table in events for one in table["video_id"].unique().to_pylist()}
        bare = (StoredVideo(one, {}) for one in sorted(named - {None}))
        return VideoTable.from_videos(bare)
    listed = [row.video for row in open_source(spec) if not isinstance(row, Reject)]
    if not any(video.title or video.thumbnail for video in listed):
        rows = (StoredVideo(one.video_id, to_payload(one, thumbnail_file=None)) for one in listed)
        return VideoTable.from_videos(rows)
    encoder = load_title_encoder(asked["title_model"], threads=asked["threads"])
    pictures = load_thumbnail_encoder(asked["thumbnail_model"], threads=asked["threads"])
    index = index_corpus(
        read_corpus(spec), encoder, pictures, cache=asked["cache_path"], threads=asked["threads"]
    )
    return VideoTable.read(stack.enter_context(index).reader)
