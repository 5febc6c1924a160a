"""``twinlens train-thumbnails`` and ``twinlens train-titles``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MeasuredT = TypeVar("MeasuredT")

_out_option = click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory for the model; a run that was killed continues from the checkpoint in it.",
)
_steps_option = click.option(
    "--steps",
    default=3000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Steps at most; training stops earlier where it gets no better.",
)


@click.command("train-thumbnails")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@_out_option
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2**32 - 1),
    help="Same seed, machine and threads: same weights.",
)
@_steps_option
@click.option(
    "--batch-size",
    default=128,
    show_default=True,
    type=click.IntRange(min=8),
    help="Pictures a step.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option(
    "--threads",
    default=1,
    show_default=True,
    type=click.IntRange(1, 256),
    help="CPU threads; more than there are free cores make it slower.",
)
@click.option(
    "--precision",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "float32", "bfloat16"]),
    help="auto takes bfloat16 where the processor multiplies it natively (about twice as fast).",
)
@click.option(
    "--limit",
    default=20_000,
    show_default=True,
    type=click.IntRange(min=1),
    help="Pictures to read at most; each takes about 240 KB of memory.",
)
def train_thumbnails(
    sources: tuple[str, ...],
    out: Path,
    seed: int,
    steps: int,
    batch_size: int,
    device: str,
    threads: int,
    precision: str,
    limit: int,
) -> None:
    """Train a thumbnail encoder on the pictures of SOURCE.

    Writes model.safetensors, config.json, history.json, (with matplotlib) curves.png, and
    sheet.png into the directory --out; the sheet has pictures clean, corrupted, and as painted
    from the code. Fifteen per cent of the pictures, chosen by their ids, are held out for
    `twinlens evaluate thumbnails`; seven per cent of the rest are for validation, and training
    stops early when they stop getting better.

    \b
    Example:
      twinlens train-thumbnails ./thumbnails --out ./model
      twinlens index ./thumbnails --thumbnail-model ./model
    """
    import time

    from twinlens.catalog.errors import UsageError
    from twinlens.catalog.sources.pictures import name_some

    started = time.monotonic()
    _require_torch()
    import torch

    from twinlens.encoders.curves import draw_curves, draw_sheet
    from twinlens.encoders.thumbnails.training import (
        MIN_PICTURES,
        Measurement,
        TrainingOptions,
        train,
    )

    fast = _takes_bfloat16(precision, device)
    pictures, video_ids, left_out = _read_pictures(sources, limit=limit)
    if len(pictures) < MIN_PICTURES:
        raise UsageError(
            f"{', '.join(sources)}: {len(pictures)} readable pictures; training needs at least "
            f"{MIN_PICTURES}" + (f" (left out: {name_some(left_out)})" if left_out else "")
        )
    torch.set_num_threads(threads)
    options = TrainingOptions(
        seed=seed, steps=steps, batch_size=batch_size, device=device, bfloat16=fast
    )

    def describe(measured: Measurement) -> str:
        return f"loss {measured.loss:.3f}, recall@1 {measured.recall_at_1:.3f}"

    with _show_steps(steps, describe) as on_step:
        result = train(pictures, video_ids, out=out, options=options, on_step=on_step)
    if not draw_curves(
        result.history,
        out / "curves.png",
        losses={"training": lambda at: at.training_loss, "held out": lambda at: at.loss},
        shares={"recall@1": lambda at: at.recall_at_1},
    ):
        click.echo("curves.png needs matplotlib: pip install 'twinlens[plots]'", err=True)
    draw_sheet(result.sheet, out / "sheet.png")
    if left_out:
        click.echo(f"left out, {len(left_out)}: {name_some(left_out)}", err=True)
    best = result.best
    click.echo(
        f"{out}: {result.trained_on} pictures, {result.validated_on} for validation, "
        f"{result.held_out} held out, {len(left_out)} left out; "
        f"best at step {best.step} of {result.steps}: "
        f"loss {best.loss:.4f}, recall@1 {best.recall_at_1:.3f}; "
        f"{time.monotonic() - started:.0f} s"
    )


def _require_torch() -> None:
    """Return if torch is installed.

    Raises:
        UsageError: it is not.
    """
    from twinlens.catalog.errors import UsageError

    if find_spec("torch") is None:
        raise UsageError("training needs torch: pip install 'twinlens[train]'")


def _takes_bfloat16(precision: str, device: str) -> bool:
    """Return whether ``--precision`` means bfloat16 on ``device``.

    Raises:
        UsageError: there is no such device.
    """
    import torch

    from twinlens.catalog.errors import UsageError
    from twinlens.encoders.thumbnails.training import has_bfloat16

    try:
        if torch.device(device).type == "cuda" and not torch.cuda.is_available():
            raise UsageError(f"--device {device}: torch finds no CUDA device here")
        return precision == "bfloat16" or (precision == "auto" and has_bfloat16(device))
    except RuntimeError as error:
        raise UsageError(f"--device {device}: {error}") from error


@contextmanager
def _show_steps(
    steps: int, describe: Callable[[MeasuredT], str]
) -> Iterator[Callable[[int, MeasuredT | None], None]]:
    """Show a bar of the steps done, and the last validation as ``describe`` puts it.

    The block gets the function to call with every step and, if it had one, its validation.
    """
    from tqdm import tqdm

    with tqdm(total=steps, desc="training", unit=" steps", smoothing=0.05) as progress:

        def on_step(step: int, measured: MeasuredT | None) -> None:
            progress.update(step - progress.n)
            if measured is not None:
                progress.set_postfix_str(describe(measured))

        yield on_step


def _read_pictures(
    sources: Iterable[str], *, limit: int
) -> tuple[npt.NDArray[np.uint8], list[str], list[str]]:
    """Return fitted pictures, uint8 (n, 108, 192, 3), their ids, and those left out, and why."""
    import numpy as np
    from tqdm import tqdm

    from twinlens.catalog.sources.pictures import read_pictures
    from twinlens.encoders.thumbnails.pictures import TRAINING_SIZE, fit_picture

    width, height = TRAINING_SIZE
    # Half as much again: what bars may take off a picture that is decoded at a fraction.
    at_least = (width * 3 // 2, height * 2)
    left_out: list[str] = []
    found = (
        picture
        for source in sources
        for picture in read_pictures(source, left_out=left_out, at_least=at_least)
    )
    fitted: list[npt.NDArray[np.uint8]] = []
    video_ids: list[str] = []
    for picture in tqdm(islice(found, limit), desc="reading", unit=" pictures"):
        fitted.append(fit_picture(picture.image, size=TRAINING_SIZE))
        video_ids.append(picture.video.video_id)
    pictures = np.stack(fitted) if fitted else np.empty((0, height, width, 3), dtype=np.uint8)
    return pictures, video_ids, left_out


@click.command("train-titles")
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DATA...")
@_out_option
@click.option("--seed", default=0, show_default=True, help="Same seed, same machine: same weights.")
@_steps_option
@click.option(
    "--batch-size", default=512, show_default=True, type=click.IntRange(min=8), help="Lines a step."
)
@click.option(
    "--threads", default=1, show_default=True, type=click.IntRange(min=1), help="CPU threads."
)
def train_titles(
    data: tuple[Path, ...], out: Path, seed: int, steps: int, batch_size: int, threads: int
) -> None:
    """Train a bridge that brings titles in scripts USE doesn't know into its space.

    DATA are parallel files: lines in any languages, and the same in English. A file called
    *.jsonl has one object a line, {"source": "...", "english": "...", "language": "ta"}; any other
    has tab-separated lines: source, English and, if known, the language. The language is noted
    for people; the bridge goes by the script of a line.

    Writes model.safetensors, config.json, history.json and (with matplotlib) curves.png into the
    directory --out. One text in twenty is kept for validation, in all languages; training stops
    early when it gets no better.

    \b
    Example:
      twinlens train-titles pairs.jsonl --out ./bridge
      twinlens index videos.csv --title-model ./bridge
    """
    import time

    from tqdm import tqdm

    from twinlens.encoders.titles.corpus import gather_corpus
    from twinlens.encoders.titles.packing import BridgeShape
    from twinlens.encoders.titles.pairs import read_pairs
    from twinlens.encoders.use import UniversalSentenceEncoder

    started = time.monotonic()
    _require_torch()
    pairs = [
        pair
        for path in data
        for pair in tqdm(read_pairs(path), desc=f"reading {path.name}", unit=" pairs")
    ]
    base = UniversalSentenceEncoder()
    shape = BridgeShape(dim=base.dim)
    with tqdm(desc="encoding English", unit=" texts") as encoding:

        def on_encoded(done: int, total: int) -> None:
            encoding.total = total
            encoding.update(done - encoding.n)

        corpus = gather_corpus(
            pairs,
            known_scripts=base.scripts,
            buckets=shape.buckets,
            encode=base.encode,
            on_encoded=on_encoded,
        )

    import torch

    from twinlens.encoders.curves import draw_curves
    from twinlens.encoders.titles.training import Measurement, TrainingOptions, train

    torch.set_num_threads(threads)
    options = TrainingOptions(seed=seed, steps=steps, batch_size=batch_size)

    def describe(measured: Measurement) -> str:
        return f"held-out MRR {measured.mrr:.3f}, recall@10 {measured.recall_at_10:.3f}"

    with _show_steps(steps, describe) as on_step:
        result = train(corpus, base=base, out=out, options=options, shape=shape, on_step=on_step)
    by_script: dict[str, Callable[[Measurement], float]] = {
        name.title(): lambda at, name=name: at.by_script[name]  # type: ignore[misc]
        for name in sorted(result.best.by_script)
    }
    draw_curves(
        result.history,
        out / "curves.png",
        losses={"training": lambda at: at.training_loss},
        shares=by_script | {"mean reciprocal rank": lambda at: at.mrr},
    )
    best = result.best
    click.echo(
        f"{out}: {result.trained_on} pairs, {result.held_out} held out, "
        f"{corpus.left_out} left out; best at step {best.step} of {result.steps}: "
        f"MRR {best.mrr:.3f}, recall@10 {best.recall_at_10:.3f}; "
        f"scripts {', '.join(result.scripts)}; {time.monotonic() - started:.0f} s"
    )
