"""``twinlens evaluate``: how good search and encoders are on a person's own data."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from twinlens.catalog.errors import UsageError
from twinlens.commands.event_source import map_option, people_option, read_log, read_people
from twinlens.commands.file_to_write import FileToWrite
from twinlens.evaluate.machine import describe_machine, to_json, write_json

if TYPE_CHECKING:
    from twinlens.evaluate.tasks import Task

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


_COUNT: Final = click.IntRange(min=1)
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_option = partial(click.option, show_default=True)
_repeated = partial(_option, multiple=True)


def _limit(name: str, default: int, about: str) -> Decorator:
    return _option(name, "limit", type=_COUNT, default=default, help=about)


_TASKS: Final = (
    _repeated(
        "--known-item",
        metavar="SOURCE",
        help="Titles asked for with words dropped, swapped, misspelt, in part, or in Latin letters "
        "where they are of another script; and names of channels, tags and categories. May be "
        "repeated.",
    ),
    _repeated(
        "--cross-lingual",
        type=_FOLDER,
        help="A folder laid out as SIB-200: the same lines in several languages. May be repeated.",
    ),
    _repeated(
        "--more-like",
        nargs=2,
        metavar="COLUMN SOURCE",
        help='"More like this": videos that share the labels in COLUMN. May be repeated.',
    ),
    _repeated(
        "--judged",
        type=_FOLDER,
        help="A set in BEIR's layout: corpus.jsonl, queries.jsonl, qrels/. May be repeated.",
    ),
    _repeated(
        "--title-model",
        "title_models",
        default=["packaged:use-m3"],
        help="packaged:use-m3, packaged:minilm, a hub name or a directory. May be repeated.",
    ),
    _limit(
        "--queries",
        500,
        "At most this many queries of a task, drawn at random; a judged set is asked whole.",
    ),
)
_JSON: Final = click.option(
    "--json", "json_path", type=FileToWrite(json=True), help="Figures, settings, versions."
)
# What every measurement over an index takes.
_INDEX: Final = (
    _option("--thumbnail-model", default="packaged:denoiser", help="As `twinlens index` has it."),
    _option("--seed", type=click.IntRange(min=0), default=0, help="Draws what is asked."),
    click.option(
        "--cache",
        "cache_path",
        type=click.Path(file_okay=False, path_type=Path),
        help="Keep indexes here, so that the next run reuses them and a stopped one continues.",
    ),
    _option("--threads", type=_COUNT, default=1, help="CPU threads of each encoder."),
    _JSON,
)
_PLOT: Final = click.option("--plot", type=FileToWrite(), help="The figures as a PNG.")


def _make_tasks(asked: Mapping[str, Any]) -> list[Task]:
    """Return the tasks, in the order of the options.

    Raises:
        UsageError: no task was asked for, or one can't be made, or one is asked for twice.
    """
    from twinlens.evaluate.known_items import make_known_item_tasks
    from twinlens.evaluate.labelled import read_cross_lingual_tasks, read_judged_tasks
    from twinlens.evaluate.labels import make_label_tasks
    from twinlens.evaluate.latin_letters import make_latin_letter_tasks
    from twinlens.evaluate.tasks import make_more_like_task, read_corpus

    limit, seed = asked["limit"], asked["seed"]
    tasks: list[Task] = []
    for spec in asked["known_item"]:
        corpus = read_corpus(spec)
        tasks += make_known_item_tasks(corpus, limit=limit, seed=seed)
        tasks += make_latin_letter_tasks(corpus, limit=limit, seed=seed)
        tasks += make_label_tasks(corpus, limit=limit, seed=seed)
    for folder in asked["cross_lingual"]:
        tasks += read_cross_lingual_tasks(folder, limit=limit, seed=seed)
    for column, spec in asked["more_like"]:
        tasks.append(make_more_like_task(spec, column, limit=limit, seed=seed))
    for folder in asked["judged"]:
        tasks += read_judged_tasks(folder)
    if not tasks:
        options = "--known-item, --cross-lingual, --more-like or --judged"
        raise UsageError(f"nothing to measure: give {options}")
    if len({task.name for task in tasks}) < len(tasks):
        raise UsageError("the same task is asked for twice")
    return tasks


def _add_options(*options: Decorator) -> Decorator:
    return lambda command: reduce(lambda so_far, option: option(so_far), options[::-1], command)


@click.group()
def evaluate() -> None:
    """Measure search and encoders on labelled data.

    \b
    Example:
      twinlens evaluate search --known-item videos.jsonl --title-model packaged:use-m3
    """


@evaluate.command(short_help="Measure search on labelled queries.")
@_add_options(*_TASKS, *_INDEX, _PLOT)
def search(plot: Path | None, **asked: Any) -> None:
    """Measure search on labelled queries: every ranking, their fusion, and BM25.

    A catalogue is indexed with the real encoders in the embedded engine and asked through the
    server's own search. Figures are means over queries with 95 % bootstrap intervals.

    \b
    Example:
      twinlens evaluate search --known-item videos.jsonl --title-model packaged:use-m3 \\
          --title-model packaged:minilm --cache ./vectors --json search.json --plot search.png
    """
    from twinlens.encoders.lenses import find_lenses
    from twinlens.evaluate import report
    from twinlens.evaluate.measures import MEASURES
    from twinlens.evaluate.search import load_title_encoders, measure_search
    from twinlens.search.request import SearchRequest

    report.check_plots(plot)
    about, request = _begin("search", asked), SearchRequest()
    tasks = _make_tasks(asked)
    encoders, failed = load_title_encoders(asked["title_models"], threads=asked["threads"])
    measured = measure_search(tasks, encoders, **_how(asked), request=request)
    settings = {name: getattr(request, name) for name in ("rrf_k", "window", "expand")}
    settings["weights"] = {name: lens.weight for name, lens in find_lenses().items()}
    about |= {"measures": MEASURES, "settings": settings, "left_out": failed}
    write_json(asked["json_path"], about | to_json(measured))
    report.draw_panels(report.make_search_panels(measured), plot)
    click.echo(report.format_search(measured))
    for model, why in failed.items():
        click.echo(f"left out: {model}: {why}")
    queries = sum(len(task.queries) for task in tasks)
    _end(asked, f"{len(tasks)} tasks, {queries} queries, {len(encoders)} title models")


@evaluate.command(short_help="Sweep the fusion's settings over labelled queries.")
@_add_options(*_TASKS, *_INDEX)
def fusion(**asked: Any) -> None:
    """Sweep the fusion's rank constant and weights over labelled queries.

    One half of the queries chooses the setting, the other half says by how much it is better than
    the default.

    \b
    Example:
      twinlens evaluate fusion --known-item videos.jsonl --cross-lingual ./parallel \\
          --more-like category videos.jsonl --title-model packaged:use-m3 --cache ./vectors
    """
    from twinlens.encoders.load import load_title_encoder
    from twinlens.evaluate.fusion import sweep_fusion
    from twinlens.evaluate.report import format_fusion
    from twinlens.evaluate.search import ask_tasks

    about = _begin("fusion", asked) | {"title_models": asked["title_models"]}
    tasks = _make_tasks(asked)
    models, threads = asked["title_models"], asked["threads"]
    encoders = {name: load_title_encoder(name, threads=threads) for name in models}
    sweeps = sweep_fusion(ask_tasks(tasks, encoders, **_how(asked)))
    write_json(asked["json_path"], about | {"kinds": sweeps})
    click.echo(format_fusion(sweeps))
    _end(asked, f"{len(tasks)} tasks")


@evaluate.command(short_help="Fit what says how well hits match, and judge it.")
@_add_options(*_TASKS, *_INDEX)
@click.option(
    "--write",
    type=FileToWrite(),
    help="Write the calibration here; `calibrations.toml` in a data directory is read by `serve`.",
)
def calibrate(write: Path | None, **asked: Any) -> None:
    """Fit the `match` of hits for a title model, and judge it on each catalogue by the others.

    Queries that a video answers stand against as many that none does: nonsense, and titles of the
    other catalogues. So at least two catalogues are needed. Names and labels have no say.

    \b
    Example:
      twinlens evaluate calibrate --known-item videos.jsonl --cross-lingual ./parallel \\
          --title-model ./model --write data/calibrations.toml
    """
    from twinlens.catalog.files import write_atomically
    from twinlens.encoders.load import load_title_encoder
    from twinlens.evaluate import labels, latin_letters
    from twinlens.evaluate.matching import measure_matching
    from twinlens.evaluate.report import format_matching

    about = _begin("matching", asked)
    tasks = _make_tasks(asked)
    # Of a label's videos those whose titles have it are not judged, and may be first all the same.
    left_out = labels.FAMILY, latin_letters.FAMILY
    tasks = [task for task in tasks if task.family not in left_out]
    for corpus in {task.corpus: None for task in tasks}:  # those of parallel lines, too
        latin = latin_letters.make_latin_letter_tasks(
            corpus, limit=asked["limit"], seed=asked["seed"]
        )
        # One with spellings hidden is no other catalogue.
        tasks += [task for task in latin if task.corpus is corpus]
    reports = [
        measure_matching(
            tasks,
            load_title_encoder(model, threads=asked["threads"]),
            limit=asked["limit"],
            seed=asked["seed"],
            **_how(asked),
        )
        for model in asked["title_models"]
    ]
    write_json(asked["json_path"], about | {"reports": [to_json(one) for one in reports]})
    click.echo("\n\n".join(map(format_matching, reports)))
    if write is not None:
        write_atomically(write, "\n".join(one.to_toml() for one in reports))
    _end(asked, f"{len(tasks)} tasks, {len(reports)} title models")


@evaluate.command(short_help="Measure recommendations on people's ratings.")
@click.argument("source")
@click.option(
    "--ratings",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV or CSV.gz with the columns user_id, video_id and rating (0.5 to 5).",
)
@_option("--title-model", default="packaged:e5-small", help="As `twinlens index` has it.")
@_limit("--people", 300, "At most this many people to recommend to, drawn at random.")
@_add_options(*_INDEX)
def recommendations(source: str, ratings: Path, title_model: str, **asked: Any) -> None:
    """Measure recommendations on people's ratings of the videos in SOURCE.

    Half of what each person liked (4 and more) and disliked (2.5 and less) is told, the other half
    is to be found or spared. Beside the served recommendations stands what most people liked.
    Intervals are 95 % bootstraps over people.

    \b
    Example:
      twinlens evaluate recommendations movies/ --ratings movies/ratings.csv.gz --cache ./vectors
    """
    from twinlens.encoders.load import load_title_encoder
    from twinlens.evaluate.index import index_corpus
    from twinlens.evaluate.recommendations import draw_people, measure_recommendations, read_people
    from twinlens.evaluate.report import format_recommendations
    from twinlens.evaluate.tasks import read_corpus

    about = _begin("recommendations", asked) | {"title_model": title_model}
    corpus = read_corpus(source)
    everyone = read_people(ratings, {one.video_id for one in corpus.videos}, seed=asked["seed"])
    people = draw_people(everyone, limit=asked["limit"], seed=asked["seed"])
    encoder = load_title_encoder(title_model, threads=asked["threads"])
    with index_corpus(corpus, encoder, **_how(asked)) as index:
        ways = measure_recommendations(index, people, everyone)
    about |= {"videos": len(corpus.videos), "people": len(people), "rows": ways}
    write_json(asked["json_path"], about)
    click.echo(format_recommendations(ways))
    _end(asked, f"{len(people)} people of {len(everyone)}, {len(corpus.videos)} videos")


@evaluate.command(short_help="Measure thumbnail encoders on damaged and labelled pictures.")
@click.argument("source")
@_repeated(
    "--encoder",
    metavar="NAME",
    default=["packaged:denoiser", "pixels"],
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
@_add_options(_JSON, _PLOT)
def thumbnails(source: str, json_path: Path | None, plot: Path | None, **asked: Any) -> None:
    """Measure thumbnail encoders on the pictures of SOURCE, one beside the other.

    Damaged pictures are looked for among all; neighbours are compared by category, where the
    source has them; outputs are checked for life. Beside an encoder stand the bare pixels.

    \b
    Example:
      twinlens evaluate thumbnails ./thumbnails --json thumbnails.json --plot thumbnails.png
      twinlens evaluate thumbnails ./thumbnails --encoder ./model --encoder pixels
    """
    from twinlens.evaluate import report
    from twinlens.evaluate.thumbnails import load_encoder, measure_thumbnails

    report.check_plots(plot)
    about = {"measurement": "thumbnails", "machine": describe_machine(), "ask": asked["ask"]}
    encoders = {name: load_encoder(name) for name in dict.fromkeys(asked["encoder"])}
    measured = measure_thumbnails(source, encoders, ask_all=asked["ask"] == "all")
    write_json(json_path, about | to_json(measured))
    report.draw_panels(report.make_thumbnail_panels(measured), plot)
    click.echo(report.format_thumbnails(measured))


@evaluate.command("feed", short_help="Measure what is found for people on a log of events.")
@click.argument("logs", metavar="LOG...", nargs=-1, required=True, type=_FILE)
@click.option(
    "--videos",
    "videos_path",
    metavar="SOURCE",
    help="The catalogue, as `twinlens index` takes it: then content is learned from, too.",
)
@map_option
@people_option
@_option(
    "--protocol",
    type=click.Choice(["next-watch", "next-day", "new-videos", "halves", "example-age", "ranking"]),
    default="next-watch",
    help="What is to be found: each person's last watch, the first of the last days, the last of "
    "videos that were left out of training, or half of what others than those learned from "
    "watched; how much videos are watched by their age; or the order of what was shown on the "
    "last days.",
)
@_option("--seeds", type=_COUNT, default=5, help="How many times a ranking, or ages, are learned.")
@_option("--days", type=click.FloatRange(min=0.01), default=1.0, help="The last days, held out.")
@_option("--epochs", type=_COUNT, default=None, help="Passes at most, where not the default.")
@click.option(
    "--ablate",
    is_flag=True,
    help="Train again without each input, and each pooling; of a ranking, by "
    "each of the paper's hidden layers and objectives.",
)
@_option("--title-model", default="packaged:use-m3-bridge", help="As `twinlens index` has it.")
@_add_options(*_INDEX, _PLOT)
def feed(plot: Path | None, **asked: Any) -> None:
    """Measure learned candidates on LOG, beside counting, item-kNN and EASE.

    The network is trained on what was not held out. All videos are ranked; figures are means over
    people with 95 % bootstrap intervals, differences are paired. A ranking is measured by the share
    of watch time that it mispredicts, beside LightGBM and a network that learns clicks.

    \b
    Example:
      twinlens evaluate feed events.parquet --videos videos.jsonl --protocol next-day \\
          --json feed.json --plot feed.png
    """
    from twinlens.evaluate import report
    from twinlens.evaluate.feed.example_age import draw_example_age, format_example_age
    from twinlens.evaluate.feed.report import (
        format_ranking,
        format_rows,
        make_panels,
        make_ranking_panels,
    )
    from twinlens.evaluate.feed.run import measure_age, measure_feed, measure_order

    report.check_plots(plot)
    about = _begin("feed", asked) | {
        name: asked[name] for name in ("protocol", "days", "title_model", "ablate")
    }
    events = read_log(asked["logs"], asked["mapping"])
    if asked["protocol"] == "ranking":
        figures = measure_order(events, asked)
        write_json(asked["json_path"], about | to_json(figures))
        report.draw_panels(make_ranking_panels(figures), plot)
        click.echo(format_ranking(figures))
        _end(asked, f"{figures['impressions']['test']} impressions judged")
        return
    people = read_people(asked["people"])
    if asked["protocol"] == "example-age":
        ages = measure_age(events, people, asked)
        write_json(asked["json_path"], about | to_json(ages))
        draw_example_age(ages, plot)
        click.echo(format_example_age(ages))
        _end(asked, f"{len(ages.days)} days")
        return
    measured = measure_feed(events, people, asked)
    write_json(asked["json_path"], about | to_json(measured))
    report.draw_panels(make_panels(measured.rows), plot)
    click.echo(format_rows(measured.rows))
    _end(asked, f"{measured.people} people, {measured.videos} videos")


def _begin(measurement: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what a report over an index says first; the clock starts."""
    from twinlens.evaluate.measures import LIBRARIES

    asked["started"] = time.monotonic()
    told = {name: asked[name] for name in ("seed", "thumbnail_model")}
    return {"measurement": measurement, "machine": describe_machine(*LIBRARIES), **told}


def _end(asked: Mapping[str, Any], told: str) -> None:
    click.echo(f"\n{told}: {time.monotonic() - asked['started']:.0f} s")


def _how(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a catalogue is to be indexed."""
    from twinlens.encoders.load import load_thumbnail_encoder

    encoder = load_thumbnail_encoder(asked["thumbnail_model"], threads=asked["threads"])
    return {"thumbnail_encoder": encoder, "cache": asked["cache_path"], "threads": asked["threads"]}
