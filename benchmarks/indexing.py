"""What the indexing job costs beside the decoding and encoding that it can't do without.

Everything runs in processes of its own, as an operator would start it: the job is the command
``twinlens index``, and what it is compared with decodes and encodes the same files with the same
threads: one step after the other, and overlapped as the job has them.

Example:
    python -m twinlens.benchmarks.indexing --videos 2000
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import click

from twinlens.benchmarks.harness import TITLE_MODEL, measure_in_turns, report, run_twinlens

_BATCH_SIZE: Final = 64


@click.command()
@click.option("--videos", default=2000, show_default=True, help="Drawn videos to index.")
@click.option("--rounds", default=3, show_default=True, help="Repetitions, in turns.")
@click.option("--threads", default=2, show_default=True, help="Threads, of the job and alone.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Keep raw results.")
def main(videos: int, rounds: int, threads: int, json_path: Path | None) -> None:
    """Compare the whole job with decoding and encoding alone."""
    with tempfile.TemporaryDirectory(prefix="twinlens-bench-") as scratch:
        source, made = Path(scratch, "sample"), count()
        run_twinlens("sample", "--videos", str(videos), source)

        def job() -> dict[str, float]:
            data = Path(scratch, f"data{next(made)}")
            first, second = index(source, data, threads), index(source, data, threads)
            optimize_s = first["timings_s"]["optimize"]
            return {
                "job, HNSW build apart": first["seconds"] - optimize_s,
                "HNSW build": optimize_s,
                "second run, unchanged source": second["seconds"],
            }

        def alone(name: str) -> dict[str, float]:
            spawning = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=spawning) as process:
                overlapped = name == "overlapped"
                return {name: process.submit(encode_s, source, threads, overlapped).result()}

        ways = {name: partial(alone, name) for name in ("alone", "overlapped")} | {"job": job}
        samples = measure_in_turns(ways, rounds=rounds)
    whole = "job, HNSW build apart"
    ratios = {"job / alone": (whole, "alone"), "job / overlapped": (whole, "overlapped")}
    title = f"seconds, {videos} drawn videos, {threads} threads"
    report(json_path, title, samples, ratios, videos=videos, threads=threads, samples_s=samples)


def encode_s(source: Path, threads: int, overlapped: bool) -> float:
    """Seconds of decoding and encoding ``source``, and of nothing else.

    ``overlapped``: decoded ahead, with both encoders side by side.
    """
    from twinlens.catalog.images import decode_image
    from twinlens.catalog.sources import Row, open_source, read_thumbnail
    from twinlens.encoders.load import load_thumbnail_encoder, load_title_encoder

    each = max(1, threads // 2)  # as the job has it
    titles = load_title_encoder(TITLE_MODEL, threads=each)
    thumbnails = load_thumbnail_encoder("packaged:denoiser", threads=each)
    videos = [row.video for row in open_source(str(source)) if isinstance(row, Row)]
    pictures = [data for video in videos if (data := read_thumbnail(video)) is not None]
    words = [video.title for video in videos if video.title is not None]
    decode = partial(decode_image, at_least=thumbnails.input_size)

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool, ThreadPoolExecutor(1) as beside:
        decoded = pool.map(decode, pictures[:_BATCH_SIZE])
        for begin in range(0, len(videos), _BATCH_SIZE):
            end = begin + _BATCH_SIZE
            images = list(decoded)
            if overlapped:
                decoded = pool.map(decode, pictures[end : end + _BATCH_SIZE])
                encoding = beside.submit(titles.encode, words[begin:end])
                thumbnails.encode(images)
                encoding.result()
            else:
                titles.encode(words[begin:end])
                thumbnails.encode(images)
                decoded = pool.map(decode, pictures[end : end + _BATCH_SIZE])
    return time.perf_counter() - start


def index(source: Path, data: Path, threads: int) -> dict[str, Any]:
    """The summary of ``twinlens index``."""
    told = data.with_suffix(".json")
    model = ("--title-model", TITLE_MODEL)
    threaded = ("--threads", str(threads))
    run_twinlens("index", source, "--data-dir", data, *model, *threaded, "--json", told)
    summary: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
    return summary


if __name__ == "__main__":
    main()
