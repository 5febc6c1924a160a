"""What the dearest requests that are allowed cost: seconds of a core, as the system counts them.

They are to cost one at most, with the models that come along; asserted is five times as much.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.backend.asking import MULTI, RECOMMEND, SEARCH
from tests.backend.catalogue import FACETS, Catalogue
from tests.backend.served import Served, publish_embedded
from twinlens.catalog.fields import FIELDS

pytestmark = pytest.mark.slow
MOST_S = 5.0
COUNTED = [row.name for row in FIELDS.counted]
WORDS = " ".join(f"{subject} film number" for subject in ("beach", "kitchen", "cricket") * 40)
EVERYTHING = {
    "window": 1000,
    "limit": 100,
    "facets": FACETS,
    "explain": True,
    "diversity": 0.5,
    "collapse_duplicates": True,
}
OF_A_PAGE = {name: value for name, value in EVERYTHING.items() if name != "window"}
# Words that all titles have, that a third has, and that none has.
DEMANDING = 'film -beach "film number" -number -kitchen' + "".join(f" -{n}" for n in range(6))
STEERED = {
    "exclude": [f"beach-{number}" for number in range(900)],
    "boost": [
        {"field": "published_at", "half_life_days": days, "weight": 10} for days in range(1, 11)
    ],
    "max_per_channel": 3,
}
DEAREST = {
    "steered": (SEARCH, {"text": DEMANDING, **EVERYTHING, **STEERED}),
    "steered apart": (
        MULTI,
        {
            "searches": [
                {"text": f"{DEMANDING[:-1]}{number}", **EVERYTHING, **STEERED, "window": 200}
                for number in range(20)
            ]
        },
    ),
    "window": (SEARCH, {"text": WORDS[:1999], "highlight": True, **EVERYTHING}),
    "video": (SEARCH, {"text": "film", "video_id": "beach-1", "expand": 20, **EVERYTHING}),
    "written out": (SEARCH, {"text": "\ufdfa" * 222, "highlight": True, **EVERYTHING}),
    "filter": (
        SEARCH,
        {
            "text": "film",
            "filter": {"or": [{"tags": [f"n{n}-{m}" for m in range(100)]} for n in range(99)]},
            **EVERYTHING,
        },
    ),
    "disjunctive": (
        SEARCH,
        {
            "text": WORDS[:1999],
            "highlight": True,
            **EVERYTHING,
            "disjunctive_facets": True,
            "window": 200,
            "facet_query": {"tags": "n"},
            "filter": {
                "or": [{"view_count": {"gte": 0}}],
                "and": [{"not": {name: "x"}} for name in COUNTED],
                "duration_s": {"gte": 0},
                "published_at": {"gte": "2000-01-01"},
            },
        },
    ),
    "disjunctive, large": (
        SEARCH,
        {
            "text": "film",
            **EVERYTHING,
            "disjunctive_facets": True,
            "filter": {"not": {"tags": "x"}},
        },
    ),
    "recommendations": (
        RECOMMEND,
        {
            "liked": [f"beach-{number}" for number in range(100)],
            "disliked": [f"kitchen-{number}" for number in range(100)],
            **EVERYTHING,
        },
    ),
    "apart": (
        MULTI,
        {
            "searches": [
                {"text": f"{WORDS[:190]} {number}", "highlight": True, **EVERYTHING, "window": 200}
                for number in range(20)
            ]
        },
    ),
    "apart, large": (
        MULTI,
        {"searches": [{"text": WORDS[: 900 + number], **EVERYTHING} for number in range(4)]},
    ),
    "fused": (
        MULTI,
        {
            "searches": [{"text": f"{WORDS[:190]} {number}"} for number in range(20)],
            "fuse": True,
            "highlight": True,
            **OF_A_PAGE,
        },
    ),
    "fused by videos": (
        MULTI,
        {
            "searches": [{"video_id": f"beach-{number}"} for number in range(20)],
            "fuse": True,
            **OF_A_PAGE,
        },
    ),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    """A server of a thousand videos, so that there is something to do."""
    data = publish_embedded(Catalogue(per_subject=350), tmp_path_factory.mktemp("many"))
    with Served(data) as served:
        yield served


def work_s(served: Served) -> float:
    """The seconds of a core that its process has taken."""
    [worker] = served.workers()
    times = worker.cpu_times()
    return times.user + times.system


@pytest.mark.parametrize("name", DEAREST)
def test_the_dearest_request_costs_a_second_at_most(served, name):
    path, fields = DEAREST[name]
    before = work_s(served)
    status, _, body = served.ask(
        "POST", path, body=json.dumps(fields), headers={"Content-Type": "application/json"}
    )
    assert status == 200, body[:500]
    assert work_s(served) - before < MOST_S
