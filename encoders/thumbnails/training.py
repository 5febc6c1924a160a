"""Training the thumbnail encoder, readable top to bottom.

A corrupted copy of every picture goes through the encoder. Its code must resemble the description
of the clean picture (``appearance.py``) and find it among those of all training pictures, and the
decoder must paint the clean picture from it. Painting alone loses to raw pixels at finding pictures
again and at telling what is alike; the descriptions are what makes the code worth having.

A step depends on nothing but the options, the pictures and its number, so a run that was killed
continues from its checkpoint to the very weights it would have reached, on the same machine.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from twinlens.catalog.errors import EncoderError, UsageError
from twinlens.encoders.thumbnails.appearance import Appearance
from twinlens.encoders.thumbnails.corruption import Corruption
from twinlens.encoders.thumbnails.evaluate import measure_effective_rank
from twinlens.encoders.thumbnails.network import Autoencoder
from twinlens.encoders.thumbnails.packing import write_model
from twinlens.encoders.thumbnails.shape import NetworkShape
from twinlens.encoders.training_run import (
    CHECKPOINT_NAME,
    State,
    TrainingRun,
    Validation,
    digest_run,
)

MIN_PICTURES: Final = 64
HELD_OUT_SHARE: Final = 0.15
_MIN_VALIDATION: Final = 8
_MAX_VALIDATION: Final = 384
_SHEET_PICTURES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """What decides the weights, besides the pictures.

    ``patience`` is how many validations in a row may bring no improvement before training stops.
    """

    seed: int = 0
    steps: int = 3000
    batch_size: int = 128
    device: str = "cpu"
    bfloat16: bool = False
    learning_rate: float = 2e-3
    warmup_steps: int = 60
    weight_decay: float = 0.05
    temperature: float = 0.07
    identity_weight: float = 0.35
    reconstruction_weight: float = 2.0
    clean_share: float = 0.1
    validate_every: int = 50
    save_every: int = 10
    validation_share: float = 0.07
    patience: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(Validation):
    """One validation: losses on pictures not learned from, under corruptions that never change.

    ``loss`` is what decides the best: the weighted sum that training lowers. ``likeness`` is the
    mean cosine of a code and its picture's description. ``recall_at_1`` is the share of corrupted
    pictures whose nearest clean code is their own; ``effective_rank`` is that of the clean codes.
    """

    loss: float
    likeness: float
    identity: float
    reconstruction: float
    recall_at_1: float
    effective_rank: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a finished run leaves: the curve, its best point, and how many pictures it saw.

    ``held_out`` were not even looked at. ``sheet`` is uint8 (3, n, H, W, 3): pictures of the
    validation clean, corrupted, and painted by the best model from the corrupted ones.
    """

    history: tuple[Measurement, ...]
    best: Measurement
    trained_on: int
    validated_on: int
    held_out: int
    steps: int
    sheet: npt.NDArray[np.uint8]


def has_bfloat16(device: str) -> bool:
    """Return whether ``device`` multiplies bfloat16 natively; elsewhere it is slower than float32.

    Raises:
        RuntimeError: there is no such device.
    """
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def is_held_out(video_id: str) -> bool:
    """Return whether training never sees a video's picture: by its id, so the split never moves.

    Fifteen in a hundred; ``twinlens evaluate thumbnails`` asks for these.
    """
    return _place(video_id) < HELD_OUT_SHARE


def train(
    pictures: npt.NDArray[np.uint8],
    video_ids: Sequence[str],
    *,
    out: Path,
    options: TrainingOptions,
    shape: NetworkShape | None = None,
    on_step: Callable[[int, Measurement | None], None] | None = None,
) -> TrainingResult:
    """Train on ``pictures`` and write the best model into ``out``, continuing a run cut short.

    ``pictures`` is uint8 (n, 108, 192, 3): fitted with ``fit_picture`` at ``TRAINING_SIZE``.
    ``on_step`` hears of every step done, with its validation if it had one.

    Raises:
        UsageError: fewer than 64 pictures, or ``out`` holds the checkpoint of another run.
        EncoderError: no validation had a finite loss.
    """
    if len(pictures) < MIN_PICTURES:
        raise UsageError(
            f"{len(pictures)} readable pictures; training needs at least {MIN_PICTURES}"
        )
    shape = shape or NetworkShape()
    device = torch.device(options.device)
    training, checking = _split(pictures, video_ids, options)
    corruption = Corruption(size=(shape.width, shape.height), device=device)
    appearance = Appearance(training, dim=shape.dim, generator=_seed_generator(options.seed, 0, 0))
    validation = _prepare_validation(checking, corruption, appearance)

    torch.manual_seed(options.seed)
    model = Autoencoder(shape).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )
    run = _Run(
        out / CHECKPOINT_NAME,
        digest_run([asdict(options), asdict(shape), list(video_ids)], pictures),
        inputs="pictures",
        measured_as=Measurement,
        # Made again on other threads, the axes of the descriptions may point elsewhere, and what
        # was learned would be worth nothing.
        kept={"wanted": appearance(training), "validation wanted": validation.wanted.cpu()},
    )
    run.resume(model, optimizer)
    wanted = run.kept["wanted"].to(device)  # (n, D)
    validation = replace(validation, wanted=run.kept["validation wanted"].to(device))

    while run.step < options.steps and run.stale < options.patience:
        rows = _draw_rows(len(training), run.step, options)  # (B,)
        clean, corrupted = _draw_views(training[rows], corruption, run.step, options)

        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * _schedule(run.step, options)
        model.train()
        losses = _measure_losses(model, corrupted, clean, wanted, rows.to(device), options)
        run.descend(losses.total, model, optimizer)

        measured = None
        if run.step % options.validate_every == 0 or run.step == options.steps:
            measured = _validate(model, validation, options, run)
            run.record(measured, model)
        if measured is not None or run.step % options.save_every == 0:
            run.save(model, optimizer)
        if on_step is not None:
            on_step(run.step, measured)

    if not run.best:
        raise EncoderError(f"training diverged: no finite loss in {run.step} steps")
    result = TrainingResult(
        history=tuple(run.history),
        best=run.best_measured,
        trained_on=len(training),
        validated_on=len(checking),
        held_out=len(pictures) - len(training) - len(checking),
        steps=run.step,
        sheet=_paint_sheet(model, validation, run.best),
    )
    _write(out, run, result, shape=shape, options=options)
    run.path.unlink(missing_ok=True)
    return result


def _draw_rows(pictures: int, step: int, options: TrainingOptions) -> Tensor:
    """Draw the pictures of a step, so that every epoch takes each at most once."""
    batch_size = min(options.batch_size, pictures)
    epoch, batch = divmod(step, pictures // batch_size)
    order = torch.randperm(pictures, generator=_seed_generator(options.seed, 1, epoch))
    return order[batch * batch_size : (batch + 1) * batch_size]


def _draw_views(
    pictures: Tensor, corruption: Corruption, step: int, options: TrainingOptions
) -> tuple[Tensor, Tensor]:
    """Return ``pictures`` clean, and with all but a few corrupted: both float32 (B, 3, H, W)."""
    draw = _seed_generator(options.seed, 2, step)
    source = _to_float(pictures, corruption.device)  # (B, 3, 108, 192)
    clean = corruption.clean(source)
    corrupted = corruption(source, generator=draw)
    spared = torch.rand(len(source), generator=draw).to(source.device) < options.clean_share
    return clean, torch.where(spared.view(-1, 1, 1, 1), clean, corrupted)


@dataclass(frozen=True, slots=True)
class _Losses:
    """Of one batch, as scalars: ``total`` is the weighted sum of the others."""

    likeness: Tensor
    identity: Tensor
    reconstruction: Tensor
    total: Tensor


def _measure_losses(
    model: Autoencoder,
    corrupted: Tensor,
    clean: Tensor,
    wanted: Tensor,
    rows: Tensor,
    options: TrainingOptions,
) -> _Losses:
    """Return how far the codes of ``corrupted`` are from what is wanted.

    ``wanted`` are the descriptions of all pictures (n, D); those of this batch are its ``rows``.
    Finding one's own among all is a classification whose classes are the pictures.

    Source: Wu et al. 2018, "Unsupervised feature learning via non-parametric instance
    discrimination"; here the memory is fixed.
    """
    views = corrupted.contiguous(memory_format=torch.channels_last)
    with torch.autocast(views.device.type, dtype=torch.bfloat16, enabled=options.bfloat16):
        codes = model.encoder(views)  # (B, D)
        painted = model.decoder(codes)  # (B, 3, H, W)
    codes = codes.float()
    likeness = (codes * wanted[rows]).sum(dim=1).mean()
    identity = functional.cross_entropy(codes @ wanted.T / options.temperature, rows)
    reconstruction = functional.mse_loss(painted.float(), clean)
    return _Losses(
        likeness=likeness,
        identity=identity,
        reconstruction=reconstruction,
        total=1
        - likeness
        + options.identity_weight * identity
        + options.reconstruction_weight * reconstruction,
    )


def _schedule(step: int, options: TrainingOptions) -> float:
    """Return a linear rise, then half a cosine down to 2 %."""
    if step < options.warmup_steps:
        return (step + 1) / options.warmup_steps
    done = (step - options.warmup_steps) / max(1, options.steps - options.warmup_steps)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True, slots=True)
class _Validation:
    corrupted: Tensor
    clean: Tensor
    wanted: Tensor


def _prepare_validation(
    pictures: Tensor, corruption: Corruption, appearance: Appearance
) -> _Validation:
    """Corrupted once, before training, so that every validation asks the same questions."""
    source = _to_float(pictures, corruption.device)
    return _Validation(
        corrupted=corruption(source, generator=_seed_generator(0, 3, 0)),
        clean=corruption.clean(source),
        wanted=appearance(pictures).to(corruption.device),
    )


@torch.no_grad()
def _validate(
    model: Autoencoder, views: _Validation, options: TrainingOptions, run: _Run
) -> Measurement:
    model.eval()
    own = torch.arange(len(views.clean), device=views.clean.device)
    losses = _measure_losses(model, views.corrupted, views.clean, views.wanted, own, options)
    clean = model.encoder(views.clean)
    nearest = (model.encoder(views.corrupted) @ clean.T).argmax(1)
    return Measurement(
        step=run.step,
        training_loss=run.average_loss(),
        loss=float(losses.total),
        likeness=float(losses.likeness),
        identity=float(losses.identity),
        reconstruction=float(losses.reconstruction),
        recall_at_1=float((nearest == own).float().mean()),
        effective_rank=measure_effective_rank(clean.cpu().numpy()),
    )


@torch.no_grad()
def _paint_sheet(model: Autoencoder, views: _Validation, weights: State) -> npt.NDArray[np.uint8]:
    model.load_state_dict(weights)
    model.eval()
    corrupted = views.corrupted[:_SHEET_PICTURES]
    painted = model.decoder(model.encoder(corrupted))
    rows = torch.stack([views.clean[:_SHEET_PICTURES], corrupted, painted])
    levels = (rows.clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(0, 1, 3, 4, 2).cpu().numpy()


class _Run(TrainingRun[Measurement]):
    def improves(self, measured: Measurement) -> bool:
        return measured.loss < min((past.loss for past in self.history), default=math.inf)


def _write(
    out: Path, run: _Run, result: TrainingResult, *, shape: NetworkShape, options: TrainingOptions
) -> None:
    """Write the model with how it was trained."""
    write_model(
        out,
        weights=run.best,
        shape=shape,
        training=run.summarize(
            options,
            trained_on=result.trained_on,
            validated_on=result.validated_on,
            held_out=result.held_out,
        ),
        history=run.list_history(),
    )


def _split(
    pictures: npt.NDArray[np.uint8], video_ids: Sequence[str], options: TrainingOptions
) -> tuple[Tensor, Tensor]:
    """Split the pictures: to learn from, and to validate on; what is held out is in neither."""
    places = np.array([_place(video_id) for video_id in video_ids])
    (free,) = np.nonzero(places >= HELD_OUT_SHARE)
    share = round(options.validation_share * len(free))
    count = min(max(_MIN_VALIDATION, share), _MAX_VALIDATION)
    if len(free) < 2 * count:
        raise UsageError(
            f"{len(pictures) - len(free)} of {len(pictures)} pictures are held out by their ids, "
            "too few are left to learn from; give more"
        )
    validating = np.zeros(len(pictures), dtype=bool)
    validating[free[np.argsort(places[free], kind="stable")[:count]]] = True
    learning = (places >= HELD_OUT_SHARE) & ~validating
    return torch.from_numpy(pictures[learning]), torch.from_numpy(pictures[validating])


def _place(video_id: str) -> float:
    """Return where an id falls between 0 and 1, as good as at random, and always alike."""
    return int.from_bytes(hashlib.sha256(video_id.encode()).digest()[:8], "big") / 2**64


def _seed_generator(seed: int, stream: int, number: int) -> torch.Generator:
    """Independent streams: hashing keeps seed 0's second step from being seed 1's first."""
    digest = hashlib.sha256(f"{seed}/{stream}/{number}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _to_float(pictures: Tensor, device: torch.device) -> Tensor:
    """uint8 (B, H, W, 3) to float32 (B, 3, H, W) in [0, 1]."""
    return pictures.to(device).permute(0, 3, 1, 2).float() / 255
