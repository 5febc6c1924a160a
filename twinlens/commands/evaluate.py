"""``twinlens evaluate``: how good search and encoders are on a person's own data."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from twinlens.commands.file_to_write import FileToWrite

if TYPE_CHECKING:
    from twinlens.evaluate.tasks import Task

_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_TASKS: Final = (
    click.option(
        "--known-item",
        "known_item",
        multiple=True,
        metavar="SOURCE",
        help="Titles asked for with words dropped, swapped, misspelt, or in part. May be repeated.",
    ),
    click.option(
        "--cross-lingual",
        "cross_lingual",
        multiple=True,
        type=_FOLDER,
        help="A folder laid out as SIB-200: the same lines in several languages. May be repeated.",
    ),
    click.option(
        "--more-like",
        "more_like",
        nargs=2,
        multiple=True,
        metavar="COLUMN SOURCE",
        help='"More like this": videos that share the labels in COLUMN. May be repeated.',
    ),
    click.option(
        "--judged",
        multiple=True,
        type=_FOLDER,
        help="A set in BEIR's layout: corpus.jsonl, queries.jsonl, qrels/. May be repeated.",
    ),
    click.option(
        "--title-model",
        "title_models",
        multiple=True,
        default=["packaged:use-m3"],
        show_default=True,
        help="packaged:use-m3, packaged:minilm, a hub name or a directory. May be repeated.",
    ),
    click.option(
        "--queries",
        "limit",
        type=click.IntRange(min=1),
        default=500,
        show_default=True,
        help="At most this many queries of a task, drawn at random; a judged set is asked whole.",
    ),
)
# What every measurement over an index takes.
_INDEX: Final = (
    click.option("--thumbnail-model", default="packaged:denoiser", show_default=True),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
    click.option(
        "--cache",
        "cache_path",
        type=click.Path(file_okay=False, path_type=Path),
        help="Keep vectors here, so that the next run reuses them and a stopped one continues.",
    ),
    click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True),
    click.option("--json", "json_path", type=FileToWrite(), help="Figures, settings, versions."),
)
_PLOT: Final = click.option("--plot", type=FileToWrite(), help="The figures as a PNG.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The measurement that was asked for; the fields are those of ``_TASKS`` and ``_INDEX``."""

    known_item: tuple[str, ...]
    cross_lingual: tuple[Path, ...]
    more_like: tuple[tuple[str, str], ...]
    judged: tuple[Path, ...]
    title_models: tuple[str, ...]
    thumbnail_model: str
    limit: int
    seed: int
    cache_path: Path | None
    threads: int
    json_path: Path | None

    def make_tasks(self) -> list[Task]:
        """Return the tasks, in the order of the options.

        Raises:
            UsageError: no task was asked for, or one can't be made, or one is asked for twice.
        """
        from twinlens.catalog.errors import UsageError
        from twinlens.evaluate.known_items import make_known_item_tasks
        from twinlens.evaluate.labelled import read_cross_lingual_tasks, read_judged_tasks
        from twinlens.evaluate.tasks import make_more_like_task, read_corpus

        limit, seed = self.limit, self.seed
        tasks: list[Task] = []
        for spec in self.known_item:
            tasks += make_known_item_tasks(read_corpus(spec), limit=limit, seed=seed)
        for folder in self.cross_lingual:
            tasks += read_cross_lingual_tasks(folder, limit=limit, seed=seed)
        for column, spec in self.more_like:
            tasks.append(make_more_like_task(spec, column, limit=limit, seed=seed))
        for folder in self.judged:
            tasks += read_judged_tasks(folder)
        if not tasks:
            raise UsageError(
                "nothing to measure: give --known-item, --cross-lingual, --more-like or --judged"
            )
        if len({task.name for task in tasks}) < len(tasks):
            raise UsageError("the same task is asked for twice")
        return tasks


def _ask_tasks(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` the options of ``_TASKS`` and ``_INDEX``, passed as one ``asked``."""

    @functools.wraps(command)
    def run(**given: Any) -> None:
        asked = _Asked(**{field.name: given.pop(field.name) for field in fields(_Asked)})
        command(asked=asked, **given)

    return _add_options(run, *_TASKS, *_INDEX)


def _ask_index(command: Callable[..., None]) -> Callable[..., None]:
    """Give ``command`` the options of ``_INDEX``."""
    return _add_options(command, *_INDEX)


def _add_options(command: Callable[..., None], *options: Any) -> Callable[..., None]:
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def evaluate() -> None:
    """Measure search and encoders on labelled data.

    \b
    Example:
      twinlens evaluate search --known-item videos.jsonl --title-model packaged:use-m3
    """


@evaluate.command(short_help="Measure search on labelled queries.")
@_ask_tasks
@_PLOT
def search(asked: _Asked, plot: Path | None) -> None:
    """Measure search on labelled queries: every ranking, their fusion, and BM25.

    A catalogue is indexed with the real encoders in the embedded engine and asked through the
    server's own search. Figures are means over queries with 95 % bootstrap intervals.

    \b
    Example:
      twinlens evaluate search --known-item videos.jsonl --title-model packaged:use-m3 \\
          --title-model packaged:minilm --cache ./vectors --json search.json --plot search.png
    """
    from twinlens.encoders.lenses import DEFAULT_WEIGHTS
    from twinlens.encoders.load import load_thumbnail_encoder
    from twinlens.evaluate import plots, tables
    from twinlens.evaluate.index import VectorCache
    from twinlens.evaluate.machine import describe_machine
    from twinlens.evaluate.measures import LIBRARIES, MEASURES
    from twinlens.evaluate.search import load_title_encoders, measure_search
    from twinlens.search.request import SearchRequest

    if plot is not None:
        plots.check_plots()
    started, record, request = time.monotonic(), describe_machine(*LIBRARIES), SearchRequest()
    tasks = asked.make_tasks()
    encoders, failed = load_title_encoders(asked.title_models, threads=asked.threads)
    thumbnail_encoder = load_thumbnail_encoder(asked.thumbnail_model, threads=asked.threads)
    with VectorCache(asked.cache_path) as cache:
        report = measure_search(
            tasks,
            encoders,
            thumbnail_encoder,
            request=request,
            cache=cache,
            threads=asked.threads,
        )
    settings = {
        "rrf_k": request.rrf_k,
        "window": request.window,
        "expand": request.expand,
        "weights": {**DEFAULT_WEIGHTS, **request.weights},
    }
    _write_report(
        asked.json_path,
        {
            "measurement": "search",
            "machine": record,
            "seed": asked.seed,
            "measures": MEASURES,
            "settings": settings,
            "left_out": failed,
            "thumbnail_model": asked.thumbnail_model,
        },
        report,
    )
    if plot is not None:
        plots.draw_panels(plots.make_search_panels(report), plot)
    click.echo(tables.format_search(report))
    for model, why in failed.items():
        click.echo(f"left out: {model}: {why}")
    queries = sum(len(task.queries) for task in tasks)
    click.echo(
        f"\n{len(tasks)} tasks, {queries} queries, {len(encoders)} title models: "
        f"{time.monotonic() - started:.0f} s"
    )


@evaluate.command(short_help="Sweep the fusion's settings over labelled queries.")
@_ask_tasks
def fusion(asked: _Asked) -> None:
    """Sweep the fusion's rank constant and weights over labelled queries.

    One half of the queries chooses the setting, the other half says by how much it is better than
    the default.

    \b
    Example:
      twinlens evaluate fusion --known-item videos.jsonl --cross-lingual ./parallel \\
          --more-like category videos.jsonl --title-model packaged:use-m3 --cache ./vectors
    """
    from twinlens.encoders.load import load_thumbnail_encoder, load_title_encoder
    from twinlens.evaluate.fusion import sweep_fusion
    from twinlens.evaluate.index import VectorCache
    from twinlens.evaluate.machine import describe_machine
    from twinlens.evaluate.measures import LIBRARIES
    from twinlens.evaluate.tables import format_fusion

    started, record = time.monotonic(), describe_machine(*LIBRARIES)
    tasks = asked.make_tasks()
    encoders = {
        name: load_title_encoder(name, threads=asked.threads) for name in asked.title_models
    }
    thumbnail_encoder = load_thumbnail_encoder(asked.thumbnail_model, threads=asked.threads)
    with VectorCache(asked.cache_path) as cache:
        sweeps = sweep_fusion(
            tasks, encoders, thumbnail_encoder, cache=cache, threads=asked.threads
        )
    _write_report(
        asked.json_path,
        {
            "measurement": "fusion",
            "machine": record,
            "seed": asked.seed,
            "title_models": asked.title_models,
            "thumbnail_model": asked.thumbnail_model,
        },
        {"kinds": sweeps},
    )
    click.echo(format_fusion(sweeps))
    click.echo(f"\n{len(tasks)} tasks: {time.monotonic() - started:.0f} s")


@evaluate.command(short_help="Measure recommendations on people's ratings.")
@click.argument("source")
@click.option(
    "--ratings",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV or CSV.gz with the columns user_id, video_id and rating (0.5 to 5).",
)
@click.option("--title-model", default="packaged:use-m3-bridge", show_default=True)
@click.option(
    "--people",
    "limit",
    type=click.IntRange(min=1),
    default=300,
    show_default=True,
    help="At most this many people to recommend to, drawn at random.",
)
@_ask_index
def recommendations(
    source: str,
    ratings: Path,
    title_model: str,
    thumbnail_model: str,
    limit: int,
    seed: int,
    cache_path: Path | None,
    threads: int,
    json_path: Path | None,
) -> None:
    """Measure recommendations on people's ratings of the videos in SOURCE.

    Half of what each person liked (4 and more) and disliked (2.5 and less) is told, the other half
    is to be found or spared. Beside the served recommendations stands what most people liked.
    Intervals are 95 % bootstraps over people.

    \b
    Example:
      twinlens evaluate recommendations movies/ --ratings movies/ratings.csv.gz --cache ./vectors
    """
    from twinlens.encoders.load import load_thumbnail_encoder, load_title_encoder
    from twinlens.evaluate.index import VectorCache, index_corpus
    from twinlens.evaluate.machine import describe_machine
    from twinlens.evaluate.measures import LIBRARIES
    from twinlens.evaluate.recommendations import draw_people, measure_recommendations, read_people
    from twinlens.evaluate.tables import format_recommendations
    from twinlens.evaluate.tasks import read_corpus

    started, record = time.monotonic(), describe_machine(*LIBRARIES)
    corpus = read_corpus(source)
    everyone = read_people(ratings, {video.video_id for video in corpus.videos}, seed=seed)
    people = draw_people(everyone, limit=limit, seed=seed)
    title_encoder = load_title_encoder(title_model, threads=threads)
    thumbnail_encoder = load_thumbnail_encoder(thumbnail_model, threads=threads)
    with (
        VectorCache(cache_path) as cache,
        index_corpus(corpus, title_encoder, thumbnail_encoder, cache, threads=threads) as index,
    ):
        ways = measure_recommendations(index, people, everyone)
    _write_report(
        json_path,
        {
            "measurement": "recommendations",
            "machine": record,
            "seed": seed,
            "title_model": title_model,
            "thumbnail_model": thumbnail_model,
            "videos": len(corpus.videos),
            "people": len(people),
        },
        {"rows": ways},
    )
    click.echo(format_recommendations(ways))
    click.echo(
        f"\n{len(people)} people of {len(everyone)}, {len(corpus.videos)} videos: "
        f"{time.monotonic() - started:.0f} s"
    )


@evaluate.command(short_help="Measure thumbnail encoders on damaged and labelled pictures.")
@click.argument("source")
@click.option(
    "--encoder",
    "names",
    multiple=True,
    metavar="NAME",
    default=["packaged:denoiser", "pixels"],
    show_default=True,
    help="What --thumbnail-model takes, or pixels; may be given again.",
)
@click.option(
    "--ask",
    type=click.Choice(["held-out", "all"]),
    default="held-out",
    show_default=True,
    help="Which pictures are damaged and looked for: those that training leaves out, or all, "
    "where none were trained on. All are searched.",
)
@click.option("--json", "json_path", type=FileToWrite(), help="Figures, settings, versions.")
@_PLOT
def thumbnails(
    source: str, names: tuple[str, ...], ask: str, json_path: Path | None, plot: Path | None
) -> None:
    """Measure thumbnail encoders on the pictures of SOURCE, one beside the other.

    Damaged pictures are looked for among all; neighbours are compared by category, where the
    source has them; outputs are checked for life. Beside an encoder stand the bare pixels.

    \b
    Example:
      twinlens evaluate thumbnails ./thumbnails --json thumbnails.json --plot thumbnails.png
      twinlens evaluate thumbnails ./thumbnails --encoder ./model --encoder pixels
    """
    from twinlens.evaluate import plots, tables
    from twinlens.evaluate.machine import describe_machine
    from twinlens.evaluate.thumbnails import load_encoder, measure_thumbnails, read_picture_set

    if plot is not None:
        plots.check_plots()
    record = describe_machine()
    pictures = read_picture_set(source)
    encoders = {name: load_encoder(name) for name in dict.fromkeys(names)}
    report = measure_thumbnails(pictures, encoders, ask_all=ask == "all")
    about = {"measurement": "thumbnails", "machine": record, "ask": ask}
    _write_report(json_path, about, report)
    if plot is not None:
        plots.draw_panels(plots.make_thumbnail_panels(report), plot)
    click.echo(tables.format_thumbnails(report))


def _write_report(path: Path | None, about: Mapping[str, object], report: object) -> None:
    """Write what ``about`` and ``report`` say as one JSON object, if there is a ``path``."""
    from twinlens.catalog.files import write_atomically
    from twinlens.evaluate.json_values import to_json

    if path is not None:
        whole = to_json(about) | to_json(report)
        write_atomically(path, json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
