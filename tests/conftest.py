"""What holds for every test."""

from __future__ import annotations

import os

# Before anything reads them; what a test starts inherits them. Two tests run at once, and one that
# takes every core makes the other wait longer than it gains.
for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

from collections.abc import Iterator  # noqa: E402
from typing import TYPE_CHECKING  # noqa: E402

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

if TYPE_CHECKING:
    from tests.fakes import Clock
    from tests.stores.qdrant_process import QdrantProcess

# The same examples in every run, however busy the machine: a red run is to be the change's doing.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


@pytest.fixture
def clock() -> Clock:
    from tests.fakes import Clock

    return Clock()


@pytest.fixture(scope="session")
def qdrant_process() -> Iterator[QdrantProcess]:
    """A process that stands in for a Qdrant server, for the whole run."""
    from tests.stores.qdrant_process import QdrantProcess

    with QdrantProcess() as process:
        yield process


@pytest.fixture
def qdrant(qdrant_process: QdrantProcess) -> Iterator[QdrantProcess]:
    """The same, whose faults a test may order."""
    qdrant_process.order()
    yield qdrant_process
    qdrant_process.order()
