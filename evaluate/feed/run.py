"""One measurement of a log: baselines, the learned candidates, and these without an input."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import torch
from tqdm import tqdm

from twinlens.catalog.errors import SourceError, UsageError
from twinlens.catalog.sources import Reject, open_source
from twinlens.catalog.video import to_payload
from twinlens.encoders.load import load_thumbnail_encoder, load_title_encoder
from twinlens.evaluate.feed.example_age import ExampleAge, measure_example_age
from twinlens.evaluate.feed.learned import ABLATIONS, FUSED, measure_fused, measure_learned
from twinlens.evaluate.feed.protocols import LEARNED, Row, ask, compare, join, measure_baselines
from twinlens.evaluate.feed.ranking import measure_ranking
from twinlens.evaluate.index import index_corpus
from twinlens.evaluate.measures import PerQuery
from twinlens.evaluate.tasks import read_corpus
from twinlens.recommender.candidate_training import TrainingOptions, check_enough
from twinlens.recommender.histories import to_milliseconds
from twinlens.recommender.interactions import Interactions
from twinlens.recommender.ranking_training import RankingOptions
from twinlens.recommender.videos import VideoTable
from twinlens.stores.base import StoredVideo


class FeedReport(NamedTuple):
    """The figures of a log; ``training`` says of each question how what is learned came about."""

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
    questions = ask(asked["protocol"], known, len(videos), days=asked["days"], seed=asked["seed"])
    options = _make_options(asked)
    found: list[dict[str, PerQuery]] = []
    training: dict[str, Any] = defaultdict(list)
    for question in questions:
        found.append(measure_baselines(question, videos))
        for ablation in (None, *(ABLATIONS if asked["ablate"] else ())):
            name = ablation or LEARNED
            with tqdm(desc=name, unit=" steps", leave=False) as bar:

                def on_step(done: int, total: int, told: str, bar: Any = bar) -> None:
                    bar.total = total
                    bar.update(done - bar.n)
                    bar.set_postfix_str(told, refresh=False)

                found[-1][name], trained = measure_learned(
                    question, videos, options, ablation=ablation, on_step=on_step
                )
            training[name].append(trained.summarize())
            if ablation is None and question.past.is_timed:
                found[-1][FUSED] = measure_fused(question, trained, len(videos))
    return FeedReport(
        sum(len(question.labels) for question in questions),
        len(known),
        len(videos),
        known.unknown_videos,
        training,
        compare(join(found)),
    )


def measure_age(
    events: Sequence[pa.Table], people: pa.Table | None, asked: Mapping[str, Any]
) -> ExampleAge:
    """Draw figure 4 of a log, as `measure_example_age` does.

    Raises:
        UsageError: the log says too little of when.
    """
    torch.set_num_threads(asked["threads"])
    with ExitStack() as stack, tqdm(leave=False, bar_format="{desc}") as bar:
        videos = _read_videos(events, asked, stack)
        known = Interactions.from_events(events, videos, people)
        check_enough(known)
        return measure_example_age(
            known,
            videos,
            _make_options(asked),
            days=asked["days"],
            seeds=asked["seeds"],
            on_step=bar.set_description_str,
        )


def measure_order(events: Sequence[pa.Table], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Measure rankers of impressions on the last days of a log, as `measure_ranking` does.

    Raises:
        UsageError: there is too little to learn from, or to judge by.
    """
    torch.set_num_threads(asked["threads"])
    table = pa.concat_tables(events)
    last = pc.max(table["at"]).as_py()
    if last is None:
        raise UsageError("no event has a time: rankers learn from what was shown when")
    given = {name: asked[name] for name in ("epochs",) if asked[name] is not None}
    with ExitStack() as stack, tqdm(leave=False, bar_format="{desc}") as bar:
        return measure_ranking(
            table,
            _read_videos(events, asked, stack),
            end=to_milliseconds(last - timedelta(days=asked["days"])) + 1,
            options=RankingOptions(**given),
            seeds=asked["seeds"],
            ablate=asked["ablate"],
            on_step=bar.set_description_str,
        )


def _make_options(asked: Mapping[str, Any]) -> TrainingOptions:
    given = {name: asked[name] for name in ("seed", "epochs")}
    return TrainingOptions(**{name: of for name, of in given.items() if of is not None})


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
    try:
        open_source(spec)
    except SourceError:
        # That of a log often has neither titles nor pictures, and says other things of a video.
        source = open_source(spec, columns={"title": "video_id"})
        listed = (row.video for row in source if not isinstance(row, Reject))
        payloads = (to_payload(replace(one, title=None), thumbnail_file=None) for one in listed)
        return VideoTable.from_videos(StoredVideo(one["video_id"], one) for one in payloads)
    encoder = load_title_encoder(asked["title_model"], threads=asked["threads"])
    pictures = load_thumbnail_encoder(asked["thumbnail_model"], threads=asked["threads"])
    index = index_corpus(
        read_corpus(spec), encoder, pictures, cache=asked["cache_path"], threads=asked["threads"]
    )
    return VideoTable.read(stack.enter_context(index).reader)
