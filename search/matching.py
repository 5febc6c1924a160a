"""How well a hit fits the text that found it: of hits at .7, seven in ten are what was meant.

A hit fits by its words or by its meaning: ``1 - (1 - w)(1 - m)``, each a logistic curve, so that
more of either is never less. Ranks can't say so: of what doesn't fit, something is first all the
same.
"""

from __future__ import annotations

import logging
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from twinlens.catalog.vectors import SparseVector
from twinlens.encoders.lens import Lens, Lenses
from twinlens.encoders.lenses import TITLE
from twinlens.search.fusion import LensRank
from twinlens.stores.base import ScoredVideo
from twinlens.stores.generations import CALIBRATIONS_FILE

# Of titles that an encoder without a calibration ranks, only the words are judged.
BY_WORDS: Final = "words"
# What TOML of another form than that of calibrations is met with.
_NOT_ONE: Final = (
    *(LookupError, TypeError, ValueError, AttributeError),
    *(OverflowError, RecursionError),
)
# A ranking as long as this ends with videos that have nothing to do with the query.
_LEAST_RANKED: Final = 50

Floats = npt.NDArray[np.float64]

_log = logging.getLogger(__name__)


class Fit(NamedTuple):
    """What is compared: the share of the query's words that a video has, and its lead by title.

    ``words`` is from 0 to 1, each word weighed by how rare it is. ``lead`` is the cosine less that
    of videos far down the same ranking; 0 of a video that isn't in that, or where there is none.
    """

    words: float
    lead: float


class Curve(NamedTuple):
    """A logistic curve."""

    slope: float
    intercept: float

    def rise(self, values: npt.ArrayLike) -> Floats:
        """Return its height at ``values``, between 0 and 1."""
        heights: Floats = np.tanh(0.5 * (self.slope * np.asarray(values) + self.intercept))
        return 0.5 * (1 + heights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What makes a match of a fit, for one title encoder; ``evaluate calibrate`` finds it.

    ``far`` is the cosine of a video that has nothing to do with a query, for short rankings.
    Below ``floor`` no family of queries has more than three in two hundred of its good first hits.
    """

    words: Curve
    title: Curve | None
    far: float
    floor: float

    def measure(self, fit: Fit) -> float:
        """Return the match, between 0 and 1."""
        return float(self.measure_all(fit.words, fit.lead))

    def measure_all(self, words: npt.ArrayLike, leads: npt.ArrayLike) -> Floats:
        """Return the matches of fits, given as what they consist of, as an array of their shape."""
        unfit = 1 - self.words.rise(words)
        if self.title is not None:
            unfit = unfit * (1 - self.title.rise(leads))
        return 1 - unfit

    def find_far(self, ranking: Sequence[ScoredVideo]) -> float:
        """Return the cosine of what lies far down ``ranking``, which is by title."""
        if len(ranking) < _LEAST_RANKED:
            return self.far
        return float(np.mean([one.score for one in ranking[len(ranking) // 2 :]]))

    def to_toml(self, model: str) -> str:
        """Return its table in a file of calibrations."""
        title = "" if self.title is None else f"title = [{_write(self.title)}]\n"
        name = model.replace("\\", "\\\\").replace('"', '\\"')
        return (
            f'["{name}"]\nwords = [{_write(self.words)}]\n{title}'
            f"far = {self.far:.3f}\nfloor = {self.floor:.3f}\n"
        )

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Self:
        """Return what a table says; raises one of ``_NOT_ONE``."""
        title = table.get("title")
        calibration = cls(
            words=_read_curve(table["words"]),
            title=None if title is None else _read_curve(title),
            far=float(table["far"]),
            floor=float(table["floor"]),
        )
        if not (0 <= calibration.floor < 1 and -1 <= calibration.far <= 1):
            raise ValueError("floor is from 0 to below 1, and far a cosine")
        return calibration


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMatcher:
    """Says how well videos fit the text of one search.

    ``asked`` are the words of that and of its synonyms, weighed by how rare they are, for ``lens``;
    ``far`` is the cosine by title of what has nothing to do with it.
    """

    calibration: Calibration
    lens: Lens[Any]
    asked: Sequence[SparseVector]
    far: float

    def find_fit(self, sources: Mapping[str, LensRank], held: SparseVector | None) -> Fit:
        """Return how a video fits that has these ranks and ``held`` words."""
        shares = (self.lens.measure_coverage(one, held) for one in self.asked)
        title = sources.get(TITLE)
        return Fit(max(shares, default=0.0), 0.0 if title is None else title.score - self.far)


def open_calibration(lenses: Lenses, data: Path) -> Calibration:
    """Return that of the title model of ``lenses``: the data directory's own, or the shipped one.

    Of a model that neither knows, only the words are judged, and nothing is below the floor: what
    it finds by meaning alone can't be told from what doesn't fit. A file that can't be read is
    logged, and passed over.
    """
    known = _read(resources.files("twinlens.search").joinpath(CALIBRATIONS_FILE))
    own = data / CALIBRATIONS_FILE
    if own.exists():
        try:
            known |= _read(own)
        except (OSError, *_NOT_ONE) as error:
            _log.error("%s can't be read, and the shipped calibrations are used: %s", own, error)
    model = lenses[TITLE].model if TITLE in lenses else BY_WORDS
    return known[model] if model in known else replace(known[BY_WORDS], floor=0.0)


def _read(file: Traversable) -> dict[str, Calibration]:
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    return {model: Calibration.from_table(table) for model, table in tables.items()}


def _read_curve(numbers: Sequence[float]) -> Curve:
    slope, intercept = map(float, numbers)
    if not (slope > 0 and math.isfinite(slope) and math.isfinite(intercept)):
        raise ValueError("a curve is two finite numbers, and rises")
    return Curve(slope, intercept)


def _write(curve: Curve) -> str:
    return f"{curve.slope:.3f}, {curve.intercept:.3f}"
