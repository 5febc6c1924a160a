"""The trained candidate network at a request: NumPy for the person, FAISS for the videos."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import faiss
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from twinlens.catalog.errors import StoreCorrupt
from twinlens.catalog.files import write_atomically
from twinlens.catalog.vectors import FloatMatrix, Vector
from twinlens.events.event import Event, EventType
from twinlens.recommender.candidates import FeedQuery
from twinlens.recommender.co_watching import CoWatching, Table
from twinlens.recommender.content import Bags, Content, ContentSpace
from twinlens.recommender.interactions import Ints
from twinlens.recommender.person import Context, Person
from twinlens.recommender.person_inputs import PersonInputs, PersonSpace
from twinlens.recommender.pooling import POOLINGS, Pooling
from twinlens.recommender.videos import VideoTable
from twinlens.search.fusion import MOST_NAMED
from twinlens.stores.base import ScoredVideo, sort_hits
from twinlens.stores.filters import Filter

WEIGHTS_FILE: Final = "candidate.safetensors"
SPACES_FILE: Final = "candidate.json"
_DIRECTIONS: Final = "directions."
_TABLES: Final = "tables."
_LEAST_NORM: Final = 1e-12
_CHUNK: Final = 50_000
# What files of another form than a model's are met with.
_DAMAGED: Final = (OSError, SafetensorError, LookupError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, eq=False, kw_only=True)
class CandidateModel:
    """The network's weights by name, and all that its inputs are made by.

    ``history`` is float32 (videos, dim): what a watch of each video is told by. ``output``
    (videos, dim + 1) is what the person's vector is compared with: a unit vector, and in the last
    component how far everyone likes the video. What the ``tables`` say is added.
    """

    video_ids: Sequence[str]
    history: FloatMatrix
    output: FloatMatrix
    weights: Mapping[str, FloatMatrix]
    tables: CoWatching
    layers: int
    temperature: float
    pooling: Pooling
    people: PersonSpace
    content: ContentSpace

    @property
    def dim(self) -> int:
        """Length of the vectors that are looked up."""
        return int(self.output.shape[1])

    def embed_people(self, inputs: PersonInputs, history: FloatMatrix) -> FloatMatrix:
        """Return vectors (people, dim + 1); the rows of the inputs are those of ``history``."""
        return self.embed_pooled(_pool(history, inputs.history, self.pooling), inputs)

    def embed_pooled(self, pooled: FloatMatrix, inputs: PersonInputs) -> FloatMatrix:
        """Return vectors of histories that are pooled already, of as many people or of one."""
        others = np.concatenate(
            [
                average_bags(self.weights["words"], inputs.words),
                self.weights["categories"][inputs.categories].reshape(len(inputs.reals), -1),
                inputs.reals,
            ],
            axis=1,
        )
        others = np.broadcast_to(others, (len(pooled), others.shape[1]))
        x = np.concatenate([pooled, others], axis=1)
        for at in range(self.layers):
            x = np.maximum(x, 0) if at else x
            x = x @ self.weights[f"tower.{at}.weight"].T + self.weights[f"tower.{at}.bias"]
        return np.pad(_normalize(x), ((0, 0), (0, 1)), constant_values=1)

    def embed_content(self, content: Content, rows: npt.NDArray[np.int64]) -> _ItemVectors:
        """Return the vectors of videos that nobody has watched, by their content alone."""
        history = np.empty((len(rows), self.history.shape[1]), dtype=np.float32)
        output = np.empty((len(rows), self.dim), dtype=np.float32)
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            dense, tokens = content.take(rows[part])
            averaged = average_bags(self.weights["tokens"], tokens).reshape(len(dense), -1)
            described = np.concatenate([dense, averaged], axis=1) @ self.weights["trunk"].T
            np.maximum(described, 0, out=described)
            history[part] = described @ self.weights["history_head"].T
            made = described @ self.weights["output_head"].T
            output[part, :-1] = _normalize(made[:, :-1])
            output[part, -1] = self.temperature * made[:, -1]
        return _ItemVectors(history, output)

    def save(self, folder: Path) -> None:
        """Write it into ``folder``."""
        tensors = {"history": self.history, "output": self.output, **self.weights}
        tensors |= {_DIRECTIONS + lens: of for lens, of in self.content.directions.items()}
        for name, table in self.tables.tables.items():
            tensors |= {f"{_TABLES}{name}.{part}": of for part, of in table._asdict().items()}
        save_file(
            {name: np.ascontiguousarray(of) for name, of in tensors.items()}, folder / WEIGHTS_FILE
        )
        spaces = {
            "tables": dict(self.tables.weights),
            "layers": self.layers,
            "temperature": self.temperature,
            "pooling": self.pooling,
            "people": self.people.to_json(),
            "content": self.content.to_json(),
            "video_ids": list(self.video_ids),
        }
        write_atomically(folder / SPACES_FILE, json.dumps(spaces, ensure_ascii=False))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the model in ``folder``.

        Raises:
            StoreCorrupt: its files are missing, damaged, or don't fit together.
        """
        try:
            spaces: dict[str, Any] = json.loads((folder / SPACES_FILE).read_text(encoding="utf-8"))
            tensors = load_file(folder / WEIGHTS_FILE)
            directions = {
                name.removeprefix(_DIRECTIONS): tensors.pop(name)
                for name in sorted(tensors)
                if name.startswith(_DIRECTIONS)
            }
            weights = spaces["tables"]
            tables = {
                name: Table(*(tensors.pop(f"{_TABLES}{name}.{part}") for part in Table._fields))
                for name in weights
            }
            model = cls(
                tables=CoWatching(tables=tables, weights=weights),
                video_ids=spaces["video_ids"],
                history=tensors.pop("history"),
                output=tensors.pop("output"),
                weights=tensors,
                layers=spaces["layers"],
                temperature=spaces["temperature"],
                pooling=spaces["pooling"],
                people=PersonSpace.from_json(spaces["people"]),
                content=ContentSpace.from_json(spaces["content"], directions),
            )
        except _DAMAGED as error:
            raise StoreCorrupt(f"the model {folder} can't be read: {error}") from error
        if not len(model.video_ids) == len(model.history) == len(model.output):
            raise StoreCorrupt(f"the files of the model {folder} don't fit together")
        return model


class _Told(NamedTuple):
    """Rows of videos, each once, and how strongly a history speaks for each, above 0."""

    rows: Ints
    strengths: Vector

    def select(self, passing: npt.NDArray[np.bool_]) -> _Told:
        kept = passing[self.rows]
        return _Told(self.rows[kept], self.strengths[kept])

    def find(self, rows: Ints) -> Vector:
        """Return the strength of each of ``rows``, 0 for others."""
        told = dict(zip(self.rows.tolist(), self.strengths.tolist(), strict=True))
        return np.array([told.get(row, 0.0) for row in rows.tolist()], dtype=np.float32)


@dataclass(frozen=True, eq=False)
class _ItemVectors:
    history: FloatMatrix
    output: FloatMatrix


class LearnedSource:
    """Finds what the network says a person watches next, among the videos of a generation.

    Videos that the model has not learned are placed by their content. Vectors are kept as float16.
    """

    name = "learned"

    def __init__(self, model: CandidateModel, videos: VideoTable) -> None:
        self._model = model
        self._videos = videos
        learned = {video_id: row for row, video_id in enumerate(model.video_ids)}
        known = np.array([learned.get(video_id, -1) for video_id in videos.video_ids], np.int64)
        new = np.flatnonzero(known < 0)
        here = np.flatnonzero(known >= 0)
        # Of each video that the model has learned the row here, -1 where it is gone.
        self._places = np.full(len(learned), -1, dtype=np.int64)
        self._places[known[here]] = here
        made = model.embed_content(model.content.encode(videos), new)
        self._history = np.concatenate([model.history, made.history])
        # A watched video is told even where it is no longer in the catalogue.
        self._ids = [*model.video_ids, *(videos.video_ids[row] for row in new.tolist())]
        self._rows = {video_id: row for row, video_id in enumerate(self._ids)}
        # FAISS compares vectors eight numbers at a time, or else one by one.
        self._padding = (0, 0), (0, -model.dim % 8)
        self._index = faiss.IndexScalarQuantizer(
            model.dim + self._padding[1][1],
            faiss.ScalarQuantizer.QT_fp16,
            faiss.METRIC_INNER_PRODUCT,
        )
        for start in range(0, len(videos), _CHUNK):
            part = known[start : start + _CHUNK]
            output = model.output[part]
            at = new[(new >= start) & (new < start + _CHUNK)]
            output[at - start] = made.output[np.searchsorted(new, at)]
            self._index.add(np.pad(output, self._padding))

    def find(self, query: FeedQuery, *, limit: int) -> Sequence[ScoredVideo]:
        """See ``CandidateSource``. Beside a video, it is as if that had been watched last."""
        exclude = query.exclude
        if query.seed_video_id is not None:
            exclude = {*exclude, query.seed_video_id}
        inputs = self._encode(query)
        return self._look_up(
            inputs, inputs.history, limit=limit, filter=query.filter, exclude=exclude
        )[0]

    def explain(self, query: FeedQuery, video_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """See ``Explaining``: the watched ones without which it would score less."""
        inputs = self._encode(query)
        told = inputs.history[0][inputs.history[0] >= 0]
        here = [one for one in video_ids if one in self._videos.rows]
        if not len(told) or not here:
            return {}
        watched = list(dict.fromkeys(told.tolist()))
        histories = np.full((len(watched) + 1, inputs.history.shape[1]), -1)
        for at, video in enumerate(watched):
            others = told[told != video]
            histories[at, : len(others)] = others
        histories[-1] = inputs.history
        rows = np.array([self._videos.rows[one] for one in here])
        scores = self._embed(inputs, histories) @ self._index.reconstruct_batch(rows).T
        scores += [self._tell(history).find(rows) for history in histories]
        lost = scores[-1] - scores[:-1]
        best = np.argsort(-lost, axis=0, kind="stable")[:MOST_NAMED]
        return {
            video_id: [self._ids[watched[at]] for at in best[:, row] if lost[at, row] > 0]
            for row, video_id in enumerate(here)
        }

    def find_like(
        self, seeds: Sequence[str], *, limit: int, filter: Filter | None, exclude: Set[str]
    ) -> Mapping[str, Sequence[ScoredVideo]]:
        """Return for each of ``seeds`` what is watched next by who has watched it alone."""
        known = [one for one in seeds if one in self._rows]
        if not known:
            return dict.fromkeys(seeds, ())
        watch = Event(type=EventType.WATCH, event_id="", person_id="", at=None, video_id=known[0])
        inputs = self._model.people.encode(Person(watches=[watch]), Context(), self._rows)
        histories = np.full((len(known), inputs.history.shape[1]), -1)
        histories[:, 0] = [self._rows[one] for one in known]
        found = self._look_up(inputs, histories, limit=limit, filter=filter, exclude=exclude)
        return dict.fromkeys(seeds, ()) | dict(zip(known, found, strict=True))

    def _look_up(
        self,
        inputs: PersonInputs,
        histories: Ints,
        *,
        limit: int,
        filter: Filter | None,
        exclude: Set[str],
    ) -> list[list[ScoredVideo]]:
        """Return for a person, as of each of several histories, the videos of greatest score."""
        passing = np.ones(len(self._videos), np.bool_)
        if filter is not None:
            passing = self._videos.select(filter).copy()
        passing[[row for one in exclude if (row := self._videos.rows.get(one)) is not None]] = False
        limit = min(limit, len(self._videos))
        if limit < 1:
            return [[] for _ in histories]
        parameters = None
        if not passing.all():
            bits = np.packbits(passing, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(self._videos), faiss.swig_ptr(bits))
            make: Any = faiss.SearchParameters
            parameters = make(sel=selector)
        vectors = self._embed(inputs, histories)
        products, rows = self._index.search(vectors, limit, params=parameters)
        ids, found = self._videos.video_ids, []
        for at, history in enumerate(histories):
            # What no table names has no place before those nearest to the vector.
            told = self._tell(history).select(passing)
            near = rows[at] >= 0
            near &= ~np.isin(rows[at], told.rows)
            totals = self._index.reconstruct_batch(told.rows) @ vectors[at] + told.strengths
            places = np.concatenate([rows[at][near], told.rows])
            scores = np.concatenate([products[at][near], totals])
            if len(scores) > limit:
                kept = scores >= np.partition(scores, -limit)[-limit]
                places, scores = places[kept], scores[kept]
            pairs = zip(places.tolist(), scores.tolist(), strict=True)
            found.append(sort_hits([ScoredVideo(ids[row], score) for row, score in pairs])[:limit])
        return found

    def _tell(self, history: Ints) -> _Told:
        """Return what the tables say of the videos here."""
        rows, strengths = self._model.tables.find(history)
        places = self._places[rows]
        return _Told(places[places >= 0], strengths[places >= 0])

    def _encode(self, query: FeedQuery) -> PersonInputs:
        inputs = self._model.people.encode(query.person, query.context, self._rows)
        if (seed := self._rows.get(query.seed_video_id or "")) is None:
            return inputs
        history = np.roll(inputs.history, 1, axis=1)
        history[0, 0] = seed
        return inputs._replace(history=history)

    def _embed(self, inputs: PersonInputs, histories: Ints) -> FloatMatrix:
        """Return the vectors of a person as of each of several histories, padded."""
        pooled = _pool(self._history, histories, self._model.pooling)
        return np.pad(self._model.embed_pooled(pooled, inputs), self._padding)


def average_bags(table: FloatMatrix, bags: Bags) -> FloatMatrix:
    """Return the mean of the rows of each bag, zeros for an empty one."""
    counts = np.diff(bags.starts)
    filled = counts > 0
    averages = np.zeros((len(counts), table.shape[1]), dtype=np.float32)
    if filled.any():
        sums = np.add.reduceat(table[bags.codes], bags.starts[:-1][filled], axis=0)
        averages[filled] = sums / counts[filled, None]
    return averages


def _pool(history: FloatMatrix, rows: npt.NDArray[np.int64], name: Pooling) -> FloatMatrix:
    pooling, there = POOLINGS[name], rows >= 0
    each = history[rows] * there[..., None] if len(history) else np.zeros((*rows.shape, 0))
    if pooling.takes_largest:
        largest: FloatMatrix = np.where(there[..., None], each, -np.inf).max(axis=1)
        return np.where(np.isinf(largest), 0, largest).astype(np.float32)
    return (pooling.weigh(there) @ each).reshape(len(rows), -1)


def _normalize(matrix: FloatMatrix) -> FloatMatrix:
    norms = np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), _LEAST_NORM)
    units: FloatMatrix = (matrix / norms).astype(np.float32, copy=False)
    return units
