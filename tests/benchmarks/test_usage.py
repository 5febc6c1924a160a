import multiprocessing
import os
import socket
import time

import pytest

from twinlens.benchmarks.usage import NeighbourWatch, PaceWatch, crowded, listening_at, spent_by

BURNT_S = 0.3


def burn():
    while time.process_time() < BURNT_S:
        pass


def test_what_a_process_spent_that_has_ended_is_its_parents():
    before, before_with_ended = spent_by(os.getpid()), spent_by(os.getpid(), with_ended=True)

    burning = multiprocessing.get_context("spawn").Process(target=burn)
    burning.start()
    burning.join()

    own = spent_by(os.getpid()) - before
    with_ended = spent_by(os.getpid(), with_ended=True) - before_with_ended
    assert with_ended - own >= BURNT_S - 0.05  # a tick or two


def test_a_neighbour_of_a_minute_is_seen_in_an_hour():
    watch = NeighbourWatch(every_s=5)
    # At such a moment, so many seconds were spent by others.
    watch.samples = [(0, 0.0), (5, 0.5), (10, 5.5), (15, 5.5), (15.5, 6.0)]

    assert watch.mean == pytest.approx(6.0 / 15.5)
    # Neither the mean, nor the half second at the end, which is too short to judge by.
    assert watch.worst == pytest.approx(1.0)


def test_too_short_a_time_says_nothing_of_a_neighbour():
    """What was spent is told in hundredths of a second, which would be five cores of two here."""
    watch = NeighbourWatch(every_s=5)
    watch.samples = [(0, 0.0), (0.002, 0.01)]

    assert watch.mean == watch.worst == 0


def test_what_crowds_a_machine_depends_on_its_cores():
    assert crowded(0.2, 0.2, cores=2)
    assert not crowded(0.2, 0.2, cores=64)
    assert crowded(0.0, 0.6, cores=2)
    assert not crowded(0.1, 0.4, cores=2)


def test_a_watch_has_a_sample_at_either_end():
    with NeighbourWatch(every_s=60) as watch:
        pass

    assert len(watch.samples) == 2
    assert watch.worst >= watch.mean >= 0


@pytest.mark.parametrize(("every_s", "looks"), [(0, 3), (600, 1)])
def test_the_pace_is_looked_at_no_more_often_than_asked(every_s, looks):
    watch = PaceWatch(every_s=every_s)
    for _ in range(3):
        watch.look()

    assert len(watch.ms) == looks
    watch.look(now=True)
    assert len(watch.ms) == looks + 1
    assert all(ms > 0 for ms in watch.ms)


def test_whoever_listens_on_this_machine_is_found():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert listening_at(f"http://localhost:{port}") == os.getpid()
        assert listening_at(f"http://qdrant.example:{port}") is None
    assert listening_at(f"http://localhost:{port}") is None
