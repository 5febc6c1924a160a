import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

from tests.benchmarks.failing_engines import FAILS_ONCE, FAILS_UNDER_FILTERS
from tests.benchmarks.qdrant_stand_in import serving
from twinlens.benchmarks.engines import measuring, room
from twinlens.benchmarks.engines.base import EngineFailed
from twinlens.benchmarks.engines.cli import bench
from twinlens.benchmarks.engines.experiments import (
    EXPERIMENTS,
    FLAT,
    Experiment,
    server_experiments,
)
from twinlens.benchmarks.engines.faiss_engines import Hnsw
from twinlens.benchmarks.engines.host import Host
from twinlens.benchmarks.engines.measuring import Plan, SizeRun, chosen_setting
from twinlens.benchmarks.engines.probe import Probe
from twinlens.benchmarks.engines.run import run
from twinlens.benchmarks.engines.sources import DrawnVectors, FileVectors, prepared
from twinlens.benchmarks.engines.vectors import SHARES, VectorSet
from twinlens.catalog.errors import UsageError
from twinlens.catalog.files import locked

VIDEOS = 800
PLAN = Plan(
    sizes=(VIDEOS,),
    queries=20,
    rounds=2,
    seconds=0.01,
    clients=(1, 2),
    client_rounds=1,
    client_seconds=0.05,
    changing_seconds=0.1,
)
SMALL = replace(PLAN, sizes=(200,), rounds=1, clients=(1,), quick=True)
SOURCE = DrawnVectors({"title": 32, "thumbnail": 16})
BY_NAME = {one.name: one for one in EXPERIMENTS}


COMPARED = (
    BY_NAME[FLAT],
    BY_NAME["qdrant-embedded"],
    # What no m can be: the engine refuses to be configured with it.
    replace(BY_NAME["qdrant-embedded"], name="broken", build={"m": -1}),
    replace(BY_NAME[FLAT], name="unfiltered", engine=FAILS_UNDER_FILTERS),
)


class Stopped(Exception):
    pass


def compared(
    folder, experiments, *, plan=PLAN, result="result.json", say=lambda line: None, **more
):
    """The result of a comparison that is made, and written, in ``folder``."""
    return run(
        SOURCE, plan, experiments, result=folder / result, work=folder / "work", say=say, **more
    )


@pytest.fixture(scope="module")
def stopped_and_continued(tmp_path_factory):
    """A result, what was said until it was stopped, and what after that."""
    folder = tmp_path_factory.mktemp("bench")
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "batches" in line:
            # What has gone from the work directory meanwhile is made again.
            shutil.rmtree(folder / "work" / f"twinlens-bench-{VIDEOS}" / "qdrant-embedded")
            raise Stopped

    with pytest.raises(Stopped):
        compared(folder, COMPARED, say=say)
    before = list(said)
    said.clear()
    report = compared(folder, COMPARED, say=said.append, keep=True)
    assert report == json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return report, before, said, folder


def test_a_stopped_run_goes_on_where_it_was(stopped_and_continued):
    report, before, after, _ = stopped_and_continued

    assert any("latency" in line for line in before)
    assert not any("latency" in line for line in after)
    [built] = [line for line in after if "build" in line]
    assert "qdrant-embedded" in built
    assert any("clients" in line for line in after)
    assert report["finished"]
    assert len(report["continued"]) == 1


def test_exact_searches_find_the_exact_ten(stopped_and_continued):
    [size] = stopped_and_continued[0]["sizes"]

    for name in (FLAT, "qdrant-embedded"):
        exact = size["experiments"][name]["searches"]["exact"]
        assert exact["exact"]
        assert exact["recall_at_10"] == 1.0


def test_graphs_are_really_built(stopped_and_continued):
    [size] = stopped_and_continued[0]["sizes"]

    assert size["experiments"]["qdrant-embedded"]["built"]["indexed_vectors"] == 2 * VIDEOS


def test_every_part_was_measured(stopped_and_continued):
    report, _, _, folder = stopped_and_continued
    [size] = report["sizes"]
    flat = size["experiments"][FLAT]

    assert {"built", "memory", "cold", "searches", "batch", "clients", "filtered", "fused"} <= set(
        flat
    )
    assert len(flat["searches"]["exact"]["ms"]["p50"]) == PLAN.rounds
    embedded = size["experiments"]["qdrant-embedded"]
    assert embedded["cold"]["setting"] == embedded["chosen"]
    assert len(embedded["cold"]["open_ms"]) == len(embedded["cold"]["first_query_ms"]) == 3
    assert len(flat["batch"]["per_second"]) == PLAN.rounds
    assert set(flat["clients"]["processes"]) == {"1", "2"}
    assert {"python", "engine"} == set(size["experiments"]["qdrant-embedded"]["fused"])
    assert size["experiments"]["qdrant-embedded"]["fused"]["python"]["recall_at_10"] > 0.9
    assert flat["fused"]["python"]["recall_at_10"] == 1.0
    vectors = VectorSet(folder / "work" / f"twinlens-bench-{VIDEOS}" / "vectors")
    assert set(flat["filtered"]) == {str(share) for share in SHARES if vectors.passing(share).size}
    assert all(one["recall_at_10"] == 1.0 for one in flat["filtered"].values())
    assert flat["changing"]["beside"]["upserts_per_second"] > 0
    assert len(size["loop"]["ms"]["p50"]) == PLAN.rounds
    assert len(size["reading"]["ms"]) == PLAN.rounds
    assert set(size["watched"]) == set(size["parts"])


def test_a_part_is_marked_whose_pace_was_slow(tmp_path, monkeypatch):
    latency = [8.0, 8.0, 8.0, 8.0, 8.0, 16.0]
    # The first is of no part yet.
    paces = iter([[9.0], [12.0], latency, [8.0, 8.0, 14.0, 16.0]])

    class Paces:
        def __init__(self):
            self.ms = next(paces, [8.0])

        def look(self, *, now=False):
            pass

    monkeypatch.setattr(measuring, "PaceWatch", Paces)
    said: list[str] = []
    [size] = compared(tmp_path, COMPARED[:1], plan=SMALL, say=said.append)["sizes"]

    slowed = {part: one["slowed"] for part, one in size["disturbed"].items() if "slowed" in one}
    # The build seemed quick until a part was quicker. One look in six may be slow.
    assert slowed == {f"build {FLAT}": 1.5, "batches": 2.0}
    [told] = [line for line in said if "batches" in line]
    assert "the processor took up to 2.00 times as long for the same" in told
    assert size["watched"]["latency"]["pace_ms"] == latency


def test_a_pace_is_judged_by_the_best_that_the_run_has_seen(tmp_path, monkeypatch):
    class Paces:
        def __init__(self):
            self.ms = [8.0 if size == 200 else 12.0]

        def look(self, *, now=False):
            pass

    def say(line: str) -> None:
        nonlocal size
        size = int(line.partition(" ")[0])

    size = 0
    monkeypatch.setattr(measuring, "PaceWatch", Paces)
    plan = replace(SMALL, sizes=(200, 300))
    report = compared(tmp_path, COMPARED[:1], plan=plan, say=say)

    first, then = (
        {one.get("slowed") for one in of["disturbed"].values()} for of in report["sizes"]
    )
    assert 1.5 not in first
    assert then == {1.5}


def test_a_run_that_nobody_watched_goes_on(tmp_path):
    def say(line: str) -> None:
        if "filters" in line:
            raise Stopped

    with pytest.raises(Stopped):
        compared(tmp_path, COMPARED[:1], plan=SMALL, say=say)
    file = tmp_path / "result.json"
    begun = json.loads(file.read_text("utf-8"))
    [size] = begun["sizes"]
    del size["watched"]
    size["disturbed"] = {"latency": {"others_cores": 0.4, "slowed": 1.3}}
    file.write_text(json.dumps(begun), "utf-8")
    report = compared(tmp_path, COMPARED[:1], plan=SMALL)

    [size] = report["sizes"]
    assert report["finished"]
    assert size["disturbed"]["latency"] == {"others_cores": 0.4, "slowed": 1.3}
    assert "clients" in size["watched"]
    assert "filters" not in size["watched"]


def test_an_engine_that_fails_is_reported_and_the_others_go_on(stopped_and_continued):
    [size] = stopped_and_continued[0]["sizes"]

    failed = size["experiments"]["broken"]["failed"]
    assert failed["part"] == "build"
    assert failed["error"]
    assert size["experiments"]["qdrant-embedded"]["failed"] is None


def test_an_engine_that_fails_later_keeps_what_was_measured(stopped_and_continued):
    [size] = stopped_and_continued[0]["sizes"]

    unfiltered = size["experiments"]["unfiltered"]
    assert unfiltered["failed"]["part"] == "filtered"
    assert "no filters today" in unfiltered["failed"]["error"]
    assert unfiltered["searches"]["exact"]["recall_at_10"] == 1.0
    assert "fused" not in unfiltered


def test_an_index_on_a_server_is_measured_and_removed(tmp_path):
    with serving() as stand_in:
        rest, _ = server_experiments(stand_in.url)
        report = compared(tmp_path, [rest], plan=SMALL)
        assert stand_in.client.get_collections().collections == []

    [size] = report["sizes"]
    server = size["experiments"]["qdrant-server-rest"]
    assert server["failed"] is None
    assert server["searches"]["exact"]["recall_at_10"] == 1.0
    assert server["searches"]["exact"]["engine_ms"] is not None
    assert "url" not in server["build"]
    assert {"batch", "filtered", "fused", "clients", "changing"} <= set(server)
    # What this process holds, and its first query, say nothing of the server.
    assert not {"cold", "memory"} & set(server)
    assert "peak_bytes" not in server["built"]


def test_an_index_of_other_vectors_is_made_anew(tmp_path):
    """The same size and work directory, but another seed."""
    for seed in (0, 1):
        plan = replace(SMALL, seed=seed)
        report = compared(tmp_path, COMPARED[:1], plan=plan, result=f"{seed}.json", keep=True)
        [size] = report["sizes"]
        flat = size["experiments"][FLAT]
        assert flat["failed"] is None
        assert flat["searches"]["exact"]["recall_at_10"] == 1.0
        assert set(size["commits"]) == set(size["parts"])


def test_one_vector_alone_is_not_fused(tmp_path):
    np.save(tmp_path / "some.npy", np.random.default_rng(0).normal(size=(300, 8)))

    report = run(
        FileVectors(tmp_path / "some.npy"),
        SMALL,
        COMPARED[:1],
        result=tmp_path / "result.json",
        work=tmp_path / "work",
        say=lambda line: None,
    )

    [size] = report["sizes"]
    assert "fusion" not in size["parts"]
    assert "0.001" not in size["experiments"][FLAT]["filtered"], "it lets none of 270 through"
    assert "fused" not in size["experiments"][FLAT]
    assert size["finished"]


def test_a_result_of_another_run_is_left_alone(stopped_and_continued):
    *_, folder = stopped_and_continued
    before = (folder / "result.json").read_bytes()

    with pytest.raises(UsageError, match=r"another run \(other seed\)"):
        compared(folder, COMPARED, plan=replace(PLAN, seed=1))

    assert (folder / "result.json").read_bytes() == before


def test_what_is_no_result_is_left_alone(tmp_path):
    (tmp_path / "notes.json").write_text("[1, 2]", encoding="utf-8")

    with pytest.raises(UsageError, match=r"notes\.json: not a result"):
        compared(tmp_path, COMPARED, result="notes.json")


def test_a_size_without_room_is_known_before_it_starts_and_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_BUILDING_PER_BYTE", 1e12)
    said: list[str] = []

    report = compared(tmp_path, COMPARED, say=said.append)

    [size] = report["sizes"]
    assert "memory:" in size["skipped"]
    assert "GiB needed" in said[1]
    assert not (tmp_path / "work" / f"twinlens-bench-{VIDEOS}").exists()


def test_a_process_that_dies_is_an_engine_that_failed(tmp_path):
    vectors = prepared(SOURCE, tmp_path / "vectors", videos=100, queries=5, seed=0)
    flat: Experiment = BY_NAME[FLAT]
    with Host(Probe, flat, vectors.path, tmp_path / "flat", 10) as host:
        host.ask("build", 1)
        os.kill(host.pid, signal.SIGKILL)

        with pytest.raises(EngineFailed, match="killed by signal 9"):
            host.ask("open")


def test_what_an_engine_raises_is_told(tmp_path):
    vectors = prepared(SOURCE, tmp_path / "vectors", videos=100, queries=5, seed=0)
    with (
        Host(Probe, BY_NAME[FLAT], vectors.path, tmp_path / "none", 10) as host,
        pytest.raises(EngineFailed, match=r"open: RuntimeError.*title\.faiss"),
    ):
        host.ask("open")


def invoke(*arguments: str | Path):
    return CliRunner().invoke(bench, [str(one) for one in arguments])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--sizes", "many"], "--sizes many: whole numbers"),
        (["--sizes", "5"], "at least 100 videos"),
        (["--engine", "pinecone"], "--engine pinecone: there are faiss-flat"),
        (["--data-dir", "a", "--vectors", "b"], "name one of them"),
        (["--vectors", "nowhere.npy"], "nowhere.npy: no such file"),
    ],
)
def test_wrong_use_is_told(arguments, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    outcome = invoke(*arguments)

    assert isinstance(outcome.exception, UsageError)
    assert text in str(outcome.exception)


def test_more_videos_than_the_file_has_are_refused(tmp_path):
    np.save(tmp_path / "some.npy", np.ones((300, 8), dtype=np.float32))

    outcome = invoke("--vectors", tmp_path / "some.npy", "--sizes", "300")

    assert isinstance(outcome.exception, UsageError)
    assert "leaves 270 beside the queries" in str(outcome.exception)


def test_two_comparisons_do_not_work_in_one_directory(tmp_path):
    with (
        locked(tmp_path / "work" / "bench.lock", UsageError),
        pytest.raises(UsageError, match=rf"work: another comparison \(process {os.getpid()}\)"),
    ):
        compared(tmp_path, COMPARED[:1])

    assert not (tmp_path / "result.json").exists()


FAILING_ONCE = (
    BY_NAME[FLAT],
    replace(BY_NAME[FLAT], name="once", engine=FAILS_ONCE),
)


def test_a_run_that_goes_on_tries_an_engine_again_that_could_not_be_built(tmp_path):
    def say(line: str) -> None:
        if "build once" in line:
            raise Stopped

    with pytest.raises(Stopped):
        compared(tmp_path, FAILING_ONCE, plan=SMALL, say=say)
    stopped = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert "the disk is full" in stopped["sizes"][0]["experiments"]["once"]["failed"]["error"]

    report = compared(tmp_path, FAILING_ONCE, plan=SMALL)

    [size] = report["sizes"]
    assert size["experiments"]["once"]["failed"] is None
    assert size["experiments"]["once"]["searches"]["exact"]["recall_at_10"] == 1.0


def test_what_failed_is_measured_anew_on_request_alone(tmp_path):
    first = compared(tmp_path, FAILING_ONCE, plan=SMALL, keep=True)
    again = compared(tmp_path, FAILING_ONCE, plan=SMALL, keep=True)
    retried = compared(tmp_path, FAILING_ONCE, plan=SMALL, retry_failed=True, keep=True)

    assert first["sizes"][0]["experiments"]["once"]["failed"]
    assert again == first
    assert retried["sizes"][0]["experiments"]["once"]["failed"] is None
    assert retried["sizes"][0]["parts"] == first["sizes"][0]["parts"]
    assert retried["finished"]


_PARENT = """
import time
from twinlens.benchmarks.engines.host import Host
if __name__ == "__main__":
    host = Host(time.sleep, 600)
    host.begin("anything")
    print(host.pid, flush=True)
    time.sleep(600)
"""


def test_an_engines_process_ends_with_its_parent_however_that_ends(tmp_path):
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


def test_an_interrupted_part_is_measured_anew_when_the_run_goes_on(tmp_path, monkeypatch):
    answered = SizeRun._answered
    asked = []

    def interrupted(self, *arguments):
        asked.append(arguments)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return answered(self, *arguments)

    monkeypatch.setattr(SizeRun, "_answered", interrupted)
    plan = replace(SMALL, client_rounds=2)
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        compared(tmp_path, COMPARED[:1], plan=plan, say=said.append)
    assert "goes on from" in said[-1]

    report = compared(tmp_path, COMPARED[:1], plan=plan, say=said.append)

    [size] = report["sizes"]
    clients = size["experiments"][FLAT]["clients"]
    assert {len(rates) for by_count in clients.values() for rates in by_count.values()} == {2}


def test_a_folder_of_the_users_stays(tmp_path):
    mine = tmp_path / "work" / "200"
    mine.mkdir(parents=True)
    (mine / "notes.txt").write_text("precious", encoding="utf-8")

    compared(tmp_path, COMPARED[:1], plan=SMALL)

    assert (mine / "notes.txt").read_text(encoding="utf-8") == "precious"
    assert sorted(one.name for one in (tmp_path / "work").iterdir()) == ["200", "bench.lock"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"processor": "another"}, r"begun elsewhere \(other processor\)"),
        ({"versions": {"faiss-cpu": "1.0"}}, r"begun elsewhere \(other versions\)"),
    ],
)
def test_a_result_goes_on_where_it_was_begun_alone(change, text, tmp_path):
    def say(line: str) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        compared(tmp_path, COMPARED[:1], plan=SMALL, say=say)
    begun = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    begun["machine"] |= change
    (tmp_path / "result.json").write_text(json.dumps(begun), encoding="utf-8")

    with pytest.raises(UsageError, match=text):
        compared(tmp_path, COMPARED[:1], plan=SMALL, say=say)


def test_engines_with_other_settings_are_another_run(stopped_and_continued):
    *_, folder = stopped_and_continued
    others = (COMPARED[0], replace(COMPARED[1], build={"m": 4}), *COMPARED[2:])

    with pytest.raises(UsageError, match=r"another run \(other settings\)"):
        compared(folder, others)


@pytest.mark.parametrize(
    ("recalls", "chosen"),
    [
        # An exact search is no choice where there are others; then the first that finds enough.
        ({"exact": 1.0, "ef=16": 0.98, "ef=32": 0.991, "ef=64": 0.999}, "ef=32"),
        ({"exact": 1.0, "ef=16": 0.90, "ef=32": 0.97}, "ef=32"),
        ({"exact": 1.0}, "exact"),
    ],
)
def test_the_setting_for_what_takes_one_is_not_left_to_noise(recalls, chosen):
    searches = {
        label: {"exact": label == "exact", "recall_at_10": recall}
        for label, recall in recalls.items()
    }

    assert chosen_setting(searches) == chosen


def test_a_graph_of_faiss_that_links_nothing_is_no_graph(tmp_path):
    vectors = prepared(SOURCE, tmp_path / "vectors", videos=100, queries=5, seed=0)
    engine = Hnsw(vectors, tmp_path, build={"m": 4, "ef_construct": 10})
    index = engine.empty(8)
    index.add(np.eye(8, dtype=np.float32)[:1])

    with pytest.raises(EngineFailed, match="linked 0 of 1 vectors"):
        engine.linked(index)

    index.add(np.eye(8, dtype=np.float32)[1:])
    assert engine.linked(index) == 8
