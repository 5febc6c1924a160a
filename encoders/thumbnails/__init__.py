"""Thumbnails as unit vectors: a denoising autoencoder, its training and its measures."""

from twinlens.encoders.thumbnails.encoder import PACKAGED_MODEL, DenoisingAutoencoder

__all__ = ["PACKAGED_MODEL", "DenoisingAutoencoder"]
