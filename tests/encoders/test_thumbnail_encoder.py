"""The packaged thumbnail encoder keeps the contract of encoders, and its vectors mean something."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps
from safetensors.numpy import load_file, save_file

from tests.encoders.drawn_pictures import drawn_picture
from twinlens.catalog.errors import EncoderUnavailable
from twinlens.encoders.thumbnails import PACKAGED_MODEL, DenoisingAutoencoder


@pytest.fixture(scope="module")
def encoder() -> DenoisingAutoencoder:
    return DenoisingAutoencoder(PACKAGED_MODEL, name="packaged:denoiser")


@pytest.fixture
def copied_model(tmp_path: Path) -> Path:
    shutil.copytree(PACKAGED_MODEL, tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("count", [0, 1, 3, 130])
def test_vectors_are_unit_float32_rows(encoder: DenoisingAutoencoder, count: int) -> None:
    vectors = encoder.encode([drawn_picture(seed, size=(64, 36)) for seed in range(count)])
    assert vectors.shape == (count, encoder.dim)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


def test_a_vector_does_not_depend_on_the_batch(encoder: DenoisingAutoencoder) -> None:
    pictures = [drawn_picture(seed, size=(64, 36)) for seed in range(70)]
    alone = np.concatenate([encoder.encode([picture]) for picture in pictures])
    backwards = encoder.encode(pictures[::-1])[::-1]
    assert np.abs(encoder.encode(pictures) - [alone, backwards]).max() < 1e-5


def test_the_same_again_and_the_pictures_are_left_as_they_were(
    encoder: DenoisingAutoencoder,
) -> None:
    pictures = [drawn_picture(1), drawn_picture(2).convert("L"), drawn_picture(3).convert("P")]
    before = [(picture.mode, picture.tobytes()) for picture in pictures]
    other = DenoisingAutoencoder(PACKAGED_MODEL, name="by another name")
    first = encoder.encode(pictures)
    for again in (encoder, other):
        assert np.array_equal(again.encode(pictures), first)
    assert (other.fingerprint, other.name) == (encoder.fingerprint, "by another name")
    assert [(picture.mode, picture.tobytes()) for picture in pictures] == before


def test_threads_share_one_encoder() -> None:
    shared = DenoisingAutoencoder(PACKAGED_MODEL, name="shared")
    pictures = [drawn_picture(seed) for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda picture: shared.encode([picture])[0], pictures))
    assert np.abs(np.stack(parts) - shared.encode(pictures)).max() < 1e-5


def test_black_and_white_have_different_vectors(encoder: DenoisingAutoencoder) -> None:
    size = (480, 360)
    black, white = encoder.encode([Image.new("RGB", size, colour) for colour in ("black", "white")])
    assert np.isfinite([black, white]).all()
    assert black @ white < 0.9


def test_bars_and_scale_hardly_change_a_vector_and_turning_does(
    encoder: DenoisingAutoencoder,
) -> None:
    """The scale as a JPEG decoder may choose it, which stops at ``input_size``."""
    width, height = encoder.input_size
    for seed in range(8):
        wide = drawn_picture(seed, size=(480, 270))
        large = drawn_picture(seed, size=(640, 480))
        for picture, other, least, most in (
            (wide, ImageOps.expand(wide, border=(0, 45), fill=(0, 0, 0)), 0.999, 1.1),
            (large, large.resize((width, height * 4 // 3), Image.Resampling.BOX), 0.98, 1.1),
            (wide, wide.transpose(Image.Transpose.TRANSPOSE), -1, 0.9),
        ):
            one, two = encoder.encode([picture, other])
            assert least < one @ two < most


def test_damaged_pictures_are_found_again(encoder: DenoisingAutoencoder) -> None:
    pictures = [drawn_picture(seed) for seed in range(30)]
    gallery = encoder.encode(pictures)
    for damage in (
        lambda picture: picture.filter(ImageFilter.GaussianBlur(3)),
        lambda picture: picture.crop((32, 18, 288, 162)),
        lambda picture: picture.point([min(255, level + 40) for level in range(256)] * 3),
    ):
        found = (encoder.encode([damage(picture) for picture in pictures]) @ gallery.T).argmax(1)
        assert (found == np.arange(30)).mean() >= 0.8


def test_the_packaged_model_is_small_and_says_where_it_comes_from() -> None:
    assert sum(file.stat().st_size for file in PACKAGED_MODEL.iterdir()) <= 8 * 2**20
    assert {"options", "trained_on", "best"} <= json.loads(config())["training"].keys()
    assert "thumbnails" in (PACKAGED_MODEL / "README.md").read_text()


def test_the_fingerprint_follows_the_weights_and_not_the_notes(copied_model: Path) -> None:
    before = DenoisingAutoencoder(copied_model, name="n").fingerprint
    assert len(before) == 16
    assert int(before, 16) >= 0
    (copied_model / "config.json").write_text(config(training={"note": "retold"}))
    assert DenoisingAutoencoder(copied_model, name="n").fingerprint == before
    weights = load_file(copied_model / "model.safetensors")
    weights["encoder.code.bias"] = weights["encoder.code.bias"] + np.float32(1e-3)
    save_file(weights, copied_model / "model.safetensors")
    assert DenoisingAutoencoder(copied_model, name="n").fingerprint != before


def config(**changes: object) -> str:
    """The packaged model's, with changes; those of a dict to what is there."""
    found = json.loads((PACKAGED_MODEL / "config.json").read_text())
    for name, value in changes.items():
        found[name] = found[name] | value if isinstance(value, dict) else value
    return json.dumps(found)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.safetensors", None, r"model\.safetensors"),
        ("model.safetensors", "not weights", r"model\.safetensors"),
        *(("config.json", text, r"config\.json") for text in (None, "", "{", "[]", "{}")),
        ("config.json", config(format="other"), r"config\.json"),
        ("config.json", config(preprocessing_version=99), "99"),
        ("config.json", config(shape={"dim": 64}), "64"),
    ],
)
def test_a_model_that_is_incomplete_or_another_is_refused(
    copied_model: Path, name: str, content: str | None, said: str
) -> None:
    if content is None:
        (copied_model / name).unlink()
    else:
        (copied_model / name).write_text(content)
    with pytest.raises(EncoderUnavailable, match=said):
        DenoisingAutoencoder(copied_model, name="n")


@pytest.mark.parametrize(
    "change", [{"channels": [32, 64]}, {"channels": "wide"}, {"squeezed": "x"}, {"unheard_of": 1}]
)
def test_a_shape_that_the_weights_have_not_is_refused(
    copied_model: Path, change: dict[str, object]
) -> None:
    (copied_model / "config.json").write_text(config(shape=change))
    misfit = DenoisingAutoencoder(copied_model, name="n")
    with pytest.raises(EncoderUnavailable, match="fit"):
        misfit.encode([drawn_picture(0)])
