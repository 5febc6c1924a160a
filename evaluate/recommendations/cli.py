"""``twinlens evaluate recommendations``."""

from __future__ import annotations

from pathlib import Path

import click

from twinlens.evaluate.file_to_write import FileToWrite


@click.command()
@click.argument("source")
@click.option(
    "--ratings",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV or CSV.gz with the columns user_id, video_id and rating (0.5 to 5).",
)
@click.option("--title-model", default="packaged:use-m3-bridge", show_default=True)
@click.option("--thumbnail-model", default="packaged:denoiser", show_default=True)
@click.option(
    "--people",
    "limit",
    type=click.IntRange(min=1),
    default=300,
    show_default=True,
    help="Most people to recommend to, drawn by lot.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--cache",
    "cache_path",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keeps vectors here, so that the next run finds them.",
)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--json", "json_path", type=FileToWrite(), help="Figures, settings, versions.")
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
    is to be found or spared. Beside the served recommendations stand one query by the mean of all
    that was liked, and what most people liked. Intervals are 95 % bootstraps over people.

    \b
    Example:
      twinlens evaluate recommendations movies/ --ratings movies/ratings.csv.gz --cache ./vectors
    """
    import json
    import time

    import numpy as np

    from twinlens.catalog.files import write_atomically
    from twinlens.encoders.load import load_thumbnail_encoder, load_title_encoder
    from twinlens.evaluate.machine import machine
    from twinlens.evaluate.recommendations.ratings import read_people
    from twinlens.evaluate.recommendations.report import table
    from twinlens.evaluate.recommendations.run import measure
    from twinlens.evaluate.search.index import reader_over, searcher_of
    from twinlens.evaluate.search.metrics import LIBRARIES
    from twinlens.evaluate.search.sources import read_corpus
    from twinlens.evaluate.vector_cache import CachedTitleEncoder, VectorCache

    started = time.monotonic()
    record = machine(*LIBRARIES)
    corpus = read_corpus(source)
    everyone = read_people(ratings, {video.video_id for video in corpus.videos}, seed=seed)
    drawn = np.random.default_rng(seed).permutation(len(everyone))[:limit]
    people = [everyone[at] for at in sorted(drawn)]
    cache = VectorCache(cache_path)
    try:
        title_encoder = CachedTitleEncoder(load_title_encoder(title_model, threads=threads), cache)
        thumbnail_encoder = load_thumbnail_encoder(thumbnail_model, threads=threads)
        with reader_over(
            corpus, title_encoder=title_encoder, thumbnail_encoder=thumbnail_encoder, cache=cache
        ) as reader:
            searcher = searcher_of(
                corpus, reader, title_encoder=title_encoder, thumbnail_encoder=thumbnail_encoder
            )
            rows = measure(searcher, reader, people, everyone)
    finally:
        cache.close()
    if json_path is not None:
        report = {
            "measurement": "recommendations",
            "machine": record,
            "seed": seed,
            "title_model": title_model,
            "thumbnail_model": thumbnail_model,
            "videos": len(corpus.videos),
            "people": len(people),
            "rows": [row.to_json() for row in rows],
        }
        write_atomically(json_path, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    click.echo(table(rows))
    click.echo(
        f"\n{len(people)} people of {len(everyone)}, {len(corpus.videos)} videos: "
        f"{time.monotonic() - started:.0f} s"
    )
