"""The measures of a thumbnail encoder, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_pictures import drawn_picture
from PIL import Image

from encoders.base import unit_rows
from encoders.thumbnails import PACKAGED_MODEL, DenoisingAutoencoder
from encoders.thumbnails.evaluate import (
    DISTORTIONS,
    RawPixels,
    effective_rank,
    evaluate,
    likeness,
    recall_at_1,
)


def test_effective_rank_counts_directions() -> None:
    rng = np.random.default_rng(0)
    spread = rng.normal(size=(20_000, 8)).astype(np.float32)
    assert effective_rank(spread) == pytest.approx(8, abs=0.05)
    two = np.zeros_like(spread)
    two[:, :2] = spread[:, :2]
    assert effective_rank(two) == pytest.approx(2, abs=0.01)
    assert effective_rank(np.ones((5, 3), dtype=np.float32)) == 0
    assert np.isnan(effective_rank(np.full((5, 3), np.nan, dtype=np.float32)))


def test_recall_counts_what_is_found_at_its_place() -> None:
    gallery = np.eye(4, dtype=np.float32)
    queries = unit_rows(np.array([[1, 0, 0, 0.2], [0, 0.1, 1, 0], [0, 1, 0, 0]]))
    assert recall_at_1(queries, gallery, np.array([0, 1, 1])) == pytest.approx(2 / 3)


def test_likeness_leaves_the_picture_itself_out() -> None:
    """Twelve on a circle: the nearest of 0 is 1 (its own kind), of 11 is 10 (another kind)."""
    angles = np.array([0, 1, *range(10, 90, 8)], dtype=np.float32) * np.pi / 180
    gallery = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    kinds = np.array(["a", "a", *"bbbbbbbbb", "c"])
    nearest, precision = likeness(gallery, kinds, np.array([0, 11]))
    assert nearest == pytest.approx(0.5)
    # Of 0's ten nearest one is an "a"; "c" is alone.
    assert precision == pytest.approx(0.05)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_distortions_change_the_picture_and_repeat(name: str) -> None:
    picture = drawn_picture(3)
    before = picture.tobytes()
    once, again = DISTORTIONS[name](picture), DISTORTIONS[name](picture)
    assert picture.tobytes() == before
    assert once.mode == "RGB"
    assert once.tobytes() == again.tobytes() != before


def test_raw_pixels_are_unit_rows() -> None:
    pictures = [drawn_picture(0), Image.new("RGB", (40, 40), "black")]
    vectors = RawPixels().encode(pictures)
    assert vectors.shape == (2, RawPixels.dim)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    assert RawPixels().encode([]).shape == (0, RawPixels.dim)


def test_the_packaged_encoder_beats_raw_pixels_on_drawn_pictures() -> None:
    pictures = [drawn_picture(seed, size=(240, 135)) for seed in range(120)]
    kinds = ["drawn"] * len(pictures)
    asked = range(40)
    ours = evaluate(DenoisingAutoencoder(PACKAGED_MODEL, name="ours"), pictures, kinds, asked=asked)
    raw = evaluate(RawPixels(), pictures, kinds, asked=asked)
    assert ours.recall_at_1.keys() == raw.recall_at_1.keys() == DISTORTIONS.keys()
    assert ours.mean_recall_at_1 > raw.mean_recall_at_1
    assert ours.dead_outputs == 0
    assert ours.nearest_neighbour == 1.0
