"""Titles in scripts that a base encoder doesn't know: a bridge into its space."""

from twinlens.encoders.titles.encoder import PACKAGED_BRIDGE, BridgedTitleEncoder

__all__ = ["PACKAGED_BRIDGE", "BridgedTitleEncoder"]
