"""What an answer to a text costs beside its encoding and its engine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from twinlens.benchmarks.load.wrk import Answers
from twinlens.catalog.errors import TwinLensError
from twinlens.encoders.base import ThumbnailEncoder, TitleEncoder
from twinlens.encoders.lenses import own_lenses
from twinlens.search.request import SearchRequest
from twinlens.search.searcher import Searcher
from twinlens.stores.edge import EdgeReader
from twinlens.stores.generations import DataDir

# Stages of an answer that are the engine's, but for what the adapter around it takes.
ENGINE_STAGES: Final = ("search", "fetch")


class TimedEngine:
    """A shard that adds up the milliseconds spent inside it, over all its methods."""

    def __init__(self, shard: Any) -> None:
        self._shard = shard
        self.spent_ms = 0.0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._shard, name)

        def timed(*arguments: Any) -> Any:
            started = time.perf_counter()
            try:
                return method(*arguments)
            finally:
                self.spent_ms += (time.perf_counter() - started) * 1000

        return timed


def engine_share(
    data: DataDir,
    texts: Sequence[str],
    *,
    title_encoder: TitleEncoder,
    thumbnail_encoder: ThumbnailEncoder,
) -> float:
    """The median share of the engine's stages that is spent in the engine itself.

    Beside it these stages hold what turns its hits into rankings by ``video_id``. Each text is
    searched for twice, so that the second time no id is new, and the second counts.
    """
    manifest = data.published()
    shares = []
    with _opened(data.generation_path(manifest.generation) / "qdrant") as (engine, reader):
        searcher = Searcher(
            reader,
            generation=manifest.generation,
            lenses=own_lenses(title_encoder, thumbnail_encoder),
        )
        for number, text in enumerate([*texts, *texts]):
            before_ms = engine.spent_ms
            took = searcher.search(SearchRequest(text=text)).timings_ms
            if number >= len(texts):
                within = sum(took[stage] for stage in ENGINE_STAGES)
                shares.append((engine.spent_ms - before_ms) / within)
    return float(np.median(shares))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[TimedEngine, EdgeReader]]:
    reader = EdgeReader.open(path)
    try:
        engine = TimedEngine(reader._shard)
        yield engine, EdgeReader(engine, path, reader.dims)
    finally:
        reader.close()


def overhead(answers: Answers, *, engine_share: float) -> dict[str, Any]:
    """Milliseconds of text requests inside encoder and engine, and outside, as JSON values.

    ``outside`` is all that the client waited for beside them: HTTP both ways, parsing, validation,
    words, adapter, fusion, JSON, and the load tool. In ``by stages`` the engine is what the answers
    call its stages; in ``strict`` only ``engine_share`` of that. The ratios are of medians.

    Raises:
        TwinLensError: no answer told its stages.
    """
    told = [
        (waited / 1000, timings)
        for waited, timings, status in zip(
            answers.waited_us, answers.timings, answers.status, strict=True
        )
        if status == 200 and timings
    ]
    if not told:
        raise TwinLensError("no answer of the server told what its stages took")
    waited = np.array([waited_ms for waited_ms, _ in told])
    stages = {
        stage: np.array([timings.get(stage, 0.0) for _, timings in told])
        for stage in dict.fromkeys(stage for _, timings in told for stage in timings)
    }
    engine = sum((stages[name] for name in ENGINE_STAGES), np.zeros(len(told)))
    return {
        "texts": len(told),
        "engine_share": round(engine_share, 3),
        "median_ms": {
            "waited": _median(waited),
            **{name: _median(values) for name, values in stages.items()},
        },
        "by stages": _apart(waited, stages["encode"] + engine),
        "strict": _apart(waited, stages["encode"] + engine_share * engine),
    }


def _apart(waited: npt.NDArray[np.float64], inside: npt.NDArray[np.float64]) -> dict[str, float]:
    outside = waited - inside
    return {
        "inside_ms": _median(inside),
        "outside_ms": _median(outside),
        "outside_by_inside": round(float(np.median(outside) / np.median(inside)), 3),
    }


def _median(values: npt.NDArray[np.float64]) -> float:
    return round(float(np.median(values)), 3)
