"""``twinlens bench`` over small sets: what it measures, and how a run is stopped and goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

from tests.benchmarks.other_processes import DIES, FAILS_UNDER_FILTERS, Environment
from tests.stores.qdrant_process import QdrantProcess
from twinlens.benchmarks.engines.base import (
    choose_experiments,
    digest_experiments,
    read_experiments,
)
from twinlens.benchmarks.engines.measure import choose_setting, run
from twinlens.benchmarks.engines.process import Host
from twinlens.benchmarks.engines.record import Plan, Result, Search, read_result
from twinlens.benchmarks.engines.sources import DrawnVectors
from twinlens.benchmarks.engines.vectors import SHARES
from twinlens.catalog.errors import UsageError
from twinlens.cli import main

pytestmark = pytest.mark.slow

VIDEOS = 800
SOURCE = DrawnVectors({"title": 32, "thumbnail": 16})
BY_NAME = {one.name: one for one in read_experiments()}
FLAT = BY_NAME["faiss-flat"]
EMBEDDED = BY_NAME["qdrant-embedded"].model_copy(
    update={"searches": [{"exact": True}, {"ef": 16}, {"ef": 64}]}
)


def other(name: str, engine: str) -> Any:
    return FLAT.model_copy(update={"name": name, "engine": engine})


COMPARED = (FLAT, EMBEDDED, other("unfiltered", FAILS_UNDER_FILTERS), other("dies", DIES))
PLAN = {"sizes": [200, VIDEOS], "rounds": 2, "clients": [1, 2]}


def compare(
    folder: Path, experiments: Any, *, result: str = "result.json", say: Any = None, **plan: Any
) -> Result:
    """The result of a comparison that is made, and written, in ``folder``."""
    asked = {"sizes": [200], "queries": 20, "rounds": 1, "seconds": 0.01, "clients": [1]}
    asked |= {"client_rounds": 1, "client_seconds": 0.05} | plan
    names, settings = [one.name for one in experiments], digest_experiments(experiments)
    return run(
        SOURCE,
        Plan(source=SOURCE.description, experiments=names, settings=settings, **asked),
        experiments,
        result=folder / result,
        work=folder / "work",
        say=say or (lambda line: None),
    )


class Stages(NamedTuple):
    """What was said when a run that was stopped in its second size went on, and what it left."""

    said: list[str]
    result: Result
    folder: Path


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Stages:
    folder = tmp_path_factory.mktemp("bench")
    file, said = folder / "result.json", []

    def stop(line: str) -> None:
        if f"{VIDEOS} videos: latency" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(folder, COMPARED, say=stop, **PLAN)
    assert not [*(folder / "work").iterdir()]
    begun = file.read_text(encoding="utf-8")
    assert [size.finished for size in read_result(file).sizes] == [True, False]
    elsewhere = json.loads(begun)
    elsewhere["machine"]["processor"] = "another"
    file.write_text(json.dumps(elsewhere), encoding="utf-8")
    with pytest.raises(UsageError, match=r"begun elsewhere \(other processor\)"):
        compare(folder, COMPARED, **PLAN)
    file.write_text(begun, encoding="utf-8")
    result = compare(folder, COMPARED, say=said.append, **PLAN)
    assert result == read_result(file)
    return Stages(said, result, folder)


def test_a_stopped_run_goes_on_with_the_sizes_that_it_lacks(stages: Stages) -> None:
    assert all(line.startswith(f"{VIDEOS} videos: ") for line in stages.said)
    assert stages.result.finished
    assert len(stages.result.continued) == 1
    assert not [*(stages.folder / "work").iterdir()]


def test_every_part_was_measured(stages: Stages) -> None:
    _, size = stages.result.sizes
    flat, embedded = size.experiments["faiss-flat"], size.experiments["qdrant-embedded"]
    for one in (flat, embedded):
        assert one.searches["exact"].recall_at_10 == 1.0
        assert len(one.searches["exact"].p50_ms) == 2
        assert len(one.batch) == 1
        assert one.built.disk_bytes > VIDEOS * 32
        assert one.memory.rss_bytes > one.memory.anonymous_bytes > 0
        assert set(one.clients) == {"threads", "processes"}
        assert {count for by_count in one.clients.values() for count in by_count} == {1, 2}
        assert set(one.filtered) <= set(SHARES)
    assert embedded.built.indexed_vectors == 2 * VIDEOS
    assert list(embedded.searches) == ["exact", "ef 16", "ef 64"]
    assert embedded.fused.recall_at_10 > 0.9
    assert flat.fused.recall_at_10 == 1.0
    assert all(one.recall_at_10 == 1.0 for one in flat.filtered.values())
    assert {"latency", "filters", "fusion", "clients"} <= set(size.loads)


def test_an_engine_that_fails_is_reported_and_the_others_go_on(stages: Stages) -> None:
    _, size = stages.result.sizes
    unfiltered = size.experiments["unfiltered"]
    assert "filters: search: RuntimeError: no filters today" in unfiltered.failed
    assert unfiltered.searches["exact"].recall_at_10 == 1.0
    assert unfiltered.fused is None
    assert size.experiments["qdrant-embedded"].failed is None
    assert size.experiments["faiss-flat"].failed is None
    assert "the engine's process ended, code -9" in size.experiments["dies"].failed
    assert stages.result.list_failures()[-2:] == [
        f"{name} at {VIDEOS}" for name in ("unfiltered", "dies")
    ]


def test_an_index_on_a_server_is_measured_shared_and_removed(
    qdrant: QdrantProcess, tmp_path: Path
) -> None:
    before = qdrant.client().list_collections()
    rows = [one for one in read_experiments(url=qdrant.url) if one.on_server]
    for one in rows:
        one.build["grpc_port"] = qdrant.grpc_port
        one.searches[:] = [{"exact": True}]
    result = compare(tmp_path, rows, queries=10)
    assert {"Create", "Delete"} <= set(qdrant.asked())
    assert qdrant.client().list_collections() == before
    [size] = result.sizes
    rest, grpc = (size.experiments[f"qdrant-server-{name}"] for name in ("rest", "grpc"))
    for server in (rest, grpc):
        assert server.failed is None
        assert server.searches["exact"].recall_at_10 == 1.0
        assert min(server.searches["exact"].server_ms) > 0
        assert min(server.fused.server_ms) > 0
        assert server.batch
        assert server.clients
        assert "url" not in server.build
        # What this process holds says nothing of the server.
        assert server.memory is server.built.peak_bytes is server.built.disk_bytes is None
    assert grpc.searches["exact"].server_ms == grpc.fused.server_ms == [0.25]
    assert grpc.built.shared_with == rest.label
    assert qdrant.host not in (tmp_path / "result.json").read_text(encoding="utf-8")


def test_one_vector_alone_is_not_fused(tmp_path: Path) -> None:
    np.save(tmp_path / "some.npy", np.random.default_rng(0).normal(size=(300, 8)))
    outcome = CliRunner().invoke(
        main,
        [
            *("bench", "--vectors", str(tmp_path / "some.npy"), "--engine", "faiss-flat"),
            *("--quick", "--rounds", "1", "--json", str(tmp_path / "a.json")),
            *("--work-dir", str(tmp_path / "w")),
        ],
    )
    assert outcome.exit_code == 0, outcome.output
    [size] = read_result(tmp_path / "a.json").sizes
    assert size.videos == 270
    assert "fusion" not in size.loads
    flat = size.experiments["faiss-flat"]
    assert 0.001 not in flat.filtered, "it lets none of 270 through"
    assert flat.fused is None
    assert not [*(tmp_path / "w").iterdir()]


def test_a_result_of_another_run_is_left_alone(stages: Stages) -> None:
    before = (stages.folder / "result.json").read_bytes()
    with pytest.raises(UsageError, match=r"another run \(other seed\)"):
        compare(stages.folder, COMPARED, seed=1, **PLAN)
    others = (COMPARED[0], COMPARED[1].model_copy(update={"build": {"m": 4}}), *COMPARED[2:])
    with pytest.raises(UsageError, match=r"another run \(other settings\)"):
        compare(stages.folder, others, **PLAN)
    assert (stages.folder / "result.json").read_bytes() == before


def test_what_is_no_result_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(UsageError, match=r"notes\.json: not a result"):
        compare(tmp_path, COMPARED, result="notes.json")


_PARENT = """
import os, time
from functools import partial
from twinlens.benchmarks.engines.process import Host

class Sleeper:
    def pid(self):
        return os.getpid()

    def sleep(self):
        time.sleep(600)

if __name__ == "__main__":
    host = Host(Sleeper, environment={})
    print(host.ask("pid"), flush=True)
    host.ask("sleep")
"""


def test_an_engines_process_ends_with_its_parent_however_that_ends(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_PARENT, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, env=environment, text=True
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    # Its parent is gone, and it sleeps in a call that no signal handler of Python's interrupts.
    child.wait(timeout=30)


def test_the_environment_is_that_of_the_process_alone() -> None:
    before = dict(os.environ)
    with Host(Environment, threads=3, environment={"TWINLENS_TEST": "1"}) as host:
        assert dict(os.environ) == before
        there = host.ask("copy")
    assert there["TWINLENS_TEST"] == "1"
    assert there["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--sizes", "many"], "'many' is not a valid integer"),
        (["--sizes", "1400,5"], "5 is not in the range x>=100"),
        (["--engine", "pinecone"], "--engine pinecone: there are faiss-flat"),
        (["--engine", ""], "there are faiss-flat"),
        (["--data-dir", "a", "--vectors", "b"], "name one of them"),
        (["--vectors", "nowhere.npy"], "nowhere.npy: no such file"),
        (["--experiments", "rows.toml"], "rows.toml"),
        (["--vectors", "some.npy", "--sizes", "280"], "leaves 270 beside"),
        (["--vectors", "few.npy"], "too few"),
    ],
)
def test_wrong_use_is_told(
    arguments: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.toml").write_text("[[experiment]]\nname = 5\n", encoding="utf-8")
    for name, count in (("some.npy", 300), ("few.npy", 90)):
        np.save(name, np.random.default_rng(0).normal(size=(count, 8)))
    outcome = CliRunner().invoke(main, ["bench", *arguments])
    assert outcome.exit_code == 2
    assert text in outcome.output


def test_engines_are_chosen_by_name_or_beginning() -> None:
    rows = read_experiments()

    def chosen(*asked: str) -> list[str]:
        return [one.name for one in choose_experiments(rows, asked)]

    assert chosen() == [one.name for one in rows]
    assert chosen("qdrant-embedded") == ["qdrant-embedded"]
    assert chosen("qdrant") == ["qdrant-embedded", "qdrant-embedded-int8"]
    assert [one.name for one in read_experiments(url="http://a")][-2:] == [
        "qdrant-server-rest",
        "qdrant-server-grpc",
    ]


@pytest.mark.parametrize(
    ("recalls", "chosen"),
    [
        ({"exact": 1.0, "ef 16": 0.98, "ef 32": 0.991, "ef 64": 0.999}, "ef 32"),
        ({"ef 16": 0.5, "ef 32": 0.9, "ef 64": 0.8}, "ef 32"),
        ({"exact": 1.0}, "exact"),
    ],
)
def test_the_setting_for_what_takes_one_is_not_left_to_noise(
    recalls: dict[str, float], chosen: str
) -> None:
    searches = {}
    for name, recall in recalls.items():
        setting = {"exact": True} if name == "exact" else {"ef": 1}
        searches[name] = Search(setting=setting, recall_at_10=recall, queries=10, p50_ms=[1.0])
    assert choose_setting(searches) == chosen


def test_help_needs_none_of_the_heavy_packages() -> None:
    code = (
        "import sys; from twinlens.commands import bench;"
        "print(sorted({'faiss', 'qdrant_edge', 'scipy', 'matplotlib', 'torch'} & set(sys.modules)))"
    )
    command, root = [sys.executable, "-c", code], Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
