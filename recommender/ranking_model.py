"""The trained ranker at a request: the seconds that a person is expected to watch, by NumPy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from twinlens.catalog.errors import StoreCorrupt
from twinlens.catalog.files import write_atomically
from twinlens.catalog.vectors import FloatMatrix, Vector
from twinlens.recommender.candidates import Candidate, FeedQuery
from twinlens.recommender.features import (
    COUNTED,
    FIELDS,
    Contents,
    Features,
    Questions,
    VideoStatistics,
    make_features,
)
from twinlens.recommender.histories import Floats, Histories, Ints, to_milliseconds
from twinlens.recommender.quantiles import Quantiles
from twinlens.recommender.videos import VideoTable
from twinlens.recommender.vocabularies import Vocabulary

WEIGHTS_FILE: Final = "ranking.safetensors"
SETTINGS_FILE: Final = "ranking.json"
VOCABULARIES_FILE: Final = "vocabularies.json"
QUANTILES_FILE: Final = "quantiles.npz"
STATISTICS_FILE: Final = "statistics.parquet"
# What files of another form than a model's are met with.
_DAMAGED: Final = (
    *(OSError, SafetensorError, pa.ArrowException),
    *(LookupError, TypeError, ValueError, AttributeError),
)


class Objective(StrEnum):
    """What a logit's e^ comes to be."""

    WATCH_TIME = "watch_time"
    """Expected seconds: each impression is a negative once, a clicked one T times a positive."""
    WATCH_TIME_PAPER = "watch_time_paper"
    """Seconds over the unclicked: a clicked one is T times a positive, another one a negative."""
    CLICK = "click"
    """Odds of a click."""


@dataclass(frozen=True, kw_only=True)
class RankingSummary:
    """How a ranker was trained, and what it needs to know of that.

    ``cap_s``: no watch counted longer. ``lenses`` are those whose vectors it compares.
    ``counts_served``: see `RankingLog`. ``position`` is the place at which all candidates are
    ranked, None where the log had none. ``trained_until`` is in milliseconds since 1970.
    ``choices`` has the best epoch of each objective and cap that was tried.
    """

    objective: Objective
    cap_s: float | None
    powers: bool
    layers: int
    position: float | None
    lenses: Sequence[str]
    counts_served: bool
    trained_until: int
    seed: int
    choices: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Calibration:
    """A rising map from what the network says to seconds, linear between logarithms."""

    said: Floats
    watched: Floats

    def apply(self, logits: Vector) -> Floats:
        """Return seconds; beyond the ends their ratio to e^logit is that at the end."""
        inside = np.clip(logits, self.said[0], self.said[-1])
        return np.exp(np.interp(inside, self.said, self.watched) + logits - inside)


@dataclass(frozen=True, eq=False, kw_only=True)
class RankingModel:
    """The network's weights by name, and all that its inputs are made by.

    ``statistics`` are those of ``video_ids``, int64 (videos, `COUNTED`), at the end of training.
    """

    summary: RankingSummary
    weights: Mapping[str, FloatMatrix]
    calibration: Calibration
    vocabularies: Mapping[str, Vocabulary]
    quantiles: Quantiles
    video_ids: Sequence[str]
    statistics: Ints

    def predict_logits(self, features: Features) -> Vector:
        """Return what the network says, shape (n,): as in torch to 1e-5."""
        state = np.concatenate([*self._embed(features), *self._expand(features)], axis=1)
        for at in range(self.summary.layers):
            weight, bias = (self.weights[f"hidden.{at}.{name}"] for name in ("weight", "bias"))
            state = np.maximum(state @ weight.T + bias, 0)
        logits: Vector = (state @ self.weights["logit.weight"].T + self.weights["logit.bias"])[:, 0]
        return logits

    def predict(self, features: Features) -> Floats:
        """Return the seconds to expect, shape (n,)."""
        return self.calibration.apply(self.predict_logits(features))

    def _embed(self, features: Features) -> list[FloatMatrix]:
        embedded, at = [], 0
        for field in FIELDS:
            codes = features.codes[:, at : at + field.width]
            at += field.width
            known = np.maximum((codes > 0).sum(axis=1, keepdims=True), 1).astype(np.float32)
            embedded.append(self.weights[f"tables.{field.space}.weight"][codes].sum(axis=1) / known)
        return embedded

    def _expand(self, features: Features) -> list[FloatMatrix]:
        quantiles = self.quantiles.transform(features.numbers)
        missing = np.isnan(quantiles)
        known = np.where(missing, np.float32(0), quantiles)
        powers = [known * known, np.sqrt(known)] if self.summary.powers else []
        return [known, *powers, missing.astype(np.float32)]

    def save(self, folder: Path) -> None:
        """Write it into ``folder``."""
        tensors: dict[str, Any] = {
            **{name: np.ascontiguousarray(of) for name, of in self.weights.items()},
            "calibration.said": self.calibration.said,
            "calibration.watched": self.calibration.watched,
        }
        save_file(tensors, folder / WEIGHTS_FILE)
        write_atomically(folder / SETTINGS_FILE, json.dumps(asdict(self.summary), indent=2) + "\n")
        words = {name: of.values for name, of in self.vocabularies.items()}
        write_atomically(folder / VOCABULARIES_FILE, json.dumps(words, ensure_ascii=False))
        self.quantiles.save(folder / QUANTILES_FILE)
        counts = {name: self.statistics[:, at] for at, name in enumerate(COUNTED)}
        table = pa.table({"video_id": pa.array(self.video_ids, pa.string()), **counts})
        pq.write_table(table, folder / STATISTICS_FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the model in ``folder``.

        Raises:
            StoreCorrupt: its files are missing, damaged, or don't fit together.
        """
        try:
            summary = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
            words = json.loads((folder / VOCABULARIES_FILE).read_text(encoding="utf-8"))
            tensors = load_file(folder / WEIGHTS_FILE)
            table = pq.read_table(folder / STATISTICS_FILE)
            return cls(
                summary=RankingSummary(**{**summary, "objective": Objective(summary["objective"])}),
                calibration=Calibration(
                    tensors.pop("calibration.said"), tensors.pop("calibration.watched")
                ),
                weights=tensors,
                vocabularies={name: Vocabulary(values) for name, values in words.items()},
                quantiles=Quantiles.load(folder / QUANTILES_FILE),
                video_ids=table["video_id"].to_pylist(),
                statistics=np.column_stack([table[name].to_numpy() for name in COUNTED]),
            )
        except _DAMAGED as error:
            raise StoreCorrupt(f"the ranker in {folder} can't be read: {error}") from error


class WatchTimeRanker:
    """Ranks candidates by the seconds that a person is expected to watch of each. A `Ranker`.

    ``videos`` is the catalogue of the generation that is served.
    """

    name = "watch_time"
    predicts_seconds = True

    def __init__(self, model: RankingModel, videos: VideoTable) -> None:
        self._model = model
        self._contents = Contents(videos, model.vocabularies, lenses=model.summary.lenses)
        counts = np.zeros((len(self._contents), len(COUNTED)), dtype=np.int64)
        rows = np.array([videos.rows.get(one, -1) for one in model.video_ids], dtype=np.int64)
        counts[rows] = model.statistics
        self._statistics = VideoStatistics.from_counts(counts, self._contents)

    def rank(self, query: FeedQuery, candidates: Sequence[Candidate]) -> Vector:
        """Return the seconds to expect of each candidate, float32 of shape (n,)."""
        if not candidates:
            return np.empty(0, dtype=np.float32)
        return self._model.predict(self.make_features(query, candidates)).astype(np.float32)

    def make_features(self, query: FeedQuery, candidates: Sequence[Candidate]) -> Features:
        """Return what the network sees of each candidate at this moment."""
        contents, count = self._contents, len(candidates)
        position = self._model.summary.position

        def repeat(value: float, type_: type) -> Any:
            return np.full(count, value, dtype=type_)

        known = {
            "surface": query.surface,
            "region": query.context.region,
            "device": query.context.device,
            "language": query.context.language,
        }
        questions = Questions(
            persons=repeat(0, np.int64),
            moments=repeat(to_milliseconds(query.at), np.int64),
            videos=np.array(
                [contents.rows.get(one.video.video_id, -1) for one in candidates], dtype=np.int64
            ),
            seeds=repeat(contents.rows.get(query.seed_video_id or "", -1), np.int64),
            positions=repeat(np.nan if position is None else position, np.float64),
            context={
                name: np.repeat(contents.vocabularies[name].encode([value]), count)
                for name, value in known.items()
            },
        )
        history = Histories.from_person(
            query.person,
            contents.rows,
            contents.durations_s[:-1],
            counts_served=self._model.summary.counts_served,
        )
        return make_features(questions, history, contents, self._statistics)
