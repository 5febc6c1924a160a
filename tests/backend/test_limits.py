"""So many requests a minute, and for so long."""

from __future__ import annotations

import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import Clock
from twinlens.backend.access import RATE_WINDOW_S, RateLimiter
from twinlens.catalog.timing import OutOfTime, TimeBudget


@pytest.fixture
def limiter(clock):
    limiter = RateLimiter(6, tempfile.TemporaryFile(), clock=clock)  # noqa: SIM115 - it closes it
    yield limiter
    limiter.close()


def test_an_allowance_may_be_used_at_once_and_comes_back_evenly(limiter, clock):
    assert [limiter.take("a").remaining for _ in range(6)] == [5, 4, 3, 2, 1, 0]
    refused = limiter.take("a")
    assert (refused.allowed, refused.remaining, refused.retry_s) == (False, 0, 10)
    assert refused.reset_s == 60
    assert limiter.take("b").remaining == 5  # one caller is no other
    for _ in range(100):  # nobody is refused for longer by asking on
        assert limiter.take("a").retry_s == 10
    clock.now_s += 9.9
    assert not limiter.take("a").allowed
    clock.now_s += 0.2
    assert limiter.take("a").allowed
    assert not limiter.take("a").allowed
    clock.now_s += 600
    assert [limiter.take("a").allowed for _ in range(7)] == [True] * 6 + [False]


def test_several_are_allowed_together_or_not_at_all(limiter, clock):
    assert limiter.take("a", 4).remaining == 2
    refused = limiter.take("a", 3)
    assert (refused.allowed, refused.remaining, refused.retry_s) == (False, 2, 10)
    # With those that were counted before, and will be again.
    assert limiter.take("a", 3, begun=1).retry_s == 20
    clock.now_s += 10
    assert limiter.take("a", 3).remaining == 0
    assert limiter.take("b", 6).remaining == 0


def test_a_budget_lasts_so_long(clock):
    budget = TimeBudget(5, clock=clock)
    clock.now_s += 5
    budget.check()
    clock.now_s += 0.1
    with pytest.raises(OutOfTime):
        budget.check()


def test_a_budget_is_also_of_work(clock):
    working = Clock()
    budget = TimeBudget(5, work_s=1, clock=clock, work_clock=working)
    clock.now_s += 4
    budget.check()
    for work_s in (0.25, 0.5):  # after which as much as the half second may come again, or not
        budget.check()
        working.now_s += work_s
    with pytest.raises(OutOfTime):
        budget.check()


@settings(max_examples=200)
@given(st.integers(1, 50), st.lists(st.floats(0, 30), max_size=200))
def test_no_minute_has_more_than_twice_the_limit_and_no_hour_more_than_its_share(limit, pauses):
    clock = Clock()
    limiter = RateLimiter(limit, tempfile.TemporaryFile(), clock=clock)  # noqa: SIM115
    allowed = []
    for pause in pauses:
        clock.now_s += pause
        answer = limiter.take("a")
        assert 0 <= answer.remaining <= limit
        assert 0 <= answer.reset_s <= RATE_WINDOW_S
        if answer.allowed:
            allowed.append(clock.now_s)
    limiter.close()
    for number, start in enumerate(allowed):
        for last, end in enumerate(allowed[number:], start=1):
            assert last <= limit + (end - start) * limit / RATE_WINDOW_S + 1e-3
