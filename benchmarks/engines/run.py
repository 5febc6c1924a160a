"""A run: sizes one after the other into one result file, which a stopped run continues."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Final

from twinlens.benchmarks.engines.experiments import Experiment
from twinlens.benchmarks.engines.measure import SizeRun
from twinlens.benchmarks.engines.record import FORMAT, Machine, Plan, Result, Size, read_result
from twinlens.benchmarks.engines.sources import VectorSource, prepare_vectors
from twinlens.catalog.errors import UsageError
from twinlens.catalog.files import hold_lock
from twinlens.evaluate.machine import describe_machine

# What must not change within one result.
_SAME: Final = ("processor", "cores", "memory_bytes", "versions")


def digest_of(experiments: Sequence[Experiment]) -> str:
    """A digest of rows: how they are built and searched, and on which server."""
    rows = "".join(one.model_dump_json() for one in experiments)
    return blake2b(rows.encode(), digest_size=8).hexdigest()


def run(
    source: VectorSource,
    plan: Plan,
    experiments: Sequence[Experiment],
    *,
    result: Path,
    work: Path,
    say: Callable[[str], None],
    keep: bool = False,
) -> Result:
    """The finished result, which lies in the file ``result`` too, as far as it has come.

    Vectors and indexes are made in ``work``, and removed as each size is done unless they are to be
    kept. A run that goes on tries an engine that failed again as long as nothing was measured in
    turns at its size.

    Raises:
        UsageError: the file holds the result of another run, or one runs in ``work`` already.
    """
    with _alone_in(work):
        record = _begin(plan, result)
        record.write(result)
        try:
            for size in record.sizes:
                if size.finished:
                    continue
                say(f"{size.videos:,} videos: vectors and exact answers")
                vectors = prepare_vectors(
                    source, work, videos=size.videos, queries=plan.queries, seed=plan.seed
                )
                size.source = vectors.description.source
                size.synthetic = vectors.description.synthetic
                size.dims = dict(vectors.dims)
                measured = SizeRun(
                    plan, vectors, experiments, size, save=lambda: record.write(result), say=say
                )
                measured.measure()
                size.finished = True
                record.write(result)
                if not keep:
                    measured.remove()
        except KeyboardInterrupt:
            say(f"stopped; the same command goes on from {result}")
            raise
        record.finished = True
        record.write(result)
        return record


@contextmanager
def _alone_in(work: Path) -> Iterator[None]:
    def explain(holder: str) -> UsageError:
        return UsageError(
            f"{work}: another comparison (process {holder}) works in it; wait for it to end, or"
            " name another --work-dir"
        )

    with hold_lock(work / "bench.lock", explain):
        yield


def _begin(plan: Plan, result: Path) -> Result:
    """A new result, or the one that is to go on."""
    here = Machine.model_validate(describe_machine("h5py", "grpcio"))
    if not result.exists():
        sizes = [Size(videos=videos) for videos in plan.sizes]
        return Result(format=FORMAT, machine=here, plan=plan, sizes=sizes)
    record = read_result(result)
    other = [name for name, value in plan if getattr(record.plan, name) != value]
    if other:
        raise UsageError(
            f"{result}: the result of another run (other {', '.join(other)});"
            " name another file with --json, or remove it"
        )
    for size in record.sizes:
        for name, one in list(size.experiments.items()):
            if one.failed and "latency" not in size.loads:
                del size.experiments[name]
                size.loads.pop(f"build {name}", None)
    if all(size.finished for size in record.sizes):
        return record
    moved = [name for name in _SAME if getattr(here, name) != getattr(record.machine, name)]
    if moved:
        raise UsageError(
            f"{result}: was begun elsewhere (other {', '.join(moved)}), and the figures of two"
            " machines don't go into one result; name another file with --json"
        )
    record.finished = False
    record.continued.append(here)
    return record
