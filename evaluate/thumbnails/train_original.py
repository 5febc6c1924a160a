"""Train the original autoencoder: ``python -m twinlens.evaluate.thumbnails.train_original``.

Its own recipe: squared error on clean pictures, Adam at 1e-3, batches of 64, ten epochs.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np
import numpy.typing as npt

from twinlens.catalog.errors import TwinLensError

if TYPE_CHECKING:
    from torch import nn

_BATCH: Final = 64
# A batch of full-size pictures would take 10 GB at once; the gradients of its parts add up to its.
_PART: Final = 16


@click.command()
@click.argument("source")
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="For the model."
)
@click.option("--width", default=480, show_default=True, help="The original's; 4:3 is kept.")
@click.option("--epochs", default=10, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=0, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1))
@click.option("--bfloat16", is_flag=True, help="Multiply in bfloat16: about twice as fast.")
def main(
    source: str,
    out: Path,
    width: int,
    epochs: int,
    seed: int,
    device: str,
    threads: int,
    bfloat16: bool,
) -> None:
    """Train the original autoencoder on the pictures of SOURCE that are not held out.

    Writes the encoder's weights (177 MB at full size) and its curve into --out after every epoch.

    \b
    Example:
      python -m twinlens.evaluate.thumbnails.train_original ./thumbnails --out ./original
      twinlens evaluate thumbnails ./thumbnails --encoder original:./original
    """  # noqa: D301 - the backslash-b is click's
    import torch

    from twinlens.evaluate.thumbnails.original import grey_pixels
    from twinlens.evaluate.thumbnails.pictures import picture_set

    if width % 16:
        raise click.UsageError("--width must be a multiple of 16, so that both sides halve twice")
    torch.set_num_threads(threads)
    size = (width, width * 3 // 4)
    try:
        training = [picture for picture in picture_set(source).pictures if not picture.held_out]
    except TwinLensError as error:
        click.echo(f"train_original: {error}", err=True)
        raise SystemExit(error.exit_code) from error
    pixels = np.concatenate([grey_pixels([picture.image()], size) for picture in training])
    started = time.monotonic()
    losses = train(
        pixels, out=out, size=size, epochs=epochs, seed=seed, device=device, bfloat16=bfloat16
    )
    click.echo(
        f"{out}: {len(pixels)} pictures at {size[0]}x{size[1]}, {epochs} epochs; "
        f"loss {losses[-1]:.4f} in the last, {losses[0]:.4f} in the first; "
        f"the mean picture would have {float((pixels / 255).var(axis=0).mean()):.4f}; "
        f"{time.monotonic() - started:.0f} s"
    )


def train(
    pixels: npt.NDArray[np.uint8],
    *,
    out: Path,
    size: tuple[int, int],
    epochs: int,
    seed: int,
    device: str,
    bfloat16: bool,
) -> list[float]:
    """Train on uint8 (n, 1, H, W), write the encoder into ``out``; the mean loss of each epoch."""
    import torch
    from torch import nn
    from torch.nn import functional
    from tqdm import tqdm

    from twinlens.evaluate.thumbnails.original import (
        decoder_network,
        encoder_network,
        write_original,
    )

    torch.manual_seed(seed)
    encoder, decoder = encoder_network(size), decoder_network(size)
    model: nn.Module = nn.Sequential(encoder, decoder).to(device)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    source = torch.from_numpy(pixels)
    order = torch.Generator().manual_seed(seed)
    losses: list[float] = []
    with tqdm(total=epochs * len(source), desc="training", unit=" pictures") as progress:
        for epoch in range(epochs):
            total = 0.0
            for rows in torch.split(torch.randperm(len(source), generator=order), _BATCH):
                optimizer.zero_grad(set_to_none=True)
                for part in torch.split(rows, _PART):
                    pictures = source[part].to(device).float() / 255
                    pictures = pictures.contiguous(memory_format=torch.channels_last)
                    with torch.autocast(pictures.device.type, torch.bfloat16, enabled=bfloat16):
                        painted = model(pictures)
                    loss = functional.mse_loss(painted.float(), pictures)
                    (loss * (len(part) / len(rows))).backward()  # type: ignore[no-untyped-call]
                    total += float(loss.detach()) * len(part)
                    progress.update(len(part))
                optimizer.step()
            losses.append(total / len(source))
            progress.set_postfix_str(f"loss {losses[-1]:.4f}")
            about: dict[str, Any] = {
                "size": size,
                "epochs": epoch + 1,
                "seed": seed,
                "bfloat16": bfloat16,
                "trained_on": len(source),
                "losses": [round(value, 5) for value in losses],
            }
            write_original(out, encoder, about)
    return losses


if __name__ == "__main__":
    main()
