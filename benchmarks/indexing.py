"""What the indexing job costs beside the decoding and encoding that it can't do without.

    python -m twinlens.benchmarks.indexing --videos 2000
    python -m twinlens.benchmarks.indexing --memory

Everything runs in processes of its own, as an operator would start it: the job is the command
``twinlens index``, and what it is compared with is this module's ``alone`` command, over the same
files with the same threads: one step after the other, and overlapped as the job has them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from twinlens.evaluate.machine import machine

TITLE_MODEL: Final = "packaged:use-m3"
_BATCH_SIZE: Final = 64
_ROOT: Final = Path(__file__).parents[1]


@click.group(invoke_without_command=True)
@click.option("--videos", default=2000, show_default=True, help="Drawn videos to index.")
@click.option("--rounds", default=3, show_default=True, help="Repetitions, interleaved.")
@click.option("--threads", default=2, show_default=True, help="Threads, of the job and alone.")
@click.option("--memory", is_flag=True, help="Measure peak memory at 2,000 and 20,000 instead.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Keep raw results.")
@click.pass_context
def main(
    ctx: click.Context, videos: int, rounds: int, threads: int, memory: bool, json_path: Path | None
) -> None:
    """Compare the whole job with decoding and encoding alone."""
    if ctx.invoked_subcommand is not None:
        return
    with tempfile.TemporaryDirectory(prefix="twinlens-bench-") as scratch:
        result: dict[str, Any] = {"machine": machine(), "threads": threads}
        if memory:
            result["memory"] = measure_memory(Path(scratch), threads=threads)
        else:
            result["time"] = measure_time(
                Path(scratch), videos=videos, rounds=rounds, threads=threads
            )
    if json_path is not None:
        json_path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def measure_time(
    scratch: Path, *, videos: int, rounds: int, threads: int
) -> list[dict[str, float]]:
    """Seconds of the job, of decoding and encoding alone, and of a second job, per round."""
    source = _sample(scratch, videos)
    measured = []
    for number in range(rounds):
        data = scratch / f"data{number}"
        alone_s = _alone(source, threads)
        overlapped_s = _alone(source, threads, "--overlapped")
        first, _ = _index(source, data, threads)
        second, _ = _index(source, data, threads)
        if second["titles_encoded"] or second["thumbnails_encoded"] or second["published"]:
            raise click.ClickException(f"the second run was not idle: {second}")
        optimize_s = first["timings_s"]["optimize"]
        measured.append(
            {
                "alone_s": alone_s,
                "overlapped_s": overlapped_s,
                "job_s": first["seconds"] - optimize_s,
                "optimize_s": optimize_s,
                "second_s": second["seconds"],
            }
        )
        click.echo(
            f"round {number + 1}: alone {alone_s:.2f} s, overlapped {overlapped_s:.2f} s, "
            f"job {measured[-1]['job_s']:.2f} s (HNSW build apart: {optimize_s:.2f} s), "
            f"unchanged source {second['seconds']:.2f} s; stages {first['timings_s']}",
            err=True,
        )
    overhead = statistics.median(row["job_s"] / row["alone_s"] for row in measured)
    strict = statistics.median(row["job_s"] / row["overlapped_s"] for row in measured)
    speedup = statistics.median(row["job_s"] / row["second_s"] for row in measured)
    click.echo(f"{videos} drawn videos, {threads} threads, medians of {rounds} rounds:")
    click.echo(f"  whole job / decoding and both encoders alone: {overhead:.3f} (at most 1.15)")
    click.echo(f"  whole job / the same, overlapped as in a job: {strict:.3f}")
    click.echo(f"  first run / second run, unchanged source:     {speedup:.1f} (at least 20)")
    return measured


def measure_memory(scratch: Path, *, threads: int) -> list[dict[str, float]]:
    """Peak resident bytes of the job at 2,000 and at 20,000 videos, without the vectors."""
    measured = []
    for videos in (2_000, 20_000):
        source = _sample(scratch, videos)
        summary, peak_bytes = _index(source, scratch / f"data{videos}", threads)
        manifest = next((scratch / f"data{videos}" / "generations").glob("*/manifest.json"))
        encoders = json.loads(manifest.read_text(encoding="utf-8"))["encoders"]
        values = videos * sum(encoder["dim"] for encoder in encoders.values())
        vectors_bytes = 2 * 4 * values  # float32, in Qdrant and again in FAISS
        measured.append(
            {"videos": videos, "peak_bytes": peak_bytes, "vectors_bytes": vectors_bytes}
        )
        click.echo(
            f"{videos} videos: peak {peak_bytes / 2**20:.0f} MiB, "
            f"vectors {vectors_bytes / 2**20:.0f} MiB, {summary['seconds']:.0f} s"
        )
    small, large = (row["peak_bytes"] - row["vectors_bytes"] for row in measured)
    click.echo(f"peak without vectors, 20,000 / 2,000: {large / small:.3f} (at most 1.3)")
    return measured


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


def _alone(source: str, threads: int, *options: str) -> float:
    """Seconds of decoding and encoding, in a process of its own."""
    printed = _run("-m", "twinlens.benchmarks.indexing", "alone", source, str(threads), *options)
    return float(json.loads(printed)["seconds"])


def _sample(scratch: Path, videos: int) -> str:
    source = scratch / f"sample{videos}"
    if not source.exists():
        _run("-m", "twinlens", "sample", "--videos", str(videos), str(source))
    return str(source)


def _index(source: str, data: Path, threads: int) -> tuple[dict[str, Any], int]:
    """The summary of ``twinlens index``, and its peak resident bytes."""
    summary_path = data.with_suffix(".json")
    command = [
        *("-m", "twinlens", "index", source, "--data-dir", str(data)),
        *("--title-model", TITLE_MODEL, "--threads", str(threads), "--json", str(summary_path)),
    ]
    process = subprocess.Popen(
        [sys.executable, *command], cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    errors = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{' '.join(command)} failed: {errors}")
    summary: dict[str, Any] = json.loads(summary_path.read_text(encoding="utf-8"))
    return summary, usage.ru_maxrss * 1024


def _run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise click.ClickException(f"{' '.join(command)} failed: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
