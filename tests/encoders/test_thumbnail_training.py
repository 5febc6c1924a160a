"""Training learns, comes out the same from the same seed, and survives being killed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.numpy import load_file

from tests.encoders.drawn_pictures import drawn_picture
from twinlens.catalog.errors import EncoderError, UsageError
from twinlens.commands.train import train_thumbnails
from twinlens.encoders.thumbnails import DenoisingAutoencoder
from twinlens.encoders.thumbnails import training as training_loop
from twinlens.encoders.thumbnails.corruption import Corruption
from twinlens.encoders.thumbnails.network import Autoencoder, NetworkShape
from twinlens.encoders.thumbnails.pictures import TRAINING_SIZE, fit_picture
from twinlens.encoders.thumbnails.training import TrainingOptions, is_held_out, train

SHAPE = NetworkShape(
    width=64, height=40, dim=16, channels=(8, 16, 16), squeezed=8, decoder_channels=(8, 8, 8)
)
OPTIONS = TrainingOptions(
    steps=30, batch_size=16, validate_every=5, warmup_steps=3, learning_rate=3e-3
)
IDS = [f"video-{number}" for number in range(80)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Steps this small only lose by sharing them among threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def pictures() -> npt.NDArray[np.uint8]:
    return np.stack([fit_picture(drawn_picture(seed), size=TRAINING_SIZE) for seed in range(80)])


def test_training_learns(pictures: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    result = train(pictures, IDS, out=tmp_path, options=OPTIONS, shape=SHAPE)
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


def test_the_seed_decides_the_weights(pictures: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    short = replace(OPTIONS, steps=6, validate_every=3)
    for out, seed in (("once", 1), ("again", 1), ("other", 2)):
        train(pictures, IDS, out=tmp_path / out, options=replace(short, seed=seed), shape=SHAPE)
    once, again, other = (
        (tmp_path / out / "model.safetensors").read_bytes() for out in ("once", "again", "other")
    )
    assert once == again
    assert once != other


@pytest.mark.parametrize("kill_at", [1, 2])
def test_a_killed_run_continues_to_the_same_weights(
    pictures: npt.NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kill_at: int,
) -> None:
    options = replace(OPTIONS, steps=12, validate_every=4)
    whole = train(pictures, IDS, out=tmp_path / "whole", options=options, shape=SHAPE)

    out = tmp_path / "killed"
    with monkeypatch.context() as patched:
        patched.setattr(training_loop, "_validate", dying_after(kill_at))
        with pytest.raises(KeyboardInterrupt):
            train(pictures, IDS, out=out, options=options, shape=SHAPE)
    assert not (out / "model.safetensors").exists()
    continued = train(pictures, IDS, out=out, options=options, shape=SHAPE)

    assert continued.history == whole.history
    ours, theirs = (load_file(p / "model.safetensors") for p in (out, tmp_path / "whole"))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_a_killed_run_goes_on_with_the_descriptions_that_it_began_with(
    pictures: npt.NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another number of threads the same pictures may be described along other axes."""
    options = replace(OPTIONS, steps=12, validate_every=4)
    whole = train(pictures, IDS, out=tmp_path / "whole", options=options, shape=SHAPE)
    with monkeypatch.context() as patched:
        patched.setattr(training_loop, "_validate", dying_after(1))
        with pytest.raises(KeyboardInterrupt):
            train(pictures, IDS, out=tmp_path / "killed", options=options, shape=SHAPE)
    described = training_loop.Appearance.__call__
    monkeypatch.setattr(training_loop.Appearance, "__call__", lambda *given: -described(*given))
    assert (
        train(pictures, IDS, out=tmp_path / "killed", options=options, shape=SHAPE).history
        == whole.history
    )


def dying_after(validations: int) -> Callable[..., training_loop.Measurement]:
    """Validation that is interrupted once it has been done so many times."""
    real, done = training_loop._validate, 0

    def validate(*arguments: object) -> training_loop.Measurement:
        nonlocal done
        if done == validations:
            raise KeyboardInterrupt
        done += 1
        return real(*arguments)  # type: ignore[arg-type]

    return validate


def test_a_checkpoint_of_another_run_is_refused(
    pictures: npt.NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(OPTIONS, steps=4, validate_every=2)
    with monkeypatch.context() as patched:
        patched.setattr(training_loop, "_validate", dying_after(1))
        with pytest.raises(KeyboardInterrupt):
            train(pictures, IDS, out=tmp_path, options=options, shape=SHAPE)
    with pytest.raises(UsageError, match="other pictures or options"):
        train(pictures, IDS, out=tmp_path, options=replace(options, seed=7), shape=SHAPE)
    with pytest.raises(UsageError, match="other pictures or options"):
        train(pictures[::-1], IDS, out=tmp_path, options=options, shape=SHAPE)


def test_a_broken_checkpoint_is_named(pictures: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"cut short")
    with pytest.raises(UsageError, match=r"checkpoint\.safetensors can't be read"):
        train(pictures, IDS, out=tmp_path, options=OPTIONS, shape=SHAPE)


def test_training_stops_early_and_keeps_the_best(
    pictures: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    """Where nothing is learned, only the normalisation settles, and soon nothing improves."""
    standing = replace(
        OPTIONS, steps=1000, validate_every=1, patience=3, learning_rate=0.0, weight_decay=0.0
    )
    result = train(pictures, IDS, out=tmp_path, options=standing, shape=SHAPE)
    assert result.steps < 100
    assert result.best.step == result.steps - 3


def test_a_run_without_a_finite_loss_leaves_no_model(
    pictures: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    wild = replace(OPTIONS, steps=2, validate_every=2, learning_rate=1e30, warmup_steps=1)
    with pytest.raises(EncoderError, match="diverged"):
        train(pictures, IDS, out=tmp_path, options=wild, shape=SHAPE)
    assert not (tmp_path / "model.safetensors").exists()


def test_fewer_than_64_pictures_are_refused(
    pictures: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"63 readable pictures.*at least 64"):
        train(pictures[:63], IDS[:63], out=tmp_path, options=OPTIONS, shape=SHAPE)
    assert list(tmp_path.iterdir()) == []


def test_the_split_follows_the_id_alone() -> None:
    shares = [is_held_out(f"id{number}") for number in range(5000)]
    assert 0.13 < np.mean(shares) < 0.17
    assert [is_held_out(f"id{number}") for number in range(5000)] == shares


def test_corruption_corrupts_and_repeats(pictures: npt.NDArray[np.uint8]) -> None:
    source = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    before = source.clone()
    corruption = Corruption(size=(128, 72), device=torch.device("cpu"))
    once, again, other = (
        corruption(source, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    clean = corruption.clean(source)
    assert torch.equal(source, before)
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert once.shape == clean.shape == (80, 3, 72, 128)
    assert once.min() >= 0
    assert once.max() <= 1
    changed = (once - clean).abs().mean(dim=(1, 2, 3))
    assert (changed > 0.02).float().mean() > 0.9


def test_both_halves_have_the_shapes_they_promise() -> None:
    model = Autoencoder(NetworkShape())
    codes = model.encoder(torch.rand(3, 3, 72, 128))
    assert codes.shape == (3, 128)
    assert torch.allclose(codes.norm(dim=1), torch.ones(3), atol=1e-5)
    assert model.decoder(codes).shape == (3, 3, 72, 128)


def test_the_command_trains_on_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rows = []
    for number in range(70):
        drawn_picture(number, size=(160, 90)).save(folder / f"{number}.png")
        rows.append(json.dumps({"file_name": f"{number}.png", "video_id": f"v{number}"}))
    (folder / "broken.png").write_bytes(b"no picture")
    rows.append(json.dumps({"file_name": "broken.png", "video_id": "broken"}))
    (folder / "metadata.jsonl").write_text("\n".join(rows))

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


def test_the_command_refuses_too_few_pictures(tmp_path: Path) -> None:
    drawn_picture(0).save(tmp_path / "0.png")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "0.png", "video_id": "v0"}\n')
    arguments = [str(tmp_path), "--out", str(tmp_path / "model")]
    result = CliRunner().invoke(train_thumbnails, arguments)
    assert isinstance(result.exception, UsageError)
    assert "at least 64" in str(result.exception)
    assert not (tmp_path / "model").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device here")
def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    drawn_picture(0).save(tmp_path / "0.png")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "0.png", "video_id": "v0"}\n')
    arguments = [str(tmp_path), "--out", str(tmp_path / "model"), "--device", "cuda"]
    result = CliRunner().invoke(train_thumbnails, arguments)
    assert isinstance(result.exception, UsageError)
    assert "--device cuda" in str(result.exception)
