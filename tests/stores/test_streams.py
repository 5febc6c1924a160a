"""Calls beside each other: how many, in which order, and what becomes of a failure."""

from __future__ import annotations

import threading
from contextlib import closing
from functools import partial

import pytest

from twinlens.stores.streams import Streams


def test_as_many_go_on_beside_each_other_as_may_and_tokens_come_in_order() -> None:
    together = threading.Barrier(3)
    under_way, most = 0, 0
    lock = threading.Lock()

    def call(*, waits: bool) -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        if waits:
            together.wait(timeout=60)  # which no single stream would get beyond
        with lock:
            under_way -= 1

    with closing(Streams[int](3)) as streams:
        done = [
            token
            for number in range(9)
            for token in streams.begin(partial(call, waits=number < 3), number)
        ]
        assert done == list(range(6))
        assert [*done, *streams.finish()] == list(range(9))
        assert streams.finish() == []
    assert most == 3


def test_without_streams_a_call_is_done_where_it_is_begun() -> None:
    threads: list[threading.Thread] = []
    with closing(Streams[str](0)) as streams:
        assert streams.begin(lambda: threads.append(threading.current_thread()), "a") == ["a"]
        assert streams.finish() == []
    assert threads == [threading.current_thread()]


@pytest.mark.parametrize("most", [0, 1, 3])
def test_a_failure_is_raised_and_its_token_never_comes(most: int) -> None:
    def fail() -> None:
        raise ValueError("it failed")

    done: list[int] = []
    with closing(Streams[int](most)) as streams:

        def begin_all() -> None:
            for number in range(8):
                done.extend(streams.begin(fail if number == 2 else int, number))

        with pytest.raises(ValueError, match="it failed"):
            begin_all()
        done += streams.close()
    assert done == [0, 1, *range(3, 2 + max(most, 1))]


def test_what_ended_well_beside_a_failure_is_not_lost() -> None:
    def fail() -> None:
        raise ValueError("it failed")

    streams = Streams[int](4)
    for number in range(4):
        assert streams.begin(fail if number == 2 else int, number) == []
    with pytest.raises(ValueError, match="it failed"):
        streams.finish()
    assert streams.close() == [0, 1, 3]
