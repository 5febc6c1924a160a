"""The file that says how a job goes, as Prometheus reads it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.backend.served import wait_until
from tests.indexer.conftest import Catalogue, CountingThumbnails, CountingTitles
from twinlens.catalog.errors import IndexLocked, StrictStop
from twinlens.catalog.sources import RejectsFile, open_source
from twinlens.encoders.lenses import make_own_lenses
from twinlens.indexer.job import IndexJob, JobOptions
from twinlens.indexer.metrics import JobMetrics
from twinlens.stores.engines import EmbeddedEngine
from twinlens.stores.generations import DataDir


def read(path: Path) -> dict[str, float]:
    """The samples by name and labels, without ``twinlens_index_``."""
    return {
        "/".join(
            [one.name.removeprefix("twinlens_index_"), *(v for v in one.labels.values() if v)]
        ): one.value
        for family in text_string_to_metric_families(path.read_text(encoding="utf-8"))
        for one in family.samples
    }


@pytest.fixture
def run(catalogue: Catalogue, data: DataDir, tmp_path: Path) -> Callable[..., dict[str, float]]:
    def run(*, now: float, every_s: float = 60, progress=id, **options) -> dict[str, float]:
        path = tmp_path / "index.prom"
        source = catalogue.write()
        with JobMetrics(path, every_s=every_s, now=lambda: now) as metrics:
            job = IndexJob(
                data,
                EmbeddedEngine(data),
                make_own_lenses(CountingTitles(), CountingThumbnails()),
                JobOptions(source_name=source, **options),
            )
            metrics.follow(job)
            job.run(open_source(source), RejectsFile(data.path / "rejects"), progress=progress)
        assert list(tmp_path.glob("index.prom*")) == [path]
        return read(path)

    return run


def test_rows_are_counted_by_outcome_and_a_failed_run_keeps_the_last_success(
    run, catalogue, tmp_path
):
    catalogue.add("broken", title="", picture=b"no picture")
    seen = run(now=1_000_000_000.5)
    rows = {name: value for name, value in seen.items() if name.startswith("rows/")}
    assert rows == {
        "rows/new": 10,
        "rows/changed": 0,
        "rows/unchanged": 0,
        "rows/rejected/picture_unreadable": 1,
    }
    assert seen["rows_per_second"] == pytest.approx(11 / seen["run_seconds"], rel=0.2)
    assert {"stage_seconds/store", "stage_seconds/publish"} <= seen.keys()
    kept = {"running": 0, "succeeded": 1, "last_success_timestamp_seconds": 1e9 + 0.5, "videos": 10}
    assert kept.items() <= seen.items()
    manual = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    section = manual.partition("### Metrics of the job")[2].partition("## Docker Compose")[0]
    documented = set(re.findall(r"`twinlens_index_(\w+)`", section))
    assert documented == {name.partition("/")[0] for name in seen}

    with pytest.raises(StrictStop):
        run(now=2e9, strict=True)
    failed = read(tmp_path / "index.prom")
    assert (kept | {"succeeded": 0}).items() <= failed.items()

    again = run(now=3e9)
    assert (again["rows/unchanged"], again["rows/new"], again["videos"]) == (10, 0, 10)
    assert (again["succeeded"], again["last_success_timestamp_seconds"]) == (1, 3e9)


def test_it_is_written_while_the_job_is_at_work_and_not_by_one_that_is_refused(run, tmp_path):
    path = tmp_path / "index.prom"
    seen = []

    def wait(_rows: int) -> None:
        wait_until(lambda: path.exists() and read(path).get("rows/new"))
        seen.append(read(path))

    run(now=1e9, every_s=0.01, progress=wait)
    assert seen[0]["running"] == 1
    assert "succeeded" not in seen[0]  # of no run before it
    written = path.read_bytes()
    with pytest.raises(IndexLocked), JobMetrics(path):
        raise IndexLocked("another job")
    assert path.read_bytes() == written


@pytest.mark.parametrize("before", [b"", b"\xff\x00{{", b"twinlens_index_succeeded much\n"])
def test_a_damaged_file_is_replaced_and_one_that_cannot_be_written_stops_nobody(
    tmp_path, caplog, before
):
    path = tmp_path / "index.prom"
    path.write_bytes(before)
    with pytest.raises(ValueError, match="no source"), JobMetrics(path):
        raise ValueError("no source")
    assert read(path) == {"running": 0, "succeeded": 0}
    with JobMetrics(tmp_path / "nowhere" / "index.prom"):
        pass
    assert "can't be written" in caplog.text
