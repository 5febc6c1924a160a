"""One way to fuse, and how the backend is asked to fuse so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from twinlens.encoders.lenses import DEFAULT_WEIGHTS, THUMBNAIL, TITLE, WORDS
from twinlens.search.request import DEFAULT_EXPAND, DEFAULT_RRF_K, DEFAULT_WINDOW, SearchRequest
from twinlens.search.searcher import BORROWED_WEIGHT


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Rank constant, weights, window and lenders.

    Where thumbnails are borrowed, their weight is the one that the fusion sees, so with what the
    backend multiplies it by. That of the words is still multiplied by their coverage.
    """

    k: float = DEFAULT_RRF_K
    weights: Mapping[str, float] = field(default_factory=dict)
    window: int = DEFAULT_WINDOW
    expand: int = DEFAULT_EXPAND

    def request(self, *, borrows: bool) -> SearchRequest:
        """A request with this setting, which gives all but what is asked for."""
        weights = dict(self.weights)
        if borrows and THUMBNAIL in weights:
            weights[THUMBNAIL] /= BORROWED_WEIGHT
        return SearchRequest(weights=weights, rrf_k=self.k, window=self.window, expand=self.expand)

    def to_json(self) -> dict[str, Any]:
        """The setting as JSON values."""
        return {
            "rrf_k": self.k,
            "weights": {str(name): weight for name, weight in self.weights.items()},
            "window": self.window,
            "expand": self.expand,
        }

    def __str__(self) -> str:
        weights = ", ".join(
            f"{name} {self.weights[name]:g}"
            for name in (TITLE, THUMBNAIL, WORDS)
            if name in self.weights
        )
        return f"k {self.k:g}; {weights}; window {self.window}; expand {self.expand}"


def served(*, borrows: bool) -> Setting:
    """The setting that the backend has as its default."""
    request = SearchRequest()
    weights = dict(DEFAULT_WEIGHTS)
    if borrows:
        weights[THUMBNAIL] *= BORROWED_WEIGHT
    return Setting(k=request.rrf_k, weights=weights, window=request.window, expand=request.expand)
