"""``python -m twinlens.benchmarks.engines.title_vectors``: vectors of real titles.

What ``twinlens bench --vectors`` takes where there is no index yet, or no pictures for one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click
import numpy as np

from twinlens.benchmarks.engines.cli import QUERIES
from twinlens.catalog.errors import TwinLensError, UsageError
from twinlens.encoders.load import load_title_encoder
from twinlens.evaluate.file_to_write import FileToWrite
from twinlens.evaluate.search.sources import read_corpus

_AT_ONCE: Final = 256


@click.command()
@click.argument("sources", metavar="SOURCE [SOURCE ...]", nargs=-1, required=True)
@click.option("--out", type=FileToWrite(), required=True, help="The HDF5 file.")
@click.option("--title-model", default="packaged:use-m3-bridge", show_default=True)
@click.option(
    "--queries",
    type=click.IntRange(min=10),
    default=QUERIES,
    show_default=True,
    help="So many titles, drawn by a seed, are queries, and not among the vectors.",
)
def main(sources: tuple[str, ...], out: Path, title_model: str, queries: int) -> None:
    """Encode the different titles of sources, as `twinlens index` takes them, into HDF5.

    \b
    Example:
      python -m twinlens.benchmarks.engines.title_vectors videos.jsonl films/ --out titles.hdf5
      twinlens bench --vectors titles.hdf5
    """  # noqa: D301 - the backslash-b is click's
    try:
        vectors = encoded(sources, out, title_model=title_model, queries=queries)
    except TwinLensError as error:
        click.echo(f"title_vectors: {error}", err=True)
        raise SystemExit(error.exit_code) from error
    click.echo(f"{vectors:,} vectors and {queries:,} queries written into {out}")


def encoded(sources: tuple[str, ...], out: Path, *, title_model: str, queries: int) -> int:
    """Write the file, and say how many vectors it has beside the queries.

    Raises:
        UsageError: there are too few titles, or no h5py.
        TwinLensError: a source can't be read, or the encoder is missing.
    """
    try:
        import h5py
    except ImportError as error:
        raise UsageError("HDF5 needs h5py: pip install 'twinlens[bench]'") from error
    told = (one.title for source in sources for one in read_corpus(source).videos)
    titles = list(dict.fromkeys(title.strip() for title in told if title and title.strip()))
    if len(titles) < 2 * queries:
        raise UsageError(
            f"{len(titles)} different titles; for {queries} queries there must be {2 * queries}"
        )
    encoder = load_title_encoder(title_model)
    with click.progressbar(
        range(0, len(titles), _AT_ONCE), label="encoding", file=sys.stderr
    ) as starts:
        vectors = np.vstack([encoder.encode(titles[at : at + _AT_ONCE]) for at in starts])
    drawn = np.random.default_rng(0).permutation(len(titles))
    with h5py.File(out, "w") as file:
        file.attrs["distance"] = "angular"
        file["train"] = vectors[np.sort(drawn[queries:])]
        file["test"] = vectors[np.sort(drawn[:queries])]
    return len(titles) - queries


if __name__ == "__main__":
    main()
