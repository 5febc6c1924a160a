"""The descriptions that training aims at: alike for what looks alike, whatever the side."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.encoders.drawn_pictures import drawn_picture
from twinlens.encoders.thumbnails.appearance import Appearance
from twinlens.encoders.thumbnails.pictures import TRAINING_SIZE, fit_picture

DIM = 16


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    fitted = [fit_picture(drawn_picture(seed), size=TRAINING_SIZE) for seed in range(40)]
    return torch.from_numpy(np.stack(fitted))


@pytest.fixture(scope="module")
def appearance(pictures: torch.Tensor) -> Appearance:
    return Appearance(pictures, dim=DIM, generator=torch.Generator().manual_seed(0))


def test_descriptions_are_unit_rows_of_the_length_asked_for_filled_up_with_0(
    appearance: Appearance, pictures: torch.Tensor
) -> None:
    described = appearance(pictures)
    assert described.shape == (40, DIM)
    assert described.dtype == torch.float32
    assert torch.allclose(described.norm(dim=1), torch.ones(40), atol=1e-5)
    few = Appearance(pictures[:9], dim=DIM, generator=torch.Generator().manual_seed(0))
    described = few(pictures)
    assert described.shape == (40, DIM)
    assert (described[:, 8:] == 0).all()
    assert torch.isfinite(described).all()


def test_a_mirrored_picture_is_described_alike_and_a_darker_one_nearer_than_others(
    appearance: Appearance, pictures: torch.Tensor
) -> None:
    described = appearance(pictures)
    assert (described * appearance(pictures.flip(2))).sum(dim=1).min() > 0.99
    likeness = appearance((pictures.float() * 0.9).to(torch.uint8)) @ described.T
    assert (likeness.argmax(dim=1) == torch.arange(40)).float().mean() > 0.9


def test_the_same_pictures_give_the_same_descriptions_and_one_of_one_colour_has_one(
    appearance: Appearance, pictures: torch.Tensor
) -> None:
    again = Appearance(pictures, dim=DIM, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again(pictures), appearance(pictures))
    flat = torch.full((2, TRAINING_SIZE[1], TRAINING_SIZE[0], 3), 17, dtype=torch.uint8)
    assert torch.isfinite(appearance(flat)).all()
