"""What holds for every engine that is compared."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.stores.conftest import NEEDS_SERVER, SERVER_URL
from tests.stores.qdrant_process import QdrantProcess
from twinlens.benchmarks.engines import server_engine
from twinlens.benchmarks.engines.base import (
    EngineQuery,
    Experiment,
    MeasuredEngine,
    name_setting,
    read_experiments,
)
from twinlens.benchmarks.engines.process import Host, Probe
from twinlens.benchmarks.engines.record import Built, EngineFailed
from twinlens.benchmarks.engines.server_engine import API_KEY_VARIABLE, Server
from twinlens.benchmarks.engines.sources import DrawnVectors, write_vectors
from twinlens.benchmarks.engines.vectors import SHARES, Truth, VectorSet, fuse_answers
from twinlens.catalog.errors import StoreError

LIMIT, WINDOW, K = 10, 200, 60.0
# What stands in for a server takes some milliseconds to write a video.
VIDEOS, FEWER_VIDEOS = 3_000, 400
# Queries, and what stands in for a server is slow to answer.
QUERIES, FEWER_QUERIES = 20, 8
DIMS = {"title": 32, "thumbnail": 16}
# What the shares let through: many, some, fewer than are asked for, nothing.
FEW = 0.01
EXACT = {"exact": True}


class Kept(NamedTuple):
    """An engine whose index has been made."""

    experiment: Experiment
    vectors: VectorSet
    built: Built

    def make(self) -> MeasuredEngine:
        return self.experiment.make(self.vectors)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """In memory where the system has it: engines sync their files."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="twinlens-test-") as path:
        yield Path(path)


def drawn(folder: Path, videos: int, queries: int) -> VectorSet:
    path = Path(tempfile.mkdtemp(prefix="twinlens-bench-", dir=folder))
    made = write_vectors(DrawnVectors(DIMS), path, videos=videos, queries=queries, seed=3)
    draws = np.array(made.draws)
    draws[draws < FEW] = 0.9
    draws[[5, 50, 100, 300]] = FEW / 2
    np.save(made.path / "draws.npy", draws)
    return VectorSet(made.path, DIMS)


@pytest.fixture(scope="module")
def vectors(folder: Path) -> VectorSet:
    return drawn(folder, VIDEOS, QUERIES)


@pytest.fixture(scope="module")
def fewer(folder: Path) -> VectorSet:
    return drawn(folder, FEWER_VIDEOS, FEWER_QUERIES)


@pytest.fixture(scope="module")
def truth(kept: Kept) -> Truth:
    return Truth(kept.vectors, limit=LIMIT, window=WINDOW)


def on_server(url: str, **build: Any) -> dict[str, Experiment]:
    rows = [one for one in read_experiments(url=url) if one.on_server]
    return {
        one.build["transport"]: one.model_copy(update={"build": {**one.build, **build}})
        for one in rows
    }


@pytest.fixture(
    scope="module",
    params=[
        *(one.name for one in read_experiments()),
        "process-rest",
        "process-grpc",
        pytest.param("server-rest", marks=NEEDS_SERVER),
        pytest.param("server-grpc", marks=NEEDS_SERVER),
    ],
)
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    name, transport = request.param, request.param.rpartition("-")[2]
    of = "vectors"
    if name.startswith("process"):
        server, of = request.getfixturevalue("qdrant_process"), "fewer"
        experiment = on_server(server.url, grpc_port=server.grpc_port)[transport]
    elif name.startswith("server"):
        assert SERVER_URL is not None
        experiment = on_server(SERVER_URL)[transport]
    else:
        experiment = next(one for one in read_experiments() if one.name == name)
    vectors = request.getfixturevalue(of)
    (vectors.path / experiment.name).mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        if name.startswith("server") and "TWINLENS_TEST_QDRANT_API_KEY" in os.environ:
            patch.setenv(API_KEY_VARIABLE, os.environ["TWINLENS_TEST_QDRANT_API_KEY"])
        with closing(experiment.make(vectors)) as engine:
            yield Kept(experiment, vectors, engine.upload(threads=2))
            if isinstance(engine, Server):
                engine.remove()


@pytest.fixture
def engine(kept: Kept) -> Iterator[MeasuredEngine]:
    made = kept.make()
    made.open()
    yield made
    made.close()


def queries(
    engine: MeasuredEngine, setting: Any, *, share: float | None = None
) -> list[EngineQuery]:
    name = engine.vectors.first
    return [EngineQuery(name, one, LIMIT, setting, share) for one in engine.vectors.queries[name]]


def found_by(engine: MeasuredEngine, setting: Any, **more: Any) -> list[list[int]]:
    return [list(engine.search(one).ids) for one in queries(engine, setting, **more)]


def recall_of(truth: Truth, found: list[list[int]], share: float | None = None) -> float:
    return truth.measure_recall(range(len(found)), found, share)


def scores(vectors: VectorSet, row: int, ids: Any) -> Any:
    stored, asked = vectors.rows[vectors.first], vectors.queries[vectors.first]
    return stored[list(ids)].astype(np.float64) @ asked[row].astype(np.float64)


def exact_of(kept: Kept) -> Any:
    if EXACT not in kept.experiment.searches:
        pytest.skip("has no exact search")
    return EXACT


def usual(kept: Kept) -> Any:
    return kept.experiment.searches[len(kept.experiment.searches) // 2]


def test_exact_is_exact(kept: Kept, engine: MeasuredEngine, truth: Truth) -> None:
    assert recall_of(truth, found_by(engine, exact_of(kept))) == 1.0


def test_every_setting_answers_in_order_and_the_widest_finds_nearly_all(
    kept: Kept, engine: MeasuredEngine, truth: Truth
) -> None:
    for setting in kept.experiment.searches:
        for row, ids in enumerate(found_by(engine, setting)):
            assert all(type(one) is int for one in ids)
            assert len(set(ids)) == len(ids) <= LIMIT
            if setting.get("rescore", True) and setting != {}:
                assert np.all(np.diff(scores(engine.vectors, row, ids)) <= 1e-6)
    widest = kept.experiment.searches[-1]
    recall = recall_of(truth, found_by(engine, widest))
    assert recall >= (1.0 if widest == EXACT else 0.8)


def test_only_what_a_filter_lets_through_is_found(
    kept: Kept, engine: MeasuredEngine, truth: Truth
) -> None:
    passing = [len(engine.vectors.list_passing(share)) for share in SHARES]
    assert passing == [*passing[:2], 4, 0]
    for setting in (kept.experiment.searches[0], usual(kept), kept.experiment.searches[-1]):
        for share, passed in zip(SHARES, passing, strict=True):
            # Raises where it found what may not be found.
            recall = recall_of(truth, found_by(engine, setting, share=share), share)
            if setting == EXACT:
                assert recall == 1.0, share
            elif passed > LIMIT and setting == kept.experiment.searches[-1]:
                # A graph walked for the very few that pass may miss them.
                assert recall >= 0.8, share


def test_many_queries_at_once_find_what_each_finds_alone(
    kept: Kept, engine: MeasuredEngine
) -> None:
    for setting in kept.experiment.searches:
        many = engine.search_many(queries(engine, setting))
        assert len(many) == kept.vectors.query_count
        for row, (together, alone) in enumerate(zip(many, found_by(engine, setting), strict=True)):
            assert all(type(one) is int for one in together.ids)
            np.testing.assert_allclose(
                scores(engine.vectors, row, together.ids),
                scores(engine.vectors, row, alone),
                atol=1e-6,
            )


def test_rankings_of_every_vector_fuse_to_the_exact_fusion(
    kept: Kept, engine: MeasuredEngine, truth: Truth
) -> None:
    setting = exact_of(kept)
    found = []
    for row in range(kept.vectors.query_count):
        asked = [
            EngineQuery(name, engine.vectors.queries[name][row], WINDOW, setting)
            for name in engine.vectors.dims
        ]
        rankings = {
            query.name: list(zip(answer.ids, answer.scores, strict=True))
            for query, answer in zip(asked, engine.search_many(asked), strict=True)
        }
        assert {name: len(one) for name, one in rankings.items()} == dict.fromkeys(DIMS, WINDOW)
        for name, (_, best) in truth.best.items():
            told = [score for _, score in rankings[name]]
            np.testing.assert_allclose(told, best[row, :WINDOW], atol=1e-6)
        found.append(list(fuse_answers(rankings, limit=LIMIT, k=K)))
    assert truth.measure_fused_recall(range(len(found)), found, k=K) == 1.0


def test_a_limit_above_the_number_of_videos_finds_them_once(
    kept: Kept, engine: MeasuredEngine
) -> None:
    videos = kept.vectors.videos
    for setting in kept.experiment.searches:
        asked = queries(engine, setting)[0]._replace(limit=videos + 10)
        for ids in (engine.search(asked).ids, engine.search_many([asked])[0].ids):
            assert len(set(ids)) == len(ids) <= videos
            assert set(ids) <= set(range(videos))
            if setting == EXACT:
                assert len(ids) == videos


def test_a_second_process_finds_the_same_while_the_first_searches(
    kept: Kept, engine: MeasuredEngine
) -> None:
    if kept.experiment.on_server:
        pytest.skip("every process is a client of a server")
    probe = partial(Probe, kept.experiment, kept.vectors.path, DIMS, LIMIT)
    with Host(probe, environment={}) as second:
        second.ask("open")
        timed = second.ask("search", range(QUERIES), usual(kept))
    assert [list(ids) for ids in timed.found] == found_by(engine, usual(kept))


def test_graphs_hold_every_vector_and_the_disk_is_counted_where_it_can_be_seen(kept: Kept) -> None:
    has_graphs = any("ef" in setting for setting in kept.experiment.searches)
    every = kept.vectors.videos * len(DIMS)
    assert kept.built.indexed_vectors == (every if has_graphs else None)
    assert kept.built.upload_s >= 0
    assert kept.built.index_s >= 0
    disk = kept.make().measure_disk()
    if kept.experiment.on_server:
        assert disk is None
    else:
        assert disk is not None
        assert disk >= kept.vectors.videos * DIMS["title"]


def test_only_a_server_tells_its_own_time(kept: Kept, engine: MeasuredEngine) -> None:
    asked = queries(engine, usual(kept))[:2]
    for told in (engine.search(asked[0]), *engine.search_many(asked)):
        if not kept.experiment.on_server:
            assert told.server_ms is None
        elif "grpc_port" in kept.experiment.build and kept.experiment.build["transport"] == "grpc":
            assert told.server_ms == pytest.approx(0.25)
        else:
            assert told.server_ms is not None
            assert told.server_ms > 0


def test_closing_twice_does_nothing(kept: Kept) -> None:
    made = kept.make()
    made.close()
    made.open()
    made.close()
    made.close()


def test_rescoring_gives_back_what_one_byte_a_value_loses(
    kept: Kept, engine: MeasuredEngine, truth: Truth
) -> None:
    raw = {"ef": 64, "oversampling": 1.0, "rescore": False}
    if raw not in kept.experiment.searches:
        pytest.skip("is not quantized")
    first, second = (
        recall_of(truth, found_by(engine, setting))
        for setting in (raw, {"ef": 64, "oversampling": 2.0})
    )
    assert 0.8 <= first < second


def test_a_server_builds_its_graph_after_the_upload(
    qdrant: QdrantProcess, fewer: VectorSet
) -> None:
    # Of a graph of its own, so that no other test's collection is written to.
    engine = on_server(qdrant.url, m=8)["rest"].make(fewer)
    qdrant.order(fault="INVALID_ARGUMENT", on="Upsert")
    with pytest.raises(StoreError, match="400"):
        engine.upload(threads=3)
    qdrant.order()
    engine.upload(threads=3)
    asked, names = qdrant.requests(), qdrant.asked()
    assert names[:3] == ["Delete", "Create", "CreateFieldIndex"]
    assert names.index("Update") > max(at for at, name in enumerate(names) if name == "Upsert")
    created, building = asked[1][1], asked[names.index("Update")][1]
    assert created["hnsw_config"]["max_indexing_threads"] == 3
    assert created["optimizers_config"]["indexing_threshold"] == 0
    smallest_kb = FEWER_VIDEOS * min(DIMS.values()) * 4 // 1024
    assert 0 < building["optimizers_config"]["indexing_threshold"] < smallest_kb
    engine.remove()
    with pytest.raises(StoreError):
        engine.open()
    engine.close()


def test_a_server_that_builds_no_graph_or_is_not_there_has_failed(
    qdrant: QdrantProcess, fewer: VectorSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_engine, "_CALM_S", 0.0)
    qdrant.order(indexed=0)
    server = on_server(qdrant.url, m=8)["rest"].make(fewer)
    with closing(server), pytest.raises(EngineFailed, match="graphs over 0 of 800"):
        server.upload(threads=1)
    qdrant.order(fault="refuse")
    for experiment in on_server(qdrant.url, grpc_port=qdrant.grpc_port).values():
        server = experiment.make(fewer)
        with closing(server), pytest.raises(StoreError, match="doesn't answer"):
            server.open()


def test_a_collection_is_named_after_what_it_holds(fewer: VectorSet, vectors: VectorSet) -> None:
    def name(of: VectorSet, url: str, transport: str, **build: Any) -> str:
        made = on_server(url, **build)[transport].make(of)
        assert isinstance(made, Server)
        return made.collection

    first = name(fewer, "http://one:6333", "rest")
    assert first.startswith("twinlens-bench-")
    assert first == name(fewer, "http://two:6333", "grpc")
    assert first != name(fewer, "http://one:6333", "rest", m=32)
    assert first != name(vectors, "http://one:6333", "rest")


def test_qdrant_is_told_to_build_a_graph_for_small_sets_too(fewer: VectorSet) -> None:
    assert fewer.choose_threshold_kb() == FEWER_VIDEOS * min(DIMS.values()) * 4 // 1024 // 4
    assert fewer.choose_threshold_kb(least=10) == 10


def test_settings_are_named_for_a_person() -> None:
    names = {name_setting(one) for row in read_experiments() for one in row.searches}
    assert {"exact", "scan", "ef 64", "nprobe 4", "ef 64, 2x rescored"} <= names
    assert "ef 64, not rescored" in names
