"""``twinlens evaluate search``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from benchmarks.evaluate.search.tasks import Task

_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.option(
    "--known-item",
    "known_item",
    multiple=True,
    metavar="SOURCE",
    help="Titles asked for with words dropped, swapped, misspelt, or in part. May be repeated.",
)
@click.option(
    "--cross-lingual",
    "cross_lingual",
    multiple=True,
    type=_FOLDER,
    help="A folder laid out as SIB-200: the same lines in several languages. May be repeated.",
)
@click.option(
    "--more-like",
    "more_like",
    nargs=2,
    multiple=True,
    metavar="COLUMN SOURCE",
    help='"More like this": videos that share the labels in COLUMN. May be repeated.',
)
@click.option(
    "--judged",
    multiple=True,
    type=_FOLDER,
    help="A set in BEIR's layout: corpus.jsonl, queries.jsonl, qrels/. May be repeated.",
)
@click.option(
    "--title-model",
    "title_models",
    multiple=True,
    default=["packaged:use-m3"],
    show_default=True,
    help="packaged:use-m3, packaged:minilm, a hub name or a directory. May be repeated.",
)
@click.option("--thumbnail-model", default="packaged:denoiser", show_default=True)
@click.option(
    "--queries",
    "limit",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="Most queries of a task that is drawn by lot; a judged set is asked whole.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--cache",
    "cache_path",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keeps vectors here, so that the next run finds them, and a stopped one goes on.",
)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--json", "json_path", type=_FILE, help="Figures, settings and versions, as JSON.")
@click.option("--plot", "plot_path", type=_FILE, help="The figures as a PNG (needs matplotlib).")
def search(
    known_item: tuple[str, ...],
    cross_lingual: tuple[Path, ...],
    more_like: tuple[tuple[str, str], ...],
    judged: tuple[Path, ...],
    title_models: tuple[str, ...],
    thumbnail_model: str,
    limit: int,
    seed: int,
    cache_path: Path | None,
    threads: int,
    json_path: Path | None,
    plot_path: Path | None,
) -> None:
    """Measure search on labelled queries: every ranking, their fusion, and BM25.

    A catalogue is indexed with the real encoders in the embedded engine and asked through the
    server's own search. Figures are means over queries with 95 % bootstrap intervals.

    \b
    Example:
      twinlens evaluate search --known-item videos.jsonl --title-model packaged:use-m3 \\
          --title-model packaged:minilm --cache ./vectors --json search.json --plot search.png
    """
    import json
    import time

    from backend.search import SearchRequest
    from benchmarks.evaluate.search.metrics import MEASURES
    from benchmarks.evaluate.search.plot import draw
    from benchmarks.evaluate.search.report import table
    from benchmarks.evaluate.search.results import measure, to_json
    from benchmarks.evaluate.vector_cache import VectorCache
    from benchmarks.machine import machine
    from catalog.atomic import write_atomically
    from encoders.load import load_thumbnail_encoder

    started = time.monotonic()
    record = machine()
    tasks = read_tasks(known_item, cross_lingual, more_like, judged, limit=limit, seed=seed)
    settings = SearchRequest()
    cache = VectorCache(cache_path)
    try:
        measured = measure(
            tasks,
            title_models=title_models,
            thumbnail_encoder=load_thumbnail_encoder(thumbnail_model, threads=threads),
            settings=settings,
            cache=cache,
            threads=threads,
        )
    finally:
        cache.close()
    if json_path is not None:
        report: dict[str, Any] = {
            "measurement": "search",
            "machine": record,
            "seed": seed,
            "measures": MEASURES,
            "settings": {
                "rrf_k": settings.rrf_k,
                "window": settings.window,
                "expand": settings.expand,
                "weights": {str(name): weight for name, weight in settings.weights.items()},
            },
            "title_models": measured.fingerprints,
            "left_out": measured.failed,
            "thumbnail_model": thumbnail_model,
            "tasks": [to_json(result) for result in measured.results],
        }
        write_atomically(json_path, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    if plot_path is not None:
        draw(measured, plot_path)
    click.echo(table(measured))
    asked = sum(len(task.queries) for task in tasks)
    click.echo(
        f"\n{len(tasks)} tasks, {asked} queries, {len(measured.fingerprints)} title models: "
        f"{time.monotonic() - started:.0f} s"
    )


def read_tasks(
    known_item: tuple[str, ...],
    cross_lingual: tuple[Path, ...],
    more_like: tuple[tuple[str, str], ...],
    judged: tuple[Path, ...],
    *,
    limit: int,
    seed: int,
) -> list[Task]:
    """The tasks that were asked for.

    Raises:
        UsageError: none was, or one can't be made.
    """
    from benchmarks.evaluate.search import sources
    from benchmarks.evaluate.search.judged import judged_tasks
    from benchmarks.evaluate.search.parallel import cross_lingual_tasks
    from catalog.errors import UsageError

    tasks: list[Task] = []
    for spec in known_item:
        tasks += sources.known_items(spec, limit=limit, seed=seed)
    for folder in cross_lingual:
        tasks += cross_lingual_tasks(folder, limit=limit, seed=seed)
    tasks += [sources.more_like(spec, column, limit=limit, seed=seed) for column, spec in more_like]
    for folder in judged:
        tasks += judged_tasks(folder)
    if not tasks:
        raise UsageError(
            "nothing to measure: give --known-item, --cross-lingual, --more-like or --judged"
        )
    if len({task.name for task in tasks}) < len(tasks):
        raise UsageError("the same task is asked for twice")
    return tasks
