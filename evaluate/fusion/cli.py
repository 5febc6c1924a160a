"""``twinlens evaluate fusion``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from twinlens.evaluate.file_to_write import FileToWrite
from twinlens.evaluate.search.options import Asked, task_options


@click.command()
@task_options
@click.option("--json", "json_path", type=FileToWrite(), help="Every trial, as JSON.")
@click.option("--plot", "plot_path", type=FileToWrite(), help="Weights and rank constants, as PNG.")
def fusion(asked: Asked, json_path: Path | None, plot_path: Path | None) -> None:
    """Choose the fusion's settings by measurement.

    Half of the queries choose rank constant, weights, borrowed thumbnails and window; the other
    half, asked as the server would, says by how much the choice is better than the default.

    \b
    Example:
      twinlens evaluate fusion --known-item videos.jsonl --cross-lingual ./parallel \\
          --more-like category videos.jsonl --title-model packaged:use-m3 --cache ./vectors
    """
    import json
    import time

    from twinlens.catalog.files import write_atomically
    from twinlens.encoders.load import load_thumbnail_encoder
    from twinlens.evaluate.fusion.plot import draw
    from twinlens.evaluate.fusion.report import table
    from twinlens.evaluate.fusion.run import choose
    from twinlens.evaluate.machine import machine
    from twinlens.evaluate.search.metrics import LIBRARIES
    from twinlens.evaluate.vector_cache import VectorCache

    started = time.monotonic()
    record = machine(*LIBRARIES)
    tasks = asked.tasks()
    cache = VectorCache(asked.cache_path)
    try:
        choice = choose(
            tasks,
            title_models=asked.title_models,
            thumbnail_encoder=load_thumbnail_encoder(asked.thumbnail_model, threads=asked.threads),
            cache=cache,
            threads=asked.threads,
        )
    finally:
        cache.close()
    if json_path is not None:
        report: dict[str, Any] = {
            "measurement": "fusion",
            "machine": record,
            "seed": asked.seed,
            "title_models": list(asked.title_models),
            "thumbnail_model": asked.thumbnail_model,
            **choice.to_json(),
        }
        write_atomically(json_path, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    if plot_path is not None:
        draw(next(iter(choice.stages.values()))[0], plot_path)
    click.echo(table(choice.stages, choice.defaults, choice.comparisons))
    trials = sum(len(stage.trials) for found in choice.stages.values() for stage in found)
    click.echo(f"\n{len(tasks)} tasks, {trials} settings tried: {time.monotonic() - started:.0f} s")
