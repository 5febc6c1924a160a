"""What a step of training the candidate network takes, and how much memory, by size of catalogue.

Videos have drawn vectors of 64 numbers by two lenses, a channel, tags, a length and a date; people
are drawn, too, and what they watch by Zipf's law. An epoch is so many steps of 1,024 examples.

Example:
    python -m twinlens.benchmarks.training --videos 1000000 --watches 30000000 --steps 1000
"""

from __future__ import annotations

import resource
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import torch

from twinlens.benchmarks.searching import report
from twinlens.recommender.candidate_training import TrainingOptions, train_candidates
from twinlens.recommender.co_watching_counts import count_co_watching
from twinlens.recommender.interactions import CONTEXT, Demographics, Interactions, Texts
from twinlens.recommender.videos import Column, VideoTable

_DIM: Final = 64
_WATCHES: Final = 50
_LOG_S: Final = 90 * 86_400.0


class _Enough(Exception):
    """So many steps have been taken."""


@click.command()
@click.option("--videos", type=click.IntRange(100), default=100_000, show_default=True)
@click.option("--watches", type=click.IntRange(1000), default=3_000_000, show_default=True)
@click.option("--steps", type=click.IntRange(2), default=200, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write samples, too.")
def main(videos: int, watches: int, steps: int, threads: int, json_path: Path | None) -> None:
    """Measure steps of training, the counting of the tables beside, and memory."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    table, known = draw_videos(videos, rng), draw_watches(watches, videos, rng)
    drawn_gib = _measure_peak_gib()
    moments: list[float] = []

    def on_step(step: int, *_: object) -> None:
        moments.append(time.perf_counter())
        if step > steps:
            raise _Enough

    with suppress(_Enough):
        train_candidates(known, table, TrainingOptions(epochs=1), on_step=on_step)
    step_ms = 1e3 * np.diff(moments)
    training_gib = _measure_peak_gib()
    started = time.perf_counter()
    count_co_watching(known, videos)
    figures: dict[str, Any] = {
        "step_ms": step_ms.tolist(),
        "epoch_hours": watches / 1024 * float(step_ms.mean()) / 3.6e6,
        "counting_s": time.perf_counter() - started,
        "peak_gib": {"drawn": drawn_gib, "steps": training_gib, "counting": _measure_peak_gib()},
    }
    click.echo(
        f"{videos} videos, {watches} watches, {len(step_ms)} steps: {np.median(step_ms):.0f} ms a "
        f"step (mean {step_ms.mean():.0f}), {figures['epoch_hours']:.2f} h an epoch; tables "
        f"counted in {figures['counting_s']:.0f} s; {figures['peak_gib']['counting']:.1f} GiB"
    )
    report(json_path, "training", {"step in ms": figures["step_ms"]}, {}, **figures)


def draw_videos(count: int, rng: np.random.Generator) -> VideoTable:
    """Return so many drawn videos."""
    vectors = {
        lens: rng.standard_normal((count, _DIM), dtype=np.float32).astype(np.float16)
        for lens in ("title", "thumbnail")
    }
    rows = np.arange(count, dtype=np.int32)

    def draw_column(values: list[Any]) -> Column:
        return Column(values, rows, rng.integers(len(values), size=count, dtype=np.int32))

    columns = {
        "channel": draw_column([f"channel {at}" for at in range(max(count // 50, 1))]),
        "tags": draw_column([f"tag {at}" for at in range(1000)]),
        "language": draw_column(["en", "si", "ta"]),
        "duration_s": draw_column([float(10 * at) for at in range(1, 200)]),
    }
    ids = [f"v{at}" for at in range(count)]
    return VideoTable(video_ids=ids, vectors=vectors, columns=columns)


def draw_watches(count: int, videos: int, rng: np.random.Generator) -> Interactions:
    """Return so many completed watches, fifty a person, in the order of their times."""
    people = max(count // _WATCHES, 2)
    persons = np.sort(rng.integers(people, size=count))
    weights = np.cumsum(1 / np.arange(10, videos + 10))
    watched = np.searchsorted(weights, rng.random(count) * weights[-1]).astype(np.int32)
    times = rng.random(count) * _LOG_S
    times = times[np.lexsort((times, persons))]
    texts = Texts(values=("a", "b"), codes=rng.integers(2, size=count, dtype=np.int32))
    nobody = np.full(people, np.nan)
    return Interactions(
        person_ids=[f"p{at}" for at in range(people)],
        starts=np.searchsorted(persons, np.arange(people + 1)),
        videos=np.minimum(watched, videos - 1),
        times=times,
        places=np.arange(count),
        ordinals=np.arange(count),
        contexts=dict.fromkeys(CONTEXT, texts),
        search_starts=np.zeros(people + 1, dtype=np.int64),
        search_places=np.zeros(0, dtype=np.int64),
        searches=(),
        demographics=Demographics(
            genders=Texts(values=(), codes=np.full(people, -1, dtype=np.int32)),
            ages=nobody,
            logged_in=nobody,
        ),
        unknown_videos=0,
    )


def _measure_peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
