"""What holds for every engine that is compared."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.benchmarks.qdrant_stand_in import TOOK_S, StandIn, serving
from tests.stores.conftest import NEEDS_SERVER, SERVER_URL
from twinlens.benchmarks.engines.base import Engine, EngineFailed, NotOffered, Setting, Uploaded
from twinlens.benchmarks.engines.client_engines import (
    API_KEY_VARIABLE,
    LocalMode,
    Server,
    collection_name,
)
from twinlens.benchmarks.engines.experiments import (
    EXACT,
    EXPERIMENTS,
    Experiment,
    server_experiments,
)
from twinlens.benchmarks.engines.sources import DrawnVectors, prepared
from twinlens.benchmarks.engines.thresholds import lowered_threshold_kb
from twinlens.benchmarks.engines.truth import Truth, exact_truth
from twinlens.benchmarks.engines.vectors import SHARES, VectorSet
from twinlens.search.fusion import fuse
from twinlens.stores.qdrant_schema import FULL_SCAN_THRESHOLD_KB

LIMIT, WINDOW, K = 10, 200, 60.0
# Local mode, which is behind the stand-in too, takes some milliseconds to write a video.
VIDEOS, FEWER_VIDEOS = 3_000, 400
ROWS = np.arange(20)
DIMS = {"title": 32, "thumbnail": 16}
# What the shares let through: many, some, fewer than are asked for, nothing.
FEW = 0.01


class Kept(NamedTuple):
    """An engine whose index has been made."""

    experiment: Experiment
    vectors: VectorSet
    directory: Path
    uploaded: Uploaded

    def make(self) -> Engine:
        return self.experiment.make(self.vectors, self.directory)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """In memory where the system has it: engines sync their files."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="twinlens-test-") as path:
        yield Path(path)


def drawn(path: Path, videos: int) -> VectorSet:
    made = prepared(DrawnVectors(DIMS), path, videos=videos, queries=len(ROWS), seed=3)
    draws = np.array(made.draws)
    draws[draws < FEW] = 0.9
    draws[[5, 50, 100, 300]] = FEW / 2
    np.save(made.path / "draws.npy", draws)
    return made


@pytest.fixture(scope="module")
def vectors(folder: Path) -> VectorSet:
    return drawn(folder / "set", VIDEOS)


@pytest.fixture(scope="module")
def fewer(folder: Path) -> VectorSet:
    return drawn(folder / "fewer", FEWER_VIDEOS)


@pytest.fixture
def truth(kept: Kept) -> Truth:
    return exact_truth(kept.vectors, limit=LIMIT, window=WINDOW)


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandIn]:
    with serving() as made:
        yield made


def on_server(url: str, **build: Any) -> list[Experiment]:
    return [
        dataclasses.replace(one, build={**one.build, **build}) for one in server_experiments(url)
    ]


@pytest.fixture(
    scope="module",
    params=[
        # The others differ from these by numbers alone.
        *(one.name for one in EXPERIMENTS if not one.variant),
        "stand-in-rest",
        "stand-in-grpc",
        pytest.param("server-rest", marks=NEEDS_SERVER),
        pytest.param("server-grpc", marks=NEEDS_SERVER),
    ],
)
def kept(request: pytest.FixtureRequest, folder: Path) -> Iterator[Kept]:
    name = request.param
    slow = name.startswith("stand-in") or name == "qdrant-local"
    vectors = request.getfixturevalue("fewer" if slow else "vectors")
    directory = folder / name
    if name.startswith("stand-in"):
        stand_in = request.getfixturevalue("stand_in")
        rest, grpc = on_server(stand_in.url, grpc_port=stand_in.grpc_port)
        # The stand-in takes uploads by REST; gRPC finds what REST has uploaded.
        uploaded = built(rest.make(vectors, directory))
        yield Kept(rest if name.endswith("rest") else grpc, vectors, directory, uploaded)
        return
    if name.startswith("server"):
        assert SERVER_URL is not None
        rest, grpc = on_server(SERVER_URL)
        experiment = rest if name.endswith("rest") else grpc
        with pytest.MonkeyPatch.context() as patch:
            if "TWINLENS_TEST_QDRANT_API_KEY" in os.environ:
                patch.setenv(API_KEY_VARIABLE, os.environ["TWINLENS_TEST_QDRANT_API_KEY"])
            engine = experiment.make(vectors, directory)
            assert isinstance(engine, Server)
            engine.remove()
            yield Kept(experiment, vectors, directory, built(engine))
            engine.remove()
            engine.close()
        return
    experiment = next(one for one in EXPERIMENTS if one.name == name)
    yield Kept(experiment, vectors, directory, built(experiment.make(vectors, directory)))


def built(engine: Engine) -> Uploaded:
    engine.configure(threads=2)
    return engine.upload()


@pytest.fixture
def engine(kept: Kept) -> Iterator[Engine]:
    made = kept.make()
    made.open()
    yield made
    made.close()


def exact_setting(experiment: Experiment) -> Setting:
    setting = experiment.searches.get("exact")
    if setting is None:
        pytest.skip("has no exact search")
    return setting


def widest(experiment: Experiment) -> Setting:
    return list(experiment.searches.values())[-1]


def usual(experiment: Experiment) -> Setting:
    settings = list(experiment.searches.values())
    return settings[len(settings) // 2]


def found_by(engine: Engine, setting: Setting, **more: Any) -> list[list[int]]:
    name = engine.vectors.first
    return [
        list(engine.search(name, query, limit=LIMIT, setting=setting, **more).ids)
        for query in engine.vectors.queries(name)
    ]


def scores(vectors: VectorSet, row: int, ids: Any) -> Any:
    stored, queries = vectors.rows(vectors.first), vectors.queries(vectors.first)
    return stored[list(ids)].astype(np.float64) @ queries[row].astype(np.float64)


def asked(vectors: VectorSet, row: int) -> Mapping[str, Any]:
    return {name: vectors.queries(name)[row] for name in vectors.dims}


def test_exact_is_exact(kept: Kept, engine: Engine, truth: Truth) -> None:
    found = found_by(engine, exact_setting(kept.experiment))
    assert truth.recall(engine.vectors.first, ROWS, found, limit=LIMIT) == 1.0


def test_every_setting_answers_in_order_and_the_widest_finds_nearly_all(
    kept: Kept, engine: Engine, truth: Truth
) -> None:
    for setting in kept.experiment.searches.values():
        for row, ids in enumerate(found_by(engine, setting)):
            assert all(type(one) is int for one in ids)
            assert len(set(ids)) == len(ids) <= LIMIT
            if setting.get("rescore", True) and setting != {}:
                true = scores(engine.vectors, row, ids)
                assert np.all(np.diff(true) <= 1e-6)
    found = found_by(engine, widest(kept.experiment))
    recall = truth.recall(engine.vectors.first, ROWS, found, limit=LIMIT)
    assert recall >= (1.0 if widest(kept.experiment) == EXACT else 0.8)


def test_only_what_a_filter_lets_through_is_found(kept: Kept, engine: Engine, truth: Truth) -> None:
    passing = [len(engine.vectors.passing(share)) for share in SHARES]
    assert passing == [*passing[:2], 4, 0]
    setting = kept.experiment.searches.get("exact", widest(kept.experiment))
    for share, passed in zip(SHARES, passing, strict=True):
        found = found_by(engine, setting, share=share)
        recall = truth.filtered_recall(share, ROWS, found, limit=LIMIT)
        if setting == EXACT:
            assert recall == 1.0, share
        elif passed > LIMIT:
            # A graph walked for the very few that pass may miss them; what it finds has passed.
            assert recall >= 0.8, share


def test_a_narrower_setting_filters_too(kept: Kept, engine: Engine, truth: Truth) -> None:
    chosen = usual(kept.experiment)
    for share in SHARES:
        # Raises where it found what may not be found.
        truth.filtered_recall(share, ROWS, found_by(engine, chosen, share=share), limit=LIMIT)


def test_many_queries_at_once_find_what_each_finds_alone(kept: Kept, engine: Engine) -> None:
    name = engine.vectors.first
    for setting in kept.experiment.searches.values():
        many = engine.search_many(name, engine.vectors.queries(name), limit=LIMIT, setting=setting)
        assert len(many) == len(ROWS)
        for row, (together, alone) in enumerate(zip(many, found_by(engine, setting), strict=True)):
            assert all(type(one) is int for one in together)
            np.testing.assert_allclose(
                scores(engine.vectors, row, together),
                scores(engine.vectors, row, alone),
                atol=1e-6,
            )


def test_rankings_fused_by_us_are_the_exact_fusion(
    kept: Kept, engine: Engine, truth: Truth
) -> None:
    setting = exact_setting(kept.experiment)
    found = []
    for row in ROWS:
        rankings = engine.rankings(asked(engine.vectors, row), limit=WINDOW, setting=setting)
        assert {name: len(ranked) for name, ranked in rankings.items()} == dict.fromkeys(
            DIMS, WINDOW
        )
        for name, exact in truth.rankings(row, WINDOW).items():
            np.testing.assert_allclose(
                [video.score for video in rankings[name]],
                [video.score for video in exact],
                atol=1e-6,
            )
        found.append([int(video.video_id) for video in fuse(rankings, limit=LIMIT, k=K)])
    assert truth.fused_recall(ROWS, found, limit=LIMIT, window=WINDOW, k=K) == 1.0


def test_fused_by_the_engine_is_the_exact_fusion(kept: Kept, engine: Engine, truth: Truth) -> None:
    setting = exact_setting(kept.experiment)
    try:
        found = [
            engine.fused(
                asked(engine.vectors, row), limit=LIMIT, window=WINDOW, k=K, setting=setting
            )
            for row in ROWS
        ]
    except NotOffered:
        assert "qdrant" not in kept.experiment.name
        return
    ids = [answer.ids for answer in found]
    assert all(type(one) is int for answer in ids for one in answer)
    assert truth.fused_recall(ROWS, ids, limit=LIMIT, window=WINDOW, k=K) == 1.0


def test_a_limit_above_the_number_of_videos_finds_them_once(kept: Kept, engine: Engine) -> None:
    name = engine.vectors.first
    query = engine.vectors.queries(name)[0]
    for label, setting in kept.experiment.searches.items():
        ids = engine.search(name, query, limit=kept.vectors.videos + 10, setting=setting).ids
        assert len(set(ids)) == len(ids) <= kept.vectors.videos
        assert set(ids) <= set(range(kept.vectors.videos))
        if label == "exact":
            assert len(ids) == kept.vectors.videos
    [many] = engine.search_many(
        name, query[np.newaxis], limit=kept.vectors.videos + 10, setting=widest(kept.experiment)
    )
    assert set(many) <= set(range(kept.vectors.videos))


SECOND_PROCESS = """
import json, sys
from pathlib import Path
import numpy as np
from twinlens.benchmarks.engines.experiments import Experiment
from twinlens.benchmarks.engines.vectors import VectorSet
of, setting, vectors, directory = json.loads(sys.argv[1])
vectors = VectorSet(Path(vectors))
engine = Experiment(**of).make(vectors, Path(directory))
engine.open()
name = vectors.first
queries = vectors.queries(name)
found = [engine.search(name, query, limit=10, setting=setting).ids for query in queries]
engine.close()
print(json.dumps(found))
"""


def test_a_second_process_finds_the_same_while_the_first_searches(
    kept: Kept, engine: Engine
) -> None:
    of = dataclasses.asdict(kept.experiment)
    setting = usual(kept.experiment)
    given = json.dumps([of, setting, str(kept.vectors.path), str(kept.directory)])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SECOND_PROCESS, given],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == found_by(engine, setting)


def test_changes_are_found_and_leave_the_kept_index_alone(kept: Kept, engine: Engine) -> None:
    setting = usual(kept.experiment)
    before = found_by(engine, setting)
    changed = kept.make()
    if kept.experiment.name == "qdrant-server-grpc" and "grpc_port" in kept.experiment.build:
        pytest.skip("the stand-in takes changes by REST")
    try:
        changed.open_for_changes()
    except NotOffered:
        for change in (changed.upsert, changed.delete):
            with pytest.raises(NotOffered):
                change(np.array([1]))
        return
    gone = np.array(sorted({one for ids in before for one in ids[:3]}))
    changed.delete(gone)
    for ids in found_by(changed, setting):
        assert ids
        assert not set(ids) & set(gone.tolist())
    assert found_by(engine, setting) == before
    changed.upsert(gone)
    back = found_by(changed, setting)
    assert [ids[:3] for ids in back] == [ids[:3] for ids in before]
    changed.upsert(gone[:1])
    assert all(len(set(ids)) == len(ids) for ids in found_by(changed, setting))
    changed.close()
    assert found_by(engine, setting) == before
    reopened = kept.make()
    reopened.open()
    assert found_by(reopened, setting) == before
    reopened.close()


def test_graphs_hold_every_vector(kept: Kept) -> None:
    has_graphs = any("ef" in setting for setting in kept.experiment.searches.values())
    assert kept.uploaded.indexed_vectors == (
        kept.vectors.videos * len(DIMS) if has_graphs else None
    )
    assert kept.uploaded.upload_s >= 0
    assert kept.uploaded.index_s >= 0


def test_the_disk_is_counted(kept: Kept) -> None:
    disk = kept.make().disk_bytes()
    if "url" in kept.experiment.build:
        assert disk >= 0
    else:
        assert disk >= kept.vectors.videos * DIMS["title"]


def test_only_a_server_tells_its_own_time(kept: Kept, engine: Engine) -> None:
    name = engine.vectors.first
    setting = usual(kept.experiment)
    told = engine.search(name, engine.vectors.queries(name)[0], limit=3, setting=setting)
    if "grpc_port" in kept.experiment.build:
        assert told.engine_ms == pytest.approx(TOOK_S * 1000)
    else:
        assert (told.engine_ms is not None) == ("url" in kept.experiment.build)


def test_closing_twice_does_nothing(kept: Kept) -> None:
    made = kept.make()
    made.close()
    made.open()
    made.close()
    made.close()


def test_rescoring_gives_back_what_one_byte_a_value_loses(
    kept: Kept, engine: Engine, truth: Truth
) -> None:
    raw = kept.experiment.searches.get("ef=64, no rescoring")
    if raw is None:
        pytest.skip("is not quantized")
    first, second = (
        truth.recall(engine.vectors.first, ROWS, found_by(engine, setting), limit=LIMIT)
        for setting in (raw, kept.experiment.searches["ef=64, rescored"])
    )
    assert 0.8 <= first < second


def test_a_server_builds_its_graph_after_the_upload_and_is_found_by_name_when_whole(
    fewer: VectorSet, folder: Path
) -> None:
    with serving() as stand_in:
        rest, _ = on_server(stand_in.url, grpc_port=stand_in.grpc_port)
        engine = rest.make(fewer, folder / "unused")
        assert isinstance(engine, Server)
        engine.configure(threads=3)
        stand_in.fails_at = "/points"
        with pytest.raises(EngineFailed, match="400"):
            engine.upload()
        with pytest.raises(EngineFailed, match=engine.collection):
            engine.open()
        stand_in.fails_at = None
        stand_in.requests.clear()
        engine.configure(threads=3)
        engine.upload()
        asked = [f"{method} {path.split('points', 1)[-1]}" for method, path, _ in stand_in.requests]
        order = [asked.index(what) for what in ("DELETE ", "PUT ", "PUT /index", "PATCH ")]
        assert order == sorted(order)
        bodies = [body for _, _, body in stand_in.requests]
        created, building = bodies[asked.index("PUT ")], bodies[asked.index("PATCH ")]
        assert created["hnsw_config"]["max_indexing_threads"] == 3
        assert created["optimizers_config"]["indexing_threshold"] == 0
        smallest_kb = FEWER_VIDEOS * min(DIMS.values()) * 4 // 1024
        assert 0 < building["optimizers_config"]["indexing_threshold"] < smallest_kb
        stand_in.requests.clear()
        engine.configure(threads=1)
        assert engine.upload() == Uploaded(0.0, 0.0, FEWER_VIDEOS * len(DIMS), shared=True)
        assert {method for method, _, _ in stand_in.requests} == {"GET"}
        engine.remove()
        with pytest.raises(EngineFailed, match=engine.collection):
            engine.open()
        engine.close()


def test_a_server_that_builds_no_graph_has_failed(
    fewer: VectorSet, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twinlens.benchmarks.engines.client_engines._CALM_S", 0.0)
    with serving() as stand_in:
        stand_in.indexes = False
        rest, _ = on_server(stand_in.url, grpc_port=stand_in.grpc_port)
        engine = rest.make(fewer, folder / "unused")
        engine.configure(threads=1)
        with pytest.raises(EngineFailed, match="graphs over 0 of 800"):
            engine.upload()
        engine.close()


def test_what_another_uploaded_is_shared_and_must_have_its_graph_too(
    fewer: VectorSet, folder: Path
) -> None:
    with serving() as stand_in:
        rest, grpc = (
            one.make(fewer, folder / "unused")
            for one in on_server(stand_in.url, grpc_port=stand_in.grpc_port)
        )
        assert not built(rest).shared
        assert built(grpc) == Uploaded(0.0, 0.0, FEWER_VIDEOS * len(DIMS), shared=True)
        stand_in.indexes = False
        for engine in (rest, grpc):
            engine.configure(threads=1)
            with pytest.raises(EngineFailed, match="0 of 800 vectors; the collection was there"):
                engine.upload()
            engine.close()


def test_a_threshold_is_lowered_for_what_is_too_small_alone(fewer: VectorSet) -> None:
    smallest_kb = FEWER_VIDEOS * min(DIMS.values()) * 4 // 1024
    assert lowered_threshold_kb(fewer) == smallest_kb // 4
    assert lowered_threshold_kb(fewer, segments=2) == smallest_kb // 2 // 4
    assert lowered_threshold_kb(fewer, segments=0) == smallest_kb // 4
    assert lowered_threshold_kb(fewer, least=10) == 10
    many = SimpleNamespace(videos=10**8, dims=DIMS)
    assert lowered_threshold_kb(many, least=10) == FULL_SCAN_THRESHOLD_KB
    one = SimpleNamespace(videos=1, dims=DIMS)
    assert lowered_threshold_kb(one) == 1


def test_local_modes_views_lie_beside_the_index_and_go_with_it(
    fewer: VectorSet, folder: Path
) -> None:
    engine = LocalMode(fewer, folder / "viewed", build={})
    built(engine)
    engine.open()
    [view] = engine.directory.glob("view-*")
    assert view.name.startswith(f"view-{os.getpid()}-")
    engine.close()
    assert not view.exists()
    # As a process leaves it that is killed.
    stale = engine.directory / "view-1-abc"
    stale.mkdir()
    engine.configure(threads=1)
    assert not stale.exists()


def test_a_server_that_is_not_there_has_failed(fewer: VectorSet, folder: Path) -> None:
    with serving() as stand_in:
        gone = stand_in.url
    for experiment in on_server(gone, grpc_port=1):
        engine = experiment.make(fewer, folder / "unused")
        with pytest.raises(EngineFailed, match="doesn't answer"):
            engine.open()
        engine.close()


def test_a_collection_is_named_after_what_it_holds(fewer: VectorSet, folder: Path) -> None:
    rest, grpc = (one.build for one in server_experiments("http://one:6333"))
    [elsewhere, _] = (one.build for one in server_experiments("http://two:6333"))
    name = collection_name(fewer, rest)
    assert name.startswith(f"twinlens-bench-{FEWER_VIDEOS}-")
    assert name == collection_name(fewer, grpc) == collection_name(fewer, elsewhere)
    assert name != collection_name(fewer, {**rest, "m": 32})
    other = prepared(DrawnVectors(DIMS), folder / "other", videos=FEWER_VIDEOS, queries=1, seed=4)
    assert name != collection_name(other, rest)


def test_local_mode_has_nothing_but_the_exact_search(fewer: VectorSet, folder: Path) -> None:
    engine = LocalMode(fewer, folder / "local", build={})
    with pytest.raises(EngineFailed, match="not open"):
        engine.search("title", fewer.queries("title")[0], limit=1, setting=EXACT)
    with pytest.raises(EngineFailed, match="no index"):
        engine.search("title", fewer.queries("title")[0], limit=1, setting={"ef": 64})
