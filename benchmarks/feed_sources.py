"""Where a feed's videos come from, day by day of a log: without a model at first, then with one.

On each day some of its people ask for a feed over all events before that day. What several sources
found counts for each a share. The data directory's index is that of the log; a model is trained on
the first half of the log, and published there.

Example:
    twinlens sample --videos 600 --events 60000 sample
    twinlens index sample --data-dir data
    python -m twinlens.benchmarks.feed_sources data sample/log/events.parquet --plot sources.png
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from twinlens.catalog.errors import UsageError
from twinlens.encoders.lens import LensOptions
from twinlens.encoders.lenses import open_lenses
from twinlens.evaluate.machine import write_json
from twinlens.evaluate.report import write_figure
from twinlens.events.files import read_events
from twinlens.events.sqlite_log import EVENTS_FILE, SqliteEventLog
from twinlens.events.tables import from_table
from twinlens.recommender.mixing import SOURCE_WEIGHTS
from twinlens.recommender.models import ModelDirectory
from twinlens.recommender.pages import FeedRequest, Feeds
from twinlens.recommender.popularity import Popularity
from twinlens.recommender.published_model import PublishedModel
from twinlens.search.published import PublishedIndex
from twinlens.stores.engines import open_reader
from twinlens.stores.generations import DataDir

_PAGE: Final = 20
_DAY: Final = timedelta(days=1)

Shares = Mapping[str, float]


@click.command()
@click.argument("data_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("log", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--people", type=click.IntRange(1), default=40, show_default=True, help="A day.")
@click.option("--json", "json_path", type=click.Path(path_type=Path))
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the shares as a PNG.")
def main(data_dir: Path, log: Path, people: int, json_path: Path | None, plot: Path | None) -> None:
    """Measure which sources the first twenty places of feeds come from, by day of LOG."""
    events = pa.concat_tables(read_events([log], now=datetime.now(UTC))).unify_dictionaries()
    events = events.filter(events["at"].is_valid()).sort_by("at")
    if not len(events):
        raise UsageError(f"{log}: no event has a time")
    first = pc.min(events["at"]).as_py().replace(hour=0, minute=0, second=0, microsecond=0)
    days = (pc.max(events["at"]).as_py() - first).days + 1
    shares: list[Shares] = []
    with tempfile.TemporaryDirectory() as scratch:
        kept = closing(SqliteEventLog(Path(scratch, EVENTS_FILE)))
        data = DataDir(data_dir)
        index = PublishedIndex(
            data,
            open_reader=partial(open_reader, data),
            open_lenses=lambda manifest, names: open_lenses(
                {name: manifest.lenses[name].model for name in names},
                LensOptions(threads=1, cache_dir=data.graphs),
                names=names,
                fingerprints={name: manifest.lenses[name].fingerprint for name in names},
            ),
        )
        with kept as store, closing(index) as published:
            for day in tqdm(range(1, days), unit=" days"):
                begin = first + day * _DAY
                _keep(store, _between(events, begin - _DAY, begin))
                if day == days // 2:
                    _train(data_dir, _between(events, first, begin), Path(scratch))
                today = _between(events, begin, begin + _DAY)["person_id"].unique().to_pylist()
                drawn = np.random.default_rng(day).permutation(sorted(today))[:people]
                model = PublishedModel(ModelDirectory(data_dir)) if day >= days // 2 else None
                shares.append(_measure(published, store, model, drawn.tolist(), begin))
    names = [one for one in SOURCE_WEIGHTS if any(one in of for of in shares)]
    for number, of in enumerate(shares, start=1):
        click.echo(f"day {number:>3}  " + "  ".join(f"{n} {of.get(n, 0):.2f}" for n in names))
    write_json(json_path, {"shares": shares, "model_from": days // 2})
    draw(shares, names, days // 2, plot)


def _between(events: pa.Table, begin: datetime, end: datetime) -> pa.Table:
    at = events["at"]
    return events.filter(pc.and_(pc.greater_equal(at, begin), pc.less(at, end)))


def _keep(store: SqliteEventLog, events: pa.Table) -> None:
    batch = list(from_table(events))
    for start in range(0, len(batch), 1000):
        store.append(batch[start : start + 1000])


def _train(data_dir: Path, events: pa.Table, scratch: Path) -> None:
    path = scratch / "first.parquet"
    pq.write_table(events, path)
    command = ["train-recommender", str(path), "--data-dir", str(data_dir), "--force"]
    subprocess.run([sys.executable, "-m", "twinlens", *command], check=True)


def _measure(
    published: PublishedIndex,
    store: SqliteEventLog,
    model: PublishedModel | None,
    people: Sequence[str],
    at: datetime,
) -> Shares:
    """Return the share of each source in the first page of these people's feeds."""
    popularity = Popularity(store, every_s=0, now=at.timestamp)
    popularity.refresh()
    feeds = Feeds(
        log=store,
        popularity=popularity,
        open_model=model or (lambda _: None),
        now=lambda: at.astimezone(UTC),
        draw_seed=lambda: 0,
    )
    counts: Counter[str] = Counter()
    with published.borrow() as snapshot:
        for person in people:
            asked = FeedRequest(person_id=person, limit=_PAGE, explain=True, log_impressions=False)
            for hit in feeds.answer(snapshot, asked).hits:
                sources = hit.place.sources
                counts.update({name: 1 / len(sources) for name in sources})
    total = sum(counts.values()) or 1
    return {name: count / total for name, count in counts.items()}


def draw(
    shares: Sequence[Shares], names: Sequence[str], model_from: int, path: Path | None
) -> None:
    """Write the shares by day as a PNG to ``path``, if there is one."""
    if path is None:
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    days = range(1, len(shares) + 1)
    axes.stackplot(days, [[of.get(name, 0) for of in shares] for name in names], labels=names)
    axes.axvline(model_from, color="black", linestyle=":")
    axes.annotate("a model is published", (model_from, 1.01), ha="center", annotation_clip=False)
    axes.set(xlim=(1, len(shares)), ylim=(0, 1), xlabel="day", ylabel="share of the first page")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside right center", frameon=False)
    write_figure(path, figure)


if __name__ == "__main__":
    main()
