"""``twinlens train-recommender``: learn from a site's events, and publish what is better."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from twinlens.commands.event_source import (
    map_option,
    people_option,
    read_log,
    read_own_log,
    read_people,
)
from twinlens.commands.generations import data_dir_option, load, qdrant_url_option
from twinlens.commands.lenses import SETTINGS_HELP
from twinlens.commands.progress import open_progress_bar

if TYPE_CHECKING:
    import pyarrow as pa

    from twinlens.evaluate.feed.protocols import Row
    from twinlens.recommender.candidate_training import TrainingOptions
    from twinlens.recommender.ranking_model import RankingModel
    from twinlens.recommender.videos import VideoTable

# What a model has to beat to be published, and by which measure.
_TO_BEAT: Final = ("popular", "what followed, 3 steps")
_JUDGED_BY: Final = "HR@50"


@click.command("train-recommender", epilog=SETTINGS_HELP)
@click.argument(
    "logs",
    metavar="[LOG]...",
    nargs=-1,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@data_dir_option
@qdrant_url_option
@map_option
@people_option
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Passes over the examples at most  [default: 10]"
)
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop training after so long."
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**32 - 1),
    help="Same seed, log, machine and thread: same model.",
)
@click.option(
    "--pooling",
    default="averages",
    show_default=True,
    type=click.Choice(["averages", "average", "sum", "max"]),
    help="How a history is told; average is the paper's, averages adds those of the latest.",
)
@click.option(
    "--hidden", metavar="N,N,...", help="Layers of ReLU, the widest first  [default: 256]"
)
@click.option("--dim", type=click.IntRange(2, 1024), help="Length of vectors  [default: 64]")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--threads", type=click.IntRange(1, 256), help="CPU threads  [default: one a core]")
@click.option("--force", is_flag=True, help="Publish it though it is no better than counting.")
def train_recommender(
    logs: tuple[Path, ...], mapping: str | None, people: Path | None, force: bool, **asked: Any
) -> None:
    """Train a recommender on events, and publish it if it is better than counting.

    The events are those that the site has kept, or of files LOG. The last day, or in a log without
    times the last watch of each person, is held out: on it the model is compared with what is
    popular and with a table of what followed what. One that is no better is kept and not
    published, and the command ends with 1. A run that was killed goes on where it was. Where
    impressions have times, a ranker is learned from what came of them.

    \b
    Example:
      twinlens train-recommender --data-dir data --minutes 30
      twinlens train-recommender events.parquet --data-dir data
    """
    overrides = {name: asked.pop(name) for name in ("data_dir", "qdrant_url")}
    settings, data = load(overrides)
    manifest = data.read_published()

    import torch

    from twinlens.evaluate.feed.learned import measure_learned
    from twinlens.evaluate.feed.protocols import LEARNED, ask, compare, measure_baselines
    from twinlens.evaluate.machine import to_json
    from twinlens.recommender.candidate_training import check_enough, export_model
    from twinlens.recommender.interactions import Interactions
    from twinlens.recommender.models import EVALUATION_FILE, ModelDirectory
    from twinlens.recommender.videos import VideoTable
    from twinlens.stores.engines import open_reader

    torch.set_num_threads(asked.pop("threads") or len(os.sched_getaffinity(0)))
    with closing(open_reader(data, manifest, settings.qdrant_server)) as reader:
        videos = VideoTable.read(reader)
    events = read_log(logs, mapping) if logs else read_own_log(settings)
    known = Interactions.from_events(events, videos, read_people(people))
    check_enough(known)
    models = ModelDirectory(data.path)
    with models.hold_lock():
        [question] = ask("next-day" if known.is_timed else "next-watch", known, len(videos))
        found = measure_baselines(question, videos, _TO_BEAT)
        with open_progress_bar(None, " steps", "training") as bar:

            def on_step(done: int, total: int, told: str) -> None:
                bar.total = total
                bar.update(done - bar.n)
                bar.set_postfix_str(told, refresh=False)

            options = _make_options(asked)
            found[LEARNED], trained = measure_learned(
                question, videos, options, folder=models.training, on_step=on_step
            )
        rows = compare(found)
        evaluation = {"protocol": question.protocol, "people": len(question.labels)}

        ranker = _train_ranker(events, videos, seed=asked["seed"], minutes=asked.get("minutes"))

        def fill(folder: Path) -> None:
            export_model(trained, videos).save(folder)
            if ranker is not None:
                ranker.save(folder)
            text = json.dumps(to_json(evaluation | {"rows": rows}), indent=2)
            (folder / EVALUATION_FILE).write_text(text + "\n", encoding="utf-8")

        name = models.keep(
            fill,
            generation=manifest.generation,
            lenses={lens: manifest.lenses[lens].fingerprint for lens in videos.vectors},
            log={"watches": len(known), "people": len(known.person_ids)},
            training=trained.summarize(),
        )
        _tell(rows, len(question.labels))
        beaten_by = _find_better(rows)
        if not beaten_by or force:
            models.publish(name)
    if beaten_by and not force:
        click.echo(
            f"Model {name} is kept, and not published: by {_JUDGED_BY} it is no better than "
            f"{' and '.join(beaten_by)}. `twinlens models publish {name}` publishes it yet",
            err=True,
        )
        raise click.exceptions.Exit(1)
    click.echo(f"Model {name} is published")


def _train_ranker(
    events: list[pa.Table], videos: VideoTable, *, seed: int, minutes: float | None
) -> RankingModel | None:
    """Return a ranker of what was shown, or None where the log doesn't say enough of it."""
    import pyarrow as pa

    from twinlens.catalog.errors import UsageError
    from twinlens.recommender.ranking_training import RankingExamples, RankingOptions, train_ranker

    options = RankingOptions(seed=seed, minutes=minutes)
    try:
        examples = RankingExamples.make(
            pa.concat_tables(events).unify_dictionaries(),
            videos,
            vocabulary=options.vocabulary,
            most=options.most_impressions,
        )
    except UsageError as error:
        click.echo(f"No ranker: {error}", err=True)
        return None
    trained = train_ranker(examples, options)
    chosen = trained.model.summary
    click.echo(f"Ranker: {chosen.objective} of {len(examples.impressions)} impressions")
    return trained.model


def _make_options(asked: dict[str, Any]) -> TrainingOptions:
    """Return the options of training.

    Raises:
        UsageError: a width of a layer is no number.
    """
    from twinlens.catalog.errors import UsageError
    from twinlens.recommender.candidate_training import TrainingOptions

    given = {name: value for name, value in asked.items() if value is not None}
    if (hidden := given.get("hidden")) is not None:
        widths = [one.strip() for one in hidden.split(",") if one.strip()]
        if not all(one.isdecimal() and int(one) > 0 for one in widths):
            raise UsageError(f"--hidden {hidden}: widths of layers are like 512,256")
        given["hidden"] = tuple(int(one) for one in widths)
    return TrainingOptions(**given)


def _find_better(rows: list[Row]) -> list[str]:
    """Return the baselines that are as good as the learned candidates, or better."""
    return [
        row.name
        for row in rows
        if row.name in _TO_BEAT and row.learned_above[_JUDGED_BY].value <= 0
    ]


def _tell(rows: list[Row], people: int) -> None:
    from twinlens.evaluate.feed.report import format_rows

    click.echo(format_rows(rows))
    click.echo(f"{people} people, all videos ranked")
