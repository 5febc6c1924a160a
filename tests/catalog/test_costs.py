"""What is decoded costs at most a second of a core and 400 MB, whatever its bytes."""

from __future__ import annotations

import re

import pytest

from tests.catalog.hostile import PICTURES, measure, mutate, written

# Five times what is promised: the machine has other work. Memory is the same each time.
CPU_S, MEMORY = 5.0, 400_000_000
QUICK = {
    "png-63-texts",
    "jpeg-lossless",
    "jpeg-arithmetic",
    "jpeg-35-scans-of-three",
    "jpeg-25-scans-of-four",
    "jpeg-smoothed",
    "gif-part",
    "webp-of-46-bytes",
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in PICTURES],
)
def test_no_picture_costs_more(name, tmp_path):
    make, expected = PICTURES[name]
    [cost] = measure(written(iter([make()]), tmp_path / "pictures"))
    assert cost.cpu_s < CPU_S
    assert cost.memory < MEMORY
    # What takes too much memory as a whole is still read for an encoder.
    shrunk, whole = cost.rejected
    early, _, late = expected.rpartition("|")
    for said, words in ((shrunk, early if "|" in expected else late), (whole, late)):
        assert said is None if not words else re.search(words, said or ""), said


@pytest.mark.slow
def test_no_bytes_cost_more_or_end_otherwise(tmp_path):
    """Anything but ``PictureRejected`` ends the process that measures."""
    costs = measure(written(mutate(1500), tmp_path / "pictures"))
    assert len(costs) == 1500
    assert max(cost.cpu_s for cost in costs) < CPU_S
    assert max(cost.memory for cost in costs) < MEMORY
    said = {one for cost in costs for one in cost.rejected}
    assert None in said
    assert len(said) > 20
    assert not any(re.fullmatch(r"|\w*(Error|Exception)\(\)", one) for one in said - {None})
