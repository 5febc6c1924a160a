"""A run: sizes one after the other into one result file, which a stopped run continues."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from twinlens.benchmarks.engines.experiments import Experiment
from twinlens.benchmarks.engines.measuring import Plan, SizeRun
from twinlens.benchmarks.engines.result_file import FORMAT, read_unfinished
from twinlens.benchmarks.engines.room import GIB, lacking, need
from twinlens.benchmarks.engines.sources import VectorSource, prepared
from twinlens.benchmarks.engines.truth import exact_truth
from twinlens.catalog.errors import TwinLensError, UsageError
from twinlens.catalog.files import locked, write_atomically
from twinlens.evaluate.machine import machine

_PACKAGES: Final = ("h5py", "grpcio")
_LOCK: Final = "bench.lock"
# What must not change within one result.
_SAME: Final = ("processor", "cores", "memory_bytes", "versions")


def run(
    source: VectorSource,
    plan: Plan,
    experiments: Sequence[Experiment],
    *,
    result: Path,
    work: Path,
    say: Callable[[str], None],
    keep: bool = False,
    retry_failed: bool = False,
) -> dict[str, Any]:
    """The finished result, which lies in the file ``result`` too, as far as it has come.

    Vectors and indexes are made in ``work``, and removed as each size is done unless they are to be
    kept. A size that does not fit into memory or onto the disk is left out, and the result says so.

    A run that goes on tries an engine that failed again as long as nothing was measured in turns at
    its size; later it can't join in. ``retry_failed``: such a size is measured anew, all of it.

    Raises:
        UsageError: the file holds the result of another run, or one runs in ``work`` already.
    """
    with _alone_in(work), _interruption_told(result, say):
        report = _begun(source, plan, experiments, result, retry_failed=retry_failed)
        if not report["finished"]:
            # At once, so that nobody waits for an hour to read that a vector has no direction.
            source.check()
        to_do = [of for of in report["sizes"] if not of.get("finished")]
        # All at once, so that nobody waits for an hour to read that the largest does not fit.
        for record in to_do:
            videos = record["videos"]
            record.pop("skipped", None)
            wanted = need(
                videos,
                source.dims(),
                experiments,
                clients=max(plan.clients),
                queries=plan.queries,
            )
            say(
                f"{videos:,} videos: {wanted.memory_bytes / GIB:.1f} GiB of memory and "
                f"{wanted.disk_bytes / GIB:.1f} of disk, at most"
            )
            directory = _directory(work, videos)
            there = sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
            if (short := lacking(wanted, work, there_bytes=there, result=result)) is not None:
                record["skipped"] = short
                say(f"{videos:,} videos: will be left out, {short}")
        _save(report, result)
        for record in to_do:
            if "skipped" in record:
                continue
            videos = record["videos"]
            directory = _directory(work, videos)
            say(f"{videos:,} videos: vectors and exact answers")
            vectors = prepared(
                source, directory / "vectors", videos=videos, queries=plan.queries, seed=plan.seed
            )
            truth = exact_truth(vectors, limit=plan.limit, window=plan.window)
            record["vectors"] = {
                "source": vectors.description.source,
                "synthetic": vectors.description.synthetic,
                "dims": dict(vectors.dims),
                "queries": vectors.description.queries,
            }
            for key, value in (("experiments", {}), ("disturbed", {}), ("parts", [])):
                record.setdefault(key, value)
            measured = SizeRun(
                plan,
                vectors,
                truth,
                experiments,
                directory=directory,
                record=record,
                save=lambda: _save(report, result),
                say=say,
                commit=(report["continued"] or [report["machine"]])[-1]["commit"],
                fastest_ms=_fastest_ms(report),
            )
            measured.measure()
            record["finished"] = True
            _save(report, result)
            if not keep:
                measured.remove()
        report["finished"] = True
        _save(report, result)
    return report


@contextmanager
def _alone_in(work: Path) -> Iterator[None]:
    with locked(
        work / _LOCK,
        lambda holder: UsageError(
            f"{work}: another comparison (process {holder}) works in it; wait for it to end, or"
            " name another --work-dir"
        ),
    ):
        yield


@contextmanager
def _interruption_told(result: Path, say: Callable[[str], None]) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        say(f"stopped; the same command goes on from {result}")
        raise


def _fastest_ms(report: Mapping[str, Any]) -> float:
    paces = (one["pace_ms"] for of in report["sizes"] for one in of.get("watched", {}).values())
    return min((min(ms) for ms in paces), default=math.inf)


def _directory(work: Path, videos: int) -> Path:
    """Where a size's vectors and indexes are made; nobody else has a folder of this name."""
    return work / f"twinlens-bench-{videos}"


def _begun(
    source: VectorSource,
    plan: Plan,
    experiments: Sequence[Experiment],
    result: Path,
    *,
    retry_failed: bool,
) -> dict[str, Any]:
    options = {
        **asdict(plan),
        "sizes": list(plan.sizes),
        "clients": list(plan.clients),
        "source": source.describe(),
        "experiments": [one.name for one in experiments],
        # How they are built and searched, and on which server, without telling its address.
        "settings": blake2b(repr(experiments).encode(), digest_size=8).hexdigest(),
    }
    if result.exists():
        report = read_unfinished(result)
        before = report["options"]
        if before != options:
            other = sorted(k for k in options if before.get(k) != options[k])
            raise UsageError(
                f"{result}: the result of another run (other {', '.join(other)});"
                " name another file with --json, or remove it"
            )
        for record in report["sizes"]:
            failed = [name for name, one in record.get("experiments", {}).items() if one["failed"]]
            if failed and retry_failed:
                videos = record["videos"]
                record.clear()
                record["videos"] = videos
            elif not record.get("finished") and "latency" not in record.get("parts", ()):
                for name in failed:
                    del record["experiments"][name]
                    record["parts"] = [one for one in record["parts"] if one != f"build {name}"]
        if not all(record.get("finished") for record in report["sizes"]):
            here = machine(*_PACKAGES)
            moved = [key for key in _SAME if here[key] != report["machine"].get(key)]
            if moved:
                raise UsageError(
                    f"{result}: was begun elsewhere (other {', '.join(moved)}), and the figures of"
                    " two machines don't go into one result; name another file with --json"
                )
            report["finished"] = False
            report["continued"].append(here)
        return report
    report = {
        "format": FORMAT,
        "machine": machine(*_PACKAGES),
        "continued": [],
        "options": options,
        "finished": False,
        "sizes": [{"videos": videos} for videos in plan.sizes],
    }
    _save(report, result)
    return report


def _save(report: dict[str, Any], result: Path) -> None:
    try:
        result.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(result, json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise TwinLensError(f"{result}: can't be written: {error}") from error
