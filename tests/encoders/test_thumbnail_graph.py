"""The thumbnail encoder's graph gives what its network in torch gives."""

from __future__ import annotations

import numpy as np
import pytest

from tests.encoders.drawn_pictures import drawn_picture
from twinlens.encoders.thumbnails import PACKAGED_MODEL, DenoisingAutoencoder
from twinlens.encoders.thumbnails.packing import read_encoder_weights, read_model
from twinlens.encoders.thumbnails.pictures import fit_picture
from twinlens.encoders.thumbnails.shape import NetworkShape

LEAST_COSINE = 0.9999


@pytest.mark.parametrize("size", [(480, 360), (97, 211)])
def test_codes_are_those_of_torch(size: tuple[int, int]) -> None:
    import torch

    from twinlens.encoders.thumbnails.network import PictureEncoder

    packed = read_model(PACKAGED_MODEL)
    network = PictureEncoder(NetworkShape.from_config(packed.shape)).eval()
    weights = read_encoder_weights(packed)
    network.load_state_dict(
        {name: torch.from_numpy(np.array(one)) for name, one in weights.items()}
    )
    pictures = [drawn_picture(seed, size=size) for seed in range(40)]
    pixels = np.stack([fit_picture(one, size=(packed.width, packed.height)) for one in pictures])
    with torch.inference_mode():
        wanted = network(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255).numpy()
    found = DenoisingAutoencoder(PACKAGED_MODEL, name="by a graph").encode(pictures)
    assert (found * wanted).sum(axis=1).min() >= LEAST_COSINE
