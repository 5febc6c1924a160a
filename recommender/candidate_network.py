"""The candidate network: vectors of people and videos that agree where one watches the other.

Two towers. A video's row is learned, plus what a small network makes of its content; the tables of
history and of output are apart. A person is averages over the history, over words of searches,
embedded context and a few numbers, through layers of ReLU.

Source: Covington et al. 2016, 3. What differs is in ``docs/decisions/0040-candidate-network.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from twinlens.recommender.content import TOKEN_FIELDS, Bags, Content
from twinlens.recommender.person_inputs import KINDS, REALS, PersonInputs
from twinlens.recommender.pooling import POOLINGS, Pooling

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class NetworkShape:
    """Sizes. ``hidden`` are the widths of the layers of ReLU over a person, the widest first."""

    videos: int
    features: int
    tokens: int
    words: int
    categories: int
    dim: int = 64
    hidden: Sequence[int] = (256,)
    pooling: Pooling = "averages"
    content_dim: int = 128
    token_dim: int = 16
    word_dim: int = 32
    category_dim: int = 8
    temperature: float = 0.15


class CandidateNetwork(nn.Module):
    """See the module. ``content`` is that of all videos, ``counts`` how often each was watched.

    The rows of videos that nobody has watched are 0, and stay.
    """

    def __init__(self, shape: NetworkShape, content: Content, counts: Rows) -> None:
        super().__init__()
        self.shape = shape
        self._content = content
        self.history_rows = nn.Embedding(shape.videos, shape.dim, sparse=True)
        self.output_rows = nn.Embedding(shape.videos, shape.dim + 1, sparse=True)
        self.tokens = nn.EmbeddingBag(
            max(shape.tokens, 1), shape.token_dim, mode="mean", sparse=True
        )
        self.words = nn.EmbeddingBag(max(shape.words, 1), shape.word_dim, mode="mean", sparse=True)
        self.categories = nn.Embedding(shape.categories, shape.category_dim)
        described = shape.features + len(TOKEN_FIELDS) * shape.token_dim
        # No bias: what nothing is known of is described by zeros.
        self.trunk = nn.Linear(described, shape.content_dim, bias=False)
        self.history_head = nn.Linear(shape.content_dim, shape.dim, bias=False)
        self.output_head = nn.Linear(shape.content_dim, shape.dim + 1, bias=False)
        pooled = len(POOLINGS[shape.pooling].windows) * shape.dim
        told = pooled + shape.word_dim + len(KINDS) * shape.category_dim + REALS
        widths = [told, *shape.hidden, shape.dim]
        self.tower = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        for table in (self.history_rows, self.output_rows, self.tokens, self.words):
            nn.init.normal_(table.weight, std=0.1)
        # At first what is popular is found for everyone.
        popularity = np.log(np.maximum(counts, 1) / max(counts[counts > 0].mean(), 1))
        with torch.no_grad():
            self.output_rows.weight[:, -1] = torch.from_numpy(popularity)
            for table in (self.history_rows, self.output_rows):
                table.weight[torch.from_numpy(counts == 0)] = 0

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.categories.weight.device

    def list_tables(self) -> list[nn.Parameter]:
        """Return the parameters whose gradients are sparse."""
        tables = (self.history_rows, self.output_rows, self.tokens, self.words)
        return [parameter for table in tables for parameter in table.parameters()]

    def list_others(self) -> list[nn.Parameter]:
        """Return the other parameters."""
        tables = {id(one) for one in self.list_tables()}
        return [one for one in self.parameters() if id(one) not in tables]

    def embed_history(self, rows: Rows, kept: Tensor | None = None) -> Tensor:
        """Return the vectors (rows, dim) by which watches of these videos are told."""
        learned = self.history_rows(self._to_tensor(rows))
        return self._add_content(learned, rows, kept, self.history_head)

    def embed_output(self, rows: Rows, kept: Tensor | None = None) -> Tensor:
        """Return the vectors (rows, dim + 1) that the person's is compared with.

        All but the last component are a unit vector; the last is how far everyone likes the video.
        """
        learned = self.output_rows(self._to_tensor(rows))
        made = self._add_content(learned, rows, kept, self.output_head)
        units = functional.normalize(made[:, :-1], dim=1)
        return torch.cat([units, self.shape.temperature * made[:, -1:]], dim=1)

    def embed_people(
        self, inputs: PersonInputs, drop: tuple[float, np.random.Generator] | None = None
    ) -> Tensor:
        """Return the vectors (people, dim + 1): unit vectors, and 1; ``drop`` is as in training."""
        rows, places = np.unique(inputs.history, return_inverse=True)
        places = places.reshape(inputs.history.shape)
        if len(rows) and rows[0] < 0:
            rows, places = rows[1:], np.where(places == 0, len(rows) - 1, places - 1)
        kept = None if drop is None else draw_kept(len(rows), *drop).to(self.device)
        vectors = functional.pad(self.embed_history(rows, kept), (0, 0, 0, 1))
        x = torch.cat(
            [
                self._pool(vectors, places, inputs.history >= 0),
                self._average(self.words, inputs.words),
                self.categories(self._to_tensor(inputs.categories)).flatten(1),
                self._to_tensor(inputs.reals),
            ],
            dim=1,
        )
        for at, layer in enumerate(self.tower):
            x = layer(torch.relu(x) if at else x)
        return functional.pad(functional.normalize(x, dim=1), (0, 1), value=1.0)

    def _pool(self, vectors: Tensor, places: Rows, there: npt.NDArray[np.bool_]) -> Tensor:
        """Return (people, windows * dim): the last row of ``vectors`` is that of no watch."""
        pooling = POOLINGS[self.shape.pooling]
        if pooling.takes_largest:
            each = functional.embedding(self._to_tensor(places), vectors)
            none = self._to_tensor(~there)[..., None]
            largest = each.masked_fill(none, -torch.inf).amax(dim=1)
            return torch.where(torch.isinf(largest), 0.0, largest)
        weights = self._to_tensor(pooling.weigh(there))
        each = functional.embedding(self._to_tensor(places), vectors)
        return torch.bmm(weights, each).flatten(1)

    def _add_content(
        self, learned: Tensor, rows: Rows, kept: Tensor | None, head: nn.Linear
    ) -> Tensor:
        """Return the learned rows, where ``kept``, plus what is made of the videos' content."""
        if not self.shape.features and not self.shape.tokens:
            return learned
        learned = learned if kept is None else learned * kept
        described: Tensor = head(self._describe(rows))
        return learned + described

    def _describe(self, rows: Rows) -> Tensor:
        """Return what the trunk makes of the content of these videos, (rows, content_dim)."""
        dense, tokens = self._content.take(rows)
        width = len(TOKEN_FIELDS) * self.shape.token_dim
        averaged = self._average(self.tokens, tokens).view(len(rows), width)
        described = torch.cat([self._to_tensor(dense), averaged], dim=1)
        return torch.relu(self.trunk(described))

    def _average(self, table: nn.EmbeddingBag, bags: Bags) -> Tensor:
        codes, starts = self._to_tensor(bags.codes.astype(np.int64)), bags.starts[:-1]
        return table(codes, self._to_tensor(starts))  # type: ignore[no-any-return]

    def _to_tensor(self, array: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def draw_kept(rows: int, share: float, rng: np.random.Generator) -> Tensor:
    """Return (rows, 1): 0 for a ``share`` of them, drawn by lot, 1 for the others."""
    return torch.from_numpy((rng.random((rows, 1)) >= share).astype(np.float32))
