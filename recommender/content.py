"""What a video is, as numbers: so that one nobody has watched yet has a place among the others.

Vectors of the lenses are projected on their principal directions; a duration and a date of
publication stand between two of their quantiles, with a weight on each; channel, category, language
and tags are codes, of values that several videos have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from twinlens.catalog.vectors import FloatMatrix
from twinlens.recommender.videos import VideoTable

TOKEN_FIELDS: Final = ("channel", "category", "language", "tags")
_NUMBER_FIELDS: Final = ("duration_s", "published_at")
_MOST_DIRECTIONS: Final = 64
_MOST_TOKENS: Final = 100_000
_LEAST_VIDEOS: Final = 2
_KNOTS: Final = 17
_SAMPLED: Final = 20_000


def list_places(
    first: npt.NDArray[np.int64], after: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the numbers of several spans, one behind the other, and how many each span has.

    A span is from ``first`` up to, without, ``after``.
    """
    sizes = after - first
    starts = np.cumsum(sizes) - sizes
    return np.arange(sizes.sum()) + np.repeat(first - starts, sizes), sizes


class Bags(NamedTuple):
    """Lists of codes, one behind the other: list i is ``codes[starts[i]:starts[i + 1]]``."""

    starts: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int32]

    @classmethod
    def join(cls, lists: Sequence[Sequence[int]]) -> Self:
        """Return these lists as bags."""
        starts = np.zeros(len(lists) + 1, dtype=np.int64)
        np.cumsum([len(one) for one in lists], out=starts[1:])
        codes = np.fromiter((code for one in lists for code in one), np.int32, int(starts[-1]))
        return cls(starts, codes)

    def slice_each(self, first: npt.NDArray[np.int64], after: npt.NDArray[np.int64]) -> Bags:
        """Return bags, each of the codes of the lists ``first`` up to, without, ``after``."""
        places, sizes = list_places(self.starts[first], self.starts[after])
        starts = np.zeros(len(first) + 1, dtype=np.int64)
        np.cumsum(sizes, out=starts[1:])
        return Bags(starts, self.codes[places])


class Content(NamedTuple):
    """Content of videos: ``dense`` is float16 (videos, features), ``tokens`` has a bag a field.

    The bags of video i are those from ``i * len(TOKEN_FIELDS)`` on.
    """

    dense: npt.NDArray[np.float16]
    tokens: Bags

    def take(self, rows: npt.NDArray[np.int64]) -> tuple[FloatMatrix, Bags]:
        """Return the content of some rows, the dense part as float32."""
        lists = (rows[:, None] * len(TOKEN_FIELDS) + np.arange(len(TOKEN_FIELDS))).ravel()
        return self.dense[rows].astype(np.float32), self.tokens.slice_each(lists, lists + 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class ContentSpace:
    """How content becomes numbers: fitted once, on the catalogue that a model learns from.

    ``directions`` are matrices (dim, features) by lens, ``knots`` quantiles by field, and
    ``tokens`` has for each field the code of each value.
    """

    directions: Mapping[str, FloatMatrix]
    knots: Mapping[str, npt.NDArray[np.float64]]
    tokens: Mapping[str, Mapping[str, int]]

    @classmethod
    def fit(cls, videos: VideoTable, *, seed: int) -> Self:
        """Return the space of these videos."""
        rng = np.random.default_rng(seed)
        directions = {}
        for lens, matrix in sorted(videos.vectors.items()):
            rows = np.flatnonzero(matrix.any(axis=1))
            if len(rows):
                drawn = np.sort(rng.permutation(rows)[:_SAMPLED])
                directions[lens] = _find_directions(matrix[drawn].astype(np.float32))
        knots = {}
        for field in _NUMBER_FIELDS:
            values = _get_numbers(videos, field)
            if not np.isnan(values).all():
                knots[field] = np.unique(np.nanquantile(values, np.linspace(0, 1, _KNOTS)))
        return cls(directions=directions, knots=knots, tokens=_number_tokens(videos))

    @property
    def features(self) -> int:
        """How many numbers the dense part of a video has."""
        projected = sum(int(of.shape[1]) for of in self.directions.values())
        return projected + sum(len(of) for of in self.knots.values())

    @property
    def token_count(self) -> int:
        """How many codes there are."""
        return sum(len(of) for of in self.tokens.values())

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing of any video."""
        return not self.features and not self.token_count

    def encode(self, videos: VideoTable) -> Content:
        """Return the content of all videos of a table, of this catalogue or another."""
        dense = np.zeros((len(videos), self.features), dtype=np.float16)
        at = 0
        for lens, matrix in self.directions.items():
            if lens in videos.vectors and videos.vectors[lens].shape[1] == len(matrix):
                for start in range(0, len(videos), _SAMPLED):
                    part = videos.vectors[lens][start : start + _SAMPLED].astype(np.float32)
                    dense[start : start + _SAMPLED, at : at + matrix.shape[1]] = part @ matrix
            at += matrix.shape[1]
        for field, knots in self.knots.items():
            dense[:, at : at + len(knots)] = _spread(_get_numbers(videos, field), knots)
            at += len(knots)
        return Content(dense, self._encode_tokens(videos))

    def to_json(self) -> dict[str, Any]:
        """Return all but the directions as JSON values."""
        knots = {name: of.tolist() for name, of in self.knots.items()}
        return {"knots": knots, "tokens": {name: list(of) for name, of in self.tokens.items()}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], directions: Mapping[str, FloatMatrix]) -> Self:
        """Return the space of these values, as ``to_json`` gives them, and directions."""
        tokens, count = {}, 0
        for name, of in values["tokens"].items():
            tokens[name] = {value: count + at for at, value in enumerate(of)}
            count += len(of)
        knots = {name: np.array(of) for name, of in values["knots"].items()}
        return cls(directions=dict(directions), knots=knots, tokens=tokens)

    def _encode_tokens(self, videos: VideoTable) -> Bags:
        videos_of, fields_of, codes = [], [], []
        for at, field in enumerate(TOKEN_FIELDS):
            column, known = videos.columns.get(field), self.tokens.get(field, {})
            if column is None or not known:
                continue
            by_value = np.array([known.get(value, -1) for value in column.values], dtype=np.int32)
            found = by_value[column.codes]
            videos_of.append(column.rows[found >= 0])
            fields_of.append(np.full(int((found >= 0).sum()), at))
            codes.append(found[found >= 0])
        lists = len(videos) * len(TOKEN_FIELDS)
        if not codes:
            return Bags(np.zeros(lists + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))
        owner = np.concatenate(videos_of) * np.int64(len(TOKEN_FIELDS)) + np.concatenate(fields_of)
        order = np.argsort(owner, kind="stable")
        starts = np.searchsorted(owner[order], np.arange(lists + 1))
        return Bags(starts, np.concatenate(codes)[order])


def _find_directions(matrix: FloatMatrix) -> FloatMatrix:
    """Return the principal directions (dim, features), scaled to features of about unit size."""
    values, vectors = np.linalg.eigh(matrix.T.astype(np.float64) @ matrix / len(matrix))
    kept = np.argsort(values)[::-1][: min(_MOST_DIRECTIONS, len(matrix))]
    # One scale for all: how much a direction explains is worth knowing.
    scale = np.sqrt(len(kept) / max(values[kept].sum(), 1e-12))
    directions: FloatMatrix = (vectors[:, kept] * scale).astype(np.float32)
    return directions


def _get_numbers(videos: VideoTable, field: str) -> npt.NDArray[np.float64]:
    return videos.durations_s if field == "duration_s" else videos.published_at


def _spread(values: npt.NDArray[np.float64], knots: npt.NDArray[np.float64]) -> FloatMatrix:
    """Return (values, knots): each value's weight on the two knots beside it; zeros for NaN."""
    spread = np.zeros((len(values), len(knots)), dtype=np.float32)
    known = np.flatnonzero(~np.isnan(values))
    places = np.interp(values[known], knots, np.arange(len(knots)))
    below = np.minimum(places.astype(np.int64), max(len(knots) - 2, 0))
    spread[known, below] = 1 - (places - below)
    if len(knots) > 1:
        spread[known, below + 1] = places - below
    return spread


def _number_tokens(videos: VideoTable) -> dict[str, dict[str, int]]:
    """Number the values of fields that several videos have, the most frequent if too many."""
    counts: Counter[tuple[str, str]] = Counter()
    for field in TOKEN_FIELDS:
        if (column := videos.columns.get(field)) is not None:
            for value, count in zip(
                column.values, np.bincount(column.codes, minlength=len(column.values)), strict=True
            ):
                if isinstance(value, str) and count >= _LEAST_VIDEOS:
                    counts[field, value] = int(count)
    kept = sorted(counts, key=lambda one: (-counts[one], one))[:_MOST_TOKENS]
    tokens: dict[str, dict[str, int]] = {field: {} for field in TOKEN_FIELDS}
    for code, (field, value) in enumerate(sorted(kept, key=_order_by_field)):
        tokens[field][value] = code
    return tokens


def _order_by_field(token: tuple[str, str]) -> tuple[int, str]:
    return TOKEN_FIELDS.index(token[0]), token[1]
