import threading
import time

import pytest

from twinlens.catalog.timing import StageTimes
from twinlens.indexer.ahead import Ahead


def test_items_come_in_order():
    with_thread = Ahead(iter(range(100)), depth=3)
    assert list(with_thread) == list(range(100))
    with_thread.close()


def test_it_runs_no_further_ahead_than_its_depth():
    made: list[int] = []

    def items():
        for number in range(100):
            made.append(number)
            yield number

    ahead = Ahead(items(), depth=2)
    assert next(iter(ahead)) == 0
    deadline = time.monotonic() + 5
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(made) <= 4  # one taken, two waiting, one in hand
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
    threads = [threading.Thread(target=times.add, args=("work", 0.5)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with times.stage("other"):
        pass
    assert times.seconds()["work"] == 4.0
    assert list(times.seconds()) == ["work", "other"]
