"""``twinlens evaluate search``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from twinlens.evaluate.file_to_write import FileToWrite
from twinlens.evaluate.search.options import Asked, task_options


@click.command()
@task_options
@click.option("--json", "json_path", type=FileToWrite(), help="Figures, settings, versions.")
@click.option("--plot", "plot_path", type=FileToWrite(), help="The figures as a PNG.")
def search(asked: Asked, json_path: Path | None, plot_path: Path | None) -> None:
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

    from twinlens.catalog.files import write_atomically
    from twinlens.encoders.load import load_thumbnail_encoder
    from twinlens.evaluate.machine import machine
    from twinlens.evaluate.search.metrics import LIBRARIES, MEASURES
    from twinlens.evaluate.search.plot import draw
    from twinlens.evaluate.search.report import table
    from twinlens.evaluate.search.results import measure, to_json
    from twinlens.evaluate.vector_cache import VectorCache
    from twinlens.search.request import SearchRequest

    started = time.monotonic()
    record = machine(*LIBRARIES)
    tasks = asked.tasks()
    settings = SearchRequest()
    cache = VectorCache(asked.cache_path)
    try:
        measured = measure(
            tasks,
            title_models=asked.title_models,
            thumbnail_encoder=load_thumbnail_encoder(asked.thumbnail_model, threads=asked.threads),
            settings=settings,
            cache=cache,
            threads=asked.threads,
        )
    finally:
        cache.close()
    if json_path is not None:
        report: dict[str, Any] = {
            "measurement": "search",
            "machine": record,
            "seed": asked.seed,
            "measures": MEASURES,
            "settings": {
                "rrf_k": settings.rrf_k,
                "window": settings.window,
                "expand": settings.expand,
                "weights": {str(name): weight for name, weight in settings.weights.items()},
            },
            "title_models": measured.fingerprints,
            "left_out": measured.failed,
            "thumbnail_model": asked.thumbnail_model,
            "tasks": [to_json(result) for result in measured.results],
        }
        write_atomically(json_path, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    if plot_path is not None:
        draw(measured, plot_path)
    click.echo(table(measured))
    queries = sum(len(task.queries) for task in tasks)
    click.echo(
        f"\n{len(tasks)} tasks, {queries} queries, {len(measured.fingerprints)} title models: "
        f"{time.monotonic() - started:.0f} s"
    )
