"""The bridge's network in PyTorch, for training; ``bridge.py`` computes the same in NumPy."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from twinlens.encoders.titles.packing import BridgeShape


class BridgeNetwork(nn.Module):
    """Words from n-grams, a title from its words, and the title into the base's space."""

    def __init__(self, shape: BridgeShape) -> None:
        super().__init__()
        self.ngrams = nn.EmbeddingBag(
            shape.buckets, shape.width, mode="sum", include_last_offset=True
        )
        self.word_norm = nn.LayerNorm(shape.width)
        self.importance = nn.Linear(shape.width, 1)
        self.title_norm = nn.LayerNorm(shape.width)
        self.direct = nn.Linear(shape.width, shape.dim)
        self.hidden = nn.Linear(shape.width, shape.hidden)
        self.hidden_out = nn.Linear(shape.hidden, shape.dim)
        nn.init.normal_(self.ngrams.weight, std=0.1)
        # At first all words count the same, and the network is linear.
        for started_at_zero in (self.importance, self.hidden_out):
            nn.init.zeros_(started_at_zero.weight)
            nn.init.zeros_(started_at_zero.bias)

    def forward(
        self, ngrams: Tensor, word_ends: Tensor, words: Tensor, title_ends: Tensor
    ) -> Tensor:
        """Unit vectors (titles, dim).

        ``ngrams`` are rows of the table, word after word; ``word_ends`` (words + 1) where each
        word's begin. ``words`` number those words, title after title; ``title_ends`` (titles + 1).
        """
        vectors = self.ngrams(ngrams, word_ends) / _measure_root_lengths(word_ends)  # (W, width)
        vectors = self.word_norm(vectors)
        vectors = vectors * torch.exp(self.importance(vectors))
        titles = functional.embedding_bag(
            words, vectors, title_ends, mode="sum", include_last_offset=True
        ) / _measure_root_lengths(title_ends)  # (T, width)
        titles = self.title_norm(titles)
        hidden = functional.gelu(self.hidden(titles), approximate="tanh")
        return functional.normalize(self.direct(titles) + self.hidden_out(hidden), dim=1)


def _measure_root_lengths(ends: Tensor) -> Tensor:
    return (ends[1:] - ends[:-1]).clamp(min=1).float().sqrt()[:, None]
