"""Models made for the fields of an index."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import get_args

import pytest

from twinlens.backend.schemas.answers import HitBody, SearchAnswer
from twinlens.backend.schemas.fitting import _fit, fit
from twinlens.catalog.fields import FIELDS

THREADS = 8


@pytest.fixture
def often_switched():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_threads_that_answer_first_at_once_get_the_same_models(often_switched):
    for _ in range(3):
        _fit.cache_clear()
        together = Barrier(THREADS)

        def make(number, together=together):
            together.wait()
            # As a request does: its hits first, then the answer that holds them.
            hit = fit(HitBody, FIELDS)
            answer = fit(SearchAnswer, FIELDS)
            return hit, get_args(answer.model_fields["hits"].annotation)[0], answer

        with ThreadPoolExecutor(THREADS) as pool:
            made = list(pool.map(make, range(THREADS)))
        hits = {hit for hit, _, _ in made} | {inner for _, inner, _ in made}
        assert len(hits) == 1
        assert len({answer for _, _, answer in made}) == 1
