"""Models made for the fields of an index."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Annotated, get_args

import pytest
from pydantic import BaseModel, Field, ValidationError

from twinlens.backend.schemas.answers import HitBody, SearchAnswer
from twinlens.backend.schemas.fitting import OneOf, _fit, fit
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


class Named(BaseModel):
    names: list[Annotated[str, OneOf(lambda fields: fields.names)]] = Field(
        default_factory=lambda: ["url"], alias="of", title="Names", examples=[["url"]], max_length=2
    )


def test_a_fitted_field_keeps_all_but_its_type():
    before, after = Named.model_fields["names"], fit(Named, FIELDS).model_fields["names"]
    for part in ("default_factory", "alias", "title", "examples", "metadata"):
        assert getattr(after, part) == getattr(before, part), part
    assert fit(Named, FIELDS)().names == ["url"]
    for wrong in (["size"], ["url", "title", "tags"]):
        with pytest.raises(ValidationError):
            fit(Named, FIELDS)(of=wrong)
