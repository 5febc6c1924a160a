"""What the indexing job costs beside the decoding and encoding that it can't do without.

Everything runs in processes of its own, as an operator would start it: the job is the command
``twinlens index``, and what it is compared with is this module's ``alone`` command, over the same
files with the same threads: one step after the other, and overlapped as the job has them.

Example:
    python -m twinlens.benchmarks.indexing --videos 2000
    python -m twinlens.benchmarks.indexing --memory
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from twinlens.benchmarks.harness import (
    ROOT,
    TITLE_MODEL,
    measure_in_turns,
    run_twinlens,
    tell,
    write_report,
)
from twinlens.catalog.errors import TwinLensError

_BATCH_SIZE: Final = 64


@click.group(invoke_without_command=True)
@click.option("--videos", default=2000, show_default=True, help="Drawn videos to index.")
@click.option("--rounds", default=3, show_default=True, help="Repetitions, in turns.")
@click.option("--threads", default=2, show_default=True, help="Threads, of the job and alone.")
@click.option("--memory", is_flag=True, help="Measure peak memory at VIDEOS and ten times as many.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Keep raw results.")
@click.pass_context
def main(
    ctx: click.Context, videos: int, rounds: int, threads: int, memory: bool, json_path: Path | None
) -> None:
    """Compare the whole job with decoding and encoding alone."""
    if ctx.invoked_subcommand is not None:
        return
    with tempfile.TemporaryDirectory(prefix="twinlens-bench-") as scratch:
        if memory:
            peaks = [peak_mib(Path(scratch), count, threads) for count in (videos, 10 * videos)]
            for count, peak in zip((videos, 10 * videos), peaks, strict=True):
                click.echo(f"{count} videos: {peak:.0f} MiB beside their vectors")
            write_report(json_path, threads=threads, peak_mib_without_vectors=peaks)
            return
        source = Path(scratch, "sample")
        run_twinlens("sample", "--videos", str(videos), source)
        made = iter(range(10_000))

        def job() -> dict[str, float]:
            data = Path(scratch, f"data{next(made)}")
            first, _ = index(source, data, threads)
            second, _ = index(source, data, threads)
            optimize_s = first["timings_s"]["optimize"]
            return {
                "job, HNSW build apart": first["seconds"] - optimize_s,
                "HNSW build": optimize_s,
                "second run, unchanged source": second["seconds"],
            }

        samples = measure_in_turns(
            {
                "alone": lambda: {"alone": alone_s(source, threads)},
                "overlapped": lambda: {"overlapped": alone_s(source, threads, "--overlapped")},
                "job": job,
            },
            rounds=rounds,
        )
    whole = "job, HNSW build apart"
    ratios = {"job / alone": (whole, "alone"), "job / overlapped": (whole, "overlapped")}
    tell(f"seconds, {videos} drawn videos, {threads} threads", samples, ratios)
    write_report(json_path, videos=videos, threads=threads, samples_s=samples)


@main.command()
@click.argument("source")
@click.argument("threads", type=int)
@click.option("--overlapped", is_flag=True, help="Decode ahead, with both encoders side by side.")
def alone(source: str, threads: int, overlapped: bool) -> None:
    """Decode and encode SOURCE and nothing else; prints the seconds as JSON."""
    from twinlens.catalog.images import decode_image
    from twinlens.catalog.sources import Row, open_source, read_thumbnail
    from twinlens.encoders.load import load_thumbnail_encoder, load_title_encoder

    each = max(1, threads // 2)  # as the job has it
    titles = load_title_encoder(TITLE_MODEL, threads=each)
    thumbnails = load_thumbnail_encoder("packaged:denoiser", threads=each)
    videos = [row.video for row in open_source(source) if isinstance(row, Row)]
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
    click.echo(json.dumps({"seconds": time.perf_counter() - start}))


def alone_s(source: Path, threads: int, *options: str) -> float:
    """Seconds of decoding and encoding, in a process of its own."""
    command = [sys.executable, "-m", "twinlens.benchmarks.indexing", "alone", str(source)]
    done = subprocess.run(
        [*command, str(threads), *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TwinLensError(done.stderr)
    return float(json.loads(done.stdout)["seconds"])


def index(source: Path, data: Path, threads: int) -> tuple[dict[str, Any], int]:
    """The summary of ``twinlens index``, and its peak resident bytes."""
    summary_path = data.with_suffix(".json")
    command = [
        *(sys.executable, "-m", "twinlens", "index", str(source), "--data-dir", str(data)),
        *("--title-model", TITLE_MODEL, "--threads", str(threads), "--json", str(summary_path)),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise TwinLensError(f"{' '.join(command)} ended with {process.returncode}")
    summary: dict[str, Any] = json.loads(summary_path.read_text(encoding="utf-8"))
    return summary, usage.ru_maxrss * 1024


def peak_mib(scratch: Path, videos: int, threads: int) -> float:
    """Peak memory of the job, less its vectors: float32, in Qdrant and again in FAISS."""
    source = scratch / f"sample{videos}"
    run_twinlens("sample", "--videos", str(videos), source)
    data = scratch / f"data{videos}"
    _, peak_bytes = index(source, data, threads)
    [manifest] = (data / "generations").glob("*/manifest.json")
    encoders = json.loads(manifest.read_text(encoding="utf-8"))["encoders"]
    dims = sum(encoder["dim"] for encoder in encoders.values())
    return float((peak_bytes - 2 * 4 * videos * dims) / 2**20)


if __name__ == "__main__":
    main()
