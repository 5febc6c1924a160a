"""What decides the shapes of the denoising autoencoder's weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkShape:
    """Everything that decides the shapes of the weights.

    ``channels`` are the encoder's, ``decoder_channels`` the decoder's, from coarse to fine;
    ``squeezed`` are those that the code is read from, at every place of the coarsest features.
    """

    width: int = 128
    height: int = 72
    dim: int = 128
    channels: tuple[int, ...] = (32, 64, 128, 192)
    squeezed: int = 64
    decoder_channels: tuple[int, ...] = (64, 64, 48, 32)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> NetworkShape:
        """Return the shape as ``dataclasses.asdict`` and JSON left it.

        Raises:
            TypeError: a name is unknown, or a value is no number or list of numbers.
        """
        known = dict(config) | {
            name: tuple(config[name]) for name in ("channels", "decoder_channels")
        }
        return cls(**known)


def halve(size: tuple[int, int], times: int) -> tuple[int, int]:
    """Return ``size`` halved so often, rounded up."""
    rows, columns = size
    for _ in range(times):
        rows, columns = -(-rows // 2), -(-columns // 2)
    return rows, columns
