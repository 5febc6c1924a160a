"""Training learns, comes out the same from the same seed, and survives being killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.numpy import load_file

from tests.catalog.tables import write_table
from tests.encoders.drawn_pictures import drawn_picture
from twinlens.catalog.errors import EncoderError, UsageError
from twinlens.commands.train import train_thumbnails
from twinlens.encoders.thumbnails import DenoisingAutoencoder, appearance, corruption
from twinlens.encoders.thumbnails import training as training_loop
from twinlens.encoders.thumbnails.evaluate import measure_effective_rank
from twinlens.encoders.thumbnails.pictures import TRAINING_SIZE, fit_picture
from twinlens.encoders.thumbnails.shape import NetworkShape
from twinlens.encoders.thumbnails.training import (
    TrainingOptions,
    TrainingResult,
    is_held_out,
    train,
)

SHAPE = NetworkShape(
    width=64, height=40, dim=16, channels=(8, 16, 16), squeezed=8, decoder_channels=(8, 8, 8)
)
OPTIONS = TrainingOptions(
    steps=30, batch_size=16, validate_every=5, warmup_steps=3, learning_rate=3e-3
)
IDS = [f"video-{number}" for number in range(80)]
SHORT = replace(OPTIONS, steps=6, validate_every=2)
Pixels = npt.NDArray[np.uint8]
Whole = tuple[TrainingResult, dict[str, Pixels]]


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Pictures are described once, and captions drawn once."""
    describe, described = appearance._describe, {}

    def remember(pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        key = pictures.numpy().tobytes()
        if key not in described:
            described[key] = describe(pictures)
        return described[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(corruption, "_draw_captions", cache(corruption._draw_captions))
        patched.setattr(appearance, "_describe", remember)
        yield


@pytest.fixture(scope="module")
def pictures() -> Pixels:
    return np.stack([fit_picture(drawn_picture(seed), size=TRAINING_SIZE) for seed in range(80)])


def run(pictures: Pixels, out: Path, options: TrainingOptions = SHORT) -> TrainingResult:
    return train(pictures, IDS[: len(pictures)], out=out, options=options, shape=SHAPE)


@pytest.fixture(scope="module")
def whole(pictures: Pixels, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """A run that nothing stopped, and its weights."""
    out = tmp_path_factory.mktemp("whole")
    return run(pictures, out), load_file(out / "model.safetensors")


def kill(pictures: Pixels, out: Path, *, after: int) -> None:
    """A run that is interrupted in a validation, once it has done so many."""
    real, done = training_loop._validate, 0

    def validate(*arguments: object) -> training_loop.Measurement:
        nonlocal done
        if done == after:
            raise KeyboardInterrupt
        done += 1
        return real(*arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training_loop, "_validate", validate)
        with pytest.raises(KeyboardInterrupt):
            run(pictures, out)
    assert not (out / "model.safetensors").exists()


@pytest.fixture
def killed(pictures: Pixels, tmp_path: Path) -> Path:
    """What a run left that was killed after its first validation."""
    kill(pictures, tmp_path / "killed", after=1)
    return tmp_path / "killed"


@pytest.mark.slow
def test_training_learns(pictures: Pixels, tmp_path: Path) -> None:
    result = run(pictures, tmp_path, OPTIONS)
    first, last = result.history[0], result.history[-1]
    assert last.training_loss < 0.8 * first.training_loss
    assert result.best.loss < first.loss
    assert last.reconstruction < 0.5 * first.reconstruction
    assert result.best.loss == min(measured.loss for measured in result.history)
    assert result.trained_on + result.validated_on + result.held_out == 80
    assert result.validated_on == 8
    assert result.held_out == sum(is_held_out(video_id) for video_id in IDS)
    assert not (tmp_path / "checkpoint.safetensors").exists()

    encoder = DenoisingAutoencoder(tmp_path, name="trained")
    assert encoder.encode([drawn_picture(0)]).shape == (1, 16)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["training"]["options"]["seed"] == 0
    assert len(json.loads((tmp_path / "history.json").read_text())) == 6


def same(ours: dict[str, Pixels], theirs: dict[str, Pixels]) -> bool:
    return all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_the_seed_decides_the_weights(pictures: Pixels, whole: Whole, tmp_path: Path) -> None:
    for seed in (0, 1):
        run(pictures, tmp_path, replace(SHORT, seed=seed))
        assert same(load_file(tmp_path / "model.safetensors"), whole[1]) == (seed == 0)


@pytest.mark.parametrize("after", [1, 2])
def test_a_killed_run_continues_to_the_same_weights(
    pictures: Pixels, whole: Whole, killed: Path, after: int
) -> None:
    if after > 1:
        kill(pictures, killed, after=after - 1)
    assert run(pictures, killed).history == whole[0].history
    assert same(load_file(killed / "model.safetensors"), whole[1])


def test_a_killed_run_goes_on_with_the_descriptions_that_it_began_with(
    pictures: Pixels, whole: Whole, killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another number of threads the same pictures may be described along other axes."""
    described = training_loop.Appearance.__call__
    monkeypatch.setattr(training_loop.Appearance, "__call__", lambda *given: -described(*given))
    assert run(pictures, killed).history == whole[0].history


@pytest.mark.slow
def test_a_checkpoint_of_another_run_or_a_broken_one_is_refused(
    pictures: Pixels, killed: Path
) -> None:
    for changed, options in ((pictures, replace(SHORT, seed=7)), (pictures[::-1], SHORT)):
        with pytest.raises(UsageError, match="other pictures or options"):
            run(changed, killed, options)
    (killed / "checkpoint.safetensors").write_bytes(b"cut short")
    with pytest.raises(UsageError, match=r"checkpoint\.safetensors can't be read"):
        run(pictures, killed)


def test_training_stops_early_and_keeps_the_best(pictures: Pixels, tmp_path: Path) -> None:
    """Where nothing is learned, only the normalisation settles, and soon nothing improves."""
    standing = replace(
        OPTIONS, steps=1000, validate_every=1, patience=3, learning_rate=0.0, weight_decay=0.0
    )
    result = run(pictures, tmp_path, standing)
    assert result.steps < 100
    assert result.best.step == result.steps - 3


def test_a_run_without_a_finite_loss_leaves_no_model(pictures: Pixels, tmp_path: Path) -> None:
    wild = replace(OPTIONS, steps=2, validate_every=2, learning_rate=1e30, warmup_steps=1)
    with pytest.raises(EncoderError, match="diverged"):
        run(pictures, tmp_path, wild)
    assert not (tmp_path / "model.safetensors").exists()


def test_the_split_follows_the_id_alone() -> None:
    shares = [is_held_out(f"id{number}") for number in range(5000)]
    assert 0.13 < np.mean(shares) < 0.17
    assert [is_held_out(f"id{number}") for number in range(5000)] == shares


def test_corruption_corrupts_and_repeats(pictures: Pixels) -> None:
    source = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    before = source.clone()
    corrupt = corruption.Corruption(size=(128, 72), device=torch.device("cpu"))
    once, again, other = (
        corrupt(source, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    clean = corrupt.clean(source)
    assert torch.equal(source, before)
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert once.shape == clean.shape == (80, 3, 72, 128)
    assert once.min() >= 0
    assert once.max() <= 1
    changed = (once - clean).abs().mean(dim=(1, 2, 3))
    assert (changed > 0.02).float().mean() > 0.9


def test_effective_rank_counts_directions() -> None:
    rng = np.random.default_rng(0)
    spread = rng.normal(size=(20_000, 8)).astype(np.float32)
    assert measure_effective_rank(spread) == pytest.approx(8, abs=0.05)
    two = np.zeros_like(spread)
    two[:, :2] = spread[:, :2]
    assert measure_effective_rank(two) == pytest.approx(2, abs=0.01)
    assert measure_effective_rank(np.ones((5, 3), dtype=np.float32)) == 0
    assert np.isnan(measure_effective_rank(np.full((5, 3), np.nan, dtype=np.float32)))


@pytest.mark.slow
def test_the_command_trains_on_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    rows = [{"file_name": f"{number}.png", "video_id": f"v{number}"} for number in range(71)]
    write_table(folder / "metadata.jsonl", rows)
    for number, row in enumerate(rows):
        drawn_picture(number, size=(160, 90)).save(folder / row["file_name"])
    (folder / "70.png").write_bytes(b"no picture")

    out = tmp_path / "model"
    arguments = [str(folder), "--out", str(out), "--steps", "2", "--batch-size", "8"]
    result = CliRunner().invoke(train_thumbnails, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 1
    assert "1 left out" in result.stdout
    assert DenoisingAutoencoder(out, name=str(out)).dim == 128
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.size == (128 * 8, 72 * 3)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "1 readable pictures"),
        pytest.param(
            ["--device", "cuda"],
            "--device cuda",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device"),
        ),
    ],
)
def test_the_command_refuses_too_few_pictures_and_no_device(
    tmp_path: Path, more: list[str], said: str
) -> None:
    drawn_picture(0).save(tmp_path / "0.png")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "0.png", "video_id": "v0"}\n')
    arguments = [str(tmp_path), "--out", str(tmp_path / "model"), *more]
    result = CliRunner().invoke(train_thumbnails, arguments)
    assert isinstance(result.exception, UsageError)
    assert said in str(result.exception)
    assert not (tmp_path / "model").exists()
