import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from twinlens.catalog.timing import StageTimes
from twinlens.indexer.ahead import Ahead


def test_items_come_in_order():
    with_thread = Ahead(iter(range(100)), depth=3)
    assert list(with_thread) == list(range(100))
    with_thread.close()


def test_it_runs_no_further_ahead_than_its_depth():
    made = threading.Semaphore(0)

    def items():
        for number in range(100):
            made.release()
            yield number

    ahead = Ahead(items(), depth=2)
    assert next(iter(ahead)) == 0
    # One taken, two waiting, one in hand.
    assert all(made.acquire(timeout=5) for _ in range(4))
    assert not made.acquire(timeout=0.05)
    ahead.close()
    assert not any(thread.name == "read-ahead" for thread in threading.enumerate())


def test_an_exception_is_raised_where_the_items_are_read():
    def items():
        yield 1
        raise ValueError("broken source")

    ahead = Ahead(items(), depth=2)
    reader = iter(ahead)
    assert next(reader) == 1
    with pytest.raises(ValueError, match="broken source"):
        next(reader)
    ahead.close()


def test_stage_times_add_up_over_threads():
    times = StageTimes()
    with ThreadPoolExecutor(8) as pool:
        pool.map(times.add, ["work"] * 8, [0.5] * 8)
    with times.stage("other"):
        pass
    assert times.to_seconds()["work"] == 4.0
    assert list(times.to_seconds()) == ["work", "other"]
