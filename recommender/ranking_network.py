"""The ranking network: embeddings and quantiles to the logarithm of the seconds to expect."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from twinlens.recommender.features import FIELDS
from twinlens.recommender.vocabularies import Vocabulary

# Rows start near the zero row.
_EMBEDDING_SCALE = 0.05


class RankingNetwork(nn.Module):
    """A logit an impression. Its e^ is what is served: expected seconds, or odds of a click.

    ``hidden`` are the widths of the ReLU layers, none for a linear model. Without ``powers`` a
    quantile comes in alone, not with its square and its root.

    Source: Covington et al. 2016, section 4 and figure 7.
    """

    def __init__(
        self,
        vocabularies: Mapping[str, Vocabulary],
        numbers: int,
        hidden: Sequence[int],
        *,
        powers: bool = True,
    ) -> None:
        super().__init__()
        self.powers = powers
        self.tables = nn.ModuleDict(
            {space: _make_table(words) for space, words in vocabularies.items()}
        )
        embedded = sum(vocabularies[field.space].dim for field in FIELDS)
        widths = [embedded + numbers * (4 if powers else 2), *hidden]
        self.hidden = nn.ModuleList(
            nn.Linear(before, after) for before, after in itertools.pairwise(widths)
        )
        self.logit = nn.Linear(widths[-1], 1)
        nn.init.zeros_(self.logit.weight)

    def forward(self, codes: Tensor, quantiles: Tensor, *, drop_rows: float = 0.0) -> Tensor:
        """Return logits (n,) of ``codes`` int64 (n, widths) and ``quantiles`` (n, numbers)."""
        state = torch.cat([self._embed(codes, drop_rows), self._expand(quantiles)], dim=1)
        for layer in self.hidden:
            state = F.relu(layer(state))
        logits: Tensor = self.logit(state).squeeze(1)
        return logits

    def _embed(self, codes: Tensor, drop_rows: float) -> Tensor:
        embedded, at = [], 0
        for field in FIELDS:
            own = codes[:, at : at + field.width]
            at += field.width
            if drop_rows and self.training:
                # A row in so many is taken for one out of vocabulary, as new videos will be.
                own = own * (torch.rand(own.shape, device=own.device) >= drop_rows)
            # The mean of those in vocabulary; of none it is zero.
            embedded.append(self.tables[field.space](own))
        return torch.cat(embedded, dim=1)

    def _expand(self, quantiles: Tensor) -> Tensor:
        missing = quantiles.isnan()
        known = quantiles.masked_fill(missing, 0)
        powers = (known.square(), known.sqrt()) if self.powers else ()
        return torch.cat([known, *powers, missing.to(known.dtype)], dim=1)


def _make_table(vocabulary: Vocabulary) -> nn.EmbeddingBag:
    rows = torch.randn(len(vocabulary), vocabulary.dim) * _EMBEDDING_SCALE
    rows[0] = 0
    return nn.EmbeddingBag.from_pretrained(
        rows, freeze=False, mode="mean", padding_idx=0, sparse=True
    )
