"""How pictures look, described by hand: edges, their places, and colours; no labels needed.

These descriptions are what training makes the code resemble. They say what is alike far better
than pixels do, but only a network can still give them once a picture was damaged.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

_ORIENTATIONS: Final = 9
_CELL: Final = 9
_CONTRAST_FLOOR: Final = 0.05
_BINS: Final = 8
_COARSE_BINS: Final = 4
_TILES: Final = (3, 4)
# Shares of rare colours count for more than their area; colours for less than edges.
_POWER: Final = 0.35
_COARSE_POWER: Final = 0.5
_COLOUR_WEIGHT: Final = 0.7
_CHUNK: Final = 128


class Appearance:
    """Descriptions of length ``dim``, learned from ``pictures``: uint8 (n, H, W, 3).

    Three parts: histograms of oriented gradients, in cells of 9x9 pixels; the histogram of
    colours; histograms of coarser colours in 3x4 tiles. A mirrored picture has the same
    description. Principal components join them, each divided by the root of its deviation, so
    that no few directions decide what is near.

    Source: Dalal and Triggs 2005, "Histograms of oriented gradients for human detection"; Wei et
    al. 2022, "Masked feature prediction", for taking them as what a network must predict.
    """

    def __init__(self, pictures: Tensor, *, dim: int, generator: torch.Generator) -> None:
        self._dim = dim
        parts = _describe(pictures)
        self._means = [part.mean(dim=0) for part in parts]
        joined = self._join(parts)  # (n, F)
        self._mean = joined.mean(dim=0)
        components = min(dim, len(pictures) - 1)
        basis, deviations = _find_principal_axes(joined - self._mean, components, generator)
        self._projection = basis / deviations.clamp(min=1e-6).sqrt()  # (F, components)

    def __call__(self, pictures: Tensor) -> Tensor:
        """Unit rows (n, dim), float32, on the CPU; with few pictures the last columns are 0."""
        projected = (self._join(_describe(pictures)) - self._mean) @ self._projection
        return functional.normalize(
            functional.pad(projected, (0, self._dim - projected.shape[1])), dim=1
        )

    def _join(self, parts: tuple[Tensor, ...]) -> Tensor:
        edges, colours, places = (
            functional.normalize(part - mean, dim=1)
            for part, mean in zip(parts, self._means, strict=True)
        )
        return torch.cat([edges, _COLOUR_WEIGHT * colours, _COLOUR_WEIGHT * places], dim=1)


def _find_principal_axes(
    centred: Tensor, components: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the first principal axes (F, components) and the deviations along them.

    Source: Halko, Martinsson and Tropp 2011, algorithm 4.4 (randomised subspace iteration).
    """
    width = min(components + 32, *centred.shape)
    drawn = torch.randn(centred.shape[1], width, generator=generator)
    for _ in range(6):
        drawn = torch.linalg.qr(centred.T @ (centred @ drawn)).Q
    _, values, axes = torch.linalg.svd(centred @ drawn, full_matrices=False)
    deviations = values[:components] / math.sqrt(len(centred))
    return drawn @ axes[:components].T, deviations


def _describe(pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Edges (n, E), colours (n, 512) and coarse colours by tile (n, 768), mirror-free."""
    chunks = [
        (
            _measure_gradients(chunk) + _measure_gradients(chunk.flip(2)),
            _measure_colours(chunk, bins=_BINS, tiles=(1, 1)).pow(_POWER),
            _measure_colours(chunk, bins=_COARSE_BINS, tiles=_TILES).pow(_COARSE_POWER)
            + _measure_colours(chunk.flip(2), bins=_COARSE_BINS, tiles=_TILES).pow(_COARSE_POWER),
        )
        for chunk in torch.split(pictures, _CHUNK)
    ]
    edges, colours, places = (torch.cat(part) for part in zip(*chunks, strict=True))
    return edges, colours, places


def _measure_gradients(pictures: Tensor) -> Tensor:
    """Return, of uint8 (B, H, W, 3), the share of each orientation in each cell, (B, cells x 9)."""
    planes = pictures.permute(0, 3, 1, 2).float() / 255
    across = functional.pad(planes[..., 2:] - planes[..., :-2], (1, 1))
    down = functional.pad(planes[..., 2:, :] - planes[..., :-2, :], (0, 0, 1, 1))
    strength, plane = (across.square() + down.square()).max(dim=1, keepdim=True)
    across, down = across.gather(1, plane), down.gather(1, plane)
    angle = torch.atan2(down, across) % math.pi / math.pi * _ORIENTATIONS  # (B, 1, H, W)
    centres = torch.arange(_ORIENTATIONS).view(1, -1, 1, 1)
    half = _ORIENTATIONS / 2
    apart = ((angle - centres + half) % _ORIENTATIONS - half).abs()
    cells = functional.avg_pool2d((1 - apart).clamp(min=0) * strength.sqrt(), _CELL)
    strengths = torch.linalg.vector_norm(cells, dim=1, keepdim=True)
    shares: Tensor = cells / (strengths + _CONTRAST_FLOOR)
    return shares.flatten(1)


def _measure_colours(pictures: Tensor, *, bins: int, tiles: tuple[int, int]) -> Tensor:
    """Return, of uint8 (B, H, W, 3), the share of each colour in each tile, (B, tiles x bins^3)."""
    levels = (pictures[:, ::2, ::2].long() * bins) >> 8
    colour = (levels[..., 0] * bins + levels[..., 1]) * bins + levels[..., 2]  # (B, h, w)
    shares = []
    for rows in colour.tensor_split(tiles[0], dim=1):
        for tile in rows.tensor_split(tiles[1], dim=2):
            flat = tile.flatten(1)
            counts = torch.zeros(len(flat), bins**3)
            counts.scatter_add_(1, flat, torch.ones(flat.shape))
            shares.append(counts / flat.shape[1])
    return torch.cat(shares, dim=1)
